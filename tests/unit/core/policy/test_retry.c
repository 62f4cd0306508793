/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/retry.h"
#include "tests/unit/core/base/testing.h"

enum { MINUTE = 60 * 1000, HOUR = 60 * MINUTE };

static const uint64_t schedule[] = {1 * MINUTE, 5 * MINUTE, 15 * MINUTE, 1 * HOUR, 4 * HOUR};
static const uint64_t arrival = 1795260300000; /* wall ms */

static struct conf_queue rules(uint32_t jitter_percent)
{
    return (struct conf_queue){.schedule = {schedule, ARRAY_COUNT(schedule)},
                               .jitter_percent = jitter_percent,
                               .max_age_ms = 5ull * 24 * HOUR};
}

START_TEST(delays_follow_the_schedule)
{
    static const struct {
        uint32_t attempts;
        uint64_t delay_ms;
    } rows[] = {{1, 1 * MINUTE}, {2, 5 * MINUTE}, {3, 15 * MINUTE},      {4, 1 * HOUR},
                {5, 4 * HOUR},   {6, 4 * HOUR},   {UINT16_MAX, 4 * HOUR}};
    struct conf_queue q = rules(0);
    struct rng rng;
    rng_init_seed(&rng, 1);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct retry_decision d = retry_decide(&q, rows[i].attempts, arrival, arrival + 77, &rng);
        ck_assert(!d.expired);
        ck_assert_uint_eq(d.due_ms, arrival + 77 + rows[i].delay_ms);
    }
}
END_TEST

/* [d * (1 - j), d * (1 + j)], both ends reached, and spread over all of it. */
START_TEST(jitter_has_bounds_and_uses_them)
{
    static const uint32_t percents[] = {1, 10, 25, 100};
    enum { DRAWS = 4000, PARTS = 8 };
    struct rng rng;
    rng_init_seed(&rng, 7);
    for (size_t i = 0; i < ARRAY_COUNT(percents); i++) {
        struct conf_queue q = rules(percents[i]);
        uint64_t spread = schedule[1] * percents[i] / 100;
        uint64_t low = schedule[1] - spread, high = schedule[1] + spread;
        unsigned parts[PARTS] = {0};
        for (unsigned n = 0; n < DRAWS; n++) {
            struct retry_decision d = retry_decide(&q, 2, arrival, arrival, &rng);
            uint64_t delay = d.due_ms - arrival;
            testing_that(!d.expired && delay >= 1 && delay >= low && delay <= high);
            parts[(delay - low) * PARTS / (high - low + 1)]++;
        }
        for (unsigned p = 0; p < PARTS; p++) {
            ck_assert_uint_gt(parts[p], DRAWS / PARTS * 7 / 10);
            ck_assert_uint_lt(parts[p], DRAWS / PARTS * 13 / 10);
        }
    }
    struct conf_queue tiny = rules(50);
    static const uint64_t two[] = {2};
    bool seen[4] = {false};
    tiny.schedule = (struct conf_durations){two, 1};
    for (unsigned n = 0; n < 200; n++) {
        uint64_t delay = retry_decide(&tiny, 1, arrival, arrival, &rng).due_ms - arrival;
        testing_that(delay >= 1 && delay <= 3);
        seen[delay] = true;
    }
    ck_assert(seen[1] && seen[2] && seen[3]);
}
END_TEST

/* Never past the end of its life, where one last attempt is made; from there on it is over. */
START_TEST(the_end_of_life)
{
    struct conf_queue q = rules(0);
    uint64_t end = arrival + q.max_age_ms;
    const struct {
        uint64_t now;
        bool expired;
        uint64_t due;
    } rows[] = {
        {arrival, false, arrival + 4 * HOUR},
        {end - 4 * HOUR - 1, false, end - 1},
        {end - 4 * HOUR, false, end},
        {end - 4 * HOUR + 1, false, end}, /* earlier than the schedule says */
        {end - 1, false, end},
        {end, true, 0},
        {end + 1, true, 0},
        {end + 1000ull * 24 * HOUR, true, 0}, /* it was switched off for years */
    };
    struct rng rng;
    rng_init_seed(&rng, 1);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct retry_decision d = retry_decide(&q, 9, arrival, rows[i].now, &rng);
        ck_assert_msg(d.expired == rows[i].expired && d.due_ms == rows[i].due, "row %zu: %lu", i,
                      (unsigned long)d.due_ms);
    }
}
END_TEST

START_TEST(the_number_of_attempts)
{
    struct conf_queue q = rules(0);
    struct rng rng;
    rng_init_seed(&rng, 1);
    q.max_attempts = 3;
    ck_assert(!retry_decide(&q, 1, arrival, arrival, &rng).expired);
    ck_assert(!retry_decide(&q, 2, arrival, arrival, &rng).expired);
    ck_assert(retry_decide(&q, 3, arrival, arrival, &rng).expired);
    ck_assert(retry_decide(&q, 4, arrival, arrival, &rng).expired);
}
END_TEST

/* The clock was set back: the message is from the future. It is tried, on schedule. */
START_TEST(a_clock_that_goes_back)
{
    struct conf_queue q = rules(0);
    struct rng rng;
    rng_init_seed(&rng, 1);
    struct retry_decision d = retry_decide(&q, 1, arrival, arrival - 24 * HOUR, &rng);
    ck_assert(!d.expired);
    ck_assert_uint_eq(d.due_ms, arrival - 24 * HOUR + 1 * MINUTE);
}
END_TEST

static void no_attempt(void *ctx)
{
    struct conf_queue q = rules(0);
    struct rng rng;
    (void)ctx;
    rng_init_seed(&rng, 1);
    (void)retry_decide(&q, 0, arrival, arrival, &rng);
}

START_TEST(misuse_aborts)
{
    testing_must_abort(no_attempt, NULL, "attempts >= 1");
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        delays_follow_the_schedule, jitter_has_bounds_and_uses_them, the_end_of_life,
        the_number_of_attempts,     a_clock_that_goes_back,          misuse_aborts};
    return testing_run("core/policy/retry", tests, ARRAY_COUNT(tests));
}
