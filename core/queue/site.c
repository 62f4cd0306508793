/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * From recipients to ready parts. A part stands in exactly one list: waiting at its domain while the route
 * is being found, ready at its site, or leased to a connection (in no list).
 *
 *   due recipient ─► domain (route fresh?) ──yes──► site.ready ─(queue_site_take)─► connection
 *                          └─no─► domain.waiting ─(lookups done)─► site.ready, or refusal ─► results
 */
#include "core/queue/site.h"
#include "core/base/must.h"
#include "core/queue/queue.h"

#include <stdlib.h>

enum {
    QUEUE_REFUSAL_TTL_MS = 5000,       /* how long a failed route is not asked for again */
    QUEUE_STATIC_TTL_MS = 3600 * 1000, /* routes of literal addresses */
};

struct queue_key {
    struct slice name;
    bool smarthost;
};

static bool queue_domain_equal(const struct map_node *node, const void *key)
{
    const struct queue_domain *d = container_of(node, struct queue_domain, by_name);
    const struct queue_key *k = key;
    return d->smarthost == k->smarthost && slice_eq_nocase(d->name, k->name);
}

static bool queue_site_equal(const struct map_node *node, const void *key)
{
    return slice_eq_nocase(container_of(node, struct queue_site, by_key)->key,
                           *(const struct slice *)key);
}

static void queue_domain_on_lookup(struct dns_query *query, const struct dns_plan *plan);

static struct queue_domain *queue_domain_get(struct queue *q, struct queue_key key)
{
    uint64_t hash = map_hash_nocase(&q->domains, key.name);
    struct map_node *node = map_find(&q->domains, hash, queue_domain_equal, &key);
    if (node) {
        return container_of(node, struct queue_domain, by_name);
    }
    struct queue_domain *d = calloc(1, sizeof(*d) + key.name.len);
    if (!d) {
        return NULL;
    }
    char *text = (char *)(d + 1);
    if (key.name.len) {
        memcpy(text, key.name.ptr, key.name.len);
    }
    d->name = slice_of(text, key.name.len);
    d->smarthost = key.smarthost;
    d->queue = q;
    list_init(&d->waiting);
    if (!map_insert(&q->domains, &d->by_name, hash)) {
        free(d);
        return NULL;
    }
    return d;
}

/* ---- parts ---- */

static struct queue_part *queue_part_new(struct queue *q, struct queue_message *m)
{
    uint32_t cap = q->conf->delivery.recipients_per_transaction;
    if (cap > LIMIT_RECIPIENTS_PER_TRANSACTION) {
        cap = LIMIT_RECIPIENTS_PER_TRANSACTION;
    }
    cap = m->open_count < cap ? m->open_count : cap;
    struct queue_part *p = calloc(1, sizeof(*p) + cap * sizeof(p->rcpts[0]));
    if (p) {
        p->message = m;
        p->cap = cap;
        list_push_back(&m->parts, &p->of_message);
    }
    return p;
}

static void queue_part_free(struct queue_part *p)
{
    must(!list_linked(&p->in_list));
    list_remove(&p->of_message);
    free(p);
}

static bool queue_part_takes(const struct queue_part *p, const struct queue_message *m)
{
    return p && p->message == m && p->count < p->cap && list_linked(&p->in_list);
}

/* Ends parts with an outcome for all: no route, site down. p must be in no list. */
static void queue_part_refuse(struct queue *q, struct queue_part *p, const struct outcome *o)
{
    struct outcome outcomes[LIMIT_RECIPIENTS_PER_TRANSACTION];
    for (uint32_t i = 0; i < p->count; i++) {
        outcomes[i] = *o;
    }
    struct queue_part_end end = {.outcomes = outcomes};
    p->message->readers++; /* as a leased part has */
    queue_part_done(q, p, &end);
}

static void queue_site_push(struct queue *q, struct queue_site *s, struct queue_part *p, bool front)
{
    p->site = s;
    p->domain = NULL;
    if (front) {
        list_push_front(&s->ready, &p->in_list);
    } else {
        list_push_back(&s->ready, &p->in_list);
        s->last = p;
    }
    s->ready_count++;
    if (!list_linked(&s->active)) {
        list_push_back(&q->active_sites, &s->active);
    }
}

