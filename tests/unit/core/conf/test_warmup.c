/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Warm-up plans as they are written: what they mean, and what is said about those that mean nothing.
 */
#include "core/base/must.h"
#include "core/conf/warmup.h"
#include "tests/unit/core/conf/conf_testing.h"

#define LIST "is not a list of 1–366 numbers of messages (1–1000000000)\n"

static const struct {
    const char *text;
    const char *message; /* without "t.yaml:" */
} bad[] = {
    {"warmup_plans: [{days: [1]}]\n", "1:16: warmup_plans[0].name: must be given\n"},
    {"warmup_plans: [{name: a, days: [1]}, {name: a, days: [1]}]\n",
     "1:45: warmup_plans[1].name: a is there twice\n"},
    {"warmup_plans: [{name: a}]\n",
     "1:16: warmup_plans[0].days: must be given: how many messages on the first day, on the second …\n"},
    {"warmup_plans: [{name: a, days: []}]\n",
     "1:32: warmup_plans[0].days: must be given: how many messages on the first day, on the second …\n"},
    {"warmup_plans: [{name: a, days: [5, 0]}]\n",
     "1:36: warmup_plans[0].days[1]: 0 is out of range (1–1000000000)\n"},
    {"warmup_plans: [{name: a, days: [5, x]}]\n",
     "1:36: warmup_plans[0].days[1]: \"x\" is not a whole number (1–1000000000)\n"},
    {"warmup_plans: [{name: a, days: [5], day: 999ms}]\n",
     "1:42: warmup_plans[0].day: 999ms is out of range (1s–7d)\n"},
    {"warmup_plans: [{name: a, days: [5], hold_at: 101%}]\n",
     "1:46: warmup_plans[0].hold_at: 101 is out of range (1–100)\n"},
    {"warmup_plans: [{name: a, days: [5], hold_at: '%'}]\n",
     "1:46: warmup_plans[0].hold_at: \"%\" is quoted text, must be a whole number (1–100) without quotes\n"},
    {"warmup_plans: [{name: a, days: [5], hold_at: 20, step_back_at: 19%}]\n",
     "1:64: warmup_plans[0].step_back_at: 19% is less than hold_at (20%): no day would ever be held\n"},
    {"warmup_plans: [{name: a, days: [5], providers: {google: []}}]\n",
     "1:57: warmup_plans[0].providers[0]: google: \"\" " LIST},
    {"warmup_plans: [{name: a, days: [5], providers: {google: [1, 0]}}]\n",
     "1:57: warmup_plans[0].providers[0]: google: \"1 0\" " LIST},
    {"warmup_plans: [{name: a, days: [5], providers: {google: [1, x]}}]\n",
     "1:57: warmup_plans[0].providers[0]: google: \"1 x\" " LIST},
    {"warmup_plans: [{name: a, days: [5], providers: {google: [[1]]}}]\n",
     "1:57: warmup_plans[0].providers[0]: is a list, must be a provider with its days, like google:20 50 100\n"},
    {"warmup_plans: [{name: a, days: [5], providers: [google]}]\n",
     "1:49: warmup_plans[0].providers[0]: google: \"\" " LIST},
    {"warmup_plans: [{name: a, days: [5], providers: {gogle: [1]}}]\n",
     "1:48: warmup_plans[0].providers: gogle is no provider; `shaping.providers` says which there are\n"},
    {"warmup_plans: [{name: a, days: [5], providers: ['google:1', 'google:2']}]\n",
     "1:48: warmup_plans[0].providers: google is there twice\n"},
    {"sources: [{name: ip9, addresses: 192.0.2.9, warmup: std}]\n",
     "1:53: sources[0].warmup: std is no plan; `warmup_plans` says which there are\n"},
    {"sources: [{name: ip9, addresses: 192.0.2.9, warmup_start_day: 0}]\n",
     "1:63: sources[0].warmup_start_day: 0 is out of range (1–366)\n"},
};

START_TEST(what_is_wrong_is_said_with_its_place)
{
    struct buf want;
    struct loaded l = load_text(bad[_i].text);
    buf_init(&want, 1 << 16);
    buf_addf(&want, "t.yaml:%s", bad[_i].message);
    buf_add_byte(&want, '\0');
    ck_assert_ptr_null(l.conf);
    buf_expect(&l.errors, want.ptr);
    unload(&l);
    buf_deinit(&want);
}
END_TEST

