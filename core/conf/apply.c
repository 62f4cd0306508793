/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/conf/apply.h"
#include "core/base/must.h"
#include "core/conf/value.h"
#include "core/conf/warmup.h"

/* The layout every list member of struct conf shares. */
struct list_field {
    const void *items;
    size_t count;
};

enum { WHY_BYTES_MAX = 2048 };

struct place {
    struct conf_node *node;
    struct slice path; /* as shown: "listeners[0].port" */
    char *base;        /* struct the key's offset counts from, or NULL: only check */
};

static void key_bad(struct conf_apply *a, const struct conf_key *key)
{
    a->bad_keys[key - a->table->keys] = true;
}

/* "must be a port (1–65535)" */
static void wanted_add(struct buf *out, const struct conf_key *key)
{
    buf_add(out, slice_str(conf_type_noun(key->type)));
    struct buf range;
    buf_init(&range, WHY_BYTES_MAX);
    if (key->type == CONF_ENUM) {
        conf_choices_add(&range, key->choices);
    } else {
        conf_range_add(&range, key);
    }
    if (range.len) {
        buf_addf(out, " (%.*s)", SLICE_ARG(buf_slice(&range)));
    }
    buf_deinit(&range);
}

/* One scalar of a key or of its list. */
static bool scalar_apply(const struct conf_key *key, const struct conf_node *n, union conf_value *v,
                         struct buf *why)
{
    if (n->kind != CONF_NODE_SCALAR) {
        buf_addf(why, "is %s, must be ", conf_node_noun(n));
        wanted_add(why, key);
        return false;
    }
    if (conf_node_is_null(n)) {
        buf_add(why, SLICE("has no value, must be "));
        wanted_add(why, key);
        return false;
    }
    bool number = conf_type_is_number(key->type) || key->type == CONF_BOOL;
    if (number && !n->plain) {
        buf_add_byte(why, '"');
        conf_report_escape(why, n->text);
        buf_add(why, SLICE("\" is quoted text, must be "));
        wanted_add(why, key);
        buf_add(why, SLICE(" without quotes"));
        return false;
    }
    return conf_value_parse(key, n->text, v, why);
}

static bool refuse(struct conf_apply *a, const struct conf_key *key, const struct place *p,
                   struct buf *why)
{
    if (key->flags & CONF_SECRET) {
        buf_clear(why); /* it may hold the value */
        buf_add(why, SLICE("is not valid, must be "));
        wanted_add(why, key);
    }
    conf_report_error(a->report, &p->node->origin, p->path, "%.*s", SLICE_ARG(buf_slice(why)));
    p->node->bad = true;
    key_bad(a, key);
    return false;
}

static bool one_apply(struct conf_apply *a, const struct conf_key *key, const struct place *p,
                      struct buf *why)
{
    union conf_value v;
    if (!scalar_apply(key, p->node, &v, why)) {
        return refuse(a, key, p, why);
    }
    if (p->base) {
        conf_value_own(key, &v, a->arena);
        conf_value_store(key, &v, p->base + key->offset, key->size);
    }
    return true;
}

static void list_store(const struct conf_key *key, char *base, const void *items, size_t count)
{
    struct list_field field = {count ? items : NULL, count};
    must(key->size == sizeof(field));
    memcpy(base + key->offset, &field, sizeof(field));
}

/* The items; `first` chains them (a list's children, or one scalar alone). */
static bool items_apply(struct conf_apply *a, const struct conf_key *key, const struct place *p,
                        struct buf *why)
{
    bool single = p->node->kind == CONF_NODE_SCALAR;
    size_t count = single ? 1 : p->node->count;
    size_t item_size = conf_value_item_size(key->type);
    char *items = p->base && count ? conf_arena_take(a->arena, count * item_size) : NULL;
    struct conf_node *n = single ? p->node : p->node->first;
    bool ok = true;
    for (size_t i = 0; i < count; i++, n = n->next) {
        union conf_value v;
        struct buf path;
        buf_init(&path, CONF_PATH_BYTES_MAX);
        buf_add(&path, p->path);
        if (!single) {
            buf_addf(&path, "[%zu]", i);
        }
        buf_clear(why);
        if (!scalar_apply(key, n, &v, why)) {
            struct place at = {n, buf_slice(&path), NULL};
            ok = refuse(a, key, &at, why);
            p->node->bad = true;
        } else if (items) {
            conf_value_own(key, &v, a->arena);
            conf_value_store(key, &v, items + i * item_size, item_size);
        }
        buf_deinit(&path);
    }
    if (ok && p->base) {
        list_store(key, p->base, items, count);
    }
    return ok;
}

