/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * times - from when and until when a message is tried, and when its sender is told that it is late
 *
 * Purpose:   queue.max_age and dsn.delay_after count from the time a message may be sent at; its own expiry
 *            (X-Ringpost-Expire, DELIVERBY R) and notice (DELIVERBY N) come first when they are earlier.
 * Owner:     none. Units: wall ms since 1970; UINT64_MAX: never.
 * Thread:    the message's home; queue_message_is_over: whoever has a part of it (what it reads never
 *            changes).
 */
#ifndef RINGPOST_QUEUE_TIMES_H
#define RINGPOST_QUEUE_TIMES_H

#include "core/conf/conf.h"
#include "core/queue/message.h"

/* Arrival, or the time it was to be sent at. */
uint64_t queue_message_start_ms(const struct queue_message *m);
/* When attempts end. */
uint64_t queue_message_end_ms(const struct queue_message *m, const struct conf_queue *c);
/* When a report of delay is due. */
uint64_t queue_message_late_ms(const struct queue_message *m, const struct conf_dsn *c);

/* The time of DELIVERBY, seconds since 1970; 0: it was not asked for. */
static inline uint64_t queue_message_by_s(const struct queue_message *m)
{
    return m->by & ATTRIBUTES_BY_RETURN   ? m->expire_s
           : m->by & ATTRIBUTES_BY_NOTIFY ? m->notify_s
                                          : 0;
}

/* Nobody may be sent it any more. */
static inline bool queue_message_is_over(const struct queue_message *m, uint64_t wall_us)
{
    return m->expire_s && wall_us / 1000000 >= m->expire_s;
}

/* What is said of a recipient then: expired, not bounced. */
struct outcome queue_outcome_over(void);
bool queue_outcome_is_over(const struct outcome *o);

#endif
