/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * By io_uring_register: liburing 2.3 declares the two functions for it and does not export them.
 */
#include "core/io/uring_restrict.h"
#include "core/io/uring.h"

/* What uring_socket.c, uring_file.c and uring.c prepare. Waiting with a deadline is an argument of the wait. */
static const uint8_t operations[] = {
    IORING_OP_NOP,      IORING_OP_ACCEPT,    IORING_OP_CONNECT,  IORING_OP_RECV,
    IORING_OP_SEND,     IORING_OP_SENDMSG,   IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL,
    IORING_OP_MSG_RING, IORING_OP_OPENAT,    IORING_OP_READ,     IORING_OP_WRITE,
    IORING_OP_FSYNC,    IORING_OP_FALLOCATE, IORING_OP_CLOSE,
};

int uring_restrict(struct io_uring *ring)
{
    enum { COUNT = ARRAY_COUNT(operations) };
    struct io_uring_restriction rules[COUNT + 2] = {{0}};
    for (unsigned i = 0; i < COUNT; i++) {
        rules[i].opcode = IORING_RESTRICTION_SQE_OP;
        rules[i].sqe_op = operations[i];
    }
    rules[COUNT].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
    rules[COUNT].sqe_flags = IOSQE_IO_LINK | IOSQE_BUFFER_SELECT;
    rules[COUNT + 1].opcode = IORING_RESTRICTION_REGISTER_OP; /* at the ring's end */
    rules[COUNT + 1].register_op = IORING_UNREGISTER_RING_FDS;
    unsigned fd = (unsigned)ring->ring_fd;
    int rc = io_uring_register(fd, IORING_REGISTER_RESTRICTIONS, rules, COUNT + 2);
    return rc < 0 ? rc : io_uring_register(fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}
