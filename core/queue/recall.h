/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * recall - parts come back that no connection has yet
 *
 * Purpose:   what stands in a site's order or in a lane, here or at another worker, goes home so that an order
 *            (order.h) can be done with its recipients.
 * Owner:     the home. A recall is a list of parts that visits the other workers one after the other; who has
 *            one of them lets it go. What is on the way between workers meanwhile carries `recalled` and is let
 *            go by whoever receives it.
 * Thread:    the queue's; of a part of its home another worker reads only holder, sending and recalled, and
 *            more only when holder says that it has the part.
 * Limits:    QUEUE_RECALL_PARTS at a time.
 * Errors:    without memory: the part stays where it is and its mark counts when it comes back by itself.
 */
#ifndef RINGPOST_QUEUE_RECALL_H
#define RINGPOST_QUEUE_RECALL_H

#include "core/queue/part.h"

struct queue;

enum { QUEUE_RECALL_PARTS = 256, QUEUE_PART_ON_THE_WAY = UINT16_MAX };

/* p is ours. True: it was here and has been let go (it is gone). False: no connection's yet, but elsewhere: it is
 * recalled; or in a transaction. */
bool queue_part_recall(struct queue *q, struct queue_part *p);
/* Recalls that are not full go on their way. */
void queue_recall_flush(struct queue *q);
/* QUEUE_MAIL_RECALL. */
void queue_recall_on_mail(struct queue *q, struct mail *m);
/* Frees a part, or leaves that to the recall that still names it. */
void queue_part_put(struct queue_part *p);

#endif
