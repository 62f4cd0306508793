/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/conf/arena.h"
#include "core/base/must.h"

#include <stdlib.h>

struct conf_arena *conf_arena_new(size_t cap)
{
    /* Large callocs are fresh pages: reserved, not touched. */
    struct conf_arena *a = calloc(1, sizeof(*a) + cap);
    if (a) {
        a->cap = cap;
    }
    return a;
}

void conf_arena_free(struct conf_arena *a)
{
    free(a);
}

void *conf_arena_take(struct conf_arena *a, size_t bytes)
{
    size_t cost = conf_arena_cost(bytes);
    must(cost >= bytes);
    must(cost <= a->cap - a->used);
    void *p = a->bytes + a->used;
    a->used += cost;
    return p;
}

struct slice conf_arena_copy(struct conf_arena *a, struct slice s)
{
    char *p = conf_arena_take(a, s.len);
    if (s.len) {
        memcpy(p, s.ptr, s.len);
    }
    return slice_of(p, s.len);
}
