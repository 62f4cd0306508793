/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/tls/tls_rig.h"
#include "tls/x509.h"

#include <check.h>
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CAS = 5 };

static struct rig_cert cas[CAS], twin; /* twin: the name of cas[0], another key */
static char folder[64];

static void set_up(void)
{
    static const char *const names[CAS] = {"A", "B", "C", "D", "E"};
    for (size_t i = 0; i < CAS; i++) {
        cas[i] = rig_make(rig_good_ca(slice_str(names[i])), 0, NULL);
    }
    twin = rig_make(rig_good_ca(SLICE("A")), 0, NULL);
    (void)snprintf(folder, sizeof(folder), "/tmp/ringpost-tls-XXXXXX");
    must(mkdtemp(folder) != NULL);
}

static void tear_down(void)
{
    char name[512];
    DIR *d = opendir(folder);
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        (void)snprintf(name, sizeof(name), "%s/%s", folder, e->d_name);
        if (e->d_name[0] != '.') {
            (void)(unlink(name) == 0 || rmdir(name) == 0);
        }
    }
    closedir(d);
    (void)rmdir(folder);
    for (size_t i = 0; i < CAS; i++) {
        rig_cert_free(&cas[i]);
    }
    rig_cert_free(&twin);
}

static void write_file(const char *name, struct slice text)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    must(f && fwrite(text.ptr ? text.ptr : "", 1, text.len, f) == text.len);
    (void)fclose(f);
}

static void hash_of(const struct rig_cert *c, uint8_t hash[TLS_NAME_HASH_BYTES])
{
    struct x509 x;
    must(x509_parse(&x, buf_slice(&c->der)));
    memcpy(hash, x.subject_hash, TLS_NAME_HASH_BYTES);
    x509_free(&x);
}

START_TEST(a_bundle)
{
    struct buf pem;
    struct tls_trust *t = tls_trust_open();
    uint8_t hash[TLS_NAME_HASH_BYTES];
    buf_init(&pem, 65536);
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < CAS; i++) {
            buf_add(&pem, SLICE("# some words\n"));
            tls_pem_add(&pem, SLICE("CERTIFICATE"), buf_slice(&cas[i].der));
        }
    }
    tls_pem_add(&pem, SLICE("X509 CERTIFICATE"), buf_slice(&twin.der));
    tls_pem_add(&pem, SLICE("X509 CRL"), SLICE("not for us"));
    ck_assert(tls_trust_add_pem(t, buf_slice(&pem)));
    ck_assert_uint_eq(tls_trust_count(t), CAS + 1);
    ck_assert_uint_eq(tls_trust_skipped(t), 0);
    for (size_t i = 0; i < CAS; i++) {
        hash_of(&cas[i], hash);
        struct slice one = tls_trust_find(t, hash, 0), two = tls_trust_find(t, hash, 1);
        ck_assert(slice_eq(one, buf_slice(&cas[i].der)) || slice_eq(two, buf_slice(&cas[i].der)));
        ck_assert((two.len > 0) == (i == 0));
        ck_assert_uint_eq(tls_trust_find(t, hash, 2).len, 0);
    }
    memset(hash, 0, sizeof(hash));
    ck_assert_uint_eq(tls_trust_find(t, hash, 0).len, 0);
    memset(hash, 0xFF, sizeof(hash));
    ck_assert_uint_eq(tls_trust_find(t, hash, 0).len, 0);
    tls_trust_put(&t);
    tls_trust_put(&t);
    buf_deinit(&pem);
}
END_TEST

/* One rotten certificate does not take the others' trust away. */
START_TEST(a_damaged_bundle)
{
    struct buf pem;
    struct tls_trust *t = tls_trust_open();
    buf_init(&pem, 65536);
    buf_add(&pem, SLICE("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
    buf_add(&pem, SLICE("-----BEGIN CERTIFICATE-----\n"));
    tls_pem_add(&pem, SLICE("CERTIFICATE"), buf_slice(&cas[0].der));
    buf_add(&pem, SLICE("-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n"));
    tls_pem_add(&pem, SLICE("CERTIFICATE"), buf_slice(&cas[1].der));
    buf_add(&pem, SLICE("-----BEGIN CERTIFICATE-----\nMIIB"));
    ck_assert(tls_trust_add_pem(t, buf_slice(&pem)));
    ck_assert_uint_eq(tls_trust_count(t), 2);
    ck_assert_uint_eq(tls_trust_skipped(t), 4);
    ck_assert(!tls_trust_add_pem(t, SLICE("nothing here")));
    ck_assert(!tls_trust_add_pem(t, SLICE("")));
    tls_trust_put(&t);
    buf_deinit(&pem);
}
END_TEST

START_TEST(files_and_folders)
{
    struct buf pem, problem;
    char path[256];
    struct tls_trust *t = tls_trust_open();
    buf_init(&pem, 65536);
    buf_init(&problem, 4096);
    for (size_t i = 0; i < CAS; i++) {
        char name[16];
        buf_clear(&pem);
        tls_pem_add(&pem, SLICE("CERTIFICATE"), buf_slice(&cas[i].der));
        (void)snprintf(name, sizeof(name), "%zu.pem", i);
        write_file(name, buf_slice(&pem));
    }
    write_file("README", SLICE("no certificate"));
    write_file("empty.pem", SLICE(""));
    (void)snprintf(path, sizeof(path), "%s/0.pem", folder);
    ck_assert(tls_trust_add_path(t, path, &problem));
    ck_assert_uint_eq(tls_trust_count(t), 1);
    ck_assert(tls_trust_add_path(t, folder, &problem));
    ck_assert_uint_eq(tls_trust_count(t), CAS);
    ck_assert_uint_eq(problem.len, 0);
    static const char *const bad[] = {"none.pem", "README", "empty.pem", "folder"};
    (void)snprintf(path, sizeof(path), "%s/folder", folder);
    must(mkdir(path, 0700) == 0);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", folder, bad[i]);
        buf_clear(&problem);
        ck_assert(!tls_trust_add_path(t, path, &problem));
        ck_assert_msg(problem.len > strlen(path) && !memcmp(problem.ptr, path, strlen(path)),
                      "%.*s", SLICE_ARG(buf_slice(&problem)));
    }
    tls_trust_put(&t);
    buf_deinit(&pem);
    buf_deinit(&problem);
}
END_TEST

/* The authorities of this machine, if it has any: all of them can be read. */
START_TEST(the_systems_authorities)
{
    static const char bundle[] = "/etc/ssl/certs/ca-certificates.crt";
    struct buf problem;
    struct tls_trust *t = tls_trust_open();
    buf_init(&problem, 4096);
    if (access(bundle, R_OK) == 0) {
        ck_assert_msg(tls_trust_add_path(t, bundle, &problem), "%.*s",
                      SLICE_ARG(buf_slice(&problem)));
        ck_assert_uint_ge(tls_trust_count(t), 50);
        ck_assert_uint_le(tls_trust_skipped(t), 3);
    } else {
        ck_assert(!tls_trust_add_path(t, bundle, &problem));
    }
    tls_trust_put(&t);
    buf_deinit(&problem);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls/trust");
    TCase *t = tcase_create("trust");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_bundle);
    tcase_add_test(t, a_damaged_bundle);
    tcase_add_test(t, files_and_folders);
    tcase_add_test(t, the_systems_authorities);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
