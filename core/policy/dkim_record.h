/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * dkim_record - the public key in DNS
 *
 * Purpose:   writes the TXT record of a key, also as a line of a zone file, and judges what DNS says.
 * Owner:     none. Thread: any.
 * Limits:    strings of a TXT record hold DKIM_RECORD_STRING_MAX bytes (RFC 1035 3.3).
 * Errors:    dkim_record_check: the first fault, in words without LF, in why.
 * RFC:       6376 3.6.1, 3.6.2.2; 8463 4; 8301.
 */
#ifndef RINGPOST_POLICY_DKIM_RECORD_H
#define RINGPOST_POLICY_DKIM_RECORD_H

#include "core/base/buf.h"
#include "proto/mail/dkim_header.h"

enum { DKIM_RECORD_STRING_MAX = 255 };

/* "v=DKIM1; k=rsa; p=…" */
void dkim_record_add(struct buf *out, enum dkim_algorithm a, struct slice public_base64);
/* The record as one line of a zone file, split into strings. */
void dkim_record_add_zone(struct buf *out, struct slice selector, struct slice domain,
                          struct slice record);

enum dkim_record_verdict {
    DKIM_RECORD_MATCHES,
    DKIM_RECORD_TEST_MODE, /* matches, but t=y: verifiers may ignore it */
    DKIM_RECORD_OTHER_KEY,
    DKIM_RECORD_REVOKED, /* p= is empty */
    DKIM_RECORD_INVALID,
};

/* record: the strings of one TXT record, joined. */
enum dkim_record_verdict dkim_record_check(struct slice record, enum dkim_algorithm a,
                                           struct slice public_base64, struct buf *why);

#endif
