/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * order - what an operator wants done with queued mail, done by one worker with what it has
 *
 * Purpose:   looks through the queue in slices of a few milliseconds per turn of the loop, does what is
 *            ordered with each recipient that is meant, and says so when every record of it is durable.
 * Owner:     the queue. Thread: the queue's.
 * Units:     messages, recipients; QUEUE_ORDER_SLICE_US of each turn for all orders together.
 * Limits:    QUEUE_ORDERS_MAX at a time. Results are one frame per message in the groups that are committed
 *            anyway: what is written grows with what is changed, not with the queue.
 * Errors:    while the disk takes no results the walk rests. Without memory for an order: not started.
 * Durability: done comes after the last record is durable.
 *
 *   WALK ─(every message seen)─► SETTLE ─(parts are back, records durable)─► LIST? ─► done, freed
 *
 * What is meant by an order is what is in the queue when it begins. Of a recipient that
 *   waits             it is done at once;
 *   stands in an order of a site, here or at another worker: the part is taken back first (recall.h);
 *   is in a transaction: its outcome counts. Only if it is to be tried again, the order is done then.
 *
 * HOLD writes "deferred until QUEUE_DUE_HELD", RELEASE and RETRY "deferred until now" (or until the time that the
 * sender has set, if that is later), BOUNCE and DELETE a final result, ROUTE the target's number with the time it is
 * due: now, unless it is held or not to go before later. SUSPEND and RESUME follow a change of core/queue/suspend.h
 * and write nothing.
 *
 * When it counts: at once for what is begun. What is due while the walk has not come to it yet is dealt with before
 * it is routed (queue_orders_meet); a part that is meant and would be sent now is let go instead
 * (queue_orders_hold_back), also one of another worker, which has the same order. So nothing that is meant is begun any
 * more, however long the walk over millions that wait takes. An order by id does not walk. Of what is parked only what
 * the selection may mean is made a message.
 */
#ifndef RINGPOST_QUEUE_ORDER_H
#define RINGPOST_QUEUE_ORDER_H

#include "core/base/list.h"
#include "core/queue/select.h"

struct buf;
struct queue_order;
struct queue_part;

enum queue_action {
    QUEUE_ACT_NONE,
    QUEUE_ACT_COUNT,
    QUEUE_ACT_LIST,
    QUEUE_ACT_RETRY,
    QUEUE_ACT_HOLD,
    QUEUE_ACT_RELEASE,
    QUEUE_ACT_BOUNCE,
    QUEUE_ACT_BOUNCE_QUIETLY,
    QUEUE_ACT_DELETE,
    QUEUE_ACT_ROUTE,
    QUEUE_ACT_SUSPEND,
    QUEUE_ACT_RESUME,
};

enum {
    QUEUE_ORDERS_MAX = 64,
    QUEUE_ORDER_SLICE_US = 3000,
    QUEUE_ORDER_LET_GO = 16, /* parts of one site when it is asked for one to send */
};

/* How the sender is told about a BOUNCE (5.7.1). */
#define QUEUE_TEXT_BOUNCED SLICE("bounced by the administrator")

/* Messages and recipients that are meant and concerned; recipients by what they are now. */
struct queue_order_counts {
    uint64_t messages;
    uint64_t recipients;
    uint64_t sending; /* in transactions: their outcome counts */
    uint64_t waiting; /* these: COUNT only */
    uint64_t deferred;
    uint64_t ready;
    uint64_t held;
    uint64_t suspended;
    uint64_t bytes; /* of the messages */
};

struct queue_order_init {
    enum queue_action action;
    bool dry_run;    /* only count */
    uint16_t target; /* ROUTE: core/queue/target.h */
    struct queue_select select;
    uint32_t limit;     /* LIST: messages, the smallest ids above `after` */
    uint64_t after;     /* LIST */
    uint32_t rcpts_max; /* LIST: recipients of a message */
    /* NULL: nobody waits for it. LIST: lines are messages in the order of their ids; it is cut short when
     * they overflow. */
    void (*done)(void *ctx, const struct queue_order_counts *counts, struct buf *lines);
    void *ctx;
    struct buf *lines; /* LIST */
};

struct queue_orders {
    struct list all;
    unsigned count;
    struct list blocked;   /* struct queue_site.blocked: asked again in the next turn */
    unsigned walking;      /* that change something and have not seen every message */
    uint64_t open_batches; /* results of orders that are not durable yet */
    uint64_t recalls;      /* core/queue/recall.h: on their way */
};

void queue_orders_open(struct queue *q);
/* All that are under way end where they are; done is called. */
void queue_orders_stop(struct queue *q);
/* False: too many, or no memory; done is not called. */
bool queue_order_start(struct queue *q, const struct queue_order_init *init);
/* In each turn, behind the routing. */
void queue_orders_run(struct queue *q);
bool queue_orders_pending(const struct queue *q);
/* m is about to be routed: orders whose walk has not come to it count now. */
void queue_orders_meet(struct queue *q, struct queue_message *m);

struct queue_site;
/* p is the next that site s would send. True: an order that is still being done means it, so it must not be sent now:
 * let it go, or when that has been done with `let_go` of them, send nothing of this site in this turn. */
bool queue_orders_hold_back(struct queue *q, struct queue_site *s, const struct queue_part *p,
                            unsigned let_go);

/* ---- core/queue/order_apply.c ---- */

/* Whether the action has anything to do with this recipient. */
bool queue_order_concerns(struct queue *q, const struct queue_order_init *order,
                          const struct queue_message *m, const struct queue_rcpt *r);
/* p stands in line. Of a guest only what never changes is looked at, so not every selection can be told. */
bool queue_order_means_part(struct queue *q, const struct queue_order_init *order,
                            const struct queue_part *p);
/* Does it with those of m that are meant; m may be gone then. Returns how many recipients; *sending of them are
 * in transactions. */
uint32_t queue_order_apply(struct queue *q, const struct queue_order_init *order,
                           struct queue_message *m, uint64_t *sending);
/* Recipients that were marked while they were under way and wait now. */
void queue_order_marked(struct queue *q, struct queue_message *m);

#endif
