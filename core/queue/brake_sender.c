/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What holds for the mail of one tenant, campaign or DKIM domain at one site, and what both mean for a part.
 */
#include "core/base/must.h"
#include "core/queue/brake_private.h"
#include "core/queue/queue.h"
#include "core/queue/way.h"

#include <stdlib.h>

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
        queue_brake_bound_rate(&b->brake.effect->rate, &limits);
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
    bool fresh = queue_brake_is_fresh(q, &b->brake);
    if (!fresh || (b->rate && budget_is_over(b->rate))) {
        queue_way_keys(s, l, &keys);
        if (fresh || queue_brake_make(q, &b->brake, &keys, 1u << level_whos[level])) {
            sender_set_rate(q, b, s, &keys);
        }
    }
    return b->brake.effect ? b : NULL;
}

/* ---- parts ---- */

static bool brake_rests(const struct queue *q, const struct automation_effect *e,
                        enum queue_toll_by by, struct queue_toll_wait *wait)
{
    uint64_t now_ms = queue_brake_now(q);
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
        if (b && brake_rests(q, b->brake.effect, (enum queue_toll_by)(QUEUE_TOLL_BRAKE_TENANT + i),
                             wait)) {
            return true;
        }
    }
    return false;
}

void queue_brake_budgets(struct queue *q, struct queue_site *s, const struct queue_part *p,
                         struct budget *out[QUEUE_BRAKE_LEVELS])
{
    if (q->brakes.senders.count + QUEUE_BRAKE_LEVELS > QUEUE_BRAKE_SENDERS_MAX) {
        queue_brakes_forget(q); /* not between two of them: the first one's rate would go */
    }
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
        const struct brake_sender *b =
            brake_sender(q, s, p->message->label,
                         (enum queue_brake_level)(wait->by - QUEUE_TOLL_BRAKE_TENANT));
        e = b ? b->brake.effect : NULL;
    }
    return e ? e->cause_id : wait->cause;
}

/* ---- giving up ---- */

struct outcome queue_brake_outcome(struct queue *q, uint64_t id,
                                   char text[LIMIT_OUTCOME_TEXT_BYTES])
{
    struct automation_override cause;
    struct buf line;
    buf_init(&line, 2 * LIMIT_OUTCOME_TEXT_BYTES);
    buf_add(&line, SLICE("given up without another attempt, as the administrator has ordered"));
    if (automation_find(q->lessons.automation, id, queue_brake_now(q), &cause) &&
        cause.sample.len) {
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
        *o = queue_brake_outcome(q, id, text);
    }
    return id != 0;
}
