/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * certificate - a certificate chain with its private key
 *
 * Purpose:   loads and checks a pair, for a listener or to show to a server; makes a self-signed one.
 * Owner:     the caller: load/parse/make, then free. Contexts copy what they need.
 * Thread:    any (immutable). load and save block on the file system: not for a loop's thread.
 * Limits:    1 MiB per file, 10 certificates per chain.
 * Errors:    NULL with one line in *problem: "FILE: what: remedy". A pair that is half written (text
 *            that ends inside a block, a key of another certificate) is an error, so that a reload
 *            keeps the old one. What is only unwise (expired, not yet valid, wrong order, key readable
 *            by others) is loaded and named by tls_certificate_warning.
 * Durability: save writes each file beside its place, syncs and renames it; the key's has mode 0600
 *            from its first byte.
 */
#ifndef RINGPOST_TLS_CERTIFICATE_H
#define RINGPOST_TLS_CERTIFICATE_H

#include "core/base/buf.h"
#include "tls/hello.h"

enum {
    TLS_CHAIN_MAX = 10,
    TLS_FINGERPRINT_BYTES = 32,
    TLS_CERTIFICATE_FILE_BYTES_MAX = 1024 * 1024,
};

struct tls_certificate;

/* A pair in memory. The names are for messages only. One text may hold both. */
struct tls_certificate_text {
    struct slice chain_name, chain;
    struct slice key_name, key;
};

struct tls_certificate *tls_certificate_parse(const struct tls_certificate_text *text,
                                              uint64_t wall_us, struct buf *problem);
struct tls_certificate *tls_certificate_load(const char *chain_path, const char *key_path,
                                             uint64_t wall_us, struct buf *problem);
/* Wipes the key. Nulls the caller's pointer. */
void tls_certificate_free(struct tls_certificate **c);

enum tls_key tls_certificate_key(const struct tls_certificate *c);
size_t tls_certificate_count(const struct tls_certificate *c);
/* DER; the n-th of the chain. */
struct slice tls_certificate_der(const struct tls_certificate *c, size_t n);
/* DER (RSAPrivateKey, ECPrivateKey or PKCS#8). */
struct slice tls_certificate_key_der(const struct tls_certificate *c);
/* SHA-256 of the first certificate. */
const uint8_t *tls_certificate_fingerprint(const struct tls_certificate *c);
/* Seconds since 1970. */
int64_t tls_certificate_not_after(const struct tls_certificate *c);
/* The n-th DNS name of the subjectAltName (without any: the common name), or an empty slice. */
struct slice tls_certificate_name(const struct tls_certificate *c, size_t n);
/* "FILE: what: remedy", or empty. */
struct slice tls_certificate_warning(const struct tls_certificate *c);

struct tls_self_signed {
    struct slice host; /* goes into the SAN beside localhost, 127.0.0.1 and ::1 */
    unsigned rsa_bits; /* 0: ECDSA P-256 */
    unsigned days;     /* 0: 397 */
    uint64_t wall_us;  /* valid from a day before */
};

/* chain, key: PEM, appended. key is secret: release it with secret_buf_release. */
bool tls_certificate_make(const struct tls_self_signed *how, struct buf *chain, struct buf *key);
bool tls_certificate_save(const char *chain_path, struct slice chain, const char *key_path,
                          struct slice key, struct buf *problem);

#endif
