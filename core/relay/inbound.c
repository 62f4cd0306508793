/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 *   OPEN ──(machine says CLOSE)──► CLOSING ──(output sent)──► LINGER ──(EOF, time, bytes)──► GONE
 *     └────(connection lost, cut)──────────────────────────────────────────────────────────►  │
 *                                              nothing in the kernel any more ─► back to the pool
 *
 * inbound_drive is the only place that steps the machine. It stops when input is used up, when an
 * answer is owed (commit, room in the spool) or when the client does not take replies; what is left of
 * the input waits in `held` and no further receive is started: that is the whole back-pressure.
 *
 * LINGER: closing a socket with unread input makes the kernel send a reset, which may destroy our last
 * reply at the client. So we close our half, read and drop for a short while, then close.
 */
#include "core/relay/inbound.h"
#include "core/io/net.h"
#include "core/policy/access.h"

#include <stdlib.h>

enum { INBOUND_OUT_MAX = 4 * SMTP_SERVER_OUT_HIGH, INBOUND_KEEP_BYTES = 2048 };

static const struct smtp_verdict verdict_no_space = {.code = 452,
                                                     .enhanced = SLICE_INIT("4.3.1"),
                                                     .text = SLICE_INIT(
                                                         "Insufficient system storage")};
static const struct smtp_verdict verdict_failed = {.code = 451,
                                                   .enhanced = SLICE_INIT("4.3.0"),
                                                   .text = SLICE_INIT("Local error, not stored")};
static const struct smtp_verdict verdict_timeout = {.code = 421,
                                                    .close = true,
                                                    .enhanced = SLICE_INIT("4.4.2"),
                                                    .text = SLICE_INIT(
                                                        "Timeout, closing connection")};
static const struct smtp_verdict verdict_stopping = {.code = 421,
                                                     .close = true,
                                                     .enhanced = SLICE_INIT("4.3.2"),
                                                     .text = SLICE_INIT("Service shutting down")};

static void inbound_drive(struct inbound *s, struct slice in);
static void inbound_on_deadline(struct timer *t, void *ctx);

static struct io_tag inbound_tag(const struct inbound *s, enum io_kind kind)
{
    return (struct io_tag){kind, s->self};
}

static void inbound_set_state(struct inbound *s, enum inbound_state state)
{
    must(state > (enum inbound_state)s->state);
    s->state = (uint8_t)state;
}

/* After our last reply the client has a short while to take it. */
static void inbound_close_soon(struct inbound *s)
{
    inbound_set_state(s, INBOUND_CLOSING);
    body_in_close(&s->body);
    timer_start(s->relay->timers, &s->deadline, io_now(s->relay->io)->mono_ms + RELAY_LINGER_MS);
}

/* ---- logging ---- */

static bool inbound_event(struct inbound *s, enum obs_event event)
{
    if (!obs_begin(s->relay->log, event, io_now(s->relay->io)->wall_us)) {
        return false;
    }
    char text[IP_ENDPOINT_TEXT_MAX];
    obs_u64(s->relay->log, OBS_F_SESSION, s->id);
    obs_str(s->relay->log, OBS_F_CLIENT, slice_str(ip_endpoint_text(&s->peer, text)));
    return true;
}

static void inbound_event_end(struct inbound *s)
{
    obs_end(s->relay->log, io_now(s->relay->io)->mono_ms);
}

static void inbound_log_reason(struct inbound *s, enum obs_event event, struct slice reason)
{
    if (inbound_event(s, event)) {
        obs_str(s->relay->log, OBS_F_REASON, reason);
        inbound_event_end(s);
    }
}

