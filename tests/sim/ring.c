/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A third back end of core/io/io.c, beside uring and epoll.
 */
#include "tests/sim/ring.h"
#include "core/io/backend.h"
#include "tests/sim/heap.h"
#include "tests/sim/net.h"
#include "tests/sim/sim.h"

#include <errno.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { RING_OPS = 8192, RING_WAKE_FD = 20000, RING_IOS = SIM_WORKERS_MAX };

enum ring_entry_kind { ENTRY_OP, ENTRY_CANCEL, ENTRY_WAKE };

struct ring_entry {
    enum ring_entry_kind kind;
    ring_ref op;
    struct io_tag tag;
    int fd;
};

struct ring_event {
    struct io_event ev;
    char *data;
};

struct ring {
    struct io io; /* first */
    unsigned index;
    struct ring_entry *queue; /* since the last io_wait */
    size_t queue_count, queue_cap;
    struct ring_event *events;
    size_t event_count, event_cap;
    struct ring_event *reaped; /* being delivered */
};

static struct {
    struct ring_op ops[RING_OPS];
    unsigned top; /* slots ever used */
    struct ring *ios[RING_IOS];
} rings;

/* ---- operations ---- */

ring_ref ring_ref_of(const struct ring_op *op)
{
    return (ring_ref)(op - rings.ops) << 16 | op->gen;
}

struct ring_op *ring_op(ring_ref ref)
{
    struct ring_op *op = &rings.ops[ref >> 16];
    return op->state != RING_FREE && op->gen == (uint16_t)ref ? op : NULL;
}

static struct ring_op *op_new(void)
{
    for (unsigned i = 0; i < RING_OPS; i++) {
        struct ring_op *op = &rings.ops[i];
        if (op->state == RING_FREE) {
            uint16_t gen = (uint16_t)(op->gen + 1);
            *op = (struct ring_op){.gen = gen ? gen : 1};
            rings.top = i >= rings.top ? i + 1 : rings.top;
            return op;
        }
    }
    must_never("more operations than RING_OPS");
}

void ring_gather(const struct ring_op *op, size_t from, void *to, size_t len)
{
    char *out = to;
    if (!op->msg) {
        memcpy(out, (const char *)op->ptr + from, len);
        return;
    }
    for (size_t i = 0; i < op->msg->msg_iovlen && len; i++) {
        const struct iovec *v = &op->msg->msg_iov[i];
        if (from >= v->iov_len) {
            from -= v->iov_len;
            continue;
        }
        size_t n = v->iov_len - from < len ? v->iov_len - from : len;
        memcpy(out, (const char *)v->iov_base + from, n);
        out += n;
        len -= n;
        from = 0;
    }
    must(len == 0);
}

static uint64_t op_sum(const struct ring_op *op)
{
    uint64_t sum = 0;
    if (op->msg) {
        for (size_t i = 0; i < op->msg->msg_iovlen; i++) {
            sum = XXH3_64bits_withSeed(op->msg->msg_iov[i].iov_base, op->msg->msg_iov[i].iov_len,
                                       sum);
        }
    } else if (op->type == RING_SEND || op->type == RING_WRITE || op->type == RING_WRITE_DURABLE) {
        sum = XXH3_64bits(op->ptr, op->len);
    }
    return sum;
}

static struct ring *ring_of(struct io *io)
{
    return container_of(io, struct ring, io);
}

static void queue_add(struct ring *r, struct ring_entry e)
{
    if (r->queue_count == r->queue_cap) {
        r->queue_cap = r->queue_cap ? r->queue_cap * 2 : 64;
        r->queue = heap_world_realloc(r->queue, r->queue_cap * sizeof(*r->queue));
    }
    r->queue[r->queue_count++] = e;
    r->io.counters.ops++;
}

