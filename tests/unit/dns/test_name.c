/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/must.h"
#include "dns/name.h"

#include <check.h>
#include <stdio.h>

#define L63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define NAME_253                                                                                   \
    L63 "." L63 "." L63 "."                                                                        \
        "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static const struct {
    const char *in;
    const char *want; /* NULL: refused */
} names[] = {
    {"example.com", "example.com"},
    {"Example.COM.", "example.com"},
    {"localhost", "localhost"},
    {"a", "a"},
    {"_dmarc.example.org", "_dmarc.example.org"},
    {"a--b.test", "a--b.test"},
    {"-a-.test", "-a-.test"}, /* exists in the wild */
    {"1.example", "1.example"},
    {"xn--bcher-kva.example", "xn--bcher-kva.example"},
    {"b\xc3\xbc"
     "cher.example",
     "xn--bcher-kva.example"},
    {"B\xc3\x9c"
     "CHER.example",
     "xn--bcher-kva.example"},
    {"fa\xc3\x9f.example", "xn--fa-hia.example"}, /* non-transitional: not fass */
    {"a\xe3\x80\x82"
     "b",
     "a.b"}, /* ideographic full stop */
    {L63 ".test", L63 ".test"},
    {NAME_253, NAME_253},
    {NAME_253 ".", NAME_253},
    {"", NULL},
    {".", NULL},
    {"..", NULL},
    {".a", NULL},
    {"a..b", NULL},
    {"a b", NULL},
    {"a\tb", NULL},
    {"a@b", NULL},
    {"a/b", NULL},
    {"a\\b", NULL},
    {"[192.0.2.1]", NULL},
    {"192.0.2.1", NULL},
    {"example.123", NULL},
    {"2001:db8::1", NULL},
    {"a" L63 ".test", NULL},
    {"b" NAME_253, NULL},
    {"\xc3\x28.test", NULL},                  /* not UTF-8 */
    {"\xed\xa0\x80.test", NULL},              /* surrogate */
    {"a\xe2\x80\x8b\xe2\x80\xae.test", NULL}, /* right-to-left override */
};

START_TEST(test_names)
{
    struct dns_name out = {.len = 77};
    bool ok = dns_name_to_ascii(slice_str(names[_i].in), &out);
    ck_assert_msg(ok == (names[_i].want != NULL), "'%s'", names[_i].in);
    if (ok) {
        ck_assert_str_eq(out.text, names[_i].want);
        ck_assert_uint_eq(out.len, strlen(names[_i].want));
    } else {
        ck_assert_uint_eq(out.len, 77); /* untouched */
    }
}
END_TEST

START_TEST(test_nul_inside)
{
    struct dns_name out;
    ck_assert(!dns_name_to_ascii(SLICE("a\0b"), &out));
    ck_assert(!dns_name_to_ascii(SLICE("\xc3\xbc\0b"), &out));
}
END_TEST

static const struct {
    const char *in;
    const char *want;
} literals[] = {
    {"[192.0.2.1]", "192.0.2.1"},
    {"192.0.2.1", "192.0.2.1"},
    {"[IPv6:2001:db8::1]", "2001:db8::1"},
    {"[ipv6:2001:DB8::1]", "2001:db8::1"},
    {"[2001:db8::1]", "2001:db8::1"},
    {"2001:db8::1", "2001:db8::1"},
    {"[IPv6:::ffff:127.0.0.1]", "127.0.0.1"},
    {"[IPv6:192.0.2.1]", NULL},
    {"[]", NULL},
    {"[", NULL},
    {"", NULL},
    {"[192.0.2.1", NULL},
    {"[192.0.2.256]", NULL},
    {"[IPv6:]", NULL},
    {"[x400:foo]", NULL},
    {"mail.example", NULL},
    {"[mail.example]", NULL},
};

START_TEST(test_literals)
{
    struct ip_addr a;
    char text[IP_TEXT_MAX];
    bool ok = dns_name_is_literal(slice_str(literals[_i].in), &a);
    ck_assert_msg(ok == (literals[_i].want != NULL), "'%s'", literals[_i].in);
    if (ok) {
        ck_assert_str_eq(ip_addr_text(&a, text), literals[_i].want);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("dns/name");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, test_names, 0, ARRAY_COUNT(names));
    tcase_add_test(t, test_nul_inside);
    tcase_add_loop_test(t, test_literals, 0, ARRAY_COUNT(literals));
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
