/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The trees under `automation:` become entries: one file after the other, names and texts copied, for the trees
 * end with the load.
 */
#include "core/base/must.h"
#include "core/conf/apply.h"
#include "core/conf/automation.h"
#include "core/conf/report.h"

#include <stdlib.h>

enum { PATH_BYTES_MAX = 4096, WHY_BYTES_MAX = 2048 };

struct reader {
    struct conf_automation *a;
    struct conf_report *report;
    struct slice file; /* name of the one at hand, copied */
    struct buf path;
};

/* ---- the files ----------------------------------------------------------------------------- */

static bool is_table_key(struct slice name)
{
    struct buf path;
    buf_init(&path, 128);
    buf_add(&path, SLICE("automation."));
    buf_add(&path, name);
    bool found = !path.overflow && conf_table_key(&conf_table, buf_slice(&path));
    buf_deinit(&path);
    return found;
}

void conf_automation_detach(struct conf_node *trees, struct conf_node *root,
                            struct conf_arena *arena, struct conf_report *report)
{
    struct conf_node *group = conf_node_find(root, SLICE("automation"));
    if (!group || conf_node_is_null(group)) {
        return;
    }
    struct conf_node *rest = conf_node_new(arena, CONF_NODE_MAP, &group->origin);
    if (group->kind != CONF_NODE_MAP) {
        conf_report_error(report, &group->origin, SLICE("automation"),
                          "must be a group: rules, classify, builtin");
        rest->key = group->key;
        conf_node_replace(root, group, rest);
        return;
    }
    struct conf_node *next = group->first;
    group->first = group->last = NULL;
    group->count = 0;
    while (next) {
        struct conf_node *n = next;
        next = n->next;
        n->next = NULL;
        conf_node_append(is_table_key(n->key) ? group : rest, n);
    }
    conf_node_append(trees, rest);
}

void conf_automation_append(struct conf_node *trees, struct conf_node *root,
                            struct conf_report *report)
{
    must(root->kind == CONF_NODE_MAP);
    struct conf_node *group = conf_node_find(root, SLICE("automation"));
    if (group && root->count == 1 && group->kind == CONF_NODE_MAP) {
        root = group;
    } else if (group) {
        conf_report_error(report, &group->origin, SLICE("automation"),
                          "in automation.d it must be a group that holds everything, or be left "
                          "out");
        return;
    }
    root->next = NULL;
    conf_node_append(trees, root);
}

/* ---- messages ------------------------------------------------------------------------------ */

static struct conf_origin place_of(const struct reader *r, const struct conf_node *n, bool key)
{
    struct conf_origin at = n->origin;
    at.name = r->file;
    if (key && n->key_line) {
        at.line = n->key_line;
        at.col = n->key_col;
    }
    return at;
}

static size_t path_push(struct reader *r, struct slice name)
{
    size_t before = r->path.len;
    buf_add_byte(&r->path, '.');
    conf_report_escape(&r->path, name);
    return before;
}

static void refuse(struct reader *r, const struct conf_node *n, const char *wanted)
{
    const struct conf_origin at = place_of(r, n, false);
    conf_report_error(r->report, &at, buf_slice(&r->path), "is %s, must be %s", conf_node_noun(n),
                      wanted);
}

/* A key nobody knows; names: what may stand here, ends with an empty one. */
static void refuse_key(struct reader *r, const struct conf_node *n, const struct slice *names)
{
    const struct conf_origin at = place_of(r, n, true);
    struct slice near = {NULL, 0};
    struct buf text;
    size_t best = 2 + n->key.len / 5;
    buf_init(&text, WHY_BYTES_MAX);
    for (size_t i = 0; names[i].len; i++) {
        if (conf_suggest_nearer(n->key, names[i], &best)) {
            near = names[i];
        }
        buf_addf(&text, "%s%.*s", i ? ", " : "known here: ", SLICE_ARG(names[i]));
    }
    if (near.len) {
        buf_clear(&text);
        buf_addf(&text, "did you mean %.*s?", SLICE_ARG(near));
    }
    size_t before = path_push(r, n->key);
    conf_report_error(r->report, &at, buf_slice(&r->path), "unknown key; %.*s",
                      SLICE_ARG(buf_slice(&text)));
    r->path.len = before;
    buf_deinit(&text);
}

