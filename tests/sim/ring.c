/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A third back end of core/io/io.c, beside uring and epoll.
 */
#include "tests/sim/ring_private.h"
#include "tests/sim/heap.h"
#include "tests/sim/net.h"
#include "tests/sim/sim.h"

#include <errno.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct rings rings;

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

void ring_queue(struct ring *r, struct ring_entry e)
{
    if (r->queue_count == r->queue_cap) {
        r->queue_cap = r->queue_cap ? r->queue_cap * 2 : 64;
        r->queue = heap_world_realloc(r->queue, r->queue_cap * sizeof(*r->queue));
    }
    r->queue[r->queue_count++] = e;
    r->io.counters.ops++;
}

struct ring_op *ring_start(struct io *io, enum ring_type type, struct io_tag tag, int fd)
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
    ring_queue(ring_of(io), (struct ring_entry){.kind = ENTRY_OP, .op = ring_ref_of(op)});
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

/* ---- life ---- */

void ring_free(struct ring *r)
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

void ring_flush(struct ring *r)
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

/* ---- the scheduler's side ---- */

void ring_submit(unsigned worker)
{
    if (rings.ios[worker]) {
        ring_flush(rings.ios[worker]);
    }
}

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
