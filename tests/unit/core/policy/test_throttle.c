/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/throttle.h"
#include "tests/unit/core/base/testing.h"

static const struct throttle_rule rule = {3, 1000};

static struct ip_addr address(const char *text)
{
    struct ip_addr a;
    ck_assert(ip_addr_parse(slice_str(text), &a));
    return a;
}

START_TEST(a_pair_is_locked_and_no_other)
{
    struct throttle *t = throttle_open(5);
    struct ip_addr a = address("192.0.2.1"), b = address("192.0.2.2");
    for (unsigned i = 0; i < 3; i++) {
        ck_assert(!throttle_locked(t, &rule, &a, SLICE("u"), 100 + i));
        throttle_failed(t, &rule, &a, SLICE("u"), 100 + i);
    }
    ck_assert(throttle_locked(t, &rule, &a, SLICE("u"), 103));
    ck_assert(!throttle_locked(t, &rule, &b, SLICE("u"), 103));
    ck_assert(!throttle_locked(t, &rule, &a, SLICE("v"), 103));
    ck_assert(throttle_locked(t, &rule, &a, SLICE("u"), 1101));
    ck_assert(!throttle_locked(t, &rule, &a, SLICE("u"), 1102)); /* the lockout is over */
    throttle_failed(t, &rule, &a, SLICE("u"), 1200);             /* and counting begins anew */
    ck_assert(!throttle_locked(t, &rule, &a, SLICE("u"), 1200));
    throttle_close(t);
}
END_TEST

START_TEST(a_success_forgets_the_failures)
{
    struct throttle *t = throttle_open(5);
    struct ip_addr a = address("2001:db8::1");
    throttle_failed(t, &rule, &a, SLICE("u"), 1);
    throttle_failed(t, &rule, &a, SLICE("u"), 2);
    throttle_succeeded(t, &a, SLICE("u"));
    throttle_failed(t, &rule, &a, SLICE("u"), 3);
    ck_assert(!throttle_locked(t, &rule, &a, SLICE("u"), 3));
    throttle_close(t);
}
END_TEST

START_TEST(without_a_limit_nothing_is_locked)
{
    struct throttle *t = throttle_open(5);
    struct throttle_rule off = {0, 1000};
    struct ip_addr a = address("192.0.2.1");
    for (unsigned i = 0; i < 100; i++) {
        throttle_failed(t, &off, &a, SLICE("u"), 1);
    }
    ck_assert(!throttle_locked(t, &off, &a, SLICE("u"), 1));
    ck_assert(!throttle_locked(t, &rule, &a, SLICE("u"), 1));
    throttle_close(t);
}
END_TEST

START_TEST(a_flood_of_pairs_costs_no_memory_and_keeps_the_newest)
{
    struct throttle *t = throttle_open(5);
    struct ip_addr a = address("192.0.2.1");
    for (unsigned i = 0; i < 4 * THROTTLE_PAIRS; i++) {
        char name[16];
        int n = snprintf(name, sizeof(name), "u%u", i);
        for (unsigned k = 0; k < 3; k++) {
            throttle_failed(t, &rule, &a, slice_of(name, (size_t)n), 10 + i / 1000);
        }
        testing_that(throttle_locked(t, &rule, &a, slice_of(name, (size_t)n), 10 + i / 1000));
    }
    throttle_close(t);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {a_pair_is_locked_and_no_other, a_success_forgets_the_failures,
                            without_a_limit_nothing_is_locked,
                            a_flood_of_pairs_costs_no_memory_and_keeps_the_newest};
    return testing_run("core/policy/throttle", tests, ARRAY_COUNT(tests));
}