static void queue_site_pop(struct queue_site *s, struct queue_part *p)
{
    list_remove(&p->in_list);
    must(s->ready_count > 0);
    s->ready_count--;
    if (s->last == p) {
        s->last = NULL;
    }
}

struct queue_part *queue_site_take(struct queue *q, struct queue_site *s)
{
    struct list *node = list_first(&s->ready);
    if (!node) {
        return NULL;
    }
    struct queue_part *p = LIST_ENTRY(node, struct queue_part, in_list);
    queue_site_pop(s, p);
    for (uint32_t i = 0; i < p->count; i++) {
        queue_rcpt_set_state(p->message, &p->message->rcpts[p->rcpts[i]], QUEUE_RCPT_SENDING);
    }
    p->message->readers++;
    s->used_ms = io_now(q->io)->mono_ms;
    return p;
}

static void queue_parts_release(struct list *parts);

static void queue_site_give_back(struct queue *q, struct queue_part *p, bool front)
{
    must(p->site != NULL && p->message->readers > 0);
    p->message->readers--;
    for (uint32_t i = 0; i < p->count; i++) {
        queue_rcpt_set_state(p->message, &p->message->rcpts[p->rcpts[i]], QUEUE_RCPT_READY);
    }
    if (p->site->stale) {
        struct list parts;
        list_init(&parts);
        list_push_back(&parts, &p->in_list);
        queue_parts_release(&parts);
        return;
    }
    queue_site_push(q, p->site, p, front);
}

void queue_site_return(struct queue *q, struct queue_part *p)
{
    queue_site_give_back(q, p, true);
}

void queue_site_return_last(struct queue *q, struct queue_part *p)
{
    queue_site_give_back(q, p, false);
}

struct queue_part *queue_part_split(struct queue *q, struct queue_part *p, uint32_t count)
{
    (void)q;
    must(count > 0 && count < p->count && !list_linked(&p->in_list));
    uint32_t moved = p->count - count;
    struct queue_part *rest = calloc(1, sizeof(*rest) + moved * sizeof(rest->rcpts[0]));
    if (!rest) {
        return NULL;
    }
    rest->message = p->message;
    rest->site = p->site;
    rest->cap = rest->count = moved;
    memcpy(rest->rcpts, p->rcpts + count, moved * sizeof(rest->rcpts[0]));
    p->count = count;
    list_push_back(&p->message->parts, &rest->of_message);
    p->message->readers++;
    return rest;
}

void queue_site_fail_ready(struct queue *q, struct queue_site *s, const struct outcome *o)
{
    struct list failed;
    list_init(&failed);
    list_splice_back(&failed, &s->ready);
    s->ready_count = 0;
    s->last = NULL;
    struct list *node;
    while ((node = list_pop_front(&failed))) {
        queue_part_refuse(q, LIST_ENTRY(node, struct queue_part, in_list), o);
    }
}

/* ---- routes ---- */

static void queue_domain_leave_site(struct queue_domain *d)
{
    if (d->site) {
        must(d->site->domains > 0);
        d->site->domains--;
        d->site = NULL;
    }
}

static struct queue_site *queue_site_get(struct queue *q, struct slice key)
{
    uint64_t hash = map_hash_nocase(&q->sites, key);
    struct map_node *node = map_find(&q->sites, hash, queue_site_equal, &key);
    if (node) {
        return container_of(node, struct queue_site, by_key);
    }
    struct queue_site *s = calloc(1, sizeof(*s) + key.len);
    if (!s) {
        return NULL;
    }
    char *text = (char *)(s + 1);
    memcpy(text, key.ptr, key.len);
    s->key = slice_of(text, key.len);
    list_init(&s->ready);
    list_init(&s->idle);
    if (!map_insert(&q->sites, &s->by_key, hash)) {
        free(s);
        return NULL;
    }
    return s;
}

