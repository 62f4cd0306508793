/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/map.h"
#include "core/base/must.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wswitch-enum"
#include <xxhash.h>
#pragma GCC diagnostic pop

enum { MAP_BUCKETS_FIRST = 64, MAP_NOCASE_KEY_MAX = 1024 };

void map_init(struct map *m, uint64_t seed)
{
    *m = (struct map){.seed = seed};
}

void map_deinit(struct map *m)
{
    free(m->buckets);
    *m = (struct map){0};
}

uint64_t map_hash(const struct map *m, struct slice key)
{
    return XXH3_64bits_withSeed(key.len ? key.ptr : "", key.len, m->seed);
}

uint64_t map_hash_nocase(const struct map *m, struct slice key)
{
    char lower[MAP_NOCASE_KEY_MAX];
    key = slice_first(key, sizeof(lower));
    for (size_t i = 0; i < key.len; i++) {
        lower[i] = ascii_lower(key.ptr[i]);
    }
    return XXH3_64bits_withSeed(lower, key.len, m->seed);
}

uint64_t map_hash_u64(const struct map *m, uint64_t key)
{
    return XXH3_64bits_withSeed(&key, sizeof(key), m->seed);
}

struct map_node *map_find(const struct map *m, uint64_t hash, map_equal_fn *equal, const void *key)
{
    if (m->bucket_count == 0) {
        return NULL;
    }
    struct map_node *n = m->buckets[hash & (m->bucket_count - 1)];
    while (n && !(n->hash == hash && equal(n, key))) {
        n = n->next;
    }
    return n;
}

static void map_grow(struct map *m)
{
    size_t count = m->bucket_count ? m->bucket_count * 2 : MAP_BUCKETS_FIRST;
    struct map_node **buckets = calloc(count, sizeof(*buckets));
    if (!buckets) {
        return;
    }
    for (size_t i = 0; i < m->bucket_count; i++) {
        struct map_node *n = m->buckets[i];
        while (n) {
            struct map_node *next = n->next;
            struct map_node **head = &buckets[n->hash & (count - 1)];
            n->next = *head;
            *head = n;
            n = next;
        }
    }
    free(m->buckets);
    m->buckets = buckets;
    m->bucket_count = count;
}

bool map_insert(struct map *m, struct map_node *node, uint64_t hash)
{
    if (m->count >= m->bucket_count) {
        map_grow(m);
        if (m->bucket_count == 0) {
            return false;
        }
    }
    struct map_node **head = &m->buckets[hash & (m->bucket_count - 1)];
    node->hash = hash;
    node->next = *head;
    *head = node;
    m->count++;
    return true;
}

void map_remove(struct map *m, struct map_node *node)
{
    must(m->bucket_count > 0);
    struct map_node **at = &m->buckets[node->hash & (m->bucket_count - 1)];
    while (*at != node) {
        must(*at != NULL);
        at = &(*at)->next;
    }
    *at = node->next;
    node->next = NULL;
    m->count--;
}

struct map_node *map_next(const struct map *m, size_t *bucket, const struct map_node *node)
{
    if (node && node->next) {
        return node->next;
    }
    if (node) {
        (*bucket)++;
    }
    for (; *bucket < m->bucket_count; (*bucket)++) {
        if (m->buckets[*bucket]) {
            return m->buckets[*bucket];
        }
    }
    return NULL;
}
