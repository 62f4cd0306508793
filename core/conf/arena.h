/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * arena - memory that ends all at once
 *
 * Purpose:   holds the texts and lists of one configuration, and the trees while it is being read.
 * Owner:     whoever made it; nothing in it is freed alone.
 * Thread:    the owner's while it is filled; read-only afterwards.
 * Limits:    the capacity is fixed at creation from the bounds of what will be stored (load.c), so
 *            running out is a programming error. Untouched memory costs nothing.
 * Errors:    conf_arena_new returns NULL without memory.
 */
#ifndef RINGPOST_CONF_ARENA_H
#define RINGPOST_CONF_ARENA_H

#include "core/base/slice.h"

struct conf_arena {
    size_t cap;
    size_t used;
    _Alignas(16) char bytes[];
};

struct conf_arena *conf_arena_new(size_t cap);
void conf_arena_free(struct conf_arena *a);

/* Zeroed, aligned to 16. */
void *conf_arena_take(struct conf_arena *a, size_t bytes);
/* A copy with a NUL behind it. */
struct slice conf_arena_copy(struct conf_arena *a, struct slice s);

/* What n bytes of text or of objects cost in the arena. */
static inline size_t conf_arena_cost(size_t bytes)
{
    return (bytes + 1 + 15) & ~(size_t)15;
}

#endif
