/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * activation - listening sockets that whoever started us has opened (systemd socket units)
 *
 * Purpose:   ports below 1024 without any privilege of ours, and ports that stay open while we restart.
 *            LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES of sd_listen_fds(3), without its library.
 * Match:     a socket belongs to the listener at its address and port; or to the listener whose port is
 *            the socket's name (FileDescriptorName=587), wherever the socket itself listens.
 * Owner:     activation_read takes the descriptors over (close-on-exec, blocking); what was not taken is
 *            closed by activation_close: nobody would ever accept there.
 * Thread:    the first.
 * Limits:    ACTIVATION_MAX sockets.
 * Errors:    activation_read: false with a reason: a socket that cannot be listened on.
 */
#ifndef RINGPOST_APP_ACTIVATION_H
#define RINGPOST_APP_ACTIVATION_H

#include "core/base/buf.h"
#include "core/base/ipaddr.h"

enum { ACTIVATION_MAX = 64, ACTIVATION_NAME_BYTES = 64 };

struct activation_socket {
    int fd; /* -1: taken */
    struct ip_endpoint at;
    char name[ACTIVATION_NAME_BYTES];
};

struct activation {
    unsigned count;
    struct activation_socket sockets[ACTIVATION_MAX];
};

/* first_fd: 3, but for tests. */
bool activation_read(struct activation *a, char *const *environment, int first_fd,
                     struct buf *error);
/* The socket for this listener, which is the caller's now; -1: none was given. */
int activation_take(struct activation *a, const struct ip_endpoint *listener);
/* One more that was not taken, closed: where it listens; false: there is none left. */
bool activation_drop(struct activation *a, struct ip_endpoint *at);

/* The value of a variable; empty: not set. */
struct slice activation_variable(char *const *environment, struct slice name);

#endif
