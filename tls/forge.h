/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * forge - makes keys and certificates
 *
 * Purpose:   the self-signed certificate of `tls.on_missing: self_signed`, and the certificates, good
 *            and bad, that the tests judge. Inside tls/ and its tests only. (wolfCrypt's own maker has
 *            no subjectAltName in this build.)
 * Owner:     forge_key: make, then free. Buffers are the caller's; a key's is secret.
 * Thread:    any; an RSA key takes some 100 ms.
 * Errors:    false: no memory, no randomness, or the library refuses.
 * RFC:       5280 4.1, 5480 (ECDSA), 3279 (RSA)
 */
#ifndef RINGPOST_TLS_FORGE_H
#define RINGPOST_TLS_FORGE_H

#include "core/base/buf.h"

struct forge_key;

/* rsa_bits 0: ECDSA P-256. */
struct forge_key *forge_key_make(unsigned rsa_bits);
void forge_key_free(struct forge_key **k);
/* PKCS#8, DER. */
bool forge_key_der(struct forge_key *k, struct buf *out);

enum { FORGE_NO_PATH_LENGTH = -1 };

enum forge_usage { /* of keyUsage, as bits */
                   FORGE_SIGN = 1,
                   FORGE_ENCIPHER = 2,
                   FORGE_SIGN_CERTIFICATES = 4,
};

enum forge_purpose { /* of extendedKeyUsage, as bits */
                     FORGE_SERVER = 1,
                     FORGE_CLIENT = 2,
                     FORGE_CODE = 4,
};

struct forge_certificate {
    struct slice subject, issuer; /* common names */
    const struct slice *dns;      /* subjectAltName */
    size_t dns_count;
    const struct slice *addresses; /* 4 or 16 bytes each */
    size_t address_count;
    int64_t not_before, not_after; /* seconds since 1970 */
    bool ca;
    int path_length;        /* with ca */
    unsigned usage;         /* 0: no such extension */
    unsigned purpose;       /* 0: no such extension */
    struct slice permitted; /* name constraint (DNS); empty: none */
    bool sha1;              /* instead of SHA-256 */
    bool unknown_critical;  /* an extension that nobody knows */
    uint64_t serial;
};

/* Appends the DER of a certificate for subject_key, signed with issuer_key. */
bool forge_certificate(const struct forge_certificate *c, struct forge_key *subject_key,
                       struct forge_key *issuer_key, struct buf *out);

#endif