/* {ip1: 3, ip2: 1} becomes ["ip1:3", "ip2:1"]. */
static void shares_flatten(struct conf_apply *a, struct conf_node *map)
{
    for (struct conf_node *n = map->first; n; n = n->next) {
        if (n->kind == CONF_NODE_SCALAR) {
            char *text = conf_arena_take(a->arena, n->key.len + 1 + n->text.len);
            memcpy(text, n->key.ptr, n->key.len);
            text[n->key.len] = ':';
            memcpy(text + n->key.len + 1, n->text.ptr, n->text.len);
            n->text = slice_of(text, n->key.len + 1 + n->text.len);
        }
    }
    map->kind = CONF_NODE_LIST;
}

static bool list_apply(struct conf_apply *a, const struct conf_key *key, const struct place *p,
                       struct buf *why)
{
    struct conf_node *n = p->node;
    if (key->type == CONF_WEIGHT && n->kind == CONF_NODE_MAP) {
        shares_flatten(a, n);
    } else if (key->type == CONF_WARMUP_DAYS && n->kind == CONF_NODE_MAP) {
        conf_warmup_flatten(a, n);
    }
    bool single_ok = key->shape == CONF_ONE_OR_LIST && n->kind == CONF_NODE_SCALAR;
    if (conf_node_is_null(n)) {
        buf_add(why, SLICE("has no value; write [] for an empty list"));
        return refuse(a, key, p, why);
    }
    if (n->kind != CONF_NODE_LIST && !single_ok) {
        buf_addf(why, "is %s, must be a list, each item ", conf_node_noun(n));
        wanted_add(why, key);
        return refuse(a, key, p, why);
    }
    size_t count = single_ok ? 1 : n->count;
    if (count < key->items_min || count > key->items_max) {
        buf_addf(why, "has %zu items, allowed are %u–%u", count, key->items_min, key->items_max);
        return refuse(a, key, p, why);
    }
    return items_apply(a, key, p, why);
}

static bool key_apply(struct conf_apply *a, const struct conf_key *key, const struct place *p)
{
    struct buf why;
    buf_init(&why, WHY_BYTES_MAX);
    bool ok = key->shape == CONF_ONE ? one_apply(a, key, p, &why) : list_apply(a, key, p, &why);
    buf_deinit(&why);
    return ok;
}

bool conf_apply_key(struct conf_apply *a, const struct conf_key *key, struct conf_node *node,
                    struct slice path)
{
    must(a->conf == NULL);
    struct place p = {node, path, NULL};
    return key_apply(a, key, &p);
}

/* ---- groups -------------------------------------------------------------------------------- */

static void unknown_report(struct conf_apply *a, const struct conf_group *group,
                           struct conf_node *n, struct slice path)
{
    struct buf text;
    buf_init(&text, WHY_BYTES_MAX);
    if (conf_report_shows_errors(a->report)) {
        conf_suggest_add(&text, a->table, group, n->key);
    }
    struct conf_origin at = n->origin;
    at.line = n->key_line;
    at.col = n->key_col;
    conf_report_error(a->report, &at, path, "%.*s", SLICE_ARG(buf_slice(&text)));
    n->bad = true;
    buf_deinit(&text);
}

/* The keys of one group, or of one item of a list group. shown: "limits", "listeners[0]". */
static void members_apply(struct conf_apply *a, const struct conf_group *group, struct place at)
{
    for (struct conf_node *n = at.node->first; n; n = n->next) {
        struct buf name, path;
        buf_init(&name, CONF_PATH_BYTES_MAX);
        buf_init(&path, CONF_PATH_BYTES_MAX);
        buf_addf(&name, conf_group_is_list(group) ? "%.*s[]." : "%.*s.", SLICE_ARG(group->name));
        buf_add(&name, slice_first(n->key, CONF_PATH_BYTES_MAX / 2));
        buf_addf(&path, "%.*s.", SLICE_ARG(at.path));
        conf_report_escape(&path, n->key);
        const struct conf_key *key = conf_table_key(a->table, buf_slice(&name));
        if (key) {
            struct place p = {n, buf_slice(&path), at.base};
            key_apply(a, key, &p);
        } else {
            unknown_report(a, group, n, buf_slice(&path));
        }
        buf_deinit(&name);
        buf_deinit(&path);
    }
}

