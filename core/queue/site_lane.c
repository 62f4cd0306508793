/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a worker has of a site: rights to connections, and the parts in its lane. Both come from the owner and
 * go back to it when nothing can be done with them here.
 */
#include "core/base/must.h"
#include "core/queue/far.h"
#include "core/queue/queue.h"
#include "core/queue/sched.h"
#include "core/queue/warmup.h"

#include <stdlib.h>
#include <string.h>

/* The owner here learns at once, another with the next mail. */
static void queue_site_tell(struct queue *q, struct queue_site *s, const struct queue_credit *c)
{
    if (s->sched) {
        queue_sched_credit(s->sched, q->worker, c);
        return;
    }
    s->credit.done += c->done;
    s->credit.sent += c->sent;
    if (c->reply) {
        free(s->credit.reply);
        s->credit.reply = c->reply;
    }
    s->credit.delivered += c->delivered;
    s->credit.deferred += c->deferred;
    s->credit.granted += c->granted;
    s->credit.working += c->working;
    s->credit.served = s->credit.served || c->served;
    s->credit.full = s->credit.full || c->full;
    s->credit.stuck = s->credit.stuck || c->stuck;
    if (!list_linked(&s->credit_link)) {
        list_push_back(&q->credits, &s->credit_link);
    }
}

/* ---- the lane ---- */

void queue_lane_push(struct queue *q, struct queue_site *s, struct queue_part *p, bool front)
{
    must(!s->sched && !list_linked(&p->in_list));
    if (front) {
        list_push_front(&s->lane, &p->in_list);
    } else {
        list_push_back(&s->lane, &p->in_list);
    }
    s->lane_count++;
    if (!timer_armed(&s->patience)) {
        timer_start(q->timers, &s->patience, io_now(q->io)->mono_ms + QUEUE_LANE_PATIENCE_MS);
    }
    queue_site_activate(q, s);
}

struct queue_part *queue_lane_pop(struct queue *q, struct queue_site *s)
{
    struct list *node = list_pop_front(&s->lane);
    if (!node) {
        return NULL;
    }
    must(s->lane_count > 0);
    s->lane_count--;
    if (s->lane_count) {
        timer_start(q->timers, &s->patience, io_now(q->io)->mono_ms + QUEUE_LANE_PATIENCE_MS);
    } else {
        timer_stop(q->timers, &s->patience);
    }
    return LIST_ENTRY(node, struct queue_part, in_list);
}

void queue_lane_remove(struct queue *q, struct queue_site *s, struct queue_part *p)
{
    must(s->lane_count > 0);
    list_remove(&p->in_list);
    if (--s->lane_count == 0) {
        timer_stop(q->timers, &s->patience);
    }
}

/* Others may have better luck. The owner first hears why, or it would give them to us again. */
static void lane_back(struct queue *q, struct queue_site *s)
{
    if (s->lane_count && list_linked(&s->credit_link)) {
        queue_far_tell(q, s);
    }
    while (!list_empty(&s->lane)) {
        /* The newest first: each goes before those that are there. */
        struct queue_part *p = LIST_ENTRY(s->lane.prev, struct queue_part, in_list);
        list_remove(&p->in_list);
        queue_far_return(q, p, s);
    }
    s->lane_count = 0;
    timer_stop(q->timers, &s->patience);
}

void queue_lane_on_patience_over(struct timer *t, void *ctx)
{
    (void)ctx;
    struct queue_site *s = container_of(t, struct queue_site, patience);
    struct queue *q = s->queue;
    must(s->lane_count > 0);
    if (timer_armed(&s->rest)) { /* not the connections' fault: everybody waits for the rate */
        timer_start(q->timers, t, io_now(q->io)->mono_ms + QUEUE_LANE_PATIENCE_MS);
        return;
    }
    queue_site_tell(q, s, &(struct queue_credit){.stuck = true});
    lane_back(q, s);
}

/* ---- rights and news ---- */

bool queue_site_grant(struct queue *q, struct queue_site *s)
{
    if (s->connections < s->granted) {
        return s->surplus == 0;
    }
    if (!s->sched || !queue_sched_grant(s->sched, q->worker)) {
        return false;
    }
    s->granted++;
    return true;
}

void queue_site_done(struct queue *q, struct queue_site *s)
{
    if (!s->sched) {
        queue_site_tell(q, s, &(struct queue_credit){.done = 1});
    }
}

