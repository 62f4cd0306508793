/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * From outcomes to durable results.
 *
 * A batch is the results of one attempt of one message: one frame. When one of them obliges us to
 * send a report, the report is a new message *in the same frame* (bounce.c), so a crash leaves both
 * or none: a sender gets exactly one report.
 *
 *   queue_results ─► (bounce.c: the report) ─► queue_batch_append ─► batches ─► decided: settled
 *                                                    └ no room ─► unsaved ─(space)─┘ lost ┘ again
 *
 * On a disk without room the last bytes must be left to what ends a message, because only that brings room
 * back. So a batch of nothing but deferrals is forgotten then: at worst its recipients are tried earlier
 * after a crash. (Kept in memory they would also grow with each round of attempts, as long as it lasts.)
 */
#include "core/policy/retry.h"
#include "core/queue/queue.h"
#include "core/queue/times.h"
#include "proto/mail/dsn.h"

#include <stdlib.h>

static uint8_t queue_notice(const struct queue_message *m, const struct queue_rcpt *r,
                            enum dsn_action action)
{
    return dsn_wanted(r->notify, action, m->sender.len == 0) ? (uint8_t)(action + 1) : 0;
}

/* The next host reports when it speaks DSN. Who asked for a trace hears of each relay, and who wants to be told
 * when it is late that nobody behind us will tell (RFC 2852 4). */
static uint8_t queue_notice_delivered(const struct queue_message *m, const struct queue_rcpt *r,
                                      const struct queue_part_end *end)
{
    bool asked = (m->by & ATTRIBUTES_BY_TRACE) ||
                 ((m->by & ATTRIBUTES_BY_NOTIFY) && !end->peer_has_deliverby && !r->delay_told);
    if (asked && !end->final && m->sender.len && !(r->notify & MAIL_NOTIFY_NEVER)) {
        return DSN_RELAYED + 1;
    }
    return end->peer_has_dsn ? 0 : queue_notice(m, r, end->final ? DSN_DELIVERED : DSN_RELAYED);
}

static void queue_end_rcpt(struct queue *q, struct queue_message *m, struct queue_rcpt *r,
                           enum spool_result_kind kind)
{
    r->result = (uint8_t)kind;
    queue_rcpt_set_state(m, r, QUEUE_RCPT_ENDED);
    must(q->counters.queued > 0);
    q->counters.queued--;
    switch (kind) {
    case SPOOL_RESULT_DELIVERED:
        q->counters.delivered++;
        break;
    case SPOOL_RESULT_BOUNCED:
        q->counters.bounced++;
        break;
    case SPOOL_RESULT_EXPIRED:
        q->counters.expired++;
        break;
    case SPOOL_RESULT_CANCELLED:
        q->counters.cancelled++;
        break;
    case SPOOL_RESULT_DEFERRED:
        must_never("a deferral ends nothing");
    }
}

/* An attempt that would come after the message's own end is put off to it only to end there (routing.c), and the
 * sender who wants to hear of a delay at a certain time is told then. */
static struct retry_decision queue_retry_when(struct queue *q, const struct queue_message *m,
                                              uint32_t attempts, uint64_t wall_ms)
{
    uint64_t end_ms = queue_message_end_ms(m, &q->conf->queue);
    uint64_t notify_ms = (uint64_t)m->notify_s * 1000;
    if (wall_ms >= end_ms) {
        return (struct retry_decision){.expired = true};
    }
    struct retry_decision d = retry_decide(&q->conf->queue, attempts, queue_message_start_ms(m),
                                           wall_ms, q->rng);
    d.due_ms = d.due_ms < end_ms ? d.due_ms : end_ms;
    if (notify_ms > wall_ms && notify_ms < d.due_ms) {
        d.due_ms = notify_ms;
    }
    return d;
}

/* Its time is over and no attempt says why: what the last one said goes into the report. */
static void queue_remember_over(struct queue_rcpt *r, const struct outcome *o)
{
    struct outcome over = *o;
    struct buf text;
    buf_init(&text, 2 * LIMIT_OUTCOME_TEXT_BYTES);
    buf_add(&text, o->text);
    if (r->last_text) {
        struct outcome last = {.code = r->last_code,
                               .enhanced = r->last_enhanced,
                               .text = slice_str(r->last_text)};
        buf_add(&text, SLICE("; the last attempt ended with: "));
        outcome_add_line(&text, &last);
    }
    over.text = slice_first(buf_slice(&text), LIMIT_OUTCOME_TEXT_BYTES);
    queue_rcpt_remember(r, &over);
    buf_deinit(&text);
}

