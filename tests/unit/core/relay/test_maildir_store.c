/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A message as a file in a Maildir: what is written, what is made, what an earlier attempt left, and what
 * must not be followed.
 */
#include "core/relay/maildir_store.h"
#include "tests/unit/core/base/testing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static char folder[] = "/tmp/ringpost-maildir-XXXXXX";
static char pattern[256];
static struct conf conf = {.identity.hostname = SLICE_INIT("here.test")};
static struct maildir_file file;

static void setup(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(pattern, sizeof(pattern), "%s/{domain}/{local}", folder);
    conf.local.maildir = slice_str(pattern);
}

static void teardown(void)
{
    char command[300];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static const char *in(const char *rest)
{
    static char text[2][600];
    static unsigned turn;
    char *t = text[turn++ % 2];
    snprintf(t, sizeof(text[0]), "%s/%s", folder, rest);
    return t;
}

static struct mailbox_path *box(const char *address)
{
    static struct mailbox_path path;
    ck_assert(mailbox_find(&conf, slice_str(address), &path));
    return &path;
}

static void make_folder(const char *rest)
{
    ck_assert_int_eq(mkdir(in(rest), 0755), 0);
}

static mode_t mode_of(const char *rest)
{
    struct stat st;
    return lstat(in(rest), &st) == 0 ? st.st_mode & 07777 : 0;
}

static unsigned count(const char *rest)
{
    DIR *d = opendir(in(rest));
    unsigned n = 0;
    ck_assert_ptr_nonnull(d);
    for (struct dirent *e; (e = readdir(d));) {
        n += e->d_name[0] != '.';
    }
    closedir(d);
    return n;
}

static struct slice content(const char *rest)
{
    static char bytes[400000];
    FILE *f = fopen(in(rest), "rb");
    ck_assert_msg(f != NULL, "%s", in(rest));
    size_t n = fread(bytes, 1, sizeof(bytes), f);
    fclose(f);
    return slice_of(bytes, n);
}

/* The whole of it; 0 or the error. */
static int store(const char *address, enum maildir_make make, struct slice text)
{
    int e = maildir_file_begin(&file, box(address), make, "17.A.here");
    if (e < 0) {
        ck_assert(file.fd < 0 && file.tmp_fd < 0 && file.new_fd < 0);
        return e;
    }
    e = maildir_file_add(&file, text);
    if (e < 0) {
        maildir_file_abort(&file);
        return e;
    }
    return maildir_file_finish(&file);
}

START_TEST(made_when_asked)
{
    ck_assert_int_eq(store("u@a.test", MAILDIR_MAKE_NONE, SLICE("x")), -ENOENT);
    ck_assert_int_eq(store("u@a.test", MAILDIR_MAKE_LAST, SLICE("x")), -ENOENT); /* no a.test */
    ck_assert_int_eq(maildir_look(box("u@a.test")), -ENOENT);
    umask(0);
    ck_assert_int_eq(store("u@a.test", MAILDIR_MAKE_ALL, SLICE("x")), 0);
    ck_assert_int_eq(maildir_look(box("u@a.test")), 0);
    ck_assert_int_eq(store("v@a.test", MAILDIR_MAKE_LAST, SLICE("x")), 0);
    static const char *const folders[] = {"a.test",       "a.test/u",     "a.test/u/cur",
                                          "a.test/u/tmp", "a.test/u/new", "a.test/v"};
    for (size_t i = 0; i < ARRAY_COUNT(folders); i++) {
        ck_assert_uint_eq(mode_of(folders[i]), 0700);
    }
    ck_assert_uint_eq(mode_of("a.test/u/new/17.A.here"), 0600);
    ck_assert_uint_eq(count("a.test/u/tmp"), 0);
}
END_TEST

/* An empty folder is a mailbox: its parts are made in any case. */
START_TEST(a_folder_is_enough)
{
    make_folder("a.test");
    make_folder("a.test/u");
    ck_assert_int_eq(store("u@a.test", MAILDIR_MAKE_NONE, SLICE("x\r\n")), 0);
    ck_assert(slice_eq(content("a.test/u/new/17.A.here"), SLICE("x\n")));
    ck_assert_uint_eq(count("a.test/u/cur"), 0);
}
END_TEST

/* CRLF becomes LF however the content is cut; nothing else changes. */
START_TEST(lines)
{
    static const struct {
        struct slice text, want;
    } rows[] = {
        {SLICE_INIT(""), SLICE_INIT("")},
        {SLICE_INIT("a\r\nb\r\n"), SLICE_INIT("a\nb\n")},
        {SLICE_INIT("\r\n\r\n"), SLICE_INIT("\n\n")},
        {SLICE_INIT("a\r\r\nb"), SLICE_INIT("a\r\nb")},
        {SLICE_INIT("a\rb\r"), SLICE_INIT("a\rb\r")},
        {SLICE_INIT("\n\0\r\n\xff"), SLICE_INIT("\n\0\n\xff")},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        for (size_t step = 1; step <= 4; step++) {
            ck_assert_int_eq(maildir_file_begin(&file, box("u@a.test"), MAILDIR_MAKE_ALL,
                                                "17.A.here"),
                             0);
            for (struct slice s = rows[i].text; s.len; s = slice_skip(s, step)) {
                ck_assert_int_eq(maildir_file_add(&file, slice_first(s, step)), 0);
            }
            ck_assert_int_eq(maildir_file_finish(&file), 0);
            ck_assert_msg(slice_eq(content("a.test/u/new/17.A.here"), rows[i].want), "row %zu", i);
            ck_assert_int_eq(unlink(in("a.test/u/new/17.A.here")), 0);
        }
    }
}
END_TEST

/* More than the buffer, in pieces that end anywhere. */
START_TEST(a_big_one)
{
    static char text[300000], want[300000];
    size_t n = 0;
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = i % 50 == 48 ? '\r' : i % 50 == 49 ? '\n' : (char)('a' + i % 26);
        if (text[i] != '\r') {
            want[n++] = text[i];
        }
    }
    ck_assert_int_eq(maildir_file_begin(&file, box("u@a.test"), MAILDIR_MAKE_ALL, "17.A.here"), 0);
    for (struct slice s = slice_of(text, sizeof(text)); s.len; s = slice_skip(s, 65549)) {
        ck_assert_int_eq(maildir_file_add(&file, slice_first(s, 65549)), 0);
    }
    ck_assert_int_eq(maildir_file_finish(&file), 0);
    ck_assert(slice_eq(content("a.test/u/new/17.A.here"), slice_of(want, n)));
}
END_TEST

