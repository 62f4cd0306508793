/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which connection takes which part. A connection takes its next part by itself when it has finished one
 * (or while it sends one); the pool only wakes idle connections and opens new ones while there is more
 * work than connections under way. How many there may be is the site's owner's word (core/queue/sched.h).
 */
#include "core/relay/maildir.h"
#include "core/relay/outbound.h"
#include "core/queue/sched.h"

static bool pool_full(const struct relay *r)
{
    uint32_t share = r->settings->conf->delivery.connections_total / r->workers;
    return r->outbound.used >= (share ? share : 1);
}

static bool pool_can_open(struct relay *r, struct queue_site *site)
{
    /* Who has not been greeted yet will take a part: there is no need of another for it. */
    return site->connections - site->working < queue_site_work(site) && !pool_full(r) &&
           queue_site_grant(r->queue, site);
}

/* Idle connections are a courtesy to their own site: those that have waited longest give their places to
 * sites that have none. */
static void pool_evict(struct relay *r, uint32_t wanted)
{
    struct list *node;
    while (r->evicting < wanted && (node = list_first(&r->idle))) {
        struct outbound *o = LIST_ENTRY(node, struct outbound, idle_link);
        o->evicted = true;
        r->evicting++;
        outbound_shut(o, false);
    }
}

/* Idle connections whose provider has no place left for a site that wants one leave. */
static void pool_on_idle_watch(struct timer *t, void *ctx)
{
    (void)ctx;
    struct relay *r = container_of(t, struct relay, idle_watch);
    struct list *node, *tmp;
    struct list leaving;
    list_init(&leaving);
    LIST_FOR_EACH(node, tmp, &r->idle) {
        struct outbound *o = LIST_ENTRY(node, struct outbound, idle_link);
        if (queue_site_yields(o->site, io_now(r->io)->mono_us)) {
            list_remove(&o->idle_link);
            list_push_back(&leaving, &o->idle_link);
        }
    }
    while ((node = list_first(&leaving))) {
        outbound_shut(LIST_ENTRY(node, struct outbound, idle_link), false);
    }
    LIST_FOR_EACH(node, tmp, &r->idle) {
        pool_watch_idle(r, LIST_ENTRY(node, struct outbound, idle_link)->site);
    }
}

void pool_watch_idle(struct relay *r, struct queue_site *site)
{
    if (queue_site_shares(site) && !timer_armed(&r->idle_watch)) {
        r->idle_watch.fire = pool_on_idle_watch;
        timer_start(r->timers, &r->idle_watch, io_now(r->io)->mono_ms + RELAY_IDLE_WATCH_MS);
    }
}

/* Nothing will come back to connections from an address that has gone: those that wait for work are cut, before
 * they get some. Others have their timeouts. */
static void pool_leave_gone(struct relay *r)
{
    uint64_t news = egress_news(r->settings->egress);
    struct list *node, *tmp;
    if (news == r->source_news) {
        return;
    }
    r->source_news = news;
    LIST_FOR_EACH(node, tmp, &r->idle) {
        struct outbound *o = LIST_ENTRY(node, struct outbound, idle_link);
        if (outbound_is_orphaned(o)) {
            outbound_shut(o, true);
        }
    }
}

/* Those that work take one more, and go behind the others. Who does not is not asked again. */
static void pool_fill(struct queue_site *site)
{
    uint32_t work = UINT32_MAX;
    struct list *node;
    while ((node = list_first(&site->roomy)) && queue_site_work(site) < work) {
        work = queue_site_work(site);
        if (work == 0) {
            break;
        }
        outbound_fill(LIST_ENTRY(node, struct outbound, link));
    }
}

/* True: it has no connection, and it is only for want of a place. */
static bool pool_serve(struct relay *r, struct queue_site *site)
{
    const struct egress_source *source;
    if (site->plan && !outbound_find_source(r, site, &source)) {
        /* Parts that were between two workers when the source went: they are routed anew. */
        queue_site_release(r->queue, site);
        return false;
    }
    while (!list_empty(&site->idle) && queue_site_sheds(site)) {
        struct outbound *o = LIST_ENTRY(list_first(&site->idle), struct outbound, link);
        o->sheds = true;
        outbound_shut(o, false);
    }
    while (queue_site_work(site)) {
        struct list *node = list_first(&site->idle);
        if (node) {
            outbound_wake(LIST_ENTRY(node, struct outbound, link));
        } else if (!pool_can_open(r, site) || !outbound_open(r, site)) {
            break;
        }
    }
    pool_fill(site);
    /* Rights to connections that are not needed, or not possible, go back to who has them to give. */
    bool stuck = queue_site_work(site) && site->connections == 0;
    queue_site_give_back(r->queue, site, stuck || (queue_site_work(site) && pool_full(r)));
    return stuck && pool_full(r);
}

void pool_run(struct relay *r)
{
    struct list now;
    struct queue *q = r->queue;
    pool_leave_gone(r);
    queue_sites_file(q);
    queue_sched_run(q, false);
    list_init(&now);
    list_splice_back(&now, &q->active_sites);
    struct list *node;
    uint32_t starved = 0;
    while ((node = list_pop_front(&now))) {
        struct queue_site *site = LIST_ENTRY(node, struct queue_site, active);
        if (site->local) {
            maildir_serve(r, site);
            continue;
        }
        bool stuck = pool_serve(r, site);
        /* Sites with connections go on when one of those is free; without, they wait for a place. */
        if (queue_sched_wants_place(site->sched)) {
            queue_site_activate(q, site);
            starved += pool_full(r) ? 1 : 0;
        } else {
            starved += stuck && !site->sched ? 1 : 0;
        }
    }
    queue_sched_run(q, true);
    pool_evict(r, starved);
}
