/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The connection and its transactions. Replies carry no number: the n-th reply answers the n-th
 * command. So the whole machine hangs on one queue of expected replies; every command that goes out
 * pushes one row, every reply pops one, and a reply without a row ends the connection. RCPTs of one
 * transaction share a row, so the queue stays small (SMTP_CLIENT_EXPECT_MAX) whatever is in flight.
 * Rejected: one state per command ("waiting for RCPT 7"), which cannot express two transactions in
 * flight; callbacks per command, which free their caller.
 *
 *   INIT --start--> GREETING --220--> EHLO --250--> SESSION --quit--> QUITTING --221--> ENDED
 *                      |              ^ |  \--5xx--> HELO --250--^
 *                      |              | +--> STARTTLS --220--> HANDSHAKE (client_auth.c)
 *                      |              +------------tls_started-----+
 *   INIT --start, tls_implicit--> HANDSHAKE --tls_started--> GREETING
 *                      +------- EHLO, HELO --> AUTH --235--> SESSION
 *                      +----------------+----- 4xx, 5xx, 421, fault, fail ----------------> ENDED
 *
 *   A slot (one transaction):
 *   FREE --begin--> PENDING --MAIL--> OPEN --354 or BDAT--> BODY --body_end--> SENT --reply--> DONE
 *                      |                |  \--354, nobody accepted: lone dot----^               |
 *                      +----------------+---- everything refused, connection ended ------> DONE-+
 *   DONE --take--> FREE
 */
#include "proto/smtp/client.h"

#include "core/base/must.h"
#include "proto/smtp/client_command.h"
#include "proto/smtp/client_private.h"

enum { TEXTS_KEPT_BYTES = 4 * LIMIT_OUTCOME_TEXT_BYTES };

void smtp_client_set_state(struct smtp_client *c, enum smtp_client_state to)
{
    static const uint16_t allowed[] = {
        [SMTP_CLIENT_INIT] = 1 << SMTP_CLIENT_GREETING | 1 << SMTP_CLIENT_HANDSHAKE |
                             1 << SMTP_CLIENT_ENDED,
        [SMTP_CLIENT_GREETING] = 1 << SMTP_CLIENT_EHLO | 1 << SMTP_CLIENT_ENDED,
        [SMTP_CLIENT_EHLO] = 1 << SMTP_CLIENT_HELO | 1 << SMTP_CLIENT_STARTTLS |
                             1 << SMTP_CLIENT_AUTH | 1 << SMTP_CLIENT_SESSION |
                             1 << SMTP_CLIENT_ENDED,
        [SMTP_CLIENT_HELO] = 1 << SMTP_CLIENT_SESSION | 1 << SMTP_CLIENT_ENDED,
        [SMTP_CLIENT_STARTTLS] = 1 << SMTP_CLIENT_HANDSHAKE | 1 << SMTP_CLIENT_ENDED,
        [SMTP_CLIENT_HANDSHAKE] = 1 << SMTP_CLIENT_GREETING | 1 << SMTP_CLIENT_EHLO |
                                  1 << SMTP_CLIENT_ENDED,
        [SMTP_CLIENT_AUTH] = 1 << SMTP_CLIENT_SESSION | 1 << SMTP_CLIENT_ENDED,
        [SMTP_CLIENT_SESSION] = 1 << SMTP_CLIENT_QUITTING | 1 << SMTP_CLIENT_ENDED,
        [SMTP_CLIENT_QUITTING] = 1 << SMTP_CLIENT_ENDED,
        [SMTP_CLIENT_ENDED] = 0,
    };
    must(allowed[c->state] & 1U << to);
    c->state = to;
}

