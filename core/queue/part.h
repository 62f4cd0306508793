/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * part - one message with those of its recipients that go to one place in one transaction
 *
 * Purpose:   what waits for a route, stands in a site's order, is given to a worker, is leased to a
 *            connection.
 * Owner:     the *home* (the queue that accepted the message) makes and frees it; in between whoever has it:
 *            a list, a connection, or another worker (core/queue/far.h). While it exists its message has
 *            one more reader, so content in memory stays.
 * Thread:    of whoever has it. Of the message another worker reads only what never changes: sender,
 *            envid, ret, flags, sizes, attributes, body, and address, orcpt and notify of the part's recipients.
 * Limits:    recipients_per_transaction recipients.
 */
#ifndef RINGPOST_QUEUE_PART_H
#define RINGPOST_QUEUE_PART_H

#include "core/io/mailbox.h"
#include "core/queue/message.h"
#include "core/queue/ready.h"

struct route_plan;

struct queue_part {
    struct mail mail;        /* on the way to another worker */
    struct list in_list;     /* domain->waiting, site->filling or site->lane */
    struct ready_item ready; /* in the owner's order */
    struct list of_message;
    struct queue_message *message;
    struct queue_domain *domain; /* while waiting for a route */
    struct queue_site *site;     /* of the worker that has it */
    struct queue_site *there;    /* on the way to or from an executor: the owner's */
    struct route_plan *plan;     /* on the way: where it goes. Owned. */
    uint64_t serial;             /* of the configuration it was routed by */
    uint32_t warmup_date;        /* of `paid`: the day it is counted for (core/queue/warmup.h) */
    uint32_t count;
    uint32_t cap;
    uint16_t owner;    /* the worker that assigned it … */
    uint16_t executor; /* … to this one */
    uint8_t returns;   /* times it came back unsent from a connection that had died */
    bool grant;        /* on the way to an executor: it may open one more connection */
    bool paid;         /* its share of all rates; while a connection has it */
    bool front;        /* on the way back: before the others */
    _Atomic bool sending;
    _Atomic bool recalled;   /* core/queue/recall.h: who receives it lets it go */
    _Atomic uint16_t holder; /* the worker that has it, written by that one */
    uint16_t recalls;        /* the home's: recalls that name it */
    bool over;               /* the home's: freed when they are back */
    uint32_t rcpts[];        /* indexes */
};

/* NULL: no memory. Empty, in no list. s: where it goes, NULL: not known yet. */
struct queue_part *queue_part_new(struct queue *q, struct queue_message *m,
                                  const struct queue_site *s);
/* It must be in no list. */
void queue_part_free(struct queue_part *p);
/* Is there room in p (may be NULL) for one more recipient of m, and does it still wait here? */
bool queue_part_takes(const struct queue_part *p, const struct queue_message *m);
void queue_part_add(struct queue_part *p, uint32_t rcpt);
/* Its message was accepted by another worker. */
bool queue_part_is_guest(const struct queue *q, const struct queue_part *p);

/* A leased part keeps its first `count` recipients; the others become a part of their own, leased too.
 * NULL: no memory, p is as before. Not for guests. */
struct queue_part *queue_part_split(struct queue *q, struct queue_part *p, uint32_t count);

/* Ends a part that is in no list and not leased with one outcome for all its recipients. */
void queue_part_refuse(struct queue *q, struct queue_part *p, const struct outcome *o);

/* A part in no list is let go: its recipients are WAITING again, its message due. A guest goes home for
 * that. */
void queue_part_release(struct queue *q, struct queue_part *p);
/* Empties a list of parts in the same way. */
void queue_parts_release(struct queue *q, struct list *parts);

#endif
