/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * x509 - one certificate, read
 *
 * Purpose:   what verdict, trust, certificate and context want to know of a certificate, from
 *            wolfCrypt's parser; inside tls/ only.
 * Owner:     the caller: x509_parse, then x509_free. der is borrowed and must outlive it.
 * Thread:    any.
 * Units:     seconds since 1970, key sizes in bits.
 * Errors:    parse: false when the library cannot read it; nothing to free then.
 */
#ifndef RINGPOST_TLS_X509_H
#define RINGPOST_TLS_X509_H

#include "core/base/ipaddr.h"
#include "tls/certificate.h"
#include "tls/trust.h"

struct DecodedCert;

struct x509 {
    struct slice der;
    struct slice alt_names; /* the inside of the subjectAltName */
    struct DecodedCert *decoded;
    int64_t not_before, not_after;
    enum tls_key key;
    unsigned key_bits;
    int path_length; /* -1: no constraint */
    bool is_ca;
    bool may_sign_certificates;  /* keyCertSign, or no keyUsage at all */
    bool may_sign;               /* digitalSignature, or no keyUsage at all */
    bool for_server, for_client; /* extendedKeyUsage, or none at all */
    bool self_issued;
    bool weak_signature;
    bool unknown_critical;
    bool has_dns_names;
    uint8_t subject_hash[TLS_NAME_HASH_BYTES];
    uint8_t issuer_hash[TLS_NAME_HASH_BYTES];
};

bool x509_parse(struct x509 *c, struct slice der);
void x509_free(struct x509 *c);

/* Cuts the next DNS name off the subjectAltName: *rest is alt_names to begin with. False: no more. */
bool x509_next_dns_name(struct slice *rest, struct slice *name);
bool x509_has_address(const struct x509 *c, const struct ip_addr *addr);
struct slice x509_common_name(const struct x509 *c);
/* May this CA issue for that DNS name (RFC 5280 4.2.1.10)? */
bool x509_permits_dns(const struct x509 *ca, struct slice name);

enum x509_signature { X509_SIGNED, X509_NOT_SIGNED, X509_SIGNED_BUT_NAME_FORBIDDEN };
/* Was c signed with issuer's key? Dates do not matter here. */
enum x509_signature x509_signed_by(const struct x509 *c, const struct x509 *issuer);

/* The value of an extension, if it has it. */
bool x509_extension(const struct x509 *c, struct slice oid, struct slice *value);

/* SHA-256. */
void x509_fingerprint(struct slice der, uint8_t out[TLS_FINGERPRINT_BYTES]);
/* The subject, as "/O=…/CN=…" in printable ASCII: two subjects have two texts (\XX for bytes that are not
 * printable or would separate). False: it has none, or out has no room for it. */
bool x509_subject_text(const struct x509 *c, struct buf *out);

#endif
