/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What is epoll's own trouble: descriptors that are closed behind its back and whose numbers come again, several
 * who wait for one descriptor, threads that are all busy, memory that is short. What both back ends promise
 * is in test_io*.c.
 */
#include "core/io/epoll.h"
#include "core/io/net.h"
#include "tests/unit/core/io/ring.h"

#include <sys/eventfd.h>

static struct ring ring;

static void open_epoll(void)
{
    ring_backend = &io_backend_epoll;
    ring_open(&ring, 64);
}

/* An eventfd with this very number. */
static void make_event_at(int fd, unsigned value)
{
    int made = eventfd(value, EFD_CLOEXEC | EFD_NONBLOCK);
    ck_assert_int_ge(made, 0);
    if (made != fd) {
        ck_assert_int_eq(dup2(made, fd), fd);
        close(made);
    }
}

static const struct io_tag poll_one = {IO_KIND_DNS, {1, 1}};
static const struct io_tag poll_two = {IO_KIND_DNS, {2, 1}};

/* c-ares closes its sockets itself; the next one has the number at once. */
START_TEST(a_number_that_comes_again_is_another_descriptor)
{
    enum how { READY, CANCELLED, CANCELLED_AT_ONCE };
    open_epoll();
    int fd = eventfd(0, EFD_CLOEXEC);
    for (unsigned round = 0; round < 60; round++) {
        enum how how = round % 3;
        io_poll(ring.io, poll_one, fd, POLLIN);
        if (how != CANCELLED_AT_ONCE) {
            ring_peek(&ring);
        }
        if (how == READY) {
            eventfd_write(fd, 1);
            ring_assert(ring_next(&ring), IO_OK, 0);
        } else {
            io_cancel(ring.io, poll_one);
        }
        close(fd);
        make_event_at(fd, 0);
        io_poll(ring.io, poll_two, fd, POLLIN);
        if (how != READY) {
            struct io_event ev = ring_next(&ring);
            ring_assert(ev, IO_CANCELLED, ECANCELED);
            ck_assert_uint_eq(ev.owner.slot, 1);
        }
        ring_peek(&ring);
        ck_assert_uint_eq(ring.count, 0); /* the new one is not ready */
        eventfd_write(fd, 1);
        struct io_event ev = ring_next(&ring);
        ring_assert(ev, IO_OK, 0);
        ck_assert_uint_eq(ev.owner.slot, 2);
        close(fd);
        make_event_at(fd, 0);
    }
    ring_close(&ring);
}
END_TEST

/* The whole way of a descriptor through io_close_fd, many times the same number. */
START_TEST(closed_by_us_and_used_again)
{
    int fds[2];
    open_epoll();
    for (unsigned round = 0; round < 100; round++) {
        ring_pair(fds);
        io_recv(ring.io, ring_tag(IO_KIND_INBOUND_RECV, round), fds[0]);
        ring_peek(&ring);
        ck_assert_uint_eq(ring.count, 0);
        ck_assert_int_eq(write(fds[1], "hello", 5), 5);
        ck_assert_int_eq(ring_next(&ring).result, 5);
        io_close_fd(ring.io, ring_tag(IO_KIND_INBOUND_CLOSE, round), fds[0]);
        io_cancel(ring.io, ring_tag(IO_KIND_INBOUND_CLOSE, round)); /* too late, or it would leak */
        ring_assert(ring_next(&ring), IO_OK, 0);
        ck_assert_int_eq(fcntl(fds[0], F_GETFD), -1);
        close(fds[1]);
    }
    ring_close(&ring);
}
END_TEST

/* One shot tells one of them; the others are not forgotten. */
START_TEST(many_wait_for_one_descriptor)
{
    static char big[1024 * 1024], sink[1024 * 1024];
    int fds[2];
    ring_pair(fds);
    open_epoll();
    io_send(ring.io, ring_tag(IO_KIND_INBOUND_SEND, 1), fds[0], big, sizeof(big));
    io_recv(ring.io, ring_tag(IO_KIND_INBOUND_RECV, 1), fds[0]);
    io_poll(ring.io, poll_one, fds[0], POLLPRI);
    ring_peek(&ring);
    ck_assert_uint_eq(ring.count, 0);
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    struct io_event ev = ring_next(&ring);
    ck_assert(ev.kind == IO_KIND_INBOUND_RECV && ev.result == 1);
    ring.count = 0;
    for (size_t got = 0; got < sizeof(big);) {
        ssize_t n = recv(fds[1], sink, sizeof(sink), MSG_DONTWAIT);
        got += n > 0 ? (size_t)n : 0;
        ring_peek(&ring);
    }
    ring_until(&ring, 1);
    ev = ring.notes[0].ev;
    ck_assert(ev.kind == IO_KIND_INBOUND_SEND && ev.result == (int)sizeof(big));
    close(fds[1]); /* tells all who still wait */
    ev = ring_next(&ring);
    ck_assert(ev.kind == IO_KIND_DNS && (ev.result & POLLHUP));
    ring_close(&ring);
}
END_TEST

