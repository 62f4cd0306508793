/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * From a configuration to signatures: files, inline keys, OpenDKIM's tables, what is wrong with them.
 */
#include "core/relay/dkim_keys.h"

#include "core/base/must.h"
#include "tests/unit/core/conf/conf_testing.h"
#include "tests/unit/tls/dkim_key_texts.h"
#include "tls/dkim_hash.h"

struct tables {
    struct loaded l;
    struct buf errors;
    struct buf warnings;
    struct dkim_table *table;
};

static void write_text(const char *name, const char *text)
{
    file_write(name, text, slice_str(text).len);
}

/* yaml without spool.dir. */
static void tables_open(struct tables *t, const char *yaml)
{
    folder_enter();
    write_text("rsa.pem", RSA2048_PKCS8);
    write_text("weak.pem", RSA1024);
    write_text("ed.pem", ED25519_PKCS8);
    write_text("ec.pem", EC_KEY);
    write_text("signing", "one.test k1\n.one.test k2\n");
    write_text("keys", "k1 one.test:t1:./rsa.pem\nk2 %:t2:./ed.pem\n");
    write_text("keys.bad", "k1 one.test:t1:./none.pem\nk2 %:t2:./ec.pem\n");
    t->l = load_text(yaml);
    ck_assert_ptr_nonnull(t->l.conf);
    buf_init(&t->errors, 10000);
    buf_init(&t->warnings, 10000);
    t->table = dkim_keys_load(t->l.conf, &t->errors, &t->warnings);
    ck_assert((t->table != NULL) == (t->errors.len == 0));
}

static void tables_close(struct tables *t)
{
    static const char *const names[] = {"rsa.pem", "weak.pem", "ed.pem",  "ec.pem",
                                        "signing", "keys",     "keys.bad"};
    dkim_table_put(&t->table);
    buf_deinit(&t->errors);
    buf_deinit(&t->warnings);
    unload(&t->l);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        unlink(names[i]);
    }
    folder_leave();
}

START_TEST(nothing_configured)
{
    struct tables t;
    tables_open(&t, "domains:\n  - name: a.test\n");
    ck_assert_uint_eq(dkim_table_count(t.table), 0);
    ck_assert_uint_eq(t.warnings.len, 0);
    tables_close(&t);
}
END_TEST

START_TEST(domains_and_default)
{
    struct tables t;
    tables_open(&t, "domains:\n"
                    "  - name: a.test\n"
                    "    dkim_selector: sa\n"
                    "    dkim_key_file: rsa.pem\n"
                    "    dkim_canonicalization: relaxed/simple\n"
                    "  - name: b.test\n"
                    "    dkim_key_pem: " ED25519_RFC8463 "\n"
                    "    dkim_canonicalization: simple/relaxed\n"
                    "dkim:\n"
                    "  selector: def\n"
                    "  key_file: weak.pem\n"
                    "  canonicalization: simple/simple\n");
    const struct dkim_rule *a = dkim_table_find(t.table, SLICE("a.test"));
    const struct dkim_rule *b = dkim_table_find(t.table, SLICE("b.test"));
    const struct dkim_rule *d = dkim_table_find(t.table, SLICE("x.a.test"));
    ck_assert(slice_eq(a->keys[0].selector, SLICE("sa")));
    ck_assert(a->keys[0].algorithm == DKIM_RSA_SHA256);
    ck_assert(a->keys[0].header_canon == DKIM_CANON_RELAXED);
    ck_assert(a->keys[0].body_canon == DKIM_CANON_SIMPLE);
    ck_assert(slice_eq(b->keys[0].selector, SLICE("def")));
    ck_assert(b->keys[0].algorithm == DKIM_ED25519_SHA256);
    ck_assert(b->keys[0].header_canon == DKIM_CANON_SIMPLE);
    ck_assert(b->keys[0].body_canon == DKIM_CANON_RELAXED);
    ck_assert(d->pattern.len == 0 && d->keys[0].domain.len == 0);
    buf_expect(&t.warnings, "dkim.key_file: the key has only 1024 bits; RFC 8301 asks for 2048\n");
    tables_close(&t);
}
END_TEST

/* RSA and Ed25519 for one domain. */
START_TEST(two_keys)
{
    struct tables t;
    tables_open(&t, "domains:\n"
                    "  - name: a.test\n"
                    "    dkim_selector: one\n"
                    "    dkim_key_file: rsa.pem\n"
                    "  - name: A.test\n"
                    "    dkim_selector: two\n"
                    "    dkim_key_file: ed.pem\n");
    const struct dkim_rule *r = dkim_table_find(t.table, SLICE("a.test"));
    ck_assert_uint_eq(r->count, 2);
    ck_assert(r->keys[0].algorithm == DKIM_RSA_SHA256);
    ck_assert(r->keys[1].algorithm == DKIM_ED25519_SHA256);
    tables_close(&t);
}
END_TEST

START_TEST(same_selector_twice)
{
    folder_enter();
    struct loaded l = load_text("domains:\n"
                                "  - name: a.test\n"
                                "    dkim_selector: s\n"
                                "  - name: a.test\n"
                                "    dkim_selector: S\n");
    ck_assert_ptr_null(l.conf);
    ck_assert_ptr_nonnull(memmem(l.errors.ptr, l.errors.len, "domains[0] already", 18));
    unload(&l);
    folder_leave();
}
END_TEST

