/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * warmup_table - what sources that warm up have sent, counted exactly over all workers
 *
 * Purpose:   a *track* is one source at one provider: the rule that holds for it, its state, and how much of the
 *            day's allowance is durable. Whoever sends takes a message from it, or hears when to come again.
 * Owner:     the table: the engine. Tracks live as long as the table; their number is that of sources × providers
 *            that met.
 * Thread:    any. A track has a mutex: only mail of sources that warm up passes it, a few thousand a day.
 * Units:     as warmup.h.
 * Limits:    WARMUP_TRACKS_MAX; a source at a provider beyond them is not limited.
 * Errors:    warmup_track_get: NULL without memory or room.
 * Durability: nothing is taken that is not *reserved*, and a reservation is written down before it counts
 *            (warmup_write_begin, warmup_write_done): after a crash the count begins where the last reservation
 *            ends. So a limit is never exceeded over a crash; at most two chunks of the day (WARMUP_CHUNK_DIVISOR:
 *            4 % of its allowance, or two messages) are lost to it. Answers that came after the last write are
 *            forgotten: they belong to at most those two chunks and to what was under way.
 */
#ifndef RINGPOST_POLICY_WARMUP_TABLE_H
#define RINGPOST_POLICY_WARMUP_TABLE_H

#include "core/base/buf.h"
#include "core/policy/warmup.h"

enum {
    WARMUP_TRACKS_MAX = 5000,
    WARMUP_KEY_BYTES_MAX = 2 * 64 + 1,
    WARMUP_VALUE_BYTES_MAX = 128,
    WARMUP_SOON_MS = 5,      /* a reservation is on its way to the disk */
    WARMUP_FAILED_MS = 1000, /* it could not be written */
};

struct warmup_table;
struct warmup_track;

struct warmup_name {
    struct slice source;
    struct slice provider; /* "": all that belong to none, together */
};

struct warmup_table *warmup_table_open(uint64_t seed);
void warmup_table_close(struct warmup_table **t);

/* Found or made, with this rule (copied) from now on; serial: of the configuration that says so, an older one changes
 * nothing. start_day: where one begins of which nothing is known. rule NULL: the source has no plan any more; NULL is
 * returned, what is known stays. */
struct warmup_track *warmup_track_get(struct warmup_table *t, const struct warmup_name *name,
                                      const struct warmup_rule *rule, uint32_t start_day,
                                      uint64_t serial);
/* NULL: there is none. */
struct warmup_track *warmup_track_find(struct warmup_table *t, const struct warmup_name *name);

enum warmup_answer { WARMUP_TAKEN, WARMUP_USED_UP, WARMUP_NOT_YET };

/* Would it be given one now? Otherwise *until_ms: when to ask again. */
enum warmup_answer warmup_check(struct warmup_track *k, uint64_t wall_ms, uint64_t *until_ms);
/* One message. *date: to give it back. */
enum warmup_answer warmup_take(struct warmup_track *k, uint64_t wall_ms, uint64_t *date,
                               uint64_t *until_ms);
/* It was not sent. Of another date: it stays counted there. */
void warmup_give(struct warmup_track *k, uint64_t date);
/* Warm, or something of today is left. */
bool warmup_has_room(struct warmup_track *k, uint64_t wall_ms);
/* The peer has judged a message. */
void warmup_answered(struct warmup_track *k, bool deferred, uint64_t wall_ms);
/* An operator's word: it goes on with this day of the plan. What was sent today stays counted, but for a date that
 * lies ahead, because the clock was wrong. */
void warmup_set_day(struct warmup_track *k, uint32_t day, uint64_t wall_ms);

/* ---- durability ---- */

/* True, once: somebody has to write it down. */
bool warmup_wants_write(struct warmup_track *k, uint64_t wall_ms);
/* One write on its way. */
struct warmup_write {
    uint64_t date;
    uint64_t reserved;
};

/* What to write. final: no more is reserved than was sent, and nothing is given out any more. Writes of one track
 * must become durable in the order in which they were begun. */
void warmup_write_begin(struct warmup_track *k, bool final, uint64_t wall_ms, struct buf *key,
                        struct buf *value, struct warmup_write *out);
void warmup_write_done(struct warmup_track *k, bool ok, const struct warmup_write *w,
                       uint64_t wall_ms);
/* At start, before anybody asks. False: the bytes make no sense; without memory, too. */
bool warmup_restore(struct warmup_table *t, struct slice key, struct slice value);

/* ---- for people ---- */

struct warmup_view {
    struct warmup_name name; /* the track's */
    struct warmup_state state;
    uint64_t allowance; /* WARMUP_NO_LIMIT: warm */
    uint32_t day_count; /* 0: no plan names it now */
    uint64_t date_end_ms;
    enum warmup_verdict last; /* how this day was come to, as far as this process knows */
};

void warmup_track_view(struct warmup_track *k, uint64_t wall_ms, struct warmup_view *out);
/* In no order. */
void warmup_table_walk(struct warmup_table *t, void (*each)(void *ctx, struct warmup_track *k),
                       void *ctx);

#endif
