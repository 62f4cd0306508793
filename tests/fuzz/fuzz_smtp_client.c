/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: a hostile peer against the client machine. Whatever it says,
 *          - the outcomes and the bytes on the wire do not depend on how its bytes were cut;
 *          - DELIVERED needs a 2xx that came after the end of the body went out, and an accepted RCPT;
 *          - an outcome once set never changes; every recipient gets one;
 *          - `unknown` only after the end of the body went out.
 * Input:   four bytes of choices, then turns separated by 0x01. The driver reads a whole turn, then
 *          acts (begins, sends bodies, quits); a turn beginning with 0x02 is a lost connection.
 */
#include "core/base/must.h"
#include "core/base/rng.h"
#include "proto/smtp/client.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TXNS = 6, RCPTS = 3 };

struct play {
    const uint8_t *choices;
    struct smtp_client client;
    struct smtp_client_txn txns[TXNS];
    struct smtp_client_rcpt rcpts[TXNS][RCPTS];
    struct outcome seen[TXNS][RCPTS];
    unsigned ended_turn[TXNS]; /* 0: the end of its body is not out */
    unsigned begun, taken, turn;
    bool body_due, tls_due, closed;
    bool mid_line; /* the peer's last byte was not the end of a line */
    bool
        ahead; /* ended by bytes that came in one piece with the offer of STARTTLS: had they been cut
                    * off, nobody could tell that they were no answer to it */
    struct buf out, wire, log;
};

static void play_load(struct play *p)
{
    for (unsigned t = 0; t < TXNS; t++) {
        unsigned c = (unsigned)p->choices[2] >> (t & 3);
        p->txns[t] = (struct smtp_client_txn){
            .sender = c & 1 ? SLICE("") : SLICE("a@x"),
            .envid = SLICE("id"),
            .ret = MAIL_RET_FULL,
            .flags = (c & 2 ? SMTP_TXN_LEADING_DOT : 0U) | (c & 4 ? SMTP_TXN_BODY_8BIT : 0U) |
                     (c & 8 ? SMTP_TXN_NO_FINAL_CRLF : 0U),
            .body_bytes = c & 16 ? 200000 : 4,
            .rcpts = p->rcpts[t],
            .rcpt_count = 1 + (p->choices[3] + t) % RCPTS,
        };
        for (unsigned i = 0; i < RCPTS; i++) {
            p->rcpts[t][i] = (struct smtp_client_rcpt){.address = c & 32 && i == 1 ? SLICE("b ad@y")
                                                                                   : SLICE("b@y"),
                                                       .orcpt = SLICE("rfc822;b@y"),
                                                       .notify = (uint8_t)i};
        }
    }
}

/* An outcome once set stays. */
static void play_watch(struct play *p)
{
    for (unsigned t = 0; t < p->begun; t++) {
        for (unsigned i = 0; i < p->txns[t].rcpt_count; i++) {
            struct outcome *was = &p->seen[t][i], *is = &p->rcpts[t][i].outcome;
            must(was->kind == OUTCOME_NONE ||
                 (was->kind == is->kind && was->code == is->code && was->unknown == is->unknown));
            *was = *is;
        }
    }
}

static void play_take(struct play *p)
{
    struct smtp_client_txn *txn = smtp_client_take(&p->client);
    unsigned t = p->taken++;
    must(txn == &p->txns[t]);
    for (uint32_t i = 0; i < txn->rcpt_count; i++) {
        const struct smtp_client_rcpt *r = &txn->rcpts[i];
        must(r->outcome.kind != OUTCOME_NONE);
        if (r->outcome.kind == OUTCOME_DELIVERED) {
            must(r->accepted && r->sent && r->outcome.remote && r->outcome.code / 100 == 2);
            must(p->ended_turn[t] != 0 && p->ended_turn[t] < p->turn);
        }
        if (r->outcome.unknown) {
            must(r->outcome.kind == OUTCOME_TEMPORARY && p->ended_turn[t] != 0);
        }
        buf_addf(&p->log, "%u.%u %d %d %d %d ", t, i, (int)r->outcome.kind, (int)r->outcome.scope,
                 (int)r->outcome.stage, r->outcome.unknown);
        outcome_add_line(&p->log, &r->outcome);
        buf_add_byte(&p->log, '\n');
    }
}

static void play_flush(struct play *p)
{
    buf_add(&p->wire, buf_slice(&p->out));
    buf_clear(&p->out);
}

