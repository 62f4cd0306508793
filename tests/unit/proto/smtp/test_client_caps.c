/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/smtp/client_caps.h"
#include "proto/smtp/auth.h"

#include "core/base/must.h"

#include <check.h>
#include <stdlib.h>

static const struct {
    const char *text;
    struct smtp_caps caps;
} rows[] = {
    {"mx.test", {.esmtp = true}},
    {"PIPELINING", {.esmtp = true}}, /* the first line is the greeting */
    {"mx\nPIPELINING\nchunking\n8BitMime\nSMTPUTF8\nDSN\nENHANCEDSTATUSCODES\nSTARTTLS\nREQUIRETLS",
     {.esmtp = true,
      .pipelining = true,
      .chunking = true,
      .eightbitmime = true,
      .smtputf8 = true,
      .dsn = true,
      .enhancedstatuscodes = true,
      .starttls = true,
      .requiretls = true}},
    {"mx\nSIZE 1000", {.esmtp = true, .size = true, .size_max = 1000}},
    {"mx\nDELIVERBY", {.esmtp = true, .deliverby = true}},
    {"mx\nDELIVERBY 240", {.esmtp = true, .deliverby = true, .by_min_s = 240}},
    {"mx\nDELIVERBY 999999999", {.esmtp = true, .deliverby = true, .by_min_s = 999999999}},
    {"mx\nDELIVERBY 1000000000", {.esmtp = true, .deliverby = true}},
    {"mx\nDELIVERBY -1", {.esmtp = true, .deliverby = true}},
    {"mx\nSIZE", {.esmtp = true, .size = true}},
    {"mx\nSIZE 0", {.esmtp = true, .size = true}},
    {"mx\nSIZE x", {.esmtp = true, .size = true}},
    {"mx\nSIZE 99999999999999999999999", {.esmtp = true, .size = true}},
    {"mx\nSIZE=5", {.esmtp = true}},
    {"mx\nAUTH PLAIN LOGIN",
     {.esmtp = true, .auth = true, .auth_mechanisms = SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN}},
    {"mx\nauth  xoauth2 GSSAPI Cram-MD5 PLAINX",
     {.esmtp = true, .auth = true, .auth_mechanisms = SMTP_AUTH_XOAUTH2 | SMTP_AUTH_CRAM_MD5}},
    {"mx\nAUTH PLAIN\nAUTH=LOGIN CRAM-MD5",
     {.esmtp = true,
      .auth = true,
      .auth_mechanisms = SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN | SMTP_AUTH_CRAM_MD5}},
    {"mx\nAUTH\nAUTHX PLAIN", {.esmtp = true, .auth = true}},
    {"mx\n AUTH=", {.esmtp = true, .auth = true}},
    {"mx\nSTARTTLS\nAUTH GSSAPI", {.esmtp = true, .starttls = true, .auth = true}},
    {"mx\nLIMITS RCPTMAX=20 MAILMAX=5 RCPTDOMAINMAX=1 FOO=2",
     {.esmtp = true, .limit_rcpt = 20, .limit_mail = 5, .limit_rcpt_domain = 1}},
    {"mx\nLIMITS RCPTMAX=0 MAILMAX=-1", {.esmtp = true}},
    {"mx\nLIMITS RCPTMAX=1234567", {.esmtp = true}},
    {"mx\nXPIPELINING\nPIPELININGX\n\n \nFOO BAR", {.esmtp = true}},
    {"mx\n PIPELINING ", {.esmtp = true, .pipelining = true}},
};

START_TEST(keywords)
{
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct smtp_caps caps, want = rows[i].caps;
        memset(&caps, 0xff, sizeof(caps));
        smtp_caps_parse(&caps, slice_str(rows[i].text));
        ck_assert_msg(caps.esmtp == want.esmtp && caps.pipelining == want.pipelining &&
                          caps.chunking == want.chunking && caps.size == want.size &&
                          caps.eightbitmime == want.eightbitmime &&
                          caps.smtputf8 == want.smtputf8 && caps.dsn == want.dsn &&
                          caps.enhancedstatuscodes == want.enhancedstatuscodes &&
                          caps.starttls == want.starttls && caps.requiretls == want.requiretls &&
                          caps.auth == want.auth,
                      "row %zu: flags", i);
        ck_assert_msg(caps.auth_mechanisms == want.auth_mechanisms, "row %zu: AUTH", i);
        ck_assert_uint_eq(caps.size_max, want.size_max);
        ck_assert(caps.deliverby == want.deliverby && caps.by_min_s == want.by_min_s);
        ck_assert_uint_eq(caps.limit_rcpt, want.limit_rcpt);
        ck_assert_uint_eq(caps.limit_mail, want.limit_mail);
        ck_assert_uint_eq(caps.limit_rcpt_domain, want.limit_rcpt_domain);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto/smtp/client_caps");
    TCase *tc = tcase_create("caps");
    tcase_add_test(tc, keywords);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
