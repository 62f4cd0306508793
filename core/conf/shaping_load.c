/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which files there are, in which order they are read, and the copy that stays. Drafts are lists because
 * a later file may add to any of them; what stays is arrays.
 */
#include "core/base/must.h"
#include "core/conf/shaping_read.h"
#include "core/conf/yaml.h"

#include <stdlib.h>

enum { BUILTIN_NODES_MAX = 2000, PATH_BYTES_MAX = 4096 };

/* ---- the files ----------------------------------------------------------------------------- */

static bool is_table_key(struct slice name)
{
    char text[128];
    struct buf path;
    buf_init(&path, sizeof(text));
    buf_add(&path, SLICE("shaping."));
    buf_add(&path, name);
    bool found = !path.overflow && conf_table_key(&conf_table, buf_slice(&path));
    buf_deinit(&path);
    return found;
}

void conf_shaping_detach(struct conf_node *trees, struct conf_node *root, struct conf_arena *arena,
                         struct conf_report *report)
{
    struct conf_node *shaping = conf_node_find(root, SLICE("shaping"));
    if (!shaping || conf_node_is_null(shaping)) {
        return;
    }
    struct conf_node *rest = conf_node_new(arena, CONF_NODE_MAP, &shaping->origin);
    if (shaping->kind != CONF_NODE_MAP) {
        conf_report_error(report, &shaping->origin, SLICE("shaping"),
                          "must be a group: default, providers, domains, sources, tenants, "
                          "campaigns, builtin");
        rest->key = shaping->key;
        conf_node_replace(root, shaping, rest);
        return;
    }
    struct conf_node *next = shaping->first;
    shaping->first = shaping->last = NULL;
    shaping->count = 0;
    while (next) {
        struct conf_node *n = next;
        next = n->next;
        n->next = NULL;
        conf_node_append(is_table_key(n->key) ? shaping : rest, n);
    }
    conf_node_append(trees, rest);
}

void conf_shaping_append(struct conf_node *trees, struct conf_node *root,
                         struct conf_report *report)
{
    struct conf_node *shaping = conf_node_find(root, SLICE("shaping"));
    must(root->kind == CONF_NODE_MAP);
    if (shaping && root->count == 1 && shaping->kind == CONF_NODE_MAP) {
        root = shaping;
    } else if (shaping) {
        conf_report_error(report, &shaping->origin, SLICE("shaping"),
                          "in shaping.d it must be a group that holds everything, or be left out");
        return;
    }
    root->next = NULL;
    conf_node_append(trees, root);
}

/* ---- the copy ------------------------------------------------------------------------------ */

static size_t text_cost(struct slice s)
{
    return conf_arena_cost(s.len) + conf_arena_cost(0);
}

/* NOLINTNEXTLINE(misc-no-recursion): sources of a rule have none */
static size_t draft_cost(const struct conf_shaping_draft *d)
{
    size_t cost = conf_arena_cost(sizeof(struct conf_shaping_rule)) + text_cost(d->name) +
                  text_cost(d->at.name);
    for (const struct conf_shaping_draft_setting *s = d->settings; s; s = s->next) {
        cost += conf_arena_cost(sizeof(s->s)) + text_cost(s->s.at.name);
    }
    for (int kind = 0; kind < CONF_SHAPING_MATCHES; kind++) {
        for (const struct conf_shaping_draft_name *n = d->match[kind]; n; n = n->next) {
            cost += conf_arena_cost(sizeof(struct slice)) + text_cost(n->text);
        }
    }
    for (const struct conf_shaping_draft *source = d->sources; source; source = source->next) {
        cost += draft_cost(source); /* one level */
    }
    return cost;
}

struct copier {
    struct conf_arena *arena;
    struct slice file; /* the last one, and its copy */
    struct slice file_copy;
};

/* Neighbours come from the same file. */
static struct conf_origin origin_copy(struct copier *c, const struct conf_origin *at)
{
    struct conf_origin copy = *at;
    if (!slice_eq(at->name, c->file) || !c->file_copy.ptr) {
        c->file = at->name;
        c->file_copy = conf_arena_copy(c->arena, at->name);
    }
    copy.name = c->file_copy;
    return copy;
}

static void settings_copy(struct copier *c, const struct conf_shaping_draft *d,
                          struct conf_shaping_rule *rule)
{
    size_t n = 0;
    for (const struct conf_shaping_draft_setting *s = d->settings; s; s = s->next) {
        rule->count++;
    }
    struct conf_shaping_setting *out = rule->count
                                           ? conf_arena_take(c->arena, rule->count * sizeof(*out))
                                           : NULL;
    for (const struct conf_shaping_draft_setting *s = d->settings; s; s = s->next) {
        must(n < rule->count);
        out[n] = s->s;
        out[n++].at = origin_copy(c, &s->s.at);
    }
    rule->settings = out;
}

static struct conf_names names_copy(struct copier *c, const struct conf_shaping_draft_name *first)
{
    struct conf_names names = {NULL, 0};
    for (const struct conf_shaping_draft_name *n = first; n; n = n->next) {
        names.count++;
    }
    struct slice *out = names.count ? conf_arena_take(c->arena, names.count * sizeof(*out)) : NULL;
    size_t i = 0;
    for (const struct conf_shaping_draft_name *n = first; n; n = n->next) {
        out[i++] = conf_arena_copy(c->arena, n->text);
    }
    names.items = out;
    return names;
}

static void draft_copy(struct copier *c, const struct conf_shaping_draft *d,
                       struct conf_shaping_rule *rule);

static bool gone_built_in(const struct conf_shaping_draft *d)
{
    return d->removed && d->built_in;
}

