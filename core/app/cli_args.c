/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * getopt_long is not used: it keeps its state in globals, accepts abbreviations that become ambiguous
 * with the next option somebody adds, and prints by itself.
 */
#include "core/app/cli_args.h"
#include "core/admin/request.h"
#include "core/base/must.h"
#include "core/base/units.h"

#include <stddef.h>
#include <stdio.h>

struct cli_option {
    struct slice name;
    struct slice letter;
    const char *value; /* NULL: takes none */
    unsigned bit;      /* 0: every command */
    bool repeats;
    const char *help;
    /* NULL: the value itself is kept, at text_at of struct cli_args. */
    bool (*set)(struct cli_args *args, const char *value, struct buf *why);
    size_t text_at;
};

static bool set_set(struct cli_args *args, const char *value, struct buf *why)
{
    if (args->set_count == CLI_SET_MAX) {
        buf_addf(why, "--set may be given %d times at most", CLI_SET_MAX);
        return false;
    }
    args->set[args->set_count++] = value;
    return true;
}

static bool set_limit(struct cli_args *args, const char *value, struct buf *why)
{
    uint64_t n;
    if (!slice_to_u64(slice_str(value), &n) || n < 1 || n > ADMIN_LIMIT_MAX) {
        buf_addf(why, "--limit needs a number from 1 to %d, not '%s'", ADMIN_LIMIT_MAX, value);
        return false;
    }
    args->limit = (uint32_t)n;
    return true;
}

static bool set_duration(const char *name, const char *value, uint64_t *ms, struct buf *why)
{
    if (units_parse_duration(slice_str(value), ms) && *ms >= 1000) {
        return true;
    }
    buf_addf(why, "%s needs a duration as 30m, 12h or 5d, not '%s'", name, value);
    return false;
}

static bool set_older(struct cli_args *args, const char *value, struct buf *why)
{
    return set_duration("--older-than", value, &args->older_ms, why);
}

static bool set_for(struct cli_args *args, const char *value, struct buf *why)
{
    return set_duration("--for", value, &args->for_ms, why);
}

static bool set_all(struct cli_args *args, const char *value, struct buf *why)
{
    (void)value;
    (void)why;
    args->all = true;
    return true;
}

static bool set_dry_run(struct cli_args *args, const char *value, struct buf *why)
{
    (void)value;
    (void)why;
    args->dry_run = true;
    return true;
}

static bool set_no_report(struct cli_args *args, const char *value, struct buf *why)
{
    (void)value;
    (void)why;
    args->no_report = true;
    return true;
}

static bool set_json(struct cli_args *args, const char *value, struct buf *why)
{
    (void)value;
    (void)why;
    args->json = true;
    return true;
}

static bool set_help(struct cli_args *args, const char *value, struct buf *why)
{
    (void)value;
    (void)why;
    args->help = true;
    return true;
}

static bool set_print(struct cli_args *args, enum cli_print print, struct buf *why)
{
    if (args->print != CLI_PRINT_EFFECTIVE) {
        buf_add(why,
                SLICE("--defaults, --schema, --markdown, --profiles, --shaping, --automation and "
                      "--syscalls exclude each other"));
        return false;
    }
    args->print = print;
    return true;
}

static bool set_once(struct cli_args *args, const char *value, struct buf *why)
{
    (void)value;
    (void)why;
    args->number = 1;
    args->plain = true;
    return true;
}

static bool set_number(struct cli_args *args, const char *value, struct buf *why)
{
    uint64_t n;
    if (!slice_to_u64(slice_str(value), &n) || n < 1 || n > UINT32_MAX) {
        buf_addf(why, "-n needs a number, not '%s'", value);
        return false;
    }
    args->number = (uint32_t)n;
    return true;
}

static bool set_defaults(struct cli_args *args, const char *value, struct buf *why)
{
    (void)value;
    return set_print(args, CLI_PRINT_DEFAULTS, why);
}

static bool set_schema(struct cli_args *args, const char *value, struct buf *why)
{
    (void)value;
    return set_print(args, CLI_PRINT_SCHEMA, why);
}

static bool set_markdown(struct cli_args *args, const char *value, struct buf *why)
{
    (void)value;
    return set_print(args, CLI_PRINT_MARKDOWN, why);
}