/* The pool remembers bad addresses in the plan; a new plan with the same hosts inherits that. */
static void queue_site_set_plan(struct queue_site *s, struct route_plan *plan)
{
    for (size_t i = 0; s->plan && i < plan->count; i++) {
        for (size_t k = 0; k < s->plan->count; k++) {
            if (ip_endpoint_eq(&plan->candidates[i].endpoint, &s->plan->candidates[k].endpoint)) {
                plan->candidates[i].bad_until_ms = s->plan->candidates[k].bad_until_ms;
            }
        }
    }
    route_plan_put(&s->plan);
    s->plan = plan;
    s->stale = false;
}

static void queue_domain_refuse(struct queue *q, struct queue_domain *d, const struct outcome *o)
{
    queue_domain_leave_site(d);
    d->refusal = *o;
    outcome_copy_text(&d->refusal, d->refusal_text, sizeof(d->refusal_text));
    d->expires_ms = io_now(q->io)->mono_ms + QUEUE_REFUSAL_TTL_MS;
}

static void queue_domain_apply(struct queue *q, struct queue_domain *d,
                               const struct route_host *hosts, size_t count, uint64_t expires_ms)
{
    struct outcome refusal;
    struct route_plan *plan = route_plan_new(q->conf, hosts, count, q->rng, &refusal);
    struct queue_site *s = plan ? queue_site_get(q, plan->key) : NULL;
    if (!s) {
        if (plan) {
            refusal = outcome_local(OUTCOME_TEMPORARY, OUTCOME_SITE, OUTCOME_STAGE_ROUTE,
                                    (struct enhanced){4, 3, 0}, SLICE("out of memory"));
        }
        route_plan_put(&plan);
        queue_domain_refuse(q, d, &refusal);
        return;
    }
    uint64_t now_ms = io_now(q->io)->mono_ms;
    plan->expires_ms = expires_ms > now_ms ? expires_ms : now_ms + 1;
    if (d->site != s) {
        queue_domain_leave_site(d);
        d->site = s;
        s->domains++;
    }
    d->expires_ms = plan->expires_ms;
    queue_site_set_plan(s, plan);
    s->used_ms = now_ms;
}

static struct outcome queue_outcome_of_dns(const struct dns_plan *plan)
{
    static const struct {
        enum outcome_kind kind;
        struct enhanced enhanced;
        struct slice text;
    } rows[DNS_STATUS_COUNT] = {
        [DNS_NULL_MX] = {OUTCOME_PERMANENT,
                         {5, 1, 10},
                         SLICE_INIT("the domain accepts no mail (null MX)")},
        [DNS_NO_DOMAIN] = {OUTCOME_PERMANENT, {5, 1, 2}, SLICE_INIT("the domain does not exist")},
        [DNS_NO_HOST] = {OUTCOME_PERMANENT, {5, 4, 4}, SLICE_INIT("no mail host has an address")},
        [DNS_BAD_NAME] = {OUTCOME_PERMANENT, {5, 1, 2}, SLICE_INIT("not a valid domain name")},
        [DNS_TEMPORARY] = {OUTCOME_TEMPORARY, {4, 4, 3}, SLICE_INIT("the name service failed")},
    };
    must(plan->status != DNS_OK && plan->status < DNS_STATUS_COUNT);
    struct outcome o = outcome_local(rows[plan->status].kind, OUTCOME_SITE, OUTCOME_STAGE_ROUTE,
                                     rows[plan->status].enhanced, rows[plan->status].text);
    if (plan->text.len) {
        o.text = plan->text;
    }
    return o;
}

static void queue_domain_build_mx(struct queue *q, struct queue_domain *d)
{
    const struct dns_plan *plan = d->plans[0];
    if (plan->status != DNS_OK) {
        struct outcome o = queue_outcome_of_dns(plan);
        queue_domain_refuse(q, d, &o);
        return;
    }
    struct route_host hosts[LIMIT_MX_HOSTS];
    size_t count = 0;
    for (size_t i = 0; i < plan->host_count; i++) {
        const struct dns_host *h = &plan->hosts[i];
        hosts[count++] = (struct route_host){
            .name = h->name,
            .preference = h->preference,
            .port = q->conf->delivery.mx_port,
            .addresses = h->addresses,
            .address_count = h->address_count,
            .unresolved = h->status == DNS_TEMPORARY,
        };
    }
    queue_domain_apply(q, d, hosts, count, plan->expires_ms);
}