static void play_begin(struct play *p)
{
    if (p->begun < TXNS && smtp_client_can_begin(&p->client)) {
        smtp_client_begin(&p->client, &p->txns[p->begun++]);
    }
}

/* False: the body stays unfinished for this turn. */
static bool play_body(struct play *p)
{
    if (p->choices[1] & 1 && (p->choices[3] + p->turn) % 3 == 0) {
        return false;
    }
    struct smtp_client_body b = smtp_client_body(&p->client);
    p->body_due = false;
    play_flush(p);
    buf_addf(&p->wire, "[body %d %d]", (int)(b.txn - p->txns), b.dot_stuff);
    if (p->choices[0] & 4) {
        play_begin(p);
    }
    bool stale = p->mid_line && p->client.expect_count == 0;
    if (smtp_client_body_end(&p->client, &p->out)) {
        must(!stale); /* half a reply that was there before the end must not become its answer */
        p->ended_turn[b.txn - p->txns] = p->turn;
    }
    return true;
}

/* The handshake comes at the end of the turn: what the peer sent behind its 220 was injected. */
static void play_handshake(struct play *p)
{
    if (p->choices[3] & 128) {
        smtp_client_tls_failed(&p->client, SLICE("fuzz"));
    } else {
        smtp_client_tls_started(&p->client, p->choices[3] & 64);
    }
    play_flush(p);
    buf_add(&p->wire, SLICE("[tls]"));
}

/* One step and what it asks for; false: nothing more to do for now. */
static bool play_step(struct play *p, struct slice *in, bool last)
{
    enum smtp_client_action action = smtp_client_step(&p->client, in, &p->out);
    play_watch(p);
    switch (action) {
    case SMTP_CLIENT_TXN_DONE:
        play_take(p);
        return true;
    case SMTP_CLIENT_SEND_BODY:
        must(!p->body_due);
        p->body_due = true;
        return true;
    case SMTP_CLIENT_START_TLS:
        must(p->client.expect_count == 0);
        p->tls_due = true;
        return true;
    case SMTP_CLIENT_AUTH_CHALLENGE: {
        struct slice challenge = smtp_client_challenge(&p->client);
        unsigned char digest[SMTP_AUTH_DIGEST_BYTES] = {(unsigned char)challenge.len};
        must(challenge.len > 0);
        smtp_client_cram(&p->client, digest);
        return true;
    }
    case SMTP_CLIENT_CLOSED:
        p->closed = true;
        must(p->taken == p->begun);
        return false;
    case SMTP_CLIENT_READY:
    case SMTP_CLIENT_WANT_REPLY:
        break;
    }
    must(in->len == 0);
    if (!last) {
        return false;
    }
    if (p->tls_due) {
        p->tls_due = false;
        play_handshake(p);
        return true;
    }
    if (p->body_due) {
        return play_body(p);
    }
    unsigned before = p->begun;
    if (action == SMTP_CLIENT_READY || p->choices[0] & 4) {
        play_begin(p);
    }
    if (p->begun == TXNS && p->choices[0] & 8 && !p->client.quit_wanted) {
        smtp_client_quit(&p->client);
        return true;
    }
    return before != p->begun;
}

static void play_settle(struct play *p, struct slice *in, bool last)
{
    unsigned steps = 0;
    while (!p->closed && play_step(p, in, last)) {
        must(++steps < 100);
    }
}

static void play_turn(struct play *p, struct slice turn, struct rng *cuts)
{
    struct slice none = SLICE("");
    p->turn++;
    if (turn.len > 0 && turn.ptr[0] == 2) {
        smtp_client_fail(&p->client, (enum smtp_client_cause)(turn.len % 4));
        play_settle(p, &none, true);
    }
    if (turn.len > 0 && turn.ptr[0] == 3 && smtp_client_tls_is_new(&p->client)) {
        smtp_client_tls_failed(&p->client, SLICE("refused"));
        play_settle(p, &none, true);
    }
    while (turn.len > 0 && !p->closed) {
        size_t n = cuts ? 1 + (size_t)rng_below(cuts, 12) : turn.len;
        n = n < turn.len ? n : turn.len;
        char *copy = malloc(n);
        memcpy(copy, turn.ptr, n);
        struct slice in = slice_of(copy, n);
        turn = slice_skip(turn, n);
        p->mid_line = copy[n - 1] != '\n';
        bool before_starttls = p->client.state < SMTP_CLIENT_STARTTLS;
        play_settle(p, &in, turn.len == 0);
        p->ahead = p->ahead ||
                   (before_starttls && slice_eq(smtp_client_outcome(&p->client)->text,
                                                SLICE("peer sent data before the TLS handshake")));
        free(copy);
    }
    play_flush(p);
}

