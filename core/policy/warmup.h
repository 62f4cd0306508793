/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * warmup - how much a new source may send to a provider today
 *
 * Purpose:   a plan is a list of allowances, one per day of sending. What happened on a day decides which day of
 *            the plan the next one is. Pure decisions over plain values; who counts: warmup_table.h.
 * Owner:     values. A rule borrows its list. Thread: any.
 * Units:     messages (transactions, whatever the number of their recipients); percent; wall ms. A *date* is the
 *            number of a calendar day: wall ms / day_ms, so days of 24 h begin at 00:00 UTC.
 * Limits:    WARMUP_*. Errors: none.
 *
 *   judged at the first thing that happens on a later date:
 *
 *     deferred ≥ step_back_at % of the answers ─► the day before (the first stays the first)
 *     deferred ≥ hold_at % ─────────────────────► the same day again
 *     sent < half of the allowance ─────────────► the same day again: it did not count
 *     else ─────────────────────────────────────► the next day; behind the last: warm, without a limit
 *
 * Dates without mail count nothing, neither forward nor back. A clock that is set back brings no new allowance: a
 * date only ever grows.
 */
#ifndef RINGPOST_POLICY_WARMUP_H
#define RINGPOST_POLICY_WARMUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WARMUP_SHARE_PERCENT = 50, /* of the allowance: from there on it is a day of sending */
    WARMUP_CHUNK_DIVISOR = 50,
};
#define WARMUP_NO_LIMIT UINT64_MAX

struct warmup_rule {
    const uint32_t *days; /* allowances; those of day 1 first */
    uint32_t day_count;   /* 0: no plan */
    uint32_t hold_percent;
    uint32_t back_percent;
    uint64_t day_ms;
};

/* One source at one provider. */
struct warmup_state {
    uint32_t day; /* of the plan, from 1; above day_count: warm */
    uint64_t date;
    uint64_t sent; /* on that date */
    uint64_t answered;
    uint64_t deferred; /* of the answers: 4xx */
};

enum warmup_verdict { WARMUP_NOT_COUNTED, WARMUP_ADVANCED, WARMUP_HELD, WARMUP_STEPPED_BACK };

static inline uint64_t warmup_date(const struct warmup_rule *r, uint64_t wall_ms)
{
    return wall_ms / r->day_ms;
}

/* When the date is over. */
static inline uint64_t warmup_date_end_ms(const struct warmup_rule *r, uint64_t date)
{
    return (date + 1) * r->day_ms;
}

static inline bool warmup_is_warm(const struct warmup_rule *r, const struct warmup_state *s)
{
    return s->day > r->day_count;
}

/* WARMUP_NO_LIMIT: warm. */
uint64_t warmup_allowance(const struct warmup_rule *r, const struct warmup_state *s);
/* What the counts mean at the end of the day. */
enum warmup_verdict warmup_judge(const struct warmup_rule *r, const struct warmup_state *s);
/* Moves on if the date is over. True: it has; *verdict says how. */
bool warmup_turn(const struct warmup_rule *r, struct warmup_state *s, uint64_t wall_ms,
                 enum warmup_verdict *verdict);
/* Deferred answers in a thousand; 0 without answers. */
unsigned warmup_deferred_permille(const struct warmup_state *s);

/* How far ahead counts are made durable: see warmup_table.h. */
uint64_t warmup_chunk(uint64_t allowance);

#endif
