/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * thread - a thread that has begun
 *
 * Purpose:   a new thread makes system calls of the C library's before it comes to its function
 *            (set_robust_list, rseq). thread_start waits until they are made, so the sandbox, which is
 *            loaded later, need not allow them.
 * Owner:     *thread: the caller, for pthread_join. Thread: any.
 * Errors:    an errno; then there is no thread.
 */
#ifndef RINGPOST_BASE_THREAD_H
#define RINGPOST_BASE_THREAD_H

#include <pthread.h>

int thread_start(pthread_t *thread, void *(*body)(void *), void *arg);

#endif
