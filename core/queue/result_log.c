/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The log line of each result.
 */
#include "core/queue/queue.h"

static struct slice queue_status_text(struct enhanced e, char *dst, size_t cap)
{
    int n = e.cls ? snprintf(dst, cap, "%u.%u.%u", e.cls, e.subject, e.detail) : 0;
    return slice_of(dst, n > 0 ? (size_t)n : 0);
}

struct slice queue_hint(const struct conf *conf, enum outcome_wants wants)
{
    bool smarthost = conf->relay.host.count > 0;
    switch (wants) {
    case OUTCOME_WANTS_NOTHING:
        break;
    case OUTCOME_WANTS_LOGIN:
        return conf->relay.username.len
                   ? SLICE("check relay.username, relay.password and relay.auth_hosts")
                   : SLICE("set relay.username and relay.password");
    case OUTCOME_WANTS_TLS:
        return smarthost ? SLICE("set relay.tls") : SLICE("set delivery.tls");
    }
    return SLICE("");
}

static void queue_log_tls(struct queue *q, const struct queue_part_end *end)
{
    obs_str(q->log, OBS_F_TLS, end->tls_version.len ? end->tls_version : SLICE("none"));
    if (end->tls_version.len) {
        obs_str(q->log, OBS_F_CIPHER, end->tls_cipher);
        obs_str(q->log, OBS_F_VERDICT, end->tls_certificate);
    }
}

void queue_log_result(struct queue *q, const struct queue_message *m, const struct queue_rcpt *r,
                      enum obs_event event, const struct outcome *o,
                      const struct queue_part_end *end)
{
    const struct clock_now *now = io_now(q->io);
    if (!obs_begin(q->log, event, now->wall_us)) {
        return;
    }
    char id[QUEUE_ID_TEXT_BYTES + 1], status[16];
    obs_str(q->log, OBS_F_ID, queue_id_text(m->id, id));
    obs_str(q->log, OBS_F_FROM, m->sender);
    obs_str(q->log, OBS_F_TO, r->address);
    queue_log_label(q->log, m->label);
    obs_u64(q->log, OBS_F_ATTEMPT, r->attempts);
    obs_u64(q->log, OBS_F_DELAY_MS,
            now->wall_us > m->arrival_us ? (now->wall_us - m->arrival_us) / 1000 : 0);
    if (end->peer_addr.len) {
        obs_str(q->log, OBS_F_PEER, end->peer_addr);
        obs_str(q->log, OBS_F_PEER_NAME, end->peer_name);
    }
    if (end->source.len) {
        obs_str(q->log, OBS_F_SOURCE, end->source);
    }
    obs_str(q->log, OBS_F_STAGE, outcome_stage_name(o->stage));
    if (o->code) {
        obs_u64(q->log, OBS_F_CODE, o->code);
    }
    obs_str(q->log, OBS_F_STATUS, queue_status_text(o->enhanced, status, sizeof(status)));
    obs_str(q->log, OBS_F_REPLY, o->text);
    if (event != OBS_DELIVERED && event != OBS_CANCELLED) {
        obs_str(q->log, OBS_F_CLASS, bounce_class_name((enum bounce_class)r->last_class));
    }
    if (o->wants != OUTCOME_WANTS_NOTHING) {
        obs_str(q->log, OBS_F_HINT, queue_hint(q->conf, o->wants));
    }
    if (event == OBS_DELIVERED) {
        queue_log_tls(q, end);
    }
    if (o->unknown) {
        obs_bool(q->log, OBS_F_UNKNOWN, true);
    }
    if (event == OBS_DEFERRED) {
        uint64_t wall_ms = now->wall_us / 1000;
        obs_u64(q->log, OBS_F_NEXT, r->due_ms > wall_ms ? (r->due_ms - wall_ms) / 1000 : 0);
    }
    obs_end(q->log, now->mono_ms);
}
