/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * apply - a tree against the key table
 *
 * Purpose:   finds unknown keys, wrong shapes and bad values, and stores good ones. The same walk
 *            serves twice: conf == NULL only checks (each source alone, so that a value which a later
 *            source replaces is judged too), conf != NULL stores (the merged tree).
 * Owner:     texts and lists go into the arena. Thread: the loader's.
 * Errors:    reported; the node is marked bad and the key remembered in bad_keys, so that checks
 *            between keys do not complain about a value that was never read.
 */
#ifndef RINGPOST_CONF_APPLY_H
#define RINGPOST_CONF_APPLY_H

#include "core/conf/keys.h"
#include "core/conf/machine.h"
#include "core/conf/report.h"

enum { CONF_PATH_BYTES_MAX = 1024 };

struct conf_apply {
    const struct conf_table *table;
    struct conf_report *report;
    void *conf; /* struct conf, or NULL */
    struct conf_arena *arena;
    bool *bad_keys;      /* by index in the table */
    size_t secret_bytes; /* read through _FILE so far */
    struct conf_machine *machine;
};

void conf_apply_tree(struct conf_apply *a, struct conf_node *root);
/* One key's node, for env.c; path is how messages call it. base: see conf_apply_defaults. */
bool conf_apply_key(struct conf_apply *a, const struct conf_key *key, struct conf_node *node,
                    struct slice path);
/* Fills base (struct conf, or an item of the list group) with the defaults of its keys. */
void conf_apply_defaults(struct conf_apply *a, const struct conf_group *list_group, void *base);

/* "unknown key; did you mean …?" or what there is. group NULL: the top level. */
void conf_suggest_add(struct buf *out, const struct conf_table *t, const struct conf_group *group,
                      struct slice name);
/* Fewer than *best edits apart: *best is how many then. */
bool conf_suggest_nearer(struct slice name, struct slice candidate, size_t *best);
/* The key whose variable is nearest to an unknown name, or NULL. */
const struct conf_key *conf_suggest_env(const struct conf_table *t, struct slice name);
/* "hostname, port": the keys of a group; NULL: all at the top level. */
void conf_group_keys_add(struct buf *out, const struct conf_table *t,
                         const struct conf_group *group);

#endif
