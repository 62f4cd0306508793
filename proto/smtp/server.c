/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 *                    greet            HELO/EHLO          MAIL            answer
 *   GREETING ─────────────────► START ────────► READY ────────► CHECK_MAIL ────► MAIL
 *                                                 ▲                               │ RCPT
 *          answer (COMMIT, refusals), RSET, EHLO  │           answer              ▼
 *       ┌─────────────────────────────────────────┤   RCPT ◄──────────── CHECK_RCPT
 *       │                                         │    │ DATA                BDAT │
 *     COMMIT ◄───── DATA ◄──answer── CHECK_DATA ◄─┼────┘                          ▼
 *       ▲                                         │                         CHECK_BDAT
 *       └── (LAST) CHUNK ◄────────────────────────┼──────────────answer───────────┘
 *                    │ ▲                          │
 *                    ▼ │ BDAT                     │
 *                   BDAT ──► SWALLOW (a chunk nobody wants) ──► where it came from
 *
 * STARTTLS and AUTH leave READY (STARTTLS also START) and come back: server_auth.c.
 * Every state leads to CLOSED. smtp_server_set_state is the only place that changes it and knows the
 * arrows. A step runs lines and body pieces until something is for the driver; what it is follows
 * from the state that was entered, so a handler only sets the state.
 */
#include "core/base/secret.h"
#include "proto/smtp/server_tx.h"

#include <stdlib.h>

#define TO(state) (1u << SMTP_STATE_##state)

enum {
    TO_IDLE = TO(START) | TO(READY),
    TO_AUTH = TO(AUTH_CHALLENGE) | TO(AUTH) | TO(CHECK_AUTH),
    SERVER_HELO_BYTES_MAX = 512,
};

static const uint32_t transitions[SMTP_STATE_COUNT] = {
    [SMTP_STATE_GREETING] = TO(START),
    [SMTP_STATE_START] = TO_IDLE | TO(SWALLOW) | TO(STARTTLS),
    [SMTP_STATE_READY] = TO(READY) | TO(CHECK_MAIL) | TO(SWALLOW) | TO(STARTTLS) | TO_AUTH,
    [SMTP_STATE_CHECK_MAIL] = TO(READY) | TO(MAIL),
    [SMTP_STATE_MAIL] = TO(READY) | TO(CHECK_RCPT) | TO(SWALLOW),
    [SMTP_STATE_CHECK_RCPT] = TO(MAIL) | TO(RCPT),
    [SMTP_STATE_RCPT] = TO(READY) | TO(CHECK_RCPT) | TO(CHECK_DATA) | TO(CHECK_BDAT) | TO(SWALLOW),
    [SMTP_STATE_CHECK_DATA] = TO(READY) | TO(DATA),
    [SMTP_STATE_DATA] = TO(READY) | TO(COMMIT),
    [SMTP_STATE_CHECK_BDAT] = TO(CHUNK) | TO(SWALLOW),
    [SMTP_STATE_CHUNK] = TO(READY) | TO(BDAT) | TO(COMMIT),
    [SMTP_STATE_BDAT] = TO(READY) | TO(CHUNK) | TO(SWALLOW),
    [SMTP_STATE_SWALLOW] = TO_IDLE | TO(BDAT),
    [SMTP_STATE_COMMIT] = TO(READY),
    [SMTP_STATE_STARTTLS] = TO(START),
    [SMTP_STATE_AUTH_CHALLENGE] = TO(AUTH) | TO(READY),
    [SMTP_STATE_AUTH] = TO(CHECK_AUTH) | TO(READY),
    [SMTP_STATE_CHECK_AUTH] = TO(READY),
    [SMTP_STATE_CLOSED] = 0,
};

void smtp_server_set_state(struct smtp_server *s, enum smtp_server_state to)
{
    must(s->state < SMTP_STATE_COUNT && to < SMTP_STATE_COUNT);
    must(to == SMTP_STATE_CLOSED || (transitions[s->state] & 1u << to));
    s->state = (uint8_t)to;
    if (!(TO_AUTH & 1u << to)) {
        smtp_server_auth_end(s);
    }
}

void smtp_server_config_init(struct smtp_server_config *c)
{
    *c = (struct smtp_server_config){
        .greeting = SLICE("Ringpost"),
        .size_max = 25ull * 1024 * 1024,
        .bdat_swallow_max = 64ull * 1024 * 1024,
        .recipients_max = 1000,
        .line_length_max = 998,
        .header_bytes_max = LIMIT_HEADER_BYTES,
        .header_fields_max = LIMIT_HEADER_FIELDS,
        .hops_max = LIMIT_HOPS,
        .errors_max = 20,
        .junk_max = 100,
        .auth_needs_tls = true,
        .auth_mechanisms = SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN,
        .features = SMTP_FEATURES_DEFAULT,
    };
}

