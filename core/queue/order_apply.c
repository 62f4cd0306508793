/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One message of an order.
 */
#include "core/queue/order.h"
#include "core/queue/queue.h"
#include "core/queue/recall.h"

#include <stdatomic.h>
/* Recipients of one message that the same is done with. */
struct order_pick {
    enum queue_action action;
    const struct queue_order_init *order; /* NULL: they were marked before */
    uint32_t count;
    uint32_t rcpts[QUEUE_BATCH_RCPTS_MAX];
};

static bool order_is_suspended(struct queue *q, const struct queue_message *m,
                               const struct queue_rcpt *r)
{
    return queue_suspend_covers(q, m, r) ||
           (q->suspensions.count[QUEUE_SCOPE_SITE] && queue_suspend_site(q, queue_rcpt_site(q, r)));
}

/* Its sender's "not before" is no reason of ours to wait: no order takes it away. */
static uint64_t order_now_ms(struct queue *q, const struct queue_message *m)
{
    uint64_t now_ms = io_now(q->io)->wall_us / 1000;
    uint64_t not_before_ms = (uint64_t)m->not_before_s * 1000;
    return not_before_ms > now_ms ? not_before_ms : now_ms;
}

bool queue_order_concerns(struct queue *q, const struct queue_order_init *order,
                          const struct queue_message *m, const struct queue_rcpt *r)
{
    enum queue_action action = order->action;
    if (r->state == QUEUE_RCPT_ENDED) {
        return false;
    }
    bool waits = r->state == QUEUE_RCPT_WAITING;
    if (!waits && r->order == action && action != QUEUE_ACT_ROUTE) {
        return false; /* it is known already */
    }
    switch (action) {
    case QUEUE_ACT_NONE:
        return false;
    case QUEUE_ACT_COUNT:
    case QUEUE_ACT_LIST:
    case QUEUE_ACT_BOUNCE:
    case QUEUE_ACT_BOUNCE_QUIETLY:
    case QUEUE_ACT_DELETE:
        return true;
    case QUEUE_ACT_RETRY:
        return waits && r->due_ms < QUEUE_DUE_HELD && r->due_ms > order_now_ms(q, m);
    case QUEUE_ACT_HOLD:
        return !waits || r->due_ms != QUEUE_DUE_HELD;
    case QUEUE_ACT_RELEASE:
        return (waits && r->due_ms == QUEUE_DUE_HELD) || r->order == QUEUE_ACT_HOLD;
    case QUEUE_ACT_ROUTE:
        return r->target != order->target;
    case QUEUE_ACT_SUSPEND:
        /* What waits for its time meets the suspension when it is due. */
        return !waits && order_is_suspended(q, m, r);
    case QUEUE_ACT_RESUME:
        return waits && r->due_ms == QUEUE_DUE_SUSPENDED && !order_is_suspended(q, m, r);
    }
    return false;
}

bool queue_order_means_part(struct queue *q, const struct queue_order_init *order,
                            const struct queue_part *p)
{
    static const bool stops[QUEUE_ACT_RESUME + 1] = {
        [QUEUE_ACT_HOLD] = true,   [QUEUE_ACT_BOUNCE] = true, [QUEUE_ACT_BOUNCE_QUIETLY] = true,
        [QUEUE_ACT_DELETE] = true, [QUEUE_ACT_ROUTE] = true,  [QUEUE_ACT_SUSPEND] = true,
    };
    const struct queue_select *s = &order->select;
    const struct queue_message *m = p->message;
    bool guest = queue_part_is_guest(q, p);
    bool told = !guest || (!s->last_reply[0] && !s->site[0] && !s->source[0] &&
                           order->action != QUEUE_ACT_ROUTE);
    for (uint32_t i = 0; stops[order->action] && told && i < p->count; i++) {
        const struct queue_rcpt *r = &m->rcpts[p->rcpts[i]];
        if (queue_select_rcpt(q, s, m, r) &&
            (order->action == QUEUE_ACT_SUSPEND
                 ? queue_suspend_covers(q, m, r) || queue_suspend_site(q, p->site)
                 : guest || queue_order_concerns(q, order, m, r))) {
            return true;
        }
    }
    return false;
}

static void pick_tell(struct queue *q, struct queue_message *m, struct order_pick *pick)
{
    if (pick->count == 0) {
        return;
    }
    struct queue_ordered what = {.kind = SPOOL_RESULT_DEFERRED, .due_ms = order_now_ms(q, m)};
    switch (pick->action) {
    case QUEUE_ACT_HOLD:
        what.due_ms = QUEUE_DUE_HELD;
        break;
    case QUEUE_ACT_BOUNCE:
    case QUEUE_ACT_BOUNCE_QUIETLY:
        what.kind = SPOOL_RESULT_BOUNCED;
        what.quiet = pick->action == QUEUE_ACT_BOUNCE_QUIETLY;
        break;
    case QUEUE_ACT_DELETE:
        what.kind = SPOOL_RESULT_CANCELLED;
        break;
    case QUEUE_ACT_ROUTE:
        what.keep_due = true;
        break;
    case QUEUE_ACT_RETRY:
    case QUEUE_ACT_RELEASE:
    case QUEUE_ACT_NONE:
    case QUEUE_ACT_COUNT:
    case QUEUE_ACT_LIST:
    case QUEUE_ACT_SUSPEND:
    case QUEUE_ACT_RESUME:
        break;
    }
    queue_results_ordered(q, m, pick->rcpts, pick->count, &what);
    pick->count = 0;
}

/* It goes elsewhere now: what its old place said of it is no reason to wait. A hold stays, and a time that the
 * sender has set. */
