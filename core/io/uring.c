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
#include "core/io/uring_restrict.h"
#include "core/io/choose.h"

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
void uring_submit(struct uring *u)
{
    int rc = io_uring_submit(&u->ring);
    must(rc >= 0 || rc == -EBUSY || rc == -EAGAIN || rc == -EINTR);
    u->io.counters.submits++;
    if (rc < 0) {
        io_uring_get_events(&u->ring);
    }
}

static int uring_open_buffers(struct uring *u)
{
    u->buf_ring_bytes = IO_RECV_BUFFERS * sizeof(struct io_uring_buf);
    void *ring = mmap(NULL, u->buf_ring_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                      -1, 0);
    if (ring == MAP_FAILED) {
        return errno;
    }
    u->buf_ring = ring;
    u->buffers = aligned_alloc(4096, (size_t)IO_RECV_BUFFERS * IO_RECV_BUFFER_BYTES);
    if (!u->buffers) {
        return ENOMEM;
    }
    struct io_uring_buf_reg reg = {
        .ring_addr = (uint64_t)(uintptr_t)ring,
        .ring_entries = IO_RECV_BUFFERS,
        .bgid = URING_BUFFER_GROUP,
    };
    int rc = io_uring_register_buf_ring(&u->ring, &reg, 0);
    if (rc < 0) {
        return -rc;
    }
    io_uring_buf_ring_init(u->buf_ring);
    for (unsigned i = 0; i < IO_RECV_BUFFERS; i++) {
        io_uring_buf_ring_add(u->buf_ring, u->buffers + (size_t)i * IO_RECV_BUFFER_BYTES,
                              IO_RECV_BUFFER_BYTES, (unsigned short)i,
                              io_uring_buf_ring_mask(IO_RECV_BUFFERS), (int)i);
    }
    io_uring_buf_ring_advance(u->buf_ring, IO_RECV_BUFFERS);
    return 0;
}

static void uring_free(struct uring *u)
{
    if (u->buf_ring) {
        munmap(u->buf_ring, u->buf_ring_bytes);
    }
    free(u->buffers);
    free(u);
}

/* Set-up may be allowed and entering not: one operation that does nothing tells. 0 or an errno. */
static int uring_enter_once(struct uring *u)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    io_uring_prep_nop(sqe);
    int rc;
    do {
        rc = io_uring_submit_and_wait(&u->ring, 1);
    } while (rc == -EINTR);
    if (rc < 0) {
        return -rc;
    }
    struct io_uring_cqe *cqe;
    rc = io_uring_peek_cqe(&u->ring, &cqe);
    if (rc < 0 || cqe->res < 0) {
        return rc < 0 ? -rc : -cqe->res;
    }
    io_uring_cqe_seen(&u->ring, cqe);
    return 0;
}

static struct io *uring_open(unsigned entries, int *error)
{
    struct uring *u = calloc(1, sizeof(*u));
    if (!u) {
        *error = ENOMEM;
        return NULL;
    }
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE |
                 IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_R_DISABLED,
        .cq_entries = entries * URING_CQ_FACTOR,
    };
    int rc = io_uring_queue_init_params(entries, &u->ring, &params);
    if (rc < 0) {
        *error = -rc;
        free(u);
        return NULL;
    }
    io_uring_register_ring_fd(
        &u->ring); /* saves a descriptor look-up per call; failing is harmless */
    *error = params.features & IORING_FEAT_NODROP ? uring_open_buffers(u) : ENOSYS;
    *error = *error ? *error : -uring_restrict(&u->ring);
    *error = *error ? *error : uring_enter_once(u);
    if (*error) {
        io_uring_queue_exit(&u->ring);
        uring_free(u);
        return NULL;
    }
    return &u->io;
}

static void uring_close(struct io *io)
{
    struct uring *u = uring_of(io);
    io_uring_queue_exit(&u->ring);
    uring_free(u);
}

/* ---- waiting and dispatch ---- */

static void uring_wait(struct io *io, uint64_t deadline_ms)
{
    struct uring *u = uring_of(io);
    io->now = clock_read();
    bool was_due = deadline_ms <= io->now.mono_ms;
    int rc;
    if (io_uring_cq_ready(&u->ring) || was_due) {
        rc = io_uring_submit_and_get_events(&u->ring);
    } else if (deadline_ms == UINT64_MAX) {
        rc = io_uring_submit_and_wait(&u->ring, 1);
    } else {
        uint64_t wait_ms = deadline_ms - io->now.mono_ms;
        struct __kernel_timespec ts = {.tv_sec = (long long)(wait_ms / 1000),
                                       .tv_nsec = (long long)(wait_ms % 1000) * 1000000};
        struct io_uring_cqe *cqe;
        rc = io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &ts, NULL);
    }
    must(rc >= 0 || rc == -ETIME || rc == -EINTR || rc == -EBUSY || rc == -EAGAIN);
    io->counters.submits++;
    io->now = clock_read();
    if (!was_due && deadline_ms <= io->now.mono_ms) {
        /* Timers are about to run. Who was stopped in that wait (SIGSTOP, a paused machine) has not been told what came
         * meanwhile: an answer that is there counts before the end of the time for it. */
        (void)io_uring_get_events(&u->ring);
    }
}

