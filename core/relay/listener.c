/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Accepting. A multishot accept that ends (no descriptors left, whatever else) leaves the listener deaf, so
 * it is always started again: at once after an ordinary end, after RELAY_REARM_MS when resources are short.
 * Then the reserve descriptor is given up for a moment, the waiting clients are told 421 and closed.
 *
 * A crowd: with all of limits.connections taken, a 421 costs a third of what a message does, so whoever knocks
 * ten times as fast as mail can be taken would leave no time for it. The accept ends, and the listener takes
 * as many as there are places, and besides LISTENER_CROWD_REFUSALS every LISTENER_CROWD_MS who hear 421. The
 * others wait in the kernel's queue, and what that cannot hold comes again by TCP. It is over when nobody waits.
 */
#include "core/io/net.h"
#include "core/relay/inbound.h"

enum {
    LISTENER_REFUSE_MAX = 64,
    LISTENER_CROWD_MS = 10,
    LISTENER_CROWD_REFUSALS = 4, /* 400 a second: 1 % of a core */
    LISTENER_CROWD_TURN = 64,    /* places filled in one turn */
};

static void listener_accept(struct relay_listener *l)
{
    must(!l->accepting);
    l->accepting = true;
    io_accept(l->relay->io, (struct io_tag){IO_KIND_LISTENER_ACCEPT, l->self}, l->fd);
}

/* ---- a crowd ---- */

static uint32_t listener_room(const struct relay *r)
{
    uint32_t max = r->settings->conf->limits.connections;
    uint32_t count = connections_count(r->admitted);
    return count < max ? max - count : 0;
}

static void listener_crowd_over(struct relay_listener *l)
{
    if (l->crowded) {
        must(l->relay->crowded > 0);
        l->relay->crowded--;
        l->crowded = false;
    }
}

static void listener_crowd_begins(struct relay_listener *l)
{
    l->crowded = true;
    l->relay->crowded++;
    if (l->accepting) {
        io_cancel(l->relay->io, (struct io_tag){IO_KIND_LISTENER_ACCEPT, l->self});
    }
}

static void listener_crowd_waits(struct relay_listener *l)
{
    struct relay *r = l->relay;
    timer_start(r->timers, &l->rearm, io_now(r->io)->mono_ms + LISTENER_CROWD_MS);
}

/* Some of those who wait; when all of them are taken, the crowd is over. */
static void listener_take(struct relay_listener *l, uint32_t max)
{
    uint32_t most = max < LISTENER_CROWD_TURN ? max : LISTENER_CROWD_TURN;
    for (uint32_t i = 0; i < most; i++) {
        int fd = net_accept(l->fd);
        if (fd < 0) {
            listener_crowd_over(l);
            timer_stop(l->relay->timers, &l->rearm);
            listener_accept(l);
            return;
        }
        inbound_open(l, fd);
    }
    if (!timer_armed(&l->rearm)) {
        listener_crowd_waits(l);
    }
}

void relay_listeners_run(struct relay *r)
{
    if (r->crowded == 0 || r->stopping) {
        return;
    }
    for (uint32_t slot = 0; slot < r->listeners.made; slot++) {
        struct handle h;
        struct relay_listener *l = pool_at(&r->listeners, slot, &h);
        uint32_t room = l && l->crowded && !l->accepting ? listener_room(r) : 0;
        if (room > 0) {
            listener_take(l, room);
        }
    }
}

/* ---- the multishot accept ---- */

static void listener_on_rearm(struct timer *t, void *ctx)
{
    (void)ctx;
    struct relay_listener *l = container_of(t, struct relay_listener, rearm);
    if (l->accepting || l->fd < 0) {
        return;
    }
    if (l->crowded) {
        listener_take(l, listener_room(l->relay) + LISTENER_CROWD_REFUSALS);
    } else {
        listener_accept(l);
    }
}

bool relay_listen(struct relay *r, unsigned index, int fd)
{
    struct handle self;
    struct relay_listener *l = pool_get(&r->listeners, &self);
    if (!l) {
        return false;
    }
    const struct conf_listener *c = &r->settings->conf->listeners.items[index];
    l->self = self;
    l->relay = r;
    l->index = index;
    l->fd = fd;
    l->reserve_fd = net_reserve_fd();
    l->at = (struct ip_endpoint){c->address, c->port};
    l->rearm.fire = listener_on_rearm;
    listener_accept(l);
    return true;
}

static void listener_exhausted(struct relay_listener *l, const struct io_event *ev)
{
    struct relay *r = l->relay;
    unsigned refused = 0;
    if (l->reserve_fd >= 0) {
        net_close(l->reserve_fd);
        refused = net_accept_and_refuse(l->fd,
                                        SLICE("421 4.3.2 Out of resources, try again later\r\n"),
                                        LISTENER_REFUSE_MAX);
    }
    l->reserve_fd = net_reserve_fd();
    r->counters.sessions_refused += refused;
    if (obs_begin(r->log, OBS_ACCEPT_PAUSED, io_now(r->io)->wall_us)) {
        char text[IP_ENDPOINT_TEXT_MAX];
        obs_str(r->log, OBS_F_LISTENER, slice_str(ip_endpoint_text(&l->at, text)));
        obs_str(r->log, OBS_F_REASON, slice_str(io_status_name(ev->status)));
        obs_u64(r->log, OBS_F_COUNT, refused);
        obs_end(r->log, io_now(r->io)->mono_ms);
    }
    timer_start(r->timers, &l->rearm, io_now(r->io)->mono_ms + RELAY_REARM_MS);
}

static void listener_gone(struct relay_listener *l)
{
    struct relay *r = l->relay;
    listener_crowd_over(l);
    timer_stop(r->timers, &l->rearm);
    net_close(l->fd);
    if (l->reserve_fd >= 0) {
        net_close(l->reserve_fd);
    }
    pool_put(&r->listeners, l->self);
}

void relay_on_accept(struct relay *r, const struct io_event *ev)
{
    struct relay_listener *l = pool_resolve(&r->listeners, ev->owner);
    if (!l) {
        io_count_stale(r->io);
        if (ev->status == IO_OK) {
            net_close(ev->result);
        }
        return;
    }
    l->accepting = ev->more;
    if (ev->status == IO_OK) {
        if (r->stopping) {
            net_refuse(ev->result, SLICE("421 4.3.2 Service shutting down\r\n"));
        } else {
            inbound_open(l, ev->result);
            if (!l->crowded && listener_room(r) == 0) {
                listener_crowd_begins(l);
            }
        }
    }
    if (ev->more) {
        return;
    }
    if (r->stopping) {
        listener_gone(l);
    } else if (ev->status == IO_EXHAUSTED) {
        listener_exhausted(l, ev);
    } else if (l->crowded) {
        listener_crowd_waits(l);
    } else {
        listener_accept(l);
    }
}

void relay_listeners_stop(struct relay *r)
{
    for (uint32_t slot = 0; slot < r->listeners.made; slot++) {
        struct handle h;
        struct relay_listener *l = pool_at(&r->listeners, slot, &h);
        if (l && l->accepting) {
            io_cancel(r->io, (struct io_tag){IO_KIND_LISTENER_ACCEPT, l->self});
        } else if (l) {
            listener_gone(l);
        }
    }
}
