/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Sockets on the ring, with the traps of DESIGN 4: a listener that goes deaf at EMFILE, a receive that
 * finds no buffer, sends that are short.
 */
#include "core/io/net.h"
#include "tests/unit/core/io/ring.h"

#include <netinet/in.h>
#include <pthread.h>

static struct ring ring;
static const struct io_tag accept_tag = {IO_KIND_LISTENER_ACCEPT, {3, 1}};

static int listen_here(struct sockaddr_storage *sa, socklen_t *len)
{
    struct ip_endpoint at = {0};
    ck_assert(ip_addr_parse(SLICE("127.0.0.1"), &at.addr));
    int fd = net_listen(&at, 64);
    ck_assert_int_ge(fd, 0);
    *len = sizeof(*sa);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)sa, len), 0);
    return fd;
}

static void must_connect(int fd, const struct sockaddr_storage *sa, socklen_t len)
{
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)sa, len), 0);
}

static int client_of(const struct sockaddr_storage *sa, socklen_t len)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    must_connect(fd, sa, len);
    return fd;
}

static void limit_descriptors_to(int count)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)count;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static struct io_event end_accept(void)
{
    io_cancel(ring.io, accept_tag);
    struct io_event ev = ring_next(&ring);
    while (ev.more) { /* clients nobody has accepted yet */
        ev = ring_next(&ring);
    }
    return ev;
}

START_TEST(one_accept_takes_many)
{
    struct sockaddr_storage sa;
    socklen_t len;
    int listener = listen_here(&sa, &len), clients[20];
    ring_open(&ring, 8);
    io_accept(ring.io, accept_tag, listener);
    for (unsigned i = 0; i < ARRAY_COUNT(clients); i++) {
        clients[i] = client_of(&sa, len);
        struct io_event ev = ring_next(&ring);
        ring_assert(ev, IO_OK, 0);
        ck_assert(ev.more);
        ck_assert(fcntl(ev.result, F_GETFD) & FD_CLOEXEC);
        struct ip_endpoint peer;
        ck_assert(net_peer(ev.result, &peer)); /* accept gives no address: this does */
        ck_assert_uint_ne(peer.port, 0);
        close(ev.result);
        ck_assert_uint_eq(io_in_flight(ring.io), 1);
    }
    ring_assert(end_accept(), IO_CANCELLED, ECANCELED);
    ring_close(&ring);
}
END_TEST

/* Trap: the accept ends at EMFILE, the listener is deaf until it is started again; the clients that wait
 * are told 421 with the one descriptor kept for that. (The kernel reads the limit when an accept starts.) */
START_TEST(accept_ends_when_descriptors_run_out)
{
    static const struct slice busy = SLICE_INIT("421 4.3.2 busy\r\n");
    struct sockaddr_storage sa;
    socklen_t len;
    int listener = listen_here(&sa, &len), clients[4];
    char said[64];
    ring_open(&ring, 8);
    for (unsigned i = 0; i < ARRAY_COUNT(clients); i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    }
    int reserve = net_reserve_fd();
    limit_descriptors_to(reserve + 2); /* room for one client */
    io_accept(ring.io, accept_tag, listener);
    must_connect(clients[0], &sa, len);
    struct io_event first = ring_next(&ring);
    ring_assert(first, IO_OK, 0);
    ck_assert(first.more);
    must_connect(clients[1], &sa, len);
    must_connect(clients[2], &sa, len);
    struct io_event ev = ring_next(&ring);
    ring_assert(ev, IO_EXHAUSTED, EMFILE);
    ck_assert(!ev.more);
    ck_assert_uint_eq(io_in_flight(ring.io), 0);
    ck_assert_uint_eq(net_accept_and_refuse(listener, busy, 8), 0); /* not even for a refusal */
    net_close(reserve);
    ck_assert_uint_eq(net_accept_and_refuse(listener, busy, 8), 2);
    ck_assert_uint_eq(net_accept_and_refuse(listener, busy, 8),
                      0); /* nobody waits: it comes back */
    reserve = net_reserve_fd();
    ck_assert_int_ge(reserve, 0);
    for (unsigned i = 1; i < 3; i++) {
        ck_assert_int_eq(read(clients[i], said, sizeof(said)), (int)busy.len);
        ck_assert_int_eq(memcmp(said, busy.ptr, busy.len), 0);
        ck_assert_int_eq(read(clients[i], said, sizeof(said)), 0); /* closed in order, not reset */
    }
    io_accept(ring.io, accept_tag, listener); /* still no descriptor: it says so again */
    must_connect(clients[3], &sa, len);
    ring_assert(ring_next(&ring), IO_EXHAUSTED, EMFILE);
    close(first.result);
    io_accept(ring.io, accept_tag, listener); /* and now it serves who waited */
    ev = ring_next(&ring);
    ring_assert(ev, IO_OK, 0);
    ck_assert(ev.more);
    ck_assert_int_eq(write(clients[3], "x", 1), 1);
    ck_assert_int_eq(read(ev.result, said, 1), 1);
    ring_assert(end_accept(), IO_CANCELLED, ECANCELED);
    ring_close(&ring);
    limit_descriptors_to(1024);
}
END_TEST

