/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/smtp/param.h"

#include "core/base/must.h"
#include "proto/smtp/xtext.h"

#include <check.h>
#include <stdlib.h>

#define X100                                                                                       \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

enum {
    OK = SMTP_PARAM_OK,
    B = SMTP_PARAM_BAD,
    U = SMTP_PARAM_UNKNOWN,
    N8 = SMTP_PARAM_NOT_UTF8MODE
};

static const struct {
    struct slice text;
    int result;
    uint64_t size;
    int body;
    int ret;
    bool utf8;
    const char *envid;
    const char *auth;
} mails[] = {
    {SLICE_INIT(""), OK, 0, 0, 0, false, "", ""},
    {SLICE_INIT("  "), OK, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" SIZE=1"), OK, 1, 0, 0, false, "", ""},
    {SLICE_INIT(" size=00010"), OK, 10, 0, 0, false, "", ""},
    {SLICE_INIT(" SIZE=18446744073709551615"), OK, UINT64_MAX, 0, 0, false, "", ""},
    {SLICE_INIT(" SIZE=18446744073709551616"), OK, UINT64_MAX, 0, 0, false, "", ""},
    {SLICE_INIT(" SIZE=99999999999999999999"), OK, UINT64_MAX, 0, 0, false, "", ""},
    {SLICE_INIT(" SIZE=100000000000000000000"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" SIZE"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" SIZE="), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" SIZE=-1"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" SIZE=0x10"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" SIZE=1 SIZE=2"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" SIZE=1 size=1"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" BODY=7BIT"), OK, 0, SMTP_BODY_7BIT, 0, false, "", ""},
    {SLICE_INIT(" body=8bitmime"), OK, 0, SMTP_BODY_8BITMIME, 0, false, "", ""},
    {SLICE_INIT(" BODY=BINARYMIME"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" BODY=XX"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" BODY="), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" BODY"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" SMTPUTF8"), OK, 0, 0, 0, true, "", ""},
    {SLICE_INIT(" SMTPUTF8=1"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" SMTPUTF8="), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" RET=FULL"), OK, 0, 0, MAIL_RET_FULL, false, "", ""},
    {SLICE_INIT(" RET=hdrs"), OK, 0, 0, MAIL_RET_HDRS, false, "", ""},
    {SLICE_INIT(" RET=BODY"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" ENVID=abc+2B"), OK, 0, 0, 0, false, "abc+2B", ""},
    {SLICE_INIT(" ENVID=" X100), OK, 0, 0, 0, false, X100, ""},
    {SLICE_INIT(" ENVID=" X100 "x"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" ENVID="), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" ENVID=+00"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" ENVID=a+0D+0Ab"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" ENVID=+7F"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" ENVID=+FC"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" ENVID=+2"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" ENVID=+"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" ENVID=+GG"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" ENVID=a=b"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" ENVID=\xc3\xbc"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" ENVID=a\tb"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" AUTH=<>"), OK, 0, 0, 0, false, "", "<>"},
    {SLICE_INIT(" AUTH=a@b.test"), OK, 0, 0, 0, false, "", "a@b.test"},
    {SLICE_INIT(" AUTH=e+3Dmc2@example.com"), OK, 0, 0, 0, false, "", "e+3Dmc2@example.com"},
    {SLICE_INIT(" AUTH=noaddress"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" AUTH=a+0D+0A@b"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" AUTH="), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" AUTH"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" FOO"), U, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" FOO="), U, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" FOO=x"), U, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" X-FOO=x"), U, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" NOTIFY=NEVER"), U, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" REQUIRETLS"), U, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" =x"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" ="), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" =\""), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" = = ="), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" -A=1"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" A_B=1"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" SIZE=1\tBODY=7BIT"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" \xc3\xbc=1"), B, 0, 0, 0, false, "", ""},
    {SLICE_INIT(" SIZE=5  BODY=7BIT   RET=FULL SMTPUTF8 ENVID=q "), OK, 5, SMTP_BODY_7BIT,
     MAIL_RET_FULL, true, "q", ""},
};

