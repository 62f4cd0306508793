/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * dkim_pem - the text around a private key
 *
 * Purpose:   PEM (RFC 7468, leniently: any text around it, any line length) and bare base64 to DER,
 *            and DER to PEM.
 * Owner:     none. Thread: any.
 * Limits:    DKIM_DER_BYTES of DER. Errors: false, a reason in why that holds nothing of the key.
 */
#ifndef RINGPOST_TLS_DKIM_PEM_H
#define RINGPOST_TLS_DKIM_PEM_H

#include "core/base/buf.h"

enum { DKIM_DER_BYTES = 4096 };

struct dkim_der {
    size_t len;
    uint8_t bytes[DKIM_DER_BYTES];
};

/* The caller wipes *out. */
bool dkim_pem_read(struct slice text, struct dkim_der *out, struct buf *why);
void dkim_pem_add(struct buf *out, struct slice der);

#endif
