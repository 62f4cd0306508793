/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * socket - Unix socket paths
 *
 * Purpose:   opens the listening and the connecting end of the admin socket. A path too long for
 *            sun_path is reached through its open folder (/proc/self/fd/N/name).
 * Owner:     the caller owns the descriptor. Thread: any; blocking calls that return at once.
 * Errors:    -1 and errno.
 */
#ifndef RINGPOST_ADMIN_SOCKET_H
#define RINGPOST_ADMIN_SOCKET_H

#include "core/base/slice.h"

#include <sys/types.h>

/* Who made the file at a path, so that only the maker removes it. */
struct admin_socket_file {
    dev_t dev;
    ino_t ino;
};

/* Binds with mode 0600 and listens. EADDRINUSE: an engine answers there; EEXIST: not a socket. */
int admin_socket_listen(struct slice path, struct admin_socket_file *file);
int admin_socket_connect(struct slice path);
/* Removes the file if it is still the one that admin_socket_listen made. */
void admin_socket_remove(struct slice path, const struct admin_socket_file *file);

#endif
