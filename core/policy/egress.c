/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/egress.h"
#include "core/base/map.h"
#include "core/base/must.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Shared by the tables of successive configurations: by those that have the source as it is. */
struct egress_state {
    _Atomic uint32_t refs;
    _Atomic unsigned gone;           /* EGRESS_* */
    _Atomic uint32_t proxy_failures; /* in a row */
    _Atomic uint64_t proxy_retry_ms; /* paused for its proxy until then; mono */
    _Atomic uint64_t pauses;
    struct egress_shared *shared;
};

/* By all tables of one engine, and by states. */
struct egress_shared {
    _Atomic uint32_t refs;
    _Atomic uint64_t news;
};

struct egress_member {
    const struct egress_source *source;
    uint32_t weight;
    uint32_t upto; /* sum of the weights up to this one */
};

struct egress_pool {
    struct map_node by_name;
    struct slice name;
    size_t count;
    const struct egress_member *members; /* of the table's */
};

struct egress_table {
    const struct conf *conf;
    struct egress_shared *shared;
    struct map names; /* of pools; sources are pools of one */
    size_t source_count;
    size_t pool_count;
    struct egress_source *sources;
    struct egress_pool *pools; /* those of the sources first */
    struct egress_member *members;
    const struct egress_pool **rules; /* by index of conf->source_rules */
};

/* ---- what lives longer than a table ---- */

static void egress_shared_put(struct egress_shared **s)
{
    if (*s && atomic_fetch_sub_explicit(&(*s)->refs, 1, memory_order_acq_rel) == 1) {
        free(*s);
    }
    *s = NULL;
}

static struct egress_shared *egress_shared_get(const struct egress_table *old)
{
    struct egress_shared *s = old ? old->shared : calloc(1, sizeof(*s));
    if (s) {
        atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    }
    return s;
}

static void egress_state_put(struct egress_state **s)
{
    if (*s && atomic_fetch_sub_explicit(&(*s)->refs, 1, memory_order_acq_rel) == 1) {
        egress_shared_put(&(*s)->shared);
        free(*s);
    }
    *s = NULL;
}

static bool egress_same(const struct egress_source *a, const struct egress_source *b)
{
    return a && ip_addr_eq(&a->address4, &b->address4) && ip_addr_eq(&a->address6, &b->address6) &&
           a->proxy.kind == b->proxy.kind && ip_endpoint_eq(&a->proxy.at, &b->proxy.at);
}

/* NULL: no memory. */
static struct egress_state *egress_state_get(struct egress_shared *shared,
                                             const struct egress_table *old,
                                             const struct egress_source *s)
{
    const struct egress_source *before = old ? egress_find(old, s->name) : NULL;
    struct egress_state *state = egress_same(before, s) ? before->state : NULL;
    if (!state) {
        state = calloc(1, sizeof(*state));
        if (!state) {
            return NULL;
        }
        atomic_fetch_add_explicit(&shared->refs, 1, memory_order_relaxed);
        state->shared = shared;
    }
    atomic_fetch_add_explicit(&state->refs, 1, memory_order_relaxed);
    return state;
}

/* ---- the table ---- */

static bool pool_is(const struct map_node *node, const void *key)
{
    return slice_eq(container_of(node, struct egress_pool, by_name)->name,
                    *(const struct slice *)key);
}

const struct egress_pool *egress_pool_find(const struct egress_table *t, struct slice name)
{
    struct map_node *n = t ? map_find(&t->names, map_hash(&t->names, name), pool_is, &name) : NULL;
    return n ? container_of(n, struct egress_pool, by_name) : NULL;
}

static struct egress_source egress_source_of(const struct conf_egress_source *c, unsigned index)
{
    struct egress_source s = {
        .name = c->name,
        .index = index,
        .ehlo = c->ehlo,
        .proxy = {c->proxy.kind, c->proxy.at, c->proxy_user, c->proxy_password},
    };
    for (size_t i = 0; i < c->addresses.count; i++) {
        const struct ip_addr *a = &c->addresses.items[i];
        *(a->family == IP_V4 ? &s.address4 : &s.address6) = *a;
        s.families |= egress_family_of(a);
    }
    if (c->addresses.count == 0) {
        must(c->proxy.kind == CONF_EGRESS_SOCKS5);
        s.families = EGRESS_V4 | EGRESS_V6;
    }
    return s;
}

static bool egress_add_pool(struct egress_table *t, struct slice name, struct egress_member *first,
                            size_t count)
{
    struct egress_pool *p = &t->pools[t->pool_count++];
    uint32_t sum = 0;
    must(count > 0 && !egress_pool_find(t, name));
    for (size_t i = 0; i < count; i++) {
        sum += first[i].weight;
        first[i].upto = sum;
    }
    p->name = name;
    p->members = first;
    p->count = count;
    return map_insert(&t->names, &p->by_name, map_hash(&t->names, name));
}

