/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The limit holds in every window and is fully used; a virtual clock throughout, threads at the end.
 */
#include "core/base/must.h"
#include "core/base/rng.h"
#include "core/policy/rate.h"

#include <check.h>
#include <pthread.h>
#include <stdlib.h>

#define SECOND UINT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

struct limit {
    uint64_t count;
    uint64_t period_us;
    uint64_t burst;
};

static const struct limit limits[] = {
    {1, DAY, 1},          {1000, DAY, 1},        {1000, DAY, 1000},     {30, MINUTE, 1},
    {30, MINUTE, 5},      {5, 30 * SECOND, 2},   {100, SECOND, 10},     {7, SECOND, 1},
    {999, SECOND, 3},     {999983, SECOND, 100}, {1000000, SECOND, 50}, {1000000, SECOND, 100000},
    {999983, DAY, 17},    {1, SECOND, 1},        {3, HOUR, 3},          {86399, DAY, 2},
    {2000003, HOUR, 100},
};

static struct rate_rule rule_of(const struct limit *l, uint64_t take_max)
{
    return rate_rule_make(l->count, l->period_us, l->burst, take_max);
}

/* floor(t * count / period), exactly. */
static uint64_t earned(const struct limit *l, uint64_t t)
{
    return (uint64_t)((unsigned __int128)t * l->count / l->period_us);
}

/* Taking whenever it is possible: event i passes at the very microsecond its turn comes, for any number
 * of events. This is "never more" and "never less" and "no drift" at once. Only with a burst of one and an
 * interval that is no whole microsecond each event waits for the next one. */
START_TEST(greedy_is_exact)
{
    const struct limit *l = &limits[_i];
    bool rounds = l->burst == 1 && l->period_us % l->count != 0;
    struct rate_rule rule = rule_of(l, 1);
    const uint64_t start = 123456789;
    struct rate r;
    rate_init(&r, &rule, start);
    ck_assert_uint_eq(rate_ready(&r, &rule, start), l->burst);
    uint64_t now = start;
    for (uint64_t i = 0; i < 20000; i++) {
        now = rate_next_us(&r, &rule, 1, now);
        uint64_t due = start;
        if (i >= l->burst) {
            unsigned __int128 units = (unsigned __int128)(i - l->burst + 1) * l->period_us;
            due += (uint64_t)((units + l->count - 1) / l->count);
        }
        bool exact = now >= due && now <= (rounds ? due + i : due);
        bool same = due <= start || i < l->burst || rate_next_us(&r, &rule, 1, now - 1) == now;
        if (!exact || !same || !rate_take(&r, &rule, 1, now)) { /* ck_assert costs at each call */
            ck_abort_msg("event %d at %llu, due %llu", (int)i, (unsigned long long)now,
                         (unsigned long long)due);
        }
    }
}
END_TEST

/* Random arrivals: what any window holds never passes burst + rate * t. */
START_TEST(no_window_holds_more)
{
    enum { EVENTS = 600 };
    const struct limit *l = &limits[_i];
    struct rate_rule rule = rule_of(l, 1);
    struct rng rng;
    struct rate r;
    uint64_t passed[EVENTS];
    size_t n = 0;
    uint64_t now = 1;
    rng_init_seed(&rng, (uint64_t)_i + 1);
    rate_init(&r, &rule, now);
    uint64_t interval = l->period_us / l->count + 1;
    while (n < EVENTS) {
        uint64_t step = rng_below(&rng, 8) == 0 ? interval * 20 : interval;
        now += rng_below(&rng, step + 1);
        while (n < EVENTS && rng_below(&rng, 3) && rate_take(&r, &rule, 1, now)) {
            passed[n++] = now;
        }
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i; j < n; j++) {
            if (j - i + 1 > l->burst + earned(l, passed[j] - passed[i])) {
                ck_abort_msg("events %zu to %zu", i, j);
            }
        }
    }
}
END_TEST

