/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * STARTTLS and AUTH of the client: what happens between EHLO and the first MAIL.
 *
 *   EHLO ──► STARTTLS ──220──► HANDSHAKE ──tls_started──► EHLO, nothing known of the peer
 *     └────► AUTH ──334, answer, ...──235──► SESSION
 *   tls_implicit: HANDSHAKE ──tls_started──► GREETING
 *
 * A mechanism is chosen among those that the peer offers, the configuration allows and the line is
 * safe for: what shows the secret goes over TLS only, unless auth_without_tls. Under TLS the plain
 * ones come first: one round trip, and no need for the peer to keep the password in clear. Failing
 * is always temporary and of the connection: that our credentials are wrong must bounce no mail.
 */
#include "core/base/base64.h"
#include "core/base/must.h"
#include "core/base/secret.h"
#include "proto/smtp/client_private.h"

enum { COMMAND_BYTES_MAX = 512 }; /* RFC 4954 4: a longer one has no initial response */

static void end_local(struct smtp_client *c, enum outcome_stage stage, struct enhanced enhanced,
                      struct slice text)
{
    struct outcome o = outcome_local(OUTCOME_TEMPORARY, OUTCOME_CONNECTION, stage, enhanced, text);
    smtp_client_end(c, &o);
}

/* ---- STARTTLS ---- */

void smtp_client_send_starttls(struct smtp_client *c, struct buf *out)
{
    must(c->state == SMTP_CLIENT_STARTTLS && c->expect_count == 0);
    c->starttls_due = false;
    buf_add(out, SLICE("STARTTLS\r\n"));
    smtp_client_expect(c, SMTP_EXPECT_STARTTLS, NULL);
}

void smtp_client_answer_starttls(struct smtp_client *c, struct smtp_client_slot *s,
                                 const struct smtp_reply *r)
{
    must(s == NULL && c->state == SMTP_CLIENT_STARTTLS);
    if (r->code == 220) {
        smtp_client_set_state(c, SMTP_CLIENT_HANDSHAKE);
    } else if (r->code / 100 == 2) {
        smtp_client_end_protocol(c, SLICE("peer sent a reply that does not fit the command"));
    } else {
        smtp_client_end_by_reply(c, r, OUTCOME_STAGE_STARTTLS, OUTCOME_TEMPORARY);
    }
}

/* Bytes behind the 220, or ahead of it: an answer to a STARTTLS that has not been said yet. Not
 * wants_plaintext: somebody is at work on this line. */
void smtp_client_end_injected(struct smtp_client *c)
{
    must(c->state == SMTP_CLIENT_HANDSHAKE || c->state == SMTP_CLIENT_STARTTLS);
    end_local(c, OUTCOME_STAGE_STARTTLS, (struct enhanced){4, 7, 0},
              SLICE("peer sent data before the TLS handshake"));
    c->wants_plaintext = false;
}

void smtp_client_tls_started(struct smtp_client *c, bool verified)
{
    must(!c->tls && c->state == SMTP_CLIENT_HANDSHAKE && c->tls_given);
    must(c->expect_count == 0 && !smtp_reply_partial(&c->parser));
    if (c->config.tls == SMTP_TLS_VERIFY && !verified) {
        smtp_client_tls_failed(c, SLICE("certificate of the peer is not trusted"));
        return;
    }
    c->tls = true;
    c->caps = (struct smtp_caps){0};
    if (c->config.tls_implicit) {
        smtp_client_await_greeting(c);
    } else {
        smtp_client_set_state(c, SMTP_CLIENT_EHLO);
        c->hello_due = true;
    }
}

bool smtp_client_may_be_plain(const struct smtp_client *c)
{
    return c->config.tls == SMTP_TLS_MAY && !c->config.tls_implicit;
}

bool smtp_client_tls_is_new(const struct smtp_client *c)
{
    enum smtp_client_state first = c->config.tls_implicit ? SMTP_CLIENT_GREETING : SMTP_CLIENT_EHLO;
    return c->tls && c->state == first && !smtp_reply_partial(&c->parser);
}

void smtp_client_tls_failed(struct smtp_client *c, struct slice why)
{
    must((c->state == SMTP_CLIENT_HANDSHAKE && c->tls_given) || smtp_client_tls_is_new(c));
    end_local(c, OUTCOME_STAGE_STARTTLS, (struct enhanced){4, 7, 5}, why);
    c->wants_plaintext = smtp_client_may_be_plain(c);
}

bool smtp_client_wants_plaintext(const struct smtp_client *c)
{
    return c->wants_plaintext;
}

/* ---- AUTH ---- */

