/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a reply means. One row per kind of expected reply: the stage it belongs to, the code classes
 * that make sense, the function that draws the conclusion. Codes that make no sense (354 to RCPT,
 * 250 to DATA) end the connection: from there on nobody knows which reply answers what.
 *
 * 421 is special everywhere: the peer closes (RFC 5321 3.8). As the answer to a command it is that
 * command's definite temporary answer; whatever was still unanswered ends as temporary, and as
 * unknown where the end of the message was already out.
 */
#include "core/base/must.h"
#include "proto/smtp/client_private.h"

enum {
    CLASS_2 = 1,
    CLASS_354 = 2,
    CLASS_4 = 4,
    CLASS_5 = 8,
    CLASS_334 = 16,
    CLASS_FINAL = CLASS_2 | CLASS_4 | CLASS_5,
};

static bool names_tls(struct slice text)
{
    for (; text.len; text = slice_skip(text, 1)) {
        if (slice_starts_nocase(text, SLICE("TLS"))) {
            return true;
        }
    }
    return false;
}

/* See the top of client.h. */
static enum outcome_wants wants_of(const struct smtp_client *c, const struct smtp_reply *r)
{
    bool tls = !c->tls && (r->code == 538 || (r->code == 530 && names_tls(r->text)));
    bool login = r->code == 530 || r->code == 534 || r->code == 535 || r->code == 538;
    if (tls && (c->config.relay || r->code == 530)) {
        return OUTCOME_WANTS_TLS;
    }
    return login && c->config.relay ? OUTCOME_WANTS_LOGIN : OUTCOME_WANTS_NOTHING;
}

/* The reply as this slot's outcome, its text kept with the slot. */
static struct outcome slot_outcome(const struct smtp_client *c, struct smtp_client_slot *s,
                                   const struct smtp_reply *r, enum outcome_scope scope,
                                   enum outcome_stage stage)
{
    char scratch[LIMIT_OUTCOME_TEXT_BYTES];
    must(s != NULL);
    scope = c->hint == SMTP_HINT_FULL ? OUTCOME_CONNECTION : scope;
    char *dst = smtp_client_slot_text(s);
    struct outcome o = smtp_reply_outcome(r, scope, stage, dst ? dst : scratch,
                                          LIMIT_OUTCOME_TEXT_BYTES);
    if (dst) {
        s->texts.len += o.text.len;
    } else {
        o.text = SLICE("");
    }
    o.wants = wants_of(c, r);
    if (o.wants != OUTCOME_WANTS_NOTHING) {
        o.kind = OUTCOME_TEMPORARY;
        o.enhanced.cls = 4;
    }
    return o;
}

void smtp_client_end_by_reply(struct smtp_client *c, const struct smtp_reply *r,
                              enum outcome_stage stage, enum outcome_kind kind)
{
    char text[LIMIT_OUTCOME_TEXT_BYTES];
    struct outcome o = smtp_reply_outcome(r, OUTCOME_CONNECTION, stage, text, sizeof(text));
    o.kind = kind;
    bool login = stage == OUTCOME_STAGE_AUTH && r->code / 100 == 5;
    o.wants = login ? OUTCOME_WANTS_LOGIN : OUTCOME_WANTS_NOTHING;
    smtp_client_end(c, &o);
}

void smtp_client_end_by_trouble(struct smtp_client *c, const struct smtp_reply *r,
                                enum outcome_stage stage, enum smtp_client_trouble trouble)
{
    enum smtp_client_mode mode = trouble == SMTP_TROUBLE_BDAT ? SMTP_MODE_OVERLAPPED : c->mode;
    smtp_client_note_trouble(c, trouble, mode);
    smtp_client_note_lesson(c, r);
    smtp_client_end_by_reply(c, r, stage, OUTCOME_TEMPORARY);
}

/* It breaks the protocol. */
static void end_by_misfit(struct smtp_client *c, const struct smtp_reply *r, struct slice text)
{
    smtp_client_note_lesson(c, r);
    smtp_client_end_protocol(c, text);
}

static bool positive(const struct smtp_reply *r)
{
    return r->code / 100 == 2;
}

static void answer_greeting(struct smtp_client *c, struct smtp_client_slot *s,
                            const struct smtp_reply *r)
{
    (void)s;
    if (!positive(r)) {
        smtp_client_end_by_reply(c, r, OUTCOME_STAGE_BANNER, outcome_kind_of_code(r->code));
        return;
    }
    smtp_client_set_state(c, SMTP_CLIENT_EHLO);
    c->hello_due = true;
}