static void shape_report(struct conf_apply *a, const struct conf_group *group,
                         const struct place *p, const char *wanted)
{
    struct buf keys;
    buf_init(&keys, WHY_BYTES_MAX);
    conf_group_keys_add(&keys, a->table, group);
    conf_report_error(a->report, &p->node->origin, p->path, "is %s, must be %s: %.*s",
                      conf_node_noun(p->node), wanted, SLICE_ARG(buf_slice(&keys)));
    p->node->bad = true;
    buf_deinit(&keys);
}

static void list_group_apply(struct conf_apply *a, const struct conf_group *group,
                             struct conf_node *list)
{
    struct place whole = {list, group->name, NULL};
    if (list->kind != CONF_NODE_LIST) {
        shape_report(a, group, &whole, "a list of groups with the keys");
        return;
    }
    if (list->count < group->items_min || list->count > group->items_max) {
        conf_report_error(a->report, &list->origin, group->name, "has %zu items, allowed are %u–%u",
                          list->count, group->items_min, group->items_max);
        list->bad = true;
        return;
    }
    char *items = a->conf ? conf_arena_take(a->arena, list->count * group->item_size) : NULL;
    size_t i = 0;
    for (struct conf_node *n = list->first; n; n = n->next, i++) {
        char shown[64];
        struct buf path;
        buf_init(&path, sizeof(shown));
        buf_addf(&path, "%.*s[%zu]", SLICE_ARG(group->name), i);
        struct place p = {n, buf_slice(&path), items ? items + i * group->item_size : NULL};
        if (p.base) {
            conf_apply_defaults(a, group, p.base);
        }
        if (n->kind == CONF_NODE_MAP) {
            members_apply(a, group, p);
        } else {
            shape_report(a, group, &p, "a group with the keys");
        }
        buf_deinit(&path);
    }
    if (items) {
        struct list_field field = {items, list->count};
        memcpy((char *)a->conf + group->offset, &field, sizeof(field));
    }
}

void conf_apply_tree(struct conf_apply *a, struct conf_node *root)
{
    must(root->kind == CONF_NODE_MAP);
    for (struct conf_node *n = root->first; n; n = n->next) {
        const struct conf_group *group = conf_table_group(a->table, n->key);
        const struct conf_key *key = conf_table_key(a->table, n->key);
        struct place p = {n, n->key, a->conf};
        if (group && conf_node_is_null(n)) {
            n->bad = true; /* "limits:" with every key commented out says nothing */
        } else if (group && conf_group_is_list(group)) {
            list_group_apply(a, group, n);
        } else if (group && n->kind == CONF_NODE_MAP) {
            members_apply(a, group, p);
        } else if (group) {
            shape_report(a, group, &p, "a group with the keys");
        } else if (key && !conf_key_group(a->table, key)) {
            key_apply(a, key, &p);
        } else {
            struct buf path;
            buf_init(&path, CONF_PATH_BYTES_MAX);
            conf_report_escape(&path, n->key);
            unknown_report(a, NULL, n, buf_slice(&path));
            buf_deinit(&path);
        }
    }
}

/* ---- defaults ------------------------------------------------------------------------------ */

static void default_value(const struct conf_key *key, struct slice text, union conf_value *v)
{
    struct buf why;
    buf_init(&why, WHY_BYTES_MAX);
    must(conf_value_parse(key, text, v, &why));
    buf_deinit(&why);
}

static void default_list(struct conf_apply *a, const struct conf_key *key, char *base)
{
    size_t item_size = conf_value_item_size(key->type);
    struct slice rest = slice_str(key->fallback);
    size_t count = rest.len ? 1 : 0;
    for (size_t i = 0; i < rest.len; i++) {
        count += rest.ptr[i] == ',';
    }
    char *items = count ? conf_arena_take(a->arena, count * item_size) : NULL;
    for (size_t i = 0; i < count; i++) {
        union conf_value v;
        default_value(key, slice_cut(&rest, ','), &v);
        conf_value_own(key, &v, a->arena);
        conf_value_store(key, &v, items + i * item_size, item_size);
    }
    list_store(key, base, items, count);
}

void conf_apply_defaults(struct conf_apply *a, const struct conf_group *list_group, void *base)
{
    for (size_t i = 0; i < a->table->key_count; i++) {
        const struct conf_key *key = &a->table->keys[i];
        const struct conf_group *group = conf_key_group(a->table, key);
        bool mine = list_group ? group == list_group : !group || !conf_group_is_list(group);
        if (!mine) {
            continue;
        }
        if (key->shape != CONF_ONE) {
            default_list(a, key, base);
            continue;
        }
        union conf_value v;
        default_value(key, slice_str(key->fallback), &v);
        conf_value_own(key, &v, a->arena);
        conf_value_store(key, &v, (char *)base + key->offset, key->size);
    }
}