static void inbound_log_rejected(struct inbound *s, enum outcome_stage stage, struct slice rcpt,
                                 const struct smtp_verdict *v)
{
    if (inbound_event(s, OBS_REJECTED)) {
        struct obs_log *log = s->relay->log;
        const struct smtp_envelope *e = smtp_server_envelope(&s->smtp);
        obs_str(log, OBS_F_HELO, smtp_server_helo(&s->smtp));
        if (e) {
            struct smtp_sender_view sender;
            smtp_envelope_sender(e, &sender);
            obs_str(log, OBS_F_FROM, sender.address);
        }
        if (rcpt.len) {
            obs_str(log, OBS_F_TO, rcpt);
        }
        obs_str(log, OBS_F_STAGE, outcome_stage_name(stage));
        obs_u64(log, OBS_F_CODE, v->code);
        obs_str(log, OBS_F_STATUS, v->enhanced);
        obs_str(log, OBS_F_REPLY, v->text);
        inbound_event_end(s);
    }
}

static void inbound_log_accepted(struct inbound *s, const struct queue_message *m)
{
    if (inbound_event(s, OBS_ACCEPTED)) {
        struct obs_log *log = s->relay->log;
        char id[QUEUE_ID_TEXT_BYTES + 1];
        obs_str(log, OBS_F_ID, queue_id_text(m->id, id));
        obs_str(log, OBS_F_HELO, smtp_server_helo(&s->smtp));
        obs_str(log, OBS_F_PROTOCOL, smtp_server_esmtp(&s->smtp) ? SLICE("ESMTP") : SLICE("SMTP"));
        obs_str(log, OBS_F_FROM, m->sender);
        obs_u64(log, OBS_F_RECIPIENTS, m->rcpt_count);
        obs_u64(log, OBS_F_SIZE, m->body_bytes);
        inbound_event_end(s);
    }
}

/* ---- birth and end ---- */

void inbound_open(struct relay_listener *listener, int fd)
{
    struct relay *r = listener->relay;
    const struct conf *conf = r->settings->conf;
    struct ip_endpoint peer;
    if (!net_peer(fd, &peer)) {
        net_close(fd); /* gone already */
        return;
    }
    enum connections_verdict v = connections_admit(r->admitted, &peer.addr,
                                                   conf->limits.connections,
                                                   conf->limits.connections_per_ip);
    struct handle self;
    struct inbound *s = v == CONNECTIONS_OK ? pool_get(&r->inbound, &self) : NULL;
    if (!s) {
        if (v == CONNECTIONS_OK) {
            connections_leave(r->admitted, &peer.addr);
        }
        r->counters.sessions_refused++;
        struct slice reason = v == CONNECTIONS_TOO_MANY_OF_ADDRESS
                                  ? SLICE("too many connections from this address")
                                  : SLICE("too many connections");
        if (obs_begin(r->log, OBS_INBOUND_REFUSED, io_now(r->io)->wall_us)) {
            char text[IP_ENDPOINT_TEXT_MAX];
            obs_str(r->log, OBS_F_CLIENT, slice_str(ip_endpoint_text(&peer, text)));
            obs_str(r->log, OBS_F_REASON, reason);
            obs_end(r->log, io_now(r->io)->mono_ms);
        }
        net_refuse(fd, v == CONNECTIONS_TOO_MANY_OF_ADDRESS
                           ? SLICE("421 4.7.0 Too many connections from your address\r\n")
                           : SLICE("421 4.3.2 Too many connections, try again later\r\n"));
        return;
    }
    net_no_delay(fd);
    r->counters.sessions++;
    s->self = self;
    s->relay = r;
    s->settings = relay_settings_ref(r->settings);
    s->id = ++r->session_next;
    s->fd = fd;
    s->peer = peer;
    s->listener = listener->index;
    s->deadline.fire = inbound_on_deadline;
    buf_init(&s->out, INBOUND_OUT_MAX);
    buf_init(&s->sending, INBOUND_OUT_MAX);
    buf_init(&s->held, IO_RECV_BUFFER_BYTES);
    smtp_server_init(&s->smtp, &s->settings->server[s->listener]);
    if (inbound_event(s, OBS_INBOUND_OPEN)) {
        inbound_event_end(s);
    }
    smtp_server_greet(&s->smtp, &s->out);
    inbound_drive(s, (struct slice){NULL, 0});
}

