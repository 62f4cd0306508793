/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The fields, and how rules leave again: as YAML, as JSON Schema, as a table.
 */
#include "core/conf/automation.h"
#include "core/conf/print.h"

const struct conf_automation_row conf_automation_rows[CONF_AUTOMATION_FIELDS] = {
    [CONF_AUTOMATION_PROVIDER] = {SLICE_INIT("provider"), CONF_AUTOMATION_ONE, false,
                                  "Only replies of this provider of `shaping.providers`."},
    [CONF_AUTOMATION_CLASS] = {SLICE_INIT("class"), CONF_AUTOMATION_WORDS, true,
                               "Bounce classes. A rule: only replies of one of them. A row of "
                               "`classify`: the one that it gives."},
    [CONF_AUTOMATION_CODE] = {SLICE_INIT("code"), CONF_AUTOMATION_ONE, true,
                              "`421`, `45x`, `4xx`."},
    [CONF_AUTOMATION_ENHANCED] = {SLICE_INIT("enhanced"), CONF_AUTOMATION_ONE, true,
                                  "`4.7.28`, `4.7.x`, `x.1.1`."},
    [CONF_AUTOMATION_STAGE] = {SLICE_INIT("stage"), CONF_AUTOMATION_WORDS, true,
                               "Where the reply came: `banner`, `mail`, `rcpt`, `final-dot` …, as "
                               "`stage` in the log."},
    [CONF_AUTOMATION_PATTERN] = {SLICE_INIT("pattern"), CONF_AUTOMATION_ONE, true,
                                 "A regular expression (PCRE2), somewhere in the normalised text; "
                                 "letters match in any case."},
    [CONF_AUTOMATION_SAMPLE] = {SLICE_INIT("sample"), CONF_AUTOMATION_LINES, true,
                                "Replies that it is for, as the peer sends them: "
                                "`421 4.7.0 Try later`. At least one. Each is tried."},
    [CONF_AUTOMATION_SCOPE] = {SLICE_INIT("scope"), CONF_AUTOMATION_ONE, false,
                               "For whom: `source`, `tenant`, `campaign`, `dkim`, with `@site` or "
                               "`@provider`, or for everybody `site`, `provider`."},
    [CONF_AUTOMATION_TRIGGER] = {SLICE_INIT("trigger"), CONF_AUTOMATION_ONE, false,
                                 "`3/10m`: so many such replies in so long, for one scope. Unset: "
                                 "the first."},
    [CONF_AUTOMATION_ACTION] = {SLICE_INIT("action"), CONF_AUTOMATION_ONE, false,
                                "`rate`, `connections`, `messages_per_connection`, `suspend`, "
                                "`bounce`, `reroute`, `fail`."},
    [CONF_AUTOMATION_VALUE] = {SLICE_INIT("value"), CONF_AUTOMATION_ONE, false,
                               "A share of what was (`50%`) or a limit (`10/min`, `2`); of "
                               "`reroute` the name of a source."},
    [CONF_AUTOMATION_DURATION] = {SLICE_INIT("duration"), CONF_AUTOMATION_ONE, false,
                                  "How long (1s to 30d, `30m`). Of a reduction: how long no such "
                                  "reply must come until it grows."},
    [CONF_AUTOMATION_STEP] = {SLICE_INIT("step"), CONF_AUTOMATION_ONE, false,
                              "By how much of the whole a reduction grows at once (`10%`) …"},
    [CONF_AUTOMATION_EVERY] = {SLICE_INIT("every"), CONF_AUTOMATION_ONE, false,
                               "… and how often (a fifth of the duration)."},
};

/* ---- YAML ---------------------------------------------------------------------------------- */

/* Several words or lines as one text: read again it is the same. */
static void fields_add(struct buf *out, const struct conf_automation_entry *e)
{
    const char *comma = "{";
    for (int f = 0; f < CONF_AUTOMATION_FIELDS; f++) {
        if (e->fields[f].len) {
            buf_addf(out, "%s%.*s: ", comma, SLICE_ARG(conf_automation_rows[f].name));
            conf_quote_add(out, e->fields[f]);
            comma = ", ";
        }
    }
    buf_add(out, *comma == '{' ? SLICE("{}") : SLICE("}"));
}

void conf_automation_print(const struct conf_automation *a, struct buf *out)
{
    buf_add(out, a->rule_count ? SLICE("  rules:\n") : SLICE(""));
    for (size_t i = 0; i < a->rule_count; i++) {
        buf_add(out, SLICE("    "));
        conf_quote_add(out, a->rules[i].name);
        buf_add(out, SLICE(": "));
        if (a->rules[i].unset) {
            buf_add(out, SLICE("unset"));
        } else {
            fields_add(out, &a->rules[i]);
        }
        buf_add_byte(out, '\n');
    }
    buf_add(out, a->classify_count ? SLICE("  classify:\n") : SLICE(""));
    for (size_t i = 0; i < a->classify_count; i++) {
        buf_add(out, SLICE("    - "));
        fields_add(out, &a->classify[i]);
        buf_add_byte(out, '\n');
    }
}

/* ---- JSON Schema --------------------------------------------------------------------------- */

static void schema_fields_add(struct buf *out, bool classify)
{
    static const char *const types[] = {
        [CONF_AUTOMATION_ONE] = "\"type\": [\"string\", \"integer\"]",
        [CONF_AUTOMATION_WORDS] =
            "\"type\": [\"string\", \"array\"], \"items\": {\"type\": \"string\"}",
        [CONF_AUTOMATION_LINES] =
            "\"type\": [\"string\", \"array\"], \"items\": {\"type\": \"string\"}",
    };
    const char *comma = "";
    buf_add(out,
            SLICE("{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {"));
    for (int f = 0; f < CONF_AUTOMATION_FIELDS; f++) {
        const struct conf_automation_row *row = &conf_automation_rows[f];
        if (classify && !row->classify) {
            continue;
        }
        buf_add(out, slice_str(comma));
        conf_quote_add(out, row->name);
        buf_add(out, SLICE(": {\"description\": "));
        conf_quote_add(out, slice_str(row->doc));
        buf_addf(out, ", %s}", types[row->shape]);
        comma = ", ";
    }
    buf_add(out, SLICE("}}"));
}

static void schema_indent(struct buf *out, unsigned depth)
{
    buf_add(out, SLICE(",\n"));
    for (unsigned i = 0; i < depth; i++) {
        buf_add(out, SLICE("  "));
    }
}

void conf_automation_print_schema(struct buf *out, unsigned depth)
{
    schema_indent(out, depth);
    buf_add(out, SLICE("\"rules\": {\"type\": [\"object\", \"null\"], \"additionalProperties\": "
                       "{\"anyOf\": [{\"enum\": [null, \"unset\"]}, "));
    schema_fields_add(out, false);
    buf_add(out, SLICE("]}}"));
    schema_indent(out, depth);
    buf_add(out, SLICE("\"classify\": {\"type\": [\"array\", \"null\"], \"items\": "));
    schema_fields_add(out, true);
    buf_add_byte(out, '}');
}

/* ---- documentation ------------------------------------------------------------------------- */

void conf_automation_print_fields(struct buf *out)
{
    buf_add(out, SLICE("| Field | In | |\n|---|---|---|\n"));
    for (int f = 0; f < CONF_AUTOMATION_FIELDS; f++) {
        const struct conf_automation_row *row = &conf_automation_rows[f];
        buf_addf(out, "| `%.*s` | %s | %s |\n", SLICE_ARG(row->name),
                 row->classify ? "rules, classify" : "rules", row->doc);
    }
}