/* Trap: more data than buffers. The receives that found none end IO_RETRY with nothing lost, and started
 * again (the buffers came back when the handlers returned) they bring their bytes. */
START_TEST(receive_without_a_buffer_is_tried_again)
{
    enum { PAIRS = IO_RECV_BUFFERS + 72 };
    static int fds[PAIRS][2];
    char text[16];
    ring_open(&ring, 512);
    for (uint32_t i = 0; i < PAIRS; i++) {
        ring_pair(fds[i]);
        int n = snprintf(text, sizeof(text), "pair %u", i);
        ck_assert_int_eq(write(fds[i][1], text, (size_t)n), n);
        io_recv(ring.io, ring_tag(IO_KIND_INBOUND_RECV, i), fds[i][0]);
    }
    ring_until(&ring, PAIRS); /* one batch: no buffer returns before all have been asked for */
    unsigned refused = 0;
    for (unsigned i = 0; i < PAIRS; i++) {
        const struct io_event *ev = &ring.notes[i].ev;
        if (ev->status == IO_RETRY) {
            ring_assert(*ev, IO_RETRY, ENOBUFS);
            ck_assert_uint_eq(ring.notes[i].data_len, 0);
            io_recv(ring.io, (struct io_tag){ev->kind, ev->owner}, fds[ev->owner.slot][0]);
            refused++;
        }
    }
    ck_assert_uint_eq(refused, PAIRS - IO_RECV_BUFFERS);
    ck_assert_uint_eq(io_counters(ring.io)->recv_no_buffer, refused);
    ring_until(&ring, PAIRS + refused);
    static unsigned got[PAIRS];
    for (unsigned i = 0; i < PAIRS + refused; i++) {
        const struct ring_note *n = &ring.notes[i];
        if (n->ev.status == IO_RETRY) {
            continue;
        }
        ring_assert(n->ev, IO_OK, 0);
        int len = snprintf(text, sizeof(text), "pair %u", n->ev.owner.slot);
        ck_assert_uint_eq(n->data_len, (size_t)len);
        ck_assert_int_eq(memcmp(n->data, text, (size_t)len), 0); /* its own bytes */
        got[n->ev.owner.slot]++;
    }
    for (unsigned i = 0; i < PAIRS; i++) {
        ck_assert_uint_eq(got[i], 1);
    }
    ck_assert_uint_eq(io_counters(ring.io)->recv_no_buffer, refused); /* all are back */
    ring_close(&ring);
}
END_TEST

/* Every buffer goes back whatever the receive brought: many times more receives than buffers. */
START_TEST(buffers_come_back)
{
    int fds[2];
    ring_pair(fds);
    ring_open(&ring, 8);
    for (unsigned i = 0; i < 20 * IO_RECV_BUFFERS; i++) {
        bool data = i % 3 > 0;
        if (data) {
            ck_assert_int_eq(write(fds[1], "abc", 3), 3);
        }
        io_recv(ring.io, ring_tag(IO_KIND_INBOUND_RECV, 1), fds[0]);
        if (!data) {
            io_cancel(ring.io, ring_tag(IO_KIND_INBOUND_RECV, 1));
        }
        struct io_event ev = ring_next(&ring);
        testing_that(ev.status == (data ? IO_OK : IO_CANCELLED));
    }
    ck_assert_uint_eq(io_counters(ring.io)->recv_no_buffer, 0);
    ring_close(&ring);
}
END_TEST

