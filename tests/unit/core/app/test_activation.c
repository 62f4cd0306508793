/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/activation.h"
#include "core/io/net.h"
#include "tests/unit/core/base/testing.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum { FIRST = 200 };

static struct ip_endpoint where(int fd)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    struct ip_endpoint at;
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    ck_assert(ip_endpoint_from_sockaddr((struct sockaddr *)&sa, len, &at));
    return at;
}

/* A listener at a port of the kernel's choice, as descriptor fd, not blocking. */
static struct ip_endpoint listen_as(int fd)
{
    struct ip_endpoint at;
    ck_assert(ip_endpoint_parse(SLICE("127.0.0.1:0"), 0, &at) ||
              ip_endpoint_parse(SLICE("127.0.0.1"), 1, &at));
    at.port = 0;
    int made = net_listen(&at, 1);
    ck_assert_int_ge(made, 0);
    ck_assert_int_eq(dup2(made, fd), fd);
    close(made);
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return where(fd);
}

struct given {
    char pid[32], fds[32], names[64];
    char *environment[4];
};

static void give(struct given *g, pid_t pid, const char *fds, const char *names)
{
    snprintf(g->pid, sizeof(g->pid), "LISTEN_PID=%d", (int)pid);
    snprintf(g->fds, sizeof(g->fds), "LISTEN_FDS=%s", fds);
    snprintf(g->names, sizeof(g->names), "LISTEN_FDNAMES=%s", names);
    g->environment[0] = g->pid;
    g->environment[1] = g->fds;
    g->environment[2] = g->names;
    g->environment[3] = NULL;
}

static bool read_given(struct activation *a, const struct given *g, struct buf *error)
{
    buf_init(error, 1024);
    bool ok = activation_read(a, g->environment, FIRST, error);
    buf_deinit(error);
    return ok;
}

START_TEST(by_address_and_by_name)
{
    struct activation a;
    struct given g;
    struct buf error;
    struct ip_endpoint first = listen_as(FIRST), second = listen_as(FIRST + 1),
                       third = listen_as(FIRST + 2), at;
    give(&g, getpid(), "3", "smtp:587:spare");
    ck_assert(read_given(&a, &g, &error));
    ck_assert_uint_eq(a.count, 3);
    struct ip_endpoint named = {first.addr, 587}, nobody = {first.addr, 588};
    ck_assert_int_eq(activation_take(&a, &nobody), -1);
    ck_assert_int_eq(activation_take(&a, &named), FIRST + 1);
    ck_assert_int_eq(activation_take(&a, &named), -1); /* taken */
    ck_assert_int_eq(activation_take(&a, &second), -1);
    ck_assert_int_eq(activation_take(&a, &first), FIRST);
    ck_assert_int_eq(fcntl(FIRST, F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(fcntl(FIRST, F_GETFL) & O_NONBLOCK, 0);
    ck_assert(activation_drop(&a, &at));
    ck_assert(ip_endpoint_eq(&at, &third));
    ck_assert_int_eq(fcntl(FIRST + 2, F_GETFD), -1); /* closed */
    ck_assert(!activation_drop(&a, &at));
    close(FIRST);
    close(FIRST + 1);
}
END_TEST

START_TEST(for_somebody_else)
{
    struct activation a;
    struct given g;
    struct buf error;
    char *nothing[] = {NULL};
    listen_as(FIRST);
    give(&g, getpid() + 1, "1", "");
    ck_assert(read_given(&a, &g, &error));
    ck_assert_uint_eq(a.count, 0);
    ck_assert_int_eq(fcntl(FIRST, F_GETFD), 0); /* untouched */
    give(&g, getpid(), "", "");
    ck_assert(read_given(&a, &g, &error));
    ck_assert_uint_eq(a.count, 0);
    buf_init(&error, 64);
    ck_assert(activation_read(&a, nothing, FIRST, &error));
    ck_assert(activation_read(&a, NULL, FIRST, &error));
    close(FIRST);
}
END_TEST

START_TEST(no_names)
{
    struct activation a;
    struct given g;
    struct buf error;
    struct ip_endpoint at = listen_as(FIRST);
    give(&g, getpid(), "1", "");
    g.environment[2] = NULL;
    ck_assert(read_given(&a, &g, &error));
    ck_assert_int_eq(activation_take(&a, &at), FIRST);
    close(FIRST);
}
END_TEST

START_TEST(what_is_no_listener_is_refused)
{
    static const struct {
        int family, type;
    } rows[] = {{AF_INET, SOCK_STREAM}, {AF_INET, SOCK_DGRAM}, {AF_UNIX, SOCK_STREAM}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct activation a;
        struct given g;
        struct buf error;
        int made = socket(rows[i].family, rows[i].type, 0);
        ck_assert_int_eq(dup2(made, FIRST), FIRST);
        close(made);
        give(&g, getpid(), "1", "x");
        buf_init(&error, 1024);
        ck_assert(!activation_read(&a, g.environment, FIRST, &error));
        ck_assert(slice_starts_nocase(buf_slice(&error),
                                      SLICE("descriptor 200 of LISTEN_FDS (\"x\") is not")));
        buf_deinit(&error);
        close(FIRST);
    }
    struct activation a;
    struct given g;
    struct buf error;
    give(&g, getpid(), "1", ""); /* nothing there */
    ck_assert(!read_given(&a, &g, &error));
    give(&g, getpid(), "65", "");
    ck_assert(!read_given(&a, &g, &error));
    give(&g, getpid(), "99999999999999999999", "");
    ck_assert(read_given(&a, &g, &error)); /* no number */
    ck_assert_uint_eq(a.count, 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {by_address_and_by_name, for_somebody_else, no_names,
                                  what_is_no_listener_is_refused};
    return testing_run("activation", tests, ARRAY_COUNT(tests));
}
