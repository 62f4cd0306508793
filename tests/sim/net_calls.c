/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The functions of core/io/net.h.
 */
#include "core/io/net.h"
#include "tests/sim/net_private.h"

#include <stdlib.h>

int net_fd_of(const struct net_sock *s)
{
    return NET_FD_FIRST + (int)(s - net.socks);
}

struct net_sock *net_of_fd(int fd)
{
    must(fd >= NET_FD_FIRST && fd < NET_FD_FIRST + NET_SOCKS);
    struct net_sock *s = &net.socks[fd - NET_FD_FIRST];
    if (s->kind == NET_FREE || (s->kind == NET_STREAM && (!s->owned || s->engine_closed))) {
        sim_fail("socket %d is used after it was closed", fd);
    }
    return s;
}

static int net_new(enum net_kind kind)
{
    struct net_sock *s = net_sock_new(kind);
    must(s != NULL);
    s->owned = true;
    return net_fd_of(s);
}

int net_listen(const struct ip_endpoint *at, int backlog)
{
    (void)at;
    (void)backlog;
    return net_new(NET_LISTENER);
}

int net_probe(const struct ip_endpoint *at)
{
    (void)at;
    return 0;
}

int net_socket(const struct ip_addr *peer, const struct ip_addr *source)
{
    (void)peer;
    int fd = net_new(NET_STREAM);
    net_of_fd(fd)->source = source && source->family != IP_NONE ? source->bytes[3] : 0;
    return fd;
}

void net_no_delay(int fd)
{
    (void)net_of_fd(fd);
}

bool net_peer(int fd, struct ip_endpoint *out)
{
    const struct net_sock *s = net_of_fd(fd);
    *out = s->peer;
    return s->connected && !s->in_reset;
}

int net_unacked(int fd)
{
    return (int)net_of_fd(fd)->out_flying;
}

int net_unread(int fd)
{
    return (int)net_of_fd(fd)->in_len;
}

bool net_say(int fd, struct slice text)
{
    struct net_sock *s = net_of_fd(fd);
    if (!text.len || s->in_reset || s->world_gone || !s->connected || s->engine_shut ||
        s->out_flying + text.len > NET_WINDOW) {
        return false;
    }
    s->out_flying += text.len;
    net_fly(s, NET_TO_WORLD, text);
    return true;
}

void net_shut_write(int fd)
{
    struct net_sock *s = net_of_fd(fd);
    if (s->connected && !s->engine_shut) {
        s->engine_shut = true;
        net_fly(s, NET_WORLD_END, slice_of(NULL, 0));
    }
}

void net_close(int fd)
{
    ring_check_closed(fd);
    net_engine_close(net_of_fd(fd));
}

void net_refuse(int fd, struct slice line)
{
    if (net_say(fd, line)) {
        net_shut_write(fd);
    }
    net_close(fd);
}

int net_accept(int listen_fd)
{
    struct net_sock *l = net_of_fd(listen_fd);
    while (l->backlog_count) {
        struct net_sock *s = net_sock(l->backlog[--l->backlog_count]);
        if (s) {
            s->waiting = false;
            s->owned = true;
            return net_fd_of(s);
        }
    }
    return -1;
}

unsigned net_accept_and_refuse(int listen_fd, struct slice line, unsigned max)
{
    struct net_sock *l = net_of_fd(listen_fd);
    unsigned n = 0;
    while (n < max && l->backlog_count) {
        struct net_sock *s = net_sock(l->backlog[--l->backlog_count]);
        if (s) {
            s->waiting = false;
            s->owned = true;
            net_refuse(net_fd_of(s), line);
            n++;
        }
    }
    return n;
}

struct ip_addr *net_own_addresses(size_t *count)
{
    *count = 1;
    struct ip_addr *out = calloc(1, sizeof(*out));
    if (out) {
        *out = ip_addr_v4(0x09000001);
    }
    return out;
}

int net_reserve_fd(void)
{
    return net_new(NET_RESERVE);
}
