/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a day of warming up means for the next one: a grid of days, and a whole plan with a virtual clock.
 */
#include "core/policy/warmup.h"
#include "core/base/must.h"

#include <check.h>
#include <stdlib.h>

#define DAY_MS (UINT64_C(86400) * 1000)

static const uint32_t days[] = {50, 100, 500, 1001};
static const struct warmup_rule rule = {days, ARRAY_COUNT(days), 5, 10, DAY_MS};

static const struct row {
    const char *name;
    struct warmup_state state;
    enum warmup_verdict verdict;
    uint32_t next; /* day */
} rows[] = {
    {"nothing sent", {1, 0, 0, 0, 0}, WARMUP_NOT_COUNTED, 1},
    {"less than half", {1, 0, 24, 24, 0}, WARMUP_NOT_COUNTED, 1},
    {"half", {1, 0, 25, 25, 0}, WARMUP_ADVANCED, 2},
    {"half of an odd allowance", {4, 0, 500, 500, 0}, WARMUP_NOT_COUNTED, 4},
    {"more than half of it", {4, 0, 501, 500, 0}, WARMUP_ADVANCED, 5},
    {"all", {3, 0, 500, 500, 0}, WARMUP_ADVANCED, 4},
    {"sent, never answered", {1, 0, 50, 0, 0}, WARMUP_ADVANCED, 2},
    {"4.9 % deferred", {3, 0, 500, 500, 24}, WARMUP_ADVANCED, 4},
    {"5 % deferred", {3, 0, 500, 500, 25}, WARMUP_HELD, 3},
    {"9.9 % deferred", {3, 0, 500, 1000, 99}, WARMUP_HELD, 3},
    {"10 % deferred", {3, 0, 500, 500, 50}, WARMUP_STEPPED_BACK, 2},
    {"all deferred", {3, 0, 500, 500, 500}, WARMUP_STEPPED_BACK, 2},
    {"the first day has none before it", {1, 0, 50, 50, 50}, WARMUP_STEPPED_BACK, 1},
    {"little sent, much deferred", {3, 0, 10, 10, 1}, WARMUP_STEPPED_BACK, 2},
    {"warm", {5, 0, 0, 100, 100}, WARMUP_NOT_COUNTED, 5},
    {"numbers without end",
     {3, 0, UINT64_MAX, UINT64_MAX, UINT64_MAX / 100 * 5},
     WARMUP_ADVANCED,
     4},
};

START_TEST(verdicts)
{
    const struct row *row = &rows[_i];
    struct warmup_state s = row->state;
    enum warmup_verdict verdict = WARMUP_HELD;
    ck_assert_msg(warmup_judge(&rule, &s) == row->verdict, "%s", row->name);
    ck_assert(!warmup_turn(&rule, &s, DAY_MS - 1, &verdict));
    ck_assert_uint_eq(s.sent, row->state.sent);
    ck_assert(warmup_turn(&rule, &s, DAY_MS, &verdict));
    ck_assert_msg(verdict == row->verdict && s.day == row->next, "%s: day %u", row->name, s.day);
    ck_assert(s.date == 1 && s.sent == 0 && s.answered == 0 && s.deferred == 0);
}
END_TEST

START_TEST(allowances)
{
    for (uint32_t day = 1; day <= ARRAY_COUNT(days); day++) {
        struct warmup_state s = {.day = day};
        ck_assert_uint_eq(warmup_allowance(&rule, &s), days[day - 1]);
        ck_assert(!warmup_is_warm(&rule, &s));
    }
    struct warmup_state s = {.day = ARRAY_COUNT(days) + 1};
    ck_assert(warmup_allowance(&rule, &s) == WARMUP_NO_LIMIT);
    ck_assert(warmup_is_warm(&rule, &s));
}
END_TEST

/* Days in which nothing was sent count neither forward nor back. */
START_TEST(a_week_of_silence)
{
    struct warmup_state s = {.day = 2, .date = 10, .sent = 100, .answered = 100};
    enum warmup_verdict verdict;
    ck_assert(warmup_turn(&rule, &s, 17 * DAY_MS + 5, &verdict));
    ck_assert(verdict == WARMUP_ADVANCED && s.day == 3 && s.date == 17);
    ck_assert(warmup_turn(&rule, &s, 30 * DAY_MS, &verdict));
    ck_assert(verdict == WARMUP_NOT_COUNTED && s.day == 3 && s.date == 30);
}
END_TEST

START_TEST(a_clock_that_is_set_back)
{
    struct warmup_state s = {.day = 2, .date = 10, .sent = 100, .answered = 100};
    enum warmup_verdict verdict;
    ck_assert(!warmup_turn(&rule, &s, 9 * DAY_MS, &verdict));
    ck_assert(s.day == 2 && s.date == 10 && s.sent == 100);
    ck_assert_uint_eq(warmup_date_end_ms(&rule, s.date), 11 * DAY_MS);
}
END_TEST

START_TEST(a_whole_plan)
{
    struct warmup_state s = {.day = 1};
    uint64_t wall_ms = 0;
    for (uint32_t day = 1; day <= ARRAY_COUNT(days); day++, wall_ms += DAY_MS) {
        enum warmup_verdict verdict;
        bool turned = warmup_turn(&rule, &s, wall_ms, &verdict);
        ck_assert(turned == (day > 1) && s.day == day);
        s.sent = warmup_allowance(&rule, &s);
        s.answered = s.sent;
    }
    enum warmup_verdict verdict;
    ck_assert(warmup_turn(&rule, &s, wall_ms, &verdict) && verdict == WARMUP_ADVANCED);
    ck_assert(warmup_is_warm(&rule, &s));
}
END_TEST

START_TEST(small_things)
{
    struct warmup_state s = {.day = 1, .answered = 3, .deferred = 1}, none = {.day = 1};
    ck_assert_uint_eq(warmup_deferred_permille(&s), 333);
    ck_assert_uint_eq(warmup_deferred_permille(&none), 0);
    ck_assert_uint_eq(warmup_chunk(1), 1);
    ck_assert_uint_eq(warmup_chunk(99), 1);
    ck_assert_uint_eq(warmup_chunk(5000), 100);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("warmup");
    tcase_add_loop_test(tc, verdicts, 0, ARRAY_COUNT(rows));
    tcase_add_test(tc, allowances);
    tcase_add_test(tc, a_week_of_silence);
    tcase_add_test(tc, a_clock_that_is_set_back);
    tcase_add_test(tc, a_whole_plan);
    tcase_add_test(tc, small_things);
    Suite *s = suite_create("core/policy/warmup");
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