static void pick_target(struct queue *q, struct queue_rcpt *r, const struct order_pick *pick)
{
    if (pick->order) {
        r->target = (uint8_t)pick->order->target;
    }
    if (r->due_ms == QUEUE_DUE_SUSPENDED || (r->attempts && r->due_ms < QUEUE_DUE_HELD)) {
        r->due_ms = io_now(q->io)->wall_us / 1000;
    }
}

static void pick_add(struct queue *q, struct queue_message *m, struct order_pick *pick,
                     uint32_t index)
{
    struct queue_rcpt *r = &m->rcpts[index];
    r->order = QUEUE_ACT_NONE;
    if (pick->action == QUEUE_ACT_SUSPEND) {
        return; /* it is routed, and meets the suspension there */
    }
    if (pick->action == QUEUE_ACT_RESUME) {
        r->due_ms = io_now(q->io)->wall_us / 1000; /* nothing of this is on the disk */
        return;
    }
    if (pick->action == QUEUE_ACT_ROUTE) {
        pick_target(q, r, pick);
    }
    pick->rcpts[pick->count++] = index;
    if (pick->count == QUEUE_BATCH_RCPTS_MAX) {
        pick_tell(q, m, pick);
    }
}

/* The part's recipients that are meant are marked. Returns how many. */
static uint32_t order_mark(struct queue *q, const struct queue_order_init *o,
                           struct queue_message *m, const struct queue_part *p)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        struct queue_rcpt *r = &m->rcpts[p->rcpts[i]];
        if (!queue_select_rcpt(q, &o->select, m, r) || !queue_order_concerns(q, o, m, r)) {
            continue;
        }
        n++;
        if (o->action == QUEUE_ACT_ROUTE) {
            /* Whatever is written of it next has the number; a hold or an end that it is marked for stays. */
            r->target = (uint8_t)o->target;
            r->order = (uint8_t)(r->order == QUEUE_ACT_NONE ? o->action : r->order);
            continue;
        }
        /* A release takes the mark of a hold away. */
        r->order = (uint8_t)(o->action == QUEUE_ACT_RELEASE ? QUEUE_ACT_NONE : o->action);
    }
    return n;
}

/* Those in parts: taken back, or marked for when they come. Returns how many are not back yet. */
static uint32_t order_parts(struct queue *q, const struct queue_order_init *o,
                            struct queue_message *m, uint64_t *sending)
{
    uint32_t away = 0;
    struct list *node, *tmp;
    LIST_FOR_EACH(node, tmp, &m->parts) {
        struct queue_part *p = LIST_ENTRY(node, struct queue_part, of_message);
        uint32_t n = order_mark(q, o, m, p);
        if (n == 0) {
            continue;
        }
        m->marked = true;
        bool sends = atomic_load_explicit(&p->sending, memory_order_relaxed);
        if (!queue_part_recall(q, p)) {
            away += n;
            *sending += sends ? n : 0;
        }
    }
    return away;
}

/* Let go at the end of a walk over m: what is to be attempted is routed, what has ended goes. */
static void order_let_go(struct queue *q, struct queue_message *m, bool route)
{
    m->readers--;
    if (route && m->open_count && !list_linked(&m->link) && !q->stopping) {
        list_push_back(&q->due, &m->link);
        return;
    }
    queue_body_unused(q, m);
    queue_schedule(q, m);
    queue_settle(q, m);
}

uint32_t queue_order_apply(struct queue *q, const struct queue_order_init *o,
                           struct queue_message *m, uint64_t *sending)
{
    struct order_pick pick = {.action = o->action, .order = o};
    m->readers++; /* neither results nor a part that comes back may end it meanwhile */
    uint32_t n = order_parts(q, o, m, sending);
    for (uint32_t i = 0; i < m->rcpt_count; i++) {
        struct queue_rcpt *r = &m->rcpts[i];
        bool marked = r->state == QUEUE_RCPT_WAITING && r->order == o->action;
        if (r->state != QUEUE_RCPT_WAITING ||
            (!marked &&
             (!queue_select_rcpt(q, &o->select, m, r) || !queue_order_concerns(q, o, m, r)))) {
            continue;
        }
        n++;
        pick_add(q, m, &pick, i);
    }
    pick_tell(q, m, &pick);
    bool route = n && (o->action == QUEUE_ACT_RETRY || o->action == QUEUE_ACT_RELEASE ||
                       o->action == QUEUE_ACT_ROUTE || o->action == QUEUE_ACT_RESUME ||
                       o->action == QUEUE_ACT_SUSPEND);
    order_let_go(q, m, route);
    return n;
}

void queue_order_marked(struct queue *q, struct queue_message *m)
{
    static const enum queue_action actions[] = {QUEUE_ACT_HOLD,           QUEUE_ACT_BOUNCE,
                                                QUEUE_ACT_BOUNCE_QUIETLY, QUEUE_ACT_DELETE,
                                                QUEUE_ACT_ROUTE,          QUEUE_ACT_SUSPEND};
    bool left = false;
    for (size_t a = 0; a < ARRAY_COUNT(actions); a++) {
        struct order_pick pick = {.action = actions[a]};
        for (uint32_t i = 0; i < m->rcpt_count; i++) {
            struct queue_rcpt *r = &m->rcpts[i];
            if (r->order == actions[a] && r->state == QUEUE_RCPT_WAITING) {
                pick_add(q, m, &pick, i);
            }
            left = left || (r->order != QUEUE_ACT_NONE && r->state == QUEUE_RCPT_READY);
        }
        pick_tell(q, m, &pick);
    }
    m->marked = left;
}
