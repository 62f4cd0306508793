/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/pool.h"
#include "core/base/must.h"

#include <stdlib.h>
#include <string.h>

enum { POOL_CHUNK_SLOTS = 64 };

/* Stands before each object. gen is odd-free: it only counts up, skipping 0; live says which. */
struct pool_slot {
    uint32_t gen;
    uint32_t next_free; /* slot + 1 */
    bool live;
    _Alignas(max_align_t) char object[];
};

static size_t pool_stride(const struct pool *p)
{
    size_t align = _Alignof(max_align_t);
    return (sizeof(struct pool_slot) + p->object_bytes + align - 1) / align * align;
}

static struct pool_slot *pool_slot_at(const struct pool *p, uint32_t slot)
{
    must(slot < p->made);
    char *chunk = p->chunks[slot / POOL_CHUNK_SLOTS];
    return (struct pool_slot *)(void *)(chunk + pool_stride(p) * (slot % POOL_CHUNK_SLOTS));
}

void pool_init(struct pool *p, size_t object_bytes, uint32_t capacity)
{
    must(capacity > 0 && capacity <= POOL_SLOTS_MAX);
    *p = (struct pool){.object_bytes = object_bytes, .capacity = capacity};
}

void pool_deinit(struct pool *p)
{
    must(p->used == 0);
    for (uint32_t i = 0; i < p->chunk_count; i++) {
        free(p->chunks[i]);
    }
    free(p->chunks);
    *p = (struct pool){0};
}

static bool pool_grow(struct pool *p)
{
    char **chunks = realloc(p->chunks, (p->chunk_count + 1) * sizeof(*chunks));
    if (!chunks) {
        return false;
    }
    p->chunks = chunks;
    chunks[p->chunk_count] = calloc(POOL_CHUNK_SLOTS, pool_stride(p));
    if (!chunks[p->chunk_count]) {
        return false;
    }
    p->chunk_count++;
    return true;
}

void *pool_get(struct pool *p, struct handle *out)
{
    uint32_t slot;
    if (p->free_head) {
        slot = p->free_head - 1;
        p->free_head = pool_slot_at(p, slot)->next_free;
    } else {
        if (p->made == p->capacity) {
            return NULL;
        }
        if (p->made == p->chunk_count * POOL_CHUNK_SLOTS && !pool_grow(p)) {
            return NULL;
        }
        slot = p->made++;
    }
    struct pool_slot *s = pool_slot_at(p, slot);
    must(!s->live);
    s->gen = s->gen + 1 ? s->gen + 1 : 1;
    s->live = true;
    memset(s->object, 0, p->object_bytes);
    p->used++;
    *out = (struct handle){slot, s->gen};
    return s->object;
}

void pool_put(struct pool *p, struct handle h)
{
    struct pool_slot *s = pool_slot_at(p, h.slot);
    must(s->live && s->gen == h.gen);
    s->live = false;
    s->next_free = p->free_head;
    p->free_head = h.slot + 1;
    must(p->used > 0);
    p->used--;
}

void *pool_resolve(const struct pool *p, struct handle h)
{
    if (h.slot >= p->made) {
        return NULL;
    }
    struct pool_slot *s = pool_slot_at(p, h.slot);
    return s->live && s->gen == h.gen ? s->object : NULL;
}

void *pool_at(const struct pool *p, uint32_t slot, struct handle *out)
{
    struct pool_slot *s = pool_slot_at(p, slot);
    if (!s->live) {
        return NULL;
    }
    *out = (struct handle){slot, s->gen};
    return s->object;
}