/* ---- fields -------------------------------------------------------------------------------- */

static bool text_add(struct reader *r, const struct conf_node *n, struct buf *out, char between)
{
    if (n->kind != CONF_NODE_SCALAR || n->text.len == 0) {
        refuse(r, n, "a text");
        return false;
    }
    if (out->len) {
        buf_add_byte(out, between);
    }
    buf_add(out, n->text);
    return true;
}

static void field_read(struct reader *r, struct conf_automation_entry *e,
                       enum conf_automation_field f, const struct conf_node *n)
{
    const struct conf_automation_row *row = &conf_automation_rows[f];
    char between = row->shape == CONF_AUTOMATION_LINES ? '\n' : ' ';
    size_t before = path_push(r, row->name);
    struct buf text;
    bool good = true;
    buf_init(&text, 1 << 20);
    if (conf_node_is_null(n)) {
        good = false;
    } else if (n->kind == CONF_NODE_LIST && row->shape != CONF_AUTOMATION_ONE) {
        for (const struct conf_node *item = n->first; item; item = item->next) {
            good = text_add(r, item, &text, between) && good;
        }
    } else {
        good = text_add(r, n, &text, between);
    }
    if (good) {
        e->fields[f] = conf_arena_copy(r->a->arena, buf_slice(&text));
    }
    buf_deinit(&text);
    r->path.len = before;
}

static void fields_read(struct reader *r, struct conf_automation_entry *e,
                        const struct conf_node *map, bool classify)
{
    for (const struct conf_node *n = map->first; n; n = n->next) {
        struct slice names[CONF_AUTOMATION_FIELDS + 1] = {{NULL, 0}};
        size_t known = 0, f = 0;
        while (f < CONF_AUTOMATION_FIELDS) {
            const struct conf_automation_row *row = &conf_automation_rows[f];
            bool allowed = row->classify || !classify;
            if (allowed && slice_eq(row->name, n->key)) {
                break;
            }
            if (allowed) {
                names[known++] = row->name;
            }
            f++;
        }
        if (f == CONF_AUTOMATION_FIELDS) {
            refuse_key(r, n, names);
        } else {
            field_read(r, e, (enum conf_automation_field)f, n);
        }
    }
}

/* ---- entries ------------------------------------------------------------------------------- */

static struct conf_automation_entry *rule_find(struct conf_automation *a, struct slice name)
{
    for (size_t i = 0; i < a->rule_count; i++) {
        if (slice_eq(a->rules[i].name, name)) {
            return &a->rules[i];
        }
    }
    return NULL;
}

static bool is_unset(const struct conf_node *n)
{
    return n->kind == CONF_NODE_SCALAR && slice_eq(n->text, SLICE("unset"));
}

static void rule_read(struct reader *r, const struct conf_node *n)
{
    struct conf_automation *a = r->a;
    struct conf_automation_entry *e = rule_find(a, n->key);
    const struct conf_origin at = place_of(r, n, true);
    if (conf_node_is_null(n)) {
        return; /* every field commented out: says nothing */
    }
    if (!is_unset(n) && n->kind != CONF_NODE_MAP) {
        refuse(r, n, "a group of fields, or unset");
        return;
    }
    if (!e && a->rule_count == CONF_AUTOMATION_MAX) {
        conf_report_error(r->report, &at, buf_slice(&r->path), "at most %d rules",
                          CONF_AUTOMATION_MAX);
        return;
    }
    bool before = e && (!e->unset || e->unsets);
    struct slice name = e ? e->name : conf_arena_copy(a->arena, n->key);
    e = e ? e : &a->rules[a->rule_count++];
    *e = (struct conf_automation_entry){.at = at, .name = name};
    e->unset = is_unset(n);
    e->unsets = before;
    if (!e->unset) {
        fields_read(r, e, n, false);
    }
}

static void rules_read(struct reader *r, const struct conf_node *map)
{
    if (map->kind != CONF_NODE_MAP && !conf_node_is_null(map)) {
        refuse(r, map, "a group of rules by name");
        return;
    }
    for (const struct conf_node *n = map->first; n; n = n->next) {
        size_t before = path_push(r, n->key);
        rule_read(r, n);
        r->path.len = before;
    }
}

