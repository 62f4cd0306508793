/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/site.h"
#include "core/base/hash.h"
#include "core/base/must.h"
#include "core/queue/far.h"
#include "core/queue/queue.h"
#include "core/queue/sched.h"
#include "core/queue/times.h"
#include "core/queue/warmup.h"

#include <stdatomic.h>
#include <stdlib.h>

static bool queue_site_equal(const struct map_node *node, const void *key)
{
    return slice_eq_nocase(container_of(node, struct queue_site, by_key)->key,
                           *(const struct slice *)key);
}

/* The first worker that uses it owns it. */
static bool queue_site_join(struct queue *q, struct queue_site *s)
{
    s->owner = q->worker;
    if (q->group && !s->local) {
        s->joined = queue_group_join(q->group, s->key, q->worker, &s->owner);
    }
    if (s->owner == q->worker) {
        s->sched = queue_sched_new(q, s);
        if (!s->sched && s->joined) {
            queue_group_leave(q->group, s->key);
        }
        return s->sched != NULL;
    }
    return true;
}

static void queue_site_on_rest_over(struct timer *t, void *ctx)
{
    (void)ctx;
    struct queue_site *s = container_of(t, struct queue_site, rest);
    if (queue_warmup_rests(s->queue, s)) {
        return;
    }
    queue_site_activate(s->queue, s);
    if (s->sched) {
        queue_sched_wake(s->sched);
    }
}

static struct queue_site *queue_site_find(struct queue *q, struct slice key, bool local)
{
    uint64_t hash = map_hash_nocase(&q->sites, key);
    struct map_node *node = map_find(&q->sites, hash, queue_site_equal, &key);
    if (node) {
        return container_of(node, struct queue_site, by_key);
    }
    struct queue_site *s = calloc(1, sizeof(*s) + key.len);
    if (!s) {
        return NULL;
    }
    char *text = (char *)(s + 1);
    memcpy(text, key.ptr, key.len);
    s->key = slice_of(text, key.len);
    s->id = queue_label_hash(q, s->key);
    s->local = local;
    s->queue = q;
    s->rest.fire = queue_site_on_rest_over;
    s->patience.fire = queue_lane_on_patience_over;
    list_init(&s->filling);
    list_init(&s->lane);
    list_init(&s->idle);
    list_init(&s->roomy);
    if (!map_insert(&q->sites, &s->by_key, hash)) {
        free(s);
        return NULL;
    }
    if (!queue_site_join(q, s)) {
        map_remove(&q->sites, &s->by_key);
        free(s);
        return NULL;
    }
    return s;
}

struct queue_site *queue_site_known(struct queue *q, struct slice key)
{
    struct map_node *node = map_find(&q->sites, map_hash_nocase(&q->sites, key), queue_site_equal,
                                     &key);
    return node ? container_of(node, struct queue_site, by_key) : NULL;
}

struct queue_site *queue_site_get(struct queue *q, struct slice key)
{
    return queue_site_find(q, key, false);
}

struct queue_site *queue_site_get_local(struct queue *q)
{
    return queue_site_find(q, SLICE("mailboxes of this machine"), true); /* no host's name */
}

bool queue_site_unused(const struct queue_site *s)
{
    const struct queue_sched *d = s->sched;
    return s->domains == 0 && s->connections == 0 && s->granted == 0 && s->lane_count == 0 &&
           list_empty(&s->filling) && !list_linked(&s->credit_link) &&
           (!d || (d->waiting.count == 0 && d->granted == 0 && d->assigned == 0));
}

void queue_site_free(struct queue *q, struct queue_site *s)
{
    must(list_empty(&s->lane) && list_empty(&s->filling) && list_empty(&s->idle));
    must(s->connections == 0);
    struct list *const links[] = {&s->active, &s->fill_link, &s->credit_link, &s->blocked};
    for (size_t i = 0; i < ARRAY_COUNT(links); i++) {
        if (list_linked(links[i])) {
            list_remove(links[i]);
        }
    }
    if (s->sched) {
        queue_sched_free(s->sched);
    }
    if (s->joined) {
        queue_group_leave(q->group, s->key);
    }
    timer_stop(q->timers, &s->rest);
    timer_stop(q->timers, &s->patience);
    budget_put(q->budgets, &s->own);
    budget_put(q->budgets, &s->provider);
    budget_put(q->budgets, &s->total);
    route_plan_put(&s->plan);
    queue_brake_free(s);
    map_remove(&q->sites, &s->by_key);
    free(s->bad);
    free(s->replies);
    free(s->credit.reply);
    free(s);
}

