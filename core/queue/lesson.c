/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/lesson.h"
#include "core/base/must.h"
#include "core/queue/brake.h"
#include "core/queue/far.h"
#include "core/queue/queue.h"
#include "core/queue/sched.h"
#include "core/queue/way.h"

#include <stdlib.h>

void queue_lessons_open(struct queue *q, struct automation *automation)
{
    struct queue_lessons *l = &q->lessons;
    *l = (struct queue_lessons){.automation = automation};
    l->ready = classify_scratch_open(&l->scratch, rng_u64(q->rng));
}

void queue_lessons_close(struct queue *q)
{
    if (q->lessons.ready) {
        classify_scratch_close(&q->lessons.scratch);
    }
}

void queue_lessons_set(struct queue *q, const struct classifier *classifier,
                       const struct automation_rules *rules)
{
    q->lessons.classifier = classifier;
    q->lessons.rules = rules;
}

/* text: room for the normalised reply. */
static enum bounce_class lesson_class(struct queue_lessons *l, const struct outcome *o,
                                      char text[REPLY_TEXT_BYTES], struct reply_seen *seen)
{
    *seen = (struct reply_seen){o, slice_of(text, reply_normalise(text, o->text))};
    return l->classifier && l->ready ? classify(l->classifier, &l->scratch, seen).class
                                     : BOUNCE_UNCLASSIFIED;
}

enum bounce_class queue_lesson_class(struct queue *q, const struct outcome *o)
{
    char text[REPLY_TEXT_BYTES];
    struct reply_seen seen;
    must(o->kind != OUTCOME_DELIVERED);
    return lesson_class(&q->lessons, o, text, &seen);
}

/* ---- at the owner ---- */

static uint64_t lesson_rate_base(const struct queue_sched *d, uint64_t now_ms)
{
    const struct budget_limits *own = &d->site->plan->limits.own;
    if (own->limited[BUDGET_MESSAGE_RATE]) {
        return queue_brake_per_day(&own->rules[BUDGET_MESSAGE_RATE]);
    }
    return queue_meter_milli(&d->sent, now_ms) * 86400 / 1000;
}

/* What was going on when nothing was wrong yet: a share of less than that is a brake. */
static struct automation_base lesson_base(const struct queue_sched *d, enum bounce_class class,
                                          uint32_t begun)
{
    const struct route_plan *plan = d->site->plan;
    uint64_t connections = route_plan_number(plan, CONF_SHAPING_CONNECTIONS);
    uint64_t messages = route_plan_number(plan, CONF_SHAPING_MESSAGES_PER_CONNECTION);
    connections = d->granted && d->granted < connections ? d->granted : connections;
    if (class == BOUNCE_TOO_MANY_CONNECTIONS && connections < 2 * (uint64_t)d->working) {
        connections = 2 *
                      (uint64_t)d->working; /* one more was refused: half of this is what works */
    }
    messages = begun && begun < messages ? begun : messages;
    return (struct automation_base){
        .messages_per_day = lesson_rate_base(d, io_now(d->queue->io)->mono_ms),
        .connections = (uint32_t)connections,
        .per_connection = (uint32_t)messages,
    };
}

static void lesson_log(struct queue *q, const struct queue_site *s,
                       const struct automation_event *e, const struct automation_verdict *v)
{
    const struct clock_now *now = io_now(q->io);
    const struct outcome *o = e->seen.outcome;
    if (!v->rule || !obs_begin(q->log, OBS_OVERRIDE, now->wall_us)) {
        return;
    }
    obs_str(q->log, OBS_F_RULE, v->rule->name);
    obs_str(q->log, OBS_F_SITE, s->key);
    obs_str(q->log, OBS_F_CLASS, bounce_class_name(e->class));
    if (o->code) {
        obs_u64(q->log, OBS_F_CODE, o->code);
    }
    obs_str(q->log, OBS_F_REPLY, o->text);
    obs_u64(q->log, OBS_F_COUNT, v->fired);
    obs_end(q->log, now->mono_ms);
}

