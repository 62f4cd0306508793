/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * STARTTLS and AUTH of the client: what the peer says, what goes out, how it ends. Every row whole, in
 * single bytes and in threes. "!TLS" and "!BADTLS" are the driver's handshake.
 */
#include "core/base/must.h"
#include "core/base/secret.h"
#include "tests/unit/proto/smtp/client_script.h"

#define HELLO "220 mx\r\n"
#define EHLO "EHLO me.test\r\n"
#define OFFER_NONE "250 mx\r\n"
#define OFFER_TLS "250-mx\r\n250 STARTTLS\r\n"
#define OFFER_AUTH "250-mx\r\n250 AUTH LOGIN PLAIN CRAM-MD5 GSSAPI\r\n"
#define OFFER_BOTH "250-mx\r\n250-STARTTLS\r\n250 AUTH LOGIN PLAIN\r\n"
#define STARTTLS "STARTTLS\r\n"
#define GO "220 go\r\n"
#define PLAIN "AUTH PLAIN AHVzZXIAc2VjcmV0\r\n" /* \0user\0secret */
#define USER "dXNlcg==\r\n"
#define SECRET "c2VjcmV0\r\n"
#define XOAUTH2 "AUTH XOAUTH2 dXNlcj11c2VyAWF1dGg9QmVhcmVyIHNlY3JldAEB\r\n"
#define CHALLENGE "334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\r\n"
#define TIM "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw\r\n"
#define MAIL "MAIL FROM:<a@x>\r\n"
#define ONE                                                                                        \
    {                                                                                              \
        {                                                                                          \
            "a@x", {{"b@y", NULL, 0}}, NULL, 0, 0, NULL, MAIL_RET_DEFAULT                          \
        }                                                                                          \
    }
#define LOGIN .user = "user", .secret = "secret"

