/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * TLS of the client, after STARTTLS or from the first byte: what the peer says, what goes out, how it ends.
 * Every row whole, in single bytes and in threes. "!TLS" and "!BADTLS" are the driver's handshake.
 */
#include "core/base/must.h"
#include "tests/unit/proto/smtp/client_script.h"

#define HELLO "220 mx\r\n"
#define EHLO "EHLO me.test\r\n"
#define OFFER_NONE "250 mx\r\n"
#define OFFER_TLS "250-mx\r\n250 STARTTLS\r\n"
#define OFFER_AUTH "250-mx\r\n250 AUTH LOGIN PLAIN CRAM-MD5 GSSAPI\r\n"
#define STARTTLS "STARTTLS\r\n"
#define GO "220 go\r\n"
#define PLAIN "AUTH PLAIN AHVzZXIAc2VjcmV0\r\n" /* \0user\0secret */
#define MAIL "MAIL FROM:<a@x>\r\n"
#define ONE                                                                                        \
    {                                                                                              \
        {                                                                                          \
            "a@x", {{"b@y", NULL, 0}}, NULL, 0, 0, NULL, MAIL_RET_DEFAULT                          \
        }                                                                                          \
    }

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
    {.name = "may: an alert as the first thing under TLS",
     .tls = SMTP_TLS_MAY,
     .steps = {{HELLO, EHLO}, {OFFER_TLS, STARTTLS}, {GO, ""}, {"!TLS", EHLO}, {"!BADTLS", ""}},
     .end = "temporary connection starttls 451 4.7.5",
     .plaintext = true},
    {.name = "encrypt: an alert as the first thing under TLS",
     .tls = SMTP_TLS_ENCRYPT,
     .steps = {{HELLO, EHLO}, {OFFER_TLS, STARTTLS}, {GO, ""}, {"!TLS", EHLO}, {"!BADTLS", ""}},
     .end = "temporary connection starttls 451 4.7.5"},
};

#define IMPLICIT .implicit = true, .tls = SMTP_TLS_VERIFY
static const struct script_row implicit_rows[] = {
    {.name = "TLS first, then the greeting; an offer of STARTTLS is not taken up",
     IMPLICIT,
     .steps = {{"!TLS", ""}, {HELLO, EHLO}, {OFFER_TLS, MAIL}},
     .txns = ONE},
    {.name = "untrusted under encrypt",
     .implicit = true,
     .tls = SMTP_TLS_ENCRYPT,
     .untrusted = true,
     .steps = {{"!TLS", ""}, {HELLO, EHLO}, {OFFER_NONE, MAIL}},
     .txns = ONE},
    {.name = "untrusted under verify",
     IMPLICIT,
     .untrusted = true,
     .steps = {{"!TLS", ""}},
     .end = "temporary connection starttls 451 4.7.5"},
    {.name = "may: a failed handshake is no reason for plaintext",
     .implicit = true,
     .tls = SMTP_TLS_MAY,
     .steps = {{"!BADTLS", ""}},
     .end = "temporary connection starttls 451 4.7.5"},
    {.name = "may: closed in the handshake",
     .implicit = true,
     .tls = SMTP_TLS_MAY,
     .steps = {{"!EOF", ""}},
     .end = "temporary connection starttls 451 4.4.2"},
    {.name = "may: an alert as the first thing under TLS",
     .implicit = true,
     .tls = SMTP_TLS_MAY,
     .steps = {{"!TLS", ""}, {"!BADTLS", ""}},
     .end = "temporary connection starttls 451 4.7.5"},
    {.name = "a greeting before the handshake",
     IMPLICIT,
     .steps = {{HELLO, ""}},
     .end = "temporary connection starttls 451 4.7.0"},
    {.name = "a login",
     IMPLICIT,
     .user = "user",
     .secret = "secret",
     .steps = {{"!TLS", ""},
               {HELLO, EHLO},
               {"250-mx\r\n250 AUTH PLAIN\r\n", "AUTH PLAIN AHVzZXIAc2VjcmV0\r\n"},
               {"235 ok\r\n", MAIL}},
     .txns = ONE},
};

START_TEST(starttls)
{
    script_play_rows(tls_rows, ARRAY_COUNT(tls_rows));
}
END_TEST

START_TEST(implicit_tls)
{
    script_play_rows(implicit_rows, ARRAY_COUNT(implicit_rows));
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

/* Only what comes before any byte of a reply belongs to the handshake. */
START_TEST(new_until_the_peer_speaks)
{
    struct smtp_client c;
    struct smtp_client_config config = {.helo_name = SLICE("me"), .window = 1};
    struct slice begin = SLICE(HELLO OFFER_TLS), go = SLICE(GO), none = {NULL, 0};
    struct slice first = SLICE("2");
    struct buf out;
    buf_init(&out, SMTP_CLIENT_OUT_BYTES);
    config.tls = SMTP_TLS_MAY;
    smtp_client_init(&c, &config);
    smtp_client_start(&c);
    (void)smtp_client_step(&c, &begin, &out);
    ck_assert_int_eq(smtp_client_step(&c, &go, &out), SMTP_CLIENT_START_TLS);
    ck_assert(!smtp_client_tls_is_new(&c));
    smtp_client_tls_started(&c, true);
    ck_assert(smtp_client_tls_is_new(&c));
    (void)smtp_client_step(&c, &none, &out);
    ck_assert(smtp_client_tls_is_new(&c));
    (void)smtp_client_step(&c, &first, &out);
    ck_assert(!smtp_client_tls_is_new(&c));
    smtp_client_fail(&c, SMTP_FAIL_IO);
    ck_assert(!smtp_client_wants_plaintext(&c));
    smtp_client_deinit(&c);
    buf_deinit(&out);
}
END_TEST

/* Why it failed is kept, clean. */
START_TEST(words_of_the_failure)
{
    struct smtp_client c;
    struct smtp_client_config config = {.helo_name = SLICE("me"), .window = 1};
    struct slice none = {NULL, 0};
    struct buf out;
    buf_init(&out, SMTP_CLIENT_OUT_BYTES);
    config.tls = SMTP_TLS_VERIFY;
    config.tls_implicit = true;
    smtp_client_init(&c, &config);
    smtp_client_start(&c);
    ck_assert_int_eq(smtp_client_step(&c, &none, &out), SMTP_CLIENT_START_TLS);
    smtp_client_tls_failed(&c, SLICE("alert\r\n40"));
    ck_assert_int_eq(smtp_client_step(&c, &none, &out), SMTP_CLIENT_CLOSED);
    ck_assert(slice_eq(smtp_client_outcome(&c)->text, SLICE("alert 40")));
    smtp_client_deinit(&c);
    buf_deinit(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto/smtp/client_tls");
    TCase *tc = tcase_create("tls");
    tcase_add_test(tc, starttls);
    tcase_add_test(tc, answers_ahead_of_starttls);
    tcase_add_test(tc, implicit_tls);
    tcase_add_test(tc, new_until_the_peer_speaks);
    tcase_add_test(tc, words_of_the_failure);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
