/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Memory that the kernel reads while a send is under way: `sending`, or under TLS `cipher`; and the body: of
 * the message in memory (sending_message counts as a reader of it) or of the reader's buffer (the reader
 * stays open). Bytes go out in the order of `out`, with the body in its place at out[body_at].
 */
#include "core/relay/outbound_private.h"
#include "core/base/secret.h"
#include "core/queue/far.h"

/* ---- bodies ---- */

static void outbound_on_piece(void *ctx, struct handle owner, enum queue_read_status status,
                              struct slice piece)
{
    struct relay *r = ctx;
    struct outbound *o = pool_resolve(&r->outbound, owner);
    must(o != NULL && o->body != NULL); /* closing the reader ends its callbacks */
    if (status != QUEUE_READ_OK) {
        o->body->damaged = status == QUEUE_READ_DAMAGED;
        o->body->unreadable = status == QUEUE_READ_FAILED;
        outbound_drive(o, (struct slice){NULL, 0});
        return;
    }
    o->data = piece;
    o->data_ready = true;
    outbound_drive(o, (struct slice){NULL, 0});
}

/* The last bytes of the body are about to go: the next message's commands may ride behind them. False: the
 * connection has failed meanwhile. */
static bool outbound_body_end(struct outbound *o)
{
    /* Without PIPELINING nothing can ride behind it, and who takes long to answer would hold it up. */
    bool rides = o->smtp.config.pipelining && o->smtp.caps.pipelining;
    if (rides && queue_site_work(o->site) && list_empty(&o->site->idle)) {
        outbound_begin(o);
    }
    return o->taps ? outbound_body_end_tapped(o) : smtp_client_body_end(&o->smtp, &o->out);
}

/* A small one goes where the commands are. */
static bool outbound_copy_body(struct outbound *o, const struct smtp_client_body *b)
{
    struct outbound_tx *t = (struct outbound_tx *)(void *)b->txn;
    const struct queue_message *m = t->part->message;
    if (!m->body || m->body_bytes > OUTBOUND_COPY_BYTES || o->out.len > OUTBOUND_GATHER_BYTES) {
        return false;
    }
    struct slice body = slice_of(m->body, m->body_bytes);
    if (b->dot_stuff) {
        struct mail_dot dot = {false, false};
        mail_dot_add(&dot, body, &o->out);
    } else {
        buf_add(&o->out, body);
    }
    t->end_at = o->given + o->out.len + b->end_bytes;
    (void)outbound_body_end(o); /* failed: the machine says so when it is stepped */
    return true;
}

/* The machine wants the body: where it is, and the first piece of it. */
void outbound_body_begin(struct outbound *o)
{
    must(o->body == NULL);
    struct smtp_client_body b = smtp_client_body(&o->smtp);
    if (outbound_copy_body(o, &b)) {
        return;
    }
    o->body = (struct outbound_tx *)(void *)b.txn;
    o->body_at = o->out.len;
    o->piece = 0;
    o->dot = (struct mail_dot){false, false};
    struct queue_message *m = o->body->part->message;
    if (m->body) {
        o->pieces = 1;
        o->data = slice_of(m->body, m->body_bytes);
        o->data_ready = true;
        return;
    }
    o->pieces = queue_message_pieces(m);
    if (o->pieces == 0) {
        o->pieces = 1; /* an empty message: one empty piece, not the last one of another message */
        o->data = (struct slice){NULL, 0};
        o->data_ready = true;
        return;
    }
    if (!queue_reader_open(o->relay->queue, m, outbound_on_piece, o->relay, o->self, &o->reader)) {
        o->body->unreadable = true;
        return;
    }
    queue_reader_read(o->relay->queue, o->reader, 0);
}

static bool outbound_body_is_lost(const struct outbound *o)
{
    return o->body && (o->body->damaged || o->body->unreadable);
}

/* A message cannot be broken off but by ending the connection. The peer has perhaps taken those before it, and says so
 * next: not to listen would mean a second copy of each (P4). */
bool outbound_body_is_hopeless(struct outbound *o)
{
    return outbound_body_is_lost(o) && smtp_client_body_is_next(&o->smtp);
}

