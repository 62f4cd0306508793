/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/dkim_record.h"

#include "core/base/must.h"
#include "tests/unit/tls/dkim_key_texts.h"

#include <check.h>
#include <stdlib.h>

/* The RSAPublicKey inside of RSA1024_PUBLIC. */
#define RSA1024_BARE                                                                               \
    "MIGJAoGBANvrnkI82oUwxVExqgjkQI1U1ilGdVuZEOBllWG25f2rmJtJalfFEk1XO/KMAIgiqXsZ"                 \
    "KeEayzqlIZ0hSioYDbKQtgLFa0ZTNrXcGSYj7/gxjlAU5rF0Y8zIbyc6JvgmwDwzopkeWEeGH1+K"                 \
    "zcFZoWkaeCizmM6rtk//mriaB8w1AgMBAAE="

#define R RSA1024_PUBLIC
#define E ED25519_PUBLIC

static const struct {
    const char *record;
    enum dkim_algorithm algorithm;
    enum dkim_record_verdict verdict;
    const char *why;
} rows[] = {
    {"v=DKIM1; k=rsa; p=" R, DKIM_RSA_SHA256, DKIM_RECORD_MATCHES, ""},
    {"v=DKIM1; p=" R ";", DKIM_RSA_SHA256, DKIM_RECORD_MATCHES, ""},
    {"p=" R, DKIM_RSA_SHA256, DKIM_RECORD_MATCHES, ""},
    {"k=rsa;p=" R " ; n=a note", DKIM_RSA_SHA256, DKIM_RECORD_MATCHES, ""},
    {" v = DKIM1 ;\t k = rsa ; p = " R, DKIM_RSA_SHA256, DKIM_RECORD_MATCHES, ""},
    {"v=DKIM1; k=rsa; p=" RSA1024_BARE, DKIM_RSA_SHA256, DKIM_RECORD_MATCHES, ""},
    {"v=DKIM1; k=ed25519; p=" E, DKIM_ED25519_SHA256, DKIM_RECORD_MATCHES, ""},
    {"v=DKIM1; h=sha1:sha256; s=email; k=ed25519; p=" E, DKIM_ED25519_SHA256, DKIM_RECORD_MATCHES,
     ""},
    {"v=DKIM1; s=*; t=s; k=ed25519; p=" E, DKIM_ED25519_SHA256, DKIM_RECORD_MATCHES, ""},
    {"v=DKIM1; s=tlsrpt : email; k=ed25519; p=" E, DKIM_ED25519_SHA256, DKIM_RECORD_MATCHES, ""},
    {"v=DKIM1; k=ed25519; t=s:y; p=" E, DKIM_ED25519_SHA256, DKIM_RECORD_TEST_MODE, "test mode"},
    {"v=DKIM1; k=ed25519; p=", DKIM_ED25519_SHA256, DKIM_RECORD_REVOKED, "revoked"},
    {"v=DKIM1; k=ed25519; p=" ED25519_RFC8463_PUBLIC, DKIM_ED25519_SHA256, DKIM_RECORD_OTHER_KEY,
     "another key"},
    {"v=DKIM1; k=rsa; p=" RSA2048_PUBLIC, DKIM_RSA_SHA256, DKIM_RECORD_OTHER_KEY, "another key"},
    {"v=DKIM1; k=rsa; p=AQAB", DKIM_RSA_SHA256, DKIM_RECORD_OTHER_KEY, "another key"},
    {"v=DKIM1; k=rsa; p=no base64!", DKIM_RSA_SHA256, DKIM_RECORD_OTHER_KEY, "another key"},
    {"v=DKIM1; p=" E, DKIM_ED25519_SHA256, DKIM_RECORD_INVALID, "'rsa', ours is ed25519"},
    {"v=DKIM1; k=ed25519; p=" R, DKIM_RSA_SHA256, DKIM_RECORD_INVALID, "'ed25519', ours is rsa"},
    /* The zone's owner says nothing to an operator's terminal. */
    {"v=DKIM1; k=\x1b[2J\xc2\x9b; p=" R, DKIM_RSA_SHA256, DKIM_RECORD_INVALID, "'?[2J\?\?'"},
    {"v=DKIM1; k=rsa", DKIM_RSA_SHA256, DKIM_RECORD_INVALID, "p= is missing"},
    {"", DKIM_RSA_SHA256, DKIM_RECORD_INVALID, "p= is missing"},
    {"v=DKIM2; p=" R, DKIM_RSA_SHA256, DKIM_RECORD_INVALID, "v= must"},
    {"v=dkim1; p=" R, DKIM_RSA_SHA256, DKIM_RECORD_INVALID, "v= must"},
    {"p=" R "; v=DKIM1", DKIM_RSA_SHA256, DKIM_RECORD_INVALID, "v= must stand first"},
    {"v=DKIM1; h=sha1; p=" R, DKIM_RSA_SHA256, DKIM_RECORD_INVALID, "h= does not allow"},
    {"v=DKIM1; s=other; p=" R, DKIM_RSA_SHA256, DKIM_RECORD_INVALID, "s= does not allow"},
    {"v=DKIM1; p=" R "; p=" R, DKIM_RSA_SHA256, DKIM_RECORD_INVALID, "twice"},
    {"v=spf1 -all", DKIM_RSA_SHA256, DKIM_RECORD_INVALID, "v= must"},
    {"hello", DKIM_RSA_SHA256, DKIM_RECORD_INVALID, "not a list"},
    {"v=DKIM1;; p=" R, DKIM_RSA_SHA256, DKIM_RECORD_INVALID, "empty tag"},
    {"=x; p=" R, DKIM_RSA_SHA256, DKIM_RECORD_INVALID, "not a list"},
};

