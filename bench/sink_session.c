/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Bytes are received into `in` and handled from in_at on; replies gather in `out` and leave in one
 * send after everything received was handled. A reply with latency holds the session: what stands
 * before it leaves at once, it and everything after it when the timer fires.
 *
 *   COMMAND --DATA--> TEXT --dot--> COMMAND        COMMAND --BDAT--> CHUNK --all bytes--> COMMAND
 *
 * With --delay nothing waits: replies are made at once and lie in `out` until a round trip has passed
 * (`marks`), as if the wire were long.
 *
 * STARTTLS stops the handling until its reply has left in clear; then the handshake runs below
 * (secure.h).
 */
#include "bench/sink_session.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static void session_free(struct sink_session *s)
{
    timer_stop(&s->worker->loop.wheel, &s->timer);
    sink_count_close(s->worker->sink);
    list_remove(&s->link);
    bench_secure_close(&s->secure, s->watch.fd);
    close(s->watch.fd);
    buf_deinit(&s->in);
    buf_deinit(&s->out);
    buf_deinit(&s->marks);
    buf_deinit(&s->text);
    buf_deinit(&s->envelope);
    free(s->indexes);
    free(s);
}

/* Each step returns false when it needs more bytes. */
static bool session_step_command(struct sink_session *s, struct slice rest)
{
    const char *end = memchr(rest.ptr, '\n', rest.len);
    if (end == NULL) {
        if (rest.len > SINK_LINE_BYTES) {
            sink_session_wrong(s, SLICE("500 5.5.2 line too long\r\n"));
            s->closing = true;
        }
        return false;
    }
    size_t n = (size_t)(end - rest.ptr);
    s->in_at += n + 1;
    sink_session_command(s, slice_first(rest, n > 0 && end[-1] == '\r' ? n - 1 : n));
    return true;
}

/* Bytes at the end of `text` that may be the beginning of CRLF.CRLF. */
static size_t session_dot_prefix(struct slice text)
{
    static const char dot[] = "\r\n.\r\n";
    for (size_t n = text.len < 4 ? text.len : 4; n > 0; n--) {
        if (memcmp(text.ptr + text.len - n, dot, n) == 0) {
            return n;
        }
    }
    return 0;
}

static bool session_step_text(struct sink_session *s, struct slice rest)
{
    /* A dot line right after DATA: the CRLF before it ended the command. */
    if (!s->text_begun && rest.ptr[0] == '.') {
        if (rest.len < 3) {
            return false;
        }
        if (memcmp(rest.ptr, ".\r\n", 3) == 0) {
            s->in_at += 3;
            s->phase = SINK_COMMAND;
            sink_session_end(s, slice_of("", 0), true);
            return true;
        }
    }
    s->text_begun = true;
    const char *end = memmem(rest.ptr, rest.len, "\r\n.\r\n", 5);
    if (end != NULL) {
        size_t n = (size_t)(end - rest.ptr) + 2;
        s->in_at += n + 3;
        s->phase = SINK_COMMAND;
        sink_session_end(s, slice_first(rest, n), true);
        return true;
    }
    size_t n = rest.len - session_dot_prefix(rest);
    sink_session_keep(s, slice_first(rest, n));
    s->in_at += n;
    return false;
}

static void session_chunk_done(struct sink_session *s, struct slice last)
{
    s->phase = SINK_COMMAND;
    if (s->chunk_refused) {
        bool over = s->chunk_last;
        sink_session_wrong(s, SLICE("503 5.5.1 no valid recipients\r\n"));
        if (over) {
            sink_session_reset(s);
        }
        return;
    }
    if (s->chunk_last) {
        sink_session_end(s, last, false);
        return;
    }
    sink_session_keep(s, last);
    sink_session_reply(s, SINK_STAGE_DATA, SLICE("250 2.0.0 chunk taken\r\n"));
}

static bool session_step_chunk(struct sink_session *s, struct slice rest)
{
    struct slice piece = slice_first(rest,
                                     s->chunk_left < rest.len ? (size_t)s->chunk_left : rest.len);
    s->chunk_left -= piece.len;
    s->in_at += piece.len;
    if (s->chunk_left == 0) {
        session_chunk_done(s, piece);
        return true;
    }
    if (!s->chunk_refused) {
        sink_session_keep(s, piece);
    }
    return false;
}

static bool session_step(struct sink_session *s, struct slice rest)
{
    switch (s->phase) {
    case SINK_COMMAND:
        return session_step_command(s, rest);
    case SINK_TEXT:
        return session_step_text(s, rest);
    case SINK_CHUNK:
        return session_step_chunk(s, rest);
    }
    return false;
}

static void session_handle(struct sink_session *s)
{
    bool more = true;
    while (more && !s->waiting && !s->closing && !s->securing) {
        struct slice rest = slice_skip(buf_slice(&s->in), s->in_at);
        /* BDAT 0 LAST is complete without a byte. */
        more = rest.len > 0 || (s->phase == SINK_CHUNK && s->chunk_left == 0);
        more = more && session_step(s, rest);
    }
    if (s->in_at > 0) {
        buf_consume(&s->in, s->in_at);
        s->in_at = 0;
    }
}

