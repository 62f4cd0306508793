/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: a whole outbound session with a hostile server, against a slow and obvious referee (model_client.h), which
 *          reads the client strictly and gives the n-th reply to the n-th command. Delivered is who was accepted and
 *          whose message was; refused for good is whom the server refused for good; the others are tried again; and
 *          `unknown` is said of nobody whose message was answered.
 * Input:   three bytes of choices, then the server's lines; one is said whenever the client has nothing to do.
 */
#include "core/base/must.h"
#include "proto/mail/dot.h"
#include "proto/smtp/client.h"
#include "tests/fuzz/model_client.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TXNS = 4, RCPTS = 3, STEPS_MAX = 200 };

struct play {
    const uint8_t *choices;
    struct smtp_client client;
    struct model_client model;
    struct smtp_client_txn txns[TXNS];
    struct smtp_client_rcpt rcpts[TXNS][RCPTS];
    char senders[TXNS][8];
    char names[TXNS][RCPTS][8];
    unsigned begun, taken, lines;
    bool body_due, half, closed;
    struct buf out, stuffed;
};

static void play_load(struct play *p, struct slice body)
{
    unsigned flags = SMTP_TXN_LEADING_DOT | (p->choices[1] & 1 ? SMTP_TXN_NO_FINAL_CRLF : 0U);
    for (unsigned t = 0; t < TXNS; t++) {
        p->txns[t] = (struct smtp_client_txn){.sender = slice_of(p->senders[t], 4),
                                              .flags = flags,
                                              .body_bytes = body.len,
                                              .rcpts = p->rcpts[t],
                                              .rcpt_count = 1 + (p->choices[1] / 2U + t) % RCPTS};
        memcpy(p->senders[t], "s0@x", 5);
        p->senders[t][1] = (char)('0' + t);
        for (unsigned i = 0; i < RCPTS; i++) {
            memcpy(p->names[t][i], "r0t0@y", 7);
            p->names[t][i][1] = (char)('0' + i);
            p->names[t][i][3] = (char)('0' + t);
            bool bad = p->choices[1] & 16 && i == 1;
            p->rcpts[t][i] = (struct smtp_client_rcpt){
                .address = bad ? SLICE("b ad@y") : slice_of(p->names[t][i], 6)};
        }
    }
}

static void play_flush(struct play *p)
{
    model_client_says(&p->model, buf_slice(&p->out));
    buf_clear(&p->out);
}

static void play_begin(struct play *p)
{
    if (p->begun < TXNS && smtp_client_can_begin(&p->client)) {
        smtp_client_begin(&p->client, &p->txns[p->begun++]);
    }
}

/* The first half of a body, or the second with its end. */
static void play_body(struct play *p)
{
    struct smtp_client_body b = smtp_client_body(&p->client);
    play_flush(p);
    if (!p->half) {
        struct mail_dot dot;
        buf_clear(&p->stuffed);
        mail_dot_init(&dot);
        if (b.dot_stuff) {
            mail_dot_add(&dot, p->model.body, &p->stuffed);
        } else {
            buf_add(&p->stuffed, p->model.body);
        }
        model_client_says(&p->model, slice_first(buf_slice(&p->stuffed), p->stuffed.len / 2));
        p->half = true;
        return;
    }
    if (p->choices[0] & 4) {
        play_begin(p);
    }
    p->half = p->body_due = false;
    struct buf rest;
    buf_init(&rest, SMTP_CLIENT_OUT_BYTES);
    if (smtp_client_body_end(&p->client, &rest)) {
        model_client_says(&p->model, slice_skip(buf_slice(&p->stuffed), p->stuffed.len / 2));
        model_client_says(&p->model, buf_slice(&rest));
    }
    buf_deinit(&rest);
}

/* What the referee says of a recipient whose transaction is over. */
static void play_judge(struct play *p, unsigned t, unsigned i)
{
    const struct smtp_client_rcpt *r = &p->rcpts[t][i];
    const struct outcome *o = &r->outcome;
    if (!o->remote && o->kind == OUTCOME_PERMANENT) {
        must(!model_client_find(&p->model, MODEL_RCPT, (int)t, (int)i)); /* decided here, unsent */
        uint64_t size_max = p->client.caps.size_max;
        must((i == 1 && p->choices[1] & 16) || (size_max && p->model.body.len > size_max));
        return;
    }
    if (i == 1 && p->choices[1] & 16) {
        must(o->kind ==
             OUTCOME_TEMPORARY); /* unsent all the same: the connection ended, or RCPTMAX */
        return;
    }
    bool unsent = !model_client_find(&p->model, MODEL_RCPT, (int)t, (int)i);
    if (!o->remote && o->code == 452) {
        must(unsent && o->kind == OUTCOME_TEMPORARY); /* beyond RCPTMAX, RCPTDOMAINMAX */
        return;
    }
    struct model_fate fate = model_client_fate(&p->model, (int)t, (int)i);
    bool exact = p->client.config.window == 1 && p->client.config.chunk_window == 1;
    unsigned kind = o->kind == OUTCOME_DELIVERED   ? MODEL_DELIVERED
                    : o->kind == OUTCOME_TEMPORARY ? MODEL_TEMPORARY
                                                   : MODEL_PERMANENT;
    /* Replies may be found to be out of step where something was sent behind a message. */
    must(kind & (fate.kinds | (exact ? 0U : (unsigned)MODEL_TEMPORARY)));
    must(!o->unknown || fate.open_end || !exact);
    if (kind != MODEL_TEMPORARY) {
        must(o->remote && o->code == fate.code && !o->unknown);
    }
    if (exact && fate.open_end && !fate.code && !p->client.full && o->code != 421) {
        must(o->unknown);
    }
}

