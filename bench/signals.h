/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * signals - signals as events of the main thread
 *
 * Purpose:   SIGTERM, SIGINT, SIGUSR1 and SIGCHLD are blocked in every thread and read from a
 *            descriptor by the main thread.
 * Owner:     the descriptor belongs to the caller. Thread: main, before any other is started.
 * Errors:    open returns -1.
 */
#ifndef RINGPOST_BENCH_SIGNALS_H
#define RINGPOST_BENCH_SIGNALS_H

#include <stdint.h>

int bench_signals_open(void);

/* Waits for a signal or for event_fd (may be -1) at most timeout_ms (-1: for ever). Returns the
 * signal's number, 0 when event_fd became readable, -1 at the timeout. */
int bench_signals_wait(int signal_fd, int event_fd, int timeout_ms);

/* For a child between fork and exec. */
void bench_signals_unblock(void);

#endif
