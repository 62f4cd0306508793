/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/warmup.h"

#include "core/base/must.h"
#include "core/conf/warmup.h"
#include "core/queue/far.h"
#include "core/queue/queue.h"
#include "core/queue/sched.h"

#include <stdlib.h>

static uint64_t wall_ms(const struct queue *q)
{
    return io_now(q->io)->wall_us / 1000;
}

/* ---- a site's track ---- */

static uint32_t days_of(const struct conf_warmup_plan *plan, struct slice provider,
                        uint32_t days[CONF_WARMUP_DAYS_MAX])
{
    uint32_t count = 0;
    for (size_t i = 0; i < plan->providers.count; i++) {
        struct slice rest = plan->providers.items[i].days;
        if (!slice_eq(plan->providers.items[i].provider, provider)) {
            continue;
        }
        while (count < CONF_WARMUP_DAYS_MAX && conf_warmup_next(&rest, &days[count])) {
            count++;
        }
        return count;
    }
    must(plan->days.count <= CONF_WARMUP_DAYS_MAX);
    for (size_t i = 0; i < plan->days.count; i++) {
        days[count++] = plan->days.items[i];
    }
    return count;
}

struct warmup_track *queue_warmup_track(struct queue *q, const struct route_plan *plan)
{
    uint32_t days[CONF_WARMUP_DAYS_MAX];
    const struct egress_source *source = q->warmup && plan->source.len
                                             ? egress_find(q->egress, plan->source)
                                             : NULL;
    if (!source) {
        return NULL;
    }
    const struct conf_egress_source *c = &q->conf->sources.items[source->index];
    const struct warmup_name name = {plan->source, slice_str(plan->limits.provider_name)};
    const struct conf_warmup_plan *p = c->warmup.len ? conf_warmup_plan(q->conf, c->warmup) : NULL;
    if (!p) {
        return warmup_track_get(q->warmup, &name, NULL, 1, q->serial);
    }
    const struct warmup_rule rule = {
        .days = days,
        .day_count = days_of(p, name.provider, days),
        .hold_percent = p->hold_at,
        .back_percent = p->step_back_at,
        .day_ms = p->day_ms,
    };
    return warmup_track_get(q->warmup, &name, &rule, c->warmup_start_day, q->serial);
}

/* ---- writing down ---- */

struct warmup_mail {
    struct mail mail;
    struct warmup_track *track;
};

/* A write under way; ctx of its end. */
struct warmup_writing {
    struct queue *queue;
    struct warmup_track *track;
    struct warmup_write write;
    queue_memo_done *done; /* NULL: nobody asked for it */
    void *ctx;
};

static void write_down(struct warmup_writing *w, bool final);

/* NOLINTNEXTLINE(misc-no-recursion): after a failure nothing is written for WARMUP_FAILED_MS */
static void on_written(void *ctx, enum queue_memo_end end)
{
    struct warmup_writing *w = ctx;
    struct queue *q = w->queue;
    warmup_write_done(w->track, end == QUEUE_MEMO_KEPT, &w->write, wall_ms(q));
    if (w->done) {
        w->done(w->ctx, end);
    }
    if (!q->stopping && warmup_wants_write(w->track, wall_ms(q))) {
        w->done = NULL;
        write_down(w, false);
        return;
    }
    free(w);
}

/* Takes w. */
/* NOLINTNEXTLINE(misc-no-recursion): see on_written */
static void write_down(struct warmup_writing *w, bool final)
{
    struct buf key, value;
    buf_init(&key, WARMUP_KEY_BYTES_MAX);
    buf_init(&value, WARMUP_VALUE_BYTES_MAX);
    warmup_write_begin(w->track, final, wall_ms(w->queue), &key, &value, &w->write);
    const struct spool_memo memo = {.kind = QUEUE_MEMO_WARMUP,
                                    .key = buf_slice(&key),
                                    .value = buf_slice(&value)};
    if (key.overflow || value.overflow) {
        on_written(w, QUEUE_MEMO_FAILED);
    } else {
        queue_memo_tell(w->queue, &memo, on_written, w);
    }
    buf_deinit(&key);
    buf_deinit(&value);
}

/* It was promised that somebody writes (warmup_wants_write). */
static void write_at_memo_worker(struct queue *q, struct warmup_track *k)
{
    struct warmup_writing *w = q->stopping ? NULL : malloc(sizeof(*w));
    if (!w) {
        const struct warmup_write none = {0, 0};
        warmup_write_done(k, false, &none, wall_ms(q));
        return;
    }
    *w = (struct warmup_writing){.queue = q, .track = k};
    write_down(w, false);
}

