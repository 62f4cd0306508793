/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What comes before SMTP.
 *
 * TLS: inbound_pump is the loop of a session under TLS. It takes one step of the TLS layer at a time and
 * gives what it brings to the machine; it stops where the plain session would stop (an answer is owed, the
 * client does not take replies) and goes on when inbound_drive or a sent buffer calls it again. Handshakes
 * are bounded by one deadline from their start to their end, and take turns (handshakes.h).
 */
#include "core/relay/inbound_private.h"
#include "proto/proxy/header.h"

#include <stdlib.h>

/* ---- PROXY ---- */

struct proxy_in {
    struct proxy_parser parser;
};

void inbound_proxy_free(struct inbound *s)
{
    free(s->proxy);
    s->proxy = NULL;
}

void inbound_proxy_refuse(struct inbound *s, struct slice reason)
{
    static const struct smtp_verdict refused = {.code = 421,
                                                .close = true,
                                                .enhanced = SLICE_INIT("4.3.2"),
                                                .text = SLICE_INIT(
                                                    "PROXY header missing or not accepted")};
    inbound_proxy_free(s);
    s->relay->counters.sessions_refused++;
    inbound_log_reason(s, OBS_INBOUND_REFUSED, reason);
    smtp_server_shut(&s->smtp, &refused, &s->out);
    inbound_close_soon(s);
    inbound_flush(s);
}

bool inbound_await_proxy(struct inbound *s)
{
    const struct conf_proxy_protocol *conf = &s->settings->conf->proxy;
    if (!ip_nets_contain(conf->networks.items, conf->networks.count, &s->peer.addr)) {
        inbound_proxy_refuse(s, SLICE("not one of proxy.networks"));
        return true;
    }
    s->proxy = calloc(1, sizeof(*s->proxy));
    if (!s->proxy) {
        return false;
    }
    proxy_parser_init(&s->proxy->parser);
    timer_start(s->relay->timers, &s->deadline, io_now(s->relay->io)->mono_ms + conf->timeout_ms);
    inbound_arm_recv(s);
    return true;
}

bool inbound_take_proxy(struct inbound *s, struct slice *in)
{
    struct proxy_header header;
    bool by_address = inbound_listener(s)->access != CONF_ACCESS_AUTH;
    switch (proxy_parser_feed(&s->proxy->parser, in, &header)) {
    case PROXY_MORE:
        inbound_arm_recv(s);
        return false;
    case PROXY_BAD:
        inbound_proxy_refuse(s, SLICE("no valid PROXY header"));
        return false;
    case PROXY_UNKNOWN:
        if (by_address) {
            inbound_proxy_refuse(s, SLICE("PROXY UNKNOWN, and the address decides the access"));
            return false;
        }
        break;
    case PROXY_LOCAL:
        break; /* the balancer itself: its own address counts */
    case PROXY_PROXIED:
        s->peer = header.source;
        break;
    }
    inbound_proxy_free(s);
    if (inbound_listener(s)->tls != CONF_LISTENER_TLS_IMPLICIT) {
        buf_add(&s->held, *in); /* the machine judges who talks before the greeting */
        *in = slice_of("", 0);
    }
    inbound_begin(s);
    return s->state == INBOUND_OPEN && in->len > 0;
}

/* ---- TLS ---- */

/* A handshake takes two round trips: it gets no command's patience. */
enum { INBOUND_HANDSHAKE_MS = 30 * 1000 };

static void inbound_on_turn(struct handshake_place *place)
{
    struct inbound *s = container_of(place, struct inbound, tls.place);
    if (s->state == INBOUND_OPEN) {
        inbound_pump(s);
    }
}

