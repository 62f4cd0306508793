/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Bodies and fields with their canonical forms, written out. Every body runs whole, cut at every place,
 * and in single bytes. (tests/fuzz/fuzz_dkim_canon.c compares any text with dkimpy's rules.)
 */
#include "proto/mail/dkim_canon.h"

#include "core/base/buf.h"
#include "core/base/must.h"

#include <check.h>
#include <stdlib.h>

static void collect(void *ctx, struct slice text)
{
    ck_assert_uint_gt(text.len, 0);
    buf_add(ctx, text);
}

static const struct {
    const char *name;
    const char *in;
    const char *simple;
    const char *relaxed;
} bodies[] = {
    {"RFC 6376 3.4.5", " C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", " C\r\nD E\r\n"},
    {"empty", "", "\r\n", ""},
    {"one line end", "\r\n", "\r\n", ""},
    {"line ends", "\r\n\r\n\r\n", "\r\n", ""},
    {"plain", "a\r\n", "a\r\n", "a\r\n"},
    {"no end", "a", "a\r\n", "a\r\n"},
    {"no end after wsp", "a \t", "a \t\r\n", "a\r\n"},
    {"no end, blank last line", "a\r\n  ", "a\r\n  \r\n", "a\r\n"},
    {"wsp", " \t", " \t\r\n", ""},
    {"wsp line", " \t\r\n", " \t\r\n", ""},
    {"wsp lines", " \r\n\t\r\n", " \r\n\t\r\n", ""},
    {"trailing blank lines", "a\r\n\r\n\r\n", "a\r\n", "a\r\n"},
    {"trailing wsp lines", "a\r\n \r\n\t\r\n", "a\r\n \r\n\t\r\n", "a\r\n"},
    {"blank, wsp, blank", "a\r\n\r\n \r\n\r\n", "a\r\n\r\n \r\n", "a\r\n"},
    {"leading blank lines", "\r\n\r\na\r\n", "\r\n\r\na\r\n", "\r\n\r\na\r\n"},
    {"leading wsp line", " \r\na\r\n", " \r\na\r\n", "\r\na\r\n"},
    {"inner blank lines", "a\r\n\r\n\r\nb", "a\r\n\r\n\r\nb\r\n", "a\r\n\r\n\r\nb\r\n"},
    {"twenty inner line ends",
     "a\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nb\r\n",
     "a\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nb\r\n",
     "a\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nb\r\n"},
    {"wsp runs", "a  b\t\tc \t d \r\n", "a  b\t\tc \t d \r\n", "a b c d\r\n"},
    {"leading wsp", "  a\r\n\tb\r\n", "  a\r\n\tb\r\n", " a\r\n b\r\n"},
    {"wsp around a line end", "a \r\n\t b\r\n", "a \r\n\t b\r\n", "a\r\n b\r\n"},
    {"other white space stays", "a\v\f b\xa0\r\n", "a\v\f b\xa0\r\n", "a\v\f b\xa0\r\n"},
    {"bare CR", "a\rb\r\n", "a\rb\r\n", "a\rb\r\n"},
    {"bare CR after wsp", "a \r b\r\n", "a \r b\r\n", "a \r b\r\n"},
    {"two CR", "a\r\r\n", "a\r\r\n", "a\r\r\n"},
    {"CR last", "a\r\n\r", "a\r\n\r\r\n", "a\r\n\r\r\n"},
    {"bare LF", "a\nb \n\n", "a\nb \n\n\r\n", "a\nb \n\n\r\n"},
    {"LF first", "\na", "\na\r\n", "\na\r\n"},
};

static void check_body(int i, enum dkim_canon c, size_t cut)
{
    struct buf got;
    struct dkim_canon_body b;
    struct slice in = slice_str(bodies[i].in);
    const char *want = c == DKIM_CANON_SIMPLE ? bodies[i].simple : bodies[i].relaxed;
    struct dkim_sink sink = {collect, &got};
    buf_init(&got, 10000);
    dkim_canon_body_init(&b, c, &sink);
    if (cut == SIZE_MAX) {
        for (size_t k = 0; k < in.len; k++) {
            dkim_canon_body_add(&b, slice_of(in.ptr + k, 1));
        }
    } else {
        dkim_canon_body_add(&b, slice_first(in, cut));
        dkim_canon_body_add(&b, slice_skip(in, cut));
    }
    dkim_canon_body_done(&b);
    ck_assert_msg(slice_eq(buf_slice(&got), slice_str(want)), "%s, %d, cut %zu: '%.*s'",
                  bodies[i].name, (int)c, cut, SLICE_ARG(buf_slice(&got)));
    buf_deinit(&got);
}

START_TEST(body)
{
    for (size_t cut = 0; cut <= strlen(bodies[_i].in); cut++) {
        check_body(_i, DKIM_CANON_SIMPLE, cut);
        check_body(_i, DKIM_CANON_RELAXED, cut);
    }
    check_body(_i, DKIM_CANON_SIMPLE, SIZE_MAX);
    check_body(_i, DKIM_CANON_RELAXED, SIZE_MAX);
}
END_TEST

static const struct {
    const char *in;
    const char *relaxed;
} fields[] = {
    {"A: X\r\n", "a:X\r\n"}, /* RFC 6376 3.4.5 */
    {"B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n"},
    {"SubJect:x\r\n", "subject:x\r\n"},
    {"Subject:   x\r\n", "subject:x\r\n"},
    {"Subject: x \t\r\n", "subject:x\r\n"},
    {"Subject: a  b\t\tc\r\n", "subject:a b c\r\n"},
    {"Subject:\r\n", "subject:\r\n"},
    {"Subject: \t \r\n", "subject:\r\n"},
    {"Subject:\r\n x\r\n", "subject:x\r\n"},
    {"Subject: a\r\n b\r\n\tc\r\n", "subject:a b c\r\n"},
    {"Subject: a \r\n \r\n\t\r\n b\r\n \r\n", "subject:a b\r\n"},
    {"Subject\t : a: b\r\n", "subject:a: b\r\n"},
    {"S: \xc3\xa9 \xa0\r\n", "s:\xc3\xa9 \xa0\r\n"},
    {"S: \fx\v\r\n", "s:\fx\v\r\n"},
    {"S: a\rb \r\r\n", "s:a\rb \r\r\n"},
    {"DKIM-Signature: v=1;\r\n b=", "dkim-signature:v=1; b="}, /* no CRLF: none in the result */
};

START_TEST(field)
{
    struct buf got;
    struct dkim_sink sink = {collect, &got};
    struct slice in = slice_str(fields[_i].in);
    buf_init(&got, 1000);
    dkim_canon_field(DKIM_CANON_RELAXED, in, &sink);
    ck_assert_msg(slice_eq(buf_slice(&got), slice_str(fields[_i].relaxed)), "'%.*s'",
                  SLICE_ARG(buf_slice(&got)));
    buf_clear(&got);
    dkim_canon_field(DKIM_CANON_SIMPLE, in, &sink);
    ck_assert(slice_eq(buf_slice(&got), in));
    buf_deinit(&got);
}
END_TEST

struct counter {
    uint64_t bytes;
    uint64_t pieces;
};

static void count(void *ctx, struct slice text)
{
    struct counter *c = ctx;
    c->bytes += text.len;
    c->pieces++;
}

/* Held back in counters: no memory, whatever comes; let go in pieces. */
START_TEST(endless_blank_lines)
{
    struct counter c = {0};
    struct dkim_sink sink = {count, &c};
    struct dkim_canon_body b;
    const uint64_t lines = 3 * 1000 * 1000;
    dkim_canon_body_init(&b, DKIM_CANON_RELAXED, &sink);
    dkim_canon_body_add(&b, SLICE("a"));
    for (uint64_t i = 0; i < lines; i++) {
        dkim_canon_body_add(&b, SLICE("\r\n"));
    }
    ck_assert_uint_eq(c.bytes, 0);
    dkim_canon_body_add(&b, SLICE(" b"));
    dkim_canon_body_done(&b);
    ck_assert_uint_eq(c.bytes, 1 + 2 * lines + 4);
    ck_assert_uint_lt(c.pieces, c.bytes / 500 + 2);
}
END_TEST

/* Words around the size of the stage. */
START_TEST(long_words)
{
    static char text[5000];
    memset(text, 'x', sizeof(text));
    for (size_t n = DKIM_STAGE_BYTES - 3; n < DKIM_STAGE_BYTES + 4; n++) {
        struct buf got;
        struct dkim_sink sink = {collect, &got};
        struct dkim_canon_body b;
        buf_init(&got, 100000);
        dkim_canon_body_init(&b, DKIM_CANON_RELAXED, &sink);
        for (int i = 0; i < 5; i++) {
            dkim_canon_body_add(&b, slice_of(text, n));
            dkim_canon_body_add(&b, SLICE("  "));
        }
        dkim_canon_body_add(&b, slice_of(text, sizeof(text)));
        dkim_canon_body_done(&b);
        ck_assert_uint_eq(got.len, 5 * (n + 1) + sizeof(text) + 2);
        for (size_t i = 0; i < 5; i++) {
            ck_assert_int_eq(got.ptr[i * (n + 1) + n], ' ');
        }
        buf_deinit(&got);
    }
}
END_TEST

START_TEST(names)
{
    enum dkim_canon c = DKIM_CANON_SIMPLE;
    ck_assert(dkim_canon_from_name(SLICE("Relaxed"), &c) && c == DKIM_CANON_RELAXED);
    ck_assert(dkim_canon_from_name(SLICE("simple"), &c) && c == DKIM_CANON_SIMPLE);
    ck_assert(!dkim_canon_from_name(SLICE("nowsp"), &c) && !dkim_canon_from_name(SLICE(""), &c));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("mail/dkim_canon");
    TCase *t = tcase_create("canon");
    tcase_add_loop_test(t, body, 0, (int)ARRAY_COUNT(bodies));
    tcase_add_loop_test(t, field, 0, (int)ARRAY_COUNT(fields));
    tcase_add_test(t, endless_blank_lines);
    tcase_add_test(t, long_words);
    tcase_add_test(t, names);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