void smtp_server_init(struct smtp_server *s, const struct smtp_server_config *config)
{
    must(config->hostname.len > 0 && config->recipients_max > 0);
    must(config->recipients_max <= LIMIT_RECIPIENTS && config->errors_max > 0);
    must(!(config->auth_mechanisms & SMTP_AUTH_XOAUTH2));
    *s = (struct smtp_server){.config = config, .state = SMTP_STATE_GREETING};
    buf_init(&s->line, SMTP_AUTH_LINE_BYTES);
    buf_init(&s->helo, SERVER_HELO_BYTES_MAX);
}

void smtp_server_deinit(struct smtp_server *s)
{
    smtp_server_tx_reset(s);
    smtp_server_auth_end(s);
    secret_buf_release(&s->line);
    buf_deinit(&s->helo);
}

void smtp_server_abort_body(struct smtp_server *s, const struct smtp_verdict *why)
{
    must(s->tx != NULL && s->tx->storage_open);
    s->tx->storage_open = false;
    s->abort_due = true;
    s->abort_fault = why;
}

void smtp_server_tx_reset(struct smtp_server *s)
{
    if (!s->tx) {
        return;
    }
    if (s->tx->storage_open) {
        smtp_server_abort_body(s, NULL);
    }
    smtp_envelope_deinit(&s->tx->envelope);
    free(s->tx);
    s->tx = NULL;
}

void smtp_server_tx_end(struct smtp_server *s)
{
    smtp_server_tx_reset(s);
    smtp_server_set_state(s, s->helo.len ? SMTP_STATE_READY : SMTP_STATE_START);
}

void smtp_server_reply(struct smtp_server *s, struct buf *out, const struct smtp_verdict *v)
{
    bool closes = v->close || v->code == 421;
    smtp_reply_add(out, v);
    if (v->code >= 500 && s->errors < UINT32_MAX) {
        s->errors++;
    }
    if (closes) {
        smtp_server_tx_reset(s);
        smtp_server_set_state(s, SMTP_STATE_CLOSED);
    }
}

void smtp_server_greet(struct smtp_server *s, struct buf *out)
{
    /* "220 host ESMTP text": the host must be the first word (RFC 5321 4.2). */
    must(s->state == SMTP_STATE_GREETING);
    buf_add(out, SLICE("220 "));
    smtp_escape_add(out, s->config->hostname, LIMIT_DOMAIN_BYTES);
    buf_add(out, SLICE(" ESMTP"));
    if (s->config->greeting.len) {
        buf_add(out, SLICE(" "));
        smtp_escape_add(out, s->config->greeting, 200);
    }
    buf_add(out, SLICE("\r\n"));
    smtp_server_set_state(s, SMTP_STATE_START);
}

static enum smtp_server_action step_greeting(struct smtp_server *s, struct slice *in,
                                             struct buf *out)
{
    if (in->len == 0) {
        return SMTP_SERVER_WANT_INPUT;
    }
    if (!s->config->refuse_early_talker) {
        return SMTP_SERVER_WAIT;
    }
    SMTP_SAY(s, out, 554, "5.5.0", "Client spoke before its turn");
    smtp_server_set_state(s, SMTP_STATE_CLOSED);
    return SMTP_SERVER_CLOSE;
}

/* What the driver is asked when a state is entered; WANT_INPUT: nothing. */
static enum smtp_server_action asked(uint8_t state)
{
    switch ((enum smtp_server_state)state) {
    case SMTP_STATE_CHECK_MAIL:
        return SMTP_SERVER_CHECK_MAIL;
    case SMTP_STATE_CHECK_RCPT:
        return SMTP_SERVER_CHECK_RCPT;
    case SMTP_STATE_CHECK_DATA:
    case SMTP_STATE_CHECK_BDAT:
        return SMTP_SERVER_BODY_BEGIN;
    case SMTP_STATE_COMMIT:
        return SMTP_SERVER_BODY_COMMIT;
    case SMTP_STATE_STARTTLS:
        return SMTP_SERVER_START_TLS;
    case SMTP_STATE_AUTH_CHALLENGE:
        return SMTP_SERVER_AUTH_CHALLENGE;
    case SMTP_STATE_CHECK_AUTH:
        return SMTP_SERVER_CHECK_AUTH;
    case SMTP_STATE_GREETING:
    case SMTP_STATE_START:
    case SMTP_STATE_READY:
    case SMTP_STATE_MAIL:
    case SMTP_STATE_RCPT:
    case SMTP_STATE_DATA:
    case SMTP_STATE_CHUNK:
    case SMTP_STATE_BDAT:
    case SMTP_STATE_SWALLOW:
    case SMTP_STATE_AUTH:
    case SMTP_STATE_CLOSED:
    case SMTP_STATE_COUNT:
        break;
    }
    return SMTP_SERVER_WANT_INPUT;
}

