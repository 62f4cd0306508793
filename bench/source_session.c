/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 *   IDLE -connect-> CONNECTING -> GREETING -220-> HELLO -250-> READY -nothing left-> QUITTING -> DONE
 *     ^                                                          |  connection full: QUITTING
 *     +---- lost, with keep_going, after a pause ----------------+
 *
 *   HELLO -250, in clear, TLS wanted-> STARTTLS -220-> HELLO -250-> AUTH -235-> READY
 *   The handshake runs below (secure.h): the EHLO that follows it waits in `out`.
 */
#include "bench/source_session.h"

#include "core/base/base64.h"
#include "core/base/secret.h"

#include <errno.h>
#include <unistd.h>

enum {
    SESSION_READ_BYTES = 4096,
    SESSION_IN_MAX = 256 * 1024,
    SESSION_PAUSE_MS = 20,
};

static void session_reconnect(struct timer *t, void *ctx)
{
    (void)ctx;
    source_session_connect(container_of(t, struct source_session, timer));
}

static void session_ready(struct bench_watch *w, uint32_t events);

void source_session_init(struct source_session *s, struct source_worker *w)
{
    *s = (struct source_session){
        .watch = {-1, session_ready},
        .timer.fire = session_reconnect,
        .worker = w,
    };
    buf_init(&s->in, SESSION_IN_MAX);
    buf_init(&s->out, SIZE_MAX / 2);
}

static void session_close(struct source_session *s)
{
    bench_secure_close(&s->secure, s->watch.fd);
    if (s->watch.fd >= 0) {
        close(s->watch.fd);
    }
    s->watch.fd = -1;
    if (s->phase == SOURCE_CONNECTING || s->phase == SOURCE_GREETING) {
        s->worker->connecting--;
    }
    if (list_linked(&s->waiting)) {
        list_remove(&s->waiting);
    }
    buf_release(&s->in);
    buf_release(&s->out);
    s->out_at = 0;
    s->on_connection = 0;
    s->need_reset = false;
    s->phase = SOURCE_IDLE;
}

void source_session_deinit(struct source_session *s)
{
    session_close(s);
    timer_stop(&s->worker->loop.wheel, &s->timer);
    buf_deinit(&s->in);
    buf_deinit(&s->out);
}

static void session_end(struct source_session *s)
{
    s->phase = SOURCE_DONE;
    source_session_ended(s->worker);
}

/* After a connection that ended in order at once, otherwise after a pause. */
/* NOLINTNEXTLINE(misc-no-recursion): in order only once ready, so it ends */
static void session_retry(struct source_session *s, bool in_order)
{
    if (source_exhausted(s->worker) || !(in_order || s->worker->options->keep_going)) {
        session_end(s);
    } else if (in_order) {
        source_session_connect(s);
    } else {
        bench_loop_timer(&s->worker->loop, &s->timer, SESSION_PAUSE_MS);
    }
}

bool source_session_busy(const struct source_session *s)
{
    return s->count > 0 ||
           (s->phase != SOURCE_READY && s->phase != SOURCE_IDLE && s->phase != SOURCE_DONE);
}

/* NOLINTNEXTLINE(misc-no-recursion): see session_retry */
void source_session_lost(struct source_session *s)
{
    struct source_worker *w = s->worker;
    enum source_phase was = s->phase;
    bool in_order = s->count == 0 && (was == SOURCE_QUITTING || was == SOURCE_READY);
    if (s->count > 0) {
        source_count_lost(w);
    } else if (was < SOURCE_READY) {
        source_count_connect(w, false, NULL);
    }
    while (s->count > 0) {
        source_tx_abandon(s, source_tx_head(s));
    }
    session_close(s);
    session_retry(s, in_order);
    source_launch(w);
}

