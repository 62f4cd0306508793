/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ring - operations that the engine has in the simulated kernel
 *
 * Purpose:   ring.c is the twin of core/io/uring*.c: what was started waits until io_wait, then belongs to the
 *            kernel; net.c and the disk decide when and how it ends; its event waits until io_dispatch. A
 *            crash may come at each of these places.
 * Owner:     the world. An operation is named by a reference (slot and generation), 0: none.
 * Thread:    the only one.
 * Errors:    memory handed to the kernel that changes before its event is a failure of the run.
 */
#ifndef RINGPOST_TESTS_SIM_RING_H
#define RINGPOST_TESTS_SIM_RING_H

#include "core/io/io.h"
#include "tests/sim/disk.h"

enum ring_type {
    RING_ACCEPT,
    RING_CONNECT,
    RING_RECV,
    RING_SEND,
    RING_CLOSE,
    RING_READ,
    RING_WRITE,
    RING_WRITE_DURABLE,
    RING_FALLOCATE,
    RING_FSYNC,
};

enum ring_state { RING_FREE, RING_QUEUED, RING_KERNEL, RING_DONE };

typedef uint32_t ring_ref;

extern const struct io_backend ring_backend;

struct ring_op {
    uint16_t gen;
    enum ring_state state;
    enum ring_type type;
    struct io *io;
    struct io_tag tag;
    int fd;
    const void *ptr; /* SEND, WRITE: what goes out; READ: where it goes (it is ours meanwhile) */
    size_t len;
    size_t done; /* SEND, WRITE_DURABLE: so much is through */
    uint64_t offset;
    const struct msghdr *msg; /* sendmsg; else NULL */
    uint64_t sum;             /* of the memory that goes out */
    struct sockaddr_storage addr;
    bool scheduled; /* its end is on the agenda */
    bool cancel;    /* wished */
};

/* NULL: it has ended. */
struct ring_op *ring_op(ring_ref ref);
ring_ref ring_ref_of(const struct ring_op *op);

/* The operation has ended: bytes, a descriptor, 0 or a negative errno. data: of a recv, copied. */
void ring_end(struct ring_op *op, int result, const void *data);
/* An event of a multishot operation that goes on. */
void ring_tell(struct ring_op *op, int result);

/* Copies len bytes at `from` of what a send sends. */
void ring_gather(const struct ring_op *op, size_t from, void *to, size_t len);

/* The scheduler's questions about the ring of a worker. */
bool ring_has_events(unsigned worker);
/* What io_wait does before it sleeps: the kernel gets what was started. */
void ring_submit(unsigned worker);
void ring_crash(enum disk_crash how); /* writes in the kernel end half done; all rings are gone */
/* Writes in the kernel, upon the disk in use (a probe's copy). */
void ring_crash_writes(enum disk_crash how);
unsigned ring_ops_open(void);
/* Fails when an operation upon fd is under way. */
void ring_check_closed(int fd);

#endif
