/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/dkim_opendkim.h"

#include "tests/unit/core/policy/dkim_rig.h"

struct result {
    bool ok;
    struct dkim_table *table;
    struct buf errors;
    struct buf warnings;
};

static struct result read_tables(const char *signing, const char *keys, bool multiple)
{
    struct result r;
    struct opendkim_tables in = {
        .signing = {SLICE("signingtable"), slice_str(signing)},
        .keys = {SLICE("keytable"), slice_str(keys)},
        .header_canon = DKIM_CANON_RELAXED,
        .body_canon = DKIM_CANON_SIMPLE,
        .multiple = multiple,
    };
    buf_init(&r.errors, 10000);
    buf_init(&r.warnings, 10000);
    r.table = dkim_table_new(&rig_ops, 0);
    r.ok = dkim_opendkim_read(&in, r.table, &r.errors, &r.warnings);
    return r;
}

static void result_free(struct result *r)
{
    dkim_table_put(&r->table);
    buf_deinit(&r->errors);
    buf_deinit(&r->warnings);
    ck_assert_int_eq(rig_alive, 0);
}

#define KEYS                                                                                       \
    "# name domain:selector:key\r\n"                                                               \
    "mail._domainkey.a.test  a.test:mail:/keys/rsa:A\n"                                            \
    "\n"                                                                                           \
    "kb\tb.test : s2 : /keys/ed:B   # comment\n"                                                   \
    "any %:def:/keys/rsa:D\n"                                                                      \
    "inline c.test:s3:ed:C\n"                                                                      \
    "unused u.test:s:/nowhere"

static const struct {
    const char *signing;
    const char *domain;
    const char *rule;
} reads[] = {
    {"a.test mail._domainkey.a.test\n", "a.test", "mail=A@a.test"},
    {"  a.test\t\tmail._domainkey.a.test  \r\n", "a.test", "mail=A@a.test"},
    {"A.Test MAIL._domainkey.a.test", "a.test", "mail=A@a.test"},
    {"a.test mail._domainkey.a.test\n", "sub.a.test", "-"},
    {"*@a.test kb\n", "a.test", "s2=B@b.test"},
    {"*@a.test kb\n", "sub.a.test", "-"},
    {".a.test kb\n", "sub.a.test", "s2=B@b.test"},
    {".a.test kb\n", "a.test", "-"},
    {"*@*.a.test kb\n", "x.sub.a.test", "s2=B@b.test"},
    {"*.a.test kb\n", "x.a.test", "s2=B@b.test"},
    {"* any\n", "whatever.test", "def=D@"},
    {"*@* any\na.test kb\n", "a.test", "s2=B@b.test"},
    {"*@*.a.test any\n", "x.a.test", "def=D@"},
    {"c.test inline\n", "c.test", "s3=C@c.test"},
    {"# a.test kb\n\n#\n", "a.test", "-"},
    {"a.test kb # the key\n", "a.test", "s2=B@b.test"},
};

START_TEST(patterns)
{
    char text[256];
    struct result r = read_tables(reads[_i].signing, KEYS, false);
    ck_assert_msg(r.ok && r.errors.len == 0, "%.*s", SLICE_ARG(buf_slice(&r.errors)));
    ck_assert_str_eq(rig_find(r.table, reads[_i].domain, text), reads[_i].rule);
    const struct dkim_rule *rule = dkim_table_find(r.table, slice_str(reads[_i].domain));
    if (rule) {
        ck_assert(rule->keys[0].header_canon == DKIM_CANON_RELAXED);
        ck_assert(rule->keys[0].body_canon == DKIM_CANON_SIMPLE);
    }
    result_free(&r);
}
END_TEST

static const struct {
    const char *signing;
    const char *keys;
    const char *errors;
} bad[] = {
    {"a.test\n", "k a.test:s:/keys/rsa:x\n",
     "signingtable:1: not of the form PATTERN KEYNAME: 'a.test'\n"},
    {"\n\na.test other\n", "k a.test:s:/keys/rsa:x\n",
     "signingtable:3: the KeyTable has no key 'other'\n"},
    {"joe@a.test k\n*@*x.test k\n*x.test k\n. k\n", "k a.test:s:/keys/rsa:x\n",
     "signingtable:1: only whole domains can be matched (example.org, *@example.org, "
     "*@*.example.org, *), not 'joe@a.test'\n"
     "signingtable:2: only whole domains can be matched (example.org, *@example.org, "
     "*@*.example.org, *), not '*@*x.test'\n"
     "signingtable:3: only whole domains can be matched (example.org, *@example.org, "
     "*@*.example.org, *), not '*x.test'\n"
     "signingtable:4: only whole domains can be matched (example.org, *@example.org, "
     "*@*.example.org, *), not '.'\n"},
    {"a.test k\n", "k a.test:s\n", "keytable:1: not of the form NAME DOMAIN:SELECTOR:KEY: 'k'\n"},
    {"a.test k\n", "k\nl :s:/keys/x\n",
     "keytable:1: not of the form NAME DOMAIN:SELECTOR:KEY: 'k'\n"
     "keytable:2: not of the form NAME DOMAIN:SELECTOR:KEY: 'l'\n"},
    {"a.test k\n", "k a.test:s:/keys/rsa:x\n\nK b.test:s:/keys/rsa:y\n",
     "keytable:3: this key name is there already: 'K'\n"},
    {"a.test k\n", "k a.test:s:/keys/%/private\n",
     "keytable:1: '%' in a path is not supported: '/keys/%/private'\n"},
    {"a.test k\n", "#\nk a.test:s:/nowhere\n",
     "signingtable:1 (keytable:2): key /nowhere: cannot be read\n"},
    {"a.test k\n", "k a.test:s:./nowhere\n",
     "signingtable:1 (keytable:1): key ./nowhere: cannot be read\n"},
    {"a.test k\n", "k a.test:s:bad\n", "signingtable:1 (keytable:1): key: it is bad\n"},
    {"a_b/c k\n", "k a.test:s:rsa:x\n", "signingtable:1 (keytable:1): no domain name: 'a_b/c'\n"},
    {"a.test k\n", "k a.test:s x:rsa:x\n", "signingtable:1 (keytable:1): no selector: 's x'\n"},
};

