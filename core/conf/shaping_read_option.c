/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What one option of a rule may look like: 10, 100/s, {limit: 100/s, burst: 10}, unset.
 */
#include "core/base/must.h"
#include "core/conf/apply.h"
#include "core/conf/shaping_read.h"
#include "core/conf/value.h"

enum { WHY_BYTES_MAX = 2048 };

/* ---- messages ------------------------------------------------------------------------------ */

size_t conf_shaping_path_push(struct conf_shaping_reader *r, struct slice name)
{
    size_t before = r->path.len;
    buf_add_byte(&r->path, '.');
    conf_report_escape(&r->path, name);
    return before;
}

void conf_shaping_path_pop(struct conf_shaping_reader *r, size_t before)
{
    r->path.len = before;
}

struct conf_origin conf_shaping_key_place(const struct conf_node *n)
{
    struct conf_origin at = n->origin;
    if (n->key_line) {
        at.line = n->key_line;
        at.col = n->key_col;
    }
    return at;
}

void conf_shaping_refuse(struct conf_shaping_reader *r, const struct conf_node *n,
                         const struct buf *why)
{
    conf_report_error(r->load->report, &n->origin, buf_slice(&r->path), "%.*s",
                      SLICE_ARG(buf_slice(why)));
}

void conf_shaping_refuse_shape(struct conf_shaping_reader *r, const struct conf_node *n,
                               const char *wanted)
{
    conf_report_error(r->load->report, &n->origin, buf_slice(&r->path), "is %s, must be %s",
                      conf_node_noun(n), wanted);
}

/* A key nobody knows; names: what may stand here, ends with an empty one. */
void conf_shaping_unknown(struct conf_shaping_reader *r, const struct conf_node *n,
                          const struct slice *names)
{
    struct conf_origin at = conf_shaping_key_place(n);
    struct slice near = {NULL, 0};
    struct buf text;
    size_t best = 2 + n->key.len / 5;
    buf_init(&text, WHY_BYTES_MAX);
    for (size_t i = 0; names[i].len; i++) {
        if (conf_suggest_nearer(n->key, names[i], &best)) {
            near = names[i];
        }
    }
    if (near.len) {
        buf_addf(&text, "did you mean %.*s?", SLICE_ARG(near));
    } else {
        buf_add(&text, SLICE("known here: "));
        for (size_t i = 0; names[i].len; i++) {
            buf_addf(&text, "%s%.*s", i ? ", " : "", SLICE_ARG(names[i]));
        }
    }
    size_t before = conf_shaping_path_push(r, n->key);
    conf_report_error(r->load->report, &at, buf_slice(&r->path), "unknown key; %.*s",
                      SLICE_ARG(buf_slice(&text)));
    conf_shaping_path_pop(r, before);
    buf_deinit(&text);
}

bool conf_shaping_is_unset(const struct conf_node *n)
{
    return n->kind == CONF_NODE_SCALAR &&
           (conf_node_is_null(n) || (n->plain && slice_eq(n->text, SLICE("unset"))));
}

/* ---- options ------------------------------------------------------------------------------- */

static void setting_put(struct conf_shaping_reader *r, struct conf_shaping_draft *d,
                        const struct conf_shaping_setting *s)
{
    struct conf_shaping_draft_setting **at = &d->settings;
    while (*at && (*at)->s.option < s->option) {
        at = &(*at)->next;
    }
    if (!*at || (*at)->s.option != s->option) {
        struct conf_shaping_draft_setting *made = conf_arena_take(r->scratch, sizeof(*made));
        made->next = *at;
        *at = made;
    }
    (*at)->s = *s;
}

static void wanted_add(struct buf *out, enum conf_shaping_option o, bool group)
{
    static const char *const nouns[] = {
        [CONF_SHAPING_COUNT] = "a whole number",
        [CONF_SHAPING_RATE] = "a rate like 100/s",
        [CONF_SHAPING_BYTES_RATE] = "a rate like 1MB/s",
        [CONF_SHAPING_DURATION] = "a duration",
        [CONF_SHAPING_WORD] = "a word",
    };
    buf_addf(out, "must be %s (", nouns[conf_shaping_rows[o].kind]);
    conf_shaping_range_add(out, o);
    buf_add(out, group ? SLICE(") or {limit: …}, or unset") : SLICE("), or unset"));
}

