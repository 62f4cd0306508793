/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/relay/relay.h"
#include "core/queue/far.h"
#include "core/relay/inbound.h"
#include "core/relay/outbound.h"

bool relay_open(struct relay *r, const struct relay_parts *parts)
{
    const struct conf *conf = parts->settings->conf;
    *r = (struct relay){
        .settings = relay_settings_ref(parts->settings),
        .io = parts->io,
        .timers = parts->timers,
        .rng = parts->rng,
        .log = parts->log,
        .queue = parts->queue,
        .admitted = parts->admitted,
        .throttle = parts->throttle,
        .offload = parts->offload,
        .disk = parts->disk,
        .disk_port = {.event_fd = -1},
        .session_next = parts->worker,
        .workers = parts->workers,
    };
    pool_init(&r->listeners, sizeof(struct relay_listener), LIMIT_LISTENERS);
    /* Sessions of one worker: the kernel may send it all of them; and those that end. */
    pool_init(&r->inbound, sizeof(struct inbound), conf->limits.connections + RELAY_BACKLOG);
    pool_init(&r->outbound, sizeof(struct outbound), conf->delivery.connections_total + 1);
    list_init(&r->idle);
    handshakes_init(&r->handshakes);
    list_init(&r->resume);
    list_init(&r->space_waiters);
    login_cache_init(&r->logins, r->rng);
    return offload_port_open(&r->offload_port, r->io, (struct io_tag){IO_KIND_OFFLOAD, {0, 1}}) &&
           (!r->disk ||
            offload_port_open(&r->disk_port, r->io, (struct io_tag){IO_KIND_DISK, {0, 1}}));
}

uint64_t relay_session_id(struct relay *r)
{
    r->session_next += r->workers;
    return r->session_next;
}

void relay_on_offload(struct relay *r, const struct io_event *ev)
{
    offload_port_on_io(&r->offload_port, ev, r);
}

void relay_on_disk(struct relay *r, const struct io_event *ev)
{
    offload_port_on_io(&r->disk_port, ev, r);
}

void relay_set_settings(struct relay *r, struct relay_settings *settings)
{
    struct relay_settings *old = r->settings;
    r->settings = relay_settings_ref(settings);
    relay_settings_put(&old);
}

static void relay_shut_inbound(struct relay *r, bool at_once)
{
    for (uint32_t slot = 0; slot < r->inbound.made; slot++) {
        struct handle h;
        struct inbound *s = pool_at(&r->inbound, slot, &h);
        if (s) {
            inbound_shut(s, at_once);
        }
    }
}

static void relay_shut_outbound(struct relay *r, bool at_once)
{
    for (uint32_t slot = 0; slot < r->outbound.made; slot++) {
        struct handle h;
        struct outbound *o = pool_at(&r->outbound, slot, &h);
        if (o) {
            outbound_shut(o, at_once);
        }
    }
}

bool relay_stop(struct relay *r)
{
    if (!r->stopping) {
        r->stopping = true;
        relay_listeners_stop(r);
    }
    relay_shut_inbound(r, r->deadline);
    relay_shut_outbound(r, r->deadline);
    return r->listeners.used == 0 && r->inbound.used == 0 && r->outbound.used == 0 &&
           offload_port_stop(&r->offload_port) && offload_port_stop(&r->disk_port);
}

void relay_cut(struct relay *r)
{
    r->deadline = true;
}

void relay_close(struct relay *r)
{
    timer_stop(r->timers, &r->idle_watch);
    taps_close(r);
    must(r->inflight_bytes == 0 && r->handshakes.length == 0);
    pool_deinit(&r->listeners);
    pool_deinit(&r->inbound);
    pool_deinit(&r->outbound);
    for (size_t i = 0; i < RELAY_RESUMABLE; i++) {
        tls_session_free(&r->resumable[i]);
    }
    relay_settings_put(&r->settings);
}

void relay_run(struct relay *r)
{
    struct list now;
    list_init(&now);
    list_splice_back(&now, &r->resume);
    struct list *node;
    while ((node = list_pop_front(&now))) {
        inbound_resume(LIST_ENTRY(node, struct inbound, link));
    }
    if (!r->stopping && !r->queue->leaving) {
        pool_run(r);
    }
    relay_listeners_run(r);
    handshakes_run(&r->handshakes);
    queue_peers_run(r->queue);
    queue_far_run(r->queue);
}

bool relay_pending(const struct relay *r)
{
    return !list_empty(&r->resume) || r->handshakes.length > 0;
}
