/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * verdict - what a peer's certificate is worth
 *
 * Purpose:   judges a certificate chain: builds the path to a trusted authority, checks every
 *            signature, date, usage, constraint and key on it, and the name. Pure: the same chain,
 *            authorities, name and time give the same verdict, whatever was seen before. (wolfSSL's
 *            own check keeps the intermediates of earlier peers in the context: an incomplete chain
 *            would be accepted or not depending on who came first.)
 * Owner:     plain values; the slices are borrowed for the call.
 * Thread:    any.
 * Limits:    a path of at most 8 certificates, at most 24 signature checks per verdict.
 * Errors:    there is no error: what cannot be judged has a verdict of its own, and only
 *            TLS_VERDICT_TRUSTED is trusted.
 * RFC:       5280 6 (path), 4.2.1.9 (CA), 4.2.1.10 (name constraints, DNS names only), 9525 6 (names:
 *            SAN only; a wildcard is the whole leftmost label and stands for exactly one).
 */
#ifndef RINGPOST_TLS_VERDICT_H
#define RINGPOST_TLS_VERDICT_H

#include "tls/trust.h"

/* In order of gravity: of several the first is the verdict's kind. */
enum tls_verdict_kind {
    TLS_VERDICT_TRUSTED,
    TLS_VERDICT_UNCHECKED,       /* nobody asked (no certificate was requested, no authorities) */
    TLS_VERDICT_NO_CERTIFICATE,  /* the peer showed none */
    TLS_VERDICT_MALFORMED,       /* does not parse, or the library refuses it */
    TLS_VERDICT_BAD_SIGNATURE,   /* not made by the key of the issuer it names */
    TLS_VERDICT_SELF_SIGNED,     /* its own issuer, and not among the authorities */
    TLS_VERDICT_UNKNOWN_CA,      /* no path to a trusted authority, or the chain is incomplete */
    TLS_VERDICT_NOT_A_CA,        /* an issuer may not issue (basicConstraints, keyCertSign) */
    TLS_VERDICT_PATH_TOO_LONG,   /* pathLenConstraint, or more than 8 certificates */
    TLS_VERDICT_NAME_CONSTRAINT, /* an issuer may not issue for this name */
    TLS_VERDICT_CRITICAL_EXTENSION, /* a critical extension that is not understood */
    TLS_VERDICT_EXPIRED,
    TLS_VERDICT_NOT_YET_VALID,
    TLS_VERDICT_CA_DATE, /* an issuer on the path is out of its dates */
    TLS_VERDICT_WRONG_USAGE,
    TLS_VERDICT_WEAK_KEY,       /* RSA below the minimum, ECDSA below 256 bits; any on the path */
    TLS_VERDICT_WEAK_SIGNATURE, /* MD5 or SHA-1, any on the path but the authority's own */
    TLS_VERDICT_WRONG_NAME,
    TLS_VERDICT_NAME_IN_CN_ONLY, /* the name stands only in the subject's common name */
    TLS_VERDICT_WILDCARD_DEPTH,  /* a wildcard stands for one label, not for none or two */
    TLS_VERDICT_KINDS,
};

struct tls_verdict {
    enum tls_verdict_kind kind;
    uint32_t all; /* bit (1 << kind) for each thing found */
};

enum tls_purpose { TLS_PURPOSE_SERVER, TLS_PURPOSE_CLIENT };

struct tls_verdict_question {
    const struct slice *chain; /* DER, the peer's own first, the others in any order */
    size_t count;
    const struct tls_trust *trust; /* NULL: nobody is trusted */
    struct slice name;             /* host name or address; empty: any (client certificates) */
    enum tls_purpose purpose;
    unsigned rsa_bits_min; /* 0: 2048 */
    uint64_t wall_us;
};

struct tls_verdict tls_verdict_of(const struct tls_verdict_question *q);

/* Adds one more finding. */
void tls_verdict_add(struct tls_verdict *v, enum tls_verdict_kind kind);

/* For log fields: "unknown_ca"; for people: "is issued by an authority that is not trusted". */
const char *tls_verdict_name(enum tls_verdict_kind kind);
const char *tls_verdict_text(enum tls_verdict_kind kind);

#endif
