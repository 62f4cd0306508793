/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sink_session - one client of the sink
 *
 * Purpose:   the server side of SMTP, as far as a well-behaved client needs it.
 * Owner:     made by sink_session_open, frees itself when the connection ends; the worker's list
 *            holds it until then.
 * Thread:    its worker's.
 * Limits:    command line SINK_LINE_BYTES; a message is kept up to SINK_HEAD_BYTES (all of it when
 *            captured), the rest is only counted.
 */
#ifndef RINGPOST_BENCH_SINK_SESSION_H
#define RINGPOST_BENCH_SINK_SESSION_H

#include "bench/loop.h"
#include "bench/sink.h"

#include "core/base/rng.h"

enum {
    SINK_LINE_BYTES = 64 * 1024,
    SINK_HEAD_BYTES = BENCH_STAMP_SEARCH_BYTES,
    SINK_READ_BYTES = 16 * 1024,
};

struct sink_worker {
    struct bench_sink *sink;
    const struct sink_options *options;
    struct bench_loop loop;
    struct bench_watch listener;
    struct list sessions;
    struct rng rng;
    struct buf journal; /* written out after each batch */
};

/* A whole message as it arrived, still with its dots when it came by DATA. */
struct sink_message {
    struct slice text;
    bool stuffed;
    bool secured; /* came under TLS */
    uint64_t bytes;
    uint64_t recipients;
    const uint64_t *indexes; /* k of each recipient, UINT64_MAX for others' addresses */
    struct slice envelope;   /* the MAIL and RCPT lines, only when captured */
};

/* With --delay: what of `out` is on its way until then. */
struct sink_mark {
    uint64_t due_us;
    size_t bytes; /* behind what the mark before it covers */
};

enum sink_phase { SINK_COMMAND, SINK_TEXT, SINK_CHUNK };

struct sink_session {
    struct bench_watch watch;
    struct bench_secure *secure; /* NULL: no TLS, or not yet */
    struct sink_worker *worker;
    struct list link;
    struct timer timer;
    struct buf in;
    size_t in_at;
    struct buf out;
    size_t out_at;
    size_t out_ready; /* bytes of out that may leave now */
    struct buf marks; /* struct sink_mark: replies on their way, with --delay */
    enum sink_phase phase;
    bool waiting;  /* for the latency timer */
    bool readable; /* an edge was seen and not read to its end */
    bool closing;  /* after the replies left */
    bool securing; /* after the reply to STARTTLS left */
    bool mail;
    bool text_begun;
    bool chunk_last;
    bool chunk_refused;
    uint64_t chunk_left;
    uint64_t messages;
    uint64_t recipients;
    uint64_t *indexes;
    size_t indexes_cap;
    struct buf text; /* pieces of a message that did not come at once */
    uint64_t text_bytes;
    struct buf envelope;
};

void sink_session_open(struct sink_worker *w, int fd);
/* From outside of the loop. */
void sink_session_close_all(struct sink_worker *w);

/* sink_verb.c: one command line without its CRLF. */
void sink_session_command(struct sink_session *s, struct slice line);
void sink_session_reply(struct sink_session *s, enum sink_stage stage, struct slice text);
/* A reply to a client's mistake. */
void sink_session_wrong(struct sink_session *s, struct slice text);
/* True when an injected fault took the place of the normal course. */
bool sink_session_hit(struct sink_session *s, enum sink_stage stage);
/* Forgets the transaction. */
void sink_session_reset(struct sink_session *s);
/* Keeps a piece of a message that is not complete yet; takes a message with its last piece. */
void sink_session_keep(struct sink_session *s, struct slice piece);
void sink_session_end(struct sink_session *s, struct slice last, bool stuffed);

/* sink.c: counts it, notes the copies, captures it. */
void sink_take(struct sink_worker *w, const struct sink_message *m);
/* False: it is one too many. */
bool sink_count_connection(struct bench_sink *s);
void sink_count_close(struct bench_sink *s);
void sink_count_fault(struct bench_sink *s);
void sink_count_protocol_error(struct bench_sink *s);

#endif