static const struct script_row tls_rows[] = {
    {.name = "none: offered, not used", .steps = {{HELLO, EHLO}, {OFFER_TLS, MAIL}}, .txns = ONE},
    {.name = "may: not offered, goes on in plaintext",
     .tls = SMTP_TLS_MAY,
     .steps = {{HELLO, EHLO}, {OFFER_NONE, MAIL}},
     .txns = ONE},
    {.name = "may: HELO only",
     .tls = SMTP_TLS_MAY,
     .steps = {{HELLO, EHLO}, {"502 what\r\n", "HELO me.test\r\n"}, {"250 mx\r\n", MAIL}},
     .txns = ONE},
    {.name = "may: TLS, EHLO again, old offers forgotten",
     .tls = SMTP_TLS_MAY,
     .steps = {{HELLO, EHLO},
               {"250-mx\r\n250-SIZE 5\r\n250 STARTTLS\r\n", STARTTLS},
               {GO, ""},
               {"!TLS", EHLO},
               {OFFER_TLS, MAIL}},
     .txns = {{"a@x", {{"b@y", NULL, 0}}, "Hi, this is long\r\n", 0, 0, NULL, MAIL_RET_DEFAULT}}},
    {.name = "may: untrusted certificate is used",
     .tls = SMTP_TLS_MAY,
     .untrusted = true,
     .steps = {{HELLO, EHLO}, {OFFER_TLS, STARTTLS}, {GO, ""}, {"!TLS", EHLO}, {OFFER_NONE, MAIL}},
     .txns = ONE},
    {.name = "may: handshake failed",
     .tls = SMTP_TLS_MAY,
     .steps = {{HELLO, EHLO}, {OFFER_TLS, STARTTLS}, {GO, ""}, {"!BADTLS", ""}},
     .end = "temporary connection starttls 451 4.7.5",
     .plaintext = true},
    {.name = "may: refused 454",
     .tls = SMTP_TLS_MAY,
     .steps = {{HELLO, EHLO}, {OFFER_TLS, STARTTLS}, {"454 4.7.0 no certificate\r\n", ""}},
     .end = "temporary connection starttls 454 4.7.0",
     .plaintext = true},
    {.name = "may: refused 502",
     .tls = SMTP_TLS_MAY,
     .steps = {{HELLO, EHLO}, {OFFER_TLS, STARTTLS}, {"502 5.5.1 no\r\n", ""}},
     .end = "temporary connection starttls 502 5.5.1",
     .plaintext = true},
    {.name = "may: 421",
     .tls = SMTP_TLS_MAY,
     .steps = {{HELLO, EHLO}, {OFFER_TLS, STARTTLS}, {"421 bye\r\n", ""}},
     .end = "temporary connection starttls 421 4.0.0",
     .plaintext = true},
    {.name = "may: closed instead of an answer",
     .tls = SMTP_TLS_MAY,
     .steps = {{HELLO, EHLO}, {OFFER_TLS, STARTTLS}, {"!EOF", ""}},
     .end = "temporary connection starttls 451 4.4.2",
     .plaintext = true},
    {.name = "may: closed in the handshake",
     .tls = SMTP_TLS_MAY,
     .steps = {{HELLO, EHLO}, {OFFER_TLS, STARTTLS}, {GO, ""}, {"!IO", ""}},
     .end = "temporary connection starttls 451 4.4.2",
     .plaintext = true},
    {.name = "may: given up by us in the handshake",
     .tls = SMTP_TLS_MAY,
     .steps = {{HELLO, EHLO}, {OFFER_TLS, STARTTLS}, {GO, ""}, {"!LOCAL", ""}},
     .end = "temporary connection starttls 451 4.3.0"},
    {.name = "may: garbage for an answer",
     .tls = SMTP_TLS_MAY,
     .steps = {{HELLO, EHLO}, {OFFER_TLS, STARTTLS}, {"\x15\x03\x01 oops\r\n", ""}},
     .end = "temporary connection starttls 451 4.5.0",
     .plaintext = true},
    {.name = "may: 250 is not 220",
     .tls = SMTP_TLS_MAY,
     .steps = {{HELLO, EHLO}, {OFFER_TLS, STARTTLS}, {"250 ok\r\n", ""}},
     .end = "temporary connection starttls 451 4.5.0",
     .plaintext = true},
    {.name = "may: lost after TLS is no reason for plaintext",
     .tls = SMTP_TLS_MAY,
     .steps = {{HELLO, EHLO}, {OFFER_TLS, STARTTLS}, {GO, ""}, {"!TLS", EHLO}, {"!EOF", ""}},
     .end = "temporary connection ehlo 451 4.4.2"},
    {.name = "injection",
     .tls = SMTP_TLS_MAY,
     .steps = {{HELLO, EHLO}, {OFFER_TLS, STARTTLS}, {GO "250-AUTH PLAIN\r\n250 ok\r\n", ""}},
     .end = "temporary connection starttls 451 4.7.0"},
    {.name = "injection of one byte",
     .tls = SMTP_TLS_ENCRYPT,
     .steps = {{HELLO, EHLO}, {OFFER_TLS, STARTTLS}, {GO "2", ""}},
     .end = "temporary connection starttls 451 4.7.0"},
    {.name = "injection before the handshake, later",
     .tls = SMTP_TLS_VERIFY,
     .steps = {{HELLO, EHLO}, {OFFER_TLS, STARTTLS}, {GO, ""}, {"250 ok\r\n", ""}},
     .end = "temporary connection starttls 451 4.7.0"},
    {.name = "encrypt: stripped",
     .tls = SMTP_TLS_ENCRYPT,
     .steps = {{HELLO, EHLO}, {OFFER_NONE, ""}},
     .end = "temporary connection starttls 451 4.7.4"},
    {.name = "encrypt: EHLO refused",
     .tls = SMTP_TLS_ENCRYPT,
     .steps = {{HELLO, EHLO}, {"500 what\r\n", "HELO me.test\r\n"}, {"250 mx\r\n", ""}},
     .end = "temporary connection starttls 451 4.7.4"},
    {.name = "encrypt: refused",
     .tls = SMTP_TLS_ENCRYPT,
     .steps = {{HELLO, EHLO}, {OFFER_TLS, STARTTLS}, {"554 5.7.0 no\r\n", ""}},
     .end = "temporary connection starttls 554 5.7.0"},
    {.name = "encrypt: handshake failed",
     .tls = SMTP_TLS_ENCRYPT,
     .steps = {{HELLO, EHLO}, {OFFER_TLS, STARTTLS}, {GO, ""}, {"!BADTLS", ""}},
     .end = "temporary connection starttls 451 4.7.5"},
    {.name = "encrypt: untrusted certificate is used",
     .tls = SMTP_TLS_ENCRYPT,
     .untrusted = true,
     .steps = {{HELLO, EHLO}, {OFFER_TLS, STARTTLS}, {GO, ""}, {"!TLS", EHLO}, {OFFER_NONE, MAIL}},
     .txns = ONE},
    {.name = "verify: stripped",
     .tls = SMTP_TLS_VERIFY,
     .steps = {{HELLO, EHLO}, {OFFER_AUTH, ""}},
     .end = "temporary connection starttls 451 4.7.4"},
    {.name = "verify: untrusted",
     .tls = SMTP_TLS_VERIFY,
     .untrusted = true,
     .steps = {{HELLO, EHLO}, {OFFER_TLS, STARTTLS}, {GO, ""}, {"!TLS", ""}},
     .end = "temporary connection starttls 451 4.7.5"},
    {.name = "verify: trusted",
     .tls = SMTP_TLS_VERIFY,
     .steps = {{HELLO, EHLO}, {OFFER_TLS, STARTTLS}, {GO, ""}, {"!TLS", EHLO}, {OFFER_NONE, MAIL}},
     .txns = ONE},
    {.name = "verify: HELO after TLS",
     .tls = SMTP_TLS_VERIFY,
     .steps = {{HELLO, EHLO},
               {OFFER_TLS, STARTTLS},
               {GO, ""},
               {"!TLS", EHLO},
               {"500 what\r\n", "HELO me.test\r\n"},
               {"250 mx\r\n", MAIL}},
     .txns = ONE},
};

