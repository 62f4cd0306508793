/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Reading keys in every form and refusing the others, the vector of RFC 8463, signatures from several
 * threads at once. (tests/e2e/test_dkim_sign.py lets dkimpy verify.)
 */
#include "tls/dkim_key.h"

#include "core/base/base64.h"
#include "core/base/must.h"
#include "proto/mail/dkim_canon.h"
#include "tests/unit/tls/dkim_key_texts.h"
#include "tls/dkim_hash.h"

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/ed25519.h>
#include <wolfssl/wolfcrypt/rsa.h>

#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static const struct {
    const char *name;
    const char *text;
    enum dkim_key_type type;
    unsigned bits;
    bool weak;
    const char *public_text;
} good[] = {
    {"PKCS#1", RSA2048_PKCS1, DKIM_KEY_RSA, 2048, false, RSA2048_PUBLIC},
    {"PKCS#8", RSA2048_PKCS8, DKIM_KEY_RSA, 2048, false, RSA2048_PUBLIC},
    {"weak", RSA1024, DKIM_KEY_RSA, 1024, true, RSA1024_PUBLIC},
    {"text around it", "Bag Attributes: x\n" RSA1024 "trailer\n", DKIM_KEY_RSA, 1024, true,
     RSA1024_PUBLIC},
    {"Ed25519", ED25519_PKCS8, DKIM_KEY_ED25519, 256, false, ED25519_PUBLIC},
    {"dkimpy's Ed25519", ED25519_RFC8463, DKIM_KEY_ED25519, 256, false, ED25519_RFC8463_PUBLIC},
    {"the same with line ends", "\r\n " ED25519_RFC8463 "\r\n", DKIM_KEY_ED25519, 256, false,
     ED25519_RFC8463_PUBLIC},
};

START_TEST(reads)
{
    struct buf why;
    buf_init(&why, 1000);
    struct dkim_key *k = dkim_key_read(slice_str(good[_i].text), &why);
    ck_assert_msg(k != NULL, "%s: %.*s", good[_i].name, SLICE_ARG(buf_slice(&why)));
    ck_assert_int_eq((int)dkim_key_type(k), (int)good[_i].type);
    ck_assert_uint_eq(dkim_key_bits(k), good[_i].bits);
    ck_assert(dkim_key_is_weak(k) == good[_i].weak);
    ck_assert_msg(slice_eq(dkim_key_public(k), slice_str(good[_i].public_text)), "%s",
                  good[_i].name);
    dkim_key_free(&k);
    ck_assert_ptr_null(k);
    buf_deinit(&why);
}
END_TEST

/* A key in one line, with CRLF, without PEM around it: how secrets end up in variables. */
START_TEST(reads_reflowed)
{
    static const char *const joints[] = {"\r\n", " ", "", "\n\n"};
    struct slice body = slice_str(RSA1024);
    struct buf text, why;
    slice_cut(&body, '\n');
    body.len -= sizeof("-----END RSA PRIVATE KEY-----\n") - 1;
    for (size_t i = 0; i < ARRAY_COUNT(joints) * 2; i++) {
        buf_init(&text, 4096);
        buf_init(&why, 1000);
        buf_add(&text, i & 1 ? SLICE("-----BEGIN RSA PRIVATE KEY-----") : SLICE(""));
        for (struct slice rest = body; rest.len;) {
            buf_add(&text, slice_str(joints[i / 2]));
            buf_add(&text, slice_cut(&rest, '\n'));
        }
        buf_add(&text, i & 1 ? SLICE("-----END RSA PRIVATE KEY-----") : SLICE(""));
        struct dkim_key *k = dkim_key_read(buf_slice(&text), &why);
        ck_assert_msg(k != NULL, "%zu: %.*s", i, SLICE_ARG(buf_slice(&why)));
        dkim_key_free(&k);
        buf_deinit(&text);
        buf_deinit(&why);
    }
}
END_TEST

