/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Rules as YAML. One line per rule, in flow form, so that a long list stays readable and greppable.
 */
#include "core/conf/print.h"
#include "core/conf/shaping_option.h"

static void comma_add(struct buf *out, bool *first)
{
    buf_add(out, *first ? SLICE("") : SLICE(", "));
    *first = false;
}

static void match_add(struct buf *out, const struct conf_shaping_rule *rule, bool *first)
{
    bool inner = true;
    size_t start = out->len;
    bool outer = *first;
    comma_add(out, first);
    buf_add(out, SLICE("match: {"));
    for (int kind = 0; kind < CONF_SHAPING_MATCHES; kind++) {
        const struct conf_names *names = &rule->match[kind];
        bool unset = (rule->match_unset & 1u << kind) != 0;
        if (names->count == 0 && !unset) {
            continue;
        }
        comma_add(out, &inner);
        buf_addf(out, "%.*s: %s", SLICE_ARG(conf_shaping_match_names[kind]), unset ? "unset" : "[");
        for (size_t i = 0; i < names->count; i++) {
            buf_addf(out, "%s\"%.*s\"", i ? ", " : "", SLICE_ARG(names->items[i]));
        }
        buf_add(out, unset ? SLICE("") : SLICE("]"));
    }
    buf_add_byte(out, '}');
    if (inner) {
        out->len = start;
        *first = outer;
    }
}

static void settings_add(struct buf *out, const struct conf_shaping_rule *rule, bool *first)
{
    struct slice open = {NULL, 0};
    for (size_t i = 0; i < rule->count; i++) {
        const struct conf_shaping_setting *s = &rule->settings[i];
        const struct conf_shaping_row *row = &conf_shaping_rows[s->option];
        struct slice group = conf_shaping_option_group(row);
        bool same = group.len && slice_eq(group, open);
        if (open.len && !same) {
            buf_add_byte(out, '}');
        }
        comma_add(out, first);
        if (group.len && !same) {
            buf_addf(out, "%.*s: {", SLICE_ARG(group));
        }
        open = group;
        buf_addf(out, "%.*s: ", SLICE_ARG(conf_shaping_option_leaf(row)));
        conf_shaping_value_add(out, s->option, &s->value);
    }
    buf_add(out, open.len ? SLICE("}") : SLICE(""));
}

/* NOLINTNEXTLINE(misc-no-recursion): sources of a rule have none */
static void rule_add(struct buf *out, const struct conf_shaping_rule *rule)
{
    bool first = true;
    buf_add_byte(out, '{');
    if (rule->replaces) {
        comma_add(out, &first);
        buf_add(out, SLICE("replace: true"));
    }
    match_add(out, rule, &first);
    settings_add(out, rule, &first);
    if (rule->sources.count) {
        comma_add(out, &first);
        buf_add(out, SLICE("sources: {"));
    }
    for (size_t i = 0; i < rule->sources.count; i++) {
        buf_add(out, i ? SLICE(", ") : SLICE(""));
        conf_quote_add(out, rule->sources.items[i].name);
        buf_add(out, SLICE(": "));
        rule_add(out, &rule->sources.items[i]); /* one level */
    }
    buf_add(out, rule->sources.count ? SLICE("}}") : SLICE("}"));
}

static bool base_says(const struct conf_shaping_rule *base)
{
    return base->count || base->sources.count || base->replaces;
}

void conf_shaping_print(const struct conf_shaping *s, struct buf *out)
{
    if (base_says(&s->base)) {
        buf_add(out, SLICE("  default: "));
        rule_add(out, &s->base);
        buf_add_byte(out, '\n');
    }
    for (int scope = CONF_SHAPING_DEFAULT + 1; scope < CONF_SHAPING_SCOPES; scope++) {
        const struct conf_shaping_rules *rules = &s->by[scope];
        size_t removed = scope == CONF_SHAPING_PROVIDER ? s->removed.count : 0;
        if (rules->count + removed) {
            buf_addf(out, "  %.*s:\n", SLICE_ARG(conf_shaping_scope_names[scope]));
        }
        for (size_t i = 0; i < rules->count; i++) {
            buf_add(out, SLICE("    "));
            conf_quote_add(out, rules->items[i].name);
            buf_add(out, SLICE(": "));
            rule_add(out, &rules->items[i]);
            buf_add_byte(out, '\n');
        }
        for (size_t i = 0; i < removed; i++) {
            buf_add(out, SLICE("    "));
            conf_quote_add(out, s->removed.items[i].name);
            buf_add(out, SLICE(": unset\n"));
        }
    }
}
