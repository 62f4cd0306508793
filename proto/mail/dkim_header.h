/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * dkim_header - what a DKIM signature says about a header
 *
 * Purpose:   keeps a message's header until its end, finds the author's domain, chooses the fields to
 *            sign, and writes the DKIM-Signature field.
 *            Chosen are the fields of RFC 6376 5.4.1 that are there, repeated ones all, from the bottom
 *            up (5.4.2). From, To, Cc, Subject, Date, Reply-To, Content-Type are named once more than
 *            they occur, so that nobody can add one (oversigning, 8.15); List-Unsubscribe(-Post) the
 *            same where present (RFC 8058 4). Never: Return-Path, Received, trace and l=.
 * Owner:     struct dkim_header: dkim_header_init, dkim_header_deinit. Thread: the owner's.
 * Limits:    LIMIT_HEADER_FIELDS fields are read; bytes_max of init.
 * Errors:    enum dkim_skip: the message is not signed, and why. It is never a reason to refuse mail.
 * RFC:       6376 3.5, 5.4; 8301 (rsa-sha256 only); 8463 (ed25519-sha256).
 */
#ifndef RINGPOST_MAIL_DKIM_HEADER_H
#define RINGPOST_MAIL_DKIM_HEADER_H

#include "core/base/buf.h"
#include "core/base/digest.h"
#include "core/base/limits.h"
#include "proto/mail/dkim_canon.h"

enum dkim_algorithm { DKIM_RSA_SHA256, DKIM_ED25519_SHA256 };

enum dkim_skip {
    DKIM_SKIP_NOT,          /* to be signed */
    DKIM_SKIP_NO_KEY,       /* no key for the author's domain */
    DKIM_SKIP_NO_FROM,      /* no From field */
    DKIM_SKIP_FROM_FIELDS,  /* several From fields */
    DKIM_SKIP_FROM_DOMAINS, /* authors of several domains */
    DKIM_SKIP_FROM_SYNTAX,  /* no domain can be read from the From field */
    DKIM_SKIP_HEADER, /* the header is no header, too long, or does not end in an empty line */
    DKIM_SKIP_MEMORY,
    DKIM_SKIP_COUNT
};

/* "no_key", …: logs and metrics. */
const char *dkim_skip_name(enum dkim_skip skip);

struct dkim_domain {
    uint16_t len;
    char text[LIMIT_DOMAIN_BYTES + 1];
};

static inline struct slice dkim_domain_slice(const struct dkim_domain *d)
{
    return slice_of(d->text, d->len);
}

struct dkim_field {
    uint32_t at;
    uint32_t len; /* with its CRLF */
    uint8_t row;  /* of the table of signed names, UINT8_MAX: not signed */
};

struct dkim_header {
    struct buf text;
    bool too_long;
    struct dkim_field *fields;
    size_t field_count;
    size_t field_cap;
};

void dkim_header_init(struct dkim_header *h, size_t bytes_max);
void dkim_header_deinit(struct dkim_header *h);

/* Next bytes of the header; without the empty line behind it. */
void dkim_header_add(struct dkim_header *h, struct slice text);
/* The header is complete: reads its fields. Once. */
enum dkim_skip dkim_header_end(struct dkim_header *h);

/* The author's domain as it is written (comments and white space removed); after _end. */
enum dkim_skip dkim_header_author(const struct dkim_header *h, struct dkim_domain *out);
/* The signed names in their order, "From:From:To:…". */
void dkim_header_add_names(const struct dkim_header *h, struct buf *out);
/* The signed fields in the same order, canonicalised. */
void dkim_header_canon(const struct dkim_header *h, enum dkim_canon c, const struct dkim_sink *to);

/* The domain of the mailboxes of a From field's value (RFC 5322 3.4, 4.4; groups as RFC 6854). Display
 * names may hold what should be quoted, since they do. */
enum dkim_skip dkim_from_domain(struct slice value, struct dkim_domain *out);

struct dkim_signature {
    enum dkim_algorithm algorithm;
    enum dkim_canon header_canon;
    enum dkim_canon body_canon;
    struct slice domain;
    struct slice selector;
    struct slice names; /* of dkim_header_add_names */
    uint8_t body_hash[DIGEST_SHA256_BYTES];
    uint64_t signed_s; /* t=, seconds since 1970 */
    uint64_t valid_s;  /* x= is so much later; 0: no x= */
};

/* "DKIM-Signature: v=1; … b=", folded: this, canonicalised, ends what is hashed (RFC 6376 3.7). */
void dkim_signature_begin(struct buf *out, const struct dkim_signature *s);
/* Appends the value of b= and CRLF. */
void dkim_signature_end(struct buf *out, struct slice signature);

#endif
