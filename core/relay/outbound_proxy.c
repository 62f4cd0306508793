/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The way through the proxy of a source: between the socket and the first byte of SMTP.
 *
 *   CONNECTING ──connected──► header sent (PROXY v2) ─────────────────► UP
 *        │          └──► SOCKS5: ──send──► wait ──answer──► … ──open──► UP
 *        └──────────────┴── fault of ─┬─ the proxy: the source pauses, no other address is tried
 *                                     ├─ this request: the next address
 *                                     └─ the destination: the next address, this one is avoided
 *
 * The state stays CONNECTING and its deadline (connect_timeout) covers all of it. A proxy's failure says nothing
 * about the destination: its addresses are not avoided for it, and the outcome names the proxy.
 */
#include "core/base/secret.h"
#include "core/io/net.h"
#include "core/relay/outbound_private.h"
#include "proto/proxy/header.h"

#include <stdlib.h>

static const struct egress_source *proxy_source(const struct outbound *o)
{
    const struct egress_source *s = o->source;
    return s && s->proxy.kind != CONF_EGRESS_DIRECT ? s : NULL;
}

const struct ip_endpoint *outbound_proxy_at(const struct outbound *o)
{
    const struct egress_source *s = proxy_source(o);
    return s ? &s->proxy.at : NULL;
}

/* ---- failures ---- */

static void proxy_end(struct outbound *o)
{
    secret_buf_clear(&o->out);
    free(o->socks);
    o->socks = NULL;
}

void outbound_proxy_free(struct outbound *o)
{
    must(!(o->ops & OUTBOUND_OP_SEND));
    if (o->socks) {
        secret_buf_clear(&o->sending);
        proxy_end(o);
    }
}

/* Nobody is to blame but the proxy: mail goes by other sources of the pool, or waits. */
static void proxy_pause(struct outbound *o, const struct egress_source *s, struct slice why)
{
    struct obs_log *log = o->relay->log;
    char at[IP_ENDPOINT_TEXT_MAX];
    if (egress_proxy_failed(s, outbound_now(o)) &&
        obs_begin(log, OBS_SOURCE_PAUSED, io_now(o->relay->io)->wall_us)) {
        obs_str(log, OBS_F_SOURCE, s->name);
        obs_str(log, OBS_F_ADDRESS, slice_str(ip_endpoint_text(&s->proxy.at, at)));
        obs_str(log, OBS_F_REASON, why);
        obs_end(log, io_now(o->relay->io)->mono_ms);
    }
}

static void proxy_fail(struct outbound *o, enum socks_fault fault, struct slice what)
{
    const struct egress_source *s = proxy_source(o);
    char at[IP_ENDPOINT_TEXT_MAX];
    must(s != NULL);
    struct buf text;
    buf_init(&text, LIMIT_OUTCOME_TEXT_BYTES);
    bool socks = s->proxy.kind == CONF_EGRESS_SOCKS5;
    buf_addf(&text, "%s proxy %s: %.*s", socks ? "SOCKS5" : "egress",
             ip_endpoint_text(&s->proxy.at, at), SLICE_ARG(what));
    bool target = fault == SOCKS_FAULT_TARGET;
    struct outcome why = outcome_local(OUTCOME_TEMPORARY, OUTCOME_CONNECTION, OUTCOME_STAGE_CONNECT,
                                       (struct enhanced){4, 4, target ? 1 : 0}, buf_slice(&text));
    proxy_end(o);
    switch (fault) {
    case SOCKS_FAULT_TARGET:
        outbound_fail_candidate(o, &why);
        break;
    case SOCKS_FAULT_PROXY:
        o->tried = OUTBOUND_CANDIDATES_MAX; /* the others are behind it too */
        proxy_pause(o, s, why.text);
        outbound_skip_candidate(o, &why);
        break;
    case SOCKS_FAULT_REQUEST:
        outbound_skip_candidate(o, &why);
        break;
    }
    buf_deinit(&text);
}

void outbound_proxy_unreachable(struct outbound *o, const struct outcome *why)
{
    bool asked = o->socks && o->socks->state == SOCKS_STATE_REPLY;
    if (asked) { /* it is still trying, so it is not the proxy that is away */
        proxy_fail(o, SOCKS_FAULT_TARGET, why->text);
        return;
    }
    proxy_fail(o, SOCKS_FAULT_PROXY, why->text);
}

static void proxy_lost(struct outbound *o)
{
    struct buf text;
    buf_init(&text, 200);
    buf_add(&text, SLICE("the connection was lost"));
    if (o->socks) {
        buf_addf(&text, " (waiting for: %.*s)", SLICE_ARG(socks_client_awaits(o->socks)));
    }
    proxy_fail(o, SOCKS_FAULT_PROXY, buf_slice(&text));
    buf_deinit(&text);
}

/* ---- bytes ---- */

