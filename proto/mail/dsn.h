/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * dsn - delivery status notifications
 *
 * Purpose:   builds the message that tells a sender what became of his mail: multipart/report with
 *            a text for people, message/delivery-status for programs, and the original message or
 *            its headers. The caller decides that one is due (dsn_wanted helps) and sends it with
 *            the null sender.
 * Owner:     pure functions; output goes to the caller's buf, canonical (CRLF lines).
 * Thread:    any.
 * Limits:    lines <= 998 bytes. The original is returned whole only up to `original_bytes_max`,
 *            above that its headers, cut at a field border at DSN_HEADERS_BYTES_MAX. It is also
 *            reduced to its headers when RET=HDRS asks for it, when nothing failed (RFC 3461 6.2),
 *            when the body is not at hand or has a line above 998 bytes.
 * Errors:    false: the buffer's ceiling was too low or the input is not usable (no recipient); out
 *            must then be discarded.
 * Security:  everything remote is made clean (outcome_text_clean): a peer cannot add lines, fields
 *            or MIME parts (reliability B5, G7). Headers of the original are embedded behind a
 *            boundary that does not occur in them.
 * RFC:       3461 6, 3464, 3834, 5322, 6522, 6533.
 */
#ifndef RINGPOST_MAIL_DSN_H
#define RINGPOST_MAIL_DSN_H

#include "proto/mail/notify.h"
#include "proto/smtp/outcome.h"

enum { DSN_HEADERS_BYTES_MAX = LIMIT_HEADER_BYTES / 2 };

enum dsn_action {
    DSN_FAILED,
    DSN_DELAYED,
    DSN_DELIVERED,
    DSN_RELAYED, /* success asked for, the next hop does not speak DSN (RFC 3461 5.2.2) */
    DSN_EXPIRED, /* Action: failed, after a last temporary outcome */
};

struct dsn_rcpt {
    struct slice address; /* Final-Recipient */
    struct slice orcpt;   /* as received ("rfc822;xtext"); empty: none */
    enum dsn_action action;
    struct outcome outcome;   /* the last one; text is made clean again */
    struct slice remote_mta;  /* name or [ip] of the peer; empty: none was reached */
    uint64_t last_attempt_us; /* wall time; 0: leave out */
};

struct dsn {
    struct slice reporting_mta; /* our host name */
    struct slice from;          /* "MAILER-DAEMON@host"; empty: made of reporting_mta */
    struct slice sender;        /* the original's envelope sender, never empty */
    struct slice envid;         /* as received (xtext); empty: none */
    struct slice queue_id;
    uint64_t arrival_us;
    uint64_t now_us;
    uint64_t retry_until_us; /* for DSN_DELAYED; 0: leave out */
    uint64_t deliver_by_us;  /* the time of DELIVERBY (RFC 2852 5); 0: leave out */
    uint64_t unique;         /* random: boundary and Message-ID */
    enum mail_ret ret;
    bool smtputf8;        /* original needed SMTPUTF8: message/global parts (RFC 6533) */
    struct slice headers; /* of the original, without the empty line, canonical */
    struct slice body;    /* of the original; ptr NULL: not at hand, return headers */
    uint64_t body_bytes;  /* its true size, also when not at hand */
    uint64_t original_bytes_max;
    const struct dsn_rcpt *rcpts;
    uint32_t rcpt_count;
};

/* What the new message needs for its own delivery. */
struct dsn_facts {
    bool body_8bit; /* 8BITMIME: the returned part, or an address, has bytes >= 0x80 */
    bool smtputf8;  /* the address it goes to is not ASCII */
    bool full;      /* the original was returned whole */
};

bool dsn_build(struct buf *out, const struct dsn *d, struct dsn_facts *facts);

/* Is a DSN due? RFC 3461 4.1, 5.2; never for the null sender (RFC 5321 6.1). Ask for DSN_RELAYED
 * when the next hop took the recipient and offers no DSN; with DSN it is the next hop's duty. */
bool dsn_wanted(uint8_t notify, enum dsn_action action, bool sender_is_null);

#endif