/* False: how the input was cut may have made a difference. */
static bool play(struct buf *log, struct slice input, const uint8_t *choices, struct rng *cuts)
{
    struct play *p = calloc(1, sizeof(*p));
    struct smtp_client_config config = {.helo_name = SLICE("me.test"),
                                        .pipelining = choices[0] & 1,
                                        .chunking = choices[0] & 2,
                                        .window = (uint8_t)(1 + (choices[0] >> 4) % 4),
                                        .chunk_window = (uint8_t)(1 + (choices[0] >> 4) % 4),
                                        .careful = choices[3] & 1,
                                        .check_order = choices[3] & 2,
                                        .tls = (enum smtp_tls_policy)(choices[1] >> 6),
                                        .auth_user = choices[1] & 32 ? SLICE("me") : SLICE(""),
                                        .auth_secret = SLICE("pass word"),
                                        .auth_mechanisms = (choices[1] >> 1) & 15U,
                                        .auth_without_tls = choices[0] & 64,
                                        .auth_optional = choices[0] & 128,
                                        .relay = choices[3] & 16};
    struct slice none = SLICE("");
    config.tls_implicit = config.tls != SMTP_TLS_NONE && choices[3] & 32;
    p->choices = choices;
    buf_init(&p->out, SMTP_CLIENT_OUT_BYTES);
    buf_init(&p->wire, 64 << 20);
    buf_init(&p->log, 64 << 20);
    play_load(p);
    smtp_client_init(&p->client, &config);
    smtp_client_start(&p->client);
    if (config.tls_implicit) {
        play_settle(p, &none, true);
    }
    while (input.len > 0 && !p->closed) {
        play_turn(p, slice_cut(&input, '\1'), cuts);
    }
    if (!p->closed) {
        play_turn(p, SLICE("\2"), cuts);
        must(p->closed);
    }
    const struct outcome *end = smtp_client_outcome(&p->client);
    must(!smtp_client_wants_plaintext(&p->client) ||
         (config.tls == SMTP_TLS_MAY && !config.tls_implicit));
    must(!config.tls_implicit || p->client.mails == 0 || p->client.tls);
    /* No command of a transaction before the policy and AUTH are satisfied. */
    must(p->client.mails == 0 || p->client.tls || config.tls < SMTP_TLS_ENCRYPT);
    must(p->client.mails == 0 || !config.auth_user.len || p->client.authenticated ||
         config.auth_optional);
    /* The secret only under TLS, unless allowed: "pass word" as LOGIN, PLAIN, XOAUTH2 write it. */
    struct slice clear = buf_slice(&p->wire);
    clear = clear.len ? clear : SLICE("-"); /* memmem takes no NULL */
    char *shaken = memmem(clear.ptr, clear.len, "[tls]", 5);
    clear.len = shaken ? (size_t)(shaken - clear.ptr) : clear.len;
    must(config.auth_without_tls || (!memmem(clear.ptr, clear.len, "cGFzcyB3b3Jk", 12) &&
                                     !memmem(clear.ptr, clear.len, "AUTH PLAIN ", 11)));
    buf_addf(&p->log, "end %d %d ", (int)end->kind, (int)end->stage);
    outcome_add_line(&p->log, end);
    buf_add(log, buf_slice(&p->wire));
    buf_add(log, buf_slice(&p->log));
    smtp_client_deinit(&p->client);
    buf_deinit(&p->out);
    buf_deinit(&p->wire);
    buf_deinit(&p->log);
    bool ahead = p->ahead;
    free(p);
    return !ahead;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole, cut;
    struct rng rng;
    if (size < 4) {
        return 0;
    }
    struct slice input = slice_of(data + 4, size - 4);
    rng_init_seed(&rng, size);
    buf_init(&whole, 128 << 20);
    buf_init(&cut, 128 << 20);
    bool comparable = play(&whole, input, data, NULL);
    (void)play(&cut, input, data, &rng);
    must(!comparable || slice_eq(buf_slice(&whole), buf_slice(&cut)));
    buf_deinit(&whole);
    buf_deinit(&cut);
    return 0;
}
