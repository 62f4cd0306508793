/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A name is matched against each row, never the other way round: the row says where an index
 * stands, so no name has to be taken apart by guessing. That two rows never match the same name is
 * proved by a test over the whole table.
 */
#include "core/base/must.h"
#include "core/conf/env.h"

/* Used by our own scripts and tests. */
static const struct slice reserved[] = {
    SLICE_INIT("RINGPOST_BIN"),     SLICE_INIT("RINGPOST_CACHE"),   SLICE_INIT("RINGPOST_PEERS"),
    SLICE_INIT("RINGPOST_BUILD"),   SLICE_INIT("RINGPOST_CONFIG"),  SLICE_INIT("RINGPOST_WOLFSSL"),
    SLICE_INIT("RINGPOST_VERSION"), SLICE_INIT("RINGPOST_PROFILE"),
};
static const struct slice reserved_prefixes[] = {
    SLICE_INIT("RINGPOST_TEST_"),
    SLICE_INIT("RINGPOST_BENCH_"),
    SLICE_INIT("RINGPOST_DEV_"),
};

bool conf_env_reserved(struct slice name)
{
    for (size_t i = 0; i < ARRAY_COUNT(reserved); i++) {
        if (slice_eq(name, reserved[i])) {
            return true;
        }
    }
    for (size_t i = 0; i < ARRAY_COUNT(reserved_prefixes); i++) {
        if (slice_starts_nocase(name, reserved_prefixes[i])) {
            return true;
        }
    }
    return false;
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c == '.' ? '_' : c;
}

static bool cut_upper(struct slice *name, struct slice path_part)
{
    if (name->len < path_part.len) {
        return false;
    }
    for (size_t i = 0; i < path_part.len; i++) {
        if (name->ptr[i] != upper(path_part.ptr[i])) {
            return false;
        }
    }
    *name = slice_skip(*name, path_part.len);
    return true;
}

/* Canonical decimal: no leading zero, at most 9 digits. */
static bool cut_index(struct slice *name, uint64_t *out)
{
    size_t n = 0;
    while (n < name->len && n < 10 && ascii_is_digit(name->ptr[n])) {
        n++;
    }
    if (n == 0 || n == 10 || (n > 1 && name->ptr[0] == '0')) {
        return false;
    }
    must(slice_to_u64(slice_first(*name, n), out));
    *name = slice_skip(*name, n);
    return true;
}

static bool cut_char(struct slice *name, char c)
{
    if (name->len == 0 || name->ptr[0] != c) {
        return false;
    }
    *name = slice_skip(*name, 1);
    return true;
}

static bool env_match_key(const struct conf_key *key, struct slice name, struct conf_target *out)
{
    struct slice tail = key->path;
    struct slice head = slice_cut(&tail, '[');
    struct conf_target t = {.key = key};
    t.has_index = head.len != key->path.len;
    if (!cut_upper(&name, head)) {
        return false;
    }
    if (t.has_index) {
        tail = slice_skip(tail, 1); /* "].port" after the cut: "]" */
        if (!cut_char(&name, '_') || !cut_index(&name, &t.index) || !cut_upper(&name, tail)) {
            return false;
        }
    }
    if (name.len && key->shape != CONF_ONE) {
        t.has_item = cut_char(&name, '_') && cut_index(&name, &t.item);
        if (!t.has_item) {
            return false;
        }
    } else if (slice_eq(name, SLICE("_FILE")) && (key->flags & CONF_SECRET)) {
        t.from_file = true;
        name.len = 0;
    }
    if (name.len) {
        return false;
    }
    *out = t;
    return true;
}

bool conf_env_match(const struct conf_table *t, struct slice name, struct conf_target *out)
{
    if (!cut_upper(&name, SLICE(CONF_ENV_PREFIX))) {
        return false;
    }
    for (size_t i = 0; i < t->key_count; i++) {
        if (env_match_key(&t->keys[i], name, out)) {
            return true;
        }
    }
    return false;
}

void conf_env_name_add(struct buf *out, const struct conf_key *key)
{
    buf_add(out, SLICE(CONF_ENV_PREFIX));
    for (size_t i = 0; i < key->path.len; i++) {
        char c = key->path.ptr[i];
        if (c == '[') {
            buf_add(out, SLICE("_<n>"));
        } else if (c != ']') {
            buf_add_byte(out, upper(c));
        }
    }
}

/* ---- --set --------------------------------------------------------------------------------- */

/* An index as "[3]" or ".3". */
static bool cut_path_index(struct slice *path, uint64_t *out)
{
    struct slice p = *path;
    bool ok = cut_char(&p, '[') ? cut_index(&p, out) && cut_char(&p, ']')
                                : cut_char(&p, '.') && cut_index(&p, out);
    if (ok) {
        *path = p;
    }
    return ok;
}

static bool cut_exact(struct slice *path, struct slice part)
{
    if (!slice_eq(slice_first(*path, part.len), part)) {
        return false;
    }
    *path = slice_skip(*path, part.len);
    return true;
}

static bool set_match_key(const struct conf_key *key, struct slice path, struct conf_target *out)
{
    struct slice tail = key->path;
    struct slice head = slice_cut(&tail, '[');
    struct conf_target t = {.key = key};
    t.has_index = head.len != key->path.len;
    if (!cut_exact(&path, head)) {
        return false;
    }
    if (t.has_index) {
        tail = slice_skip(tail, 1);
        if (!cut_path_index(&path, &t.index) || !cut_exact(&path, tail)) {
            return false;
        }
    }
    t.has_item = key->shape != CONF_ONE && cut_path_index(&path, &t.item);
    if (path.len) {
        return false;
    }
    *out = t;
    return true;
}

bool conf_set_match(const struct conf_table *t, struct slice path, struct conf_target *out)
{
    for (size_t i = 0; i < t->key_count; i++) {
        if (set_match_key(&t->keys[i], path, out)) {
            return true;
        }
    }
    return false;
}