START_TEST(receive_sees_the_end)
{
    static char big[3 * IO_RECV_BUFFER_BYTES];
    int fds[2];
    ring_pair(fds);
    ring_open(&ring, 8);
    ck_assert_int_eq(write(fds[1], big, sizeof(big)), sizeof(big));
    close(fds[1]);
    size_t sum = 0;
    struct io_event ev;
    do {
        io_recv(ring.io, ring_tag(IO_KIND_INBOUND_RECV, 1), fds[0]);
        ev = ring_next(&ring);
        ck_assert_int_le(ev.result, IO_RECV_BUFFER_BYTES);
        sum += (size_t)ev.result;
    } while (ev.status == IO_OK && ev.result > 0);
    ring_assert(ev, IO_EOF, 0);
    ck_assert_uint_eq(sum, sizeof(big));
    close(fds[0]);
    io_recv(ring.io, ring_tag(IO_KIND_INBOUND_RECV, 1), fds[0]);
    ring_assert(ring_next(&ring), IO_CLOSED, EBADF);
    ring_close(&ring);
}
END_TEST

static void *slow_reader(void *arg)
{
    const int *fd = arg;
    static char chunk[3000];
    size_t *sum = calloc(1, sizeof(*sum));
    ssize_t n;
    while ((n = read(*fd, chunk, sizeof(chunk))) > 0) {
        for (ssize_t i = 0; i < n; i++) { /* the right byte at the right place */
            if (chunk[i] != (char)((*sum + (size_t)i) * 31 >> 3)) {
                *sum = 0;
                return sum;
            }
        }
        *sum += (size_t)n;
    }
    return sum;
}

/* Trap: a socket that takes a little at a time. One event, and it says how much went out. */
START_TEST(a_send_larger_than_the_socket_finishes)
{
    enum { BYTES = 2 * 1024 * 1024 };
    static char big[BYTES];
    int fds[2], little = 4096;
    pthread_t thread;
    void *sum = NULL;
    for (size_t i = 0; i < BYTES; i++) {
        big[i] = (char)(i * 31 >> 3);
    }
    ring_pair(fds);
    ck_assert_int_eq(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &little, sizeof(little)), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, slow_reader, &fds[1]), 0);
    ring_open(&ring, 8);
    size_t at = 0;
    while (at < BYTES) {
        io_send(ring.io, ring_tag(IO_KIND_INBOUND_SEND, 1), fds[0], big + at, BYTES - at);
        struct io_event ev = ring_next(&ring);
        ring_assert(ev, IO_OK, 0);
        ck_assert_int_gt(ev.result, 0);
        at += (size_t)ev.result; /* the contract: the owner sends the rest */
    }
    ck_assert_uint_eq(at, BYTES);
    net_shut_write(fds[0]);
    ck_assert_int_eq(pthread_join(thread, &sum), 0);
    ck_assert_uint_eq(*(size_t *)sum, BYTES);
    free(sum);
    ring_close(&ring);
}
END_TEST

/* The same with nobody reading: cancelled, it must say the truth about what went out. */
START_TEST(a_send_that_is_cut_says_how_much)
{
    enum { BYTES = 1024 * 1024 };
    static char big[BYTES], sink[BYTES];
    int fds[2];
    ring_pair(fds);
    ring_open(&ring, 8);
    io_send(ring.io, ring_tag(IO_KIND_INBOUND_SEND, 1), fds[0], big, BYTES);
    ring_peek(&ring);
    ck_assert_uint_eq(ring.count, 0); /* MSG_WAITALL: a part of it is no event */
    io_cancel(ring.io, ring_tag(IO_KIND_INBOUND_SEND, 1));
    struct io_event ev = ring_next(&ring);
    size_t said = ev.status == IO_OK ? (size_t)ev.result : 0;
    ck_assert(ev.status == IO_OK || ev.status == IO_CANCELLED);
    size_t got = 0;
    ssize_t n;
    while ((n = recv(fds[1], sink, BYTES, MSG_DONTWAIT)) > 0) {
        got += (size_t)n;
    }
    ck_assert_uint_gt(got, 0);
    ck_assert_uint_lt(got, BYTES);
    ck_assert_uint_eq(said, got);
    ring_close(&ring);
}
END_TEST

/* No SIGPIPE (its default would end this process), and nothing claimed. */
START_TEST(sending_to_the_dead)
{
    struct iovec iov = {(void *)(uintptr_t) "hello", 5};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    int fds[2];
    ring_pair(fds);
    close(fds[1]);
    ring_open(&ring, 8);
    io_send(ring.io, ring_tag(IO_KIND_INBOUND_SEND, 1), fds[0], "hello", 5);
    ring_assert(ring_next(&ring), IO_CLOSED, EPIPE);
    io_sendmsg(ring.io, ring_tag(IO_KIND_OUTBOUND_SEND, 1), fds[0], &msg);
    ring_assert(ring_next(&ring), IO_CLOSED, EPIPE);
    ring_close(&ring);
}
END_TEST

