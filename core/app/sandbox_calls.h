/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sandbox_calls - the system calls that the running engine may make
 *
 * Purpose:   one table, made into a seccomp filter for all threads. What is not in it fails:
 *
 *              refuse  EPERM    everything that no row names, and arguments that no row allows. The engine
 *                               goes on: a library that tries something new is told no, mail is not lost
 *              absent  ENOSYS   newer calls that the C library tries before older ones that are allowed
 *              kill    SIGSYS   what only an attacker would do, or what would lead out of the sandbox: other
 *                               programs, other processes' memory, a ring without restrictions, the kernel's
 *                               configuration. The whole process ends: it is not the engine any more
 *
 *            Not "kill" for everything: a kernel or library update that makes one harmless call more must
 *            not take a mail server down. Not "refuse" for everything: with EPERM an attacker tries on.
 * Owner:     constants. Thread: sandbox_calls_load: any; the filter holds for all threads of the process.
 * Errors:    false with a reason; then no filter was installed.
 */
#ifndef RINGPOST_APP_SANDBOX_CALLS_H
#define RINGPOST_APP_SANDBOX_CALLS_H

#include "core/base/buf.h"

enum sandbox_verdict { SANDBOX_ALLOW, SANDBOX_ABSENT, SANDBOX_KILL };

/* Beside the calls that are always allowed. */
enum {
    SANDBOX_EPOLL = 1,     /* of the epoll back end: what the ring does otherwise */
    SANDBOX_SANITIZER = 2, /* of a build with sanitizers, which look for leaks at the end */
};

/* What this build needs. */
unsigned sandbox_calls_extras(bool epoll);
/* For ever; sets no_new_privs too. */
bool sandbox_calls_load(unsigned extras, struct buf *why);
/* How many system calls may succeed. */
unsigned sandbox_calls_count(unsigned extras);
/* docs/SYSCALLS.md. */
void sandbox_calls_print(struct buf *out);

#endif
