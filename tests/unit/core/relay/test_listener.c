/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Who comes in, who is told 421, and that the door opens again.
 */
#include "core/app/recovered.h"
#include "core/relay/relay.h"
#include "tests/unit/core/relay/relay_rig.h"

#include <poll.h>
#include <sys/resource.h>

static struct relay_rig rig;
static int listen_fd;
static struct sockaddr_storage address;
static socklen_t address_len;

/* sets: up to six more settings. */
static void setup(const char *const *sets)
{
    const char *all[12] = {"listeners.0.address=127.0.0.1", "listeners.0.port=2525",
                           "relay.tls=none"};
    size_t n = 3;
    for (size_t i = 0; sets && sets[i]; i++) {
        all[n++] = sets[i];
    }
    relay_rig_start(&rig, NULL, all);
    struct ip_endpoint at = {.port = 0};
    ck_assert(ip_addr_parse(SLICE("127.0.0.1"), &at.addr));
    listen_fd = net_listen(&at, 256);
    ck_assert_int_ge(listen_fd, 0);
    address_len = sizeof(address);
    ck_assert_int_eq(getsockname(listen_fd, (struct sockaddr *)&address, &address_len), 0);
}

static void teardown(void)
{
    relay_rig_stop(&rig);
}

static int new_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    return fd;
}

static void join(int fd)
{
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, address_len), 0);
}

static int client(void)
{
    int fd = new_socket();
    join(fd);
    return fd;
}

/* What the engine says, while it works: up to the end of a line; "" at the end of the connection. */
static const char *heard(int fd)
{
    static char line[512];
    size_t len = 0;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (len == 0 || line[len - 1] != '\n') {
        RIG_UNTIL(&rig.rig, poll(&p, 1, 0) > 0);
        ssize_t n = recv(fd, line + len, 1, 0);
        if (n <= 0) {
            break;
        }
        len += (size_t)n;
        ck_assert_uint_lt(len, sizeof(line));
    }
    line[len] = '\0';
    return line;
}

static void assert_hears(int fd, const char *begin)
{
    const char *line = heard(fd);
    ck_assert_msg(begin[0] ? strncmp(line, begin, strlen(begin)) == 0 : line[0] == '\0',
                  "\"%s\" is not \"%s\"", line, begin);
}

START_TEST(many_clients)
{
    enum { CLIENTS = 50 };
    int fds[CLIENTS];
    setup(NULL);
    ck_assert(relay_listen(&rig.relay, 0, listen_fd));
    for (unsigned i = 0; i < CLIENTS; i++) {
        fds[i] = client();
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        assert_hears(fds[i], "220 relay.example.test ");
    }
    ck_assert_uint_eq(rig.relay.counters.sessions, CLIENTS);
    ck_assert_uint_eq(rig.relay.inbound.used, CLIENTS);
    ck_assert_uint_eq(connections_count(rig.admitted), CLIENTS);
    for (unsigned i = 0; i < CLIENTS; i++) {
        if (i % 2) {
            ck_assert_int_eq(send(fds[i], "QUIT\r\n", 6, 0), 6);
            assert_hears(fds[i], "221 2.0.0");
            assert_hears(fds[i], "");
        }
        close(fds[i]);
    }
    RIG_UNTIL(&rig.rig, rig.relay.inbound.used == 0);
    ck_assert_uint_eq(connections_count(rig.admitted), 0);
    teardown();
}
END_TEST

START_TEST(limits_are_answered_421)
{
    static const char *const per_address[] = {"limits.connections_per_ip=2", NULL};
    static const char *const in_all[] = {"limits.connections=2", NULL};
    static const struct {
        const char *const *sets;
        const char *reply;
    } rows[] = {{per_address, "421 4.7.0"}, {in_all, "421 4.3.2"}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        setup(rows[i].sets);
        ck_assert(relay_listen(&rig.relay, 0, listen_fd));
        int first = client(), second = client();
        assert_hears(first, "220 ");
        assert_hears(second, "220 ");
        int third = client();
        assert_hears(third, rows[i].reply);
        assert_hears(third, "");
        ck_assert_uint_eq(rig.relay.counters.sessions_refused, 1);
        close(first);
        RIG_UNTIL(&rig.rig, rig.relay.inbound.used == 1);
        int fourth = client(); /* there is room again */
        assert_hears(fourth, "220 ");
        close(second);
        close(third);
        close(fourth);
        teardown();
    }
}
END_TEST

