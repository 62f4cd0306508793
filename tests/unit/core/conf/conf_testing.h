/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * conf_testing - files in a folder of the test's own, and loading them
 *
 * Purpose:   each test (a process of its own under Check) works in a fresh folder, so messages name
 *            "t.yaml" and nothing else. folder_enter must have been called first.
 */
#ifndef RINGPOST_TESTS_CONF_TESTING_H
#define RINGPOST_TESTS_CONF_TESTING_H

#include "core/conf/conf.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct loaded {
    struct conf *conf;
    struct buf errors;
    struct buf warnings;
};

static char test_folder[64];

__attribute__((unused)) static void folder_enter(void)
{
    snprintf(test_folder, sizeof(test_folder), "/tmp/ringpost-conf-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(test_folder));
    ck_assert_int_eq(chdir(test_folder), 0);
}

/* Everything these tests make lies at most one folder deep. */
__attribute__((unused)) static void folder_leave(void)
{
    static const char *const names[] = {
        "t.yaml",
        "secret",
        "conf.d/10.yaml",
        "conf.d/9.yaml",
        "conf.d/b.yaml",
        "conf.d/.h.yaml",
        "conf.d/x.yml",
        "shaping.d/10.yaml",
        "shaping.d/20.yaml",
        "automation.d/10.yaml",
        "automation.d/20.yaml",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        unlink(names[i]);
    }
    rmdir("conf.d/d.yaml");
    rmdir("conf.d");
    rmdir("shaping.d");
    rmdir("automation.d");
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(rmdir(test_folder), 0);
}

__attribute__((unused)) static void file_write(const char *path, const char *text, size_t len)
{
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(text, 1, len, f), len);
    ck_assert_int_eq(fclose(f), 0);
}

__attribute__((unused)) static struct loaded load(const struct conf_source *src)
{
    struct loaded l;
    buf_init(&l.errors, 1 << 20);
    buf_init(&l.warnings, 1 << 20);
    l.conf = conf_load(src, &l.errors, &l.warnings);
    ck_assert_msg((l.conf != NULL) == (l.errors.len == 0), "errors: %.*s",
                  SLICE_ARG(buf_slice(&l.errors)));
    return l;
}

__attribute__((unused)) static struct loaded load_text(const char *text)
{
    file_write("t.yaml", text, slice_str(text).len);
    struct conf_source src = {.file = "t.yaml"};
    return load(&src);
}

__attribute__((unused)) static void unload(struct loaded *l)
{
    conf_free(l->conf);
    buf_deinit(&l->errors);
    buf_deinit(&l->warnings);
}

__attribute__((unused)) static void buf_expect(const struct buf *b, const char *want)
{
    ck_assert_msg(slice_eq(buf_slice(b), slice_str(want)), "\n--- is:\n%.*s\n--- should be:\n%s",
                  SLICE_ARG(buf_slice(b)), want);
}

__attribute__((unused)) static void slice_expect(struct slice s, const char *want)
{
    ck_assert_msg(slice_eq(s, slice_str(want)), "\"%.*s\" should be \"%s\"", SLICE_ARG(s), want);
    ck_assert_msg(s.ptr[s.len] == '\0', "no NUL behind \"%s\"", want);
}

__attribute__((unused)) static int suite_run(Suite *s)
{
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
