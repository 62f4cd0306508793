/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The KeyTable is read into a map first; then each line of the SigningTable becomes one entry of the
 * table, with both lines as its place, since either may hold the mistake.
 */
#include "core/policy/dkim_opendkim.h"

#include "core/base/must.h"
#include "core/base/rng.h"

#include <stdlib.h>

struct key_row {
    struct map_node node;
    struct slice name;
    struct slice domain;
    struct slice selector;
    struct slice key;
    unsigned line;
};

struct reader {
    const struct opendkim_tables *in;
    struct dkim_table *table;
    struct buf *errors;
    struct buf *warnings;
    struct map keys;
    struct key_row *rows;
    struct map seen; /* patterns, when only their first line counts */
    struct key_row *patterns;
};

/* One line as OpenDKIM sees it: two words, the second one being all the rest. */
struct line {
    struct slice rest; /* of the file */
    unsigned number;
    struct slice first;
    struct slice second;
};

static bool row_equal(const struct map_node *node, const void *key)
{
    const struct key_row *r = container_of(node, struct key_row, node);
    return slice_eq_nocase(r->name, *(const struct slice *)key);
}

static struct key_row *row_find(const struct map *m, struct slice name)
{
    struct map_node *node = map_find(m, map_hash_nocase(m, name), row_equal, &name);
    return node ? container_of(node, struct key_row, node) : NULL;
}

