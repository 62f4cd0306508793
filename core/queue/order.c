/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The walk. While it goes on messages come and go: what is parked moves between the pool of messages and
 * the lot (park.h), so the pool is looked through once more at the end. Whatever is done is done to a recipient
 * once: the second time it is no longer concerned.
 */
#include "core/queue/order.h"
#include "core/queue/queue.h"
#include "core/queue/recall.h"

#include <stdlib.h>

enum order_step { ORDER_WALK, ORDER_WALK_AGAIN, ORDER_SETTLE, ORDER_LIST };

enum { ORDER_CHECK_CLOCK = 32 }; /* messages between two looks at the clock */

struct queue_order {
    struct list link;
    enum order_step step;
    struct queue_order_init init;
    struct queue_order_counts counts;
    struct queue_walk walk;
    uint64_t id_max;   /* what came later is not meant … */
    uint64_t began_us; /* … nor, of other workers, what was accepted later than this */
    bool passed;       /* a turn of routing since all parts are back */
    uint64_t *ids;     /* LIST: the smallest so far, the largest of them first (a heap) */
    uint32_t id_count;
    uint32_t id_next;
};

static bool order_only_reads(const struct queue_order *o)
{
    return o->init.dry_run || o->init.action == QUEUE_ACT_COUNT || o->init.action == QUEUE_ACT_LIST;
}

void queue_orders_open(struct queue *q)
{
    list_init(&q->orders.all);
    list_init(&q->orders.blocked);
}

bool queue_order_start(struct queue *q, const struct queue_order_init *init)
{
    must(init->action != QUEUE_ACT_NONE);
    must(init->action != QUEUE_ACT_LIST || (init->limit && init->lines));
    struct queue_order *o = q->orders.count < QUEUE_ORDERS_MAX ? calloc(1, sizeof(*o)) : NULL;
    if (!o) {
        return false;
    }
    o->init = *init;
    o->id_max = q->id_last;
    o->began_us = io_now(q->io)->wall_us;
    if (init->action == QUEUE_ACT_LIST) {
        o->ids = calloc(init->limit, sizeof(*o->ids));
        if (!o->ids) {
            free(o);
            return false;
        }
    }
    list_push_back(&q->orders.all, &o->link);
    q->orders.count++;
    q->orders.walking += order_only_reads(o) ? 0 : 1;
    o->walk.select = &o->init.select;
    return true;
}

static void order_end(struct queue *q, struct queue_order *o)
{
    list_remove(&o->link);
    q->orders.count--;
    if (!order_only_reads(o) && (o->step == ORDER_WALK || o->step == ORDER_WALK_AGAIN)) {
        q->orders.walking--; /* the engine ends */
    }
    if (o->init.done) {
        o->init.done(o->init.ctx, &o->counts, o->init.lines);
    }
    free(o->ids);
    free(o);
}

void queue_orders_stop(struct queue *q)
{
    struct list *node;
    while ((node = list_first(&q->orders.all))) {
        order_end(q, LIST_ENTRY(node, struct queue_order, link));
    }
}

/* ---- counting and listing ---- */

static void order_count_rcpt(struct queue *q, struct queue_order_counts *c,
                             const struct queue_message *m, const struct queue_rcpt *r)
{
    c->recipients++;
    if (r->state == QUEUE_RCPT_READY) {
        if (queue_rcpt_is_sending(m, r)) {
            c->sending++;
        } else {
            c->ready++;
        }
    } else if (r->due_ms == QUEUE_DUE_HELD) {
        c->held++;
    } else if (r->due_ms == QUEUE_DUE_SUSPENDED) {
        c->suspended++;
    } else if (r->attempts) {
        c->deferred++;
    } else {
        c->waiting++;
    }
    (void)q;
}

static uint32_t order_count(struct queue *q, struct queue_order *o, const struct queue_message *m)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->rcpt_count; i++) {
        const struct queue_rcpt *r = &m->rcpts[i];
        if (queue_select_rcpt(q, &o->init.select, m, r) &&
            queue_order_concerns(q, &o->init, m, r)) {
            order_count_rcpt(q, &o->counts, m, r);
            n++;
        }
    }
    return n;
}

static void heap_down(uint64_t *ids, uint32_t count, uint32_t at)
{
    for (;;) {
        uint32_t most = at;
        for (uint32_t k = 2 * at + 1; k <= 2 * at + 2 && k < count; k++) {
            most = ids[k] > ids[most] ? k : most;
        }
        if (most == at) {
            return;
        }
        uint64_t swap = ids[at];
        ids[at] = ids[most];
        ids[most] = swap;
        at = most;
    }
}