/* NOLINTNEXTLINE(misc-no-recursion): see session_retry */
void source_session_connect(struct source_session *s)
{
    struct source_worker *w = s->worker;
    must(s->watch.fd < 0 && s->phase == SOURCE_IDLE);
    s->phase = SOURCE_CONNECTING;
    s->active_us = bench_now_us();
    w->connecting++;
    s->watch.fd = bench_net_connect(&w->options->to);
    if (s->watch.fd < 0 || !bench_loop_add(&w->loop, &s->watch, BENCH_LOOP_STREAM)) {
        source_session_lost(s);
    }
}

/* ---- output ----------------------------------------------------------------------------- */

static bool session_flush(struct source_session *s)
{
    while (s->out_at < s->out.len) {
        ssize_t n = bench_secure_send(s->secure, s->watch.fd,
                                      slice_skip(buf_slice(&s->out), s->out_at));
        if (n < 0) {
            return errno == EAGAIN;
        }
        s->out_at += (size_t)n;
    }
    buf_clear(&s->out);
    s->out_at = 0;
    return bench_secure_flush(s->secure, s->watch.fd) || errno == EAGAIN;
}

static void session_quit(struct source_session *s)
{
    s->phase = SOURCE_QUITTING;
    buf_add(&s->out, SLICE("QUIT\r\n"));
}

void source_session_run(struct source_session *s)
{
    const struct source_options *o = s->worker->options;
    while (source_tx_begin(s)) {
    }
    bool full = o->per_connection > 0 && s->on_connection >= o->per_connection;
    if (s->phase == SOURCE_READY && s->count == 0 && !o->hold &&
        (full || source_exhausted(s->worker))) {
        session_quit(s);
    }
    if (!session_flush(s)) {
        source_session_lost(s);
    }
}

/* ---- input ------------------------------------------------------------------------------ */

static void session_keyword(struct source_session *s, struct slice line)
{
    struct slice rest = slice_skip(line, 4);
    struct slice word = slice_cut(&rest, ' ');
    s->offers_pipelining = s->offers_pipelining || slice_eq_nocase(word, SLICE("PIPELINING"));
    s->offers_chunking = s->offers_chunking || slice_eq_nocase(word, SLICE("CHUNKING"));
    s->offers_starttls = s->offers_starttls || slice_eq_nocase(word, SLICE("STARTTLS"));
}

static void session_hold(struct source_session *s)
{
    if (!s->held) {
        s->held = true;
        source_count_held(s->worker);
    }
}

static void session_hello(struct source_session *s)
{
    s->phase = SOURCE_HELLO;
    s->offers_pipelining = s->offers_chunking = s->offers_starttls = false;
    buf_add(&s->out, SLICE("EHLO source.example.test\r\n"));
}

static bool session_secure(struct source_session *s)
{
    s->secure = bench_secure_open(s->worker->options->secure);
    return s->secure != NULL;
}

static void session_login(struct source_session *s)
{
    const struct source_options *o = s->worker->options;
    struct buf plain;
    buf_init(&plain, 4096);
    buf_add_byte(&plain, '\0');
    buf_add(&plain, slice_str(o->user));
    buf_add_byte(&plain, '\0');
    buf_add(&plain, slice_str(o->password));
    buf_add(&s->out, SLICE("AUTH PLAIN "));
    base64_add(&s->out, buf_slice(&plain));
    buf_add(&s->out, SLICE("\r\n"));
    secret_buf_release(&plain);
    s->phase = SOURCE_AUTH;
}

/* EHLO or AUTH was answered; false when what was asked for is not to be had. */
static bool session_go_on(struct source_session *s)
{
    const struct source_options *o = s->worker->options;
    if (o->starttls && s->secure == NULL) {
        s->phase = SOURCE_STARTTLS;
        buf_add(&s->out, SLICE("STARTTLS\r\n"));
        return s->offers_starttls;
    }
    if (o->user != NULL && s->phase == SOURCE_HELLO) {
        session_login(s);
        return true;
    }
    s->phase = SOURCE_READY;
    source_count_connect(s->worker, true, bench_secure_facts(s->secure));
    source_launch(s->worker);
    if (o->hold) {
        session_hold(s);
    }
    return true;
}

