/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/connections.h"
#include "tests/unit/core/base/testing.h"

#include <pthread.h>
#include <stdatomic.h>

static struct ip_addr addr(const char *text)
{
    struct ip_addr a;
    ck_assert(ip_addr_parse(slice_str(text), &a));
    return a;
}

START_TEST(both_limits)
{
    struct connections *c = connections_open(1);
    struct ip_addr a = addr("192.0.2.1"), b = addr("2001:db8::1");
    ck_assert_int_eq(connections_admit(c, &a, 3, 2), CONNECTIONS_OK);
    ck_assert_int_eq(connections_admit(c, &a, 3, 2), CONNECTIONS_OK);
    ck_assert_int_eq(connections_admit(c, &a, 3, 2), CONNECTIONS_TOO_MANY_OF_ADDRESS);
    ck_assert_uint_eq(connections_count(c), 2); /* a refusal counts nothing */
    ck_assert_int_eq(connections_admit(c, &b, 3, 2), CONNECTIONS_OK);
    ck_assert_int_eq(connections_admit(c, &b, 3, 2), CONNECTIONS_TOO_MANY);
    ck_assert_int_eq(connections_admit(c, &a, 3, 2), CONNECTIONS_TOO_MANY);
    connections_leave(c, &a);
    ck_assert_int_eq(connections_admit(c, &b, 3, 2), CONNECTIONS_OK);
    ck_assert_int_eq(connections_admit(c, &a, 4, 1), CONNECTIONS_TOO_MANY_OF_ADDRESS); /* reload */
    connections_leave(c, &b);
    connections_leave(c, &b);
    connections_leave(c, &a);
    ck_assert_uint_eq(connections_count(c), 0);
    ck_assert_int_eq(connections_admit(c, &a, 0, 1), CONNECTIONS_TOO_MANY);
    ck_assert_int_eq(connections_admit(c, &a, 1, 0), CONNECTIONS_TOO_MANY_OF_ADDRESS);
    ck_assert_uint_eq(connections_count(c), 0);
    connections_close(c);
}
END_TEST

/* One address each, and they are forgotten (the leak check of this build would tell). */
START_TEST(many_addresses)
{
    enum { CLIENTS = 5000 };
    struct connections *c = connections_open(2);
    for (unsigned round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < CLIENTS; i++) {
            struct ip_addr a = ip_addr_v4(0x0a000000 + i);
            testing_that(connections_admit(c, &a, CLIENTS, 1) == CONNECTIONS_OK);
            testing_that(connections_admit(c, &a, CLIENTS + 1, 1) ==
                         CONNECTIONS_TOO_MANY_OF_ADDRESS);
        }
        ck_assert_uint_eq(connections_count(c), CLIENTS);
        for (uint32_t i = 0; i < CLIENTS; i++) {
            struct ip_addr a = ip_addr_v4(0x0a000000 + (i * 7919) % CLIENTS);
            connections_leave(c, &a);
        }
        ck_assert_uint_eq(connections_count(c), 0);
    }
    connections_close(c);
}
END_TEST

enum { THREADS = 4, ROUNDS = 5000, MOST = 3, EACH = 2 };

struct crowd {
    struct connections *c;
    atomic_uint inside, admitted, of_address[2];
};

static void *crowd_main(void *arg)
{
    struct crowd *crowd = arg;
    struct ip_addr addresses[2] = {ip_addr_v4(1), ip_addr_v4(2)};
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned which = i % 2;
        if (connections_admit(crowd->c, &addresses[which], MOST, EACH) != CONNECTIONS_OK) {
            continue;
        }
        testing_that(atomic_fetch_add(&crowd->inside, 1) < MOST);
        testing_that(atomic_fetch_add(&crowd->of_address[which], 1) < EACH);
        atomic_fetch_add(&crowd->admitted, 1);
        atomic_fetch_sub(&crowd->of_address[which], 1);
        atomic_fetch_sub(&crowd->inside, 1);
        connections_leave(crowd->c, &addresses[which]);
    }
    return NULL;
}

/* Exact across workers. */
START_TEST(exact_between_threads)
{
    struct crowd crowd = {.c = connections_open(3)};
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, crowd_main, &crowd), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_uint_gt(atomic_load(&crowd.admitted), ROUNDS / 2);
    ck_assert_uint_eq(connections_count(crowd.c), 0);
    connections_close(crowd.c);
}
END_TEST

static void leave_without_coming(void *ctx)
{
    struct ip_addr a = ip_addr_v4(1), b = ip_addr_v4(2);
    (void)ctx;
    struct connections *c = connections_open(1);
    (void)connections_admit(c, &a, 1, 1);
    connections_leave(c, &b);
}

static void close_with_guests(void *ctx)
{
    struct ip_addr a = ip_addr_v4(1);
    (void)ctx;
    struct connections *c = connections_open(1);
    (void)connections_admit(c, &a, 1, 1);
    connections_close(c);
}

START_TEST(misuse_aborts)
{
    testing_must_abort(leave_without_coming, NULL, "node != NULL");
    testing_must_abort(close_with_guests, NULL, "c->count == 0");
}
END_TEST

int main(void)
{
    const TTest *tests[] = {both_limits, many_addresses, exact_between_threads, misuse_aborts};
    return testing_run("core/policy/connections", tests, ARRAY_COUNT(tests));
}
