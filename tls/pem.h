/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * pem - the blocks of a PEM file
 *
 * Purpose:   steps through certificates and keys in RFC 7468 text: anything may stand between blocks,
 *            and headers (RFC 1421) before the base64 are noticed. Inside tls/ only.
 * Owner:     label points into the text; der is the caller's: it may hold a key, so it is wiped as it
 *            grows and has to be released with secret_buf_release.
 * Thread:    any. Limits: der's cap_max.
 * Errors:    BROKEN: a block that does not end or is not base64: a file that is being written.
 */
#ifndef RINGPOST_TLS_PEM_H
#define RINGPOST_TLS_PEM_H

#include "core/base/buf.h"

enum tls_pem { TLS_PEM_BLOCK, TLS_PEM_END, TLS_PEM_BROKEN };

struct tls_pem_block {
    struct slice label; /* "CERTIFICATE" */
    bool encrypted;     /* has a Proc-Type header; der is then empty */
};

/* Cuts the next block off *text; der holds its bytes only. After BROKEN *text is behind its BEGIN. */
enum tls_pem tls_pem_next(struct slice *text, struct tls_pem_block *block, struct buf *der);

void tls_pem_add(struct buf *out, struct slice label, struct slice der);

#endif
