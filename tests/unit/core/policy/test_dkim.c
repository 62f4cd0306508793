/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/core/policy/dkim_rig.h"

#include <stdio.h>

struct rig {
    struct dkim_table *table;
    struct buf errors;
    struct buf warnings;
};

static void rig_open(struct rig *r)
{
    r->table = dkim_table_new(&rig_ops, 0);
    buf_init(&r->errors, 10000);
    buf_init(&r->warnings, 10000);
}

static void rig_close(struct rig *r)
{
    dkim_table_put(&r->table);
    ck_assert_ptr_null(r->table);
    ck_assert_int_eq(rig_alive, 0);
    buf_deinit(&r->errors);
    buf_deinit(&r->warnings);
}

static bool add(struct rig *r, const char *domain, bool subdomains, const char *selector,
                const char *key)
{
    struct dkim_entry e = {
        .domain = slice_str(domain),
        .names = domain[0] != '.',
        .subdomains = subdomains,
        .selector = slice_str(selector),
        .key = slice_str(key),
        .where = SLICE("t:1"),
    };
    e.domain = slice_skip(e.domain, domain[0] == '.');
    return dkim_table_add(r->table, &e, &r->errors, &r->warnings);
}

static const struct {
    const char *domain;
    const char *rule;
} found[] = {
    {"example.org", "a=K1@example.org"},
    {"sub.example.org", "def=D@"}, /* no sub-domain rule */
    {"example.com", "b=K2@example.com b2=K3@example.com"},
    {"x.example.com", "b=K2@example.com"},
    {"y.x.example.com", "b=K2@example.com"},
    {"deep.example.com", "c=K4@deep.example.com"}, /* exact before parent */
    {"z.deep.example.com", "b=K2@example.com"},
    {"below.test", "def=D@"}, /* only below it */
    {"a.below.test", "e=K5@below.test"},
    {"a.b.below.test", "e=K5@below.test"},
    {"notexample.com", "def=D@"},
    {"com", "def=D@"},
    {"xn--bcher-kva.example", "f=K6@xn--bcher-kva.example"},
};

START_TEST(most_exact_rule)
{
    struct rig r;
    char text[256];
    rig_open(&r);
    ck_assert(add(&r, "Example.ORG.", false, "a", "rsa:K1"));
    ck_assert(add(&r, "example.com", true, "b", "rsa:K2"));
    ck_assert(add(&r, "example.com", false, "b2", "ed:K3"));
    ck_assert(add(&r, "deep.example.com", false, "c", "rsa:K4"));
    ck_assert(add(&r, ".below.test", true, "e", "rsa:K5"));
    ck_assert(add(&r,
                  "b\xc3\xbc"
                  "cher.example",
                  false, "f", "rsa:K6"));
    ck_assert_str_eq(rig_find(r.table, "nobody.test", text), "-");
    ck_assert(add(&r, "", false, "def", "rsa:D"));
    for (size_t i = 0; i < ARRAY_COUNT(found); i++) {
        ck_assert_str_eq(rig_find(r.table, found[i].domain, text), found[i].rule);
    }
    const struct dkim_rule *rule = dkim_table_find(r.table, SLICE("example.com"));
    ck_assert(rule->keys[0].algorithm == DKIM_RSA_SHA256);
    ck_assert(rule->keys[1].algorithm == DKIM_ED25519_SHA256);
    ck_assert_uint_eq(r.errors.len, 0);
    ck_assert_uint_eq(r.warnings.len, 0);
    rig_close(&r);
}
END_TEST

static const struct {
    const char *domain, *selector, *key, *error;
} refused[] = {
    {"not a domain", "s", "rsa:x", "t:1: no domain name: 'not a domain'\n"},
    {"a..b", "s", "rsa:x", "t:1: no domain name: 'a..b'\n"},
    {"[192.0.2.1]", "s", "rsa:x", "t:1: no domain name: '[192.0.2.1]'\n"},
    {"a.test", "", "rsa:x", "t:1: no selector:\n"},
    {"a.test", "two words", "rsa:x", "t:1: no selector: 'two words'\n"},
    {"a.test", "s;d=evil", "rsa:x", "t:1: no selector: 's;d=evil'\n"},
    {"a.test", "s.", "rsa:x", "t:1: no selector: 's.'\n"},
    {"a.test", "s", "", "t:1: a selector without a key 's'\n"},
    {"a.test", "s", "bad", "t:1: key: it is bad\n"},
    {"there.test", "s", "rsa:y", "t:1: the domain has this selector already 's'\n"},
    {"full.test", "s5", "rsa:y", "t:1: more than 4 keys for one domain 'full.test'\n"},
};

