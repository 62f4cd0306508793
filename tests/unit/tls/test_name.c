/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/must.h"
#include "tls/name.h"

#include <check.h>
#include <stdlib.h>

#define L63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"

static const struct {
    const char *pattern, *host;
    enum tls_name_match match;
} matches[] = {
    {"mail.example.com", "mail.example.com", TLS_NAME_MATCHES},
    {"MAIL.example.com", "mail.EXAMPLE.com", TLS_NAME_MATCHES},
    {"mail.example.com", "mail.example.co", TLS_NAME_OTHER},
    {"mail.example.com", "ail.example.com", TLS_NAME_OTHER},
    {"localhost", "localhost", TLS_NAME_MATCHES},
    {"*.example.com", "mail.example.com", TLS_NAME_MATCHES},
    {"*.example.com", "MAIL.Example.Com", TLS_NAME_MATCHES},
    {"*.example.com", "example.com", TLS_NAME_DEPTH},
    {"*.example.com", "a.mail.example.com", TLS_NAME_DEPTH},
    {"*.example.com", "mailexample.com", TLS_NAME_OTHER},
    {"*.example.com", ".example.com", TLS_NAME_OTHER},
    {"*.com", "example.com", TLS_NAME_OTHER},
    {"*", "localhost", TLS_NAME_OTHER},
    {"*.", "localhost", TLS_NAME_OTHER},
    {"*.*.com", "mail.example.com", TLS_NAME_OTHER},
    {"m*.example.com", "mail.example.com", TLS_NAME_OTHER},
    {"*l.example.com", "mail.example.com", TLS_NAME_OTHER},
    {"mail.*.com", "mail.example.com", TLS_NAME_OTHER},
    {"*.example.com", "*.example.com", TLS_NAME_OTHER},
    {"", "", TLS_NAME_OTHER},
    {"mail.example.com.", "mail.example.com", TLS_NAME_OTHER},
    {"xn--mnchen-3ya.de", "xn--mnchen-3ya.de", TLS_NAME_MATCHES},
    {"a b", "a b", TLS_NAME_OTHER},
};

START_TEST(patterns)
{
    ck_assert_int_eq(tls_name_match(slice_str(matches[_i].pattern), slice_str(matches[_i].host)),
                     matches[_i].match);
}
END_TEST

static const struct {
    const char *name;
    bool is_host;
} hosts[] = {
    {"example.com", true},
    {"a", true},
    {"_25._tcp.example", true},
    {"1.2.3.4", true},
    {L63 ".com", true},
    {L63 "x.com", false},
    {"", false},
    {".", false},
    {"a..b", false},
    {".a", false},
    {"a.", false},
    {"a b", false},
    {"a\nb", false},
    {"m\xc3\xbcnchen.de", false},
    {"::1", false},
    {L63 "." L63 "." L63 "." L63, false},
};

START_TEST(host_names)
{
    ck_assert(tls_name_is_host(slice_str(hosts[_i].name)) == hosts[_i].is_host);
}
END_TEST

/* The classic: a NUL hides the rest from who reads strings. */
START_TEST(a_nul_is_no_end)
{
    struct slice evil = slice_of("mail.example.com\0.evil.net", 26);
    ck_assert_int_eq(tls_name_match(evil, SLICE("mail.example.com")), TLS_NAME_OTHER);
    ck_assert_int_eq(tls_name_match(SLICE("mail.example.com"), evil), TLS_NAME_OTHER);
    ck_assert(!tls_name_is_host(evil));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls/name");
    TCase *t = tcase_create("name");
    tcase_add_loop_test(t, patterns, 0, (int)ARRAY_COUNT(matches));
    tcase_add_loop_test(t, host_names, 0, (int)ARRAY_COUNT(hosts));
    tcase_add_test(t, a_nul_is_no_end);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
