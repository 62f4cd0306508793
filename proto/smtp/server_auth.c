/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * STARTTLS and AUTH: the two verbs after which the bytes of the client are no commands for a while.
 *
 *                                     ┌─(refused)──────────────────────────┐
 *   READY ──AUTH──► AUTH_CHALLENGE ──challenge──► AUTH ──line──► CHECK_AUTH ──answer──► READY
 *     │   (CRAM-MD5)                               ▲ └──(LOGIN)──┘│  ▲
 *     └──AUTH PLAIN, LOGIN─────────────────────────┘              └──┘ AUTH PLAIN initial-response
 *
 *   START, READY ──STARTTLS──► STARTTLS ──tls_started──► START, nothing known
 *
 * What was decoded lies in one smtp_auth_exchange, which set_state wipes as soon as the state is none
 * of the exchange's: no exit can forget it. A failed login must end with 535 and an open session;
 * 503 would be taken for success by smtplib.
 */
#include "core/base/base64.h"
#include "core/base/hash.h"
#include "core/base/secret.h"
#include "proto/smtp/server_tx.h"

#include <stdlib.h>

const struct smtp_verdict smtp_server_must_starttls = {530, false, SLICE_INIT("5.7.0"),
                                                       SLICE_INIT("Must issue a STARTTLS command "
                                                                  "first")};

/* ---- what is on offer ---- */

bool smtp_server_needs_tls(const struct smtp_server *s)
{
    return s->config->tls_required && !s->tls;
}

static bool auth_in_clear(const struct smtp_server *s)
{
    return s->config->auth_needs_tls && !s->tls;
}

uint32_t smtp_server_features(const struct smtp_server *s)
{
    uint32_t features = s->config->features;
    if (s->tls || (s->flags & SMTP_SESSION_NO_TLS)) {
        features &= ~(uint32_t)SMTP_FEATURE_STARTTLS;
    }
    if (smtp_server_needs_tls(s) || auth_in_clear(s) || s->authenticated ||
        (s->flags & SMTP_SESSION_NO_AUTH) || s->config->auth_mechanisms == 0) {
        features &= ~(uint32_t)SMTP_FEATURE_AUTH;
    }
    if (!(features & SMTP_FEATURE_AUTH)) {
        features &= ~(uint32_t)SMTP_FEATURE_AUTH_EQUALS;
    }
    return features;
}

void smtp_server_set_flags(struct smtp_server *s, uint8_t flags)
{
    s->flags = flags;
}

/* ---- STARTTLS ---- */

void smtp_server_run_starttls(struct smtp_server *s, struct slice arg, struct buf *out)
{
    must(arg.len == 0 && s->tx == NULL);
    if (s->tls) {
        SMTP_SAY(s, out, 554, "5.5.1", "TLS already active");
    } else if (s->flags & SMTP_SESSION_NO_TLS) {
        SMTP_SAY(s, out, 454, "4.7.0", "TLS is not available due to a local problem");
    } else {
        smtp_server_set_state(s, SMTP_STATE_STARTTLS); /* step says the 220: it knows the input */
    }
}

void smtp_server_ready_tls(struct smtp_server *s, struct slice behind, struct buf *out)
{
    must(s->state == SMTP_STATE_STARTTLS);
    if (behind.len > 0) {
        /* Somebody else's plaintext must not become the first command under TLS (CVE-2011-0411). */
        struct smtp_verdict v = {554, true, SLICE("5.5.0"),
                                 SLICE("Input behind STARTTLS, closing")};
        smtp_server_reply(s, out, &v);
        return;
    }
    SMTP_SAY(s, out, 220, "2.0.0", "Ready to start TLS");
}

void smtp_server_tls_started(struct smtp_server *s)
{
    must(!s->tls && s->tx == NULL && s->line.len == 0);
    must(s->state == SMTP_STATE_STARTTLS || s->state == SMTP_STATE_GREETING);
    s->tls = true;
    s->authenticated = s->esmtp = false;
    buf_release(&s->helo);
    if (s->state == SMTP_STATE_STARTTLS) {
        smtp_server_set_state(s, SMTP_STATE_START);
    }
}

/* ---- AUTH ---- */

void smtp_server_auth_end(struct smtp_server *s)
{
    struct smtp_auth_exchange *x = s->auth;
    if (x) {
        secret_buf_release(&x->user);
        secret_buf_release(&x->answer);
        buf_release(&x->challenge);
        secret_wipe(x, sizeof(*x));
        free(x);
        s->auth = NULL;
    }
}

static void auth_refuse(struct smtp_server *s, struct buf *out, const struct smtp_verdict *v)
{
    smtp_server_set_state(s, SMTP_STATE_READY);
    smtp_server_reply(s, out, v);
}

