/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tls/forge.h"

#include "core/base/must.h"
#include "core/base/secret.h"
#include "tls/der.h"

#include <stdlib.h>
#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/rsa.h>
#include <wolfssl/wolfcrypt/signature.h>

enum {
    KEY_DER_MAX = 4096,
    SIGNATURE_MAX = 1024,
    CERTIFICATE_MAX = 16 * 1024,
    RSA_EXPONENT = 65537,
    P256_BYTES = 32,
    SERIAL_BYTES = 8,
};

/* Object identifiers, DER contents. */
#define OID_COMMON_NAME SLICE("\x55\x04\x03")
#define OID_SUBJECT_ALT_NAME SLICE("\x55\x1d\x11")
#define OID_BASIC_CONSTRAINTS SLICE("\x55\x1d\x13")
#define OID_KEY_USAGE SLICE("\x55\x1d\x0f")
#define OID_EXT_KEY_USAGE SLICE("\x55\x1d\x25")
#define OID_NAME_CONSTRAINTS SLICE("\x55\x1d\x1e")
#define OID_NOBODY_KNOWS SLICE("\x2b\x06\x01\x04\x01\x83\xd1\x6f\x01")
#define OID_SERVER_AUTH SLICE("\x2b\x06\x01\x05\x05\x07\x03\x01")
#define OID_CLIENT_AUTH SLICE("\x2b\x06\x01\x05\x05\x07\x03\x02")
#define OID_CODE_SIGNING SLICE("\x2b\x06\x01\x05\x05\x07\x03\x03")
#define OID_RSA_SHA256 SLICE("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b")
#define OID_RSA_SHA1 SLICE("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05")
#define OID_ECDSA_SHA256 SLICE("\x2a\x86\x48\xce\x3d\x04\x03\x02")
#define OID_ECDSA_SHA1 SLICE("\x2a\x86\x48\xce\x3d\x04\x01")

struct forge_key {
    bool is_rsa;
    RsaKey rsa;
    ecc_key ecc;
    WC_RNG rng;
};

/* ---- keys --------------------------------------------------------------------------------------- */

static bool generate(struct forge_key *k, unsigned rsa_bits)
{
    if (k->is_rsa) {
        return wc_MakeRsaKey(&k->rsa, (int)rsa_bits, RSA_EXPONENT, &k->rng) == 0 &&
               wc_RsaSetRNG(&k->rsa, &k->rng) == 0;
    }
    return wc_ecc_make_key_ex(&k->rng, P256_BYTES, &k->ecc, ECC_SECP256R1) == 0;
}

struct forge_key *forge_key_make(unsigned rsa_bits)
{
    struct forge_key *k = aligned_alloc(64, (sizeof(*k) + 63) / 64 * 64);
    if (!k) {
        return NULL;
    }
    memset(k, 0, sizeof(*k));
    k->is_rsa = rsa_bits > 0;
    if (wc_InitRng(&k->rng) != 0) {
        free(k);
        return NULL;
    }
    must(wc_InitRsaKey(&k->rsa, NULL) == 0 && wc_ecc_init(&k->ecc) == 0);
    if (!generate(k, rsa_bits)) {
        forge_key_free(&k);
    }
    return k;
}

void forge_key_free(struct forge_key **k)
{
    struct forge_key *old = *k;
    *k = NULL;
    if (old) {
        wc_FreeRsaKey(&old->rsa);
        wc_ecc_free(&old->ecc);
        wc_FreeRng(&old->rng);
        secret_wipe(old, sizeof(*old));
        free(old);
    }
}

bool forge_key_der(struct forge_key *k, struct buf *out)
{
    uint8_t plain[KEY_DER_MAX], wrapped[KEY_DER_MAX];
    word32 len = sizeof(wrapped);
    int n;
    bool ok;
    if (k->is_rsa) {
        n = wc_RsaKeyToDer(&k->rsa, plain, sizeof(plain));
        ok = n > 0 && wc_CreatePKCS8Key(wrapped, &len, plain, (word32)n, RSAk, NULL, 0) > 0;
    } else {
        ok = wc_EccKeyToPKCS8(&k->ecc, wrapped, &len) > 0;
    }
    if (ok) {
        secret_buf_add(out, slice_of(wrapped, len));
    }
    secret_wipe(plain, sizeof(plain));
    secret_wipe(wrapped, sizeof(wrapped));
    return ok && !out->overflow;
}

