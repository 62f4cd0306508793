/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * brake_private - what the files of brake share
 *
 * Purpose:   making an effect, and what follows from it. Included by core/queue/brake*.c alone.
 * Owner:     the queue. Thread: the queue's. Units: wall ms. Limits: none. Errors: as said at each.
 */
#ifndef RINGPOST_QUEUE_BRAKE_PRIVATE_H
#define RINGPOST_QUEUE_BRAKE_PRIVATE_H

#include "core/queue/brake.h"

uint64_t queue_brake_now(const struct queue *q);
bool queue_brake_is_fresh(const struct queue *q, const struct queue_brake *b);
/* Anew. True: something holds, or did before. */
bool queue_brake_make(struct queue *q, struct queue_brake *b, const struct automation_keys *keys,
                      unsigned whos);
/* limits' message rate under the bound. */
void queue_brake_bound_rate(const struct automation_bound *bound, struct budget_limits *limits);
/* Why mail is given up by this override. */
struct outcome queue_brake_outcome(struct queue *q, uint64_t id,
                                   char text[LIMIT_OUTCOME_TEXT_BYTES]);

#endif
