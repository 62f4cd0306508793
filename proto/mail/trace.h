/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * trace - the Received field
 *
 * Purpose:   builds the trace field a relay puts above every message.
 * Owner:     appends to the caller's buf. Thread: any. Time is an argument.
 * Limits:    lines folded at about 78, never above 998 bytes; client-supplied words are cut to 255
 *            bytes and bytes that could change the field's structure become "?".
 * Errors:    the buf's overflow flag.
 * RFC:       5321 4.4, 5322 3.6.7, 3848 and 6531 3.7.3 (the "with" word).
 */
#ifndef RINGPOST_MAIL_TRACE_H
#define RINGPOST_MAIL_TRACE_H

#include "core/base/buf.h"

/* How it came in; ESMTP is set for EHLO sessions. HTTP excludes the others. */
enum {
    MAIL_WITH_ESMTP = 1,
    MAIL_WITH_TLS = 2,
    MAIL_WITH_AUTH = 4,
    MAIL_WITH_UTF8 = 8,
    MAIL_WITH_HTTP = 16,
};

struct mail_trace {
    struct slice helo; /* as the client named itself; empty: "unknown" */
    struct slice rdns; /* verified reverse name; empty: "unknown" */
    struct slice ip;   /* textual address of the client; empty: left out (local submission) */
    struct slice host; /* our name */
    struct slice id;   /* queue id */
    struct slice rcpt; /* only when the transaction has exactly one recipient, else empty */
    uint32_t with;     /* MAIL_WITH_* */
    uint64_t wall_us;
};

void mail_trace_add_received(struct buf *out, const struct mail_trace *t);

/* "SMTP", "ESMTPSA", "UTF8SMTPS", ... */
struct slice mail_trace_with(uint32_t with);

#endif
