/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * signals - the signals of the process as a descriptor
 *
 * Purpose:   SIGTERM, SIGINT and SIGHUP are blocked for all threads and read here; SIGPIPE and
 *            SIGXFSZ are ignored.
 * Owner:     the control thread; call before any other thread is made.
 * Errors:    signals_open returns -errno. signals_read returns 0 when none waits.
 */
#ifndef RINGPOST_IO_SIGNALS_H
#define RINGPOST_IO_SIGNALS_H

int signals_open(void);
int signals_read(int fd);

#endif
