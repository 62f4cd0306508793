/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/mail/trace.h"

#include "core/base/must.h"

#include <check.h>
#include <stdlib.h>

#define L250                                                                                       \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"         \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"         \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct {
    struct mail_trace t;
    const char *want;
} rows[] = {
    {{SLICE_INIT("c.test"), SLICE_INIT("r.test"), SLICE_INIT("192.0.2.1"), SLICE_INIT("mx.test"),
      SLICE_INIT("42"), SLICE_INIT("a@b"), MAIL_WITH_ESMTP, 0},
     "Received: from c.test (r.test [192.0.2.1])\r\n\tby mx.test (Ringpost) with ESMTP id 42\r\n\tfor <a@b>;\r\n\t"
     "Thu, 1 Jan 1970 00:00:00 +0000\r\n"},
    {{SLICE_INIT("[IPv6:::1]"),
      {NULL, 0},
      SLICE_INIT("2001:db8::1"),
      SLICE_INIT("mx.test"),
      SLICE_INIT("42"),
      {NULL, 0},
      MAIL_WITH_ESMTP | MAIL_WITH_TLS | MAIL_WITH_AUTH,
      0},
     "Received: from [IPv6:::1] (unknown [IPv6:2001:db8::1])\r\n\tby mx.test (Ringpost) with ESMTPSA id 42;\r\n\t"
     "Thu, 1 Jan 1970 00:00:00 +0000\r\n"},
    {{SLICE_INIT("e(v;i\rl\n\xff"), SLICE_INIT("x)y"), SLICE_INIT("1.2.3.4"), SLICE_INIT("h"),
      SLICE_INIT("1"), SLICE_INIT("\xc3\xbc@b"), 0, 0},
     "Received: from e?v?i?l?? (x?y [1.2.3.4])\r\n\tby h (Ringpost) with SMTP id 1\r\n\tfor <??@b>;\r\n\t"
     "Thu, 1 Jan 1970 00:00:00 +0000\r\n"},
    {{{NULL, 0},
      {NULL, 0},
      {NULL, 0},
      SLICE_INIT("h"),
      SLICE_INIT("1"),
      SLICE_INIT("\xc3\xbc@b"),
      MAIL_WITH_ESMTP | MAIL_WITH_UTF8,
      0},
     "Received: from unknown\r\n\tby h (Ringpost) with UTF8SMTP id 1\r\n\tfor <\xc3\xbc@b>;\r\n\t"
     "Thu, 1 Jan 1970 00:00:00 +0000\r\n"},
};

START_TEST(received)
{
    struct buf out;
    buf_init(&out, 4096);
    mail_trace_add_received(&out, &rows[_i].t);
    ck_assert_msg(slice_eq(buf_slice(&out), slice_str(rows[_i].want)), "%.*s",
                  SLICE_ARG(buf_slice(&out)));
    buf_deinit(&out);
}
END_TEST

START_TEST(with_words)
{
    static const char *const words[16] = {
        "SMTP",      "ESMTP",     "ESMTPS",     "ESMTPS",     "ESMTPA",    "ESMTPA",
        "ESMTPSA",   "ESMTPSA",   "UTF8SMTP",   "UTF8SMTP",   "UTF8SMTPS", "UTF8SMTPS",
        "UTF8SMTPA", "UTF8SMTPA", "UTF8SMTPSA", "UTF8SMTPSA",
    };
    for (uint32_t with = 0; with < 16; with++) {
        ck_assert(slice_eq(mail_trace_with(with), slice_str(words[with])));
    }
    ck_assert(slice_eq(mail_trace_with(MAIL_WITH_HTTP | MAIL_WITH_AUTH), SLICE("HTTP")));
    ck_assert(slice_eq(mail_trace_with(MAIL_WITH_HTTP | MAIL_WITH_TLS), SLICE("HTTPS")));
}
END_TEST

/* No line above 998 bytes, whatever comes in. */
START_TEST(line_limit)
{
    struct mail_trace t = {SLICE(L250 L250), SLICE(L250 L250), SLICE("192.0.2.1"), SLICE(L250),
                           SLICE(L250 L250), SLICE(L250 L250), MAIL_WITH_ESMTP,    0};
    struct buf out;
    buf_init(&out, 8192);
    mail_trace_add_received(&out, &t);
    struct slice rest = buf_slice(&out);
    while (rest.len) {
        ck_assert_uint_le(slice_cut(&rest, '\n').len, 999);
    }
    buf_deinit(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trace");
    TCase *tc = tcase_create("received");
    tcase_add_loop_test(tc, received, 0, (int)ARRAY_COUNT(rows));
    tcase_add_test(tc, with_words);
    tcase_add_test(tc, line_limit);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
