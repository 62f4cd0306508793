/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 *   OPEN ──(machine says CLOSE)──► CLOSING ──(output sent)──► LINGER ──(EOF, time, bytes)──► GONE
 *     └────(connection lost, cut)──────────────────────────────────────────────────────────►  │
 *                                              nothing in the kernel any more ─► back to the pool
 *
 * inbound_turn is the only place that steps the machine. It stops when input is used up, when an
 * answer is owed (commit, room in the spool) or when the client does not take replies; what is left of
 * the input waits in `held` and no further receive is started: that is the whole back-pressure.
 *
 * LINGER: closing a socket with unread input makes the kernel send a reset, which may destroy our last
 * reply at the client. So we close our half, read and drop for a short while, then close.
 */
#include "core/relay/inbound_private.h"
#include "core/base/secret.h"
#include "core/io/net.h"

static const struct smtp_verdict verdict_timeout = {.code = 421,
                                                    .close = true,
                                                    .enhanced = SLICE_INIT("4.4.2"),
                                                    .text = SLICE_INIT(
                                                        "Timeout, closing connection")};
static const struct smtp_verdict verdict_no_memory = {.code = 421,
                                                      .close = true,
                                                      .enhanced = SLICE_INIT("4.3.0"),
                                                      .text = SLICE_INIT(
                                                          "Out of memory, closing connection")};
static const struct smtp_verdict verdict_stopping = {.code = 421,
                                                     .close = true,
                                                     .enhanced = SLICE_INIT("4.3.2"),
                                                     .text = SLICE_INIT("Service shutting down")};

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
void inbound_close_soon(struct inbound *s)
{
    inbound_set_state(s, INBOUND_CLOSING);
    body_in_close(&s->body);
    timer_start(s->relay->timers, &s->deadline, io_now(s->relay->io)->mono_ms + RELAY_LINGER_MS);
}

const struct conf_listener *inbound_listener(const struct inbound *s)
{
    return &s->settings->conf->listeners.items[s->listener];
}

/* ---- logging ---- */

bool inbound_event(struct inbound *s, enum obs_event event)
{
    if (!obs_begin(s->relay->log, event, io_now(s->relay->io)->wall_us)) {
        return false;
    }
    char text[IP_ENDPOINT_TEXT_MAX];
    obs_u64(s->relay->log, OBS_F_SESSION, s->id);
    obs_str(s->relay->log, OBS_F_CLIENT, slice_str(ip_endpoint_text(&s->peer, text)));
    return true;
}

void inbound_event_end(struct inbound *s)
{
    obs_end(s->relay->log, io_now(s->relay->io)->mono_ms);
}

void inbound_log_reason(struct inbound *s, enum obs_event event, struct slice reason)
{
    if (inbound_event(s, event)) {
        obs_str(s->relay->log, OBS_F_REASON, reason);
        inbound_event_end(s);
    }
}

/* ---- birth and end ---- */

static void inbound_refuse_log(struct relay *r, const struct ip_endpoint *peer, struct slice reason)
{
    r->counters.sessions_refused++;
    if (obs_begin(r->log, OBS_INBOUND_REFUSED, io_now(r->io)->wall_us)) {
        char text[IP_ENDPOINT_TEXT_MAX];
        obs_str(r->log, OBS_F_CLIENT, slice_str(ip_endpoint_text(peer, text)));
        obs_str(r->log, OBS_F_REASON, reason);
        obs_end(r->log, io_now(r->io)->mono_ms);
    }
}