/* A copy for the owner, not more often than people look. */
static struct queue_reply *queue_site_reply_to_tell(struct queue *q, struct queue_site *s,
                                                    const struct outcome *o)
{
    enum { TELL_MS = 1000 };
    uint64_t now_ms = io_now(q->io)->mono_ms;
    if (s->sched || !s->replies ||
        (s->replies->told_ms && now_ms - s->replies->told_ms < TELL_MS)) {
        return NULL;
    }
    struct queue_reply *copy = malloc(sizeof(*copy));
    if (copy) {
        *copy = s->replies->last[o->kind == OUTCOME_DELIVERED ? 0 : 1];
        s->replies->told_ms = now_ms;
    }
    return copy;
}

void queue_site_take_reply(struct queue_site *s, struct queue_reply *reply)
{
    if (!s->replies) {
        s->replies = calloc(1, sizeof(*s->replies));
    }
    if (s->replies && s->replies->elsewhere.at_ms <= reply->at_ms) {
        s->replies->elsewhere = *reply;
    }
    free(reply);
}

static void queue_site_keep_reply(struct queue *q, struct queue_site *s, const struct outcome *o)
{
    enum { OFTEN_MS = 1000 };
    uint64_t now_ms = io_now(q->io)->mono_ms;
    if (!s->replies && !(s->replies = calloc(1, sizeof(*s->replies)))) {
        return;
    }
    struct queue_reply *r = &s->replies->last[o->kind == OUTCOME_DELIVERED ? 0 : 1];
    if (r->at_ms && now_ms - r->at_ms < OFTEN_MS && o->kind == OUTCOME_DELIVERED) {
        return;
    }
    r->at_ms = now_ms;
    r->code = o->code;
    r->len = (uint16_t)(o->text.len < sizeof(r->text) ? o->text.len : sizeof(r->text));
    if (r->len) {
        memcpy(r->text, o->text.ptr, r->len);
    }
}

void queue_site_sent(struct queue *q, struct queue_site *s, const struct outcome *last)
{
    if (!s->local) {
        struct queue_credit news = {.sent = 1,
                                    .delivered = last->kind == OUTCOME_DELIVERED,
                                    .deferred = last->kind == OUTCOME_TEMPORARY};
        queue_site_keep_reply(q, s, last);
        queue_warmup_answered(q, s, last);
        if (s->sched) {
            queue_sched_sent(s->sched, &news);
        } else {
            news.done = 1;
            news.reply = queue_site_reply_to_tell(q, s, last);
            queue_site_tell(q, s, &news);
        }
    }
}

void queue_site_give_back(struct queue *q, struct queue_site *s, bool full)
{
    if (s->local) {
        return; /* deliveries to mailboxes are nothing that is granted */
    }
    must(s->granted >= s->connections);
    uint32_t spare = s->granted - s->connections;
    if (spare) {
        s->surplus -= spare < s->surplus ? spare : s->surplus;
        s->granted -= spare;
        queue_site_tell(q, s, &(struct queue_credit){.granted = spare, .full = full});
    }
    if (!s->sched && s->granted == 0) {
        /* Also without a right to give back: they were sent off before the owner knew that our last
         * connection has ended. */
        lane_back(q, s);
    }
}

void queue_site_connection_over(struct queue *q, struct queue_site *s, bool greeted)
{
    must(s->connections > 0 && s->granted > 0);
    s->connections--;
    s->granted--;
    if (greeted) {
        must(s->working > 0);
        s->working--;
    }
    queue_site_tell(q, s, &(struct queue_credit){.granted = 1, .working = greeted ? -1 : 0});
    if (!s->sched && s->granted == 0) {
        lane_back(q, s);
    }
    if (queue_site_work(s)) {
        queue_site_activate(q, s);
    }
}

void queue_site_greeted(struct queue *q, struct queue_site *s)
{
    s->working++;
    queue_site_tell(q, s, &(struct queue_credit){.working = 1});
}

void queue_site_served(struct queue *q, struct queue_site *s)
{
    queue_site_tell(q, s, &(struct queue_credit){.served = true});
    if (queue_site_work(s)) {
        queue_site_activate(q, s);
    }
}

void queue_site_failed(struct queue *q, struct queue_site *s, const struct outcome *why,
                       bool dropped)
{
    if (s->sched) {
        queue_sched_failed(s->sched, why, dropped);
    } else {
        queue_far_failed(q, s, why, dropped);
    }
}
