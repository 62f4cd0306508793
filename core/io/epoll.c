/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The epoll back end: the loop, and the life of an operation (drawn in epoll.h).
 *
 * The contract is the ring's, so the kernel's part is played here: what was started is done in io_wait, never
 * in the call that starts it nor in a handler; what came of it is delivered in io_dispatch. Each operation is
 * tried first and waits only when it must: then its descriptor is registered with EPOLLONESHOT, one
 * epoll_ctl each time. A registration that stays (edge-triggered) would save that call, but descriptors
 * are closed behind our back (c-ares, listeners), their numbers are used again at once, and nobody would
 * tell us: with one shot nothing is believed about a descriptor that nobody waits for.
 *
 * Sockets are not made non-blocking but for accept and connect, which have no flag for it.
 */
#include "core/io/epoll.h"
#include "core/io/choose.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* data.u64 of what is ours; descriptors are below. */
static const uint64_t epoll_token_wake = (uint64_t)1 << 32;
static const uint64_t epoll_token_disk = (uint64_t)2 << 32;

/* ---- operations ---- */

static uint64_t epoll_tag_key(struct io_tag tag)
{
    return (uint64_t)tag.kind << 56 | (uint64_t)tag.owner.slot << 32 | tag.owner.gen;
}

static bool epoll_tag_equal(const struct map_node *node, const void *key)
{
    const struct epoll_op *op = container_of(node, struct epoll_op, node);
    return epoll_tag_key(op->tag) == *(const uint64_t *)key;
}

static struct epoll_op *epoll_op_alloc(struct epoll *e, struct io_tag tag, enum epoll_what what)
{
    struct handle self;
    struct epoll_op *op = pool_get(&e->ops, &self);
    if (op) {
        op->self = self;
        op->tag = tag;
        op->what = what;
    }
    return op;
}

/* No memory. More than this many in a turn: nobody can be told any more. */
static void epoll_op_fail(struct epoll *e, struct epoll_failed f)
{
    must(e->failed_count < EPOLL_FAILED_MAX);
    e->failed[e->failed_count++] = f;
}

struct epoll_op *epoll_op_new(struct epoll *e, struct io_tag tag, enum epoll_what what, int fd)
{
    struct epoll_op *op = epoll_op_alloc(e, tag, what);
    e->io.counters.ops++;
    if (op) {
        uint64_t hash = map_hash_u64(&e->by_tag, epoll_tag_key(tag));
        if (map_insert(&e->by_tag, &op->node, hash)) {
            op->state = EPOLL_STARTED;
            op->fd = fd;
            list_push_back(&e->started, &op->link);
            return op;
        }
        pool_put(&e->ops, op->self);
    }
    int res = -ENOMEM;
    if (what == EPOLL_CLOSE) { /* needs no memory */
        epoll_ready_forget(e, fd);
        res = close(fd) == 0 ? 0 : -errno;
    }
    epoll_op_fail(e, (struct epoll_failed){tag, what, res});
    return NULL;
}

void epoll_op_done(struct epoll *e, struct epoll_op *op, int res)
{
    must(op->state != EPOLL_DONE && !list_linked(&op->link));
    op->state = EPOLL_DONE;
    op->res = res;
    list_push_back(&e->done, &op->link);
}

bool epoll_op_more(struct epoll *e, const struct epoll_op *accept, int res)
{
    struct epoll_op *op = epoll_op_alloc(e, accept->tag, accept->what);
    if (op) {
        op->more = true;
        epoll_op_done(e, op, res);
    }
    return op != NULL;
}

static void epoll_loop_cancel(struct io *io, struct io_tag tag)
{
    struct epoll *e = epoll_of(io);
    uint64_t key = epoll_tag_key(tag);
    struct map_node *node = map_find(&e->by_tag, map_hash_u64(&e->by_tag, key), epoll_tag_equal,
                                     &key);
    struct epoll_op *op = node ? container_of(node, struct epoll_op, node) : NULL;
    if (!op) {
        return;
    }
    switch (op->state) {
    case EPOLL_STARTED:
        op->cancelled = true;
        break;
    case EPOLL_WAITING:
        epoll_ready_cancel(e, op);
        break;
    case EPOLL_DISK: /* runs to its end: its memory is in use */
    case EPOLL_DONE:
        break;
    }
}

/* ---- waiting ---- */

/* Does what was started since the last time. */
static void epoll_loop_start(struct epoll *e)
{
    struct list *link;
    while ((link = list_pop_front(&e->started))) {
        struct epoll_op *op = LIST_ENTRY(link, struct epoll_op, link);
        if (op->what < EPOLL_OPENAT) {
            epoll_ready_start(e, op);
        } else if (op->fd == -1 && op->what != EPOLL_OPENAT) {
            epoll_op_done(e, op, -EBADF); /* no need of a thread */
        } else {
            op->state = EPOLL_DISK;
            epoll_disk_submit(&e->disk, op);
        }
    }
}

