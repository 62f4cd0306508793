/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * backend - which back end of core/io a unit test runs on
 *
 * Purpose:   RINGPOST_IO_BACKEND says (`./dev test --io epoll` sets it); without it, or with auto, io_uring
 *            where it works and else epoll, as the engine has it (`./dev test --io eperm`). The tests of
 *            core/io themselves run on both (ring.h: ring_run).
 * Owner:     none. Thread: any.
 */
#ifndef RINGPOST_TESTS_IO_BACKEND_H
#define RINGPOST_TESTS_IO_BACKEND_H

#include "core/io/choose.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* An errno: io_uring_setup is refused here; 0: it would look at its arguments. (Not io_try: a back end that
 * broke must not be a reason to test the other.) */
static inline int testing_ring_refusal(void)
{
    long rc = syscall(SYS_io_uring_setup, 0, NULL);
    return rc < 0 && errno != EINVAL && errno != EFAULT ? errno : 0;
}

static inline const struct io_backend *testing_backend(void)
{
    const char *word = getenv("RINGPOST_IO_BACKEND");
    if (!word || strcmp(word, "auto") == 0) {
        return testing_ring_refusal() ? &io_backend_epoll : &io_backend_uring;
    }
    return strcmp(word, "epoll") == 0 ? &io_backend_epoll : &io_backend_uring;
}

#endif
