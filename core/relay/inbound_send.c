/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What goes out to the client. One buffer is in the kernel (`sending`), what comes meanwhile waits in `out`;
 * under TLS in the layer's own buffer behind it.
 */
#include "core/relay/inbound_private.h"
#include "core/io/net.h"

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

void inbound_tell_taps(struct inbound *s)
{
    struct slice out = buf_slice(&s->out);
    dialogue_say(s->taps, DIALOGUE_SERVER, slice_skip(out, s->told < out.len ? s->told : out.len),
                 io_now(s->relay->io));
    s->told = out.len;
}

void inbound_flush(struct inbound *s)
{
    if (s->ops & INBOUND_OP_SEND) {
        return;
    }
    if (s->taps) {
        inbound_tell_taps(s);
    }
    struct buf *next = inbound_next_output(s);
    s->told = s->out.len;
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
    s->told = s->out.len;
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