static uint64_t epoll_loop_drain(int event_fd)
{
    uint64_t count;
    ssize_t n = read(event_fd, &count, sizeof(count));
    must(n == (ssize_t)sizeof(count) || (n < 0 && (errno == EAGAIN || errno == EINTR)));
    return n > 0 ? count : 0;
}

static void epoll_loop_take_disk(struct epoll *e)
{
    epoll_loop_drain(e->disk.event_fd); /* before the list: who pushes in between writes again */
    struct epoll_op *op = epoll_disk_take(&e->disk);
    while (op) {
        struct epoll_op *next = op->next_finished;
        epoll_op_done(e, op, op->res);
        op = next;
    }
}

static int epoll_loop_timeout(const struct epoll *e, uint64_t deadline_ms)
{
    if (!list_empty(&e->done) || e->failed_count || e->wakes || deadline_ms <= e->io.now.mono_ms) {
        return 0;
    }
    uint64_t wait_ms = deadline_ms - e->io.now.mono_ms;
    return deadline_ms == UINT64_MAX ? -1 : wait_ms < INT32_MAX ? (int)wait_ms : INT32_MAX;
}

static void epoll_loop_look(struct epoll *e, int timeout_ms)
{
    int n = epoll_wait(e->epoll_fd, e->ready, EPOLL_READY_MAX, timeout_ms);
    must(n >= 0 || errno == EINTR);
    e->io.counters.submits++;
    for (int i = 0; i < n; i++) {
        const struct epoll_event *ev = &e->ready[i];
        if (ev->data.u64 == epoll_token_wake) {
            e->wakes += epoll_loop_drain(e->wake_fd);
        } else if (ev->data.u64 == epoll_token_disk) {
            epoll_loop_take_disk(e);
        } else {
            epoll_ready_told(e, (int)ev->data.u64, ev->events);
        }
    }
}

static void epoll_loop_wait(struct io *io, uint64_t deadline_ms)
{
    struct epoll *e = epoll_of(io);
    io->now = clock_read();
    epoll_loop_start(e);
    int timeout_ms = epoll_loop_timeout(e, deadline_ms);
    epoll_loop_look(e, timeout_ms);
    io->now = clock_read();
    if (timeout_ms > 0 && deadline_ms <= io->now.mono_ms) {
        epoll_loop_look(e, 0); /* what came while we were stopped, before timers run: uring.c */
    }
}

/* ---- dispatch ---- */

static struct io_event epoll_loop_event(struct epoll *e, struct epoll_failed f)
{
    struct io_event ev = {.kind = f.tag.kind, .owner = f.tag.owner};
    if (f.what == EPOLL_DURABLE) {
        io_decode_durable(&e->io, &ev, -f.res);
    } else {
        io_decode_result(&ev, f.res);
    }
    return ev;
}

/* False: it goes on, nobody hears of it. The operation's place is free before its handler runs, because
 * that may start the next with the same tag. */
static bool epoll_loop_deliver(struct epoll *e, struct epoll_op *op)
{
    if (op->what == EPOLL_DURABLE && !epoll_file_durable_is_over(e, op)) {
        return false;
    }
    char *buffer = op->buffer;
    struct io_event ev = epoll_loop_event(e, (struct epoll_failed){op->tag, op->what, op->res});
    ev.more = op->more;
    if (buffer) {
        ev.data = slice_of(buffer, (size_t)op->res);
    }
    e->io.counters.recv_no_buffer += op->what == EPOLL_RECV && op->res == -ENOBUFS;
    if (!op->more) {
        map_remove(&e->by_tag, &op->node);
    }
    pool_put(&e->ops, op->self);
    io_deliver(&e->io, &ev);
    if (buffer) {
        e->free_buffers[e->free_buffer_count++] = buffer;
    }
    return true;
}

static unsigned epoll_loop_deliver_wakes(struct epoll *e)
{
    unsigned n = 0;
    for (; e->wakes > 0; e->wakes--, n++) {
        struct io_event ev = {.kind = IO_KIND_MAILBOX, .owner = HANDLE_NONE, .result = 1};
        e->io.in_flight++; /* made by another io: not an operation of ours */
        io_deliver(&e->io, &ev);
    }
    return n;
}

static unsigned epoll_loop_deliver_failed(struct epoll *e)
{
    struct epoll_failed now[EPOLL_FAILED_MAX];
    unsigned n = e->failed_count;
    memcpy(now, e->failed, n * sizeof(now[0]));
    e->failed_count = 0; /* handlers may fail again */
    for (unsigned i = 0; i < n; i++) {
        struct io_event ev = epoll_loop_event(e, now[i]);
        io_deliver(&e->io, &ev);
    }
    return n;
}

