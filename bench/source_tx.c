/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One message of a session: which commands may be written, what each reply means. Replies come in
 * order (RFC 5321 2.1, RFC 2920 3.2), so a reply always belongs to the oldest transaction.
 *
 * After a transaction that failed before its end the server still holds the envelope: the next one
 * begins with RSET. With overlapped patterns the one already under way may fail with it.
 */
#include "bench/source_session.h"

struct source_tx *source_tx_head(struct source_session *s)
{
    return s->count ? &s->ring[s->head] : NULL;
}

static void tx_advance(struct source_at *at, const struct source_tx *tx, bool bdat)
{
    switch (at->step) {
    case SOURCE_RSET:
        at->step = SOURCE_MAIL;
        break;
    case SOURCE_MAIL:
        *at = (struct source_at){SOURCE_RCPT, 0};
        break;
    case SOURCE_RCPT:
        at->rcpt++;
        if (at->rcpt == tx->recipients) {
            at->step = bdat ? SOURCE_END : SOURCE_DATA;
        }
        break;
    case SOURCE_DATA:
        at->step = SOURCE_END;
        break;
    case SOURCE_END:
    case SOURCE_STEPS_DONE:
        at->step = SOURCE_STEPS_DONE;
        break;
    }
}

static bool tx_bdat(const struct source_session *s)
{
    return s->worker->options->bdat && s->offers_chunking;
}

static bool tx_pipelined(const struct source_session *s)
{
    const struct source_options *o = s->worker->options;
    return s->offers_pipelining && (o->pipelining || o->overlap || o->bdat);
}

/* Messages that may be under way at once in the pattern that this server allows. */
static size_t tx_in_flight_max(const struct source_session *s)
{
    const struct source_worker *w = s->worker;
    bool several = tx_pipelined(s) && (tx_bdat(s) || w->options->overlap);
    return several ? w->ring_size : 1;
}

static uint64_t tx_between(struct rng *rng, uint64_t low, uint64_t high)
{
    return low + (high > low ? rng_below(rng, high - low + 1) : 0);
}

/* DATA takes everything after its 354 as text: the next envelope waits for the dot before it. */
static bool tx_between_messages(const struct source_session *s)
{
    if (s->count == 0 || tx_bdat(s)) {
        return true;
    }
    return s->ring[(s->head + s->count - 1) % s->worker->ring_size].body_sent;
}

bool source_tx_begin(struct source_session *s)
{
    struct source_worker *w = s->worker;
    const struct source_options *o = w->options;
    uint64_t number;
    if (s->phase != SOURCE_READY || s->count >= tx_in_flight_max(s) || !tx_between_messages(s) ||
        (o->per_connection > 0 && s->on_connection >= o->per_connection)) {
        return false;
    }
    enum source_next next = source_take(w, &number);
    if (next == SOURCE_NEXT_WAIT && !list_linked(&s->waiting)) {
        list_push_back(&w->waiting, &s->waiting);
    }
    if (next != SOURCE_NEXT_MESSAGE) {
        return false;
    }
    struct source_tx *tx = &s->ring[(s->head + s->count) % w->ring_size];
    s->count++;
    s->on_connection++;
    *tx = (struct source_tx){
        .number = number,
        .recipients = o->recipients,
        .size = tx_between(&w->rng, o->size_min, o->size_max),
        .sent = {s->need_reset ? SOURCE_RSET : SOURCE_MAIL, 0},
        .answered = {s->need_reset ? SOURCE_RSET : SOURCE_MAIL, 0},
    };
    s->need_reset = false;
    if (o->vary) {
        tx->recipients = rng_below(&w->rng, 4) ? 1 : tx_between(&w->rng, 1, o->recipients);
    }
    source_count_tried(w, tx);
    source_tx_write(s, tx);
    return true;
}

static void tx_add_body(struct source_session *s, struct source_tx *tx)
{
    const struct source_worker *w = s->worker;
    struct bench_stamp stamp = {
        .run = bench_source_run_id(w->source),
        .number = tx->number,
        .recipients = w->options->recipients,
        .sent_us = bench_now_us(),
    };
    bench_template_add(w->text, &s->out, &stamp, slice_str(w->options->fields), tx->size);
    tx->body_sent = true;
    tx->end_us = stamp.sent_us;
}

