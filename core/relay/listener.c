/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Accepting. A multishot accept that ends (no descriptors left, whatever else) leaves the listener deaf, so
 * it is always started again: at once after an ordinary end, after RELAY_REARM_MS when resources are short.
 * Then the reserve descriptor is given up for a moment, the waiting clients are told 421 and closed.
 */
#include "core/io/net.h"
#include "core/relay/inbound.h"

enum { LISTENER_REFUSE_MAX = 64 };

static void listener_accept(struct relay_listener *l)
{
    must(!l->accepting);
    l->accepting = true;
    io_accept(l->relay->io, (struct io_tag){IO_KIND_LISTENER_ACCEPT, l->self}, l->fd);
}

static void listener_on_rearm(struct timer *t, void *ctx)
{
    (void)ctx;
    struct relay_listener *l = container_of(t, struct relay_listener, rearm);
    if (!l->accepting && l->fd >= 0) {
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
        }
    }
    if (ev->more) {
        return;
    }
    if (r->stopping) {
        listener_gone(l);
    } else if (ev->status == IO_EXHAUSTED) {
        listener_exhausted(l, ev);
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
