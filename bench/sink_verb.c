/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the sink answers to each verb, and what becomes of a transaction.
 */
#include "bench/sink_session.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- replies ---------------------------------------------------------------------------- */

void sink_session_reply(struct sink_session *s, enum sink_stage stage, struct slice text)
{
    uint64_t latency_ms = s->worker->options->latency_ms[stage];
    uint64_t delay_ms = s->worker->options->delay_ms;
    if (delay_ms > 0) {
        struct sink_mark mark = {bench_now_us() + delay_ms * 1000, text.len};
        buf_add(&s->out, text);
        buf_add(&s->marks, slice_of(&mark, sizeof(mark)));
        return;
    }
    if (latency_ms > 0) {
        s->out_ready = s->out.len;
        s->waiting = true;
        bench_loop_timer(&s->worker->loop, &s->timer, latency_ms);
    }
    buf_add(&s->out, text);
    if (latency_ms == 0) {
        s->out_ready = s->out.len;
    }
}

/* The fault that hits now, 0 for none. */
static unsigned session_fault(struct sink_session *s, enum sink_stage stage)
{
    const struct sink_fault *rows = s->worker->options->faults[stage];
    if (rows[0].permille == 0) {
        return 0;
    }
    uint64_t dice = rng_below(&s->worker->rng, 1000);
    for (size_t i = 0; i < SINK_FAULTS_PER_STAGE; i++) {
        if (dice < rows[i].permille) {
            sink_count_fault(s->worker->sink);
            return rows[i].code;
        }
        dice -= rows[i].permille;
    }
    return 0;
}

/* True when the fault took the place of the normal course. */
bool sink_session_hit(struct sink_session *s, enum sink_stage stage)
{
    unsigned code = session_fault(s, stage);
    if (code == 0 || code == SINK_FAULT_LOST_REPLY) {
        return false;
    }
    if (code != SINK_FAULT_DROP) {
        char text[64];
        int n = snprintf(text, sizeof(text), "%u %u.3.0 injected by the sink\r\n", code,
                         code / 100);
        sink_session_reply(s, stage, slice_of(text, (size_t)n));
    }
    s->closing = code == SINK_FAULT_DROP || code == 421;
    return true;
}

void sink_session_wrong(struct sink_session *s, struct slice text)
{
    sink_count_protocol_error(s->worker->sink);
    sink_session_reply(s, SINK_STAGE_OTHER, text);
}

/* ---- transactions ----------------------------------------------------------------------- */

void sink_session_reset(struct sink_session *s)
{
    s->mail = false;
    s->recipients = 0;
    s->text_bytes = 0;
    s->text_begun = false;
    s->chunk_refused = false;
    buf_clear(&s->text);
    buf_clear(&s->envelope);
}

/* Takes the message whose last piece is `last`. */
static void session_take(struct sink_session *s, struct slice last, bool stuffed)
{
    if (s->text.len > 0) {
        buf_add(&s->text, last);
    }
    struct sink_message m = {
        .text = s->text.len > 0 ? buf_slice(&s->text) : last,
        .stuffed = stuffed,
        .secured = s->secure != NULL,
        .bytes = s->text_bytes + last.len,
        .recipients = s->recipients,
        .indexes = s->indexes,
        .envelope = buf_slice(&s->envelope),
    };
    sink_take(s->worker, &m);
}

void sink_session_end(struct sink_session *s, struct slice last, bool stuffed)
{
    if (s->text_bytes + last.len > s->worker->options->size_max) {
        sink_session_reply(s, SINK_STAGE_DOT, SLICE("552 5.3.4 message too big\r\n"));
        sink_session_reset(s);
        return;
    }
    unsigned fault = session_fault(s, SINK_STAGE_DOT);
    if (fault >= 400) {
        char text[64];
        int n = snprintf(text, sizeof(text), "%u %u.3.0 injected by the sink\r\n", fault,
                         fault / 100);
        sink_session_reply(s, SINK_STAGE_DOT, slice_of(text, (size_t)n));
        s->closing = fault == 421;
        sink_session_reset(s);
        return;
    }
    if (fault != SINK_FAULT_DROP) {
        session_take(s, last, stuffed);
    }
    if (fault == 0) {
        sink_session_reply(s, SINK_STAGE_DOT, SLICE("250 2.0.0 taken\r\n"));
    }
    s->messages++;
    s->closing = fault != 0;
    sink_session_reset(s);
}

