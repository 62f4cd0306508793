/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/route.h"
#include "core/base/must.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* Would a connection to e end at this listener of ours? */
static bool route_reaches(const struct conf *conf, const struct conf_listener *l,
                          const struct ip_endpoint *e)
{
    if (l->port != e->port || l->address.family != e->addr.family) {
        return false;
    }
    if (!ip_addr_is_any(&l->address)) {
        return ip_addr_eq(&l->address, &e->addr);
    }
    /* All of 127/8 is ours although no interface names it, and so is the unspecified address. */
    bool ours = ip_addr_is_loopback(&e->addr) || ip_addr_is_any(&e->addr);
    for (size_t i = 0; i < conf->own.count && !ours; i++) {
        ours = ip_addr_eq(&conf->own.items[i], &e->addr);
    }
    return ours;
}

static bool route_is_self(const struct conf *conf, const struct route_host *host,
                          const struct ip_endpoint *endpoint)
{
    if (host->explicit) {
        return false; /* the operator may chain two engines on one machine */
    }
    if (slice_eq_nocase(host->name, conf->identity.hostname)) {
        return true;
    }
    for (size_t i = 0; i < conf->listeners.count; i++) {
        if (route_reaches(conf, &conf->listeners.items[i], endpoint)) {
            return true;
        }
    }
    return false;
}

static bool route_family_on(const struct conf *conf, const struct ip_addr *a)
{
    return a->family == IP_V4 ? conf->delivery.ipv4 : conf->delivery.ipv6;
}

/* RFC 5321 5.1: when we are among the MX hosts, only better preferences may be tried. */
static uint32_t route_self_preference(const struct conf *conf, const struct route_host *hosts,
                                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < hosts[i].address_count; k++) {
            struct ip_endpoint e = {hosts[i].addresses[k], hosts[i].port};
            if (route_is_self(conf, &hosts[i], &e)) {
                return hosts[i].preference;
            }
        }
        if (!hosts[i].explicit && slice_eq_nocase(hosts[i].name, conf->identity.hostname)) {
            return hosts[i].preference;
        }
    }
    return UINT32_MAX;
}

/* Hosts of equal preference are tried in random order (RFC 5321 5.1); a host's addresses stay
 * together. order[] is the shuffled index. */
static void route_shuffle(const struct route_host *hosts, size_t count, struct rng *rng,
                          size_t *order)
{
    for (size_t i = 0; i < count; i++) {
        order[i] = i;
    }
    for (size_t from = 0; from < count;) {
        size_t to = from + 1;
        while (to < count && hosts[to].preference == hosts[from].preference &&
               !hosts[to].explicit) {
            to++;
        }
        for (size_t i = to - from; i > 1; i--) {
            size_t k = (size_t)rng_below(rng, i);
            size_t tmp = order[from + i - 1];
            order[from + i - 1] = order[from + k];
            order[from + k] = tmp;
        }
        from = to;
    }
}

struct route_totals {
    size_t usable;
    size_t text_bytes;
    bool saw_private;
    bool saw_self;
    bool unresolved;
};

static bool route_usable(const struct conf *conf, const struct route_host *host, size_t index,
                         uint32_t self_preference, struct route_totals *totals)
{
    if (!host->explicit && host->preference >= self_preference) {
        totals->saw_self = true;
        return false;
    }
    const struct ip_addr *a = &host->addresses[index];
    if (!host->explicit && conf->delivery.private_targets == CONF_PRIVATE_DENY &&
        ip_addr_is_private(a)) {
        totals->saw_private = true;
        return false;
    }
    return route_family_on(conf, a);
}

static struct outcome route_refusal(const struct route_totals *t)
{
    if (t->unresolved) {
        return outcome_local(OUTCOME_TEMPORARY, OUTCOME_SITE, OUTCOME_STAGE_ROUTE,
                             (struct enhanced){4, 4, 3},
                             SLICE("the addresses of a mail host could not be looked up"));
    }
    if (t->saw_self) {
        return outcome_local(OUTCOME_PERMANENT, OUTCOME_SITE, OUTCOME_STAGE_ROUTE,
                             (struct enhanced){5, 4, 6},
                             SLICE("mail for this domain loops back to this host"));
    }
    if (t->saw_private) {
        return outcome_local(OUTCOME_PERMANENT, OUTCOME_SITE, OUTCOME_STAGE_ROUTE,
                             (struct enhanced){5, 4, 4},
                             SLICE("all mail hosts have private addresses, which "
                                   "delivery.private_targets forbids"));
    }
    return outcome_local(OUTCOME_PERMANENT, OUTCOME_SITE, OUTCOME_STAGE_ROUTE,
                         (struct enhanced){5, 4, 4}, SLICE("no mail host has a usable address"));
}

