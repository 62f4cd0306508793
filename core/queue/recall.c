/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/recall.h"
#include "core/base/must.h"
#include "core/queue/far.h"
#include "core/queue/sched.h"

#include <stdatomic.h>
#include <stdlib.h>

struct queue_recall {
    struct mail mail;
    struct queue *home;
    unsigned next; /* the worker that is visited */
    uint32_t count;
    struct queue_part *parts[QUEUE_RECALL_PARTS];
};

void queue_part_put(struct queue_part *p)
{
    if (p->recalls) {
        p->over = true;
        return;
    }
    free(p);
}

/* It stands in this worker's domain, order or lane. */
static bool recall_is_at_rest(const struct queue *q, const struct queue_part *p)
{
    return atomic_load_explicit(&p->holder, memory_order_relaxed) == q->worker &&
           !atomic_load_explicit(&p->sending, memory_order_relaxed) &&
           (list_linked(&p->in_list) || list_linked(&p->ready.link));
}

static void recall_let_go(struct queue *q, struct queue_part *p)
{
    struct queue_site *s = p->site;
    if (p->domain) {
        list_remove(&p->in_list);
        p->domain->last = p->domain->last == p ? NULL : p->domain->last;
    } else if (list_linked(&p->ready.link)) {
        must(s->sched != NULL);
        ready_remove(&s->sched->waiting, &p->ready);
        s->last = s->last == p ? NULL : s->last;
    } else {
        queue_lane_remove(q, s, p);
        queue_site_done(q, s);
    }
    queue_part_release(q, p);
}

static void recall_visit(struct queue *q, struct queue_recall *r)
{
    queue_sites_file(q); /* nothing is filling: what is in a list is in a domain's or a lane */
    for (uint32_t i = 0; i < r->count; i++) {
        if (recall_is_at_rest(q, r->parts[i])) {
            recall_let_go(q, r->parts[i]);
        }
    }
}

static void recall_over(struct queue *q, struct queue_recall *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        struct queue_part *p = r->parts[i];
        must(p->recalls > 0);
        if (--p->recalls == 0 && p->over) {
            free(p);
        }
    }
    must(q->orders.recalls > 0);
    q->orders.recalls--;
    free(r);
}

/* To the next worker, or nowhere: it has been everywhere, or all are leaving. */
static void recall_go_on(struct queue *q, struct queue_recall *r)
{
    r->next += r->next == q->worker ? 1 : 0;
    if (q->leaving || r->next >= q->group->workers) {
        recall_over(q, r);
        return;
    }
    q->away++;
    r->mail.type = QUEUE_MAIL_RECALL;
    mailbox_post(q->group->boxes[r->next++], &r->mail, q->io);
}

void queue_recall_on_mail(struct queue *q, struct mail *m)
{
    struct queue_recall *r = container_of(m, struct queue_recall, mail);
    if (r->home == q) {
        must(q->away > 0);
        q->away--;
        recall_go_on(q, r);
        return;
    }
    recall_visit(q, r);
    mailbox_post(q->group->boxes[r->home->worker], &r->mail, q->io);
}

void queue_recall_flush(struct queue *q)
{
    struct queue_recall *r = q->recall;
    q->recall = NULL;
    if (r) {
        recall_go_on(q, r);
    }
}

static void recall_add(struct queue *q, struct queue_part *p)
{
    if (!q->recall) {
        q->recall = calloc(1, sizeof(*q->recall));
        if (!q->recall) {
            return;
        }
        q->recall->home = q;
        q->orders.recalls++;
    }
    struct queue_recall *r = q->recall;
    r->parts[r->count++] = p;
    p->recalls++;
    if (r->count == QUEUE_RECALL_PARTS) {
        queue_recall_flush(q);
    }
}

bool queue_part_recall(struct queue *q, struct queue_part *p)
{
    must(!queue_part_is_guest(q, p));
    queue_sites_file(q);
    if (recall_is_at_rest(q, p)) {
        recall_let_go(q, p);
        return true;
    }
    bool far = q->group && q->group->workers > 1 &&
               atomic_load_explicit(&p->holder, memory_order_relaxed) != q->worker;
    if (far && p->recalls == 0) {
        atomic_store_explicit(&p->recalled, true, memory_order_relaxed);
        recall_add(q, p);
    }
    return false;
}