static const struct script_row auth_rows[] = {
    {.name = "no user, no AUTH", .steps = {{HELLO, EHLO}, {OFFER_AUTH, MAIL}}, .txns = ONE},
    {.name = "PLAIN under TLS",
     LOGIN,
     .tls = SMTP_TLS_ENCRYPT,
     .steps = {{HELLO, EHLO},
               {OFFER_BOTH, STARTTLS},
               {GO, ""},
               {"!TLS", EHLO},
               {OFFER_AUTH, PLAIN},
               {"235 2.7.0 ok\r\n", MAIL}},
     .txns = ONE},
    {.name = "what was offered before TLS does not count",
     LOGIN,
     .tls = SMTP_TLS_ENCRYPT,
     .steps = {{HELLO, EHLO}, {OFFER_BOTH, STARTTLS}, {GO, ""}, {"!TLS", EHLO}, {OFFER_NONE, ""}},
     .end = "temporary connection auth 451 4.7.0"},
    {.name = "nor when HELO follows",
     LOGIN,
     .tls = SMTP_TLS_ENCRYPT,
     .steps = {{HELLO, EHLO},
               {OFFER_BOTH, STARTTLS},
               {GO, ""},
               {"!TLS", EHLO},
               {"500 what\r\n", "HELO me.test\r\n"},
               {"250 mx\r\n", ""}},
     .end = "temporary connection auth 451 4.7.0"},
    {.name = "more behind the challenge",
     .user = "tim",
     .secret = "x",
     .steps = {{HELLO, EHLO}, {OFFER_AUTH, "AUTH CRAM-MD5\r\n"}, {CHALLENGE "535 no\r\n", TIM}},
     .end = "temporary connection auth 535 5.0.0"},
    {.name = "LOGIN when there is no PLAIN",
     LOGIN,
     .tls = SMTP_TLS_MAY,
     .steps = {{HELLO, EHLO},
               {OFFER_TLS, STARTTLS},
               {GO, ""},
               {"!TLS", EHLO},
               {"250-mx\r\n250 AUTH=LOGIN\r\n", "AUTH LOGIN\r\n"},
               {"334 VXNlcm5hbWU6\r\n", USER},
               {"334 whatever\r\n", SECRET},
               {"235 ok\r\n", MAIL}},
     .txns = ONE},
    {.name = "in plaintext only what hides the secret",
     .user = "tim",
     .secret = "tanstaaftanstaaf",
     .steps = {{HELLO, EHLO},
               {OFFER_AUTH, "AUTH CRAM-MD5\r\n"},
               {CHALLENGE, TIM},
               {"235 2.7.0 ok\r\n", MAIL}},
     .txns = ONE},
    {.name = "in plaintext nothing that hides it",
     LOGIN,
     .steps = {{HELLO, EHLO}, {OFFER_BOTH, ""}},
     .end = "temporary connection auth 451 4.7.0"},
    {.name = "optional does not mean that",
     LOGIN,
     .auth_optional = true,
     .steps = {{HELLO, EHLO}, {OFFER_BOTH, ""}},
     .end = "temporary connection auth 451 4.7.0"},
    {.name = "auth_without_tls",
     LOGIN,
     .auth_without_tls = true,
     .steps = {{HELLO, EHLO}, {OFFER_BOTH, PLAIN}, {"235 2.7.0 ok\r\n", MAIL}},
     .txns = ONE},
    {.name = "no AUTH offered",
     LOGIN,
     .auth_without_tls = true,
     .steps = {{HELLO, EHLO}, {OFFER_NONE, ""}},
     .end = "temporary connection auth 451 4.7.0"},
    {.name = "no AUTH offered, optional",
     LOGIN,
     .auth_optional = true,
     .steps = {{HELLO, EHLO}, {OFFER_NONE, MAIL}},
     .txns = ONE},
    {.name = "HELO only",
     LOGIN,
     .steps = {{HELLO, EHLO}, {"500 what\r\n", "HELO me.test\r\n"}, {"250 mx\r\n", ""}},
     .end = "temporary connection auth 451 4.7.0"},
    {.name = "mechanisms we do not know",
     LOGIN,
     .auth_without_tls = true,
     .steps = {{HELLO, EHLO}, {"250-mx\r\n250 AUTH GSSAPI NTLM\r\n", ""}},
     .end = "temporary connection auth 451 4.7.0"},
    {.name = "535 is temporary and keeps its words",
     LOGIN,
     .auth_without_tls = true,
     .steps = {{HELLO, EHLO}, {OFFER_BOTH, PLAIN}, {"535 5.7.8 wrong\r\n", ""}},
     .end = "temporary connection auth 535 5.7.8"},
    {.name = "454",
     LOGIN,
     .auth_without_tls = true,
     .steps = {{HELLO, EHLO}, {OFFER_BOTH, PLAIN}, {"454 4.7.0 later\r\n", ""}},
     .end = "temporary connection auth 454 4.7.0"},
    {.name = "421",
     LOGIN,
     .auth_without_tls = true,
     .steps = {{HELLO, EHLO}, {OFFER_BOTH, PLAIN}, {"421 4.7.0 go away\r\n", ""}},
     .end = "temporary connection auth 421 4.7.0"},
    {.name = "lost",
     LOGIN,
     .auth_without_tls = true,
     .steps = {{HELLO, EHLO}, {OFFER_BOTH, PLAIN}, {"!TIMEOUT", ""}},
     .end = "temporary connection auth 451 4.4.2"},
    {.name = "504: the next mechanism",
     LOGIN,
     .auth_without_tls = true,
     .mechanisms = SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN,
     .steps = {{HELLO, EHLO},
               {OFFER_BOTH, PLAIN},
               {"504 5.5.4 not PLAIN\r\n", "AUTH LOGIN\r\n"},
               {"534 5.7.9 nor that\r\n", ""}},
     .end = "temporary connection auth 534 5.7.9"},
    {.name = "535: no other mechanism",
     LOGIN,
     .auth_without_tls = true,
     .steps = {{HELLO, EHLO}, {OFFER_BOTH, PLAIN}, {"535 5.7.8 wrong\r\n", ""}},
     .end = "temporary connection auth 535 5.7.8"},
    {.name = "more challenges than PLAIN has answers",
     LOGIN,
     .auth_without_tls = true,
     .steps = {{HELLO, EHLO}, {OFFER_BOTH, PLAIN}, {"334 \r\n", ""}},
     .end = "temporary connection auth 451 4.5.0"},
    {.name = "354 to AUTH",
     LOGIN,
     .auth_without_tls = true,
     .steps = {{HELLO, EHLO}, {OFFER_BOTH, PLAIN}, {"354 go\r\n", ""}},
     .end = "temporary connection auth 451 4.5.0"},
    {.name = "334 to MAIL",
     .steps = {{HELLO, EHLO}, {OFFER_NONE, MAIL}, {"334 go\r\n", ""}},
     .txns = ONE,
     .outcomes = "temporary connection mail 451 4.5.0",
     .end = "temporary connection mail 451 4.5.0"},
    {.name = "challenges ahead of their time",
     LOGIN,
     .auth_without_tls = true,
     .mechanisms = SMTP_AUTH_LOGIN,
     .steps = {{HELLO, EHLO}, {OFFER_BOTH, "AUTH LOGIN\r\n"}, {"334 \r\n334 \r\n", USER SECRET}}},
    {.name = "malformed challenge",
     .user = "tim",
     .secret = "x",
     .steps = {{HELLO, EHLO}, {OFFER_AUTH, "AUTH CRAM-MD5\r\n"}, {"334 <1@x>\r\n", ""}},
     .end = "temporary connection auth 451 4.5.0"},
    {.name = "empty challenge",
     .user = "tim",
     .secret = "x",
     .steps = {{HELLO, EHLO}, {OFFER_AUTH, "AUTH CRAM-MD5\r\n"}, {"334 \r\n", ""}},
     .end = "temporary connection auth 451 4.5.0"},
    {.name = "XOAUTH2",
     LOGIN,
     .auth_without_tls = true,
     .mechanisms = SMTP_AUTH_XOAUTH2,
     .steps = {{HELLO, EHLO},
               {"250-mx\r\n250 AUTH PLAIN XOAUTH2\r\n", XOAUTH2},
               {"235 2.7.0 Accepted\r\n", MAIL}},
     .txns = ONE},
    {.name = "XOAUTH2: the error is read",
     LOGIN,
     .auth_without_tls = true,
     .mechanisms = SMTP_AUTH_XOAUTH2,
     .steps = {{HELLO, EHLO},
               {"250-mx\r\n250 AUTH PLAIN XOAUTH2\r\n", XOAUTH2},
               {"334 eyJzdGF0dXMiOiI0MDEifQ==\r\n", "\r\n"},
               {"535-5.7.8 Username and Password\r\n535 5.7.8 not accepted\r\n", ""}},
     .end = "temporary connection auth 535 5.7.8"},
    {.name = "XOAUTH2: errors without end",
     LOGIN,
     .auth_without_tls = true,
     .mechanisms = SMTP_AUTH_XOAUTH2,
     .steps = {{HELLO, EHLO},
               {"250-mx\r\n250 AUTH XOAUTH2\r\n", XOAUTH2},
               {"334 AAAA\r\n", "\r\n"},
               {"334 AAAA\r\n", ""}},
     .end = "temporary connection auth 451 4.5.0"},
    {.name = "a token is no password",
     LOGIN,
     .auth_without_tls = true,
     .mechanisms = SMTP_AUTH_XOAUTH2,
     .steps = {{HELLO, EHLO}, {OFFER_BOTH, ""}},
     .end = "temporary connection auth 451 4.7.0"},
};