static bool set_profiles(struct cli_args *args, const char *value, struct buf *why)
{
    (void)value;
    return set_print(args, CLI_PRINT_PROFILES, why);
}

static bool set_shaping(struct cli_args *args, const char *value, struct buf *why)
{
    (void)value;
    return set_print(args, CLI_PRINT_SHAPING, why);
}

static bool set_automation(struct cli_args *args, const char *value, struct buf *why)
{
    (void)value;
    return set_print(args, CLI_PRINT_AUTOMATION, why);
}

static bool set_syscalls(struct cli_args *args, const char *value, struct buf *why)
{
    (void)value;
    return set_print(args, CLI_PRINT_SYSCALLS, why);
}

static const struct cli_option options_table[] = {
    {SLICE_INIT("--config"), SLICE_INIT("-c"), "FILE", CLI_OPT_CONFIG, false,
     "configuration file; without it: defaults and RINGPOST_* variables", NULL,
     offsetof(struct cli_args, file)},
    {SLICE_INIT("--set"), SLICE_INIT(""), "KEY=VALUE", CLI_OPT_SET, true,
     "set one key, over file and environment; may be repeated", set_set, 0},
    {SLICE_INIT("--defaults"), SLICE_INIT(""), NULL, CLI_OPT_PRINT, false,
     "every key with its default and its meaning, as YAML", set_defaults, 0},
    {SLICE_INIT("--schema"), SLICE_INIT(""), NULL, CLI_OPT_PRINT, false,
     "JSON Schema of the configuration file", set_schema, 0},
    {SLICE_INIT("--markdown"), SLICE_INIT(""), NULL, CLI_OPT_PRINT, false,
     "reference of all keys, as Markdown", set_markdown, 0},
    {SLICE_INIT("--profiles"), SLICE_INIT(""), NULL, CLI_OPT_PRINT, false,
     "the variables of the replaced systems, as Markdown", set_profiles, 0},
    {SLICE_INIT("--shaping"), SLICE_INIT(""), NULL, CLI_OPT_PRINT, false,
     "the documentation of shaping rules, as Markdown", set_shaping, 0},
    {SLICE_INIT("--automation"), SLICE_INIT(""), NULL, CLI_OPT_PRINT, false,
     "the table of automation's fields and built-in rules, as Markdown", set_automation, 0},
    {SLICE_INIT("--syscalls"), SLICE_INIT(""), NULL, CLI_OPT_PRINT, false,
     "what the sandbox lets the running engine do, as Markdown", set_syscalls, 0},
    {SLICE_INIT("--source"), SLICE_INIT(""), "NAME", CLI_OPT_SOURCE | CLI_OPT_SELECT, false,
     "what leaves by this egress source", NULL, offsetof(struct cli_args, source)},
    {SLICE_INIT("--root"), SLICE_INIT(""), "DIR", CLI_OPT_ROOT, false,
     "stands before every absolute path of a profile", NULL, offsetof(struct cli_args, root)},
    {SLICE_INIT("--socket"), SLICE_INIT(""), "PATH", CLI_OPT_SOCKET, false,
     "the engine's admin socket, instead of the configuration's admin.socket", NULL,
     offsetof(struct cli_args, socket)},
    {SLICE_INIT("--limit"), SLICE_INIT(""), "N", CLI_OPT_LIMIT, false, "lines to list (100)",
     set_limit, 0},
    {SLICE_INIT("--domain"), SLICE_INIT(""), "NAME", CLI_OPT_DOMAIN, false,
     "only recipients in this domain", NULL, offsetof(struct cli_args, domain)},
    {SLICE_INIT("--type"), SLICE_INIT(""), "TYPE", CLI_OPT_KEY_TYPE, false,
     "rsa2048 (default), rsa3072, rsa4096, ed25519", NULL, offsetof(struct cli_args, key_type)},
    {SLICE_INIT("--out"), SLICE_INIT("-o"), "FILE", CLI_OPT_OUT, false,
     "where the private key goes (SELECTOR.DOMAIN.pem)", NULL, offsetof(struct cli_args, out)},
    {SLICE_INIT("--canon"), SLICE_INIT(""), "C", CLI_OPT_CANON, false,
     "relaxed/relaxed (default), relaxed/simple, simple/relaxed, simple/simple", NULL,
     offsetof(struct cli_args, canon)},
    {SLICE_INIT("--id"), SLICE_INIT(""), "ID", CLI_OPT_SELECT, false, "only this message", NULL,
     offsetof(struct cli_args, id)},
    {SLICE_INIT("--recipient"), SLICE_INIT(""), "ADDRESS", CLI_OPT_SELECT, false,
     "only this recipient", NULL, offsetof(struct cli_args, recipient)},
    {SLICE_INIT("--sender"), SLICE_INIT(""), "ADDRESS", CLI_OPT_SELECT, false,
     "only messages of this envelope sender; <> is the null sender", NULL,
     offsetof(struct cli_args, sender)},
    {SLICE_INIT("--site"), SLICE_INIT(""), "HOST", CLI_OPT_SELECT, false,
     "only recipients whose mail goes to this mail host", NULL, offsetof(struct cli_args, site)},
    {SLICE_INIT("--tenant"), SLICE_INIT(""), "NAME", CLI_OPT_SELECT, false,
     "only messages of this tenant", NULL, offsetof(struct cli_args, tenant)},
    {SLICE_INIT("--campaign"), SLICE_INIT(""), "NAME", CLI_OPT_SELECT, false,
     "only messages of this campaign", NULL, offsetof(struct cli_args, campaign)},
    {SLICE_INIT("--older-than"), SLICE_INIT(""), "AGE", CLI_OPT_SELECT, false,
     "only messages accepted longer ago (30m, 12h, 5d)", set_older, 0},
    {SLICE_INIT("--last-reply"), SLICE_INIT(""), "TEXT", CLI_OPT_SELECT, false,
     "only recipients whose last reply contains this", NULL, offsetof(struct cli_args, last_reply)},
    {SLICE_INIT("--after"), SLICE_INIT(""), "ID", CLI_OPT_AFTER, false,
     "list on behind this message", NULL, offsetof(struct cli_args, after)},
    {SLICE_INIT("--all"), SLICE_INIT(""), NULL, CLI_OPT_ORDER | CLI_OPT_ALL, false,
     "everything in the queue: has to be said", set_all, 0},
    {SLICE_INIT("--dry-run"), SLICE_INIT(""), NULL, CLI_OPT_ORDER, false,
     "change nothing, only count", set_dry_run, 0},
    {SLICE_INIT("--no-report"), SLICE_INIT(""), NULL, CLI_OPT_NO_REPORT, false,
     "the senders are not told", set_no_report, 0},
    {SLICE_INIT("--to"), SLICE_INIT(""), "TARGET", CLI_OPT_TO, false,
     "HOST[:PORT], mx:DOMAIN (its MX hosts), or default (where it would go)", NULL,
     offsetof(struct cli_args, to)},
    {SLICE_INIT("--once"), SLICE_INIT(""), NULL, CLI_OPT_TOP, false, "one table, as plain text",
     set_once, 0},
    {SLICE_INIT("--number"), SLICE_INIT("-n"), "N", CLI_OPT_TOP, false, "end after N tables",
     set_number, 0},
    {SLICE_INIT("--for"), SLICE_INIT(""), "TIME", CLI_OPT_SUSPEND, false,
     "so long (30m, 12h, 5d); without it until it is ended", set_for, 0},
    {SLICE_INIT("--reason"), SLICE_INIT(""), "TEXT", CLI_OPT_SUSPEND, false,
     "shown where it is listed", NULL, offsetof(struct cli_args, reason)},
    {SLICE_INIT("--who"), SLICE_INIT(""), "NAME", CLI_OPT_OVERRIDE, false,
     "the source, tenant, TENANT/CAMPAIGN or DKIM domain of the scope", NULL,
     offsetof(struct cli_args, who)},
    {SLICE_INIT("--where"), SLICE_INIT(""), "NAME", CLI_OPT_OVERRIDE, false,
     "the site (as `explain` names it) or provider of the scope", NULL,
     offsetof(struct cli_args, where)},
    {SLICE_INIT("--value"), SLICE_INIT(""), "VALUE", CLI_OPT_OVERRIDE, false,
     "of what is lowered: 50%, 10/min, 2", NULL, offsetof(struct cli_args, value)},
    {SLICE_INIT("--json"), SLICE_INIT(""), NULL, CLI_OPT_JSON, false,
     "stable JSON instead of a table", set_json, 0},
    {SLICE_INIT("--help"), SLICE_INIT("-h"), NULL, 0, true, "this text", set_help, 0},
};

