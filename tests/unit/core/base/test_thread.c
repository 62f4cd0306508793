/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/thread.h"
#include "tests/unit/core/base/testing.h"

#include <stdatomic.h>

struct shared {
    pthread_mutex_t gate;
    int _Atomic seen;
};

static void *body(void *arg)
{
    struct shared *s = arg;
    pthread_mutex_lock(&s->gate);
    atomic_fetch_add(&s->seen, 1);
    pthread_mutex_unlock(&s->gate);
    return s;
}

/* The starter goes on while the body still waits: it is not waited for, only its beginning. */
START_TEST(it_begins_and_is_joined)
{
    enum { COUNT = 50 };
    struct shared s = {.gate = PTHREAD_MUTEX_INITIALIZER};
    pthread_t threads[COUNT];
    pthread_mutex_lock(&s.gate);
    for (int i = 0; i < COUNT; i++) {
        ck_assert_int_eq(thread_start(&threads[i], body, &s), 0);
    }
    ck_assert_int_eq(atomic_load(&s.seen), 0);
    pthread_mutex_unlock(&s.gate);
    for (int i = 0; i < COUNT; i++) {
        void *result = NULL;
        ck_assert_int_eq(pthread_join(threads[i], &result), 0);
        ck_assert_ptr_eq(result, &s);
    }
    ck_assert_int_eq(atomic_load(&s.seen), COUNT);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {it_begins_and_is_joined};
    return testing_run("thread", tests, ARRAY_COUNT(tests));
}
