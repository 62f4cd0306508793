/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * path - mail addresses of the envelope
 *
 * Purpose:   the one parser of addresses: MAIL and RCPT paths, and bare addresses of the
 *            configuration, the HTTP API and the queue.
 * Owner:     nothing is allocated; results are slices of the input and live as long as it does.
 * Thread:    any.
 * Limits:    local part 64, domain 255, address 254 bytes (RFC 5321 4.5.3.1). A source route is
 *            checked and dropped (RFC 5321 C); % and ! have no meaning (no relaying by syntax).
 * Lenient:   "_" in domain labels, because such hosts exist. Strict everywhere else: no comments, no
 *            white space, no empty labels, no trailing dot, literals must hold a valid address.
 * Errors:    a result code; *out and *in are untouched unless it is SMTP_PATH_OK.
 * RFC:       5321 4.1.2, 4.1.3; 6531 3.3 (UTF-8 in both parts).
 */
#ifndef RINGPOST_SMTP_PATH_H
#define RINGPOST_SMTP_PATH_H

#include "core/base/slice.h"

/* local: as written, with its quotes. domain: a name or a literal with its brackets. */
struct smtp_address {
    struct slice local;
    struct slice domain;
};

struct smtp_path {
    struct slice text; /* local@domain without brackets and route; empty for <>; "postmaster" */
    struct smtp_address address;
    bool has_8bit; /* needs SMTPUTF8 (the bytes are valid UTF-8) */
};

enum smtp_path_result {
    SMTP_PATH_OK,
    SMTP_PATH_SYNTAX,   /* not an address, or too long */
    SMTP_PATH_BAD_UTF8, /* 8-bit bytes that are not UTF-8 */
};

enum smtp_path_kind {
    SMTP_PATH_REVERSE, /* MAIL FROM: <> is allowed */
    SMTP_PATH_FORWARD, /* RCPT TO: <postmaster> is allowed (RFC 5321 4.5.1) */
};

/* "local@domain", the whole slice. utf8_ok: 8-bit bytes are allowed when they are UTF-8. */
bool smtp_address_parse(struct slice text, bool utf8_ok, struct smtp_address *out);

/* "<...>" at the front of *in; on success *in begins behind the ">". UTF-8 is always let through
 * here and reported in has_8bit, because SMTPUTF8 stands behind the path. */
enum smtp_path_result smtp_path_parse(struct slice *in, enum smtp_path_kind kind,
                                      struct smtp_path *out);

/* A host name (or U-label name when utf8_ok), without trailing dot; no literal. */
bool smtp_domain_valid(struct slice domain, bool utf8_ok);

/* "[192.0.2.1]" or "[IPv6:2001:db8::1]". */
bool smtp_literal_valid(struct slice literal);

/* The argument of HELO/EHLO: a host name, a literal, or another word that cannot disturb the
 * Received field it ends in (RFC 5321 4.1.1.1; wrong names are not a reason to refuse mail, 4.1.4). */
bool smtp_helo_valid(struct slice name);

#endif
