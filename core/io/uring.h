/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * uring - what the files of the io_uring back end share
 *
 * Purpose:   core/io/uring.c is the ring (set-up, waiting, dispatch), uring_socket.c and uring_file.c
 *            start the operations of io.h. Nobody else includes this; liburing is included nowhere else.
 * Owner:     the worker that called io_open.
 * Thread:    the same.
 * user_data: kind (8) | slot (24) | generation (32). Kinds from IO_KIND_COUNT up are the back end's own:
 *            URING_NOTE      a request without an event (cancel, wake): only counted
 *            URING_DURABLE_* the two halves of io_write_durable, slot = index in durable[]
 */
#ifndef RINGPOST_IO_URING_H
#define RINGPOST_IO_URING_H

#include "core/io/backend.h"

#include <liburing.h>

enum {
    URING_NOTE = IO_KIND_COUNT,
    URING_DURABLE_WRITE,
    URING_DURABLE_SYNC,

    URING_REAP_MAX = 512, /* events copied at once */
    URING_BUFFER_GROUP = 0,
};

must_static(URING_DURABLE_SYNC < 256, "a kind is one byte");

struct uring_durable {
    struct io_tag tag;
    int fd;
    const char *ptr;
    size_t left;
    uint64_t offset;
    int write_res;
    int sync_res;
    unsigned pending; /* completions still to come; 0 = free */
};

struct uring_cqe {
    uint64_t user_data;
    int32_t res;
    uint32_t flags;
};

struct uring {
    struct io io; /* first */
    struct io_uring ring;
    struct io_uring_buf_ring *buf_ring;
    size_t buf_ring_bytes;
    char *buffers;
    struct uring_durable durable[IO_DURABLE_WRITES_MAX];
    struct uring_cqe reaped[URING_REAP_MAX];
};

static inline struct uring *uring_of(struct io *io)
{
    return container_of(io, struct uring, io);
}

static inline uint64_t uring_pack(unsigned kind, struct handle h)
{
    must(h.slot < POOL_SLOTS_MAX);
    return (uint64_t)kind << 56 | (uint64_t)h.slot << 32 | h.gen;
}

/* Gives what was prepared to the kernel. */
void uring_submit(struct uring *u);

/* An entry of the submission queue, which is emptied when it is full. */
static inline struct io_uring_sqe *uring_sqe(struct uring *u)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    while (!sqe) {
        uring_submit(u);
        sqe = io_uring_get_sqe(&u->ring);
    }
    u->io.counters.ops++;
    return sqe;
}

/* user_data is set after the prep call because older preps clear it. */
static inline void uring_tag(struct io_uring_sqe *sqe, struct io_tag tag)
{
    sqe->user_data = uring_pack(tag.kind, tag.owner);
}

/* uring_file.c: one half of a durable write has completed. */
void uring_on_durable(struct uring *u, unsigned kind, const struct uring_cqe *cqe);

/* ---- the operations of struct io_backend: uring_socket.c, uring_file.c ---- */

void uring_accept(struct io *io, struct io_tag tag, int listen_fd);
void uring_connect(struct io *io, struct io_tag tag, int fd, const struct sockaddr *addr,
                   socklen_t len);
void uring_recv(struct io *io, struct io_tag tag, int fd);
void uring_send(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len);
void uring_sendmsg(struct io *io, struct io_tag tag, int fd, const struct msghdr *msg);
void uring_poll(struct io *io, struct io_tag tag, int fd, unsigned poll_events);
void uring_openat(struct io *io, struct io_tag tag, int dir_fd, const char *path, int flags,
                  unsigned mode);
void uring_read(struct io *io, struct io_tag tag, int fd, void *ptr, size_t len, uint64_t offset);
void uring_write(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len,
                 uint64_t offset);
void uring_write_durable(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len,
                         uint64_t offset);
void uring_fallocate(struct io *io, struct io_tag tag, int fd, uint64_t offset, uint64_t len);
void uring_fsync(struct io *io, struct io_tag tag, int fd, bool data_only);
void uring_close_fd(struct io *io, struct io_tag tag, int fd);

#endif