static bool egress_add_sources(struct egress_table *t, const struct egress_table *old)
{
    for (size_t i = 0; i < t->conf->sources.count; i++) {
        struct egress_source *s = &t->sources[i];
        *s = egress_source_of(&t->conf->sources.items[i], (unsigned)i);
        s->state = egress_state_get(t->shared, old, s);
        if (!s->state) {
            return false;
        }
        t->source_count++;
        t->members[i] = (struct egress_member){.source = s, .weight = 1};
        if (!egress_add_pool(t, s->name, &t->members[i], 1)) {
            return false;
        }
    }
    return true;
}

static bool egress_add_pools(struct egress_table *t)
{
    struct egress_member *next = t->members + t->source_count;
    for (size_t i = 0; i < t->conf->source_pools.count; i++) {
        const struct conf_egress_pool *c = &t->conf->source_pools.items[i];
        for (size_t m = 0; m < c->sources.count; m++) {
            next[m].source = egress_find(t, c->sources.items[m].name);
            next[m].weight = c->sources.items[m].weight;
            must(next[m].source && next[m].weight > 0); /* conf_egress_check */
        }
        if (!egress_add_pool(t, c->name, next, c->sources.count)) {
            return false;
        }
        next += c->sources.count;
    }
    for (size_t i = 0; i < t->conf->source_rules.count; i++) {
        t->rules[i] = egress_pool_find(t, t->conf->source_rules.items[i].pool);
        must(t->rules[i] != NULL);
    }
    return true;
}

static bool egress_allocate(struct egress_table *t)
{
    const struct conf *c = t->conf;
    size_t members = c->sources.count;
    for (size_t i = 0; i < c->source_pools.count; i++) {
        members += c->source_pools.items[i].sources.count;
    }
    t->sources = calloc(c->sources.count + 1, sizeof(*t->sources));
    t->pools = calloc(c->sources.count + c->source_pools.count + 1, sizeof(*t->pools));
    t->members = calloc(members + 1, sizeof(*t->members));
    t->rules = calloc(c->source_rules.count + 1, sizeof(const struct egress_pool *));
    return t->sources && t->pools && t->members && t->rules && t->shared;
}

struct egress_table *egress_table_new(const struct conf *conf, const struct egress_table *old)
{
    struct egress_table *t = calloc(1, sizeof(*t));
    if (!t) {
        return NULL;
    }
    t->conf = conf;
    t->shared = egress_shared_get(old);
    map_init(&t->names, 0); /* names of the operator */
    if (!egress_allocate(t) || !egress_add_sources(t, old) || !egress_add_pools(t)) {
        egress_table_free(t);
        return NULL;
    }
    return t;
}

void egress_table_free(struct egress_table *t)
{
    if (!t) {
        return;
    }
    for (size_t i = 0; i < t->source_count; i++) { /* conf may be gone already */
        egress_state_put(&t->sources[i].state);
    }
    egress_shared_put(&t->shared);
    map_deinit(&t->names);
    free(t->sources);
    free(t->pools);
    free(t->members);
    free(t->rules);
    free(t);
}

size_t egress_count(const struct egress_table *t)
{
    return t ? t->source_count : 0;
}

const struct egress_source *egress_at(const struct egress_table *t, size_t index)
{
    must(index < egress_count(t));
    return &t->sources[index];
}

const struct egress_source *egress_find(const struct egress_table *t, struct slice name)
{
    const struct egress_pool *p = egress_pool_find(t, name);
    bool source = p && (size_t)(p - t->pools) < t->source_count;
    return source ? p->members[0].source : NULL;
}

struct slice egress_pool_name(const struct egress_pool *p)
{
    return p->name;
}

size_t egress_pool_count(const struct egress_pool *p)
{
    return p->count;
}

const struct egress_source *egress_pool_at(const struct egress_pool *p, size_t i, uint32_t *weight)
{
    must(i < p->count);
    *weight = p->members[i].weight;
    return p->members[i].source;
}

/* ---- the choice ---- */

static bool rule_matches(const struct conf_egress_rule *r, const struct egress_mail *m)
{
    return (r->tenant.len == 0 || slice_eq(r->tenant, m->tenant)) &&
           (r->campaign.len == 0 || slice_eq(r->campaign, m->campaign)) &&
           (r->sender_domain.len == 0 || slice_eq_nocase(r->sender_domain, m->sender_domain));
}

const struct egress_pool *egress_pool_of(const struct egress_table *t, const struct egress_mail *m)
{
    must(t != NULL);
    const struct egress_pool *p = m->named.len ? egress_pool_find(t, m->named) : NULL;
    for (size_t i = 0; !p && i < t->conf->source_rules.count; i++) {
        p = rule_matches(&t->conf->source_rules.items[i], m) ? t->rules[i] : NULL;
    }
    return p;
}