bool inbound_start_tls(struct inbound *s)
{
    uint64_t patience_ms = s->settings->conf->limits.command_timeout_ms;
    struct tls_stream_config config = {
        .context = s->settings->listeners[s->listener].tls,
        .wall_us = io_now(s->relay->io)->wall_us,
    };
    const struct secure_owner owner = {
        .turns = &s->relay->handshakes,
        .resume = inbound_on_turn,
        .wire_max = INBOUND_OUT_MAX,
    };
    if (!secure_open(&s->tls, &config, &owner)) {
        inbound_lost(s, SLICE("no memory for TLS"));
        return false;
    }
    patience_ms = patience_ms < INBOUND_HANDSHAKE_MS ? patience_ms : INBOUND_HANDSHAKE_MS;
    timer_start(s->relay->timers, &s->deadline, io_now(s->relay->io)->mono_ms + patience_ms);
    return true;
}

static void inbound_tls_failed(struct inbound *s)
{
    const struct tls_failure *why = secure_error(&s->tls);
    if (inbound_event(s, OBS_INBOUND_TROUBLE)) {
        obs_str(s->relay->log, OBS_F_REASON, SLICE("TLS failed"));
        obs_str(s->relay->log, OBS_F_TLS, slice_str(tls_error_name(why->kind)));
        obs_str(s->relay->log, OBS_F_REPLY, slice_str(why->text));
        inbound_event_end(s);
    }
    s->relay->counters.tls_in_failed++;
    buf_clear(&s->out); /* only the alert goes out */
    inbound_close_soon(s);
}

static void inbound_tls_up(struct inbound *s)
{
    const struct tls_facts *facts = tls_stream_facts(s->tls.stream);
    s->relay->counters.tls_in++;
    s->certificate_shown = facts->peer_certificate && facts->verdict.kind == TLS_VERDICT_TRUSTED;
    if (s->certificate_shown) {
        buf_clear(&s->user);
        buf_add(&s->user, slice_first(slice_str(facts->peer_subject), CREDENTIAL_NAME_BYTES));
        s->credential = credentials_find(s->settings->credentials, buf_slice(&s->user),
                                         slice_of("", 0));
    }
    if (inbound_event(s, OBS_INBOUND_TLS)) {
        obs_str(s->relay->log, OBS_F_TLS, slice_str(facts->version));
        obs_str(s->relay->log, OBS_F_CIPHER, slice_str(facts->cipher));
        inbound_event_end(s);
    }
    if (s->taps) {
        dialogue_note(s->taps, slice_str(facts->version), io_now(s->relay->io));
    }
    smtp_server_tls_started(&s->smtp);
    if (smtp_server_phase(&s->smtp) == SMTP_PHASE_GREETING) {
        smtp_server_greet(&s->smtp, &s->out);
    }
    inbound_turn(s, (struct slice){NULL, 0});
}

/* The client says nothing more, but it may still listen: what it is owed goes out, close_notify too. */
static void inbound_ended(struct inbound *s)
{
    if (smtp_server_envelope(&s->smtp)) {
        inbound_log_reason(s, OBS_INBOUND_TROUBLE, SLICE("the client closed the connection"));
    }
    inbound_close_soon(s);
}

void inbound_pump(struct inbound *s)
{
    while (s->state == INBOUND_OPEN) {
        if (s->tls.up && (inbound_blocked(s) || s->held.len)) {
            break;
        }
        switch (secure_step(&s->tls, &s->held, IO_RECV_BUFFER_BYTES)) {
        case SECURE_UP:
            inbound_tls_up(s);
            continue;
        case SECURE_DATA:
            inbound_turn(s, (struct slice){NULL, 0});
            continue;
        case SECURE_WANT_INPUT:
            secure_rest(&s->tls);
            inbound_arm_recv(s);
            break;
        case SECURE_WANT_ROOM:
            break; /* goes on when wire has been sent */
        case SECURE_WANT_TURN:
            break; /* nothing is read meanwhile */
        case SECURE_END:
            inbound_ended(s);
            break;
        case SECURE_FAILED:
            inbound_tls_failed(s);
            break;
        }
        break;
    }
    inbound_flush(s);
}
