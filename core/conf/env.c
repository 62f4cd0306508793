/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Variables are sorted before they are used, so that RINGPOST_LISTENERS_0_… comes before _1_… and a
 * whole list before its items, whatever order the environment has.
 */
#include "core/conf/env.h"
#include "core/base/must.h"
#include "core/conf/file.h"

#include <stdlib.h>

struct variable {
    struct slice name;
    struct slice value;
};

/* What one assignment needs to know. */
struct assignment {
    struct conf_apply *a;
    struct conf_node *root;
    size_t *nodes_left;
    struct conf_target target;
    struct conf_origin from;
    struct slice value; /* in the arena */
};

#define report_error(s, ...)                                                                       \
    conf_report_error((s)->a->report, &(s)->from, (s)->target.key->path, __VA_ARGS__)

/* ---- nodes --------------------------------------------------------------------------------- */

static struct conf_node *node_new(struct assignment *s, enum conf_node_kind kind, struct slice text)
{
    if (*s->nodes_left == 0) {
        report_error(s, "too many values in all sources together");
        return NULL;
    }
    --*s->nodes_left;
    struct conf_node *n = conf_node_new(s->a->arena, kind, &s->from);
    n->plain = true;
    n->text = text;
    return n;
}

/* "a, b,c" as a list; an empty text is an empty list. */
static struct conf_node *list_new(struct assignment *s, struct slice text)
{
    struct conf_node *list = node_new(s, CONF_NODE_LIST, slice_of("", 0));
    struct slice rest = text;
    bool more = rest.len > 0;
    while (list && more) {
        size_t before = rest.len;
        struct slice item = slice_cut(&rest, ',');
        more = item.len != before;
        if (list->count > s->target.key->items_max) {
            break; /* one too many is enough to be refused */
        }
        struct conf_node *n = node_new(s, CONF_NODE_SCALAR,
                                       conf_arena_copy(s->a->arena, slice_trim(item)));
        if (!n) {
            return NULL;
        }
        conf_node_append(list, n);
    }
    return list;
}

static void put(struct conf_node *map, struct slice key, struct conf_node *n)
{
    struct conf_node *old = conf_node_find(map, key);
    if (old) {
        conf_node_replace(map, old, n);
    } else {
        n->key = key;
        conf_node_append(map, n);
    }
}

static bool gap_report(struct assignment *s, uint64_t index, size_t count, size_t max)
{
    size_t last = count < max ? count : max - 1;
    report_error(s, "index %llu is not possible, the list has %zu items (0–%zu)",
                 (unsigned long long)index, count, last);
    return false;
}

/* The map that holds the key: the root, a group, an item of a list group. NULL: reported, or the
 * tree is wrong there and that has been reported. */
static struct conf_node *holder(struct assignment *s)
{
    const struct conf_group *group = conf_key_group(s->a->table, s->target.key);
    if (!group) {
        return s->root;
    }
    struct conf_node *g = conf_node_find(s->root, group->name);
    if (!conf_group_is_list(group)) {
        if (!g && (g = node_new(s, CONF_NODE_MAP, slice_of("", 0)))) {
            put(s->root, group->name, g);
        }
        return g && g->kind == CONF_NODE_MAP ? g : NULL;
    }
    if (!g && (g = node_new(s, CONF_NODE_LIST, slice_of("", 0)))) {
        put(s->root, group->name, g);
        for (uint32_t i = 0; i < group->items_min; i++) {
            struct conf_node *item = node_new(s, CONF_NODE_MAP, slice_of("", 0));
            if (!item) {
                return NULL;
            }
            conf_node_append(g, item);
        }
    }
    if (!g || g->kind != CONF_NODE_LIST) {
        return NULL;
    }
    if (s->target.index > g->count || s->target.index >= group->items_max) {
        gap_report(s, s->target.index, g->count, group->items_max);
        return NULL;
    }
    struct conf_node *item = conf_node_at(g, (size_t)s->target.index);
    if (!item && (item = node_new(s, CONF_NODE_MAP, slice_of("", 0)))) {
        conf_node_append(g, item);
    }
    return item && item->kind == CONF_NODE_MAP ? item : NULL;
}