START_TEST(sendmsg_gathers)
{
    struct iovec iov[3] = {{(void *)(uintptr_t) "MAIL", 4},
                           {(void *)(uintptr_t) " ", 1},
                           {(void *)(uintptr_t) "FROM", 4}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 3};
    int fds[2];
    char got[16] = "";
    ring_pair(fds);
    ring_open(&ring, 8);
    io_sendmsg(ring.io, ring_tag(IO_KIND_OUTBOUND_SEND, 1), fds[0], &msg);
    struct io_event ev = ring_next(&ring);
    ring_assert(ev, IO_OK, 0);
    ck_assert_int_eq(ev.result, 9);
    ck_assert_int_eq(read(fds[1], got, sizeof(got)), 9);
    ck_assert_str_eq(got, "MAIL FROM");
    ring_close(&ring);
}
END_TEST

START_TEST(connecting)
{
    struct sockaddr_storage sa;
    socklen_t len;
    int listener = listen_here(&sa, &len);
    struct ip_addr none = {0}, v4;
    ck_assert(ip_addr_parse(SLICE("127.0.0.1"), &v4));
    ring_open(&ring, 8);
    int fd = net_socket(&v4, &none);
    io_connect(ring.io, ring_tag(IO_KIND_OUTBOUND_CONNECT, 1), fd, (struct sockaddr *)&sa, len);
    ring_assert(ring_next(&ring), IO_OK, 0);
    close(listener);
    int again = net_socket(&v4, &none);
    io_connect(ring.io, ring_tag(IO_KIND_OUTBOUND_CONNECT, 1), again, (struct sockaddr *)&sa, len);
    ring_assert(ring_next(&ring), IO_REFUSED, ECONNREFUSED);
    /* The connection is reset with unread bytes: that is no orderly end. */
    io_recv(ring.io, ring_tag(IO_KIND_OUTBOUND_RECV, 1), fd);
    ring_assert(ring_next(&ring), IO_CLOSED, ECONNRESET);
    struct sockaddr_in broadcast = {.sin_family = AF_INET,
                                    .sin_addr = {INADDR_BROADCAST},
                                    .sin_port = 5};
    int nowhere = net_socket(&v4, &none);
    io_connect(ring.io, ring_tag(IO_KIND_OUTBOUND_CONNECT, 1), nowhere,
               (struct sockaddr *)&broadcast, sizeof(broadcast));
    ck_assert_int_eq(ring_next(&ring).status, IO_UNREACHABLE);
    io_close_fd(ring.io, ring_tag(IO_KIND_OUTBOUND_CLOSE, 1), fd);
    ring_assert(ring_next(&ring), IO_OK, 0);
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
    ring_close(&ring);
}
END_TEST

/* Up, and reset before anybody has looked: it was a connection, and its end comes with what is read. */
START_TEST(reset_after_connecting)
{
    struct sockaddr_storage sa;
    socklen_t len;
    struct ip_addr none = {0}, v4;
    const struct linger reset = {.l_onoff = 1};
    int listener = listen_here(&sa, &len);
    ck_assert(ip_addr_parse(SLICE("127.0.0.1"), &v4));
    ring_open(&ring, 8);
    for (unsigned i = 0; i < 50; i++) {
        int fd = net_socket(&v4, &none);
        ring.count = 0;
        io_connect(ring.io, ring_tag(IO_KIND_OUTBOUND_CONNECT, i), fd, (struct sockaddr *)&sa, len);
        io_wait(ring.io, 0);
        int peer = accept(listener, NULL, NULL);
        ck_assert_int_eq(setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
        close(peer);
        ring_until(&ring, 1);
        ring_assert(ring.notes[0].ev, IO_OK, 0);
        io_recv(ring.io, ring_tag(IO_KIND_OUTBOUND_RECV, i), fd);
        ring_assert(ring_next(&ring), IO_CLOSED, ECONNRESET);
        close(fd);
    }
    ring_close(&ring);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {one_accept_takes_many,
                            accept_ends_when_descriptors_run_out,
                            receive_without_a_buffer_is_tried_again,
                            buffers_come_back,
                            receive_sees_the_end,
                            a_send_larger_than_the_socket_finishes,
                            a_send_that_is_cut_says_how_much,
                            sending_to_the_dead,
                            sendmsg_gathers,
                            connecting,
                            reset_after_connecting};
    return ring_run("core/io/io sockets", tests, ARRAY_COUNT(tests));
}