must_static(ARRAY_COUNT(options_table) <= 64, "one bit per option");
must_static(ADMIN_LIMIT_DEFAULT == 100, "the help of --limit names it");

static bool option_is_allowed(const struct cli_option *o, unsigned options)
{
    return o->bit == 0 || (options & o->bit) != 0;
}

/* "--name=value" is cut; *value is NULL when none is attached. */
static const struct cli_option *option_find(const char *arg, const char **value)
{
    struct slice rest = slice_str(arg);
    struct slice name = slice_cut(&rest, '=');
    bool attached = name.len < slice_str(arg).len;
    *value = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(options_table); i++) {
        const struct cli_option *o = &options_table[i];
        if (slice_eq(name, o->name)) {
            *value = attached ? rest.ptr : NULL;
            return o;
        }
        if (o->letter.len && slice_eq(slice_str(arg), o->letter)) {
            return o;
        }
    }
    return NULL;
}

static bool option_take(struct cli_args *args, unsigned options, int argc, char *const *argv,
                        int *at, uint64_t *seen, struct buf *why)
{
    const char *value;
    const struct cli_option *o = option_find(argv[*at], &value);
    if (!o) {
        buf_addf(why, "unknown option '%s'", argv[*at]);
        return false;
    }
    if (!option_is_allowed(o, options)) {
        buf_addf(why, "option '%s' does not belong to this command", argv[*at]);
        return false;
    }
    uint64_t bit = UINT64_C(1) << (o - options_table);
    if (*seen & bit && !o->repeats) {
        buf_addf(why, "%s is given twice", o->name.ptr);
        return false;
    }
    *seen |= bit;
    if (!o->value && value) {
        buf_addf(why, "%s takes no value", o->name.ptr);
        return false;
    }
    if (o->value && !value && *at + 1 < argc) {
        value = argv[++*at];
    }
    if (o->value && (!value || value[0] == '\0')) {
        buf_addf(why, "%s needs %s", o->name.ptr, o->value);
        return false;
    }
    if (!o->set) {
        *(const char **)(void *)((char *)args + o->text_at) = value;
        return true;
    }
    return o->set(args, value, why);
}

