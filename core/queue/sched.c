/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/sched.h"
#include "core/base/must.h"
#include "core/queue/brake.h"
#include "core/queue/far.h"
#include "core/queue/queue.h"

#include <stdlib.h>

static uint64_t sched_now(const struct queue_sched *d)
{
    return io_now(d->queue->io)->mono_ms;
}

static void sched_on_pause_over(struct timer *t, void *ctx)
{
    (void)ctx;
    queue_sched_wake(container_of(t, struct queue_sched, pause));
}

static void sched_on_retry(struct timer *t, void *ctx)
{
    (void)ctx;
    queue_sched_wake(container_of(t, struct queue_sched, retry));
}

static void sched_unhold(struct queue_sched *d)
{
    uint64_t next_ms = ready_unhold(&d->waiting, sched_now(d));
    if (next_ms != UINT64_MAX) {
        timer_start(d->queue->timers, &d->unhold, next_ms);
    }
}

void queue_sched_unhold(struct queue_sched *d)
{
    timer_stop(d->queue->timers, &d->unhold);
    (void)ready_unhold(&d->waiting, UINT64_MAX);
}

static void sched_on_unhold(struct timer *t, void *ctx)
{
    (void)ctx;
    struct queue_sched *d = container_of(t, struct queue_sched, unhold);
    sched_unhold(d);
    queue_sched_wake(d);
}

struct queue_sched *queue_sched_new(struct queue *q, struct queue_site *s)
{
    unsigned workers = q->group ? q->group->workers : q->worker + 1;
    struct queue_sched *d = calloc(1, sizeof(*d) + workers * sizeof(d->lanes[0]));
    if (d) {
        d->queue = q;
        d->site = s;
        d->lane_count = workers;
        d->pause.fire = sched_on_pause_over;
        d->retry.fire = sched_on_retry;
        d->unhold.fire = sched_on_unhold;
        ready_init(&d->waiting, rng_u64(q->rng));
    }
    return d;
}

void queue_sched_free(struct queue_sched *d)
{
    must(d->queue->stopping || (d->assigned == 0 && d->granted == 0));
    if (list_linked(&d->link)) {
        list_remove(&d->link);
    }
    timer_stop(d->queue->timers, &d->pause);
    timer_stop(d->queue->timers, &d->retry);
    timer_stop(d->queue->timers, &d->unhold);
    queue_site_give_places(d->site, d->granted);
    ready_deinit(&d->waiting);
    free(d);
}

void queue_sched_wake(struct queue_sched *d)
{
    if (d->waiting.count == 0) {
        return;
    }
    queue_site_activate(d->queue, d->site);
    if (!list_linked(&d->link)) {
        list_push_back(&d->queue->scheds, &d->link);
    }
}

static struct ready_flow sched_flow(struct queue_sched *d, const struct queue_part *p)
{
    static const enum ready_class classes[] = {
        [CONF_PRIORITY_AUTO] = READY_NORMAL,
        [CONF_PRIORITY_URGENT] = READY_URGENT,
        [CONF_PRIORITY_NORMAL] = READY_NORMAL,
        [CONF_PRIORITY_BULK] = READY_BULK,
    };
    const struct queue_message *m = p->message;
    const struct queue_label *l = m->label;
    must(m->priority < ARRAY_COUNT(classes));
    struct ready_flow flow = {
        .class = classes[m->priority],
        .tenant = l ? l->tenant_hash : 0,
        /* Mail of two signatures may have to wait for different things (core/queue/brake.h). */
        .campaign = l ? l->campaign_hash ^ l->dkim_hash : 0,
    };
    queue_toll_weights(d->queue, l, &flow);
    return flow;
}

void queue_sched_hold(struct queue_sched *d, const struct queue_part *p,
                      const struct queue_toll_wait *wait, uint64_t until_ms)
{
    struct ready_flow flow = sched_flow(d, p);
    bool tenant = wait->by == QUEUE_TOLL_TENANT || wait->by == QUEUE_TOLL_BRAKE_TENANT;
    ready_hold(&d->waiting, &flow, tenant ? READY_TENANT : READY_CAMPAIGN, until_ms);
    d->holds_for = *wait;
    if (!timer_armed(&d->unhold) || until_ms < d->unhold.due_ms) {
        timer_start(d->queue->timers, &d->unhold, until_ms);
    }
}

void queue_sched_push(struct queue_sched *d, struct queue_part *p, bool front)
{
    must(p->count > 0);
    struct ready_flow flow = sched_flow(d, p);
    p->site = d->site;
    p->ready.cost = p->count;
    if (!ready_push(&d->waiting, &p->ready, &flow, front)) {
        d->site->last = d->site->last == p ? NULL : d->site->last;
        queue_part_release(d->queue, p);
        return;
    }
    if (timer_armed(&d->site->rest) && d->site->rests_for.by != QUEUE_TOLL_WARMUP &&
        queue_sched_peek(d) == p) {
        /* That was another's time, perhaps a long one. */
        timer_stop(d->queue->timers, &d->site->rest);
    }
    queue_sched_wake(d);
}

