/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * auth - SASL mechanisms and what their messages look like
 *
 * Purpose:   the table of mechanisms for both sides, and the pure functions that take client
 *            messages apart or make them. No secret is compared here and no digest computed:
 *            that is the driver's (core, with tls for HMAC-MD5).
 * Owner:     pure functions; slices point into the caller's bytes.
 * Thread:    any.
 * Limits:    a line of an exchange: SMTP_AUTH_LINE_BYTES with its CRLF.
 * Errors:    false: malformed; the out-parameter is untouched.
 * RFC:       4954, 4616 (PLAIN), 2195 (CRAM-MD5), draft-murchison-sasl-login (LOGIN); XOAUTH2 as
 *            Google and Microsoft document it.
 */
#ifndef RINGPOST_SMTP_AUTH_H
#define RINGPOST_SMTP_AUTH_H

#include "core/base/buf.h"

enum smtp_auth_mechanism {
    SMTP_AUTH_NONE = 0,
    SMTP_AUTH_PLAIN = 1 << 0,
    SMTP_AUTH_LOGIN = 1 << 1,
    SMTP_AUTH_CRAM_MD5 = 1 << 2,
    SMTP_AUTH_XOAUTH2 = 1 << 3, /* as a client only */
};

enum {
    SMTP_AUTH_LINE_BYTES = 12288, /* RFC 4954 4 */
    SMTP_AUTH_DIGEST_BYTES = 16,
    SMTP_AUTH_CHALLENGE_BYTES = 200, /* of ours, before base64: fits a reply line */
    /* Who reads the line has the secret. */
    SMTP_AUTH_CLEARTEXT = SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN | SMTP_AUTH_XOAUTH2,
};

/* What a client wants to be believed. Any slice may be empty, authcid too: refuse that. */
struct smtp_auth {
    enum smtp_auth_mechanism mechanism;
    struct slice authzid;   /* PLAIN: whom it acts for; empty: itself */
    struct slice authcid;   /* the user name */
    struct slice password;  /* PLAIN, LOGIN */
    struct slice challenge; /* CRAM-MD5: as the driver gave it */
    /* CRAM-MD5: HMAC-MD5 of challenge with the password. Compare in constant time. */
    unsigned char digest[SMTP_AUTH_DIGEST_BYTES];
};

/* "PLAIN"; for exactly one mechanism. */
struct slice smtp_auth_name(enum smtp_auth_mechanism mechanism);
/* Ignoring case; NONE: unknown. */
enum smtp_auth_mechanism smtp_auth_find(struct slice name);
/* "PLAIN LOGIN FOO" as a set of SMTP_AUTH_* bits. */
uint32_t smtp_auth_find_all(struct slice words);
/* Appends the names of a set: the first behind `before`, the others behind a space. */
void smtp_auth_add_names(struct buf *out, uint32_t mechanisms, struct slice before);

/* PLAIN, decoded: [authzid] NUL authcid NUL password. */
bool smtp_auth_split_plain(struct slice raw, struct smtp_auth *out);
/* CRAM-MD5, decoded: "user 32-hexdigits". */
bool smtp_auth_split_cram(struct slice raw, struct smtp_auth *out);

/* The other way round, before base64; out is a buf to be wiped (core/base/secret.h). */
void smtp_auth_add_plain(struct buf *out, struct slice user, struct slice password);
void smtp_auth_add_xoauth2(struct buf *out, struct slice user, struct slice token);
void smtp_auth_add_cram(struct buf *out, struct slice user,
                        const unsigned char digest[SMTP_AUTH_DIGEST_BYTES]);

#endif
