/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * JSON Schema, draft 2020-12. It says what a schema can say; names, addresses, networks and the
 * relations between keys are judged by `ringpost check` alone.
 */
#include "core/base/must.h"
#include "core/conf/print.h"
#include "core/conf/automation.h"
#include "core/conf/shaping.h"
#include "core/conf/value.h"

static void indent_add(struct buf *out, unsigned depth)
{
    buf_add_byte(out, '\n');
    for (unsigned i = 0; i < depth; i++) {
        buf_add(out, SLICE("  "));
    }
}

static void choices_add(struct buf *out, const char *choices)
{
    struct slice rest = slice_str(choices);
    buf_add(out, SLICE("\"enum\": ["));
    while (rest.len) {
        struct slice choice = slice_cut(&rest, '|');
        conf_quote_add(out, choice);
        uint64_t number;
        if (slice_to_u64(choice, &number)) { /* YAML reads 554 as a number */
            buf_addf(out, ", %.*s", SLICE_ARG(choice));
        }
        buf_add(out, rest.len ? SLICE(", ") : SLICE(""));
    }
    buf_add_byte(out, ']');
}

static void range_add(struct buf *out, const struct conf_key *key)
{
    buf_addf(out, "\"type\": \"integer\", \"minimum\": %llu, \"maximum\": %llu",
             (unsigned long long)key->min, (unsigned long long)key->max);
    if (key->flags & CONF_MULTIPLE_1M) {
        buf_add(out, SLICE(", \"multipleOf\": 1048576"));
    }
}

/* What one value may be; without braces. */
static void type_add(struct buf *out, const struct conf_key *key)
{
    bool zero = (key->flags & CONF_ZERO_OFF) != 0;
    switch (key->type) {
    case CONF_BOOL:
        buf_add(out, SLICE("\"type\": \"boolean\""));
        return;
    case CONF_COUNT:
    case CONF_PORT:
        if (!zero) {
            range_add(out, key);
            return;
        }
        buf_add(out, SLICE("\"anyOf\": [{\"const\": 0}, {"));
        range_add(out, key);
        buf_add(out, SLICE("}]"));
        return;
    case CONF_SIZE:
        buf_addf(out, "\"anyOf\": [%s{", zero ? "{\"const\": 0}, " : "");
        range_add(out, key);
        buf_add(out, SLICE("}, {\"type\": \"string\", \"pattern\": "
                           "\"^[0-9]+( ?([KkMmGgTt][Ii]?)?[Bb])?$\"}]"));
        return;
    case CONF_DURATION:
        buf_addf(out,
                 "\"anyOf\": [%s{\"type\": \"string\", \"pattern\": "
                 "\"^(0|([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$\", "
                 "\"minLength\": 1}]",
                 zero ? "{\"const\": 0}, " : "");
        return;
    case CONF_ENUM:
        choices_add(out, key->choices);
        return;
    case CONF_TEXT:
    case CONF_DOMAIN:
    case CONF_EHLO_NAME:
    case CONF_PATH:
    case CONF_FIELD_NAME:
    case CONF_LABEL:
    case CONF_MAILBOX:
        buf_addf(out, "\"type\": \"string\", \"minLength\": %d, \"maxLength\": %llu",
                 key->flags & CONF_EMPTY_OK ? 0 : 1, (unsigned long long)key->max);
        return;
    case CONF_ADDRESS:
    case CONF_ADDRESS4:
    case CONF_ADDRESS6:
    case CONF_NET:
    case CONF_ENDPOINT:
    case CONF_RELAY_HOST:
    case CONF_WEIGHT:
    case CONF_EGRESS_PROXY:
    case CONF_WARMUP_DAYS:
        buf_addf(out, "\"type\": \"string\", \"minLength\": %d",
                 key->flags & CONF_EMPTY_OK ? 0 : 1);
        return;
    }
}

static void list_add(struct buf *out, const struct conf_key *key)
{
    buf_addf(out, "\"type\": \"array\", \"minItems\": %u, \"maxItems\": %u, \"items\": {",
             key->items_min, key->items_max);
    type_add(out, key);
    buf_add_byte(out, '}');
}

