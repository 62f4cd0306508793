/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Pairs as people have them on disk: good, half written, mixed up; and the self-signed one.
 */
#include "tests/unit/tls/tls_rig.h"
#include "tls/x509.h"

#include <check.h>
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

static struct rig rig;
static struct buf chain_pem, key_pem, other_key_pem, problem;
static char folder[64];

static void add_key(const struct rig_cert *c, const char *label, struct buf *out)
{
    struct buf der;
    buf_init(&der, 8192);
    buf_init(out, 16384);
    must(forge_key_der(c->key, &der));
    tls_pem_add(out, slice_str(label), buf_slice(&der));
    buf_deinit(&der);
}

static void set_up(void)
{
    rig_init(&rig);
    buf_init(&chain_pem, 16384);
    buf_init(&problem, 1024);
    tls_pem_add(&chain_pem, SLICE("CERTIFICATE"), buf_slice(&rig.ecdsa.der));
    tls_pem_add(&chain_pem, SLICE("CERTIFICATE"), buf_slice(&rig.ca.der));
    add_key(&rig.ecdsa, "PRIVATE KEY", &key_pem);
    add_key(&rig.client, "PRIVATE KEY", &other_key_pem);
    (void)snprintf(folder, sizeof(folder), "/tmp/ringpost-tls-XXXXXX");
    must(mkdtemp(folder) != NULL);
}

static void tear_down(void)
{
    char name[512];
    DIR *d = opendir(folder);
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        if (e->d_name[0] != '.') {
            (void)snprintf(name, sizeof(name), "%s/%s", folder, e->d_name);
            (void)unlink(name);
        }
    }
    closedir(d);
    (void)rmdir(folder);
    rig_deinit(&rig);
    buf_deinit(&chain_pem);
    buf_deinit(&key_pem);
    buf_deinit(&other_key_pem);
    buf_deinit(&problem);
}

static struct tls_certificate *parse(struct slice chain, struct slice key)
{
    struct tls_certificate_text text = {SLICE("tls.crt"), chain, SLICE("tls.key"), key};
    buf_clear(&problem);
    return tls_certificate_parse(&text, rig_wall_us(), &problem);
}

static void expect_problem(struct slice chain, struct slice key, const char *file, const char *word)
{
    struct tls_certificate *c = parse(chain, key);
    ck_assert_ptr_null(c);
    buf_add_byte(&problem, '\0');
    ck_assert_msg(strncmp(problem.ptr, file, strlen(file)) == 0 && strstr(problem.ptr, word), "%s",
                  problem.ptr);
    ck_assert_ptr_null(strchr(problem.ptr, '\n'));
}

START_TEST(a_good_pair)
{
    struct tls_certificate *c = parse(buf_slice(&chain_pem), buf_slice(&key_pem));
    ck_assert_msg(c != NULL, "%.*s", SLICE_ARG(buf_slice(&problem)));
    ck_assert_uint_eq(tls_certificate_count(c), 2);
    ck_assert(slice_eq(tls_certificate_der(c, 0), buf_slice(&rig.ecdsa.der)));
    ck_assert(slice_eq(tls_certificate_der(c, 1), buf_slice(&rig.ca.der)));
    ck_assert_int_eq(tls_certificate_key(c), TLS_KEY_P256);
    ck_assert_int_eq(tls_certificate_key(rig.rsa_pair), TLS_KEY_RSA);
    ck_assert(slice_eq(tls_certificate_name(c, 0), SLICE("mail.example")));
    ck_assert_uint_eq(tls_certificate_name(c, 1).len, 0);
    ck_assert_uint_eq(tls_certificate_warning(c).len, 0);
    ck_assert_int_ge(tls_certificate_not_after(c), rig_now_s() + 29 * RIG_DAY_S);
    uint8_t sum[TLS_FINGERPRINT_BYTES];
    x509_fingerprint(buf_slice(&rig.ecdsa.der), sum);
    ck_assert_mem_eq(sum, tls_certificate_fingerprint(c), sizeof(sum));
    /* Without a DNS name the common name stands for one. */
    ck_assert(slice_eq(tls_certificate_name(rig.client_pair, 0), SLICE("client 7")));
    tls_certificate_free(&c);
    tls_certificate_free(&c);
}
END_TEST

