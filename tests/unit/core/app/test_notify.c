/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/notify.h"
#include "tests/unit/core/base/testing.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* A service manager's socket: path, or an abstract name with '@' for the first byte. */
static int manager(const char *name, struct sockaddr_un *at)
{
    *at = (struct sockaddr_un){.sun_family = AF_UNIX};
    size_t n = strnlen(name, sizeof(at->sun_path) - 1);
    memcpy(at->sun_path, name, n);
    if (name[0] == '@') {
        at->sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)at,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)),
                     0);
    return fd;
}

static void check_told(int fd, const char *want)
{
    char text[512];
    ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
    ck_assert_int_gt(n, 0);
    text[n] = '\0';
    ck_assert_str_eq(text, want);
}

START_TEST(by_path_and_by_name)
{
    char path[64], name[64], variable[128];
    snprintf(path, sizeof(path), "/tmp/ringpost-notify-%d", (int)getpid());
    snprintf(name, sizeof(name), "@ringpost-notify-%d", (int)getpid());
    const char *const names[] = {path, name};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        struct sockaddr_un at;
        struct notify n;
        int fd = manager(names[i], &at);
        snprintf(variable, sizeof(variable), "NOTIFY_SOCKET=%s", names[i]);
        char *environment[] = {"A=b", variable, NULL};
        notify_open(&n, environment);
        ck_assert_int_ge(n.fd, 0);
        notify_say(&n, "READY=1\nSTATUS=%d ports", 3);
        notify_say(&n, "STOPPING=1");
        check_told(fd, "READY=1\nSTATUS=3 ports");
        check_told(fd, "STOPPING=1");
        notify_close(&n);
        ck_assert_int_eq(n.fd, -1);
        notify_say(&n, "READY=1"); /* nobody is there: nothing happens */
        ck_assert_int_lt(recv(fd, name, 0, MSG_DONTWAIT), 0);
        close(fd);
    }
    unlink(path);
}
END_TEST

/* A manager that does not read holds nobody up. */
START_TEST(never_waits)
{
    char variable[128];
    struct sockaddr_un at;
    struct notify n;
    snprintf(variable, sizeof(variable), "NOTIFY_SOCKET=@ringpost-full-%d", (int)getpid());
    int fd = manager(variable + sizeof("NOTIFY_SOCKET"), &at);
    char *environment[] = {variable, NULL};
    notify_open(&n, environment);
    for (int i = 0; i < 100000; i++) {
        notify_say(&n, "WATCHDOG=1");
    }
    check_told(fd, "WATCHDOG=1");
    close(fd);
    notify_say(&n, "WATCHDOG=1"); /* it has gone */
    notify_close(&n);
}
END_TEST

START_TEST(watchdog)
{
    char mine[32], other[32];
    snprintf(mine, sizeof(mine), "WATCHDOG_PID=%d", (int)getpid());
    snprintf(other, sizeof(other), "WATCHDOG_PID=%d", (int)getpid() + 1);
    const struct {
        char *usec, *pid;
        uint64_t want;
    } rows[] = {
        {"WATCHDOG_USEC=30000000", mine, 30000}, {"WATCHDOG_USEC=30000000", "X=", 30000},
        {"WATCHDOG_USEC=30000000", other, 0},    {"WATCHDOG_USEC=", mine, 0},
        {"WATCHDOG_USEC=-1", mine, 0},           {"Y=", mine, 0},
        {"WATCHDOG_USEC=1500000", mine, 1500},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct notify n;
        char *environment[] = {rows[i].usec, rows[i].pid, NULL};
        notify_open(&n, environment);
        ck_assert_int_eq(n.fd, -1);
        ck_assert_uint_eq(n.watchdog_ms, rows[i].want);
    }
}
END_TEST

START_TEST(odd_sockets)
{
    static char *const odd[] = {"NOTIFY_SOCKET=", "NOTIFY_SOCKET=@", "NOTIFY_SOCKET=relative",
                                "NOTIFY_SOCKET=/nowhere/at/all", "NOTIFY_SOCKET=vsock:2:1"};
    for (size_t i = 0; i < ARRAY_COUNT(odd); i++) {
        struct notify n;
        char *environment[] = {odd[i], NULL};
        notify_open(&n, environment);
        ck_assert_int_eq(n.fd, -1);
        notify_say(&n, "READY=1");
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {by_path_and_by_name, never_waits, watchdog, odd_sockets};
    return testing_run("notify", tests, ARRAY_COUNT(tests));
}
