/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a worker answers the control thread. Whatever looks through the queue is an order (core/queue/order.h) and
 * answered when it is done.
 */
#include "core/app/worker.h"
#include "core/queue/live.h"
#include "core/queue/override.h"
#include "core/queue/top.h"
#include "core/queue/warmup.h"

/* What a worker does about a verb: a report is answered at once, what begins answers when it is done. */
struct worker_verb {
    void (*report)(struct worker *w, struct worker_mail *m);
    void (*begin)(struct worker *w, struct worker_mail *m);
    enum queue_action action; /* of the walk over the queue that it begins */
};
static const struct worker_verb worker_verbs[ADMIN_VERB_COUNT]; /* at the end */

static void worker_stats(struct worker *w, struct worker_stats *s)
{
    s->queue = w->queue.counters;
    s->relay = w->relay.counters;
    spool_stats(w->spool, &s->spool);
    s->io = *io_counters(w->io);
    s->sites = w->queue.sites.count;
    s->sessions = w->relay.inbound.used;
    s->connections = w->relay.outbound.used;
    s->handshakes = w->relay.handshakes.counters;
    s->handshakes_waiting = w->relay.handshakes.length;
    s->memory_bytes = w->queue.memory_bytes + w->relay.inflight_bytes;
    s->inflight = w->queue.sending;
}

static void worker_answer(struct worker *w, struct worker_mail *m)
{
    m->mail.type = CONTROL_MAIL_ANSWER;
    worker_tell(w, m);
}

static void worker_on_order_done(void *ctx, const struct queue_order_counts *counts,
                                 struct buf *lines)
{
    struct worker_mail *m = ctx;
    m->counts = *counts;
    if (lines && lines->overflow) {
        lines->overflow = false;
        m->verdict = WORKER_CUT;
    }
    worker_answer(m->self, m);
}

static enum queue_action worker_action(const struct admin_request *r)
{
    enum queue_action action = worker_verbs[r->verb].action;
    return action == QUEUE_ACT_BOUNCE && r->quiet ? QUEUE_ACT_BOUNCE_QUIETLY : action;
}

static void worker_order(struct worker *w, struct worker_mail *m, const struct queue_select *select)
{
    const struct admin_request *r = &m->request;
    struct queue_order_init init = {
        .action = worker_action(r),
        .dry_run = r->dry_run,
        .target = m->target,
        .select = *select,
        .limit = r->limit,
        .rcpts_max = ADMIN_LS_RECIPIENTS_MAX,
        .done = worker_on_order_done,
        .ctx = m,
        .lines = r->verb == ADMIN_QUEUE_LS ? &m->answer : NULL,
    };
    if (r->after[0] && !queue_id_parse(slice_str(r->after), &init.after)) {
        init.after = 0; /* the request was checked */
    }
    m->self = w;
    if (w->queue.stopping || !queue_order_start(&w->queue, &init)) {
        m->verdict = WORKER_REFUSED;
        worker_answer(w, m);
    }
}

static void worker_selection(struct worker *w, struct worker_mail *m)
{
    worker_order(w, m, &m->request.select);
}

/* ---- reports ---- */

static void worker_count(struct worker *w, struct worker_mail *m)
{
    if (!queue_select_empty(&m->request.select)) {
        worker_selection(w, m);
        return;
    }
    worker_stats(w, &m->stats);
    m->stats.deferred = queue_report_deferred(&w->queue); /* a walk */
    worker_answer(w, m);
}

static void worker_show(struct worker *w, struct worker_mail *m)
{
    uint64_t id;
    if (queue_id_parse(slice_str(m->request.id), &id)) {
        queue_report_one(&w->queue, id, ADMIN_SHOW_RECIPIENTS_MAX, &m->answer);
    }
}

static void worker_suspensions(struct worker *w, struct worker_mail *m)
{
    queue_suspend_report(&w->queue, &m->answer);
}

static void worker_peers(struct worker *w, struct worker_mail *m)
{
    queue_peers_report(&w->queue, &m->answer);
}

static void worker_list_overrides(struct worker *w, struct worker_mail *m)
{
    queue_overrides_report(w->queue.lessons.automation, io_now(w->io)->wall_us / 1000, &m->answer);
}

static void worker_explain(struct worker *w, struct worker_mail *m)
{
    queue_live_report(&w->queue, slice_str(m->request.select.domain), m->request.site_id,
                      &m->answer);
}

static void worker_warmups(struct worker *w, struct worker_mail *m)
{
    queue_warmup_report(&w->queue, &m->answer);
}

static void worker_top(struct worker *w, struct worker_mail *m)
{
    struct buf lines;
    buf_init(&lines, ADMIN_TOP_BYTES);
    worker_stats(w, &m->stats);
    queue_top_report(&w->queue, m->request.limit, &lines);
    buf_add(&m->answer, buf_slice(&lines));
    buf_deinit(&lines);
}

