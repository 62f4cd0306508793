/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * client_script - plays a peer from a table against the client machine
 *
 * Purpose:   a row says what the peer sends step by step, what must then be on the wire, and how
 *            every recipient ends. Every row is played three times: the peer's bytes whole, in
 *            single bytes, and in threes; all must give the same.
 * Driver:    begins the row's transactions as soon as the machine allows and, when prefetch is set,
 *            also while a body is being sent; sends every body at once; quits when all are taken and
 *            `quit` is set.
 */
#ifndef RINGPOST_TEST_CLIENT_SCRIPT_H
#define RINGPOST_TEST_CLIENT_SCRIPT_H

#include "proto/mail/dot.h"
#include "proto/smtp/client.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { SCRIPT_STEPS = 16, SCRIPT_TXNS = 6, SCRIPT_RCPTS = 4 };

struct script_rcpt {
    const char *address;
    const char *orcpt;
    uint8_t notify;
};

struct script_txn {
    const char *sender;
    struct script_rcpt rcpts[SCRIPT_RCPTS]; /* ends with address NULL */
    const char *body;                       /* NULL: "Hi\r\n" */
    uint32_t flags;
    uint64_t body_bytes; /* 0: that of body */
    const char *envid;
    enum mail_ret ret;
    char by_mode;
    int32_t by_s;
};

struct script_step {
    const char *peer; /* bytes; "!EOF" "!TIMEOUT" "!IO" "!LOCAL": smtp_client_fail; NULL: the end */
    const char *wire;
};

struct script_row {
    const char *name;
    bool pipelining, chunking;
    uint8_t window; /* 0: 1 */
    bool prefetch;
    bool careful, check_order;
    bool hold_body; /* the driver never comes to the end of a body */
    bool quit;
    struct script_txn txns[SCRIPT_TXNS]; /* ends with sender NULL */
    struct script_step steps[SCRIPT_STEPS];
    const char *outcomes; /* one per recipient, joined with "; ", in the order they were taken */
    const char *end;      /* of the connection; NULL: still open; "none": in order */
    bool unanswered;      /* the last taken transaction must have `answered` false */
    enum smtp_tls_policy tls;
    bool untrusted;   /* the handshake finds a certificate that does not verify */
    const char *user; /* NULL: no AUTH */
    const char *secret;
    uint32_t mechanisms; /* 0: PLAIN, LOGIN, CRAM-MD5 */
    bool auth_without_tls, auth_optional;
    bool plaintext;      /* the connection must end with wants_plaintext */
    bool implicit;       /* TLS first: the first step is "!TLS" or "!BADTLS" */
    bool relay;          /* the peer is a relay host */
    const char *trouble; /* "none", "replies overlapped"; NULL: not asked */
    const char
        *again; /* a letter per transaction in the order they were taken: y, n; NULL: not asked */
    uint32_t full;
    const char *lesson; /* NULL: not asked */
};

struct script {
    const struct script_row *row;
    struct smtp_client client;
    struct smtp_client_txn txns[SCRIPT_TXNS];
    struct smtp_client_rcpt rcpts[SCRIPT_TXNS][SCRIPT_RCPTS];
    unsigned count, begun, taken;
    struct buf wire, out, result, again;
    bool closed;
    bool body_due; /* SEND_BODY was seen; done when the step's bytes are all in */
    bool tls_due; /* START_TLS was seen; the steps "!TLS" and "!BADTLS" end it. A "!BADTLS" behind a
                   * "!TLS" is an alert as the first thing under TLS */
    bool secret;
};

static inline void script_outcome_add(struct buf *b, const struct outcome *o)
{
    buf_addf(b, "%.*s %.*s %.*s", SLICE_ARG(outcome_kind_name(o->kind)),
             SLICE_ARG(outcome_scope_name(o->scope)), SLICE_ARG(outcome_stage_name(o->stage)));
    if (o->code) {
        buf_addf(b, " %u", o->code);
    }
    if (o->enhanced.cls) {
        buf_addf(b, " ");
        enhanced_add(b, o->enhanced);
    }
    if (o->unknown) {
        buf_addf(b, " unknown");
    }
    if (o->wants != OUTCOME_WANTS_NOTHING) {
        buf_addf(b, o->wants == OUTCOME_WANTS_TLS ? " wants-tls" : " wants-login");
    }
}