START_TEST(errors)
{
    struct result r = read_tables(bad[_i].signing, bad[_i].keys, false);
    ck_assert(!r.ok);
    ck_assert_msg(slice_eq(buf_slice(&r.errors), slice_str(bad[_i].errors)), "%.*s",
                  SLICE_ARG(buf_slice(&r.errors)));
    result_free(&r);
}
END_TEST

START_TEST(multiple_signatures)
{
    static const char signing[] = "a.test k1\na.test k2\n";
    static const char keys[] = "k1 a.test:s1:rsa:K1\nk2 a.test:s2:ed:K2\n";
    char text[256];
    struct result one = read_tables(signing, keys, false);
    ck_assert(one.ok);
    ck_assert_str_eq(rig_find(one.table, "a.test", text), "s1=K1@a.test");
    ck_assert(slice_eq(buf_slice(&one.warnings),
                       SLICE("signingtable:2: an earlier line is used instead for 'a.test'\n")));
    result_free(&one);
    struct result both = read_tables(signing, keys, true);
    ck_assert(both.ok && both.warnings.len == 0);
    ck_assert_str_eq(rig_find(both.table, "a.test", text), "s1=K1@a.test s2=K2@a.test");
    result_free(&both);
}
END_TEST

START_TEST(signer_is_ignored)
{
    struct result r = read_tables("a.test k:joe@a.test\n", "k a.test:s:rsa:K\n", false);
    ck_assert(r.ok);
    ck_assert(slice_eq(buf_slice(&r.warnings),
                       SLICE("signingtable:1: the signer is ignored, no i= is written: "
                             "'joe@a.test'\n")));
    result_free(&r);
}
END_TEST

START_TEST(many_rows)
{
    struct buf signing, keys;
    char text[256];
    buf_init(&signing, 1 << 22);
    buf_init(&keys, 1 << 22);
    for (int i = 0; i < 5000; i++) {
        buf_addf(&signing, "d%d.test k%d\n", i, i);
        buf_addf(&keys, "k%d d%d.test:s:/keys/rsa:%d\n", i, i, i);
    }
    buf_add_byte(&signing, '\0');
    buf_add_byte(&keys, '\0');
    struct result r = read_tables(signing.ptr, keys.ptr, false);
    ck_assert(r.ok);
    ck_assert_str_eq(rig_find(r.table, "d4711.test", text), "s=4711@d4711.test");
    result_free(&r);
    buf_clear(&signing);
    for (int i = 0; i <= OPENDKIM_ROWS_MAX; i++) {
        buf_add(&signing, SLICE("a.test k0\n"));
    }
    buf_add_byte(&signing, '\0');
    r = read_tables(signing.ptr, keys.ptr, false);
    ck_assert(!r.ok);
    ck_assert(slice_eq(buf_slice(&r.errors), SLICE("signingtable:100000: too many lines\n")));
    result_free(&r);
    buf_deinit(&signing);
    buf_deinit(&keys);
}
END_TEST

START_TEST(a_root_stands_before_absolute_paths)
{
    char text[256];
    struct buf bad_lines, warnings;
    struct opendkim_tables in = {
        .signing = {SLICE("signingtable"), SLICE("a.test a\nb.test b\n")},
        .keys = {SLICE("keytable"), SLICE("a a.test:s:/rsa:A\nb b.test:s:rsa:B\n")},
        .root = SLICE("/keys"),
    };
    buf_init(&bad_lines, 10000);
    buf_init(&warnings, 10000);
    struct dkim_table *t = dkim_table_new(&rig_ops, 0);
    ck_assert_msg(dkim_opendkim_read(&in, t, &bad_lines, &warnings), "%.*s",
                  SLICE_ARG(buf_slice(&bad_lines)));
    ck_assert_str_eq(rig_find(t, "a.test", text), "s=A@a.test");
    ck_assert_str_eq(rig_find(t, "b.test", text), "s=B@b.test");
    dkim_table_put(&t);
    buf_deinit(&bad_lines);
    buf_deinit(&warnings);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("policy/dkim_opendkim");
    TCase *t = tcase_create("tables");
    tcase_add_loop_test(t, patterns, 0, (int)ARRAY_COUNT(reads));
    tcase_add_loop_test(t, errors, 0, (int)ARRAY_COUNT(bad));
    tcase_add_test(t, multiple_signatures);
    tcase_add_test(t, signer_is_ignored);
    tcase_add_test(t, many_rows);
    tcase_add_test(t, a_root_stands_before_absolute_paths);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
