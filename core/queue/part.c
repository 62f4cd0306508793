/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/part.h"
#include "core/base/must.h"
#include "core/queue/far.h"
#include "core/queue/queue.h"
#include "core/queue/recall.h"

#include <stdatomic.h>
#include <stdlib.h>

struct queue_part *queue_part_new(struct queue *q, struct queue_message *m,
                                  const struct queue_site *s)
{
    uint32_t cap = s && s->plan
                       ? (uint32_t)route_plan_number(s->plan,
                                                     CONF_SHAPING_RECIPIENTS_PER_TRANSACTION)
                       : q->conf->delivery.recipients_per_transaction;
    if (cap > LIMIT_RECIPIENTS_PER_TRANSACTION) {
        cap = LIMIT_RECIPIENTS_PER_TRANSACTION;
    }
    cap = m->open_count < cap ? m->open_count : cap;
    struct queue_part *p = calloc(1, sizeof(*p) + cap * sizeof(p->rcpts[0]));
    if (p) {
        p->message = m;
        p->cap = cap;
        p->serial = q->serial;
        atomic_init(&p->holder, (uint16_t)q->worker);
        list_push_back(&m->parts, &p->of_message);
        m->readers++;
    }
    return p;
}

void queue_part_free(struct queue_part *p)
{
    must(!list_linked(&p->in_list) && !list_linked(&p->ready.link));
    must(p->plan == NULL && p->message->readers > 0);
    list_remove(&p->of_message);
    p->message->readers--;
    queue_part_put(p);
}

bool queue_part_takes(const struct queue_part *p, const struct queue_message *m)
{
    return p && p->message == m && p->count < p->cap &&
           (list_linked(&p->in_list) || list_linked(&p->ready.link));
}

void queue_part_add(struct queue_part *p, uint32_t rcpt)
{
    must(p->count < p->cap);
    p->rcpts[p->count++] = rcpt;
    p->ready.cost = p->count;
}

bool queue_part_is_guest(const struct queue *q, const struct queue_part *p)
{
    return p->message->queue != q;
}

void queue_part_refuse(struct queue *q, struct queue_part *p, const struct outcome *o)
{
    struct outcome outcomes[LIMIT_RECIPIENTS_PER_TRANSACTION];
    for (uint32_t i = 0; i < p->count; i++) {
        outcomes[i] = *o;
    }
    struct queue_part_end end = {.outcomes = outcomes};
    queue_part_done(q, p, &end);
}

struct queue_part *queue_part_split(struct queue *q, struct queue_part *p, uint32_t count)
{
    must(count > 0 && count < p->count && !list_linked(&p->in_list));
    must(!queue_part_is_guest(q, p));
    uint32_t moved = p->count - count;
    struct queue_part *rest = calloc(1, sizeof(*rest) + moved * sizeof(rest->rcpts[0]));
    if (!rest) {
        return NULL;
    }
    rest->message = p->message;
    rest->site = p->site;
    rest->site->under_way++;
    rest->serial = p->serial;
    atomic_init(&rest->holder, (uint16_t)q->worker);
    rest->cap = rest->count = rest->ready.cost = moved;
    memcpy(rest->rcpts, p->rcpts + count, moved * sizeof(rest->rcpts[0]));
    p->count = p->ready.cost = count;
    list_push_back(&p->message->parts, &rest->of_message);
    p->message->readers++;
    return rest;
}

void queue_part_release(struct queue *q, struct queue_part *p)
{
    struct queue_message *m = p->message;
    if (queue_part_is_guest(q, p)) {
        queue_far_release(q, p);
        return;
    }
    for (uint32_t i = 0; i < p->count; i++) {
        queue_rcpt_set_state(m, &m->rcpts[p->rcpts[i]], QUEUE_RCPT_WAITING);
    }
    queue_part_free(p);
    if (!list_linked(&m->link) && !q->stopping) {
        list_push_back(&q->due, &m->link); /* routed anew */
    }
}

void queue_parts_release(struct queue *q, struct list *parts)
{
    struct list *node;
    while ((node = list_pop_front(parts))) {
        queue_part_release(q, LIST_ENTRY(node, struct queue_part, in_list));
    }
}