static bool has_word(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

/* J2: all places are taken and many knock. They are not all refused at once, which would cost the time that those
 * inside need; a place that comes free goes to one who waits; at the end the door is as before. */
START_TEST(a_crowd)
{
    enum { CROWD = 100, AT_ONCE = 64 };
    static const char *const sets[] = {"limits.connections=2", NULL};
    int fds[CROWD];
    setup(sets);
    ck_assert(relay_listen(&rig.relay, 0, listen_fd));
    int first = client(), second = client();
    assert_hears(first, "220 ");
    assert_hears(second, "220 ");
    RIG_UNTIL(&rig.rig, rig.relay.crowded == 1);
    for (unsigned i = 0; i < CROWD; i++) {
        fds[i] = client();
    }
    RIG_UNTIL(&rig.rig, rig.relay.counters.sessions_refused > 0);
    ck_assert_uint_le(rig.relay.counters.sessions_refused, AT_ONCE);
    ck_assert_uint_eq(rig.relay.crowded, 1);
    ck_assert_int_eq(send(first, "QUIT\r\n", 6, 0), 6);
    assert_hears(first, "221 ");
    close(first);
    RIG_UNTIL(&rig.rig, rig.relay.counters.sessions == 3);
    RIG_UNTIL(&rig.rig, rig.relay.crowded == 0 && rig.relay.counters.sessions_refused == CROWD - 1);
    unsigned welcome = 0;
    for (unsigned i = 0; i < CROWD; i++) {
        ck_assert(has_word(fds[i]));
        welcome += heard(fds[i])[0] == '2' ? 1 : 0;
        close(fds[i]);
    }
    ck_assert_uint_eq(welcome, 1);
    close(second);
    RIG_UNTIL(&rig.rig, rig.relay.inbound.used == 0);
    int late = client();
    assert_hears(late, "220 ");
    close(late);
    teardown();
}
END_TEST

/* SIGTERM in the middle of it. */
START_TEST(stopping_in_a_crowd)
{
    static const char *const sets[] = {"limits.connections=1", NULL};
    setup(sets);
    ck_assert(relay_listen(&rig.relay, 0, listen_fd));
    int first = client(), other = client();
    assert_hears(first, "220 ");
    RIG_UNTIL(&rig.rig, rig.relay.crowded == 1);
    relay_stop(&rig.relay);
    assert_hears(first, "421 4.3.2");
    RIG_UNTIL(&rig.rig, rig.relay.listeners.used == 0);
    ck_assert_uint_eq(rig.relay.crowded, 0);
    close(first);
    close(other);
    teardown();
}
END_TEST

static void limit_descriptors_to(rlim_t count)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = count;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static int highest_fd(void)
{
    int highest = 0;
    for (int fd = 0; fd < 1024; fd++) {
        highest = fcntl(fd, F_GETFD) >= 0 ? fd : highest;
    }
    return highest;
}

/* DESIGN 4, the whole of it: descriptors run out, who waits hears 421 at once and is closed, the listener
 * is not deaf afterwards: who comes while they are still out hears 421 too, and when one is free again
 * clients are served. */
START_TEST(out_of_descriptors)
{
    enum { CLIENTS = 12, ROOM = 3 };
    int fds[CLIENTS];
    setup(NULL);
    for (unsigned i = 0; i < CLIENTS; i++) {
        fds[i] = new_socket();
    }
    /* The reserve of the listener takes one; low free numbers are used up first. */
    for (int fd; (fd = net_reserve_fd()) < highest_fd();) {
        ck_assert_int_ge(fd, 0);
    }
    limit_descriptors_to((rlim_t)highest_fd() + 2 + ROOM);
    ck_assert(relay_listen(&rig.relay, 0, listen_fd));
    for (unsigned i = 0; i < ROOM; i++) {
        join(fds[i]);
        assert_hears(fds[i], "220 ");
    }
    for (unsigned i = ROOM; i < ROOM + 4; i++) {
        join(fds[i]);
    }
    for (unsigned i = ROOM; i < ROOM + 4; i++) {
        assert_hears(fds[i], "421 4.3.2");
        assert_hears(fds[i], "");
    }
    ck_assert_uint_eq(rig.relay.counters.sessions_refused, 4);
    ck_assert_uint_eq(rig.relay.inbound.used, ROOM); /* who is in stays in */
    ck_assert_int_eq(send(fds[0], "NOOP\r\n", 6, 0), 6);
    assert_hears(fds[0], "250 2.0.0");
    join(fds[7]); /* still none */
    assert_hears(fds[7], "421 4.3.2");
    ck_assert_int_eq(send(fds[1], "QUIT\r\n", 6, 0), 6);
    assert_hears(fds[1], "221 ");
    assert_hears(fds[1], "");
    close(fds[1]);
    RIG_UNTIL(&rig.rig, rig.relay.inbound.used == ROOM - 1);
    rig_run_ms(&rig.rig, 2 * RELAY_REARM_MS);
    join(fds[8]);
    assert_hears(fds[8], "220 ");
    limit_descriptors_to(1024);
    for (unsigned i = 0; i < CLIENTS; i++) {
        close(fds[i]);
    }
    teardown();
}
END_TEST

/* SIGTERM: nobody new, who is in hears 421 after his transaction, the socket is closed. */
START_TEST(stopping)
{
    setup(NULL);
    ck_assert(relay_listen(&rig.relay, 0, listen_fd));
    int first = client();
    assert_hears(first, "220 ");
    ck_assert(!relay_stop(&rig.relay));
    assert_hears(first, "421 4.3.2");
    assert_hears(first, "");
    RIG_UNTIL(&rig.rig, rig.relay.listeners.used == 0);
    ck_assert_int_eq(fcntl(listen_fd, F_GETFD), -1);
    int late = new_socket();
    ck_assert_int_ne(connect(late, (struct sockaddr *)&address, address_len), 0);
    close(first);
    close(late);
    teardown();
}
END_TEST

/* A listener that waits to be armed again is stopped too. */
START_TEST(stopping_while_deaf)
{
    setup(NULL);
    int waiting = new_socket();
    for (int fd; (fd = net_reserve_fd()) < highest_fd();) {
    }
    limit_descriptors_to((rlim_t)highest_fd() + 2);
    ck_assert(relay_listen(&rig.relay, 0, listen_fd));
    join(waiting);
    assert_hears(waiting, "421 4.3.2");
    struct handle h;
    struct relay_listener *l = pool_at(&rig.relay.listeners, 0, &h);
    ck_assert(!l->accepting && timer_armed(&l->rearm));
    limit_descriptors_to(1024);
    close(waiting);
    teardown();
}
END_TEST

/* STYLE 17: completions of objects that are gone, for each handler: counted and dropped. A connection
 * that was accepted for a listener that is gone is closed. */
START_TEST(stale_completions)
{
    static void (*const handlers[])(struct relay *, const struct io_event *) = {
        relay_on_inbound_recv,     relay_on_inbound_send,  relay_on_inbound_close,
        relay_on_outbound_connect, relay_on_outbound_recv, relay_on_outbound_send,
        relay_on_outbound_close};
    setup(NULL);
    ck_assert(relay_listen(&rig.relay, 0, listen_fd));
    int fd = client();
    assert_hears(fd, "220 ");
    uint64_t before = io_counters(rig.rig.io)->stale;
    struct io_event ev = {.status = IO_OK, .result = 3, .owner = {0, 77}}; /* slot 0 is in use */
    ev.data = SLICE("abc");
    for (size_t i = 0; i < ARRAY_COUNT(handlers); i++) {
        handlers[i](&rig.relay, &ev);
        ck_assert_uint_eq(io_counters(rig.rig.io)->stale, before + i + 1);
    }
    ev.data = (struct slice){NULL, 0};
    ev.result = new_socket();
    relay_on_accept(&rig.relay, &ev);
    ck_assert_uint_eq(io_counters(rig.rig.io)->stale, before + ARRAY_COUNT(handlers) + 1);
    ck_assert_int_eq(fcntl(ev.result, F_GETFD), -1);
    ck_assert_int_eq(send(fd, "NOOP\r\n", 6, 0), 6); /* whoever has the slot noticed nothing */
    assert_hears(fd, "250 ");
    close(fd);
    teardown();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {many_clients,        limits_are_answered_421, a_crowd,
                            stopping_in_a_crowd, out_of_descriptors,      stopping,
                            stopping_while_deaf, stale_completions};
    return testing_run("core/relay/listener", tests, ARRAY_COUNT(tests));
}