START_TEST(starttls)
{
    script_play_rows(tls_rows, ARRAY_COUNT(tls_rows));
}
END_TEST

START_TEST(authentication)
{
    script_play_rows(auth_rows, ARRAY_COUNT(auth_rows));
}
END_TEST

/* What comes with the offer cannot be the answer to a STARTTLS that is not out yet. (No row: cut into
 * pieces, nobody can tell.) */
START_TEST(answers_ahead_of_starttls)
{
    static const char *const ahead[] = {"220 go\r\n", "2", "220 go\r\n250 x\r\n", "454 no\r\n"};
    for (size_t i = 0; i < ARRAY_COUNT(ahead); i++) {
        struct smtp_client c;
        struct smtp_client_config config = {.helo_name = SLICE("me"), .window = 1};
        struct buf peer, out;
        buf_init(&peer, 256);
        buf_init(&out, SMTP_CLIENT_OUT_BYTES);
        buf_addf(&peer, HELLO OFFER_TLS "%s", ahead[i]);
        config.tls = SMTP_TLS_MAY;
        smtp_client_init(&c, &config);
        smtp_client_start(&c);
        struct slice in = buf_slice(&peer);
        ck_assert_int_eq(smtp_client_step(&c, &in, &out), SMTP_CLIENT_CLOSED);
        ck_assert_uint_eq(smtp_client_outcome(&c)->enhanced.subject, 7);
        ck_assert(!smtp_client_wants_plaintext(&c));
        smtp_client_deinit(&c);
        buf_deinit(&peer);
        buf_deinit(&out);
    }
}
END_TEST

