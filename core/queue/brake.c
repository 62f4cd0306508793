/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Effects are functions of the overrides and the time, so each worker computes its own and they agree: the
 * same generation and the same moment give the same limits. A worker that is a turn behind may hold a budget that
 * another has replaced; it lets nothing pass, and is looked up again (budget_is_over).
 */
#include "core/queue/brake_private.h"
#include "core/base/must.h"
#include "core/queue/far.h"
#include "core/queue/queue.h"
#include "core/queue/sched.h"
#include "core/queue/way.h"

#include <stdlib.h>

enum { SITE_WHOS = 1u << AUTOMATION_EVERYBODY | 1u << AUTOMATION_SOURCE };
enum { BRAKE_HOPS_MAX = 8 }; /* from source to source */

uint64_t queue_brake_now(const struct queue *q)
{
    return io_now(q->io)->wall_us / 1000;
}

uint64_t queue_brake_serial(const struct queue *q)
{
    return q->serial << 42 | (io_now(q->io)->mono_ms & ((UINT64_C(1) << 42) - 1));
}

/* ---- effects ---- */

bool queue_brake_is_fresh(const struct queue *q, const struct queue_brake *b)
{
    uint64_t now_ms = queue_brake_now(q);
    return b->generation == automation_generation(q->lessons.automation) && now_ms < b->until_ms &&
           now_ms + AUTOMATION_CLOCK_SLACK_MS >= b->made_ms;
}

bool queue_brake_make(struct queue *q, struct queue_brake *b, const struct automation_keys *keys,
                      unsigned whos)
{
    struct automation_effect e;
    bool before = b->effect != NULL;
    automation_effect_of(q->lessons.automation, keys, whos, queue_brake_now(q), &e);
    b->generation = e.generation;
    b->made_ms = e.made_ms;
    b->until_ms = e.until_ms;
    if (automation_effect_is_none(&e)) {
        free(b->effect);
        b->effect = NULL;
    } else if (b->effect || (b->effect = malloc(sizeof(e)))) {
        *b->effect = e;
    }
    return before || b->effect;
}

uint64_t queue_brake_per_day(const struct rate_rule *r)
{
    return (uint64_t)((unsigned __int128)r->units_per_us * 86400 * 1000000 / r->units_each);
}

void queue_brake_bound_rate(const struct automation_bound *bound, struct budget_limits *limits)
{
    const uint64_t day_us = UINT64_C(86400) * 1000000;
    struct rate_rule *rule = &limits->rules[BUDGET_MESSAGE_RATE];
    struct conf_rate was = {0, day_us, 1};
    if (limits->limited[BUDGET_MESSAGE_RATE]) {
        was.count = queue_brake_per_day(rule);
        was.count = was.count ? was.count : 1;
        was.burst = rule->burst;
    }
    struct conf_rate rate = automation_bounded_rate(bound, &was);
    if (rate.count && rate.count != was.count) {
        *rule = rate_rule_make(rate.count, rate.period_us, rate.burst, 1);
        limits->limited[BUDGET_MESSAGE_RATE] = true;
    }
}

void queue_brake_bound(const struct queue_site *s, struct budget_limits *limits)
{
    if (s->brake.effect) {
        queue_brake_bound_rate(&s->brake.effect->rate, limits);
    }
}

/* ---- connections above the limit ---- */

struct brake_shed {
    struct mail mail;
    uint32_t keep;
    uint32_t key_bytes;
    char key[];
};

static void brake_keep(struct queue *q, struct queue_site *s, uint32_t keep)
{
    must(s->granted >= s->leaving);
    uint32_t staying = s->granted - s->leaving;
    s->surplus = staying > keep ? staying - keep : 0;
    if (s->surplus) {
        queue_site_activate(q, s); /* idle ones go at once */
    }
}

static void brake_tell_keep(struct queue *q, const struct queue_site *s, unsigned worker,
                            uint32_t keep)
{
    struct brake_shed *m = malloc(sizeof(*m) + s->key.len);
    if (m) { /* else they stay until they end by themselves, and no new ones come */
        m->keep = keep;
        m->key_bytes = (uint32_t)s->key.len;
        memcpy(m->key, s->key.ptr, s->key.len);
        queue_far_post(q, worker, &m->mail, QUEUE_MAIL_SHED);
    }
}

void queue_brake_on_shed(struct queue *q, struct mail *mail)
{
    struct brake_shed *m = container_of(mail, struct brake_shed, mail);
    struct queue_site *s = queue_site_known(q, slice_of(m->key, m->key_bytes));
    if (s && !s->sched) {
        brake_keep(q, s, m->keep);
    }
    free(m);
}