static void answer_ehlo(struct smtp_client *c, struct smtp_client_slot *s,
                        const struct smtp_reply *r)
{
    (void)s;
    if (positive(r)) {
        smtp_caps_parse(&c->caps, r->text);
        smtp_client_settle(c);
    } else if (r->code / 100 == 5) { /* RFC 5321 3.2: an old server, try HELO */
        smtp_client_set_state(c, SMTP_CLIENT_HELO);
        c->hello_due = true;
    } else {
        smtp_client_end_by_reply(c, r, OUTCOME_STAGE_EHLO, OUTCOME_TEMPORARY);
    }
}

static void answer_helo(struct smtp_client *c, struct smtp_client_slot *s,
                        const struct smtp_reply *r)
{
    (void)s;
    if (!positive(r)) {
        smtp_client_end_by_reply(c, r, OUTCOME_STAGE_EHLO, outcome_kind_of_code(r->code));
        return;
    }
    smtp_client_settle(c);
}

static void answer_rset(struct smtp_client *c, struct smtp_client_slot *s,
                        const struct smtp_reply *r)
{
    struct smtp_client_slot *doubtful = smtp_client_doubtful(c);
    bool first = c->config.check_order && c->rset_shape == 0 && s->bdat && !doubtful;
    c->rset_shape = c->rset_shape ? c->rset_shape : smtp_client_shape(r);
    if (!positive(r) && first) {
        c->indistinct =
            true; /* ahead of everything nothing hangs on it; MAIL will say what is wrong */
    } else if (!positive(r)) {
        smtp_client_end_by_trouble(c, r, OUTCOME_STAGE_RSET,
                                   doubtful ? SMTP_TROUBLE_BDAT : SMTP_TROUBLE_REPLIES);
    } else if (doubtful) {
        doubtful->doubt = c->doubt_asked = false;
        smtp_client_slot_finish(doubtful, &doubtful->verdict);
        smtp_client_set_slot(doubtful, SMTP_SLOT_DONE);
    }
}

static void answer_mail(struct smtp_client *c, struct smtp_client_slot *s,
                        const struct smtp_reply *r)
{
    if (positive(r)) {
        s->mail_ok = true;
        c->mail_shape = c->mail_shape ? c->mail_shape : smtp_client_shape(r);
    } else if (r->code == 503) {
        /* "Bad sequence" to MAIL: the peer's idea of the session differs from ours. That is no
         * verdict about this message, so it must not bounce it. */
        s->settled = true;
        smtp_client_end_by_trouble(c, r, OUTCOME_STAGE_MAIL, SMTP_TROUBLE_REPLIES);
    } else {
        struct outcome o = slot_outcome(c, s, r, OUTCOME_MESSAGE, OUTCOME_STAGE_MAIL);
        smtp_client_slot_finish(s, &o);
    }
}

/* RFC 5321 4.5.3.1.10: 552 to RCPT, said for "too many recipients", is to be taken as 452. It is
 * that only if others were accepted before, and not when its enhanced code says otherwise. */
static bool too_many_recipients(const struct smtp_client_slot *s, const struct smtp_reply *r)
{
    if (r->code != 552) {
        return false;
    }
    if (r->enhanced.cls != 0) {
        return r->enhanced.subject == 5 && r->enhanced.detail == 3;
    }
    return s->accepted > 0;
}

/* 503 though the commands before were accepted: as with MAIL, but only if it may be the fault of sending
 * ahead. One command at a time it is the peer's last word. */
static bool out_of_sequence(const struct smtp_client *c, const struct smtp_reply *r)
{
    return r->code == 503 && c->mode != SMTP_MODE_STEPWISE;
}