static void inbound_free(struct inbound *s)
{
    must(s->state == INBOUND_GONE && s->ops == 0);
    struct relay *r = s->relay;
    if (inbound_event(s, OBS_INBOUND_CLOSE)) {
        inbound_event_end(s);
    }
    timer_stop(r->timers, &s->deadline);
    if (list_linked(&s->link)) {
        list_remove(&s->link);
    }
    body_in_close(&s->body);
    smtp_server_deinit(&s->smtp);
    buf_deinit(&s->out);
    buf_deinit(&s->sending);
    buf_deinit(&s->held);
    connections_leave(r->admitted, &s->peer.addr);
    relay_settings_put(&s->settings);
    pool_put(&r->inbound, s->self);
}

/* Whatever is in the kernel is asked back; the descriptor is closed when it has come. */
static void inbound_gone(struct inbound *s)
{
    if (s->state != INBOUND_GONE) {
        inbound_set_state(s, INBOUND_GONE);
        timer_stop(s->relay->timers, &s->deadline);
        if (s->ops & INBOUND_OP_RECV) {
            io_cancel(s->relay->io, inbound_tag(s, IO_KIND_INBOUND_RECV));
        }
        if (s->ops & INBOUND_OP_SEND) {
            io_cancel(s->relay->io, inbound_tag(s, IO_KIND_INBOUND_SEND));
        }
    }
    if (s->ops) {
        return;
    }
    if (s->fd >= 0) {
        s->ops |= INBOUND_OP_CLOSE;
        io_close_fd(s->relay->io, inbound_tag(s, IO_KIND_INBOUND_CLOSE), s->fd);
        s->fd = -1;
        return;
    }
    inbound_free(s);
}

void relay_on_inbound_close(struct relay *r, const struct io_event *ev)
{
    struct inbound *s = pool_resolve(&r->inbound, ev->owner);
    if (!s) {
        io_count_stale(r->io);
        return;
    }
    s->ops &= (uint8_t)~INBOUND_OP_CLOSE;
    inbound_gone(s);
}

/* The connection cannot be used any more. */
static void inbound_lost(struct inbound *s, struct slice reason)
{
    if (s->state == INBOUND_OPEN && smtp_server_envelope(&s->smtp)) {
        inbound_log_reason(s, OBS_INBOUND_TROUBLE, reason);
    }
    inbound_gone(s);
}

/* ---- output ---- */

static void inbound_arm_recv(struct inbound *s)
{
    if (!(s->ops & INBOUND_OP_RECV)) {
        s->ops |= INBOUND_OP_RECV;
        io_recv(s->relay->io, inbound_tag(s, IO_KIND_INBOUND_RECV), s->fd);
    }
}

static void inbound_linger(struct inbound *s)
{
    inbound_set_state(s, INBOUND_LINGER);
    net_shut_write(s->fd);
    buf_release(&s->held);
    timer_start(s->relay->timers, &s->deadline, io_now(s->relay->io)->mono_ms + RELAY_LINGER_MS);
    inbound_arm_recv(s);
}

static void inbound_flush(struct inbound *s)
{
    if (s->ops & INBOUND_OP_SEND) {
        return;
    }
    if (s->out.len == 0) {
        if (s->state == INBOUND_CLOSING) {
            inbound_linger(s);
        }
        return;
    }
    struct buf empty = s->sending;
    must(empty.len == 0);
    s->sending = s->out;
    s->out = empty;
    s->sent = 0;
    s->ops |= INBOUND_OP_SEND;
    io_send(s->relay->io, inbound_tag(s, IO_KIND_INBOUND_SEND), s->fd, s->sending.ptr,
            s->sending.len);
}

