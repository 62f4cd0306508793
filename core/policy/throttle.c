/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A set-associative table of hashes: no allocation, no list to grow, and a flood of new pairs can push
 * out at most what falls into the same bucket. The hash is seeded, so buckets cannot be aimed at.
 */
#include "core/policy/throttle.h"
#include "core/base/hash.h"

#include <pthread.h>
#include <stdlib.h>

enum { BUCKET_PAIRS = 8, BUCKETS = THROTTLE_PAIRS / BUCKET_PAIRS };

struct throttle_pair {
    uint64_t hash; /* 0: free */
    uint64_t last_ms;
    uint32_t failures;
};

struct throttle {
    pthread_mutex_t mutex;
    uint64_t seed;
    struct throttle_pair pairs[BUCKETS][BUCKET_PAIRS];
};

struct throttle *throttle_open(uint64_t seed)
{
    struct throttle *t = calloc(1, sizeof(*t));
    if (t) {
        pthread_mutex_init(&t->mutex, NULL);
        t->seed = seed;
    }
    return t;
}

void throttle_close(struct throttle *t)
{
    pthread_mutex_destroy(&t->mutex);
    free(t);
}

static uint64_t pair_hash(const struct throttle *t, const struct ip_addr *addr, struct slice user)
{
    uint64_t seed = hash_bytes(slice_of(addr->bytes, sizeof(addr->bytes)), t->seed);
    uint64_t hash = hash_bytes(user, seed);
    return hash ? hash : 1;
}

/* The pair, or with `make` the place for it: free, or the one that failed longest ago. */
static struct throttle_pair *pair_find(struct throttle *t, uint64_t hash, bool make)
{
    struct throttle_pair *bucket = t->pairs[hash % BUCKETS];
    struct throttle_pair *oldest = &bucket[0];
    for (size_t i = 0; i < BUCKET_PAIRS; i++) {
        if (bucket[i].hash == hash) {
            return &bucket[i];
        }
        if (bucket[i].hash == 0 || (oldest->hash && bucket[i].last_ms < oldest->last_ms)) {
            oldest = &bucket[i];
        }
    }
    if (!make) {
        return NULL;
    }
    *oldest = (struct throttle_pair){.hash = hash};
    return oldest;
}

bool throttle_locked(struct throttle *t, const struct throttle_rule *rule,
                     const struct ip_addr *addr, struct slice user, uint64_t now_ms)
{
    if (rule->failures_max == 0) {
        return false;
    }
    pthread_mutex_lock(&t->mutex);
    const struct throttle_pair *p = pair_find(t, pair_hash(t, addr, user), false);
    bool locked = p && p->failures >= rule->failures_max && now_ms - p->last_ms < rule->window_ms;
    pthread_mutex_unlock(&t->mutex);
    return locked;
}

void throttle_failed(struct throttle *t, const struct throttle_rule *rule,
                     const struct ip_addr *addr, struct slice user, uint64_t now_ms)
{
    if (rule->failures_max == 0) {
        return;
    }
    pthread_mutex_lock(&t->mutex);
    struct throttle_pair *p = pair_find(t, pair_hash(t, addr, user), true);
    if (now_ms - p->last_ms >= rule->window_ms) {
        p->failures = 0;
    }
    p->failures++;
    p->last_ms = now_ms;
    pthread_mutex_unlock(&t->mutex);
}

void throttle_succeeded(struct throttle *t, const struct ip_addr *addr, struct slice user)
{
    pthread_mutex_lock(&t->mutex);
    struct throttle_pair *p = pair_find(t, pair_hash(t, addr, user), false);
    if (p) {
        *p = (struct throttle_pair){0};
    }
    pthread_mutex_unlock(&t->mutex);
}