/* ---- bad addresses ---- */

static uint64_t queue_host_hash(const struct route_candidate *c)
{
    return hash_bytes(c->host, 0);
}

static struct queue_bad *queue_site_bad(const struct queue_site *s, const struct route_candidate *c)
{
    uint64_t hash = queue_host_hash(c);
    for (uint32_t i = 0; i < s->bad_count; i++) {
        if (s->bad[i].host_hash == hash && ip_endpoint_eq(&s->bad[i].at, &c->endpoint)) {
            return &s->bad[i];
        }
    }
    return NULL;
}

bool queue_site_is_bad(const struct queue_site *s, const struct route_candidate *c, uint64_t now_ms)
{
    const struct queue_bad *bad = queue_site_bad(s, c);
    return bad && bad->until_ms > now_ms;
}

void queue_site_set_bad(struct queue_site *s, const struct route_candidate *c, uint64_t until_ms)
{
    struct queue_bad *bad = queue_site_bad(s, c);
    if (bad && until_ms == 0) {
        *bad = s->bad[--s->bad_count];
    } else if (bad) {
        bad->until_ms = until_ms;
    } else if (until_ms) {
        /* Full or without memory: the newest gives way. It only costs an attempt more. */
        if (s->bad_count < LIMIT_ADDRESSES_PER_SITE) {
            struct queue_bad *more = realloc(s->bad, (s->bad_count + 1) * sizeof(*s->bad));
            if (more) {
                s->bad = more;
                s->bad_count++;
            }
        }
        if (s->bad_count) {
            s->bad[s->bad_count - 1] = (struct queue_bad){c->endpoint, queue_host_hash(c),
                                                          until_ms};
        }
    }
}

/* ---- parts on their way to the scheduler ---- */

void queue_site_push(struct queue *q, struct queue_site *s, struct queue_part *p)
{
    p->site = s;
    p->domain = NULL;
    list_push_back(&s->filling, &p->in_list);
    s->last = p;
    if (!list_linked(&s->fill_link)) {
        list_push_back(&q->filling, &s->fill_link);
    }
}

void queue_site_file(struct queue *q, struct queue_site *s, struct queue_message *m,
                     struct queue_part *p)
{
    while (p->count && queue_part_takes(s->last, m)) {
        queue_part_add(s->last, p->rcpts[--p->count]);
    }
    if (p->count) {
        queue_site_push(q, s, p);
    } else {
        queue_part_free(p);
    }
}

static void queue_site_send_off(struct queue *q, struct queue_site *s)
{
    struct list *node;
    if (!s->sched) {
        s->last = NULL; /* from now on other workers read these parts */
    }
    while ((node = list_pop_front(&s->filling))) {
        struct queue_part *p = LIST_ENTRY(node, struct queue_part, in_list);
        if (s->sched) {
            queue_meter_add(&s->sched->arrived, 1, io_now(q->io)->mono_ms);
            queue_sched_push(s->sched, p, false);
        } else {
            queue_far_offer(q, p, s);
        }
    }
    s->used_ms = io_now(q->io)->mono_ms;
}

void queue_sites_file(struct queue *q)
{
    struct list *node;
    while (!q->leaving && (node = list_pop_front(&q->filling))) {
        queue_site_send_off(q, LIST_ENTRY(node, struct queue_site, fill_link));
    }
}

void queue_site_release(struct queue *q, struct queue_site *s)
{
    struct queue_part *p;
    s->last = NULL;
    queue_parts_release(q, &s->filling);
    if (s->sched) {
        queue_sched_release(s->sched);
    }
    while ((p = queue_lane_pop(q, s))) {
        queue_site_done(q, s);
        queue_part_release(q, p);
    }
    if (list_linked(&s->active)) {
        list_remove(&s->active);
    }
    queue_site_give_back(q, s, false);
}

/* ---- parts and connections ---- */

void queue_site_activate(struct queue *q, struct queue_site *s)
{
    if (!list_linked(&s->active)) {
        list_push_back(&q->active_sites, &s->active);
    }
}

uint32_t queue_site_work(const struct queue_site *s)
{
    if (timer_armed(&s->rest)) {
        return 0;
    }
    return s->lane_count + (s->sched ? ready_may_go(&s->sched->waiting) : 0);
}

/* ---- rates ---- */

