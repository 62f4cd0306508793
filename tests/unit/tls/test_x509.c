/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Single certificates: what is read of them, who signed them; and the PEM around them.
 */
#include "tests/unit/tls/tls_rig.h"
#include "tls/x509.h"

#include <check.h>

static struct rig rig;

static void set_up(void)
{
    rig_init(&rig);
}

static void tear_down(void)
{
    rig_deinit(&rig);
}

static struct x509 parsed(const struct rig_cert *c)
{
    struct x509 x;
    ck_assert(x509_parse(&x, buf_slice(&c->der)));
    return x;
}

START_TEST(fields)
{
    struct forge_certificate f = rig_good(SLICE("x\xc3\xa9\n"), NULL, 0);
    f.ca = true;
    f.path_length = 3;
    f.usage = FORGE_SIGN_CERTIFICATES;
    f.purpose = FORGE_CLIENT;
    f.sha1 = true;
    struct rig_cert c = rig_make(f, 2048, NULL);
    struct x509 x = parsed(&c), e = parsed(&rig.ecdsa);
    struct buf text, tiny;
    buf_init(&text, 64);
    buf_init(&tiny, 3);
    ck_assert_int_eq(x.not_before, f.not_before);
    ck_assert_int_eq(x.not_after, f.not_after);
    ck_assert(x.is_ca && x.path_length == 3 && x.may_sign_certificates && !x.may_sign);
    ck_assert(x.for_client && !x.for_server && x.self_issued && x.weak_signature);
    ck_assert(!x.has_dns_names && !x.unknown_critical);
    ck_assert(x.key == TLS_KEY_RSA && x.key_bits == 2048);
    ck_assert(x509_subject_text(&x, &text));
    ck_assert(slice_eq(buf_slice(&text), SLICE("/CN=x\\C3\\A9\\0A")));
    ck_assert(!x509_subject_text(&x, &tiny)); /* not a part of it: that could be somebody else's */
    buf_deinit(&text);
    buf_deinit(&tiny);
    ck_assert(e.key == TLS_KEY_P256 && e.key_bits == 256 && e.path_length == -1);
    ck_assert(!e.is_ca && e.may_sign && e.for_server && !e.self_issued && !e.weak_signature);
    ck_assert(slice_eq(x509_common_name(&e), SLICE("mail.example")));
    x509_free(&x);
    x509_free(&x);
    x509_free(&e);
    rig_cert_free(&c);
}
END_TEST

START_TEST(names_in_order)
{
    static const struct slice dns[] = {SLICE_INIT("c.example"), SLICE_INIT("a.example"),
                                       SLICE_INIT("*.b.example")};
    struct rig_cert c = rig_make(rig_good(SLICE("x"), dns, 3), 0, NULL);
    struct x509 x = parsed(&c);
    struct slice rest = x.alt_names, name;
    for (size_t i = 0; i < ARRAY_COUNT(dns); i++) {
        ck_assert(x509_next_dns_name(&rest, &name) && slice_eq(name, dns[i]));
    }
    ck_assert(!x509_next_dns_name(&rest, &name));
    x509_free(&x);
    rig_cert_free(&c);
}
END_TEST

START_TEST(signatures)
{
    struct rig_cert other = rig_make(rig_good_ca(rig.ca.name), 0, NULL);
    struct x509 ca = parsed(&rig.ca), leaf = parsed(&rig.ecdsa), rsa = parsed(&rig.rsa),
                stranger = parsed(&other);
    ck_assert_int_eq(x509_signed_by(&leaf, &ca), X509_SIGNED);
    ck_assert_int_eq(x509_signed_by(&rsa, &ca), X509_SIGNED);
    ck_assert_int_eq(x509_signed_by(&ca, &ca), X509_SIGNED);
    ck_assert_int_eq(x509_signed_by(&leaf, &stranger), X509_NOT_SIGNED);
    ck_assert_int_eq(x509_signed_by(&leaf, &rsa), X509_NOT_SIGNED);
    ck_assert_int_eq(x509_signed_by(&ca, &leaf), X509_NOT_SIGNED);
    x509_free(&ca);
    x509_free(&leaf);
    x509_free(&rsa);
    x509_free(&stranger);
    rig_cert_free(&other);
}
END_TEST

