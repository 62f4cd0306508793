/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * AUTH of the client: what the peer says, what goes out, how it ends; and what a peer says who wants a
 * login and got none. Every row whole, in single bytes and in threes. "!TLS" is the driver's handshake.
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
     .end = "temporary connection auth 535 5.0.0 wants-login"},
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
     .end = "temporary connection auth 535 5.7.8 wants-login"},
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
     .end = "temporary connection auth 534 5.7.9 wants-login"},
    {.name = "535: no other mechanism",
     LOGIN,
     .auth_without_tls = true,
     .steps = {{HELLO, EHLO}, {OFFER_BOTH, PLAIN}, {"535 5.7.8 wrong\r\n", ""}},
     .end = "temporary connection auth 535 5.7.8 wants-login"},
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
     .end = "temporary connection auth 535 5.7.8 wants-login"},
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

#define QUITE "250-mx\r\n250 PIPELINING\r\n"
#define TWO                                                                                        \
    {                                                                                              \
        {                                                                                          \
            "a@x", {{"b@y", NULL, 0}, {"c@y", NULL, 0}}, NULL, 0, 0, NULL, MAIL_RET_DEFAULT        \
        }                                                                                          \
    }
#define GROUP MAIL "RCPT TO:<b@y>\r\nRCPT TO:<c@y>\r\nDATA\r\n"

/* Our configuration is wrong, not the mail: RFC 4954 6, RFC 3207 4. */
static const struct script_row wants_rows[] = {
    {.name = "530 to MAIL",
     .relay = true,
     .pipelining = true,
     .steps = {{HELLO, EHLO},
               {QUITE, GROUP},
               {"530 5.7.0 log in\r\n503 5.5.1 x\r\n503 5.5.1 x\r\n503 5.5.1 x\r\n", ""}},
     .txns = TWO,
     .outcomes = "temporary message mail 530 4.7.0 wants-login; "
                 "temporary message mail 530 4.7.0 wants-login"},
    {.name = "530 to MAIL of an MX host is its own affair",
     .steps = {{HELLO, EHLO}, {OFFER_NONE, MAIL}, {"530 5.7.0 log in\r\n", ""}},
     .txns = ONE,
     .outcomes = "permanent message mail 530 5.7.0"},
    {.name = "535 to MAIL",
     .relay = true,
     .steps = {{HELLO, EHLO}, {OFFER_NONE, MAIL}, {"535 log in\r\n", ""}},
     .txns = ONE,
     .outcomes = "temporary message mail 535 4.0.0 wants-login"},
    {.name = "534 to MAIL",
     .relay = true,
     .steps = {{HELLO, EHLO}, {OFFER_NONE, MAIL}, {"534 5.7.9 weak\r\n", ""}},
     .txns = ONE,
     .outcomes = "temporary message mail 534 4.7.9 wants-login"},
    {.name = "538 to MAIL in plaintext",
     .relay = true,
     .steps = {{HELLO, EHLO}, {OFFER_NONE, MAIL}, {"538 5.7.11 encrypt\r\n", ""}},
     .txns = ONE,
     .outcomes = "temporary message mail 538 4.7.11 wants-tls"},
    {.name = "530 names TLS, in plaintext",
     .relay = true,
     .steps = {{HELLO, EHLO},
               {OFFER_NONE, MAIL},
               {"530 5.7.0 Must issue a STARTTLS first\r\n", ""}},
     .txns = ONE,
     .outcomes = "temporary message mail 530 4.7.0 wants-tls"},
    {.name = "530 names TLS, at an MX host, in plaintext",
     .steps = {{HELLO, EHLO},
               {OFFER_NONE, MAIL},
               {"530 5.7.0 must issue a starttls first\r\n", ""}},
     .txns = ONE,
     .outcomes = "temporary message mail 530 4.7.0 wants-tls"},
    {.name = "530 names TLS, under TLS",
     .tls = SMTP_TLS_MAY,
     .steps = {{HELLO, EHLO},
               {"250-mx\r\n250 STARTTLS\r\n", "STARTTLS\r\n"},
               {GO, ""},
               {"!TLS", EHLO},
               {OFFER_NONE, MAIL},
               {"530 5.7.0 Must issue a STARTTLS first\r\n", ""}},
     .txns = ONE,
     .outcomes = "permanent message mail 530 5.7.0"},
    {.name = "530 to one RCPT: the other is delivered",
     .relay = true,
     .pipelining = true,
     .steps = {{HELLO, EHLO},
               {QUITE, GROUP},
               {"250 ok\r\n530 5.7.1 log in\r\n250 ok\r\n354 go\r\n", "Hi\r\n.\r\n"},
               {"250 2.0.0 taken\r\n", ""}},
     .txns = TWO,
     .outcomes =
         "temporary recipient rcpt 530 4.7.1 wants-login; delivered message final-dot 250 2.0.0"},
    {.name = "530 to DATA",
     .relay = true,
     .steps = {{HELLO, EHLO},
               {OFFER_NONE, MAIL},
               {"250 ok\r\n", "RCPT TO:<b@y>\r\n"},
               {"250 ok\r\n", "DATA\r\n"},
               {"530 5.7.0 log in\r\n", ""}},
     .txns = ONE,
     .outcomes = "temporary message data 530 4.7.0 wants-login"},
    {.name = "other refusals are as definite as ever",
     .relay = true,
     .steps = {{HELLO, EHLO}, {OFFER_NONE, MAIL}, {"550 5.7.1 no TLS here\r\n", ""}},
     .txns = ONE,
     .outcomes = "permanent message mail 550 5.7.1"},
};

START_TEST(wanted_login)
{
    script_play_rows(wants_rows, ARRAY_COUNT(wants_rows));
}
END_TEST

START_TEST(authentication)
{
    script_play_rows(auth_rows, ARRAY_COUNT(auth_rows));
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
    ck_assert_int_eq(o->wants, OUTCOME_WANTS_LOGIN);
    ck_assert_ptr_null(memmem(&c, sizeof(c), "c2VjcmV0", 8));
    smtp_client_deinit(&c);
    secret_buf_release(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto/smtp/client_auth");
    TCase *tc = tcase_create("auth");
    tcase_add_test(tc, authentication);
    tcase_add_test(tc, wanted_login);
    tcase_add_test(tc, long_secrets);
    tcase_add_test(tc, words_of_the_refusal);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
