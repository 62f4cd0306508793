/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/io/net.h"
#include "core/base/clock.h"
#include "tests/unit/core/base/testing.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>

static const struct slice busy = SLICE_INIT("421 4.3.2 busy\r\n");

static struct ip_endpoint endpoint(const char *addr, uint16_t port)
{
    struct ip_endpoint e = {.port = port};
    ck_assert(ip_addr_parse(slice_str(addr), &e.addr));
    return e;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    struct ip_endpoint e;
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    ck_assert(ip_endpoint_from_sockaddr((struct sockaddr *)&sa, len, &e));
    return e.port;
}

static int connect_to(const char *addr, uint16_t port)
{
    struct ip_endpoint to = endpoint(addr, port);
    struct ip_addr none = {0};
    struct sockaddr_storage sa;
    socklen_t len = ip_endpoint_to_sockaddr(&to, &sa);
    int fd = net_socket(&to.addr, &none);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, len), 0);
    return fd;
}

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);
    ck_assert_int_eq(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

START_TEST(listening)
{
    static const char *const addresses[] = {"127.0.0.1", "::1"};
    for (size_t i = 0; i < ARRAY_COUNT(addresses); i++) {
        struct ip_endpoint at = endpoint(addresses[i], 0);
        int fd = net_listen(&at, 16);
        ck_assert_int_ge(fd, 0);
        at.port = port_of(fd);
        ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        ck_assert_int_eq(option(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
        int second = net_listen(&at, 16); /* one per worker on the same port */
        ck_assert_int_ge(second, 0);
        ck_assert_int_eq(net_probe(&at), -EADDRINUSE); /* and still one can ask */
        close(connect_to(addresses[i], at.port));
        close(second);
        close(fd);
        ck_assert_int_eq(net_probe(&at), 0);
    }
}
END_TEST

/* "::" and "0.0.0.0" are two listeners. */
/* The socket lives as long as one of its descriptors. */
START_TEST(sharing)
{
    struct ip_endpoint at = endpoint("127.0.0.1", 0);
    int fd = net_listen(&at, 8);
    at.port = port_of(fd);
    int copy = net_share(fd);
    ck_assert_int_ge(copy, 0);
    ck_assert_int_ne(copy, fd);
    ck_assert(fcntl(copy, F_GETFD) & FD_CLOEXEC);
    close(fd);
    ck_assert_int_eq(net_probe(&at), -EADDRINUSE);
    ck_assert_int_eq(option(copy, SOL_SOCKET, SO_ACCEPTCONN), 1);
    close(copy);
    ck_assert_int_eq(net_probe(&at), 0);
    ck_assert_int_eq(net_share(fd), -EBADF);
}
END_TEST

START_TEST(any_of_both_families)
{
    struct ip_endpoint v6 = endpoint("::", 0);
    int six = net_listen(&v6, 16);
    ck_assert_int_ge(six, 0);
    struct ip_endpoint v4 = endpoint("0.0.0.0", port_of(six));
    ck_assert_int_eq(option(six, IPPROTO_IPV6, IPV6_V6ONLY), 1);
    ck_assert_int_eq(net_probe(&v4), 0);
    int four = net_listen(&v4, 16);
    ck_assert_int_ge(four, 0);
    v6.port = v4.port;
    ck_assert_int_eq(net_probe(&v6), -EADDRINUSE);
    close(six);
    close(four);
}
END_TEST

START_TEST(addresses_of_others)
{
    struct ip_endpoint at = endpoint("192.0.2.1", 0); /* RFC 5737: nobody's */
    struct ip_addr v4 = endpoint("127.0.0.1", 0).addr, source = at.addr;
    ck_assert_int_eq(net_listen(&at, 16), -EADDRNOTAVAIL);
    ck_assert_int_eq(net_probe(&at), -EADDRNOTAVAIL);
    ck_assert_int_eq(net_socket(&v4, &source), -EADDRNOTAVAIL);
}
END_TEST

START_TEST(source_addresses)
{
    struct ip_endpoint at = endpoint("127.0.0.1", 0);
    int listener = net_listen(&at, 16);
    struct ip_addr source = endpoint("127.0.0.7", 0).addr, other = endpoint("::1", 0).addr;
    struct sockaddr_storage sa;
    at.port = port_of(listener);
    socklen_t len = ip_endpoint_to_sockaddr(&at, &sa);
    for (int with = 0; with < 2; with++) {
        /* A source of the other family says nothing about this one. */
        int fd = net_socket(&at.addr, with ? &source : &other);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
        ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, len), 0);
        int server = accept(listener, NULL, NULL);
        struct ip_endpoint peer, expected = endpoint(with ? "127.0.0.7" : "127.0.0.1", 0);
        ck_assert(net_peer(server, &peer));
        ck_assert(ip_addr_eq(&peer.addr, &expected.addr));
        ck_assert_uint_eq(peer.port, port_of(fd));
        close(server);
        close(fd);
    }
    struct ip_endpoint nobody;
    ck_assert(!net_peer(listener, &nobody));
    close(listener);
}
END_TEST

/* The line arrives whole and then the end: no reset may overtake it. */
START_TEST(refusing)
{
    struct ip_endpoint at = endpoint("127.0.0.1", 0);
    int listener = net_listen(&at, 64);
    int clients[5];
    char said[64];
    for (size_t i = 0; i < ARRAY_COUNT(clients); i++) {
        clients[i] = connect_to("127.0.0.1", port_of(listener));
    }
    ck_assert_uint_eq(net_accept_and_refuse(listener, busy, 3), 3); /* no more than asked for */
    ck_assert_uint_eq(net_accept_and_refuse(listener, busy, 64), 2);
    ck_assert_uint_eq(net_accept_and_refuse(listener, busy, 64), 0);
    ck_assert_int_eq(fcntl(listener, F_GETFL) & O_NONBLOCK, 0); /* as it was */
    for (size_t i = 0; i < ARRAY_COUNT(clients); i++) {
        ck_assert_int_eq(recv(clients[i], said, sizeof(said), MSG_WAITALL), (int)busy.len);
        ck_assert_int_eq(memcmp(said, busy.ptr, busy.len), 0);
        ck_assert_int_eq(recv(clients[i], said, sizeof(said), 0), 0);
        close(clients[i]);
    }
    close(listener);
    ck_assert_uint_eq(net_accept_and_refuse(listener, busy, 64), 0);
}
END_TEST

/* A client that is gone, or takes nothing, does not hold us up or kill us. */
static void *refuse_often(void *fd)
{
    uint64_t end_ms = clock_read().mono_ms + 300;
    while (clock_read().mono_ms < end_ms) {
        net_accept_and_refuse(*(int *)fd, SLICE("421 busy\r\n"), 64);
    }
    return NULL;
}

/* Descriptors run out for all workers at once; the socket of a service manager is one for all of them. Nobody hangs in
 * accept, and the socket is as blocking as it was. */
START_TEST(refusing_together)
{
    enum { WORKERS = 4 };
    struct ip_endpoint at = {ip_addr_v4(0x7f000001), 0};
    pthread_t threads[WORKERS];
    int fds[WORKERS];
    fds[0] = net_listen(&at, 8);
    for (int i = 0; i < WORKERS; i++) {
        fds[i] = i ? net_share(fds[0]) : fds[0];
        ck_assert_int_ge(fds[i], 0);
        ck_assert_int_eq(pthread_create(&threads[i], NULL, refuse_often, &fds[i]), 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
        net_close(fds[i]);
        ck_assert(i == WORKERS - 1 || !(fcntl(fds[WORKERS - 1], F_GETFL) & O_NONBLOCK));
    }
}
END_TEST

START_TEST(refusing_the_dead)
{
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    close(fds[1]);
    net_refuse(fds[0], busy);
    ck_assert_int_eq(fcntl(fds[0], F_GETFD), -1);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    char junk[4096] = "";
    while (send(fds[0], junk, sizeof(junk), MSG_DONTWAIT) > 0) {
    }
    net_refuse(fds[0], busy);
    ck_assert_int_eq(fcntl(fds[0], F_GETFD), -1);
    close(fds[1]);
}
END_TEST

START_TEST(half_closed)
{
    int fds[2];
    char got[4];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    net_shut_write(fds[0]);
    ck_assert_int_eq(read(fds[1], got, 1), 0);
    ck_assert_int_eq(write(fds[1], "on", 2), 2); /* the other half goes on */
    ck_assert_int_eq(read(fds[0], got, sizeof(got)), 2);
    net_close(fds[0]);
    ck_assert_int_eq(fcntl(fds[0], F_GETFD), -1);
    net_no_delay(fds[0]); /* of a dead one: nothing */
    close(fds[1]);
}
END_TEST

START_TEST(own_addresses)
{
    size_t count = 0;
    struct ip_addr *own = net_own_addresses(&count), home = ip_addr_v4(0x7f000001);
    ck_assert_ptr_nonnull(own);
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        ck_assert(own[i].family == IP_V4 || own[i].family == IP_V6);
        found = found || ip_addr_eq(&own[i], &home);
    }
    ck_assert(found);
    free(own);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {listening,           sharing,           any_of_both_families,
                            addresses_of_others, source_addresses,  refusing,
                            refusing_together,   refusing_the_dead, half_closed,
                            own_addresses};
    return testing_run("core/io/net", tests, ARRAY_COUNT(tests));
}
