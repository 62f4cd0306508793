/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The loop around the machine. inbound_turn is the only place that steps it. It stops when input is used
 * up, when an answer is owed (commit, room in the spool) or when the client does not take replies; what is
 * left of the input waits in `held` and no further receive is started: that is the whole back-pressure.
 */
#include "core/relay/inbound_private.h"
#include "core/base/secret.h"

static const struct smtp_verdict verdict_no_memory = {.code = 421,
                                                      .close = true,
                                                      .enhanced = SLICE_INIT("4.3.0"),
                                                      .text = SLICE_INIT(
                                                          "Out of memory, closing connection")};

void inbound_answer(struct inbound *s, const struct smtp_verdict *v)
{
    smtp_server_answer(&s->smtp, v, &s->out);
}

bool inbound_blocked(const struct inbound *s)
{
    return s->waiting_commit || s->waiting_space || s->waiting_login || s->waiting_signature ||
           s->waiting_mailbox || s->starting_tls || s->state != INBOUND_OPEN ||
           (s->out.len >= SMTP_SERVER_OUT_HIGH && (s->ops & INBOUND_OP_SEND));
}

/* Steps until blocked or out of input; returns what is left of the input. */
static struct slice inbound_step(struct inbound *s, struct slice in)
{
    /* Rounded up: what is held for a time is held that long. */
    smtp_server_set_now(&s->smtp, (io_now(s->relay->io)->wall_us + 999999) / 1000000);
    while (!inbound_blocked(s)) {
        switch (s->taps ? inbound_step_tapped(s, &in) : smtp_server_step(&s->smtp, &in, &s->out)) {
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
        case SMTP_SERVER_START_TLS:
            s->starting_tls = true; /* when the 220 has been sent */
            break;
        case SMTP_SERVER_AUTH_CHALLENGE:
            inbound_challenge(s);
            break;
        case SMTP_SERVER_CHECK_AUTH:
            inbound_check_auth(s);
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
        /* For a commit there is no time limit: what may become durable cannot be refused. */
        if (s->waiting_space || s->waiting_mailbox) {
            timer_start(s->relay->timers, &s->deadline, now_ms + limits->data_timeout_ms);
            break;
        }
        timer_stop(s->relay->timers, &s->deadline);
        break;
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

/* False: no memory for it. */
static bool inbound_keep(struct inbound *s, struct slice left, bool was_held)
{
    if (was_held) {
        buf_consume(&s->held, s->held.len - left.len);
    } else {
        must(s->held.len == 0);
        buf_add(&s->held, left);
    }
    bool ok = !s->held.overflow;
    if (s->held.len == 0 && s->held.cap && s->held_secret) {
        s->held_secret = false;
        secret_buf_release(&s->held);
    } else if (s->held.len == 0 && s->held.cap) {
        buf_release(&s->held);
    }
    return ok;
}

/* Its input is lost, so is the session. A client whose message is being committed is told nothing: it
 * would take any reply for the one to that. */
static void inbound_end_without_memory(struct inbound *s)
{
    inbound_log_reason(s, OBS_INBOUND_TROUBLE, SLICE("no memory"));
    if (!s->waiting_commit) {
        smtp_server_shut(&s->smtp, &verdict_no_memory, &s->out);
    }
    inbound_close_soon(s);
}

void inbound_turn(struct inbound *s, struct slice in)
{
    bool was_held = s->held.len > 0;
    must(!(was_held && in.len));
    size_t out_before = s->out.len;
    bool sending_before = (s->ops & INBOUND_OP_SEND) != 0;
    if (was_held) {
        in = buf_slice(&s->held);
    }
    struct slice whole = in;
    in = inbound_step(s, in);
    if (smtp_server_had_secret(&s->smtp) && whole.len > in.len) {
        secret_wipe((char *)whole.ptr, whole.len - in.len); /* our own buffer, on loan */
        s->held_secret = true;
    }
    s->phase_bytes += whole.len - in.len;
    if (s->state != INBOUND_OPEN) {
        return;
    }
    if (!inbound_keep(s, in, was_held)) {
        inbound_end_without_memory(s);
        return;
    }
    bool progress = s->out.len != out_before || sending_before != ((s->ops & INBOUND_OP_SEND) != 0);
    inbound_set_deadline(s, progress || s->waiting_commit);
    if (inbound_too_slow(s)) {
        inbound_log_reason(s, OBS_INBOUND_TROUBLE, SLICE("too slow while sending a message"));
        smtp_server_shut(&s->smtp, &inbound_verdict_timeout, &s->out);
        inbound_close_soon(s);
    }
}

void inbound_drive(struct inbound *s, struct slice in)
{
    inbound_turn(s, in);
    if (secure_is_open(&s->tls)) {
        inbound_pump(s);
        return;
    }
    if (s->held.len == 0 && !inbound_blocked(s)) {
        inbound_arm_recv(s);
    }
    inbound_flush(s);
}

static void inbound_received(struct inbound *s, struct slice in)
{
    if (s->proxy && !inbound_take_proxy(s, &in)) {
        return;
    }
    if (!secure_is_open(&s->tls)) {
        inbound_drive(s, in);
    } else if (in.len && !secure_feed(&s->tls, in)) {
        inbound_lost(s, SLICE("no memory"));
    } else if (in.len) {
        inbound_pump(s);
    }
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
        inbound_received(s, ev->data);
        return;
    }
    s->lingered += ev->data.len;
    if (s->state == INBOUND_LINGER && s->lingered > RELAY_LINGER_BYTES) {
        inbound_gone(s);
        return;
    }
    inbound_arm_recv(s);
}
