/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * notify - tells the service manager how we are (sd_notify(3), without its library)
 *
 * Purpose:   datagrams to the socket in NOTIFY_SOCKET. Without one every call does nothing.
 * Owner:     notify_open … notify_close. The socket is connected at the start, before the sandbox.
 * Thread:    one.
 * Errors:    none: a manager that does not read loses what it was told; nothing ever waits.
 * Units:     the watchdog's interval in milliseconds.
 */
#ifndef RINGPOST_APP_NOTIFY_H
#define RINGPOST_APP_NOTIFY_H

#include "core/base/slice.h"

struct notify {
    int fd;               /* -1: nobody wants to know */
    uint64_t watchdog_ms; /* a sign of life is due in each; 0: none is wanted */
};

void notify_open(struct notify *n, char *const *environment);
void notify_close(struct notify *n);
/* Lines of NAME=value. */
void notify_say(struct notify *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
