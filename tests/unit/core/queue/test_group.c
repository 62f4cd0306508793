/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The directory of owners: the first that uses a site owns it, until the last has left; from many threads.
 */
#include "core/queue/group.h"
#include "core/queue/queue.h"
#include "tests/unit/core/base/testing.h"

#include <pthread.h>

static struct queue_group group;

static unsigned join(const char *key, unsigned worker)
{
    unsigned owner = 99;
    ck_assert(queue_group_join(&group, slice_str(key), worker, &owner));
    return owner;
}

static void leave(const char *key)
{
    queue_group_leave(&group, slice_str(key));
}

START_TEST(the_first_user_owns)
{
    queue_group_init(&group, 4, 1);
    ck_assert_uint_eq(join("10:mx.one.test:25", 2), 2);
    ck_assert_uint_eq(join("10:mx.one.test:25", 0), 2);
    ck_assert_uint_eq(join("10:MX.ONE.test:25", 3), 2); /* names have no case */
    ck_assert_uint_eq(join("10:mx.two.test:25", 1), 1);
    leave("10:mx.one.test:25"); /* also when it is the owner that forgets it first */
    ck_assert_uint_eq(join("10:mx.one.test:25", 1), 2);
    for (unsigned i = 0; i < 3; i++) {
        leave("10:mx.one.test:25");
    }
    ck_assert_uint_eq(join("10:mx.one.test:25", 3), 3); /* forgotten by all: anew */
    leave("10:mx.one.test:25");
    leave("10:mx.two.test:25");
    queue_group_deinit(&group);
}
END_TEST

static void leave_twice(void *ctx)
{
    (void)ctx;
    queue_group_init(&group, 2, 1);
    join("a", 0);
    leave("a");
    leave("a");
}

static void deinit_in_use(void *ctx)
{
    (void)ctx;
    queue_group_init(&group, 2, 1);
    join("a", 0);
    queue_group_deinit(&group);
}

START_TEST(who_leaves_has_joined)
{
    testing_must_abort(leave_twice, NULL, "users");
    testing_must_abort(deinit_in_use, NULL, "owners.count == 0");
}
END_TEST

enum { SITES = 20, ROUNDS = 2000, THREADS = 4 };

static void *use(void *arg)
{
    unsigned worker = *(unsigned *)arg;
    char key[32];
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned owner, again;
        snprintf(key, sizeof(key), "site%u", (i * (worker + 3)) % SITES);
        testing_that(queue_group_join(&group, slice_str(key), worker, &owner));
        testing_that(owner < THREADS);
        testing_that(queue_group_join(&group, slice_str(key), (worker + 1) % THREADS, &again));
        testing_that(again == owner); /* as long as somebody uses it */
        queue_group_leave(&group, slice_str(key));
        queue_group_leave(&group, slice_str(key));
    }
    return NULL;
}

START_TEST(from_many_threads)
{
    pthread_t threads[THREADS];
    unsigned workers[THREADS];
    queue_group_init(&group, THREADS, 1);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, use, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    queue_group_deinit(&group); /* nothing is left */
}
END_TEST

int main(void)
{
    const TTest *tests[] = {the_first_user_owns, who_leaves_has_joined, from_many_threads};
    return testing_run("core/queue/group", tests, ARRAY_COUNT(tests));
}