static inline void script_load(struct script *s)
{
    for (unsigned t = 0; t < SCRIPT_TXNS && s->row->txns[t].sender; t++) {
        const struct script_txn *from = &s->row->txns[t];
        const char *body = from->body ? from->body : "Hi\r\n";
        struct smtp_client_txn *txn = &s->txns[t];
        *txn = (struct smtp_client_txn){
            .sender = slice_str(from->sender),
            .envid = slice_str(from->envid),
            .ret = from->ret,
            .flags = from->flags,
            .body_bytes = from->body_bytes ? from->body_bytes : strlen(body),
            .by_mode = from->by_mode,
            .by_s = from->by_s,
            .rcpts = s->rcpts[t],
        };
        for (; txn->rcpt_count < SCRIPT_RCPTS && from->rcpts[txn->rcpt_count].address;
             txn->rcpt_count++) {
            const struct script_rcpt *r = &from->rcpts[txn->rcpt_count];
            txn->rcpts[txn->rcpt_count] =
                (struct smtp_client_rcpt){.address = slice_str(r->address),
                                          .orcpt = slice_str(r->orcpt),
                                          .notify = r->notify};
        }
        s->count++;
    }
}

static inline void script_begin(struct script *s)
{
    if (s->begun < s->count && smtp_client_can_begin(&s->client)) {
        smtp_client_begin(&s->client, &s->txns[s->begun++]);
    }
}

static inline void script_flush(struct script *s)
{
    buf_add(&s->wire, buf_slice(&s->out));
    buf_clear(&s->out);
}

static inline void script_body(struct script *s)
{
    struct smtp_client_body b = smtp_client_body(&s->client);
    const char *text = s->row->txns[b.txn - s->txns].body;
    struct mail_dot dot;
    mail_dot_init(&dot);
    script_flush(s);
    struct slice body = slice_str(text ? text : "Hi\r\n");
    if (b.dot_stuff) {
        mail_dot_add(&dot, body, &s->wire);
    } else {
        buf_add(&s->wire, body);
    }
    if (s->row->prefetch) {
        script_begin(s);
    }
    if (!s->row->hold_body) {
        (void)smtp_client_body_end(&s->client, &s->out);
    }
}

static inline void script_take(struct script *s)
{
    struct smtp_client_txn *txn = smtp_client_take(&s->client);
    ck_assert_ptr_eq(txn, &s->txns[s->taken]);
    s->taken++;
    for (uint32_t i = 0; i < txn->rcpt_count; i++) {
        buf_add(&s->result, s->result.len ? SLICE("; ") : SLICE(""));
        script_outcome_add(&s->result, &txn->rcpts[i].outcome);
    }
    buf_add_byte(&s->again, txn->again ? 'y' : 'n');
    if (s->row->unanswered) {
        ck_assert(!txn->answered);
    }
}

/* RFC 2195 2 */
static inline void script_cram(struct script *s)
{
    static const unsigned char digest[SMTP_AUTH_DIGEST_BYTES] = {0xb9, 0x13, 0xa6, 0x02, 0xc7, 0xed,
                                                                 0xa7, 0xa4, 0x95, 0xb4, 0xe6, 0xe7,
                                                                 0x33, 0x4d, 0x38, 0x90};
    ck_assert(slice_eq(smtp_client_challenge(&s->client),
                       SLICE("<1896.697170952@postoffice.reston.mci.net>")));
    ck_assert_uint_eq(smtp_client_stage(&s->client), OUTCOME_STAGE_AUTH);
    smtp_client_cram(&s->client, digest);
}

/* Steps until the machine waits for the peer. The driver begins transactions only when all of the
 * peer's bytes of this step are in (last). */