static void proxy_send(struct outbound *o)
{
    if (o->out.len == 0 || (o->ops & OUTBOUND_OP_SEND)) {
        return;
    }
    struct buf empty = o->sending;
    must(empty.len == 0);
    o->sending = o->out;
    o->out = empty;
    o->iov[0] = (struct iovec){o->sending.ptr, o->sending.len};
    o->msg = (struct msghdr){.msg_iov = o->iov, .msg_iovlen = 1};
    o->ops |= OUTBOUND_OP_SEND;
    io_sendmsg(o->relay->io, outbound_tag(o, IO_KIND_OUTBOUND_SEND), o->fd, &o->msg);
}

/* What the destination has said already is in o->plain. */
static void proxy_up(struct outbound *o)
{
    struct relay *r = o->relay;
    struct handle self = o->self;
    struct buf said = o->plain;
    must(o->out.len == 0 && o->sending.len == 0);
    egress_proxy_works(proxy_source(o));
    buf_init(&o->plain, IO_RECV_BUFFER_BYTES);
    proxy_end(o);
    outbound_connected(o);
    if (said.len && pool_resolve(&r->outbound, self) == o && o->state == OUTBOUND_UP) {
        outbound_receive(o, buf_slice(&said));
    }
    buf_deinit(&said);
}

/* The last answer may come before the kernel has told that our last word has gone out. */
static void proxy_open(struct outbound *o, struct slice rest)
{
    if (o->out.len) {
        proxy_fail(o, SOCKS_FAULT_PROXY, SLICE("it answered what it had not been asked"));
        return;
    }
    buf_add(&o->plain, rest);
    if (o->plain.overflow) {
        proxy_fail(o, SOCKS_FAULT_REQUEST, SLICE("no memory here"));
    } else if (!(o->ops & OUTBOUND_OP_SEND)) {
        proxy_up(o);
    }
}

/* Steps the dialogue and sends what it says; the answers come by outbound_proxy_received. */
static void proxy_talk(struct outbound *o, struct slice in)
{
    switch (socks_client_step(o->socks, &in, &o->out)) {
    case SOCKS_OPEN:
        proxy_open(o, in);
        return;
    case SOCKS_FAILED: {
        struct buf why;
        buf_init(&why, 200);
        socks_client_reason(o->socks, &why);
        proxy_fail(o, socks_client_fault(o->socks), buf_slice(&why));
        buf_deinit(&why);
        return;
    }
    case SOCKS_MORE:
        break;
    }
    if (o->out.overflow) {
        proxy_fail(o, SOCKS_FAULT_REQUEST, SLICE("no memory here"));
        return;
    }
    proxy_send(o);
    if (!(o->ops & OUTBOUND_OP_RECV)) {
        o->ops |= OUTBOUND_OP_RECV;
        io_recv(o->relay->io, outbound_tag(o, IO_KIND_OUTBOUND_RECV), o->fd);
    }
}

static void proxy_start_socks(struct outbound *o, const struct egress_proxy *p)
{
    const struct socks_config config = {
        .user = p->user,
        .password = p->password,
        .to = outbound_candidate(o)->endpoint,
    };
    o->socks = malloc(sizeof(*o->socks));
    if (!o->socks) {
        proxy_fail(o, SOCKS_FAULT_REQUEST, SLICE("no memory here"));
        return;
    }
    socks_client_init(o->socks, &config);
    proxy_talk(o, (struct slice){NULL, 0});
}

bool outbound_proxy_start(struct outbound *o)
{
    const struct egress_source *s = proxy_source(o);
    if (!s) {
        return false;
    }
    if (s->proxy.kind == CONF_EGRESS_SOCKS5) {
        proxy_start_socks(o, &s->proxy);
        return true;
    }
    /* What the proxy is to connect from and to; it chooses the port. */
    const struct ip_endpoint *to = &outbound_candidate(o)->endpoint;
    const struct ip_endpoint from = {to->addr.family == IP_V4 ? s->address4 : s->address6, 0};
    if (from.addr.family == IP_NONE) {
        proxy_fail(o, SOCKS_FAULT_REQUEST, SLICE("the source has no address of this family"));
        return true;
    }
    proxy_add_v2(&o->out, &from, to);
    proxy_send(o);
    return true;
}

void outbound_proxy_received(struct outbound *o, const struct io_event *ev)
{
    if (ev->status != IO_OK && ev->status != IO_RETRY) {
        proxy_lost(o);
        return;
    }
    proxy_talk(o, ev->data);
}

void outbound_proxy_sent(struct outbound *o, const struct io_event *ev)
{
    if (ev->status != IO_OK && ev->status != IO_RETRY) {
        proxy_lost(o);
        return;
    }
    if (outbound_advance(o, (size_t)ev->result)) {
        o->ops |= OUTBOUND_OP_SEND;
        io_sendmsg(o->relay->io, outbound_tag(o, IO_KIND_OUTBOUND_SEND), o->fd, &o->msg);
        return;
    }
    secret_buf_clear(&o->sending);
    if (!o->socks || o->socks->state == SOCKS_STATE_OPEN) { /* a header has no answer */
        proxy_up(o);
        return;
    }
    proxy_send(o);
}
