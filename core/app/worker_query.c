/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a worker answers the control thread. Whatever looks through the queue is an order (core/queue/order.h) and
 * answered when it is done.
 */
#include "core/app/worker.h"
#include "core/queue/live.h"

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
    s->deferred = queue_report_deferred(&w->queue);
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
    switch (r->verb) {
    case ADMIN_QUEUE_LS:
        return QUEUE_ACT_LIST;
    case ADMIN_QUEUE_STATS:
        return QUEUE_ACT_COUNT;
    case ADMIN_QUEUE_RETRY:
        return QUEUE_ACT_RETRY;
    case ADMIN_QUEUE_HOLD:
        return QUEUE_ACT_HOLD;
    case ADMIN_QUEUE_RELEASE:
        return QUEUE_ACT_RELEASE;
    case ADMIN_QUEUE_BOUNCE:
        return r->quiet ? QUEUE_ACT_BOUNCE_QUIETLY : QUEUE_ACT_BOUNCE;
    case ADMIN_QUEUE_DELETE:
        return QUEUE_ACT_DELETE;
    case ADMIN_SUSPEND:
        return QUEUE_ACT_SUSPEND;
    case ADMIN_RESUME:
        return QUEUE_ACT_RESUME;
    case ADMIN_QUEUE_SHOW:
    case ADMIN_SUSPEND_LS:
    case ADMIN_EXPLAIN:
    case ADMIN_VERB_COUNT:
        break;
    }
    return QUEUE_ACT_NONE;
}

static void worker_order(struct worker *w, struct worker_mail *m, const struct queue_select *select)
{
    const struct admin_request *r = &m->request;
    struct queue_order_init init = {
        .action = worker_action(r),
        .dry_run = r->dry_run,
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

void worker_query(struct worker *w, struct worker_mail *m)
{
    uint64_t id;
    switch (m->request.verb) {
    case ADMIN_QUEUE_STATS:
        if (!queue_select_empty(&m->request.select)) {
            worker_order(w, m, &m->request.select);
            return;
        }
        worker_stats(w, &m->stats);
        break;
    case ADMIN_QUEUE_SHOW:
        if (queue_id_parse(slice_str(m->request.id), &id)) {
            queue_report_one(&w->queue, id, ADMIN_SHOW_RECIPIENTS_MAX, &m->answer);
        }
        break;
    case ADMIN_QUEUE_LS:
    case ADMIN_QUEUE_RETRY:
    case ADMIN_QUEUE_HOLD:
    case ADMIN_QUEUE_RELEASE:
    case ADMIN_QUEUE_BOUNCE:
    case ADMIN_QUEUE_DELETE:
        worker_order(w, m, &m->request.select);
        return;
    case ADMIN_SUSPEND:
    case ADMIN_RESUME:
        worker_suspend(w, m);
        return;
    case ADMIN_SUSPEND_LS:
        queue_suspend_report(&w->queue, &m->answer);
        break;
    case ADMIN_EXPLAIN:
        queue_live_report(&w->queue, slice_str(m->request.select.domain), m->request.site_id,
                          &m->answer);
        break;
    case ADMIN_VERB_COUNT:
        break;
    }
    worker_answer(w, m);
}
