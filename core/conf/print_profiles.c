/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * docs/PROFILES.md, from the tables that the loader reads: what stands there is what happens.
 */
#include "core/base/must.h"
#include "core/conf/conf.h"
#include "core/conf/profile_tables.h"

static const char preface[] =
    "<!-- Made by `ringpost config --profiles` from core/conf/profile_*.c. Do not edit. -->\n"
    "# Profiles\n"
    "\n"
    "Ringpost takes the place of other mail images: change the image's name, keep its variables and\n"
    "mounted files. A profile translates them into Ringpost's keys ([CONFIG.md](CONFIG.md));\n"
    "`ringpost config` prints what came out, with the profile in its first line.\n"
    "\n"
    "**Which profile:** `RINGPOST_PROFILE` (or `MTA_PROFILE`) names it; `native` is none. Without it\n"
    "the variables that are set decide, those with a ● below, or files in a profile's folder.\n"
    "`RELAYHOST` alone is profile 000. Settings of two profiles at once are an error that lists them.\n"
    "With nothing of all this Ringpost is native: only `ringpost.yaml` and `RINGPOST_*`.\n"
    "\n"
    "**Order**, later wins: the profile's defaults, its low-level files, `ringpost.yaml` and\n"
    "`conf.d/*.yaml`, its variables, `RINGPOST_*`, `--set`. So every key can be changed under a\n"
    "profile too.\n"
    "\n"
    "**Values:** an empty variable is not set. A variable with a secret (marked `_FILE`) may come as\n"
    "`NAME_FILE`, the path of a file that holds it; both together are an error. Variables that\n"
    "Kubernetes makes for Services (`…_SERVICE_HOST`, `…_PORT=tcp://…`, `…_PORT_587_TCP…`) are\n"
    "ignored. Unknown names with a profile's prefix, names of other profiles and those without a\n"
    "counterpart are warned about by name. A host name with `_` is refused: it is none (RFC 5321\n"
    "2.3.5), and many servers turn away who calls himself so.\n"
    "\n"
    "**Failures:** every error stops the start before any port is opened, with the variable or\n"
    "`file:line:col` in front. Under a profile the exit status is 1, as it is in the originals;\n"
    "native, or when the settings of several profiles clash, it is 78.\n"
    "\n"
    "**`--root DIR`** (of every command with `-c`) stands before every absolute path of a\n"
    "profile: those in variables, those built in, those in its files.\n";

static bool same_name(const struct conf_variable *a, const struct conf_variable *b)
{
    return slice_eq(a->name, b->name);
}

/* Each key of the rows of one variable, once; with its value where that is always the same. */
static void keys_add(struct buf *out, const struct conf_variable *rows, size_t count,
                     const struct conf_variable *v)
{
    struct buf seen;
    buf_init(&seen, 4096);
    for (size_t i = 0; i < count; i++) {
        const struct conf_variable *row = &rows[i];
        struct slice rest = slice_str(same_name(row, v) ? row->keys : NULL);
        bool fixed = row->kind == CONF_VAR_CONST || row->kind == CONF_VAR_SWITCH ||
                     row->kind == CONF_VAR_TRUE;
        while (rest.len) {
            struct slice key = slice_cut(&rest, ' ');
            if (seen.len && memmem(seen.ptr, seen.len, key.ptr, key.len)) {
                continue;
            }
            buf_addf(&seen, "%.*s ", SLICE_ARG(key));
            buf_addf(out, "`%.*s%s%s` ", SLICE_ARG(key), fixed ? ": " : "", fixed ? row->text : "");
        }
    }
    buf_deinit(&seen);
}

