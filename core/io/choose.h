/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * choose - which back end this machine allows
 *
 * Purpose:   io_uring is refused in many places: a container's seccomp profile, kernel.io_uring_disabled, a
 *            kernel without it, a memory limit. Set-up alone shows little, so every operation is done
 *            once for real, in memory and over a socket pair; the first that does not do what it should
 *            is why epoll is used.
 * Owner:     nothing is kept.
 * Thread:    any; takes about a millisecond, once per process. All ios of a process that wake each other
 *            must be of one back end.
 * Errors:    values in struct io_choice.
 */
#ifndef RINGPOST_IO_CHOOSE_H
#define RINGPOST_IO_CHOOSE_H

#include "core/io/io.h"

extern const struct io_backend io_backend_uring; /* core/io/uring.c */
extern const struct io_backend io_backend_epoll; /* core/io/epoll.c */

enum io_want { IO_WANT_AUTO, IO_WANT_URING, IO_WANT_EPOLL };

struct io_refusal {
    const char *operation; /* NULL: nothing was refused */
    int error;             /* errno; 0: it did something else than it should */
};

struct io_choice {
    const struct io_backend *backend; /* NULL: what is wanted does not work */
    struct io_refusal refusal;        /* of what is wanted, or of io_uring under IO_WANT_AUTO */
};

/* entries: as for io_open. */
struct io_choice io_choose(enum io_want want, unsigned entries);
/* Does every operation once; the first that is refused. */
struct io_refusal io_try(const struct io_backend *backend, unsigned entries);
const char *io_backend_name(const struct io_backend *backend);

#endif