void smtp_client_set_slot(struct smtp_client_slot *s, enum smtp_slot_state to)
{
    static const uint8_t allowed[] = {
        [SMTP_SLOT_FREE] = 1 << SMTP_SLOT_PENDING,
        [SMTP_SLOT_PENDING] = 1 << SMTP_SLOT_OPEN | 1 << SMTP_SLOT_DONE,
        [SMTP_SLOT_OPEN] = 1 << SMTP_SLOT_BODY | 1 << SMTP_SLOT_SENT | 1 << SMTP_SLOT_DONE,
        [SMTP_SLOT_BODY] = 1 << SMTP_SLOT_SENT | 1 << SMTP_SLOT_DONE,
        [SMTP_SLOT_SENT] = 1 << SMTP_SLOT_DONE,
        [SMTP_SLOT_DONE] = 1 << SMTP_SLOT_FREE,
    };
    must(allowed[s->state] & 1U << to);
    must(to != SMTP_SLOT_DONE || s->open == 0);
    s->state = to;
}

struct smtp_client_slot *smtp_client_slot_at(struct smtp_client *c, unsigned i)
{
    must(i < c->slot_count);
    return &c->slots[(c->slot_first + i) % SMTP_CLIENT_WINDOW_MAX];
}

void smtp_client_init(struct smtp_client *c, const struct smtp_client_config *config)
{
    must(config->window >= 1 && config->window <= SMTP_CLIENT_WINDOW_MAX);
    must(config->chunk_window <= SMTP_CLIENT_WINDOW_MAX);
    must(config->helo_name.len > 0 && config->helo_name.len <= LIMIT_DOMAIN_BYTES + 2);
    must(!config->tls_implicit || config->tls != SMTP_TLS_NONE);
    *c = (struct smtp_client){.config = *config};
    smtp_reply_init(&c->parser);
    buf_init(&c->auth.challenge, LIMIT_REPLY_LINE_BYTES);
    for (unsigned i = 0; i < SMTP_CLIENT_WINDOW_MAX; i++) {
        buf_init(&c->slots[i].texts,
                 (LIMIT_RECIPIENTS_PER_TRANSACTION + 2) * LIMIT_OUTCOME_TEXT_BYTES);
    }
}

void smtp_client_deinit(struct smtp_client *c)
{
    must(c->slot_count == 0);
    smtp_reply_deinit(&c->parser);
    smtp_client_auth_end(c);
    for (unsigned i = 0; i < SMTP_CLIENT_WINDOW_MAX; i++) {
        buf_deinit(&c->slots[i].texts);
    }
    *c = (struct smtp_client){.state = SMTP_CLIENT_ENDED};
}

void smtp_client_start(struct smtp_client *c)
{
    must(c->state == SMTP_CLIENT_INIT);
    if (c->config.tls_implicit) {
        smtp_client_set_state(c, SMTP_CLIENT_HANDSHAKE);
    } else {
        smtp_client_await_greeting(c);
    }
}

void smtp_client_await_greeting(struct smtp_client *c)
{
    smtp_client_set_state(c, SMTP_CLIENT_GREETING);
    smtp_client_expect(c, SMTP_EXPECT_GREETING, NULL);
}

/* --- expected replies ------------------------------------------------------------------------ */

void smtp_client_expect(struct smtp_client *c, enum smtp_expect_kind kind,
                        const struct smtp_client_slot *s)
{
    uint8_t slot = s ? (uint8_t)(s - c->slots) : 0;
    if (c->expect_count > 0) {
        unsigned last = (c->expect_first + c->expect_count - 1U) % SMTP_CLIENT_EXPECT_MAX;
        struct smtp_expect *row = &c->expect[last];
        if (kind == SMTP_EXPECT_RCPT && row->kind == SMTP_EXPECT_RCPT && row->slot == slot) {
            row->count++;
            return;
        }
    }
    must(c->expect_count < SMTP_CLIENT_EXPECT_MAX);
    unsigned at = ((unsigned)c->expect_first + c->expect_count) % SMTP_CLIENT_EXPECT_MAX;
    c->expect[at] = (struct smtp_expect){(uint8_t)kind, slot, 1};
    c->expect_count++;
}