/* Dates are not a matter of the signature. */
START_TEST(signatures_of_the_past)
{
    struct forge_certificate f = rig_good_ca(SLICE("Old"));
    f.not_after = rig_now_s() - 60;
    struct rig_cert old = rig_make(f, 2048, NULL);
    f = rig_good(SLICE("leaf"), NULL, 0);
    f.not_after = rig_now_s() - 60;
    struct rig_cert c = rig_make(f, 0, &old);
    struct x509 ca = parsed(&old), leaf = parsed(&c);
    ck_assert_int_eq(x509_signed_by(&leaf, &ca), X509_SIGNED);
    x509_free(&ca);
    x509_free(&leaf);
    rig_cert_free(&c);
    rig_cert_free(&old);
}
END_TEST

static const struct {
    const char *base, *name;
    bool permitted;
} constraints[] = {
    {"example.com", "example.com", true},   {"example.com", "a.b.example.com", true},
    {"example.com", "EXAMPLE.com", true},   {"example.com", "badexample.com", false},
    {"example.com", "example.net", false},  {"example.com", "*.example.com", true},
    {"example.com", "*.com", false},        {".example.com", "a.example.com", true},
    {".example.com", "example.com", false},
};

START_TEST(name_constraints)
{
    struct forge_certificate f = rig_good_ca(SLICE("CA"));
    f.permitted = slice_str(constraints[_i].base);
    struct rig_cert c = rig_make(f, 0, NULL);
    struct x509 x = parsed(&c);
    ck_assert_msg(x509_permits_dns(&x, slice_str(constraints[_i].name)) ==
                      constraints[_i].permitted,
                  "%s %s", constraints[_i].base, constraints[_i].name);
    x509_free(&x);
    rig_cert_free(&c);
}
END_TEST

/* ---- PEM ------------------------------------------------------------------------------------------------ */

START_TEST(pem)
{
    struct buf text, der;
    struct tls_pem_block block;
    static char bytes[1000];
    buf_init(&text, 65536);
    buf_init(&der, 4096);
    for (size_t n = 1; n < 200; n += 7) {
        buf_clear(&text);
        buf_add(&text, SLICE("words\n"));
        tls_pem_add(&text, SLICE("CERTIFICATE"), slice_of(bytes, n));
        tls_pem_add(&text, SLICE("EC PRIVATE KEY"), slice_of(bytes, n + 1));
        struct slice rest = buf_slice(&text);
        ck_assert_int_eq(tls_pem_next(&rest, &block, &der), TLS_PEM_BLOCK);
        ck_assert(slice_eq(block.label, SLICE("CERTIFICATE")) && der.len == n && !block.encrypted);
        ck_assert_int_eq(tls_pem_next(&rest, &block, &der), TLS_PEM_BLOCK);
        ck_assert(slice_eq(block.label, SLICE("EC PRIVATE KEY")) && der.len == n + 1);
        ck_assert_int_eq(tls_pem_next(&rest, &block, &der), TLS_PEM_END);
        ck_assert_uint_eq(der.len, 0);
    }
    buf_deinit(&text);
    secret_buf_release(&der);
}
END_TEST

static const char *const broken[] = {
    "-----BEGIN ",
    "-----BEGIN CERTIFICATE",
    "-----BEGIN CERTIFICATE-----",
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE",
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END PRIVATE KEY-----\n",
    "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
    "-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----\n",
    "-----BEGIN CERTIFICATE-----\nA?AA\n-----END CERTIFICATE-----\n",
    "-----BEGIN CERTI\nFICATE-----\nAAAA\n-----END CERTI\nFICATE-----\n",
    "-----BEGIN A-----\nAAAA\n-----BEGIN A-----\nAAAA\n-----END A-----\n",
};

START_TEST(broken_pem)
{
    struct buf der;
    struct tls_pem_block block;
    struct slice rest = slice_str(broken[_i]);
    buf_init(&der, 4096);
    ck_assert_msg(tls_pem_next(&rest, &block, &der) == TLS_PEM_BROKEN, "%s", broken[_i]);
    ck_assert_uint_eq(der.len, 0);
    for (unsigned i = 0; i < 3 && rest.len > 0; i++) {
        (void)tls_pem_next(&rest, &block, &der);
    }
    ck_assert_uint_eq(rest.len, 0);
    secret_buf_release(&der);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls/x509");
    TCase *t = tcase_create("x509");
    tcase_add_unchecked_fixture(t, set_up, tear_down);
    tcase_add_test(t, fields);
    tcase_add_test(t, names_in_order);
    tcase_add_test(t, signatures);
    tcase_add_test(t, signatures_of_the_past);
    tcase_add_loop_test(t, name_constraints, 0, (int)ARRAY_COUNT(constraints));
    tcase_add_test(t, pem);
    tcase_add_loop_test(t, broken_pem, 0, (int)ARRAY_COUNT(broken));
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