/* A complete reply; false when the connection is of no use any more. */
static bool session_reply(struct source_session *s, unsigned code)
{
    switch (s->phase) {
    case SOURCE_GREETING:
        if (code != 220) {
            return false;
        }
        s->worker->connecting--;
        session_hello(s);
        return true;
    case SOURCE_HELLO:
        return code == 250 && session_go_on(s);
    case SOURCE_STARTTLS:
        if (code != 220 || !session_secure(s)) {
            return false;
        }
        session_hello(s);
        return true;
    case SOURCE_AUTH:
        return code == 235 && session_go_on(s);
    case SOURCE_READY:
        if (s->count == 0) {
            return false; /* 421 out of turn */
        }
        source_tx_reply(s, code);
        return true;
    case SOURCE_QUITTING:
        return false;
    case SOURCE_IDLE:
    case SOURCE_CONNECTING:
    case SOURCE_DONE:
        break;
    }
    must(false);
    return false;
}

static bool session_line(struct source_session *s, struct slice line)
{
    uint64_t code;
    if (line.len < 3 || !slice_to_u64(slice_first(line, 3), &code) || code >= SOURCE_CODES) {
        return false;
    }
    if (s->phase == SOURCE_HELLO && line.len > 4) {
        session_keyword(s, line);
    }
    bool more = line.len > 3 && line.ptr[3] == '-';
    return more || session_reply(s, (unsigned)code);
}

static bool session_handle(struct source_session *s)
{
    size_t at = 0;
    while (at < s->in.len) {
        const char *end = memchr(s->in.ptr + at, '\n', s->in.len - at);
        if (end == NULL) {
            break;
        }
        size_t n = (size_t)(end - (s->in.ptr + at));
        struct slice line = slice_of(s->in.ptr + at, n > 0 && end[-1] == '\r' ? n - 1 : n);
        at += n + 1;
        bool clear = s->secure == NULL;
        if (!session_line(s, line)) {
            return false;
        }
        if (clear && s->secure != NULL && at < s->in.len) {
            return false; /* said in clear after the 220 of STARTTLS (RFC 3207 4.2) */
        }
    }
    buf_consume(&s->in, at);
    return true;
}

/* Reads until the socket is empty; false at its end. */
static bool session_receive(struct source_session *s)
{
    for (;;) {
        if (!buf_reserve(&s->in, SESSION_READ_BYTES)) {
            return false;
        }
        size_t room = s->in.cap - s->in.len;
        ssize_t n = bench_secure_recv(s->secure, s->watch.fd, &s->in);
        if (n <= 0) {
            return n < 0 && errno == EAGAIN;
        }
        s->active_us = bench_now_us();
        if (!session_handle(s)) {
            return false;
        }
        if ((size_t)n < room && s->secure == NULL) {
            return true;
        }
    }
}

static void session_connected(struct source_session *s)
{
    if (bench_net_connect_error(s->watch.fd) != 0 ||
        (s->worker->options->tls && !session_secure(s))) {
        source_session_lost(s);
        return;
    }
    s->phase = SOURCE_GREETING;
}

static void session_ready(struct bench_watch *w, uint32_t events)
{
    struct source_session *s = container_of(w, struct source_session, watch);
    if (s->phase == SOURCE_CONNECTING) {
        if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0) {
            return;
        }
        session_connected(s);
    }
    if (s->watch.fd < 0) {
        return;
    }
    /* A final reply may lie before the end of the stream. TLS may wait for room to write. */
    bool open = ((events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) == 0 &&
                 s->secure == NULL) ||
                session_receive(s);
    if (open && (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        open = session_receive(s);
    }
    if (!open) {
        source_session_lost(s);
        return;
    }
    source_session_run(s);
}
