/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * message - a message and its recipients in memory
 *
 * Purpose:   what the queue knows of a message it answers for: envelope, the state of each recipient,
 *            where the bytes are. The spool record is the truth; this is its index.
 * Owner:     the queue of the worker that accepted the message. One block of memory per message
 *            (struct, recipients, strings) and, while it waits for its first attempt, the body.
 *            Others hold its struct handle (queue_message_resolve).
 * Thread:    the owner's.
 * Units:     wall times in microseconds (_us) or milliseconds (_ms) since 1970; sizes in bytes.
 * Limits:    LIMIT_RECIPIENTS recipients.
 * Errors:    queue_message_new returns NULL without memory: the caller answers 452 4.3.1.
 *
 * A recipient's life (queue_rcpt_set_state is the only place that changes it):
 *
 *   WAITING ──route──► READY ──outcome──► WAITING (deferred) or ENDED
 *      └──────── expired, no route ─────────────────────────► ENDED
 *
 *   ENDED means that the result is decided and its record is on the way to the disk; the message
 *   leaves memory when all recipients have ended and their records are durable.
 */
#ifndef RINGPOST_QUEUE_MESSAGE_H
#define RINGPOST_QUEUE_MESSAGE_H

#include "core/base/id.h"
#include "core/base/list.h"
#include "core/base/map.h"
#include "core/base/pool.h"
#include "core/base/timer.h"
#include "core/queue/label.h"
#include "core/queue/meta.h"
#include "proto/smtp/outcome.h"
#include "spool/spool.h"

struct queue;

enum queue_rcpt_state {
    QUEUE_RCPT_WAITING, /* for its time (the message's timer) or for being looked at */
    QUEUE_RCPT_READY,   /* in a part: on its way to a transaction, or in one */
    QUEUE_RCPT_ENDED,
};

struct queue_rcpt {
    struct slice address;
    struct slice orcpt; /* as received, empty: none */
    char *last_text;    /* reply text of the last failure, NUL-terminated; NULL: none. Owned. */
    uint64_t due_ms;    /* wall, while WAITING */
    struct enhanced last_enhanced;
    uint16_t last_code;
    uint16_t attempts;
    uint8_t notify;     /* MAIL_NOTIFY_* */
    uint8_t state;      /* enum queue_rcpt_state */
    uint8_t result;     /* enum spool_result_kind once ENDED */
    bool delay_told;    /* the sender had its one report of delay about this recipient */
    uint8_t order;      /* enum queue_action: what is to become of it once it waits again */
    uint8_t last_class; /* enum bounce_class of the last failure */
    uint8_t target;     /* core/queue/target.h; QUEUE_TARGET_NONE: it goes as its domain does */
};

/* Flags, stored in the spool record. */
enum {
    QUEUE_MSG_8BIT = 1,
    QUEUE_MSG_SMTPUTF8 = 2,
    QUEUE_MSG_LEADING_DOT = 4,
    QUEUE_MSG_DSN = 16, /* made by us; 8 was in use once */
};

/* Why a message whose content is not what was stored has bounced (5.3.0). */
#define QUEUE_TEXT_DAMAGED SLICE("the stored message is damaged and was not sent")
/* Why one waits that the disk will not read (4.3.0). */
#define QUEUE_TEXT_UNREADABLE SLICE("the stored message cannot be read at present")

/* A hold that knows its message: compaction is given holds. */
struct queue_hold {
    struct spool_hold hold;
    struct queue_message *message;
};

/* What is to outlive a wait stands in park_bytes.c too (and in tests/unit/core/queue/test_park.c). */
struct queue_message {
    struct handle self;
    struct queue *queue;
    struct list link; /* committing, due or compacting list; none */
    struct map_node by_id;
    struct timer timer;      /* next due recipient */
    struct list parts;       /* struct queue_part.of_message */
    struct handle submitter; /* session that waits for the commit; HANDLE_NONE: nobody */
    uint64_t id;
    uint64_t arrival_us;
    uint64_t lsn; /* of the record, while committing */
    uint64_t body_bytes;
    uint64_t header_bytes;
    struct slice sender; /* empty: the null sender */
    struct slice envid;
    char *body;            /* the whole content in memory, or NULL. Owned. */
    struct spool_ref ref;  /* the record: envelope and the content behind the fragments */
    uint32_t inline_bytes; /* of the content, in ref */
    uint32_t fragment_count;
    struct spool_fragment_ref *fragments; /* Owned. */
    struct queue_hold hold;               /* on ref's segment */
    struct queue_hold *fragment_holds;    /* one per fragment; Owned. */
    struct queue_label *label;            /* tenant and campaign; NULL: neither */
    uint32_t not_before_s;                /* see struct attributes */
    uint32_t expire_s;
    uint32_t notify_s;
    struct queue_rcpt *rcpts;
    uint32_t rcpt_count;
    uint32_t open_count;    /* recipients not ENDED */
    uint32_t pending_count; /* result batches not durable yet */
    uint32_t readers;       /* transactions and bounces that use body, ref or fragments */
    uint32_t flags;
    uint8_t ret;               /* enum mail_ret */
    uint8_t priority;          /* enum conf_priority */
    uint8_t by;                /* ATTRIBUTES_BY_* */
    bool queued;               /* committed and counted */
    bool marked;               /* recipients may have an order */
    uint16_t crowd;            /* core/queue/park.h: counted there; 0: nowhere */
    bool damaged;              /* found at start without all of its content: bounced, never sent */
    uint64_t compact_after_ms; /* mono; a piece could not be read: not before */
};

struct queue_message_init {
    uint64_t id;
    uint64_t arrival_us;
    struct slice sender;
    struct slice envid;
    uint8_t ret;
    uint32_t flags;
    uint32_t rcpt_count;
    size_t rcpt_bytes;                   /* sum of address and orcpt lengths */
    const struct attributes *attributes; /* NULL: an ordinary message */
};

/* Fills a zeroed m that belongs to no queue; false: no memory. */
bool queue_message_build(struct queue_message *m, const struct queue_message_init *init);
void queue_message_unbuild(struct queue_message *m);
/* Strings are copied. Recipients are added by queue_message_add_rcpt, rcpt_count times. */
struct queue_message *queue_message_new(struct queue *q, const struct queue_message_init *init);
struct queue_rcpt *queue_message_add_rcpt(struct queue_message *m, struct slice address,
                                          struct slice orcpt, uint8_t notify);
/* As they were given; the names live as long as m. */
void queue_message_attributes(const struct queue_message *m, struct attributes *out);
/* "urgent", "normal", "bulk" */
struct slice queue_priority_name(const struct queue_message *m);
/* No part, batch or reader may be left. */
void queue_message_free(struct queue *q, struct queue_message *m);
struct queue_message *queue_message_resolve(struct queue *q, struct handle h);

/* Hands over the malloc'ed whole content; the queue's memory budget counts it. */
void queue_message_give_body(struct queue *q, struct queue_message *m, char *body);
void queue_message_drop_body(struct queue *q, struct queue_message *m);

void queue_rcpt_set_state(struct queue_message *m, struct queue_rcpt *r,
                          enum queue_rcpt_state state);
/* Keeps what a failure said. */
void queue_rcpt_remember(struct queue_rcpt *r, const struct outcome *o);

/* core/base/id.h. */
enum { QUEUE_ID_TEXT_BYTES = ID_TEXT_BYTES };
struct slice queue_id_text(uint64_t id, char dst[QUEUE_ID_TEXT_BYTES + 1]);
bool queue_id_parse(struct slice text, uint64_t *out);

#endif
