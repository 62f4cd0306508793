/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The epoll back end: who waits for which descriptor.
 *
 * A table by descriptor number, in chunks so that its lists never move. A registration is for one shot; after it
 * the operations that could not go on are registered anew. While nobody waits the kernel may still tell of
 * a descriptor once (a cancelled operation): that finds an empty list.
 */
#include "core/io/epoll.h"

#include <errno.h>
#include <stdlib.h>

/* NULL: no memory. */
static struct epoll_fd *epoll_fd_of(struct epoll *e, int fd)
{
    must(fd >= 0);
    size_t chunk = (size_t)fd / EPOLL_CHUNK_FDS;
    if (chunk >= e->fd_chunk_count) {
        size_t count = chunk + 1;
        struct epoll_fd **chunks = realloc(e->fd_chunks, count * sizeof(*chunks));
        if (!chunks) {
            return NULL;
        }
        for (size_t i = e->fd_chunk_count; i < count; i++) {
            chunks[i] = NULL;
        }
        e->fd_chunks = chunks;
        e->fd_chunk_count = count;
    }
    if (!e->fd_chunks[chunk]) {
        struct epoll_fd *fds = calloc(EPOLL_CHUNK_FDS, sizeof(*fds));
        for (size_t i = 0; fds && i < EPOLL_CHUNK_FDS; i++) {
            list_init(&fds[i].waiting);
        }
        e->fd_chunks[chunk] = fds;
    }
    struct epoll_fd *fds = e->fd_chunks[chunk];
    return fds ? &fds[fd % EPOLL_CHUNK_FDS] : NULL;
}

uint32_t epoll_op_events(const struct epoll_op *op)
{
    switch (op->what) {
    case EPOLL_ACCEPT:
        return EPOLLIN;
    case EPOLL_RECV:
        return EPOLLIN | EPOLLRDHUP;
    case EPOLL_CONNECT:
    case EPOLL_SEND:
    case EPOLL_SENDMSG:
        return EPOLLOUT;
    case EPOLL_POLL:
        return op->poll.events;
    case EPOLL_CLOSE:
    case EPOLL_OPENAT:
    case EPOLL_READ:
    case EPOLL_WRITE:
    case EPOLL_DURABLE:
    case EPOLL_FALLOCATE:
    case EPOLL_FSYNC:
        break;
    }
    must_never("waits for no descriptor");
}

static int epoll_ready_ctl(struct epoll *e, struct epoll_fd *f, int fd, uint32_t events)
{
    struct epoll_event ev = {.events = events | EPOLLONESHOT, .data.u64 = (uint64_t)fd};
    int first = f->known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    int other = f->known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    int rc = epoll_ctl(e->epoll_fd, first, fd, &ev);
    e->io.counters.submits++;
    if (rc < 0 && (errno == ENOENT || errno == EEXIST)) {
        /* It was closed since and the number is another's, or registered by somebody unknown. */
        rc = epoll_ctl(e->epoll_fd, other, fd, &ev);
        e->io.counters.submits++;
    }
    if (rc < 0) {
        return errno == ENOSPC ? ENOMEM : errno; /* ENOSPC: fs.epoll.max_user_watches */
    }
    f->known = true;
    f->armed = events;
    return 0;
}

/* 0: the kernel will tell of all who wait. */
static int epoll_ready_arm(struct epoll *e, struct epoll_fd *f, int fd)
{
    struct list *it, *next;
    uint32_t events = 0;
    LIST_FOR_EACH(it, next, &f->waiting) {
        events |= epoll_op_events(LIST_ENTRY(it, struct epoll_op, link));
    }
    return events & ~f->armed ? epoll_ready_ctl(e, f, fd, events) : 0;
}

/* What cannot be waited for (EPERM) is always ready: as poll(2) has it. */
static int epoll_ready_result(const struct epoll_op *op, int error)
{
    bool file = error == EPERM && op->what == EPOLL_POLL;
    return file ? (int)(op->poll.events & (EPOLLIN | EPOLLOUT)) : -error;
}

static void epoll_ready_wait(struct epoll *e, struct epoll_op *op)
{
    struct epoll_fd *f = op->fd >= 0 ? epoll_fd_of(e, op->fd) : NULL;
    if (!f) {
        epoll_op_done(e, op, op->fd >= 0 ? -ENOMEM : -EBADF);
        return;
    }
    if (list_empty(&f->waiting)) {
        f->armed = 0;
    }
    op->state = EPOLL_WAITING;
    list_push_back(&f->waiting, &op->link);
    int error = epoll_ready_arm(e, f, op->fd);
    if (error) {
        list_remove(&op->link);
        epoll_op_done(e, op, epoll_ready_result(op, error));
    }
}

void epoll_ready_start(struct epoll *e, struct epoll_op *op)
{
    /* These are not even begun; the others are, as on the ring, where a cancel follows its operation. */
    bool waits = op->what == EPOLL_ACCEPT || op->what == EPOLL_CONNECT || op->what == EPOLL_POLL;
    if (op->cancelled && waits) {
        epoll_op_done(e, op, -ECANCELED);
    } else if (epoll_socket_try(e, op)) {
        epoll_op_done(e, op, op->res);
    } else if (op->cancelled) {
        epoll_op_done(e, op, epoll_socket_cut(op));
    } else {
        epoll_ready_wait(e, op);
    }
}

void epoll_ready_told(struct epoll *e, int fd, uint32_t events)
{
    struct epoll_fd *f = epoll_fd_of(e, fd);
    struct list *it, *next;
    must(f != NULL); /* it was registered */
    f->armed = 0;
    LIST_FOR_EACH(it, next, &f->waiting) {
        struct epoll_op *op = LIST_ENTRY(it, struct epoll_op, link);
        uint32_t mine = events & (epoll_op_events(op) | EPOLLERR | EPOLLHUP);
        if (op->what == EPOLL_POLL) {
            op->poll.ready = mine;
        }
        if (mine && epoll_socket_try(e, op)) {
            list_remove(it);
            epoll_op_done(e, op, op->res);
        }
    }
    int error = list_empty(&f->waiting) ? 0 : epoll_ready_arm(e, f, fd);
    while (error && !list_empty(&f->waiting)) {
        struct epoll_op *op = LIST_ENTRY(list_pop_front(&f->waiting), struct epoll_op, link);
        epoll_op_done(e, op, epoll_ready_result(op, error));
    }
}

void epoll_ready_cancel(struct epoll *e, struct epoll_op *op)
{
    must(op->state == EPOLL_WAITING);
    list_remove(&op->link);
    epoll_op_done(e, op, epoll_socket_cut(op));
}

void epoll_ready_forget(struct epoll *e, int fd)
{
    size_t chunk = (size_t)fd / EPOLL_CHUNK_FDS;
    if (fd >= 0 && chunk < e->fd_chunk_count && e->fd_chunks[chunk]) {
        e->fd_chunks[chunk][fd % EPOLL_CHUNK_FDS].known = false;
    }
}

void epoll_ready_close(struct epoll *e)
{
    for (size_t i = 0; i < e->fd_chunk_count; i++) {
        free(e->fd_chunks[i]);
    }
    free(e->fd_chunks);
}