static void queue_defer_or_expire(struct queue *q, struct queue_message *m, struct queue_rcpt *r,
                                  const struct outcome *o, struct queue_batch_row *row,
                                  const struct queue_part_end *end)
{
    uint64_t wall_ms = io_now(q->io)->wall_us / 1000;
    struct retry_decision d = {.expired = true};
    if (!queue_outcome_is_over(o)) { /* which another worker has found, perhaps by a later clock */
        d = queue_retry_when(q, m, r->attempts, wall_ms);
    }
    if (!d.expired && end->retry->attempts == r->attempts) {
        d.due_ms = end->retry->due_ms; /* one draw for all: they travel together again */
    }
    *end->retry = (struct queue_retry){r->attempts, d.due_ms};
    q->counters.deferrals++;
    q->counters.unknown += o->unknown ? 1 : 0;
    if (d.expired) {
        row->kind = SPOOL_RESULT_EXPIRED;
        row->notice = queue_notice(m, r, DSN_EXPIRED);
        queue_end_rcpt(q, m, r, SPOOL_RESULT_EXPIRED);
        queue_log_result(q, m, r, OBS_EXPIRED, o, end);
        return;
    }
    r->due_ms = d.due_ms;
    row->kind = SPOOL_RESULT_DEFERRED;
    if (wall_ms >= queue_message_late_ms(m, &q->conf->dsn) && !r->delay_told) {
        row->notice = queue_notice(m, r, DSN_DELAYED);
        r->delay_told = true;
    }
    queue_rcpt_set_state(m, r, QUEUE_RCPT_WAITING);
    queue_log_result(q, m, r, OBS_DEFERRED, o, end);
}

static void queue_apply_outcome(struct queue *q, struct queue_message *m,
                                struct queue_batch_row *row, const struct outcome *o,
                                const struct queue_part_end *end)
{
    struct queue_rcpt *r = &m->rcpts[row->rcpt];
    if (r->attempts < UINT16_MAX && !queue_outcome_is_over(o)) {
        r->attempts++;
    }
    if (o->kind != OUTCOME_DELIVERED) {
        r->last_class = (uint8_t)(queue_outcome_is_over(o) ? BOUNCE_EXPIRED
                                                           : queue_lesson_class(q, o));
    }
    switch (o->kind) {
    case OUTCOME_DELIVERED:
        row->kind = SPOOL_RESULT_DELIVERED;
        row->notice = queue_notice_delivered(m, r, end);
        if (row->notice) {
            queue_rcpt_remember(r, o);
        }
        queue_end_rcpt(q, m, r, SPOOL_RESULT_DELIVERED);
        queue_log_result(q, m, r, OBS_DELIVERED, o, end);
        return;
    case OUTCOME_PERMANENT:
        row->kind = SPOOL_RESULT_BOUNCED;
        row->notice = queue_notice(m, r, DSN_FAILED);
        queue_rcpt_remember(r, o);
        queue_end_rcpt(q, m, r, SPOOL_RESULT_BOUNCED);
        queue_log_result(q, m, r, OBS_BOUNCED, o, end);
        return;
    case OUTCOME_TEMPORARY:
        if (queue_outcome_is_over(o)) {
            queue_remember_over(r, o);
        } else {
            queue_rcpt_remember(r, o);
        }
        queue_defer_or_expire(q, m, r, o, row, end);
        return;
    case OUTCOME_NONE:
        break;
    }
    must_never("every recipient of an ended part has an outcome");
}

static struct queue_batch *queue_batch_new(struct queue *q, struct queue_message *m, uint32_t count,
                                           const struct queue_part_end *end)
{
    struct buf mta;
    buf_init(&mta, 512);
    if (end->peer_addr.len) {
        buf_add(&mta, slice_first(end->peer_name.len ? end->peer_name : end->peer_addr, 255));
    }
    struct queue_batch *b = malloc(sizeof(*b) + count * sizeof(struct queue_batch_row) + mta.len);
    must(b != NULL); /* a result that cannot be recorded: stopping is the only truth left */
    *b = (struct queue_batch){.message = m, .count = count, .at_us = io_now(q->io)->wall_us};
    char *text = (char *)(b->rows + count);
    if (mta.len) {
        memcpy(text, mta.ptr, mta.len);
    }
    b->remote_mta = slice_of(text, mta.len);
    buf_deinit(&mta);
    m->pending_count++;
    return b;
}

