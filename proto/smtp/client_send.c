/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What goes out, and when. One rule for both kinds of peer: without PIPELINING nothing is sent while
 * a reply is due, with it everything is sent up to the point where the next byte depends on a reply
 * (RFC 2920 3.1: DATA ends a group; a BDAT of known outcome needs no wait at all). Transactions go
 * out strictly in the order they were begun.
 */
#include "core/base/must.h"
#include "core/base/secret.h"
#include "proto/smtp/client_command.h"
#include "proto/smtp/client_private.h"

static bool may_send(const struct smtp_client *c)
{
    return c->expect_count == 0 || (c->config.pipelining && c->caps.pipelining);
}

static bool all_answered(const struct smtp_client *c, const struct smtp_client_slot *s)
{
    for (unsigned i = 0; i < c->expect_count; i++) {
        const struct smtp_expect *row = &c->expect[(c->expect_first + i) % SMTP_CLIENT_EXPECT_MAX];
        if ((row->kind == SMTP_EXPECT_MAIL || row->kind == SMTP_EXPECT_RCPT) &&
            &c->slots[row->slot] == s) {
            return false;
        }
    }
    return true;
}

static void send_hello(struct smtp_client *c, struct buf *out)
{
    bool ehlo = c->state == SMTP_CLIENT_EHLO;
    must(ehlo || c->state == SMTP_CLIENT_HELO);
    c->hello_due = false;
    buf_add(out, ehlo ? SLICE("EHLO ") : SLICE("HELO "));
    buf_add(out, c->config.helo_name);
    buf_add(out, SLICE("\r\n"));
    smtp_client_expect(c, ehlo ? SMTP_EXPECT_EHLO : SMTP_EXPECT_HELO, NULL);
}

/* An unanswered BDAT before this transaction may yet fail, and then only RSET clears the peer's
 * state (RFC 3030 4.2); without it MAIL would be refused for a reason that is not its own. */
static bool rset_due(const struct smtp_client *c)
{
    /* The first of all shows what its answer looks like. */
    bool first = c->config.check_order && c->config.chunking && c->caps.chunking &&
                 c->config.chunk_window > 1 && c->mails == 0;
    bool due = c->needs_rset || (first && c->config.pipelining && c->caps.pipelining);
    for (unsigned i = 0; i < SMTP_CLIENT_WINDOW_MAX; i++) {
        due = due || (c->slots[i].state == SMTP_SLOT_SENT && c->slots[i].bdat);
    }
    return due;
}

static void send_mail(struct smtp_client *c, struct smtp_client_slot *s, struct buf *out)
{
    s->bdat = c->config.chunking && c->caps.chunking;
    s->behind = smtp_client_is_behind(c);
    s->mail_sent = true;
    c->mails++;
    smtp_client_set_slot(s, SMTP_SLOT_OPEN);
    smtp_command_mail(out, s->txn, &c->caps);
    smtp_client_expect(c, SMTP_EXPECT_MAIL, s);
}

/* The next RCPT; false: all are out. */
static bool send_rcpt(struct smtp_client *c, struct smtp_client_slot *s, struct buf *out)
{
    while (s->rcpt_sent < s->txn->rcpt_count) {
        struct smtp_client_rcpt *rcpt = &s->txn->rcpts[s->rcpt_sent++];
        if (rcpt->outcome.kind == OUTCOME_NONE) {
            rcpt->sent = true;
            smtp_command_rcpt(out, s->txn, rcpt, &c->caps);
            smtp_client_expect(c, SMTP_EXPECT_RCPT, s);
            return true;
        }
    }
    return false;
}

/* DATA, or BDAT with its size. False: a big BDAT waits for the RCPT answers. */
static bool send_go(struct smtp_client *c, struct smtp_client_slot *s, struct buf *out)
{
    if (!s->bdat) {
        buf_add(out, SLICE("DATA\r\n"));
        smtp_client_expect(c, SMTP_EXPECT_DATA, s);
        s->go_sent = true;
        return true;
    }
    if (s->txn->body_bytes > SMTP_CLIENT_BDAT_EAGER_BYTES && !all_answered(c, s)) {
        return false;
    }
    buf_add(out, SLICE("BDAT "));
    buf_add_u64(out, s->txn->body_bytes);
    buf_add(out, SLICE(" LAST\r\n"));
    smtp_client_expect(c, SMTP_EXPECT_BDAT, s);
    s->go_sent = true;
    smtp_client_set_slot(s, SMTP_SLOT_BODY);
    return true;
}

/* One command of a transaction. False: none can go out now. */
static bool slot_send_one(struct smtp_client *c, struct smtp_client_slot *s, struct buf *out)
{
    if (s->lone_dot) {
        /* RFC 2920 3.1: 354 with no valid recipient must be answered by a lone dot. */
        s->lone_dot = false;
        buf_add(out, SLICE(".\r\n"));
        smtp_client_expect(c, SMTP_EXPECT_END, s);
        smtp_client_set_slot(s, SMTP_SLOT_SENT);
        return true;
    }
    if (s->go_sent) {
        return false;
    }
    if (!s->mail_sent) {
        if (rset_due(c)) {
            c->needs_rset = false;
            buf_add(out, SLICE("RSET\r\n"));
            smtp_client_expect(c, SMTP_EXPECT_RSET, s);
            if (!may_send(c)) {
                return true;
            }
        }
        send_mail(c, s, out);
        return true;
    }
    if (s->open == 0) { /* all refused before DATA went out: drop the transaction */
        if (!all_answered(c, s)) {
            return false;
        }
        c->needs_rset = c->needs_rset || s->mail_ok;
        smtp_client_set_slot(s, SMTP_SLOT_DONE);
        return true;
    }
    return send_rcpt(c, s, out) || send_go(c, s, out);
}

