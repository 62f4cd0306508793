/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * wolfCrypt's RsaKey is a work area: signing changes it and its blinding needs a generator. A key is
 * therefore kept as DER, immutable, and unpacked for every signature into the thread's context: 1.2 µs
 * of 500 for 2048 bits. No table of unpacked keys per thread, nothing to invalidate on reload.
 */
#include "tls/dkim_key.h"

#include "core/base/base64.h"
#include "core/base/must.h"
#include "core/conf/file.h"
#include "tls/dkim_pem.h"

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/ed25519.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/rsa.h>

#include <stdlib.h>

enum {
    PUBLIC_DER_BYTES = 1024,
    DIGEST_INFO_BYTES = DIGEST_SHA256_BYTES + 32,
};

struct dkim_key {
    enum dkim_key_type type;
    unsigned bits;
    struct buf public_text;
    uint8_t seed[ED25519_KEY_SIZE];
    uint8_t seed_public[ED25519_PUB_KEY_SIZE];
    size_t der_len; /* RSA */
    uint8_t der[DKIM_DER_BYTES];
};

struct dkim_signing {
    WC_RNG rng;
    RsaKey rsa;
    ed25519_key ed25519;
};

static bool fail(struct buf *why, const char *what)
{
    buf_addf(why, "%s", what);
    return false;
}

/* ---- RSA ---- */

/* Into *rsa, to be ended with wc_FreeRsaKey in any case. */
static bool rsa_unpack(const uint8_t *der, size_t len, RsaKey *rsa)
{
    word32 at = 0;
    return wc_InitRsaKey(rsa, NULL) == 0 && wc_RsaPrivateKeyDecode(der, &at, rsa, (word32)len) == 0;
}

static bool rsa_facts(struct dkim_key *k, RsaKey *rsa, struct buf *why)
{
    uint8_t der[PUBLIC_DER_BYTES];
    k->bits = (unsigned)mp_count_bits(&rsa->n);
    if (k->bits < DKIM_RSA_BITS_MIN) {
        buf_addf(why, "it has %u bits, at least %d are needed (RFC 8301)", k->bits,
                 DKIM_RSA_BITS_MIN);
        return false;
    }
    if (k->bits > DKIM_RSA_BITS_MAX) {
        buf_addf(why, "it has %u bits, at most %d work everywhere", k->bits, DKIM_RSA_BITS_MAX);
        return false;
    }
    int n = wc_RsaKeyToPublicDer(rsa, der, sizeof(der));
    if (n <= 0) {
        return fail(why, "its public half cannot be written");
    }
    base64_add(&k->public_text, slice_of(der, (size_t)n));
    return true;
}

static bool rsa_read(struct dkim_key *k, const struct dkim_der *der, struct buf *why)
{
    RsaKey rsa;
    bool ok = rsa_unpack(der->bytes, der->len, &rsa)
                  ? rsa_facts(k, &rsa, why)
                  : fail(why, "it is no RSA key (up to 4096 bits) or Ed25519 key");
    wc_FreeRsaKey(&rsa);
    k->type = DKIM_KEY_RSA;
    k->der_len = der->len;
    memcpy(k->der, der->bytes, der->len);
    return ok;
}

static bool rsa_sign(const struct dkim_key *k, struct dkim_signing *s, const uint8_t *hash,
                     uint8_t *signature, size_t *bytes)
{
    uint8_t info[DIGEST_INFO_BYTES];
    uint8_t seen[DKIM_SIGNATURE_BYTES];
    bool ok = false;
    word32 info_len = wc_EncodeSignature(info, hash, DIGEST_SHA256_BYTES, SHA256h);
    must(info_len > DIGEST_SHA256_BYTES && info_len <= sizeof(info));
    if (!rsa_unpack(k->der, k->der_len, &s->rsa) || wc_RsaSetRNG(&s->rsa, &s->rng) != 0) {
        goto out;
    }
    int n = wc_RsaSSL_Sign(info, info_len, signature, DKIM_SIGNATURE_BYTES, &s->rsa, &s->rng);
    if (n <= 0) {
        goto out;
    }
    int back = wc_RsaSSL_Verify(signature, (word32)n, seen, sizeof(seen), &s->rsa);
    ok = back == (int)info_len && memcmp(seen, info, info_len) == 0;
    *bytes = ok ? (size_t)n : *bytes;
out:
    wc_FreeRsaKey(&s->rsa);
    return ok;
}

/* ---- Ed25519 ---- */

static bool ed25519_facts(struct dkim_key *k, ed25519_key *ed)
{
    word32 seed_len = sizeof(k->seed);
    k->type = DKIM_KEY_ED25519;
    k->bits = 8 * ED25519_KEY_SIZE;
    /* Always from the private half: what a file says it is could be another point, and two signatures
     * of one hash with different public halves betray the key. */
    if (wc_ed25519_export_private_only(ed, k->seed, &seed_len) != 0 ||
        wc_ed25519_make_public(ed, k->seed_public, sizeof(k->seed_public)) != 0) {
        return false;
    }
    base64_add(&k->public_text, slice_of(k->seed_public, sizeof(k->seed_public)));
    return true;
}

