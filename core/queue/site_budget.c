/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A site's plan and the budgets that its limits mean: its own, its provider's, its source's.
 */
#include "core/base/must.h"
#include "core/queue/brake.h"
#include "core/queue/queue.h"
#include "core/queue/sched.h"
#include "core/queue/site.h"
#include "core/queue/warmup.h"

struct slice queue_site_source(const struct queue_site *s)
{
    int at = s->local ? -1 : slice_find_byte(s->key, '@');
    return at < 0 ? slice_of("", 0) : slice_skip(s->key, (size_t)at + 1);
}

struct slice queue_site_place(const struct queue_site *s)
{
    int at = s->local ? -1 : slice_find_byte(s->key, '@');
    return at < 0 ? s->key : slice_first(s->key, (size_t)at);
}

/* "site 10:mx.example.org:25", "provider google@ip1" or "source ip1": budgets are the same for all workers.
 * Without memory for one the limit does not hold. */
static struct budget *site_budget(struct queue *q, struct slice kind, struct slice name,
                                  struct slice source, const struct budget_limits *limits)
{
    struct buf text;
    buf_init(&text, 64 * 1024);
    buf_add(&text, kind);
    buf_add(&text, name);
    if (source.len) {
        buf_add_byte(&text, '@');
        buf_add(&text, source);
    }
    struct budget *b = budget_get(q->budgets, buf_slice(&text), limits, q->serial,
                                  io_now(q->io)->mono_us);
    buf_deinit(&text);
    return b;
}

/* The connections that there are count in the new one. */
static void site_replace(struct queue *q, const struct queue_site *s, struct budget **at,
                         struct budget *now, bool places)
{
    if (places && s->sched && *at != now) {
        budget_connections_move(*at, now, s->sched->granted);
    }
    budget_put(q->budgets, at);
    *at = now;
}

static void queue_site_set_budgets(struct queue *q, struct queue_site *s,
                                   const struct route_plan *plan)
{
    const struct site_limits *l = &plan->limits;
    const struct slice none = {NULL, 0};
    struct budget *provider = l->has_provider
                                  ? site_budget(q, SLICE("provider "), slice_str(l->provider_name),
                                                plan->source, &l->provider)
                                  : NULL;
    struct budget *total = l->has_total
                               ? site_budget(q, SLICE("source "), plan->source, none, &l->total)
                               : NULL;
    site_replace(q, s, &s->provider, provider, true);
    site_replace(q, s, &s->total, total, true);
    s->warmup = queue_warmup_track(q, plan);
    s->overflow_us = 0;
}

/* Limits of one configuration differ from one moment to the next: the later ones count. */
void queue_site_set_rates(struct queue *q, struct queue_site *s)
{
    struct budget_limits limits = s->plan->limits.own;
    struct budget *own = NULL;
    queue_brake_bound(s, &limits);
    if (site_limits_has_rate(&limits)) {
        struct buf name;
        buf_init(&name, 64 * 1024);
        buf_add(&name, SLICE("site "));
        buf_add(&name, s->key);
        own = budget_get(q->budgets, buf_slice(&name), &limits, queue_brake_serial(q),
                         io_now(q->io)->mono_us);
        buf_deinit(&name);
    }
    site_replace(q, s, &s->own, own, false);
}

void queue_site_wake(struct queue *q, struct queue_site *s)
{
    timer_stop(q->timers, &s->rest);
    queue_site_activate(q, s);
    if (s->sched) {
        timer_stop(q->timers, &s->sched->retry);
        queue_sched_unhold(s->sched);
        queue_sched_wake(s->sched);
    }
}

void queue_site_set_plan(struct queue *q, struct queue_site *s, struct route_plan *plan)
{
    queue_site_set_budgets(q, s, plan);
    bool limits_changed = s->stale;
    route_plan_put(&s->plan);
    s->plan = plan;
    s->stale = false;
    s->brake.until_ms = 0;
    (void)queue_brake_of(q, s);
    queue_site_set_rates(q, s);
    if (limits_changed) { /* what it waits for may be over */
        queue_site_wake(q, s);
    }
}

/* ---- places for connections ---- */

bool queue_site_yields(const struct queue_site *s, uint64_t now_us)
{
    return (s->provider && budget_connection_yield(s->provider, now_us)) ||
           (s->total && budget_connection_yield(s->total, now_us));
}

bool queue_site_take_place(const struct queue_site *s, const void *who, bool has_none,
                           uint64_t now_us, bool *total)
{
    *total = false;
    if (s->provider && !budget_connection_take(s->provider, who, has_none, now_us)) {
        return false;
    }
    if (s->total && !budget_connection_take(s->total, who, has_none, now_us)) {
        budget_connections_move(s->provider, NULL, 1);
        *total = true;
        return false;
    }
    return true;
}

void queue_site_give_places(const struct queue_site *s, uint32_t n)
{
    budget_connections_move(s->provider, NULL, n);
    budget_connections_move(s->total, NULL, n);
}