enum outcome_stage smtp_client_stage(const struct smtp_client *c)
{
    if (c->expect_count > 0) {
        return smtp_client_expect_stage((enum smtp_expect_kind)c->expect[c->expect_first].kind);
    }
    for (unsigned i = 0; i < SMTP_CLIENT_WINDOW_MAX; i++) {
        if (c->slots[i].state == SMTP_SLOT_BODY) {
            return OUTCOME_STAGE_BODY;
        }
    }
    if (c->state == SMTP_CLIENT_STARTTLS || c->state == SMTP_CLIENT_HANDSHAKE) {
        return OUTCOME_STAGE_STARTTLS;
    }
    if (c->state == SMTP_CLIENT_AUTH) {
        return OUTCOME_STAGE_AUTH;
    }
    return c->state == SMTP_CLIENT_INIT ? OUTCOME_STAGE_CONNECT : OUTCOME_STAGE_NONE;
}

/* --- endings --------------------------------------------------------------------------------- */

char *smtp_client_slot_text(struct smtp_client_slot *s)
{
    if (s->texts.cap == 0) {
        /* All at once: later texts must not move earlier ones. */
        (void)buf_reserve(&s->texts, (s->txn->rcpt_count + 2) * (size_t)LIMIT_OUTCOME_TEXT_BYTES);
    }
    return s->texts.cap - s->texts.len < LIMIT_OUTCOME_TEXT_BYTES ? NULL
                                                                  : s->texts.ptr + s->texts.len;
}

void smtp_client_slot_finish(struct smtp_client_slot *s, const struct outcome *o)
{
    must(o->kind != OUTCOME_NONE);
    for (uint32_t i = 0; i < s->txn->rcpt_count; i++) {
        struct smtp_client_rcpt *rcpt = &s->txn->rcpts[i];
        if (rcpt->outcome.kind == OUTCOME_NONE) {
            rcpt->outcome = *o;
            s->open--;
        }
    }
    must(s->open == 0);
}

void smtp_client_end(struct smtp_client *c, const struct outcome *why)
{
    must(c->state != SMTP_CLIENT_ENDED);
    must(why->kind == OUTCOME_TEMPORARY || c->slot_count == 0);
    /* Lost and silent say nothing about how it was sent: what was answered is an attempt. */
    bool again = c->closing || c->trouble == SMTP_TROUBLE_REPLIES ||
                 c->trouble == SMTP_TROUBLE_BDAT || c->trouble == SMTP_TROUBLE_PIPELINE;
    c->outcome = *why;
    outcome_copy_text(&c->outcome, c->outcome_text, sizeof(c->outcome_text));
    for (unsigned i = 0; i < c->slot_count; i++) {
        struct smtp_client_slot *s = smtp_client_slot_at(c, i);
        if (s->state == SMTP_SLOT_DONE) {
            continue;
        }
        struct outcome o = s->doubt && c->trouble != SMTP_TROUBLE_BDAT ? s->verdict : c->outcome;
        o.unknown = s->ended && !s->settled;
        if (o.unknown) {
            o.stage = s->bdat ? OUTCOME_STAGE_BDAT : OUTCOME_STAGE_FINAL_DOT;
        }
        s->txn->again = s->txn->again || again;
        smtp_client_slot_finish(s, &o);
        smtp_client_set_slot(s, SMTP_SLOT_DONE);
    }
    c->expect_count = 0;
    c->wants_plaintext = smtp_client_may_be_plain(c) &&
                         (c->state == SMTP_CLIENT_STARTTLS || c->state == SMTP_CLIENT_HANDSHAKE);
    smtp_client_auth_end(c);
    smtp_client_set_state(c, SMTP_CLIENT_ENDED);
}

void smtp_client_end_protocol(struct smtp_client *c, struct slice text)
{
    struct outcome o = outcome_local(OUTCOME_TEMPORARY, OUTCOME_CONNECTION, smtp_client_stage(c),
                                     (struct enhanced){4, 5, 0}, text);
    bool doubt = smtp_client_doubtful(c);
    smtp_client_note_trouble(c, doubt ? SMTP_TROUBLE_BDAT : SMTP_TROUBLE_REPLIES,
                             doubt ? SMTP_MODE_OVERLAPPED : c->mode);
    smtp_client_end(c, &o);
}