/* The reply to STARTTLS has left; false: no memory. */
static bool session_secure(struct sink_session *s)
{
    s->securing = false;
    s->secure = bench_secure_open(s->worker->options->secure);
    return s->secure != NULL;
}

/* The replies whose time has come; the timer is set for the others. */
static void session_arrive(struct sink_session *s)
{
    uint64_t now_us = bench_now_us();
    size_t done = 0;
    struct sink_mark mark;
    for (; done < s->marks.len; done += sizeof(mark)) {
        memcpy(&mark, s->marks.ptr + done, sizeof(mark));
        if (mark.due_us > now_us) {
            bench_loop_timer(&s->worker->loop, &s->timer, (mark.due_us - now_us + 999) / 1000);
            break;
        }
        s->out_ready += mark.bytes;
    }
    buf_consume(&s->marks, done);
}

/* False when the connection is gone. */
static bool session_flush(struct sink_session *s)
{
    if (s->marks.len > 0) {
        session_arrive(s);
    }
    while (s->out_at < s->out_ready) {
        ssize_t n = bench_secure_send(s->secure, s->watch.fd,
                                      slice_of(s->out.ptr + s->out_at, s->out_ready - s->out_at));
        if (n < 0) {
            return errno == EAGAIN;
        }
        s->out_at += (size_t)n;
    }
    if (s->marks.len > 0) { /* out may never be empty */
        buf_consume(&s->out, s->out_at);
        s->out_ready -= s->out_at;
        s->out_at = 0;
    }
    if (!bench_secure_flush(s->secure, s->watch.fd)) {
        return errno == EAGAIN;
    }
    if (s->out_at == s->out.len) {
        buf_clear(&s->out);
        s->out_at = s->out_ready = 0;
        return !(s->closing && !s->waiting) && (!s->securing || session_secure(s));
    }
    return true;
}

static bool session_receive(struct sink_session *s)
{
    if (!buf_reserve(&s->in, SINK_READ_BYTES)) {
        return false;
    }
    size_t room = s->in.cap - s->in.len;
    ssize_t n = bench_secure_recv(s->secure, s->watch.fd, &s->in);
    if (n <= 0) {
        s->readable = false;
        return n < 0 && errno == EAGAIN;
    }
    if ((size_t)n == room && s->in.cap < 16 * SINK_READ_BYTES) {
        (void)buf_reserve(&s->in, s->in.cap);
    }
    return true;
}

static void session_run(struct sink_session *s)
{
    session_handle(s);
    while (s->readable && !s->waiting && !s->closing && !s->securing) {
        if (!session_receive(s)) {
            session_free(s);
            return;
        }
        session_handle(s);
        if (!session_flush(s)) {
            session_free(s);
            return;
        }
    }
    if (!session_flush(s)) {
        session_free(s);
        return;
    }
    if (s->in.len == 0) {
        buf_release(&s->in); /* an idle session costs nothing */
    }
}

static void session_ready(struct bench_watch *w, uint32_t events)
{
    struct sink_session *s = container_of(w, struct sink_session, watch);
    if (events & (EPOLLERR | EPOLLHUP)) {
        session_free(s);
        return;
    }
    /* TLS may wait for room to write. */
    s->readable = s->readable || s->secure != NULL || (events & (EPOLLIN | EPOLLRDHUP)) != 0;
    session_run(s);
}

static void session_timer(struct timer *t, void *ctx)
{
    (void)ctx;
    struct sink_session *s = container_of(t, struct sink_session, timer);
    if (s->waiting) {
        s->waiting = false;
        s->out_ready = s->out.len;
    }
    session_run(s);
}

void sink_session_open(struct sink_worker *w, int fd)
{
    struct sink_session *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        close(fd);
        return;
    }
    *s = (struct sink_session){.watch = {fd, session_ready},
                               .worker = w,
                               .timer.fire = session_timer};
    buf_init(&s->in, SINK_LINE_BYTES + 32 * SINK_READ_BYTES);
    buf_init(&s->out, 1024 * 1024);
    buf_init(&s->marks, 1024 * 1024);
    buf_init(&s->text, (size_t)w->options->size_max + 64 * SINK_READ_BYTES);
    buf_init(&s->envelope, 16 * 1024 * 1024);
    list_push_back(&w->sessions, &s->link);
    bool room = sink_count_connection(w->sink);
    if (!bench_loop_add(&w->loop, &s->watch, BENCH_LOOP_STREAM)) {
        session_free(s);
        return;
    }
    if (!room) {
        sink_session_reply(s, SINK_STAGE_CONNECT, SLICE("421 4.7.0 too many connections\r\n"));
        s->closing = true;
    } else if (!sink_session_hit(s, SINK_STAGE_CONNECT)) {
        sink_session_reply(s, SINK_STAGE_CONNECT,
                           SLICE("220 sink.example.test ESMTP ringpost-bench\r\n"));
    }
    if (!session_flush(s)) {
        session_free(s);
    }
}

void sink_session_close_all(struct sink_worker *w)
{
    while (!list_empty(&w->sessions)) {
        session_free(LIST_ENTRY(list_first(&w->sessions), struct sink_session, link));
    }
}
