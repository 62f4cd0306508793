/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The answer cache. Expired entries are not hunted by a timer: they go when they are found or when
 * the least recently used must make room, so an idle cache costs nothing.
 */
#include "dns/cache.h"

#include "core/base/must.h"
#include "dns/dns.h"

#include <stdlib.h>

struct cache_key {
    struct slice name;
    enum dns_type type;
};

static bool cache_equal(const struct map_node *node, const void *key)
{
    const struct dns_entry *e = container_of(node, struct dns_entry, node);
    const struct cache_key *k = key;
    return e->ask.type == k->type && slice_eq(e->ask.name, k->name);
}

static uint64_t cache_hash(const struct dns_cache *c, const struct cache_key *k)
{
    return map_hash(&c->map, k->name) + (uint64_t)k->type;
}

void dns_cache_init(struct dns_cache *c, const struct dns_cache_limits *limits, uint64_t seed)
{
    *c = (struct dns_cache){.limits = *limits};
    map_init(&c->map, seed);
    list_init(&c->lru);
}

static void cache_free(struct dns_cache *c, struct dns_entry *e)
{
    must(list_empty(&e->waiters));
    map_remove(&c->map, &e->node);
    dns_answer_free(e->answer);
    free(e);
}

static void cache_remove_ready(struct dns_cache *c, struct dns_entry *e)
{
    must(e->answer != NULL && c->ready > 0);
    list_remove(&e->lru);
    c->ready--;
    cache_free(c, e);
}

void dns_cache_flush(struct dns_cache *c)
{
    while (!list_empty(&c->lru)) {
        cache_remove_ready(c, LIST_ENTRY(list_first(&c->lru), struct dns_entry, lru));
    }
    must(c->ready == 0);
}

void dns_cache_deinit(struct dns_cache *c)
{
    dns_cache_flush(c);
    must(c->map.count == 0);
    map_deinit(&c->map);
}

struct dns_entry *dns_cache_find(struct dns_cache *c, struct slice name, enum dns_type type,
                                 uint64_t now_ms)
{
    struct cache_key key = {name, type};
    struct map_node *node = map_find(&c->map, cache_hash(c, &key), cache_equal, &key);
    if (!node) {
        return NULL;
    }
    struct dns_entry *e = container_of(node, struct dns_entry, node);
    if (!e->answer) {
        return e;
    }
    if (e->expires_ms <= now_ms && !e->pinned) {
        cache_remove_ready(c, e);
        return NULL;
    }
    list_remove(&e->lru);
    list_push_back(&c->lru, &e->lru);
    return e;
}

struct dns_entry *dns_cache_add(struct dns_cache *c, struct slice name, enum dns_type type)
{
    struct cache_key key = {name, type};
    must(name.len > 0 && map_find(&c->map, cache_hash(c, &key), cache_equal, &key) == NULL);
    struct dns_entry *e = calloc(1, sizeof(*e) + name.len + 1);
    if (!e) {
        return NULL;
    }
    memcpy(e->text, name.ptr, name.len);
    e->ask.name = slice_of(e->text, name.len);
    e->ask.type = type;
    list_init(&e->waiters);
    if (!map_insert(&c->map, &e->node, cache_hash(c, &key))) {
        free(e);
        return NULL;
    }
    return e;
}

static uint64_t cache_clamp(uint64_t v, uint64_t low, uint64_t high)
{
    return v > high ? high : v < low ? low : v;
}

uint64_t dns_cache_expiry(const struct dns_cache *c, const struct dns_answer *a, uint64_t now_ms)
{
    const struct dns_cache_limits *l = &c->limits;
    uint64_t ttl_ms = (uint64_t)a->ttl_s * 1000;
    switch (a->kind) {
    case DNS_ANSWER_DATA:
    case DNS_ANSWER_ALIAS:
        return now_ms + cache_clamp(ttl_ms, l->ttl_min_ms, l->ttl_max_ms);
    case DNS_ANSWER_NODATA:
    case DNS_ANSWER_NXDOMAIN:
        if (a->has_ttl) {
            return now_ms + cache_clamp(ttl_ms, l->ttl_min_ms, l->negative_ttl_max_ms);
        }
        break; /* RFC 2308 5: without SOA it should not be cached; a moment only, against floods */
    case DNS_ANSWER_FAILED:
        break;
    }
    return now_ms + DNS_TEMPORARY_TTL_MS;
}

void dns_cache_fill(struct dns_cache *c, struct dns_entry *e, struct dns_answer *answer,
                    uint64_t now_ms)
{
    must(e->answer == NULL && answer != NULL);
    must(list_empty(&e->waiters));
    e->answer = answer;
    e->expires_ms = dns_cache_expiry(c, answer, now_ms);
    list_push_back(&c->lru, &e->lru);
    c->ready++;
    e->pinned = true;
}

void dns_cache_settle(struct dns_cache *c, struct dns_entry *e, uint64_t now_ms)
{
    must(e->pinned && e->answer != NULL);
    e->pinned = false;
    while (c->ready > c->limits.entries_max) {
        struct list *first = list_first(&c->lru);
        must(first != NULL);
        struct dns_entry *oldest = LIST_ENTRY(first, struct dns_entry, lru);
        c->evicted += oldest->expires_ms > now_ms;
        cache_remove_ready(c, oldest);
    }
}

void dns_cache_drop(struct dns_cache *c, struct dns_entry *e)
{
    must(e->answer == NULL);
    cache_free(c, e);
}
