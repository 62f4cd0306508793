/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/conf/arena.h"
#include "core/base/must.h"

#include <stdlib.h>
#include <sys/mman.h>

/* From here on an arena is address space of its own: only touched pages cost anything, and no
 * allocator clears or (under AddressSanitizer) poisons what is never used. */
enum { MAP_FROM_BYTES = 1 << 20 };

struct conf_arena *conf_arena_new(size_t cap)
{
    size_t bytes = sizeof(struct conf_arena) + cap;
    struct conf_arena *a;
    if (cap >= MAP_FROM_BYTES) {
        a = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                 -1, 0);
        a = a == MAP_FAILED ? NULL : a;
    } else {
        a = calloc(1, bytes);
    }
    if (a) {
        a->cap = cap;
    }
    return a;
}

void conf_arena_free(struct conf_arena *a)
{
    if (a && a->cap >= MAP_FROM_BYTES) {
        must(munmap(a, sizeof(*a) + a->cap) == 0);
    } else {
        free(a);
    }
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
