/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The rules' part of the JSON Schema. Everything may also be null or "unset"; what a name or a rate may
 * be exactly is judged by `ringpost check` alone.
 */
#include "core/conf/print.h"
#include "core/conf/shaping_option.h"
#include "core/conf/value.h"

#define SCHEMA_UNSET "{\"enum\": [null, \"unset\"]}"
#define SCHEMA_RATE "{\"type\": \"string\", \"pattern\": \"^[0-9].*/[0-9]*(s|min|h|day)$\"}"

static void value_add(struct buf *out, enum conf_shaping_option o)
{
    if (conf_shaping_is_rate(o)) {
        buf_add(out, SLICE(SCHEMA_RATE));
        return;
    }
    struct conf_key key = conf_shaping_key(o);
    struct slice rest = slice_str(key.choices);
    if (key.type == CONF_COUNT) {
        buf_addf(out, "{\"type\": \"integer\", \"minimum\": %llu, \"maximum\": %llu}",
                 (unsigned long long)key.min, (unsigned long long)key.max);
    } else if (key.type == CONF_DURATION) {
        buf_add(out, SLICE("{\"type\": \"string\", \"pattern\": \"^[0-9]+[a-z0-9]+$\"}"));
    } else {
        buf_add(out, SLICE("{\"enum\": ["));
        while (rest.len) {
            conf_quote_add(out, slice_cut(&rest, '|'));
            buf_add(out, rest.len ? SLICE(", ") : SLICE("]}"));
        }
    }
}

static void option_add(struct buf *out, enum conf_shaping_option o)
{
    conf_quote_add(out, conf_shaping_option_leaf(&conf_shaping_rows[o]));
    buf_add(out, SLICE(": {\"description\": "));
    conf_quote_add(out, slice_str(conf_shaping_rows[o].doc));
    buf_add(out, SLICE(", \"anyOf\": [" SCHEMA_UNSET ", "));
    value_add(out, o);
    if (o < CONF_SHAPING_BUDGETS) {
        buf_add(out,
                SLICE(", {\"type\": \"object\", \"additionalProperties\": false, \"required\": "
                      "[\"limit\"], \"properties\": {\"limit\": "));
        value_add(out, o);
        buf_add(out, SLICE(", \"shared\": {\"type\": \"boolean\"}"));
        buf_add(out, conf_shaping_is_rate(o) ? SLICE(", \"burst\": {\"type\": [\"integer\", "
                                                     "\"string\"]}")
                                             : SLICE(""));
        buf_add(out, SLICE("}}"));
    }
    buf_add(out, SLICE("]}"));
}

static void options_add(struct buf *out, enum conf_shaping_scope scope)
{
    struct slice open = {NULL, 0};
    const char *comma = "";
    for (int i = 0; i < CONF_SHAPING_OPTIONS; i++) {
        enum conf_shaping_option o = (enum conf_shaping_option)i;
        struct slice group = conf_shaping_option_group(&conf_shaping_rows[o]);
        if (!(conf_shaping_rows[o].scopes & 1u << scope)) {
            continue;
        }
        if (open.len && !slice_eq(open, group)) {
            buf_add(out, SLICE("}}]}"));
        }
        buf_add(out, slice_str(comma));
        if (group.len && !slice_eq(open, group)) {
            conf_quote_add(out, group);
            buf_add(out, SLICE(": {\"anyOf\": [" SCHEMA_UNSET ", {\"type\": \"object\", "
                               "\"additionalProperties\": false, \"properties\": {"));
        }
        option_add(out, o);
        open = group;
        comma = ", ";
    }
    buf_add(out, open.len ? SLICE("}}]}") : SLICE(""));
    buf_add(out, SLICE(", \"replace\": {\"type\": \"boolean\"}"));
}

static void match_add(struct buf *out)
{
    buf_add(out, SLICE(", \"match\": {\"type\": \"object\", \"additionalProperties\": false, "
                       "\"properties\": {"));
    for (int kind = 0; kind < CONF_SHAPING_MATCHES; kind++) {
        buf_add(out, kind ? SLICE(", ") : SLICE(""));
        conf_quote_add(out, conf_shaping_match_names[kind]);
        buf_add(out, SLICE(": {\"type\": [\"string\", \"array\", \"null\"], \"items\": {\"type\": "
                           "\"string\"}}"));
    }
    buf_add(out, SLICE("}}"));
}

/* nested: for one source inside another rule. */
/* NOLINTNEXTLINE(misc-no-recursion): sources of a rule have none */
static void rule_add(struct buf *out, enum conf_shaping_scope scope, bool nested)
{
    buf_add(out, SLICE("{\"anyOf\": [" SCHEMA_UNSET ", {\"type\": \"object\", "
                       "\"additionalProperties\": false, \"properties\": {"));
    options_add(out, scope);
    if (scope == CONF_SHAPING_PROVIDER && !nested) {
        match_add(out);
    }
    if (scope <= CONF_SHAPING_DOMAIN && !nested) {
        buf_add(out, SLICE(", \"sources\": {\"type\": [\"object\", \"null\"], "
                           "\"additionalProperties\": "));
        rule_add(out, scope, true);
        buf_add_byte(out, '}');
    }
    buf_add(out, SLICE("}}]}"));
}

void conf_shaping_print_schema(struct buf *out, unsigned depth)
{
    for (int scope = 0; scope < CONF_SHAPING_SCOPES; scope++) {
        buf_add(out, SLICE(",\n"));
        for (unsigned i = 0; i < depth; i++) {
            buf_add(out, SLICE("  "));
        }
        conf_quote_add(out, conf_shaping_scope_names[scope]);
        buf_add(out, SLICE(": "));
        if (scope == CONF_SHAPING_DEFAULT) {
            rule_add(out, CONF_SHAPING_DEFAULT, false);
            continue;
        }
        buf_add(out, SLICE("{\"type\": [\"object\", \"null\"], \"additionalProperties\": "));
        rule_add(out, (enum conf_shaping_scope)scope, false);
        buf_add_byte(out, '}');
    }
}
