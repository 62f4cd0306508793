/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * secure - the TLS layer of a session or connection
 *
 * Purpose:   sits between a socket's bytes and a protocol machine's: keeps the ciphertext that cannot
 *            be used yet and the ciphertext that cannot be sent yet. No I/O.
 *
 *              received → secure_feed ┐                       ┌ secure_write ← replies
 *                                     ├─ secure_step ─► plain │
 *              sent     ← wire ───────┴───────────────────────┘
 *
 *            The handshake's work is done in turns (handshakes.h): when it is not this session's, nothing is
 *            received until resume is called, and secure_step goes on.
 *
 * Owner:     the session that embeds it: secure_open, secure_close (sends nothing).
 * Thread:    the worker's.
 * Limits:    one receive buffer of ciphertext in, wire_max out (at least TLS_RECORD_BYTES_MAX); nothing
 *            when idle.
 * Errors:    SECURE_FAILED: final; secure_error says why. What stands in wire (an alert) is still to be
 *            sent.
 */
#ifndef RINGPOST_RELAY_SECURE_H
#define RINGPOST_RELAY_SECURE_H

#include "core/base/buf.h"
#include "core/relay/handshakes.h"
#include "tls/stream.h"

struct secure {
    struct tls_stream *stream;
    bool up;          /* the handshake is finished */
    bool closed;      /* the peer said so */
    struct buf input; /* ciphertext the stream has no room for */
    struct buf wire;  /* ciphertext to send */
    struct handshakes *turns;
    struct handshake_place place; /* in turns */
};

enum secure_result {
    SECURE_WANT_INPUT, /* receive, then secure_feed */
    SECURE_WANT_ROOM,  /* send wire first */
    SECURE_WANT_TURN,  /* receive nothing; place.resume will be called */
    SECURE_UP,         /* once: the handshake is finished */
    SECURE_DATA,       /* plain holds something new */
    SECURE_END,        /* the peer ended it in order */
    SECURE_FAILED,
};

struct secure_owner {
    struct handshakes *turns;
    void (*resume)(struct handshake_place *place); /* of the struct secure that waits */
    size_t wire_max;
};

/* False: no memory. */
bool secure_open(struct secure *x, const struct tls_stream_config *config,
                 const struct secure_owner *owner);
void secure_close(struct secure *x);
static inline bool secure_is_open(const struct secure *x)
{
    return x->stream != NULL;
}

static inline bool secure_waits_for_turn(const struct secure *x)
{
    return handshakes_waits(&x->place);
}

/* False: no memory, what was received is lost. */
bool secure_feed(struct secure *x, struct slice received);
/* One step. Data is appended to plain, at most max bytes. */
enum secure_result secure_step(struct secure *x, struct buf *plain, size_t max);
/* Encrypts as much as wire has room for; returns how much. */
size_t secure_write(struct secure *x, struct slice plain);
/* Everything that plain text was owed for is out: says close_notify. */
void secure_shutdown(struct secure *x);
/* Gives back what is empty. */
void secure_rest(struct secure *x);

const struct tls_failure *secure_error(const struct secure *x);

#endif