static const struct {
    const char *text;
    const char *why;
} bad[] = {
    {"", "neither a PEM key nor base64"},
    {"hello world", "neither a PEM key nor base64"},
    {"AAAA", "no RSA key"},
    {"-----BEGIN", "neither a PEM key"},
    {"-----BEGIN RSA PRIVATE KEY", "BEGIN line is not complete"},
    /* What stands before the next dashes is the key, which no message may repeat. */
    {"-----BEGIN RSA PRIVATE KEY\nAAAA\n-----END RSA PRIVATE KEY-----\n",
     "BEGIN line is not complete"},
    {"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n", "END line is missing"},
    {"-----BEGIN RSA PRIVATE KEY-----\nA*AA\n-----END RSA PRIVATE KEY-----\n", "not base64"},
    {"-----BEGIN RSA PRIVATE KEY-----\n-----END RSA PRIVATE KEY-----\n", "not base64"},
    {"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n", "no RSA key"},
    {RSA768, "it has 768 bits, at least 1024 are needed (RFC 8301)"},
    {EC_KEY, "it is a \"EC PRIVATE KEY\""},
    {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "it is a \"CERTIFICATE\""},
    {"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "it is a \"PUBLIC KEY\""},
    {"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n", "it is encrypted"},
    {"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n"
     "-----END RSA PRIVATE KEY-----\n",
     "it is encrypted"},
    {"MC4CAQAwBQYDK2VwBCIEIETmG6TbzPeKZqXxW8DC6Xi26GKg1M54NJsxG+KxvA==", "no RSA key"},
};

static void expect_refusal(struct slice text, const char *want)
{
    struct buf why;
    buf_init(&why, 1000);
    struct dkim_key *k = dkim_key_read(text, &why);
    buf_add_byte(&why, '\0');
    ck_assert_msg(k == NULL && strstr(why.ptr, want), "%s: %s", want, why.ptr);
    buf_deinit(&why);
}

START_TEST(refuses)
{
    expect_refusal(slice_str(bad[_i].text), bad[_i].why);
}
END_TEST

START_TEST(refuses_long_text)
{
    static char text[DKIM_KEY_TEXT_BYTES + 1];
    memset(text, 'A', sizeof(text));
    expect_refusal(slice_of(text, sizeof(text)), "too long");
    expect_refusal(slice_of(text, DKIM_KEY_TEXT_BYTES), "too long for a key of 4096 bits");
}
END_TEST

/* A flipped bit in a private part: the trial signature finds it, or the parser does. */
START_TEST(damaged_key)
{
    char text[] = RSA1024;
    unsigned found = 0;
    for (size_t i = 360; i < 800; i += 40) { /* in d, p, q */
        struct buf why;
        char kept = text[i];
        if (kept == '\n') {
            continue;
        }
        text[i] = kept == 'A' ? 'B' : 'A';
        buf_init(&why, 1000);
        struct dkim_key *k = dkim_key_read(slice_str(text), &why);
        found += k == NULL;
        dkim_key_free(&k);
        buf_deinit(&why);
        text[i] = kept;
    }
    ck_assert_uint_ge(found, 5); /* d alone is not used: the CRT parts are */
}
END_TEST

START_TEST(reads_a_file)
{
    char path[] = "/tmp/ringpost-key-XXXXXX";
    struct buf why;
    int fd = mkstemp(path);
    buf_init(&why, 1000);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq((int)write(fd, RSA1024, sizeof(RSA1024) - 1), (int)sizeof(RSA1024) - 1);
    close(fd);
    struct dkim_key *k = dkim_key_read_file(path, &why);
    ck_assert_ptr_nonnull(k);
    dkim_key_free(&k);
    unlink(path);
    k = dkim_key_read_file(path, &why);
    ck_assert_ptr_null(k);
    buf_add_byte(&why, '\0');
    ck_assert_ptr_nonnull(strstr(why.ptr, "No such file"));
    buf_deinit(&why);
}
END_TEST

/* ---- signing ---- */

static bool verify(const struct dkim_key *key, const uint8_t *hash, const uint8_t *signature,
                   size_t bytes)
{
    uint8_t der[1024], seen[512], info[64];
    size_t len = 0;
    word32 at = 0;
    ck_assert(base64_decode(dkim_key_public(key), der, sizeof(der), &len));
    if (dkim_key_type(key) == DKIM_KEY_ED25519) {
        ed25519_key ed;
        int ok = 0;
        wc_ed25519_init(&ed);
        ck_assert_int_eq(wc_ed25519_import_public(der, (word32)len, &ed), 0);
        wc_ed25519_verify_msg(signature, (word32)bytes, hash, DIGEST_SHA256_BYTES, &ok, &ed);
        wc_ed25519_free(&ed);
        return ok == 1;
    }
    RsaKey rsa;
    wc_InitRsaKey(&rsa, NULL);
    ck_assert_int_eq(wc_RsaPublicKeyDecode(der, &at, &rsa, (word32)len), 0);
    int n = wc_RsaSSL_Verify(signature, (word32)bytes, seen, sizeof(seen), &rsa);
    word32 want = wc_EncodeSignature(info, hash, DIGEST_SHA256_BYTES, SHA256h);
    wc_FreeRsaKey(&rsa);
    return n == (int)want && memcmp(seen, info, want) == 0;
}