/* The key's list in the tree, made of its default when the tree has none. */
static struct conf_node *item_list(struct assignment *s, struct conf_node *map, struct slice leaf)
{
    struct conf_node *old = conf_node_find(map, leaf);
    if (old && old->kind == CONF_NODE_LIST) {
        return old;
    }
    struct conf_node *list = list_new(s,
                                      old ? slice_of("", 0) : slice_str(s->target.key->fallback));
    if (list && old) {
        struct conf_node *single = node_new(s, CONF_NODE_SCALAR, old->text);
        if (!single) {
            return NULL;
        }
        single->origin = old->origin;
        conf_node_append(list, single);
    }
    if (list) {
        put(map, leaf, list);
    }
    return list;
}

/* Judged alone before it touches the tree. */
static bool judge(struct assignment *s, struct conf_node *n)
{
    const struct conf_key *key = s->target.key;
    if (!s->target.has_item) {
        return conf_apply_key(s->a, key, n, key->path);
    }
    struct conf_node list = {.kind = CONF_NODE_LIST, .origin = s->from, .count = 1};
    list.first = list.last = n;
    must(key->items_min <= 1 && key->items_max >= 1);
    return conf_apply_key(s->a, key, &list, key->path);
}

static bool assign(struct assignment *s)
{
    const struct conf_key *key = s->target.key;
    bool whole_list = key->shape != CONF_ONE && !s->target.has_item;
    struct conf_node *n = whole_list ? list_new(s, s->value)
                                     : node_new(s, CONF_NODE_SCALAR, s->value);
    if (!n || !judge(s, n)) {
        return false;
    }
    struct conf_node *map = holder(s);
    struct slice leaf = conf_key_leaf(key);
    if (!map) {
        return false;
    }
    if (!s->target.has_item) {
        put(map, leaf, n);
        return true;
    }
    struct conf_node *list = item_list(s, map, leaf);
    if (!list) {
        return false;
    }
    if (s->target.item > list->count || s->target.item >= key->items_max) {
        return gap_report(s, s->target.item, list->count, key->items_max);
    }
    struct conf_node *old = conf_node_at(list, (size_t)s->target.item);
    if (old) {
        conf_node_replace(list, old, n);
    } else {
        conf_node_append(list, n);
    }
    return true;
}

bool conf_put(struct conf_apply *a, struct conf_node *root, const struct conf_put *put,
              size_t *nodes_left)
{
    struct assignment s = {.a = a, .root = root, .nodes_left = nodes_left, .from = *put->from};
    must(a->conf == NULL);
    must(conf_set_match(a->table, put->path, &s.target));
    s.value = put->value;
    return assign(&s);
}

/* ---- the environment ----------------------------------------------------------------------- */

/* Text order, but runs of digits by their value. */
static int natural_compare(const void *va, const void *vb)
{
    struct slice a = ((const struct variable *)va)->name;
    struct slice b = ((const struct variable *)vb)->name;
    size_t i = 0, j = 0;
    while (i < a.len && j < b.len) {
        if (ascii_is_digit(a.ptr[i]) && ascii_is_digit(b.ptr[j])) {
            size_t i0 = i, j0 = j;
            while (i < a.len && ascii_is_digit(a.ptr[i])) {
                i++;
            }
            while (j < b.len && ascii_is_digit(b.ptr[j])) {
                j++;
            }
            if (i - i0 != j - j0) {
                return i - i0 < j - j0 ? -1 : 1;
            }
            int order = memcmp(a.ptr + i0, b.ptr + j0, i - i0);
            if (order) {
                return order;
            }
        } else if (a.ptr[i] != b.ptr[j]) {
            return (unsigned char)a.ptr[i] < (unsigned char)b.ptr[j] ? -1 : 1;
        } else {
            i++;
            j++;
        }
    }
    return a.len - i == b.len - j ? 0 : a.len - i < b.len - j ? -1 : 1;
}