/* Keeps a piece of a message that is not complete yet. */
void sink_session_keep(struct sink_session *s, struct slice piece)
{
    s->text_bytes += piece.len;
    if (s->worker->options->capture != NULL) {
        buf_add(&s->text, piece);
    } else if (s->text.len < SINK_HEAD_BYTES) {
        buf_add(&s->text, slice_first(piece, SINK_HEAD_BYTES - s->text.len));
    }
}

/* ---- commands --------------------------------------------------------------------------- */

static void session_ehlo(struct sink_session *s, struct slice args)
{
    (void)args;
    const struct sink_options *o = s->worker->options;
    sink_session_reset(s);
    if (sink_session_hit(s, SINK_STAGE_EHLO)) {
        return;
    }
    struct buf b;
    buf_init(&b, 1024);
    buf_add(&b, SLICE("250-sink.example.test\r\n"));
    for (size_t i = 0; i < SINK_KEYWORDS; i++) {
        if (o->without[i] || (sink_keywords[i].ptr[0] == 'L' && o->recipients_max == 0)) {
            continue;
        }
        buf_addf(&b, "250-%.*s", SLICE_ARG(sink_keywords[i]));
        if (slice_eq(sink_keywords[i], SLICE("SIZE"))) {
            buf_addf(&b, " %llu", (unsigned long long)o->size_max);
        } else if (slice_eq(sink_keywords[i], SLICE("LIMITS"))) {
            buf_addf(&b, " RCPTMAX=%llu", (unsigned long long)o->recipients_max);
        }
        buf_add(&b, SLICE("\r\n"));
    }
    if (o->starttls && s->secure == NULL) {
        buf_add(&b, SLICE("250-STARTTLS\r\n"));
    }
    buf_add(&b, SLICE("250 HELP\r\n"));
    sink_session_reply(s, SINK_STAGE_EHLO, buf_slice(&b));
    buf_deinit(&b);
}

static void session_helo(struct sink_session *s, struct slice args)
{
    (void)args;
    sink_session_reset(s);
    if (!sink_session_hit(s, SINK_STAGE_EHLO)) {
        sink_session_reply(s, SINK_STAGE_EHLO, SLICE("250 sink.example.test\r\n"));
    }
}

static void session_note_envelope(struct sink_session *s, const char *verb, struct slice args)
{
    if (s->worker->options->capture != NULL) {
        buf_addf(&s->envelope, "%s %.*s\n", verb, SLICE_ARG(args));
    }
}

static void session_mail(struct sink_session *s, struct slice args)
{
    uint64_t max = s->worker->options->messages_per_connection;
    if (s->mail) {
        sink_session_wrong(s, SLICE("503 5.5.1 MAIL already given\r\n"));
        return;
    }
    if (max > 0 && s->messages >= max) {
        sink_session_reply(s, SINK_STAGE_MAIL,
                           SLICE("421 4.7.0 enough messages on this connection\r\n"));
        s->closing = true;
        return;
    }
    if (sink_session_hit(s, SINK_STAGE_MAIL)) {
        return;
    }
    s->mail = true;
    session_note_envelope(s, "MAIL", args);
    sink_session_reply(s, SINK_STAGE_MAIL, SLICE("250 2.1.0 ok\r\n"));
}

/* The text between < and >. */
static struct slice session_path(struct slice args)
{
    struct slice rest = args;
    (void)slice_cut(&rest, '<');
    return slice_cut(&rest, '>');
}

static void session_rcpt(struct sink_session *s, struct slice args)
{
    uint64_t max = s->worker->options->recipients_max;
    if (!s->mail) {
        sink_session_wrong(s, SLICE("503 5.5.1 MAIL first\r\n"));
        return;
    }
    if (max > 0 && s->recipients >= max) {
        sink_session_reply(s, SINK_STAGE_RCPT, SLICE("452 4.5.3 too many recipients\r\n"));
        return;
    }
    if (sink_session_hit(s, SINK_STAGE_RCPT)) {
        return;
    }
    if (s->recipients >= s->indexes_cap) {
        size_t cap = s->indexes_cap ? s->indexes_cap * 2 : 4;
        uint64_t *grown = realloc(s->indexes, cap * sizeof(*grown));
        if (grown == NULL) {
            sink_session_reply(s, SINK_STAGE_RCPT, SLICE("451 4.3.0 out of memory\r\n"));
            return;
        }
        s->indexes = grown;
        s->indexes_cap = cap;
    }
    uint64_t k = UINT64_MAX;
    (void)bench_recipient_index(session_path(args), &k);
    s->indexes[s->recipients++] = k;
    session_note_envelope(s, "RCPT", args);
    sink_session_reply(s, SINK_STAGE_RCPT, SLICE("250 2.1.5 ok\r\n"));
}

