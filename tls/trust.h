/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * trust - the authorities that are trusted
 *
 * Purpose:   a set of CA certificates from a PEM bundle or a folder of PEM files, found by subject.
 * Owner:     reference-counted (atomic); filled by the one who opened it, then never changed. Every
 *            holder puts what it got.
 * Thread:    any, once it is filled.
 * Limits:    4096 authorities, 4 MiB per file. The same certificate twice counts once (a folder like
 *            /etc/ssl/certs has each of them three times).
 * Errors:    false with one line in *problem: "FILE: what: remedy". Single certificates in a bundle
 *            that do not parse are skipped and counted.
 */
#ifndef RINGPOST_TLS_TRUST_H
#define RINGPOST_TLS_TRUST_H

#include "core/base/buf.h"

struct tls_trust;

/* Empty; NULL without memory. */
struct tls_trust *tls_trust_open(void);
struct tls_trust *tls_trust_get(struct tls_trust *t);
/* Nulls the caller's pointer; the last one frees. NULL is fine. */
void tls_trust_put(struct tls_trust **t);

/* PEM text, certificates only; what is between them is ignored. False: none in it. */
bool tls_trust_add_pem(struct tls_trust *t, struct slice pem);
/* A file, or every file of a folder that holds one. */
bool tls_trust_add_path(struct tls_trust *t, const char *path, struct buf *problem);

size_t tls_trust_count(const struct tls_trust *t);
size_t tls_trust_skipped(const struct tls_trust *t);

enum { TLS_NAME_HASH_BYTES = 20 };

/* The authorities with this subject (hash of x509.h): the n-th, or an empty slice. */
struct slice tls_trust_find(const struct tls_trust *t, const uint8_t hash[TLS_NAME_HASH_BYTES],
                            size_t n);

#endif
