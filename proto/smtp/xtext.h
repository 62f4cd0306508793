/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * xtext - the encoding of ESMTP parameter values
 *
 * Purpose:   decodes and encodes xtext ("+HH" for what may not stand literally) and the utf-8 address
 *            form of ORCPT. A decoded value never holds a control character: CR, LF or NUL hidden as
 *            +0D +0A +00 would split envelope records and headers further on.
 * Owner:     writes into the caller's buf. Thread: any.
 * Errors:    false: not xtext, or the decoded value holds a byte that is not printable; what was
 *            appended to out up to there is taken back.
 * RFC:       3461 section 4 (xtext), 6533 section 3 (utf-8 addresses).
 */
#ifndef RINGPOST_SMTP_XTEXT_H
#define RINGPOST_SMTP_XTEXT_H

#include "core/base/buf.h"

/* Decoded bytes are in 0x20..0x7E. Not for the empty slice (false). */
bool smtp_xtext_decode(struct slice raw, struct buf *out);

/* 0x21..0x7E without "+" and "=" stay, all other bytes become +HH. */
void smtp_xtext_encode(struct slice text, struct buf *out);

/* The value behind "utf-8;": QCHAR, \x{HEX} and, when raw_utf8_ok, UTF-8. Decodes to UTF-8. */
bool smtp_utf8_xtext_decode(struct slice raw, bool raw_utf8_ok, struct buf *out);

#endif
