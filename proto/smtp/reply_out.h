/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * reply_out - replies we send
 *
 * Purpose:   one writer for every reply of the server: code, enhanced status code, text. Nothing a
 *            client sent can leave its line: bytes outside 0x20..0x7E are written as \xNN.
 * Owner:     writes into the caller's buf. Thread: any.
 * Limits:    a reply line is at most 512 bytes with CRLF (RFC 5321 4.5.3.1.5); longer text is cut.
 * Errors:    the buf's overflow flag.
 * RFC:       5321 4.2, 2034 (an enhanced code on every 2xx, 4xx, 5xx line but greeting and EHLO).
 */
#ifndef RINGPOST_SMTP_REPLY_OUT_H
#define RINGPOST_SMTP_REPLY_OUT_H

#include "core/base/buf.h"

/* A ready answer. code 0 means "accept, with the machine's own words". */
struct smtp_verdict {
    uint16_t code;
    bool close;            /* end the session after this reply (421 always does) */
    struct slice enhanced; /* "5.7.1"; empty: X.0.0 of the code's class */
    struct slice text;
};

#define SMTP_VERDICT_ACCEPT ((struct smtp_verdict){0})

void smtp_reply_add(struct buf *out, const struct smtp_verdict *v);

/* Lines without enhanced codes: greeting, EHLO, 354. last: " " instead of "-" behind the code. */
void smtp_reply_add_plain(struct buf *out, uint16_t code, bool last, struct slice text);

/* Appends text with every byte outside 0x20..0x7E (and every backslash) escaped; at most max bytes. */
void smtp_escape_add(struct buf *out, struct slice text, size_t max);

#endif