/* RFC 4954 4: a command line above 512 bytes has no initial response. */
START_TEST(long_secrets)
{
    char token[600];
    static const struct {
        uint32_t mechanism;
        size_t bytes; /* of the secret: base64 of "\0user\0..." and 11 + 2 bytes are the line */
        bool at_once;
    } cases[] = {{SMTP_AUTH_PLAIN, 366, true},
                 {SMTP_AUTH_PLAIN, 367, false},
                 {SMTP_AUTH_PLAIN, 600, false},
                 {SMTP_AUTH_XOAUTH2, 600, false}};
    memset(token, 't', sizeof(token));
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct smtp_client c;
        struct smtp_client_config config = {
            .helo_name = SLICE("me"),
            .window = 1,
            .auth_user = SLICE("user"),
            .auth_secret = slice_of(token, cases[i].bytes),
            .auth_mechanisms = cases[i].mechanism,
            .auth_without_tls = true,
        };
        struct slice in = SLICE(HELLO "250-mx\r\n250 AUTH PLAIN XOAUTH2\r\n");
        struct buf out;
        buf_init(&out, SMTP_CLIENT_OUT_BYTES);
        smtp_client_init(&c, &config);
        smtp_client_start(&c);
        ck_assert_int_eq(smtp_client_step(&c, &in, &out), SMTP_CLIENT_WANT_REPLY);
        struct slice line = slice_skip(buf_slice(&out), sizeof("EHLO me\r\n") - 1);
        if (cases[i].at_once) {
            ck_assert_uint_eq(line.len, 509);
            ck_assert(smtp_client_had_secret(&c) && !smtp_client_had_secret(&c));
        } else {
            ck_assert_uint_le(line.len, sizeof("AUTH XOAUTH2\r\n") - 1);
            ck_assert(!smtp_client_had_secret(&c));
            buf_clear(&out);
            in = SLICE("334 \r\n");
            ck_assert_int_eq(smtp_client_step(&c, &in, &out), SMTP_CLIENT_WANT_REPLY);
            ck_assert_uint_gt(out.len, 4 * cases[i].bytes / 3);
            ck_assert(smtp_client_had_secret(&c));
        }
        in = SLICE("235 ok\r\n");
        ck_assert_int_eq(smtp_client_step(&c, &in, &out), SMTP_CLIENT_READY);
        ck_assert(c.authenticated);
        smtp_client_fail(&c, SMTP_FAIL_EOF);
        smtp_client_deinit(&c);
        secret_buf_release(&out);
    }
}
END_TEST