static void classify_read(struct reader *r, const struct conf_node *list)
{
    struct conf_automation *a = r->a;
    size_t i = 0;
    if (list->kind != CONF_NODE_LIST && !conf_node_is_null(list)) {
        refuse(r, list, "a list of rows, each with class and sample");
        return;
    }
    for (const struct conf_node *n = list->first; n; n = n->next) {
        size_t before = r->path.len;
        buf_addf(&r->path, "[%zu]", i++);
        const struct conf_origin at = place_of(r, n, false);
        if (n->kind != CONF_NODE_MAP) {
            refuse(r, n, "a group of fields");
        } else if (a->classify_count == CONF_AUTOMATION_MAX) {
            conf_report_error(r->report, &at, buf_slice(&r->path), "at most %d rows",
                              CONF_AUTOMATION_MAX);
        } else {
            struct conf_automation_entry *e = &a->classify[a->classify_count++];
            *e = (struct conf_automation_entry){.at = at};
            fields_read(r, e, n, true);
        }
        r->path.len = before;
    }
}

static void tree_read(struct reader *r, const struct conf_node *tree)
{
    static const struct slice names[] = {SLICE_INIT("rules"), SLICE_INIT("classify"),
                                         SLICE_INIT("")};
    r->file = conf_arena_copy(r->a->arena, tree->origin.name);
    for (const struct conf_node *n = tree->first; n; n = n->next) {
        bool rules = slice_eq(n->key, names[0]);
        if (!rules && !slice_eq(n->key, names[1])) {
            refuse_key(r, n, names);
            continue;
        }
        size_t before = path_push(r, n->key);
        if (rules) {
            rules_read(r, n);
        } else {
            classify_read(r, n);
        }
        r->path.len = before;
    }
}

/* ---- all of it ----------------------------------------------------------------------------- */

/* Texts of this tree, each copied at most once; a list's items are joined. */
/* NOLINTNEXTLINE(misc-no-recursion): CONF_YAML_DEPTH_MAX */
static size_t texts_cost(const struct conf_node *n)
{
    size_t cost = conf_arena_cost(n->key.len) + conf_arena_cost(n->text.len + 1);
    for (const struct conf_node *child = n->first; child; child = child->next) {
        cost += texts_cost(child); /* depth: CONF_YAML_DEPTH_MAX */
    }
    return cost;
}

static size_t count_in(const struct conf_node *trees, struct slice group)
{
    size_t count = 0;
    for (const struct conf_node *tree = trees->first; tree; tree = tree->next) {
        const struct conf_node *n = conf_node_find(tree, group);
        count += n ? n->count : 0;
    }
    return count < CONF_AUTOMATION_MAX ? count : CONF_AUTOMATION_MAX;
}

struct conf_automation *conf_automation_load(const struct conf_node *trees,
                                             struct conf_report *report)
{
    size_t rules = count_in(trees, SLICE("rules")), rows = count_in(trees, SLICE("classify"));
    size_t cost = conf_arena_cost(rules * sizeof(struct conf_automation_entry)) +
                  conf_arena_cost(rows * sizeof(struct conf_automation_entry)) + texts_cost(trees);
    for (const struct conf_node *tree = trees->first; tree; tree = tree->next) {
        cost += conf_arena_cost(tree->origin.name.len);
    }
    struct conf_automation *a = calloc(1, sizeof(*a));
    struct conf_arena *arena = a ? conf_arena_new(cost) : NULL;
    if (!arena) {
        const struct conf_origin from = {.kind = CONF_FROM_DEFAULT};
        conf_report_error(report, &from, SLICE("automation"), "out of memory");
        free(a);
        return NULL;
    }
    a->arena = arena;
    a->rules = conf_arena_take(arena, rules * sizeof(*a->rules));
    a->classify = conf_arena_take(arena, rows * sizeof(*a->classify));
    struct reader r = {.a = a, .report = report};
    buf_init(&r.path, PATH_BYTES_MAX);
    buf_add(&r.path, SLICE("automation"));
    for (const struct conf_node *tree = trees->first; tree; tree = tree->next) {
        tree_read(&r, tree);
    }
    buf_deinit(&r.path);
    return a;
}

void conf_automation_free(const struct conf_automation *a)
{
    if (a) {
        conf_arena_free(a->arena);
        free((void *)(uintptr_t)a);
    }
}
