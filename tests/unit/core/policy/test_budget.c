/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Limits that several share: exact under threads, and across a change of the configuration.
 */
#include "core/policy/budget.h"
#include "tests/unit/core/base/testing.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

enum { SECOND_US = 1000000 };

static struct budget_table *table;

static void setup(void)
{
    table = budget_table_open(7);
    ck_assert_ptr_nonnull(table);
}

static void teardown(void)
{
    budget_table_close(&table);
    ck_assert_ptr_null(table);
}

static struct budget_limits limits(uint32_t connections, uint64_t per_second, uint64_t burst)
{
    struct budget_limits l = {.connections = connections};
    if (per_second) {
        l.limited[BUDGET_MESSAGE_RATE] = true;
        l.rules[BUDGET_MESSAGE_RATE] = rate_rule_make(per_second, SECOND_US, burst, 1);
    }
    return l;
}

static struct budget *get_of(uint64_t serial, const char *name, struct budget_limits l,
                             uint64_t now_us)
{
    struct budget *b = budget_get(table, slice_str(name), &l, serial, now_us);
    ck_assert_ptr_nonnull(b);
    return b;
}

/* Of a new configuration each time. */
static struct budget *get(const char *name, struct budget_limits l, uint64_t now_us)
{
    static uint64_t serial = 1;
    return get_of(serial++, name, l, now_us);
}

START_TEST(one_of_a_name)
{
    setup();
    struct budget *a = get("google", limits(5, 0, 0), 1);
    struct budget *b = get("google", limits(5, 0, 0), 2);
    struct budget *c = get("yahoo", limits(5, 0, 0), 3);
    ck_assert_ptr_eq(a, b);
    ck_assert_ptr_ne(a, c);
    budget_put(table, &a);
    ck_assert_ptr_null(a);
    budget_put(table, &a); /* nothing */
    budget_put(table, &c);
    ck_assert(budget_connection_take(b, &table, true, 1));
    budget_connection_give(b);
    budget_put(table, &b);
    teardown();
}
END_TEST

START_TEST(connections_end_at_the_limit)
{
    setup();
    struct budget *b = get("google", limits(2, 0, 0), 1);
    ck_assert(budget_connection_take(b, &table, true, 1));
    ck_assert(budget_connection_take(b, &table, true, 1));
    ck_assert(!budget_connection_yield(b, 1));
    ck_assert(!budget_connection_take(b, &table, true, 1));
    ck_assert(budget_connection_yield(b, 1)); /* somebody should make room */
    ck_assert_uint_eq(budget_connections(b), 2);
    budget_connection_give(b);
    ck_assert(budget_connection_take(b, &table, true, 1));
    ck_assert(!budget_connection_yield(b, 1 + BUDGET_YIELD_US));
    budget_connection_give(b);
    budget_connection_give(b);
    budget_put(table, &b);
    teardown();
}
END_TEST

START_TEST(no_limit_is_no_limit)
{
    setup();
    struct budget *b = get("free", limits(0, 0, 0), 1);
    for (unsigned i = 0; i < 1000; i++) {
        ck_assert(budget_connection_take(b, &table, true, 1));
        ck_assert(budget_rate_take(b, BUDGET_BYTE_RATE, NULL, 1 << 20, 5));
    }
    ck_assert_uint_eq(budget_rate_next_us(b, BUDGET_MESSAGE_RATE, NULL, 1, 77), 77);
    for (unsigned i = 0; i < 1000; i++) {
        budget_connection_give(b);
    }
    budget_put(table, &b);
    teardown();
}
END_TEST

/* The configuration changes while there are connections and debts. */
START_TEST(a_new_limit_goes_on_counting)
{
    setup();
    uint64_t now_us = 1000 * SECOND_US;
    struct budget *old = get("t", limits(3, 10, 5), now_us);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert(budget_connection_take(old, &table, true, 1));
    }
    for (unsigned i = 0; i < 5; i++) {
        ck_assert(budget_rate_take(old, BUDGET_MESSAGE_RATE, NULL, 1, now_us));
    }
    ck_assert(!budget_rate_take(old, BUDGET_MESSAGE_RATE, NULL, 1, now_us));
    struct budget *newer = get("t", limits(4, 20, 5), now_us);
    ck_assert_ptr_ne(old, newer);
    ck_assert_uint_eq(budget_connections(newer), 3);
    ck_assert(
        !budget_rate_take(newer, BUDGET_MESSAGE_RATE, NULL, 1, now_us)); /* no burst for a reload */
    ck_assert(budget_rate_take(newer, BUDGET_MESSAGE_RATE, NULL, 1, now_us + SECOND_US / 20));
    ck_assert(budget_connection_take(newer, &table, true, 1));
    ck_assert(!budget_connection_take(newer, &table, true, 1));
    ck_assert(!budget_connection_take(old, &table, true, 1));
    for (unsigned i = 0; i < 3; i++) {
        budget_connection_give(old);
    }
    budget_put(table, &old);
    ck_assert_uint_eq(budget_connections(newer), 1);
    struct budget *again = get("t", limits(4, 20, 5), now_us);
    ck_assert_ptr_eq(again, newer);
    budget_put(table, &again);
    budget_connection_give(newer);
    budget_put(table, &newer);
    teardown();
}
END_TEST