static struct queue_part *sched_part(struct ready_item *item)
{
    return item ? container_of(item, struct queue_part, ready) : NULL;
}

struct queue_part *queue_sched_peek(struct queue_sched *d)
{
    return sched_part(ready_peek(&d->waiting));
}

struct queue_part *queue_sched_take(struct queue_sched *d)
{
    struct queue_part *p = sched_part(ready_take(&d->waiting));
    if (p && d->site->last == p) {
        d->site->last = NULL;
    }
    return p;
}

static void sched_end_all(struct queue_sched *d, const struct outcome *why)
{
    struct ready_item *item;
    d->site->last = NULL;
    while ((item = ready_any(&d->waiting))) {
        struct queue_part *p = sched_part(item);
        ready_remove(&d->waiting, item);
        if (why) {
            queue_part_refuse(d->queue, p, why);
        } else {
            queue_part_release(d->queue, p);
        }
    }
}

void queue_sched_end(struct queue_sched *d, const struct outcome *why)
{
    sched_end_all(d, why);
}

void queue_sched_release(struct queue_sched *d)
{
    sched_end_all(d, NULL);
}

/* ---- connections ---- */

static uint64_t sched_number(const struct queue_sched *d, enum conf_shaping_option o)
{
    return route_plan_number(d->site->plan, o);
}

void queue_sched_retry_at(struct queue_sched *d, uint64_t at_ms)
{
    if (!timer_armed(&d->retry) || at_ms < d->retry.due_ms) {
        timer_start(d->queue->timers, &d->retry, at_ms);
    }
}

/* ramp_up: few connections at first, a step more after each interval. */
static uint64_t sched_ramp_steps(const struct queue_sched *d)
{
    uint64_t interval_ms = sched_number(d, CONF_SHAPING_RAMP_UP_INTERVAL), now_ms = sched_now(d);
    bool rested = d->granted == 0 &&
                  (d->ramp_since_ms == 0 || now_ms - d->ramp_idle_ms >= interval_ms);
    return rested ? 0 : (now_ms - d->ramp_since_ms) / interval_ms;
}

uint64_t queue_sched_ramp(const struct queue_sched *d)
{
    uint64_t first = sched_number(d, CONF_SHAPING_RAMP_UP_FIRST);
    return first ? first + sched_ramp_steps(d) * sched_number(d, CONF_SHAPING_RAMP_UP_STEP)
                 : UINT64_MAX;
}

static uint64_t sched_ramp(struct queue_sched *d)
{
    uint64_t limit = queue_sched_ramp(d);
    if (d->granted && d->granted >= limit) {
        queue_sched_retry_at(d,
                             d->ramp_since_ms + (sched_ramp_steps(d) + 1) *
                                                    sched_number(d, CONF_SHAPING_RAMP_UP_INTERVAL));
    }
    return limit;
}

static uint32_t sched_limit(struct queue_sched *d)
{
    uint64_t limit = queue_brake_connections(d->queue, d->site,
                                             sched_number(d, CONF_SHAPING_CONNECTIONS));
    uint64_t ramp = sched_ramp(d);
    if (d->limit && d->limit_until_ms <= sched_now(d)) {
        d->limit = 0;
    }
    limit = ramp < limit ? ramp : limit;
    return (uint32_t)(d->limit && d->limit < limit ? d->limit : limit);
}

/* No worker may have all connections as long as others could have some. */
static uint32_t sched_share(const struct queue_sched *d, uint32_t limit)
{
    uint32_t lanes = 0;
    for (unsigned w = 0; w < d->lane_count; w++) {
        lanes += d->lanes[w].full_until_ms <= sched_now(d) ? 1 : 0;
    }
    return lanes ? (limit + lanes - 1) / lanes : limit;
}

static bool sched_may_grant(struct queue_sched *d, unsigned worker)
{
    /* After a failure one connection finds out whether the host works again. */
    return !timer_armed(&d->pause) && d->granted < sched_limit(d) &&
           d->lanes[worker].granted < sched_share(d, sched_limit(d)) &&
           d->lanes[worker].full_until_ms <= sched_now(d) &&
           (d->failures == 0 || d->granted == 0) && d->down_until_ms <= sched_now(d);
}

