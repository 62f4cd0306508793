/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * context - what the TLS sessions of a listener, or of a policy towards servers, have in common
 *
 * Purpose:   certificates, authorities, versions, ciphers, ticket keys: decided once, then only read.
 *            Whatever is configured: TLS 1.2 and 1.3, AEAD suites with ECDHE, an explicit verify mode,
 *            no session cache (it is one for the whole process in wolfSSL, so a session of one listener
 *            would open another), no compression, no renegotiation, no early data.
 * Owner:     reference-counted; every stream holds a reference, so a reload opens a new context, puts
 *            the old one and disturbs no session.
 * Thread:    any: immutable after open, the count is atomic. Built by the control thread, used by all
 *            workers. Open and the last put take locks inside wolfSSL for some microseconds.
 * Limits:    TLS_CONTEXT_CERTIFICATES_MAX certificates per listener.
 * Errors:    open: NULL with one line in *problem.
 */
#ifndef RINGPOST_TLS_CONTEXT_H
#define RINGPOST_TLS_CONTEXT_H

#include "tls/certificate.h"
#include "tls/tickets.h"
#include "tls/trust.h"

enum { TLS_CONTEXT_CERTIFICATES_MAX = 64 };

struct tls_context;

enum tls_versions { TLS_VERSIONS_ALL, TLS_VERSIONS_ONLY_12, TLS_VERSIONS_ONLY_13 };

enum tls_client_cert {
    TLS_CLIENT_CERT_NONE,    /* not asked for */
    TLS_CLIENT_CERT_REQUEST, /* asked for; without a trusted one the session goes on, and says so */
    TLS_CLIENT_CERT_REQUIRE, /* without a trusted one the handshake fails */
};

struct tls_server_config {
    /* The first is the default, with all that share its first name (RSA beside ECDSA). */
    const struct tls_certificate *const *certificates;
    size_t count;
    enum tls_client_cert client_cert;
    struct tls_trust *client_trust; /* a reference is taken; needed unless NONE */
    struct tls_tickets
        *tickets; /* a reference is taken; one object per listener. NULL: no resumption */
    enum tls_versions versions;
};

/* Where clients are asked for certificates there is no resumption at all: a resumed session shows no
 * certificate, and its ticket would stand for one (reliability C7, C10). */
struct tls_context *tls_context_open_server(const struct tls_server_config *config,
                                            struct buf *problem);

enum tls_policy {
    TLS_POLICY_MAY,     /* any certificate will do; the verdict is recorded */
    TLS_POLICY_ENCRYPT, /* the same: what differs is that the caller never sends in the clear */
    TLS_POLICY_VERIFY,  /* the handshake fails unless the verdict is TLS_VERDICT_TRUSTED */
};

struct tls_client_config {
    enum tls_policy policy;
    struct tls_trust *trust;                   /* a reference is taken; NULL: nobody is trusted */
    const struct tls_certificate *certificate; /* ours, when a server asks; NULL: none */
    unsigned rsa_bits_min;                     /* of the peer's chain, for the verdict; 0: 2048 */
    enum tls_versions versions;
};

struct tls_context *tls_context_open_client(const struct tls_client_config *config,
                                            struct buf *problem);

struct tls_context *tls_context_get(struct tls_context *c);
/* Nulls the caller's pointer; the last one frees. NULL is fine. */
void tls_context_put(struct tls_context **c);

bool tls_context_is_server(const struct tls_context *c);

#endif