/* The old one's holders learn of it later: until then they get nothing. */
START_TEST(the_old_one_lets_nothing_pass)
{
    setup();
    uint64_t now_us = 1000 * SECOND_US;
    struct budget *old = get("t", limits(0, 10, 5), now_us);
    struct budget *newer = get("t", limits(0, 20, 5), now_us);
    ck_assert(!budget_rate_take(old, BUDGET_MESSAGE_RATE, NULL, 1, now_us));
    ck_assert(!budget_rate_take(old, BUDGET_MESSAGE_RATE, NULL, 1, now_us + 10 * SECOND_US));
    ck_assert_uint_gt(budget_rate_next_us(old, BUDGET_MESSAGE_RATE, NULL, 1, now_us), now_us);
    for (unsigned i = 0; i < 5; i++) {
        ck_assert(budget_rate_take(newer, BUDGET_MESSAGE_RATE, NULL, 1, now_us));
    }
    budget_put(table, &old);
    budget_put(table, &newer);
    teardown();
}
END_TEST

/* One worker has the new configuration already, another asks by the old one: the new one stays. */
START_TEST(an_older_configuration_changes_nothing)
{
    setup();
    uint64_t now_us = 1000 * SECOND_US;
    struct budget *old = get_of(1, "t", limits(0, 10, 5), now_us);
    struct budget *newer = get_of(2, "t", limits(0, 20, 5), now_us);
    struct budget *late = get_of(1, "t", limits(0, 10, 5), now_us);
    ck_assert_ptr_eq(late, newer);
    ck_assert(budget_rate_take(newer, BUDGET_MESSAGE_RATE, NULL, 1, now_us));
    struct budget *back = get_of(3, "t", limits(0, 10, 5), now_us); /* as it was at first */
    ck_assert_ptr_ne(back, old);
    ck_assert(budget_rate_take(back, BUDGET_MESSAGE_RATE, NULL, 1, now_us));
    ck_assert(!budget_rate_take(newer, BUDGET_MESSAGE_RATE, NULL, 1, now_us));
    struct budget *const all[] = {old, newer, late, back};
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        struct budget *b = all[i];
        budget_put(table, &b);
    }
    teardown();
}
END_TEST

/* Nobody holds it for a while: what was sent is not forgotten as long as it is not paid for. */
START_TEST(there_is_no_second_burst_for_who_comes_back)
{
    setup();
    uint64_t now_us = 1000 * SECOND_US;
    struct budget *b = get("t", limits(0, 2, 2), now_us);
    ck_assert(budget_rate_take(b, BUDGET_MESSAGE_RATE, NULL, 1, now_us));
    ck_assert(budget_rate_take(b, BUDGET_MESSAGE_RATE, NULL, 1, now_us));
    budget_put(table, &b);
    for (unsigned i = 0; i < 300; i++) { /* more than are kept without a look */
        char name[16];
        snprintf(name, sizeof(name), "%u", i);
        struct budget *other = get(name, limits(0, 2, 2), now_us);
        budget_put(table, &other);
    }
    b = get("t", limits(0, 2, 2), now_us);
    ck_assert(!budget_rate_take(b, BUDGET_MESSAGE_RATE, NULL, 1, now_us));
    budget_put(table, &b);
    b = get("t", limits(0, 3, 2), now_us); /* not even with another limit */
    ck_assert(!budget_rate_take(b, BUDGET_MESSAGE_RATE, NULL, 1, now_us + SECOND_US / 4));
    ck_assert(budget_rate_take(b, BUDGET_MESSAGE_RATE, NULL, 1, now_us + SECOND_US / 3 + 1));
    budget_put(table, &b);
    teardown();
}
END_TEST

/* Three that ask whenever they may, in the same order each time. */
START_TEST(a_rate_is_taken_in_turn)
{
    setup();
    uint64_t next_us[3] = {0}, taken_by[3] = {0}, now_us = 1000 * SECOND_US, end_us = now_us;
    struct budget *b = get("t", limits(0, 10, 1), now_us);
    for (end_us += 60 * SECOND_US; now_us < end_us; now_us += 1000) {
        for (unsigned i = 0; i < 3; i++) {
            while (next_us[i] <= now_us &&
                   budget_rate_take(b, BUDGET_MESSAGE_RATE, &taken_by[i], 1, now_us)) {
                taken_by[i]++;
            }
            if (next_us[i] <= now_us) {
                next_us[i] = budget_rate_next_us(b, BUDGET_MESSAGE_RATE, &taken_by[i], 1, now_us);
            }
        }
    }
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_uint_ge(taken_by[i], 180);
        ck_assert_uint_le(taken_by[i], 220);
    }
    ck_assert_uint_ge(taken_by[0] + taken_by[1] + taken_by[2], 590);
    budget_put(table, &b);
    teardown();
}
END_TEST

