/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 *   OPEN ──(machine says CLOSE)──► CLOSING ──(output sent)──► LINGER ──(EOF, time, bytes)──► GONE
 *     └────(connection lost, cut)──────────────────────────────────────────────────────────►  │
 *                                              nothing in the kernel any more ─► back to the pool
 *
 * LINGER: closing a socket with unread input makes the kernel send a reset, which may destroy our last
 * reply at the client. So we close our half, read and drop for a short while, then close.
 */
#include "core/relay/inbound_private.h"
#include "core/base/secret.h"
#include "core/io/net.h"

const struct smtp_verdict inbound_verdict_timeout = {.code = 421,
                                                     .close = true,
                                                     .enhanced = SLICE_INIT("4.4.2"),
                                                     .text = SLICE_INIT(
                                                         "Timeout, closing connection")};
const struct smtp_verdict inbound_verdict_stopping = {.code = 421,
                                                      .close = true,
                                                      .enhanced = SLICE_INIT("4.3.2"),
                                                      .text = SLICE_INIT("Service shutting down")};

static void inbound_on_deadline(struct timer *t, void *ctx);

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

struct inbound *inbound_new(struct relay_listener *listener, int fd, const struct ip_endpoint *peer)
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
    if (s->taps) {
        taps_drop(&s->taps, io_now(r->io));
    }
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

void inbound_arm_recv(struct inbound *s)
{
    if (!(s->ops & INBOUND_OP_RECV)) {
        s->ops |= INBOUND_OP_RECV;
        io_recv(s->relay->io, inbound_tag(s, IO_KIND_INBOUND_RECV), s->fd);
    }
}

void inbound_linger(struct inbound *s)
{
    inbound_set_state(s, INBOUND_LINGER);
    net_shut_write(s->fd);
    buf_release(&s->held);
    timer_start(s->relay->timers, &s->deadline, io_now(s->relay->io)->mono_ms + RELAY_LINGER_MS);
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
    if (s->waiting_mailbox) {
        inbound_mailbox_late(s);
        inbound_drive(s, (struct slice){NULL, 0});
        return;
    }
    if (s->waiting_space) {
        inbound_refuse_waiting(s);
        inbound_drive(s, (struct slice){NULL, 0});
        return;
    }
    if (s->proxy) {
        inbound_proxy_refuse(s, SLICE("no PROXY header in time"));
        return;
    }
    inbound_log_reason(s, OBS_INBOUND_TROUBLE, SLICE("the client was silent for too long"));
    if (secure_is_open(&s->tls) && !s->tls.up) {
        inbound_gone(s); /* nothing can be said before SMTP has begun */
        return;
    }
    smtp_server_shut(&s->smtp, &inbound_verdict_timeout, &s->out);
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
        smtp_server_shut(&s->smtp, &inbound_verdict_stopping, &s->out);
        inbound_close_soon(s);
        inbound_flush(s);
    }
}