START_TEST(subdomains)
{
    struct tables t;
    tables_open(&t, "domains:\n"
                    "  - name: a.test\n"
                    "    dkim_key_file: ed.pem\n"
                    "dkim:\n"
                    "  subdomains: true\n");
    const struct dkim_rule *r = dkim_table_find(t.table, SLICE("x.y.a.test"));
    ck_assert_ptr_nonnull(r);
    ck_assert(slice_eq(r->keys[0].domain, SLICE("a.test")));
    tables_close(&t);
}
END_TEST

START_TEST(opendkim)
{
    struct tables t;
    tables_open(&t, "dkim:\n  signing_table: signing\n  key_table: keys\n"
                    "  canonicalization: relaxed/simple\n");
    const struct dkim_rule *one = dkim_table_find(t.table, SLICE("one.test"));
    const struct dkim_rule *below = dkim_table_find(t.table, SLICE("x.one.test"));
    ck_assert(slice_eq(one->keys[0].selector, SLICE("t1")));
    ck_assert(one->keys[0].body_canon == DKIM_CANON_SIMPLE);
    ck_assert(below->keys[0].algorithm == DKIM_ED25519_SHA256 && below->keys[0].domain.len == 0);
    tables_close(&t);
}
END_TEST

static const struct {
    const char *yaml;
    const char *errors;
} bad[] = {
    {"dkim:\n  key_file: none.pem\n",
     "dkim.key_file: key none.pem: cannot be read: No such file or directory\n"},
    {"dkim:\n  key_file: ec.pem\n",
     "dkim.key_file: key ec.pem: it is a \"EC PRIVATE KEY\", not an RSA or Ed25519 private key\n"},
    {"dkim:\n  key_pem: nonsense!\n", "dkim.key_pem: key: it is neither a PEM key nor base64\n"},
    {"domains:\n  - name: a.test\n    dkim_selector: s\n",
     "domains[0].dkim_selector: a selector without a key 's'\n"},
    {"domains:\n  - name: a.test\n    dkim_key_file: no1\n  - name: b.test\n"
     "    dkim_key_file: no2\n",
     "domains[0].dkim_key_file: key no1: cannot be read: No such file or directory\n"
     "domains[1].dkim_key_file: key no2: cannot be read: No such file or directory\n"},
    {"dkim:\n  signing_table: none\n  key_table: keys\n",
     "none: cannot be read: No such file or directory\n"},
    {"dkim:\n  signing_table: signing\n  key_table: keys.bad\n",
     "signing:1 (keys.bad:1): key ./none.pem: cannot be read: No such file or directory\n"
     "signing:2 (keys.bad:2): key ./ec.pem: it is a \"EC PRIVATE KEY\", not an RSA or Ed25519 "
     "private key\n"},
};

START_TEST(errors)
{
    struct tables t;
    tables_open(&t, bad[_i].yaml);
    ck_assert_ptr_null(t.table);
    buf_expect(&t.errors, bad[_i].errors);
    tables_close(&t);
}
END_TEST

/* Jobs of several messages in one batch; one of them cannot be signed. */
START_TEST(signs_a_batch)
{
    struct tables t;
    tables_open(&t, "domains:\n  - name: a.test\n    dkim_key_file: rsa.pem\n"
                    "dkim:\n  key_file: ed.pem\n");
    static const struct slice headers[] = {SLICE_INIT("From: x@a.test\r\n"),
                                           SLICE_INIT("From: x@b.test\r\n")};
    static const size_t sizes[] = {256, 64};
    struct dkim_signing *ctx = dkim_signing_open();
    for (size_t i = 0; i < 2; i++) {
        struct buf out;
        struct dkim_signer *s = dkim_signer_begin(t.table, dkim_hash_sha256(), 1000);
        buf_init(&out, 10000);
        dkim_signer_header(s, headers[i]);
        ck_assert_int_eq((int)dkim_signer_header_end(s), DKIM_SKIP_NOT);
        ck_assert_uint_eq(dkim_signer_finish(s, 1), 1);
        ck_assert_uint_eq(dkim_keys_sign(ctx, dkim_signer_jobs(s), 1), 1);
        ck_assert_uint_eq(dkim_signer_jobs(s)->signature_bytes, sizes[i]);
        ck_assert_uint_eq(dkim_signer_attach(s, &out), 1);
        dkim_signer_end(&s);
        buf_deinit(&out);
    }
    dkim_signing_close(&ctx);
    tables_close(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("relay/dkim_keys");
    TCase *t = tcase_create("keys");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, nothing_configured);
    tcase_add_test(t, domains_and_default);
    tcase_add_test(t, two_keys);
    tcase_add_test(t, same_selector_twice);
    tcase_add_test(t, subdomains);
    tcase_add_test(t, opendkim);
    tcase_add_loop_test(t, errors, 0, (int)ARRAY_COUNT(bad));
    tcase_add_test(t, signs_a_batch);
    suite_add_tcase(s, t);
    return suite_run(s);
}