static void write_if_wanted(struct queue *q, struct warmup_track *k)
{
    if (!warmup_wants_write(k, wall_ms(q))) {
        return;
    }
    if (q->worker == SPOOL_MEMO_WORKER) {
        write_at_memo_worker(q, k);
        return;
    }
    struct warmup_mail *m = calloc(1, sizeof(*m));
    if (!m) {
        const struct warmup_write none = {0, 0};
        warmup_write_done(k, false, &none, wall_ms(q));
        return;
    }
    m->mail.type = QUEUE_MAIL_WARMUP;
    m->track = k;
    mailbox_post(q->group->boxes[SPOOL_MEMO_WORKER], &m->mail, q->io);
}

void queue_warmup_on_mail(struct queue *q, struct mail *m)
{
    struct warmup_mail *mail = container_of(m, struct warmup_mail, mail);
    write_at_memo_worker(q, mail->track);
    free(mail);
}

void queue_warmup_drop_mail(struct mail *m)
{
    free(container_of(m, struct warmup_mail, mail));
}

static void stop_one(void *ctx, struct warmup_track *k)
{
    struct queue *q = ctx;
    struct warmup_writing *w = malloc(sizeof(*w));
    if (w) { /* else the reservation stands, which is too much */
        *w = (struct warmup_writing){.queue = q, .track = k};
        write_down(w, true);
    }
}

void queue_warmup_stop(struct queue *q)
{
    if (q->warmup && q->worker == SPOOL_MEMO_WORKER) {
        warmup_table_walk(q->warmup, stop_one, q);
    }
}

bool queue_warmup_set(struct queue *q, const struct warmup_name *name, uint32_t day,
                      queue_memo_done *done, void *ctx)
{
    struct warmup_track *k = q->warmup ? warmup_track_find(q->warmup, name) : NULL;
    struct warmup_view v = {.day_count = 0};
    must(q->worker == SPOOL_MEMO_WORKER);
    if (k) {
        warmup_track_view(k, wall_ms(q), &v);
    }
    if (v.day_count == 0) {
        return false;
    }
    struct warmup_writing *w = q->stopping ? NULL : malloc(sizeof(*w));
    if (!w) {
        done(ctx, QUEUE_MEMO_FAILED);
        return true;
    }
    *w = (struct warmup_writing){.queue = q, .track = k, .done = done, .ctx = ctx};
    warmup_set_day(k, day, wall_ms(q));
    write_down(w, false);
    return true;
}

/* ---- a part on its way ---- */

static bool warmup_verdict_is(struct queue *q, enum warmup_answer answer, uint64_t until_ms,
                              struct queue_toll_wait *wait)
{
    const struct clock_now *now = io_now(q->io);
    if (answer == WARMUP_TAKEN) {
        return true;
    }
    uint64_t ms = until_ms > wall_ms(q) ? until_ms - wall_ms(q) : 1;
    *wait = (struct queue_toll_wait){.by = QUEUE_TOLL_WARMUP, .next_us = now->mono_us + ms * 1000};
    return false;
}

bool queue_warmup_check(struct queue *q, struct queue_site *s, struct queue_toll_wait *wait)
{
    uint64_t until_ms = 0;
    if (!s->warmup) {
        return true;
    }
    enum warmup_answer answer = warmup_check(s->warmup, wall_ms(q), &until_ms);
    write_if_wanted(q, s->warmup);
    return warmup_verdict_is(q, answer, until_ms, wait);
}

bool queue_warmup_take(struct queue *q, struct queue_site *s, struct queue_part *p,
                       struct queue_toll_wait *wait)
{
    uint64_t date = 0, until_ms = 0;
    if (!s->warmup) {
        return true;
    }
    enum warmup_answer answer = warmup_take(s->warmup, wall_ms(q), &date, &until_ms);
    p->warmup_date = (uint32_t)date;
    write_if_wanted(q, s->warmup);
    return warmup_verdict_is(q, answer, until_ms, wait);
}

void queue_warmup_give(struct queue_site *s, const struct queue_part *p)
{
    if (s->warmup) {
        warmup_give(s->warmup, p->warmup_date);
    }
}

void queue_warmup_answered(struct queue *q, struct queue_site *s, const struct outcome *last)
{
    bool answered = last->kind == OUTCOME_DELIVERED || (last->remote && last->kind != OUTCOME_NONE);
    if (s->warmup && answered) {
        warmup_answered(s->warmup, last->kind == OUTCOME_TEMPORARY, wall_ms(q));
    }
}

void queue_warmup_overflow(struct queue *q, struct queue_site *s,
                           const struct queue_toll_wait *wait)
{
    uint64_t now_us = io_now(q->io)->mono_us;
    struct queue_part *p;
    if (wait->next_us - now_us <= WARMUP_FAILED_MS * 1000 || s->overflow_us > now_us) {
        return;
    }
    /* A lane is given nothing more by the owner, who finds out at once; what it has goes where there is room. */
    while (!s->sched && (p = queue_lane_pop(q, s))) {
        queue_site_done(q, s);
        queue_part_release(q, p);
    }
    if (s->sched) {
        s->overflow_us = wait->next_us;
        queue_sched_release(s->sched);
    }
}

