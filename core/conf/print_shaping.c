/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/conf/shaping_read.h"
#include "core/conf/value.h"

static const char preface[] =
    "<!-- Made by `ringpost config --shaping` from core/conf/print_shaping.c, shaping_option.c and\n"
    "core/policy/shaping_defaults.yaml. Do not edit. -->\n"
    "# Shaping\n"
    "\n"
    "How fast mail goes out, and to whom. Rules stand under `shaping:` in `ringpost.yaml` and `conf.d`,\n"
    "and in `shaping.d/*.yaml` beside it (sorted by name; there `shaping:` around them may be left "
    "out).\n"
    "Files only: no environment variable or `--set` reaches a rule. SIGHUP reads them anew; an error in\n"
    "any of them leaves the old ones in effect. `ringpost check` judges them, `ringpost config` prints\n"
    "them merged, `ringpost explain DOMAIN` shows what holds for a destination and which line said so.\n"
    "\n"
    "With an engine running, `ringpost explain DOMAIN` (or a mail host) also says what holds the destination\n"
    "up now: a rate, the connections, the provider, a tenant, a pause after failures, and how long what is\n"
    "ready there will take.\n"
    "\n"
    "Names under `sources` are those of [egress sources](SOURCES.md).\n"
    "\n"
    "```yaml\n"
    "shaping:\n"
    "  default: {connections: 10, connection_rate: 100/min, message_rate: {limit: 100/s, burst: 10}}\n"
    "  providers:\n"
    "    google: {connections: {limit: 8, shared: true}}   # built in; the rest stays as it is\n"
    "    example:\n"
    "      match: {mx_suffix: [mx.example.net], domain: [example.com]}\n"
    "      message_rate: 20/s\n"
    "      sources: {new-address: {message_rate: 200/day}}\n"
    "  domains:\n"
    "    example.org: {message_rate: {limit: 30/min, burst: 1}, tls: unset}\n"
    "  sources: {new-address: {message_rate: 5000/day}}\n"
    "  tenants: {newsletter: {message_rate: 1000/s, weight: 1}}\n"
    "```\n"
    "\n"
    "## Which rule holds\n"
    "\n"
    "Each option by itself has the value of the most specific rule that sets it, later in this list\n"
    "first:\n"
    "\n"
    "1. the configuration key (`delivery.*`, see the table), or what the table says,\n"
    "2. `default`, then `default.sources.NAME` for mail that leaves by that source,\n"
    "3. the provider, then its `sources.NAME`,\n"
    "4. the domain, then its `sources.NAME`.\n"
    "\n"
    "How specific a rule is counts more than the file it is in: a `default` in the last file does not\n"
    "lift the limit of a provider in the first. The same option of the same rule in a later file\n"
    "(built-in rules, `ringpost.yaml`, `conf.d`, `shaping.d`) replaces the earlier one as a whole: "
    "`{limit,\n"
    "burst, shared}` are one value; so does each list under `match`.\n"
    "\n"
    "- `OPTION: unset` (or null) cancels what less specific rules say: the option is back at 1, a rate\n"
    "  at no limit.\n"
    "- `NAME: unset` takes away a whole rule of earlier files; `replace: true` inside a rule forgets what\n"
    "  earlier files said in it.\n"
    "- `shaping.builtin: false` leaves out all built-in rules.\n"
    "\n"
    "## Providers\n"
    "\n"
    "A destination has at most one. `domain` (exact) and `domain_suffix` (the longest one) look at the\n"
    "recipient's domain and decide first. Else the MX hosts do: each belongs to the provider that names\n"
    "it (`mx_host`) or the longest suffix of it (`mx_suffix`); the provider that most of the\n"
    "best-preferred hosts belong to has the site, of two with as many the first in the route. Hosts of\n"
    "no provider and backup hosts do not count: a vanity domain that mixes its own hosts with a\n"
    "provider's is held to the provider's limits, and a foreign backup MX frees nobody from them.\n"
    "A suffix is the name itself and all below; dots in front and at the end are ignored.\n"
    "\n"
    "With `relay.host` the relay hosts are what is matched, and no rule of a domain applies.\n"
    "\n"
    "## What is counted\n"
    "\n"
    "Limits count per site (a set of MX hosts) and egress source. A domain with a rule of its own, or\n"
    "that a provider names, is a site of its own, even if others have the same hosts. `shared: true` in\n"
    "a provider means one budget more, for all sites of the provider together (per source); rules of\n"
    "domains cannot leave it. Rules under `sources`, `tenants` and `campaigns` at the top are budgets\n"
    "over all destinations. Whatever applies must have room.\n"
    "\n"
    "Whoever shares a budget has his turn: sites of one provider take a shared rate one after the other, and a\n"
    "site that has no connection gets the next place, for which a busy or idle one of another site ends\n"
    "its connection. A tenant's or campaign's rate holds up only its own mail; others at the same site go on.\n"
    "Mail that waits for a limit stays where it is: nothing is written for it.\n"
    "\n"
    "Limits hold over all workers and across a reload: what was sent by the old limit counts by the new\n"
    "one. They are counted in memory: after a restart each rate has its burst again.\n"
    "\n"
    "**Rates** are `N/period` with `s`, `min`, `h`, `day` or a multiple (`5/30s`), at most a day. There\n"
    "are no windows that end: after a rest at most `burst` go at once, then one every period/N. Without\n"
    "`burst` it is what comes in 100 ms, at least one: `30/min` and `1000/day` are evenly spaced, "
    "`100/s`\n"
    "starts with 10.\n"
    "\n"
    "## Mistakes\n"
    "\n"
    "A rule that can never apply is an error: a provider without `match`, a name that two providers\n"
    "match, a domain given twice in one file, `unset` of a rule that no earlier file has.\n"
    "\n"
    "## Options\n"
    "\n"
    "| Option | Value | Default | Stands in | |\n"
    "|---|---|---|---|---|\n";