START_TEST(a_day_does_not_come_at_midnight)
{
    struct rate_rule rule = rate_rule_make(1000, DAY, 1, 1);
    struct rate r;
    rate_init(&r, &rule, 0);
    ck_assert(rate_take(&r, &rule, 1, 0));
    ck_assert(!rate_take(&r, &rule, 1, 0));
    ck_assert_uint_eq(rate_next_us(&r, &rule, 1, 0), DAY / 1000);
    ck_assert(!rate_take(&r, &rule, 1, DAY / 1000 - 1));
    ck_assert(rate_take(&r, &rule, 1, DAY / 1000));
    /* A week of rest saves up no more than the burst. */
    ck_assert(rate_take(&r, &rule, 1, 7 * DAY));
    ck_assert(!rate_take(&r, &rule, 1, 7 * DAY));
}
END_TEST

START_TEST(bytes_are_paid_for_afterwards)
{
    /* 1000 bytes a second, 500 at once. */
    struct rate_rule rule = rate_rule_make(1000, SECOND, 500, 1 << 20);
    struct rate r;
    rate_init(&r, &rule, 0);
    ck_assert(rate_take(&r, &rule, 200, 0));
    ck_assert_uint_eq(rate_ready(&r, &rule, 0), 300);
    ck_assert(!rate_take(&r, &rule, 301, 0));
    ck_assert(rate_take(&r, &rule, 300, 0));
    /* More than the burst: as soon as all of the burst is there. */
    ck_assert_uint_eq(rate_next_us(&r, &rule, 5000, 0), SECOND / 2);
    ck_assert(!rate_take(&r, &rule, 5000, SECOND / 2 - 1));
    ck_assert(rate_take(&r, &rule, 5000, SECOND / 2));
    ck_assert_uint_eq(rate_next_us(&r, &rule, 1, SECOND / 2), SECOND / 2 + 4501 * 1000);
    /* What was not sent comes back. */
    rate_give(&r, &rule, 5000);
    ck_assert_uint_eq(rate_ready(&r, &rule, SECOND / 2), 500);
}
END_TEST

START_TEST(giving_back_never_saves_up)
{
    struct rate_rule rule = rate_rule_make(10, SECOND, 2, 1);
    struct rate r;
    rate_init(&r, &rule, 0);
    ck_assert(rate_take(&r, &rule, 1, 0));
    rate_give(&r, &rule, 1);
    rate_give(&r, &rule, 1);
    ck_assert_uint_eq(rate_ready(&r, &rule, HOUR), 2);
    ck_assert(rate_take(&r, &rule, 1, HOUR));
    ck_assert(rate_take(&r, &rule, 1, HOUR));
    ck_assert(!rate_take(&r, &rule, 1, HOUR));
}
END_TEST

START_TEST(another_limit_keeps_the_debt)
{
    struct rate_rule slow = rate_rule_make(1, MINUTE, 1, 1);
    struct rate_rule fast = rate_rule_make(10, SECOND, 1, 1);
    struct rate_rule deep = rate_rule_make(10, SECOND, 8, 1);
    struct rate r;
    rate_init(&r, &slow, 0);
    ck_assert(rate_take(&r, &slow, 1, 0));
    /* Half of the event is paid: half an event of the new limit remains. */
    rate_change(&r, &slow, &fast, MINUTE / 2);
    ck_assert_uint_eq(rate_next_us(&r, &fast, 1, MINUTE / 2), MINUTE / 2 + SECOND / 20);
    rate_change(&r, &fast, &slow, MINUTE / 2);
    ck_assert_uint_eq(rate_next_us(&r, &slow, 1, MINUTE / 2), MINUTE);
    /* Six of eight are spent; a limit with a burst of one has spent that and no more. */
    rate_init(&r, &deep, 0);
    for (int i = 0; i < 6; i++) {
        ck_assert(rate_take(&r, &deep, 1, 0));
    }
    rate_change(&r, &deep, &slow, 0);
    ck_assert_uint_eq(rate_next_us(&r, &slow, 1, 0), MINUTE);
    rate_change(&r, &slow, &deep, 0);
    ck_assert_uint_eq(rate_ready(&r, &deep, 0), 7);
    /* At rest stays at rest. */
    rate_change(&r, &deep, &slow, DAY);
    ck_assert_uint_eq(rate_ready(&r, &slow, DAY), 1);
}
END_TEST

