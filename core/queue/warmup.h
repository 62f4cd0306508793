/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * warmup - sources that begin slowly, as the queue meets them
 *
 * Purpose:   gives a site its track (core/policy/warmup_table.h), takes a message from it when a part goes, tells it
 *            the answers, and writes reservations down (QUEUE_MEMO_WARMUP).
 * Owner:     the table: the engine, for all workers. A site borrows its track.
 * Thread:    the queue's. Reservations are written by SPOOL_MEMO_WORKER, others ask it to.
 * Units:     messages; us of the monotonic clock, wall ms.
 * Limits:    of the table.
 * Errors:    without memory for a track its limit does not hold; for a write, it is tried again a second later.
 * Durability: that of the table: no message goes on a count that is not on the disk.
 *
 * When the day's allowance is used up, what stands at the site is let go once: routed anew it goes by another source
 * of its pool that has room (queue_warmup_may). What comes back, because there is none, waits here for the next day.
 */
#ifndef RINGPOST_QUEUE_WARMUP_H
#define RINGPOST_QUEUE_WARMUP_H

#include "core/policy/egress.h"
#include "core/policy/warmup_table.h"
#include "core/queue/memo.h"
#include "core/queue/site.h"

enum { QUEUE_WARMUP_LOOK_MS = 1000 };

/* Its track by its plan; NULL: it has no limit of this kind. */
struct warmup_track *queue_warmup_track(struct queue *q, const struct route_plan *plan);

/* May a part go? The wait says when to ask again. */
bool queue_warmup_check(struct queue *q, struct queue_site *s, struct queue_toll_wait *wait);
bool queue_warmup_take(struct queue *q, struct queue_site *s, struct queue_part *p,
                       struct queue_toll_wait *wait);
void queue_warmup_give(struct queue_site *s, const struct queue_part *p);
/* What the peer said to a message. */
void queue_warmup_answered(struct queue *q, struct queue_site *s, const struct outcome *last);
/* The site rests for this reason: whatever stands there may go by another source. */
void queue_warmup_overflow(struct queue *q, struct queue_site *s,
                           const struct queue_toll_wait *wait);

/* Its rest is over: does it go on resting? Nothing is opened for it meanwhile. */
bool queue_warmup_rests(struct queue *q, struct queue_site *s);
/* When a rest until until_ms is looked at again: the wall clock or an operator may bring the next day sooner. */
static inline uint64_t queue_warmup_look_ms(const struct queue_toll_wait *wait, uint64_t now_ms,
                                            uint64_t until_ms)
{
    uint64_t soon_ms = now_ms + QUEUE_WARMUP_LOOK_MS;
    return wait->by == QUEUE_TOLL_WARMUP && soon_ms < until_ms ? soon_ms : until_ms;
}

/* May mail of d go by this source today? For egress_pick.may. */
struct queue_warmup_asked {
    struct queue *queue;
    struct queue_domain *domain;
};
bool queue_warmup_may(void *ctx, const struct egress_source *source);

/* QUEUE_MAIL_WARMUP. */
void queue_warmup_on_mail(struct queue *q, struct mail *m);
void queue_warmup_drop_mail(struct mail *m);
/* The end: counts are written as they are, and nothing goes any more. */
void queue_warmup_stop(struct queue *q);

/* An operator's word; done is called once, perhaps at once. At SPOOL_MEMO_WORKER. False: no such track, nothing is
 * called. */
bool queue_warmup_set(struct queue *q, const struct warmup_name *name, uint32_t day,
                      queue_memo_done *done, void *ctx);
/* One JSON object per line, of sources that the configuration names. */
void queue_warmup_report(struct queue *q, struct buf *out);
/* ,"warmup":{…} of a site; nothing without a track. */
void queue_warmup_describe(struct queue *q, const struct queue_site *s, struct buf *out);
/* "warm-up day 3: 412 of 500" */
void queue_warmup_binding(struct queue *q, const struct queue_site *s, struct buf *out);

#endif
