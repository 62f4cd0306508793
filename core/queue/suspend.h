/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * suspend - destinations and senders that nothing is attempted for
 *
 * Purpose:   a table that the way from recipients to parts asks (routing.c). What is suspended stays a
 *            waiting recipient, due at QUEUE_DUE_SUSPENDED: no timer of its own, no part, no write.
 * Owner:     each queue has a whole one. Its truth are memos of the spool (core/queue/memo.h).
 * Thread:    the queue's.
 * Units:     wall ms.
 * Limits:    SPOOL_MEMOS_MAX. An empty table costs one comparison per recipient that is routed.
 * Errors:    queue_suspend_apply: false: no memory, or the bytes make no sense.
 *
 * Keys are text: "all", "domain:example.org", "site:mx.example.org", "tenant:a", "campaign:b".
 */
#ifndef RINGPOST_QUEUE_SUSPEND_H
#define RINGPOST_QUEUE_SUSPEND_H

#include "core/base/map.h"
#include "core/base/timer.h"
#include "core/queue/select.h"
#include "spool/spool.h"

/* Due times that never come; both are larger than any real one. The first is stored as it is. */
#define QUEUE_DUE_HELD (UINT64_C(1) << 62)
#define QUEUE_DUE_SUSPENDED (QUEUE_DUE_HELD + 1)

enum queue_scope {
    QUEUE_SCOPE_ALL,
    QUEUE_SCOPE_DOMAIN,
    QUEUE_SCOPE_SITE,
    QUEUE_SCOPE_TENANT,
    QUEUE_SCOPE_CAMPAIGN,
    QUEUE_SCOPE_COUNT
};

enum { QUEUE_SCOPE_KEY_BYTES = SPOOL_MEMO_KEY_BYTES_MAX, QUEUE_SUSPEND_REASON_BYTES = 200 };

struct queue_suspensions {
    struct map table;
    uint32_t count[QUEUE_SCOPE_COUNT];
    uint64_t next_until_ms; /* of the first that ends by itself; UINT64_MAX: none */
    struct timer timer;
};

/* What a suspension says; reason points into what it was decoded from. */
struct queue_suspension {
    uint64_t since_ms;
    uint64_t until_ms; /* 0: until it is resumed */
    struct slice reason;
};

/* "all", "tenant:NAME" …; a word without a scope is a domain. *key is written as it is stored, in lower case.
 * False: it makes no sense. */
bool queue_scope_parse(struct slice word, char key[QUEUE_SCOPE_KEY_BYTES + 1]);
/* Whom the key means. */
bool queue_scope_select(struct slice key, struct queue_select *out);

void queue_suspension_encode(const struct queue_suspension *s, struct buf *out);
bool queue_suspension_decode(struct slice value, struct queue_suspension *out);

void queue_suspend_open(struct queue *q);
void queue_suspend_close(struct queue *q);
/* Takes a memo of kind QUEUE_MEMO_SUSPEND into the table, or out of it. What is queued is not looked at. */
bool queue_suspend_apply(struct queue *q, const struct spool_memo *memo);
bool queue_suspend_known(const struct queue *q, struct slice key);

/* Nothing may be attempted for this recipient. What is known without its site is looked at first. */
bool queue_suspend_covers(const struct queue *q, const struct queue_message *m,
                          const struct queue_rcpt *r);
bool queue_suspend_site(const struct queue *q, const struct queue_site *s);
/* Is all mail to this domain or mail host suspended ("all": all mail)? *key and *what (may be NULL): by which. */
bool queue_suspend_word(const struct queue *q, struct slice word, struct slice *key,
                        struct queue_suspension *what);

/* One JSON object per line, at most so many bytes as the buffer takes. */
void queue_suspend_report(const struct queue *q, struct buf *out);

#endif
