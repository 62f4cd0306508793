/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One file at a time, over what the files before it said. A rule is found again by scope and name;
 * what it says about an option replaces what was said, as a whole.
 */
#include "core/conf/shaping_read.h"
#include "core/base/must.h"

enum { WHY_BYTES_MAX = 2048 };

/* ---- match --------------------------------------------------------------------------------- */

static void match_item_read(struct conf_shaping_reader *r, struct conf_shaping_draft *d,
                            enum conf_shaping_match kind, const struct conf_node *n)
{
    struct buf why;
    struct slice name;
    buf_init(&why, WHY_BYTES_MAX);
    if (n->kind != CONF_NODE_SCALAR) {
        conf_shaping_refuse_shape(r, n, "a host or domain name");
    } else if (!conf_shaping_host_name(n->text, true, r->scratch, &name, &why)) {
        conf_shaping_refuse(r, n, &why);
    } else {
        struct conf_shaping_draft_name *made = conf_arena_take(r->scratch, sizeof(*made));
        *made = (struct conf_shaping_draft_name){.kind = kind,
                                                 .text = name,
                                                 .at = n->origin,
                                                 .owner = d};
        if (d->match[kind]) {
            d->match_last[kind]->next = made;
        } else {
            d->match[kind] = made;
        }
        d->match_last[kind] = made;
    }
    buf_deinit(&why);
}

static void match_kind_read(struct conf_shaping_reader *r, struct conf_shaping_draft *d,
                            enum conf_shaping_match kind, const struct conf_node *n)
{
    bool unset = conf_shaping_is_unset(n);
    d->match[kind] = NULL;
    d->match_state[kind] = unset ? CONF_SHAPING_UNSET : CONF_SHAPING_SET;
    if (n->kind == CONF_NODE_LIST) {
        size_t i = 0;
        for (const struct conf_node *item = n->first; item; item = item->next) {
            size_t before = r->path.len;
            buf_addf(&r->path, "[%zu]", i++);
            match_item_read(r, d, kind, item);
            conf_shaping_path_pop(r, before);
        }
    } else if (n->kind == CONF_NODE_MAP) {
        conf_shaping_refuse_shape(r, n, "a list of names");
    } else if (!unset) {
        match_item_read(r, d, kind, n);
    }
}

static void match_read(struct conf_shaping_reader *r, struct conf_shaping_draft *d,
                       const struct conf_node *map)
{
    struct slice names[CONF_SHAPING_MATCHES + 1] = {{NULL, 0}};
    memcpy(names, conf_shaping_match_names, sizeof(conf_shaping_match_names));
    if (map->kind != CONF_NODE_MAP) {
        conf_shaping_refuse_shape(r, map, "a group like {mx_suffix: [example.com]}");
        return;
    }
    for (const struct conf_node *n = map->first; n; n = n->next) {
        int kind = 0;
        while (kind < CONF_SHAPING_MATCHES && !slice_eq(names[kind], n->key)) {
            kind++;
        }
        if (kind == CONF_SHAPING_MATCHES) {
            conf_shaping_unknown(r, n, names);
            continue;
        }
        size_t before = conf_shaping_path_push(r, n->key);
        match_kind_read(r, d, (enum conf_shaping_match)kind, n);
        conf_shaping_path_pop(r, before);
    }
}

/* ---- rules --------------------------------------------------------------------------------- */

struct rule_key {
    enum conf_shaping_scope scope;
    struct slice name;
};

static bool rule_is(const struct map_node *node, const void *key)
{
    const struct conf_shaping_draft *d = container_of(node, struct conf_shaping_draft, node);
    const struct rule_key *k = key;
    return d->scope == k->scope && slice_eq(d->name, k->name);
}

static void draft_empty(struct conf_shaping_draft *d)
{
    d->settings = NULL;
    d->sources = NULL;
    memset(d->match, 0, sizeof(d->match));
    memset(d->match_state, 0, sizeof(d->match_state));
}

static struct conf_shaping_draft *draft_new(struct conf_shaping_reader *r,
                                            enum conf_shaping_scope scope, struct slice name,
                                            const struct conf_node *n)
{
    struct conf_shaping_draft *d = conf_arena_take(r->scratch, sizeof(*d));
    d->scope = scope;
    d->name = name;
    d->at = conf_shaping_key_place(n);
    d->built_in = r->built_in;
    d->removed = true; /* until somebody says something */
    return d;
}