void relay_on_inbound_send(struct relay *r, const struct io_event *ev)
{
    struct inbound *s = pool_resolve(&r->inbound, ev->owner);
    if (!s) {
        io_count_stale(r->io);
        return;
    }
    s->ops &= (uint8_t)~INBOUND_OP_SEND;
    if (s->state == INBOUND_GONE) {
        inbound_gone(s);
        return;
    }
    if (ev->status != IO_OK && ev->status != IO_RETRY) {
        inbound_lost(s, SLICE("connection lost while replying"));
        return;
    }
    s->sent += (size_t)ev->result;
    if (s->sent < s->sending.len) {
        s->ops |= INBOUND_OP_SEND;
        io_send(r->io, inbound_tag(s, IO_KIND_INBOUND_SEND), s->fd, s->sending.ptr + s->sent,
                s->sending.len - s->sent);
        return;
    }
    if (s->sending.cap > INBOUND_KEEP_BYTES || !smtp_server_envelope(&s->smtp)) {
        buf_release(&s->sending); /* idle: hold nothing */
    } else {
        buf_clear(&s->sending);
    }
    if (s->state == INBOUND_OPEN && (s->held.len || !(s->ops & INBOUND_OP_RECV))) {
        inbound_drive(s, (struct slice){NULL, 0});
        return;
    }
    inbound_flush(s);
}

/* ---- what the machine asks for ---- */

static void inbound_answer(struct inbound *s, const struct smtp_verdict *v)
{
    smtp_server_answer(&s->smtp, v, &s->out);
}

static void inbound_check_rcpt(struct inbound *s)
{
    const struct smtp_envelope *e = smtp_server_envelope(&s->smtp);
    struct smtp_rcpt_view rcpt;
    struct access_client client = {s->peer.addr,
                                   s->settings->conf->listeners.items[s->listener].mode};
    smtp_envelope_rcpt(e, e->rcpt_count - 1, &rcpt);
    const struct smtp_verdict *refusal = access_check_rcpt(s->settings->conf, &client);
    if (!refusal && queue_is_full(s->relay->queue, e->rcpt_count)) {
        refusal = &verdict_no_space;
    }
    if (refusal) {
        inbound_log_rejected(s, OUTCOME_STAGE_RCPT, rcpt.address, refusal);
    }
    inbound_answer(s, refusal ? refusal : &SMTP_VERDICT_ACCEPT);
}

static void inbound_check_mail(struct inbound *s)
{
    const struct smtp_verdict *refusal = NULL;
    if (s->relay->stopping) {
        refusal = &verdict_stopping;
    } else if (queue_is_full(s->relay->queue, 1)) {
        refusal = &verdict_no_space;
    }
    if (refusal) {
        inbound_log_rejected(s, OUTCOME_STAGE_MAIL, (struct slice){NULL, 0}, refusal);
    }
    inbound_answer(s, refusal ? refusal : &SMTP_VERDICT_ACCEPT);
}

static void inbound_body_begin(struct inbound *s)
{
    must(s->body == NULL);
    struct body_in_origin origin = {
        .helo = smtp_server_helo(&s->smtp),
        .peer = &s->peer,
        .esmtp = smtp_server_esmtp(&s->smtp),
        .envelope = smtp_server_envelope(&s->smtp),
    };
    if (!queue_memory_short(s->relay->queue, s->relay->inflight_bytes)) {
        s->body = body_in_open(s->relay, s->settings, &origin);
    }
    if (!s->body) {
        inbound_log_rejected(s, OUTCOME_STAGE_DATA, (struct slice){NULL, 0}, &verdict_no_space);
    }
    inbound_answer(s, s->body ? &SMTP_VERDICT_ACCEPT : &verdict_no_space);
}