enum { ROUTE_GROUP_BYTES = 24, ROUTE_APART_BYTES = 8 }; /* behind the hosts, see route_plan_limit */

/* The key names hosts, not addresses: an address may change without making a new site. */
static size_t route_key_bytes(const struct route_host *hosts, size_t count)
{
    size_t n = ROUTE_GROUP_BYTES + ROUTE_APART_BYTES;
    for (size_t i = 0; i < count; i++) {
        n += hosts[i].name.len + 24;
    }
    return n;
}

static bool route_key_before(const struct route_host *a, const struct route_host *b)
{
    if (a->preference != b->preference) {
        return a->preference < b->preference;
    }
    size_t len = a->name.len < b->name.len ? a->name.len : b->name.len;
    int order = len ? strncasecmp(a->name.ptr, b->name.ptr, len) : 0;
    return order ? order < 0 : a->name.len < b->name.len;
}

/* apart: relay hosts are configured and this is none of them. A site of them has their login and their policy,
 * which other mail to the same host must neither get nor change. */
static void route_key_write(struct route_plan *p, char *at, const struct route_host *hosts,
                            size_t count, bool apart)
{
    size_t room = route_key_bytes(hosts, count) + 1;
    /* Name servers rotate their answers: hosts of equal preference are sorted by name. */
    const struct route_host *sorted[LIMIT_MX_HOSTS];
    for (size_t i = 0; i < count; i++) {
        size_t k = i;
        for (; k > 0 && route_key_before(&hosts[i], sorted[k - 1]); k--) {
            sorted[k] = sorted[k - 1];
        }
        sorted[k] = &hosts[i];
    }
    /* Straight into its place: a key that lacked memory would make one site of two destinations. */
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        int n = snprintf(at + len, room - len, "%s%u:%.*s:%u", i ? "," : "", sorted[i]->preference,
                         SLICE_ARG(sorted[i]->name), sorted[i]->port);
        must(n > 0 && (size_t)n < room - len);
        len += (size_t)n;
    }
    if (apart) {
        static const struct slice direct = SLICE_INIT(",direct");
        must(len + direct.len <= room);
        memcpy(at + len, direct.ptr, direct.len);
        len += direct.len;
    }
    p->key = slice_of(at, len);
    p->hosts_len = len;
}

static struct slice route_keep(char **text, struct slice s)
{
    struct slice kept = {*text, s.len};
    if (s.len) {
        memcpy(*text, s.ptr, s.len);
    }
    *text += s.len;
    return kept;
}

static void route_fill(struct route_plan *p, const struct conf *conf,
                       const struct route_host *hosts, const size_t *order, size_t count,
                       uint32_t self_preference)
{
    char *text = (char *)(p->candidates + p->count);
    size_t at = 0;
    struct route_totals ignored = {0};
    for (size_t i = 0; i < count; i++) {
        const struct route_host *h = &hosts[order[i]];
        struct slice name = route_keep(&text, h->name), named = route_keep(&text, h->named);
        for (size_t k = 0; k < h->address_count && at < p->count; k++) {
            if (route_usable(conf, h, k, self_preference, &ignored)) {
                p->candidates[at++] = (struct route_candidate){.endpoint = {h->addresses[k],
                                                                            h->port},
                                                               .host = name,
                                                               .named = named,
                                                               .preference = h->preference};
            }
        }
    }
    must(at == p->count);
    for (size_t i = 0; i < p->count; i++) {
        p->families |= egress_family_of(&p->candidates[i].endpoint.addr);
    }
    bool apart = conf->relay.host.count > 0 && hosts[0].named.len == 0;
    route_key_write(p, text, hosts, count, apart);
}

