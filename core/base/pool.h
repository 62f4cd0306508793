/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * pool - slots with generations
 *
 * Purpose:   owns all objects of one kind of one worker. Others refer to an object by a handle
 *            {slot, generation}; a handle of an object that was put back resolves to NULL, so a
 *            late completion can never touch a wrong object.
 * Owner:     the worker; pool_init / pool_deinit. Objects: pool_get / pool_put.
 * Thread:    the owner's.
 * Limits:    capacity is fixed at init, at most POOL_SLOTS_MAX; memory is taken in chunks as the
 *            pool grows, object addresses never change, objects come zeroed.
 * Errors:    pool_get returns NULL when the pool is empty: back-pressure, never a crash.
 */
#ifndef RINGPOST_BASE_POOL_H
#define RINGPOST_BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { POOL_SLOTS_MAX = 1 << 24 };

struct handle {
    uint32_t slot; /* 24 bits used */
    uint32_t gen;  /* never 0 for a live object */
};

#define HANDLE_NONE ((struct handle){0, 0})

struct pool {
    size_t object_bytes;
    uint32_t capacity;
    uint32_t used;      /* live objects */
    uint32_t made;      /* slots ever handed out: [0, made) have memory */
    uint32_t free_head; /* slot + 1, 0 = none */
    uint32_t chunk_count;
    char **chunks;
};

void pool_init(struct pool *p, size_t object_bytes, uint32_t capacity);
/* All objects must have been put back. */
void pool_deinit(struct pool *p);

void *pool_get(struct pool *p, struct handle *out);
void pool_put(struct pool *p, struct handle h);
void *pool_resolve(const struct pool *p, struct handle h);

/* The object in a slot if it is live, for walking over all: slot in [0, p->made). */
void *pool_at(const struct pool *p, uint32_t slot, struct handle *out);

#endif