START_TEST(implicit_tls)
{
    struct smtp_client c;
    struct smtp_client_config config = {.helo_name = SLICE("me"), .window = 1};
    struct slice in = SLICE(HELLO OFFER_TLS), none = {NULL, 0};
    struct buf out;
    buf_init(&out, SMTP_CLIENT_OUT_BYTES);
    config.tls = SMTP_TLS_VERIFY;
    smtp_client_init(&c, &config);
    smtp_client_tls_started(&c, true);
    smtp_client_start(&c);
    ck_assert_int_eq(smtp_client_step(&c, &in, &out), SMTP_CLIENT_READY);
    ck_assert(slice_eq(buf_slice(&out), SLICE("EHLO me\r\n")) && c.tls);
    smtp_client_fail(&c, SMTP_FAIL_EOF);
    smtp_client_deinit(&c);
    for (int failed = 0; failed < 2; failed++) {
        smtp_client_init(&c, &config);
        if (failed) {
            smtp_client_tls_failed(&c, SLICE("alert\r\n40"));
        } else {
            smtp_client_tls_started(&c, false);
        }
        ck_assert_int_eq(smtp_client_step(&c, &none, &out), SMTP_CLIENT_CLOSED);
        const struct outcome *o = smtp_client_outcome(&c);
        ck_assert(o->kind == OUTCOME_TEMPORARY && o->stage == OUTCOME_STAGE_STARTTLS);
        ck_assert(slice_eq(o->text, failed ? SLICE("alert 40")
                                           : SLICE("certificate of the peer is not trusted")));
        smtp_client_deinit(&c);
    }
    buf_deinit(&out);
}
END_TEST

