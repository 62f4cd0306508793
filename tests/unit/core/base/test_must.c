/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/trace.h"
#include "tests/unit/core/base/testing.h"

static void false_fact(void *ctx)
{
    int one = 1;
    trace_add("before.the.end", 17, UINT64_MAX);
    (void)ctx;
    must(one + one == 3);
}

START_TEST(a_false_fact_aborts_and_says_why)
{
    char said[8192];
    int status = testing_child(false_fact, NULL, said, sizeof(said));
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    ck_assert_ptr_nonnull(strstr(said, "must(one + one == 3) is false"));
    ck_assert_ptr_nonnull(strstr(said, "test_must.c:"));
    ck_assert_ptr_nonnull(strstr(said, "before.the.end 17 18446744073709551615"));
}
END_TEST

static void hold(void *ctx)
{
    int *evaluated = ctx;
    must(++*evaluated == 1);
    if (*evaluated != 1) {
        _exit(9);
    }
}

START_TEST(a_true_fact_is_evaluated_once)
{
    char said[128];
    int evaluated = 0;
    ck_assert_int_eq(testing_child(hold, &evaluated, said, sizeof(said)), 0);
    ck_assert_str_eq(said, "");
}
END_TEST

int main(void)
{
    const TTest *tests[] = {a_false_fact_aborts_and_says_why, a_true_fact_is_evaluated_once};
    return testing_run("core/base/must", tests, ARRAY_COUNT(tests));
}