bool queue_warmup_rests(struct queue *q, struct queue_site *s)
{
    const struct clock_now *now = io_now(q->io);
    struct queue_toll_wait wait;
    bool work = s->lane_count || (s->sched && s->sched->waiting.count);
    if (s->rests_for.by != QUEUE_TOLL_WARMUP || !work || queue_warmup_check(q, s, &wait)) {
        return false;
    }
    uint64_t until_ms = now->mono_ms + (wait.next_us - now->mono_us + 999) / 1000;
    s->rests_for = wait;
    timer_start(q->timers, &s->rest, queue_warmup_look_ms(&wait, now->mono_ms, until_ms));
    return true;
}

bool queue_warmup_may(void *ctx, const struct egress_source *source)
{
    const struct queue_warmup_asked *a = ctx;
    struct queue *q = a->queue;
    if (!q->warmup || q->conf->sources.items[source->index].warmup.len == 0) {
        return true;
    }
    const struct queue_site *s = queue_domain_site(q, a->domain, source);
    return !s || !s->warmup || warmup_has_room(s->warmup, wall_ms(q));
}

/* ---- for people ---- */

void queue_warmup_binding(struct queue *q, const struct queue_site *s, struct buf *out)
{
    struct warmup_view v;
    if (!s->warmup) {
        return;
    }
    warmup_track_view(s->warmup, wall_ms(q), &v);
    if (v.allowance != WARMUP_NO_LIMIT) {
        buf_addf(out, "warm-up day %u: %llu of %llu", v.state.day, (unsigned long long)v.state.sent,
                 (unsigned long long)v.allowance);
    }
}

static struct slice view_state(const struct warmup_view *v)
{
    if (v->allowance == WARMUP_NO_LIMIT) {
        return SLICE("warm");
    }
    if (v->state.sent >= v->allowance) {
        return SLICE("used up");
    }
    switch (v->last) {
    case WARMUP_HELD:
        return SLICE("held");
    case WARMUP_STEPPED_BACK:
        return SLICE("stepped back");
    case WARMUP_NOT_COUNTED:
    case WARMUP_ADVANCED:
        break;
    }
    return SLICE("warming up");
}

static void view_add(const struct warmup_view *v, struct buf *out)
{
    unsigned permille = warmup_deferred_permille(&v->state);
    buf_addf(out, "\"day\":%u,\"days\":%u,\"sent\":%llu,\"allowance\":", v->state.day, v->day_count,
             (unsigned long long)v->state.sent);
    if (v->allowance == WARMUP_NO_LIMIT) {
        buf_add(out, SLICE("null"));
    } else {
        buf_addf(out, "%llu", (unsigned long long)v->allowance);
    }
    buf_addf(out, ",\"answered\":%llu,\"deferred\":%llu,\"deferred_percent\":%u.%u,\"until\":\"",
             (unsigned long long)v->state.answered, (unsigned long long)v->state.deferred,
             permille / 10, permille % 10);
    clock_add_rfc3339(out, v->date_end_ms * 1000);
    buf_add(out, SLICE("\",\"state\":"));
    obs_json_string(out, view_state(v));
}

void queue_warmup_describe(struct queue *q, const struct queue_site *s, struct buf *out)
{
    struct warmup_view v;
    if (s->warmup) {
        warmup_track_view(s->warmup, wall_ms(q), &v);
        buf_add(out, SLICE(",\"warmup\":{"));
        view_add(&v, out);
        buf_add_byte(out, '}');
    }
}

struct warmup_listing {
    struct queue *queue;
    struct buf *out;
};

static void report_one(void *ctx, struct warmup_track *k)
{
    const struct warmup_listing *l = ctx;
    struct warmup_view v;
    warmup_track_view(k, wall_ms(l->queue), &v);
    bool named = v.day_count > 0 && egress_find(l->queue->egress, v.name.source);
    if (!named || l->out->overflow) {
        return;
    }
    buf_add(l->out, SLICE("{\"source\":"));
    obs_json_string(l->out, v.name.source);
    buf_add(l->out, SLICE(",\"provider\":"));
    obs_json_string(l->out, v.name.provider);
    buf_add_byte(l->out, ',');
    view_add(&v, l->out);
    buf_add(l->out, SLICE("}\n"));
}

void queue_warmup_report(struct queue *q, struct buf *out)
{
    struct warmup_listing l = {q, out};
    if (q->warmup) {
        warmup_table_walk(q->warmup, report_one, &l);
    }
}
