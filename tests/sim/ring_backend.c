/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A third back end of core/io/io.c, beside uring and epoll.
 */
#include "tests/sim/heap.h"
#include "tests/sim/ring_private.h"

#include <errno.h>
#include <string.h>

static struct io *sim_open(unsigned entries, int *error)
{
    (void)entries;
    *error = 0;
    struct ring *r = heap_world_alloc(sizeof(*r));
    r->index = RING_IOS;
    for (unsigned i = RING_IOS; i-- > 0;) {
        r->index = rings.ios[i] ? r->index : i;
    }
    must(r->index < RING_IOS);
    rings.ios[r->index] = r;
    return &r->io;
}

static void sim_close(struct io *io)
{
    ring_free(ring_of(io));
}

static void sim_wait(struct io *io, uint64_t deadline_ms)
{
    (void)deadline_ms; /* the scheduler knows: worker_due_ms */
    ring_flush(ring_of(io));
    io->now = clock_read();
}

static unsigned sim_dispatch(struct io *io)
{
    struct ring *r = ring_of(io);
    size_t n = r->event_count;
    if (n == 0) {
        return 0;
    }
    if (n > 1 && sim_fault(sim.opt.dispatch_part_ppm)) {
        n = sim_between(1, n);
    }
    struct ring_event *now = heap_world_alloc(n * sizeof(*now));
    r->reaped = now;
    memcpy(now, r->events, n * sizeof(*now));
    memmove(r->events, r->events + n, (r->event_count - n) * sizeof(*now));
    r->event_count -= n;
    for (size_t i = 0; i < n; i++) {
        const struct io_event *ev = &now[i].ev;
        io->counters.recv_no_buffer += ev->error == ENOBUFS && ev->status == IO_RETRY ? 1 : 0;
        io_deliver(io, ev);
        if (now[i].data) {
            memset(now[i].data, 0xdd, ev->data.len); /* it goes back to the kernel */
        }
        heap_world_free(now[i].data);
    }
    r->reaped = NULL;
    heap_world_free(now);
    return (unsigned)n;
}

static void sim_accept(struct io *io, struct io_tag tag, int listen_fd)
{
    ring_start(io, RING_ACCEPT, tag, listen_fd);
}

static void sim_connect(struct io *io, struct io_tag tag, int fd, const struct sockaddr *addr,
                        socklen_t len)
{
    struct ring_op *op = ring_start(io, RING_CONNECT, tag, fd);
    must(len <= sizeof(op->addr));
    memcpy(&op->addr, addr, len);
}

static void sim_recv(struct io *io, struct io_tag tag, int fd)
{
    ring_start(io, RING_RECV, tag, fd);
}

static struct ring_op *ring_start_memory(struct io *io, enum ring_type type, struct io_tag tag,
                                         int fd, struct slice memory)
{
    struct ring_op *op = ring_start(io, type, tag, fd);
    op->ptr = memory.ptr;
    op->len = memory.len;
    return op;
}

static void sim_send(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len)
{
    ring_start_memory(io, RING_SEND, tag, fd, slice_of(ptr, len));
}

static void sim_sendmsg(struct io *io, struct io_tag tag, int fd, const struct msghdr *msg)
{
    struct ring_op *op = ring_start(io, RING_SEND, tag, fd);
    op->msg = msg;
    for (size_t i = 0; i < msg->msg_iovlen; i++) {
        op->len += msg->msg_iov[i].iov_len;
    }
    must(op->len > 0);
}

static void sim_poll(struct io *io, struct io_tag tag, int fd, unsigned poll_events)
{
    (void)io;
    (void)tag;
    (void)fd;
    (void)poll_events;
    must_never("nothing is polled in here: the resolver and the offload have twins of their own");
}

static void sim_openat(struct io *io, struct io_tag tag, int dir_fd, const char *path, int flags,
                       unsigned mode)
{
    (void)io;
    (void)tag;
    (void)dir_fd;
    (void)path;
    (void)flags;
    (void)mode;
    must_never("workers open no files on the ring");
}

static void sim_read(struct io *io, struct io_tag tag, int fd, void *ptr, size_t len,
                     uint64_t offset)
{
    ring_start_memory(io, RING_READ, tag, fd, slice_of(ptr, len))->offset = offset;
}

static void sim_write(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len,
                      uint64_t offset)
{
    ring_start_memory(io, RING_WRITE, tag, fd, slice_of(ptr, len))->offset = offset;
}

static void sim_write_durable(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len,
                              uint64_t offset)
{
    ring_start_memory(io, RING_WRITE_DURABLE, tag, fd, slice_of(ptr, len))->offset = offset;
}

static void sim_fallocate(struct io *io, struct io_tag tag, int fd, uint64_t offset, uint64_t len)
{
    ring_start_memory(io, RING_FALLOCATE, tag, fd, slice_of(NULL, len))->offset = offset;
}

static void sim_fsync(struct io *io, struct io_tag tag, int fd, bool data_only)
{
    (void)data_only;
    ring_start(io, RING_FSYNC, tag, fd);
}

static void sim_close_fd(struct io *io, struct io_tag tag, int fd)
{
    ring_check_closed(fd);
    ring_start(io, RING_CLOSE, tag, fd);
}

static void sim_cancel(struct io *io, struct io_tag tag)
{
    ring_queue(ring_of(io), (struct ring_entry){.kind = ENTRY_CANCEL, .tag = tag});
}

static int sim_wake_fd(const struct io *io)
{
    return RING_WAKE_FD + (int)((const struct ring *)(const void *)io)->index;
}

static void sim_wake(struct io *io, int target_wake_fd)
{
    ring_queue(ring_of(io), (struct ring_entry){.kind = ENTRY_WAKE, .fd = target_wake_fd});
}

const struct io_backend ring_backend = {
    .name = "sim",
    .open = sim_open,
    .close = sim_close,
    .wait = sim_wait,
    .dispatch = sim_dispatch,
    .accept = sim_accept,
    .connect = sim_connect,
    .recv = sim_recv,
    .send = sim_send,
    .sendmsg = sim_sendmsg,
    .poll = sim_poll,
    .openat = sim_openat,
    .read = sim_read,
    .write = sim_write,
    .write_durable = sim_write_durable,
    .fallocate = sim_fallocate,
    .fsync = sim_fsync,
    .close_fd = sim_close_fd,
    .cancel = sim_cancel,
    .wake_fd = sim_wake_fd,
    .wake = sim_wake,
};