static void default_add(struct buf *out, const struct conf_shaping_row *row,
                        enum conf_shaping_option o)
{
    if (row->key) {
        buf_addf(out, "`%s`", row->key);
    } else if (conf_shaping_is_rate(o)) {
        buf_add(out, SLICE("no limit"));
    } else {
        struct conf_shaping_value v = {.state = CONF_SHAPING_SET, .number = row->fallback};
        buf_add_byte(out, '`');
        conf_shaping_value_add(out, o, &v);
        buf_add_byte(out, '`');
    }
    buf_add(out, row->relay_key ? SLICE("; towards relay hosts ") : SLICE(""));
    if (row->relay_key) {
        buf_addf(out, "`%s`", row->relay_key);
    }
}

static void scopes_add(struct buf *out, const struct conf_shaping_row *row)
{
    const char *comma = "";
    for (int scope = 0; scope < CONF_SHAPING_SCOPES; scope++) {
        if (row->scopes & 1u << scope) {
            buf_addf(out, "%s%.*s", comma, SLICE_ARG(conf_shaping_scope_names[scope]));
            comma = ", ";
        }
    }
}

void conf_print_shaping(struct buf *out)
{
    buf_add(out, slice_of(preface, sizeof(preface) - 1));
    for (int i = 0; i < CONF_SHAPING_OPTIONS; i++) {
        enum conf_shaping_option o = (enum conf_shaping_option)i;
        const struct conf_shaping_row *row = &conf_shaping_rows[o];
        buf_addf(out, "| `%.*s` | ", SLICE_ARG(row->name));
        conf_shaping_range_add(out, o);
        buf_addf(out, "%s%s | ", row->unit ? " " : "", row->unit ? row->unit : "");
        default_add(out, row, o);
        buf_add(out, SLICE(" | "));
        scopes_add(out, row);
        buf_addf(out, " | %s |\n", row->doc);
    }
    buf_add(out, SLICE("\n## Built-in rules\n\n```yaml\n"));
    buf_add(out, conf_shaping_builtin);
    buf_add(out, SLICE("```\n"));
}
