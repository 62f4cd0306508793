/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * From recipients to parts. A part stands in exactly one list: waiting at its domain while the route is being
 * found, filling at its site for the rest of the turn, in the order of the site's owner, in a lane, or leased
 * to a connection (in no list).
 *
 *   due recipient ─► domain (route fresh?) ──yes──► site.filling ─(queue_sites_file)─► owner
 *                          └─no─► domain.waiting ─(lookups done)─► site.filling, or refusal ─► results
 *
 * Which site of the domain, of those that its sources make of the route, is decided where `route fresh` is yes
 * (source.h): with `sources:`, parts that waited for the route are let go and come there.
 */
#include "core/queue/routing.h"
#include "core/base/must.h"
#include "core/policy/mailbox.h"
#include "core/queue/queue.h"
#include "core/queue/times.h"

static struct slice queue_rcpt_domain(const struct queue *q, const struct queue_rcpt *r)
{
    const char *at = memrchr(r->address.ptr, '@', r->address.len);
    return at ? slice_skip(r->address, (size_t)(at - r->address.ptr) + 1)
              : q->conf->identity.hostname;
}

struct queue_key queue_key_of(const struct queue *q, const struct queue_rcpt *r)
{
    struct slice domain = queue_rcpt_domain(q, r), none = {NULL, 0};
    if (r->target != QUEUE_TARGET_NONE) {
        return queue_target_key(q, r);
    }
    if (mailbox_is_local(q->conf, domain)) {
        return (struct queue_key){none, QUEUE_DOMAIN_LOCAL};
    }
    return q->conf->relay.host.count > 0 ? (struct queue_key){none, QUEUE_DOMAIN_SMARTHOST}
                                         : (struct queue_key){domain, QUEUE_DOMAIN_MX};
}

/* Adds recipient index to the open part of (m, where), at the site or (s NULL) while d's route is being found;
 * false: no memory, it stays WAITING. */
static bool queue_file_rcpt(struct queue *q, struct queue_domain *d, struct queue_site *s,
                            struct queue_message *m, uint32_t index)
{
    struct queue_part *p = s ? s->last : d->last;
    if (!queue_part_takes(p, m)) {
        p = queue_part_new(q, m, s);
        if (!p) {
            return false;
        }
        if (s) {
            queue_site_push(q, s, p);
        } else {
            p->domain = d;
            list_push_back(&d->waiting, &p->in_list);
            d->last = p;
        }
    }
    queue_part_add(p, index);
    queue_rcpt_set_state(m, &m->rcpts[index], QUEUE_RCPT_READY);
    return true;
}

/* Recipients of one message that end, or are put off, without an attempt. */
struct queue_refused {
    uint32_t count;
    uint32_t rcpts[QUEUE_BATCH_RCPTS_MAX];
    struct outcome outcomes[QUEUE_BATCH_RCPTS_MAX];
};

static void queue_refused_tell(struct queue *q, struct queue_message *m, struct queue_refused *r)
{
    if (r->count) {
        struct queue_part_end end = {.outcomes = r->outcomes};
        queue_results(q, m, r->rcpts, r->count, &end);
        r->count = 0;
    }
}

static void queue_refused_add(struct queue *q, struct queue_message *m, struct queue_refused *r,
                              uint32_t index, const struct outcome *o)
{
    queue_rcpt_set_state(m, &m->rcpts[index], QUEUE_RCPT_READY);
    r->rcpts[r->count] = index;
    r->outcomes[r->count++] = *o;
    if (r->count == QUEUE_BATCH_RCPTS_MAX) {
        queue_refused_tell(q, m, r);
    }
}

/* d's route is known, and there is one. */
static bool queue_route_to_site(struct queue *q, struct queue_domain *d, struct queue_message *m,
                                uint32_t index, struct queue_refused *refused)
{
    struct queue_rcpt *r = &m->rcpts[index];
    struct queue_site *s;
    struct outcome o;
    if (queue_suspend_site(q, d->site)) {
        r->due_ms = QUEUE_DUE_SUSPENDED;
        return true;
    }
    switch (queue_source_way(q, m, r, d, &s)) {
    case QUEUE_WAY_SITE:
        return queue_file_rcpt(q, d, s, m, index);
    case QUEUE_WAY_WAIT:
        r->due_ms = QUEUE_DUE_SUSPENDED;
        return true;
    case QUEUE_WAY_NONE:
        o = queue_source_outcome();
        queue_refused_add(q, m, refused, index, &o);
        return true;
    case QUEUE_WAY_MEMORY:
        break;
    }
    return false;
}