static void lesson_note(struct queue *q, struct queue_site *s, struct automation_event *e,
                        uint32_t begun)
{
    struct queue_lessons *l = &q->lessons;
    must(s->sched != NULL);
    if (!s->plan || !l->rules) {
        return;
    }
    e->base = lesson_base(s->sched, e->class, begun);
    struct automation_verdict v = automation_note(l->automation, l->rules, &l->scratch.matcher, e,
                                                  io_now(q->io)->wall_us / 1000);
    if (v.fired) {
        lesson_log(q, s, e, &v);
        queue_brakes_changed(q);
    } else if (automation_has_changes(l->automation)) {
        queue_brakes_to_write(q);
    }
}

/* ---- at the connection ---- */

struct lesson_mail {
    struct mail mail;
    struct queue_site *site; /* the owner's, which stays while we have a connection of it */
    struct outcome outcome;
    enum bounce_class class;
    uint32_t begun;
    struct automation_keys keys; /* of the message alone */
    struct slice normalised;
    char bytes[];
};

static struct slice lesson_copy(char **fill, struct slice s)
{
    struct slice copy = {*fill, s.len};
    if (s.len) {
        memcpy(*fill, s.ptr, s.len);
    }
    *fill += s.len;
    return copy;
}

static void lesson_post(struct queue *q, const struct queue_site *s,
                        const struct automation_event *e, uint32_t begun)
{
    const struct outcome *o = e->seen.outcome;
    const struct automation_keys *k = &e->keys;
    struct lesson_mail *m = s->there ? malloc(sizeof(*m) + o->text.len + e->seen.text.len +
                                              k->tenant.len + k->campaign.len + k->dkim.len)
                                     : NULL;
    if (!m) {
        return;
    }
    char *fill = m->bytes;
    *m = (struct lesson_mail){.site = s->there, .outcome = *o, .class = e->class, .begun = begun};
    m->outcome.text = lesson_copy(&fill, o->text);
    m->normalised = lesson_copy(&fill, e->seen.text);
    m->keys.tenant = lesson_copy(&fill, k->tenant);
    m->keys.campaign = lesson_copy(&fill, k->campaign);
    m->keys.dkim = lesson_copy(&fill, k->dkim);
    queue_far_post(q, s->owner, &m->mail, QUEUE_MAIL_LESSON);
}

void queue_lesson_on_mail(struct queue *q, struct mail *mail)
{
    struct lesson_mail *m = container_of(mail, struct lesson_mail, mail);
    if (m->site->sched && m->site->plan) {
        struct automation_event e = {.seen = {&m->outcome, m->normalised}, .class = m->class};
        queue_way_keys(m->site, NULL, &e.keys);
        e.keys.tenant = m->keys.tenant;
        e.keys.campaign = m->keys.campaign;
        e.keys.dkim = m->keys.dkim;
        lesson_note(q, m->site, &e, m->begun);
    }
    free(m);
}

void queue_lesson_drop_mail(struct mail *m)
{
    free(container_of(m, struct lesson_mail, mail));
}

bool queue_lesson_hear(struct queue *q, struct queue_site *s, const struct queue_heard *heard)
{
    struct queue_lessons *l = &q->lessons;
    const struct outcome *o = heard->outcome;
    bool refused = o->kind == OUTCOME_TEMPORARY || o->kind == OUTCOME_PERMANENT;
    if (!o->remote || !refused || !l->automation || !l->rules || !l->ready || !s->plan) {
        return false;
    }
    char text[REPLY_TEXT_BYTES];
    struct automation_event e = {.class = BOUNCE_UNCLASSIFIED};
    e.class = lesson_class(l, o, text, &e.seen);
    queue_way_keys(s, heard->label, &e.keys);
    struct automation_glance glance = automation_rules_look(l->rules, &l->scratch.matcher, &e.seen,
                                                            e.class, e.keys.provider);
    if (glance.lasting && s->sched) {
        lesson_note(q, s, &e, heard->begun);
    } else if (glance.lasting) {
        lesson_post(q, s, &e, heard->begun);
    }
    return glance.fail;
}