static struct ring_op *op_start(struct io *io, enum ring_type type, struct io_tag tag, int fd)
{
    for (unsigned i = 0; i < rings.top; i++) {
        const struct ring_op *o = &rings.ops[i];
        if (o->state != RING_FREE && o->io == io && o->tag.kind == tag.kind &&
            o->tag.owner.slot == tag.owner.slot && o->tag.owner.gen == tag.owner.gen &&
            tag.kind != IO_KIND_SPOOL) {
            sim_fail("a second operation of kind %u for the same owner", tag.kind);
        }
    }
    struct ring_op *op = op_new();
    op->state = RING_QUEUED;
    op->type = type;
    op->io = io;
    op->tag = tag;
    op->fd = fd;
    queue_add(ring_of(io), (struct ring_entry){.kind = ENTRY_OP, .op = ring_ref_of(op)});
    return op;
}

/* ---- ends ---- */

static void event_add(struct ring *r, struct io_event ev, char *data)
{
    if (r->event_count == r->event_cap) {
        r->event_cap = r->event_cap ? r->event_cap * 2 : 64;
        r->events = heap_world_realloc(r->events, r->event_cap * sizeof(*r->events));
    }
    size_t at = r->event_count++;
    /* Nobody promises an order between operations; descriptors of one accept come in any order too. */
    size_t place = sim_below(3) ? at : sim_below(at + 1);
    memmove(&r->events[place + 1], &r->events[place], (at - place) * sizeof(*r->events));
    r->events[place] = (struct ring_event){ev, data};
}

void ring_tell(struct ring_op *op, int result)
{
    must(op->state == RING_KERNEL && op->type == RING_ACCEPT);
    struct io_event ev = {.kind = op->tag.kind, .owner = op->tag.owner, .more = true};
    io_decode_result(&ev, result);
    event_add(ring_of(op->io), ev, NULL);
}

void ring_end(struct ring_op *op, int result, const void *data)
{
    must(op->state == RING_KERNEL);
    struct io *io = op->io;
    struct io_event ev = {.kind = op->tag.kind, .owner = op->tag.owner};
    if (op_sum(op) != op->sum) {
        sim_fail("memory of an operation of kind %u changed while the kernel had it", ev.kind);
    }
    if (op->type == RING_WRITE_DURABLE) {
        io_decode_durable(io, &ev, result < 0 ? -result : 0);
    } else {
        io_decode_result(&ev, result);
    }
    char *copy = NULL;
    if (data && result > 0) {
        copy = heap_world_alloc((size_t)result);
        memcpy(copy, data, (size_t)result);
        ev.data = slice_of(copy, (size_t)result);
    }
    event_add(ring_of(io), ev, copy);
    op->state = RING_FREE;
}

/* ---- the disk's part ---- */

static bool op_is_disk(const struct ring_op *op)
{
    return op->type >= RING_READ;
}

static uint64_t disk_time_us(const struct ring_op *op)
{
    uint64_t us = sim_between(1, sim.opt.disk_us);
    if (op->type == RING_FSYNC || op->type == RING_WRITE_DURABLE) {
        us += sim_between(1, sim.opt.disk_us);
    }
    return sim_fault(sim.opt.disk_stall_ppm) ? us + sim_below(40 * (uint64_t)SIM_SECOND) : us;
}

static void disk_later(struct ring_op *op);

/* A write and its fdatasync, or one with RWF_DSYNC, as uring_file.c does them; after a short write the rest in
 * the same way. */
static void disk_write_durable(struct ring_op *op)
{
    int n = disk_ring_write(op->fd, (const char *)op->ptr + op->done, op->len - op->done,
                            op->offset + op->done);
    if (n < 0) {
        ring_end(op, n, NULL);
        return;
    }
    int synced = op->io->dsync ? disk_ring_sync_range(op->fd, op->offset + op->done, (size_t)n) : 0;
    op->done += (size_t)n;
    if (synced == 0 && op->done < op->len) {
        op->io->counters.short_writes++;
        disk_later(op);
        return;
    }
    ring_end(op, op->io->dsync ? synced : disk_ring_sync(op->fd), NULL);
}