/* Smarthosts in the order they are configured: preference = position. A host whose lookup failed is left
 * out while another can be used. */
static void queue_domain_build_smarthosts(struct queue *q, struct queue_domain *d)
{
    const struct conf_relay_hosts *relay = &q->conf->relay.host;
    struct route_host hosts[LIMIT_MX_HOSTS];
    size_t count = 0;
    uint64_t expires_ms = io_now(q->io)->mono_ms + QUEUE_STATIC_TTL_MS;
    const struct dns_plan *failed = NULL;
    for (size_t i = 0; i < relay->count && i < QUEUE_SMARTHOSTS_MAX && count < LIMIT_MX_HOSTS;
         i++) {
        const struct conf_relay_host *r = &relay->items[i];
        const struct dns_plan *plan = d->plans[i];
        if (r->addr.family != IP_NONE) {
            hosts[count++] = (struct route_host){.name = r->name,
                                                 .named = r->name,
                                                 .preference = (uint16_t)i,
                                                 .port = r->port,
                                                 .explicit = true,
                                                 .addresses = &r->addr,
                                                 .address_count = 1};
            continue;
        }
        must(plan != NULL);
        expires_ms = plan->expires_ms < expires_ms ? plan->expires_ms : expires_ms;
        if (plan->status != DNS_OK) {
            failed = plan;
        }
        for (size_t k = 0; plan->status == DNS_OK && k < plan->host_count && count < LIMIT_MX_HOSTS;
             k++) {
            hosts[count++] = (struct route_host){.name = plan->hosts[k].name,
                                                 .named = r->name,
                                                 .preference = (uint16_t)i,
                                                 .port = r->port,
                                                 .explicit = true,
                                                 .addresses = plan->hosts[k].addresses,
                                                 .address_count = plan->hosts[k].address_count};
        }
    }
    if (count == 0) {
        /* A smarthost is our operator's word: that its name does not resolve is a fault here, not of
         * the recipient, and never a reason to bounce. */
        struct outcome o = failed ? queue_outcome_of_dns(failed) : (struct outcome){0};
        o.kind = OUTCOME_TEMPORARY;
        o.enhanced = (struct enhanced){4, 4, 3};
        queue_domain_refuse(q, d, &o);
        return;
    }
    queue_domain_apply(q, d, hosts, count, expires_ms);
}

/* "user@[192.0.2.1]" (RFC 5321 4.1.3): the address itself is the host. */
static bool queue_domain_build_literal(struct queue *q, struct queue_domain *d)
{
    struct slice text = d->name;
    if (text.len < 3 || text.ptr[0] != '[' || text.ptr[text.len - 1] != ']') {
        return false;
    }
    text = slice_of(text.ptr + 1, text.len - 2);
    if (slice_starts_nocase(text, SLICE("IPv6:"))) {
        text = slice_skip(text, 5);
    }
    struct ip_addr addr;
    if (!ip_addr_parse(text, &addr)) {
        struct outcome o = outcome_local(OUTCOME_PERMANENT, OUTCOME_SITE, OUTCOME_STAGE_ROUTE,
                                         (struct enhanced){5, 1, 2},
                                         SLICE("not an address literal"));
        queue_domain_refuse(q, d, &o);
        return true;
    }
    struct route_host host = {.name = d->name,
                              .port = q->conf->delivery.mx_port,
                              .addresses = &addr,
                              .address_count = 1};
    queue_domain_apply(q, d, &host, 1, io_now(q->io)->mono_ms + QUEUE_STATIC_TTL_MS);
    return true;
}

static void queue_domain_release_plans(struct queue_domain *d)
{
    for (size_t i = 0; i < QUEUE_SMARTHOSTS_MAX; i++) {
        dns_plan_put(&d->plans[i]);
    }
}

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