/* Changed at random moments between two limits: what passes is what the limits of each moment allow. */
START_TEST(changes_lose_and_give_nothing)
{
    struct rate_rule rules[2] = {rate_rule_make(7, SECOND, 2, 1), rate_rule_make(90, SECOND, 2, 1)};
    const uint64_t per_s[2] = {7, 90};
    struct rng rng;
    struct rate r;
    uint64_t now = 0, passed = 0, allowed = 0; /* allowed: events * 1e6 */
    size_t at = 0;
    rng_init_seed(&rng, 3);
    rate_init(&r, &rules[0], 0);
    for (int i = 0; i < 3000; i++) {
        uint64_t until = now + rng_below(&rng, 2000000);
        allowed += (until - now) * per_s[at];
        for (uint64_t next; (next = rate_next_us(&r, &rules[at], 1, now)) <= until;) {
            now = next;
            ck_assert(rate_take(&r, &rules[at], 1, now));
            passed++;
        }
        now = until;
        rate_change(&r, &rules[at], &rules[1 - at], now);
        at = 1 - at;
    }
    ck_assert_uint_le(passed, allowed / SECOND + 2);
    ck_assert_uint_ge(passed + 1, allowed / SECOND);
}
END_TEST

/* Long rests, also round the circle of units. */
START_TEST(rest_is_rest)
{
    const struct limit *l = &limits[_i];
    struct rate_rule rule = rule_of(l, 1);
    struct rate r;
    rate_init(&r, &rule, 0);
    uint64_t now = 0;
    static const uint64_t rests[] = {HOUR, DAY, 30 * DAY, 365 * DAY, 3650 * DAY};
    for (size_t i = 0; i < ARRAY_COUNT(rests); i++) {
        for (uint64_t n = 0; n < l->burst; n++) {
            ck_assert(rate_take(&r, &rule, 1, now));
        }
        ck_assert(!rate_take(&r, &rule, 1, now));
        /* Nothing here rests for a multiple of the circle. */
        now += rests[i] + l->burst * (l->period_us / l->count + 1);
        ck_assert_uint_eq(rate_ready(&r, &rule, now), l->burst);
    }
}
END_TEST

/* The one case in which rest is not seen: the wait is bounded by the burst and by what clocks may be
 * apart, and more than the limit never passes. */
START_TEST(round_the_circle_waits_once)
{
    struct rate_rule rule = rate_rule_make(999983, SECOND, 10, 1);
    struct rate r;
    rate_init(&r, &rule, 0);
    ck_assert(rate_take(&r, &rule, 1, 0));
    uint64_t round = UINT64_MAX / rule.units_per_us;
    uint64_t wait = rate_next_us(&r, &rule, 1, round - SECOND) - (round - SECOND);
    ck_assert_uint_le(wait, RATE_STALE_US + SECOND);
}
END_TEST

/* A thread whose turn began earlier asks with an older clock. */
START_TEST(an_older_clock_does_not_turn_it_back)
{
    struct rate_rule rule = rate_rule_make(1000, SECOND, 5, 1);
    struct rate r;
    rate_init(&r, &rule, 0);
    const uint64_t now = HOUR;
    for (int i = 0; i < 5; i++) {
        ck_assert(rate_take(&r, &rule, 1, now));
    }
    for (uint64_t back = 0; back <= RATE_STALE_US; back += RATE_STALE_US / 100) {
        ck_assert(!rate_take(&r, &rule, 1, now - back));
    }
    ck_assert(rate_take(&r, &rule, 1, now + 1000));
}
END_TEST

