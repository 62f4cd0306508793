/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * net - addresses and non-blocking TCP sockets of the load tools
 *
 * Purpose:   parse "127.0.0.1:2525" / "[::1]:2525", listen, connect.
 * Owner:     a returned descriptor belongs to the caller. Thread: any.
 * Errors:    parse returns false; sockets return -1 with errno set.
 */
#ifndef RINGPOST_BENCH_NET_H
#define RINGPOST_BENCH_NET_H

#include "core/base/slice.h"

#include <sys/socket.h>

struct bench_addr {
    struct sockaddr_storage ss;
    socklen_t len;
};

/* Numeric only: a load tool must not wait for DNS. */
bool bench_addr_parse(struct slice text, struct bench_addr *out);
uint16_t bench_addr_port(const struct bench_addr *a);

/* With SO_REUSEPORT, so that several threads may listen on the same port. */
int bench_net_listen(const struct bench_addr *a);
/* The port a listener really got. */
uint16_t bench_net_port(int fd);

/* Starts a connect; it is done when the descriptor becomes writable. */
int bench_net_connect(const struct bench_addr *a);
/* Outcome of that connect: 0 or an errno. */
int bench_net_connect_error(int fd);

void bench_net_nodelay(int fd);

/* Raises the soft limit of descriptors to the hard one; returns what is allowed now. */
uint64_t bench_net_raise_fd_limit(void);

#endif