static const struct smtp_verdict *inbound_verdict_of(enum spool_append result)
{
    switch (result) {
    case SPOOL_FULL:
        return &verdict_no_space;
    case SPOOL_FAILED:
        return &verdict_failed;
    case SPOOL_APPENDED:
    case SPOOL_WAIT:
        break;
    }
    return NULL;
}

static void inbound_wait_space(struct inbound *s)
{
    s->waiting_space = true;
    if (!list_linked(&s->link)) {
        list_push_back(&s->relay->space_waiters, &s->link);
    }
}

static void inbound_body_data(struct inbound *s)
{
    enum spool_append result = body_in_add(s->body, smtp_server_data(&s->smtp));
    const struct smtp_verdict *failure = inbound_verdict_of(result);
    if (failure) {
        inbound_log_rejected(s, OUTCOME_STAGE_BODY, (struct slice){NULL, 0}, failure);
        smtp_server_body_fail(&s->smtp, failure);
        body_in_close(&s->body);
    } else if (result == SPOOL_WAIT) {
        inbound_wait_space(s);
    }
}

static void inbound_commit(struct inbound *s)
{
    s->committing_id = s->body->id;
    enum spool_append result = body_in_submit(&s->body, smtp_server_envelope(&s->smtp),
                                              smtp_server_facts(&s->smtp), s->self);
    const struct smtp_verdict *failure = inbound_verdict_of(result);
    if (failure) {
        body_in_close(&s->body);
        inbound_log_rejected(s, OUTCOME_STAGE_FINAL_DOT, (struct slice){NULL, 0}, failure);
        inbound_answer(s, failure);
    } else if (result == SPOOL_WAIT) {
        inbound_wait_space(s);
    } else {
        s->waiting_commit = true;
    }
}

static void inbound_body_abort(struct inbound *s)
{
    const struct smtp_verdict *fault = smtp_server_fault(&s->smtp);
    if (fault) {
        inbound_log_rejected(s, OUTCOME_STAGE_BODY, (struct slice){NULL, 0}, fault);
    }
    body_in_close(&s->body);
}

/* The 250 (or 451) that follows the commit. */
static void inbound_answer_commit(struct inbound *s)
{
    s->waiting_commit = false;
    s->commit_known = false;
    if (!s->commit_ok) {
        inbound_log_rejected(s, OUTCOME_STAGE_FINAL_DOT, (struct slice){NULL, 0}, &verdict_failed);
        inbound_answer(s, &verdict_failed);
        return;
    }
    char text[32] = "queued as ", id[QUEUE_ID_TEXT_BYTES + 1];
    struct slice id_text = queue_id_text(s->committing_id, id);
    memcpy(text + 10, id_text.ptr, id_text.len);
    struct smtp_verdict ok = {.code = 250,
                              .enhanced = SLICE("2.0.0"),
                              .text = slice_of(text, 10 + id_text.len)};
    s->relay->counters.messages_in++;
    inbound_answer(s, &ok);
}

/* ---- the loop around the machine ---- */

static bool inbound_blocked(const struct inbound *s)
{
    return s->waiting_commit || s->waiting_space || s->state != INBOUND_OPEN ||
           (s->out.len >= SMTP_SERVER_OUT_HIGH && (s->ops & INBOUND_OP_SEND));
}

/* Steps until blocked or out of input; returns what is left of the input. */
static struct slice inbound_step(struct inbound *s, struct slice in)
{
    while (!inbound_blocked(s)) {
        switch (smtp_server_step(&s->smtp, &in, &s->out)) {
        case SMTP_SERVER_WANT_INPUT:
            return in;
        case SMTP_SERVER_FLUSH:
            inbound_flush(s);
            break;
        case SMTP_SERVER_WAIT:
            return in;
        case SMTP_SERVER_CHECK_MAIL:
            inbound_check_mail(s);
            break;
        case SMTP_SERVER_CHECK_RCPT:
            inbound_check_rcpt(s);
            break;
        case SMTP_SERVER_BODY_BEGIN:
            inbound_body_begin(s);
            break;
        case SMTP_SERVER_BODY_DATA:
            inbound_body_data(s);
            break;
        case SMTP_SERVER_BODY_COMMIT:
            inbound_commit(s);
            break;
        case SMTP_SERVER_BODY_ABORT:
            inbound_body_abort(s);
            break;
        case SMTP_SERVER_START_TLS: /* not offered: they cannot come */
        case SMTP_SERVER_AUTH_CHALLENGE:
        case SMTP_SERVER_CHECK_AUTH:
            smtp_server_shut(&s->smtp, &verdict_failed, &s->out);
            break;
        case SMTP_SERVER_CLOSE:
            inbound_close_soon(s);
            return (struct slice){NULL, 0};
        }
    }
    return in;
}

