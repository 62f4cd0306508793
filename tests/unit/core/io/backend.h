/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * backend - which back end of core/io a unit test runs on
 *
 * Purpose:   `./dev test --io epoll` sets RINGPOST_IO_BACKEND: every test that needs an io then gets epoll.
 *            The tests of core/io themselves run on both (ring.h: ring_run).
 * Owner:     none. Thread: any.
 */
#ifndef RINGPOST_TESTS_IO_BACKEND_H
#define RINGPOST_TESTS_IO_BACKEND_H

#include "core/io/choose.h"

#include <stdlib.h>
#include <string.h>

static inline bool testing_wants_epoll(void)
{
    const char *word = getenv("RINGPOST_IO_BACKEND");
    return word && strcmp(word, "epoll") == 0;
}

static inline const struct io_backend *testing_backend(void)
{
    return testing_wants_epoll() ? &io_backend_epoll : &io_backend_uring;
}

#endif