static const char full[] =
    "sources: [{name: ip9, addresses: 192.0.2.9, warmup: std, warmup_start_day: 3}]\n"
    "warmup_plans:\n"
    "  - name: std\n"
    "    days: [50, 100, 500]\n"
    "    providers: {google: [20, 50], yahoo: 7}\n"
    "    hold_at: 3%\n"
    "    step_back_at: 30\n"
    "    day: 12h\n"
    "  - {name: other, days: [1]}\n";

static void expect_days(struct slice days, const uint32_t *want, size_t count)
{
    uint32_t n;
    for (size_t i = 0; i < count; i++) {
        ck_assert(conf_warmup_next(&days, &n));
        ck_assert_uint_eq(n, want[i]);
    }
    ck_assert(!conf_warmup_next(&days, &n));
}

static void expect_full(const struct conf *c)
{
    static const uint32_t google[] = {20, 50}, yahoo[] = {7};
    const struct conf_warmup_plan *p = conf_warmup_plan(c, SLICE("std"));
    ck_assert(p == &c->warmup_plans.items[0] && c->warmup_plans.count == 2);
    ck_assert_uint_eq(p->days.count, 3);
    ck_assert_uint_eq(p->days.items[2], 500);
    ck_assert_uint_eq(p->providers.count, 2);
    slice_expect(p->providers.items[0].provider, "google");
    expect_days(p->providers.items[0].days, google, ARRAY_COUNT(google));
    slice_expect(p->providers.items[1].provider, "yahoo");
    expect_days(p->providers.items[1].days, yahoo, ARRAY_COUNT(yahoo));
    ck_assert(p->hold_at == 3 && p->step_back_at == 30 && p->day_ms == 12 * 3600 * 1000);
    p = conf_warmup_plan(c, SLICE("other"));
    ck_assert(p->hold_at == 5 && p->step_back_at == 10 && p->day_ms == 24 * 3600 * 1000);
    ck_assert_ptr_null(conf_warmup_plan(c, SLICE("")));
    slice_expect(c->sources.items[0].warmup, "std");
    ck_assert_uint_eq(c->sources.items[0].warmup_start_day, 3);
}

/* As it is printed it is read again. */
START_TEST(all_of_it_is_read_and_printed)
{
    struct loaded l = load_text(full);
    struct buf text;
    buf_init(&text, 1 << 20);
    ck_assert_msg(l.conf != NULL, "%.*s", SLICE_ARG(buf_slice(&l.errors)));
    expect_full(l.conf);
    conf_print_yaml(l.conf, &text);
    unload(&l);
    buf_add_byte(&text, '\0');
    l = load_text(text.ptr);
    ck_assert_msg(l.conf != NULL, "%.*s", SLICE_ARG(buf_slice(&l.errors)));
    expect_full(l.conf);
    unload(&l);
    buf_deinit(&text);
}
END_TEST

START_TEST(variables_name_plans_too)
{
    char *environment[] = {(char *)"RINGPOST_SOURCES_0_NAME=ip9",
                           (char *)"RINGPOST_SOURCES_0_ADDRESSES=192.0.2.9",
                           (char *)"RINGPOST_SOURCES_0_WARMUP=std",
                           (char *)"RINGPOST_WARMUP_PLANS_0_NAME=std",
                           (char *)"RINGPOST_WARMUP_PLANS_0_DAYS=5,10",
                           (char *)"RINGPOST_WARMUP_PLANS_0_PROVIDERS=google:1 2,yahoo:3",
                           (char *)"RINGPOST_WARMUP_PLANS_0_HOLD_AT=4%",
                           NULL};
    struct conf_source src = {.environment = environment};
    struct loaded l = load(&src);
    ck_assert_msg(l.conf != NULL, "%.*s", SLICE_ARG(buf_slice(&l.errors)));
    const struct conf_warmup_plan *p = conf_warmup_plan(l.conf, SLICE("std"));
    ck_assert(p && p->days.count == 2 && p->providers.count == 2 && p->hold_at == 4);
    unload(&l);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("warmup");
    tcase_add_checked_fixture(tc, folder_enter, folder_leave);
    tcase_add_loop_test(tc, what_is_wrong_is_said_with_its_place, 0, ARRAY_COUNT(bad));
    tcase_add_test(tc, all_of_it_is_read_and_printed);
    tcase_add_test(tc, variables_name_plans_too);
    Suite *s = suite_create("core/conf/warmup");
    suite_add_tcase(s, tc);
    return suite_run(s);
}