static void auth_malformed(struct smtp_server *s, struct buf *out)
{
    struct smtp_verdict v = {501, false, SLICE("5.5.2"), SLICE("Malformed authentication data")};
    auth_refuse(s, out, &v);
}

static void auth_no_memory(struct smtp_server *s, struct buf *out)
{
    struct smtp_verdict v = {454, false, SLICE("4.7.0"), SLICE("Temporary authentication failure")};
    auth_refuse(s, out, &v);
}

/* The next challenge of a mechanism that has words for it. */
static void auth_ask(const struct smtp_auth_exchange *x, struct buf *out)
{
    struct slice words = SLICE("");
    if (x->auth.mechanism == SMTP_AUTH_LOGIN) {
        words = x->has_user ? SLICE("UGFzc3dvcmQ6")
                            : SLICE("VXNlcm5hbWU6"); /* Password: Username: */
    }
    smtp_reply_add_plain(out, 334, true, words);
}

static bool has_nul(struct slice s)
{
    return slice_find_byte(s, '\0') >= 0;
}

/* The answer is decoded. False: malformed; *complete: nothing more is to be asked. */
static bool auth_take_answer(struct smtp_auth_exchange *x, bool *complete)
{
    *complete = true;
    switch (x->auth.mechanism) {
    case SMTP_AUTH_PLAIN:
        return smtp_auth_split_plain(buf_slice(&x->answer), &x->auth);
    case SMTP_AUTH_CRAM_MD5:
        x->auth.challenge = buf_slice(&x->challenge);
        return smtp_auth_split_cram(buf_slice(&x->answer), &x->auth) && !has_nul(x->auth.authcid);
    case SMTP_AUTH_LOGIN:
        if (has_nul(buf_slice(&x->answer))) {
            return false;
        }
        if (!x->has_user) {
            x->user = x->answer;
            buf_init(&x->answer, SMTP_AUTH_LINE_BYTES);
            x->has_user = true;
            *complete = false;
            return true;
        }
        x->auth.authcid = buf_slice(&x->user);
        x->auth.password = buf_slice(&x->answer);
        return true;
    case SMTP_AUTH_XOAUTH2:
    case SMTP_AUTH_NONE:
        break;
    }
    must(false); /* begun without being in the configuration */
    return false;
}

static uint64_t auth_user_hash(const struct smtp_server *s)
{
    return hash_bytes(s->auth->auth.authcid, 0) | 1;
}

/* Would a failure of the login at hand count? Not when the last one that did was for the same user by
 * other mechanisms. */
static bool auth_counts(const struct smtp_server *s)
{
    return s->auth_failed_user != auth_user_hash(s) ||
           (s->auth_failed_mechanisms & s->auth->auth.mechanism);
}

static void auth_count_failure(struct smtp_server *s)
{
    if (auth_counts(s)) {
        s->auth_failures += s->auth_failures < UINT32_MAX;
        s->auth_failed_user = auth_user_hash(s);
        s->auth_failed_mechanisms = 0;
    }
    s->auth_failed_mechanisms |= (uint32_t)s->auth->auth.mechanism;
}

/* The exchange is complete: is this login looked at at all? */
static void auth_ask_driver(struct smtp_server *s, struct buf *out)
{
    uint32_t failures_max = s->config->auth_failures_max;
    if (failures_max && s->auth_failures >= failures_max && auth_counts(s)) {
        SMTP_SAY(s, out, 421, "4.7.0", "Too many failed logins, closing");
    } else {
        smtp_server_set_state(s, SMTP_STATE_CHECK_AUTH);
    }
}

static void auth_decode(struct smtp_server *s, struct slice text, struct buf *out)
{
    struct smtp_auth_exchange *x = s->auth;
    bool complete = false;
    secret_buf_clear(&x->answer);
    if (!secret_buf_reserve(&x->answer, text.len / 4 * 3)) {
        auth_no_memory(s, out);
    } else if (!base64_decode(text, x->answer.ptr, x->answer.cap, &x->answer.len) ||
               !auth_take_answer(x, &complete)) {
        auth_malformed(s, out);
    } else if (complete) {
        auth_ask_driver(s, out);
    } else {
        auth_ask(x, out);
    }
}

void smtp_server_take_auth(struct smtp_server *s, struct slice line, struct buf *out)
{
    must(s->state == SMTP_STATE_AUTH && s->auth != NULL);
    if (slice_eq(line, SLICE("*"))) {
        struct smtp_verdict v = {501, false, SLICE("5.7.0"), SLICE("Authentication cancelled")};
        auth_refuse(s, out, &v);
    } else {
        auth_decode(s, line, out);
    }
}

