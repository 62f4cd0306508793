/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Polls for c-ares. A descriptor's number is reused by the kernel at once after close; a watch is
 * therefore named by its handle, and the map by number holds open ones only.
 */
#include "dns/watch.h"

#include "core/base/must.h"

#include <ares.h>
#include <poll.h>

struct dns_watch {
    struct map_node node; /* by fd, while it is open */
    struct handle self;
    ares_channel_t *ares;
    int fd;
    unsigned want;    /* poll events c-ares waits for */
    unsigned polling; /* poll events in the kernel */
    bool cancelling;
};

void dns_watches_init(struct dns_watches *ws, struct io *io, uint32_t capacity, uint64_t seed)
{
    ws->io = io;
    pool_init(&ws->pool, sizeof(struct dns_watch), capacity);
    map_init(&ws->by_fd, seed);
}

void dns_watches_deinit(struct dns_watches *ws)
{
    must(dns_watches_idle(ws) && dns_watches_closed(ws));
    map_deinit(&ws->by_fd);
    pool_deinit(&ws->pool);
}

bool dns_watches_closed(const struct dns_watches *ws)
{
    return ws->by_fd.count == 0;
}

bool dns_watches_idle(const struct dns_watches *ws)
{
    return ws->pool.used == 0;
}

static struct io_tag watch_tag(const struct dns_watch *w)
{
    return (struct io_tag){IO_KIND_DNS, w->self};
}

static void watch_poll(struct dns_watches *ws, struct dns_watch *w)
{
    must(w->fd >= 0 && w->polling == 0);
    w->polling = w->want;
    w->cancelling = false;
    io_poll(ws->io, watch_tag(w), w->fd, w->want);
}

static void watch_cancel(struct dns_watches *ws, struct dns_watch *w)
{
    must(w->polling != 0);
    if (!w->cancelling) {
        w->cancelling = true;
        io_cancel(ws->io, watch_tag(w));
    }
}

static bool watch_equal(const struct map_node *node, const void *key)
{
    return container_of(node, struct dns_watch, node)->fd == *(const int *)key;
}

static struct dns_watch *watch_find(struct dns_watches *ws, int fd)
{
    uint64_t hash = map_hash_u64(&ws->by_fd, (uint64_t)fd);
    struct map_node *node = map_find(&ws->by_fd, hash, watch_equal, &fd);
    return node ? container_of(node, struct dns_watch, node) : NULL;
}

static struct dns_watch *watch_new(struct dns_watches *ws, ares_channel_t *ares, int fd)
{
    struct handle self;
    struct dns_watch *w = pool_get(&ws->pool, &self);
    if (!w) {
        return NULL;
    }
    w->self = self;
    w->ares = ares;
    w->fd = fd;
    if (!map_insert(&ws->by_fd, &w->node, map_hash_u64(&ws->by_fd, (uint64_t)fd))) {
        pool_put(&ws->pool, self);
        return NULL;
    }
    return w;
}

static void watch_close(struct dns_watches *ws, struct dns_watch *w)
{
    map_remove(&ws->by_fd, &w->node);
    w->fd = -1;
    if (w->polling) {
        watch_cancel(ws, w);
    } else {
        pool_put(&ws->pool, w->self);
    }
}

void dns_watches_update(struct dns_watches *ws, struct ares_channeldata *ares, int fd,
                        unsigned want)
{
    struct dns_watch *w = watch_find(ws, fd);
    if (want == 0) {
        if (w) {
            watch_close(ws, w);
        }
        return;
    }
    w = w ? w : watch_new(ws, ares, fd);
    if (!w) {
        return;
    }
    w->want = want;
    if (w->polling == 0) {
        watch_poll(ws, w);
    } else if (want & ~w->polling) {
        watch_cancel(ws, w); /* armed again with the new events when it is back */
    }
}

static unsigned watch_ready(const struct dns_watch *w, const struct io_event *ev)
{
    unsigned got = ev->status == IO_OK ? (unsigned)ev->result : POLLERR;
    unsigned ready = ARES_FD_EVENT_NONE;
    if (got & (POLLIN | POLLERR | POLLHUP)) {
        ready |= ARES_FD_EVENT_READ;
    }
    if ((w->want & POLLOUT) && (got & (POLLOUT | POLLERR | POLLHUP))) {
        ready |= ARES_FD_EVENT_WRITE;
    }
    return ready;
}

bool dns_watches_on_io(struct dns_watches *ws, const struct io_event *ev)
{
    struct dns_watch *w = pool_resolve(&ws->pool, ev->owner);
    if (!w) {
        io_count_stale(ws->io);
        return false;
    }
    w->polling = 0;
    if (w->fd < 0) {
        pool_put(&ws->pool, w->self);
        return false;
    }
    bool called = ev->status != IO_CANCELLED && ev->status != IO_RETRY;
    if (called) {
        ares_fd_events_t ready = {.fd = w->fd, .events = watch_ready(w, ev)};
        ares_process_fds(w->ares, &ready, 1, ARES_PROCESS_FLAG_SKIP_NON_FD);
        w = pool_resolve(&ws->pool, ev->owner); /* c-ares may have closed it */
    }
    /* A descriptor that cannot be polled is not polled again: its questions time out. */
    bool pollable = !called || ev->status == IO_OK;
    if (w && pollable && w->polling == 0) {
        watch_poll(ws, w);
    }
    return called;
}
