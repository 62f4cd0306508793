/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * server - the admin socket of the running engine
 *
 * Purpose:   listens on a Unix stream socket (mode 0600), reads one request line per connection,
 *            hands it to the handler, collects the handler's JSON lines, sends them and closes.
 *            The protocol is in request.h.
 * Owner:     the control thread: admin_server_open … admin_server_drain … admin_server_close. The
 *            server owns its clients; others name one by its token. A token that is over (deadline,
 *            client gone, reply ended) resolves to nothing: late replies are dropped.
 * Thread:    the control thread's, with its io and timer wheel. Route the kinds IO_KIND_ADMIN_ACCEPT,
 *            _RECV and _SEND to admin_server_on_io.
 * Limits:    ADMIN_CLIENTS_MAX connections (one more is told "busy" and closed); a request line of
 *            ADMIN_REQUEST_BYTES_MAX; ADMIN_REPLY_BYTES_MAX waiting output per client;
 *            ADMIN_DEADLINE_MS from accept to the last byte, ADMIN_ORDER_DEADLINE_MS for orders. A stream
 *            has no deadline and ends when its client closes; of it ADMIN_STREAM_BYTES may wait, then lines
 *            are lost, which the client is told by {"lost":N}.
 * Errors:    admin_server_open returns NULL and one line of reason. A socket file that is left over
 *            is removed only after a connect to it was refused; anything else at that path is not
 *            touched. At run time a failing client is closed; accept trouble is retried.
 * Durability: none.
 */
#ifndef RINGPOST_ADMIN_SERVER_H
#define RINGPOST_ADMIN_SERVER_H

#include "core/admin/request.h"
#include "core/base/timer.h"
#include "core/io/io.h"

enum {
    ADMIN_CLIENTS_MAX = 16,
    ADMIN_DEADLINE_MS = 10 * 1000,
    ADMIN_ORDER_DEADLINE_MS = 120 * 1000, /* of what changes queued mail, from its request */
    ADMIN_REPLY_BYTES_MAX = 4 * 1024 * 1024,
    ADMIN_STREAM_BYTES = 256 * 1024,
};

struct admin_handler {
    /* Answer with admin_reply (any number of times) and admin_reply_end, now or later. req is gone
     * when query returns: copy it. */
    void (*query)(void *ctx, const struct admin_request *req, uint32_t token);
    /* The client of a stream (admin_verb_is_stream) has gone, or its answer has ended. */
    void (*gone)(void *ctx, uint32_t token);
    void *ctx;
};

struct admin_config {
    struct slice path;    /* conf.admin.socket; longer than sun_path is fine */
    uint64_t deadline_ms; /* 0: ADMIN_DEADLINE_MS */
    struct admin_handler handler;
};

struct admin_counters {
    uint64_t accepted;
    uint64_t queries;   /* handed to the handler */
    uint64_t refused;   /* bad requests */
    uint64_t busy;      /* turned away */
    uint64_t deadlines; /* ended by the deadline */
    uint64_t lost;      /* lines of streams */
    uint32_t clients;   /* now */
};

struct admin_server;

struct admin_server *admin_server_open(const struct admin_config *cfg, struct io *io,
                                       struct timer_wheel *timers, struct buf *error);
/* Takes no new clients, answers waiting ones "stopping", removes the socket file. Never from within
 * the handler. */
void admin_server_drain(struct admin_server *s);
/* True after admin_server_drain when nothing of it is in the kernel: only then admin_server_close. */
bool admin_server_idle(const struct admin_server *s);
void admin_server_close(struct admin_server *s);

void admin_server_on_io(struct admin_server *s, const struct io_event *ev);

/* One JSON object without LF; must not contain LF (must()). False: the token is over or the request's
 * limit is reached, so further lines are useless (calling on is harmless). */
bool admin_reply(struct admin_server *s, uint32_t token, struct slice json);
/* The same for a stream: a line that a slow client has no room for is lost, and counted. False: the token is
 * over. */
bool admin_reply_stream(struct admin_server *s, uint32_t token, struct slice json);
/* All lines were given. queue show without a line is answered not_found. */
void admin_reply_end(struct admin_server *s, uint32_t token);

/* Instead of admin_reply_end. */
void admin_reply_fail(struct admin_server *s, uint32_t token, enum admin_error error,
                      struct slice text);

const struct admin_counters *admin_server_counters(const struct admin_server *s);

#endif