static void answer_rcpt(struct smtp_client *c, struct smtp_client_slot *s,
                        const struct smtp_reply *r)
{
    while (s->rcpt_answered < s->txn->rcpt_count && !s->txn->rcpts[s->rcpt_answered].sent) {
        s->rcpt_answered++;
    }
    must(s->rcpt_answered < s->rcpt_sent);
    struct smtp_client_rcpt *rcpt = &s->txn->rcpts[s->rcpt_answered++];
    if (rcpt->outcome.kind != OUTCOME_NONE) {
        return; /* MAIL was refused, this is its echo */
    }
    if (positive(r)) {
        rcpt->accepted = true;
        s->accepted++;
        return;
    }
    bool ahead = c->hint == SMTP_HINT_PIPELINING;
    if (ahead || out_of_sequence(c, r)) {
        /* Of this recipient it is certain that nothing was taken for him. */
        rcpt->outcome = slot_outcome(c, s, r, OUTCOME_CONNECTION, OUTCOME_STAGE_RCPT);
        rcpt->outcome.kind = OUTCOME_TEMPORARY;
        s->open--;
        smtp_client_end_by_trouble(c, r, OUTCOME_STAGE_RCPT,
                                   ahead ? SMTP_TROUBLE_PIPELINE : SMTP_TROUBLE_REPLIES);
        return;
    }
    rcpt->outcome = slot_outcome(c, s, r, OUTCOME_RECIPIENT, OUTCOME_STAGE_RCPT);
    s->open--;
    if (too_many_recipients(s, r)) {
        rcpt->outcome.kind = OUTCOME_TEMPORARY;
        rcpt->outcome.enhanced = (struct enhanced){4, 5, 3};
    }
}

static void answer_data(struct smtp_client *c, struct smtp_client_slot *s,
                        const struct smtp_reply *r)
{
    if (r->code == 354) {
        if (s->accepted > 0) {
            smtp_client_set_slot(s, SMTP_SLOT_BODY);
        } else {
            s->lone_dot = true;
        }
        return;
    }
    if (s->accepted > 0 && out_of_sequence(c, r)) {
        smtp_client_end_by_trouble(c, r, OUTCOME_STAGE_DATA, SMTP_TROUBLE_REPLIES);
        return;
    }
    struct outcome o = slot_outcome(c, s, r, OUTCOME_MESSAGE, OUTCOME_STAGE_DATA);
    smtp_client_slot_finish(s, &o);
    s->settled = true;
    c->needs_rset = true;
    smtp_client_set_slot(s, SMTP_SLOT_DONE);
}

/* Does it not know the command, and takes the body for more of them? Or is that a verdict? */
static bool may_be_unknown(const struct smtp_client *c, const struct smtp_client_slot *s,
                           const struct smtp_reply *r)
{
    return s->accepted > 0 && !c->chunks_known && r->code >= 500 && r->code <= 504;
}

static void answer_bdat(struct smtp_client *c, struct smtp_client_slot *s,
                        const struct smtp_reply *r)
{
    if (positive(r) && !s->ended) {
        end_by_misfit(c, r, SLICE("peer accepted a message before its end"));
        return;
    }
    if (s->ended && may_be_unknown(c, s, r) && !smtp_client_doubtful(c)) {
        const struct smtp_expect *next = &c->expect[c->expect_first];
        s->verdict = slot_outcome(c, s, r, OUTCOME_MESSAGE, OUTCOME_STAGE_BDAT);
        smtp_client_note_lesson(c, r);
        s->doubt = s->settled = true;
        c->doubt_asked = c->expect_count > 0 && next->kind == SMTP_EXPECT_RSET;
        return;
    }
    if (smtp_client_is_shifted(c, s, r)) {
        end_by_misfit(c, r, SLICE("peer's replies are out of step"));
        return;
    }
    struct outcome o = slot_outcome(c, s, r, OUTCOME_MESSAGE, OUTCOME_STAGE_BDAT);
    smtp_client_slot_finish(s, &o);
    s->settled = true;
    c->needs_rset = c->needs_rset || !positive(r);
    if (positive(r)) {
        c->chunks_known = true;
        smtp_client_note_served(c, s, r);
    }
    if (s->ended) {
        smtp_client_set_slot(s, SMTP_SLOT_DONE);
    } /* else: the announced bytes must still be sent; body_end finishes it */
}

static void answer_end(struct smtp_client *c, struct smtp_client_slot *s,
                       const struct smtp_reply *r)
{
    bool lone = s->accepted == 0;
    must(s->state == SMTP_SLOT_SENT && s->ended == !lone);
    if (smtp_client_is_shifted(c, s, r)) {
        end_by_misfit(c, r, SLICE("peer's replies are out of step"));
        return;
    }
    if (!lone) {
        struct outcome o = slot_outcome(c, s, r, OUTCOME_MESSAGE, OUTCOME_STAGE_FINAL_DOT);
        smtp_client_slot_finish(s, &o);
        if (positive(r)) {
            smtp_client_note_served(c, s, r);
        }
    }
    /* The end of data clears the peer's state whatever the answer (RFC 5321 4.1.1.4); not all
     * peers know, and RSET costs nothing in the next group. */
    c->needs_rset = c->needs_rset || !positive(r) || lone;
    s->settled = true;
    smtp_client_set_slot(s, SMTP_SLOT_DONE);
}

