/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A client's life:
 *
 *   READING ──line──► WAITING ──admin_reply_end──► SENDING ──all sent──► CLOSING ──► put
 *      │  admin_client_query   admin_client_finish     │    admin_client_pump   admin_client_reap
 *      └── bad line, deadline, drain: admin_client_fail ┘   (deadline, send failure: CLOSING at once)
 *
 * Replies are collected in `out` while the kernel sends `sending`: the two change places when a send
 * is done, so a buffer that the kernel reads never grows or moves.
 *
 * After the request line nothing more is received: a client that goes away while workers collect its
 * answer is noticed at the first send, which costs nothing but a reply nobody reads.
 */
#include "core/admin/server.h"
#include "core/admin/socket.h"
#include "core/base/must.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    ADMIN_GRACE_MS = 1000,       /* for the last line after a deadline */
    ADMIN_ACCEPT_RETRY_MS = 200, /* after EMFILE and its like */
    ADMIN_LAST_LINE_BYTES = 1024,
};

must_static((int)ADMIN_LAST_LINE_BYTES < (int)ADMIN_REPLY_BYTES_MAX, "the last line always fits");

enum admin_state {
    ADMIN_READING,
    ADMIN_WAITING,
    ADMIN_SENDING,
    ADMIN_CLOSING,
};

struct admin_client {
    struct admin_server *server;
    struct handle self;
    enum admin_state state;
    int fd;
    uint32_t token; /* 0 unless WAITING */
    bool recv_busy; /* what is in the kernel */
    bool send_busy;
    bool truncated;
    struct timer deadline;
    struct admin_request request;
    uint32_t lines;
    struct buf in;
    struct buf out;
    struct buf sending;
    size_t sent;
};

struct admin_server {
    struct io *io;
    struct timer_wheel *timers;
    struct admin_handler handler;
    uint64_t deadline_ms;
    char *path;
    struct admin_socket_file file;
    int fd;
    bool accept_busy;
    bool draining;
    struct timer accept_retry;
    struct pool clients; /* ADMIN_CLIENTS_MAX: one per connection */
    uint32_t token_last;
    struct admin_counters counters;
};

static struct io_tag admin_accept_tag(void)
{
    return (struct io_tag){IO_KIND_ADMIN_ACCEPT, {0, 1}};
}

static uint64_t admin_now(const struct admin_server *s)
{
    return io_now(s->io)->mono_ms;
}

/* ---- the end of a client ---- */

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
    c->token = 0;
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

/* Starts the next send; ends the client when all is sent. c may be gone afterwards. */
static void admin_client_pump(struct admin_client *c)
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

/* The last line is in `out`: nothing more comes. */
static void admin_client_finish(struct admin_client *c)
{
    must(c->state == ADMIN_READING || c->state == ADMIN_WAITING);
    c->state = ADMIN_SENDING;
    c->token = 0;
    buf_release(&c->in);
    admin_client_pump(c);
}

static void admin_client_fail(struct admin_client *c, enum admin_error error, struct slice text)
{
    admin_error_add(&c->out, error, text);
    admin_client_finish(c);
}

static void admin_on_send(struct admin_client *c, const struct io_event *ev)
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
    must(c->state == ADMIN_READING && !c->recv_busy);
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