static void uring_on_plain(struct uring *u, const struct uring_cqe *cqe)
{
    struct io_event ev = {
        .kind = (enum io_kind)(cqe->user_data >> 56),
        .owner = {(uint32_t)(cqe->user_data >> 32) & (POOL_SLOTS_MAX - 1),
                  (uint32_t)cqe->user_data},
        .more = (cqe->flags & IORING_CQE_F_MORE) != 0,
    };
    must(ev.kind < IO_KIND_COUNT);
    if (ev.kind == IO_KIND_MAILBOX) {
        u->io.in_flight++; /* sent by another ring: not an operation of ours */
    }
    io_decode_result(&ev, cqe->res);
    if (!(cqe->flags & IORING_CQE_F_BUFFER)) {
        if (ev.error == ENOBUFS && ev.status == IO_RETRY) {
            u->io.counters.recv_no_buffer++;
        }
        io_deliver(&u->io, &ev);
        return;
    }
    unsigned short id = (unsigned short)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
    must(id < IO_RECV_BUFFERS);
    char *buffer = u->buffers + (size_t)id * IO_RECV_BUFFER_BYTES;
    if (cqe->res > 0) {
        ev.data = slice_of(buffer, (size_t)cqe->res);
    }
    io_deliver(&u->io, &ev);
    io_uring_buf_ring_add(u->buf_ring, buffer, IO_RECV_BUFFER_BYTES, id,
                          io_uring_buf_ring_mask(IO_RECV_BUFFERS), 0);
    io_uring_buf_ring_advance(u->buf_ring, 1);
}

static void uring_on_cqe(struct uring *u, const struct uring_cqe *cqe)
{
    unsigned kind = (unsigned)(cqe->user_data >> 56);
    switch (kind) {
    case URING_NOTE:
        break;
    case URING_DURABLE_WRITE:
    case URING_DURABLE_SYNC:
        uring_on_durable(u, kind, cqe);
        break;
    default:
        uring_on_plain(u, cqe);
        break;
    }
}

static unsigned uring_dispatch(struct io *io)
{
    struct uring *u = uring_of(io);
    unsigned total = 0;
    for (int round = 0; round < URING_REAP_ROUNDS_MAX; round++) {
        unsigned head, n = 0;
        struct io_uring_cqe *cqe;
        io_uring_for_each_cqe(&u->ring, head, cqe)
        {
            if (n == URING_REAP_MAX) {
                break;
            }
            u->reaped[n++] = (struct uring_cqe){cqe->user_data, cqe->res, cqe->flags};
        }
        io_uring_cq_advance(&u->ring, n);
        for (unsigned i = 0; i < n; i++) {
            uring_on_cqe(u, &u->reaped[i]);
        }
        total += n;
        if (n < URING_REAP_MAX) {
            break;
        }
    }
    return total;
}

/* ---- cancelling, waking ---- */

static void uring_cancel(struct io *io, struct io_tag tag)
{
    struct io_uring_sqe *sqe = uring_sqe(uring_of(io));
    io_uring_prep_cancel64(sqe, uring_pack(tag.kind, tag.owner), 0);
    sqe->user_data = uring_pack(URING_NOTE, HANDLE_NONE);
}

static int uring_wake_fd(const struct io *io)
{
    return container_of(io, const struct uring, io)->ring.ring_fd;
}

static void uring_wake(struct io *io, int target_wake_fd)
{
    struct io_uring_sqe *sqe = uring_sqe(uring_of(io));
    io_uring_prep_msg_ring(sqe, target_wake_fd, 1, uring_pack(IO_KIND_MAILBOX, HANDLE_NONE), 0);
    sqe->user_data = uring_pack(URING_NOTE, HANDLE_NONE);
}

const struct io_backend io_backend_uring = {
    .name = "uring",
    .open = uring_open,
    .close = uring_close,
    .wait = uring_wait,
    .dispatch = uring_dispatch,
    .accept = uring_accept,
    .connect = uring_connect,
    .recv = uring_recv,
    .send = uring_send,
    .sendmsg = uring_sendmsg,
    .poll = uring_poll,
    .openat = uring_openat,
    .read = uring_read,
    .write = uring_write,
    .write_durable = uring_write_durable,
    .fallocate = uring_fallocate,
    .fsync = uring_fsync,
    .close_fd = uring_close_fd,
    .cancel = uring_cancel,
    .wake_fd = uring_wake_fd,
    .wake = uring_wake,
};