/* True when the route is known at once. */
static bool queue_domain_resolve(struct queue *q, struct queue_domain *d)
{
    must(d->pending == 0);
    if (!d->smarthost) {
        if (queue_domain_build_literal(q, d)) {
            return true;
        }
        queue_domain_query(q, d, 0, d->name, true);
        return false;
    }
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

static void queue_site_file(struct queue *q, struct queue_site *s, struct queue_message *m,
                            struct queue_part *p);

/* The route is known. A refusal is told by queue_route_message: what fails in one turn of the loop is one
 * result of its message, with one report. */
static void queue_domain_flush(struct queue *q, struct queue_domain *d)
{
    if (!d->site) {
        d->last = NULL;
        queue_parts_release(&d->waiting);
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
    if (d->smarthost) {
        queue_domain_build_smarthosts(d->queue, d);
    } else {
        queue_domain_build_mx(d->queue, d);
    }
    queue_domain_release_plans(d);
    queue_domain_flush(d->queue, d);
}

/* A routed part: its recipients join the same message's newest ready part, or it becomes ready. */
static void queue_site_file(struct queue *q, struct queue_site *s, struct queue_message *m,
                            struct queue_part *p)
{
    while (p->count && queue_part_takes(s->last, m)) {
        s->last->rcpts[s->last->count++] = p->rcpts[--p->count];
    }
    if (p->count) {
        queue_site_push(q, s, p, false);
    } else {
        queue_part_free(p);
    }
}

static struct slice queue_rcpt_domain(const struct queue *q, const struct queue_rcpt *r)
{
    const char *at = memrchr(r->address.ptr, '@', r->address.len);
    return at ? slice_skip(r->address, (size_t)(at - r->address.ptr) + 1)
              : q->conf->identity.hostname;
}

static bool queue_domain_fresh(const struct queue *q, const struct queue_domain *d)
{
    return d->pending == 0 && d->expires_ms > io_now(q->io)->mono_ms;
}

/* Adds recipient index to the open part of (m, where); false: no memory, it stays WAITING. */
static bool queue_file_rcpt(struct queue *q, struct queue_domain *d, struct queue_message *m,
                            uint32_t index)
{
    bool fresh = queue_domain_fresh(q, d);
    struct queue_site *s = fresh ? d->site : NULL;
    struct queue_part *p = s ? s->last : d->last;
    if (!queue_part_takes(p, m)) {
        p = queue_part_new(q, m);
        if (!p) {
            return false;
        }
        if (s) {
            queue_site_push(q, s, p, false);
        } else {
            p->domain = d;
            list_push_back(&d->waiting, &p->in_list);
            d->last = p;
        }
    }
    p->rcpts[p->count++] = index;
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

void queue_route_message(struct queue *q, struct queue_message *m)
{
    uint64_t wall_ms = io_now(q->io)->wall_us / 1000;
    bool smarthost = q->conf->relay.host.count > 0;
    struct queue_refused refused;
    refused.count = 0;
    m->readers++; /* a refusal must not free it while we walk */
    for (uint32_t i = 0; i < m->rcpt_count; i++) {
        struct queue_rcpt *r = &m->rcpts[i];
        if (r->state != QUEUE_RCPT_WAITING || r->due_ms > wall_ms) {
            continue;
        }
        if (m->damaged) {
            struct outcome o = outcome_local(OUTCOME_PERMANENT, OUTCOME_MESSAGE,
                                             OUTCOME_STAGE_ROUTE, (struct enhanced){5, 3, 0},
                                             QUEUE_TEXT_DAMAGED);
            queue_refused_add(q, m, &refused, i, &o);
            continue;
        }
        struct queue_key key = {smarthost ? (struct slice){NULL, 0} : queue_rcpt_domain(q, r),
                                smarthost};
        struct queue_domain *d = queue_domain_get(q, key);
        if (d) {
            d->used_ms = io_now(q->io)->mono_ms;
        }
        bool fresh = d && queue_domain_fresh(q, d);
        if (d && !fresh && d->pending == 0) {
            fresh = queue_domain_resolve(q, d);
        }
        if (fresh && !d->site) {
            queue_refused_add(q, m, &refused, i, &d->refusal);
        } else if (!d || !queue_file_rcpt(q, d, m, i)) {
            r->due_ms = wall_ms + 1000; /* no memory: soon again */
        }
    }
    queue_refused_tell(q, m, &refused);
    m->readers--;
    queue_body_unused(q, m);
    queue_schedule(q, m);
    queue_settle(q, m);
}

/* ---- a new configuration ---- */

static void queue_parts_release(struct list *parts)
{
    struct list *node;
    while ((node = list_pop_front(parts))) {
        struct queue_part *p = LIST_ENTRY(node, struct queue_part, in_list);
        for (uint32_t i = 0; i < p->count; i++) {
            queue_rcpt_set_state(p->message, &p->message->rcpts[p->rcpts[i]], QUEUE_RCPT_WAITING);
        }
        struct queue_message *m = p->message;
        queue_part_free(p);
        if (!list_linked(&m->link) && !m->queue->stopping) {
            list_push_back(&m->queue->due, &m->link); /* routed anew */
        }
    }
}

static void queue_site_release(struct queue_site *s)
{
    queue_parts_release(&s->ready);
    s->ready_count = 0;
    s->last = NULL;
    if (list_linked(&s->active)) {
        list_remove(&s->active);
    }
}

void queue_routes_expire(struct queue *q)
{
    size_t bucket = 0;
    for (struct map_node *n = map_next(&q->domains, &bucket, NULL); n;
         n = map_next(&q->domains, &bucket, n)) {
        struct queue_domain *d = container_of(n, struct queue_domain, by_name);
        d->expires_ms = 0;
        if (d->pending == 0) {
            continue;
        }
        /* Lookups under way were asked for by the old configuration. */
        for (size_t i = 0; i < QUEUE_SMARTHOSTS_MAX; i++) {
            dns_query_cancel(q->dns, &d->queries[i]);
        }
        d->pending = 0;
        queue_domain_release_plans(d);
        if (d->smarthost != (q->conf->relay.host.count > 0) || queue_domain_resolve(q, d)) {
            queue_parts_release(&d->waiting);
            d->last = NULL;
        }
    }
    /* What waits for the smarthost of before, or for an MX host where a smarthost is to be used now, must not
     * go there any more. */
    bucket = 0;
    for (struct map_node *n = map_next(&q->sites, &bucket, NULL); n;
         n = map_next(&q->sites, &bucket, n)) {
        struct queue_site *s = container_of(n, struct queue_site, by_key);
        s->stale = true;
        queue_site_release(s);
    }
}

/* ---- forgetting ---- */

static void queue_domain_free(struct queue *q, struct queue_domain *d)
{
    must(list_empty(&d->waiting));
    for (size_t i = 0; i < QUEUE_SMARTHOSTS_MAX; i++) {
        dns_query_cancel(q->dns, &d->queries[i]);
    }
    queue_domain_release_plans(d);
    queue_domain_leave_site(d);
    map_remove(&q->domains, &d->by_name);
    free(d);
}

static void queue_site_free(struct queue *q, struct queue_site *s)
{
    must(list_empty(&s->ready) && list_empty(&s->idle) && s->connections == 0);
    if (list_linked(&s->active)) {
        list_remove(&s->active);
    }
    timer_stop(q->timers, &s->pause);
    route_plan_put(&s->plan);
    map_remove(&q->sites, &s->by_key);
    free(s);
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
        bool idle = s->domains == 0 && s->connections == 0 && list_empty(&s->ready);
        if (idle && (all || s->used_ms + QUEUE_SITE_LINGER_MS < now_ms)) {
            queue_site_free(q, s);
        }
    }
}

void queue_sites_release_parts(struct queue *q)
{
    size_t bucket = 0;
    for (struct map_node *n = map_next(&q->domains, &bucket, NULL); n;
         n = map_next(&q->domains, &bucket, n)) {
        struct queue_domain *d = container_of(n, struct queue_domain, by_name);
        queue_parts_release(&d->waiting);
        d->last = NULL;
    }
    bucket = 0;
    for (struct map_node *n = map_next(&q->sites, &bucket, NULL); n;
         n = map_next(&q->sites, &bucket, n)) {
        queue_site_release(container_of(n, struct queue_site, by_key));
    }
}