/* ---- traces ---- */

static void worker_trace(struct worker *w, struct worker_mail *m)
{
    if (m->dialogue && !taps_begin(&w->relay, m->dialogue)) {
        m->verdict = WORKER_REFUSED;
    }
    dialogue_put(&m->dialogue);
}

void worker_tell_dialogues(struct worker *w)
{
    for (unsigned i = 0; i < w->relay.taps.count; i++) {
        struct taps_entry *t = &w->relay.taps.entries[i];
        if (t->out.len == 0) {
            continue;
        }
        struct worker_mail *m = worker_mail_new(CONTROL_MAIL_DIALOGUE);
        m->token = t->dialogue->token;
        m->dialogue = dialogue_ref(t->dialogue);
        m->answer = t->out;
        buf_init(&t->out, TAPS_OUT_BYTES);
        worker_tell(w, m);
    }
}

/* ---- suspensions ---- */

static void worker_suspend_memo(const struct worker_mail *m, struct spool_memo *memo,
                                struct buf *value)
{
    const struct admin_request *r = &m->request;
    *memo = (struct spool_memo){.kind = QUEUE_MEMO_SUSPEND, .key = slice_str(r->scope)};
    if (r->verb == ADMIN_SUSPEND) {
        struct queue_suspension what = {.since_ms = m->since_ms,
                                        .until_ms = r->for_ms ? m->since_ms + r->for_ms : 0,
                                        .reason = slice_str(r->reason)};
        queue_suspension_encode(&what, value);
        memo->value = buf_slice(value);
    }
}

static void worker_on_stored(void *ctx, enum queue_memo_end end)
{
    struct worker_mail *m = ctx;
    m->verdict = end == QUEUE_MEMO_KEPT ? WORKER_DONE : WORKER_NOT_STORED;
    worker_answer(m->self, m);
}

static void worker_suspend(struct worker *w, struct worker_mail *m)
{
    struct spool_memo memo;
    struct queue_select select;
    struct buf value;
    buf_init(&value, SPOOL_MEMO_VALUE_BYTES_MAX);
    worker_suspend_memo(m, &memo, &value);
    bool known = queue_suspend_known(&w->queue, memo.key);
    m->self = w;
    if (!m->apply && m->request.verb == ADMIN_RESUME && !known) {
        m->verdict = WORKER_NOT_FOUND;
        worker_answer(w, m);
    } else if (!m->apply) {
        queue_memo_tell(&w->queue, &memo, worker_on_stored, m);
    } else if (queue_suspend_apply(&w->queue, &memo) && queue_scope_select(memo.key, &select)) {
        worker_order(w, m, &select);
    } else {
        m->verdict = WORKER_REFUSED;
        worker_answer(w, m);
    }
    buf_deinit(&value);
}

/* ---- queue route ---- */

static void worker_target_memo(const struct worker_mail *m, struct spool_memo *memo,
                               char key[QUEUE_TARGET_KEY_BYTES])
{
    int n = snprintf(key, QUEUE_TARGET_KEY_BYTES, "%u", m->target);
    must(n > 0 && n < QUEUE_TARGET_KEY_BYTES);
    *memo = (struct spool_memo){.kind = QUEUE_MEMO_TARGET,
                                .key = slice_of(key, (size_t)n),
                                .value = slice_str(m->request.to)};
}

static void worker_on_target_stored(void *ctx, enum queue_memo_end end)
{
    struct worker_mail *m = ctx;
    if (end == QUEUE_MEMO_KEPT) { /* else another order takes the number before this is applied */
        (void)queue_target_put(&m->self->queue, m->target, slice_str(m->request.to));
    }
    queue_target_settle(&m->self->queue, m->target);
    worker_on_stored(ctx, end);
}

/* At the worker that has the memos: the target's number, stored. */
static void worker_store_target(struct worker *w, struct worker_mail *m)
{
    struct spool_memo memo;
    char key[QUEUE_TARGET_KEY_BYTES];
    m->self = w;
    m->target = (uint16_t)queue_target_number(&w->queue, slice_str(m->request.to));
    if (m->target != QUEUE_TARGET_NONE) {
        worker_answer(w, m);
        return;
    }
    m->target = (uint16_t)queue_target_take(&w->queue);
    if (m->target == QUEUE_TARGET_NONE) {
        m->verdict = WORKER_REFUSED;
        worker_answer(w, m);
        return;
    }
    worker_target_memo(m, &memo, key);
    queue_memo_tell(&w->queue, &memo, worker_on_target_stored, m);
}