/* Writes the command at tx->sent; DATA's text only follows its 354. */
static void tx_add_command(struct source_session *s, struct source_tx *tx)
{
    const struct source_options *o = s->worker->options;
    switch (tx->sent.step) {
    case SOURCE_RSET:
        buf_add(&s->out, SLICE("RSET\r\n"));
        return;
    case SOURCE_MAIL:
        buf_addf(&s->out, "MAIL FROM:<%s>\r\n", o->from);
        return;
    case SOURCE_RCPT:
        buf_addf(&s->out, "RCPT TO:<r%llu@example%llu.test>\r\n", (unsigned long long)tx->sent.rcpt,
                 (unsigned long long)((tx->number + tx->sent.rcpt) % o->domains));
        return;
    case SOURCE_DATA:
        buf_add(&s->out, SLICE("DATA\r\n"));
        return;
    case SOURCE_END:
        if (tx_bdat(s)) {
            buf_addf(&s->out, "BDAT %llu LAST\r\n", (unsigned long long)tx->size);
            tx_add_body(s, tx);
        } else {
            tx_add_body(s, tx);
            buf_add(&s->out, SLICE(".\r\n"));
        }
        return;
    case SOURCE_STEPS_DONE:
        return;
    }
}

void source_tx_write(struct source_session *s, struct source_tx *tx)
{
    bool pipelined = tx_pipelined(s);
    do {
        if (tx->sent.step == SOURCE_STEPS_DONE ||
            (tx->sent.step == SOURCE_END && !tx_bdat(s) && !tx->in_body)) {
            return;
        }
        tx_add_command(s, tx);
        tx_advance(&tx->sent, tx, tx_bdat(s));
    } while (pipelined);
}

/* ---- replies ---------------------------------------------------------------------------- */

static void tx_finish(struct source_session *s, struct source_tx *tx, unsigned code)
{
    s->need_reset = s->need_reset || !tx->body_sent;
    source_count_outcome(s->worker, tx, code);
    s->head = (s->head + 1) % s->worker->ring_size;
    s->count--;
}

static void tx_refuse_recipient(struct source_tx *tx, uint64_t k, unsigned code)
{
    tx->refused++;
    tx->rcpt_code = tx->rcpt_code ? tx->rcpt_code : code;
    tx->refused_bits[k / 64] |= UINT64_C(1) << (k % 64);
}

/* The most telling code of a message that failed. */
static unsigned tx_failure(const struct source_tx *tx, unsigned code)
{
    bool nobody = tx->refused == tx->recipients;
    return tx->code ? tx->code : nobody && tx->rcpt_code ? tx->rcpt_code : code;
}

void source_tx_reply(struct source_session *s, unsigned code)
{
    struct source_tx *tx = source_tx_head(s);
    must(tx != NULL);
    struct source_at at = tx->answered;
    bool good = code >= 200 && code < 300;
    tx_advance(&tx->answered, tx, tx_bdat(s));
    switch (at.step) {
    case SOURCE_RSET:
        break;
    case SOURCE_MAIL:
        tx->code = good ? 0 : code;
        break;
    case SOURCE_RCPT:
        if (!good) {
            tx_refuse_recipient(tx, at.rcpt, code);
        }
        break;
    case SOURCE_DATA:
        if (code != 354) {
            tx_finish(s, tx, tx_failure(tx, code));
            return;
        }
        tx->in_body = true;
        break;
    case SOURCE_END:
    case SOURCE_STEPS_DONE:
        tx_finish(s, tx, good ? 250 : tx_failure(tx, code));
        return;
    }
    /* Without pipelining a refused sender ends the attempt here. */
    if (tx->code && !tx_pipelined(s)) {
        tx_finish(s, tx, tx->code);
        return;
    }
    if (!tx_pipelined(s) || tx->in_body) {
        source_tx_write(s, tx);
    }
}

void source_tx_abandon(struct source_session *s, struct source_tx *tx)
{
    must(s->count > 0 && tx == source_tx_head(s));
    unsigned failed = tx->code ? tx->code : SOURCE_NOT_SENT;
    tx_finish(s, tx, tx->body_sent ? SOURCE_UNKNOWN : failed);
}
