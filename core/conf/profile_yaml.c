/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * yaml.d of profile 003: every file's `config` is merged key by key (lists replaced), `users` and
 * `domains` are put behind each other. The names are looked up in a table, as variables are.
 */
#include "core/base/must.h"
#include "core/base/secret.h"
#include "core/conf/file.h"
#include "core/conf/profile_tables.h"
#include "core/conf/yaml.h"

#include <stdlib.h>

#define FOLDER "/etc/smarthost"

const struct conf_variable conf_yaml_names[] = {
    {SLICE_INIT("config.hostname"), CONF_VAR_TEXT, 0, .keys = "identity.hostname"},
    {SLICE_INIT("config.allowed_networks"), CONF_VAR_NETS, 0, .keys = "access.networks",
     .text = ", \t"},
    {SLICE_INIT("config.auth"), CONF_VAR_CODE, 0, .keys = "listeners[*].access",
     .note = "`true`, nothing else."},
    {SLICE_INIT("config.sender_restrictions"), CONF_VAR_WORDS, 0, .keys = "sender.restrict",
     .text = "domain=domain|email=email"},
    {SLICE_INIT("config.tls.level"), CONF_VAR_WORDS, 0, .keys = "listeners[*].tls",
     .text = "none=none|may=may|encrypt=encrypt"},
    {SLICE_INIT("config.tls.level"), CONF_VAR_WORDS, CONF_VAR_QUIET, .keys = "auth.require_tls",
     .text = "none=false|may=false|encrypt=true"},
    {SLICE_INIT("config.tls.crt_file"), CONF_VAR_PATH, 0, .keys = "tls.cert_file", .text = FOLDER},
    {SLICE_INIT("config.tls.key_file"), CONF_VAR_PATH, 0, .keys = "tls.key_file", .text = FOLDER},
    {SLICE_INIT("config.tls.crt"), CONF_VAR_TEXT, 0, .keys = "tls.cert_pem"},
    {SLICE_INIT("config.tls.key"), CONF_VAR_TEXT, 0, .keys = "tls.key_pem"},
    {SLICE_INIT("config.relay.host"), CONF_VAR_POSTFIX_RELAY, 0, .keys = "relay.host"},
    {SLICE_INIT("config.relay.username"), CONF_VAR_TEXT, 0, .keys = "relay.username"},
    {SLICE_INIT("config.relay.password"), CONF_VAR_TEXT, 0, .keys = "relay.password"},
    {SLICE_INIT("config.relay.tls"), CONF_VAR_TRUE, 0, .keys = "relay.tls delivery.tls",
     .text = "encrypt", .note = "`true`, nothing else."},
    {SLICE_INIT("config.verbose"), CONF_VAR_TRUE, 0, .keys = "log.level", .text = "debug",
     .note = "`true`, nothing else."},
    {SLICE_INIT("config.postconf"), CONF_VAR_CODE, 0, .keys = "",
     .note = "As lines of `postfix.d`."},
};
const size_t conf_yaml_name_count = ARRAY_COUNT(conf_yaml_names);

/* ---- reading ------------------------------------------------------------------------------- */

static void error_at(struct conf_profile_load *p, const struct conf_node *n, const char *name,
                     const char *what)
{
    conf_report_error(p->apply->report, &n->origin, slice_str(name), "%s", what);
}

/* The items of `from` behind those of `to`. */
static void list_join(struct conf_profile_load *p, struct conf_node *to, struct conf_node *from,
                      const char *name)
{
    if (from->kind != CONF_NODE_LIST) {
        if (!conf_node_is_null(from)) {
            error_at(p, from, name, "must be a list");
        }
        return;
    }
    for (struct conf_node *n = from->first, *next; n; n = next) {
        next = n->next;
        n->next = NULL;
        conf_node_append(to, n);
    }
    from->first = from->last = NULL;
}