static void play_take(struct play *p)
{
    struct smtp_client_txn *txn = smtp_client_take(&p->client);
    unsigned t = p->taken++;
    must(txn == &p->txns[t]);
    for (unsigned i = 0; i < txn->rcpt_count; i++) {
        must(txn->rcpts[i].outcome.kind != OUTCOME_NONE);
        play_judge(p, t, i);
    }
}

/* One step; false: nothing more to do until the server speaks. */
static bool play_step(struct play *p, struct slice *in)
{
    enum smtp_client_action action = smtp_client_step(&p->client, in, &p->out);
    play_flush(p);
    switch (action) {
    case SMTP_CLIENT_TXN_DONE:
        play_take(p);
        return true;
    case SMTP_CLIENT_SEND_BODY:
        must(!p->body_due);
        p->body_due = true;
        play_body(p);
        return true;
    case SMTP_CLIENT_CLOSED:
        p->closed = true;
        must(p->taken == p->begun);
        return false;
    case SMTP_CLIENT_START_TLS:
    case SMTP_CLIENT_AUTH_CHALLENGE:
        must(false); /* neither is configured */
        return false;
    case SMTP_CLIENT_READY:
    case SMTP_CLIENT_WANT_REPLY:
        break;
    }
    must(in->len == 0);
    bool later = p->choices[0] & 8 && (p->lines + p->choices[2]) % 3 == 0;
    if (p->body_due && !later) {
        play_body(p);
        return true;
    }
    unsigned before = p->begun;
    if (!p->body_due && (action == SMTP_CLIENT_READY || p->choices[0] & 4)) {
        play_begin(p);
    }
    if (p->begun == TXNS && !p->client.quit_wanted) {
        smtp_client_quit(&p->client);
        return true;
    }
    return before != p->begun;
}

static void play_line(struct play *p, struct slice line)
{
    p->lines++;
    if (!p->closed && line.ptr[line.len - 1] == '\n') {
        model_server_says(&p->model, line);
    }
    for (unsigned steps = 0; !p->closed && play_step(p, &line);) {
        must(++steps < STEPS_MAX);
    }
}

static void play(struct play *p, const struct smtp_client_config *config, struct slice input)
{
    struct slice none = SLICE("");
    smtp_client_init(&p->client, config);
    smtp_client_start(&p->client);
    while (input.len > 0 && !p->closed) {
        int lf = slice_find_byte(input, '\n');
        size_t n = lf < 0 ? input.len : (size_t)lf + 1;
        char *copy = malloc(n);
        must(copy != NULL);
        memcpy(copy, input.ptr, n);
        play_line(p, slice_of(copy, n));
        free(copy);
        input = slice_skip(input, n);
    }
    if (!p->closed) {
        smtp_client_fail(&p->client, (enum smtp_client_cause)(p->choices[2] % 4));
        for (unsigned steps = 0; !p->closed && play_step(p, &none);) {
            must(++steps < STEPS_MAX);
        }
        must(p->closed);
    }
    smtp_client_deinit(&p->client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct slice bodies[] = {
        SLICE_INIT("S: x\r\n\r\n.\r\n..\r\n.a\r\nb.\r\n"),
        SLICE_INIT(""),
        SLICE_INIT("."),
        SLICE_INIT("a\r\nQUIT\r\n.\r\nMAIL FROM:<s0@x>"),
    };
    if (size < 3) {
        return 0;
    }
    struct play *p = calloc(1, sizeof(*p));
    must(p != NULL);
    struct slice body = bodies[data[1] >> 6];
    bool whole = body.len == 0 || body.ptr[body.len - 1] == '\n';
    p->choices = data;
    struct smtp_client_config config = {.helo_name = SLICE("me.test"),
                                        .pipelining = data[0] & 1,
                                        .chunking = data[0] & 2,
                                        .window = (uint8_t)(1 + (data[0] >> 4) % 4),
                                        .chunk_window = (uint8_t)(1 + (data[0] >> 4) % 4),
                                        .careful = data[2] & 64,
                                        .check_order = data[2] & 128};
    model_client_init(&p->model, body, whole || body.len == 0 ? SLICE("") : SLICE("\r\n"));
    buf_init(&p->out, SMTP_CLIENT_OUT_BYTES);
    buf_init(&p->stuffed, 1 << 16);
    play_load(p, body);
    for (unsigned t = 0; t < TXNS; t++) {
        uint32_t *flags = &p->txns[t].flags;
        *flags = whole ? *flags & ~(uint32_t)SMTP_TXN_NO_FINAL_CRLF
                       : *flags | SMTP_TXN_NO_FINAL_CRLF;
    }
    play(p, &config, slice_of(data + 3, size - 3));
    model_client_deinit(&p->model);
    buf_deinit(&p->out);
    buf_deinit(&p->stuffed);
    free(p);
    return 0;
}
