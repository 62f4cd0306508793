/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * From what the name service answered (or an address in the configuration) to a domain's route: a site, or a
 * refusal, which is an outcome like any other.
 */
#include "core/base/must.h"
#include "core/queue/domain.h"
#include "core/queue/queue.h"
#include "core/queue/source.h"

enum {
    QUEUE_REFUSAL_TTL_MS = 5000,       /* how long a failed route is not asked for again */
    QUEUE_STATIC_TTL_MS = 3600 * 1000, /* routes of literal addresses */
};

void queue_domain_leave_site(struct queue_domain *d)
{
    queue_domain_leave_sources(d);
    if (d->site) {
        must(d->site->domains > 0);
        d->site->domains--;
        d->site = NULL;
    }
}

static void queue_domain_refuse(struct queue *q, struct queue_domain *d, const struct outcome *o)
{
    queue_domain_leave_site(d);
    d->refusal = *o;
    outcome_copy_text(&d->refusal, d->refusal_text, sizeof(d->refusal_text));
    d->expires_ms = io_now(q->io)->mono_ms + QUEUE_REFUSAL_TTL_MS;
}

/* False: no memory. */
static bool queue_domain_limit(const struct queue *q, struct queue_domain *d,
                               const struct route_host *hosts, size_t count,
                               struct route_plan *plan)
{
    struct shaping_host names[LIMIT_MX_HOSTS];
    for (size_t i = 0; i < count; i++) {
        names[i] = (struct shaping_host){hosts[i].name, hosts[i].preference};
    }
    /* A host that is named has the limits of what it is, whoever named it. */
    bool target = d->kind == QUEUE_DOMAIN_TARGET;
    struct shaping_query query = {.domain = target ? hosts[0].name : d->name,
                                  .hosts = names,
                                  .host_count = count,
                                  .relay = hosts[0].named.len > 0};
    queue_plan_limit(q, &query, plan);
    return queue_domain_keep(q, d, &query);
}

static void queue_domain_apply(struct queue *q, struct queue_domain *d,
                               const struct route_host *hosts, size_t count, uint64_t expires_ms)
{
    struct outcome refusal;
    struct route_plan *plan = route_plan_new(q->conf, hosts, count, q->rng, &refusal);
    bool limited = plan && queue_domain_limit(q, d, hosts, count, plan);
    struct queue_site *s = limited ? queue_site_get(q, plan->key) : NULL;
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
    queue_domain_leave_sources(d); /* theirs are made of the new plan when they are next used */
    if (d->site != s) {
        queue_domain_leave_site(d);
        d->site = s;
        s->domains++;
    }
    d->expires_ms = plan->expires_ms;
    queue_site_set_plan(q, s, plan);
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

void queue_domain_build_mx(struct queue *q, struct queue_domain *d)
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
void queue_domain_build_smarthosts(struct queue *q, struct queue_domain *d)
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

/* The configuration's relay host with this name and port: only such a one is logged in to. */
static struct slice queue_target_named(const struct conf *conf, const struct queue_target *t)
{
    for (size_t i = 0; i < conf->relay.host.count; i++) {
        const struct conf_relay_host *h = &conf->relay.host.items[i];
        bool same = t->addr.family == IP_NONE ? slice_eq_nocase(h->name, t->name)
                                              : ip_addr_eq(&h->addr, &t->addr);
        if (same && h->port == t->port) {
            return h->name;
        }
    }
    return slice_of("", 0);
}

/* An operator's word, as a smarthost is: that it leads nowhere is never a reason to bounce. */
void queue_domain_build_target(struct queue *q, struct queue_domain *d)
{
    const struct dns_plan *plan = d->plans[0];
    struct route_host hosts[LIMIT_MX_HOSTS];
    struct queue_target t;
    size_t count = 0;
    bool known = queue_target_read(d->name, &t);
    bool literal = known && t.addr.family != IP_NONE;
    struct outcome o = outcome_local(OUTCOME_TEMPORARY, OUTCOME_SITE, OUTCOME_STAGE_ROUTE,
                                     (struct enhanced){4, 4, 3},
                                     SLICE("where this mail was routed to is not known any more; "
                                           "route it again (ringpost queue route)"));
    if (literal) {
        hosts[count++] = (struct route_host){.addresses = &t.addr, .address_count = 1};
    } else if (known && plan->status == DNS_OK) {
        for (; count < plan->host_count && count < LIMIT_MX_HOSTS; count++) {
            hosts[count] = (struct route_host){.addresses = plan->hosts[count].addresses,
                                               .address_count = plan->hosts[count].address_count};
        }
    } else if (known) {
        o = queue_outcome_of_dns(plan);
        o.kind = OUTCOME_TEMPORARY;
        o.enhanced = (struct enhanced){4, 4, 3};
    }
    for (size_t i = 0; i < count; i++) {
        hosts[i].name = literal ? t.name : plan->hosts[i].name;
        hosts[i].named = queue_target_named(q->conf, &t);
        hosts[i].port = t.port;
        hosts[i].explicit = true;
    }
    if (count == 0) {
        queue_domain_refuse(q, d, &o);
        return;
    }
    uint64_t static_ms = io_now(q->io)->mono_ms + QUEUE_STATIC_TTL_MS;
    bool short_lived = !literal && plan->expires_ms < static_ms;
    queue_domain_apply(q, d, hosts, count, short_lived ? plan->expires_ms : static_ms);
}

void queue_domain_build_local(struct queue *q, struct queue_domain *d)
{
    struct queue_site *s = queue_site_get_local(q);
    uint64_t now_ms = io_now(q->io)->mono_ms;
    if (!s) {
        struct outcome o = outcome_local(OUTCOME_TEMPORARY, OUTCOME_SITE, OUTCOME_STAGE_ROUTE,
                                         (struct enhanced){4, 3, 0}, SLICE("out of memory"));
        queue_domain_refuse(q, d, &o);
        return;
    }
    s->stale = false;
    s->used_ms = now_ms;
    if (d->site != s) {
        queue_domain_leave_site(d);
        d->site = s;
        s->domains++;
    }
    d->expires_ms = now_ms + QUEUE_STATIC_TTL_MS;
}

/* "user@[192.0.2.1]" (RFC 5321 4.1.3): the address itself is the host. */
bool queue_domain_build_literal(struct queue *q, struct queue_domain *d)
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
