/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/must.h"
#include "core/conf/env.h"
#include "core/conf/print.h"
#include "core/conf/value.h"

static const char preface[] =
    "<!-- Made by `ringpost config --markdown` from core/conf/keys.c. Do not edit. -->\n"
    "# Configuration\n"
    "\n"
    "Every key may be left out. Later sources win:\n"
    "\n"
    "1. the defaults below (`ringpost config --defaults` prints them as a commented file),\n"
    "2. the file given with `-c`,\n"
    "3. `conf.d/*.yaml` beside it, sorted by name; groups are merged key by key, lists replaced,\n"
    "4. environment variables,\n"
    "5. `--set path=value`.\n"
    "\n"
    "The variables and files of mail images that Ringpost replaces are read too: see\n"
    "[PROFILES.md](PROFILES.md).\n"
    "\n"
    "A wrong key, type, range, duplicate or unreadable file stops the start with exit status 78\n"
    "before any port is opened; all errors are shown at once, each as\n"
    "`file:line:col: key: what is wrong, what is allowed`. `ringpost check` does only that.\n"
    "`ringpost config` prints what is in effect, `ringpost config --schema` a JSON Schema.\n"
    "\n"
    "**Durations** take units, largest first: `250ms`, `30s`, `1m30s`, `4h`, `5d`. **Sizes** are\n"
    "bytes or take `KiB MiB GiB TiB` (1024) or `KB MB GB TB` (1000).\n"
    "\n"
    "**Environment:** `RINGPOST_` and the path in upper case with `_` for the dots. A list takes all\n"
    "items with commas (`RINGPOST_ACCESS_NETWORKS=127.0.0.0/8,::1/128`) or one item by its index\n"
    "(`RINGPOST_QUEUE_SCHEDULE_0=30s`); `<n>` below is an index from 0. The next free index adds an\n"
    "item. Unknown names are warned about. **`--set`** takes the path as it stands below:\n"
    "`--set listeners[0].port=25 --set access.networks=10.0.0.0/8`.\n"
    "\n"
    "**Reload:** *yes* means that SIGHUP takes a new value while mail flows; the others need a\n"
    "restart, and a reload that changes one of them is refused as a whole.\n"
    "\n"
    "**YAML:** one document per file, at most 1 MiB, UTF-8; no anchors, aliases or tags.\n";

static void type_add(struct buf *out, const struct conf_key *key)
{
    struct buf range;
    struct slice noun = slice_str(conf_type_noun(key->type));
    buf_init(&range, 1024);
    if (slice_starts_nocase(noun, SLICE("a "))) {
        noun = slice_skip(noun, 2);
    } else if (slice_starts_nocase(noun, SLICE("an "))) {
        noun = slice_skip(noun, 3);
    }
    if (key->type == CONF_ENUM) {
        conf_choices_add(&range, key->choices);
    } else {
        conf_range_add(&range, key);
    }
    if (key->shape != CONF_ONE) {
        buf_addf(out, key->shape == CONF_LIST ? "list of %u–%u: " : "one, or list of %u–%u: ",
                 key->items_min, key->items_max);
    }
    if (key->type == CONF_ENUM) {
        buf_add(out, buf_slice(&range));
    } else {
        buf_add(out, key->unit ? slice_str(key->unit) : noun);
        buf_addf(out, range.len ? ", %.*s" : "%.*s", SLICE_ARG(buf_slice(&range)));
    }
    buf_deinit(&range);
}

static void key_add(struct buf *out, const struct conf_key *key)
{
    buf_addf(out, "| `%.*s`<br>`", SLICE_ARG(key->path));
    conf_env_name_add(out, key);
    buf_add(out, SLICE("` | "));
    type_add(out, key);
    buf_add(out, SLICE(" | "));
    if (slice_str(key->fallback).len) {
        buf_add_byte(out, '`');
        conf_key_default_add(out, key);
        buf_add_byte(out, '`');
    } else {
        must(key->empty != NULL);
        buf_addf(out, "empty: %s", key->empty);
    }
    buf_addf(out, " | %s | %s |\n", key->flags & CONF_RELOAD ? "yes" : "", key->doc);
}

static void heading_add(struct buf *out, struct slice name, const char *doc)
{
    buf_addf(out, "\n## %.*s\n\n%s\n\n", SLICE_ARG(name), doc);
    buf_add(out, SLICE("| Key, variable | Value | Default | Reload | |\n|---|---|---|---|---|\n"));
}

void conf_print_markdown(struct buf *out)
{
    const struct conf_table *t = &conf_table;
    const struct conf_group *open = NULL;
    buf_add(out, slice_of(preface, sizeof(preface) - 1));
    for (size_t i = 0; i < t->key_count; i++) {
        const struct conf_key *key = &t->keys[i];
        const struct conf_group *g = conf_key_group(t, key);
        if (!g) {
            heading_add(out, key->path, "A key of its own.");
        } else if (g != open) {
            heading_add(out, g->name, g->doc);
        }
        open = g;
        key_add(out, key);
    }
}
