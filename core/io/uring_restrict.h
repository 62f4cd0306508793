/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * uring_restrict - a ring that does only what io.h has
 *
 * Purpose:   seccomp does not see what is asked of a ring. So each ring is made disabled, told for ever which
 *            operations it takes (IORING_REGISTER_RESTRICTIONS), and then enabled; another operation is
 *            -EACCES.
 * Owner:     the ring's. Thread: the one that will use it: enabling makes it the only issuer.
 * Errors:    a negative errno.
 */
#ifndef RINGPOST_IO_URING_RESTRICT_H
#define RINGPOST_IO_URING_RESTRICT_H

struct io_uring;

/* The ring was set up with IORING_SETUP_R_DISABLED, and all its buffers are registered. 0: it works now. */
int uring_restrict(struct io_uring *ring);

#endif