static void auth_begin(struct smtp_server *s, enum smtp_auth_mechanism mechanism,
                       struct slice initial, struct buf *out)
{
    must(s->auth == NULL);
    struct smtp_auth_exchange *x = calloc(1, sizeof(*x));
    if (!x) {
        auth_no_memory(s, out);
        return;
    }
    x->auth.mechanism = mechanism;
    buf_init(&x->user, SMTP_AUTH_LINE_BYTES);
    buf_init(&x->answer, SMTP_AUTH_LINE_BYTES);
    buf_init(&x->challenge, SMTP_AUTH_CHALLENGE_BYTES);
    s->auth = x;
    if (mechanism == SMTP_AUTH_CRAM_MD5) {
        smtp_server_set_state(s, SMTP_STATE_AUTH_CHALLENGE);
        return;
    }
    smtp_server_set_state(s, SMTP_STATE_AUTH);
    if (initial.len == 0) {
        auth_ask(x, out);
        return;
    }
    /* RFC 4954 4: "=" is the empty response. */
    auth_decode(s, slice_eq(initial, SLICE("=")) ? SLICE("") : initial, out);
}

static void auth_not_offered(struct smtp_server *s, struct buf *out)
{
    if (!auth_in_clear(s) || (s->flags & SMTP_SESSION_NO_AUTH)) {
        SMTP_SAY(s, out, 503, "5.5.1", "Authentication is not enabled");
    } else if (s->config->auth_says_530) {
        smtp_server_reply(s, out, &smtp_server_must_starttls);
    } else {
        SMTP_SAY(s, out, 538, "5.7.11", "Encryption required for authentication");
    }
}

void smtp_server_run_auth(struct smtp_server *s, struct slice arg, struct buf *out)
{
    struct slice name = slice_cut(&arg, ' ');
    struct slice initial = slice_trim(arg);
    enum smtp_auth_mechanism mechanism = smtp_auth_find(name);
    if (s->authenticated) {
        SMTP_SAY(s, out, 503, "5.5.1", "Already authenticated");
    } else if (!(smtp_server_features(s) & SMTP_FEATURE_AUTH)) {
        auth_not_offered(s, out);
    } else if (!(mechanism & s->config->auth_mechanisms)) {
        SMTP_SAY(s, out, 504, "5.5.4", "Unrecognized authentication mechanism");
    } else if (mechanism == SMTP_AUTH_CRAM_MD5 && initial.len > 0) {
        SMTP_SAY(s, out, 501, "5.7.0", "CRAM-MD5 takes no initial response"); /* RFC 4954 4 */
    } else {
        auth_begin(s, mechanism, initial, out);
    }
}

void smtp_server_challenge(struct smtp_server *s, struct slice challenge, struct buf *out)
{
    must(s->state == SMTP_STATE_AUTH_CHALLENGE && s->auth != NULL);
    must(challenge.len > 0 && challenge.len <= SMTP_AUTH_CHALLENGE_BYTES);
    buf_add(&s->auth->challenge, challenge);
    if (s->auth->challenge.overflow) {
        auth_no_memory(s, out);
        return;
    }
    smtp_server_set_state(s, SMTP_STATE_AUTH);
    buf_add(out, SLICE("334 "));
    base64_add(out, challenge);
    buf_add(out, SLICE("\r\n"));
}

void smtp_server_answer_auth(struct smtp_server *s, const struct smtp_verdict *v, struct buf *out)
{
    must(s->state == SMTP_STATE_CHECK_AUTH && s->auth != NULL);
    must(v->code == 0 || v->code / 100 == 2 || v->code / 100 == 4 || v->code / 100 == 5);
    if (v->code / 100 == 5) {
        auth_count_failure(s);
    }
    smtp_server_set_state(s, SMTP_STATE_READY);
    if (v->code == 0 || v->code / 100 == 2) {
        s->authenticated = true;
        struct smtp_verdict ok = {
            .code = 235,
            .close = v->close,
            .enhanced = v->enhanced.len ? v->enhanced : SLICE("2.7.0"),
            .text = v->text.len ? v->text : SLICE("Authentication successful"),
        };
        smtp_server_reply(s, out, &ok);
        return;
    }
    smtp_server_reply(s, out, v);
}

const struct smtp_auth *smtp_server_auth(const struct smtp_server *s)
{
    must(s->state == SMTP_STATE_CHECK_AUTH && s->auth != NULL);
    return &s->auth->auth;
}

bool smtp_server_auth_is_new(const struct smtp_server *s)
{
    must(s->state == SMTP_STATE_CHECK_AUTH && s->auth != NULL);
    return auth_counts(s);
}

bool smtp_server_had_secret(struct smtp_server *s)
{
    bool had = s->had_secret;
    s->had_secret = false;
    return had;
}
