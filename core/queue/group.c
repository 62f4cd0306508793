/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/group.h"
#include "core/base/must.h"

#include <stdatomic.h>
#include <stdlib.h>

struct queue_owner {
    struct map_node by_key;
    struct slice key; /* behind the struct */
    unsigned worker;
    unsigned users;
};

void queue_group_init(struct queue_group *g, unsigned workers, uint64_t seed)
{
    must(workers > 0 && workers <= LIMIT_WORKERS);
    *g = (struct queue_group){.workers = workers, .names_seed = ~seed};
    atomic_init(&g->leaving, 0);
    pthread_mutex_init(&g->mutex, NULL);
    map_init(&g->owners, seed);
}

void queue_group_deinit(struct queue_group *g)
{
    must(g->owners.count == 0);
    map_deinit(&g->owners);
    pthread_mutex_destroy(&g->mutex);
}

static bool queue_owner_equal(const struct map_node *node, const void *key)
{
    return slice_eq_nocase(container_of(node, struct queue_owner, by_key)->key,
                           *(const struct slice *)key);
}

static struct queue_owner *queue_owner_find(struct queue_group *g, struct slice key, uint64_t hash)
{
    struct map_node *node = map_find(&g->owners, hash, queue_owner_equal, &key);
    return node ? container_of(node, struct queue_owner, by_key) : NULL;
}

static struct queue_owner *queue_owner_new(struct queue_group *g, struct slice key, uint64_t hash,
                                           unsigned worker)
{
    struct queue_owner *o = calloc(1, sizeof(*o) + key.len);
    if (!o) {
        return NULL;
    }
    char *text = (char *)(o + 1);
    memcpy(text, key.ptr, key.len);
    o->key = slice_of(text, key.len);
    o->worker = worker;
    if (!map_insert(&g->owners, &o->by_key, hash)) {
        free(o);
        return NULL;
    }
    return o;
}

bool queue_group_join(struct queue_group *g, struct slice key, unsigned worker, unsigned *owner)
{
    uint64_t hash = map_hash_nocase(&g->owners, key);
    pthread_mutex_lock(&g->mutex);
    struct queue_owner *o = queue_owner_find(g, key, hash);
    if (!o) {
        o = queue_owner_new(g, key, hash, worker);
    }
    *owner = o ? o->worker : worker;
    if (o) {
        o->users++;
    }
    pthread_mutex_unlock(&g->mutex);
    return o != NULL;
}

void queue_group_leave(struct queue_group *g, struct slice key)
{
    uint64_t hash = map_hash_nocase(&g->owners, key);
    pthread_mutex_lock(&g->mutex);
    struct queue_owner *o = queue_owner_find(g, key, hash);
    must(o != NULL && o->users > 0);
    if (--o->users == 0) {
        map_remove(&g->owners, &o->by_key);
        free(o);
    }
    pthread_mutex_unlock(&g->mutex);
}
