/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Before a session has begun: who is admitted, and what those hear who are not.
 */
#include "core/relay/inbound_private.h"
#include "core/io/net.h"

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
    if (r->taps.count) {
        taps_inbound(s);
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
