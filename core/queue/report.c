/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/queue.h"

#include <stdatomic.h>

/* Whether a connection has it, perhaps of another worker. */
bool queue_rcpt_is_sending(const struct queue_message *m, const struct queue_rcpt *r)
{
    struct list *node, *tmp;
    LIST_FOR_EACH(node, tmp, &m->parts) {
        struct queue_part *p = LIST_ENTRY(node, struct queue_part, of_message);
        if (!atomic_load_explicit(&p->sending, memory_order_relaxed)) {
            continue;
        }
        for (uint32_t i = 0; i < p->count; i++) {
            if (p->rcpts[i] == (uint32_t)(r - m->rcpts)) {
                return true;
            }
        }
    }
    return false;
}

static struct slice queue_state_name(const struct queue_message *m, const struct queue_rcpt *r)
{
    switch ((enum queue_rcpt_state)r->state) {
    case QUEUE_RCPT_WAITING:
        if (r->due_ms >= QUEUE_DUE_HELD) {
            return r->due_ms == QUEUE_DUE_HELD ? SLICE("held") : SLICE("suspended");
        }
        return r->attempts                    ? SLICE("deferred")
               : m->not_before_s && r->due_ms ? SLICE("scheduled")
                                              : SLICE("waiting");
    case QUEUE_RCPT_READY:
        return queue_rcpt_is_sending(m, r) ? SLICE("sending") : SLICE("ready");
    case QUEUE_RCPT_ENDED:
        break;
    }
    switch ((enum spool_result_kind)r->result) {
    case SPOOL_RESULT_DELIVERED:
        return SLICE("delivered");
    case SPOOL_RESULT_BOUNCED:
        return SLICE("bounced");
    case SPOOL_RESULT_EXPIRED:
        return SLICE("expired");
    case SPOOL_RESULT_CANCELLED:
        return SLICE("cancelled");
    case SPOOL_RESULT_DEFERRED:
        break;
    }
    return SLICE("unknown");
}

static void queue_report_rcpt(const struct queue_message *m, const struct queue_rcpt *r,
                              struct buf *out)
{
    buf_add(out, SLICE("{\"to\":"));
    obs_json_string(out, r->address);
    buf_add(out, SLICE(",\"state\":\""));
    buf_add(out, queue_state_name(m, r));
    buf_addf(out, "\",\"attempts\":%u,\"next_attempt\":", r->attempts);
    if (r->state == QUEUE_RCPT_WAITING && r->due_ms && r->due_ms < QUEUE_DUE_HELD) {
        buf_add_byte(out, '"');
        clock_add_rfc3339(out, r->due_ms * 1000);
        buf_add_byte(out, '"');
    } else {
        buf_add(out, SLICE("null"));
    }
    if (r->target) {
        buf_add(out, SLICE(",\"route\":"));
        obs_json_string(out, queue_target_text(m->queue, r->target));
    }
    const struct egress_source *source = r->state == QUEUE_RCPT_ENDED
                                             ? NULL
                                             : queue_source_of(m->queue, m, r);
    if (source) {
        buf_add(out, SLICE(",\"source\":"));
        obs_json_string(out, source->name);
    }
    buf_add(out, SLICE(",\"last\":"));
    if (r->last_text) {
        struct outcome o = {.code = r->last_code,
                            .enhanced = r->last_enhanced,
                            .text = slice_str(r->last_text)};
        struct buf line;
        buf_init(&line, 2 * LIMIT_OUTCOME_TEXT_BYTES);
        outcome_add_line(&line, &o);
        obs_json_string(out, buf_slice(&line));
        buf_deinit(&line);
        buf_add(out, SLICE(",\"class\":"));
        obs_json_string(out, bounce_class_name((enum bounce_class)r->last_class));
    } else {
        buf_add(out, SLICE("null"));
    }
    buf_add_byte(out, '}');
}

static void queue_report_time(struct buf *out, struct slice name, uint32_t s)
{
    if (s) {
        buf_addf(out, ",\"%.*s\":\"", SLICE_ARG(name));
        clock_add_rfc3339(out, (uint64_t)s * 1000000);
        buf_add_byte(out, '"');
    }
}

static void queue_report_name(struct buf *out, struct slice name, struct slice value)
{
    if (value.len) {
        buf_addf(out, ",\"%.*s\":", SLICE_ARG(name));
        obs_json_string(out, value);
    }
}

/* Only what there is. */
static void queue_report_attributes(const struct queue_message *m, struct buf *out)
{
    queue_report_name(out, SLICE("priority"), queue_priority_name(m));
    queue_report_name(out, SLICE("tenant"), queue_label_tenant(m->label));
    queue_report_name(out, SLICE("campaign"), queue_label_campaign(m->label));
    queue_report_time(out, SLICE("send_at"), m->not_before_s);
    queue_report_time(out, SLICE("expires"), m->expire_s);
    queue_report_time(out, SLICE("deliver_by"), m->notify_s);
}

void queue_report_message(struct queue *q, const struct queue_message *m, uint32_t rcpts_max,
                          struct buf *out)
{
    char id[QUEUE_ID_TEXT_BYTES + 1];
    uint64_t now_us = io_now(q->io)->wall_us;
    buf_add(out, SLICE("{\"id\":\""));
    buf_add(out, queue_id_text(m->id, id));
    buf_add(out, SLICE("\",\"from\":"));
    obs_json_string(out, m->sender);
    buf_add(out, SLICE(",\"size\":"));
    buf_add_u64(out, m->body_bytes);
    buf_add(out, SLICE(",\"arrived\":\""));
    clock_add_rfc3339(out, m->arrival_us);
    buf_add(out, SLICE("\",\"age_seconds\":"));
    buf_add_u64(out, now_us > m->arrival_us ? (now_us - m->arrival_us) / 1000000 : 0);
    queue_report_attributes(m, out);
    buf_addf(out, ",\"recipient_count\":%u,\"recipients\":[", m->rcpt_count);
    for (uint32_t i = 0; i < m->rcpt_count && i < rcpts_max; i++) {
        if (i) {
            buf_add_byte(out, ',');
        }
        queue_report_rcpt(m, &m->rcpts[i], out);
    }
    buf_add(out, SLICE("]}"));
}

bool queue_report_one(struct queue *q, uint64_t id, uint32_t rcpts_max, struct buf *out)
{
    struct queue_message *m = queue_find(q, id);
    if (!m) {
        return false;
    }
    queue_report_message(q, m, rcpts_max, out);
    buf_add_byte(out, '\n');
    queue_settle(q, m); /* a parked one is parked again */
    return true;
}

uint64_t queue_report_deferred(struct queue *q)
{
    uint64_t deferred = q->park.deferred;
    for (uint32_t slot = 0; slot < q->messages.made; slot++) {
        struct handle h;
        const struct queue_message *m = pool_at(&q->messages, slot, &h);
        for (uint32_t i = 0; m && m->queued && i < m->rcpt_count; i++) {
            deferred += m->rcpts[i].state == QUEUE_RCPT_WAITING && m->rcpts[i].attempts ? 1 : 0;
        }
    }
    return deferred;
}
