/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Effects are functions of the overrides and the time, so each worker computes its own and they agree: the
 * same generation and the same moment give the same limits. A worker that is a turn behind may hold a budget that
 * another has replaced; it lets nothing pass, and is looked up again (budget_is_over).
 */
#include "core/queue/brake.h"
#include "core/base/must.h"
#include "core/queue/far.h"
#include "core/queue/queue.h"
#include "core/queue/sched.h"
#include "core/queue/way.h"

#include <stdlib.h>

enum { SITE_WHOS = 1u << AUTOMATION_EVERYBODY | 1u << AUTOMATION_SOURCE };

static const enum automation_who level_whos[QUEUE_BRAKE_LEVELS] = {
    [QUEUE_BRAKE_TENANT] = AUTOMATION_TENANT,
    [QUEUE_BRAKE_CAMPAIGN] = AUTOMATION_CAMPAIGN,
    [QUEUE_BRAKE_DKIM] = AUTOMATION_DKIM,
};

/* A sender at a site. */
struct brake_sender {
    struct map_node node;
    uint64_t site;
    uint64_t name; /* hash */
    enum queue_brake_level level;
    struct queue_brake brake;
    struct budget *rate; /* NULL: none */
};

static uint64_t brake_now(const struct queue *q)
{
    return io_now(q->io)->wall_us / 1000;
}

uint64_t queue_brake_serial(const struct queue *q)
{
    return q->serial << 42 | (io_now(q->io)->mono_ms & ((UINT64_C(1) << 42) - 1));
}

/* ---- effects ---- */

static bool brake_is_fresh(const struct queue *q, const struct queue_brake *b)
{
    uint64_t now_ms = brake_now(q);
    return b->generation == automation_generation(q->lessons.automation) && now_ms < b->until_ms &&
           now_ms + AUTOMATION_CLOCK_SLACK_MS >= b->made_ms;
}

