/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * request - what may be asked over the admin socket
 *
 * Purpose:   the line protocol between `ringpost queue …`, `ringpost suspend …` and the running engine: one
 *            request line, then reply lines, then the engine closes. docs/ADMIN.md has the replies.
 *
 *            request = verb *( SP key "=" value ) LF        at most ADMIN_REQUEST_BYTES_MAX with LF
 *            verb    = "queue stats" / "queue ls" / "queue show"
 *                    / "queue retry" / "queue hold" / "queue release" / "queue bounce" / "queue delete"
 *                    / "suspend ls" / "suspend" / "resume" / "explain"
 *            key     = a row of the table in request.c, where it says of which verbs
 *            value   = bytes without SP; %XX stands for a byte where the row says text
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
#include "core/queue/suspend.h"

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
    ADMIN_QUEUE_RETRY,
    ADMIN_QUEUE_HOLD,
    ADMIN_QUEUE_RELEASE,
    ADMIN_QUEUE_BOUNCE,
    ADMIN_QUEUE_DELETE,
    ADMIN_SUSPEND_LS,
    ADMIN_SUSPEND,
    ADMIN_RESUME,
    ADMIN_EXPLAIN,
    ADMIN_VERB_COUNT
};

struct admin_request {
    enum admin_verb verb;
    uint32_t limit;                        /* queue ls: lines wanted, never 0; others 0 */
    bool dry_run;                          /* orders: only count */
    bool quiet;                            /* queue bounce: without a report to the sender */
    uint64_t for_ms;                       /* suspend: 0: until it is resumed */
    uint64_t site_id;                      /* explain: 0: by domain */
    char id[ADMIN_ID_BYTES_MAX + 1];       /* as given; "" otherwise */
    char after[ADMIN_ID_BYTES_MAX + 1];    /* queue ls: ids above this one */
    char scope[QUEUE_SCOPE_KEY_BYTES + 1]; /* suspend, resume: queue_scope_parse */
    char reason[QUEUE_SUSPEND_REASON_BYTES + 1];
    struct queue_select select; /* all but the id */
};

/* line: without its LF. why gets a reason (no LF), at most some 100 bytes. */
bool admin_request_parse(struct slice line, struct admin_request *out, struct buf *why);
/* The line with its LF; the reverse of parse. */
void admin_request_add(struct buf *out, const struct admin_request *req);
const char *admin_verb_name(enum admin_verb verb);
/* Queued mail is changed by it: that may take longer than an answer. */
bool admin_verb_is_order(enum admin_verb verb);
/* A value as text in a request: what it may not contain becomes %XX. */
void admin_text_add(struct buf *out, struct slice text);

/* Reply lines of the protocol itself begin with these; no other line does. */
#define ADMIN_LAST_DONE SLICE("{\"done\":")
#define ADMIN_LAST_ERROR SLICE("{\"error\":")

enum admin_error {
    ADMIN_BAD_REQUEST, /* syntax */
    ADMIN_TOO_LONG,    /* request line over ADMIN_REQUEST_BYTES_MAX */
    ADMIN_BUSY,        /* ADMIN_CLIENTS_MAX are connected */
    ADMIN_NOT_FOUND,   /* no worker has it; no such suspension */
    ADMIN_TIMEOUT,     /* the deadline passed */
    ADMIN_OVERFLOW,    /* the reply does not fit into ADMIN_REPLY_BYTES_MAX */
    ADMIN_STOPPING,    /* the engine shuts down */
    ADMIN_NOT_STORED,  /* the spool cannot remember it: nothing has changed */
};
const char *admin_error_name(enum admin_error error); /* "bad_request", … */

/* {"error":"name","text":"…"} with its LF; text is escaped as JSON. */
void admin_error_add(struct buf *out, enum admin_error error, struct slice text);

#endif
