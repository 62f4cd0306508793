/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * context_private - the inside of a context, for stream
 *
 * Purpose:   what context*.c and stream*.c share. Owner, thread, limits: context.h.
 */
#ifndef RINGPOST_TLS_CONTEXT_PRIVATE_H
#define RINGPOST_TLS_CONTEXT_PRIVATE_H

#include "tls/context.h"

#include <stdatomic.h>

struct WOLFSSL_CTX;

enum { TLS_CONTEXT_ID_BYTES = 16 };

/* A certificate with the library's context for it: wolfSSL knows one certificate per context. */
struct tls_context_entry {
    struct WOLFSSL_CTX *library;
    enum tls_key key;
    uint8_t fingerprint[TLS_FINGERPRINT_BYTES];
    struct buf names; /* patterns, each ends in '\n' */
};

struct tls_context {
    atomic_uint references;
    bool is_server;
    enum tls_versions versions;
    enum tls_client_cert client_cert; /* server */
    enum tls_policy policy;           /* client */
    unsigned rsa_bits_min;            /* client */
    struct tls_trust *trust;
    struct tls_tickets *tickets;      /* server */
    uint8_t id[TLS_CONTEXT_ID_BYTES]; /* random: which context a session came from */
    size_t count;
    struct tls_context_entry entries[]; /* client: one, without names */
};

/* The certificate for this client, or NULL when it can verify none of them. */
const struct tls_context_entry *tls_context_choose(const struct tls_context *c,
                                                   const struct tls_hello *hello);

#endif