void smtp_client_fail(struct smtp_client *c, enum smtp_client_cause cause)
{
    static const struct {
        struct enhanced enhanced;
        struct slice text;
    } rows[] = {
        [SMTP_FAIL_EOF] = {{4, 4, 2}, SLICE_INIT("peer closed the connection")},
        [SMTP_FAIL_IO] = {{4, 4, 2}, SLICE_INIT("connection to peer lost")},
        [SMTP_FAIL_TIMEOUT] = {{4, 4, 2}, SLICE_INIT("peer did not answer in time")},
        [SMTP_FAIL_LOCAL] = {{4, 3, 0}, SLICE_INIT("transmission given up by this host")},
    };
    must((size_t)cause < ARRAY_COUNT(rows));
    if (c->state == SMTP_CLIENT_ENDED) {
        return;
    }
    bool in_order = c->state == SMTP_CLIENT_QUITTING;
    for (unsigned i = 0; i < c->slot_count; i++) {
        in_order = in_order && smtp_client_slot_at(c, i)->state == SMTP_SLOT_DONE;
    }
    if (in_order) { /* only the answer to QUIT was missing */
        c->expect_count = 0;
        smtp_client_set_state(c, SMTP_CLIENT_ENDED);
        return;
    }
    struct outcome o = outcome_local(OUTCOME_TEMPORARY, OUTCOME_CONNECTION, smtp_client_stage(c),
                                     rows[cause].enhanced, rows[cause].text);
    if (cause != SMTP_FAIL_LOCAL && smtp_client_doubtful(c)) {
        smtp_client_note_trouble(c, SMTP_TROUBLE_BDAT, SMTP_MODE_OVERLAPPED);
    } else if (cause != SMTP_FAIL_LOCAL) {
        smtp_client_note_trouble(c,
                                 cause == SMTP_FAIL_TIMEOUT ? SMTP_TROUBLE_SILENT
                                                            : SMTP_TROUBLE_LOST,
                                 smtp_client_mode_now(c));
    }
    smtp_client_end(c, &o);
    c->wants_plaintext = c->wants_plaintext && cause != SMTP_FAIL_LOCAL;
}

const struct outcome *smtp_client_outcome(const struct smtp_client *c)
{
    return &c->outcome;
}

/* --- transactions ---------------------------------------------------------------------------- */

/* What makes the whole message impossible here; NONE: nothing does. */
static struct outcome txn_check(const struct smtp_client *c, const struct smtp_client_txn *txn)
{
    bool utf8 = txn->flags & SMTP_TXN_SMTPUTF8;
    const struct {
        bool bad;
        struct enhanced enhanced;
        struct slice text;
    } rows[] = {
        {!smtp_envelope_address_ok(txn->sender, utf8) ||
             !smtp_envelope_value_ok(txn->envid, LIMIT_ENVID_BYTES, false),
         {5, 6, 0},
         SLICE("envelope cannot be written safely")},
        {utf8 && !c->caps.smtputf8,
         {5, 6, 7},
         SLICE("message needs SMTPUTF8, peer does not offer it")},
        {(txn->flags & SMTP_TXN_BODY_8BIT) && !c->caps.eightbitmime,
         {5, 6, 3},
         SLICE("message needs 8BITMIME, peer does not offer it")},
        {c->caps.size_max > 0 && txn->body_bytes > c->caps.size_max,
         {5, 3, 4},
         SLICE("message is larger than the peer accepts")},
        /* RFC 2852 4: who cannot keep the time must not get it. */
        {txn->by_mode == 'R' && !c->caps.deliverby,
         {5, 4, 7},
         SLICE("message is to be returned when its time is over, peer does not offer DELIVERBY")},
        {txn->by_mode == 'R' && txn->by_s < (int64_t)c->caps.by_min_s,
         {5, 4, 7},
         SLICE("less of the message's time is left than the peer accepts (DELIVERBY)")},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (rows[i].bad) {
            return outcome_local(OUTCOME_PERMANENT, OUTCOME_MESSAGE, OUTCOME_STAGE_MAIL,
                                 rows[i].enhanced, rows[i].text);
        }
    }
    return (struct outcome){.kind = OUTCOME_NONE};
}

