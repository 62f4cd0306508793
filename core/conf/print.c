/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/conf/print.h"
#include "core/conf/automation.h"
#include "core/conf/shaping.h"
#include "core/base/must.h"
#include "core/base/utf8.h"
#include "core/conf/value.h"

enum { VALUE_BYTES_MAX = 64 * 1024, LINE_COLUMNS = 96 };

struct list_field {
    const char *items;
    size_t count;
};

void conf_quote_add(struct buf *out, struct slice text)
{
    buf_add_byte(out, '"');
    for (size_t i = 0; i < text.len;) {
        unsigned char c = (unsigned char)text.ptr[i];
        size_t n = utf8_sequence(slice_skip(text, i));
        if (c == '"' || c == '\\') {
            buf_add_byte(out, '\\');
            buf_add_byte(out, (char)c);
        } else if (n == 0 || c < 0x20 || c == 0x7f) {
            buf_addf(out, "\\u%04x", c);
        } else {
            buf_add(out, slice_of(text.ptr + i, n));
        }
        i += n ? n : 1;
    }
    buf_add_byte(out, '"');
}

static void value_add(struct buf *out, const struct conf_key *key, const union conf_value *v)
{
    struct buf text;
    buf_init(&text, VALUE_BYTES_MAX);
    conf_value_print(key, v, &text);
    if (conf_type_prints_plain(key->type)) {
        buf_add(out, buf_slice(&text));
    } else {
        conf_quote_add(out, buf_slice(&text));
    }
    buf_deinit(&text);
}

void conf_key_value_add(struct buf *out, const struct conf_key *key, const void *base)
{
    union conf_value v;
    const char *field = (const char *)base + key->offset;
    if (key->flags & CONF_SECRET) {
        conf_value_load(key, field, key->size, &v);
        conf_quote_add(out, v.text.len ? SLICE("(redacted)") : SLICE(""));
        return;
    }
    if (key->shape == CONF_ONE) {
        conf_value_load(key, field, key->size, &v);
        value_add(out, key, &v);
        return;
    }
    struct list_field list;
    size_t item_size = conf_value_item_size(key->type);
    must(key->size == sizeof(list));
    memcpy(&list, field, sizeof(list));
    buf_add_byte(out, '[');
    for (size_t i = 0; i < list.count; i++) {
        conf_value_load(key, list.items + i * item_size, item_size, &v);
        buf_add(out, i ? SLICE(", ") : SLICE(""));
        value_add(out, key, &v);
    }
    buf_add_byte(out, ']');
}

static void default_item_add(struct buf *out, const struct conf_key *key, struct slice text)
{
    union conf_value v;
    struct buf why;
    buf_init(&why, 1024);
    must(conf_value_parse(key, text, &v, &why));
    value_add(out, key, &v);
    buf_deinit(&why);
}

void conf_key_default_add(struct buf *out, const struct conf_key *key)
{
    struct slice rest = slice_str(key->fallback);
    if (key->shape == CONF_ONE) {
        default_item_add(out, key, rest);
        return;
    }
    buf_add_byte(out, '[');
    while (rest.len) {
        default_item_add(out, key, slice_cut(&rest, ','));
        buf_add(out, rest.len ? SLICE(", ") : SLICE(""));
    }
    buf_add_byte(out, ']');
}

/* ---- YAML ---------------------------------------------------------------------------------- */

static void list_group_add(const struct conf_table *t, const struct conf_group *g, const void *conf,
                           struct buf *out)
{
    struct list_field list;
    memcpy(&list, (const char *)conf + g->offset, sizeof(list));
    for (size_t i = 0; i < list.count; i++) {
        const char *lead = "  - ";
        for (size_t k = 0; k < t->key_count; k++) {
            if (conf_key_group(t, &t->keys[k]) == g) {
                buf_addf(out, "%s%.*s: ", lead, SLICE_ARG(conf_key_leaf(&t->keys[k])));
                conf_key_value_add(out, &t->keys[k], list.items + i * g->item_size);
                buf_add_byte(out, '\n');
                lead = "    ";
            }
        }
    }
}