static enum smtp_auth_mechanism auth_choose(const struct smtp_client *c)
{
    static const enum smtp_auth_mechanism orders[2][4] = {
        {SMTP_AUTH_CRAM_MD5, SMTP_AUTH_XOAUTH2, SMTP_AUTH_PLAIN, SMTP_AUTH_LOGIN},
        {SMTP_AUTH_XOAUTH2, SMTP_AUTH_PLAIN, SMTP_AUTH_LOGIN, SMTP_AUTH_CRAM_MD5},
    };
    uint32_t usable = c->caps.auth_mechanisms & c->config.auth_mechanisms & ~c->auth.refused;
    if (!c->tls && !c->config.auth_without_tls) {
        usable &= ~(uint32_t)SMTP_AUTH_CLEARTEXT;
    }
    for (size_t i = 0; i < ARRAY_COUNT(orders[0]); i++) {
        if (usable & orders[c->tls][i]) {
            return orders[c->tls][i];
        }
    }
    return SMTP_AUTH_NONE;
}

/* Begins with the best mechanism that is left; false: there is none. */
static bool auth_begin(struct smtp_client *c)
{
    c->auth.mechanism = auth_choose(c);
    c->auth.begun = false;
    c->auth.line_due = c->auth.mechanism != SMTP_AUTH_NONE;
    return c->auth.line_due;
}

void smtp_client_settle(struct smtp_client *c)
{
    bool may_go_on = c->tls || c->config.tls == SMTP_TLS_NONE || c->config.tls == SMTP_TLS_MAY;
    must(c->state == SMTP_CLIENT_EHLO || c->state == SMTP_CLIENT_HELO);
    if (!c->tls && c->config.tls != SMTP_TLS_NONE && c->caps.starttls) {
        smtp_client_set_state(c, SMTP_CLIENT_STARTTLS);
        c->starttls_due = true;
    } else if (!may_go_on) {
        end_local(c, OUTCOME_STAGE_STARTTLS, (struct enhanced){4, 7, 4},
                  SLICE("peer does not offer STARTTLS"));
    } else if (c->config.auth_user.len == 0 || (!c->caps.auth && c->config.auth_optional)) {
        smtp_client_set_state(c, SMTP_CLIENT_SESSION);
    } else if (!c->caps.auth) {
        end_local(c, OUTCOME_STAGE_AUTH, (struct enhanced){4, 7, 0},
                  SLICE("peer does not offer AUTH"));
    } else if (!auth_begin(c)) {
        end_local(c, OUTCOME_STAGE_AUTH, (struct enhanced){4, 7, 0},
                  SLICE("peer offers no AUTH mechanism that may be used here"));
    } else {
        smtp_client_set_state(c, SMTP_CLIENT_AUTH);
    }
}

/* The answer to be given now, before base64. */
static void auth_answer_text(const struct smtp_client *c, struct buf *raw)
{
    const struct smtp_client_config *f = &c->config;
    switch (c->auth.mechanism) {
    case SMTP_AUTH_PLAIN:
        smtp_auth_add_plain(raw, f->auth_user, f->auth_secret);
        return;
    case SMTP_AUTH_XOAUTH2:
        smtp_auth_add_xoauth2(raw, f->auth_user, f->auth_secret);
        return;
    case SMTP_AUTH_LOGIN:
        secret_buf_add(raw, c->auth.answers_left == 2 ? f->auth_user : f->auth_secret);
        return;
    case SMTP_AUTH_CRAM_MD5:
        smtp_auth_add_cram(raw, f->auth_user, c->auth.digest);
        return;
    case SMTP_AUTH_NONE:
        break;
    }
    must(false);
}

static void add_answer(struct smtp_client *c, const struct buf *raw, struct buf *out)
{
    c->had_secret = true;
    if (raw->overflow) {
        out->overflow = true; /* no memory: the caller ends the connection */
    } else if (!out->overflow && secret_buf_reserve(out, BASE64_TEXT_BYTES(raw->len) + 2)) {
        base64_add(out, buf_slice(raw));
        buf_add(out, SLICE("\r\n"));
    }
}

/* "AUTH PLAIN", with the initial response where there is one and the line stays short. */
static void send_command(struct smtp_client *c, const struct buf *raw, struct buf *out)
{
    static const struct slice verb = SLICE_INIT("AUTH ");
    struct slice name = smtp_auth_name(c->auth.mechanism);
    size_t bytes = verb.len + name.len + 1 + BASE64_TEXT_BYTES(raw->len) + 2;
    bool client_first = c->auth.mechanism == SMTP_AUTH_PLAIN ||
                        c->auth.mechanism == SMTP_AUTH_XOAUTH2;
    c->auth.begun = true;
    buf_add(out, verb);
    buf_add(out, name);
    if (client_first && bytes <= COMMAND_BYTES_MAX) {
        c->auth.answers_left = 0;
        buf_add(out, SLICE(" "));
        add_answer(c, raw, out);
        return;
    }
    c->auth.answers_left = c->auth.mechanism == SMTP_AUTH_LOGIN ? 2 : 1;
    buf_add(out, SLICE("\r\n"));
}