static void session_data(struct sink_session *s, struct slice args)
{
    (void)args;
    if (!s->mail || s->recipients == 0) {
        sink_session_wrong(s, SLICE("503 5.5.1 no valid recipients\r\n"));
        return;
    }
    if (sink_session_hit(s, SINK_STAGE_DATA)) {
        return;
    }
    sink_session_reply(s, SINK_STAGE_DATA, SLICE("354 go on\r\n"));
    s->phase = SINK_TEXT;
}

static void session_bdat(struct sink_session *s, struct slice args)
{
    struct slice number = slice_cut(&args, ' ');
    uint64_t size;
    if (!slice_to_u64(number, &size)) {
        sink_session_wrong(s, SLICE("501 5.5.4 BDAT size\r\n"));
        s->closing = true; /* where the chunk ends is unknown */
        return;
    }
    s->chunk_left = size;
    s->chunk_last = slice_eq_nocase(slice_trim(args), SLICE("LAST"));
    s->chunk_refused = s->chunk_refused || !s->mail || s->recipients == 0;
    s->phase = SINK_CHUNK;
}

static void session_rset(struct sink_session *s, struct slice args)
{
    (void)args;
    sink_session_reset(s);
    if (!sink_session_hit(s, SINK_STAGE_RSET)) {
        sink_session_reply(s, SINK_STAGE_RSET, SLICE("250 2.0.0 ok\r\n"));
    }
}

static void session_starttls(struct sink_session *s, struct slice args)
{
    (void)args;
    if (!s->worker->options->starttls || s->secure != NULL) {
        sink_session_wrong(s, SLICE("503 5.5.1 no STARTTLS now\r\n"));
    } else if (s->in.len > s->in_at) {
        /* Bytes in clear would be taken for what came under TLS. */
        sink_session_wrong(s, SLICE("554 5.5.0 something follows STARTTLS\r\n"));
        s->closing = true;
    } else {
        sink_session_reset(s);
        s->securing = true;
        sink_session_reply(s, SINK_STAGE_OTHER, SLICE("220 2.0.0 go on\r\n"));
    }
}

static void session_noop(struct sink_session *s, struct slice args)
{
    (void)args;
    sink_session_reply(s, SINK_STAGE_OTHER, SLICE("250 2.0.0 ok\r\n"));
}

static void session_quit(struct sink_session *s, struct slice args)
{
    (void)args;
    s->closing = true;
    sink_session_reply(s, SINK_STAGE_QUIT, SLICE("221 2.0.0 bye\r\n"));
}

void sink_session_command(struct sink_session *s, struct slice line)
{
    static const struct {
        struct slice verb;
        void (*handle)(struct sink_session *s, struct slice args);
    } verbs[] = {
        {SLICE_INIT("MAIL"), session_mail}, {SLICE_INIT("RCPT"), session_rcpt},
        {SLICE_INIT("DATA"), session_data}, {SLICE_INIT("BDAT"), session_bdat},
        {SLICE_INIT("RSET"), session_rset}, {SLICE_INIT("EHLO"), session_ehlo},
        {SLICE_INIT("HELO"), session_helo}, {SLICE_INIT("QUIT"), session_quit},
        {SLICE_INIT("NOOP"), session_noop}, {SLICE_INIT("HELP"), session_noop},
        {SLICE_INIT("VRFY"), session_noop}, {SLICE_INIT("STARTTLS"), session_starttls},
    };
    struct slice args = line;
    struct slice verb = slice_cut(&args, ' ');
    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++) {
        if (slice_eq_nocase(verb, verbs[i].verb)) {
            verbs[i].handle(s, args);
            return;
        }
    }
    sink_session_wrong(s, SLICE("500 5.5.1 unknown command\r\n"));
}