/* What stands in a group behind its keys; c: NULL in a test's table. */
static void rules_add(const struct conf *c, const struct conf_group *g, struct buf *out)
{
    if (c && g && slice_eq(g->name, SLICE("shaping"))) {
        conf_shaping_print(c->shaping.rules, out);
    } else if (c && g && slice_eq(g->name, SLICE("automation"))) {
        conf_automation_print(c->automation.rules, out);
    }
}

static void yaml_add(const struct conf_table *t, const void *conf, const struct conf *rules,
                     struct buf *out)
{
    const struct conf_group *open = NULL;
    for (size_t i = 0; i < t->key_count; i++) {
        const struct conf_key *key = &t->keys[i];
        const struct conf_group *g = conf_key_group(t, key);
        bool first = g && g != open;
        if (g != open) {
            rules_add(rules, open, out);
        }
        open = g;
        if (first) {
            buf_addf(out, "%.*s:\n", SLICE_ARG(g->name));
        }
        if (g && conf_group_is_list(g)) {
            if (first) {
                list_group_add(t, g, conf, out);
            }
            continue;
        }
        buf_addf(out, "%s%.*s: ", g ? "  " : "", SLICE_ARG(conf_key_leaf(key)));
        conf_key_value_add(out, key, conf);
        buf_add_byte(out, '\n');
    }
    rules_add(rules, open, out);
}

void conf_print_yaml_table(const struct conf_table *t, const void *conf, struct buf *out)
{
    yaml_add(t, conf, NULL, out);
}

void conf_print_yaml(const struct conf *c, struct buf *out)
{
    if (c->profile.len) {
        buf_addf(out, "# profile: %.*s\n", SLICE_ARG(c->profile));
    }
    yaml_add(&conf_table, c, c, out);
}

/* ---- the commented defaults ---------------------------------------------------------------- */

/* "# …" lines, broken between words. */
static void comment_add(struct buf *out, const char *indent, struct slice text)
{
    size_t column = 0;
    while (text.len) {
        struct slice word = slice_cut(&text, ' ');
        if (column && column + 1 + word.len > LINE_COLUMNS) {
            buf_add_byte(out, '\n');
            column = 0;
        }
        if (column == 0) {
            buf_addf(out, "%s#", indent);
            column = slice_str(indent).len + 1;
        }
        buf_add_byte(out, ' ');
        buf_add(out, word);
        column += word.len + 1;
    }
    buf_add_byte(out, '\n');
}

static void key_comment_add(struct buf *out, const char *indent, const struct conf_key *key)
{
    struct buf text, range;
    buf_init(&text, 4096);
    buf_init(&range, 1024);
    buf_add(&text, slice_str(key->doc));
    if (key->type == CONF_ENUM) {
        conf_choices_add(&range, key->choices);
    } else {
        conf_range_add(&range, key);
    }
    if (range.len) {
        buf_addf(&text, " (%.*s%s%s)", SLICE_ARG(buf_slice(&range)), key->unit ? " " : "",
                 key->unit ? key->unit : "");
    }
    if (key->empty) {
        buf_addf(&text, " Empty: %s.", key->empty);
    }
    comment_add(out, indent, buf_slice(&text));
    buf_deinit(&text);
    buf_deinit(&range);
}

void conf_print_defaults(struct buf *out)
{
    const struct conf_table *t = &conf_table;
    const struct conf_group *open = NULL;
    comment_add(out, "", SLICE("Ringpost: every key with its default. Any key may be left out."));
    for (size_t i = 0; i < t->key_count; i++) {
        const struct conf_key *key = &t->keys[i];
        const struct conf_group *g = conf_key_group(t, key);
        bool list = g && conf_group_is_list(g);
        const char *indent = list ? "    " : g ? "  " : "";
        const char *lead = indent;
        bool none = list && g->items_min == 0; /* an empty list, and its items as an example */
        if (g != open || !g) {
            buf_add_byte(out, '\n');
        }
        if (g && g != open) {
            comment_add(out, "", slice_str(g->doc));
            buf_addf(out, none ? "%.*s: []\n" : "%.*s:\n", SLICE_ARG(g->name));
            lead = none ? "#  - " : list ? "  - " : indent;
        } else if (none) {
            lead = "#    ";
        }
        open = g;
        key_comment_add(out, indent, key);
        buf_addf(out, "%s%.*s: ", lead, SLICE_ARG(conf_key_leaf(key)));
        conf_key_default_add(out, key);
        buf_add_byte(out, '\n');
    }
}
