/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/conf/profile_put.h"
#include "core/base/must.h"
#include "core/conf/env.h"

enum { ITEM_PATH_BYTES = 64 };

/* ---- texts --------------------------------------------------------------------------------- */

struct slice conf_profile_keep(struct conf_profile_load *p, struct slice text)
{
    size_t cost = conf_arena_cost(text.len);
    bool fitted = p->bytes <= CONF_PROFILE_BYTES_MAX;
    if (text.len == 0) {
        return SLICE("");
    }
    p->bytes += cost;
    if (p->bytes > CONF_PROFILE_BYTES_MAX) {
        struct conf_origin whole = {.kind = CONF_FROM_DEFAULT};
        if (fitted) {
            conf_report_error(p->apply->report, &whole, SLICE(""),
                              "profile %s: variables and files are larger than %d bytes together",
                              p->profile->name.ptr, CONF_PROFILE_BYTES_MAX);
        }
        return SLICE("");
    }
    return conf_arena_copy(p->apply->arena, text);
}

struct slice conf_profile_path(struct conf_profile_load *p, struct slice path)
{
    struct slice root = slice_str(p->source->root);
    struct buf whole;
    if (path.len == 0 || path.ptr[0] != '/' || root.len == 0) {
        return conf_profile_keep(p, path);
    }
    while (root.len && root.ptr[root.len - 1] == '/') {
        root.len--;
    }
    buf_init(&whole, root.len + path.len);
    buf_add(&whole, root);
    buf_add(&whole, path);
    struct slice kept = conf_profile_keep(p, buf_slice(&whole));
    buf_deinit(&whole);
    return kept;
}

struct conf_origin conf_profile_place(struct slice name, uint32_t line)
{
    return (struct conf_origin){.kind = CONF_FROM_FILE, .name = name, .line = line, .col = 1};
}

struct conf_origin conf_profile_variable(struct conf_profile_load *p, struct slice name)
{
    return (struct conf_origin){.kind = CONF_FROM_ENV, .name = conf_profile_keep(p, name)};
}

/* ---- keys ---------------------------------------------------------------------------------- */

static bool put_text(struct conf_profile_load *p, const struct conf_origin *from, struct slice path,
                     struct slice value)
{
    const struct conf_put put = {from, path, value};
    return conf_put(p->apply, p->root, &put, p->nodes_left);
}

/* A path may hold a comma, which separates the items of a whole list. */
static bool put_path(struct conf_profile_load *p, const struct conf_origin *from, struct slice path,
                     struct slice value)
{
    struct buf first;
    buf_init(&first, CONF_PATH_BYTES_MAX);
    buf_addf(&first, "%.*s[0]", SLICE_ARG(path));
    bool ok = put_text(p, from, path, SLICE(""));
    if (ok && value.len) {
        ok = put_text(p, from, buf_slice(&first), conf_profile_path(p, value));
    }
    buf_deinit(&first);
    return ok;
}

static bool put_one(struct conf_profile_load *p, const struct conf_origin *from, struct slice path,
                    struct slice value)
{
    struct conf_target target;
    must(conf_set_match(p->apply->table, path, &target));
    if (target.key->type != CONF_PATH) {
        return put_text(p, from, path, value);
    }
    if (target.key->shape == CONF_ONE) {
        return put_text(p, from, path, conf_profile_path(p, value));
    }
    return put_path(p, from, path, value);
}

/* "listeners[*].port": of every one there is; what is wrong is said once. */
static void put_each(struct conf_profile_load *p, const struct conf_origin *from, struct slice path,
                     struct slice value)
{
    struct slice tail = path;
    struct slice group = slice_cut(&tail, '[');
    if (tail.len == 0 || tail.ptr[0] != '*') {
        put_one(p, from, path, value);
        return;
    }
    const struct conf_node *list = conf_node_find(p->root, group);
    size_t count = list && list->kind == CONF_NODE_LIST ? list->count : 0;
    bool ok = true;
    for (size_t i = 0; i < count && ok; i++) {
        struct buf one;
        buf_init(&one, CONF_PATH_BYTES_MAX);
        buf_addf(&one, "%.*s[%zu%.*s", SLICE_ARG(group), i, SLICE_ARG(slice_skip(tail, 1)));
        ok = put_one(p, from, buf_slice(&one), value);
        buf_deinit(&one);
    }
}

void conf_profile_put(struct conf_profile_load *p, const struct conf_origin *from, const char *keys,
                      struct slice value)
{
    struct slice rest = slice_str(keys);
    while (rest.len) {
        put_each(p, from, slice_cut(&rest, ' '), value);
    }
}

/* ---- items of lists ------------------------------------------------------------------------ */