static struct conf_shaping_draft *rule_find(struct conf_shaping_reader *r,
                                            enum conf_shaping_scope scope, struct slice name,
                                            const struct conf_node *n)
{
    struct rule_key key = {scope, name};
    uint64_t hash = map_hash(&r->rules, name);
    struct map_node *found = map_find(&r->rules, hash, rule_is, &key);
    if (found) {
        return container_of(found, struct conf_shaping_draft, node);
    }
    struct conf_shaping_draft *d = draft_new(r, scope, name, n);
    if (!map_insert(&r->rules, &d->node, hash)) {
        conf_report_error(r->load->report, &d->at, buf_slice(&r->path), "out of memory");
    }
    *r->last[scope] = d;
    r->last[scope] = &d->next;
    return d;
}

static struct conf_shaping_draft *nested_find(struct conf_shaping_reader *r,
                                              struct conf_shaping_draft *parent, struct slice name,
                                              const struct conf_node *n)
{
    struct conf_shaping_draft **at = &parent->sources;
    while (*at && !slice_eq((*at)->name, name)) {
        at = &(*at)->next;
    }
    if (!*at) {
        *at = draft_new(r, parent->scope, name, n);
        (*at)->parent = parent;
    }
    return *at;
}

static void rule_read(struct conf_shaping_reader *r, struct conf_shaping_draft *d,
                      const struct conf_node *n);

/* NOLINTNEXTLINE(misc-no-recursion): sources of a rule have none */
static void sources_read(struct conf_shaping_reader *r, struct conf_shaping_draft *parent,
                         const struct conf_node *map)
{
    struct buf why;
    buf_init(&why, WHY_BYTES_MAX);
    if (map->kind != CONF_NODE_MAP && !conf_node_is_null(map)) {
        conf_shaping_refuse_shape(r, map, "a group of sources by name");
    }
    for (const struct conf_node *n = map->first; n; n = n->next) {
        struct slice name;
        size_t before = conf_shaping_path_push(r, n->key);
        buf_clear(&why);
        if (conf_shaping_name(n->key, r->scratch, &name, &why)) {
            rule_read(r, nested_find(r, parent, name, n), n); /* one level: they hold no sources */
        } else {
            struct conf_origin at = conf_shaping_key_place(n);
            conf_report_error(r->load->report, &at, buf_slice(&r->path), "%.*s",
                              SLICE_ARG(buf_slice(&why)));
        }
        conf_shaping_path_pop(r, before);
    }
    buf_deinit(&why);
}

static void replace_read(struct conf_shaping_reader *r, struct conf_shaping_draft *d,
                         const struct conf_node *n)
{
    bool yes = n->kind == CONF_NODE_SCALAR && slice_eq(n->text, SLICE("true"));
    bool no = n->kind == CONF_NODE_SCALAR && slice_eq(n->text, SLICE("false"));
    if (!yes && !no) {
        size_t before = conf_shaping_path_push(r, SLICE("replace"));
        conf_shaping_refuse_shape(r, n, "true or false");
        conf_shaping_path_pop(r, before);
    }
    if (yes) {
        draft_empty(d);
        d->replaces = true;
        d->at = conf_shaping_key_place(n);
    }
}

/* NOLINTNEXTLINE(misc-no-recursion): sources of a rule have none */
static bool member_read(struct conf_shaping_reader *r, struct conf_shaping_draft *d,
                        const struct conf_node *n)
{
    bool outer = !d->parent;
    for (int o = 0; o < CONF_SHAPING_OPTIONS; o++) {
        const struct conf_shaping_row *row = &conf_shaping_rows[o];
        if (!conf_shaping_option_allowed((enum conf_shaping_option)o, d)) {
            continue;
        }
        if (slice_eq(row->name, n->key)) {
            conf_shaping_read_option(r, d, (enum conf_shaping_option)o, n);
            return true;
        }
        if (n->key.len && slice_eq(conf_shaping_option_group(row), n->key)) {
            conf_shaping_read_group(r, d, n);
            return true;
        }
    }
    if (slice_eq(n->key, SLICE("sources")) && outer && d->scope <= CONF_SHAPING_DOMAIN) {
        sources_read(r, d, n);
        return true;
    }
    if (slice_eq(n->key, SLICE("match")) && outer && d->scope == CONF_SHAPING_PROVIDER) {
        match_read(r, d, n);
        return true;
    }
    return slice_eq(n->key, SLICE("replace")); /* read already */
}

