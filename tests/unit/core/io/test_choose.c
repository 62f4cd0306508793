/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The trial of every operation: what works passes, and each single operation that is refused, does something
 * else or never ends is found and named. (System calls that are refused: tests/e2e/test_io_epoll.py.)
 */
#include "core/io/backend.h"
#include "tests/unit/core/io/ring.h"

/* Started in place of another operation: ends at once with EBADF. */
static void instead(struct io *io, struct io_tag tag)
{
    io_backend_epoll.close_fd(io, tag, -1);
}

static void no_poll(struct io *io, struct io_tag tag, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    instead(io, tag);
}

static void no_fd(struct io *io, struct io_tag tag, int fd)
{
    (void)fd;
    instead(io, tag);
}

static void no_send(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len)
{
    (void)fd;
    (void)ptr;
    (void)len;
    instead(io, tag);
}

static void no_sendmsg(struct io *io, struct io_tag tag, int fd, const struct msghdr *msg)
{
    (void)fd;
    (void)msg;
    instead(io, tag);
}

static void no_connect(struct io *io, struct io_tag tag, int fd, const struct sockaddr *addr,
                       socklen_t len)
{
    (void)fd;
    (void)addr;
    (void)len;
    instead(io, tag);
}

static void no_read(struct io *io, struct io_tag tag, int fd, void *ptr, size_t len,
                    uint64_t offset)
{
    (void)ptr;
    (void)len;
    (void)offset;
    no_fd(io, tag, fd);
}

static void no_write(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len,
                     uint64_t offset)
{
    (void)offset;
    no_send(io, tag, fd, ptr, len);
}

/* A durable write that does not take itself off the count is no back end: a failing descriptor is. */
static void no_durable(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len,
                       uint64_t offset)
{
    (void)fd;
    io_backend_epoll.write_durable(io, tag, -1, ptr, len, offset);
}

static void no_fallocate(struct io *io, struct io_tag tag, int fd, uint64_t offset, uint64_t len)
{
    (void)offset;
    (void)len;
    no_fd(io, tag, fd);
}

static void no_fsync(struct io *io, struct io_tag tag, int fd, bool data_only)
{
    (void)data_only;
    no_fd(io, tag, fd);
}

static void no_cancel(struct io *io, struct io_tag tag)
{
    (void)io;
    (void)tag;
}

static void no_wake(struct io *io, int target_wake_fd)
{
    (void)io;
    (void)target_wake_fd;
}

static struct io *no_open(unsigned entries, int *error)
{
    (void)entries;
    *error = EPERM;
    return NULL;
}

static const struct {
    const char *operation;
    int error;
    struct io_backend with; /* what is not NULL replaces epoll's */
} rows[] = {
    {"set-up", EPERM, {.open = no_open}},
    {"poll", EBADF, {.poll = no_poll}},
    {"cancel", ETIMEDOUT, {.cancel = no_cancel}},
    {"send", EBADF, {.send = no_send}},
    {"recv", EBADF, {.recv = no_fd}},
    {"sendmsg", EBADF, {.sendmsg = no_sendmsg}},
    {"connect", EBADF, {.connect = no_connect}},
    {"accept", EBADF, {.accept = no_fd}},
    {"wake", ETIMEDOUT, {.wake = no_wake}},
    {"write", EBADF, {.write = no_write}},
    {"write and fdatasync", EBADF, {.write_durable = no_durable}},
    {"read", EBADF, {.read = no_read}},
    {"fallocate", EBADF, {.fallocate = no_fallocate}},
    {"fsync", EBADF, {.fsync = no_fsync}},
    {"close", EBADF, {.close_fd = no_fd}},
};

/* The table seen as what it is: pointers. */
static struct io_backend replaced(const struct io_backend *with)
{
    typedef void (*any)(void);
    enum { ROWS = sizeof(struct io_backend) / sizeof(any) };
    struct io_backend out = io_backend_epoll;
    any to[ROWS], from[ROWS];
    memcpy(to, &out, sizeof(out));
    memcpy(from, with, sizeof(*with));
    for (size_t i = 0; i < ROWS; i++) {
        to[i] = from[i] ? from[i] : to[i];
    }
    memcpy(&out, to, sizeof(out));
    return out;
}

START_TEST(a_single_operation_that_is_refused_is_named)
{
    struct io_backend backend = replaced(&rows[_i].with);
    struct io_refusal r = io_try(&backend, 64);
    ck_assert_ptr_nonnull(r.operation);
    ck_assert_str_eq(r.operation, rows[_i].operation);
    ck_assert_int_eq(r.error, rows[_i].error);
}
END_TEST

START_TEST(what_works_passes)
{
    int before = dup(0);
    struct io_refusal r = io_try(ring_backend, 4096);
    ck_assert_msg(r.operation == NULL, "%s: %s", r.operation, strerror(r.error));
    close(before);
    int after = dup(0);
    ck_assert_int_eq(after, before); /* nothing is left open */
    close(after);
}
END_TEST

START_TEST(what_is_wanted_is_chosen)
{
    struct io_choice epoll = io_choose(IO_WANT_EPOLL, 64);
    ck_assert_ptr_eq(epoll.backend, &io_backend_epoll);
    ck_assert_ptr_null(epoll.refusal.operation);
    ck_assert_str_eq(io_backend_name(epoll.backend), "epoll");
    struct io_refusal refused = io_try(&io_backend_uring, 64);
    ck_assert_int_eq(refused.error, testing_ring_refusal()); /* io_uring works where it may */
    ck_assert((refused.operation != NULL) == (refused.error != 0));
    struct io_choice best = io_choose(IO_WANT_AUTO, 64);
    ck_assert_ptr_eq(best.backend, refused.operation ? &io_backend_epoll : &io_backend_uring);
    struct io_choice uring = io_choose(IO_WANT_URING, 64);
    ck_assert_ptr_eq(uring.backend, refused.operation ? NULL : &io_backend_uring);
}
END_TEST

START_TEST(nothing_works_without_descriptors)
{
    struct rlimit before, none;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){0, before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct io_choice c = io_choose(IO_WANT_AUTO, 64);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_ptr_null(c.backend);
    ck_assert_int_eq(c.refusal.error, EMFILE);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {what_works_passes, what_is_wanted_is_chosen,
                            nothing_works_without_descriptors};
    int status = ring_run("core/io/choose", tests, ARRAY_COUNT(tests));
    Suite *suite = suite_create("core/io/choose, refused");
    TCase *tc = tcase_create("refused");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, a_single_operation_that_is_refused_is_named, 0, (int)ARRAY_COUNT(rows));
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    status = srunner_ntests_failed(runner) ? EXIT_FAILURE : status;
    srunner_free(runner);
    return status;
}
