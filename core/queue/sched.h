/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sched - a site's scheduler: which part goes next, over how many connections, at which worker
 *
 * Purpose:   everything that is decided for a site as a whole, at the one worker that owns it: the order
 *            of its parts, the number of its connections in all workers, its rest after failures.
 * Owner:     the site of the owning worker. Thread: the owner's.
 * Units:     connections and parts; mono ms.
 * Limits:    those of the route (core/policy/site_limits.h): `connections` in all workers together. Another
 *            worker is given at most twice `chunking_window` (at least 4) parts for each of its connections,
 *            so that a connection's window can be filled while more are on the way; one while it is opened.
 * Errors:    without memory a part is let go: it is routed again.
 *
 * The owner's own connections take parts when they can send one. Other workers are given parts: those that
 * they accepted themselves, for a connection that is free or may be opened; others when all connections
 * here are busy, so with one client connection all workers deliver; and when nobody has or gets a free one,
 * some ahead, so that connections do not wait for the way between workers.
 */
#ifndef RINGPOST_QUEUE_SCHED_H
#define RINGPOST_QUEUE_SCHED_H

#include "core/queue/meter.h"
#include "core/queue/site.h"

enum {
    QUEUE_SCHED_FULL_MS = 1000, /* a worker that has no place for a connection is asked again */
    QUEUE_SCHED_RETRY_MS = 50,  /* a connection that another site of the provider may give back */
    QUEUE_LIMIT_MS = 30 * 1000, /* how long a peer that had enough is believed */
};

struct queue_lane {
    uint32_t granted;  /* connections it may have */
    uint32_t working;  /* of them, those that were ready for a transaction, as far as told */
    uint32_t assigned; /* parts it has; not counted for the owner itself */
    uint64_t full_until_ms;
    bool stuck; /* its connections do not move: nothing is to stand behind them until they do */
};

/* Why no connection could be opened when one was asked for last. */
enum queue_connect_wait {
    QUEUE_CONNECT_FREE,
    QUEUE_CONNECT_RATE,
    QUEUE_CONNECT_PROVIDER,
    QUEUE_CONNECT_SOURCE,
};

struct queue_sched {
    struct queue *queue;
    struct queue_site *site;
    struct ready waiting;
    struct list link; /* in queue->scheds: to be looked at */
    uint32_t granted; /* of all lanes */
    uint32_t working;
    uint32_t assigned;
    uint32_t limit; /* 0: the configured one */
    uint64_t limit_until_ms;
    struct timer retry; /* armed: a connection may be possible then */
    enum queue_connect_wait connect_wait;
    struct queue_meter sent;      /* parts */
    struct queue_meter arrived;   /* from routing, here and at other workers */
    struct queue_meter delivered; /* of those sent */
    struct queue_meter deferred;
    uint64_t ramp_since_ms;           /* its first connection after a rest was allowed; ramp_up */
    uint64_t ramp_idle_ms;            /* when it had none any more */
    struct timer unhold;              /* armed: a tenant or campaign may go on then */
    struct queue_toll_wait holds_for; /* the newest reason why one may not */
    struct timer pause;               /* armed: the second try after a failure waits for it */
    uint64_t down_until_ms;           /* rest after no host could be reached twice */
    struct outcome down;              /* why */
    char down_text[LIMIT_OUTCOME_TEXT_BYTES];
    uint32_t failures; /* in a row */
    unsigned lane_count;
    struct queue_lane lanes[]; /* by worker */
};

/* NULL: no memory. */
struct queue_sched *queue_sched_new(struct queue *q, struct queue_site *s);
/* Nothing may wait. */
void queue_sched_free(struct queue_sched *d);

void queue_sched_push(struct queue_sched *d, struct queue_part *p, bool front);
/* The next part; NULL: none may go. */
struct queue_part *queue_sched_peek(struct queue_sched *d);
struct queue_part *queue_sched_take(struct queue_sched *d);
/* p's tenant or campaign may not go before until_ms; p stands first. */
void queue_sched_hold(struct queue_sched *d, const struct queue_part *p,
                      const struct queue_toll_wait *wait, uint64_t until_ms);
/* Everything that waits is let go. */
void queue_sched_release(struct queue_sched *d);
/* Everything that waits ends with that outcome. */
void queue_sched_end(struct queue_sched *d, const struct outcome *why);
/* No tenant or campaign is held any more; those that must be will be again. */
void queue_sched_unhold(struct queue_sched *d);
/* It may have something to decide then, at the latest. */
void queue_sched_retry_at(struct queue_sched *d, uint64_t at_ms);
/* It has something to decide in this turn. */
void queue_sched_wake(struct queue_sched *d);

/* One more connection for this worker? */
bool queue_sched_grant(struct queue_sched *d, unsigned worker);
/* Nobody has a connection, and it is only for want of a place. */
static inline bool queue_sched_wants_place(const struct queue_sched *d)
{
    return d && ready_may_go(&d->waiting) && d->granted == 0 && !timer_armed(&d->pause);
}
/* How many connections ramp_up allows now. */
uint64_t queue_sched_ramp(const struct queue_sched *d);
/* The peer has judged parts. */
void queue_sched_sent(struct queue_sched *d, const struct queue_credit *c);
/* What an executor tells; failed: NULL, or why its last connection found no host. */
void queue_sched_credit(struct queue_sched *d, unsigned worker, const struct queue_credit *credit);
/* dropped: see queue_site_failed. */
void queue_sched_failed(struct queue_sched *d, const struct outcome *why, bool dropped);

/* Gives parts to other workers; sites that rest have theirs deferred. local: the connections of this worker
 * have taken what they could. */
void queue_sched_run(struct queue *q, bool local);

#endif
