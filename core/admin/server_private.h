/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * server_private - what the parts of the admin server share
 *
 * Purpose:   one struct in several files; nobody else includes this.
 *
 *   server.c         the listening socket, accepting, the end
 *   server_client.c  a client's life
 *   server_reply.c   what the handler answers
 *
 * Owner:     the control thread. Thread: its own. Errors: as said at each.
 *
 * A client's life:
 *
 *   READING ──line──► WAITING ──admin_reply_end──► SENDING ──all sent──► CLOSING ──► put
 *      │  admin_client_take      admin_client_finish     │    admin_client_pump   admin_client_reap
 *      └── bad line, deadline, drain: admin_client_fail ┘   (deadline, send failure: CLOSING at once)
 *
 * Replies are collected in `out` while the kernel sends `sending`: the two change places when a send
 * is done, so a buffer that the kernel reads never grows or moves.
 *
 * After the request line nothing more is received, but of a stream (admin_verb_is_stream): its end is the client's
 * own close. Any other client that goes away while workers collect its answer is noticed at the first send,
 * which costs nothing but a reply nobody reads.
 */
#ifndef RINGPOST_ADMIN_SERVER_PRIVATE_H
#define RINGPOST_ADMIN_SERVER_PRIVATE_H

#include "core/admin/server.h"
#include "core/admin/socket.h"
#include "core/base/must.h"
#include "core/base/pool.h"

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
    bool streams;
    uint64_t lost; /* of a stream: lines since the last that was told */
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

static inline uint64_t admin_now(const struct admin_server *s)
{
    return io_now(s->io)->mono_ms;
}

/* ---- server_client.c ---- */

/* Takes over fd. False: too many; it is still the caller's. */
bool admin_client_open(struct admin_server *s, int fd);
/* Starts the next send; ends the client when all is sent. c may be gone afterwards. */
void admin_client_pump(struct admin_client *c);
/* The last line is in `out`: nothing more comes. */
void admin_client_finish(struct admin_client *c);
void admin_client_fail(struct admin_client *c, enum admin_error error, struct slice text);
void admin_on_recv(struct admin_client *c, const struct io_event *ev);
void admin_on_send(struct admin_client *c, const struct io_event *ev);

#endif