/* Rates of new connections, and a place among the provider's and the source's. */
static bool sched_pay_connection(struct queue_sched *d)
{
    static const enum queue_connect_wait waits[] = {QUEUE_CONNECT_RATE, QUEUE_CONNECT_PROVIDER,
                                                    QUEUE_CONNECT_SOURCE};
    const struct clock_now *now = io_now(d->queue->io);
    struct budget *const budgets[] = {d->site->own, d->site->provider, d->site->total};
    uint64_t retry_ms = now->mono_ms + QUEUE_SCHED_RETRY_MS;
    size_t paid = 0;
    while (paid < ARRAY_COUNT(budgets) &&
           (!budgets[paid] ||
            budget_rate_take(budgets[paid], BUDGET_CONNECTION_RATE, d, 1, now->mono_us))) {
        paid++;
    }
    if (paid == ARRAY_COUNT(budgets)) {
        bool total;
        if (queue_site_take_place(d->site, d, d->granted == 0, now->mono_us, &total)) {
            d->connect_wait = QUEUE_CONNECT_FREE;
            return true;
        }
        d->connect_wait = total ? QUEUE_CONNECT_SOURCE : QUEUE_CONNECT_PROVIDER;
    } else {
        d->connect_wait = waits[paid];
        uint64_t next_us = budget_rate_next_us(budgets[paid], BUDGET_CONNECTION_RATE, d, 1,
                                               now->mono_us);
        retry_ms = now->mono_ms + 1 + (next_us - now->mono_us) / 1000;
    }
    for (size_t i = 0; i < paid; i++) {
        if (budgets[i]) {
            budget_rate_give(budgets[i], BUDGET_CONNECTION_RATE, 1);
        }
    }
    queue_sched_retry_at(d, retry_ms);
    return false;
}

bool queue_sched_grant(struct queue_sched *d, unsigned worker)
{
    must(worker < d->lane_count);
    if (!sched_may_grant(d, worker) || !sched_pay_connection(d)) {
        return false;
    }
    if (d->granted == 0 && sched_ramp_steps(d) == 0) {
        d->ramp_since_ms = sched_now(d);
    }
    d->lanes[worker].granted++;
    d->granted++;
    return true;
}

void queue_sched_sent(struct queue_sched *d, const struct queue_credit *c)
{
    uint64_t now_ms = sched_now(d);
    queue_meter_add(&d->sent, c->sent, now_ms);
    if (c->delivered) {
        queue_meter_add(&d->delivered, c->delivered, now_ms);
    }
    if (c->deferred) {
        queue_meter_add(&d->deferred, c->deferred, now_ms);
    }
}

void queue_sched_credit(struct queue_sched *d, unsigned worker, const struct queue_credit *c)
{
    must(worker < d->lane_count);
    struct queue_lane *lane = &d->lanes[worker];
    must(lane->assigned >= c->done && lane->granted >= c->granted);
    lane->assigned -= c->done;
    d->assigned -= c->done;
    lane->granted -= c->granted;
    d->granted -= c->granted;
    d->ramp_idle_ms = c->granted && d->granted == 0 ? sched_now(d) : d->ramp_idle_ms;
    if (c->sent) {
        queue_sched_sent(d, c);
    }
    if (c->reply) {
        queue_site_take_reply(d->site, c->reply);
    }
    queue_site_give_places(d->site, c->granted);
    must((int64_t)lane->working + c->working >= 0);
    lane->working = (uint32_t)((int64_t)lane->working + c->working);
    d->working = (uint32_t)((int64_t)d->working + c->working);
    if (c->served) {
        d->failures = 0;
        d->down_until_ms = 0;
    }
    lane->stuck = c->sent == 0 && c->granted == 0 && c->working <= 0 && (lane->stuck || c->stuck);
    if (c->full) {
        lane->full_until_ms = sched_now(d) + QUEUE_SCHED_FULL_MS;
        queue_sched_retry_at(d, lane->full_until_ms);
    }
    queue_sched_wake(d);
}

void queue_sched_failed(struct queue_sched *d, const struct outcome *why, bool dropped)
{
    uint64_t now_ms = sched_now(d);
    if (d->working && dropped && !why->remote) {
        return;
    }
    if (d->working) {
        /* Others work: the peer has enough of us. */
        d->limit = d->working;
        d->limit_until_ms = now_ms + QUEUE_LIMIT_MS;
        return;
    }
    if (d->queue->leaving || timer_armed(&d->pause)) {
        return; /* connections that were opened together fail together: that is one failure */
    }
    if (d->down_until_ms > now_ms) {
        sched_end_all(d, &d->down);
        return;
    }
    uint64_t first_ms = sched_number(d, CONF_SHAPING_BACK_OFF_FIRST);
    uint64_t max_ms = sched_number(d, CONF_SHAPING_BACK_OFF_MAX);
    if (++d->failures < sched_number(d, CONF_SHAPING_BACK_OFF_FAILURES)) {
        /* One lost connection is no reason to make a password reset wait for the retry schedule. */
        timer_start(d->queue->timers, &d->pause, now_ms + first_ms);
        return;
    }
    uint64_t back_off_ms = first_ms << (d->failures < 10 ? d->failures : 10);
    uint64_t first_retry_ms = d->queue->conf->queue.schedule.items[0] / 2;
    back_off_ms = back_off_ms > max_ms ? max_ms : back_off_ms;
    d->down_until_ms = now_ms + (back_off_ms < first_retry_ms ? back_off_ms : first_retry_ms);
    d->down = *why;
    outcome_copy_text(&d->down, d->down_text, sizeof(d->down_text));
    sched_end_all(d, &d->down);
}