START_TEST(refuses)
{
    struct rig r;
    rig_open(&r);
    ck_assert(add(&r, "there.test", false, "s", "rsa:x"));
    ck_assert(add(&r, "full.test", false, "s1", "rsa:x"));
    ck_assert(add(&r, "full.test", false, "s2", "rsa:x"));
    ck_assert(add(&r, "full.test", false, "s3", "rsa:x"));
    ck_assert(add(&r, "full.test", false, "s4", "rsa:x"));
    ck_assert(!add(&r, refused[_i].domain, false, refused[_i].selector, refused[_i].key));
    ck_assert_msg(slice_eq(buf_slice(&r.errors), slice_str(refused[_i].error)), "%.*s",
                  SLICE_ARG(buf_slice(&r.errors)));
    rig_close(&r);
}
END_TEST

START_TEST(key_files)
{
    struct rig r;
    struct dkim_entry e = {.domain = SLICE("a.test"),
                           .names = true,
                           .selector = SLICE("s"),
                           .key = SLICE("/nowhere"),
                           .key_is_path = true,
                           .where = SLICE("f:7")};
    rig_open(&r);
    ck_assert(!dkim_table_add(r.table, &e, &r.errors, &r.warnings));
    ck_assert(slice_eq(buf_slice(&r.errors), SLICE("f:7: key /nowhere: cannot be read\n")));
    e.key = SLICE("/keys/weak:x");
    ck_assert(dkim_table_add(r.table, &e, &r.errors, &r.warnings));
    ck_assert(slice_eq(buf_slice(&r.warnings),
                       SLICE("f:7: the key has only 1024 bits; RFC 8301 asks for 2048\n")));
    rig_close(&r);
}
END_TEST

/* One file for a thousand domains is read once. */
START_TEST(shared_key)
{
    struct rig r;
    char domain[64], text[256];
    rig_open(&r);
    rig_loads = 0;
    for (int i = 0; i < 1000; i++) {
        snprintf(domain, sizeof(domain), "d%d.test", i);
        ck_assert(add(&r, domain, i % 2, "s", "rsa:shared"));
    }
    ck_assert_int_eq(rig_loads, 1);
    ck_assert_uint_eq(dkim_table_count(r.table), 1500);
    ck_assert_str_eq(rig_find(r.table, "d999.test", text), "s=shared@d999.test");
    size_t bucket = 0, rules = 0;
    for (const struct dkim_rule *rule = NULL;
         (rule = dkim_table_next(r.table, &bucket, rule)) != NULL; rules++) {
        ck_assert_uint_eq(rule->count, 1);
    }
    ck_assert_uint_eq(rules, 1500);
    rig_close(&r);
}
END_TEST

START_TEST(signing_domain)
{
    struct rig r;
    char text[256];
    struct dkim_entry e = {.domain = SLICE("a.test"),
                           .names = true,
                           .subdomains = true,
                           .selector = SLICE("s"),
                           .signing_domain = SLICE("Other.Test"),
                           .key = SLICE("rsa:k"),
                           .where = SLICE("x")};
    rig_open(&r);
    ck_assert(dkim_table_add(r.table, &e, &r.errors, &r.warnings));
    ck_assert_str_eq(rig_find(r.table, "b.a.test", text), "s=k@other.test");
    e.signing_domain = SLICE("%");
    e.domain = SLICE("b.test");
    ck_assert(dkim_table_add(r.table, &e, &r.errors, &r.warnings));
    ck_assert_str_eq(rig_find(r.table, "c.b.test", text), "s=k@");
    e.signing_domain = SLICE("a b");
    ck_assert(!dkim_table_add(r.table, &e, &r.errors, &r.warnings));
    rig_close(&r);
}
END_TEST

