/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/io/signals.h"
#include "tests/unit/core/io/ring.h"

#include <pthread.h>
#include <sys/resource.h>

static void *send_me(void *arg)
{
    kill(getpid(), *(const int *)arg);
    return NULL;
}

/* Blocked for every thread that is made afterwards: they come one by one, through the descriptor. */
START_TEST(signals_are_read)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    int fd = signals_open();
    ck_assert_int_ge(fd, 0);
    ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    ck_assert_int_eq(signals_read(fd), 0); /* none: it does not wait */
    for (size_t i = 0; i < ARRAY_COUNT(signals); i++) {
        pthread_t thread;
        int number = signals[i];
        ck_assert_int_eq(pthread_create(&thread, NULL, send_me, &number), 0);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        ck_assert_int_eq(signals_read(fd), number);
        ck_assert_int_eq(signals_read(fd), 0);
    }
    kill(getpid(), SIGTERM);
    kill(getpid(), SIGHUP);
    int first = signals_read(fd), second = signals_read(fd);
    ck_assert_int_eq(first + second, SIGTERM + SIGHUP);
    ck_assert_int_eq(signals_read(fd), 0);
    close(fd);
}
END_TEST

/* The engine waits for them on the ring. */
START_TEST(a_ring_can_wait_for_them)
{
    static struct ring ring;
    int fd = signals_open();
    ring_open(&ring, 8);
    io_poll(ring.io, ring_tag(IO_KIND_SIGNAL, 0), fd, POLLIN);
    ring_peek(&ring);
    ck_assert_uint_eq(ring.count, 0);
    kill(getpid(), SIGHUP);
    struct io_event ev = ring_next(&ring);
    ring_assert(ev, IO_OK, 0);
    ck_assert_int_eq(signals_read(fd), SIGHUP);
    ring_close(&ring);
    close(fd);
}
END_TEST

static void write_too_far(void *ctx)
{
    const bool *ours = ctx;
    struct rlimit none = {0, RLIM_INFINITY};
    int file = ring_file(), fds[2];
    ring_pair(fds);
    close(fds[1]);
    if (*ours && signals_open() < 0) {
        _exit(2);
    }
    setrlimit(RLIMIT_FSIZE, &none);
    if (write(fds[0], "x", 1) != -1 || errno != EPIPE) {
        _exit(3);
    }
    if (pwrite(file, "x", 1, 0) != -1 || errno != EFBIG) {
        _exit(4);
    }
}

/* Neither a lost client nor a limit on file sizes ends the process; without us the first one would. */
START_TEST(errors_instead_of_death)
{
    char said[256];
    bool ours = true;
    int status = testing_child(write_too_far, &ours, said, sizeof(said));
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x: %s", status, said);
    ours = false;
    status = testing_child(write_too_far, &ours, said, sizeof(said));
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {signals_are_read, a_ring_can_wait_for_them, errors_instead_of_death};
    return ring_run("core/io/signals", tests, ARRAY_COUNT(tests));
}
