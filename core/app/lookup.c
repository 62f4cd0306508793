/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/lookup.h"
#include "core/base/must.h"
#include "core/io/choose.h"

#include <errno.h>

enum { LOOKUP_DRAIN_MS = 1000 };

struct lookup {
    struct io *io;
    struct timer_wheel timers;
    struct rng rng;
    struct dns *dns;
    struct dns_query query;
    const struct dns_plan *plan;
};

static void lookup_on_io(void *ctx, const struct io_event *ev)
{
    dns_on_io(((struct lookup *)ctx)->dns, ev);
}

static void lookup_done(struct dns_query *q, const struct dns_plan *plan)
{
    struct lookup *l = q->ctx;
    must(l->plan == NULL);
    l->plan = plan;
}

static void lookup_turn(struct lookup *l, uint64_t end_ms)
{
    uint64_t due = timer_wheel_next(&l->timers);
    io_wait(l->io, dns_pending(l->dns) ? 0 : due < end_ms ? due : end_ms);
    io_dispatch(l->io);
    timer_wheel_run(&l->timers, io_now(l->io)->mono_ms, l);
    dns_run(l->dns);
}

static void lookup_close(struct lookup *l)
{
    uint64_t end = clock_read().mono_ms + LOOKUP_DRAIN_MS;
    dns_query_cancel(l->dns, &l->query);
    dns_drain(l->dns);
    while (!dns_idle(l->dns) && clock_read().mono_ms < end) {
        lookup_turn(l, end);
    }
    if (dns_idle(l->dns)) { /* else: leave it to the end of the process */
        dns_close(l->dns);
        io_close(l->io);
    }
}

const struct dns_plan *lookup_hosts(const struct conf *conf, const struct ip_endpoint *server,
                                    struct slice name, bool mx, struct buf *why)
{
    static const struct io_route route = {"dns", lookup_on_io};
    struct io_route routes[IO_KIND_COUNT] = {[IO_KIND_DNS] = route};
    struct lookup l = {.query = {.done = lookup_done}};
    int error = 0;
    struct dns_config cfg = {
        .servers = server ? server : conf->dns.servers.items,
        .server_count = server ? 1 : conf->dns.servers.count,
        .timeout_ms = LOOKUP_LIMIT_MS,
        .tries = 1,
        .cache_entries = 64,
        .ttl_max_ms = conf->dns.ttl_max_ms,
        .negative_ttl_max_ms = conf->dns.negative_ttl_max_ms,
        .ipv4 = true,
        .ipv6 = conf->delivery.ipv6,
    };
    l.query.ctx = &l;
    l.io = io_open(&io_backend_epoll, 64, routes, &l, &error); /* works everywhere */
    if (!l.io || !rng_init_kernel(&l.rng)) {
        buf_addf(why, "%s", error ? strerror(error) : "no entropy");
        if (l.io) {
            io_close(l.io);
        }
        return NULL;
    }
    timer_wheel_init(&l.timers, io_now(l.io)->mono_ms);
    l.dns = dns_open(&cfg, l.io, &l.timers, &l.rng, why);
    if (!l.dns) {
        io_close(l.io);
        return NULL;
    }
    if (mx) {
        dns_mx_start(l.dns, &l.query, name);
    } else {
        dns_host_start(l.dns, &l.query, name);
    }
    uint64_t end = io_now(l.io)->mono_ms + LOOKUP_LIMIT_MS;
    while (!l.plan && io_now(l.io)->mono_ms < end) {
        lookup_turn(&l, end);
    }
    if (!l.plan) {
        buf_addf(why, "no answer within %d s", LOOKUP_LIMIT_MS / 1000);
    }
    lookup_close(&l);
    return l.plan;
}
