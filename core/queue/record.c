/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A message as it is stored.
 */
#include "core/queue/queue.h"

static enum spool_rcpt_status queue_rcpt_status(const struct queue_rcpt *r)
{
    return r->state == QUEUE_RCPT_ENDED ? spool_status_after((enum spool_result_kind)r->result)
                                        : SPOOL_RCPT_QUEUED;
}

void queue_message_record(const struct queue_message *m, struct queue_record *parts,
                          struct spool_message *out)
{
    struct spool_rcpt *rcpts = parts->rcpts;
    struct attributes attributes;
    queue_message_attributes(m, &attributes);
    for (uint32_t i = 0; i < m->rcpt_count; i++) {
        const struct queue_rcpt *r = &m->rcpts[i];
        rcpts[i] = (struct spool_rcpt){
            .address = r->address,
            .orcpt = r->orcpt,
            .notify = r->notify,
            .status = queue_rcpt_status(r),
            .attempts = r->attempts,
            .next_due_ms = queue_due_stored(r),
        };
    }
    *out = (struct spool_message){
        .id = m->id,
        .arrival_us = m->arrival_us,
        .flags = m->flags,
        .ret = m->ret,
        .header_bytes = (uint32_t)m->header_bytes,
        .body_bytes = m->body_bytes,
        .sender = m->sender,
        .envid = m->envid,
        .meta = queue_meta_encode(&attributes, parts->meta),
        .rcpts = rcpts,
        .rcpt_count = m->rcpt_count,
        .fragments = m->fragments,
        .fragment_count = m->fragment_count,
    };
}