/* Sizes and durations are strings in JSON: their plain YAML form is not a JSON value. */
static void default_add(struct buf *out, const struct conf_key *key)
{
    bool json = conf_type_is_number(key->type) || key->type == CONF_BOOL ||
                !conf_type_prints_plain(key->type);
    if (json) {
        conf_key_default_add(out, key);
        return;
    }
    struct slice rest = slice_str(key->fallback);
    if (key->shape == CONF_ONE) {
        conf_quote_add(out, rest);
        return;
    }
    buf_add_byte(out, '[');
    while (rest.len) {
        conf_quote_add(out, slice_cut(&rest, ','));
        buf_add(out, rest.len ? SLICE(", ") : SLICE(""));
    }
    buf_add_byte(out, ']');
}

static void key_add(struct buf *out, const struct conf_key *key, unsigned depth)
{
    conf_quote_add(out, conf_key_leaf(key));
    buf_add(out, SLICE(": {"));
    indent_add(out, depth + 1);
    buf_add(out, SLICE("\"description\": "));
    conf_quote_add(out, slice_str(key->doc));
    buf_add_byte(out, ',');
    indent_add(out, depth + 1);
    if (key->shape == CONF_ONE) {
        type_add(out, key);
    } else if (key->shape == CONF_LIST) {
        list_add(out, key);
    } else {
        buf_add(out, SLICE("\"anyOf\": [{"));
        type_add(out, key);
        buf_add(out, SLICE("}, {"));
        list_add(out, key);
        buf_add(out, SLICE("}]"));
    }
    if (!(key->flags & CONF_SECRET)) {
        buf_add_byte(out, ',');
        indent_add(out, depth + 1);
        buf_add(out, SLICE("\"default\": "));
        default_add(out, key);
    }
    indent_add(out, depth);
    buf_add_byte(out, '}');
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the table of groups */
static void members_add(struct buf *out, const struct conf_table *t, const struct conf_group *g,
                        unsigned depth)
{
    const char *comma = "";
    buf_add(out, SLICE("\"additionalProperties\": false,"));
    indent_add(out, depth);
    buf_add(out, SLICE("\"properties\": {"));
    for (size_t i = 0; i < t->key_count; i++) {
        if (conf_key_group(t, &t->keys[i]) == g) {
            buf_add(out, slice_str(comma));
            indent_add(out, depth + 1);
            key_add(out, &t->keys[i], depth + 1);
            comma = ",";
        }
    }
    if (g && slice_eq(g->name, SLICE("shaping"))) {
        conf_shaping_print_schema(out, depth + 1);
    }
    if (g && slice_eq(g->name, SLICE("automation"))) {
        conf_automation_print_schema(out, depth + 1);
    }
    for (size_t i = 0; !g && i < t->group_count; i++) {
        const struct conf_group *child = &t->groups[i];
        bool list = conf_group_is_list(child);
        buf_add(out, slice_str(comma));
        indent_add(out, depth + 1);
        conf_quote_add(out, child->name);
        buf_add(out, SLICE(": {"));
        indent_add(out, depth + 2);
        buf_add(out, SLICE("\"description\": "));
        conf_quote_add(out, slice_str(child->doc));
        buf_add_byte(out, ',');
        indent_add(out, depth + 2);
        if (list) {
            buf_addf(out, "\"type\": [\"array\", \"null\"], \"minItems\": %u, \"maxItems\": %u,",
                     child->items_min, child->items_max);
            indent_add(out, depth + 2);
            buf_add(out, SLICE("\"items\": {\"type\": \"object\", "));
        } else {
            buf_add(out, SLICE("\"type\": [\"object\", \"null\"],"));
            indent_add(out, depth + 2);
        }
        members_add(out, t, child, depth + 2); /* one level: groups hold no groups */
        buf_add(out, list ? SLICE("}") : SLICE(""));
        indent_add(out, depth + 1);
        buf_add_byte(out, '}');
        comma = ",";
    }
    indent_add(out, depth);
    buf_add_byte(out, '}');
}

void conf_print_schema(struct buf *out)
{
    buf_add(out, SLICE("{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
                       "  \"title\": \"ringpost.yaml\",\n  \"type\": [\"object\", \"null\"],\n  "));
    members_add(out, &conf_table, NULL, 1);
    buf_add(out, SLICE("\n}\n"));
}
