/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What recovery found becomes a message in the queue.
 */
#include "core/queue/queue.h"
#include "core/queue/times.h"

#include <stdlib.h>

static void queue_recover_fragments(struct queue *q, struct queue_message *m,
                                    const struct spool_message *s)
{
    if (s->fragment_count == 0) {
        return;
    }
    m->fragments = calloc(s->fragment_count, sizeof(*m->fragments));
    m->fragment_holds = calloc(s->fragment_count, sizeof(*m->fragment_holds));
    must(m->fragments != NULL && m->fragment_holds != NULL);
    m->fragment_count = s->fragment_count;
    for (uint32_t i = 0; i < s->fragment_count; i++) {
        m->fragments[i] = s->fragments[i];
        m->fragment_holds[i].message = m;
        spool_hold(q->spool, &m->fragment_holds[i].hold, s->fragments[i].ref);
    }
}

/* Returns how many are still queued. */
static uint32_t queue_recover_rcpts(struct queue *q, struct queue_message *m,
                                    const struct spool_message *s)
{
    uint64_t now_ms = io_now(q->io)->wall_us / 1000;
    uint32_t queued = 0;
    for (uint32_t i = 0; i < s->rcpt_count; i++) {
        const struct spool_rcpt *from = &s->rcpts[i];
        struct queue_rcpt *r = queue_message_add_rcpt(m, from->address, from->orcpt, from->notify);
        r->attempts = from->attempts;
        uint64_t due_ms = queue_target_due(from->next_due_ms);
        r->due_ms = m->damaged ? 0 : due_ms; /* QUEUE_DUE_HELD: it stays held */
        r->target = (uint8_t)queue_target_of_due(from->next_due_ms);
        if (from->status != SPOOL_RCPT_QUEUED) {
            r->result = (uint8_t)(from->status - SPOOL_RCPT_DELIVERED + SPOOL_RESULT_DELIVERED);
            queue_rcpt_set_state(m, r, QUEUE_RCPT_ENDED);
            continue;
        }
        queued++;
        /* The attempt that first failed after this time has reported the delay. When that was is not
         * stored: it was not if the attempt that failed last was due to be followed before it; else it
         * counts as told, for a report too few is better than one twice. */
        uint64_t report_ms = queue_message_late_ms(m, &q->conf->dsn);
        r->delay_told = from->attempts && report_ms <= now_ms && report_ms <= due_ms;
    }
    return queued;
}

/* A record is checked as a whole, so what cannot be read was written by another version. When its recipients
 * are due is known without it. */
static void queue_recover_attributes(struct queue *q, const struct spool_message *s,
                                     struct attributes *out)
{
    if (queue_meta_decode(s->meta, out) ||
        !obs_begin(q->log, OBS_SPOOL_NOTE, io_now(q->io)->wall_us)) {
        return;
    }
    char id[QUEUE_ID_TEXT_BYTES + 1];
    obs_str(q->log, OBS_F_ID, queue_id_text(s->id, id));
    obs_str(q->log, OBS_F_REASON,
            SLICE("priority, tenant and times of this message cannot be read: it is sent without"));
    obs_end(q->log, io_now(q->io)->mono_ms);
}

void queue_recover_begin(struct queue *q, uint64_t count)
{
    lot_reserve(&q->park.lot, count < UINT32_MAX / 2 ? (uint32_t)count : 0);
}

void queue_recover(struct queue *q, const struct spool_recovered *found)
{
    const struct spool_message *s = &found->message;
    struct attributes attributes;
    queue_recover_attributes(q, s, &attributes);
    struct queue_message_init init = {
        .id = s->id,
        .arrival_us = s->arrival_us,
        .sender = s->sender,
        .envid = s->envid,
        .ret = s->ret,
        .flags = s->flags,
        .rcpt_count = s->rcpt_count,
        .attributes = &attributes,
    };
    for (uint32_t i = 0; i < s->rcpt_count; i++) {
        init.rcpt_bytes += s->rcpts[i].address.len + s->rcpts[i].orcpt.len;
    }
    struct queue_message *m = queue_message_new(q, &init);
    must(m != NULL); /* start-up: a queue that does not fit into memory must not start half */
    m->header_bytes = s->header_bytes;
    m->body_bytes = s->body_bytes;
    m->ref = found->ref;
    m->inline_bytes = found->inline_bytes;
    m->damaged = found->damaged;
    q->counters.damaged += found->damaged ? 1 : 0;
    spool_hold(q->spool, &m->hold.hold, m->ref);
    queue_recover_fragments(q, m, s);
    uint32_t queued = queue_recover_rcpts(q, m, s);
    must(queued > 0);
    m->queued = true;
    q->counters.accepted += queued;
    q->counters.queued += queued;
    q->counters.messages++;
    queue_schedule(q, m);
    queue_sweep_start(q);
    queue_settle(q, m);
}