/* One line or one piece of a body. True: *action is for the driver. */
static bool step_once(struct smtp_server *s, struct slice *in, struct buf *out,
                      enum smtp_server_action *action)
{
    uint8_t before = s->state;
    switch ((enum smtp_server_state)s->state) {
    case SMTP_STATE_GREETING:
        *action = step_greeting(s, in, out);
        return true;
    case SMTP_STATE_START:
    case SMTP_STATE_READY:
    case SMTP_STATE_MAIL:
    case SMTP_STATE_RCPT:
    case SMTP_STATE_BDAT:
    case SMTP_STATE_AUTH:
        if (in->len == 0) {
            *action = SMTP_SERVER_WANT_INPUT;
            return true;
        }
        smtp_server_take_line(s, in, out);
        if (s->state == SMTP_STATE_STARTTLS) {
            smtp_server_ready_tls(s, *in, out);
        }
        break;
    case SMTP_STATE_STARTTLS:
        if (in->len == 0) {
            *action = SMTP_SERVER_WAIT;
            return true;
        }
        smtp_server_ready_tls(s, *in, out);
        break;
    case SMTP_STATE_DATA:
    case SMTP_STATE_CHUNK:
    case SMTP_STATE_SWALLOW:
        if (smtp_server_take_body(s, in, out, action)) {
            return true;
        }
        break;
    case SMTP_STATE_CHECK_MAIL:
    case SMTP_STATE_CHECK_RCPT:
    case SMTP_STATE_CHECK_DATA:
    case SMTP_STATE_CHECK_BDAT:
    case SMTP_STATE_COMMIT:
    case SMTP_STATE_AUTH_CHALLENGE:
    case SMTP_STATE_CHECK_AUTH:
        *action = SMTP_SERVER_WAIT;
        return true;
    case SMTP_STATE_CLOSED:
    case SMTP_STATE_COUNT:
        *action = SMTP_SERVER_CLOSE;
        return true;
    }
    *action = asked(s->state);
    return s->state != before && *action != SMTP_SERVER_WANT_INPUT;
}

enum smtp_server_action smtp_server_step(struct smtp_server *s, struct slice *in, struct buf *out)
{
    enum smtp_server_action action = SMTP_SERVER_WANT_INPUT;
    do {
        if (s->abort_due) {
            s->abort_due = false;
            return SMTP_SERVER_BODY_ABORT;
        }
        if (out->overflow && s->state != SMTP_STATE_CLOSED) {
            /* The driver gave too small a buf, or memory ended: replies are lost, so is the session. */
            smtp_server_tx_reset(s);
            smtp_server_set_state(s, SMTP_STATE_CLOSED);
            continue;
        }
        if (out->len >= SMTP_SERVER_OUT_HIGH && s->state != SMTP_STATE_CLOSED) {
            return SMTP_SERVER_FLUSH;
        }
        if (step_once(s, in, out, &action)) {
            return action;
        }
    } while (true);
}

static bool accepted(const struct smtp_verdict *v)
{
    must(v->code == 0 || (v->code >= 200 && v->code <= 599 && v->code / 100 != 3));
    return v->code == 0 || v->code / 100 == 2;
}

/* The reply of an acceptance: ours, with what the driver gave put over it. */
static void reply_accepted(struct smtp_server *s, struct buf *out, const struct smtp_verdict *v,
                           struct slice enhanced, struct slice text)
{
    struct smtp_verdict reply = {
        .code = v->code ? v->code : 250,
        .close = v->close,
        .enhanced = v->enhanced.len ? v->enhanced : enhanced,
        .text = v->text.len ? v->text : text,
    };
    smtp_server_reply(s, out, &reply);
}

static void answer_mail(struct smtp_server *s, const struct smtp_verdict *v, struct buf *out)
{
    if (accepted(v)) {
        smtp_server_set_state(s, SMTP_STATE_MAIL);
        reply_accepted(s, out, v, SLICE("2.1.0"), SLICE("Ok"));
        return;
    }
    smtp_server_tx_end(s);
    smtp_server_reply(s, out, v);
}

