/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/conf/tree.h"
#include "core/base/must.h"

struct conf_node *conf_node_new(struct conf_arena *a, enum conf_node_kind kind,
                                const struct conf_origin *from)
{
    struct conf_node *n = conf_arena_take(a, sizeof(*n));
    n->kind = kind;
    n->origin = *from;
    return n;
}

void conf_node_append(struct conf_node *parent, struct conf_node *child)
{
    must(parent->kind != CONF_NODE_SCALAR);
    must(child->next == NULL && child != parent->last);
    if (parent->last) {
        parent->last->next = child;
    } else {
        parent->first = child;
    }
    parent->last = child;
    parent->count++;
}

struct conf_node *conf_node_find(const struct conf_node *map, struct slice key)
{
    must(map->kind == CONF_NODE_MAP);
    for (struct conf_node *n = map->first; n; n = n->next) {
        if (slice_eq(n->key, key)) {
            return n;
        }
    }
    return NULL;
}

struct conf_node *conf_node_at(const struct conf_node *list, size_t index)
{
    must(list->kind == CONF_NODE_LIST);
    struct conf_node *n = list->first;
    while (n && index-- > 0) {
        n = n->next;
    }
    return n;
}

void conf_node_replace(struct conf_node *parent, struct conf_node *old, struct conf_node *child)
{
    must(child->next == NULL);
    struct conf_node **link = &parent->first;
    while (*link != old) {
        must(*link != NULL);
        link = &(*link)->next;
    }
    *link = child;
    child->next = old->next;
    child->key = old->key;
    if (parent->last == old) {
        parent->last = child;
    }
    old->next = NULL;
}

/* Two levels only (groups and their keys), so the recursion is bounded by the table. */
/* NOLINTNEXTLINE(misc-no-recursion): CONF_YAML_DEPTH_MAX */
void conf_node_merge(struct conf_node *base, struct conf_node *over)
{
    must(base->kind == CONF_NODE_MAP && over->kind == CONF_NODE_MAP);
    struct conf_node *next;
    for (struct conf_node *n = over->first; n; n = next) {
        next = n->next;
        n->next = NULL;
        if (n->bad) {
            continue;
        }
        struct conf_node *old = conf_node_find(base, n->key);
        if (!old) {
            conf_node_append(base, n);
        } else if (old->kind == CONF_NODE_MAP && n->kind == CONF_NODE_MAP) {
            conf_node_merge(old, n);
        } else {
            conf_node_replace(base, old, n);
        }
    }
    over->first = over->last = NULL;
    over->count = 0;
}

bool conf_node_is_null(const struct conf_node *n)
{
    return n->kind == CONF_NODE_SCALAR && n->plain && n->origin.kind == CONF_FROM_FILE &&
           (n->text.len == 0 || slice_eq(n->text, SLICE("~")) ||
            slice_eq_nocase(n->text, SLICE("null")));
}

const char *conf_node_noun(const struct conf_node *n)
{
    static const char *const nouns[] = {
        [CONF_NODE_SCALAR] = "a single value",
        [CONF_NODE_MAP] = "a group",
        [CONF_NODE_LIST] = "a list",
    };
    return nouns[n->kind];
}
