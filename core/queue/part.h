/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * part - one message with those of its recipients that go to one place in one transaction
 *
 * Purpose:   what waits for a route, stands in a ready list, or is leased to a connection.
 * Owner:     the queue; a connection while it is leased (then it is in no list).
 * Thread:    the owner's.
 * Limits:    delivery.recipients_per_transaction recipients.
 */
#ifndef RINGPOST_QUEUE_PART_H
#define RINGPOST_QUEUE_PART_H

#include "core/queue/message.h"

struct queue_part {
    struct list in_list; /* domain->waiting or site->ready */
    struct list of_message;
    struct queue_message *message;
    struct queue_domain *domain; /* while waiting */
    struct queue_site *site;
    uint32_t count;
    uint32_t cap;
    uint8_t returns;  /* times it came back unsent from a connection that had died */
    uint32_t rcpts[]; /* indexes */
};

/* NULL: no memory. Empty, in no list. */
struct queue_part *queue_part_new(struct queue *q, struct queue_message *m);
/* It must be in no list. */
void queue_part_free(struct queue_part *p);
/* Is there room in p (may be NULL) for one more recipient of m, and is it still waiting? */
bool queue_part_takes(const struct queue_part *p, const struct queue_message *m);

/* A leased part keeps its first `count` recipients; the others become a part of their own, leased too.
 * NULL: no memory, p is as before. */
struct queue_part *queue_part_split(struct queue *q, struct queue_part *p, uint32_t count);

/* Ends a part that is in no list and not leased with one outcome for all its recipients. */
void queue_part_refuse(struct queue *q, struct queue_part *p, const struct outcome *o);

/* Empties a list of parts: their recipients are WAITING again, their messages due. */
void queue_parts_release(struct list *parts);

#endif
