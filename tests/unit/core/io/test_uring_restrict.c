/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the engine's rings refuse. Rings of our own: io.h has no word for what is forbidden.
 */
#include "core/io/choose.h"
#include "core/io/uring.h"
#include "core/io/uring_restrict.h"
#include "tests/unit/core/base/testing.h"
#include "tests/unit/core/io/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>

static void ring_open(struct io_uring *ring)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED};
    ck_assert_int_eq(io_uring_queue_init_params(8, ring, &params), 0);
}

static int result_of(struct io_uring *ring, struct io_uring_sqe *prepared)
{
    struct io_uring_cqe *cqe;
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    ck_assert_ptr_nonnull(sqe);
    *sqe = *prepared;
    ck_assert_int_ge(io_uring_submit_and_wait(ring, 1), 0);
    ck_assert_int_eq(io_uring_peek_cqe(ring, &cqe), 0);
    int result = cqe->res;
    io_uring_cqe_seen(ring, cqe);
    return result;
}

START_TEST(operations)
{
    static const struct {
        uint8_t opcode;
        bool allowed;
    } rows[] = {
        {IORING_OP_NOP, true},           {IORING_OP_READ, true},
        {IORING_OP_FSYNC, true},         {IORING_OP_SEND, true},
        {IORING_OP_UNLINKAT, false},     {IORING_OP_RENAMEAT, false},
        {IORING_OP_SYMLINKAT, false},    {IORING_OP_LINKAT, false},
        {IORING_OP_MKDIRAT, false},      {IORING_OP_OPENAT2, false},
        {IORING_OP_SOCKET, false},       {IORING_OP_SPLICE, false},
        {IORING_OP_EPOLL_CTL, false},    {IORING_OP_URING_CMD, false},
        {IORING_OP_SETXATTR, false},     {IORING_OP_PROVIDE_BUFFERS, false},
        {IORING_OP_FILES_UPDATE, false}, {IORING_OP_MADVISE, false},
        {IORING_OP_STATX, false},        {IORING_OP_READV, false},
    };
    struct io_uring ring;
    ring_open(&ring);
    ck_assert_int_eq(uring_restrict(&ring), 0);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct io_uring_sqe sqe = {.opcode = rows[i].opcode, .fd = -1};
        int result = result_of(&ring, &sqe);
        ck_assert_msg((result != -EACCES) == rows[i].allowed, "operation %u: %d", rows[i].opcode,
                      result);
    }
    io_uring_queue_exit(&ring);
}
END_TEST

/* Neither the credentials of others nor files of a table, and no way to ask for them. */
START_TEST(flags_and_registering)
{
    struct io_uring ring;
    struct io_uring_restriction again = {.opcode = IORING_RESTRICTION_SQE_OP,
                                         .sqe_op = IORING_OP_SOCKET};
    ring_open(&ring);
    ck_assert_int_eq(uring_restrict(&ring), 0);
    struct io_uring_sqe drain = {.opcode = IORING_OP_NOP, .flags = IOSQE_IO_DRAIN};
    struct io_uring_sqe fixed = {.opcode = IORING_OP_READ, .flags = IOSQE_FIXED_FILE};
    struct io_uring_sqe skip = {.opcode = IORING_OP_NOP, .flags = IOSQE_ASYNC};
    ck_assert_int_eq(result_of(&ring, &drain), -EACCES);
    ck_assert_int_eq(result_of(&ring, &fixed), -EACCES);
    ck_assert_int_eq(result_of(&ring, &skip), -EACCES);
    unsigned fd = (unsigned)ring.ring_fd;
    ck_assert_int_eq(io_uring_register(fd, IORING_REGISTER_PERSONALITY, NULL, 0), -EACCES);
    ck_assert_int_eq(io_uring_register(fd, IORING_REGISTER_RESTRICTIONS, &again, 1), -EACCES);
    int files[1] = {0};
    ck_assert_int_eq(io_uring_register(fd, IORING_REGISTER_FILES, files, 1), -EACCES);
    io_uring_queue_exit(&ring);
}
END_TEST

/* The engine's own: io_open. */
START_TEST(the_rings_of_io_are_restricted)
{
    static const struct io_route routes[IO_KIND_COUNT] = {{0}};
    int error = 0;
    struct io *io = io_open(&io_backend_uring, 8, routes, NULL, &error);
    ck_assert_ptr_nonnull(io);
    ck_assert_int_eq(io_uring_register((unsigned)io_wake_fd(io), IORING_REGISTER_PERSONALITY, NULL,
                                       0),
                     -EACCES);
    io_close(io);
}
END_TEST

/* ./dev test --io eperm: no ring, and the reason. */
START_TEST(no_ring_where_it_is_refused)
{
    static const struct io_route routes[IO_KIND_COUNT] = {{0}};
    int error = 0;
    ck_assert_ptr_null(io_open(&io_backend_uring, 8, routes, NULL, &error));
    ck_assert_int_eq(error, testing_ring_refusal());
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {operations, flags_and_registering,
                                  the_rings_of_io_are_restricted};
    const TTest *const refused[] = {no_ring_where_it_is_refused};
    return testing_ring_refusal() ? testing_run("uring_restrict", refused, ARRAY_COUNT(refused))
                                  : testing_run("uring_restrict", tests, ARRAY_COUNT(tests));
}
