/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which connection takes which part. A connection takes its next part by itself when it has finished one
 * (or while it sends one); the pool only wakes idle connections and opens new ones while there is more
 * work than connections under way.
 */
#include "core/relay/maildir.h"
#include "core/relay/outbound.h"

static uint32_t pool_share(uint32_t total, unsigned workers)
{
    uint32_t share = total / workers;
    return share ? share : 1;
}

static uint32_t pool_limit(const struct relay *r, struct queue_site *site)
{
    uint32_t limit = pool_share(r->settings->conf->delivery.connections_per_site, r->workers);
    if (site->limit && site->limit_until_ms <= io_now(r->io)->mono_ms) {
        site->limit = 0;
    }
    return site->limit && site->limit < limit ? site->limit : limit;
}

static bool pool_full(const struct relay *r)
{
    return r->outbound.used >=
           pool_share(r->settings->conf->delivery.connections_total, r->workers);
}

static bool pool_can_open(const struct relay *r, struct queue_site *site)
{
    /* After a failure one connection finds out whether the host works again. Who has not been greeted yet
     * will take a part: there is no need of another for it. */
    return !timer_armed(&site->pause) && site->connections < pool_limit(r, site) &&
           (site->failures == 0 || site->connections == 0) &&
           site->connections - site->working < site->ready_count && !pool_full(r);
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

static void pool_serve(struct relay *r, struct queue_site *site)
{
    if (site->down_until_ms > io_now(r->io)->mono_ms && site->connections == 0) {
        queue_site_fail_ready(r->queue, site, &site->down);
        return;
    }
    while (site->ready_count) {
        struct list *node = list_first(&site->idle);
        if (node) {
            outbound_wake(LIST_ENTRY(node, struct outbound, link));
        } else if (!pool_can_open(r, site) || !outbound_open(r, site)) {
            return;
        }
    }
}

void pool_run(struct relay *r)
{
    struct list now;
    list_init(&now);
    list_splice_back(&now, &r->queue->active_sites);
    struct list *node;
    uint32_t starved = 0;
    while ((node = list_pop_front(&now))) {
        struct queue_site *site = LIST_ENTRY(node, struct queue_site, active);
        if (site->local) {
            maildir_serve(r, site);
            continue;
        }
        pool_serve(r, site);
        /* Sites with connections go on when one of those is free; without, they wait for a place. */
        if (site->ready_count && site->connections == 0 && !timer_armed(&site->pause) &&
            !list_linked(&site->active)) {
            list_push_back(&r->queue->active_sites, &site->active);
            starved += pool_full(r) ? 1 : 0;
        }
    }
    pool_evict(r, starved);
}

void pool_site_again(struct relay *r, struct queue_site *site)
{
    if (site->ready_count && !list_linked(&site->active)) {
        list_push_back(&r->queue->active_sites, &site->active);
    }
}

static void pool_on_pause_over(struct timer *t, void *ctx)
{
    (void)ctx;
    struct queue_site *site = container_of(t, struct queue_site, pause);
    if (site->ready_count && !list_linked(&site->active)) {
        list_push_back(site->active_list, &site->active);
    }
}

void pool_site_failed(struct relay *r, struct queue_site *site, const struct outcome *why)
{
    uint64_t now_ms = io_now(r->io)->mono_ms;
    if (site->working) {
        /* Others work: the peer has enough of us. */
        site->limit = site->working;
        site->limit_until_ms = now_ms + RELAY_ADDRESS_BAD_MS;
        return;
    }
    if (r->stopping || timer_armed(&site->pause)) {
        return; /* connections that were opened together fail together: that is one failure */
    }
    if (site->down_until_ms > now_ms) {
        queue_site_fail_ready(r->queue, site, &site->down);
        return;
    }
    if (++site->failures < RELAY_FAILURES_MAX) {
        /* One lost connection is no reason to make a password reset wait for the retry schedule. */
        site->pause.fire = pool_on_pause_over;
        site->active_list = &r->queue->active_sites;
        timer_start(r->timers, &site->pause, now_ms + RELAY_DOWN_MIN_MS);
        return;
    }
    uint64_t back_off_ms = (uint64_t)RELAY_DOWN_MIN_MS
                           << (site->failures < 10 ? site->failures : 10);
    uint64_t first_retry_ms = r->settings->conf->queue.schedule.items[0] / 2;
    back_off_ms = back_off_ms > RELAY_DOWN_MAX_MS ? RELAY_DOWN_MAX_MS : back_off_ms;
    site->down_until_ms = now_ms + (back_off_ms < first_retry_ms ? back_off_ms : first_retry_ms);
    site->down = *why;
    outcome_copy_text(&site->down, site->down_text, sizeof(site->down_text));
    queue_site_fail_ready(r->queue, site, &site->down);
}
