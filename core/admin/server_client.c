/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/admin/server_private.h"

#include <unistd.h>

/* ---- the end of a client ---- */

/* Late replies are dropped from now on; who streams is told to stop. */
static void admin_token_over(struct admin_client *c)
{
    uint32_t token = c->token;
    c->token = 0;
    if (token && c->streams) {
        c->server->handler.gone(c->server->handler.ctx, token);
    }
}

static void admin_client_reap(struct admin_client *c)
{
    struct admin_server *s = c->server;
    must(c->state == ADMIN_CLOSING);
    if (c->recv_busy || c->send_busy) {
        return;
    }
    must(!timer_armed(&c->deadline) && c->token == 0);
    close(c->fd);
    buf_deinit(&c->in);
    buf_deinit(&c->out);
    buf_deinit(&c->sending);
    must(s->counters.clients > 0);
    s->counters.clients--;
    pool_put(&s->clients, c->self);
}

static void admin_client_close(struct admin_client *c)
{
    struct admin_server *s = c->server;
    must(c->state != ADMIN_CLOSING);
    c->state = ADMIN_CLOSING;
    admin_token_over(c);
    timer_stop(s->timers, &c->deadline);
    if (c->recv_busy) {
        io_cancel(s->io, (struct io_tag){IO_KIND_ADMIN_RECV, c->self});
    }
    if (c->send_busy) {
        io_cancel(s->io, (struct io_tag){IO_KIND_ADMIN_SEND, c->self});
    }
    admin_client_reap(c);
}

/* ---- sending ---- */

void admin_client_pump(struct admin_client *c)
{
    if (c->send_busy) {
        return;
    }
    if (c->sent == c->sending.len) {
        struct buf empty = c->sending;
        c->sending = c->out;
        c->out = empty;
        buf_clear(&c->out);
        c->sent = 0;
    }
    if (c->sending.len == 0) {
        if (c->state == ADMIN_SENDING) {
            admin_client_close(c);
        }
        return;
    }
    c->send_busy = true;
    io_send(c->server->io, (struct io_tag){IO_KIND_ADMIN_SEND, c->self}, c->fd,
            c->sending.ptr + c->sent, c->sending.len - c->sent);
}

void admin_client_finish(struct admin_client *c)
{
    must(c->state == ADMIN_READING || c->state == ADMIN_WAITING);
    c->state = ADMIN_SENDING;
    admin_token_over(c);
    buf_release(&c->in);
    if (!timer_armed(&c->deadline)) { /* a stream has none */
        timer_start(c->server->timers, &c->deadline, admin_now(c->server) + ADMIN_GRACE_MS);
    }
    admin_client_pump(c);
}

void admin_client_fail(struct admin_client *c, enum admin_error error, struct slice text)
{
    admin_error_add(&c->out, error, text);
    admin_client_finish(c);
}

void admin_on_send(struct admin_client *c, const struct io_event *ev)
{
    must(c->send_busy);
    c->send_busy = false;
    if (c->state == ADMIN_CLOSING) {
        admin_client_reap(c);
        return;
    }
    if (ev->status == IO_OK) {
        must(ev->result > 0 && (size_t)ev->result <= c->sending.len - c->sent);
        c->sent += (size_t)ev->result;
    } else if (ev->status != IO_RETRY) {
        admin_client_close(c);
        return;
    }
    admin_client_pump(c);
}

/* ---- receiving ---- */

static void admin_client_read(struct admin_client *c)
{
    must((c->state == ADMIN_READING || c->streams) && !c->recv_busy);
    c->recv_busy = true;
    io_recv(c->server->io, (struct io_tag){IO_KIND_ADMIN_RECV, c->self}, c->fd);
}