static void answer_quit(struct smtp_client *c, struct smtp_client_slot *s,
                        const struct smtp_reply *r)
{
    (void)s;
    (void)r;
    c->expect_count = 0;
    smtp_client_set_state(c, SMTP_CLIENT_ENDED);
}

static const struct {
    enum outcome_stage stage;
    unsigned classes;
    bool has_slot;
    void (*answer)(struct smtp_client *c, struct smtp_client_slot *s, const struct smtp_reply *r);
} rows[] = {
    [SMTP_EXPECT_GREETING] = {OUTCOME_STAGE_BANNER, CLASS_FINAL, false, answer_greeting},
    [SMTP_EXPECT_EHLO] = {OUTCOME_STAGE_EHLO, CLASS_FINAL, false, answer_ehlo},
    [SMTP_EXPECT_HELO] = {OUTCOME_STAGE_EHLO, CLASS_FINAL, false, answer_helo},
    [SMTP_EXPECT_STARTTLS] = {OUTCOME_STAGE_STARTTLS, CLASS_FINAL, false,
                              smtp_client_answer_starttls},
    [SMTP_EXPECT_AUTH] = {OUTCOME_STAGE_AUTH, CLASS_FINAL | CLASS_334, false,
                          smtp_client_answer_auth},
    [SMTP_EXPECT_RSET] = {OUTCOME_STAGE_RSET, CLASS_FINAL, true, answer_rset},
    [SMTP_EXPECT_MAIL] = {OUTCOME_STAGE_MAIL, CLASS_FINAL, true, answer_mail},
    [SMTP_EXPECT_RCPT] = {OUTCOME_STAGE_RCPT, CLASS_FINAL, true, answer_rcpt},
    [SMTP_EXPECT_DATA] = {OUTCOME_STAGE_DATA, CLASS_354 | CLASS_4 | CLASS_5, true, answer_data},
    [SMTP_EXPECT_BDAT] = {OUTCOME_STAGE_BDAT, CLASS_FINAL, true, answer_bdat},
    [SMTP_EXPECT_END] = {OUTCOME_STAGE_FINAL_DOT, CLASS_FINAL, true, answer_end},
    [SMTP_EXPECT_QUIT] = {OUTCOME_STAGE_QUIT, CLASS_FINAL, false, answer_quit},
};

enum outcome_stage smtp_client_expect_stage(enum smtp_expect_kind kind)
{
    must((size_t)kind < ARRAY_COUNT(rows));
    return rows[kind].stage;
}

static unsigned code_class(uint16_t code)
{
    switch (code / 100) {
    case 2:
        return CLASS_2;
    case 3:
        return code == 354 ? CLASS_354 : code == 334 ? CLASS_334 : 0;
    case 4:
        return CLASS_4;
    default:
        return CLASS_5;
    }
}

/* A reply nothing was sent for. */
static void answer_unexpected(struct smtp_client *c, const struct smtp_reply *r)
{
    bool negative = r->code / 100 >= 4;
    for (unsigned i = 0; negative && i < c->slot_count; i++) {
        struct smtp_client_slot *s = smtp_client_slot_at(c, i);
        if (s->state == SMTP_SLOT_BODY) {
            /* Some peers refuse in the middle of the body and close. All earlier commands are
             * answered, so it can only mean this message, and it is definite (P3). */
            struct outcome o = slot_outcome(c, s, r,
                                            r->code == 421 ? OUTCOME_CONNECTION : OUTCOME_MESSAGE,
                                            OUTCOME_STAGE_BODY);
            smtp_client_slot_finish(s, &o);
            smtp_client_end_by_reply(c, r, OUTCOME_STAGE_BODY, OUTCOME_TEMPORARY);
            return;
        }
    }
    if (r->code == 421) {
        bool full = c->full == 0 && smtp_hint_of(r->code, r->text) == SMTP_HINT_FULL;
        c->full = full ? c->served : c->full;
        smtp_client_note_lesson(c, r);
        smtp_client_end_by_reply(c, r, OUTCOME_STAGE_NONE, OUTCOME_TEMPORARY);
    } else {
        end_by_misfit(c, r, SLICE("peer sent a reply that answers nothing"));
    }
}

