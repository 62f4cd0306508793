/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * request - what may be asked over the admin socket
 *
 * Purpose:   the line protocol between `ringpost queue …` and the running engine: one request line,
 *            then reply lines, then the engine closes. docs/ADMIN.md has the replies.
 *
 *            request = verb *( SP key "=" value ) LF        at most ADMIN_REQUEST_BYTES_MAX with LF
 *            verb    = "queue stats" / "queue ls" / "queue show"
 *            key     = "limit"   (queue ls: 1..ADMIN_LIMIT_MAX, default ADMIN_LIMIT_DEFAULT)
 *                    / "domain"  (queue ls: only messages with a recipient in it)
 *                    / "id"      (queue show, required)
 *            reply   = *( JSON-object LF ) last LF
 *            last    = {"done":true,"lines":N,"truncated":false}  /  {"error":"code","text":"…"}
 *
 *            A reply without the last line was cut and must not be trusted.
 * Owner:     a request is a plain value without pointers: copy it into a mailbox as it is.
 * Thread:    any.
 * Limits:    exactly one SP between words, a key at most once, no CR, no control characters.
 * Errors:    admin_request_parse returns false, leaves *out untouched and says why in one line.
 */
#ifndef RINGPOST_ADMIN_REQUEST_H
#define RINGPOST_ADMIN_REQUEST_H

#include "core/base/buf.h"
#include "core/base/limits.h"

enum {
    ADMIN_REQUEST_BYTES_MAX = 4096,
    ADMIN_ID_BYTES_MAX = 64,
    ADMIN_LIMIT_DEFAULT = 100,
    ADMIN_LIMIT_MAX = 100000,
    /* Recipients in one reply line; "recipient_count" has the true number. */
    ADMIN_LS_RECIPIENTS_MAX = 20,
    ADMIN_SHOW_RECIPIENTS_MAX = 1000,
};

enum admin_verb {
    ADMIN_QUEUE_STATS,
    ADMIN_QUEUE_LS,
    ADMIN_QUEUE_SHOW,
};

struct admin_request {
    enum admin_verb verb;
    uint32_t limit;                      /* queue ls: lines wanted, never 0; others 0 */
    char id[ADMIN_ID_BYTES_MAX + 1];     /* queue show; "" otherwise */
    char domain[LIMIT_DOMAIN_BYTES + 1]; /* queue ls; "": all. Compare without case. */
};

/* line: without its LF. why gets a reason (no LF), at most some 100 bytes. */
bool admin_request_parse(struct slice line, struct admin_request *out, struct buf *why);
/* The line with its LF; the reverse of parse. */
void admin_request_add(struct buf *out, const struct admin_request *req);
const char *admin_verb_name(enum admin_verb verb);

/* Reply lines of the protocol itself begin with these; no other line does. */
#define ADMIN_LAST_DONE SLICE("{\"done\":")
#define ADMIN_LAST_ERROR SLICE("{\"error\":")

enum admin_error {
    ADMIN_BAD_REQUEST, /* syntax */
    ADMIN_TOO_LONG,    /* request line over ADMIN_REQUEST_BYTES_MAX */
    ADMIN_BUSY,        /* ADMIN_CLIENTS_MAX are connected */
    ADMIN_NOT_FOUND,   /* queue show: no worker has it */
    ADMIN_TIMEOUT,     /* the deadline passed */
    ADMIN_OVERFLOW,    /* the reply does not fit into ADMIN_REPLY_BYTES_MAX */
    ADMIN_STOPPING,    /* the engine shuts down */
};
const char *admin_error_name(enum admin_error error); /* "bad_request", … */

/* {"error":"name","text":"…"} with its LF; text is escaped as JSON. */
void admin_error_add(struct buf *out, enum admin_error error, struct slice text);

#endif