/* c may be gone afterwards: the handler may answer at once. */
static void admin_client_query(struct admin_client *c, struct slice line)
{
    struct admin_server *s = c->server;
    struct buf why;
    buf_init(&why, ADMIN_LAST_LINE_BYTES / 4);
    if (!admin_request_parse(line, &c->request, &why)) {
        s->counters.refused++;
        admin_client_fail(c, ADMIN_BAD_REQUEST, buf_slice(&why));
        buf_deinit(&why);
        return;
    }
    buf_deinit(&why);
    c->state = ADMIN_WAITING;
    s->token_last += s->token_last == UINT32_MAX ? 2 : 1; /* never 0 */
    c->token = s->token_last;
    s->counters.queries++;
    if (admin_verb_is_order(c->request.verb)) {
        timer_start(s->timers, &c->deadline, admin_now(s) + ADMIN_ORDER_DEADLINE_MS);
    } else if (admin_verb_is_stream(c->request.verb)) {
        timer_stop(s->timers, &c->deadline);
        c->streams = true;
        admin_client_read(c);
    }
    struct admin_request req = c->request;
    s->handler.query(s->handler.ctx, &req, c->token);
}

static void admin_client_take(struct admin_client *c, struct slice data)
{
    /* Without an end within the limit the line is too long, whatever comes. */
    struct slice part = slice_first(data, ADMIN_REQUEST_BYTES_MAX - c->in.len);
    int end = slice_find_byte(part, '\n');
    if (end >= 0) {
        buf_add(&c->in, slice_first(part, (size_t)end));
        if (c->in.overflow) {
            admin_client_close(c); /* no memory */
            return;
        }
        admin_client_query(c, buf_slice(&c->in));
        return;
    }
    buf_add(&c->in, part);
    if (c->in.overflow) {
        admin_client_close(c);
        return;
    }
    if (c->in.len == ADMIN_REQUEST_BYTES_MAX) {
        c->server->counters.refused++;
        admin_client_fail(c, ADMIN_TOO_LONG, SLICE("a request is one line of at most 4096 bytes"));
        return;
    }
    admin_client_read(c);
}

must_static(ADMIN_REQUEST_BYTES_MAX == 4096, "the text above names it");

void admin_on_recv(struct admin_client *c, const struct io_event *ev)
{
    must(c->recv_busy);
    c->recv_busy = false;
    if (c->state == ADMIN_CLOSING) {
        admin_client_reap(c);
    } else if (c->state == ADMIN_WAITING && c->streams) {
        if (ev->status == IO_OK || ev->status == IO_RETRY) {
            admin_client_read(c); /* nothing it says matters, only that it is there */
        } else {
            admin_client_close(c);
        }
    } else if (c->state != ADMIN_READING) {
        return; /* failed while the receive was in the kernel */
    } else if (ev->status == IO_OK) {
        admin_client_take(c, ev->data);
    } else if (ev->status == IO_RETRY) {
        admin_client_read(c);
    } else if (ev->status == IO_EOF && c->in.len) {
        c->server->counters.refused++;
        admin_client_fail(c, ADMIN_BAD_REQUEST, SLICE("the request has no line end"));
    } else {
        admin_client_close(c);
    }
}

/* ---- deadline ---- */

static void admin_client_expire(struct timer *t, void *ctx)
{
    struct admin_client *c = container_of(t, struct admin_client, deadline);
    struct admin_server *s = c->server;
    (void)ctx;
    must(c->state != ADMIN_CLOSING);
    if (c->state == ADMIN_SENDING) {
        s->counters.deadlines++;
        admin_client_close(c);
        return;
    }
    s->counters.deadlines++;
    timer_start(s->timers, &c->deadline, admin_now(s) + ADMIN_GRACE_MS);
    admin_client_fail(c, ADMIN_TIMEOUT,
                      c->state == ADMIN_READING ? SLICE("no request came in time")
                                                : SLICE("the answer took too long"));
}

/* ---- the beginning ---- */

bool admin_client_open(struct admin_server *s, int fd)
{
    struct handle self;
    struct admin_client *c = pool_get(&s->clients, &self);
    if (!c) {
        return false;
    }
    c->server = s;
    c->self = self;
    c->state = ADMIN_READING;
    c->fd = fd;
    c->deadline.fire = admin_client_expire;
    buf_init(&c->in, ADMIN_REQUEST_BYTES_MAX);
    buf_init(&c->out, ADMIN_REPLY_BYTES_MAX);
    buf_init(&c->sending, ADMIN_REPLY_BYTES_MAX);
    s->counters.clients++;
    timer_start(s->timers, &c->deadline, admin_now(s) + s->deadline_ms);
    admin_client_read(c);
    return true;
}