/* The 535's text is kept, clean, and outlives the input; the secret is nowhere in the machine. */
START_TEST(words_of_the_refusal)
{
    struct smtp_client c;
    struct smtp_client_config config = {
        .helo_name = SLICE("me"),
        .window = 1,
        .auth_user = SLICE("user"),
        .auth_secret = SLICE("secret"),
        .auth_mechanisms = SMTP_AUTH_LOGIN,
        .auth_without_tls = true,
    };
    static const char *const peer[] = {HELLO "250-mx\r\n250 AUTH LOGIN\r\n", "334 \r\n", "334 \r\n",
                                       "535-5.7.8 no\x1b\r\n535 5.7.8 way\r\n"};
    struct buf out;
    buf_init(&out, SMTP_CLIENT_OUT_BYTES);
    smtp_client_init(&c, &config);
    smtp_client_start(&c);
    for (size_t i = 0; i < ARRAY_COUNT(peer); i++) {
        char *copy = strdup(peer[i]);
        struct slice in = slice_str(copy);
        (void)smtp_client_step(&c, &in, &out);
        ck_assert(smtp_client_had_secret(&c) == (i == 1 || i == 2));
        free(copy);
    }
    const struct outcome *o = smtp_client_outcome(&c);
    ck_assert_msg(slice_eq(o->text, SLICE("no\\x1B way")), "%.*s", SLICE_ARG(o->text));
    ck_assert(o->code == 535 && o->remote && o->kind == OUTCOME_TEMPORARY);
    ck_assert_ptr_null(memmem(&c, sizeof(c), "c2VjcmV0", 8));
    smtp_client_deinit(&c);
    secret_buf_release(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto/smtp/client_auth");
    TCase *tc = tcase_create("auth");
    tcase_add_test(tc, starttls);
    tcase_add_test(tc, answers_ahead_of_starttls);
    tcase_add_test(tc, authentication);
    tcase_add_test(tc, long_secrets);
    tcase_add_test(tc, implicit_tls);
    tcase_add_test(tc, words_of_the_refusal);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