START_TEST(mail_table)
{
    struct smtp_mail_params p = {.size = 77};
    int result = (int)smtp_mail_params_parse(mails[_i].text, SMTP_FEATURES_DEFAULT, &p);
    ck_assert_msg(result == mails[_i].result, "%.*s: %d", SLICE_ARG(mails[_i].text), result);
    if (result != OK) {
        ck_assert_uint_eq(p.size, 77);
        return;
    }
    ck_assert_uint_eq(p.size, mails[_i].size);
    ck_assert_int_eq((int)p.body, mails[_i].body);
    ck_assert_int_eq((int)p.ret, mails[_i].ret);
    ck_assert_int_eq(p.smtputf8, mails[_i].utf8);
    ck_assert(slice_eq(p.envid, slice_str(mails[_i].envid)));
    ck_assert(slice_eq(p.auth, slice_str(mails[_i].auth)));
}
END_TEST

/* HOLDFOR, HOLDUNTIL, BY. */
static const struct {
    struct slice text;
    int result;
    uint64_t hold_for, hold_until;
    int by, by_s;
    bool trace;
} times[] = {
    {SLICE_INIT(" HOLDFOR=1"), OK, 1, 0, 0, 0, false},
    {SLICE_INIT(" holdfor=999999999"), OK, 999999999, 0, 0, 0, false},
    {SLICE_INIT(" HOLDFOR=1000000000"), B, 0, 0, 0, 0, false},
    {SLICE_INIT(" HOLDFOR=0"), B, 0, 0, 0, 0, false},
    {SLICE_INIT(" HOLDFOR=01"), B, 0, 0, 0, 0, false},
    {SLICE_INIT(" HOLDFOR=-1"), B, 0, 0, 0, 0, false},
    {SLICE_INIT(" HOLDFOR="), B, 0, 0, 0, 0, false},
    {SLICE_INIT(" HOLDFOR"), B, 0, 0, 0, 0, false},
    {SLICE_INIT(" HOLDUNTIL=2026-11-21T19:00:00Z"), OK, 0, 1795287600, 0, 0, false},
    {SLICE_INIT(" HOLDUNTIL=2026-11-21T19:00:00.1Z"), OK, 0, 1795287601, 0, 0, false},
    {SLICE_INIT(" HOLDUNTIL=2026-11-21T20:00:00+01:00"), OK, 0, 1795287600, 0, 0, false},
    {SLICE_INIT(" HOLDUNTIL=1970-01-01T00:00:00Z"), B, 0, 0, 0, 0, false},
    {SLICE_INIT(" HOLDUNTIL=2026-11-21"), B, 0, 0, 0, 0, false},
    {SLICE_INIT(" HOLDUNTIL="), B, 0, 0, 0, 0, false},
    {SLICE_INIT(" HOLDFOR=1 HOLDFOR=1"), B, 0, 0, 0, 0, false},
    {SLICE_INIT(" HOLDFOR=1 HOLDUNTIL=2026-11-21T19:00:00Z"), B, 0, 0, 0, 0, false},
    {SLICE_INIT(" HOLDUNTIL=2026-11-21T19:00:00Z HOLDFOR=1"), B, 0, 0, 0, 0, false},
    {SLICE_INIT(" BY=120;R"), OK, 0, 0, SMTP_BY_RETURN, 120, false},
    {SLICE_INIT(" by=+120;rt"), OK, 0, 0, SMTP_BY_RETURN, 120, true},
    {SLICE_INIT(" BY=-5;N"), OK, 0, 0, SMTP_BY_NOTIFY, -5, false},
    {SLICE_INIT(" BY=0;NT"), OK, 0, 0, SMTP_BY_NOTIFY, 0, true},
    {SLICE_INIT(" BY=-999999999;N"), OK, 0, 0, SMTP_BY_NOTIFY, -999999999, false},
    {SLICE_INIT(" BY=1000000000;N"), B, 0, 0, 0, 0, false},
    {SLICE_INIT(" BY=0;R"), B, 0, 0, 0, 0, false},
    {SLICE_INIT(" BY=-1;R"), B, 0, 0, 0, 0, false},
    {SLICE_INIT(" BY=1"), B, 0, 0, 0, 0, false},
    {SLICE_INIT(" BY=1;"), B, 0, 0, 0, 0, false},
    {SLICE_INIT(" BY=;R"), B, 0, 0, 0, 0, false},
    {SLICE_INIT(" BY=+;R"), B, 0, 0, 0, 0, false},
    {SLICE_INIT(" BY=+-1;N"), B, 0, 0, 0, 0, false},
    {SLICE_INIT(" BY=1;T"), B, 0, 0, 0, 0, false},
    {SLICE_INIT(" BY=1;TR"), B, 0, 0, 0, 0, false},
    {SLICE_INIT(" BY=1;RTT"), B, 0, 0, 0, 0, false},
    {SLICE_INIT(" BY=1;R;T"), B, 0, 0, 0, 0, false},
};

