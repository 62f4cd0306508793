/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Looking things up in a table of keys.
 */
#include "core/conf/keys.h"

const struct conf_key *conf_table_key(const struct conf_table *t, struct slice path)
{
    for (size_t i = 0; i < t->key_count; i++) {
        if (slice_eq(t->keys[i].path, path)) {
            return &t->keys[i];
        }
    }
    return NULL;
}

const struct conf_group *conf_table_group(const struct conf_table *t, struct slice name)
{
    for (size_t i = 0; i < t->group_count; i++) {
        if (slice_eq(t->groups[i].name, name)) {
            return &t->groups[i];
        }
    }
    return NULL;
}

const struct conf_group *conf_key_group(const struct conf_table *t, const struct conf_key *k)
{
    struct slice rest = k->path;
    struct slice head = slice_cut(&rest, '.');
    if (head.len == k->path.len) {
        return NULL;
    }
    if (slice_ends_nocase(head, SLICE("[]"))) {
        head.len -= 2;
    }
    return conf_table_group(t, head);
}

struct slice conf_key_leaf(const struct conf_key *k)
{
    struct slice rest = k->path;
    struct slice head = slice_cut(&rest, '.');
    return head.len == k->path.len ? k->path : rest;
}
