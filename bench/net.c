/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <unistd.h>

enum { NET_BACKLOG = 4096 };

bool bench_addr_parse(struct slice text, struct bench_addr *out)
{
    size_t colon = text.len;
    while (colon > 0 && text.ptr[colon - 1] != ':') {
        colon--;
    }
    uint64_t port;
    if (colon < 2 || !slice_to_u64(slice_skip(text, colon), &port) || port > 65535) {
        return false;
    }
    struct slice host = slice_first(text, colon - 1);
    bool bracketed = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    if (bracketed) {
        host = slice_of(host.ptr + 1, host.len - 2);
    }
    char name[INET6_ADDRSTRLEN + 1];
    if (!slice_to_cstr(host, name, sizeof(name))) {
        return false;
    }
    struct bench_addr a = {.len = 0};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, name, &v4.sin_addr) == 1) {
        memcpy(&a.ss, &v4, sizeof(v4));
        a.len = sizeof(v4);
    } else if (bracketed && inet_pton(AF_INET6, name, &v6.sin6_addr) == 1) {
        memcpy(&a.ss, &v6, sizeof(v6));
        a.len = sizeof(v6);
    } else {
        return false;
    }
    *out = a;
    return true;
}

/* The port stands at the same place in both address kinds. */
uint16_t bench_addr_port(const struct bench_addr *a)
{
    struct sockaddr_in v4;
    memcpy(&v4, &a->ss, sizeof(v4));
    return ntohs(v4.sin_port);
}

static void net_set(int fd, int level, int option)
{
    int on = 1;
    (void)setsockopt(fd, level, option, &on, sizeof(on));
}

void bench_net_nodelay(int fd)
{
    net_set(fd, IPPROTO_TCP, TCP_NODELAY);
}

int bench_net_listen(const struct bench_addr *a)
{
    int fd = socket(a->ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    net_set(fd, SOL_SOCKET, SO_REUSEADDR);
    net_set(fd, SOL_SOCKET, SO_REUSEPORT);
    if (bind(fd, (const struct sockaddr *)&a->ss, a->len) < 0 || listen(fd, NET_BACKLOG) < 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

uint16_t bench_net_port(int fd)
{
    struct bench_addr a = {.len = sizeof(a.ss)};
    if (getsockname(fd, (struct sockaddr *)&a.ss, &a.len) < 0) {
        return 0;
    }
    return bench_addr_port(&a);
}

int bench_net_connect(const struct bench_addr *a)
{
    int fd = socket(a->ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    bench_net_nodelay(fd);
    if (connect(fd, (const struct sockaddr *)&a->ss, a->len) < 0 && errno != EINPROGRESS) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

int bench_net_connect_error(int fd)
{
    int error = 0;
    socklen_t len = sizeof(error);
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? errno : error;
}

uint64_t bench_net_raise_fd_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        return 0;
    }
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}