/* False: no memory. */
static bool queue_route_rcpt(struct queue *q, struct queue_message *m, uint32_t index,
                             struct queue_refused *refused)
{
    struct queue_domain *d = queue_domain_get(q, queue_key_of(q, &m->rcpts[index]));
    if (!d) {
        return false;
    }
    d->used_ms = io_now(q->io)->mono_ms;
    bool fresh = queue_domain_fresh(q, d);
    if (!fresh && d->pending == 0) {
        fresh = queue_domain_resolve(q, d);
    }
    if (!fresh) {
        return queue_file_rcpt(q, d, NULL, m, index);
    }
    if (!d->site) {
        queue_refused_add(q, m, refused, index, &d->refusal);
        return true;
    }
    return queue_route_to_site(q, d, m, index, refused);
}

void queue_route_message(struct queue *q, struct queue_message *m)
{
    uint64_t wall_us = io_now(q->io)->wall_us;
    uint64_t wall_ms = wall_us / 1000;
    struct queue_refused refused;
    refused.count = 0;
    m->readers++; /* a refusal must not free it while we walk */
    if (m->marked) {
        queue_order_marked(q, m);
    }
    if (q->orders.walking) {
        queue_orders_meet(q, m);
    }
    bool over = queue_message_is_over(m, wall_us);
    for (uint32_t i = 0; i < m->rcpt_count; i++) {
        struct queue_rcpt *r = &m->rcpts[i];
        bool ends = over && r->due_ms == QUEUE_DUE_SUSPENDED; /* what is held does not */
        if (r->state != QUEUE_RCPT_WAITING || (r->due_ms > wall_ms && !ends)) {
            continue;
        }
        if (m->damaged) {
            struct outcome o = outcome_local(OUTCOME_PERMANENT, OUTCOME_MESSAGE,
                                             OUTCOME_STAGE_ROUTE, (struct enhanced){5, 3, 0},
                                             QUEUE_TEXT_DAMAGED);
            queue_refused_add(q, m, &refused, i, &o);
            continue;
        }
        if (over) {
            struct outcome o = queue_outcome_over();
            queue_refused_add(q, m, &refused, i, &o);
            continue;
        }
        if (queue_suspend_covers(q, m, r)) {
            r->due_ms = QUEUE_DUE_SUSPENDED;
            continue;
        }
        if (!queue_route_rcpt(q, m, i, &refused)) {
            r->due_ms = wall_ms + 1000; /* no memory: soon again */
        }
    }
    queue_refused_tell(q, m, &refused);
    m->readers--;
    queue_body_unused(q, m);
    queue_schedule(q, m);
    queue_settle(q, m);
}

void queue_routes_expire(struct queue *q)
{
    size_t bucket = 0;
    for (struct map_node *n = map_next(&q->domains, &bucket, NULL); n;
         n = map_next(&q->domains, &bucket, n)) {
        queue_domain_expire(q, container_of(n, struct queue_domain, by_name));
    }
    /* What waits for the smarthost of before, or for an MX host where a smarthost is to be used now, must not
     * go there any more. */
    bucket = 0;
    for (struct map_node *n = map_next(&q->sites, &bucket, NULL); n;
         n = map_next(&q->sites, &bucket, n)) {
        struct queue_site *s = container_of(n, struct queue_site, by_key);
        s->stale = true;
        queue_site_release(q, s);
    }
}

void queue_sites_release_parts(struct queue *q)
{
    size_t bucket = 0;
    for (struct map_node *n = map_next(&q->domains, &bucket, NULL); n;
         n = map_next(&q->domains, &bucket, n)) {
        queue_domain_release(container_of(n, struct queue_domain, by_name));
    }
    bucket = 0;
    for (struct map_node *n = map_next(&q->sites, &bucket, NULL); n;
         n = map_next(&q->sites, &bucket, n)) {
        queue_site_release(q, container_of(n, struct queue_site, by_key));
    }
}

void queue_sites_sweep(struct queue *q, bool all)
{
    uint64_t now_ms = io_now(q->io)->mono_ms;
    size_t bucket = 0;
    struct map_node *node = map_next(&q->domains, &bucket, NULL);
    while (node) {
        struct queue_domain *d = container_of(node, struct queue_domain, by_name);
        node = map_next(&q->domains, &bucket, node);
        bool idle = list_empty(&d->waiting) && d->pending == 0;
        if (all || (idle && d->used_ms + QUEUE_SITE_LINGER_MS < now_ms)) {
            queue_domain_free(q, d);
        }
    }
    bucket = 0;
    node = map_next(&q->sites, &bucket, NULL);
    while (node) {
        struct queue_site *s = container_of(node, struct queue_site, by_key);
        node = map_next(&q->sites, &bucket, node);
        if (all || (queue_site_unused(s) && s->used_ms + QUEUE_SITE_LINGER_MS < now_ms)) {
            queue_site_free(q, s);
        }
    }
}