/* Those that are there, or the built-in ones that are not. */
/* NOLINTNEXTLINE(misc-no-recursion): see draft_copy */
static struct conf_shaping_rules list_copy(struct copier *c, const struct conf_shaping_draft *first,
                                           bool removed)
{
    struct conf_shaping_rules rules = {NULL, 0};
    for (const struct conf_shaping_draft *d = first; d; d = d->next) {
        rules.count += removed ? gone_built_in(d) : !d->removed;
    }
    struct conf_shaping_rule *out = rules.count
                                        ? conf_arena_take(c->arena, rules.count * sizeof(*out))
                                        : NULL;
    size_t i = 0;
    for (const struct conf_shaping_draft *d = first; d; d = d->next) {
        if (removed ? gone_built_in(d) : !d->removed) {
            must(i < rules.count);
            draft_copy(c, d, &out[i++]);
        }
    }
    must(i == rules.count);
    rules.items = out;
    return rules;
}

/* NOLINTNEXTLINE(misc-no-recursion): sources of a rule have none */
static void draft_copy(struct copier *c, const struct conf_shaping_draft *d,
                       struct conf_shaping_rule *rule)
{
    rule->scope = d->scope;
    rule->name = conf_arena_copy(c->arena, d->name);
    rule->at = origin_copy(c, &d->at);
    rule->replaces = d->replaces;
    settings_copy(c, d, rule);
    for (int kind = 0; kind < CONF_SHAPING_MATCHES; kind++) {
        rule->match[kind] = names_copy(c, d->match[kind]);
        rule->match_unset |= d->match_state[kind] == CONF_SHAPING_UNSET ? 1u << kind : 0;
    }
    rule->sources = list_copy(c, d->sources, false);
}

static struct conf_shaping *rules_copy(const struct conf_shaping_reader *r)
{
    size_t cost = conf_arena_cost(sizeof(struct conf_shaping));
    for (int scope = 0; scope < CONF_SHAPING_SCOPES; scope++) {
        for (const struct conf_shaping_draft *d = r->by[scope]; d; d = d->next) {
            cost += draft_cost(d);
        }
    }
    struct conf_arena *arena = conf_arena_new(cost + 4096);
    if (!arena) {
        return NULL;
    }
    struct copier c = {.arena = arena};
    struct conf_shaping *s = conf_arena_take(arena, sizeof(*s));
    s->arena = arena;
    for (int scope = CONF_SHAPING_DEFAULT + 1; scope < CONF_SHAPING_SCOPES; scope++) {
        s->by[scope] = list_copy(&c, r->by[scope], false);
    }
    s->removed = list_copy(&c, r->by[CONF_SHAPING_PROVIDER], true);
    const struct conf_shaping_draft *base = r->by[CONF_SHAPING_DEFAULT];
    if (base && !base->removed) {
        draft_copy(&c, base, &s->base);
    }
    return s;
}

/* ---- all of it ----------------------------------------------------------------------------- */

/* NOLINTNEXTLINE(misc-no-recursion): CONF_YAML_DEPTH_MAX */
static size_t tree_cost(const struct conf_node *n)
{
    size_t cost = CONF_SHAPING_SCRATCH_BYTES + text_cost(n->key) + text_cost(n->text);
    for (const struct conf_node *child = n->first; child; child = child->next) {
        cost += tree_cost(child);
    }
    return cost;
}

/* The built-in text becomes nodes first; nothing of it grows. */
static size_t builtin_cost(void)
{
    return 4 * conf_shaping_builtin.len +
           BUILTIN_NODES_MAX * (sizeof(struct conf_node) + 128 + CONF_SHAPING_SCRATCH_BYTES);
}

static void builtin_read(struct conf_shaping_reader *r)
{
    size_t nodes = BUILTIN_NODES_MAX;
    struct conf_node *root = conf_yaml_read(conf_shaping_builtin, SLICE(CONF_SHAPING_BUILTIN_NAME),
                                            r->scratch, r->load->report, &nodes);
    if (root) {
        r->built_in = true;
        conf_shaping_read(r, root);
        r->built_in = false;
    }
}

static void files_read(struct conf_shaping_reader *r)
{
    for (int scope = 0; scope < CONF_SHAPING_SCOPES; scope++) {
        r->last[scope] = &r->by[scope];
    }
    buf_add(&r->path, SLICE("shaping"));
    if (r->load->builtin) {
        builtin_read(r);
    }
    for (const struct conf_node *tree = r->load->trees->first; tree; tree = tree->next) {
        conf_shaping_read(r, tree);
    }
    if (!r->load->incomplete) {
        conf_shaping_check(r);
    }
}

struct conf_shaping *conf_shaping_load(const struct conf_shaping_load *load)
{
    struct conf_shaping_reader r = {.load = load};
    struct conf_shaping *s = NULL;
    size_t bytes = tree_cost(load->trees) + (load->builtin ? builtin_cost() : 0);
    map_init(&r.rules, 0);
    buf_init(&r.path, PATH_BYTES_MAX);
    r.scratch = conf_arena_new(bytes + 4096);
    if (r.scratch) {
        files_read(&r);
        s = rules_copy(&r);
    }
    if (!s) {
        struct conf_origin from = {.kind = CONF_FROM_DEFAULT};
        conf_report_error(load->report, &from, SLICE("shaping"), "out of memory");
    }
    conf_arena_free(r.scratch);
    buf_deinit(&r.path);
    map_deinit(&r.rules);
    return s;
}

void conf_shaping_free(const struct conf_shaping *s)
{
    if (s) {
        conf_arena_free(s->arena);
    }
}