static void disk_fire(uint64_t arg)
{
    struct ring_op *op = ring_op((ring_ref)arg);
    if (!op || (op->type != RING_READ && !disk_step())) {
        return;
    }
    switch (op->type) {
    case RING_READ: {
        int n = disk_ring_read(op->fd, (void *)(uintptr_t)op->ptr, op->len, op->offset);
        ring_end(op, n, NULL);
        break;
    }
    case RING_WRITE:
        ring_end(op, disk_ring_write(op->fd, op->ptr, op->len, op->offset), NULL);
        break;
    case RING_WRITE_DURABLE:
        disk_write_durable(op);
        break;
    case RING_FALLOCATE:
        ring_end(op, disk_ring_allocate(op->fd, op->offset, op->len), NULL);
        break;
    case RING_FSYNC:
        ring_end(op, disk_ring_sync(op->fd), NULL);
        break;
    case RING_ACCEPT:
    case RING_CONNECT:
    case RING_RECV:
    case RING_SEND:
    case RING_CLOSE:
        must_never("not an operation of the disk");
    }
}

static void disk_later(struct ring_op *op)
{
    sim_after(disk_time_us(op), true, disk_fire, ring_ref_of(op));
}

/* ---- submission ---- */

static void op_submit(struct ring_op *op)
{
    op->state = RING_KERNEL;
    op->sum = op_sum(op);
    if (op_is_disk(op)) {
        disk_later(op);
    } else {
        net_ring_start(op);
    }
}

static void cancel_submit(struct io *io, struct io_tag tag)
{
    for (unsigned i = 0; i < rings.top; i++) {
        struct ring_op *op = &rings.ops[i];
        if (op->state == RING_KERNEL && op->io == io && op->tag.kind == tag.kind &&
            op->tag.owner.slot == tag.owner.slot && op->tag.owner.gen == tag.owner.gen &&
            !op_is_disk(op)) {
            net_ring_cancel(op);
        }
    }
}

static void wake_submit(int fd)
{
    unsigned index = (unsigned)(fd - RING_WAKE_FD);
    if (index < RING_IOS && rings.ios[index]) {
        event_add(rings.ios[index],
                  (struct io_event){.kind = IO_KIND_MAILBOX, .owner = HANDLE_NONE, .status = IO_OK},
                  NULL);
        rings.ios[index]->io.in_flight++; /* as uring.c: until it is delivered */
    }
}

/* ---- the back end ---- */

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

static void ring_free(struct ring *r)
{
    for (size_t i = 0; i < r->event_count; i++) {
        heap_world_free(r->events[i].data);
    }
    heap_world_free(r->queue);
    heap_world_free(r->events);
    heap_world_free(r->reaped);
    rings.ios[r->index] = NULL;
    heap_world_free(r);
}

static void sim_close(struct io *io)
{
    ring_free(ring_of(io));
}

static void ring_flush(struct ring *r)
{
    for (size_t i = 0; i < r->queue_count; i++) {
        struct ring_entry e = r->queue[i];
        switch (e.kind) {
        case ENTRY_OP:
            op_submit(ring_op(e.op));
            break;
        case ENTRY_CANCEL:
            cancel_submit(&r->io, e.tag);
            break;
        case ENTRY_WAKE:
            wake_submit(e.fd);
            break;
        }
    }
    r->io.counters.submits += r->queue_count ? 1 : 0;
    r->queue_count = 0;
}

void ring_submit(unsigned worker)
{
    if (rings.ios[worker]) {
        ring_flush(rings.ios[worker]);
    }
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
    op_start(io, RING_ACCEPT, tag, listen_fd);
}

static void sim_connect(struct io *io, struct io_tag tag, int fd, const struct sockaddr *addr,
                        socklen_t len)
{
    struct ring_op *op = op_start(io, RING_CONNECT, tag, fd);
    must(len <= sizeof(op->addr));
    memcpy(&op->addr, addr, len);
}

