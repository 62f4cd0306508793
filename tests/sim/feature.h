/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * feature - what a run has beyond the plain world, each with chances of its own
 *
 * Purpose:   a feature is a part of the world that a seed has or has not. It draws from a stream of its own (seed
 *            and name), so that a new one changes nothing of what seeds without it mean: seeds.h names the
 *            features that a run had, and what is not named is off.
 * Owner:     struct sim. Thread: the only one.
 * Errors:    none.
 */
#ifndef RINGPOST_TESTS_SIM_FEATURE_H
#define RINGPOST_TESTS_SIM_FEATURE_H

#include "core/base/rng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* New ones at the end: the number is part of the stream. */
enum feature {
    FEATURE_ROT,     /* bits flip where a record stands (rot.c) */
    FEATURE_TIMES,   /* Send-At, HOLDFOR, expiry, a wall clock that jumps across them */
    FEATURE_ORDERS,  /* an operator (orders.c) */
    FEATURE_LIES,    /* DNS says what is not so */
    FEATURE_SOURCES, /* egress sources, limits and rates by shaping */
    FEATURE_RELOAD,  /* other settings in the middle */
    FEATURE_COUNT
};

/* A set: a bit each. FEATURES_DRAWN: as the seed says, each on in one of two. */
typedef uint32_t features;
#define FEATURES_DRAWN UINT32_MAX

void features_draw(uint64_t seed, features wanted);
bool feature_on(enum feature f);
/* Only of one that is on. */
uint64_t feature_below(enum feature f, uint64_t bound);
/* True once in a million × ppm, where the feature is on. */
bool feature_chance(enum feature f, uint32_t ppm);
/* The same, in the safety phase only, and counted. */
bool feature_fault(enum feature f, uint32_t ppm);

/* "rot,times"; "none"; "drawn". */
bool features_parse(const char *text, features *out);
void features_text(char *out, size_t bytes);

#endif
