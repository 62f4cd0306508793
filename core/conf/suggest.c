/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/conf/apply.h"
#include "core/base/must.h"
#include "core/conf/env.h"

enum { NAME_MAX_BYTES = 64 };

/* Edits (insert, drop, change, swap neighbours) between two short names. */
static size_t distance(struct slice a, struct slice b)
{
    size_t rows[3][NAME_MAX_BYTES + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    while (a.len && b.len && ascii_lower(a.ptr[0]) == ascii_lower(b.ptr[0])) {
        a = slice_skip(a, 1);
        b = slice_skip(b, 1);
    }
    must(a.len <= NAME_MAX_BYTES && b.len <= NAME_MAX_BYTES);
    for (size_t j = 0; j <= b.len; j++) {
        before[j] = 0;
        last[j] = j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        now[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            char x = ascii_lower(a.ptr[i - 1]);
            char y = ascii_lower(b.ptr[j - 1]);
            size_t best = last[j - 1] + (x != y);
            best = last[j] + 1 < best ? last[j] + 1 : best;
            best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
            bool swapped = i > 1 && j > 1 && x == ascii_lower(b.ptr[j - 2]) &&
                           y == ascii_lower(a.ptr[i - 2]);
            if (swapped && before[j - 2] + 1 < best) {
                best = before[j - 2] + 1;
            }
            now[j] = best;
        }
        size_t *free_row = before;
        before = last;
        last = now;
        now = free_row;
    }
    return last[b.len];
}

static bool nearer(struct slice name, struct slice candidate, size_t *best)
{
    size_t apart = name.len > candidate.len ? name.len - candidate.len : candidate.len - name.len;
    size_t d = apart < *best ? distance(name, candidate) : apart;
    if (d >= *best) {
        return false;
    }
    *best = d;
    return true;
}

bool conf_suggest_nearer(struct slice name, struct slice candidate, size_t *best)
{
    bool fits = name.len > 0 && name.len <= NAME_MAX_BYTES && candidate.len <= NAME_MAX_BYTES;
    return fits && nearer(name, candidate, best);
}

/* The nearest name on this level; else the same name on another one. */
static struct slice nearest(const struct conf_table *t, const struct conf_group *group,
                            struct slice name)
{
    struct slice found = {NULL, 0};
    if (name.len == 0 || name.len > NAME_MAX_BYTES) {
        return found;
    }
    size_t best = 2 + name.len / 5; /* fewer edits than this */
    for (size_t i = 0; i < t->key_count; i++) {
        const struct conf_key *k = &t->keys[i];
        if (conf_key_group(t, k) == group && nearer(name, conf_key_leaf(k), &best)) {
            found = conf_key_leaf(k);
        }
    }
    for (size_t i = 0; !group && i < t->group_count; i++) {
        if (nearer(name, t->groups[i].name, &best)) {
            found = t->groups[i].name;
        }
    }
    for (size_t i = 0; i < t->key_count && found.len == 0; i++) {
        if (slice_eq_nocase(conf_key_leaf(&t->keys[i]), name)) {
            found = t->keys[i].path;
        }
    }
    return found;
}

const struct conf_key *conf_suggest_env(const struct conf_table *t, struct slice name)
{
    const struct conf_key *found = NULL;
    size_t best = 4;
    for (size_t i = 0; i < t->key_count && name.len <= NAME_MAX_BYTES; i++) {
        struct buf candidate;
        buf_init(&candidate, 2 * NAME_MAX_BYTES);
        conf_env_name_add(&candidate, &t->keys[i]);
        if (candidate.len <= NAME_MAX_BYTES && nearer(name, buf_slice(&candidate), &best)) {
            found = &t->keys[i];
        }
        buf_deinit(&candidate);
    }
    return found;
}

void conf_group_keys_add(struct buf *out, const struct conf_table *t,
                         const struct conf_group *group)
{
    const char *comma = "";
    for (size_t i = 0; i < t->key_count; i++) {
        if (conf_key_group(t, &t->keys[i]) == group) {
            buf_addf(out, "%s%.*s", comma, SLICE_ARG(conf_key_leaf(&t->keys[i])));
            comma = ", ";
        }
    }
    for (size_t i = 0; !group && i < t->group_count; i++) {
        buf_addf(out, "%s%.*s", comma, SLICE_ARG(t->groups[i].name));
        comma = ", ";
    }
}

void conf_suggest_add(struct buf *out, const struct conf_table *t, const struct conf_group *group,
                      struct slice name)
{
    const struct conf_key *dotted = group ? NULL : conf_table_key(t, name);
    struct slice near = nearest(t, group, name);
    buf_add(out, SLICE("unknown key; "));
    if (dotted) {
        struct slice leaf = conf_key_leaf(dotted);
        buf_addf(out, "write it in its group, %.*s: {%.*s: …}",
                 SLICE_ARG(conf_key_group(t, dotted)->name), SLICE_ARG(leaf));
        return;
    }
    if (near.len) {
        buf_addf(out, "did you mean %.*s?", SLICE_ARG(near));
        return;
    }
    buf_add(out, SLICE("known here: "));
    conf_group_keys_add(out, t, group);
}