static struct dkim_key *key_of(const char *text)
{
    struct buf why;
    buf_init(&why, 1000);
    struct dkim_key *k = dkim_key_read(slice_str(text), &why);
    ck_assert_ptr_nonnull(k);
    buf_deinit(&why);
    return k;
}

START_TEST(signs)
{
    static const char *const texts[] = {RSA1024, RSA2048_PKCS8, ED25519_PKCS8};
    static const size_t sizes[] = {128, 256, 64};
    struct dkim_key *k = key_of(texts[_i]);
    struct dkim_signing *ctx = dkim_signing_open();
    uint8_t hash[DIGEST_SHA256_BYTES] = {7}, signature[DKIM_SIGNATURE_BYTES];
    size_t n = 0;
    ck_assert(dkim_key_sign(k, ctx, hash, signature, &n));
    ck_assert_uint_eq(n, sizes[_i]);
    ck_assert(verify(k, hash, signature, n));
    hash[5] ^= 1;
    ck_assert(!verify(k, hash, signature, n));
    dkim_signing_close(&ctx);
    ck_assert_ptr_null(ctx);
    dkim_key_free(&k);
}
END_TEST

enum { THREADS = 4, ROUNDS = 20 };

struct signer_thread {
    const struct dkim_key *keys[2];
    pthread_t thread;
    uint8_t seed;
    unsigned good;
};

static void *sign_many(void *arg)
{
    struct signer_thread *t = arg;
    struct dkim_signing *ctx = dkim_signing_open();
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint8_t hash[DIGEST_SHA256_BYTES] = {t->seed, (uint8_t)i};
        uint8_t signature[DKIM_SIGNATURE_BYTES];
        size_t n = 0;
        t->good += dkim_key_sign(t->keys[i % 2], ctx, hash, signature, &n) &&
                   verify(t->keys[i % 2], hash, signature, n);
    }
    dkim_signing_close(&ctx);
    return NULL;
}