/* The part stands first here. True: another may go. */
bool queue_site_wait(struct queue *q, struct queue_site *s, struct queue_part *p,
                     const struct queue_toll_wait *wait)
{
    const struct clock_now *now = io_now(q->io);
    must(wait->next_us > now->mono_us);
    uint64_t until_ms = now->mono_ms + (wait->next_us - now->mono_us + 999) / 1000;
    if (wait->cause && until_ms > now->mono_ms + QUEUE_BRAKE_LOOK_MS) {
        until_ms = now->mono_ms + QUEUE_BRAKE_LOOK_MS; /* by then it may have grown, or be over */
    }
    if (wait->by < QUEUE_TOLL_TENANT) {
        s->rests_for = *wait;
        timer_start(q->timers, &s->rest, queue_warmup_look_ms(wait, now->mono_ms, until_ms));
        if (wait->by == QUEUE_TOLL_WARMUP) {
            queue_warmup_overflow(q, s, wait);
        }
        return false;
    }
    if (!list_empty(&s->lane)) { /* others in the lane need not wait for it */
        struct queue_part *first = queue_lane_pop(q, s);
        must(first == p);
        queue_far_return(q, p, s);
        return true;
    }
    queue_sched_hold(s->sched, p, wait, until_ms);
    return true;
}

bool queue_site_may_send(struct queue *q, struct queue_site *s, struct queue_part *p, bool *others)
{
    struct queue_toll_wait wait;
    bool may = queue_toll_check(q, s, p, &wait);
    *others = may || queue_site_wait(q, s, p, &wait);
    return may;
}

static struct queue_part *queue_site_peek(const struct queue_site *s)
{
    struct list *node = list_first(&s->lane);
    return node       ? LIST_ENTRY(node, struct queue_part, in_list)
           : s->sched ? queue_sched_peek(s->sched)
                      : NULL;
}

static void queue_site_pop(struct queue *q, struct queue_site *s, const struct queue_part *p)
{
    struct queue_part *taken = list_empty(&s->lane) ? queue_sched_take(s->sched)
                                                    : queue_lane_pop(q, s);
    must(taken == p);
}

/* Ends those whose messages' time is over, or that an override gives up; nothing is paid for them. */
static void queue_site_drop_late(struct queue *q, struct queue_site *s)
{
    struct queue_part *p;
    char text[LIMIT_OUTCOME_TEXT_BYTES];
    while ((p = queue_site_peek(s))) {
        struct outcome over = queue_outcome_over();
        if (!queue_message_is_over(p->message, io_now(q->io)->wall_us) &&
            !queue_brake_gives_up(q, s, p, &over, text)) {
            return;
        }
        queue_site_pop(q, s, p);
        queue_site_done(q, s);
        queue_part_refuse(q, p, &over);
    }
}

struct queue_part *queue_site_take(struct queue *q, struct queue_site *s)
{
    struct queue_toll_wait wait;
    struct queue_part *p;
    unsigned let_go = 0;
    for (;;) {
        queue_site_drop_late(q, s);
        p = queue_site_peek(s);
        if (!p || timer_armed(&s->rest)) {
            return NULL;
        }
        if (q->orders.walking && queue_orders_hold_back(q, s, p, let_go)) {
            if (let_go++ >= QUEUE_ORDER_LET_GO) {
                return NULL;
            }
            queue_site_pop(q, s, p);
            queue_site_done(q, s);
            queue_part_release(q, p);
            continue;
        }
        if (queue_toll_pay(q, s, p, &wait)) {
            break;
        }
        if (!queue_site_wait(q, s, p, &wait)) {
            return NULL;
        }
    }
    queue_site_pop(q, s, p);
    p->site = s;
    p->paid = true;
    atomic_store_explicit(&p->sending, true, memory_order_relaxed);
    q->sending += p->count;
    s->under_way++;
    s->used_ms = io_now(q->io)->mono_ms;
    return p;
}

static void queue_site_come_back(struct queue *q, struct queue_part *p, bool front)
{
    struct queue_site *s = p->site;
    atomic_store_explicit(&p->sending, false, memory_order_relaxed);
    q->sending -= p->count;
    must(s->under_way > 0);
    s->under_way--;
    if (front && p->paid) { /* else the peer may have seen it */
        queue_toll_give(q, s, p);
    }
    p->paid = false;
    if (s->stale || q->leaving || atomic_load_explicit(&p->recalled, memory_order_relaxed)) {
        queue_site_done(q, s);
        queue_part_release(q, p);
    } else if (s->sched) {
        queue_sched_push(s->sched, p, front);
    } else {
        queue_lane_push(q, s, p, front);
    }
}

void queue_site_return(struct queue *q, struct queue_part *p)
{
    queue_site_come_back(q, p, true);
}

void queue_site_return_last(struct queue *q, struct queue_part *p)
{
    queue_site_come_back(q, p, false);
}