static bool scalar_read(const struct conf_node *n, enum conf_shaping_option o, bool group,
                        struct conf_shaping_value *v, struct buf *why)
{
    if (n->kind != CONF_NODE_SCALAR || n->text.len == 0) {
        buf_addf(why, n->kind == CONF_NODE_SCALAR ? "has no value, " : "is %s, ",
                 conf_node_noun(n));
        wanted_add(why, o, group);
        return false;
    }
    return conf_shaping_parse(o, n->text, v, why);
}

static bool shared_read(const struct conf_shaping_draft *d, const struct conf_node *n,
                        struct conf_shaping_value *v, struct buf *why)
{
    static const struct conf_key key = {.type = CONF_BOOL};
    union conf_value parsed;
    if (n->kind != CONF_NODE_SCALAR) {
        buf_addf(why, "is %s, must be true or false", conf_node_noun(n));
        return false;
    }
    if (!conf_value_parse(&key, n->text, &parsed, why)) {
        return false;
    }
    v->shared = parsed.number != 0;
    if (v->shared && d->scope != CONF_SHAPING_PROVIDER) {
        buf_add(why, SLICE("only the sites of a provider share a limit"));
        return false;
    }
    return true;
}

struct parts {
    const struct conf_shaping_draft *draft;
    enum conf_shaping_option option;
    struct conf_shaping_value *v;
    bool has_limit;
};

/* Everything but the limit. False: refused, the reason is in why; empty: an unknown name. */
static bool part_read(const struct parts *p, const struct conf_node *n, struct buf *why)
{
    bool rate = conf_shaping_is_rate(p->option);
    if (slice_eq(n->key, SLICE("shared"))) {
        return shared_read(p->draft, n, p->v, why);
    }
    if (!rate || !slice_eq(n->key, SLICE("burst"))) {
        return false;
    }
    if (n->kind != CONF_NODE_SCALAR) {
        buf_addf(why, "is %s, must be a whole number", conf_node_noun(n));
        return false;
    }
    /* Its range follows from the limit. */
    return !p->has_limit || conf_shaping_parse_burst(p->option, n->text, p->v, why);
}

static bool limit_read(struct conf_shaping_reader *r, struct parts *p, const struct conf_node *map,
                       struct buf *why)
{
    const struct conf_node *limit = conf_node_find(map, SLICE("limit"));
    if (!limit) {
        buf_add(why, SLICE("limit is missing"));
        conf_shaping_refuse(r, map, why);
        return false;
    }
    size_t before = conf_shaping_path_push(r, limit->key);
    p->has_limit = scalar_read(limit, p->option, false, p->v, why);
    if (!p->has_limit) {
        conf_shaping_refuse(r, limit, why);
    }
    conf_shaping_path_pop(r, before);
    return p->has_limit;
}

/* {limit: 100/s, burst: 10, shared: true} */
static bool parts_read(struct conf_shaping_reader *r, const struct conf_node *map, struct parts *p)
{
    const struct slice names[] = {SLICE("limit"), SLICE("shared"),
                                  conf_shaping_is_rate(p->option) ? SLICE("burst") : SLICE(""),
                                  SLICE("")};
    struct buf why;
    buf_init(&why, WHY_BYTES_MAX);
    bool ok = limit_read(r, p, map, &why);
    for (const struct conf_node *n = map->first; n; n = n->next) {
        buf_clear(&why);
        if (slice_eq(n->key, SLICE("limit")) || part_read(p, n, &why)) {
            continue;
        }
        ok = false;
        if (why.len == 0) {
            conf_shaping_unknown(r, n, names);
            continue;
        }
        size_t before = conf_shaping_path_push(r, n->key);
        conf_shaping_refuse(r, n, &why);
        conf_shaping_path_pop(r, before);
    }
    buf_deinit(&why);
    return ok;
}