struct route_plan *route_plan_new(const struct conf *conf, const struct route_host *hosts,
                                  size_t count, struct rng *rng, struct outcome *refusal)
{
    must(count <= LIMIT_MX_HOSTS);
    struct route_totals totals = {0};
    uint32_t self_preference = route_self_preference(conf, hosts, count);
    for (size_t i = 0; i < count; i++) {
        totals.text_bytes += hosts[i].name.len + hosts[i].named.len;
        bool may_try = hosts[i].explicit || hosts[i].preference < self_preference;
        totals.unresolved = totals.unresolved || (hosts[i].unresolved && may_try);
        for (size_t k = 0; k < hosts[i].address_count; k++) {
            totals.usable += route_usable(conf, &hosts[i], k, self_preference, &totals) ? 1 : 0;
        }
    }
    if (totals.usable == 0) {
        *refusal = route_refusal(&totals);
        return NULL;
    }
    if (totals.usable > LIMIT_ADDRESSES_PER_SITE) {
        totals.usable = LIMIT_ADDRESSES_PER_SITE;
    }
    size_t bytes = sizeof(struct route_plan) + totals.usable * sizeof(struct route_candidate) +
                   totals.text_bytes + route_key_bytes(hosts, count) + 1;
    struct route_plan *p = calloc(1, bytes);
    if (!p) {
        *refusal = outcome_local(OUTCOME_TEMPORARY, OUTCOME_SITE, OUTCOME_STAGE_ROUTE,
                                 (struct enhanced){4, 3, 0}, SLICE("out of memory"));
        return NULL;
    }
    atomic_init(&p->refs, 1);
    p->bytes = bytes;
    p->count = totals.usable;
    p->candidates = (struct route_candidate *)(void *)(p + 1);
    size_t order[LIMIT_MX_HOSTS];
    route_shuffle(hosts, count, rng, order);
    route_fill(p, conf, hosts, order, count, self_preference);
    return p;
}

static void route_rebase(struct slice *s, const struct route_plan *from, struct route_plan *to)
{
    if (s->ptr) {
        s->ptr = (const char *)to + (s->ptr - (const char *)from);
    }
}

struct route_plan *route_plan_by(const struct route_plan *base, struct slice source)
{
    /* The key is the last in the block: its source goes behind it. */
    struct route_plan *p = calloc(1, base->bytes + 1 + source.len);
    must(source.len > 0);
    if (!p) {
        return NULL;
    }
    memcpy((char *)p, (const char *)base, base->bytes);
    atomic_init(&p->refs, 1);
    p->bytes = base->bytes + 1 + source.len;
    p->candidates = (struct route_candidate *)(void *)(p + 1);
    for (size_t i = 0; i < p->count; i++) {
        route_rebase(&p->candidates[i].host, base, p);
        route_rebase(&p->candidates[i].named, base, p);
    }
    route_rebase(&p->key, base, p);
    p->key.len = p->hosts_len;
    p->source = source; /* until route_plan_limit writes it behind the key */
    p->limits = (struct site_limits){0};
    return p;
}

void route_plan_limit(struct route_plan *p, const struct site_limits *limits)
{
    char *end = (char *)(uintptr_t)(p->key.ptr + p->key.len);
    must(p->key.len == p->hosts_len);
    p->limits = *limits;
    if (limits->group) {
        int n = snprintf(end, ROUTE_GROUP_BYTES, "#%llu", (unsigned long long)limits->group);
        must(n > 0 && n < ROUTE_GROUP_BYTES);
        end += n;
    }
    if (p->source.len) {
        *end++ = '@'; /* no host's name has one */
        memcpy(end, p->source.ptr, p->source.len);
        p->source = slice_of(end, p->source.len);
        end += p->source.len;
    }
    p->key.len = (size_t)(end - p->key.ptr);
}

struct route_plan *route_plan_ref(struct route_plan *p)
{
    uint32_t before = atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    must(before > 0);
    return p;
}

void route_plan_put(struct route_plan **p)
{
    if (*p && atomic_fetch_sub_explicit(&(*p)->refs, 1, memory_order_acq_rel) == 1) {
        free(*p);
    }
    *p = NULL;
}