/* The members of one rule; d may be new, or known from an earlier file. */
/* NOLINTNEXTLINE(misc-no-recursion): sources of a rule have none */
static void rule_read(struct conf_shaping_reader *r, struct conf_shaping_draft *d,
                      const struct conf_node *n)
{
    if (n->kind == CONF_NODE_SCALAR && n->plain && slice_eq(n->text, SLICE("unset"))) {
        if (d->removed && !r->load->incomplete) {
            conf_report_error(r->load->report, &n->origin, buf_slice(&r->path),
                              "no earlier file has such a rule, so nothing can be unset");
        }
        draft_empty(d);
        d->removed = true;
        return;
    }
    if (conf_node_is_null(n)) {
        return; /* "google:" with every option commented out says nothing */
    }
    if (n->kind != CONF_NODE_MAP) {
        conf_shaping_refuse_shape(r, n, "a group of options, or unset");
        return;
    }
    d->replaces |= d->removed && d->built_in && !r->built_in;
    d->removed = false;
    const struct conf_node *replace = conf_node_find(n, SLICE("replace"));
    if (replace) {
        replace_read(r, d, replace);
    }
    for (const struct conf_node *m = n->first; m; m = m->next) {
        size_t before = conf_shaping_path_push(r, m->key);
        bool known = member_read(r, d, m);
        conf_shaping_path_pop(r, before);
        if (!known) {
            struct slice names[CONF_SHAPING_NAMES_MAX];
            conf_shaping_option_names(d, (struct slice){NULL, 0}, names);
            conf_shaping_unknown(r, m, names);
        }
    }
}

/* providers: {google: {…}} */
static void scope_read(struct conf_shaping_reader *r, enum conf_shaping_scope scope,
                       const struct conf_node *map)
{
    struct buf why;
    if (conf_node_is_null(map)) {
        return;
    }
    if (map->kind != CONF_NODE_MAP) {
        conf_shaping_refuse_shape(r, map, "a group of rules by name");
        return;
    }
    buf_init(&why, WHY_BYTES_MAX);
    for (const struct conf_node *n = map->first; n; n = n->next) {
        struct slice name;
        struct conf_origin at = conf_shaping_key_place(n);
        size_t before = conf_shaping_path_push(r, n->key);
        buf_clear(&why);
        bool ok = scope == CONF_SHAPING_DOMAIN
                      ? conf_shaping_host_name(n->key, false, r->scratch, &name, &why)
                      : conf_shaping_name(n->key, r->scratch, &name, &why);
        if (!ok) {
            conf_report_error(r->load->report, &at, buf_slice(&r->path), "%.*s",
                              SLICE_ARG(buf_slice(&why)));
            conf_shaping_path_pop(r, before);
            continue;
        }
        struct conf_shaping_draft *d = rule_find(r, scope, name, n);
        if (d->tree == r->tree) {
            conf_report_error(r->load->report, &at, buf_slice(&r->path),
                              "given twice in this file, the same name in other letters");
        }
        d->tree = r->tree;
        rule_read(r, d, n);
        conf_shaping_path_pop(r, before);
    }
    buf_deinit(&why);
}

void conf_shaping_read(struct conf_shaping_reader *r, const struct conf_node *tree)
{
    struct slice names[CONF_SHAPING_SCOPES + 1] = {{NULL, 0}};
    memcpy(names, conf_shaping_scope_names, sizeof(conf_shaping_scope_names));
    must(tree->kind == CONF_NODE_MAP);
    r->tree = tree;
    for (const struct conf_node *n = tree->first; n; n = n->next) {
        int scope = 0;
        while (scope < CONF_SHAPING_SCOPES && !slice_eq(names[scope], n->key)) {
            scope++;
        }
        if (scope == CONF_SHAPING_SCOPES) {
            conf_shaping_unknown(r, n, names);
            continue;
        }
        size_t before = conf_shaping_path_push(r, n->key);
        if (scope == CONF_SHAPING_DEFAULT) {
            rule_read(r, rule_find(r, CONF_SHAPING_DEFAULT, SLICE(""), n), n);
        } else {
            scope_read(r, (enum conf_shaping_scope)scope, n);
        }
        conf_shaping_path_pop(r, before);
    }
}
