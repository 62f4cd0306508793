/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * map - intrusive hash map
 *
 * Purpose:   lookup by key without owning keys or values: the node is embedded in the object.
 * Owner:     the struct that embeds the map; map_init, map_deinit (the map must be empty or its
 *            objects must be forgotten by their owner).
 * Thread:    the owner's.
 * Limits:    grows by doubling, load factor <= 1. Hashes are seeded per map (XXH3), so names chosen by
 *            a stranger do not pile up in one chain.
 * Errors:    map_insert returns false only when memory for the very first table is missing; a later
 *            failed growth leaves longer chains and nothing else.
 */
#ifndef RINGPOST_BASE_MAP_H
#define RINGPOST_BASE_MAP_H

#include "core/base/slice.h"

struct map_node {
    struct map_node *next;
    uint64_t hash;
};

struct map {
    struct map_node **buckets;
    size_t bucket_count; /* power of two */
    size_t count;
    uint64_t seed;
};

typedef bool map_equal_fn(const struct map_node *node, const void *key);

void map_init(struct map *m, uint64_t seed);
void map_deinit(struct map *m);

uint64_t map_hash(const struct map *m, struct slice key);
/* For domain names and addresses: ASCII case does not matter. Keys over 1 KiB hash their first KiB. */
uint64_t map_hash_nocase(const struct map *m, struct slice key);
uint64_t map_hash_u64(const struct map *m, uint64_t key);

struct map_node *map_find(const struct map *m, uint64_t hash, map_equal_fn *equal, const void *key);
bool map_insert(struct map *m, struct map_node *node, uint64_t hash);
void map_remove(struct map *m, struct map_node *node);

/* Walk: start with bucket = 0 and node = NULL; returns NULL at the end. The returned node may be
 * removed before the next call only if `*after` was fetched first by the caller; simplest is to
 * collect and remove later. */
struct map_node *map_next(const struct map *m, size_t *bucket, const struct map_node *node);

#endif