static void answer_rcpt(struct smtp_server *s, const struct smtp_verdict *v, struct buf *out)
{
    struct smtp_envelope *e = &s->tx->envelope;
    if (accepted(v)) {
        smtp_server_set_state(s, SMTP_STATE_RCPT);
        reply_accepted(s, out, v, SLICE("2.1.5"), SLICE("Ok"));
        return;
    }
    smtp_envelope_pop_rcpt(e);
    s->tx->rcpts_refused++;
    smtp_server_set_state(s, e->rcpt_count ? SMTP_STATE_RCPT : SMTP_STATE_MAIL);
    smtp_server_reply(s, out, v);
}

static void answer_data(struct smtp_server *s, const struct smtp_verdict *v, struct buf *out)
{
    if (!accepted(v)) {
        smtp_server_tx_end(s);
        smtp_server_reply(s, out, v);
        return;
    }
    s->tx->storage_open = true;
    s->tx->body_begun = true;
    smtp_body_init(&s->tx->body, s->config, true);
    smtp_server_set_state(s, SMTP_STATE_DATA);
    smtp_reply_add_plain(out, 354, true, SLICE("End data with <CR><LF>.<CR><LF>"));
}

/* Keeps a verdict whose texts die with the caller. */
static void refuse_body(struct smtp_transaction *tx, const struct smtp_verdict *v)
{
    struct slice text = slice_first(v->text, sizeof(tx->refused_text));
    struct slice enhanced = slice_first(v->enhanced, sizeof(tx->refused_enhanced));
    if (text.len) {
        memcpy(tx->refused_text, text.ptr, text.len);
    }
    if (enhanced.len) {
        memcpy(tx->refused_enhanced, enhanced.ptr, enhanced.len);
    }
    tx->refused_copy = (struct smtp_verdict){v->code, v->close,
                                             slice_of(tx->refused_enhanced, enhanced.len),
                                             slice_of(tx->refused_text, text.len)};
    tx->refused = &tx->refused_copy;
}

static void answer_bdat(struct smtp_server *s, const struct smtp_verdict *v, struct buf *out)
{
    if (accepted(v)) {
        s->tx->storage_open = true;
        smtp_server_set_state(s, SMTP_STATE_CHUNK);
        return;
    }
    /* The octets are on their way: the refusal is said behind them (RFC 3030 2). */
    refuse_body(s->tx, v);
    smtp_server_swallow(s, NULL, out);
}

static void answer_commit(struct smtp_server *s, const struct smtp_verdict *v, struct buf *out)
{
    s->tx->storage_open = false;
    smtp_server_tx_end(s);
    if (accepted(v)) {
        s->errors = s->junk = 0;
        reply_accepted(s, out, v, SLICE("2.0.0"), SLICE("Ok, queued"));
        return;
    }
    smtp_server_reply(s, out, v);
}

void smtp_server_answer(struct smtp_server *s, const struct smtp_verdict *v, struct buf *out)
{
    switch ((enum smtp_server_state)s->state) {
    case SMTP_STATE_CHECK_MAIL:
        answer_mail(s, v, out);
        return;
    case SMTP_STATE_CHECK_RCPT:
        answer_rcpt(s, v, out);
        return;
    case SMTP_STATE_CHECK_DATA:
        answer_data(s, v, out);
        return;
    case SMTP_STATE_CHECK_BDAT:
        answer_bdat(s, v, out);
        return;
    case SMTP_STATE_COMMIT:
        answer_commit(s, v, out);
        return;
    case SMTP_STATE_CHECK_AUTH:
        smtp_server_answer_auth(s, v, out);
        return;
    case SMTP_STATE_GREETING:
    case SMTP_STATE_START:
    case SMTP_STATE_READY:
    case SMTP_STATE_MAIL:
    case SMTP_STATE_RCPT:
    case SMTP_STATE_DATA:
    case SMTP_STATE_CHUNK:
    case SMTP_STATE_BDAT:
    case SMTP_STATE_SWALLOW:
    case SMTP_STATE_STARTTLS:
    case SMTP_STATE_AUTH_CHALLENGE:
    case SMTP_STATE_AUTH:
    case SMTP_STATE_CLOSED:
    case SMTP_STATE_COUNT:
        break;
    }
    must(false); /* an answer nobody asked for */
}

void smtp_server_body_fail(struct smtp_server *s, const struct smtp_verdict *v)
{
    must(s->tx != NULL && s->state != SMTP_STATE_COMMIT && v->code >= 400);
    if (s->tx->storage_open) {
        s->tx->storage_open = false;
        refuse_body(s->tx, v);
    }
}

void smtp_server_shut(struct smtp_server *s, const struct smtp_verdict *v, struct buf *out)
{
    if (s->state == SMTP_STATE_CLOSED) {
        return;
    }
    smtp_reply_add(out, v);
    smtp_server_tx_reset(s);
    smtp_server_set_state(s, SMTP_STATE_CLOSED);
}
