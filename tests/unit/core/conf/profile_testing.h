/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * profile_testing - an environment and files below a root, and what became of them
 *
 * Purpose:   each test (a process of its own under Check) has a fresh folder as --root, so nothing of
 *            the machine's /etc takes part. root_enter first, root_leave last.
 */
#ifndef RINGPOST_TESTS_PROFILE_TESTING_H
#define RINGPOST_TESTS_PROFILE_TESTING_H

#include "core/base/must.h"
#include "core/conf/env.h"
#include "core/conf/print.h"
#include "tests/unit/core/conf/conf_testing.h"

#include <ftw.h>
#include <stdarg.h>

enum { VARIABLES_MAX = 32, KEYS_MAX = 48 };

static int root_remove(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st;
    (void)flag;
    (void)at;
    return remove(path);
}

__attribute__((unused)) static void root_enter(void)
{
    folder_enter();
}

__attribute__((unused)) static void root_leave(void)
{
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(nftw(test_folder, root_remove, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* A file below the root, with the folders above it. */
__attribute__((unused)) static void root_file(const char *path, const char *text)
{
    char whole[256];
    snprintf(whole, sizeof(whole), "%s%s", test_folder, path);
    for (char *p = whole + slice_str(test_folder).len + 1; *p; p++) {
        if (*p == '/') {
            *p = '\0';
            mkdir(whole, 0755);
            *p = '/';
        }
    }
    file_write(whole, text, slice_str(text).len);
}

struct variables {
    const char *items[VARIABLES_MAX + 1]; /* "NAME=value" */
};

/* What conf_load makes of them; file: "t.yaml" or NULL. */
__attribute__((unused)) static struct loaded load_profile(const struct variables *v,
                                                          const char *file)
{
    char *environment[VARIABLES_MAX + 1];
    for (size_t i = 0; i <= VARIABLES_MAX; i++) {
        environment[i] = (char *)v->items[i];
    }
    struct conf_source src = {.file = file, .environment = environment, .root = test_folder};
    return load(&src);
}

/* The text with the root for each "$ROOT". */
__attribute__((unused)) static void root_add(struct buf *out, const char *text)
{
    struct slice rest = slice_str(text);
    while (rest.len) {
        bool root = slice_starts_nocase(rest, SLICE("$ROOT"));
        buf_add(out, root ? slice_str(test_folder) : slice_first(rest, 1));
        rest = slice_skip(rest, root ? 5 : 1);
    }
}

/* "listeners[1].port" as `ringpost config` prints it; "$ROOT" in `want` is the root. */
__attribute__((unused)) static void key_expect(const struct conf *c, const char *path,
                                               const char *want)
{
    struct conf_target t;
    struct {
        const char *items;
        size_t count;
    } list = {(const char *)c, 0};
    struct buf is, should;
    ck_assert_msg(conf_set_match(&conf_table, slice_str(path), &t), "no key %s", path);
    const struct conf_group *g = conf_key_group(&conf_table, t.key);
    if (t.has_index) {
        memcpy(&list, (const char *)c + g->offset, sizeof(list));
        ck_assert_msg(t.index < list.count, "%s: there are %zu", path, list.count);
    }
    buf_init(&is, 1 << 16);
    buf_init(&should, 1 << 16);
    conf_key_value_add(&is, t.key, list.items + t.index * (g ? g->item_size : 0));
    root_add(&should, want);
    ck_assert_msg(slice_eq(buf_slice(&is), buf_slice(&should)), "%s is %.*s, should be %.*s", path,
                  SLICE_ARG(buf_slice(&is)), SLICE_ARG(buf_slice(&should)));
    buf_deinit(&is);
    buf_deinit(&should);
}

/* One case of a vector: variables, then keys with their values. */
struct effect {
    const char *id;
    struct variables set;
    struct {
        const char *path;
        const char *value;
    } keys[KEYS_MAX];
    const char *warning; /* that must be among them; NULL: there is none at all */
};

__attribute__((unused)) static bool has_line(const struct buf *b, const char *line)
{
    struct slice rest = buf_slice(b);
    while (rest.len) {
        if (slice_eq(slice_cut(&rest, '\n'), slice_str(line))) {
            return true;
        }
    }
    return false;
}

__attribute__((unused)) static void effect_check(const struct effect *e)
{
    struct loaded l = load_profile(&e->set, NULL);
    ck_assert_msg(l.conf != NULL, "%s: %.*s", e->id, SLICE_ARG(buf_slice(&l.errors)));
    for (size_t i = 0; i < KEYS_MAX && e->keys[i].path; i++) {
        key_expect(l.conf, e->keys[i].path, e->keys[i].value);
    }
    if (e->warning) {
        ck_assert_msg(has_line(&l.warnings, e->warning), "%s: \"%s\" is not in:\n%.*s", e->id,
                      e->warning, SLICE_ARG(buf_slice(&l.warnings)));
    } else {
        ck_assert_msg(l.warnings.len == 0, "%s: %.*s", e->id, SLICE_ARG(buf_slice(&l.warnings)));
    }
    unload(&l);
}

/* Exactly these lines. */
__attribute__((unused)) static void lines_expect(const struct buf *is, const char *want)
{
    struct buf should;
    buf_init(&should, 1 << 16);
    root_add(&should, want);
    buf_add_byte(&should, '\0');
    buf_expect(is, should.ptr);
    buf_deinit(&should);
}

/* The start fails with exactly these lines. */
__attribute__((unused)) static void failure_check(const struct variables *v, const char *errors)
{
    struct loaded l = load_profile(v, NULL);
    lines_expect(&l.errors, errors);
    ck_assert_ptr_null(l.conf);
    unload(&l);
}

#endif
