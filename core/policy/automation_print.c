/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/automation_print.h"
#include "core/conf/automation.h"
#include "core/policy/automation_rules.h"

static const char head[] =
    "<!-- Made by `ringpost config --automation` from core/conf/automation.c and\n"
    "core/policy/automation_builtin.inc. Do not edit. -->\n"
    "# Rules of automation: fields, classes, built-in rules\n\n"
    "What they do, and how to write them: [AUTOMATION.md](AUTOMATION.md).\n\n"
    "## Fields\n\n";

/* A bar would end the cell. */
static void cell_add(struct buf *out, struct slice text, bool code)
{
    buf_add(out, text.len == 0 ? SLICE(" |") : code ? SLICE(" `") : SLICE(" "));
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '|') {
            buf_add_byte(out, '\\');
        }
        buf_add_byte(out, text.ptr[i]);
    }
    if (text.len) {
        buf_add(out, code ? SLICE("` |") : SLICE(" |"));
    }
}

static void rule_add(struct buf *out, const struct automation_row *row)
{
    struct slice samples = row->match.sample;
    struct slice sample = slice_cut(&samples, '\n');
    buf_add(out, SLICE("|"));
    cell_add(out, row->name, true);
    cell_add(out, row->provider.len ? row->provider : SLICE("all"), false);
    cell_add(out, row->scope, false);
    cell_add(out, row->trigger.len ? row->trigger : SLICE("at once"), false);
    cell_add(out, row->action, false);
    cell_add(out, row->value, false);
    cell_add(out, row->duration, false);
    cell_add(out, sample, true);
    buf_add_byte(out, '\n');
}

void automation_print(struct buf *out)
{
    const struct automation_rows rows = automation_builtin();
    buf_add(out, slice_str(head));
    conf_automation_print_fields(out);
    buf_add(out, SLICE("\n## Bounce classes\n\n"));
    for (int i = 0; i < BOUNCE_CLASSES; i++) {
        buf_addf(out, "%s`%.*s`", i ? ", " : "",
                 SLICE_ARG(bounce_class_name((enum bounce_class)i)));
    }
    buf_add(out,
            SLICE(".\n\n## Built-in rules\n\nThe sample is the first of those that each is tried "
                  "on.\n\n| Rule | Provider | Scope | Trigger | Action | Value | Duration | "
                  "Sample |\n|---|---|---|---|---|---|---|---|\n"));
    for (size_t i = 0; i < rows.count; i++) {
        rule_add(out, &rows.items[i]);
    }
}
