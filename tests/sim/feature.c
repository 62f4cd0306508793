/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/sim/feature.h"
#include "tests/sim/sim.h"

#include <stdio.h>
#include <string.h>

static const char *const feature_names[FEATURE_COUNT] = {"rot",  "times",   "orders",
                                                         "lies", "sources", "reload"};

static struct {
    struct rng streams[FEATURE_COUNT];
    features on;
} drawn;

void features_draw(uint64_t seed, features wanted)
{
    drawn.on = 0;
    for (unsigned f = 0; f < FEATURE_COUNT; f++) {
        /* Far from each other and from the seed's own stream. */
        rng_init_seed(&drawn.streams[f], (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) + f + 1);
        bool coin = rng_below(&drawn.streams[f], 2);
        bool on = wanted == FEATURES_DRAWN ? coin : (wanted & 1u << f) != 0;
        drawn.on |= on ? 1u << f : 0;
    }
}

bool feature_on(enum feature f)
{
    return (drawn.on & 1u << f) != 0;
}

uint64_t feature_below(enum feature f, uint64_t bound)
{
    must(feature_on(f));
    return rng_below(&drawn.streams[f], bound);
}

bool feature_chance(enum feature f, uint32_t ppm)
{
    return feature_on(f) && rng_below(&drawn.streams[f], 1000000) < ppm;
}

bool feature_fault(enum feature f, uint32_t ppm)
{
    if (sim.calm || !feature_chance(f, ppm)) {
        return false;
    }
    sim.counts.faults++;
    return true;
}

bool features_parse(const char *text, features *out)
{
    char copy[256];
    if (strcmp(text, "drawn") == 0) {
        *out = FEATURES_DRAWN;
        return true;
    }
    *out = 0;
    if (strcmp(text, "none") == 0) {
        return true;
    }
    if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy)) {
        return false;
    }
    char *rest = copy;
    for (char *word = strsep(&rest, ","); word; word = strsep(&rest, ",")) {
        unsigned f = 0;
        while (f < FEATURE_COUNT && strcmp(feature_names[f], word) != 0) {
            f++;
        }
        if (f == FEATURE_COUNT) {
            return false;
        }
        *out |= 1u << f;
    }
    return true;
}

void features_text(char *out, size_t bytes)
{
    size_t at = 0;
    snprintf(out, bytes, "none");
    for (unsigned f = 0; f < FEATURE_COUNT && at + 16 < bytes; f++) {
        if (feature_on((enum feature)f)) {
            at += (size_t)snprintf(out + at, bytes - at, "%s%s", at ? "," : "", feature_names[f]);
        }
    }
}