/* The threads that read and write are all held up; a durable write is done nevertheless. */
START_TEST(a_commit_passes_blocked_threads)
{
    enum { BLOCKED = 6 };
    static char junk[1024 * 1024], drain[64 * 1024];
    int pipes[BLOCKED][2], file = ring_file();
    open_epoll();
    for (uint32_t i = 0; i < BLOCKED; i++) {
        ck_assert_int_eq(pipe2(pipes[i], O_CLOEXEC), 0);
        io_write(ring.io, ring_tag(IO_KIND_BODY_READ, i), pipes[i][1], junk, sizeof(junk), 0);
    }
    for (uint32_t i = 0; i < 20; i++) {
        io_write_durable(ring.io, ring_tag(IO_KIND_SPOOL, i), file, "durable", 7, 0);
        struct io_event ev = ring_next(&ring);
        ring_assert(ev, IO_OK, 0);
        ck_assert_int_eq(ev.kind, IO_KIND_SPOOL);
    }
    ring.count = 0;
    for (unsigned i = 0; i < BLOCKED; i++) {
        for (size_t got = 0; got < sizeof(junk);) {
            ssize_t n = read(pipes[i][0], drain, sizeof(drain));
            ck_assert_int_gt(n, 0);
            got += (size_t)n;
        }
    }
    ring_until(&ring, BLOCKED);
    ring_close(&ring);
}
END_TEST

/* More clients than one turn takes. */
START_TEST(a_crowd_is_accepted_in_several_turns)
{
    enum { CLIENTS = 3 * EPOLL_ACCEPT_MAX + 7 };
    struct ip_endpoint at = {0};
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    ck_assert(ip_addr_parse(SLICE("127.0.0.1"), &at.addr));
    int listener = net_listen(&at, 2 * CLIENTS);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&sa, &len), 0);
    for (unsigned i = 0; i < CLIENTS; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, len), 0);
    }
    open_epoll();
    io_accept(ring.io, ring_tag(IO_KIND_LISTENER_ACCEPT, 1), listener);
    ring_peek(&ring);
    ck_assert_uint_le(ring.count, 2 * EPOLL_ACCEPT_MAX); /* others have a turn in between */
    ring_until(&ring, CLIENTS);
    for (unsigned i = 0; i < CLIENTS; i++) {
        testing_that(ring.notes[i].ev.status == IO_OK && ring.notes[i].ev.more);
        close(ring.notes[i].ev.result);
    }
    io_cancel(ring.io, ring_tag(IO_KIND_LISTENER_ACCEPT, 1));
    ring_assert(ring_next(&ring), IO_CANCELLED, ECANCELED);
    ring_close(&ring);
}
END_TEST

/* Starting never fails: what there is no memory for ends as an event. */
START_TEST(without_memory_an_operation_ends_as_an_event)
{
    int fds[2], file = ring_file();
    ring_pair(fds);
    open_epoll();
    epoll_of(ring.io)->ops.capacity = 1;
    io_recv(ring.io, ring_tag(IO_KIND_INBOUND_RECV, 1), fds[0]);
    ring_peek(&ring);
    io_recv(ring.io, ring_tag(IO_KIND_INBOUND_RECV, 2), fds[0]);
    ring_assert(ring_next(&ring), IO_EXHAUSTED, ENOMEM);
    io_write_durable(ring.io, ring_tag(IO_KIND_SPOOL, 2), file, "x", 1, 0);
    ring_assert(ring_next(&ring), IO_EXHAUSTED, ENOMEM);
    ck_assert_uint_eq(io_counters(ring.io)->durable_writes, 0);
    io_close_fd(ring.io, ring_tag(IO_KIND_INBOUND_CLOSE, 2), fds[1]); /* needs none */
    ring.count = 0;
    ring_until(&ring, 2); /* and the first one sees the end */
    ck_assert_int_eq(fcntl(fds[1], F_GETFD), -1);
    ck_assert_uint_eq(io_in_flight(ring.io), 0);
    for (uint32_t i = 0; i < IO_DURABLE_WRITES_MAX; i++) { /* that one is not counted for ever */
        epoll_of(ring.io)->ops.capacity = 64;
        io_write_durable(ring.io, ring_tag(IO_KIND_SPOOL, i), file, "x", 1, 0);
    }
    ring.count = 0;
    ring_until(&ring, IO_DURABLE_WRITES_MAX);
    ring_close(&ring);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {a_number_that_comes_again_is_another_descriptor,
                            closed_by_us_and_used_again,
                            many_wait_for_one_descriptor,
                            a_commit_passes_blocked_threads,
                            a_crowd_is_accepted_in_several_turns,
                            without_memory_an_operation_ends_as_an_event};
    return testing_run("core/io/epoll", tests, ARRAY_COUNT(tests));
}
