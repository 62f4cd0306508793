/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/mail/dot.h"

#include "core/base/must.h"

#include <check.h>
#include <stdlib.h>

static const struct {
    const char *in, *out;
} rows[] = {
    {"", ""},
    {"a\r\n", "a\r\n"},
    {".", ".."},
    {".\r\n", "..\r\n"},
    {"..\r\n", "...\r\n"},
    {"a.\r\n.b\r\n", "a.\r\n..b\r\n"},
    {"\r\n.\r\n", "\r\n..\r\n"},
    {"\r\n\r\n.\r\n.\r\nx", "\r\n\r\n..\r\n..\r\nx"},
    {"a . b\r\n", "a . b\r\n"},
    {"no end.", "no end."},
};

START_TEST(stuffing)
{
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct slice all = slice_str(rows[i].in);
        for (size_t cut = 0; cut <= all.len; cut++) {
            struct mail_dot d;
            struct buf b;
            buf_init(&b, 1000);
            mail_dot_init(&d);
            mail_dot_add(&d, slice_first(all, cut), &b);
            mail_dot_add(&d, slice_skip(all, cut), &b);
            ck_assert_msg(slice_eq(buf_slice(&b), slice_str(rows[i].out)), "row %zu cut %zu", i,
                          cut);
            buf_deinit(&b);
        }
    }
}
END_TEST

/* Nothing is copied: every piece lies in the input, and there are few of them. */
START_TEST(pieces_point_into_the_input)
{
    struct slice all = SLICE("line\r\nline\r\n.dot\r\nline\r\n");
    struct slice in = all;
    struct mail_dot d;
    unsigned pieces = 0;
    size_t bytes = 0;
    mail_dot_init(&d);
    while (in.len > 0) {
        struct slice piece = mail_dot_next(&d, &in);
        ck_assert(piece.ptr >= all.ptr && piece.ptr + piece.len <= all.ptr + all.len);
        pieces++;
        bytes += piece.len;
    }
    ck_assert_uint_eq(pieces, 2);
    ck_assert_uint_eq(bytes, all.len + 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto/mail/dot");
    TCase *tc = tcase_create("dot");
    tcase_add_test(tc, stuffing);
    tcase_add_test(tc, pieces_point_into_the_input);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