/* True: something holds, or did before. */
static bool brake_make(struct queue *q, struct queue_brake *b, const struct automation_keys *keys,
                       unsigned whos)
{
    struct automation_effect e;
    bool before = b->effect != NULL;
    automation_effect_of(q->lessons.automation, keys, whos, brake_now(q), &e);
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

static void brake_bound_rate(const struct automation_bound *bound, struct budget_limits *limits)
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
        brake_bound_rate(&s->brake.effect->rate, limits);
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

/* Each worker keeps about as many as the others. */
static void brake_shed(struct queue *q, struct queue_sched *d)
{
    uint64_t limit = queue_brake_connections(
        q, d->site, route_plan_number(d->site->plan, CONF_SHAPING_CONNECTIONS));
    uint32_t lanes = 0, left = limit < d->granted ? (uint32_t)limit : d->granted;
    if (d->granted <= limit) {
        return;
    }
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

static void brake_site_make(struct queue *q, struct queue_site *s)
{
    struct automation_keys keys;
    queue_way_keys(s, NULL, &keys);
    if (brake_make(q, &s->brake, &keys, SITE_WHOS)) {
        queue_site_set_rates(q, s);
        if (s->sched) {
            brake_shed(q, s->sched);
        }
    }
}

const struct automation_effect *queue_brake_of(struct queue *q, struct queue_site *s)
{
    if (!q->lessons.automation || !s->plan) {
        return NULL;
    }
    if (!brake_is_fresh(q, &s->brake)) {
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

/* ---- senders ---- */

static bool sender_equal(const struct map_node *node, const void *key)
{
    const struct brake_sender *own = container_of(node, struct brake_sender, node);
    const struct brake_sender *other = key;
    return own->site == other->site && own->name == other->name && own->level == other->level;
}

static uint64_t sender_name(const struct queue_label *l, enum queue_brake_level level)
{
    switch (level) {
    case QUEUE_BRAKE_TENANT:
        return l->tenant_hash;
    case QUEUE_BRAKE_CAMPAIGN:
        return l->campaign_hash ? l->tenant_hash * 31 + l->campaign_hash : 0;
    case QUEUE_BRAKE_DKIM:
        return l->dkim_hash;
    case QUEUE_BRAKE_LEVELS:
        break;
    }
    return 0;
}

void queue_brakes_forget(struct queue *q)
{
    size_t bucket = 0;
    struct map_node *node = map_next(&q->brakes.senders, &bucket, NULL);
    while (node) {
        struct brake_sender *b = container_of(node, struct brake_sender, node);
        node = map_next(&q->brakes.senders, &bucket, node);
        map_remove(&q->brakes.senders, &b->node);
        budget_put(q->budgets, &b->rate);
        free(b->brake.effect);
        free(b);
    }
}

static struct brake_sender *sender_get(struct queue *q, const struct brake_sender *like)
{
    const uint64_t words[] = {like->site, like->name, (uint64_t)like->level};
    uint64_t hash = map_hash(&q->brakes.senders, slice_of(words, sizeof(words)));
    struct map_node *node = map_find(&q->brakes.senders, hash, sender_equal, like);
    if (node) {
        return container_of(node, struct brake_sender, node);
    }
    if (q->brakes.senders.count >= QUEUE_BRAKE_SENDERS_MAX) {
        queue_brakes_forget(q);
    }
    struct brake_sender *b = calloc(1, sizeof(*b));
    if (!b) {
        return NULL;
    }
    *b = *like;
    if (!map_insert(&q->brakes.senders, &b->node, hash)) {
        free(b);
        return NULL;
    }
    return b;
}

/* "override tenant news at 10:mx.example.org:25": the same for all workers. */
static void sender_set_rate(struct queue *q, struct brake_sender *b, const struct queue_site *s,
                            const struct automation_keys *keys)
{
    static const char *const nouns[QUEUE_BRAKE_LEVELS] = {"tenant", "campaign", "dkim"};
    struct budget_limits limits = {.limited = {[BUDGET_MESSAGE_RATE] = false}};
    struct budget *old = b->rate;
    b->rate = NULL;
    if (s->plan->limits.own.limited[BUDGET_MESSAGE_RATE]) { /* a share of what is configured */
        limits.rules[BUDGET_MESSAGE_RATE] = s->plan->limits.own.rules[BUDGET_MESSAGE_RATE];
        limits.limited[BUDGET_MESSAGE_RATE] = true;
    }
    if (b->brake.effect) {
        brake_bound_rate(&b->brake.effect->rate, &limits);
    }
    if (b->brake.effect && limits.limited[BUDGET_MESSAGE_RATE]) {
        struct buf name;
        buf_init(&name, 64 * 1024);
        buf_addf(&name, "override %s ", nouns[b->level]);
        buf_add(&name, b->level == QUEUE_BRAKE_DKIM ? keys->dkim : keys->tenant);
        if (b->level == QUEUE_BRAKE_CAMPAIGN) {
            buf_add_byte(&name, '/');
            buf_add(&name, keys->campaign);
        }
        buf_add(&name, SLICE(" at "));
        buf_add(&name, s->key);
        b->rate = budget_get(q->budgets, buf_slice(&name), &limits, queue_brake_serial(q),
                             io_now(q->io)->mono_us);
        buf_deinit(&name);
    }
    budget_put(q->budgets, &old);
}

/* NULL: nothing holds this sender back. */
static struct brake_sender *brake_sender(struct queue *q, struct queue_site *s,
                                         const struct queue_label *l, enum queue_brake_level level)
{
    if (!l || !s->plan || !q->lessons.automation ||
        !(automation_whos(q->lessons.automation) & 1u << level_whos[level])) {
        return NULL;
    }
    struct brake_sender like = {.site = s->id, .name = sender_name(l, level), .level = level};
    struct brake_sender *b = like.name ? sender_get(q, &like) : NULL;
    if (!b) {
        return NULL;
    }
    struct automation_keys keys;
    bool fresh = brake_is_fresh(q, &b->brake);
    if (!fresh || (b->rate && budget_is_over(b->rate))) {
        queue_way_keys(s, l, &keys);
        if (fresh || brake_make(q, &b->brake, &keys, 1u << level_whos[level])) {
            sender_set_rate(q, b, s, &keys);
        }
    }
    return b->brake.effect ? b : NULL;
}

/* ---- parts ---- */

static bool brake_rests(const struct queue *q, const struct automation_effect *e,
                        enum queue_toll_by by, struct queue_toll_wait *wait)
{
    uint64_t now_ms = brake_now(q);
    if (!e || e->suspended_until_ms <= now_ms) {
        return false;
    }
    uint64_t ms = e->suspended_until_ms - now_ms;
    ms = ms < QUEUE_BRAKE_LOOK_MS ? ms : QUEUE_BRAKE_LOOK_MS;
    *wait = (struct queue_toll_wait){.by = by,
                                     .rate = BUDGET_MESSAGE_RATE,
                                     .next_us = io_now(q->io)->mono_us + ms * 1000,
                                     .cause = e->cause_id};
    return true;
}

bool queue_brake_holds(struct queue *q, struct queue_site *s, const struct queue_part *p,
                       struct queue_toll_wait *wait)
{
    if (brake_rests(q, queue_brake_of(q, s), QUEUE_TOLL_BRAKE, wait)) {
        return true;
    }
    for (int i = 0; i < QUEUE_BRAKE_LEVELS; i++) {
        const struct brake_sender *b = brake_sender(q, s, p->message->label,
                                                    (enum queue_brake_level)i);
        if (b && brake_rests(q, b->brake.effect,
                             (enum queue_toll_by)(QUEUE_TOLL_BRAKE_TENANT + i), wait)) {
            return true;
        }
    }
    return false;
}

void queue_brake_budgets(struct queue *q, struct queue_site *s, const struct queue_part *p,
                         struct budget *out[QUEUE_BRAKE_LEVELS])
{
    for (int i = 0; i < QUEUE_BRAKE_LEVELS; i++) {
        const struct brake_sender *b = brake_sender(q, s, p->message->label,
                                                    (enum queue_brake_level)i);
        out[i] = b ? b->rate : NULL;
    }
}

uint64_t queue_brake_cause(struct queue *q, struct queue_site *s, const struct queue_part *p,
                           const struct queue_toll_wait *wait)
{
    const struct automation_effect *e = NULL;
    if (wait->by == QUEUE_TOLL_SITE && wait->rate == BUDGET_MESSAGE_RATE) {
        e = queue_brake_of(q, s);
        bool bound = e && (e->rate.max || e->rate.factor < AUTOMATION_ONE);
        return bound ? e->cause_id : 0;
    }
    if (wait->by >= QUEUE_TOLL_BRAKE_TENANT) {
        const struct brake_sender *b = brake_sender(
            q, s, p->message->label, (enum queue_brake_level)(wait->by - QUEUE_TOLL_BRAKE_TENANT));
        e = b ? b->brake.effect : NULL;
    }
    return e ? e->cause_id : wait->cause;
}

/* ---- giving up ---- */

static struct outcome brake_outcome(struct queue *q, uint64_t id,
                                    char text[LIMIT_OUTCOME_TEXT_BYTES])
{
    struct automation_override cause;
    struct buf line;
    buf_init(&line, 2 * LIMIT_OUTCOME_TEXT_BYTES);
    buf_add(&line, SLICE("given up without another attempt, as the administrator has ordered"));
    if (automation_find(q->lessons.automation, id, brake_now(q), &cause) && cause.sample.len) {
        buf_addf(&line, ", because of: %.*s", SLICE_ARG(cause.sample));
    }
    size_t n = outcome_text_clean(text, LIMIT_OUTCOME_TEXT_BYTES, buf_slice(&line));
    buf_deinit(&line);
    return outcome_local(OUTCOME_PERMANENT, OUTCOME_SITE, OUTCOME_STAGE_ROUTE,
                         (struct enhanced){5, 7, 1}, slice_of(text, n));
}

bool queue_brake_gives_up(struct queue *q, struct queue_site *s, const struct queue_part *p,
                          struct outcome *o, char text[LIMIT_OUTCOME_TEXT_BYTES])
{
    const struct automation_effect *e = queue_brake_of(q, s);
    uint64_t id = e ? e->bounce_id : 0;
    for (int i = 0; i < QUEUE_BRAKE_LEVELS && !id; i++) {
        const struct brake_sender *b = brake_sender(q, s, p->message->label,
                                                    (enum queue_brake_level)i);
        id = b ? b->brake.effect->bounce_id : 0;
    }
    if (id) {
        *o = brake_outcome(q, id, text);
    }
    return id != 0;
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
    if (e && e->until_ms != AUTOMATION_FOREVER && e->until_ms > brake_now(q)) {
        /* Connections that are busy do not ask whether there may be more. */
        queue_sched_retry_at(d, io_now(q->io)->mono_ms + (e->until_ms - brake_now(q)));
    }
    if (e && e->bounce_id) {
        over = brake_outcome(q, e->bounce_id, text);
        queue_sched_end(d, &over);
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
