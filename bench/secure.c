/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/secure.h"

#include "bench/option.h"

#include "core/base/clock.h"
#include "core/base/must.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

struct bench_secure {
    struct tls_stream *stream;
    struct buf raw;  /* ciphertext that the stream has no room for yet */
    struct buf wire; /* ciphertext that the socket has no room for yet */
    bool up;         /* the handshake is finished */
    bool ended;      /* close_notify, or a failure: nothing more can be read or written */
};

struct bench_secure *bench_secure_open(struct tls_context *context)
{
    struct bench_secure *x = calloc(1, sizeof(*x));
    if (x == NULL) {
        return NULL;
    }
    x->stream = tls_stream_open(
        &(struct tls_stream_config){.context = context, .wall_us = clock_read().wall_us});
    if (x->stream == NULL) {
        free(x);
        return NULL;
    }
    buf_init(&x->raw, SECURE_RAW_BYTES);
    buf_init(&x->wire, SECURE_WIRE_BYTES);
    return x;
}

void bench_secure_close(struct bench_secure **x, int fd)
{
    struct bench_secure *gone = *x;
    if (gone == NULL) {
        return;
    }
    if (gone->up && !gone->ended && fd >= 0) {
        (void)tls_stream_shutdown(gone->stream, &gone->wire);
        (void)bench_secure_flush(gone, fd);
    }
    tls_stream_close(&gone->stream);
    buf_deinit(&gone->raw);
    buf_deinit(&gone->wire);
    free(gone);
    *x = NULL;
}

const struct tls_facts *bench_secure_facts(const struct bench_secure *x)
{
    return x != NULL && x->up ? tls_stream_facts(x->stream) : NULL;
}

bool bench_secure_flush(struct bench_secure *x, int fd)
{
    while (x != NULL && x->wire.len > 0) {
        ssize_t n = send(fd, x->wire.ptr, x->wire.len, MSG_NOSIGNAL);
        if (n < 0) {
            return false;
        }
        buf_consume(&x->wire, (size_t)n);
    }
    return true;
}

/* ---- input ------------------------------------------------------------------------------ */

/* Ciphertext for the stream: what waits, else from the socket. 0: the end; -1 with errno. */
static ssize_t secure_feed(struct bench_secure *x, int fd)
{
    if (x->raw.len == 0) {
        if (!buf_reserve(&x->raw, SECURE_RAW_BYTES)) {
            errno = ENOMEM;
            return -1;
        }
        ssize_t n = recv(fd, x->raw.ptr, SECURE_RAW_BYTES, 0);
        if (n <= 0) {
            buf_release(&x->raw); /* an idle session costs nothing */
            return n;
        }
        x->raw.len = (size_t)n;
    }
    size_t used = tls_stream_feed(x->stream, buf_slice(&x->raw));
    must(used > 0); /* asked for input, so it has room */
    buf_consume(&x->raw, used);
    return (ssize_t)used;
}

enum secure_next {
    SECURE_GO_ON,
    SECURE_NEEDS_INPUT,
    SECURE_NEEDS_ROOM,
    SECURE_ENDS,
    SECURE_BREAKS
};

static enum secure_next secure_shake(struct bench_secure *x)
{
    switch (tls_stream_step(x->stream, &x->wire)) {
    case TLS_STEP_WANT_INPUT:
        return SECURE_NEEDS_INPUT;
    case TLS_STEP_WANT_ROOM:
        return SECURE_NEEDS_ROOM;
    case TLS_STEP_DONE:
        x->up = true;
        return SECURE_GO_ON;
    case TLS_STEP_FAILED:
        break;
    }
    return SECURE_BREAKS;
}

static enum secure_next secure_read(struct bench_secure *x, struct buf *plain)
{
    switch (tls_stream_read(x->stream, plain, plain->cap - plain->len, &x->wire)) {
    case TLS_READ_WANT_INPUT:
        return SECURE_NEEDS_INPUT;
    case TLS_READ_MORE:
        return SECURE_GO_ON;
    case TLS_READ_WANT_ROOM:
        return SECURE_NEEDS_ROOM;
    case TLS_READ_CLOSED:
        return SECURE_ENDS;
    case TLS_READ_FAILED:
        break;
    }
    return SECURE_BREAKS;
}

static ssize_t secure_broken(struct bench_secure *x, int fd)
{
    if (!x->ended) {
        bench_complain("TLS: %s", tls_stream_error(x->stream)->text);
    }
    x->ended = true;
    (void)bench_secure_flush(x, fd); /* the alert */
    errno = EPROTO;
    return -1;
}

static ssize_t secure_recv(struct bench_secure *x, int fd, struct buf *plain)
{
    size_t before = plain->len;
    for (;;) {
        enum secure_next next = x->up ? secure_read(x, plain) : secure_shake(x);
        bool flushed = bench_secure_flush(x, fd);
        if (plain->len > before) {
            return (ssize_t)(plain->len - before); /* an end or a failure says itself again */
        }
        ssize_t n = 1;
        switch (next) {
        case SECURE_GO_ON:
            break;
        case SECURE_NEEDS_INPUT:
            n = secure_feed(x, fd);
            break;
        case SECURE_NEEDS_ROOM:
            n = flushed ? 1 : -1; /* errno is send's */
            break;
        case SECURE_ENDS:
            x->ended = true;
            return 0;
        case SECURE_BREAKS:
            return secure_broken(x, fd);
        }
        if (n <= 0) {
            return n;
        }
    }
}

ssize_t bench_secure_recv(struct bench_secure *x, int fd, struct buf *plain)
{
    must(plain->cap > plain->len);
    if (x != NULL) {
        return secure_recv(x, fd, plain);
    }
    ssize_t n = recv(fd, plain->ptr + plain->len, plain->cap - plain->len, 0);
    plain->len += n > 0 ? (size_t)n : 0;
    return n;
}

/* ---- output ----------------------------------------------------------------------------- */

ssize_t bench_secure_send(struct bench_secure *x, int fd, struct slice plain)
{
    if (x == NULL) {
        return send(fd, plain.ptr, plain.len, MSG_NOSIGNAL);
    }
    errno = EAGAIN; /* before the end of the handshake: its last bytes wake the session */
    if (!x->up || !bench_secure_flush(x, fd)) {
        return -1;
    }
    size_t taken = tls_stream_write(x->stream, plain, &x->wire);
    if (taken == 0 && plain.len > 0) {
        x->ended = true;
        errno = EPIPE;
        return -1;
    }
    if (!bench_secure_flush(x, fd) && errno != EAGAIN) {
        return -1;
    }
    return (ssize_t)taken;
}
