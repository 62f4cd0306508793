/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * net - sockets: the few synchronous calls around the ring's operations
 *
 * Purpose:   making, naming and refusing sockets. Everything that can block is in io.h.
 * Thread:    any.
 * Errors:    functions return -errno on failure.
 */
#ifndef RINGPOST_IO_NET_H
#define RINGPOST_IO_NET_H

#include "core/base/ipaddr.h"

/* A listening TCP socket (SO_REUSEADDR, SO_REUSEPORT, IPV6_V6ONLY for IPv6, so that "::" and "0.0.0.0"
 * do not collide). backlog as for listen(2). */
int net_listen(const struct ip_endpoint *at, int backlog);
/* The same socket, as a descriptor of its own. */
int net_share(int fd);
/* Is the port free? SO_REUSEPORT would silently share it with another process of ours. 0 or -errno. */
int net_probe(const struct ip_endpoint *at);
/* A TCP socket for a connection to a peer of this family; source IP_NONE: the kernel chooses. Its port is chosen
 * when it connects (IP_BIND_ADDRESS_NO_PORT), so a source has as many connections as it has ports for each
 * destination. -EADDRNOTAVAIL: the address is not on this machine. */
int net_socket(const struct ip_addr *peer, const struct ip_addr *source);
/* Is the address on this machine? What cannot be found out is taken for yes. */
bool net_has_address(const struct ip_addr *a);
/* No delay for small writes: replies are written whole. */
void net_no_delay(int fd);
bool net_peer(int fd, struct ip_endpoint *out);
/* Bytes of ours that the peer has not acknowledged yet; negative: not known. */
int net_unacked(int fd);
/* Bytes of the peer that nobody has read yet; negative: not known. */
int net_unread(int fd);
/* Sends what the socket takes without waiting; returns whether it took anything. */
bool net_say(int fd, struct slice text);
/* Says one line, and closes. */
void net_refuse(int fd, struct slice line);
/* Our half is closed: the peer gets what was sent, then the end. */
void net_shut_write(int fd);
void net_close(int fd);
/* The next client that waits; negative: none does, or there is no descriptor for it. Waits for nobody. */
int net_accept(int listen_fd);
/* Accepts and refuses everything that waits, at most max; returns how many. */
unsigned net_accept_and_refuse(int listen_fd, struct slice line, unsigned max);
/* The addresses of all interfaces, loopback included; the caller frees them. NULL: errno says why. */
struct ip_addr *net_own_addresses(size_t *count);
/* A descriptor kept for the moment when there are none left. */
int net_reserve_fd(void);

#endif