/* before: recipients of this transaction that will be sent. */
static struct outcome rcpt_check(struct smtp_client *c, const struct smtp_client_txn *txn,
                                 const struct smtp_client_rcpt *rcpt, uint32_t before)
{
    bool utf8 = txn->flags & SMTP_TXN_SMTPUTF8;
    if (rcpt->address.len == 0 || !smtp_envelope_address_ok(rcpt->address, utf8) ||
        !smtp_envelope_value_ok(rcpt->orcpt, LIMIT_ORCPT_BYTES, utf8)) {
        return outcome_local(OUTCOME_PERMANENT, OUTCOME_RECIPIENT, OUTCOME_STAGE_RCPT,
                             (struct enhanced){5, 6, 0},
                             SLICE("envelope cannot be written safely"));
    }
    if (before >= smtp_client_rcpt_max(c)) {
        return outcome_local(OUTCOME_TEMPORARY, OUTCOME_RECIPIENT, OUTCOME_STAGE_RCPT,
                             (struct enhanced){4, 5, 3}, SLICE("peer limits recipients (RCPTMAX)"));
    }
    if (!smtp_client_take_domain(c, rcpt->address)) {
        return outcome_local(OUTCOME_TEMPORARY, OUTCOME_RECIPIENT, OUTCOME_STAGE_RCPT,
                             (struct enhanced){4, 5, 3},
                             SLICE("peer limits domains of recipients (RCPTDOMAINMAX)"));
    }
    return (struct outcome){.kind = OUTCOME_NONE};
}

void smtp_client_begin(struct smtp_client *c, struct smtp_client_txn *txn)
{
    must(smtp_client_can_begin(c));
    must(txn->rcpt_count >= 1 && txn->rcpt_count <= LIMIT_RECIPIENTS_PER_TRANSACTION);
    c->slot_count++;
    struct smtp_client_slot *s = smtp_client_slot_at(c, c->slot_count - 1U);
    must(s->state == SMTP_SLOT_FREE);
    struct buf texts = s->texts;
    *s = (struct smtp_client_slot){.state = SMTP_SLOT_FREE, .txn = txn, .texts = texts};
    if (texts.cap > TEXTS_KEPT_BYTES ||
        texts.cap < (txn->rcpt_count + 2) * (size_t)LIMIT_OUTCOME_TEXT_BYTES) {
        buf_release(&s->texts);
    }
    buf_clear(&s->texts);
    txn->answered = txn->again = false;
    struct outcome whole = txn_check(c, txn);
    for (uint32_t i = 0; i < txn->rcpt_count; i++) {
        struct smtp_client_rcpt *rcpt = &txn->rcpts[i];
        rcpt->sent = rcpt->accepted = false;
        rcpt->outcome = whole.kind != OUTCOME_NONE ? whole : rcpt_check(c, txn, rcpt, s->open);
        s->open += rcpt->outcome.kind == OUTCOME_NONE;
    }
    smtp_client_set_slot(s, SMTP_SLOT_PENDING);
    if (s->open == 0) {
        smtp_client_set_slot(s, SMTP_SLOT_DONE);
    }
}

struct smtp_client_txn *smtp_client_take(struct smtp_client *c)
{
    struct smtp_client_slot *s = smtp_client_slot_at(c, 0);
    must(s->state == SMTP_SLOT_DONE);
    smtp_client_set_slot(s, SMTP_SLOT_FREE);
    c->slot_first = (uint8_t)((c->slot_first + 1U) % SMTP_CLIENT_WINDOW_MAX);
    c->slot_count--;
    struct smtp_client_txn *txn = s->txn;
    s->txn = NULL;
    return txn;
}

