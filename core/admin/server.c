/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/admin/server_private.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static struct io_tag admin_accept_tag(void)
{
    return (struct io_tag){IO_KIND_ADMIN_ACCEPT, {0, 1}};
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
        s->counters.accepted++;
        if (!admin_client_open(s, ev->result)) {
            admin_turn_away(s, ev->result);
        }
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