static void worker_route(struct worker *w, struct worker_mail *m)
{
    struct slice to = slice_str(m->request.to);
    bool back = slice_eq(to, SLICE("default"));
    if (!back && !m->request.dry_run && !m->apply) {
        worker_store_target(w, m);
        return;
    }
    if (m->request.dry_run && !back) {
        m->target = (uint16_t)queue_target_number(&w->queue, to);
        m->target = m->target ? m->target : QUEUE_TARGET_NEW;
    } else if (!back && !queue_target_put(&w->queue, m->target, to)) {
        m->verdict = WORKER_REFUSED;
        worker_answer(w, m);
        return;
    }
    worker_order(w, m, &m->request.select);
}

/* ---- what was learned of servers ---- */

static void worker_forget_peers(struct worker *w, struct worker_mail *m)
{
    struct slice host = slice_str(m->request.host);
    m->self = w;
    if (m->apply) {
        uint32_t count = queue_peers_forget(&w->queue, host);
        m->counts.messages = w->parts.index == SPOOL_MEMO_WORKER ? count : 0;
        worker_answer(w, m);
    } else if (!queue_peers_end(&w->queue, host, worker_on_stored, m)) {
        m->verdict = WORKER_NOT_FOUND;
        worker_answer(w, m);
    }
}

static void worker_set_warmup(struct worker *w, struct worker_mail *m)
{
    struct slice provider = slice_str(m->request.where);
    if (slice_eq(provider, SLICE("other"))) { /* as `warmup ls` calls those that belong to none */
        provider.len = 0;
    }
    m->self = w;
    if (!queue_warmup_set(&w->queue, &(struct warmup_name){slice_str(m->request.who), provider},
                          m->request.day, worker_on_stored, m)) {
        m->verdict = WORKER_NOT_FOUND;
        worker_answer(w, m);
    }
}

/* ---- the rows ---- */

static const struct worker_verb worker_verbs[ADMIN_VERB_COUNT] = {
    [ADMIN_QUEUE_STATS] = {NULL, worker_count, QUEUE_ACT_COUNT},
    [ADMIN_QUEUE_LS] = {NULL, worker_selection, QUEUE_ACT_LIST},
    [ADMIN_QUEUE_SHOW] = {worker_show, NULL, QUEUE_ACT_NONE},
    [ADMIN_QUEUE_RETRY] = {NULL, worker_selection, QUEUE_ACT_RETRY},
    [ADMIN_QUEUE_HOLD] = {NULL, worker_selection, QUEUE_ACT_HOLD},
    [ADMIN_QUEUE_RELEASE] = {NULL, worker_selection, QUEUE_ACT_RELEASE},
    [ADMIN_QUEUE_BOUNCE] = {NULL, worker_selection, QUEUE_ACT_BOUNCE},
    [ADMIN_QUEUE_DELETE] = {NULL, worker_selection, QUEUE_ACT_DELETE},
    [ADMIN_QUEUE_ROUTE] = {NULL, worker_route, QUEUE_ACT_ROUTE},
    [ADMIN_SUSPEND_LS] = {worker_suspensions, NULL, QUEUE_ACT_NONE},
    [ADMIN_SUSPEND] = {NULL, worker_suspend, QUEUE_ACT_SUSPEND},
    [ADMIN_RESUME] = {NULL, worker_suspend, QUEUE_ACT_RESUME},
    [ADMIN_EXPLAIN] = {worker_explain, NULL, QUEUE_ACT_NONE},
    [ADMIN_PEERS_LS] = {worker_peers, NULL, QUEUE_ACT_NONE},
    [ADMIN_PEERS_FORGET] = {NULL, worker_forget_peers, QUEUE_ACT_NONE},
    [ADMIN_OVERRIDES_LS] = {worker_list_overrides, NULL, QUEUE_ACT_NONE},
    [ADMIN_OVERRIDES_CANCEL] = {NULL, worker_overrides, QUEUE_ACT_NONE},
    [ADMIN_OVERRIDES_ADD] = {NULL, worker_overrides, QUEUE_ACT_NONE},
    [ADMIN_TOP] = {worker_top, NULL, QUEUE_ACT_NONE},
    [ADMIN_TRACE] = {worker_trace, NULL, QUEUE_ACT_NONE},
    [ADMIN_WARMUP_LS] = {worker_warmups, NULL, QUEUE_ACT_NONE},
    [ADMIN_WARMUP_SET] = {NULL, worker_set_warmup, QUEUE_ACT_NONE},
};

void worker_query(struct worker *w, struct worker_mail *m)
{
    must(m->request.verb < ADMIN_VERB_COUNT);
    const struct worker_verb *verb = &worker_verbs[m->request.verb];
    must(!verb->report != !verb->begin); /* a verb without a row here */
    if (verb->begin) {
        verb->begin(w, m);
        return;
    }
    verb->report(w, m);
    worker_answer(w, m);
}
