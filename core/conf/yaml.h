/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * yaml - YAML text to a tree
 *
 * Purpose:   one document with a map (or nothing) at the top, by libfyaml's event parser. Every node
 *            knows its line and column.
 * Owner:     the tree lives in the arena. Thread: the loader's.
 * Limits:    CONF_YAML_*; anchors, aliases and tags are errors, so a small file cannot unfold into a
 *            large one.
 * Errors:    reported with line and column. NULL after an error that makes the rest unreadable; a
 *            duplicate key keeps its first value and the reading goes on.
 */
#ifndef RINGPOST_CONF_YAML_H
#define RINGPOST_CONF_YAML_H

#include "core/conf/report.h"

enum {
    CONF_YAML_BYTES_MAX = 1 << 20,
    CONF_YAML_DEPTH_MAX = 16,
    CONF_YAML_MAP_KEYS_MAX = 1000, /* duplicates are looked for in pairs */
};

/* name: how messages call the file; it must outlive the tree. *nodes_left: how many scalars, maps and
 * lists may still be made (shared by all sources of one load); counted down. */
struct conf_node *conf_yaml_read(struct slice text, struct slice name, struct conf_arena *arena,
                                 struct conf_report *report, size_t *nodes_left);

#endif
