/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The io_uring back end: set-up, waiting and dispatch.
 *
 * Set-up flags: SINGLE_ISSUER + DEFER_TASKRUN, so that completions are processed only when this
 * thread asks (io_wait), never in the middle of a handler; the ring descriptor is registered. NODROP
 * is required: a full completion queue delays, it never loses.
 *
 * Why single-shot receives from a shared buffer ring instead of multishot: an owner that must not read
 * on (its reply waits for the disk, its body for memory) simply does not start the next one, so
 * back-pressure needs no cancel and no copy; a restart costs one entry in a batch that is submitted
 * anyway. A buffer is taken only when data is there, so an idle connection holds none.
 */
#include "core/io/uring.h"
#include "core/base/trace.h"
#include "core/io/status.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
    URING_REAP_ROUNDS_MAX = 8, /* then the loop's other phases get their turn */
    URING_CQ_FACTOR = 4,
};

must_static((IO_RECV_BUFFERS & (IO_RECV_BUFFERS - 1)) == 0, "a buffer ring has a power of two");

/* EBUSY and EAGAIN mean that completions must be taken out of the kernel first; get_events does that, and
 * with NODROP a later submit succeeds. */
void uring_submit(struct io *io)
{
    int rc = io_uring_submit(&io->ring);
    must(rc >= 0 || rc == -EBUSY || rc == -EAGAIN || rc == -EINTR);
    io->counters.submits++;
    if (rc < 0) {
        io_uring_get_events(&io->ring);
    }
}

static int uring_open_buffers(struct io *io)
{
    io->buf_ring_bytes = IO_RECV_BUFFERS * sizeof(struct io_uring_buf);
    void *ring = mmap(NULL, io->buf_ring_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                      -1, 0);
    if (ring == MAP_FAILED) {
        return errno;
    }
    io->buf_ring = ring;
    io->buffers = aligned_alloc(4096, (size_t)IO_RECV_BUFFERS * IO_RECV_BUFFER_BYTES);
    if (!io->buffers) {
        return ENOMEM;
    }
    struct io_uring_buf_reg reg = {
        .ring_addr = (uint64_t)(uintptr_t)ring,
        .ring_entries = IO_RECV_BUFFERS,
        .bgid = URING_BUFFER_GROUP,
    };
    int rc = io_uring_register_buf_ring(&io->ring, &reg, 0);
    if (rc < 0) {
        return -rc;
    }
    io_uring_buf_ring_init(io->buf_ring);
    for (unsigned i = 0; i < IO_RECV_BUFFERS; i++) {
        io_uring_buf_ring_add(io->buf_ring, io->buffers + (size_t)i * IO_RECV_BUFFER_BYTES,
                              IO_RECV_BUFFER_BYTES, (unsigned short)i,
                              io_uring_buf_ring_mask(IO_RECV_BUFFERS), (int)i);
    }
    io_uring_buf_ring_advance(io->buf_ring, IO_RECV_BUFFERS);
    return 0;
}

static void uring_free(struct io *io)
{
    if (io->buf_ring) {
        munmap(io->buf_ring, io->buf_ring_bytes);
    }
    free(io->buffers);
    free(io);
}

struct io *io_open(unsigned entries, const struct io_route *routes, void *ctx, int *error)
{
    must(entries >= 2); /* a link needs two */
    struct io *io = calloc(1, sizeof(*io));
    if (!io) {
        *error = ENOMEM;
        return NULL;
    }
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE |
                 IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL,
        .cq_entries = entries * URING_CQ_FACTOR,
    };
    int rc = io_uring_queue_init_params(entries, &io->ring, &params);
    if (rc < 0) {
        *error = -rc;
        free(io);
        return NULL;
    }
    io_uring_register_ring_fd(
        &io->ring); /* saves a descriptor look-up per call; failing is harmless */
    *error = params.features & IORING_FEAT_NODROP ? uring_open_buffers(io) : ENOSYS;
    if (*error) {
        io_uring_queue_exit(&io->ring);
        uring_free(io);
        return NULL;
    }
    io->routes = routes;
    io->ctx = ctx;
    io->now = clock_read();
    return io;
}

void io_close(struct io *io)
{
    must(io->in_flight == 0);
    io_uring_queue_exit(&io->ring);
    uring_free(io);
}

uint64_t io_in_flight(const struct io *io)
{
    return io->in_flight;
}

const struct io_counters *io_counters(const struct io *io)
{
    return &io->counters;
}

void io_count_stale(struct io *io)
{
    io->counters.stale++;
}

const struct clock_now *io_now(const struct io *io)
{
    return &io->now;
}

/* ---- waiting and dispatch ---- */

void io_wait(struct io *io, uint64_t deadline_ms)
{
    io->now = clock_read();
    int rc;
    if (io_uring_cq_ready(&io->ring) || deadline_ms <= io->now.mono_ms) {
        rc = io_uring_submit_and_get_events(&io->ring);
    } else if (deadline_ms == UINT64_MAX) {
        rc = io_uring_submit_and_wait(&io->ring, 1);
    } else {
        uint64_t wait_ms = deadline_ms - io->now.mono_ms;
        struct __kernel_timespec ts = {.tv_sec = (long long)(wait_ms / 1000),
                                       .tv_nsec = (long long)(wait_ms % 1000) * 1000000};
        struct io_uring_cqe *cqe;
        rc = io_uring_submit_and_wait_timeout(&io->ring, &cqe, 1, &ts, NULL);
    }
    must(rc >= 0 || rc == -ETIME || rc == -EINTR || rc == -EBUSY || rc == -EAGAIN);
    io->counters.submits++;
    io->now = clock_read();
}

