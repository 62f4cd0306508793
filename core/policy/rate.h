/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * rate - so many per period, exactly
 *
 * Purpose:   GCRA (a leaky bucket as one number): `count` per `period`, of which up to `burst` may come
 *            at once after a rest. There is no window that ends: in no stretch of t may pass more than
 *            burst + t * count / period, whenever it begins, so 1000/day never sends 1000 at midnight.
 * Owner:     the rule belongs to the settings and is immutable; the state belongs to whoever counts.
 * Thread:    any number may call rate_take on one state with equal rules: one atomic number, taken by
 *            compare and exchange; what passes is exact. `now` may differ between threads, an older
 *            one only waits a little longer.
 * Units:     microseconds of the monotonic clock (clock_now.mono_us). The state counts fractions of
 *            them of which one event is a whole number, so nothing is rounded and nothing drifts, from
 *            1/day to 1,000,000/s (with a burst of 1 an event waits for the next whole microsecond).
 *            Counts above two million a period (bytes) that share no factor with it are slower by less
 *            than one in 100,000.
 * Limits:    RATE_*. The state is a circle; one at rest for as long as it takes to go round (213 days
 *            for 999,983/s, hours for odd byte rates, never for 30/min or 1000/s) may be taken for one in
 *            use. It then waits once as if its burst were spent, it never lets more pass. `now` of two
 *            threads must not be further apart than RATE_STALE_US.
 * Errors:    none.
 */
#ifndef RINGPOST_POLICY_RATE_H
#define RINGPOST_POLICY_RATE_H

#include <stdbool.h>
#include <stdint.h>

enum { RATE_PERIOD_US_MIN = 1000000, RATE_STALE_US = 30 * 1000000 };
#define RATE_PERIOD_US_MAX (UINT64_C(86400) * 1000000)
#define RATE_COUNT_MAX (UINT64_C(86400) * 1000000000) /* a GB per second, for a day */
#define RATE_BURST_MAX (UINT64_C(1) << 32)
#define RATE_TAKE_MAX (UINT64_C(1) << 31)

struct rate_rule {
    uint64_t units_per_us; /* the state counts in microseconds divided by this */
    uint64_t units_each;   /* what one event costs */
    uint64_t burst;        /* events; >= 1 */
    uint64_t take_max;     /* no single take may ask for more */
};

/* The state. Zero is not a valid state: rate_init. */
struct rate {
    _Atomic uint64_t tat; /* theoretical arrival time of the next event, in units */
};

/* count per period_us; burst: 1 … count. take_max: the largest n of a take, 1 for messages, a message's
 * size for bytes (cut where a single take would cost months). */
struct rate_rule rate_rule_make(uint64_t count, uint64_t period_us, uint64_t burst,
                                uint64_t take_max);

/* At rest: the burst is there. */
void rate_init(struct rate *r, const struct rate_rule *rule, uint64_t now_us);

/* Takes n now, or nothing. More than the burst (a message larger than a byte rate's burst) passes when the
 * whole burst is there and is paid for afterwards. n is cut to take_max. */
bool rate_take(struct rate *r, const struct rate_rule *rule, uint64_t n, uint64_t now_us);
/* The moment from which n would pass if nobody else took any: now_us when it would now. */
uint64_t rate_next_us(const struct rate *r, const struct rate_rule *rule, uint64_t n,
                      uint64_t now_us);
/* What was taken and not used. */
void rate_give(struct rate *r, const struct rate_rule *rule, uint64_t n);
/* How many would pass at once now: 0 … burst. For display. */
uint64_t rate_ready(const struct rate *r, const struct rate_rule *rule, uint64_t now_us);

/* Another limit for the same state: what was sent and is not paid for yet stays so, counted in events,
 * at most a spent burst of the new limit. So a limit that is changed all the time lets pass what the limits
 * of each moment allow. No other thread may use the state during the call. */
void rate_change(struct rate *r, const struct rate_rule *old, const struct rate_rule *rule,
                 uint64_t now_us);

#endif
