/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/mail/dkim_header.h"

#include "core/base/must.h"

#include <check.h>
#include <stdlib.h>

static const struct {
    const char *value;
    const char *domain; /* NULL: see skip */
    enum dkim_skip skip;
} rows[] = {
    {" joe@example.org\r\n", "example.org", 0},
    {"joe@example.org\r\n", "example.org", 0},
    {" <joe@example.org>\r\n", "example.org", 0},
    {" Joe Doe <joe@EXAMPLE.org>\r\n", "EXAMPLE.org", 0},
    {" \"Doe, Joe\" <joe@example.org>\r\n", "example.org", 0},
    {" \"a \\\" <x@evil.example>, \" <joe@example.org>\r\n", "example.org", 0},
    {" =?utf-8?Q?J=C3=B6?= <joe@example.org>\r\n", "example.org", 0},
    {" J\xc3\xb6 <joe@b\xc3\xbc"
     "cher.example>\r\n",
     "b\xc3\xbc"
     "cher.example",
     0},
    {" joe@example.org (Joe)\r\n", "example.org", 0},
    {" (a (nested) \\) comment) joe (b) @ (c) example (d) . (e) org (f)\r\n", "example.org", 0},
    {" Joe\r\n <joe@\r\n example.org>\r\n", "example.org", 0},
    {" joe @ example . org\r\n", "example.org", 0},
    {" \"joe@evil.example\"@example.org\r\n", "example.org", 0},
    {" \"joe\\\"@x\"@example.org\r\n", "example.org", 0},
    {" joe@[192.0.2.1]\r\n", "[192.0.2.1]", 0},
    {" joe@[a@b\\]]\r\n", "[a@b\\]]", 0},
    {" <@relay.example,@other.example:joe@example.org>\r\n", "example.org", 0},
    {" <@relay.example:joe@example.org>\r\n", "example.org", 0},
    /* Lists and groups. */
    {" a@example.org, b@Example.ORG\r\n", "Example.ORG", 0},
    {" a@example.org, B <b@example.org>, \r\n", "example.org", 0},
    {" ,, a@example.org\r\n", "example.org", 0},
    {" Team: a@example.org, b@example.org;\r\n", "example.org", 0},
    {" Team: a@example.org;, b@example.org\r\n", "example.org", 0},
    /* Display names that should be quoted. */
    {" Doe, Joe <joe@example.org>\r\n", "example.org", 0},
    {" joe@example.org <joe@example.org>\r\n", "example.org", 0},
    {" joe@other.example <joe@example.org>\r\n", "example.org", 0},
    {" Joe: the man <joe@example.org>\r\n", "example.org", 0},
    {" J. Doe (Inc.) <joe@example.org>\r\n", "example.org", 0},
    /* Several domains. */
    {" a@example.org, b@example.com\r\n", NULL, DKIM_SKIP_FROM_DOMAINS},
    {" a@example.org, <b@example.com>\r\n", NULL, DKIM_SKIP_FROM_DOMAINS},
    {" T: a@example.org; b@sub.example.org\r\n", NULL, DKIM_SKIP_FROM_DOMAINS},
    /* No domain, or no sense. */
    {"\r\n", NULL, DKIM_SKIP_FROM_SYNTAX},
    {" joe\r\n", NULL, DKIM_SKIP_FROM_SYNTAX},
    {" <>\r\n", NULL, DKIM_SKIP_FROM_SYNTAX},
    {" Joe <joe>\r\n", NULL, DKIM_SKIP_FROM_SYNTAX},
    {" undisclosed:;\r\n", NULL, DKIM_SKIP_FROM_SYNTAX},
    {" @example.org\r\n", NULL, DKIM_SKIP_FROM_SYNTAX},
    {" joe@\r\n", NULL, DKIM_SKIP_FROM_SYNTAX},
    {" a@b@example.org\r\n", NULL, DKIM_SKIP_FROM_SYNTAX},
    {" <a@b@example.org>\r\n", NULL, DKIM_SKIP_FROM_SYNTAX},
    {" <joe@example.org\r\n", NULL, DKIM_SKIP_FROM_SYNTAX},
    {" <a@example.org> <b@example.com>\r\n", NULL, DKIM_SKIP_FROM_SYNTAX},
    {" <a@example.org> b@example.com\r\n", NULL, DKIM_SKIP_FROM_SYNTAX},
    {" <a@example.org, b@example.com>\r\n", NULL, DKIM_SKIP_FROM_SYNTAX},
    {" <<a@example.org>>\r\n", NULL, DKIM_SKIP_FROM_SYNTAX},
    {" <a@example.org> <>\r\n", NULL, DKIM_SKIP_FROM_SYNTAX},
    {" <> <a@example.org>\r\n", NULL, DKIM_SKIP_FROM_SYNTAX},
    {" joe@example org\r\n", NULL, DKIM_SKIP_FROM_SYNTAX},
    {" joe@exam\r\n ple.org\r\n", NULL, DKIM_SKIP_FROM_SYNTAX},
    {" joe@example.org \"Joe\"\r\n", NULL, DKIM_SKIP_FROM_SYNTAX},
    {" \"open <joe@example.org>\r\n", NULL, DKIM_SKIP_FROM_SYNTAX},
    {" (open <joe@example.org>\r\n", NULL, DKIM_SKIP_FROM_SYNTAX},
    {" joe@[open\r\n", NULL, DKIM_SKIP_FROM_SYNTAX},
    {" <@relay.example joe@example.org>\r\n", NULL, DKIM_SKIP_FROM_SYNTAX},
    {" <@relay.example\r\n", NULL, DKIM_SKIP_FROM_SYNTAX},
};

START_TEST(table)
{
    struct dkim_domain d = {.len = 1, .text = "?"};
    struct slice value = slice_str(rows[_i].value);
    enum dkim_skip skip = dkim_from_domain(value, &d);
    ck_assert_msg(skip == rows[_i].skip, "%s: %s", rows[_i].value, dkim_skip_name(skip));
    ck_assert_msg(slice_eq(dkim_domain_slice(&d),
                           slice_str(rows[_i].domain ? rows[_i].domain : "?")),
                  "%s: %s", rows[_i].value, d.text);
}
END_TEST

/* At the limit, and beyond it. */
START_TEST(long_domain)
{
    char text[600] = "a@";
    struct dkim_domain d;
    memset(text + 2, 'x', LIMIT_DOMAIN_BYTES + 1);
    ck_assert_int_eq((int)dkim_from_domain(slice_of(text, 2 + LIMIT_DOMAIN_BYTES), &d), 0);
    ck_assert_uint_eq(d.len, LIMIT_DOMAIN_BYTES);
    ck_assert_int_eq((int)dkim_from_domain(slice_of(text, 3 + LIMIT_DOMAIN_BYTES), &d),
                     DKIM_SKIP_FROM_SYNTAX);
}
END_TEST

/* Every beginning of every row ends, and reads nothing behind itself (ASan). */
START_TEST(cut_anywhere)
{
    struct dkim_domain d;
    size_t len = strlen(rows[_i].value);
    for (size_t n = 0; n <= len; n++) {
        char *copy = malloc(n + 1);
        memcpy(copy, rows[_i].value, n);
        copy = realloc(copy, n ? n : 1);
        dkim_from_domain(slice_of(copy, n), &d);
        free(copy);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("mail/dkim_from");
    TCase *t = tcase_create("from");
    tcase_add_loop_test(t, table, 0, (int)ARRAY_COUNT(rows));
    tcase_add_loop_test(t, cut_anywhere, 0, (int)ARRAY_COUNT(rows));
    tcase_add_test(t, long_domain);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