/* The transaction whose turn it is; NULL: none, or a body is on its way. */
static struct smtp_client_slot *slot_turn(struct smtp_client *c)
{
    for (unsigned i = 0; i < c->slot_count; i++) {
        struct smtp_client_slot *s = smtp_client_slot_at(c, i);
        switch (s->state) {
        case SMTP_SLOT_FREE:
        case SMTP_SLOT_SENT:
        case SMTP_SLOT_DONE:
            break;
        case SMTP_SLOT_PENDING:
        case SMTP_SLOT_OPEN:
            return s;
        case SMTP_SLOT_BODY:
            return NULL;
        }
    }
    return NULL;
}

static bool body_underway(struct smtp_client *c)
{
    for (unsigned i = 0; i < c->slot_count; i++) {
        if (smtp_client_slot_at(c, i)->state == SMTP_SLOT_BODY) {
            return true;
        }
    }
    return false;
}

/* Nothing else goes out until it is known whether the peer took the last message for commands. */
static bool send_doubt(struct smtp_client *c, struct buf *out)
{
    struct smtp_client_slot *s = smtp_client_doubtful(c);
    if (s && !c->doubt_asked && may_send(c)) {
        c->doubt_asked = true;
        buf_add(out, SLICE("RSET\r\n"));
        smtp_client_expect(c, SMTP_EXPECT_RSET, s);
    }
    return s != NULL;
}

static void send_session(struct smtp_client *c, struct buf *out)
{
    if (send_doubt(c, out)) {
        return;
    }
    struct smtp_client_slot *s = slot_turn(c);
    while (s && may_send(c) && slot_send_one(c, s, out)) {
        s = slot_turn(c);
    }
    if (c->caps.limit_mail > 0 && c->mails >= c->caps.limit_mail && c->slot_count == 0) {
        c->quit_wanted = true; /* LIMITS MAILMAX: nothing more can be sent here */
    }
    if (c->quit_wanted && !s && !body_underway(c) && may_send(c)) {
        buf_add(out, SLICE("QUIT\r\n"));
        smtp_client_expect(c, SMTP_EXPECT_QUIT, NULL);
        smtp_client_set_state(c, SMTP_CLIENT_QUITTING);
    }
}

void smtp_client_send(struct smtp_client *c, struct buf *out)
{
    size_t before = out->len;
    bool stale = c->expect_count == 0 && smtp_reply_partial(&c->parser);
    if (c->hello_due) {
        send_hello(c, out);
    } else if (c->starttls_due) {
        smtp_client_send_starttls(c, out);
    } else if (c->auth.line_due) {
        smtp_client_send_auth(c, out);
    } else if (c->state == SMTP_CLIENT_SESSION) {
        send_session(c, out);
    }
    if (out->overflow && c->state != SMTP_CLIENT_ENDED) {
        struct outcome o = outcome_local(OUTCOME_TEMPORARY, OUTCOME_CONNECTION,
                                         smtp_client_stage(c), (struct enhanced){4, 3, 0},
                                         SLICE("no memory for commands"));
        smtp_client_end(c, &o);
    } else if (stale && out->len > before) {
        /* Part of a reply came before the command: it would be taken for its answer. */
        secret_wipe(out->ptr + before, out->len - before);
        out->len = before;
        smtp_client_end_protocol(c, SLICE("peer sent a reply that answers nothing"));
    } else if (out->len > before) {
        smtp_client_note_mode(c);
    }
}

bool smtp_client_body_end(struct smtp_client *c, struct buf *out)
{
    struct smtp_client_slot *s = NULL;
    for (unsigned i = 0; i < c->slot_count; i++) {
        struct smtp_client_slot *at = smtp_client_slot_at(c, i);
        s = at->state == SMTP_SLOT_BODY ? at : s;
    }
    if (!s) {
        must(c->state == SMTP_CLIENT_ENDED);
        return false;
    }
    must(s->body_given && !s->ended);
    if (c->expect_count == 0 && smtp_reply_partial(&c->parser)) {
        smtp_client_end_protocol(c, SLICE("peer sent a reply that answers nothing"));
        return false;
    }
    if (!s->bdat) {
        if ((s->txn->flags & SMTP_TXN_NO_FINAL_CRLF) && s->txn->body_bytes > 0) {
            buf_add(out, SLICE("\r\n"));
        }
        buf_add(out, SLICE(".\r\n"));
        smtp_client_expect(c, SMTP_EXPECT_END, s);
    }
    s->ended = true;
    smtp_client_set_slot(s, SMTP_SLOT_SENT);
    if (s->settled) { /* BDAT was refused while its body was on the way */
        smtp_client_set_slot(s, SMTP_SLOT_DONE);
    }
    smtp_client_send(c, out);
    return c->state != SMTP_CLIENT_ENDED;
}
