/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sandbox_child - a child that puts the production filter around itself and tries one thing
 *
 * Purpose:   shared by the tests of the list of system calls and of the ways around it.
 * Owner:     none. Thread: the test's; it forks.
 */
#ifndef RINGPOST_TESTS_SANDBOX_CHILD_H
#define RINGPOST_TESTS_SANDBOX_CHILD_H

#include "core/app/sandbox_calls.h"
#include "tests/unit/core/base/testing.h"

#include <errno.h>
#include <sys/syscall.h>

enum { DIES = -1, WORKS = 0 }; /* else the errno that is expected */

struct attempt {
    const char *what;
    long (*try)(void);
    int want;
    int production; /* 1: only for the production list: a sanitizer needs it too */
};

/* Exit statuses: an errno is added to the last. */
enum { CHILD_NO_FILTER = 2, CHILD_WORKED = 3, CHILD_ERRNO = 64 };

/* ASan looks at signal stacks before _exit, which the list does not allow. */
static inline void leave(int status)
{
    for (;;) {
        syscall(SYS_exit_group, status);
    }
}

/* What a child with this list made of an attempt: an errno, WORKS or DIES. */
static inline int outcome(unsigned extras, long (*try)(void))
{
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct buf why;
        buf_init(&why, 256);
        if (!sandbox_calls_load(extras, &why)) {
            leave(CHILD_NO_FILTER);
        }
        errno = 0;
        leave(try() < 0 ? CHILD_ERRNO + errno : CHILD_WORKED);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status)) {
        ck_assert_int_eq(WTERMSIG(status), SIGSYS);
        return DIES;
    }
    int left = WEXITSTATUS(status);
    ck_assert_msg(left == CHILD_WORKED || left > CHILD_ERRNO, "the child left with %d", left);
    return left == CHILD_WORKED ? WORKS : left - CHILD_ERRNO;
}

/* Each attempt with this list; with a sanitizer's, only those that it does not need itself. */
static inline void attempts_judge(unsigned extras, const struct attempt *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if ((extras & SANDBOX_SANITIZER) && rows[i].production) {
            continue;
        }
        int got = outcome(extras, rows[i].try);
        ck_assert_msg(got == rows[i].want, "%s: %d, not %d", rows[i].what, got, rows[i].want);
    }
}

#endif
