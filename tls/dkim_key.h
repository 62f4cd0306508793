/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * dkim_key - private keys that sign, and making them
 *
 * Purpose:   RSA (1024 to 4096 bits; below 2048 weak) and Ed25519: reading, signing a hash, the public
 *            half for DNS, new keys.
 * Owner:     dkim_key_read … dkim_key_free (wipes). A context is one thread's: dkim_signing_open …
 *            dkim_signing_close.
 * Thread:    a key is immutable: any number of threads sign with it at once, each with a context of
 *            its own (random numbers for blinding, room for the unpacked key).
 * Limits:    DKIM_KEY_TEXT_BYTES of text, DKIM_SIGNATURE_BYTES per signature.
 * Errors:    NULL or false, and a reason without LF in why; never any part of the key.
 * RFC:       6376 3.3, 8301 3.2 (1024 at least, 2048 or more), 8463 (Ed25519 over the SHA-256 hash).
 */
#ifndef RINGPOST_TLS_DKIM_KEY_H
#define RINGPOST_TLS_DKIM_KEY_H

#include "core/base/buf.h"
#include "core/base/digest.h"

enum dkim_key_type { DKIM_KEY_RSA, DKIM_KEY_ED25519 };

enum {
    DKIM_KEY_TEXT_BYTES = 16 * 1024,
    DKIM_SIGNATURE_BYTES = 512,
    DKIM_RSA_BITS_MIN = 1024,
    DKIM_RSA_BITS_GOOD = 2048,
    DKIM_RSA_BITS_MAX = 4096,
};

struct dkim_key;
struct dkim_signing;

/* PEM (PKCS#1 "RSA PRIVATE KEY", PKCS#8 "PRIVATE KEY"; text before it is skipped), or bare base64 of
 * such a key's DER (OpenDKIM's inline keys) or of 32 bytes of an Ed25519 seed (dkimpy's). A trial
 * signature is made and verified: what was read works. */
struct dkim_key *dkim_key_read(struct slice text, struct buf *why);
struct dkim_key *dkim_key_read_file(const char *path, struct buf *why);
void dkim_key_free(struct dkim_key **key);

enum dkim_key_type dkim_key_type(const struct dkim_key *key);
unsigned dkim_key_bits(const struct dkim_key *key); /* Ed25519: 256 */
/* RFC 8301: works, should be replaced. */
bool dkim_key_is_weak(const struct dkim_key *key);
/* The base64 text behind p= in DNS: RSA's SubjectPublicKeyInfo, Ed25519's 32 bytes. Lives as the key. */
struct slice dkim_key_public(const struct dkim_key *key);

/* NULL: no memory or no entropy. */
struct dkim_signing *dkim_signing_open(void);
void dkim_signing_close(struct dkim_signing **s);

/* Signs a SHA-256 hash; *bytes: how many of signature are set. An RSA signature is verified before it
 * is given away: a fault in the calculation would betray the key. False: nothing was signed. */
bool dkim_key_sign(const struct dkim_key *key, struct dkim_signing *s,
                   const uint8_t hash[DIGEST_SHA256_BYTES], uint8_t signature[DKIM_SIGNATURE_BYTES],
                   size_t *bytes);

/* A new private key as PKCS#8 PEM. bits only for RSA: 2048, 3072 or 4096. */
bool dkim_key_make(enum dkim_key_type type, unsigned bits, struct buf *pem, struct buf *why);

#endif
