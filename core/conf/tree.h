/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * tree - what the sources say, before it means anything
 *
 * Purpose:   one shape for YAML files, environment and --set: maps, lists and scalars as text, each
 *            with the place it came from, so that every later message can name it.
 * Owner:     the arena that is passed in. Thread: the loader's.
 * Limits:    callers bound the number of nodes (yaml.c, env.c).
 */
#ifndef RINGPOST_CONF_TREE_H
#define RINGPOST_CONF_TREE_H

#include "core/conf/arena.h"

enum conf_origin_kind { CONF_FROM_DEFAULT, CONF_FROM_FILE, CONF_FROM_ENV, CONF_FROM_SET };

struct conf_origin {
    enum conf_origin_kind kind;
    struct slice name; /* file, variable, path of --set */
    uint32_t line;     /* files: from 1; 0: the file as a whole */
    uint32_t col;
};

enum conf_node_kind { CONF_NODE_SCALAR, CONF_NODE_MAP, CONF_NODE_LIST };

struct conf_node {
    enum conf_node_kind kind;
    bool plain;       /* scalar: written without quotes */
    bool bad;         /* reported already: never merged */
    struct slice key; /* in a map */
    uint32_t key_line;
    uint32_t key_col;
    struct slice text; /* scalar */
    struct conf_origin origin;
    struct conf_node *first; /* children of map and list, in order */
    struct conf_node *last;
    struct conf_node *next;
    size_t count;
};

struct conf_node *conf_node_new(struct conf_arena *a, enum conf_node_kind kind,
                                const struct conf_origin *from);
void conf_node_append(struct conf_node *parent, struct conf_node *child);
struct conf_node *conf_node_find(const struct conf_node *map, struct slice key);
struct conf_node *conf_node_at(const struct conf_node *list, size_t index);
/* Puts `child` in the place of `old`, which must be a child of `parent`. */
void conf_node_replace(struct conf_node *parent, struct conf_node *old, struct conf_node *child);

/* Later wins: maps are merged key by key, everything else is replaced as a whole. Bad nodes are left
 * out. `over` is used up: its nodes become nodes of `base`. */
void conf_node_merge(struct conf_node *base, struct conf_node *over);

/* "a group": for messages. */
const char *conf_node_noun(const struct conf_node *n);

/* YAML's ways to say nothing: empty, ~, null. */
bool conf_node_is_null(const struct conf_node *n);

#endif