static void tree_join(struct conf_profile_load *p, struct conf_profile_yaml *y,
                      struct conf_node *tree)
{
    for (struct conf_node *n = tree->first; n; n = n->next) {
        if (slice_eq(n->key, SLICE("users"))) {
            list_join(p, y->users, n, "users");
        } else if (slice_eq(n->key, SLICE("domains"))) {
            list_join(p, y->domains, n, "domains");
        } else if (!slice_eq(n->key, SLICE("config"))) {
            conf_report_warning(p->apply->report, &n->origin, SLICE(""),
                                "only config, users and domains are read, ignored");
        } else if (n->kind == CONF_NODE_MAP) {
            conf_node_merge(y->config, n);
        } else if (!conf_node_is_null(n)) {
            error_at(p, n, "config", "must be a group of keys");
        }
    }
}

static void file_join(struct conf_profile_load *p, struct conf_profile_yaml *y, const char *path)
{
    struct conf_origin whole = conf_profile_place(conf_profile_keep(p, slice_str(path)), 0);
    size_t room = p->bytes < CONF_PROFILE_BYTES_MAX ? (CONF_PROFILE_BYTES_MAX - p->bytes) / 2 : 0;
    size_t most = room < CONF_YAML_BYTES_MAX ? room : CONF_YAML_BYTES_MAX;
    struct conf_node *tree = NULL;
    struct buf text, why;
    buf_init(&text, most + 65536);
    buf_init(&why, 512);
    if (!conf_file_read(path, most, &text, &why)) {
        conf_report_error(p->apply->report, &whole, SLICE(""), "%.*s", SLICE_ARG(buf_slice(&why)));
    } else {
        p->bytes += 2 * text.len; /* what escapes can make of it */
        tree = conf_yaml_read(buf_slice(&text), whole.name, p->apply->arena, p->apply->report,
                              p->nodes_left);
    }
    if (tree) {
        tree_join(p, y, tree);
    }
    secret_buf_release(&text);
    buf_deinit(&why);
}

void conf_profile_yaml_read(struct conf_profile_load *p, const char *folder,
                            struct conf_profile_yaml *y)
{
    struct slice path = conf_profile_path(p, slice_str(folder));
    struct conf_origin whole = conf_profile_place(path, 0);
    char **names = NULL;
    size_t count = 0;
    struct buf why;
    *y = (struct conf_profile_yaml){
        conf_node_new(p->apply->arena, CONF_NODE_MAP, &whole),
        conf_node_new(p->apply->arena, CONF_NODE_LIST, &whole),
        conf_node_new(p->apply->arena, CONF_NODE_LIST, &whole),
    };
    buf_init(&why, 512);
    if (!conf_folder_find(path.ptr, "yaml", &names, &count, &why)) {
        conf_report_error(p->apply->report, &whole, SLICE(""), "%.*s", SLICE_ARG(buf_slice(&why)));
    }
    for (size_t i = 0; i < count; i++) {
        file_join(p, y, names[i]);
    }
    free(names);
    buf_deinit(&why);
}

/* ---- config -------------------------------------------------------------------------------- */