/* A client that sends a byte now and then must not hold a phase for ever: the deadline of a command
 * starts with the phase and with each reply, that of a body with each receive. */
static void inbound_set_deadline(struct inbound *s, bool progress)
{
    const struct conf_limits *limits = &s->settings->conf->limits;
    uint64_t now_ms = io_now(s->relay->io)->mono_ms;
    enum smtp_server_phase phase = smtp_server_phase(&s->smtp);
    if (phase != (enum smtp_server_phase)s->phase) {
        s->phase = (uint8_t)phase;
        s->phase_since_ms = now_ms;
        s->phase_bytes = 0;
        progress = true;
    }
    switch (phase) {
    case SMTP_PHASE_GREETING:
    case SMTP_PHASE_COMMAND:
    case SMTP_PHASE_TLS:
        if (progress || !timer_armed(&s->deadline)) {
            timer_start(s->relay->timers, &s->deadline, now_ms + limits->command_timeout_ms);
        }
        break;
    case SMTP_PHASE_BODY:
        timer_start(s->relay->timers, &s->deadline, now_ms + limits->data_timeout_ms);
        break;
    case SMTP_PHASE_WAIT:
    case SMTP_PHASE_CLOSED:
        timer_stop(s->relay->timers, &s->deadline);
        break;
    }
}

static bool inbound_too_slow(const struct inbound *s)
{
    const struct conf_limits *limits = &s->settings->conf->limits;
    uint64_t spent_ms = io_now(s->relay->io)->mono_ms - s->phase_since_ms;
    return s->phase == SMTP_PHASE_BODY && limits->data_rate_min &&
           spent_ms > limits->data_rate_grace_ms &&
           s->phase_bytes * 1000 < limits->data_rate_min * spent_ms;
}

static void inbound_keep(struct inbound *s, struct slice left, bool was_held)
{
    if (was_held) {
        buf_consume(&s->held, s->held.len - left.len);
    } else {
        must(s->held.len == 0);
        buf_add(&s->held, left);
        must(!s->held.overflow);
    }
    if (s->held.len == 0 && s->held.cap) {
        buf_release(&s->held);
    }
}

static void inbound_drive(struct inbound *s, struct slice in)
{
    bool was_held = s->held.len > 0;
    must(!(was_held && in.len));
    uint64_t had = in.len;
    if (was_held) {
        in = buf_slice(&s->held);
    }
    size_t out_before = s->out.len;
    bool sending_before = (s->ops & INBOUND_OP_SEND) != 0;
    s->phase_bytes += had;
    in = inbound_step(s, in);
    if (s->state == INBOUND_OPEN) {
        inbound_keep(s, in, was_held);
        bool progress = s->out.len != out_before ||
                        sending_before != ((s->ops & INBOUND_OP_SEND) != 0);
        inbound_set_deadline(s, progress || s->waiting_commit);
        if (inbound_too_slow(s)) {
            inbound_log_reason(s, OBS_INBOUND_TROUBLE, SLICE("too slow while sending a message"));
            smtp_server_shut(&s->smtp, &verdict_timeout, &s->out);
            inbound_close_soon(s);
        } else if (s->held.len == 0 && !inbound_blocked(s)) {
            inbound_arm_recv(s);
        }
    }
    inbound_flush(s);
}