static inline void script_settle(struct script *s, struct slice *in, bool last)
{
    for (int guard = 0; guard < 200 && !s->closed; guard++) {
        enum smtp_client_action action = smtp_client_step(&s->client, in, &s->out);
        switch (action) {
        case SMTP_CLIENT_TXN_DONE:
            script_take(s);
            break;
        case SMTP_CLIENT_SEND_BODY:
            s->body_due = true;
            break;
        case SMTP_CLIENT_START_TLS:
            ck_assert_uint_eq(smtp_client_stage(&s->client), OUTCOME_STAGE_STARTTLS);
            s->tls_due = true;
            break;
        case SMTP_CLIENT_AUTH_CHALLENGE:
            script_cram(s);
            break;
        case SMTP_CLIENT_CLOSED:
            s->closed = true;
            break;
        case SMTP_CLIENT_READY:
        case SMTP_CLIENT_WANT_REPLY:
            ck_assert_uint_eq(in->len, 0);
            if (!last) {
                return;
            }
            if (s->body_due) {
                s->body_due = false;
                script_body(s);
                break;
            }
            unsigned before = s->begun;
            if (action == SMTP_CLIENT_READY || s->row->prefetch) {
                script_begin(s);
            }
            if (s->row->quit && s->begun == s->count && !s->client.quit_wanted) {
                smtp_client_quit(&s->client);
            } else if (before == s->begun) {
                return;
            }
            break;
        }
    }
    ck_assert(s->closed);
}

static inline void script_peer(struct script *s, const char *peer, size_t cut)
{
    static const struct {
        const char *word;
        enum smtp_client_cause cause;
    } causes[] = {{"!EOF", SMTP_FAIL_EOF},
                  {"!IO", SMTP_FAIL_IO},
                  {"!TIMEOUT", SMTP_FAIL_TIMEOUT},
                  {"!LOCAL", SMTP_FAIL_LOCAL}};
    struct slice none = SLICE("");
    for (size_t i = 0; i < ARRAY_COUNT(causes); i++) {
        if (strcmp(peer, causes[i].word) == 0) {
            smtp_client_fail(&s->client, causes[i].cause);
            script_settle(s, &none, true);
            return;
        }
    }
    if (strcmp(peer, "!TLS") == 0 || strcmp(peer, "!BADTLS") == 0) {
        ck_assert(s->tls_due || (peer[1] == 'B' && smtp_client_tls_is_new(&s->client)));
        s->tls_due = false;
        if (peer[1] == 'T') {
            smtp_client_tls_started(&s->client, !s->row->untrusted);
        } else {
            smtp_client_tls_failed(&s->client, SLICE("no shared cipher"));
        }
        script_settle(s, &none, true);
        return;
    }
    struct slice all = slice_str(peer);
    while (all.len > 0) {
        size_t n = cut && cut < all.len ? cut : all.len;
        char *copy = malloc(n); /* exactly sized: ASan sees a read beyond, or after the step */
        memcpy(copy, all.ptr, n);
        struct slice in = slice_of(copy, n);
        all = slice_skip(all, n);
        script_settle(s, &in, all.len == 0);
        free(copy);
    }
}

/* What is to be learned of the peer. */
static inline void script_check_learned(struct script *s)
{
    static const char *const troubles[] = {"none", "replies", "bdat", "pipeline", "lost", "silent"};
    static const char *const modes[] = {" stepwise", " pipelined", " overlapped"};
    const struct script_row *row = s->row;
    enum smtp_client_mode mode;
    enum smtp_client_trouble trouble = smtp_client_trouble(&s->client, &mode);
    buf_clear(&s->result);
    buf_add(&s->result, slice_str(troubles[trouble]));
    buf_add(&s->result, slice_str(trouble ? modes[mode] : ""));
    if (row->trouble) {
        ck_assert_msg(slice_eq(buf_slice(&s->result), slice_str(row->trouble)),
                      "%s: trouble is <%.*s>, not <%s>", row->name,
                      SLICE_ARG(buf_slice(&s->result)), row->trouble);
    }
    if (row->again) {
        ck_assert_msg(slice_eq(buf_slice(&s->again), slice_str(row->again)),
                      "%s: again is <%.*s>, not <%s>", row->name, SLICE_ARG(buf_slice(&s->again)),
                      row->again);
    }
    ck_assert_msg(smtp_client_full(&s->client) == row->full, "%s: full", row->name);
    if (row->lesson) {
        ck_assert_msg(slice_eq(smtp_client_lesson(&s->client), slice_str(row->lesson)),
                      "%s: lesson is <%.*s>, not <%s>", row->name,
                      SLICE_ARG(smtp_client_lesson(&s->client)), row->lesson);
    }
}