void smtp_client_send_auth(struct smtp_client *c, struct buf *out)
{
    must(c->state == SMTP_CLIENT_AUTH && c->expect_count == 0);
    struct buf raw;
    size_t room = c->config.auth_user.len + c->config.auth_secret.len + 64;
    c->auth.line_due = false;
    if (c->auth.error_read) {
        buf_add(out, SLICE("\r\n"));
        smtp_client_expect(c, SMTP_EXPECT_AUTH, NULL);
        return;
    }
    buf_init(&raw, room);
    (void)secret_buf_reserve(&raw, room);
    auth_answer_text(c, &raw);
    if (!c->auth.begun) {
        send_command(c, &raw, out);
    } else {
        must(c->auth.answers_left > 0);
        c->auth.answers_left--;
        add_answer(c, &raw, out);
    }
    secret_buf_release(&raw);
    secret_wipe(c->auth.digest, sizeof(c->auth.digest));
    smtp_client_expect(c, SMTP_EXPECT_AUTH, NULL);
}

/* CRAM-MD5: the driver is to compute. */
static void take_challenge(struct smtp_client *c, struct slice text)
{
    struct buf *b = &c->auth.challenge;
    size_t len = 0;
    buf_clear(b);
    if (!buf_reserve(b, text.len + 1)) {
        end_local(c, OUTCOME_STAGE_AUTH, (struct enhanced){4, 3, 0},
                  SLICE("no memory for a challenge"));
    } else if (!base64_decode(text, b->ptr, b->cap, &len) || len == 0) {
        smtp_client_end_protocol(c, SLICE("peer sent a malformed challenge"));
    } else {
        b->len = len;
        c->auth.challenge_due = true;
        c->auth.challenge_given = false;
    }
}

static void auth_continue(struct smtp_client *c, const struct smtp_reply *r)
{
    if (c->auth.mechanism == SMTP_AUTH_CRAM_MD5 && c->auth.answers_left > 0) {
        take_challenge(c, slice_trim(r->text));
    } else if (c->auth.answers_left > 0) {
        c->auth.line_due = true;
    } else if (c->auth.mechanism == SMTP_AUTH_XOAUTH2 && !c->auth.error_read) {
        c->auth.error_read = c->auth.line_due = true; /* it has told its reason; 535 comes next */
    } else {
        smtp_client_end_protocol(c, SLICE("peer asks for more than the AUTH mechanism has"));
    }
}

/* Another mechanism may do: 504 unknown, 534 too weak, 538 not without encryption. */
static bool mechanism_refused(const struct smtp_client *c, uint16_t code)
{
    return (code == 504 || code == 534 || code == 538) && !c->auth.error_read;
}

void smtp_client_answer_auth(struct smtp_client *c, struct smtp_client_slot *s,
                             const struct smtp_reply *r)
{
    must(s == NULL && c->state == SMTP_CLIENT_AUTH);
    if (r->code == 334) {
        auth_continue(c, r);
        return;
    }
    if (r->code / 100 == 2) {
        c->authenticated = true;
        smtp_client_auth_end(c);
        smtp_client_set_state(c, SMTP_CLIENT_SESSION);
        return;
    }
    c->auth.refused |= (uint32_t)c->auth.mechanism;
    if (!mechanism_refused(c, r->code) || !auth_begin(c)) {
        smtp_client_end_by_reply(c, r, OUTCOME_STAGE_AUTH, OUTCOME_TEMPORARY);
    }
}

void smtp_client_auth_end(struct smtp_client *c)
{
    c->auth.line_due = c->auth.challenge_due = false;
    secret_wipe(c->auth.digest, sizeof(c->auth.digest));
    buf_release(&c->auth.challenge);
}

struct slice smtp_client_challenge(const struct smtp_client *c)
{
    must(c->auth.challenge_due && c->auth.challenge_given);
    return buf_slice(&c->auth.challenge);
}

void smtp_client_cram(struct smtp_client *c, const unsigned char digest[SMTP_AUTH_DIGEST_BYTES])
{
    must(c->state == SMTP_CLIENT_AUTH && c->auth.challenge_due && c->auth.challenge_given);
    c->auth.challenge_due = false;
    memcpy(c->auth.digest, digest, SMTP_AUTH_DIGEST_BYTES);
    c->auth.line_due = true;
}

bool smtp_client_had_secret(struct smtp_client *c)
{
    bool had = c->had_secret;
    c->had_secret = false;
    return had;
}
