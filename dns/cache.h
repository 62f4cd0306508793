/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cache - answers by (name, type), and the questions under way
 *
 * Purpose:   one map for both, so that a question is on the wire once however many wait for it
 *            (single-flight). An entry is PENDING (waiters, no answer) or READY (answer, no waiters).
 * Owner:     struct dns owns the cache, the cache owns entries and answers. A PENDING entry lives
 *            until dns_cache_fill; a READY one may go in any later call: use what dns_cache_find
 *            returns at once.
 * Thread:    the worker's. Time is an argument.
 * Units:     milliseconds of the monotonic clock.
 * Limits:    entries_max READY entries, least recently used first out; PENDING ones are bounded by
 *            those who wait.
 * Errors:    dns_cache_add returns NULL without memory.
 * RFC:       2181 8, 2308 5 and 7, 9520 3.2 (a failure is kept DNS_TEMPORARY_TTL_MS).
 */
#ifndef RINGPOST_DNS_CACHE_H
#define RINGPOST_DNS_CACHE_H

#include "core/base/list.h"
#include "core/base/map.h"
#include "dns/answer.h"
#include "dns/channel.h"

struct dns_cache_limits {
    uint32_t entries_max;
    uint64_t ttl_min_ms;
    uint64_t ttl_max_ms;
    uint64_t negative_ttl_max_ms;
};

struct dns_entry {
    struct map_node node;
    struct list lru; /* READY: in cache.lru */
    struct list waiters;
    struct dns_ask ask;        /* name and type; PENDING: under way */
    struct dns_answer *answer; /* NULL: PENDING */
    uint64_t expires_ms;
    bool pinned;
    char text[]; /* the name, NUL */
};

struct dns_cache {
    struct map map;
    struct list lru; /* front: the longest unused */
    struct dns_cache_limits limits;
    uint32_t ready;
    uint64_t evicted;
};

void dns_cache_init(struct dns_cache *c, const struct dns_cache_limits *limits, uint64_t seed);
/* No entry may be PENDING. */
void dns_cache_deinit(struct dns_cache *c);

/* The entry, PENDING or READY and not expired, or NULL. */
struct dns_entry *dns_cache_find(struct dns_cache *c, struct slice name, enum dns_type type,
                                 uint64_t now_ms);
/* A new PENDING entry; there must be none. */
struct dns_entry *dns_cache_add(struct dns_cache *c, struct slice name, enum dns_type type);
/* PENDING becomes READY and pinned: it stays, found whatever its TTL, until dns_cache_settle, so that
 * its answer can be handed to the waiters (taken off before) while they ask for more. Takes answer. */
void dns_cache_fill(struct dns_cache *c, struct dns_entry *e, struct dns_answer *answer,
                    uint64_t now_ms);
/* Unpins and makes room; the entry may be gone afterwards. */
void dns_cache_settle(struct dns_cache *c, struct dns_entry *e, uint64_t now_ms);
/* Ends a PENDING entry without answer. */
void dns_cache_drop(struct dns_cache *c, struct dns_entry *e);
/* Forgets all READY entries. */
void dns_cache_flush(struct dns_cache *c);

/* When an answer that came at now_ms stops being true. */
uint64_t dns_cache_expiry(const struct dns_cache *c, const struct dns_answer *a, uint64_t now_ms);

#endif