/* A crash before the outcome was durable: the next attempt writes no second one. */
START_TEST(an_attempt_before)
{
    ck_assert_int_eq(store("u@a.test", MAILDIR_MAKE_ALL, SLICE("first\r\n")), 0);
    ck_assert_int_eq(store("u@a.test", MAILDIR_MAKE_ALL, SLICE("second\r\n")), 0);
    ck_assert_uint_eq(count("a.test/u/new"), 1);
    ck_assert(slice_eq(content("a.test/u/new/17.A.here"), SLICE("first\n")));
    /* Half a file of a crash is no message: it is written anew. */
    ck_assert_int_eq(rename(in("a.test/u/new/17.A.here"), in("a.test/u/tmp/17.A.here")), 0);
    ck_assert_int_eq(store("u@a.test", MAILDIR_MAKE_ALL, SLICE("third\r\n")), 0);
    ck_assert_uint_eq(count("a.test/u/tmp"), 0);
    ck_assert(slice_eq(content("a.test/u/new/17.A.here"), SLICE("third\n")));
    /* Given up: nothing stays, and what is in new/ is left alone. */
    ck_assert_int_eq(maildir_file_begin(&file, box("v@a.test"), MAILDIR_MAKE_ALL, "18.B.here"), 0);
    ck_assert_int_eq(maildir_file_add(&file, SLICE("half")), 0);
    maildir_file_abort(&file);
    ck_assert_uint_eq(count("a.test/v/tmp") + count("a.test/v/new"), 0);
    ck_assert_int_eq(maildir_file_begin(&file, box("u@a.test"), MAILDIR_MAKE_ALL, "17.A.here"), 0);
    ck_assert(file.there);
    maildir_file_abort(&file);
    ck_assert_uint_eq(count("a.test/u/new"), 1);
}
END_TEST