static bool contains(struct slice s, struct slice part)
{
    return s.len >= part.len && memmem(s.ptr, s.len, part.ptr, part.len) != NULL;
}

/* A Service named "ringpost…" makes Kubernetes set RINGPOST_…_SERVICE_HOST, RINGPOST_…_PORT=tcp://…,
 * RINGPOST_…_PORT_25_TCP_ADDR and so on. */
bool conf_env_is_kubernetes(struct slice name, struct slice value)
{
    bool service = contains(name, SLICE("_SERVICE_HOST")) || contains(name, SLICE("_SERVICE_PORT"));
    bool port = contains(name, SLICE("_PORT_")) && contains(name, SLICE("_TCP"));
    bool address = slice_starts_nocase(value, SLICE("tcp://")) ||
                   slice_starts_nocase(value, SLICE("udp://"));
    return service || port || (address && contains(name, SLICE("PORT")));
}

static void unknown_warn(struct conf_apply *a, const struct variable *v)
{
    struct conf_origin from = {.kind = CONF_FROM_ENV, .name = v->name};
    struct buf hint;
    buf_init(&hint, 512);
    const struct conf_key *near = NULL;
    if (conf_report_shows_warnings(a->report)) {
        near = conf_suggest_env(a->table, v->name);
    }
    if (near) {
        buf_add(&hint, SLICE("; did you mean "));
        conf_env_name_add(&hint, near);
        buf_add_byte(&hint, '?');
    }
    conf_report_warning(a->report, &from, SLICE(""), "no key has this name, ignored%.*s",
                        SLICE_ARG(buf_slice(&hint)));
    buf_deinit(&hint);
}

/* RINGPOST_X_FILE: the file's contents without the line end behind them. */
static bool secret_read(struct assignment *s)
{
    char path[4096];
    struct buf text, why;
    buf_init(&text, CONF_SECRET_BYTES_MAX + 16384);
    buf_init(&why, 512);
    bool ok = slice_to_cstr(s->value, path, sizeof(path)) &&
              conf_file_read(path, CONF_SECRET_BYTES_MAX, &text, &why);
    s->a->secret_bytes += text.len;
    if (ok && s->a->secret_bytes > CONF_SECRETS_BYTES_MAX) {
        ok = false;
        buf_add(&why, SLICE("too much in all files of secrets together"));
    }
    if (ok) {
        struct slice t = buf_slice(&text);
        if (t.len && t.ptr[t.len - 1] == '\n') {
            t.len--;
        }
        if (t.len && t.ptr[t.len - 1] == '\r') {
            t.len--;
        }
        s->value = conf_arena_copy(s->a->arena, t);
    } else {
        struct buf shown;
        buf_init(&shown, 512);
        conf_report_escape(&shown, s->value);
        report_error(s, "%.*s: %.*s", SLICE_ARG(buf_slice(&shown)), SLICE_ARG(buf_slice(&why)));
        buf_deinit(&shown);
    }
    buf_deinit(&text);
    buf_deinit(&why);
    return ok;
}

static void variable_apply(struct conf_apply *a, struct conf_node *root, const struct variable *v,
                           size_t *nodes_left)
{
    struct assignment s = {.a = a, .root = root, .nodes_left = nodes_left};
    bool known = conf_env_match(a->table, v->name, &s.target);
    if (conf_env_is_kubernetes(v->name, v->value)) {
        if (known) {
            struct conf_origin from = {.kind = CONF_FROM_ENV, .name = v->name};
            conf_report_warning(a->report, &from, SLICE(""),
                                "looks like a Kubernetes service variable, ignored");
        }
        return;
    }
    if (!known) {
        if (!conf_env_reserved(v->name)) {
            unknown_warn(a, v);
        }
        return;
    }
    s.from = (struct conf_origin){.kind = CONF_FROM_ENV,
                                  .name = conf_arena_copy(a->arena, v->name)};
    s.value = conf_arena_copy(a->arena, v->value);
    if (!s.target.from_file || secret_read(&s)) {
        assign(&s);
    }
}