/* NULL: welcome. Otherwise what the client is told. */
static const struct smtp_verdict *inbound_admit(struct relay *r, const struct ip_endpoint *peer)
{
    static const struct smtp_verdict too_many = {.code = 421,
                                                 .close = true,
                                                 .enhanced = SLICE_INIT("4.3.2"),
                                                 .text = SLICE_INIT(
                                                     "Too many connections, try again later")};
    static const struct smtp_verdict too_many_of_address = {
        .code = 421,
        .close = true,
        .enhanced = SLICE_INIT("4.7.0"),
        .text = SLICE_INIT("Too many connections from your address")};
    const struct conf_limits *limits = &r->settings->conf->limits;
    switch (connections_admit(r->admitted, &peer->addr, limits->connections,
                              limits->connections_per_ip)) {
    case CONNECTIONS_OK:
        return NULL;
    case CONNECTIONS_TOO_MANY:
        inbound_refuse_log(r, peer, SLICE("too many connections"));
        return &too_many;
    case CONNECTIONS_TOO_MANY_OF_ADDRESS:
        inbound_refuse_log(r, peer, SLICE("too many connections from this address"));
        return &too_many_of_address;
    }
    return &too_many;
}

/* In the clear, whatever the listener speaks: no session is made for somebody who is refused. */
static void inbound_turn_away(int fd, const struct smtp_verdict *v)
{
    struct buf text;
    buf_init(&text, 512);
    smtp_reply_add(&text, v);
    net_refuse(fd, buf_slice(&text));
    buf_deinit(&text);
}

static struct inbound *inbound_new(struct relay_listener *listener, int fd,
                                   const struct ip_endpoint *peer)
{
    struct relay *r = listener->relay;
    struct handle self;
    struct inbound *s = pool_get(&r->inbound, &self);
    if (!s) {
        return NULL;
    }
    s->self = self;
    s->relay = r;
    s->settings = relay_settings_ref(r->settings);
    s->id = relay_session_id(r);
    s->fd = fd;
    s->peer = *peer;
    s->listener = listener->index;
    s->deadline.fire = inbound_on_deadline;
    buf_init(&s->out, INBOUND_OUT_MAX);
    buf_init(&s->sending, INBOUND_OUT_MAX);
    buf_init(&s->held, IO_RECV_BUFFER_BYTES);
    buf_init(&s->user, LIMIT_COMMAND_LINE_BYTES);
    smtp_server_init(&s->smtp, &s->settings->listeners[s->listener].server);
    return s;
}

void inbound_open(struct relay_listener *listener, int fd)
{
    struct relay *r = listener->relay;
    struct ip_endpoint peer;
    if (!net_peer(fd, &peer)) {
        net_close(fd); /* gone already */
        return;
    }
    bool behind_proxy = r->settings->conf->listeners.items[listener->index].proxy_protocol ==
                        CONF_PROXY_REQUIRED;
    const struct smtp_verdict *refusal = behind_proxy ? NULL : inbound_admit(r, &peer);
    if (refusal) {
        inbound_turn_away(fd, refusal);
        return;
    }
    struct inbound *s = inbound_new(listener, fd, &peer);
    if (!s) {
        static const struct smtp_verdict full = {.code = 421,
                                                 .enhanced = SLICE_INIT("4.3.2"),
                                                 .text = SLICE_INIT(
                                                     "Too many connections, try again later")};
        if (!behind_proxy) {
            connections_leave(r->admitted, &peer.addr);
        }
        inbound_refuse_log(r, &peer, SLICE("too many connections"));
        inbound_turn_away(fd, &full);
        return;
    }
    net_no_delay(fd);
    s->admitted = !behind_proxy;
    if (!behind_proxy) {
        inbound_begin(s);
    } else if (!inbound_await_proxy(s)) {
        inbound_gone(s);
    }
}