void queue_results(struct queue *q, struct queue_message *m, const uint32_t *rcpts, uint32_t count,
                   const struct queue_part_end *told)
{
    must(count > 0);
    struct queue_retry retry = {0, 0};
    struct queue_part_end copy = *told;
    copy.retry = &retry;
    const struct queue_part_end *end = &copy;
    struct queue_batch *b = queue_batch_new(q, m, count, end);
    for (uint32_t i = 0; i < count; i++) {
        b->rows[i] = (struct queue_batch_row){.rcpt = rcpts[i]};
        queue_apply_outcome(q, m, &b->rows[i], &end->outcomes[i], end);
        b->wants_dsn = b->wants_dsn || b->rows[i].notice;
        bool failed = b->rows[i].kind == SPOOL_RESULT_BOUNCED ||
                      b->rows[i].kind == SPOOL_RESULT_EXPIRED;
        if (failed && (m->flags & QUEUE_MSG_DSN)) {
            q->counters.dsn_dropped++;
            queue_log_result(q, m, &m->rcpts[rcpts[i]], OBS_DSN_DROPPED, &end->outcomes[i], end);
        }
    }
    queue_schedule(q, m);
    if (m->marked && !list_linked(&m->link) && !q->stopping) {
        list_push_back(&q->due, &m->link); /* for queue_order_marked */
    }
    if (b->wants_dsn) {
        queue_bounce_start(q, b);
        return;
    }
    queue_body_unused(q, m);
    queue_batch_append(q, b);
}

static void queue_apply_order(struct queue *q, struct queue_message *m, struct queue_batch_row *row,
                              const struct queue_ordered *what)
{
    struct queue_rcpt *r = &m->rcpts[row->rcpt];
    struct queue_part_end end = {0};
    struct outcome o = outcome_local(OUTCOME_PERMANENT, OUTCOME_MESSAGE, OUTCOME_STAGE_ROUTE,
                                     (struct enhanced){5, 7, 1}, QUEUE_TEXT_BOUNCED);
    switch (what->kind) {
    case SPOOL_RESULT_DEFERRED:
        r->due_ms = what->keep_due ? r->due_ms : what->due_ms;
        return;
    case SPOOL_RESULT_BOUNCED:
        r->last_class = (uint8_t)queue_lesson_class(q, &o);
        row->notice = what->quiet ? 0 : queue_notice(m, r, DSN_FAILED);
        queue_rcpt_remember(r, &o);
        queue_end_rcpt(q, m, r, SPOOL_RESULT_BOUNCED);
        queue_log_result(q, m, r, OBS_BOUNCED, &o, &end);
        return;
    case SPOOL_RESULT_CANCELLED:
        o.kind = OUTCOME_NONE;
        o.enhanced = (struct enhanced){0};
        o.text = SLICE("deleted by the administrator");
        queue_end_rcpt(q, m, r, SPOOL_RESULT_CANCELLED);
        queue_log_result(q, m, r, OBS_CANCELLED, &o, &end);
        return;
    case SPOOL_RESULT_DELIVERED:
    case SPOOL_RESULT_EXPIRED:
        break;
    }
    must_never("nobody orders that");
}

void queue_results_ordered(struct queue *q, struct queue_message *m, const uint32_t *rcpts,
                           uint32_t count, const struct queue_ordered *what)
{
    struct queue_part_end end = {0};
    struct queue_batch *b = queue_batch_new(q, m, count, &end);
    b->ordered = true;
    q->orders.open_batches++;
    for (uint32_t i = 0; i < count; i++) {
        b->rows[i] = (struct queue_batch_row){.rcpt = rcpts[i], .kind = (uint8_t)what->kind};
        queue_apply_order(q, m, &b->rows[i], what);
        b->wants_dsn = b->wants_dsn || b->rows[i].notice;
    }
    if (b->wants_dsn) {
        queue_bounce_start(q, b);
    } else {
        queue_batch_append(q, b);
    }
}

static void queue_batch_result(const struct queue_batch *b, uint32_t i, struct spool_result *out)
{
    const struct queue_rcpt *r = &b->message->rcpts[b->rows[i].rcpt];
    bool failed = b->rows[i].kind != SPOOL_RESULT_DELIVERED;
    *out = (struct spool_result){
        .id = b->message->id,
        .rcpt = b->rows[i].rcpt,
        .kind = (enum spool_result_kind)b->rows[i].kind,
        .attempts = r->attempts,
        .next_due_ms = b->rows[i].kind == SPOOL_RESULT_DEFERRED ? queue_due_stored(r) : 0,
        .at_us = b->at_us,
    };
    if (failed) {
        out->code = r->last_code;
        out->enhanced_class = r->last_enhanced.cls;
        out->enhanced_subject = r->last_enhanced.subject;
        out->enhanced_detail = r->last_enhanced.detail;
        out->text = slice_first(slice_str(r->last_text), LIMIT_OUTCOME_TEXT_BYTES);
    }
}