/* All may stay again. */
static void brake_shed_no_more(struct queue *q, struct queue_sched *d)
{
    for (unsigned w = 0; w < d->lane_count; w++) {
        if (w == q->worker) {
            brake_keep(q, d->site, UINT32_MAX);
        } else if (d->lanes[w].granted) {
            brake_tell_keep(q, d->site, w, UINT32_MAX);
        }
    }
    d->site->brake.shed = false;
}

/* Each worker keeps about as many as the others. */
/* NOLINTNEXTLINE(misc-no-recursion): the brake is fresh by then: queue_brake_of makes none */
static void brake_shed(struct queue *q, struct queue_sched *d)
{
    uint64_t limit = queue_brake_connections(q, d->site,
                                             route_plan_number(d->site->plan,
                                                               CONF_SHAPING_CONNECTIONS));
    uint32_t lanes = 0, left = limit < d->granted ? (uint32_t)limit : d->granted;
    if (d->granted <= limit && d->site->brake.shed) {
        brake_shed_no_more(q, d);
    }
    if (d->granted <= limit) {
        return;
    }
    d->site->brake.shed = true;
    for (unsigned w = 0; w < d->lane_count; w++) {
        lanes += d->lanes[w].granted ? 1 : 0;
    }
    for (unsigned w = 0; w < d->lane_count; w++) {
        uint32_t has = d->lanes[w].granted;
        if (has == 0) {
            continue;
        }
        uint32_t share = (left + lanes - 1) / lanes;
        uint32_t keep = has < share ? has : share;
        left -= keep;
        lanes--;
        if (w == q->worker) {
            brake_keep(q, d->site, keep);
        } else {
            brake_tell_keep(q, d->site, w, keep);
        }
    }
}

/* ---- a site ---- */

/* NOLINTNEXTLINE(misc-no-recursion): see brake_shed */
static void brake_site_make(struct queue *q, struct queue_site *s)
{
    struct automation_keys keys;
    queue_way_keys(s, NULL, &keys);
    if (queue_brake_make(q, &s->brake, &keys, SITE_WHOS)) {
        queue_site_set_rates(q, s);
        if (s->sched) {
            brake_shed(q, s->sched);
        }
    }
}

/* NOLINTNEXTLINE(misc-no-recursion): see brake_shed */
const struct automation_effect *queue_brake_of(struct queue *q, struct queue_site *s)
{
    if (!q->lessons.automation || !s->plan) {
        return NULL;
    }
    if (!queue_brake_is_fresh(q, &s->brake)) {
        brake_site_make(q, s);
    } else if (s->own && budget_is_over(s->own)) {
        queue_site_set_rates(q, s);
    }
    return s->brake.effect;
}

void queue_brake_free(struct queue_site *s)
{
    free(s->brake.effect);
    s->brake = (struct queue_brake){0};
}

/* NOLINTNEXTLINE(misc-no-recursion): see brake_shed */
uint64_t queue_brake_connections(struct queue *q, struct queue_site *s, uint64_t limit)
{
    const struct automation_effect *e = queue_brake_of(q, s);
    return e ? automation_bounded(&e->connections, limit) : limit;
}

uint64_t queue_brake_messages(struct queue *q, struct queue_site *s, uint64_t limit)
{
    const struct automation_effect *e = queue_brake_of(q, s);
    return e ? automation_bounded(&e->per_connection, limit) : limit;
}

/* Where mail of s is sent on to from `source`; NULL: it stays. */
static const struct egress_source *brake_next(struct queue *q, const struct queue_site *s,
                                              struct slice source,
                                              const struct automation_effect *e)
{
    struct slice name = slice_of(e->source, e->source_bytes);
    const struct egress_source *next = name.len ? egress_find(q->egress, name) : NULL;
    bool usable = next && !slice_eq(source, name) &&
                  (egress_families_now(next) & s->plan->families);
    return usable ? next : NULL;
}

/* The end of the way, because there it must be left alone; in a circle nothing is sent on. */
const struct egress_source *queue_brake_source(struct queue *q, struct queue_site *s)
{
    const struct automation_effect *e = s->local ? NULL : queue_brake_of(q, s);
    const struct egress_source *last = NULL, *next;
    if (!e || e->source_bytes == 0) {
        return NULL;
    }
    struct automation_effect there = *e;
    struct automation_keys keys;
    queue_way_keys(s, NULL, &keys);
    for (unsigned hops = 0; (next = brake_next(q, s, keys.source, &there)); hops++) {
        if (hops == BRAKE_HOPS_MAX) {
            return NULL;
        }
        last = next;
        keys.source = next->name;
        automation_effect_of(q->lessons.automation, &keys, SITE_WHOS, queue_brake_now(q), &there);
    }
    return last;
}

