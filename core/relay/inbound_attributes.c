/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a client says about a message's place in the queue: in its header, and beside MAIL. Judged when the
 * header is over, said behind the final dot; nothing is stored of what is refused.
 */
#include "core/relay/inbound_private.h"

static const struct smtp_verdict verdict_not_trusted = {
    .code = 550,
    .enhanced = SLICE_INIT("5.7.1"),
    .text = SLICE_INIT("HOLDFOR, HOLDUNTIL and BY are not for this client")};
static const struct smtp_verdict verdict_too_much = {
    .code = 550,
    .enhanced = SLICE_INIT("5.6.0"),
    .text = SLICE_INIT("The fields with the message's attributes are too long")};

const struct smtp_verdict *inbound_check_times(const struct inbound *s,
                                               const struct access_client *client,
                                               const struct smtp_sender_view *sender)
{
    bool any = sender->hold_until_s || sender->by != SMTP_BY_NONE;
    return any && !attributes_trusted(s->settings->conf, client) ? &verdict_not_trusted : NULL;
}

static uint8_t inbound_by(const struct smtp_sender_view *sender)
{
    unsigned trace = sender->by_trace ? ATTRIBUTES_BY_TRACE : 0u;
    switch (sender->by) {
    case SMTP_BY_RETURN:
        return (uint8_t)(ATTRIBUTES_BY_RETURN | trace);
    case SMTP_BY_NOTIFY:
        return (uint8_t)(ATTRIBUTES_BY_NOTIFY | trace);
    case SMTP_BY_NONE:
        break;
    }
    return 0;
}

const struct smtp_verdict *inbound_decide_attributes(struct inbound *s, struct access_refusal *out)
{
    struct body_in *b = s->body;
    struct smtp_sender_view sender;
    smtp_envelope_sender(smtp_server_envelope(&s->smtp), &sender);
    if (b->filter.taken.overflow) {
        return &verdict_too_much;
    }
    struct attributes_source from = {
        .names = &s->settings->conf->headers,
        .egress = s->settings->egress,
        .fields = buf_slice(&b->filter.taken),
        .listener = inbound_listener(s),
        .user = s->credential,
        .hold_until_s = sender.hold_until_s,
        .by_until_s = sender.by_until_s,
        .by = inbound_by(&sender),
        .now_us = b->arrival_us,
    };
    return attributes_decide(&from, &b->attributes, out) ? NULL : &out->verdict;
}

static void inbound_log_time(struct obs_log *log, enum obs_field field, uint32_t s)
{
    if (s) {
        struct buf text;
        buf_init(&text, 64);
        clock_add_rfc3339(&text, (uint64_t)s * 1000000);
        obs_str(log, field, buf_slice(&text));
        buf_deinit(&text);
    }
}

void inbound_log_attributes(struct inbound *s, const struct queue_message *m)
{
    struct obs_log *log = s->relay->log;
    queue_log_label(log, m->label);
    if (m->priority == CONF_PRIORITY_URGENT || m->priority == CONF_PRIORITY_BULK) {
        obs_str(log, OBS_F_PRIORITY, queue_priority_name(m));
    }
    inbound_log_time(log, OBS_F_SEND_AT, m->not_before_s);
    inbound_log_time(log, OBS_F_EXPIRES, m->expire_s);
}
