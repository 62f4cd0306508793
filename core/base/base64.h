/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * base64 - RFC 4648 section 4
 *
 * Purpose:   signatures, keys, SASL. One strict decoder: no white space, no missing or extra padding,
 *            no stray bits, so that every text has one value and every value one text.
 * Owner:     none. Thread: any. Units: bytes.
 * Errors:    decode: false and *out_len untouched (wrong text, or more than out_size bytes).
 */
#ifndef RINGPOST_BASE_BASE64_H
#define RINGPOST_BASE_BASE64_H

#include "core/base/buf.h"

/* Length of the text for n bytes. */
#define BASE64_TEXT_BYTES(n) (((n) + 2) / 3 * 4)

void base64_add(struct buf *out, struct slice bytes);
bool base64_decode(struct slice text, void *out, size_t out_size, size_t *out_len);

#endif