static void sim_recv(struct io *io, struct io_tag tag, int fd)
{
    op_start(io, RING_RECV, tag, fd);
}

static struct ring_op *op_start_memory(struct io *io, enum ring_type type, struct io_tag tag,
                                       int fd, struct slice memory)
{
    struct ring_op *op = op_start(io, type, tag, fd);
    op->ptr = memory.ptr;
    op->len = memory.len;
    return op;
}

static void sim_send(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len)
{
    op_start_memory(io, RING_SEND, tag, fd, slice_of(ptr, len));
}

static void sim_sendmsg(struct io *io, struct io_tag tag, int fd, const struct msghdr *msg)
{
    struct ring_op *op = op_start(io, RING_SEND, tag, fd);
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
    op_start_memory(io, RING_READ, tag, fd, slice_of(ptr, len))->offset = offset;
}

static void sim_write(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len,
                      uint64_t offset)
{
    op_start_memory(io, RING_WRITE, tag, fd, slice_of(ptr, len))->offset = offset;
}

static void sim_write_durable(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len,
                              uint64_t offset)
{
    op_start_memory(io, RING_WRITE_DURABLE, tag, fd, slice_of(ptr, len))->offset = offset;
}

static void sim_fallocate(struct io *io, struct io_tag tag, int fd, uint64_t offset, uint64_t len)
{
    op_start_memory(io, RING_FALLOCATE, tag, fd, slice_of(NULL, len))->offset = offset;
}

static void sim_fsync(struct io *io, struct io_tag tag, int fd, bool data_only)
{
    (void)data_only;
    op_start(io, RING_FSYNC, tag, fd);
}

static void sim_close_fd(struct io *io, struct io_tag tag, int fd)
{
    ring_check_closed(fd);
    op_start(io, RING_CLOSE, tag, fd);
}

static void sim_cancel(struct io *io, struct io_tag tag)
{
    queue_add(ring_of(io), (struct ring_entry){.kind = ENTRY_CANCEL, .tag = tag});
}

static int sim_wake_fd(const struct io *io)
{
    return RING_WAKE_FD + (int)((const struct ring *)(const void *)io)->index;
}

static void sim_wake(struct io *io, int target_wake_fd)
{
    queue_add(ring_of(io), (struct ring_entry){.kind = ENTRY_WAKE, .fd = target_wake_fd});
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

/* ---- the scheduler's side ---- */

bool ring_has_events(unsigned worker)
{
    return rings.ios[worker] && rings.ios[worker]->event_count > 0;
}

unsigned ring_ops_open(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < rings.top; i++) {
        n += rings.ops[i].state != RING_FREE ? 1 : 0;
    }
    return n;
}

void ring_check_closed(int fd)
{
    for (unsigned i = 0; i < rings.top; i++) {
        if (rings.ops[i].state != RING_FREE && rings.ops[i].fd == fd) {
            sim_fail("descriptor %d is closed while an operation of type %d is under way", fd,
                     rings.ops[i].type);
        }
    }
}

void ring_crash_writes(enum disk_crash how)
{
    for (unsigned i = 0; i < rings.top; i++) {
        const struct ring_op *op = &rings.ops[i];
        if (op->state == RING_KERNEL &&
            (op->type == RING_WRITE || op->type == RING_WRITE_DURABLE)) {
            disk_crash_write(op->fd, (const char *)op->ptr + op->done, op->len - op->done,
                             op->offset + op->done, how);
        }
    }
}

void ring_crash(enum disk_crash how)
{
    ring_crash_writes(how);
    for (unsigned i = 0; i < rings.top; i++) {
        rings.ops[i].state = RING_FREE;
    }
    for (unsigned i = 0; i < RING_IOS; i++) {
        if (rings.ios[i]) {
            ring_free(rings.ios[i]);
        }
    }
}