void smtp_client_quit(struct smtp_client *c)
{
    must(c->state != SMTP_CLIENT_INIT);
    c->quit_wanted = true;
}

struct smtp_client_body smtp_client_body(const struct smtp_client *c)
{
    const struct smtp_client_slot *s = NULL;
    for (unsigned i = 0; i < SMTP_CLIENT_WINDOW_MAX; i++) {
        if (c->slots[i].state == SMTP_SLOT_BODY) {
            must(s == NULL);
            s = &c->slots[i];
        }
    }
    must(s && s->body_given);
    return (struct smtp_client_body){.txn = s->txn,
                                     .dot_stuff = !s->bdat &&
                                                  (s->txn->flags & SMTP_TXN_LEADING_DOT),
                                     .end_bytes = s->bdat ? 0 : 3};
}

bool smtp_client_body_is_next(struct smtp_client *c)
{
    unsigned i = 0;
    while (i < c->slot_count && smtp_client_slot_at(c, i)->state == SMTP_SLOT_DONE) {
        i++;
    }
    return i < c->slot_count && smtp_client_slot_at(c, i)->state == SMTP_SLOT_BODY;
}

/* --- the step -------------------------------------------------------------------------------- */

static void input_take(struct smtp_client *c, struct slice *in, struct buf *out)
{
    struct smtp_reply reply;
    bool starttls_is_out = c->state == SMTP_CLIENT_STARTTLS;
    /* A challenge is the driver's turn: what came behind it waits, however it was cut. */
    while (c->state != SMTP_CLIENT_ENDED && in->len > 0 && !c->auth.challenge_due) {
        if (c->state == SMTP_CLIENT_HANDSHAKE ||
            (c->state == SMTP_CLIENT_STARTTLS && !starttls_is_out)) {
            smtp_client_end_injected(c);
            return;
        }
        switch (smtp_reply_feed(&c->parser, in, &reply)) {
        case SMTP_REPLY_MORE:
            return;
        case SMTP_REPLY_DONE:
            c->replies++;
            smtp_client_answer(c, &reply);
            smtp_client_send(c, out);
            break;
        case SMTP_REPLY_BROKEN:
            smtp_client_end_protocol(c, smtp_reply_fault_text(c->parser.fault));
            break;
        }
    }
}

enum smtp_client_action smtp_client_step(struct smtp_client *c, struct slice *in, struct buf *out)
{
    must(c->state != SMTP_CLIENT_INIT);
    if (c->auth.line_due || c->hello_due) {
        smtp_client_send(c, out); /* what the driver's turn made due */
    }
    input_take(c, in, out);
    smtp_client_send(c, out);
    if (c->slot_count > 0 && smtp_client_slot_at(c, 0)->state == SMTP_SLOT_DONE) {
        return SMTP_CLIENT_TXN_DONE;
    }
    if (c->state == SMTP_CLIENT_ENDED) {
        must(c->slot_count == 0);
        *in = slice_skip(*in, in->len); /* what a peer says after its last word */
        return SMTP_CLIENT_CLOSED;
    }
    for (unsigned i = 0; i < c->slot_count; i++) {
        struct smtp_client_slot *s = smtp_client_slot_at(c, i);
        if (s->state == SMTP_SLOT_BODY && !s->body_given) {
            s->body_given = true;
            return SMTP_CLIENT_SEND_BODY;
        }
    }
    if (c->state == SMTP_CLIENT_HANDSHAKE && !c->tls_given) {
        c->tls_given = true;
        return SMTP_CLIENT_START_TLS;
    }
    if (c->auth.challenge_due && !c->auth.challenge_given) {
        c->auth.challenge_given = true;
        return SMTP_CLIENT_AUTH_CHALLENGE;
    }
    bool idle = c->expect_count == 0 && c->slot_count == 0;
    return idle && c->state == SMTP_CLIENT_SESSION ? SMTP_CLIENT_READY : SMTP_CLIENT_WANT_REPLY;
}