/* Keeps the smallest ids. */
static void order_keep_id(struct queue_order *o, uint64_t id)
{
    if (id <= o->init.after) {
        return;
    }
    if (o->id_count == o->init.limit) {
        if (id < o->ids[0]) {
            o->ids[0] = id;
            heap_down(o->ids, o->id_count, 0);
        }
        return;
    }
    uint32_t at = o->id_count++;
    o->ids[at] = id;
    while (at && o->ids[at] > o->ids[(at - 1) / 2]) {
        uint64_t swap = o->ids[at];
        o->ids[at] = o->ids[(at - 1) / 2];
        o->ids[(at - 1) / 2] = swap;
        at = (at - 1) / 2;
    }
}

static int order_by_id(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* ---- the walk ---- */

/* Of a message that matches: is there anything to do? */
static bool order_means(struct queue *q, const struct queue_order *o, const struct queue_message *m)
{
    for (uint32_t i = 0; i < m->rcpt_count; i++) {
        const struct queue_rcpt *r = &m->rcpts[i];
        if (queue_select_rcpt(q, &o->init.select, m, r) &&
            queue_order_concerns(q, &o->init, m, r)) {
            return true;
        }
    }
    return false;
}

static bool order_matches(const struct queue *q, const struct queue_order *o,
                          const struct queue_message *m)
{
    return m->queued && m->id <= o->id_max &&
           queue_select_message(&o->init.select, m, io_now(q->io)->wall_us);
}

static void order_see(struct queue *q, struct queue_order *o, struct queue_message *m)
{
    uint32_t n;
    uint64_t bytes = m->body_bytes;
    if (order_only_reads(o)) {
        n = order_count(q, o, m);
        if (n && o->init.action == QUEUE_ACT_LIST) {
            order_keep_id(o, m->id);
        }
    } else {
        if (!order_means(q, o, m)) {
            return;
        }
        if (m == &o->walk.copy) { /* it is parked: the whole one is wanted */
            uint64_t id = m->id;
            queue_walk_end(&o->walk);
            m = queue_find(q, id);
        }
        n = m ? queue_order_apply(q, &o->init, m, &o->counts.sending) : 0;
        o->counts.recipients += n;
    }
    o->counts.messages += n ? 1 : 0;
    o->counts.bytes += n ? bytes : 0;
}

static void order_walked(struct queue *q, struct queue_order *o)
{
    if (o->init.action == QUEUE_ACT_LIST) {
        qsort(o->ids, o->id_count, sizeof(o->ids[0]), order_by_id);
        o->step = ORDER_LIST;
    } else if (order_only_reads(o)) {
        order_end(q, o);
    } else if (o->step == ORDER_WALK && o->walk.parked) {
        o->step = ORDER_WALK_AGAIN;
        o->walk = (struct queue_walk){.select = &o->init.select};
    } else {
        queue_recall_flush(q);
        q->orders.walking--;
        o->step = ORDER_SETTLE;
    }
}

/* True: it has come to its end for this turn. */
static bool order_walk(struct queue *q, struct queue_order *o, uint64_t until_us)
{
    if (o->init.select.id) { /* no walk: it is known where it is */
        struct queue_message *m = queue_find(q, o->init.select.id);
        o->step = order_only_reads(o) ? o->step : ORDER_WALK_AGAIN;
        if (m && order_matches(q, o, m)) {
            order_see(q, o, m);
            m = queue_find(q, o->init.select.id);
        }
        if (m) {
            queue_settle(q, m); /* parked again, if it was */
        }
        order_walked(q, o);
        return false;
    }
    for (unsigned n = 1;; n++) {
        struct queue_message *m = queue_walk_next(q, &o->walk);
        if (!m && o->walk.more) {
            if (clock_read().mono_us > until_us) {
                return true;
            }
            continue;
        }
        if (!m || (o->step == ORDER_WALK_AGAIN && o->walk.parked)) {
            queue_walk_end(&o->walk);
            order_walked(q, o);
            return false;
        }
        if (order_matches(q, o, m)) {
            order_see(q, o, m);
        }
        if ((n % ORDER_CHECK_CLOCK == 0 && clock_read().mono_us > until_us) ||
            (!order_only_reads(o) && !list_empty(&q->unsaved))) {
            queue_walk_end(&o->walk);
            return true;
        }
    }
}

void queue_orders_meet(struct queue *q, struct queue_message *m)
{
    struct list *node, *tmp;
    LIST_FOR_EACH(node, tmp, &q->orders.all) {
        struct queue_order *o = LIST_ENTRY(node, struct queue_order, link);
        bool walks = o->step == ORDER_WALK || o->step == ORDER_WALK_AGAIN;
        if (walks && !order_only_reads(o) && order_matches(q, o, m) && order_means(q, o, m)) {
            uint64_t bytes = m->body_bytes;
            uint32_t n = queue_order_apply(q, &o->init, m, &o->counts.sending);
            o->counts.recipients += n;
            o->counts.messages += n ? 1 : 0;
            o->counts.bytes += n ? bytes : 0;
        }
    }
}

static bool order_holds_back(struct queue *q, const struct queue_order *o,
                             const struct queue_part *p)
{
    const struct queue_message *m = p->message;
    bool walks = o->step == ORDER_WALK || o->step == ORDER_WALK_AGAIN;
    bool meant = queue_part_is_guest(q, p) ? m->arrival_us <= o->began_us : m->id <= o->id_max;
    return walks && !order_only_reads(o) && meant &&
           queue_select_message(&o->init.select, m, o->began_us) &&
           queue_order_means_part(q, &o->init, p);
}

bool queue_orders_hold_back(struct queue *q, struct queue_site *s, const struct queue_part *p,
                            unsigned let_go)
{
    struct list *node, *tmp;
    LIST_FOR_EACH(node, tmp, &q->orders.all) {
        if (!order_holds_back(q, LIST_ENTRY(node, struct queue_order, link), p)) {
            continue;
        }
        if (let_go >= QUEUE_ORDER_LET_GO && !list_linked(&s->blocked)) {
            list_push_back(&q->orders.blocked, &s->blocked);
        }
        return true;
    }
    return false;
}

static void orders_unblock(struct queue *q)
{
    struct list *node;
    while ((node = list_pop_front(&q->orders.blocked))) {
        queue_site_activate(q, LIST_ENTRY(node, struct queue_site, blocked));
    }
}

static void order_list(struct queue *q, struct queue_order *o, uint64_t until_us)
{
    for (unsigned n = 1; o->id_next < o->id_count; n++) {
        uint64_t id = o->ids[o->id_next++];
        bool twice = o->id_next > 1 && o->ids[o->id_next - 2] == id; /* it was parked meanwhile */
        size_t before = o->init.lines->len;
        if (!twice) {
            queue_report_one(q, id, o->init.rcpts_max, o->init.lines);
        }
        if (o->init.lines->overflow) {
            o->init.lines->len = before;
            break;
        }
        if (n % ORDER_CHECK_CLOCK == 0 && clock_read().mono_us > until_us) {
            return;
        }
    }
    order_end(q, o);
}

static void order_settle(struct queue *q, struct queue_order *o)
{
    if (q->orders.recalls) {
        return;
    }
    if (!o->passed) {
        o->passed = true;
    } else if (q->orders.open_batches == 0) {
        order_end(q, o);
    }
}

static bool order_rests(const struct queue *q, const struct queue_order *o)
{
    switch (o->step) {
    case ORDER_WALK:
    case ORDER_WALK_AGAIN:
        return !order_only_reads(o) && !list_empty(&q->unsaved);
    case ORDER_SETTLE:
        return q->orders.recalls || (o->passed && q->orders.open_batches);
    case ORDER_LIST:
        return false;
    }
    return false;
}

void queue_orders_run(struct queue *q)
{
    uint64_t until_us = 0;
    struct list *node, *tmp;
    orders_unblock(q);
    LIST_FOR_EACH(node, tmp, &q->orders.all) {
        struct queue_order *o = LIST_ENTRY(node, struct queue_order, link);
        if (order_rests(q, o)) {
            continue;
        }
        until_us = until_us ? until_us : clock_read().mono_us + QUEUE_ORDER_SLICE_US;
        switch (o->step) {
        case ORDER_WALK:
        case ORDER_WALK_AGAIN:
            if (order_walk(q, o, until_us)) {
                return;
            }
            break;
        case ORDER_SETTLE:
            order_settle(q, o);
            break;
        case ORDER_LIST:
            order_list(q, o, until_us);
            break;
        }
    }
}

bool queue_orders_pending(const struct queue *q)
{
    struct list *node, *tmp;
    LIST_FOR_EACH(node, tmp, &q->orders.all) {
        if (!order_rests(q, LIST_ENTRY(node, struct queue_order, link))) {
            return true;
        }
    }
    return false;
}