START_TEST(time_table)
{
    uint32_t features = SMTP_FEATURE_FUTURERELEASE | SMTP_FEATURE_DELIVERBY;
    struct smtp_mail_params p = {0};
    int result = (int)smtp_mail_params_parse(times[_i].text, features, &p);
    ck_assert_msg(result == times[_i].result, "%.*s: %d", SLICE_ARG(times[_i].text), result);
    ck_assert_uint_eq(p.hold_for_s, times[_i].hold_for);
    ck_assert_uint_eq(p.hold_until_s, times[_i].hold_until);
    ck_assert_int_eq(p.hold, times[_i].hold_for || times[_i].hold_until);
    ck_assert_int_eq((int)p.by, times[_i].by);
    ck_assert_int_eq(p.by_s, times[_i].by_s);
    ck_assert_int_eq(p.by_trace, times[_i].trace);
    /* Not offered: not known. */
    ck_assert_int_eq((int)smtp_mail_params_parse(times[_i].text, SMTP_FEATURES_DEFAULT, &p), U);
}
END_TEST

static const struct {
    struct slice text;
    bool utf8;
    int result;
    unsigned notify;
    const char *orcpt;
} rcpts[] = {
    {SLICE_INIT(""), false, OK, 0, ""},
    {SLICE_INIT(" NOTIFY=NEVER"), false, OK, MAIL_NOTIFY_NEVER, ""},
    {SLICE_INIT(" NOTIFY=success,Delay,FAILURE"), false, OK, 14, ""},
    {SLICE_INIT(" NOTIFY=SUCCESS,SUCCESS"), false, OK, MAIL_NOTIFY_SUCCESS, ""},
    {SLICE_INIT(" NOTIFY=NEVER,SUCCESS"), false, B, 0, ""},
    {SLICE_INIT(" NOTIFY=SUCCESS,NEVER"), false, B, 0, ""},
    {SLICE_INIT(" NOTIFY="), false, B, 0, ""},
    {SLICE_INIT(" NOTIFY"), false, B, 0, ""},
    {SLICE_INIT(" NOTIFY=,"), false, B, 0, ""},
    {SLICE_INIT(" NOTIFY=SUCCESS,"), false, B, 0, ""},
    {SLICE_INIT(" NOTIFY=,SUCCESS"), false, B, 0, ""},
    {SLICE_INIT(" NOTIFY=SOMETIMES"), false, B, 0, ""},
    {SLICE_INIT(" NOTIFY=NEVER NOTIFY=NEVER"), false, B, 0, ""},
    {SLICE_INIT(" ORCPT=rfc822;a@b.test"), false, OK, 0, "rfc822;a@b.test"},
    {SLICE_INIT(" ORCPT=rfc822;a+2Bb@x"), false, OK, 0, "rfc822;a+2Bb@x"},
    {SLICE_INIT(" ORCPT=rfc822;a+0D+0ARCPT@x"), false, B, 0, ""},
    {SLICE_INIT(" ORCPT=rfc822;+00"), false, B, 0, ""},
    {SLICE_INIT(" ORCPT=rfc822;"), false, B, 0, ""},
    {SLICE_INIT(" ORCPT=;a@b"), false, B, 0, ""},
    {SLICE_INIT(" ORCPT=a@b"), false, B, 0, ""},
    {SLICE_INIT(" ORCPT="), false, B, 0, ""},
    {SLICE_INIT(" ORCPT=rfc/822;a@b"), false, B, 0, ""},
    {SLICE_INIT(
         " ORCPT=rfc822;" X100 X100 X100 X100
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
     false, OK, 0,
     "rfc822;" X100 X100 X100 X100
     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
    {SLICE_INIT(" ORCPT=rfc822;" X100 X100 X100 X100 X100), false, B, 0, ""},
    {SLICE_INIT(" ORCPT=utf-8;\xc3\xbc@x"), true, OK, 0, "utf-8;\xc3\xbc@x"},
    {SLICE_INIT(" ORCPT=utf-8;\xc3\xbc@x"), false, N8, 0, ""},
    {SLICE_INIT(" ORCPT=utf-8;\xc3@x"), true, B, 0, ""},
    {SLICE_INIT(" ORCPT=UTF-8;a\\x{FC}b@x"), false, OK, 0, "UTF-8;a\\x{FC}b@x"},
    {SLICE_INIT(" ORCPT=utf-8;\\x{D}"), true, B, 0, ""},
    {SLICE_INIT(" ORCPT=utf-8;\\x{0}"), true, B, 0, ""},
    {SLICE_INIT(" ORCPT=utf-8;\\x{D800}"), true, B, 0, ""},
    {SLICE_INIT(" ORCPT=utf-8;\\x{110000}"), true, B, 0, ""},
    {SLICE_INIT(" ORCPT=utf-8;\\x{0000041}"), true, B, 0, ""},
    {SLICE_INIT(" ORCPT=utf-8;\\x{}"), true, B, 0, ""},
    {SLICE_INIT(" ORCPT=utf-8;\\x{41"), true, B, 0, ""},
    {SLICE_INIT(" ORCPT=utf-8;a+2Bb"), true, B, 0, ""},
    {SLICE_INIT(" ORCPT=rfc822;\xc3\xbc@x"), true, B, 0, ""},
    {SLICE_INIT(" SIZE=1"), false, U, 0, ""},
    {SLICE_INIT(" NOTIFY=DELAY ORCPT=x400;q BAR"), false, U, 0, ""},
    {SLICE_INIT(" NOTIFY=DELAY ORCPT=x-400;q"), false, OK, MAIL_NOTIFY_DELAY, "x-400;q"},
};

START_TEST(rcpt_table)
{
    struct smtp_rcpt_params p = {0};
    int result = (int)smtp_rcpt_params_parse(rcpts[_i].text, SMTP_FEATURES_DEFAULT, rcpts[_i].utf8,
                                             &p);
    ck_assert_msg(result == rcpts[_i].result, "%.*s: %d", SLICE_ARG(rcpts[_i].text), result);
    if (result == OK) {
        ck_assert_uint_eq(p.notify, rcpts[_i].notify);
        ck_assert(slice_eq(p.orcpt, slice_str(rcpts[_i].orcpt)));
    }
}
END_TEST

/* What EHLO does not offer is unknown. */
START_TEST(features_off)
{
    static const struct slice words[] = {SLICE_INIT(" SIZE=1"), SLICE_INIT(" BODY=7BIT"),
                                         SLICE_INIT(" SMTPUTF8"), SLICE_INIT(" RET=FULL"),
                                         SLICE_INIT(" ENVID=x")};
    struct smtp_mail_params mail;
    struct smtp_rcpt_params rcpt;
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        ck_assert_int_eq((int)smtp_mail_params_parse(words[i], 0, &mail), U);
    }
    ck_assert_int_eq((int)smtp_rcpt_params_parse(SLICE(" NOTIFY=NEVER"), 0, false, &rcpt), U);
    ck_assert_int_eq((int)smtp_mail_params_parse(SLICE(" AUTH=<>"), 0, &mail), OK);
}
END_TEST

START_TEST(xtext_round_trip)
{
    struct buf encoded;
    struct buf decoded;
    char all[95];
    for (size_t i = 0; i < sizeof(all); i++) {
        all[i] = (char)(0x20 + i);
    }
    buf_init(&encoded, 1000);
    buf_init(&decoded, 1000);
    smtp_xtext_encode(slice_of(all, sizeof(all)), &encoded);
    ck_assert_int_eq(slice_find_byte(buf_slice(&encoded), '='), -1);
    ck_assert_int_eq(slice_find_byte(buf_slice(&encoded), ' '), -1);
    ck_assert(smtp_xtext_decode(buf_slice(&encoded), &decoded));
    ck_assert(slice_eq(buf_slice(&decoded), slice_of(all, sizeof(all))));
    ck_assert(!smtp_xtext_decode(SLICE("good+0A"), &decoded));
    ck_assert_uint_eq(decoded.len, sizeof(all)); /* taken back */
    buf_deinit(&encoded);
    buf_deinit(&decoded);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("param");
    TCase *tc = tcase_create("tables");
    tcase_add_loop_test(tc, time_table, 0, (int)ARRAY_COUNT(times));
    tcase_add_loop_test(tc, mail_table, 0, (int)ARRAY_COUNT(mails));
    tcase_add_loop_test(tc, rcpt_table, 0, (int)ARRAY_COUNT(rcpts));
    tcase_add_test(tc, features_off);
    tcase_add_test(tc, xtext_round_trip);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