static inline void script_play(const struct script_row *row, size_t cut)
{
    struct script *s = calloc(1, sizeof(*s));
    struct smtp_client_config config = {
        .helo_name = SLICE("me.test"),
        .pipelining = row->pipelining,
        .chunking = row->chunking,
        .window = row->window ? row->window : 1,
        .chunk_window = row->window,
        .careful = row->careful,
        .check_order = row->check_order,
        .tls = row->tls,
        .tls_implicit = row->implicit,
        .relay = row->relay,
        .auth_user = slice_str(row->user),
        .auth_secret = slice_str(row->secret),
        .auth_mechanisms = row->mechanisms ? row->mechanisms
                                           : SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN | SMTP_AUTH_CRAM_MD5,
        .auth_without_tls = row->auth_without_tls,
        .auth_optional = row->auth_optional,
    };
    s->row = row;
    buf_init(&s->wire, 1 << 20);
    buf_init(&s->out, SMTP_CLIENT_OUT_BYTES);
    buf_init(&s->result, 1 << 20);
    buf_init(&s->again, 1 << 10);
    script_load(s);
    smtp_client_init(&s->client, &config);
    smtp_client_start(&s->client);
    if (row->implicit) {
        struct slice none = SLICE("");
        script_settle(s, &none, true);
    }
    for (unsigned i = 0; i < SCRIPT_STEPS && row->steps[i].peer; i++) {
        buf_clear(&s->wire);
        script_peer(s, row->steps[i].peer, cut);
        script_flush(s);
        const char *want = row->steps[i].wire ? row->steps[i].wire : "";
        ck_assert_msg(slice_eq(buf_slice(&s->wire), slice_str(want)),
                      "%s, cut %zu, step %u: wire is <%.*s>, not <%s>", row->name, cut, i,
                      SLICE_ARG(buf_slice(&s->wire)), want);
    }
    const char *want = row->outcomes ? row->outcomes : "";
    ck_assert_msg(slice_eq(buf_slice(&s->result), slice_str(want)),
                  "%s, cut %zu: outcomes are <%.*s>, not <%s>", row->name, cut,
                  SLICE_ARG(buf_slice(&s->result)), want);
    ck_assert_msg(s->closed == (row->end != NULL), "%s: closed %d", row->name, s->closed);
    ck_assert_msg(smtp_client_wants_plaintext(&s->client) == row->plaintext, "%s: plaintext",
                  row->name);
    script_check_learned(s);
    if (row->end) {
        buf_clear(&s->result);
        if (smtp_client_outcome(&s->client)->kind == OUTCOME_NONE) {
            buf_add(&s->result, SLICE("none"));
        } else {
            script_outcome_add(&s->result, smtp_client_outcome(&s->client));
        }
        ck_assert_msg(slice_eq(buf_slice(&s->result), slice_str(row->end)),
                      "%s, cut %zu: connection ended <%.*s>, not <%s>", row->name, cut,
                      SLICE_ARG(buf_slice(&s->result)), row->end);
    } else {
        struct slice none = SLICE("");
        smtp_client_fail(&s->client, SMTP_FAIL_LOCAL);
        script_settle(s, &none, true);
    }
    smtp_client_deinit(&s->client);
    buf_deinit(&s->wire);
    buf_deinit(&s->out);
    buf_deinit(&s->result);
    buf_deinit(&s->again);
    free(s);
}

static inline void script_play_rows(const struct script_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        script_play(&rows[i], 0);
        script_play(&rows[i], 1);
        script_play(&rows[i], 3);
    }
}

#endif
