/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Each source becomes a tree and is judged alone; good nodes are merged into one tree in the order of
 * precedence; the merged tree is stored; relations between keys are judged last. So one run shows
 * every error of every source, also in a value that another source would have replaced. Rules of shaping and
 * automation go their own way (shaping_load.c, automation_read.c): files only, and a rule's line is kept.
 */
#include "core/base/must.h"
#include "core/conf/automation.h"
#include "core/conf/check.h"
#include "core/conf/env.h"
#include "core/conf/file.h"
#include "core/conf/profile.h"
#include "core/conf/shaping_read.h"
#include "core/conf/yaml.h"

#include <stdlib.h>

enum {
    FILES_BYTES_MAX = 4 << 20,
    NODES_MAX = 50000,
    /* Every node (~160 bytes) and the cost of an empty text; texts of files may grow by half while
     * escapes are resolved ("\L" is three bytes); variables and --set are copied twice (whole, item
     * by item), each with a name; shares of sources once more, name and number together; files of
     * secrets; file names and defaults. */
    SCRATCH_BYTES = NODES_MAX * (sizeof(struct conf_node) + 96) + 3 * FILES_BYTES_MAX +
                    3 * CONF_PROFILE_BYTES_MAX + 4 * CONF_ENV_BYTES_MAX +
                    4 * CONF_ENV_VARIABLES_MAX * 64 + 2 * CONF_SECRETS_BYTES_MAX +
                    4 * CONF_FOLDER_FILES_MAX * 4096 + 65536,
};

struct loader {
    struct conf_apply apply;
    struct conf_report report;
    struct conf_arena *scratch;
    struct conf_node *root;
    struct conf_node *shaping;    /* one map per file that has rules */
    struct conf_node *automation; /* the same */
    size_t nodes_left;
    size_t file_bytes;
    struct conf_profile_source profile_source;
    const struct conf_profile *profile; /* NULL: native */
    bool incomplete;                    /* a file could not be read: what it says is not known */
};

/* ---- files --------------------------------------------------------------------------------- */

/* Of shaping.d and automation.d: nothing but rules. */
enum file_kind { FILE_MAIN, FILE_SHAPING, FILE_AUTOMATION };

static void file_load(struct loader *l, const char *path, enum file_kind kind)
{
    struct buf text, why;
    struct conf_origin whole = {.kind = CONF_FROM_FILE};
    whole.name = conf_arena_copy(l->scratch, slice_str(path));
    buf_init(&text, CONF_YAML_BYTES_MAX + 65536);
    buf_init(&why, 512);
    bool ok = conf_file_read(path, CONF_YAML_BYTES_MAX, &text, &why);
    struct conf_node *tree = NULL;
    l->file_bytes += text.len;
    if (!ok) {
        conf_report_error(&l->report, &whole, SLICE(""), "%.*s", SLICE_ARG(buf_slice(&why)));
    } else if (l->file_bytes > FILES_BYTES_MAX) {
        conf_report_error(&l->report, &whole, SLICE(""),
                          "all files together are larger than %d bytes", FILES_BYTES_MAX);
    } else {
        tree = conf_yaml_read(buf_slice(&text), whole.name, l->scratch, &l->report, &l->nodes_left);
    }
    if (tree && kind == FILE_SHAPING) {
        conf_shaping_append(l->shaping, tree, &l->report);
    } else if (tree && kind == FILE_AUTOMATION) {
        conf_automation_append(l->automation, tree, &l->report);
    } else if (tree) {
        conf_shaping_detach(l->shaping, tree, l->scratch, &l->report);
        conf_automation_detach(l->automation, tree, l->scratch, &l->report);
        conf_apply_tree(&l->apply, tree);
        conf_node_merge(l->root, tree);
    }
    l->incomplete |= !tree;
    buf_deinit(&text);
    buf_deinit(&why);
}