/* False: it is something else. */
static bool ed25519_read(struct dkim_key *k, const struct dkim_der *der)
{
    ed25519_key ed;
    word32 at = 0;
    bool ok = wc_ed25519_init(&ed) == 0;
    if (ok && der->len == ED25519_KEY_SIZE) {
        ok = wc_ed25519_import_private_only(der->bytes, ED25519_KEY_SIZE, &ed) == 0;
    } else if (ok) {
        ok = wc_Ed25519PrivateKeyDecode(der->bytes, &at, &ed, (word32)der->len) == 0;
    }
    ok = ok && ed25519_facts(k, &ed);
    wc_ed25519_free(&ed);
    return ok;
}

static bool ed25519_sign(const struct dkim_key *k, struct dkim_signing *s, const uint8_t *hash,
                         uint8_t *signature, size_t *bytes)
{
    word32 len = ED25519_SIG_SIZE;
    bool ok = wc_ed25519_init(&s->ed25519) == 0 &&
              wc_ed25519_import_private_key_ex(k->seed, sizeof(k->seed), k->seed_public,
                                               sizeof(k->seed_public), &s->ed25519, 1) == 0 &&
              wc_ed25519_sign_msg(hash, DIGEST_SHA256_BYTES, signature, &len, &s->ed25519) == 0;
    wc_ed25519_free(&s->ed25519);
    *bytes = ok ? len : *bytes;
    return ok;
}

/* ---- signing ---- */

struct dkim_signing *dkim_signing_open(void)
{
    struct dkim_signing *s = calloc(1, sizeof(*s));
    if (s && wc_InitRng(&s->rng) != 0) {
        free(s);
        s = NULL;
    }
    return s;
}

void dkim_signing_close(struct dkim_signing **signing)
{
    struct dkim_signing *s = *signing;
    *signing = NULL;
    if (s) {
        wc_FreeRng(&s->rng);
        explicit_bzero(s, sizeof(*s));
        free(s);
    }
}

bool dkim_key_sign(const struct dkim_key *key, struct dkim_signing *s,
                   const uint8_t hash[DIGEST_SHA256_BYTES], uint8_t signature[DKIM_SIGNATURE_BYTES],
                   size_t *bytes)
{
    must(key != NULL && s != NULL);
    switch (key->type) {
    case DKIM_KEY_RSA:
        return rsa_sign(key, s, hash, signature, bytes);
    case DKIM_KEY_ED25519:
        return ed25519_sign(key, s, hash, signature, bytes);
    }
    return false;
}

/* ---- reading ---- */

static bool key_works(const struct dkim_key *k)
{
    static const uint8_t hash[DIGEST_SHA256_BYTES] = "a trial signature";
    uint8_t signature[DKIM_SIGNATURE_BYTES];
    size_t n = 0;
    struct dkim_signing *s = dkim_signing_open();
    bool ok = s && dkim_key_sign(k, s, hash, signature, &n) && n > 0;
    dkim_signing_close(&s);
    return ok;
}

struct dkim_key *dkim_key_read(struct slice text, struct buf *why)
{
    struct dkim_der der = {0};
    struct dkim_key *k = calloc(1, sizeof(*k));
    bool ok = false;
    if (!k) {
        fail(why, "out of memory");
        return NULL;
    }
    buf_init(&k->public_text, 2 * BASE64_TEXT_BYTES(PUBLIC_DER_BYTES));
    if (text.len > DKIM_KEY_TEXT_BYTES) {
        fail(why, "it is too long for a key");
    } else if (dkim_pem_read(text, &der, why)) {
        ok = ed25519_read(k, &der) || rsa_read(k, &der, why);
    }
    if (ok && (k->public_text.overflow || !key_works(k))) {
        ok = fail(why, "a trial signature failed: the key is damaged");
    }
    explicit_bzero(&der, sizeof(der));
    if (!ok) {
        dkim_key_free(&k);
    }
    return k;
}

struct dkim_key *dkim_key_read_file(const char *path, struct buf *why)
{
    struct dkim_key *k = NULL;
    struct buf text;
    buf_init(&text, 2 * DKIM_KEY_TEXT_BYTES);
    /* Room at once: text that grows leaves copies behind. */
    if (buf_reserve(&text, 2 * DKIM_KEY_TEXT_BYTES) &&
        conf_file_read(path, DKIM_KEY_TEXT_BYTES, &text, why)) {
        k = dkim_key_read(buf_slice(&text), why);
    }
    if (text.ptr) {
        explicit_bzero(text.ptr, text.cap);
    }
    buf_deinit(&text);
    return k;
}

void dkim_key_free(struct dkim_key **key)
{
    struct dkim_key *k = *key;
    *key = NULL;
    if (k) {
        buf_deinit(&k->public_text);
        explicit_bzero(k, sizeof(*k));
        free(k);
    }
}

enum dkim_key_type dkim_key_type(const struct dkim_key *key)
{
    return key->type;
}

unsigned dkim_key_bits(const struct dkim_key *key)
{
    return key->bits;
}

bool dkim_key_is_weak(const struct dkim_key *key)
{
    return key->type == DKIM_KEY_RSA && key->bits < DKIM_RSA_BITS_GOOD;
}

struct slice dkim_key_public(const struct dkim_key *key)
{
    return buf_slice(&key->public_text);
}
