/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * text - one copy of what many recipients were told
 *
 * Purpose:   a provider that defers a hundred thousand recipients says the same sentence to most of them.
 * Owner:     the queue embeds a struct text_set; each text_take is given back by a text_put.
 * Thread:    the owner's.
 * Limits:    TEXT_SET_MAX different ones.
 * Errors:    text_take returns NULL without memory, or when there are too many: keep a copy of your own.
 */
#ifndef RINGPOST_QUEUE_TEXT_H
#define RINGPOST_QUEUE_TEXT_H

#include "core/base/map.h"

enum { TEXT_SET_MAX = 8192 };

struct text {
    struct map_node node;
    uint32_t uses;
    uint32_t len;
    char bytes[];
};

struct text_set {
    struct map texts;
};

void text_set_init(struct text_set *s, uint64_t seed);
/* All must have been put. */
void text_set_deinit(struct text_set *s);

struct text *text_take(struct text_set *s, struct slice bytes);
/* NULL: it is not there. */
struct text *text_find(const struct text_set *s, struct slice bytes);
void text_put(struct text_set *s, struct text *t);
static inline struct slice text_slice(const struct text *t)
{
    return slice_of(t->bytes, t->len);
}

#endif