/* Who has a turn and does not take it holds up the others for a moment only. */
START_TEST(a_turn_that_is_not_taken_passes)
{
    setup();
    uint64_t now_us = 1000 * SECOND_US;
    int a, c;
    struct budget *b = get("t", limits(0, 10, 1), now_us);
    ck_assert(budget_rate_take(b, BUDGET_MESSAGE_RATE, &a, 1, now_us));
    ck_assert(!budget_rate_take(b, BUDGET_MESSAGE_RATE, &c, 1, now_us));
    now_us += SECOND_US / 10;
    ck_assert(!budget_rate_take(b, BUDGET_MESSAGE_RATE, &a, 1, now_us));
    ck_assert_uint_gt(budget_rate_next_us(b, BUDGET_MESSAGE_RATE, &a, 1, now_us), now_us);
    ck_assert_uint_eq(budget_rate_next_us(b, BUDGET_MESSAGE_RATE, &c, 1, now_us), now_us);
    ck_assert(budget_rate_take(b, BUDGET_MESSAGE_RATE, &a, 1, now_us + BUDGET_TURN_US));
    budget_put(table, &b);
    teardown();
}
END_TEST

START_TEST(a_place_is_kept_for_who_has_none)
{
    setup();
    int busy, late;
    uint64_t now_us = SECOND_US;
    struct budget *b = get("p", limits(1, 0, 0), now_us);
    ck_assert(budget_connection_take(b, &busy, true, now_us));
    ck_assert(!budget_connection_take(b, &busy, false, now_us));
    ck_assert(!budget_connection_yield(b, now_us)); /* it only wants more */
    ck_assert(!budget_connection_take(b, &late, true, now_us));
    ck_assert(budget_connection_yield(b, now_us));
    ck_assert(!budget_connection_yield(b, now_us)); /* one place, one connection */
    budget_connection_give(b);
    ck_assert(!budget_connection_take(b, &busy, true, now_us));
    ck_assert(budget_connection_take(b, &late, true, now_us));
    budget_connection_give(b);
    ck_assert(budget_connection_take(b, &busy, true, now_us));
    ck_assert(!budget_connection_take(b, &late, true, now_us));
    budget_connection_give(b);
    ck_assert(
        budget_connection_take(b, &busy, true, now_us + BUDGET_WANTED_US)); /* late has gone */
    budget_connection_give(b);
    budget_put(table, &b);
    teardown();
}
END_TEST

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 20000, LIMIT = 5 };

static struct budget *shared;
static _Atomic unsigned holders, most, taken;

static void *compete(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (budget_connection_take(shared, &table, true, 1)) {
            unsigned now = atomic_fetch_add(&holders, 1) + 1, seen = atomic_load(&most);
            while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now)) {
            }
            atomic_fetch_add(&taken, 1);
            atomic_fetch_sub(&holders, 1);
            budget_connection_give(shared);
        }
        /* The clock of all threads stands still: exactly the burst may pass. */
        if (budget_rate_take(shared, BUDGET_MESSAGE_RATE, NULL, 1, SECOND_US)) {
            atomic_fetch_add(&taken, 1u << 20);
        }
    }
    return NULL;
}

START_TEST(exact_under_threads)
{
    setup();
    pthread_t threads[THREADS];
    shared = get("s", limits(LIMIT, 1000, 100), SECOND_US);
    for (unsigned i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, compete, NULL), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_uint_le(atomic_load(&most), LIMIT);
    ck_assert_uint_gt(atomic_load(&taken) & 0xfffff, 0);
    ck_assert_uint_eq(atomic_load(&taken) >> 20, 100);
    ck_assert_uint_eq(budget_connections(shared), 0);
    budget_put(table, &shared);
    teardown();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {one_of_a_name,
                            connections_end_at_the_limit,
                            no_limit_is_no_limit,
                            a_new_limit_goes_on_counting,
                            the_old_one_lets_nothing_pass,
                            an_older_configuration_changes_nothing,
                            there_is_no_second_burst_for_who_comes_back,
                            a_rate_is_taken_in_turn,
                            a_turn_that_is_not_taken_passes,
                            a_place_is_kept_for_who_has_none,
                            exact_under_threads};
    return testing_run("core/policy/budget", tests, ARRAY_COUNT(tests));
}
