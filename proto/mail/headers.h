/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * headers - streaming filter over a message's header
 *
 * Purpose:   removes named fields (with their continuation lines), notes which of the well-known
 *            fields are present and stops once at the header's end, so that missing fields can be
 *            added there. Everything else passes byte-identical and uncopied: output slices are
 *            parts of the input, except a field name that was cut by the input's end (held, at most
 *            MAIL_FIELD_NAME_MAX bytes).
 * Owner:     the struct that embeds it: init, deinit. The config and its names outlive it.
 * Thread:    the owner's.
 * Input:     canonical text: every line ends in CRLF, no other CR or LF (smtp body output, spool).
 * Errors:    none; a message without header is a message. Without memory for a held name the line
 *            counts as the first line of the body.
 * Header end: the empty line, or the first line that is neither a field nor a continuation.
 * RFC:       5322 2.2, 3.6, 4.5 (obsolete: white space before the colon).
 *
 *     mail_headers_init(&h, &config);
 *     while ((ev = mail_headers_step(&h, &in, &out)) != MAIL_HEADERS_WANT_INPUT)
 *         DATA: store(out);  END: mail_headers_add_missing(&fields, h.present, &m); store(fields);
 *     ... at the message's end:
 *     while ((ev = mail_headers_finish(&h, &out)) != MAIL_HEADERS_WANT_INPUT) the same
 */
#ifndef RINGPOST_MAIL_HEADERS_H
#define RINGPOST_MAIL_HEADERS_H

#include "core/base/buf.h"

enum { MAIL_FIELD_NAME_MAX = 998, MAIL_TAKEN_BYTES_MAX = 4096 };

/* Bits of `present`. */
enum {
    MAIL_FIELD_DATE = 1 << 0,
    MAIL_FIELD_FROM = 1 << 1,
    MAIL_FIELD_MESSAGE_ID = 1 << 2,
    MAIL_FIELD_TO = 1 << 3,
    MAIL_FIELD_CC = 1 << 4,
    MAIL_FIELD_BCC = 1 << 5,
    MAIL_FIELD_SUBJECT = 1 << 6,
    MAIL_FIELD_SENDER = 1 << 7,
    MAIL_FIELD_REPLY_TO = 1 << 8,
    MAIL_FIELD_RECEIVED = 1 << 9,
    MAIL_FIELD_MIME_VERSION = 1 << 10,
    MAIL_FIELD_DKIM_SIGNATURE = 1 << 11,
    MAIL_FIELD_AUTO_SUBMITTED = 1 << 12,
    MAIL_FIELD_RESENT_DATE = 1 << 13,
    MAIL_FIELD_RESENT_FROM = 1 << 14,
    MAIL_FIELD_RESENT_MESSAGE_ID = 1 << 15,
    MAIL_FIELD_RESENT_ANY = 1 << 16, /* any Resent-* field */
    MAIL_FIELD_ANY = 1 << 17,        /* the message has a header at all */
};

struct mail_headers_config {
    const struct slice *strip; /* field names without colon, ASCII case ignored */
    size_t strip_count;
    bool adds_fields;  /* the driver puts fields above or at END: a header that does not end in an
                         empty line then gets one, or the body would look like header */
    size_t take_count; /* so many of the first names in `strip`: their fields are kept in `taken` */
};

enum mail_headers_event {
    MAIL_HEADERS_WANT_INPUT, /* *in is consumed (step), nothing is left (finish) */
    MAIL_HEADERS_DATA,       /* *out: store it; lives until the next call */
    MAIL_HEADERS_END,        /* exactly once per message, before what follows the last field */
};

struct mail_headers {
    const struct mail_headers_config *config;
    struct buf held;
    struct buf
        taken; /* whole fields that were removed, with their CRLF; overflow: there were more */
    uint64_t stripped; /* bytes removed so far */
    uint32_t present;  /* MAIL_FIELD_*; final at END. Stripped fields do not count */
    uint8_t state;
    bool skipping; /* the field at hand is being removed */
    bool taking;   /* … and kept */
    bool held_out; /* held was handed out and is to be emptied */
    bool separate; /* an empty line must be put between header and body */
};

void mail_headers_init(struct mail_headers *h, const struct mail_headers_config *c);
void mail_headers_deinit(struct mail_headers *h);

enum mail_headers_event mail_headers_step(struct mail_headers *h, struct slice *in,
                                          struct slice *out);
/* The message is over; repeat until WANT_INPUT. */
enum mail_headers_event mail_headers_finish(struct mail_headers *h, struct slice *out);

/* There was no memory for the beginning of a line that came in pieces: where the header ends is not known any
 * more, the message must be refused. To be asked after each step. */
static inline bool mail_headers_no_memory(const struct mail_headers *h)
{
    return h->held.overflow;
}

/* True once the body began: from then on step() returns its input as it is, and a driver may stop
 * calling it. */
bool mail_headers_passing(const struct mail_headers *h);

struct mail_missing {
    struct slice sender; /* envelope sender; empty: MAILER-DAEMON@host */
    struct slice host;
    struct slice id; /* unique: becomes <id@host> */
    uint64_t wall_us;
    bool no_from; /* leave a missing From field missing */
};

/* Date, From and Message-ID as far as they are missing; the Resent- forms when the message has any
 * Resent- field (as Postfix' always_add_missing_headers does). */
void mail_headers_add_missing(struct buf *out, uint32_t present, const struct mail_missing *m);

#endif
