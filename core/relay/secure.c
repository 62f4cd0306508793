/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/relay/secure.h"
#include "core/base/clock.h"
#include "core/base/must.h"
#include "core/io/io.h"

bool secure_open(struct secure *x, const struct tls_stream_config *config,
                 const struct secure_owner *owner)
{
    must(owner->wire_max >= TLS_RECORD_BYTES_MAX);
    must(!secure_is_open(x) && !secure_waits_for_turn(x));
    *x = (struct secure){.turns = owner->turns, .place.resume = owner->resume};
    buf_init(&x->input, IO_RECV_BUFFER_BYTES);
    buf_init(&x->wire, owner->wire_max);
    x->stream = tls_stream_open(config);
    return x->stream != NULL;
}

void secure_close(struct secure *x)
{
    if (x->stream) {
        handshakes_leave(x->turns, &x->place);
        tls_stream_close(&x->stream);
        buf_deinit(&x->input);
        buf_deinit(&x->wire);
    }
}

const struct tls_failure *secure_error(const struct secure *x)
{
    return tls_stream_error(x->stream);
}

bool secure_feed(struct secure *x, struct slice received)
{
    if (x->input.len == 0) {
        received = slice_skip(received, tls_stream_feed(x->stream, received));
    }
    if (received.len) {
        must(x->input.len + received.len <=
             x->input.cap_max); /* none is received while some waits */
        buf_add(&x->input, received);
    }
    return !x->input.overflow;
}

/* More of the waiting ciphertext; false: there was none, or no room for it. */
static bool secure_feed_on(struct secure *x)
{
    size_t used = x->input.len ? tls_stream_feed(x->stream, buf_slice(&x->input)) : 0;
    buf_consume(&x->input, used);
    return used > 0;
}

static enum tls_step secure_flight(struct secure *x)
{
    uint64_t before_us = clock_thread_cpu_us();
    enum tls_step step = tls_stream_step(x->stream, &x->wire);
    handshakes_took(x->turns, clock_thread_cpu_us() - before_us);
    return step;
}

static enum secure_result secure_handshake(struct secure *x)
{
    for (;;) {
        bool dear = tls_stream_has_work(x->stream);
        if (dear && !handshakes_may(x->turns, &x->place)) {
            return SECURE_WANT_TURN;
        }
        switch (dear ? secure_flight(x) : tls_stream_step(x->stream, &x->wire)) {
        case TLS_STEP_WANT_INPUT:
            if (secure_feed_on(x)) {
                continue;
            }
            return SECURE_WANT_INPUT;
        case TLS_STEP_WANT_ROOM:
            return SECURE_WANT_ROOM;
        case TLS_STEP_DONE:
            x->up = true;
            return SECURE_UP;
        case TLS_STEP_FAILED:
            return SECURE_FAILED;
        }
    }
}

enum secure_result secure_step(struct secure *x, struct buf *plain, size_t max)
{
    if (!x->up) {
        return secure_handshake(x);
    }
    size_t before = plain->len;
    for (;;) {
        enum tls_read r = tls_stream_read(x->stream, plain, max, &x->wire);
        if (plain->len > before) {
            return SECURE_DATA; /* an end or a failure says itself again next time */
        }
        switch (r) {
        case TLS_READ_WANT_INPUT:
            if (secure_feed_on(x)) {
                continue;
            }
            return SECURE_WANT_INPUT;
        case TLS_READ_WANT_ROOM:
            return SECURE_WANT_ROOM;
        case TLS_READ_CLOSED:
            x->closed = true;
            return SECURE_END;
        case TLS_READ_FAILED:
            return SECURE_FAILED;
        case TLS_READ_MORE:
            return SECURE_DATA;
        }
    }
}

size_t secure_write(struct secure *x, struct slice plain)
{
    must(x->up);
    return tls_stream_write(x->stream, plain, &x->wire);
}

void secure_shutdown(struct secure *x)
{
    if (x->up) {
        tls_stream_shutdown(x->stream, &x->wire);
    }
}

void secure_rest(struct secure *x)
{
    if (x->input.len == 0 && x->input.cap) {
        buf_release(&x->input);
    }
    if (x->wire.len == 0 && x->wire.cap) {
        buf_release(&x->wire);
    }
}