void outbound_release_body(struct outbound *o)
{
    o->body = NULL;
    o->data = (struct slice){NULL, 0};
    o->data_ready = false;
    if (o->reader.gen && o->reader_lent && o->sending_reader.gen == 0) {
        /* Not one that still reads: its callback would find no body. */
        o->sending_reader = o->reader;
        o->reader = HANDLE_NONE;
    } else if (o->reader.gen) {
        /* Also when the kernel still has the end of the body before this one (sending_reader): a peer may
         * answer what it has not read. */
        queue_reader_close(o->relay->queue, &o->reader);
    }
}

/* The kernel has given back what it was sending. */
void outbound_sent(struct outbound *o)
{
    must(!(o->ops & OUTBOUND_OP_SEND));
    o->reader_lent = false;
    if (o->sending_reader.gen) {
        queue_reader_close(o->relay->queue, &o->sending_reader);
    }
    struct queue_message *m = o->sending_message;
    o->sending_message = NULL;
    if (m && m->queue == o->relay->queue) {
        must(m->readers > 0);
        m->readers--;
        queue_settle(o->relay->queue, m);
    } else if (o->sending_pinned) {
        o->sending_pinned = false;
        queue_far_unpin(o->relay->queue, m);
    }
}

static void outbound_no_memory(struct outbound *o)
{
    buf_clear(&o->sending);
    o->data_ready = false;
    smtp_client_fail(&o->smtp, SMTP_FAIL_LOCAL);
}

/* Builds `sending` and the vector: what stands before the body, a piece, what comes behind the last. */
static void outbound_fill_body(struct outbound *o)
{
    bool last = o->piece + 1 == o->pieces;
    const struct smtp_client_body b = smtp_client_body(&o->smtp);
    bool stuff = b.dot_stuff;
    if (last && !outbound_body_end(o)) {
        return; /* failed meanwhile: the caller drives */
    }
    size_t at = o->piece == 0 ? o->body_at : 0;
    buf_add(&o->sending, slice_first(buf_slice(&o->out), at));
    size_t head = o->sending.len;
    if (stuff) {
        mail_dot_add(&o->dot, o->data, &o->sending);
        head = o->sending.len;
    }
    if (last) {
        o->body->end_at = o->given + head + (stuff ? 0 : o->data.len) + b.end_bytes;
        buf_add(&o->sending, slice_skip(buf_slice(&o->out), at));
        buf_clear(&o->out);
    } else {
        buf_consume(&o->out, at);
    }
    if (o->sending.overflow) {
        outbound_no_memory(o);
        return;
    }
    unsigned n = 0;
    if (head) {
        o->iov[n++] = (struct iovec){o->sending.ptr, head};
    }
    if (!stuff && o->data.len) {
        o->iov[n++] = (struct iovec){(void *)(uintptr_t)o->data.ptr, o->data.len};
        o->reader_lent = o->reader.gen != 0;
        o->sending_message = o->body->part->message;
        if (o->sending_message->queue == o->relay->queue) {
            o->sending_message->readers++;
        }
    }
    if (o->sending.len > head) {
        o->iov[n++] = (struct iovec){o->sending.ptr + head, o->sending.len - head};
    }
    o->msg = (struct msghdr){.msg_iov = o->iov, .msg_iovlen = n};
    o->data_ready = false;
    o->piece++;
    if (last) {
        /* Done with it: the answer may come before the send's own completion. */
        o->sending_reader = o->reader;
        o->reader = HANDLE_NONE;
        o->body = NULL;
    }
}

bool outbound_may_have_arrived(const struct outbound *o, const struct outbound_tx *t)
{
    bool doubt = o->torn || (o->ops & OUTBOUND_OP_SEND);
    return t->end_at && t->end_at <= (doubt ? o->given : o->taken);
}

/* ---- output ---- */

static void outbound_fill_commands(struct outbound *o)
{
    size_t n = o->body && o->piece == 0 ? o->body_at : o->body ? 0 : o->out.len;
    if (n == o->out.len) {
        struct buf empty = o->sending;
        o->sending = o->out;
        o->out = empty;
    } else {
        buf_add(&o->sending, slice_first(buf_slice(&o->out), n));
        buf_consume(&o->out, n);
    }
    if (o->sending.overflow) {
        outbound_no_memory(o);
        return;
    }
    if (o->body && o->piece == 0) {
        o->body_at = 0;
    }
    o->iov[0] = (struct iovec){o->sending.ptr, o->sending.len};
    o->msg = (struct msghdr){.msg_iov = o->iov, .msg_iovlen = o->sending.len ? 1 : 0};
}

