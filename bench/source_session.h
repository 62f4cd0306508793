/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * source_session - one connection of the load generator, again and again
 *
 * Purpose:   the client side of SMTP in four patterns: step by step, pipelined envelope,
 *            overlapped (dot with the next envelope), BDAT with several messages in flight.
 * Owner:     the worker's array; a session lives as long as the worker.
 * Thread:    its worker's.
 * Limits:    SOURCE_IN_FLIGHT_MAX transactions, SOURCE_RECIPIENTS_MAX recipients each.
 */
#ifndef RINGPOST_BENCH_SOURCE_SESSION_H
#define RINGPOST_BENCH_SOURCE_SESSION_H

#include "bench/loop.h"
#include "bench/source.h"

#include "core/base/rng.h"

struct source_worker;

enum source_phase {
    SOURCE_IDLE, /* not connected */
    SOURCE_CONNECTING,
    SOURCE_GREETING,
    SOURCE_HELLO,
    SOURCE_STARTTLS,
    SOURCE_AUTH,
    SOURCE_READY,
    SOURCE_QUITTING,
    SOURCE_DONE,
};

/* The replies of a transaction in their order; RCPT stands for `recipients` of them. */
enum source_step {
    SOURCE_RSET,
    SOURCE_MAIL,
    SOURCE_RCPT,
    SOURCE_DATA,
    SOURCE_END,
    SOURCE_STEPS_DONE
};

struct source_at {
    enum source_step step;
    uint64_t rcpt;
};

struct source_tx {
    uint64_t number;
    uint64_t recipients;
    uint64_t size;
    struct source_at sent;     /* next command to write */
    struct source_at answered; /* next reply to come */
    bool body_sent;
    bool in_body;  /* DATA was answered 354 */
    unsigned code; /* first refusal of MAIL or DATA */
    unsigned rcpt_code;
    uint64_t refused;
    uint64_t end_us;
    uint64_t refused_bits[SOURCE_RECIPIENTS_MAX / 64];
};

struct source_session {
    struct bench_watch watch;
    struct bench_secure *secure; /* NULL: no TLS, or not yet */
    struct timer timer;          /* reconnect */
    struct source_worker *worker;
    struct list waiting; /* for a rate token */
    enum source_phase phase;
    bool offers_pipelining;
    bool offers_chunking;
    bool offers_starttls;
    bool need_reset;
    bool held;
    struct buf in;
    struct buf out;
    size_t out_at;
    struct source_tx *ring; /* ring_size of them */
    size_t head;
    size_t count;
    uint64_t on_connection;
    uint64_t active_us;
};

struct source_worker {
    struct bench_source *source;
    const struct source_options *options;
    const struct bench_template *text;
    struct bench_loop loop;
    struct source_session *sessions;
    size_t session_count;
    size_t started;    /* sessions that began their first connect */
    size_t connecting; /* until the greeting: with SYN cookies only that proves a connection */
    size_t done;
    size_t ring_size;
    struct list waiting;
    struct timer tick;
    uint64_t start_us;
    uint64_t issued; /* messages begun, for the rate */
    struct rng rng;
    struct buf journal;
};

void source_session_init(struct source_session *s, struct source_worker *w);
void source_session_deinit(struct source_session *s);
void source_session_connect(struct source_session *s);
/* Something may be possible now: begin a message, or end. */
void source_session_run(struct source_session *s);
/* A reply is owed. */
bool source_session_busy(const struct source_session *s);
/* The connection is lost, or given up. */
void source_session_lost(struct source_session *s);

/* source_tx.c */
struct source_tx *source_tx_head(struct source_session *s);
/* Begins a message if there is one to begin and the ring has room; false if not. */
bool source_tx_begin(struct source_session *s);
/* Writes the commands that may leave now. */
void source_tx_write(struct source_session *s, struct source_tx *tx);
/* One reply for the oldest transaction. */
void source_tx_reply(struct source_session *s, unsigned code);
/* What becomes of it when the connection goes away. */
void source_tx_abandon(struct source_session *s, struct source_tx *tx);

/* source.c */
enum source_next { SOURCE_NEXT_MESSAGE, SOURCE_NEXT_WAIT, SOURCE_NEXT_NONE };
enum source_next source_take(struct source_worker *w, uint64_t *number);
bool source_exhausted(const struct source_worker *w);
/* tls: NULL without it. */
void source_count_connect(struct source_worker *w, bool ok, const struct tls_facts *tls);
void source_count_lost(struct source_worker *w);
void source_count_held(struct source_worker *w);
void source_count_tried(struct source_worker *w, const struct source_tx *tx);
/* code 250: promised; 400..599: refused; 0: not sent; 1: unknown. */
enum { SOURCE_NOT_SENT = 0, SOURCE_UNKNOWN = 1 };
void source_count_outcome(struct source_worker *w, const struct source_tx *tx, unsigned code);
void source_session_ended(struct source_worker *w);
/* A session is no longer connecting: others may. */
void source_launch(struct source_worker *w);

/* source_report.c: ,"name":number for each, and the codes. */
void source_totals_add_json(const struct source_totals *t, struct buf *out);

#endif