static void row_add(struct buf *out, const struct conf_variable *rows, size_t count,
                    const struct conf_variable *v, bool with_default)
{
    bool none = v->kind == CONF_VAR_NONE;
    buf_addf(out, "| `%.*s%s`%s%s | ", SLICE_ARG(v->name), v->flags & CONF_VAR_PREFIX ? "…" : "",
             v->flags & CONF_VAR_SECRET ? ", `_FILE`" : "",
             v->flags & (CONF_VAR_SELECTS | CONF_VAR_HINTS) ? " ●" : "");
    keys_add(out, rows, count, v);
    if (with_default) {
        buf_addf(out, "| %s ", v->initial ? v->initial : "");
    }
    buf_addf(out, "| %s%s%s |\n", none ? "**No effect** (a warning): " : "", v->note ? v->note : "",
             none ? "." : "");
}

/* Nothing in it is worth a line of its own. */
static bool is_plain_nothing(const struct conf_variable *v)
{
    return v->kind == CONF_VAR_SILENT && v->note == NULL;
}

static void nothing_add(struct buf *out, const struct conf_variable *rows, size_t count)
{
    const char *lead = "\nKnown, and nothing has to be done: ";
    for (size_t i = 0; i < count; i++) {
        if (is_plain_nothing(&rows[i])) {
            buf_addf(out, "%s`%.*s`", lead, SLICE_ARG(rows[i].name));
            lead = ", ";
        }
    }
    buf_add(out, slice_eq(slice_str(lead), SLICE(", ")) ? SLICE(".\n") : SLICE(""));
}

static void rows_add(struct buf *out, const struct conf_variable *rows, size_t count,
                     bool with_default)
{
    for (size_t i = 0; i < count; i++) {
        bool first = rows[i].kind != CONF_VAR_UNKNOWN && !is_plain_nothing(&rows[i]);
        for (size_t j = 0; j < i; j++) {
            first = first && !same_name(&rows[j], &rows[i]);
        }
        if (first) {
            row_add(out, rows, count, &rows[i], with_default);
        }
    }
    nothing_add(out, rows, count);
}

static void table_add(struct buf *out, const struct conf_variable *rows, size_t count)
{
    buf_add(out, SLICE("| Name | Keys | Difference |\n|---|---|---|\n"));
    rows_add(out, rows, count, false);
}

static void more_add(struct buf *out, const struct conf_profile_more *more)
{
    buf_addf(out, "\n### %s\n\n", more->title);
    if (more->rows) {
        table_add(out, more->rows, *more->count);
    } else {
        buf_add(out, SLICE("See [Parameters of Postfix](#parameters-of-postfix).\n"));
    }
}

static void presets_add(struct buf *out, const struct conf_profile *profile)
{
    buf_add(out, SLICE("\n### Other keys that this profile sets\n\n```yaml\n"));
    for (size_t i = 0; i < profile->preset_count; i++) {
        buf_addf(out, "%s: %s\n", profile->presets[i].path, profile->presets[i].value);
    }
    buf_add(out, SLICE("```\n"));
}

static void profile_add(struct buf *out, const struct conf_profile *profile)
{
    buf_addf(out, "\n## %.*s, %.*s: %s\n\n", SLICE_ARG(profile->name), SLICE_ARG(profile->alias),
             profile->title);
    if (profile->folder) {
        buf_addf(out, "● Files below `%s` choose it too.\n\n", profile->folder);
    }
    buf_add(out, SLICE("| Variable | Keys | Default | Difference |\n|---|---|---|---|\n"));
    rows_add(out, profile->variables, profile->variable_count, true);
    for (size_t i = 0; i < ARRAY_COUNT(profile->more) && profile->more[i].title; i++) {
        more_add(out, &profile->more[i]);
    }
    buf_addf(out, "\n### What is deliberately different\n\n%s", profile->about);
    presets_add(out, profile);
}

void conf_print_profiles(struct buf *out)
{
    buf_add(out, slice_of(preface, sizeof(preface) - 1));
    for (size_t i = 0; i < conf_profile_count; i++) {
        profile_add(out, conf_profiles[i]);
    }
    buf_add(out,
            SLICE("\n## Parameters of Postfix\n\nThose of main.cf with a counterpart; others are "
                  "warned about by name, and so are values with `$`.\n\n"));
    table_add(out, conf_postfix_parameters, conf_postfix_parameter_count);
}