/* Every byte rate: never faster, slower by less than one in 100,000. */
START_TEST(large_counts_are_never_faster)
{
    struct rng rng;
    rng_init_seed(&rng, 9);
    for (int i = 0; i < 20000; i++) {
        uint64_t period = RATE_PERIOD_US_MIN + rng_u64(&rng) % RATE_PERIOD_US_MAX;
        period = period > RATE_PERIOD_US_MAX ? RATE_PERIOD_US_MAX : period;
        uint64_t count_max = period * 1000; /* 1 GB/s */
        uint64_t count = 1 + (rng_u64(&rng) % count_max) / (1 + rng_u64(&rng) % 100000);
        uint64_t burst = 1 + rng_u64(&rng) % count;
        burst = burst > RATE_BURST_MAX ? RATE_BURST_MAX : burst;
        struct rate_rule rule = rate_rule_make(count, period, burst, 100 << 20);
        unsigned __int128 is = (unsigned __int128)rule.units_per_us * period;
        unsigned __int128 limit = (unsigned __int128)rule.units_each * count;
        ck_assert(is <= limit);
        ck_assert(limit - is <= limit / 100000);
        if (count < 2000000) {
            ck_assert(is == limit);
        }
        ck_assert_uint_ge(rule.take_max, 40 << 20);
        struct rate r;
        rate_init(&r, &rule, 77);
        ck_assert(rate_take(&r, &rule, RATE_TAKE_MAX, 77));
        ck_assert(burst > rule.take_max || !rate_take(&r, &rule, burst, 77));
    }
}
END_TEST

/* ---- threads ------------------------------------------------------------------------------- */

enum { THREADS = 4, TAKES = 200000 };

struct taker {
    struct rate *rate;
    const struct rate_rule *rule;
    _Atomic uint64_t *clock;
    uint64_t passed;
};

/* The clock goes a microsecond further with each call of anybody. */
static void *taker_run(void *arg)
{
    struct taker *t = arg;
    for (int i = 0; i < TAKES; i++) {
        t->passed += rate_take(t->rate, t->rule, 1, (*t->clock)++);
    }
    return NULL;
}

START_TEST(threads_together_take_the_limit)
{
    struct rate_rule rule = rate_rule_make(100003, SECOND, 20, 1); /* about every tenth call */
    struct rate r;
    _Atomic uint64_t clock = 1000;
    struct taker takers[THREADS];
    pthread_t threads[THREADS];
    rate_init(&r, &rule, 1000);
    for (int i = 0; i < THREADS; i++) {
        takers[i] = (struct taker){&r, &rule, &clock, 0};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, taker_run, &takers[i]), 0);
    }
    uint64_t passed = 0;
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        passed += takers[i].passed;
    }
    uint64_t now = clock;
    uint64_t allowed = 20 + (now - 1 - 1000) * 100003 / SECOND;
    ck_assert_uint_le(passed, allowed);
    /* And all of it: at most what is still there is missing. */
    ck_assert_uint_ge(passed + rate_ready(&r, &rule, now) + 1, allowed);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("rate");
    TCase *t = tcase_create("rate");
    tcase_add_loop_test(t, greedy_is_exact, 0, ARRAY_COUNT(limits));
    tcase_add_loop_test(t, no_window_holds_more, 0, ARRAY_COUNT(limits));
    tcase_add_loop_test(t, rest_is_rest, 0, ARRAY_COUNT(limits));
    tcase_add_test(t, a_day_does_not_come_at_midnight);
    tcase_add_test(t, bytes_are_paid_for_afterwards);
    tcase_add_test(t, giving_back_never_saves_up);
    tcase_add_test(t, another_limit_keeps_the_debt);
    tcase_add_test(t, changes_lose_and_give_nothing);
    tcase_add_test(t, round_the_circle_waits_once);
    tcase_add_test(t, an_older_clock_does_not_turn_it_back);
    tcase_add_test(t, large_counts_are_never_faster);
    tcase_add_test(t, threads_together_take_the_limit);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
