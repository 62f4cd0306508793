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

#include "core/base/must.h"
#include "core/io/io.h"

#include <liburing.h>

enum {
    URING_NOTE = IO_KIND_COUNT,
    URING_DURABLE_WRITE,
    URING_DURABLE_SYNC,

    URING_DURABLE_MAX = 16, /* a spool has one group in flight; tests use some more */
    URING_REAP_MAX = 512,   /* events copied at once */
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

struct io {
    struct io_uring ring;
    const struct io_route *routes;
    void *ctx;
    struct clock_now now;
    uint64_t in_flight;
    struct io_counters counters;
    struct io_uring_buf_ring *buf_ring;
    size_t buf_ring_bytes;
    char *buffers;
    struct uring_durable durable[URING_DURABLE_MAX];
    struct uring_cqe reaped[URING_REAP_MAX];
};

static inline uint64_t uring_pack(unsigned kind, struct handle h)
{
    must(h.slot < POOL_SLOTS_MAX);
    return (uint64_t)kind << 56 | (uint64_t)h.slot << 32 | h.gen;
}

/* Gives what was prepared to the kernel. */
void uring_submit(struct io *io);

/* An entry of the submission queue, which is emptied when it is full. */
static inline struct io_uring_sqe *uring_sqe(struct io *io, uint64_t user_data)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&io->ring);
    while (!sqe) {
        uring_submit(io);
        sqe = io_uring_get_sqe(&io->ring);
    }
    sqe->user_data = user_data;
    io->counters.ops++;
    return sqe;
}

/* user_data is set after the prep call because older preps clear it. */
static inline void uring_tag(struct io *io, struct io_uring_sqe *sqe, struct io_tag tag)
{
    must(tag.kind > IO_KIND_NONE && tag.kind < IO_KIND_COUNT);
    sqe->user_data = uring_pack(tag.kind, tag.owner);
    io->in_flight++;
}

/* How results of this kind are read (kinds.h). */
enum io_decode uring_decode_of(enum io_kind kind);
/* Hands the event to its kind's handler. */
void uring_deliver(struct io *io, const struct io_event *ev);
/* uring_file.c: one half of a durable write has completed. */
void uring_on_durable(struct io *io, unsigned kind, const struct uring_cqe *cqe);

#endif
