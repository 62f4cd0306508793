/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/hide.h"
#include "tests/unit/core/base/testing.h"

#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>

START_TEST(environment)
{
    char one[] = "RINGPOST_RELAY_PASSWORD=canary", two[] = "EMPTY=", three[] = "noequals",
         four[] = "A=b=c";
    char *original[] = {one, two, three, four, NULL};
    char **copy = hide_environment(original);
    static const char *const want[] = {"RINGPOST_RELAY_PASSWORD=canary", "EMPTY=", "noequals",
                                       "A=b=c"};
    for (size_t i = 0; i < ARRAY_COUNT(want); i++) {
        ck_assert_str_eq(copy[i], want[i]);
    }
    ck_assert_ptr_null(copy[4]);
    ck_assert_mem_eq(one, "RINGPOST_RELAY_PASSWORD=\0\0\0\0\0\0", sizeof(one));
    ck_assert_mem_eq(three, "noequals", sizeof(three));
    ck_assert_mem_eq(four, "A=\0\0\0", sizeof(four));
    free(copy);
    char *none[] = {NULL};
    copy = hide_environment(none);
    ck_assert_ptr_null(copy[0]);
    free(copy);
}
END_TEST

START_TEST(arguments)
{
    static const struct {
        const char *given, *left;
    } rows[] = {
        {"ringpost", "ringpost"},
        {"--set", "--set"},
        {"relay.password=canary", "relay.password=******"},
        {"users[0].password=canary=x", "users[0].password=********"},
        {"users.10.password=c", "users.10.password=*"},
        {"--set=tls.key_pem=canary", "--set=tls.key_pem=******"},
        {"domains[0].dkim_key_pem=canary", "domains[0].dkim_key_pem=******"},
        {"relay.password=", "relay.password="},
        {"relay.password", "relay.password"},
        {"relay.username=user", "relay.username=user"},
        {"--set=workers=1", "--set=workers=1"},
        {"", ""},
    };
    char text[ARRAY_COUNT(rows)][64], *argv[ARRAY_COUNT(rows)];
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        snprintf(text[i], sizeof(text[i]), "%s", rows[i].given);
        argv[i] = text[i];
    }
    char **copy = hide_arguments((int)ARRAY_COUNT(rows), argv);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        ck_assert_str_eq(copy[i], rows[i].given);
        ck_assert_str_eq(argv[i], rows[i].left);
    }
    ck_assert_ptr_null(copy[ARRAY_COUNT(rows)]);
    free(copy);
}
END_TEST

START_TEST(memory)
{
    struct rlimit limit;
    hide_memory();
    ck_assert_int_eq(prctl(PR_GET_DUMPABLE), 0);
    ck_assert_int_eq(getrlimit(RLIMIT_CORE, &limit), 0);
    ck_assert(limit.rlim_cur == 0 && limit.rlim_max == 0);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {environment, arguments, memory};
    return testing_run("core/app/hide", tests, ARRAY_COUNT(tests));
}