void inbound_begin(struct inbound *s)
{
    struct relay *r = s->relay;
    if (!s->admitted) {
        const struct smtp_verdict *refusal = inbound_admit(r, &s->peer);
        if (refusal) {
            smtp_server_shut(&s->smtp, refusal, &s->out);
            inbound_close_soon(s);
            inbound_flush(s);
            return;
        }
        s->admitted = true;
    }
    r->counters.sessions++;
    if (inbound_event(s, OBS_INBOUND_OPEN)) {
        inbound_event_end(s);
    }
    if (inbound_listener(s)->tls == CONF_LISTENER_TLS_IMPLICIT) {
        if (inbound_start_tls(s)) {
            inbound_arm_recv(s);
        }
        return;
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
    secure_close(&s->tls);
    inbound_proxy_free(s);
    buf_deinit(&s->user);
    buf_deinit(&s->out);
    buf_deinit(&s->sending);
    secret_buf_release(&s->held);
    if (s->admitted) {
        connections_leave(r->admitted, &s->peer.addr);
    }
    relay_settings_put(&s->settings);
    pool_put(&r->inbound, s->self);
}

/* Whatever is in the kernel is asked back; the descriptor is closed when it has come. */
void inbound_gone(struct inbound *s)
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
void inbound_lost(struct inbound *s, struct slice reason)
{
    if (s->state == INBOUND_OPEN && smtp_server_envelope(&s->smtp)) {
        inbound_log_reason(s, OBS_INBOUND_TROUBLE, reason);
    }
    inbound_gone(s);
}

/* ---- output ---- */

void inbound_arm_recv(struct inbound *s)
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

/* What goes to the kernel next. Before the handshake is finished only the 220 of STARTTLS is in out,
 * and that goes in the clear; after it everything goes through the TLS layer. */
static struct buf *inbound_next_output(struct inbound *s)
{
    if (!secure_is_open(&s->tls) || (!s->tls.up && s->out.len)) {
        return &s->out;
    }
    if (s->tls.up && s->out.len) {
        buf_consume(&s->out, secure_write(&s->tls, buf_slice(&s->out)));
    }
    if (s->tls.up && s->out.len == 0 && s->state == INBOUND_CLOSING) {
        secure_shutdown(&s->tls);
    }
    return &s->tls.wire;
}

void inbound_flush(struct inbound *s)
{
    if (s->ops & INBOUND_OP_SEND) {
        return;
    }
    struct buf *next = inbound_next_output(s);
    if (next->len == 0) {
        if (s->state == INBOUND_CLOSING) {
            inbound_linger(s);
        }
        return;
    }
    struct buf empty = s->sending;
    must(empty.len == 0);
    s->sending = *next;
    *next = empty;
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
    if (s->state == INBOUND_OPEN && s->starting_tls && s->out.len == 0) {
        s->starting_tls = false;
        if (inbound_start_tls(s)) {
            inbound_arm_recv(s);
        }
        return;
    }
    if (s->state == INBOUND_OPEN && !s->proxy && (s->held.len || !(s->ops & INBOUND_OP_RECV))) {
        inbound_drive(s, (struct slice){NULL, 0});
        return;
    }
    inbound_flush(s);
}

/* ---- the loop around the machine ---- */

void inbound_answer(struct inbound *s, const struct smtp_verdict *v)
{
    smtp_server_answer(&s->smtp, v, &s->out);
}

bool inbound_blocked(const struct inbound *s)
{
    return s->waiting_commit || s->waiting_space || s->waiting_login || s->waiting_signature ||
           s->starting_tls || s->state != INBOUND_OPEN ||
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
        if (s->waiting_space) {
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
        smtp_server_shut(&s->smtp, &verdict_timeout, &s->out);
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

void inbound_resume(struct inbound *s)
{
    if (s->state != INBOUND_OPEN) {
        return;
    }
    inbound_resume_mail(s);
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
    if (s->waiting_space) {
        inbound_refuse_waiting(s);
        inbound_drive(s, (struct slice){NULL, 0});
        return;
    }
    inbound_log_reason(s, OBS_INBOUND_TROUBLE, SLICE("the client was silent for too long"));
    if (s->proxy || (secure_is_open(&s->tls) && !s->tls.up)) {
        inbound_gone(s); /* nothing can be said before SMTP has begun */
        return;
    }
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
    if (s->proxy || (secure_is_open(&s->tls) && !s->tls.up)) {
        inbound_gone(s);
        return;
    }
    if (s->state == INBOUND_OPEN && !smtp_server_envelope(&s->smtp) && !s->waiting_commit &&
        !s->waiting_login) {
        smtp_server_shut(&s->smtp, &verdict_stopping, &s->out);
        inbound_close_soon(s);
        inbound_flush(s);
    }
}