/* It ends nothing, reports nothing, and nobody was told that it is so. */
static bool queue_batch_is_deferral(const struct queue_batch *b)
{
    for (uint32_t i = 0; i < b->count; i++) {
        if (b->rows[i].kind != SPOOL_RESULT_DEFERRED) {
            return false;
        }
    }
    return b->dsn == NULL && !b->ordered;
}

static enum spool_append queue_batch_write(struct queue *q, struct queue_batch *b)
{
    struct spool_result result;
    struct spool_message record;
    struct spool_rcpt rcpt;
    struct queue_record parts = {.rcpts = &rcpt};
    struct iovec iov;
    size_t bytes = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        queue_batch_result(b, i, &result);
        bytes += spool_result_bytes(&result);
    }
    if (b->dsn) {
        must(b->dsn->rcpt_count == 1);
        queue_message_record(b->dsn, &parts, &record);
        iov = (struct iovec){b->dsn->body, b->dsn->body_bytes};
        record.body = &iov;
        record.body_count = 1;
        bytes += spool_message_bytes(&record);
    }
    enum spool_class cls = queue_batch_is_deferral(b) ? SPOOL_CLASS_DEFERRAL : SPOOL_CLASS_RESULT;
    enum spool_append verdict = spool_frame_begin(q->spool, cls, bytes);
    if (verdict != SPOOL_APPENDED) {
        return verdict;
    }
    if (b->dsn) {
        spool_add_message(q->spool, &record);
    }
    for (uint32_t i = 0; i < b->count; i++) {
        queue_batch_result(b, i, &result);
        spool_add_result(q->spool, &result);
    }
    struct spool_ref ref;
    spool_frame_end(q->spool, SPOOL_LAZY, &b->lsn, &ref);
    if (b->dsn) {
        if (b->dsn->hold.hold.segment) {
            spool_release(q->spool, &b->dsn->hold.hold); /* of a frame that was lost */
        }
        b->dsn->ref = ref;
        b->dsn->inline_bytes = (uint32_t)b->dsn->body_bytes;
        spool_hold(q->spool, &b->dsn->hold.hold, ref);
    }
    return SPOOL_APPENDED;
}

/* Durable, or forgotten. */
static void queue_batch_over(struct queue *q, struct queue_batch *b)
{
    struct queue_message *m = b->message;
    if (b->dsn) {
        q->counters.dsn++;
        queue_activate(q, b->dsn);
    }
    q->orders.open_batches -= b->ordered ? 1 : 0;
    free(b);
    must(m->pending_count > 0);
    m->pending_count--;
    queue_settle(q, m);
}

/* b is in no list. False: it waits, in `unsaved` now; what is behind it must not overtake it. */
static bool queue_batch_try(struct queue *q, struct queue_batch *b)
{
    enum spool_append verdict = queue_batch_write(q, b);
    bool hopeless = verdict == SPOOL_FULL || verdict == SPOOL_FAILED;
    if (verdict == SPOOL_APPENDED) {
        list_push_back(&q->batches, &b->link);
    } else if (hopeless && queue_batch_is_deferral(b)) {
        queue_batch_over(q, b);
    } else {
        list_push_front(&q->unsaved, &b->link);
        return false;
    }
    return true;
}

void queue_batch_append(struct queue *q, struct queue_batch *b)
{
    queue_results_retry(q);
    if (list_empty(&q->unsaved)) {
        (void)queue_batch_try(q, b);
        return;
    }
    enum spool_append prospect = spool_takes_mail(q->spool);
    if (prospect != SPOOL_APPENDED && prospect != SPOOL_WAIT && queue_batch_is_deferral(b)) {
        queue_batch_over(q, b);
        return;
    }
    list_push_back(&q->unsaved, &b->link);
}

void queue_results_retry(struct queue *q)
{
    struct list *node;
    bool more = true;
    while (more && (node = list_pop_front(&q->unsaved))) {
        more = queue_batch_try(q, LIST_ENTRY(node, struct queue_batch, link));
    }
}

void queue_results_decided(struct queue *q, uint64_t lsn_upto, enum spool_commit_result result)
{
    struct list *node;
    while ((node = list_first(&q->batches))) {
        struct queue_batch *b = LIST_ENTRY(node, struct queue_batch, link);
        if (b->lsn > lsn_upto) {
            return;
        }
        list_remove(&b->link);
        if (result == SPOOL_COMMITTED) {
            queue_batch_over(q, b);
        } else {
            list_push_back(&q->unsaved, &b->link); /* written again at events->space */
        }
    }
}