START_TEST(judges)
{
    struct buf why;
    buf_init(&why, 1000);
    struct slice ours = rows[_i].algorithm == DKIM_RSA_SHA256 ? SLICE(R) : SLICE(E);
    enum dkim_record_verdict v = dkim_record_check(slice_str(rows[_i].record), rows[_i].algorithm,
                                                   ours, &why);
    buf_add_byte(&why, '\0');
    ck_assert_msg(v == rows[_i].verdict, "%s: %d %s", rows[_i].record, (int)v, why.ptr);
    ck_assert_msg(strstr(why.ptr, rows[_i].why) != NULL, "%s: %s", rows[_i].record, why.ptr);
    buf_deinit(&why);
}
END_TEST

START_TEST(split_for_dns)
{
    struct buf record, zone;
    struct slice rest;
    buf_init(&record, 10000);
    buf_init(&zone, 10000);
    dkim_record_add(&record, DKIM_RSA_SHA256, SLICE(RSA2048_PUBLIC));
    dkim_record_add_zone(&zone, SLICE("s1"), SLICE("example.org"), buf_slice(&record));
    rest = buf_slice(&zone);
    ck_assert(slice_eq(slice_cut(&rest, '"'), SLICE("s1._domainkey.example.org. IN TXT ( ")));
    struct slice first = slice_cut(&rest, '"');
    ck_assert_uint_eq(first.len, DKIM_RECORD_STRING_MAX);
    ck_assert(slice_eq(slice_cut(&rest, '"'), SLICE(" ")));
    struct slice second = slice_cut(&rest, '"');
    ck_assert(slice_eq(rest, SLICE(" )")));
    ck_assert_uint_eq(first.len + second.len, record.len);
    ck_assert(memcmp(record.ptr, first.ptr, first.len) == 0);
    ck_assert(memcmp(record.ptr + first.len, second.ptr, second.len) == 0);
    buf_clear(&record);
    buf_clear(&zone);
    dkim_record_add(&record, DKIM_ED25519_SHA256, SLICE(E));
    dkim_record_add_zone(&zone, SLICE("x"), SLICE("a.b"), buf_slice(&record));
    ck_assert(slice_eq(buf_slice(&zone), SLICE("x._domainkey.a.b. IN TXT ( \"v=DKIM1; k=ed25519; "
                                               "p=" E "\" )")));
    buf_deinit(&record);
    buf_deinit(&zone);
}
END_TEST

START_TEST(too_many_tags)
{
    struct buf record, why;
    buf_init(&record, 10000);
    buf_init(&why, 1000);
    for (int i = 0; i < 40; i++) {
        buf_add(&record, SLICE("x=y;"));
    }
    ck_assert(dkim_record_check(buf_slice(&record), DKIM_RSA_SHA256, SLICE(R), &why) ==
              DKIM_RECORD_INVALID);
    buf_deinit(&record);
    buf_deinit(&why);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("policy/dkim_record");
    TCase *t = tcase_create("record");
    tcase_add_loop_test(t, judges, 0, (int)ARRAY_COUNT(rows));
    tcase_add_test(t, split_for_dns);
    tcase_add_test(t, too_many_tags);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
