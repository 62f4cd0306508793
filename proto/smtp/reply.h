/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * reply - parser for a peer's SMTP replies (hostile input)
 *
 * Purpose:   takes bytes as they arrive and yields whole replies. The result depends on the bytes
 *            only, never on how they were cut. A single-line reply that lies whole in the input is
 *            parsed in place: no copy, no allocation.
 * Owner:     embedded in the client machine: smtp_reply_init, smtp_reply_deinit.
 * Thread:    the owner's.
 * Limits:    LIMIT_REPLY_LINE_BYTES (with line end), LIMIT_REPLY_LINES, LIMIT_REPLY_BYTES.
 * Errors:    SMTP_REPLY_BROKEN with a reason; it stays broken: the connection must be closed,
 *            nothing after it can be trusted (reliability G8).
 * RFC:       5321 4.2, 2034, 3463.
 *
 * Decisions, the table behind "broken":
 *   code not 200..599 or not three digits   broken   a peer that says 000 or 999 speaks no SMTP
 *   4th byte not SP, '-' or the line end    broken   "250OK", "250\0"; "250" CRLF alone is legal
 *   another code in a continuation line     broken   which one counts is anybody's guess
 *   line, lines or reply too long           broken   memory is bounded
 *   bare LF as line end                     accepted an old sin that confuses nobody here
 *   bare CR, NUL, 8-bit within the text     accepted text only; outcome_text_clean escapes it. To
 *                                           fail here would turn a 250 into a second copy.
 *   enhanced code of another class          ignored  stays in the text (RFC 2034 4)
 */
#ifndef RINGPOST_SMTP_REPLY_H
#define RINGPOST_SMTP_REPLY_H

#include "proto/smtp/outcome.h"

enum smtp_reply_result {
    SMTP_REPLY_MORE, /* all input taken, the reply is not complete */
    SMTP_REPLY_DONE,
    SMTP_REPLY_BROKEN,
};

enum smtp_reply_fault {
    SMTP_REPLY_OK,
    SMTP_REPLY_BAD_CODE,
    SMTP_REPLY_BAD_SEPARATOR,
    SMTP_REPLY_MIXED_CODES,
    SMTP_REPLY_LINE_TOO_LONG,
    SMTP_REPLY_TOO_MANY_LINES,
    SMTP_REPLY_TOO_LONG,
    SMTP_REPLY_NO_MEMORY,
};

struct smtp_reply {
    uint16_t code;
    uint16_t lines;
    struct enhanced enhanced; /* cls 0: none given */
    /* Text without codes (and without the enhanced code), lines joined with LF; raw bytes. */
    struct slice text;
};

struct smtp_reply_parser {
    struct buf acc; /* joined text of complete lines, then the line that is arriving */
    size_t text_bytes;
    size_t raw_bytes;
    uint16_t code;
    uint16_t lines;
    struct enhanced enhanced;
    bool delivered; /* acc belongs to a reply already handed out: reset at the next feed */
    enum smtp_reply_fault fault;
};

void smtp_reply_init(struct smtp_reply_parser *p);
void smtp_reply_deinit(struct smtp_reply_parser *p);

/* Takes bytes from the front of *in up to the end of one reply. *out (set on DONE only) is valid
 * until the next feed or until the input's bytes go away, whichever is first. */
enum smtp_reply_result smtp_reply_feed(struct smtp_reply_parser *p, struct slice *in,
                                       struct smtp_reply *out);

/* Part of a reply has arrived, its end has not. */
bool smtp_reply_partial(const struct smtp_reply_parser *p);

struct slice smtp_reply_fault_text(enum smtp_reply_fault fault);

/* An outcome of a reply; its text points to dst. Kind by code, enhanced: the peer's or, by default,
 * x.0.0 (RFC 3463 3.1). */
struct outcome smtp_reply_outcome(const struct smtp_reply *r, enum outcome_scope scope,
                                  enum outcome_stage stage, char *dst, size_t cap);

#endif