static struct slice trim_line(struct slice s)
{
    while (s.len &&
           (s.ptr[s.len - 1] == '\r' || s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t')) {
        s.len--;
    }
    return slice_trim(s);
}

/* The next line that is not empty. */
static bool line_next(struct line *l)
{
    while (l->rest.len) {
        struct slice text = slice_cut(&l->rest, '\n');
        l->number++;
        text = trim_line(slice_cut(&text, '#'));
        if (text.len) {
            size_t n = 0;
            while (n < text.len && text.ptr[n] != ' ' && text.ptr[n] != '\t') {
                n++;
            }
            l->first = slice_first(text, n);
            l->second = slice_trim(slice_skip(text, n));
            return true;
        }
    }
    return false;
}

static size_t line_count(struct slice text)
{
    struct line l = {.rest = text};
    size_t n = 0;
    while (line_next(&l)) {
        n++;
    }
    return n;
}

static bool complain(struct buf *to, struct slice file, unsigned line, const char *what,
                     struct slice detail)
{
    buf_addf(to, "%.*s:%u: %s", SLICE_ARG(file), line, what);
    buf_add(to, detail.len ? SLICE(" '") : SLICE(""));
    dkim_add_shown(to, detail);
    buf_add(to, detail.len ? SLICE("'\n") : SLICE("\n"));
    return false;
}

/* ---- KeyTable ---- */

static bool key_row_parse(struct reader *r, const struct line *l, struct key_row *row)
{
    struct slice file = r->in->keys.name;
    struct slice rest = l->second;
    *row = (struct key_row){.name = l->first, .line = l->number};
    row->domain = slice_trim(slice_cut(&rest, ':'));
    row->selector = slice_trim(slice_cut(&rest, ':'));
    row->key = slice_trim(rest);
    if (row->key.len == 0 || row->domain.len == 0 || row->selector.len == 0) {
        return complain(r->errors, file, l->number,
                        "not of the form NAME DOMAIN:SELECTOR:KEY:", l->first);
    }
    if (row->key.ptr[0] == '/' && slice_find_byte(row->key, '%') >= 0) {
        return complain(r->errors, file, l->number, "'%' in a path is not supported:", row->key);
    }
    if (row_find(&r->keys, row->name)) {
        return complain(r->errors, file, l->number, "this key name is there already:", row->name);
    }
    return true;
}

static bool keys_read(struct reader *r)
{
    struct line l = {.rest = r->in->keys.text};
    bool ok = true;
    for (size_t n = 0; line_next(&l);) {
        struct key_row *row = &r->rows[n];
        if (!key_row_parse(r, &l, row)) {
            ok = false;
        } else if (!map_insert(&r->keys, &row->node, map_hash_nocase(&r->keys, row->name))) {
            return complain(r->errors, r->in->keys.name, l.number, "out of memory", SLICE(""));
        } else {
            n++;
        }
    }
    return ok;
}

/* ---- SigningTable ---- */

/* "example.org", ".example.org", "*@…", "*" into the parts of an entry. */
static bool pattern_parse(struct slice text, struct dkim_entry *e)
{
    struct slice rest = text;
    if (slice_find_byte(text, '@') >= 0 && !slice_eq(slice_cut(&rest, '@'), SLICE("*"))) {
        return false;
    }
    if (slice_eq(rest, SLICE("*"))) {
        e->domain = SLICE("");
        return true;
    }
    if (slice_starts_nocase(rest, SLICE("*."))) {
        rest = slice_skip(rest, 1);
    }
    e->subdomains = rest.len > 0 && rest.ptr[0] == '.';
    e->names = !e->subdomains;
    e->domain = slice_skip(rest, e->subdomains);
    return e->domain.len > 0 && slice_find_byte(e->domain, '*') < 0;
}

static bool key_is_path(struct slice key)
{
    return slice_starts_nocase(key, SLICE("/")) || slice_starts_nocase(key, SLICE("./")) ||
           slice_starts_nocase(key, SLICE("../"));
}

static bool signing_add(struct reader *r, const struct line *l, const struct key_row *row,
                        struct dkim_entry *e)
{
    struct buf where, path;
    buf_init(&where, 4096);
    buf_init(&path, 8192);
    buf_addf(&where, "%.*s:%u (%.*s:%u)", SLICE_ARG(r->in->signing.name), l->number,
             SLICE_ARG(r->in->keys.name), row->line);
    e->where = buf_slice(&where);
    e->signing_domain = row->domain;
    e->selector = row->selector;
    e->key = row->key;
    e->key_is_path = key_is_path(row->key);
    if (e->key_is_path && row->key.ptr[0] == '/' && r->in->root.len) {
        buf_add(&path, r->in->root);
        buf_add(&path, row->key);
        e->key = buf_slice(&path);
    }
    e->header_canon = r->in->header_canon;
    e->body_canon = r->in->body_canon;
    bool ok = dkim_table_add(r->table, e, r->errors, r->warnings);
    buf_deinit(&where);
    buf_deinit(&path);
    return ok;
}

/* n: how many patterns are noted. */
static bool signing_line(struct reader *r, const struct line *l, size_t *n)
{
    struct slice file = r->in->signing.name;
    struct dkim_entry e = {0};
    struct slice signer = l->second;
    struct slice name = slice_trim(slice_cut(&signer, ':'));
    if (name.len == 0) {
        return complain(r->errors, file, l->number, "not of the form PATTERN KEYNAME:", l->first);
    }
    if (signer.len) {
        complain(r->warnings, file, l->number, "the signer is ignored, no i= is written:", signer);
    }
    if (!pattern_parse(l->first, &e)) {
        return complain(r->errors, file, l->number,
                        "only whole domains can be matched (example.org, *@example.org, "
                        "*@*.example.org, *), not",
                        l->first);
    }
    const struct key_row *row = row_find(&r->keys, name);
    if (!row) {
        return complain(r->errors, file, l->number, "the KeyTable has no key", name);
    }
    if (!r->in->multiple) {
        struct key_row *p = &r->patterns[*n];
        if (row_find(&r->seen, l->first)) {
            complain(r->warnings, file, l->number, "an earlier line is used instead for", l->first);
            return true;
        }
        p->name = l->first;
        if (!map_insert(&r->seen, &p->node, map_hash_nocase(&r->seen, p->name))) {
            return complain(r->errors, file, l->number, "out of memory", SLICE(""));
        }
        ++*n;
    }
    return signing_add(r, l, row, &e);
}

static bool signing_read(struct reader *r)
{
    struct line l = {.rest = r->in->signing.text};
    bool ok = true;
    size_t n = 0;
    while (line_next(&l)) {
        ok = signing_line(r, &l, &n) && ok;
    }
    return ok;
}

bool dkim_opendkim_read(const struct opendkim_tables *in, struct dkim_table *out,
                        struct buf *errors, struct buf *warnings)
{
    struct reader r = {.in = in, .table = out, .errors = errors, .warnings = warnings};
    struct rng rng;
    size_t keys = line_count(in->keys.text);
    size_t patterns = line_count(in->signing.text);
    bool ok = false;
    must(in->keys.name.len > 0 && in->signing.name.len > 0);
    if (keys > OPENDKIM_ROWS_MAX || patterns > OPENDKIM_ROWS_MAX) {
        return complain(errors, keys > patterns ? in->keys.name : in->signing.name,
                        OPENDKIM_ROWS_MAX, "too many lines", SLICE(""));
    }
    r.rows = calloc(keys + 1, sizeof(*r.rows));
    r.patterns = calloc(patterns + 1, sizeof(*r.patterns));
    if (!r.rows || !r.patterns || !rng_init_kernel(&rng)) {
        complain(errors, in->keys.name, 1, "out of memory", SLICE(""));
        goto out;
    }
    map_init(&r.keys, rng_u64(&rng));
    map_init(&r.seen, rng_u64(&rng));
    ok = keys_read(&r) && signing_read(&r);
    map_deinit(&r.keys);
    map_deinit(&r.seen);
out:
    free(r.rows);
    free(r.patterns);
    return ok;
}