void queue_brake_meet(struct queue *q, struct queue_sched *d)
{
    struct queue_site *s = d->site;
    struct queue_toll_wait wait;
    struct queue_part *p;
    struct outcome over;
    char text[LIMIT_OUTCOME_TEXT_BYTES];
    bool others = true;
    const struct automation_effect *e = queue_brake_of(q, s);
    if (e && e->until_ms != AUTOMATION_FOREVER && e->until_ms > queue_brake_now(q)) {
        /* Connections that are busy do not ask whether there may be more. */
        queue_sched_retry_at(d, io_now(q->io)->mono_ms + (e->until_ms - queue_brake_now(q)));
    }
    if (e && e->bounce_id) {
        over = queue_brake_outcome(q, e->bounce_id, text);
        queue_sched_end(d, &over);
        return;
    }
    if (queue_brake_source(q, s)) {
        queue_sched_release(d); /* routed anew, by the other source */
        return;
    }
    if (!q->lessons.automation || !automation_whos(q->lessons.automation)) {
        return;
    }
    while (others && !timer_armed(&s->rest) && (p = queue_sched_peek(d))) {
        if (queue_brake_gives_up(q, s, p, &over, text)) {
            (void)queue_sched_take(d);
            queue_part_refuse(q, p, &over);
        } else if (queue_brake_holds(q, s, p, &wait)) {
            others = queue_site_wait(q, s, p, &wait);
        } else {
            return;
        }
    }
}

/* ---- everybody looks anew ---- */

static void brakes_walk(struct timer *t, void *ctx)
{
    (void)ctx;
    struct queue *q = container_of(t, struct queue, brakes.walk);
    size_t bucket = 0;
    q->brakes.walked_ms = io_now(q->io)->mono_ms;
    for (struct map_node *n = map_next(&q->sites, &bucket, NULL); n;
         n = map_next(&q->sites, &bucket, n)) {
        struct queue_site *s = container_of(n, struct queue_site, by_key);
        if (s->local || !s->plan) {
            continue;
        }
        (void)queue_brake_of(q, s);
        if (s->lane_count || (s->sched && s->sched->waiting.count)) {
            queue_site_wake(q, s);
        }
    }
}

static void brakes_look(struct queue *q)
{
    uint64_t now_ms = io_now(q->io)->mono_ms;
    uint64_t next_ms = q->brakes.walked_ms + QUEUE_BRAKE_WALK_MS;
    if (!q->leaving && !timer_armed(&q->brakes.walk)) {
        timer_start(q->timers, &q->brakes.walk, next_ms > now_ms ? next_ms : now_ms);
    }
}

struct brakes_mail {
    struct mail mail;
    bool look;
};

void queue_brakes_open(struct queue *q)
{
    q->brakes = (struct queue_brakes){.walk.fire = brakes_walk};
    map_init(&q->brakes.senders, rng_u64(q->rng));
}

void queue_brakes_close(struct queue *q)
{
    timer_stop(q->timers, &q->brakes.walk);
    queue_brakes_forget(q);
    map_deinit(&q->brakes.senders);
}

void queue_brakes_changed(struct queue *q)
{
    q->brakes.tell = true;
    brakes_look(q);
}

void queue_brakes_to_write(struct queue *q)
{
    q->brakes.write = true;
}

void queue_brakes_run(struct queue *q)
{
    bool tell = q->brakes.tell, write = q->brakes.write;
    q->brakes.tell = q->brakes.write = false;
    for (unsigned w = 0; q->group && (tell || write) && w < q->group->workers; w++) {
        if (w == q->worker || (!tell && w != SPOOL_MEMO_WORKER)) {
            continue;
        }
        struct brakes_mail *m = malloc(sizeof(*m));
        if (m) { /* else it learns when it sends next */
            m->look = tell;
            queue_far_post(q, w, &m->mail, QUEUE_MAIL_BRAKES);
        }
    }
}

void queue_brakes_on_mail(struct queue *q, struct mail *m)
{
    struct brakes_mail *b = container_of(m, struct brakes_mail, mail);
    if (b->look) {
        brakes_look(q);
    }
    free(b);
}

void queue_brake_drop_mail(struct mail *m)
{
    if (m->type == QUEUE_MAIL_SHED) {
        free(container_of(m, struct brake_shed, mail));
    } else {
        free(container_of(m, struct brakes_mail, mail));
    }
}
