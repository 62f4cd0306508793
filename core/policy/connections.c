/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/connections.h"
#include "core/base/map.h"
#include "core/base/must.h"

#include <pthread.h>
#include <stdlib.h>

struct connections_entry {
    struct map_node node;
    struct ip_addr addr;
    uint32_t count;
};

struct connections {
    pthread_mutex_t mutex;
    struct map by_addr;
    uint32_t count;
};

static bool connections_equal(const struct map_node *node, const void *key)
{
    return ip_addr_eq(&container_of(node, struct connections_entry, node)->addr, key);
}

static uint64_t connections_hash(const struct connections *c, const struct ip_addr *addr)
{
    return map_hash(&c->by_addr, slice_of(addr->bytes, sizeof(addr->bytes)));
}

struct connections *connections_open(uint64_t seed)
{
    struct connections *c = calloc(1, sizeof(*c));
    if (c) {
        pthread_mutex_init(&c->mutex, NULL);
        map_init(&c->by_addr, seed);
    }
    return c;
}

void connections_close(struct connections *c)
{
    must(c->count == 0);
    map_deinit(&c->by_addr);
    pthread_mutex_destroy(&c->mutex);
    free(c);
}

static struct connections_entry *connections_entry_get(struct connections *c,
                                                       const struct ip_addr *addr)
{
    uint64_t hash = connections_hash(c, addr);
    struct map_node *node = map_find(&c->by_addr, hash, connections_equal, addr);
    if (node) {
        return container_of(node, struct connections_entry, node);
    }
    struct connections_entry *e = calloc(1, sizeof(*e));
    if (!e) {
        return NULL;
    }
    e->addr = *addr;
    if (!map_insert(&c->by_addr, &e->node, hash)) {
        free(e);
        return NULL;
    }
    return e;
}

static void connections_entry_put(struct connections *c, struct connections_entry *e)
{
    if (e->count == 0) {
        map_remove(&c->by_addr, &e->node);
        free(e);
    }
}

enum connections_verdict connections_admit(struct connections *c, const struct ip_addr *addr,
                                           uint32_t max, uint32_t max_per_address)
{
    enum connections_verdict v = CONNECTIONS_TOO_MANY;
    pthread_mutex_lock(&c->mutex);
    struct connections_entry *e = c->count < max ? connections_entry_get(c, addr) : NULL;
    if (e) {
        v = e->count < max_per_address ? CONNECTIONS_OK : CONNECTIONS_TOO_MANY_OF_ADDRESS;
        if (v == CONNECTIONS_OK) {
            e->count++;
            c->count++;
        }
        connections_entry_put(c, e);
    }
    pthread_mutex_unlock(&c->mutex);
    return v;
}

void connections_leave(struct connections *c, const struct ip_addr *addr)
{
    pthread_mutex_lock(&c->mutex);
    struct map_node *node = map_find(&c->by_addr, connections_hash(c, addr), connections_equal,
                                     addr);
    must(node != NULL && c->count > 0);
    struct connections_entry *e = container_of(node, struct connections_entry, node);
    must(e->count > 0);
    e->count--;
    c->count--;
    connections_entry_put(c, e);
    pthread_mutex_unlock(&c->mutex);
}

uint32_t connections_count(struct connections *c)
{
    pthread_mutex_lock(&c->mutex);
    uint32_t n = c->count;
    pthread_mutex_unlock(&c->mutex);
    return n;
}
