/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/smtp/auth.h"
#include "core/base/must.h"
#include "core/base/secret.h"

#include <check.h>
#include <stdlib.h>

START_TEST(names)
{
    static const struct {
        const char *words;
        uint32_t set;
    } lists[] = {
        {"", 0},
        {"PLAIN", SMTP_AUTH_PLAIN},
        {"plain  LOGIN ", SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN},
        {"CRAM-MD5 XOAUTH2 SCRAM-SHA-256", SMTP_AUTH_CRAM_MD5 | SMTP_AUTH_XOAUTH2},
        {"PLAIN,LOGIN PLAI PLAINN", 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
        ck_assert_uint_eq(smtp_auth_find_all(slice_str(lists[i].words)), lists[i].set);
    }
    for (unsigned m = 1; m <= SMTP_AUTH_XOAUTH2; m <<= 1) {
        struct slice name = smtp_auth_name((enum smtp_auth_mechanism)m);
        ck_assert_uint_eq((unsigned)smtp_auth_find(name), m);
    }
    struct buf b;
    buf_init(&b, 100);
    smtp_auth_add_names(&b, SMTP_AUTH_CRAM_MD5 | SMTP_AUTH_PLAIN, SLICE("="));
    smtp_auth_add_names(&b, 0, SLICE("!"));
    ck_assert(slice_eq(buf_slice(&b), SLICE("=PLAIN CRAM-MD5")));
    buf_deinit(&b);
}
END_TEST

START_TEST(plain)
{
    static const struct {
        struct slice raw;
        bool good;
        const char *authzid, *authcid, *password;
    } rows[] = {
        {SLICE_INIT("\0u\0p"), true, "", "u", "p"},
        {SLICE_INIT("z\0u\0p"), true, "z", "u", "p"},
        {SLICE_INIT("\0\0"), true, "", "", ""},
        {SLICE_INIT("\0u@d\0p:#; w"), true, "", "u@d", "p:#; w"},
        {SLICE_INIT("\0\0p"), true, "", "", "p"},
        {SLICE_INIT(""), false, "", "", ""},
        {SLICE_INIT("u"), false, "", "", ""},
        {SLICE_INIT("\0u"), false, "", "", ""},
        {SLICE_INIT("\0u\0p\0"), false, "", "", ""},
        {SLICE_INIT("\0u\0p\0x"), false, "", "", ""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct smtp_auth a = {.authcid = SLICE("before")};
        bool good = smtp_auth_split_plain(rows[i].raw, &a);
        ck_assert_msg(good == rows[i].good, "%zu", i);
        ck_assert(slice_eq(a.authcid, good ? slice_str(rows[i].authcid) : SLICE("before")));
        ck_assert(slice_eq(a.authzid, slice_str(rows[i].authzid)));
        ck_assert(slice_eq(a.password, slice_str(rows[i].password)));
        if (good && !a.authzid.len) {
            struct buf b;
            buf_init(&b, 100);
            smtp_auth_add_plain(&b, a.authcid, a.password);
            ck_assert(slice_eq(buf_slice(&b), rows[i].raw));
            secret_buf_release(&b);
        }
    }
}
END_TEST

#define HEX "00112233445566778899aabbccddeeff"

START_TEST(cram)
{
    static const struct {
        struct slice raw;
        bool good;
        const char *user;
    } rows[] = {
        {SLICE_INIT("tim " HEX), true, "tim"},
        {SLICE_INIT("tim two " HEX), true, "tim two"},
        {SLICE_INIT(" " HEX), true, ""},
        {SLICE_INIT("tim 00112233445566778899AABBCCDDEEFF"), true, "tim"},
        {SLICE_INIT(HEX), false, ""},
        {SLICE_INIT("tim" HEX), false, ""},
        {SLICE_INIT("tim " HEX " "), false, ""},
        {SLICE_INIT("tim 00112233445566778899aabbccddeef"), false, ""},
        {SLICE_INIT("tim 00112233445566778899aabbccddeefg"), false, ""},
        {SLICE_INIT("tim\t" HEX), false, ""},
        {SLICE_INIT(""), false, ""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct smtp_auth a = {0};
        ck_assert_msg(smtp_auth_split_cram(rows[i].raw, &a) == rows[i].good, "%zu", i);
        ck_assert(slice_eq(a.authcid, slice_str(rows[i].user)));
        for (unsigned k = 0; k < SMTP_AUTH_DIGEST_BYTES; k++) {
            ck_assert_uint_eq(a.digest[k], rows[i].good ? k * 0x11 : 0);
        }
    }
    struct smtp_auth a = {0};
    struct buf b;
    buf_init(&b, 100);
    ck_assert(smtp_auth_split_cram(rows[0].raw, &a));
    smtp_auth_add_cram(&b, a.authcid, a.digest);
    ck_assert(slice_eq(buf_slice(&b), rows[0].raw));
    buf_deinit(&b);
}
END_TEST

START_TEST(xoauth2)
{
    struct buf b;
    buf_init(&b, 100);
    smtp_auth_add_xoauth2(&b, SLICE("u@d"), SLICE("ya29.x"));
    ck_assert(slice_eq(buf_slice(&b), SLICE("user=u@d\1auth=Bearer ya29.x\1\1")));
    secret_buf_release(&b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto/smtp/auth");
    TCase *tc = tcase_create("auth");
    tcase_add_test(tc, names);
    tcase_add_test(tc, plain);
    tcase_add_test(tc, cram);
    tcase_add_test(tc, xoauth2);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
