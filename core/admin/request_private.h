/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * request_private - verbs and parameters of requests as rows
 *
 * Purpose:   between the tables (request_verbs.c, request_params.c) and the line (request.c); nobody else includes
 *            this.
 * Owner:     constants. Thread: any. Errors: set returns false.
 */
#ifndef RINGPOST_ADMIN_REQUEST_PRIVATE_H
#define RINGPOST_ADMIN_REQUEST_PRIVATE_H

#include "core/admin/request.h"
#include "core/policy/automation_rules_read.h"

/* Verbs as bits. */
enum {
    OF_LS = 1 << ADMIN_QUEUE_LS,
    OF_SHOW = 1 << ADMIN_QUEUE_SHOW,
    OF_BOUNCE = 1 << ADMIN_QUEUE_BOUNCE,
    OF_ROUTE = 1 << ADMIN_QUEUE_ROUTE,
    OF_ORDERS = 1 << ADMIN_QUEUE_RETRY | 1 << ADMIN_QUEUE_HOLD | 1 << ADMIN_QUEUE_RELEASE |
                OF_BOUNCE | 1 << ADMIN_QUEUE_DELETE | OF_ROUTE,
    OF_SELECTION = OF_LS | OF_ORDERS | 1 << ADMIN_QUEUE_STATS,
    OF_SUSPEND = 1 << ADMIN_SUSPEND,
    OF_SCOPE = OF_SUSPEND | 1 << ADMIN_RESUME,
    OF_EXPLAIN = 1 << ADMIN_EXPLAIN,
    OF_FORGET = 1 << ADMIN_PEERS_FORGET,
    OF_CANCEL = 1 << ADMIN_OVERRIDES_CANCEL,
    OF_ADD = 1 << ADMIN_OVERRIDES_ADD,
    OF_TOP = 1 << ADMIN_TOP,
    OF_TRACE = 1 << ADMIN_TRACE,
    OF_WARMUP_SET = 1 << ADMIN_WARMUP_SET,
};

struct admin_param {
    struct slice key;
    unsigned verbs;
    bool (*set)(struct admin_request *req, struct slice value);
    /* Appends the value; nothing: it is not given. */
    void (*add)(struct buf *out, const struct admin_request *req);
    const char *allowed;
    size_t text_at; /* instead of set and add: text, in this field */
    size_t text_cap;
};

/* The rows; *count of them, at most 32. */
const struct admin_param *admin_params(size_t *count);
/* Decodes text of a request. False: bad escapes, control characters, not UTF-8, empty or too long. */
bool admin_text(struct slice value, char *dst, size_t cap);

/* Takes a verb off the beginning of the line. */
bool admin_verb_parse(struct slice *line, enum admin_verb *verb);
/* Of lines, when the request says none. */
uint32_t admin_verb_limit(enum admin_verb verb);
/* Once all parameters are read. False: `why` says what is missing or does not go together. */
bool admin_verb_complete(struct admin_request *req, struct buf *why);
/* For a reason: only what is printable ASCII, and not much of it. */
void admin_add_quoted(struct buf *out, struct slice word);

#endif
