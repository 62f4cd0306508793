/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/smtp/path.h"

#include "core/base/must.h"

#include <check.h>
#include <stdlib.h>

#define L64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define L63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define L62 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* ok: 0 refused, 1 good, 2 good only with SMTPUTF8 */
static const struct {
    struct slice text;
    int ok;
} addresses[] = {
#define GOOD(t)                                                                                    \
    {                                                                                              \
        SLICE_INIT(t), 1                                                                           \
    }
#define BAD(t)                                                                                     \
    {                                                                                              \
        SLICE_INIT(t), 0                                                                           \
    }
#define UTF8(t)                                                                                    \
    {                                                                                              \
        SLICE_INIT(t), 2                                                                           \
    }
    /* dot-atoms */
    GOOD("a@b"),
    GOOD("user@example.test"),
    GOOD("first.last@example.test"),
    GOOD("user+tag@example.test"),
    GOOD("user-x@example.test"),
    GOOD("user_x@example.test"),
    GOOD("!#$%&'*+-/=?^_`{|}~@x"),
    GOOD("1@x"),
    GOOD("1.2.3@x"),
    GOOD("UPPER@X.TEST"),
    GOOD("-@x"),
    GOOD("a%b@x"),
    GOOD("a!b@x"),
    GOOD("a%b!c@x"),
    BAD(";id;@x"),
    BAD(""),
    BAD("a"),
    BAD("@"),
    BAD("@x"),
    BAD("a@"),
    BAD(".a@x"),
    BAD("a.@x"),
    BAD("a..b@x"),
    BAD(".@x"),
    BAD("a b@x"),
    BAD("a\tb@x"),
    BAD("a,b@x"),
    BAD("a:b@x"),
    BAD("a<b@x"),
    BAD("a>b@x"),
    BAD("a(b)@x"),
    BAD("a[b]@x"),
    BAD("a\\b@x"),
    BAD("a\"b@x"),
    BAD("a@b@c"),
    BAD("a@@b"),
    BAD(" a@b"),
    BAD("a@b "),
    BAD("a @b"),
    BAD("a@ b"),
    BAD("a@b\r\n"),
    BAD("a\r@b"),
    BAD("a\n@b"),
    BAD("a\0b@x"),
    BAD("a@x\0"),
    BAD("a@x\0y"),
    BAD("\0@x"),
    BAD("a\x7f@x"),
    BAD("a\x1b@x"),
    BAD("a@b,c@d"),
    BAD("a@b>"),
    BAD("<a@b>"),
    BAD("a@b;"),
    BAD("${run{/bin/true}}@x y"),
    /* domains */
    GOOD("a@x-y.test"),
    GOOD("a@x_y.test"),
    GOOD("a@1.test"),
    GOOD("a@1.2.3.4"),
    GOOD("a@xn--bcher-kva.test"),
    GOOD("a@x--y.test"),
    GOOD("a@_dmarc.x.test"),
    GOOD("a@localhost"),
    GOOD("a@" L63 ".test"),
    GOOD("a@a.b.c.d.e.f.g.h.i.j.k"),
    GOOD("a@9"),
    BAD("a@-x.test"),
    BAD("a@x-.test"),
    BAD("a@x..test"),
    BAD("a@.x.test"),
    BAD("a@x.test."),
    BAD("a@."),
    BAD("a@x.-y"),
    BAD("a@x.y-"),
    BAD("a@" L64 ".test"),
    BAD("a@x!y"),
    BAD("a@x/y"),
    BAD("a@x:25"),
    BAD("a@x y"),
    BAD("a@x(c)"),
    BAD("a@x\"y\""),
    BAD("a@x+y"),
    BAD("a@-"),
    BAD("a@x.\r\n"),
    BAD("a@(c)x"),
    BAD("a@x;y"),
    BAD("a@x'y"),
    BAD("a@x%y"),
    BAD("a@*"),
    /* quoted local parts */
    GOOD("\"a\"@x"),
    GOOD("\"a b\"@x"),
    GOOD("\"a@b\"@x"),
    GOOD("\"a\\\"b\"@x"),
    GOOD("\"a\\\\b\"@x"),
    GOOD("\"\"@x"),
    GOOD("\" \"@x"),
    GOOD("\"a,b;c:d\"@x"),
    GOOD("\"<a>\"@x"),
    GOOD("\".\"@x"),
    GOOD("\"a\\ b\"@x"),
    GOOD("\"(c)\"@x"),
    GOOD("\"a..b\"@x"),
    GOOD("\"u%ext\"@us"),
    GOOD("\"u@ext\"@us"),
    BAD("\"a"),
    BAD("\"a\""),
    BAD("\"a@x"),
    BAD("\"a\"b@x"),
    BAD("b\"a\"@x"),
    BAD("\"a\".b@x"),
    BAD("\"a\"\"b\"@x"),
    BAD("\"a\\\"@x"),
    BAD("\"a\\"),
    BAD("\"a\nb\"@x"),
    BAD("\"a\rb\"@x"),
    BAD("\"a\\\nb\"@x"),
    BAD("\"a\0b\"@x"),
    BAD("\"a\\\0b\"@x"),
    BAD("\"a\tb\"@x"),
    BAD("\"a\x7f\"@x"),
    BAD("\"@x"),
    BAD("\"\\\"@x"),
    /* literals */
    GOOD("a@[192.0.2.1]"),
    GOOD("a@[127.0.0.1]"),
    GOOD("a@[IPv6:2001:db8::1]"),
    GOOD("a@[IPv6:::1]"),
    GOOD("a@[ipv6:::ffff:192.0.2.1]"),
    GOOD("a@[IPv6:1:2:3:4:5:6:7:8]"),
    BAD("a@[]"),
    BAD("a@["),
    BAD("a@]"),
    BAD("a@[1.2.3]"),
    BAD("a@[1.2.3.4.5]"),
    BAD("a@[256.1.1.1]"),
    BAD("a@[1.2.3.4"),
    BAD("a@1.2.3.4]"),
    BAD("a@[1.2.3.4]x"),
    BAD("a@x[1.2.3.4]"),
    BAD("a@[ 1.2.3.4]"),
    BAD("a@[::1]"),
    BAD("a@[IPv6:1.2.3.4]"),
    BAD("a@[IPv6:]"),
    BAD("a@[IPv6:::1"),
    BAD("a@[IPv6:12345::]"),
    BAD("a@[IPv6:1:2:3:4:5:6:7:8:9]"),
    BAD("a@[IPv6:::g]"),
    BAD("a@[tag:x]"),
    BAD("a@[x.test]"),
    BAD("a@[01.2.3.4]"),
    BAD("a@[1.2.3.4]]"),
    BAD("a@[[1.2.3.4]]"),
    BAD("a@[1.2.3.4\0]"),
    BAD("a@[IPv6:fe80::1%eth0]"),
    BAD("a@[1.2.3.4].test"),
    /* lengths */
    GOOD(L64 "@x"),
    BAD(L64 "a@x"),
    GOOD("\"" L62 "\"@x"),
    BAD("\"" L63 "\"@x"),
    GOOD("a@" L63 "." L63 "." L63 "."
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    BAD("a@" L63 "." L63 "." L63 "." L63),
    BAD(L64 "@" L63 "." L63 "." L63),
    GOOD(L64 "@" L63 "." L63 "."
             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    BAD(L64 "@" L63 "." L63 "." L62),
    /* UTF-8 */
    UTF8("\xc3\xbc@x"),
    UTF8("a@\xc3\xbc.test"),
    UTF8("\"\xc3\xbc \"@x"),
    UTF8("\xf0\x9f\x98\x80@x"),
    UTF8("a\xcc\x88@x"),
    UTF8("\xe2\x82\xac.\xe2\x82\xac@\xe2\x82\xac.test"),
    UTF8("a@x.\xe4\xb8\xad"),
    BAD("\x80@x"),
    BAD("\xc3@x"),
    BAD("\xc0\xaf@x"),
    BAD("\xe0\x80\xaf@x"),
    BAD("\xed\xa0\x80@x"),
    BAD("\xf4\x90\x80\x80@x"),
    BAD("\xff@x"),
    BAD("a@\xff.test"),
    BAD("a@\xc3"),
    BAD("\xf8\x88\x80\x80\x80@x"),
    BAD("\"\xc3\"@x"),
    BAD("\"\\\xc3\xbc\"@x"),
    BAD("a@[\xc3\xbc]"),
    BAD("a@x\xc3\xbc."),
    BAD("\xbf@x"),
};

START_TEST(address_table)
{
    struct slice text = addresses[_i].text;
    int want = addresses[_i].ok;
    struct smtp_address a = {SLICE("untouched"), SLICE("untouched")};
    char *exact = malloc(text.len ? text.len : 1); /* ASan sees a read behind the end */
    memcpy(exact, text.ptr, text.len);
    struct slice in = slice_of(exact, text.len);
    ck_assert_msg(smtp_address_parse(in, false, &a) == (want == 1), "%.*s", SLICE_ARG(text));
    if (want != 1) {
        ck_assert(slice_eq(a.local, SLICE("untouched")));
    }
    ck_assert_msg(smtp_address_parse(in, true, &a) == (want != 0), "%.*s utf8", SLICE_ARG(text));
    if (want) {
        ck_assert_uint_eq(a.local.len + 1 + a.domain.len, text.len);
        ck_assert_int_eq(a.local.ptr[a.local.len], '@');
    }
    free(exact);
}
END_TEST

static const struct {
    struct slice in;
    enum smtp_path_kind kind;
    enum smtp_path_result result;
    const char *text;
    const char *rest;
} paths[] = {
    {SLICE_INIT("<a@b>"), SMTP_PATH_REVERSE, SMTP_PATH_OK, "a@b", ""},
    {SLICE_INIT("<a@b> SIZE=1"), SMTP_PATH_REVERSE, SMTP_PATH_OK, "a@b", " SIZE=1"},
    {SLICE_INIT("<>"), SMTP_PATH_REVERSE, SMTP_PATH_OK, "", ""},
    {SLICE_INIT("<> X"), SMTP_PATH_REVERSE, SMTP_PATH_OK, "", " X"},
    {SLICE_INIT("<>"), SMTP_PATH_FORWARD, SMTP_PATH_SYNTAX, NULL, NULL},
    {SLICE_INIT("<postmaster>"), SMTP_PATH_FORWARD, SMTP_PATH_OK, "postmaster", ""},
    {SLICE_INIT("<PostMaster>"), SMTP_PATH_FORWARD, SMTP_PATH_OK, "PostMaster", ""},
    {SLICE_INIT("<postmaster>"), SMTP_PATH_REVERSE, SMTP_PATH_SYNTAX, NULL, NULL},
    {SLICE_INIT("<postmaster@x>"), SMTP_PATH_FORWARD, SMTP_PATH_OK, "postmaster@x", ""},
    {SLICE_INIT("<postmasters>"), SMTP_PATH_FORWARD, SMTP_PATH_SYNTAX, NULL, NULL},
    {SLICE_INIT("<user>"), SMTP_PATH_FORWARD, SMTP_PATH_SYNTAX, NULL, NULL},
    {SLICE_INIT("<@r.test:a@b>"), SMTP_PATH_FORWARD, SMTP_PATH_OK, "a@b", ""},
    {SLICE_INIT("<@r,@[1.2.3.4],@s:a@b>x"), SMTP_PATH_FORWARD, SMTP_PATH_OK, "a@b", "x"},
    {SLICE_INIT("<@r:>"), SMTP_PATH_FORWARD, SMTP_PATH_SYNTAX, NULL, NULL},
    {SLICE_INIT("<@r a@b>"), SMTP_PATH_FORWARD, SMTP_PATH_SYNTAX, NULL, NULL},
    {SLICE_INIT("<@r,a@b>"), SMTP_PATH_FORWARD, SMTP_PATH_SYNTAX, NULL, NULL},
    {SLICE_INIT("<@r,@s,a@b>"), SMTP_PATH_FORWARD, SMTP_PATH_SYNTAX, NULL, NULL},
    {SLICE_INIT("<@:a@b>"), SMTP_PATH_FORWARD, SMTP_PATH_SYNTAX, NULL, NULL},
    {SLICE_INIT("<@r"), SMTP_PATH_FORWARD, SMTP_PATH_SYNTAX, NULL, NULL},
    {SLICE_INIT("<@us:u@ext>"), SMTP_PATH_FORWARD, SMTP_PATH_OK, "u@ext", ""},
    {SLICE_INIT("<\"a>b\"@x>y"), SMTP_PATH_FORWARD, SMTP_PATH_OK, "\"a>b\"@x", "y"},
    {SLICE_INIT("<a@b"), SMTP_PATH_REVERSE, SMTP_PATH_SYNTAX, NULL, NULL},
    {SLICE_INIT("a@b"), SMTP_PATH_REVERSE, SMTP_PATH_SYNTAX, NULL, NULL},
    {SLICE_INIT("<"), SMTP_PATH_REVERSE, SMTP_PATH_SYNTAX, NULL, NULL},
    {SLICE_INIT(""), SMTP_PATH_REVERSE, SMTP_PATH_SYNTAX, NULL, NULL},
    {SLICE_INIT("<a@b@c>"), SMTP_PATH_REVERSE, SMTP_PATH_SYNTAX, NULL, NULL},
    {SLICE_INIT("<<a@b>>"), SMTP_PATH_REVERSE, SMTP_PATH_SYNTAX, NULL, NULL},
    {SLICE_INIT("< a@b>"), SMTP_PATH_REVERSE, SMTP_PATH_SYNTAX, NULL, NULL},
    {SLICE_INIT("<\xc3\xbc@b>"), SMTP_PATH_REVERSE, SMTP_PATH_OK, "\xc3\xbc@b", ""},
    {SLICE_INIT("<\xff@b>"), SMTP_PATH_REVERSE, SMTP_PATH_BAD_UTF8, NULL, NULL},
    {SLICE_INIT("<\">\xff\"@b>"), SMTP_PATH_REVERSE, SMTP_PATH_BAD_UTF8, NULL, NULL},
};

START_TEST(path_table)
{
    struct slice in = paths[_i].in;
    struct smtp_path path;
    ck_assert_int_eq(smtp_path_parse(&in, paths[_i].kind, &path), paths[_i].result);
    if (paths[_i].result != SMTP_PATH_OK) {
        ck_assert(in.ptr == paths[_i].in.ptr && in.len == paths[_i].in.len);
        return;
    }
    ck_assert(slice_eq(path.text, slice_str(paths[_i].text)));
    ck_assert(slice_eq(in, slice_str(paths[_i].rest)));
    ck_assert_int_eq(path.has_8bit, path.text.len > 0 && (unsigned char)path.text.ptr[0] >= 0x80);
}
END_TEST

static const struct {
    struct slice name;
    bool ok;
} helos[] = {
    {SLICE_INIT("host.test"), true},
    {SLICE_INIT("localhost"), true},
    {SLICE_INIT("[127.0.0.1]"), true},
    {SLICE_INIT("[IPv6:::1]"), true},
    {SLICE_INIT("my_host"), true},
    {SLICE_INIT("x"), true},
    {SLICE_INIT("host."), true},
    {SLICE_INIT("user's-mac"), true},
    {SLICE_INIT(""), false},
    {SLICE_INIT("a b"), false},
    {SLICE_INIT("a\x1b[2J"), false},
    {SLICE_INIT("a\0"), false},
    {SLICE_INIT("(a)"), false},
    {SLICE_INIT("a;b"), false},
    {SLICE_INIT("a\xc3\xbc"), false},
    {SLICE_INIT("a@b"), false},
    {SLICE_INIT("[a"), false},
    {SLICE_INIT("[]"), false},
    {SLICE_INIT("a:b"), false},
    {SLICE_INIT("<x>"), false},
    {SLICE_INIT(L64 L64 L64 L63), true},
    {SLICE_INIT(L64 L64 L64 L64), false},
};

START_TEST(helo_table)
{
    ck_assert_msg(smtp_helo_valid(helos[_i].name) == helos[_i].ok, "%.*s",
                  SLICE_ARG(helos[_i].name));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("path");
    TCase *tc = tcase_create("tables");
    tcase_add_loop_test(tc, address_table, 0, (int)ARRAY_COUNT(addresses));
    tcase_add_loop_test(tc, path_table, 0, (int)ARRAY_COUNT(paths));
    tcase_add_loop_test(tc, helo_table, 0, (int)ARRAY_COUNT(helos));
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
