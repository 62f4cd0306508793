/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/text.h"
#include "core/base/must.h"

#include <stdlib.h>

static struct text *text_of(const struct map_node *node)
{
    return container_of((struct map_node *)(uintptr_t)node, struct text, node);
}

static bool text_equal(const struct map_node *node, const void *key)
{
    return slice_eq(text_slice(text_of(node)), *(const struct slice *)key);
}

void text_set_init(struct text_set *s, uint64_t seed)
{
    map_init(&s->texts, seed);
}

void text_set_deinit(struct text_set *s)
{
    must(s->texts.count == 0);
    map_deinit(&s->texts);
}

struct text *text_find(const struct text_set *s, struct slice bytes)
{
    uint64_t hash = map_hash(&s->texts, bytes);
    struct map_node *node = map_find(&s->texts, hash, text_equal, &bytes);
    return node ? text_of(node) : NULL;
}

struct text *text_take(struct text_set *s, struct slice bytes)
{
    struct text *t = text_find(s, bytes);
    if (t) {
        t->uses++;
        return t;
    }
    t = s->texts.count < TEXT_SET_MAX ? malloc(sizeof(*t) + bytes.len) : NULL;
    if (!t) {
        return NULL;
    }
    t->uses = 1;
    t->len = (uint32_t)bytes.len;
    if (bytes.len) {
        memcpy(t->bytes, bytes.ptr, bytes.len);
    }
    if (!map_insert(&s->texts, &t->node, map_hash(&s->texts, bytes))) {
        free(t);
        return NULL;
    }
    return t;
}

void text_put(struct text_set *s, struct text *t)
{
    must(t->uses > 0);
    if (--t->uses == 0) {
        map_remove(&s->texts, &t->node);
        free(t);
    }
}