/* One file with everything, in any order, with words around it. */
START_TEST(one_file_for_both)
{
    struct buf all;
    buf_init(&all, 65536);
    buf_add(&all, SLICE("Bag Attributes\n    friendlyName: mail\n"));
    buf_add(&all,
            SLICE(
                "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"));
    buf_add(&all, buf_slice(&key_pem));
    buf_add(&all, SLICE("subject=CN = mail.example\r\n"));
    buf_add(&all, buf_slice(&chain_pem));
    struct tls_certificate *c = parse(buf_slice(&all), buf_slice(&all));
    ck_assert_msg(c != NULL, "%.*s", SLICE_ARG(buf_slice(&problem)));
    tls_certificate_free(&c);
    buf_deinit(&all);
}
END_TEST

START_TEST(what_is_wrong_is_named)
{
    struct slice chain = buf_slice(&chain_pem), key = buf_slice(&key_pem);
    expect_problem(SLICE(""), key, "tls.crt: ", "no certificate");
    expect_problem(key, key, "tls.crt: ", "no certificate");
    expect_problem(chain, SLICE(""), "tls.key: ", "no private key");
    expect_problem(chain, chain, "tls.key: ", "no private key");
    expect_problem(chain, buf_slice(&other_key_pem), "tls.key: ", "another certificate");
    expect_problem(SLICE("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), key,
                   "tls.crt: ", "cannot be read");
    expect_problem(SLICE("-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n"), key,
                   "tls.crt: ", "still being written");
    expect_problem(chain,
                   SLICE("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n"
                         "-----END ENCRYPTED PRIVATE KEY-----\n"),
                   "tls.key: ", "passphrase");
    expect_problem(chain,
                   SLICE("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"
                         "DEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"),
                   "tls.key: ", "passphrase");
    expect_problem(chain, SLICE("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
                   "tls.key: ", "cannot be used");
}
END_TEST

/* A file that is being written: cut anywhere, it is refused or it is the certificate alone without
 * those that follow, never something else. */
START_TEST(half_written)
{
    struct slice chain = buf_slice(&chain_pem), key = buf_slice(&key_pem);
    unsigned loaded = 0;
    for (size_t n = 0; n < chain.len; n += 5) {
        struct tls_certificate *c = parse(slice_first(chain, n), key);
        ck_assert(c != NULL || problem.len > 0);
        ck_assert(c == NULL || tls_certificate_count(c) == 1);
        loaded += c != NULL;
        tls_certificate_free(&c);
    }
    ck_assert_uint_le(loaded, 6);
    for (size_t n = 0; n < key.len - 1; n += 5) {
        ck_assert_ptr_null(parse(chain, slice_first(key, n)));
        ck_assert_uint_gt(problem.len, 0);
    }
}
END_TEST

START_TEST(what_is_unwise_is_a_warning)
{
    static const struct slice host[] = {SLICE_INIT("mail.example")};
    struct forge_certificate f = rig_good(SLICE("x"), host, 1);
    f.not_after = rig_now_s() - 60;
    struct rig_cert old = rig_make(f, 0, &rig.ca);
    f = rig_good(SLICE("x"), host, 1);
    f.not_before = rig_now_s() + 3600;
    struct rig_cert early = rig_make(f, 0, &rig.ca);
    struct rig_cert small = rig_make(rig_good(SLICE("x"), host, 1), 1024, &rig.ca);
    f = rig_good(SLICE("x"), host, 1);
    f.purpose = FORGE_CODE;
    struct rig_cert code = rig_make(f, 0, &rig.ca);
    const struct {
        const struct rig_cert *chain[2];
        const char *word;
    } cases[] = {{{&old, &rig.ca}, "expired on 2"},
                 {{&early, &rig.ca}, "not valid before 2"},
                 {{&small, &rig.ca}, "2048"},
                 {{&code, &rig.ca}, "extendedKeyUsage"},
                 {{&rig.ecdsa, &rig.client}, "do not lead"}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct tls_certificate *c = rig_pair(cases[i].chain, 2);
        struct slice w = tls_certificate_warning(c);
        ck_assert_msg(w.len > 0 && memmem(w.ptr, w.len, cases[i].word, strlen(cases[i].word)),
                      "%.*s", SLICE_ARG(w));
        tls_certificate_free(&c);
    }
    rig_cert_free(&old);
    rig_cert_free(&early);
    rig_cert_free(&small);
    rig_cert_free(&code);
}
END_TEST

START_TEST(too_many_certificates)
{
    struct buf many;
    buf_init(&many, 65536);
    buf_add(&many, buf_slice(&chain_pem));
    for (size_t i = 0; i < TLS_CHAIN_MAX - 1; i++) {
        tls_pem_add(&many, SLICE("CERTIFICATE"), buf_slice(&rig.ca.der));
    }
    expect_problem(buf_slice(&many), buf_slice(&key_pem), "tls.crt: ", "more than 10");
    buf_deinit(&many);
}
END_TEST

/* ---- files -------------------------------------------------------------------------------------------- */

static const char *in_folder(const char *name)
{
    static char path[2][256];
    static unsigned turn;
    char *p = path[turn++ % 2];
    (void)snprintf(p, sizeof(path[0]), "%s/%s", folder, name);
    return p;
}

static struct tls_certificate *load(const char *chain, const char *key)
{
    buf_clear(&problem);
    return tls_certificate_load(in_folder(chain), in_folder(key), rig_wall_us(), &problem);
}

START_TEST(files)
{
    struct stat st;
    ck_assert(tls_certificate_save(in_folder("a.crt"), buf_slice(&chain_pem), in_folder("a.key"),
                                   buf_slice(&key_pem), &problem));
    ck_assert_int_eq(stat(in_folder("a.key"), &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
    struct tls_certificate *c = load("a.crt", "a.key");
    ck_assert_msg(c != NULL, "%.*s", SLICE_ARG(buf_slice(&problem)));
    ck_assert_uint_eq(tls_certificate_warning(c).len, 0);
    tls_certificate_free(&c);
    ck_assert_int_eq(chmod(in_folder("a.key"), 0644), 0);
    c = load("a.crt", "a.key");
    ck_assert_uint_gt(tls_certificate_warning(c).len, 0);
    tls_certificate_free(&c);
    ck_assert_ptr_null(load("b.crt", "a.key"));
    ck_assert_uint_gt(problem.len, 0);
    ck_assert_ptr_null(load("a.crt", "b.key"));
    ck_assert_ptr_null(load(".", "a.key"));
    ck_assert_ptr_null(load("a.key", "a.crt"));
    ck_assert_int_eq(truncate(in_folder("a.crt"), 300), 0);
    ck_assert_ptr_null(load("a.crt", "a.key"));
    ck_assert_int_eq(truncate(in_folder("a.crt"), 2 * TLS_CERTIFICATE_FILE_BYTES_MAX), 0);
    ck_assert_ptr_null(load("a.crt", "a.key"));
    /* Where nothing can be written, the folder says why. */
    buf_clear(&problem);
    ck_assert(!tls_certificate_save(in_folder("no/a.crt"), buf_slice(&chain_pem),
                                    in_folder("no/a.key"), buf_slice(&key_pem), &problem));
    ck_assert_uint_gt(problem.len, 0);
}
END_TEST

/* ---- self-signed ---------------------------------------------------------------------------------------- */

START_TEST(self_signed)
{
    struct buf chain, key;
    struct x509 x;
    struct ip_addr v4, v6, other;
    buf_init(&chain, 16384);
    buf_init(&key, 16384);
    struct tls_self_signed how = {.host = SLICE("mx.example.org"),
                                  .rsa_bits = _i ? 2048 : 0,
                                  .wall_us = rig_wall_us()};
    ck_assert(tls_certificate_make(&how, &chain, &key));
    struct tls_certificate *c = parse(buf_slice(&chain), buf_slice(&key));
    ck_assert_msg(c != NULL, "%.*s", SLICE_ARG(buf_slice(&problem)));
    ck_assert_uint_eq(tls_certificate_warning(c).len, 0);
    ck_assert_int_eq(tls_certificate_key(c), _i ? TLS_KEY_RSA : TLS_KEY_P256);
    ck_assert(slice_eq(tls_certificate_name(c, 0), SLICE("mx.example.org")));
    ck_assert(slice_eq(tls_certificate_name(c, 1), SLICE("localhost")));
    ck_assert_int_ge(tls_certificate_not_after(c), rig_now_s() + 396 * RIG_DAY_S);
    ck_assert(x509_parse(&x, tls_certificate_der(c, 0)));
    must(ip_addr_parse(SLICE("127.0.0.1"), &v4) && ip_addr_parse(SLICE("::1"), &v6) &&
         ip_addr_parse(SLICE("127.0.0.2"), &other));
    ck_assert(x509_has_address(&x, &v4) && x509_has_address(&x, &v6));
    ck_assert(!x509_has_address(&x, &other));
    ck_assert(!x.is_ca && x.for_server && x.may_sign && x.self_issued);
    x509_free(&x);
    /* Two are never the same. */
    struct buf again;
    buf_init(&again, 16384);
    buf_clear(&key);
    ck_assert(tls_certificate_make(&how, &again, &key));
    ck_assert(!slice_eq(buf_slice(&again), buf_slice(&chain)));
    buf_deinit(&again);
    tls_certificate_free(&c);
    buf_deinit(&chain);
    secret_buf_release(&key);
}
END_TEST

START_TEST(self_signed_for_no_host)
{
    static const char *const hosts[] = {"", "a b", "x\n", "..", "host.name."};
    struct buf chain, key;
    buf_init(&chain, 16384);
    buf_init(&key, 16384);
    for (size_t i = 0; i < ARRAY_COUNT(hosts); i++) {
        struct tls_self_signed how = {.host = slice_str(hosts[i]), .wall_us = rig_wall_us()};
        ck_assert(!tls_certificate_make(&how, &chain, &key));
    }
    ck_assert_uint_eq(chain.len + key.len, 0);
    struct tls_self_signed how = {.host = SLICE("localhost"), .wall_us = rig_wall_us(), .days = 1};
    ck_assert(tls_certificate_make(&how, &chain, &key));
    struct tls_certificate *c = parse(buf_slice(&chain), buf_slice(&key));
    ck_assert_uint_eq(tls_certificate_name(c, 1).len, 0);
    ck_assert_int_le(tls_certificate_not_after(c), rig_now_s() + RIG_DAY_S);
    tls_certificate_free(&c);
    buf_deinit(&chain);
    secret_buf_release(&key);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls/certificate");
    TCase *t = tcase_create("certificate");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_good_pair);
    tcase_add_test(t, one_file_for_both);
    tcase_add_test(t, what_is_wrong_is_named);
    tcase_add_test(t, half_written);
    tcase_add_test(t, what_is_unwise_is_a_warning);
    tcase_add_test(t, too_many_certificates);
    tcase_add_test(t, files);
    tcase_add_loop_test(t, self_signed, 0, 2);
    tcase_add_test(t, self_signed_for_no_host);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