bool cli_args_parse(struct cli_args *args, unsigned options, int argc, char *const *argv,
                    struct buf *why)
{
    uint64_t seen = 0;
    bool only_words = false;
    *args = (struct cli_args){0};
    for (int at = 0; at < argc; at++) {
        const char *arg = argv[at];
        if (!only_words && arg[0] == '-' && arg[1] == '-' && arg[2] == '\0') {
            only_words = true;
        } else if (!only_words && arg[0] == '-' && arg[1]) {
            if (!option_take(args, options, argc, argv, &at, &seen, why)) {
                return false;
            }
        } else if (args->word_count == CLI_WORDS_MAX) {
            buf_addf(why, "unexpected argument '%s'", arg);
            return false;
        } else {
            args->words[args->word_count++] = arg;
        }
    }
    return true;
}

void cli_args_add_synopsis(struct buf *out, unsigned options)
{
    for (size_t i = 0; i < ARRAY_COUNT(options_table); i++) {
        const struct cli_option *o = &options_table[i];
        if (o->bit == 0 || !option_is_allowed(o, options)) {
            continue;
        }
        buf_addf(out, " [%s%s%s]%s", o->letter.len ? o->letter.ptr : o->name.ptr,
                 o->value ? " " : "", o->value ? o->value : "", o->repeats ? "…" : "");
    }
}

void cli_args_add_help(struct buf *out, unsigned options)
{
    for (size_t i = 0; i < ARRAY_COUNT(options_table); i++) {
        const struct cli_option *o = &options_table[i];
        if (!option_is_allowed(o, options)) {
            continue;
        }
        char left[40];
        snprintf(left, sizeof(left), "%s%s%s%s%s", o->letter.ptr, o->letter.len ? ", " : "",
                 o->name.ptr, o->value ? " " : "", o->value ? o->value : "");
        buf_addf(out, "  %-22s %s\n", left, o->help);
    }
}
