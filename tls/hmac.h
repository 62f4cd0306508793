/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * hmac - HMAC-MD5 for CRAM-MD5
 *
 * Purpose:   RFC 2195, for clients that know nothing better; never used to protect anything else.
 * Owner:     none. Thread: any. Errors: false when the library refuses.
 */
#ifndef RINGPOST_TLS_HMAC_H
#define RINGPOST_TLS_HMAC_H

#include "core/base/slice.h"

enum { TLS_HMAC_MD5_BYTES = 16 };

bool tls_hmac_md5(struct slice key, struct slice text, unsigned char out[TLS_HMAC_MD5_BYTES]);

#endif