START_TEST(threads_share_keys)
{
    struct dkim_key *rsa = key_of(RSA2048_PKCS1), *ed = key_of(ED25519_PKCS8);
    struct signer_thread threads[THREADS];
    for (uint8_t i = 0; i < THREADS; i++) {
        threads[i] = (struct signer_thread){.keys = {rsa, ed}, .seed = i};
        ck_assert_int_eq(pthread_create(&threads[i].thread, NULL, sign_many, &threads[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i].thread, NULL);
        ck_assert_uint_eq(threads[i].good, ROUNDS);
    }
    dkim_key_free(&rsa);
    dkim_key_free(&ed);
}
END_TEST

/* ---- RFC 8463 appendix A ---- */

static const char *const rfc_fields[] = {
    "From: Joe SixPack <joe@football.example.com>\r\n",
    "To: Suzie Q <suzie@shopping.example.net>\r\n",
    "Subject: Is dinner ready?\r\n",
    "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n",
    "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n",
    "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
    " d=football.example.com; i=@football.example.com;\r\n"
    " q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"
    " subject : date : message-id : from : subject : date;\r\n"
    " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
    " b=",
};

struct hashing {
    struct digest_state state;
};

static void hash_add(void *ctx, struct slice text)
{
    dkim_hash_sha256()->add(&((struct hashing *)ctx)->state, text);
}

static void expect_base64(const uint8_t *bytes, size_t n, const char *want)
{
    struct buf text;
    buf_init(&text, 1000);
    base64_add(&text, slice_of(bytes, n));
    ck_assert_msg(slice_eq(buf_slice(&text), slice_str(want)), "%.*s", SLICE_ARG(buf_slice(&text)));
    buf_deinit(&text);
}

START_TEST(rfc8463)
{
    struct hashing h;
    struct dkim_sink sink = {hash_add, &h};
    struct dkim_canon_body body;
    uint8_t hash[DIGEST_SHA256_BYTES], signature[DKIM_SIGNATURE_BYTES];
    size_t n = 0;
    dkim_hash_sha256()->init(&h.state);
    dkim_canon_body_init(&body, DKIM_CANON_RELAXED, &sink);
    dkim_canon_body_add(&body, SLICE("Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\n"
                                     "Joe.\r\n\r\n"));
    dkim_canon_body_done(&body);
    dkim_hash_sha256()->done(&h.state, hash);
    expect_base64(hash, sizeof(hash), "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=");

    dkim_hash_sha256()->init(&h.state);
    for (size_t i = 0; i < ARRAY_COUNT(rfc_fields); i++) {
        dkim_canon_field(DKIM_CANON_RELAXED, slice_str(rfc_fields[i]), &sink);
    }
    dkim_hash_sha256()->done(&h.state, hash);
    struct dkim_key *k = key_of(ED25519_RFC8463);
    struct dkim_signing *ctx = dkim_signing_open();
    ck_assert(dkim_key_sign(k, ctx, hash, signature, &n));
    expect_base64(signature, n,
                  "/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus"
                  "Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==");
    dkim_signing_close(&ctx);
    dkim_key_free(&k);
}
END_TEST

/* FIPS 180-2: the million letters a, in odd pieces; a copied state goes its own way. */
START_TEST(sha256)
{
    static char text[1000];
    struct digest_state s, copy;
    uint8_t hash[DIGEST_SHA256_BYTES];
    const struct digest_ops *ops = dkim_hash_sha256();
    memset(text, 'a', sizeof(text));
    ops->init(&s);
    for (size_t i = 0; i < 1000; i++) {
        ops->add(&s, slice_of(text, 333));
        ops->add(&s, slice_of(text, 667));
        if (i == 500) {
            copy = s;
            ops->add(&copy, SLICE("other"));
            ops->done(&copy, hash);
        }
    }
    ops->done(&s, hash);
    expect_base64(hash, sizeof(hash), "zcduXJkU+5KBocfihNc+Z/GAmkiklyAOBG05zMcRLNA=");
}
END_TEST

/* ---- making ---- */

START_TEST(makes)
{
    static const enum dkim_key_type types[] = {DKIM_KEY_RSA, DKIM_KEY_ED25519};
    struct buf pem, again, why;
    buf_init(&pem, DKIM_KEY_TEXT_BYTES);
    buf_init(&again, DKIM_KEY_TEXT_BYTES);
    buf_init(&why, 1000);
    ck_assert(dkim_key_make(types[_i], 2048, &pem, &why));
    ck_assert(dkim_key_make(types[_i], 2048, &again, &why));
    ck_assert(!slice_eq(buf_slice(&pem), buf_slice(&again)));
    ck_assert(slice_starts_nocase(buf_slice(&pem), SLICE("-----BEGIN PRIVATE KEY-----\n")));
    ck_assert(slice_ends_nocase(buf_slice(&pem), SLICE("-----END PRIVATE KEY-----\n")));
    struct dkim_key *k = dkim_key_read(buf_slice(&pem), &why);
    ck_assert_ptr_nonnull(k);
    ck_assert_int_eq((int)dkim_key_type(k), (int)types[_i]);
    ck_assert_uint_eq(dkim_key_bits(k), types[_i] == DKIM_KEY_RSA ? 2048 : 256);
    dkim_key_free(&k);
    buf_deinit(&pem);
    buf_deinit(&again);
    buf_deinit(&why);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls/dkim_key");
    TCase *t = tcase_create("key");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, reads, 0, (int)ARRAY_COUNT(good));
    tcase_add_test(t, reads_reflowed);
    tcase_add_loop_test(t, refuses, 0, (int)ARRAY_COUNT(bad));
    tcase_add_test(t, refuses_long_text);
    tcase_add_test(t, damaged_key);
    tcase_add_test(t, reads_a_file);
    tcase_add_loop_test(t, signs, 0, 3);
    tcase_add_test(t, threads_share_keys);
    tcase_add_test(t, rfc8463);
    tcase_add_test(t, sha256);
    tcase_add_loop_test(t, makes, 0, 2);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