static bool is_known(struct slice name)
{
    for (size_t i = 0; i < ARRAY_COUNT(conf_yaml_names); i++) {
        if (slice_eq(conf_yaml_names[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* A list of networks, or one text; lists are joined with commas. */
static struct slice text_of(struct conf_profile_load *p, const struct conf_node *n)
{
    struct buf text;
    if (n->kind == CONF_NODE_SCALAR) {
        return n->text;
    }
    buf_init(&text, CONF_YAML_BYTES_MAX);
    for (const struct conf_node *item = n->first; item; item = item->next) {
        buf_add(&text, text.len ? SLICE(",") : SLICE(""));
        buf_add(&text, item->kind == CONF_NODE_SCALAR ? item->text : SLICE("?"));
    }
    struct slice kept = conf_profile_keep(p, buf_slice(&text));
    buf_deinit(&text);
    return kept;
}

static void postconf_apply(struct conf_postfix *m, const struct conf_node *n)
{
    if (n->kind == CONF_NODE_SCALAR) {
        conf_postconf_line(m, &n->origin, n->text);
        return;
    }
    for (const struct conf_node *item = n->first; item; item = item->next) {
        if (item->kind == CONF_NODE_SCALAR) {
            conf_postconf_line(m, &item->origin, item->text);
        }
    }
}

static void config_value(struct conf_profile_load *p, struct conf_postfix *m, struct slice name,
                         const struct conf_node *n)
{
    bool list_ok = slice_eq(name, SLICE("config.allowed_networks")) ||
                   slice_eq(name, SLICE("config.postconf"));
    if (n->kind == CONF_NODE_MAP || (n->kind == CONF_NODE_LIST && !list_ok)) {
        conf_report_error(p->apply->report, &n->origin, name, "must be a single value");
    } else if (slice_eq(name, SLICE("config.postconf"))) {
        postconf_apply(m, n);
    } else if (slice_eq(name, SLICE("config.auth"))) {
        p->auth |= slice_eq(n->text, SLICE("true"));
        if (!slice_eq(n->text, SLICE("true")) && !slice_eq(n->text, SLICE("false"))) {
            conf_report_warning(p->apply->report, &n->origin, name,
                                "only \"true\" switches this on; taken as false");
        }
    } else {
        conf_variables_apply(p, conf_yaml_names, ARRAY_COUNT(conf_yaml_names), &n->origin, name,
                             text_of(p, n));
    }
}

/* Depth: CONF_YAML_DEPTH_MAX, and unknown groups are not entered. */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the table of groups */
static void config_group(struct conf_profile_load *p, struct conf_postfix *m, struct slice prefix,
                         const struct conf_node *group)
{
    for (const struct conf_node *n = group->first; n; n = n->next) {
        struct buf name;
        buf_init(&name, CONF_PATH_BYTES_MAX);
        buf_addf(&name, "%.*s.%.*s", SLICE_ARG(prefix), SLICE_ARG(slice_first(n->key, 200)));
        bool inner = slice_eq(buf_slice(&name), SLICE("config.tls")) ||
                     slice_eq(buf_slice(&name), SLICE("config.relay"));
        if (conf_node_is_null(n)) {
            /* says nothing */
        } else if (inner && n->kind == CONF_NODE_MAP) {
            config_group(p, m, buf_slice(&name), n);
        } else if (is_known(buf_slice(&name))) {
            config_value(p, m, buf_slice(&name), n);
        } else {
            struct buf shown;
            buf_init(&shown, 512);
            conf_report_escape(&shown, slice_skip(buf_slice(&name), sizeof("config.") - 1));
            conf_report_warning(p->apply->report, &n->origin, SLICE(""), "Unknown config name %.*s",
                                SLICE_ARG(buf_slice(&shown)));
            buf_deinit(&shown);
        }
        buf_deinit(&name);
    }
}

/* The file variant wins over text in place; so the default file must not win over it. */
static void certificate_inline(struct conf_profile_load *p, const struct conf_profile_yaml *y)
{
    const struct conf_node *tls = conf_node_find(y->config, SLICE("tls"));
    const struct conf_node *crt = tls && tls->kind == CONF_NODE_MAP
                                      ? conf_node_find(tls, SLICE("crt"))
                                      : NULL;
    if (crt && crt->kind == CONF_NODE_SCALAR && crt->text.len && !conf_node_is_null(crt) &&
        !conf_node_find(tls, SLICE("crt_file"))) {
        conf_profile_put(p, &crt->origin, "tls.cert_file tls.key_file", SLICE(""));
    }
}

void conf_profile_yaml_config(struct conf_profile_load *p, const struct conf_profile_yaml *y,
                              struct conf_postfix *m)
{
    must(y->config->kind == CONF_NODE_MAP);
    certificate_inline(p, y);
    config_group(p, m, SLICE("config"), y->config);
}

/* ---- users, domains ------------------------------------------------------------------------ */

/* A text of an item; empty: not there, or reported. */
static struct slice member(struct conf_profile_load *p, const struct conf_node *item,
                           const char *name)
{
    const struct conf_node *n = conf_node_find(item, slice_str(name));
    if (!n || conf_node_is_null(n)) {
        return SLICE("");
    }
    if (n->kind != CONF_NODE_SCALAR) {
        error_at(p, n, name, "must be a single value");
        return SLICE("");
    }
    return n->text;
}

static bool is_group(struct conf_profile_load *p, const struct conf_node *item, const char *name)
{
    if (item->kind == CONF_NODE_MAP) {
        return true;
    }
    error_at(p, item, name, "each item must be a group with a name");
    return false;
}

enum { ALLOWED_FROM_MAX = 1000 };

static void user_put(struct conf_profile_load *p, const struct conf_node *item)
{
    const struct conf_node *list = conf_node_find(item, SLICE("allowed_from"));
    struct conf_profile_user user = {
        .name = member(p, item, "name"),
        .password = member(p, item, "password"),
        .realm = p->profile->realm,
    };
    struct slice *senders = calloc(ALLOWED_FROM_MAX + 1, sizeof(*senders));
    if (!senders || user.name.len == 0 || user.password.len == 0) {
        error_at(p, item, "users",
                 senders ? "a user needs a name and a password" : "out of memory");
        free(senders);
        return;
    }
    user.allowed_from = senders;
    if (list && list->kind == CONF_NODE_LIST) {
        for (const struct conf_node *n = list->first; n && user.allowed_count <= ALLOWED_FROM_MAX;
             n = n->next) {
            senders[user.allowed_count++] = n->kind == CONF_NODE_SCALAR ? n->text : SLICE("");
        }
    } else if (list && !conf_node_is_null(list)) {
        error_at(p, list, "users[].allowed_from", "must be a list");
    }
    conf_profile_put_user(p, &item->origin, &user);
    free(senders);
}

void conf_profile_yaml_users(struct conf_profile_load *p, const struct conf_profile_yaml *y)
{
    for (const struct conf_node *n = y->users->first; n; n = n->next) {
        if (is_group(p, n, "users")) {
            user_put(p, n);
        }
    }
}

static void dkim_put(struct conf_profile_load *p, const struct conf_node *dkim, size_t index)
{
    struct slice selector = member(p, dkim, "selector");
    struct slice file = member(p, dkim, "key_file");
    struct slice pem = member(p, dkim, "key");
    struct buf path;
    if (selector.len == 0 || (file.len == 0 && pem.len == 0)) {
        error_at(p, dkim, "domains[].dkim", "needs a selector, and key_file or key");
        return;
    }
    conf_profile_put_item(p, &dkim->origin, "domains", index, "dkim_selector", selector);
    if (file.len) {
        buf_init(&path, 8192);
        buf_addf(&path, file.ptr[0] == '/' ? "%.*s" : FOLDER "/%.*s", SLICE_ARG(file));
        conf_profile_put_item(p, &dkim->origin, "domains", index, "dkim_key_file",
                              conf_profile_keep(p, buf_slice(&path)));
        buf_deinit(&path);
    } else {
        conf_profile_put_item(p, &dkim->origin, "domains", index, "dkim_key_pem", pem);
    }
    conf_profile_put_item(p, &dkim->origin, "domains", index, "dkim_canonicalization",
                          SLICE("relaxed/simple"));
}

void conf_profile_yaml_domains(struct conf_profile_load *p, const struct conf_profile_yaml *y)
{
    for (const struct conf_node *n = y->domains->first; n; n = n->next) {
        size_t index = 0;
        if (!is_group(p, n, "domains")) {
            continue;
        }
        struct slice name = member(p, n, "name");
        const struct conf_node *dkim = conf_node_find(n, SLICE("dkim"));
        if (name.len == 0) {
            error_at(p, n, "domains", "a domain needs a name");
        } else if (conf_profile_put_domain(p, &n->origin, name, &index) && dkim &&
                   dkim->kind == CONF_NODE_MAP && dkim->count > 0) {
            dkim_put(p, dkim, index);
        }
    }
}