static size_t collect(struct conf_apply *a, char *const *environment, struct variable *list)
{
    struct conf_origin from = {.kind = CONF_FROM_DEFAULT};
    size_t n = 0, bytes = 0;
    for (size_t i = 0; environment[i]; i++) {
        struct slice value = slice_str(environment[i]);
        if (!slice_eq(slice_first(value, sizeof(CONF_ENV_PREFIX) - 1), SLICE(CONF_ENV_PREFIX))) {
            continue;
        }
        bytes += value.len;
        if (n == CONF_ENV_VARIABLES_MAX || bytes > CONF_ENV_BYTES_MAX) {
            conf_report_error(a->report, &from, SLICE("environment"),
                              "more than %d variables or %d bytes begin with " CONF_ENV_PREFIX,
                              CONF_ENV_VARIABLES_MAX, CONF_ENV_BYTES_MAX);
            return 0;
        }
        list[n].name = slice_cut(&value, '=');
        list[n].value = value;
        n++;
    }
    return n;
}

void conf_env_apply(struct conf_apply *a, struct conf_node *root, char *const *environment,
                    size_t *nodes_left)
{
    must(a->conf == NULL);
    struct variable *list = calloc(CONF_ENV_VARIABLES_MAX, sizeof(*list));
    if (!list) {
        struct conf_origin from = {.kind = CONF_FROM_DEFAULT};
        conf_report_error(a->report, &from, SLICE("environment"), "out of memory");
        return;
    }
    size_t n = collect(a, environment, list);
    qsort(list, n, sizeof(*list), natural_compare);
    for (size_t i = 0; i < n; i++) {
        variable_apply(a, root, &list[i], nodes_left);
    }
    free(list);
}

/* ---- --set --------------------------------------------------------------------------------- */

static void set_unknown(struct conf_apply *a, const struct conf_origin *from)
{
    struct slice leaf = from->name;
    struct slice head = slice_cut(&leaf, '.');
    bool dotted = head.len != from->name.len;
    struct slice rest = head;
    struct slice first = slice_cut(&rest, '['); /* "listeners" of "listeners[0].prot" */
    const struct conf_group *group = conf_table_group(a->table, first);
    struct buf text;
    buf_init(&text, 2048);
    if (!conf_report_shows_errors(a->report)) {
        /* only counted */
    } else if (group && (!dotted || conf_group_is_list(group))) {
        buf_addf(&text, "not a key; set one of %.*s%s: ", SLICE_ARG(group->name),
                 conf_group_is_list(group) ? "[0]" : "");
        conf_group_keys_add(&text, a->table, group);
    } else {
        conf_suggest_add(&text, a->table, group, group ? leaf : first);
    }
    conf_report_error(a->report, from, SLICE(""), "%.*s", SLICE_ARG(buf_slice(&text)));
    buf_deinit(&text);
}

void conf_set_apply(struct conf_apply *a, struct conf_node *root, const char *const *set,
                    size_t set_count, size_t *nodes_left)
{
    size_t bytes = 0;
    must(a->conf == NULL);
    for (size_t i = 0; i < set_count; i++) {
        struct slice value = slice_str(set[i]);
        struct assignment s = {.a = a, .root = root, .nodes_left = nodes_left};
        bytes += value.len;
        bool fits = bytes <= CONF_ENV_BYTES_MAX && i < CONF_ENV_VARIABLES_MAX;
        bool has_value = slice_find_byte(value, '=') >= 0;
        struct slice path = slice_cut(&value, '=');
        s.from = (struct conf_origin){.kind = CONF_FROM_SET, .name = path};
        if (!fits || !has_value) {
            conf_report_error(a->report, &s.from, SLICE(""),
                              fits ? "must be written path=value" : "too many --set");
        } else if (!conf_set_match(a->table, path, &s.target)) {
            set_unknown(a, &s.from);
        } else {
            s.from.name = conf_arena_copy(a->arena, path);
            s.value = conf_arena_copy(a->arena, value);
            assign(&s);
        }
    }
}
