/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * shaping_read - the trees under `shaping:` become rules
 *
 * Purpose:   each file's groups are kept in the order of the files; when all are known, and whether the
 *            built-in ones count, they are read, merged (drafts), judged together and copied.
 * Owner:     trees live in the loader's arena, drafts in one that ends with the load, the result in
 *            its own.
 * Thread:    the loader's.
 * Limits:    the nodes that the loader allows; CONF_SHAPING_SCRATCH_BYTES for each.
 * Errors:    reported; every file is read to its end.
 */
#ifndef RINGPOST_CONF_SHAPING_READ_H
#define RINGPOST_CONF_SHAPING_READ_H

#include "core/base/map.h"
#include "core/conf/report.h"
#include "core/conf/shaping_option.h"

/* core/policy/shaping_defaults.yaml, put in at build time. */
extern const struct slice conf_shaping_builtin;
#define CONF_SHAPING_BUILTIN_NAME "built-in"

/* `trees`: a list node that grows by one map per file. _detach takes the rules out of a ringpost.yaml
 * (keys of the table stay in it), _append a whole file of shaping.d. */
void conf_shaping_detach(struct conf_node *trees, struct conf_node *root, struct conf_arena *arena,
                         struct conf_report *report);
void conf_shaping_append(struct conf_node *trees, struct conf_node *root,
                         struct conf_report *report);

struct conf_shaping_load {
    const struct conf_node *trees;
    struct conf_report *report;
    bool builtin;
    bool incomplete; /* a file could not be read: rules are not judged together */
};

/* NULL: no memory (reported). After errors the result is what could be read. */
struct conf_shaping *conf_shaping_load(const struct conf_shaping_load *load);
void conf_shaping_free(const struct conf_shaping *s);

/* ---- drafts: shaping_read.c makes them, shaping_check.c judges, shaping_load.c copies -------- */

struct conf_shaping_draft_setting {
    struct conf_shaping_draft_setting *next; /* by enum order */
    struct conf_shaping_setting s;
};

struct conf_shaping_draft_name {
    struct conf_shaping_draft_name *next;
    struct map_node node;
    enum conf_shaping_match kind;
    struct slice text;
    struct conf_origin at;
    const struct conf_shaping_draft *owner;
};

struct conf_shaping_draft {
    struct map_node node;
    struct conf_shaping_draft *next;
    enum conf_shaping_scope scope;
    struct slice name;
    struct conf_origin at;
    const struct conf_node *tree; /* the file that named it last */
    bool built_in;
    bool removed;
    bool replaces;
    struct conf_shaping_draft_setting *settings;
    enum conf_shaping_state match_state[CONF_SHAPING_MATCHES];
    struct conf_shaping_draft_name *match[CONF_SHAPING_MATCHES];
    struct conf_shaping_draft_name *match_last[CONF_SHAPING_MATCHES];
    struct conf_shaping_draft *sources;
    const struct conf_shaping_draft *parent; /* of a source of its own inside another rule */
};

struct conf_shaping_reader {
    const struct conf_shaping_load *load;
    struct conf_arena *scratch;   /* drafts, and the tree of the built-in rules */
    const struct conf_node *tree; /* the file at hand */
    bool built_in;
    struct map rules; /* all drafts but nested ones, by scope and name */
    struct conf_shaping_draft *by[CONF_SHAPING_SCOPES];
    struct conf_shaping_draft **last[CONF_SHAPING_SCOPES];
    struct buf path;
};

/* More than a node of the tree can become: a draft, a setting or a name, and their texts. */
#define CONF_SHAPING_SCRATCH_BYTES                                                                 \
    (sizeof(struct conf_shaping_draft) + sizeof(struct conf_shaping_draft_setting) +               \
     sizeof(struct conf_shaping_draft_name) + 64)

void conf_shaping_read(struct conf_shaping_reader *r, const struct conf_node *tree);
void conf_shaping_check(struct conf_shaping_reader *r);

/* ---- shaping_read_option.c -------------------------------------------------------------------- */

enum { CONF_SHAPING_NAMES_MAX = CONF_SHAPING_OPTIONS + 4 };

/* n: the option's value. timeouts: {connect: 5s}; `timeouts: unset` means each of them. */
void conf_shaping_read_option(struct conf_shaping_reader *r, struct conf_shaping_draft *d,
                              enum conf_shaping_option o, const struct conf_node *n);
void conf_shaping_read_group(struct conf_shaping_reader *r, struct conf_shaping_draft *d,
                             const struct conf_node *map);
bool conf_shaping_option_allowed(enum conf_shaping_option o, const struct conf_shaping_draft *d);
/* What may stand in the rule (group empty) or in one of its groups; an empty name ends it. */
void conf_shaping_option_names(const struct conf_shaping_draft *d, struct slice group,
                               struct slice out[CONF_SHAPING_NAMES_MAX]);

/* null, ~, nothing, unset */
bool conf_shaping_is_unset(const struct conf_node *n);

/* The path messages call the place by: ".name" more, and back to what _push returned. */
size_t conf_shaping_path_push(struct conf_shaping_reader *r, struct slice name);
void conf_shaping_path_pop(struct conf_shaping_reader *r, size_t before);
struct conf_origin conf_shaping_key_place(const struct conf_node *n);
void conf_shaping_refuse(struct conf_shaping_reader *r, const struct conf_node *n,
                         const struct buf *why);
void conf_shaping_refuse_shape(struct conf_shaping_reader *r, const struct conf_node *n,
                               const char *wanted);
/* A key nobody knows; names: what may stand here. */
void conf_shaping_unknown(struct conf_shaping_reader *r, const struct conf_node *n,
                          const struct slice *names);

/* ---- shaping_name.c --------------------------------------------------------------------------- */

/* Lower case, without outer dots, copied to the arena. dots: one in front is fine (suffixes). */
bool conf_shaping_host_name(struct slice text, bool dots, struct conf_arena *arena,
                            struct slice *out, struct buf *why);
/* Of a provider, source, tenant or campaign. */
bool conf_shaping_name(struct slice text, struct conf_arena *arena, struct slice *out,
                       struct buf *why);

#endif