void conf_profile_put_item(struct conf_profile_load *p, const struct conf_origin *from,
                           const char *group, size_t index, const char *leaf, struct slice value)
{
    struct buf path;
    buf_init(&path, CONF_PATH_BYTES_MAX);
    buf_addf(&path, "%s[%zu].%s", group, index, leaf);
    put_one(p, from, buf_slice(&path), value);
    buf_deinit(&path);
}

/* Where the item of this name stands; the next free place when there is none. */
static size_t item_find(const struct conf_profile_load *p, struct slice group, struct slice name)
{
    const struct conf_node *list = conf_node_find(p->root, group);
    size_t i = 0;
    if (!list || list->kind != CONF_NODE_LIST) {
        return 0;
    }
    for (const struct conf_node *n = list->first; n; n = n->next, i++) {
        const struct conf_node *old = n->kind == CONF_NODE_MAP ? conf_node_find(n, SLICE("name"))
                                                               : NULL;
        if (old && old->kind == CONF_NODE_SCALAR && slice_eq_nocase(old->text, name)) {
            return i;
        }
    }
    return list->count;
}

/* The form of a password says what it is (core/policy/credentials.h); these are always in clear. */
static struct slice clear_password(struct conf_profile_load *p, struct slice password)
{
    struct buf marked;
    if (password.len == 0 || (password.ptr[0] != '$' && password.ptr[0] != '{')) {
        return password;
    }
    buf_init(&marked, password.len + 16);
    buf_add(&marked, SLICE("{PLAIN}"));
    buf_add(&marked, password);
    struct slice kept = conf_profile_keep(p, buf_slice(&marked));
    buf_deinit(&marked);
    return kept;
}

static void put_login(struct conf_profile_load *p, const struct conf_origin *from,
                      const struct conf_profile_user *user, struct slice name)
{
    size_t index = item_find(p, SLICE("users"), name);
    conf_profile_put_item(p, from, "users", index, "name", name);
    conf_profile_put_item(p, from, "users", index, "password", clear_password(p, user->password));
    conf_profile_put_item(p, from, "users", index, "allowed_from", SLICE(""));
    for (size_t i = 0; i < user->allowed_count; i++) {
        struct buf leaf;
        buf_init(&leaf, ITEM_PATH_BYTES);
        buf_addf(&leaf, "allowed_from[%zu]", i);
        buf_add_byte(&leaf, '\0');
        conf_profile_put_item(p, from, "users", index, leaf.ptr, user->allowed_from[i]);
        buf_deinit(&leaf);
    }
}

void conf_profile_put_user(struct conf_profile_load *p, const struct conf_origin *from,
                           const struct conf_profile_user *user)
{
    struct buf login;
    put_login(p, from, user, user->name);
    if (user->realm.len == 0 || slice_find_byte(user->name, '@') >= 0) {
        return;
    }
    buf_init(&login, user->name.len + 1 + user->realm.len);
    buf_add(&login, user->name);
    buf_add_byte(&login, '@');
    buf_add(&login, user->realm);
    put_login(p, from, user, conf_profile_keep(p, buf_slice(&login)));
    buf_deinit(&login);
}

bool conf_profile_put_domain(struct conf_profile_load *p, const struct conf_origin *from,
                             struct slice name, size_t *index)
{
    size_t errors = p->apply->report->error_count;
    *index = item_find(p, SLICE("domains"), name);
    conf_profile_put_item(p, from, "domains", *index, "name", name);
    return p->apply->report->error_count == errors;
}

/* ---- warnings ------------------------------------------------------------------------------ */

static const struct conf_node *relay_value(const struct conf_profile_load *p, struct slice leaf)
{
    const struct conf_node *g = conf_node_find(p->root, SLICE("relay"));
    const struct conf_node *n = g && g->kind == CONF_NODE_MAP ? conf_node_find(g, leaf) : NULL;
    return n && n->kind == CONF_NODE_SCALAR ? n : NULL;
}

static bool relay_value_is(const struct conf_profile_load *p, struct slice leaf, struct slice text)
{
    const struct conf_node *n = relay_value(p, leaf);
    return n && slice_eq(n->text, text);
}

void conf_profile_warn_clear_relay(struct conf_profile_load *p)
{
    const struct conf_node *password = relay_value(p, SLICE("password"));
    bool asked = conf_vars_is_set(p, SLICE("RINGPOST_RELAY_TLS")) ||
                 conf_vars_is_set(p, SLICE("RINGPOST_RELAY_AUTH_WITHOUT_TLS"));
    bool clear = relay_value_is(p, SLICE("tls"), SLICE("none")) ||
                 relay_value_is(p, SLICE("tls"), SLICE("may"));
    if (password && password->text.len && clear && !asked &&
        relay_value_is(p, SLICE("auth_without_tls"), SLICE("true"))) {
        conf_report_warning(p->apply->report, &password->origin, SLICE("relay.password"),
                            "may be sent without TLS, as the original does; "
                            "RINGPOST_RELAY_TLS=encrypt forbids it");
    }
}