static void admin_on_recv(struct admin_client *c, const struct io_event *ev)
{
    must(c->recv_busy);
    c->recv_busy = false;
    if (c->state == ADMIN_CLOSING) {
        admin_client_reap(c);
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

/* ---- accepting ---- */

static void admin_turn_away(struct admin_server *s, int fd)
{
    struct buf line;
    s->counters.busy++;
    buf_init(&line, ADMIN_LAST_LINE_BYTES);
    admin_error_add(&line, ADMIN_BUSY, SLICE("too many admin clients, try again"));
    /* A fresh socket's buffer is empty: this neither blocks nor is cut; if it fails, nobody listens. */
    (void)!send(fd, line.ptr, line.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    buf_deinit(&line);
    close(fd);
}

static void admin_client_open(struct admin_server *s, int fd)
{
    struct handle self;
    struct admin_client *c = pool_get(&s->clients, &self);
    s->counters.accepted++;
    if (!c) {
        admin_turn_away(s, fd);
        return;
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
}

static void admin_accept_start(struct admin_server *s)
{
    must(!s->accept_busy && !s->draining);
    s->accept_busy = true;
    io_accept(s->io, admin_accept_tag(), s->fd);
}

static void admin_accept_again(struct timer *t, void *ctx)
{
    (void)ctx;
    admin_accept_start(container_of(t, struct admin_server, accept_retry));
}

static void admin_on_accept(struct admin_server *s, const struct io_event *ev)
{
    must(s->accept_busy);
    s->accept_busy = ev->more;
    if (ev->status == IO_OK && s->draining) {
        close(ev->result);
    } else if (ev->status == IO_OK) {
        admin_client_open(s, ev->result);
    }
    if (s->accept_busy || s->draining) {
        return;
    }
    if (ev->status == IO_OK) {
        admin_accept_start(s);
    } else {
        timer_start(s->timers, &s->accept_retry, admin_now(s) + ADMIN_ACCEPT_RETRY_MS);
    }
}

void admin_server_on_io(struct admin_server *s, const struct io_event *ev)
{
    if (ev->kind == IO_KIND_ADMIN_ACCEPT) {
        admin_on_accept(s, ev);
        return;
    }
    must(ev->kind == IO_KIND_ADMIN_RECV || ev->kind == IO_KIND_ADMIN_SEND);
    struct admin_client *c = pool_resolve(&s->clients, ev->owner);
    if (!c) {
        io_count_stale(s->io);
    } else if (ev->kind == IO_KIND_ADMIN_RECV) {
        admin_on_recv(c, ev);
    } else {
        admin_on_send(c, ev);
    }
}

/* ---- replies ---- */

static struct admin_client *admin_client_of(const struct admin_server *s, uint32_t token)
{
    for (uint32_t slot = 0; token && slot < s->clients.made; slot++) {
        struct handle h;
        struct admin_client *c = pool_at(&s->clients, slot, &h);
        if (c && c->token == token) {
            must(c->state == ADMIN_WAITING);
            return c;
        }
    }
    return NULL;
}

bool admin_reply(struct admin_server *s, uint32_t token, struct slice json)
{
    struct admin_client *c = admin_client_of(s, token);
    must(json.len > 0 && slice_find_byte(json, '\n') < 0);
    if (!c) {
        return false;
    }
    if (c->request.limit && c->lines == c->request.limit) {
        c->truncated = true;
        return false;
    }
    size_t room = ADMIN_REPLY_BYTES_MAX - ADMIN_LAST_LINE_BYTES;
    if (json.len >= room || c->out.len + json.len + 1 > room ||
        !buf_reserve(&c->out, json.len + 1)) {
        c->out.overflow = false;
        admin_client_fail(c, ADMIN_OVERFLOW, SLICE("the answer is too large, ask for less"));
        return false;
    }
    buf_add(&c->out, json);
    buf_add_byte(&c->out, '\n');
    c->lines++;
    admin_client_pump(c);
    return true;
}

void admin_reply_fail(struct admin_server *s, uint32_t token, enum admin_error error,
                      struct slice text)
{
    struct admin_client *c = admin_client_of(s, token);
    if (c) {
        admin_client_fail(c, error, text);
    }
}

void admin_reply_end(struct admin_server *s, uint32_t token)
{
    struct admin_client *c = admin_client_of(s, token);
    if (!c) {
        return;
    }
    if (c->request.verb == ADMIN_QUEUE_SHOW && c->lines == 0) {
        admin_client_fail(c, ADMIN_NOT_FOUND, SLICE("no such message in the queue"));
        return;
    }
    buf_addf(&c->out, "{\"done\":true,\"lines\":%u,\"truncated\":%s}\n", c->lines,
             c->truncated ? "true" : "false");
    admin_client_finish(c);
}

const struct admin_counters *admin_server_counters(const struct admin_server *s)
{
    return &s->counters;
}

/* ---- the server ---- */

static void admin_explain(struct buf *out, struct slice path, int error)
{
    const char *why = error == EADDRINUSE ? "an engine is already listening there"
                      : error == EEXIST   ? "there is a file that is not a socket; remove it"
                                          : strerror(error);
    buf_addf(out, "admin socket %.*s: %s", SLICE_ARG(path), why);
}

struct admin_server *admin_server_open(const struct admin_config *cfg, struct io *io,
                                       struct timer_wheel *timers, struct buf *error)
{
    must(cfg->handler.query != NULL && cfg->path.len > 0);
    struct admin_server *s = calloc(1, sizeof(*s));
    char *path = s ? strndup(cfg->path.ptr, cfg->path.len) : NULL;
    if (!path) {
        free(s);
        admin_explain(error, cfg->path, ENOMEM);
        return NULL;
    }
    s->fd = admin_socket_listen(cfg->path, &s->file);
    if (s->fd < 0) {
        admin_explain(error, cfg->path, errno);
        free(path);
        free(s);
        return NULL;
    }
    s->path = path;
    s->io = io;
    s->timers = timers;
    s->handler = cfg->handler;
    s->deadline_ms = cfg->deadline_ms ? cfg->deadline_ms : ADMIN_DEADLINE_MS;
    s->accept_retry.fire = admin_accept_again;
    pool_init(&s->clients, sizeof(struct admin_client), ADMIN_CLIENTS_MAX);
    admin_accept_start(s);
    return s;
}

void admin_server_drain(struct admin_server *s)
{
    if (s->draining) {
        return;
    }
    s->draining = true;
    admin_socket_remove(slice_str(s->path), &s->file);
    timer_stop(s->timers, &s->accept_retry);
    if (s->accept_busy) {
        io_cancel(s->io, admin_accept_tag());
    }
    for (uint32_t slot = 0; slot < s->clients.made; slot++) {
        struct handle h;
        struct admin_client *c = pool_at(&s->clients, slot, &h);
        if (!c || c->state == ADMIN_CLOSING) {
            continue;
        }
        timer_start(s->timers, &c->deadline, admin_now(s) + ADMIN_GRACE_MS);
        if (c->state != ADMIN_SENDING) {
            admin_client_fail(c, ADMIN_STOPPING, SLICE("the engine is shutting down"));
        }
    }
}

bool admin_server_idle(const struct admin_server *s)
{
    return s->draining && !s->accept_busy && s->clients.used == 0;
}

void admin_server_close(struct admin_server *s)
{
    must(admin_server_idle(s));
    must(s->counters.clients == 0 && !timer_armed(&s->accept_retry));
    close(s->fd);
    pool_deinit(&s->clients);
    free(s->path);
    free(s);
}