/* A reload drops its reference; a message that signs keeps the keys. */
START_TEST(references)
{
    struct rig r;
    rig_open(&r);
    ck_assert(add(&r, "a.test", false, "s", "rsa:k"));
    struct dkim_table *other = dkim_table_ref(r.table);
    dkim_table_put(&r.table);
    ck_assert_int_eq(rig_alive, 1);
    ck_assert_ptr_nonnull(dkim_table_find(other, SLICE("a.test")));
    dkim_table_put(&other);
    ck_assert_int_eq(rig_alive, 0);
    dkim_table_put(&other);
    rig_close(&r);
}
END_TEST

static const struct {
    const char *in, *out;
} domains[] = {
    {"example.org", "example.org"},
    {"EXAMPLE.Org.", "example.org"},
    {"_x-1.a_b.test", "_x-1.a_b.test"},
    {"b\xc3\xbc"
     "cher.example",
     "xn--bcher-kva.example"},
    {"B\xc3\x9c"
     "CHER.example",
     "xn--bcher-kva.example"},
    {"", NULL},
    {".", NULL},
    {"a..b", NULL},
    {".a", NULL},
    {"a b", NULL},
    {"a/b", NULL},
    {"\xff\xfe.test", NULL},
    {"a\xcc", NULL},
    {"0123456789012345678901234567890123456789012345678901234567890123.test", NULL},
};

START_TEST(normalize)
{
    struct dkim_domain d;
    bool ok = dkim_domain_normalize(slice_str(domains[_i].in), &d);
    ck_assert_msg(ok == (domains[_i].out != NULL), "%s", domains[_i].in);
    if (ok) {
        ck_assert_str_eq(d.text, domains[_i].out);
        ck_assert_uint_eq(d.len, strlen(d.text));
    }
}
END_TEST

START_TEST(normalize_long)
{
    char text[300];
    struct dkim_domain d;
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = i % 2 ? '.' : 'a';
    }
    ck_assert(dkim_domain_normalize(slice_of(text, 253), &d));
    ck_assert(!dkim_domain_normalize(slice_of(text, 255), &d));
    ck_assert(dkim_selector_valid(SLICE("2026._x-y")) && !dkim_selector_valid(SLICE("a\xc3\xbc")));
}
END_TEST

static void file_note(void *ctx, struct slice path)
{
    buf_addf(ctx, "%.*s\n", SLICE_ARG(path));
}

/* Each once, whatever the number of domains; keys that are text have none. */
START_TEST(files_to_watch)
{
    struct rig r;
    struct buf files;
    static const struct {
        const char *domain, *key;
        bool is_path;
    } entries[] = {
        {"a.test", "/keys/rsa:K1", true},
        {"b.test", "/keys/rsa:K1", true},
        {"c.test", "rsa:K2", false},
        {"", "/keys/ed:K3", true},
    };
    rig_open(&r);
    buf_init(&files, 1000);
    for (size_t i = 0; i < ARRAY_COUNT(entries); i++) {
        struct dkim_entry e = {.domain = slice_str(entries[i].domain),
                               .names = true,
                               .selector = SLICE("s"),
                               .key = slice_str(entries[i].key),
                               .key_is_path = entries[i].is_path,
                               .where = SLICE("t:1")};
        ck_assert(dkim_table_add(r.table, &e, &r.errors, &r.warnings));
    }
    dkim_table_key_files(r.table, file_note, &files);
    ck_assert(slice_eq(buf_slice(&files), SLICE("/keys/rsa:K1\n/keys/ed:K3\n")) ||
              slice_eq(buf_slice(&files), SLICE("/keys/ed:K3\n/keys/rsa:K1\n")));
    buf_deinit(&files);
    rig_close(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("policy/dkim");
    TCase *t = tcase_create("table");
    tcase_add_test(t, most_exact_rule);
    tcase_add_loop_test(t, refuses, 0, (int)ARRAY_COUNT(refused));
    tcase_add_test(t, key_files);
    tcase_add_test(t, files_to_watch);
    tcase_add_test(t, shared_key);
    tcase_add_test(t, signing_domain);
    tcase_add_test(t, references);
    tcase_add_loop_test(t, normalize, 0, (int)ARRAY_COUNT(domains));
    tcase_add_test(t, normalize_long);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
