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
 *                    / "queue route" / "suspend ls" / "suspend" / "resume" / "explain"
 *                    / "peers ls" / "peers forget" / "top" / "trace"
 *                    / "overrides ls" / "overrides cancel" / "overrides add"
 *                    / "warmup ls" / "warmup set"
 *            key     = a row of the table in request_params.c, where it says of which verbs
 *            value   = bytes without SP; %XX stands for a byte where the row says text
 *            reply   = *( JSON-object LF ) last LF
 *            last    = {"done":true,"lines":N,"truncated":false}  /  {"error":"code","text":"…"}
 *
 *            "trace" is a stream: lines come until the client closes, the last line only when the engine ends.
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
#include "core/policy/automation.h"
#include "core/policy/peers.h"
#include "core/queue/suspend.h"
#include "core/queue/target.h"

enum {
    ADMIN_REQUEST_BYTES_MAX = 4096,
    ADMIN_ID_BYTES_MAX = 64,
    ADMIN_LIMIT_DEFAULT = 100,
    ADMIN_LIMIT_MAX = 100000,
    ADMIN_DAY_MAX = 1000,
    /* Recipients in one reply line; "recipient_count" has the true number. */
    ADMIN_LS_RECIPIENTS_MAX = 20,
    ADMIN_TOP_DEFAULT = 40,
    ADMIN_TOP_MAX = 100,
    ADMIN_TOP_BYTES = 64 * 1024, /* of all lines together */
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
    ADMIN_QUEUE_ROUTE,
    ADMIN_SUSPEND_LS,
    ADMIN_SUSPEND,
    ADMIN_RESUME,
    ADMIN_EXPLAIN,
    ADMIN_PEERS_LS,
    ADMIN_PEERS_FORGET,
    ADMIN_OVERRIDES_LS,
    ADMIN_OVERRIDES_CANCEL,
    ADMIN_OVERRIDES_ADD,
    ADMIN_TOP,
    ADMIN_TRACE,
    ADMIN_WARMUP_LS,
    ADMIN_WARMUP_SET,
    ADMIN_VERB_COUNT
};

struct admin_request {
    enum admin_verb verb;
    uint32_t limit;                        /* queue ls, top: lines wanted, never 0; others 0 */
    bool dry_run;                          /* orders: only count */
    bool quiet;                            /* queue bounce: without a report to the sender */
    uint64_t for_ms;                       /* suspend: 0: until it is resumed */
    uint64_t site_id;                      /* explain: 0: by domain */
    char host[PEERS_KEY_BYTES + 1];        /* peers forget: a host or host:port; "": all */
    char id[ADMIN_ID_BYTES_MAX + 1];       /* as given; "" otherwise */
    char after[ADMIN_ID_BYTES_MAX + 1];    /* queue ls: ids above this one */
    char scope[QUEUE_SCOPE_KEY_BYTES + 1]; /* suspend, resume: queue_scope_parse */
    char to[QUEUE_TARGET_BYTES + 1];       /* queue route: queue_target_parse */
    char target[LIMIT_DOMAIN_BYTES + 1];   /* trace */
    char reason[QUEUE_SUSPEND_REASON_BYTES + 1];
    uint64_t override_id; /* overrides cancel; 0: all */
    char of[32];          /* overrides add: a scope, "tenant@site" */
    char action[32];      /* … as in a rule */
    char value[AUTOMATION_NAME_BYTES_MAX + 1];
    char who[AUTOMATION_KEY_BYTES_MAX + 1];   /* tenant, "tenant/campaign", domain, source */
    char where[AUTOMATION_KEY_BYTES_MAX + 1]; /* site or provider */
    uint32_t day;                             /* warmup set: who: the source; where: the provider */
    struct queue_select select;               /* all but the id */
};

/* line: without its LF. why gets a reason (no LF), at most some 100 bytes. */
bool admin_request_parse(struct slice line, struct admin_request *out, struct buf *why);
/* The line with its LF; the reverse of parse. */
void admin_request_add(struct buf *out, const struct admin_request *req);
const char *admin_verb_name(enum admin_verb verb);
/* Queued mail is changed by it: that may take longer than an answer. */
bool admin_verb_is_order(enum admin_verb verb);
/* Its answer goes on until the client closes. */
bool admin_verb_is_stream(enum admin_verb verb);
/* Of overrides add: what is asked for, in texts of req. False: `why` says what is wrong with it. */
bool admin_request_override(const struct admin_request *req, struct automation_order *order,
                            struct automation_keys *keys, struct buf *why);
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