/* A negative answer to it leaves no doubt that the message was not taken, wherever its end is by now. */
static bool is_verdict(enum smtp_expect_kind kind)
{
    return kind == SMTP_EXPECT_MAIL || kind == SMTP_EXPECT_BDAT || kind == SMTP_EXPECT_END;
}

/* 421 as the answer to a command: see the top of this file. */
static void answer_closing(struct smtp_client *c, enum smtp_expect_kind kind,
                           struct smtp_client_slot *s, const struct smtp_reply *r)
{
    if (kind == SMTP_EXPECT_QUIT) {
        answer_quit(c, NULL, r);
        return;
    }
    bool end = kind == SMTP_EXPECT_END || kind == SMTP_EXPECT_BDAT;
    if (is_verdict(kind)) {
        must(s != NULL);
        s->settled = true;
    }
    c->closing = c->served > 0 && (!end || c->hint == SMTP_HINT_FULL);
    smtp_client_end_by_reply(c, r, rows[kind].stage, OUTCOME_TEMPORARY);
}

/* What the reply says of the connection. False: it was the end of it. */
static bool answer_hint(struct smtp_client *c, enum smtp_expect_kind kind,
                        struct smtp_client_slot *s, const struct smtp_reply *r)
{
    c->hint = s ? smtp_hint_of(r->code, r->text) : SMTP_HINT_NONE;
    if (c->hint == SMTP_HINT_FULL && c->served == 0) {
        c->hint = SMTP_HINT_NONE; /* on any connection: that is a rate, and of the mail's concern */
    }
    switch (c->hint) {
    case SMTP_HINT_NONE:
        return true;
    case SMTP_HINT_FULL:
        c->full = c->full ? c->full : c->served;
        smtp_client_note_lesson(c, r);
        c->quit_wanted = true;
        s->txn->again = true;
        if (r->code == 421) {
            smtp_client_settle_rest(c);
        }
        return true;
    case SMTP_HINT_PIPELINING:
        if (c->mode == SMTP_MODE_STEPWISE) {
            c->hint = SMTP_HINT_NONE;
            return true;
        }
        if (kind == SMTP_EXPECT_RCPT) {
            return true; /* answer_rcpt: the recipient comes first */
        }
        s->settled = s->settled || is_verdict(kind);
        smtp_client_end_by_trouble(c, r, rows[kind].stage, SMTP_TROUBLE_PIPELINE);
        return false;
    }
    return true;
}

void smtp_client_answer(struct smtp_client *c, const struct smtp_reply *r)
{
    if (c->expect_count == 0) {
        answer_unexpected(c, r);
        return;
    }
    struct smtp_expect *row = &c->expect[c->expect_first];
    enum smtp_expect_kind kind = (enum smtp_expect_kind)row->kind;
    struct smtp_client_slot *s = rows[kind].has_slot ? &c->slots[row->slot] : NULL;
    if (s) {
        must(s->state != SMTP_SLOT_FREE && s->state != SMTP_SLOT_DONE);
        s->txn->answered = s->txn->answered || kind != SMTP_EXPECT_RSET;
    }
    if (!(code_class(r->code) & rows[kind].classes)) {
        end_by_misfit(c, r, SLICE("peer sent a reply that does not fit the command"));
        return;
    }
    if (!answer_hint(c, kind, s, r)) {
        return;
    }
    if (r->code == 421 && c->hint != SMTP_HINT_PIPELINING) {
        answer_closing(c, kind, s, r);
        return;
    }
    must(row->count > 0);
    if (--row->count == 0) {
        c->expect_first = (uint8_t)((c->expect_first + 1U) % SMTP_CLIENT_EXPECT_MAX);
        c->expect_count--;
    }
    rows[kind].answer(c, s, r);
    if (c->hint == SMTP_HINT_FULL && c->state == SMTP_CLIENT_SESSION) {
        struct outcome o = slot_outcome(c, s, r, OUTCOME_CONNECTION, rows[kind].stage);
        smtp_client_drop_pending(c, &o);
    }
}
