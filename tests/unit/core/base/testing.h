/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * testing - what the unit tests of core share
 *
 * Purpose:   running a list of Check tests, and running a body in a child process whose death is the
 *            expected result (must(), resource limits).
 * Owner:     nothing is kept. Thread: the test's.
 */
#ifndef RINGPOST_TESTS_CORE_TESTING_H
#define RINGPOST_TESTS_CORE_TESTING_H

#include "core/base/must.h"
#include "core/base/slice.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* ck_assert writes a mark to a file each time it passes; this one is for hot loops. */
#define testing_that(cond) ((cond) ? (void)0 : ck_abort_msg("%s is false", #cond))

__attribute__((unused)) static int testing_run(const char *name, const TTest *const *tests,
                                               size_t count)
{
    Suite *suite = suite_create(name);
    TCase *tc = tcase_create(name);
    tcase_set_timeout(tc, 60);
    for (size_t i = 0; i < count; i++) {
        tcase_add_test(tc, tests[i]);
    }
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Runs body in a child; what it wrote to stderr is in said. Returns the wait status. A body that
 * returns ends with status 0. */
__attribute__((unused)) static int testing_child(void (*body)(void *ctx), void *ctx, char *said,
                                                 size_t said_size)
{
    int pipe_fds[2];
    ck_assert_int_eq(pipe(pipe_fds), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        dup2(pipe_fds[1], STDERR_FILENO);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        body(ctx);
        _exit(0);
    }
    close(pipe_fds[1]);
    size_t have = 0;
    char chunk[4096];
    ssize_t n;
    while ((n = read(pipe_fds[0], chunk, sizeof(chunk))) > 0) {
        size_t take = (size_t)n < said_size - 1 - have ? (size_t)n : said_size - 1 - have;
        memcpy(said + have, chunk, take);
        have += take;
    }
    said[have] = '\0';
    close(pipe_fds[0]);
    int status = 0;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return status;
}

/* body must end in must(): SIGABRT, and the expression on stderr. */
__attribute__((unused)) static void testing_must_abort(void (*body)(void *ctx), void *ctx,
                                                       const char *expression)
{
    static char said[64 * 1024];
    int status = testing_child(body, ctx, said, sizeof(said));
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %x, said: %s", status,
                  said);
    ck_assert_msg(strstr(said, expression) != NULL, "\"%s\" is not in: %s", expression, said);
}

#endif