bool outbound_send(struct outbound *o)
{
    if (o->ops & OUTBOUND_OP_SEND) {
        return false;
    }
    must(o->state != OUTBOUND_GONE && o->state != OUTBOUND_NEXT);
    must(o->sending.len == 0 && o->sending_message == NULL);
    o->msg.msg_iovlen = 0;
    if (secure_is_open(&o->tls) && !o->tls.up) {
        must(o->out.len == 0); /* nothing is said during the handshake */
    } else if (o->body && o->data_ready) {
        outbound_fill_body(o);
    } else {
        outbound_fill_commands(o);
    }
    for (size_t i = 0; i < o->msg.msg_iovlen; i++) {
        o->given += o->msg.msg_iov[i].iov_len;
    }
    o->sending_secret = smtp_client_had_secret(&o->smtp) || o->sending_secret;
    if (secure_is_open(&o->tls) && !outbound_encrypt(o)) {
        outbound_sent(o);
        smtp_client_fail(&o->smtp, SMTP_FAIL_IO);
        return true;
    }
    if (o->msg.msg_iovlen) {
        o->ops |= OUTBOUND_OP_SEND;
        io_sendmsg(o->relay->io, outbound_tag(o, IO_KIND_OUTBOUND_SEND), o->fd, &o->msg);
    }
    return o->smtp.state == SMTP_CLIENT_ENDED;
}

bool outbound_advance(struct outbound *o, size_t sent)
{
    while (o->msg.msg_iovlen && sent >= o->msg.msg_iov->iov_len) {
        sent -= o->msg.msg_iov->iov_len;
        o->msg.msg_iov++;
        o->msg.msg_iovlen--;
    }
    if (o->msg.msg_iovlen == 0) {
        must(sent == 0);
        return false;
    }
    o->msg.msg_iov->iov_base = (char *)o->msg.msg_iov->iov_base + sent;
    o->msg.msg_iov->iov_len -= sent;
    return true;
}

void relay_on_outbound_send(struct relay *r, const struct io_event *ev)
{
    struct outbound *o = pool_resolve(&r->outbound, ev->owner);
    if (!o) {
        io_count_stale(r->io);
        return;
    }
    o->ops &= (uint8_t)~OUTBOUND_OP_SEND;
    if (o->state == OUTBOUND_GONE || o->state == OUTBOUND_NEXT) {
        outbound_gone(o, (enum outbound_state)o->state);
        return;
    }
    if (o->state == OUTBOUND_CONNECTING) {
        outbound_proxy_sent(o, ev);
        return;
    }
    if (ev->status != IO_OK && ev->status != IO_RETRY) {
        outbound_sent(o);
        smtp_client_fail(&o->smtp, SMTP_FAIL_IO);
        outbound_drive(o, (struct slice){NULL, 0});
        return;
    }
    bool tls = secure_is_open(&o->tls);
    o->taken += tls ? 0 : (size_t)ev->result;
    o->torn = tls;
    if (outbound_advance(o, (size_t)ev->result)) {
        o->ops |= OUTBOUND_OP_SEND;
        io_sendmsg(r->io, outbound_tag(o, IO_KIND_OUTBOUND_SEND), o->fd, &o->msg);
        return;
    }
    outbound_sent(o);
    o->taken = o->given;
    o->torn = false;
    buf_release(&o->cipher);
    if (o->sending_secret) {
        o->sending_secret = false;
        secret_buf_release(&o->sending);
    } else if (o->sending.cap > OUTBOUND_KEEP_BYTES) {
        buf_release(&o->sending);
    } else {
        buf_clear(&o->sending);
    }
    if (o->body && o->reader.gen && !o->data_ready && o->piece > 0 && !outbound_body_is_lost(o)) {
        queue_reader_read(r->queue, o->reader, o->piece);
    }
    outbound_drive(o, (struct slice){NULL, 0});
}
