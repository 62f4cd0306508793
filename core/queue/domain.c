/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/domain.h"
#include "core/base/must.h"
#include "core/queue/queue.h"
#include "core/queue/source.h"

#include <stdlib.h>

static bool queue_domain_equal(const struct map_node *node, const void *key)
{
    const struct queue_domain *d = container_of(node, struct queue_domain, by_name);
    const struct queue_key *k = key;
    return d->kind == k->kind && slice_eq_nocase(d->name, k->name);
}

struct queue_domain *queue_domain_find(struct queue *q, struct queue_key key)
{
    uint64_t hash = map_hash_nocase(&q->domains, key.name);
    struct map_node *node = map_find(&q->domains, hash, queue_domain_equal, &key);
    return node ? container_of(node, struct queue_domain, by_name) : NULL;
}

struct queue_domain *queue_domain_get(struct queue *q, struct queue_key key)
{
    struct queue_domain *d = queue_domain_find(q, key);
    if (d) {
        return d;
    }
    d = calloc(1, sizeof(*d) + key.name.len);
    if (!d) {
        return NULL;
    }
    uint64_t hash = map_hash_nocase(&q->domains, key.name);
    char *text = (char *)(d + 1);
    if (key.name.len) {
        memcpy(text, key.name.ptr, key.name.len);
    }
    d->name = slice_of(text, key.name.len);
    d->kind = key.kind;
    d->queue = q;
    list_init(&d->waiting);
    if (!map_insert(&q->domains, &d->by_name, hash)) {
        free(d);
        return NULL;
    }
    return d;
}

bool queue_domain_fresh(const struct queue *q, const struct queue_domain *d)
{
    return d->pending == 0 && d->expires_ms > io_now(q->io)->mono_ms;
}

static void queue_domain_release_plans(struct queue_domain *d)
{
    for (size_t i = 0; i < QUEUE_SMARTHOSTS_MAX; i++) {
        dns_plan_put(&d->plans[i]);
    }
}

static void queue_domain_on_lookup(struct dns_query *query, const struct dns_plan *plan);

static void queue_domain_query(struct queue *q, struct queue_domain *d, size_t index,
                               struct slice name, bool mx)
{
    struct dns_query *query = &d->queries[index];
    *query = (struct dns_query){.done = queue_domain_on_lookup, .ctx = d};
    d->pending++;
    if (mx) {
        dns_mx_start(q->dns, query, name);
    } else {
        dns_host_start(q->dns, query, name);
    }
}

static bool queue_domain_resolve_mx(struct queue *q, struct queue_domain *d)
{
    if (queue_domain_build_literal(q, d)) {
        return true;
    }
    queue_domain_query(q, d, 0, d->name, true);
    return false;
}

static bool queue_domain_resolve_smarthosts(struct queue *q, struct queue_domain *d)
{
    const struct conf_relay_hosts *relay = &q->conf->relay.host;
    for (size_t i = 0; i < relay->count && i < QUEUE_SMARTHOSTS_MAX; i++) {
        if (relay->items[i].addr.family == IP_NONE) {
            queue_domain_query(q, d, i, relay->items[i].name, relay->items[i].use_mx);
        }
    }
    if (d->pending == 0) {
        queue_domain_build_smarthosts(q, d);
        return true;
    }
    return false;
}

static bool queue_domain_resolve_target(struct queue *q, struct queue_domain *d)
{
    struct queue_target t;
    if (!queue_target_read(d->name, &t) || t.addr.family != IP_NONE) {
        queue_domain_build_target(q, d);
        return true;
    }
    queue_domain_query(q, d, 0, t.name, false);
    return false;
}

bool queue_domain_resolve(struct queue *q, struct queue_domain *d)
{
    must(d->pending == 0);
    switch (d->kind) {
    case QUEUE_DOMAIN_MX:
        return queue_domain_resolve_mx(q, d);
    case QUEUE_DOMAIN_SMARTHOST:
        return queue_domain_resolve_smarthosts(q, d);
    case QUEUE_DOMAIN_TARGET:
        return queue_domain_resolve_target(q, d);
    case QUEUE_DOMAIN_LOCAL:
        break;
    }
    queue_domain_build_local(q, d);
    return true;
}

/* The route is known. A refusal, or that nothing may be sent there, is told by queue_route_message: what fails in one turn of the loop is one
 * result of its message, with one report. By which source a recipient goes is decided there, too. */
static void queue_domain_flush(struct queue *q, struct queue_domain *d)
{
    if (!d->site || queue_suspend_site(q, d->site) || egress_count(q->egress)) {
        d->last = NULL;
        queue_parts_release(d->queue, &d->waiting);
        return;
    }
    struct list waiting;
    list_init(&waiting);
    list_splice_back(&waiting, &d->waiting);
    d->last = NULL;
    struct list *node;
    while ((node = list_pop_front(&waiting))) {
        struct queue_part *p = LIST_ENTRY(node, struct queue_part, in_list);
        p->domain = NULL;
        queue_site_file(q, d->site, p->message, p);
    }
}

static void queue_domain_on_lookup(struct dns_query *query, const struct dns_plan *plan)
{
    struct queue_domain *d = query->ctx;
    size_t index = (size_t)(query - d->queries);
    must(index < QUEUE_SMARTHOSTS_MAX && d->pending > 0);
    d->plans[index] = plan;
    if (--d->pending > 0) {
        return;
    }
    if (d->kind == QUEUE_DOMAIN_SMARTHOST) {
        queue_domain_build_smarthosts(d->queue, d);
    } else if (d->kind == QUEUE_DOMAIN_TARGET) {
        queue_domain_build_target(d->queue, d);
    } else {
        queue_domain_build_mx(d->queue, d);
    }
    queue_domain_release_plans(d);
    queue_domain_flush(d->queue, d);
}

void queue_domain_release(struct queue_domain *d)
{
    queue_parts_release(d->queue, &d->waiting);
    d->last = NULL;
}

void queue_domain_expire(struct queue *q, struct queue_domain *d)
{
    d->expires_ms = 0;
    queue_domain_leave_sources(d); /* their numbers are of the old configuration */
    if (d->pending == 0) {
        return;
    }
    /* Lookups under way were asked for by the old configuration. */
    for (size_t i = 0; i < QUEUE_SMARTHOSTS_MAX; i++) {
        dns_query_cancel(q->dns, &d->queries[i]);
    }
    d->pending = 0;
    queue_domain_release_plans(d);
    queue_domain_release(d); /* its recipients may belong to another kind of domain now */
}

void queue_domain_free(struct queue *q, struct queue_domain *d)
{
    must(list_empty(&d->waiting));
    for (size_t i = 0; i < QUEUE_SMARTHOSTS_MAX; i++) {
        dns_query_cancel(q->dns, &d->queries[i]);
    }
    queue_domain_release_plans(d);
    queue_domain_leave_site(d);
    map_remove(&q->domains, &d->by_name);
    free(d->question);
    free(d);
}