/* A folder beside the file. */
static void folder_load(struct loader *l, const char *file, struct slice name, enum file_kind kind)
{
    char folder[4096];
    struct slice base = slice_str(file);
    struct buf path, why;
    char **names = NULL;
    size_t count = 0;
    while (base.len && base.ptr[base.len - 1] != '/') {
        base.len--;
    }
    buf_init(&path, sizeof(folder));
    buf_init(&why, 512);
    buf_add(&path, base);
    buf_add(&path, name);
    if (slice_to_cstr(buf_slice(&path), folder, sizeof(folder))) {
        if (!conf_folder_list(folder, &names, &count, &why)) {
            struct conf_origin at = {.kind = CONF_FROM_FILE};
            at.name = conf_arena_copy(l->scratch, buf_slice(&path));
            conf_report_error(&l->report, &at, SLICE(""), "%.*s", SLICE_ARG(buf_slice(&why)));
        }
        for (size_t i = 0; i < count; i++) {
            file_load(l, names[i], kind);
        }
    }
    free(names);
    buf_deinit(&path);
    buf_deinit(&why);
}

static void profile_choose(struct loader *l)
{
    struct conf_origin from = {.kind = CONF_FROM_DEFAULT};
    struct buf why;
    buf_init(&why, 4096);
    if (!conf_profile_choose(&l->profile_source, &l->profile, &why)) {
        conf_report_error(&l->report, &from, SLICE(""), "%.*s", SLICE_ARG(buf_slice(&why)));
    }
    buf_deinit(&why);
}

static void sources_load(struct loader *l, const struct conf_source *src)
{
    struct conf_profile_load p = {
        .source = &l->profile_source,
        .apply = &l->apply,
        .root = l->root,
        .nodes_left = &l->nodes_left,
    };
    profile_choose(l);
    p.profile = l->profile;
    if (p.profile) {
        conf_profile_below(&p);
    }
    if (src->file) {
        file_load(l, src->file, FILE_MAIN);
        folder_load(l, src->file, SLICE("conf.d"), FILE_MAIN);
        folder_load(l, src->file, SLICE("shaping.d"), FILE_SHAPING);
        folder_load(l, src->file, SLICE("automation.d"), FILE_AUTOMATION);
    }
    if (p.profile) {
        conf_profile_above(&p);
    }
    if (src->environment) {
        conf_env_apply(&l->apply, l->root, src->environment, &l->nodes_left);
    }
    conf_set_apply(&l->apply, l->root, src->set, src->set_count, &l->nodes_left);
}

/* ---- the merged tree ----------------------------------------------------------------------- */

/* The largest value of a list. */
union any_item {
    struct conf_relay_host host;
    struct ip_endpoint endpoint;
    struct ip_net net;
};

/* What storing this tree takes: a value and a text per scalar. */
/* NOLINTNEXTLINE(misc-no-recursion): CONF_YAML_DEPTH_MAX */
static size_t cost_of(const struct conf_node *n)
{
    size_t cost = conf_arena_cost(sizeof(union any_item)) + conf_arena_cost(n->text.len);
    for (const struct conf_node *child = n->first; child; child = child->next) {
        cost += cost_of(child);
    }
    return cost;
}

/* The defaults of the plain keys (group NULL), or of one item of a list group. */
static size_t cost_of_defaults(const struct conf_table *t, const struct conf_group *group)
{
    size_t cost = 0;
    for (size_t i = 0; i < t->key_count; i++) {
        const struct conf_group *g = conf_key_group(t, &t->keys[i]);
        const struct conf_group *list = g && conf_group_is_list(g) ? g : NULL;
        if (list == group) {
            /* Every character could be an item. */
            size_t len = slice_str(t->keys[i].fallback).len + 1;
            cost += len * conf_arena_cost(sizeof(union any_item)) + conf_arena_cost(len);
        }
    }
    return cost;
}

static size_t cost_of_list_groups(const struct conf_table *t, const struct conf_node *root)
{
    size_t cost = 0;
    for (size_t i = 0; i < t->group_count; i++) {
        const struct conf_group *g = &t->groups[i];
        const struct conf_node *list = conf_group_is_list(g) ? conf_node_find(root, g->name) : NULL;
        if (list) {
            cost += conf_arena_cost(list->count * g->item_size) +
                    list->count * cost_of_defaults(t, g);
        }
    }
    return cost;
}

/* A list group that no source names has its least number of items, all defaults. */
static void default_lists(struct loader *l)
{
    const struct conf_table *t = l->apply.table;
    struct conf_origin from = {.kind = CONF_FROM_DEFAULT};
    for (size_t i = 0; i < t->group_count; i++) {
        const struct conf_group *g = &t->groups[i];
        if (!conf_group_is_list(g) || conf_node_find(l->root, g->name)) {
            continue;
        }
        struct conf_node *list = conf_node_new(l->scratch, CONF_NODE_LIST, &from);
        list->key = g->name;
        for (uint32_t n = 0; n < g->items_min; n++) {
            conf_node_append(list, conf_node_new(l->scratch, CONF_NODE_MAP, &from));
        }
        conf_node_append(l->root, list);
    }
}