void relay_on_inbound_recv(struct relay *r, const struct io_event *ev)
{
    struct inbound *s = pool_resolve(&r->inbound, ev->owner);
    if (!s) {
        io_count_stale(r->io);
        return;
    }
    s->ops &= (uint8_t)~INBOUND_OP_RECV;
    if (s->state == INBOUND_GONE) {
        inbound_gone(s);
        return;
    }
    if (ev->status == IO_RETRY) {
        inbound_arm_recv(s);
        return;
    }
    if (ev->status != IO_OK) {
        inbound_lost(s, ev->status == IO_EOF ? SLICE("the client closed the connection")
                                             : slice_str(io_status_name(ev->status)));
        return;
    }
    if (s->state == INBOUND_OPEN) {
        inbound_drive(s, ev->data);
        return;
    }
    s->lingered += ev->data.len;
    if (s->state == INBOUND_LINGER && s->lingered > RELAY_LINGER_BYTES) {
        inbound_gone(s);
        return;
    }
    inbound_arm_recv(s);
}

void inbound_resume(struct inbound *s)
{
    if (s->state != INBOUND_OPEN) {
        return;
    }
    if (s->waiting_commit && s->commit_known) {
        inbound_answer_commit(s);
    } else if (s->waiting_space) {
        s->waiting_space = false;
        if (smtp_server_phase(&s->smtp) == SMTP_PHASE_WAIT) {
            inbound_commit(s);
        } else if (s->body) {
            enum spool_append result = body_in_flush(s->body);
            const struct smtp_verdict *failure = inbound_verdict_of(result);
            if (failure) {
                smtp_server_body_fail(&s->smtp, failure);
                body_in_close(&s->body);
            } else if (result == SPOOL_WAIT) {
                inbound_wait_space(s);
            }
        }
    }
    inbound_drive(s, (struct slice){NULL, 0});
}

static void inbound_on_deadline(struct timer *t, void *ctx)
{
    (void)ctx;
    struct inbound *s = container_of(t, struct inbound, deadline);
    if (s->state != INBOUND_OPEN) {
        inbound_gone(s);
        return;
    }
    inbound_log_reason(s, OBS_INBOUND_TROUBLE, SLICE("the client was silent for too long"));
    smtp_server_shut(&s->smtp, &verdict_timeout, &s->out);
    inbound_close_soon(s);
    inbound_flush(s);
}

void inbound_shut(struct inbound *s, bool at_once)
{
    if (s->state == INBOUND_GONE) {
        return;
    }
    if (at_once) {
        inbound_gone(s);
        return;
    }
    /* In a transaction or owing an answer: it may finish; CHECK_MAIL refuses the next one. */
    if (s->state == INBOUND_OPEN && !smtp_server_envelope(&s->smtp) && !s->waiting_commit) {
        smtp_server_shut(&s->smtp, &verdict_stopping, &s->out);
        inbound_close_soon(s);
        inbound_flush(s);
    }
}

/* ---- the queue's word on a commit ---- */

static void inbound_on_accepted(void *ctx, struct handle submitter, struct queue_message *m)
{
    struct relay *r = ctx;
    struct inbound *s = pool_resolve(&r->inbound, submitter);
    if (!s) {
        return; /* the client left meanwhile; the message is ours all the same */
    }
    must(s->waiting_commit);
    s->commit_known = true;
    s->commit_ok = m != NULL;
    if (m) {
        inbound_log_accepted(s, m);
    }
    list_push_back(&r->resume, &s->link);
}

static void inbound_on_space(void *ctx)
{
    struct relay *r = ctx;
    list_splice_back(&r->resume, &r->space_waiters);
}

const struct queue_events relay_queue_events = {inbound_on_accepted, inbound_on_space};