static unsigned epoll_loop_dispatch(struct io *io)
{
    struct epoll *e = epoll_of(io);
    struct list now, *link;
    unsigned total = epoll_loop_deliver_wakes(e) + epoll_loop_deliver_failed(e);
    list_init(&now);
    list_splice_back(&now, &e->done); /* what handlers cause belongs to the next turn */
    while ((link = list_pop_front(&now))) {
        total += epoll_loop_deliver(e, LIST_ENTRY(link, struct epoll_op, link));
    }
    return total;
}

/* ---- between threads ---- */

static int epoll_loop_wake_fd(const struct io *io)
{
    return container_of(io, const struct epoll, io)->wake_fd;
}

/* At once. The other io may be gone (EBADF); its number must not be in use again (io.h). */
static void epoll_loop_wake(struct io *io, int target_wake_fd)
{
    uint64_t one = 1;
    ssize_t n = write(target_wake_fd, &one, sizeof(one));
    io->counters.submits++;
    must(n == (ssize_t)sizeof(one) || errno == EBADF);
}

/* ---- life ---- */

static void epoll_loop_free(struct epoll *e)
{
    const int fds[] = {e->epoll_fd, e->wake_fd};
    for (size_t i = 0; i < ARRAY_COUNT(fds); i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    epoll_disk_close(&e->disk);
    epoll_ready_close(e);
    free(e->buffers);
    map_deinit(&e->by_tag);
    pool_deinit(&e->ops);
    free(e);
}

static bool epoll_loop_watch(struct epoll *e, int fd, uint64_t token)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = token};
    return epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, fd, &ev) == 0;
}

/* entries: nothing is sized by it here. */
static struct io *epoll_loop_open(unsigned entries, int *error)
{
    (void)entries;
    struct epoll *e = calloc(1, sizeof(*e));
    if (!e) {
        *error = ENOMEM;
        return NULL;
    }
    list_init(&e->started);
    list_init(&e->done);
    pool_init(&e->ops, sizeof(struct epoll_op), POOL_SLOTS_MAX);
    map_init(&e->by_tag, (uint64_t)(uintptr_t)e);
    e->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    e->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    bool ok = e->epoll_fd >= 0 && e->wake_fd >= 0;
    *error = ok ? 0 : errno;
    int disk_error = epoll_disk_open(&e->disk);
    *error = *error ? *error : disk_error;
    if (*error == 0 && (!epoll_loop_watch(e, e->wake_fd, epoll_token_wake) ||
                        !epoll_loop_watch(e, e->disk.event_fd, epoll_token_disk))) {
        *error = errno;
    }
    e->buffers = aligned_alloc(4096, (size_t)IO_RECV_BUFFERS * IO_RECV_BUFFER_BYTES);
    if (*error || !e->buffers) {
        *error = *error ? *error : ENOMEM;
        epoll_loop_free(e);
        return NULL;
    }
    for (unsigned i = 0; i < IO_RECV_BUFFERS; i++) { /* the last one back is the next one out */
        e->free_buffers[i] = e->buffers + (size_t)(IO_RECV_BUFFERS - 1 - i) * IO_RECV_BUFFER_BYTES;
    }
    e->free_buffer_count = IO_RECV_BUFFERS;
    return &e->io;
}

static void epoll_loop_close(struct io *io)
{
    struct epoll *e = epoll_of(io);
    must(list_empty(&e->started) && list_empty(&e->done) && e->failed_count == 0);
    must(e->free_buffer_count == IO_RECV_BUFFERS);
    epoll_loop_free(e);
}

const struct io_backend io_backend_epoll = {
    .name = "epoll",
    .open = epoll_loop_open,
    .close = epoll_loop_close,
    .wait = epoll_loop_wait,
    .dispatch = epoll_loop_dispatch,
    .accept = epoll_socket_accept,
    .connect = epoll_socket_connect,
    .recv = epoll_socket_recv,
    .send = epoll_socket_send,
    .sendmsg = epoll_socket_sendmsg,
    .poll = epoll_socket_poll,
    .openat = epoll_file_openat,
    .read = epoll_file_read,
    .write = epoll_file_write,
    .write_durable = epoll_file_write_durable,
    .fallocate = epoll_file_fallocate,
    .fsync = epoll_file_fsync,
    .close_fd = epoll_socket_close,
    .cancel = epoll_loop_cancel,
    .wake_fd = epoll_loop_wake_fd,
    .wake = epoll_loop_wake,
};