/* The base may be a link, nothing below it. */
START_TEST(links_are_not_followed)
{
    make_folder("elsewhere");
    make_folder("elsewhere/u");
    ck_assert_int_eq(symlink(in("elsewhere"), in("a.test")), 0);
    ck_assert_int_eq(store("u@a.test", MAILDIR_MAKE_ALL, SLICE("x")), -ENOTDIR);
    ck_assert_int_eq(maildir_look(box("u@a.test")), -ENOTDIR);
    make_folder("b.test");
    ck_assert_int_eq(symlink(in("elsewhere/u"), in("b.test/u")), 0);
    ck_assert_int_eq(store("u@b.test", MAILDIR_MAKE_ALL, SLICE("x")), -ENOTDIR);
    make_folder("b.test/v");
    ck_assert_int_eq(symlink(in("elsewhere/u"), in("b.test/v/new")), 0);
    ck_assert_int_eq(store("v@b.test", MAILDIR_MAKE_ALL, SLICE("x")), -ENOTDIR);
    ck_assert_int_eq(unlink(in("b.test/v/new")), 0);
    ck_assert_int_eq(symlink(in("elsewhere/u/victim"), in("b.test/v/tmp/17.A.here")), 0);
    ck_assert_int_eq(store("v@b.test", MAILDIR_MAKE_ALL, SLICE("x")), 0); /* the link is removed */
    ck_assert_uint_eq(count("elsewhere/u"), 0);
    ck_assert_uint_eq(mode_of("b.test/v/new/17.A.here"), 0600);
    /* The base itself is the operator's. */
    ck_assert_int_eq(symlink(folder, "/tmp/ringpost-maildir-link"), 0);
    conf.local.maildir = SLICE("/tmp/ringpost-maildir-link/{local}");
    int e = store("w@c.test", MAILDIR_MAKE_ALL, SLICE("x"));
    ck_assert_int_eq(unlink("/tmp/ringpost-maildir-link"), 0);
    ck_assert_int_eq(e, 0);
    ck_assert_uint_eq(count("w/new"), 1);
}
END_TEST

START_TEST(what_is_in_the_way)
{
    FILE *f = fopen(in("a.test"), "w");
    fclose(f);
    ck_assert_int_eq(store("u@a.test", MAILDIR_MAKE_ALL, SLICE("x")), -ENOTDIR);
    /* The folder of all mailboxes is missing: not the same as a recipient who does not exist. */
    snprintf(pattern, sizeof(pattern), "%s/none/{local}", folder);
    conf.local.maildir = slice_str(pattern);
    ck_assert_int_eq(store("u@a.test", MAILDIR_MAKE_NONE, SLICE("x")), -ENXIO);
    ck_assert_int_eq(store("u@a.test", MAILDIR_MAKE_LAST, SLICE("x")), -ENXIO);
    ck_assert_int_eq(maildir_look(box("u@a.test")), -ENXIO);
    ck_assert_int_eq(store("u@a.test", MAILDIR_MAKE_ALL, SLICE("x")), 0);
    ck_assert_uint_eq(mode_of("none"), 0700);
    /* A mailbox that goes away in the middle: that is trouble, not an unknown user. */
    snprintf(pattern, sizeof(pattern), "%s/{local}", folder);
    conf.local.maildir = slice_str(pattern);
    ck_assert_int_eq(maildir_file_begin(&file, box("u@a.test"), MAILDIR_MAKE_ALL, "17.A.here"), 0);
    ck_assert_int_eq(maildir_file_add(&file, SLICE("x")), 0);
    ck_assert_int_eq(rename(in("u/new"), in("u/gone")), 0);
    ck_assert_int_eq(rmdir(in("u/gone")), 0);
    ck_assert_int_lt(maildir_file_finish(&file), 0);
    ck_assert_uint_eq(count("u/tmp"), 0);
    ck_assert(file.fd < 0 && file.tmp_fd < 0 && file.new_fd < 0);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {made_when_asked,   a_folder_is_enough, lines,
                            a_big_one,         an_attempt_before,  links_are_not_followed,
                            what_is_in_the_way};
    Suite *suite = suite_create("core/relay/maildir_store");
    TCase *tc = tcase_create("maildir_store");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    for (size_t i = 0; i < ARRAY_COUNT(tests); i++) {
        tcase_add_test(tc, tests[i]);
    }
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