void uring_deliver(struct io *io, const struct io_event *ev)
{
    const struct io_route *route = &io->routes[ev->kind];
    must(route->done != NULL);
    io->counters.events++;
    trace_add(route->name, ev->owner.slot, (uint64_t)(uint32_t)ev->result);
    route->done(io->ctx, ev);
}

enum io_decode uring_decode_of(enum io_kind kind)
{
    static const enum io_decode decode_of[IO_KIND_COUNT] = {
#define X(kind, name, decode) [kind] = decode,
        IO_KINDS(X)
#undef X
    };
    must(kind < IO_KIND_COUNT);
    return decode_of[kind];
}

static void uring_decode(struct io_event *ev, int res)
{
    enum io_decode decode = uring_decode_of(ev->kind);
    if (res >= 0) {
        ev->status = res == 0 && decode == IO_DECODE_STREAM ? IO_EOF : IO_OK;
        ev->result = res;
        return;
    }
    ev->error = -res;
    ev->status = decode == IO_DECODE_FILE ? io_status_of_file(-res) : io_status_of_socket(-res);
    if (decode == IO_DECODE_STREAM && res == -ENOBUFS) {
        ev->status = IO_RETRY;
    }
}

static void uring_on_plain(struct io *io, const struct uring_cqe *cqe)
{
    struct io_event ev = {
        .kind = (enum io_kind)(cqe->user_data >> 56),
        .owner = {(uint32_t)(cqe->user_data >> 32) & (POOL_SLOTS_MAX - 1),
                  (uint32_t)cqe->user_data},
        .more = (cqe->flags & IORING_CQE_F_MORE) != 0,
    };
    must(ev.kind < IO_KIND_COUNT);
    if (ev.kind == IO_KIND_MAILBOX) {
        io->in_flight++; /* sent by another ring: not an operation of ours */
    }
    if (!ev.more) {
        must(io->in_flight > 0);
        io->in_flight--;
    }
    uring_decode(&ev, cqe->res);
    if (!(cqe->flags & IORING_CQE_F_BUFFER)) {
        if (ev.error == ENOBUFS && ev.status == IO_RETRY) {
            io->counters.recv_no_buffer++;
        }
        uring_deliver(io, &ev);
        return;
    }
    unsigned short id = (unsigned short)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
    must(id < IO_RECV_BUFFERS);
    char *buffer = io->buffers + (size_t)id * IO_RECV_BUFFER_BYTES;
    if (cqe->res > 0) {
        ev.data = slice_of(buffer, (size_t)cqe->res);
    }
    uring_deliver(io, &ev);
    io_uring_buf_ring_add(io->buf_ring, buffer, IO_RECV_BUFFER_BYTES, id,
                          io_uring_buf_ring_mask(IO_RECV_BUFFERS), 0);
    io_uring_buf_ring_advance(io->buf_ring, 1);
}

static void uring_on_cqe(struct io *io, const struct uring_cqe *cqe)
{
    unsigned kind = (unsigned)(cqe->user_data >> 56);
    switch (kind) {
    case URING_NOTE:
        break;
    case URING_DURABLE_WRITE:
    case URING_DURABLE_SYNC:
        uring_on_durable(io, kind, cqe);
        break;
    default:
        uring_on_plain(io, cqe);
        break;
    }
}

unsigned io_dispatch(struct io *io)
{
    unsigned total = 0;
    for (int round = 0; round < URING_REAP_ROUNDS_MAX; round++) {
        unsigned head, n = 0;
        struct io_uring_cqe *cqe;
        io_uring_for_each_cqe(&io->ring, head, cqe)
        {
            if (n == URING_REAP_MAX) {
                break;
            }
            io->reaped[n++] = (struct uring_cqe){cqe->user_data, cqe->res, cqe->flags};
        }
        io_uring_cq_advance(&io->ring, n);
        for (unsigned i = 0; i < n; i++) {
            uring_on_cqe(io, &io->reaped[i]);
        }
        total += n;
        if (n < URING_REAP_MAX) {
            break;
        }
    }
    return total;
}

/* ---- cancelling, waking ---- */

void io_cancel(struct io *io, struct io_tag tag)
{
    struct io_uring_sqe *sqe = uring_sqe(io, 0);
    io_uring_prep_cancel64(sqe, uring_pack(tag.kind, tag.owner), 0);
    sqe->user_data = uring_pack(URING_NOTE, HANDLE_NONE);
}

int io_wake_fd(const struct io *io)
{
    return io->ring.ring_fd;
}

void io_wake(struct io *io, int target_wake_fd)
{
    struct io_uring_sqe *sqe = uring_sqe(io, 0);
    io_uring_prep_msg_ring(sqe, target_wake_fd, 1, uring_pack(IO_KIND_MAILBOX, HANDLE_NONE), 0);
    sqe->user_data = uring_pack(URING_NOTE, HANDLE_NONE);
}