static struct conf *build(struct loader *l)
{
    const struct conf_table *t = l->apply.table;
    struct buf mute;
    default_lists(l);
    struct slice root = slice_str(l->profile ? l->profile_source.root : NULL);
    size_t arena_bytes = cost_of(l->root) + conf_arena_cost(root.len) + CONF_DERIVE_BYTES_MAX +
                         cost_of_defaults(t, NULL) + cost_of_list_groups(t, l->root);
    struct conf *c = calloc(1, sizeof(*c));
    struct conf_arena *arena = c ? conf_arena_new(arena_bytes) : NULL;
    if (!arena) {
        free(c);
        struct conf_origin from = {.kind = CONF_FROM_DEFAULT};
        conf_report_error(&l->report, &from, SLICE("configuration"), "out of memory");
        return NULL;
    }
    must(t->conf_size == sizeof(*c));
    c->arena = arena;
    c->profile = l->profile ? l->profile->name : SLICE("");
    c->root = conf_arena_copy(arena, root);
    /* What is wrong in the tree has been said; a value that was refused stays at its default. */
    buf_init(&mute, 4096);
    struct conf_report muted = {.errors = &mute};
    struct conf_apply store = {t,
                               l->report.error_count ? &muted : &l->report,
                               c,
                               arena,
                               l->apply.bad_keys,
                               0,
                               l->apply.machine};
    conf_apply_defaults(&store, NULL, c);
    conf_apply_tree(&store, l->root);
    store.report = &l->report;
    struct conf_shaping_load shaping = {l->shaping, &l->report, c->shaping.builtin, l->incomplete};
    c->shaping.rules = conf_shaping_load(&shaping);
    c->automation.rules = conf_automation_load(l->automation, &l->report);
    conf_derive(&store, c);
    if (!l->incomplete) {
        conf_check(&store, l->root, c);
    }
    buf_deinit(&mute);
    return c;
}

struct conf *conf_load(const struct conf_source *src, struct buf *errors, struct buf *warnings)
{
    struct loader l = {.nodes_left = NODES_MAX};
    struct conf_origin from = {.kind = CONF_FROM_DEFAULT};
    struct conf_machine once = {0};
    struct conf *c = NULL;
    l.report = (struct conf_report){.errors = errors, .warnings = warnings};
    l.profile_source = (struct conf_profile_source){src->environment, src->root};
    l.scratch = conf_arena_new(SCRATCH_BYTES);
    bool *bad_keys = calloc(conf_table.key_count, sizeof(*bad_keys));
    if (!l.scratch || !bad_keys) {
        conf_report_error(&l.report, &from, SLICE("configuration"), "out of memory");
        goto out;
    }
    l.apply = (struct conf_apply){
        &conf_table, &l.report, NULL, l.scratch, bad_keys, 0, src->machine ? src->machine : &once};
    (void)conf_machine_name(l.apply.machine); /* while it can be asked */
    l.root = conf_node_new(l.scratch, CONF_NODE_MAP, &from);
    l.shaping = conf_node_new(l.scratch, CONF_NODE_LIST, &from);
    l.automation = conf_node_new(l.scratch, CONF_NODE_LIST, &from);
    sources_load(&l, src);
    c = build(&l);
    if (l.report.error_count) {
        conf_free(c);
        c = NULL;
    }
out:
    free(bad_keys);
    conf_arena_free(l.scratch);
    return c;
}

int conf_failure_status(const struct conf_source *src)
{
    enum { STATUS_NATIVE = 78, STATUS_PROFILE = 1 };
    const struct conf_profile_source from = {src->environment, src->root};
    const struct conf_profile *profile = NULL;
    struct buf why;
    buf_init(&why, 4096);
    bool clear = conf_profile_choose(&from, &profile, &why);
    buf_deinit(&why);
    return clear && profile ? STATUS_PROFILE : STATUS_NATIVE;
}

void conf_free(struct conf *c)
{
    if (c) {
        conf_shaping_free(c->shaping.rules);
        conf_automation_free(c->automation.rules);
        conf_arena_free(c->arena);
        free(c);
    }
}