/* SubjectPublicKeyInfo. */
static bool add_public_key(struct forge_key *k, struct buf *out)
{
    uint8_t der[KEY_DER_MAX];
    int n = k->is_rsa ? wc_RsaKeyToPublicDer(&k->rsa, der, sizeof(der))
                      : wc_EccPublicKeyToDer(&k->ecc, der, sizeof(der), 1);
    if (n <= 0) {
        return false;
    }
    buf_add(out, slice_of(der, (size_t)n));
    return true;
}

/* ---- the parts of a certificate ------------------------------------------------------------------ */

static void add_name(struct buf *out, struct slice common_name)
{
    size_t name = out->len;
    der_add(out, DER_OID, OID_COMMON_NAME);
    der_add(out, DER_UTF8_STRING, common_name);
    der_wrap(out, name, DER_SEQUENCE);
    der_wrap(out, name, DER_SET);
    der_wrap(out, name, DER_SEQUENCE);
}

static void add_algorithm(struct buf *out, const struct forge_key *issuer, bool sha1)
{
    size_t at = out->len;
    if (issuer->is_rsa) {
        der_add(out, DER_OID, sha1 ? OID_RSA_SHA1 : OID_RSA_SHA256);
        der_add(out, DER_NULL, SLICE(""));
    } else {
        der_add(out, DER_OID, sha1 ? OID_ECDSA_SHA1 : OID_ECDSA_SHA256);
    }
    der_wrap(out, at, DER_SEQUENCE);
}

/* Wraps what stands from `from` on as the value of an extension. */
static void end_extension(struct buf *out, size_t from, struct slice oid, bool critical)
{
    char head[32];
    struct buf h;
    der_wrap(out, from, DER_OCTET_STRING);
    buf_init(&h, sizeof(head));
    der_add(&h, DER_OID, oid);
    if (critical) {
        der_add(&h, DER_BOOLEAN, SLICE("\xff"));
    }
    if (buf_reserve(out, h.len)) {
        memmove(out->ptr + from + h.len, out->ptr + from, out->len - from);
        memcpy(out->ptr + from, h.ptr, h.len);
        out->len += h.len;
    }
    buf_deinit(&h);
    der_wrap(out, from, DER_SEQUENCE);
}

static void add_names(struct buf *out, const struct forge_certificate *c)
{
    size_t at = out->len;
    if (c->dns_count + c->address_count == 0) {
        return;
    }
    for (size_t i = 0; i < c->dns_count; i++) {
        der_add(out, DER_CONTEXT | 2, c->dns[i]);
    }
    for (size_t i = 0; i < c->address_count; i++) {
        der_add(out, DER_CONTEXT | 7, c->addresses[i]);
    }
    der_wrap(out, at, DER_SEQUENCE);
    end_extension(out, at, OID_SUBJECT_ALT_NAME, false);
}

static void add_basic_constraints(struct buf *out, const struct forge_certificate *c)
{
    size_t at = out->len;
    if (c->ca) {
        char length = (char)c->path_length;
        der_add(out, DER_BOOLEAN, SLICE("\xff"));
        if (c->path_length != FORGE_NO_PATH_LENGTH) {
            der_add(out, DER_INTEGER, slice_of(&length, 1));
        }
    }
    der_wrap(out, at, DER_SEQUENCE);
    end_extension(out, at, OID_BASIC_CONSTRAINTS, true);
}

static void add_usage(struct buf *out, unsigned usage)
{
    size_t at = out->len;
    /* A bit string: no unused bits, then digitalSignature (0), keyEncipherment (2), keyCertSign (5)
     * counted from the top. */
    char bits[2] = {0, 0};
    if (usage == 0) {
        return;
    }
    bits[1] = (char)((usage & FORGE_SIGN ? 0x80 : 0) | (usage & FORGE_ENCIPHER ? 0x20 : 0) |
                     (usage & FORGE_SIGN_CERTIFICATES ? 0x04 : 0));
    bits[0] = (char)(__builtin_ctz((unsigned)(uint8_t)bits[1]));
    der_add(out, DER_BIT_STRING, slice_of(bits, sizeof(bits)));
    end_extension(out, at, OID_KEY_USAGE, true);
}

static void add_purpose(struct buf *out, unsigned purpose)
{
    size_t at = out->len;
    if (purpose == 0) {
        return;
    }
    if (purpose & FORGE_SERVER) {
        der_add(out, DER_OID, OID_SERVER_AUTH);
    }
    if (purpose & FORGE_CLIENT) {
        der_add(out, DER_OID, OID_CLIENT_AUTH);
    }
    if (purpose & FORGE_CODE) {
        der_add(out, DER_OID, OID_CODE_SIGNING);
    }
    der_wrap(out, at, DER_SEQUENCE);
    end_extension(out, at, OID_EXT_KEY_USAGE, false);
}