/* splitmix64's last step: ids of one millisecond differ in few bits, all bits of this do. */
static uint64_t egress_mix(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

enum { EGRESS_FIRST_DRAW, EGRESS_SECOND_DRAW };

/* A number below `total`, the same for the same message. */
static uint32_t egress_draw(const struct egress_pick *pick, unsigned draw, uint32_t total)
{
    uint64_t turn = (uint64_t)(pick->attempt / EGRESS_ATTEMPTS_PER_DRAW) * 2 + draw;
    uint64_t h = egress_mix(egress_mix(pick->id + UINT64_C(0x9e3779b97f4a7c15)) + turn);
    return (uint32_t)(((unsigned __int128)h * total) >> 64);
}

static bool egress_usable(const struct egress_source *s, const struct egress_pick *pick)
{
    return (egress_families_now(s) & pick->families) && (!pick->may || pick->may(pick->ctx, s));
}

/* The member whose share `at` lies in. */
static const struct egress_source *egress_locate(const struct egress_pool *p, uint32_t at)
{
    size_t low = 0, high = p->count - 1;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (at < p->members[mid].upto) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    return p->members[low].source;
}

const struct egress_source *egress_choose(const struct egress_pool *p,
                                          const struct egress_pick *pick)
{
    uint64_t may[(EGRESS_SOURCES_MAX + 63) / 64] = {0};
    uint32_t total = p->members[p->count - 1].upto;
    const struct egress_source *first = egress_locate(p,
                                                      egress_draw(pick, EGRESS_FIRST_DRAW, total));
    if (egress_usable(first, pick)) {
        return first;
    }
    total = 0;
    for (size_t i = 0; i < p->count; i++) {
        const struct egress_member *m = &p->members[i];
        if (m->source != first && egress_usable(m->source, pick)) {
            may[i / 64] |= UINT64_C(1) << (i % 64);
            total += m->weight;
        }
    }
    uint32_t at = total ? egress_draw(pick, EGRESS_SECOND_DRAW, total) : 0;
    for (size_t i = 0; total && i < p->count; i++) {
        const struct egress_member *m = &p->members[i];
        if (!(may[i / 64] >> (i % 64) & 1)) {
            continue;
        }
        if (at < m->weight) {
            return m->source;
        }
        at -= m->weight;
    }
    must(total == 0);
    return NULL;
}

/* ---- addresses that have gone, and come back ---- */

unsigned egress_families_now(const struct egress_source *s)
{
    return s->families & ~atomic_load_explicit(&s->state->gone, memory_order_relaxed);
}

bool egress_set_gone(const struct egress_source *s, enum egress_family family, bool gone)
{
    struct egress_state *state = s->state;
    unsigned before = gone ? atomic_fetch_or(&state->gone, family)
                           : atomic_fetch_and(&state->gone, ~(unsigned)family);
    bool news = ((before & family) != 0) != gone;
    if (news) {
        atomic_fetch_add(&state->pauses, gone ? 1 : 0);
        atomic_fetch_add(&state->shared->news, 1);
    }
    return news;
}

/* ---- proxies ---- */

bool egress_proxy_failed(const struct egress_source *s, uint64_t now_ms)
{
    struct egress_state *state = s->state;
    must(s->proxy.kind != CONF_EGRESS_DIRECT);
    if (!egress_families_now(s)) {
        return false; /* connections that were opened together fail together */
    }
    uint32_t before = atomic_fetch_add(&state->proxy_failures, 1);
    uint64_t pause_ms = (uint64_t)EGRESS_PROXY_PAUSE_MS << (before < 8 ? before : 8);
    pause_ms = pause_ms < EGRESS_PROXY_PAUSE_MAX_MS ? pause_ms : EGRESS_PROXY_PAUSE_MAX_MS;
    atomic_store(&state->proxy_retry_ms, now_ms + pause_ms);
    if ((atomic_fetch_or(&state->gone, s->families) & s->families) == s->families) {
        return false;
    }
    atomic_fetch_add(&state->pauses, 1);
    atomic_fetch_add(&state->shared->news, 1);
    return true;
}

void egress_proxy_works(const struct egress_source *s)
{
    if (atomic_load_explicit(&s->state->proxy_failures, memory_order_relaxed)) {
        atomic_store(&s->state->proxy_failures, 0);
    }
}

bool egress_proxy_retry(const struct egress_source *s, uint64_t now_ms)
{
    struct egress_state *state = s->state;
    if (egress_families_now(s) || atomic_load(&state->proxy_retry_ms) > now_ms) {
        return false;
    }
    atomic_fetch_and(&state->gone, ~s->families);
    atomic_fetch_add(&state->shared->news, 1);
    return true;
}

uint64_t egress_news(const struct egress_table *t)
{
    return t ? atomic_load_explicit(&t->shared->news, memory_order_relaxed) : 0;
}

uint64_t egress_pauses(const struct egress_source *s)
{
    return atomic_load_explicit(&s->state->pauses, memory_order_relaxed);
}
