/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Why units: with count/period reduced to units_per_us/units_each a microsecond and an event are
 * both whole numbers of the same unit, so the arithmetic is exact. 7/s: a microsecond is 7 units, an
 * event 1,000,000. Why a circle: now * units_per_us outgrows 64 bits, but only differences matter.
 * The state is never further ahead of any thread's now than ahead_max; everything else is past.
 *
 *          now          tat
 *   past ───┼────────────┼──────────────┼─────── past (as far behind as the circle is long)
 *           └── ahead ───┘              └ now + ahead_max
 *           └──── burst * each ────┘  an event passes if ahead + each fits in here
 *
 * Rejected: a count per window (twice the limit around its end), a pair of tokens and time (two words
 * to change at once), nanoseconds with a rounded interval (drifts).
 */
#include "core/policy/rate.h"
#include "core/base/must.h"

#include <stdatomic.h>

#define UNITS_MAX (UINT64_C(1) << 62)
#define UNITS_PER_US_MAX (UINT64_C(1) << 30)
#define COUNT_EXACT_MAX (UINT64_C(1) << 21)

must_static((UINT64_C(1) << 21) < (UINT64_C(1) << 62) / RATE_PERIOD_US_MAX,
            "a burst of every exact count has room");
must_static((uint64_t)RATE_STALE_US < (UINT64_C(1) << 62) / (UINT64_C(1) << 30),
            "what two clocks may be apart has room beside it");

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

struct rate_rule rate_rule_make(uint64_t count, uint64_t period_us, uint64_t burst,
                                uint64_t take_max)
{
    must(count >= 1 && count <= RATE_COUNT_MAX);
    must(period_us >= RATE_PERIOD_US_MIN && period_us <= RATE_PERIOD_US_MAX);
    must(burst >= 1 && burst <= count && burst <= RATE_BURST_MAX);
    must(take_max >= 1 && take_max <= RATE_TAKE_MAX);
    uint64_t common = gcd(count, period_us);
    uint64_t per_us = count / common;
    uint64_t each = period_us / common;
    while (per_us > UNITS_PER_US_MAX ||
           (per_us > COUNT_EXACT_MAX && burst + take_max > UNITS_MAX / each)) {
        per_us >>= 1; /* rounded so that it is never faster */
        each = (each + 1) >> 1;
    }
    uint64_t room = UNITS_MAX / each;
    must(burst < room);
    return (struct rate_rule){per_us, each, burst, min_u64(take_max, room - burst)};
}

/* How far tat is ahead of now, in units; 0: at rest. */
static uint64_t ahead_of(uint64_t tat, const struct rate_rule *rule, uint64_t now)
{
    uint64_t ahead_max = (rule->burst + rule->take_max) * rule->units_each +
                         (uint64_t)RATE_STALE_US * rule->units_per_us;
    uint64_t ahead = tat - now;
    return ahead <= ahead_max ? ahead : 0;
}

void rate_init(struct rate *r, const struct rate_rule *rule, uint64_t now_us)
{
    must(rule->units_each > 0);
    atomic_store_explicit(&r->tat, now_us * rule->units_per_us, memory_order_relaxed);
}

bool rate_take(struct rate *r, const struct rate_rule *rule, uint64_t n, uint64_t now_us)
{
    must(n > 0 && rule->units_each > 0);
    n = min_u64(n, rule->take_max);
    uint64_t now = now_us * rule->units_per_us;
    uint64_t limit = rule->burst * rule->units_each;
    uint64_t need = min_u64(n, rule->burst) * rule->units_each;
    uint64_t tat = atomic_load_explicit(&r->tat, memory_order_relaxed);
    uint64_t ahead;
    /* Relaxed: the number protects nothing but itself. */
    do {
        ahead = ahead_of(tat, rule, now);
        if (ahead + need > limit) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&r->tat, &tat,
                                                    now + ahead + n * rule->units_each,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

uint64_t rate_next_us(const struct rate *r, const struct rate_rule *rule, uint64_t n,
                      uint64_t now_us)
{
    must(n > 0 && rule->units_each > 0);
    uint64_t tat = atomic_load_explicit(&r->tat, memory_order_relaxed);
    uint64_t ahead = ahead_of(tat, rule, now_us * rule->units_per_us);
    uint64_t limit = rule->burst * rule->units_each;
    uint64_t need = min_u64(min_u64(n, rule->take_max), rule->burst) * rule->units_each;
    if (ahead + need <= limit) {
        return now_us;
    }
    return now_us + (ahead + need - limit + rule->units_per_us - 1) / rule->units_per_us;
}

void rate_give(struct rate *r, const struct rate_rule *rule, uint64_t n)
{
    must(n > 0 && rule->units_each > 0);
    uint64_t units = min_u64(n, rule->take_max) * rule->units_each;
    atomic_fetch_sub_explicit(&r->tat, units, memory_order_relaxed);
}

uint64_t rate_ready(const struct rate *r, const struct rate_rule *rule, uint64_t now_us)
{
    uint64_t tat = atomic_load_explicit(&r->tat, memory_order_relaxed);
    uint64_t ahead = ahead_of(tat, rule, now_us * rule->units_per_us);
    uint64_t limit = rule->burst * rule->units_each;
    return ahead < limit ? (limit - ahead) / rule->units_each : 0;
}

void rate_change(struct rate *r, const struct rate_rule *old, const struct rate_rule *rule,
                 uint64_t now_us)
{
    must(old->units_each > 0 && rule->units_each > 0);
    uint64_t tat = atomic_load_explicit(&r->tat, memory_order_relaxed);
    uint64_t ahead = ahead_of(tat, old, now_us * old->units_per_us);
    unsigned __int128 scaled = (unsigned __int128)ahead * rule->units_each + old->units_each - 1;
    uint64_t limit = rule->burst * rule->units_each;
    scaled /= old->units_each;
    ahead = scaled < limit ? (uint64_t)scaled : limit;
    atomic_store_explicit(&r->tat, now_us * rule->units_per_us + ahead, memory_order_relaxed);
}