static void add_constraint(struct buf *out, struct slice permitted)
{
    size_t at = out->len;
    if (permitted.len == 0) {
        return;
    }
    der_add(out, DER_CONTEXT | 2, permitted);
    der_wrap(out, at, DER_SEQUENCE);                /* GeneralSubtree */
    der_wrap(out, at, DER_CONTEXT_CONSTRUCTED | 0); /* permittedSubtrees */
    der_wrap(out, at, DER_SEQUENCE);
    end_extension(out, at, OID_NAME_CONSTRAINTS, true);
}

static void add_extensions(struct buf *out, const struct forge_certificate *c)
{
    size_t at = out->len;
    add_basic_constraints(out, c);
    add_usage(out, c->usage);
    add_purpose(out, c->purpose);
    add_names(out, c);
    add_constraint(out, c->permitted);
    if (c->unknown_critical) {
        size_t value = out->len;
        der_add(out, DER_NULL, SLICE(""));
        end_extension(out, value, OID_NOBODY_KNOWS, true);
    }
    der_wrap(out, at, DER_SEQUENCE);
    der_wrap(out, at, DER_CONTEXT_CONSTRUCTED | 3);
}

/* ---- the whole ------------------------------------------------------------------------------------ */

static bool add_to_be_signed(const struct forge_certificate *c, struct forge_key *subject_key,
                             const struct forge_key *issuer_key, struct buf *out)
{
    uint8_t serial[SERIAL_BYTES];
    for (size_t i = 0; i < SERIAL_BYTES; i++) {
        serial[i] = (uint8_t)(c->serial >> (8 * (SERIAL_BYTES - 1 - i)));
    }
    /* Positive and in the shortest form, whatever the number was. */
    serial[0] = (uint8_t)((serial[0] & 0x7F) | 0x40);
    size_t at = out->len;
    der_add(out, DER_INTEGER, SLICE("\x02")); /* version 3 */
    der_wrap(out, at, DER_CONTEXT_CONSTRUCTED | 0);
    der_add(out, DER_INTEGER, slice_of(serial, sizeof(serial)));
    add_algorithm(out, issuer_key, c->sha1);
    add_name(out, c->issuer);
    size_t dates = out->len;
    der_add_time(out, c->not_before);
    der_add_time(out, c->not_after);
    der_wrap(out, dates, DER_SEQUENCE);
    add_name(out, c->subject);
    if (!add_public_key(subject_key, out)) {
        return false;
    }
    add_extensions(out, c);
    der_wrap(out, at, DER_SEQUENCE);
    return !out->overflow;
}

static bool sign(struct forge_key *k, bool sha1, struct slice data, struct buf *out)
{
    uint8_t bits[1 + SIGNATURE_MAX] = {0}; /* no unused bits */
    word32 len = SIGNATURE_MAX;
    int rc = wc_SignatureGenerate(sha1 ? WC_HASH_TYPE_SHA : WC_HASH_TYPE_SHA256,
                                  k->is_rsa ? WC_SIGNATURE_TYPE_RSA_W_ENC : WC_SIGNATURE_TYPE_ECC,
                                  (const byte *)data.ptr, (word32)data.len, bits + 1, &len,
                                  k->is_rsa ? (const void *)&k->rsa : (const void *)&k->ecc,
                                  k->is_rsa ? sizeof(k->rsa) : sizeof(k->ecc), &k->rng);
    if (rc != 0) {
        return false;
    }
    der_add(out, DER_BIT_STRING, slice_of(bits, 1 + len));
    return true;
}

bool forge_certificate(const struct forge_certificate *c, struct forge_key *subject_key,
                       struct forge_key *issuer_key, struct buf *out)
{
    struct buf tbs;
    must(c->subject.len > 0 && c->issuer.len > 0);
    buf_init(&tbs, CERTIFICATE_MAX);
    size_t at = out->len;
    bool ok = add_to_be_signed(c, subject_key, issuer_key, &tbs);
    if (ok) {
        buf_add(out, buf_slice(&tbs));
        add_algorithm(out, issuer_key, c->sha1);
        ok = sign(issuer_key, c->sha1, buf_slice(&tbs), out);
        der_wrap(out, at, DER_SEQUENCE);
    }
    buf_deinit(&tbs);
    return ok && !out->overflow;
}
