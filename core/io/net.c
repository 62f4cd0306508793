/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/io/net.h"
#include "core/base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static int net_fail(int fd)
{
    int error = errno;
    if (fd >= 0) {
        close(fd);
    }
    must(error > 0);
    return -error;
}

static int net_family(const struct ip_addr *a)
{
    return a->family == IP_V6 ? AF_INET6 : AF_INET;
}

static bool net_on(int fd, int level, int option)
{
    int one = 1;
    return setsockopt(fd, level, option, &one, sizeof(one)) == 0;
}

int net_listen(const struct ip_endpoint *at, int backlog)
{
    int fd = socket(net_family(&at->addr), SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return net_fail(fd);
    }
    struct sockaddr_storage sa;
    socklen_t len = ip_endpoint_to_sockaddr(at, &sa);
    if (!net_on(fd, SOL_SOCKET, SO_REUSEADDR) || !net_on(fd, SOL_SOCKET, SO_REUSEPORT) ||
        (at->addr.family == IP_V6 && !net_on(fd, IPPROTO_IPV6, IPV6_V6ONLY)) ||
        bind(fd, (struct sockaddr *)&sa, len) != 0 || listen(fd, backlog) != 0) {
        return net_fail(fd);
    }
    return fd;
}

int net_share(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return copy < 0 ? -errno : copy;
}

int net_probe(const struct ip_endpoint *at)
{
    int fd = socket(net_family(&at->addr), SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return net_fail(fd);
    }
    struct sockaddr_storage sa;
    socklen_t len = ip_endpoint_to_sockaddr(at, &sa);
    if (!net_on(fd, SOL_SOCKET, SO_REUSEADDR) ||
        (at->addr.family == IP_V6 && !net_on(fd, IPPROTO_IPV6, IPV6_V6ONLY)) ||
        bind(fd, (struct sockaddr *)&sa, len) != 0) {
        return net_fail(fd);
    }
    close(fd);
    return 0;
}

int net_socket(const struct ip_addr *peer, const struct ip_addr *source)
{
    int fd = socket(net_family(peer), SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return net_fail(fd);
    }
    net_no_delay(fd);
    if (source->family == peer->family) {
        struct ip_endpoint from = {*source, 0};
        struct sockaddr_storage sa;
        socklen_t len = ip_endpoint_to_sockaddr(&from, &sa);
        net_on(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT); /* for IPv6, too */
        if (bind(fd, (struct sockaddr *)&sa, len) != 0) {
            return net_fail(fd);
        }
    }
    return fd;
}

bool net_has_address(const struct ip_addr *a)
{
    int fd = net_socket(a, a);
    if (fd >= 0) {
        close(fd);
    }
    return fd != -EADDRNOTAVAIL;
}

void net_no_delay(int fd)
{
    net_on(fd, IPPROTO_TCP, TCP_NODELAY); /* fails on a socket that is dead already: no matter */
}

bool net_peer(int fd, struct ip_endpoint *out)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    return getpeername(fd, (struct sockaddr *)&sa, &len) == 0 &&
           ip_endpoint_from_sockaddr((struct sockaddr *)&sa, len, out);
}

bool net_say(int fd, struct slice text)
{
    return text.len && send(fd, text.ptr, text.len, MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
}

int net_unacked(int fd)
{
    int bytes;
    return ioctl(fd, SIOCOUTQ, &bytes) == 0 ? bytes : -1;
}

int net_unread(int fd)
{
    int bytes;
    return ioctl(fd, SIOCINQ, &bytes) == 0 ? bytes : -1;
}

void net_refuse(int fd, struct slice line)
{
    if (net_say(fd, line)) {
        net_shut_write(fd);
    }
    close(fd);
}

void net_shut_write(int fd)
{
    shutdown(fd, SHUT_WR);
}

void net_close(int fd)
{
    close(fd);
}

/* A timeout, not O_NONBLOCK for a while: the socket may be shared (net_share) and other workers do this at the same
 * time. One would take the flag away under another's accept, or put it back for ever, which a ring answers with EAGAIN
 * at once, again and again. */
static bool net_accept_soon(int listen_fd)
{
    static const struct timeval soon = {.tv_usec = 1000};
    return setsockopt(listen_fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)) == 0;
}

int net_accept(int listen_fd)
{
    struct pollfd waits = {.fd = listen_fd, .events = POLLIN};
    if (poll(&waits, 1, 0) <= 0 || !net_accept_soon(listen_fd)) {
        return -1;
    }
    return accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
}

unsigned net_accept_and_refuse(int listen_fd, struct slice line, unsigned max)
{
    unsigned n = 0;
    if (!net_accept_soon(listen_fd)) {
        return 0;
    }
    while (n < max) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            break;
        }
        net_refuse(fd, line);
        n++;
    }
    return n;
}

struct ip_addr *net_own_addresses(size_t *count)
{
    struct ifaddrs *all, *i;
    if (getifaddrs(&all) != 0) {
        return NULL;
    }
    size_t n = 0;
    for (i = all; i; i = i->ifa_next) {
        n++;
    }
    struct ip_addr *out = calloc(n ? n : 1, sizeof(*out));
    struct ip_endpoint e;
    *count = 0;
    for (i = all; out && i; i = i->ifa_next) {
        bool ip = i->ifa_addr &&
                  (i->ifa_addr->sa_family == AF_INET || i->ifa_addr->sa_family == AF_INET6);
        if (ip && ip_endpoint_from_sockaddr(i->ifa_addr, sizeof(struct sockaddr_in6), &e)) {
            out[(*count)++] = e.addr;
        }
    }
    freeifaddrs(all);
    return out;
}

int net_reserve_fd(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}