void conf_shaping_read_option(struct conf_shaping_reader *r, struct conf_shaping_draft *d,
                              enum conf_shaping_option o, const struct conf_node *n)
{
    bool group = o < CONF_SHAPING_BUDGETS;
    struct conf_shaping_setting s = {.option = o, .at = n->origin};
    struct buf why;
    bool ok;
    buf_init(&why, WHY_BYTES_MAX);
    if (conf_shaping_is_unset(n)) {
        s.value.state = CONF_SHAPING_UNSET;
        ok = true;
    } else if (n->kind == CONF_NODE_MAP && group) {
        s.at = conf_shaping_key_place(n);
        struct parts p = {d, o, &s.value, false};
        ok = parts_read(r, n, &p);
    } else {
        ok = scalar_read(n, o, group, &s.value, &why);
        if (!ok) {
            conf_shaping_refuse(r, n, &why);
        }
    }
    if (ok) {
        setting_put(r, d, &s);
    }
    buf_deinit(&why);
}

bool conf_shaping_option_allowed(enum conf_shaping_option o, const struct conf_shaping_draft *d)
{
    return (conf_shaping_rows[o].scopes & 1u << d->scope) != 0;
}

/* The names of options, or of a group's, for messages; room for all and an end. */
void conf_shaping_option_names(const struct conf_shaping_draft *d, struct slice group,
                               struct slice out[CONF_SHAPING_NAMES_MAX])
{
    size_t n = 0;
    for (int o = 0; o < CONF_SHAPING_OPTIONS; o++) {
        const struct conf_shaping_row *row = &conf_shaping_rows[o];
        struct slice of = conf_shaping_option_group(row);
        struct slice name = group.len || !of.len ? conf_shaping_option_leaf(row) : of;
        bool mine = group.len == 0 || slice_eq(of, group);
        if (mine && conf_shaping_option_allowed((enum conf_shaping_option)o, d) &&
            (n == 0 || !slice_eq(out[n - 1], name))) {
            out[n++] = name;
        }
    }
    if (group.len == 0 && !d->parent && d->scope <= CONF_SHAPING_DOMAIN) {
        out[n++] = SLICE("sources");
    }
    if (group.len == 0 && d->scope == CONF_SHAPING_PROVIDER && !d->parent) {
        out[n++] = SLICE("match");
    }
    if (group.len == 0) {
        out[n++] = SLICE("replace");
    }
    out[n] = (struct slice){NULL, 0};
}

/* timeouts: {connect: 5s}; `timeouts: unset` means each of them. */
void conf_shaping_read_group(struct conf_shaping_reader *r, struct conf_shaping_draft *d,
                             const struct conf_node *map)
{
    struct slice names[CONF_SHAPING_NAMES_MAX];
    bool all = conf_shaping_is_unset(map);
    if (!all && map->kind != CONF_NODE_MAP) {
        conf_shaping_refuse_shape(r, map, "a group, or unset");
        return;
    }
    for (const struct conf_node *n = map->first; n; n = n->next) {
        bool known = false;
        for (int o = 0; o < CONF_SHAPING_OPTIONS && !known; o++) {
            const struct conf_shaping_row *row = &conf_shaping_rows[o];
            known = slice_eq(conf_shaping_option_group(row), map->key) &&
                    slice_eq(conf_shaping_option_leaf(row), n->key);
            if (known) {
                size_t before = conf_shaping_path_push(r, n->key);
                conf_shaping_read_option(r, d, (enum conf_shaping_option)o, n);
                conf_shaping_path_pop(r, before);
            }
        }
        if (!known) {
            conf_shaping_option_names(d, map->key, names);
            conf_shaping_unknown(r, n, names);
        }
    }
    for (int o = 0; o < CONF_SHAPING_OPTIONS && all; o++) {
        if (slice_eq(conf_shaping_option_group(&conf_shaping_rows[o]), map->key)) {
            conf_shaping_read_option(r, d, (enum conf_shaping_option)o, map);
        }
    }
}
