/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * STARTTLS and AUTH: bytes in, exact replies and checks out; every row whole, in single bytes and in
 * random pieces. \1 stands for the TLS handshake (server_script.h). The last test looks through the
 * memory of the process for a password that a session has finished with.
 */
#include "proto/smtp/server.h"
#include "core/base/base64.h"
#include "core/base/rng.h"
#include "core/base/secret.h"
#include "tests/unit/proto/smtp/server_script.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define HI "220 mx.test ESMTP Ringpost\r\n"
#define EHLO "EHLO c\r\n"
#define OK_PLAIN "250 mx.test\r\n"
#define OK_TLS "250-mx.test\r\n250 STARTTLS\r\n"
#define OK_AUTH "250-mx.test\r\n250 AUTH PLAIN LOGIN CRAM-MD5\r\n"
#define OK_BOTH "250-mx.test\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN CRAM-MD5\r\n"
#define STARTTLS "STARTTLS\r\n"
#define SHAKE STARTTLS "\1"
#define READY SCRIPT_READY_TLS
#define MAIL "MAIL FROM:<a@b>\r\n"
#define MAIL_OK "250 2.1.0 Ok\r\n"
#define NOOP "NOOP\r\n"
#define OK "250 2.0.0 Ok\r\n"
#define QUIT "QUIT\r\n"
#define BYE "221 2.0.0 Bye\r\n<close>"
#define NEED_TLS "530 5.7.0 Must issue a STARTTLS command first\r\n"
#define NEED_EHLO "503 5.5.1 Send EHLO first\r\n"
#define INJECTED "554 5.5.0 Input behind STARTTLS, closing\r\n<close>"
#define AGAIN "554 5.5.1 TLS already active\r\n"
#define IN_CLEAR "538 5.7.11 Encryption required for authentication\r\n"
#define AUTHED "235 2.7.0 Authentication successful\r\n"
#define WRONG "535 5.7.8 Wrong\r\n"
#define TOO_MANY "421 4.7.0 Too many failed logins, closing\r\n<close>"
#define MALFORMED "501 5.5.2 Malformed authentication data\r\n"
#define CANCELLED "501 5.7.0 Authentication cancelled\r\n"
#define ALREADY "503 5.5.1 Already authenticated\r\n"
#define NO_AUTH "503 5.5.1 Authentication is not enabled\r\n"
#define NEED_AUTH "530 5.7.0 Authentication required\r\n"
#define ASK "334 \r\n"
#define ASK_USER "334 VXNlcm5hbWU6\r\n"
#define ASK_PASSWORD "334 UGFzc3dvcmQ6\r\n"
#define ASK_CRAM "334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\r\n"
#define USER "dXNlcg=="                                            /* user */
#define SECRET "c2VjcmV0"                                          /* secret */
#define PLAIN_OK "AHVzZXIAc2VjcmV0"                                /* \0user\0secret */
#define PLAIN_BAD "AHVzZXIAYmFk"                                   /* \0user\0bad */
#define TIM "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw\r\n" /* RFC 2195 2 */
#define TIM_BAD "dGltIDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw\r\n"
#define TIM_PLAIN "AHRpbQBiYWQ=\r\n" /* \0tim\0bad */
#define TIM_LOGIN "AUTH LOGIN dGlt\r\nYmFk\r\n"
#define CHECKED "auth PLAIN /user/secret\n"
#define CHECKED_BAD "auth PLAIN /user/bad\n"
#define CHECKED_LOGIN "auth LOGIN /user/secret\n"
#define CHECKED_TIM "auth PLAIN /tim/bad\n"
#define CHECKED_TIM_LOGIN "auth LOGIN /tim/bad\n"
#define CHECKED_EMPTY "auth LOGIN //\n"

enum {
    TLS = 1,     /* offered */
    ENCRYPT = 2, /* required */
    AUTH = 4,    /* offered */
    CLEAR = 8,   /* also before TLS */
    SAY_530 = 16,
    REQUIRED = 32,  /* at MAIL */
    MAX_2 = 64,     /* failures */
    EQUALS = 128,   /* AUTH= */
    NO_TLS = 256,   /* session: broken certificate */
    NOT_HIM = 512,  /* session: no AUTH for this client */
    TRUSTED = 1024, /* session */
    IMPLICIT = 2048,
    NORMALIZE = 4096,
    BDAT = 8192,
    HELP = 16384,
};

static const struct row {
    const char *name;
    int options;
    const char *in;
    const char *replies; /* without the greeting */
    const char *events;
} rows[] = {
    /* STARTTLS */
    {"starttls", TLS, EHLO SHAKE EHLO QUIT, OK_TLS READY OK_PLAIN BYE, ""},
    {"starttls before ehlo", TLS, SHAKE EHLO MAIL, READY OK_PLAIN MAIL_OK, ""},
    {"lower case", TLS, "ehlo c\r\nstarttls\r\n\1ehlo c\r\n", OK_TLS READY OK_PLAIN, ""},
    {"ehlo is forgotten", TLS, EHLO SHAKE MAIL NOOP, OK_TLS READY NEED_EHLO OK, ""},
    {"with argument", TLS, EHLO "STARTTLS now\r\n" NOOP, OK_TLS "501 5.5.4 Syntax: STARTTLS\r\n" OK,
     ""},
    {"twice", TLS, SHAKE EHLO STARTTLS NOOP, READY OK_PLAIN AGAIN OK, ""},
    {"in a transaction", TLS, EHLO MAIL STARTTLS "RSET\r\n" SHAKE NOOP,
     OK_TLS MAIL_OK "503 5.5.1 Transaction is already open\r\n" OK READY OK, ""},
    {"not offered", 0, EHLO STARTTLS NOOP, OK_PLAIN "502 5.5.1 Command not implemented\r\n" OK, ""},
    {"broken certificate", TLS | NO_TLS, EHLO STARTTLS NOOP,
     OK_PLAIN "454 4.7.0 TLS is not available due to a local problem\r\n" OK, ""},
    {"injection", TLS, EHLO STARTTLS NOOP, OK_TLS INJECTED, ""},
    {"injection of one byte", TLS, EHLO STARTTLS "\n", OK_TLS INJECTED, ""},
    {"implicit", TLS | IMPLICIT, EHLO STARTTLS NOOP, OK_PLAIN AGAIN OK, ""},
    {"implicit, not configured", IMPLICIT, EHLO STARTTLS,
     OK_PLAIN "502 5.5.1 Command not implemented\r\n", ""},
    {"tls in tls", TLS, SHAKE "\x16\x03\x01\r\n", READY "500 5.5.2 Command not recognized\r\n", ""},
    {"help", TLS | AUTH | HELP, "HELP\r\n" SHAKE "HELP\r\n",
     "214 2.0.0 Commands: EHLO HELO MAIL RCPT DATA RSET NOOP VRFY EXPN HELP QUIT STARTTLS\r\n" READY
     "214 2.0.0 Commands: EHLO HELO MAIL RCPT DATA RSET NOOP VRFY EXPN HELP QUIT AUTH\r\n",
     ""},
    /* TLS required */
    {"encrypt", TLS | ENCRYPT | AUTH | CLEAR | HELP,
     EHLO "HELO c\r\n" NOOP "HELP\r\n" MAIL "RCPT TO:<a@b>\r\nDATA\r\nRSET\r\nVRFY a\r\nEXPN\r\n"
          "AUTH PLAIN " PLAIN_OK "\r\nBDAT 4\r\n" QUIT,
     "250-mx.test\r\n250-STARTTLS\r\n250 HELP\r\n" OK_PLAIN OK
     "214 2.0.0 Commands: EHLO HELO MAIL RCPT DATA RSET NOOP VRFY EXPN HELP QUIT "
     "STARTTLS\r\n" NEED_TLS NEED_TLS NEED_TLS NEED_TLS NEED_TLS NEED_TLS NEED_TLS
     "502 5.5.1 Command not implemented\r\n<close>",
     ""},
    {"encrypt, unknown verb", TLS | ENCRYPT, "FOO\r\nSTARTTLS x\r\n",
     "500 5.5.2 Command not recognized\r\n501 5.5.4 Syntax: STARTTLS\r\n", ""},
    {"encrypt, then served", TLS | ENCRYPT | AUTH, EHLO SHAKE EHLO MAIL,
     OK_TLS READY OK_AUTH MAIL_OK, ""},
    {"encrypt, bdat", TLS | ENCRYPT | BDAT, EHLO "BDAT 4\r\nRSETBDAT 6 LAST\r\nNOOP\r\n" NOOP,
     "250-mx.test\r\n250-CHUNKING\r\n250 STARTTLS\r\n" NEED_TLS NEED_TLS OK, ""},
    {"encrypt, certificate broken", TLS | ENCRYPT | NO_TLS, EHLO STARTTLS MAIL,
     OK_PLAIN "454 4.7.0 TLS is not available due to a local problem\r\n" NEED_TLS, ""},
    /* AUTH: when */
    {"auth off", 0, EHLO "AUTH PLAIN " PLAIN_OK "\r\n",
     OK_PLAIN "503 5.5.1 Command not implemented\r\n", ""},
    {"auth before tls", TLS | AUTH, EHLO "AUTH PLAIN " PLAIN_OK "\r\n" SHAKE EHLO NOOP,
     OK_TLS IN_CLEAR READY OK_AUTH OK, ""},
    {"auth before tls, 530", TLS | AUTH | SAY_530, EHLO "AUTH LOGIN\r\n" NOOP, OK_TLS NEED_TLS OK,
     ""},
    {"auth after tls", TLS | AUTH, EHLO SHAKE EHLO "AUTH PLAIN " PLAIN_OK "\r\n" EHLO,
     OK_TLS READY OK_AUTH AUTHED OK_PLAIN, CHECKED},
    {"auth in clear", TLS | AUTH | CLEAR, EHLO "AUTH PLAIN " PLAIN_OK "\r\n", OK_BOTH AUTHED,
     CHECKED},
    {"tls forgets auth", TLS | AUTH | CLEAR | REQUIRED,
     EHLO "AUTH PLAIN " PLAIN_OK "\r\n" SHAKE EHLO MAIL, OK_BOTH AUTHED READY OK_AUTH NEED_AUTH,
     CHECKED},
    {"auth=", AUTH | CLEAR | EQUALS, EHLO,
     "250-mx.test\r\n250-AUTH PLAIN LOGIN CRAM-MD5\r\n250 AUTH=PLAIN LOGIN CRAM-MD5\r\n", ""},
    {"auth= hidden before tls", TLS | AUTH | EQUALS, EHLO, OK_TLS, ""},
    {"not for this client", AUTH | CLEAR | NOT_HIM, EHLO "AUTH LOGIN\r\n", OK_PLAIN NO_AUTH, ""},
    {"not for this client in clear", AUTH | NOT_HIM, EHLO "AUTH LOGIN\r\n", OK_PLAIN NO_AUTH, ""},
    {"before ehlo", AUTH | CLEAR, "AUTH PLAIN " PLAIN_OK "\r\n", NEED_EHLO, ""},
    {"after helo", AUTH | CLEAR, "HELO c\r\nAUTH PLAIN " PLAIN_OK "\r\n", OK_PLAIN AUTHED, CHECKED},
    {"twice", AUTH | CLEAR, EHLO "AUTH PLAIN " PLAIN_OK "\r\nAUTH PLAIN " PLAIN_OK "\r\n",
     OK_AUTH AUTHED ALREADY, CHECKED},
    {"in a transaction", AUTH | CLEAR, EHLO MAIL "AUTH PLAIN " PLAIN_OK "\r\n" NOOP,
     OK_AUTH MAIL_OK "503 5.5.1 Transaction is already open\r\n" OK, ""},
    {"no argument", AUTH | CLEAR, EHLO "AUTH\r\n",
     OK_AUTH "501 5.5.4 Syntax: AUTH mechanism [initial-response]\r\n", ""},
    {"unknown mechanism", AUTH | CLEAR, EHLO "AUTH GSSAPI\r\nAUTH XOAUTH2 AAAA\r\nAUTH =\r\n" NOOP,
     OK_AUTH "504 5.5.4 Unrecognized authentication mechanism\r\n"
             "504 5.5.4 Unrecognized authentication mechanism\r\n"
             "504 5.5.4 Unrecognized authentication mechanism\r\n" OK,
     ""},
    /* PLAIN */
    {"plain wrong, then right", AUTH | CLEAR,
     EHLO "auth plain " PLAIN_BAD "\r\nNOOP\r\nAUTH PLAIN " PLAIN_OK "\r\n",
     OK_AUTH WRONG OK AUTHED, CHECKED_BAD CHECKED},
    {"plain without initial response", AUTH | CLEAR, EHLO "AUTH PLAIN\r\n" PLAIN_OK "\r\n" NOOP,
     OK_AUTH ASK AUTHED OK, CHECKED},
    {"plain with authzid", AUTH | CLEAR, EHLO "AUTH PLAIN YXMAdXNlcgBzZWNyZXQ=\r\n", OK_AUTH AUTHED,
     "auth PLAIN as/user/secret\n"},
    {"plain all empty (smtplib)", AUTH | CLEAR, EHLO "AUTH PLAIN AAA=\r\n", OK_AUTH WRONG,
     "auth PLAIN //\n"},
    {"plain =", AUTH | CLEAR, EHLO "AUTH PLAIN =\r\n" NOOP, OK_AUTH MALFORMED OK, ""},
    {"plain empty line", AUTH | CLEAR, EHLO "AUTH PLAIN\r\n\r\n" NOOP, OK_AUTH ASK MALFORMED OK,
     ""},
    {"plain one nul", AUTH | CLEAR, EHLO "AUTH PLAIN AHVzZXI=\r\n" NOOP, OK_AUTH MALFORMED OK, ""},
    {"plain three nuls", AUTH | CLEAR, EHLO "AUTH PLAIN AHUAcAA=\r\n", OK_AUTH MALFORMED, ""},
    {"two initial responses", AUTH | CLEAR, EHLO "AUTH PLAIN AAA= AAA=\r\n", OK_AUTH MALFORMED, ""},
    {"tab", AUTH | CLEAR, EHLO "AUTH\tPLAIN  " PLAIN_OK "\t\r\n", OK_AUTH AUTHED, CHECKED},
    /* LOGIN */
    {"login", AUTH | CLEAR, EHLO "AUTH LOGIN\r\n" USER "\r\n" SECRET "\r\n" NOOP,
     OK_AUTH ASK_USER ASK_PASSWORD AUTHED OK, CHECKED_LOGIN},
    {"login with initial response", AUTH | CLEAR, EHLO "AUTH LOGIN " USER "\r\n" SECRET "\r\n",
     OK_AUTH ASK_PASSWORD AUTHED, CHECKED_LOGIN},
    {"login empty (smtplib)", AUTH | CLEAR, EHLO "AUTH LOGIN \r\n\r\n\r\n" NOOP,
     OK_AUTH ASK_USER ASK_PASSWORD WRONG OK, CHECKED_EMPTY},
    {"login =", AUTH | CLEAR, EHLO "AUTH LOGIN =\r\n\r\n", OK_AUTH ASK_PASSWORD WRONG,
     CHECKED_EMPTY},
    {"login nul", AUTH | CLEAR, EHLO "AUTH LOGIN dQBz\r\n" NOOP, OK_AUTH MALFORMED OK, ""},
    {"login nul in password", AUTH | CLEAR, EHLO "AUTH LOGIN " USER "\r\ndQBz\r\n",
     OK_AUTH ASK_PASSWORD MALFORMED, ""},
    {"temporary", AUTH | CLEAR, EHLO "AUTH LOGIN dGVtcA==\r\n\r\n" NOOP,
     OK_AUTH ASK_PASSWORD "454 4.7.0 Later\r\n" OK, "auth LOGIN /temp/\n"},
    {"closed", AUTH | CLEAR, EHLO "AUTH LOGIN Y2xvc2U=\r\n\r\n" NOOP,
     OK_AUTH ASK_PASSWORD "421 4.7.0 Go away\r\n<close>", "auth LOGIN /close/\n"},
    {"pipelined", AUTH | CLEAR | REQUIRED, EHLO "AUTH PLAIN " PLAIN_OK "\r\n" MAIL QUIT,
     OK_AUTH AUTHED MAIL_OK BYE, CHECKED},
    /* cancel, malformed */
    {"cancel plain", AUTH | CLEAR, EHLO "AUTH PLAIN\r\n*\r\n" NOOP, OK_AUTH ASK CANCELLED OK, ""},
    {"cancel login", AUTH | CLEAR, EHLO "AUTH LOGIN " USER "\r\n*\r\n" NOOP,
     OK_AUTH ASK_PASSWORD CANCELLED OK, ""},
    {"cancel cram", AUTH | CLEAR, EHLO "AUTH CRAM-MD5\r\n*\r\n" NOOP, OK_AUTH ASK_CRAM CANCELLED OK,
     ""},
    {"star as initial response", AUTH | CLEAR, EHLO "AUTH LOGIN *\r\n", OK_AUTH MALFORMED, ""},
    {"bad base64", AUTH | CLEAR,
     EHLO "AUTH PLAIN AAA\r\nAUTH PLAIN A===\r\nAUTH PLAIN AA=A\r\nAUTH PLAIN AAB=\r\n"
          "AUTH PLAIN\r\nAA A\r\nAUTH PLAIN\r\n====\r\nAUTH PLAIN\r\nAAA= \r\n" NOOP,
     OK_AUTH MALFORMED MALFORMED MALFORMED MALFORMED ASK MALFORMED ASK MALFORMED ASK MALFORMED OK,
     ""},
    {"commands in an exchange", AUTH | CLEAR, EHLO "AUTH LOGIN\r\nQUIT\r\nSTARTTLS\r\n" NOOP,
     OK_AUTH ASK_USER ASK_PASSWORD "535 5.7.8 Wrong\r\n" OK,
     "auth LOGIN /A\x42\x13/I\x30\x11\x4d\x32\xd2\n"},
    {"bdat in an exchange", AUTH | CLEAR | BDAT, EHLO "AUTH PLAIN\r\nBDAT 1 LAST\r\n" NOOP,
     "250-mx.test\r\n250-CHUNKING\r\n250 AUTH PLAIN LOGIN CRAM-MD5\r\n" ASK MALFORMED OK, ""},
    {"bare lf", AUTH | CLEAR, EHLO "AUTH PLAIN\r\n" PLAIN_OK "\nAUTH PLAIN\r\nBDAT 1\n" NOOP,
     OK_AUTH ASK "500 5.5.2 Lines end in CR LF\r\n" ASK "500 5.5.2 Lines end in CR LF\r\n" OK, ""},
    {"bare lf, normalized", AUTH | CLEAR | NORMALIZE, EHLO "AUTH PLAIN\n" PLAIN_OK "\n" NOOP,
     OK_AUTH ASK AUTHED OK, CHECKED},
    {"bare cr", AUTH | CLEAR, EHLO "AUTH PLAIN\r\nAA\rA=\r\n" NOOP,
     OK_AUTH ASK "500 5.5.2 NUL or CR in a command is not allowed\r\n" OK, ""},
    /* CRAM-MD5 */
    {"cram", AUTH | CLEAR, EHLO "AUTH CRAM-MD5\r\n" TIM NOOP, OK_AUTH ASK_CRAM AUTHED OK,
     "auth CRAM-MD5 /tim/\n"},
    {"cram with initial response", AUTH | CLEAR, EHLO "AUTH CRAM-MD5 AAAA\r\n" NOOP,
     OK_AUTH "501 5.7.0 CRAM-MD5 takes no initial response\r\n" OK, ""},
    {"cram malformed", AUTH | CLEAR, EHLO "AUTH CRAM-MD5\r\ndGlt\r\nAUTH CRAM-MD5\r\n\r\n" NOOP,
     OK_AUTH ASK_CRAM MALFORMED ASK_CRAM MALFORMED OK, ""},
    /* limits and policy */
    {"too many failures", AUTH | CLEAR | MAX_2,
     EHLO "AUTH PLAIN " PLAIN_BAD "\r\nAUTH LOGIN dGVtcA==\r\n\r\nAUTH PLAIN " PLAIN_BAD
          "\r\nNOOP\r\nAUTH PLAIN " PLAIN_OK "\r\n" NOOP,
     OK_AUTH WRONG ASK_PASSWORD "454 4.7.0 Later\r\n" WRONG OK TOO_MANY,
     CHECKED_BAD "auth LOGIN /temp/\n" CHECKED_BAD},
    /* smtplib's habit: one mechanism after the other for one login is one failure */
    {"one failure by three mechanisms", AUTH | CLEAR | MAX_2,
     EHLO "AUTH CRAM-MD5\r\n" TIM_BAD "AUTH PLAIN " TIM_PLAIN TIM_LOGIN TIM_LOGIN
          "AUTH PLAIN " TIM_PLAIN NOOP "AUTH PLAIN " TIM_PLAIN NOOP,
     OK_AUTH ASK_CRAM WRONG WRONG ASK_PASSWORD WRONG ASK_PASSWORD WRONG WRONG OK TOO_MANY,
     "auth CRAM-MD5 /tim/\n" CHECKED_TIM CHECKED_TIM_LOGIN CHECKED_TIM_LOGIN CHECKED_TIM},
    {"each user is a failure", AUTH | CLEAR | MAX_2,
     EHLO "AUTH PLAIN " PLAIN_BAD "\r\nAUTH PLAIN " TIM_PLAIN "AUTH PLAIN " PLAIN_OK "\r\n" NOOP,
     OK_AUTH WRONG WRONG TOO_MANY, CHECKED_BAD CHECKED_TIM},
    {"the right password in time", AUTH | CLEAR | MAX_2,
     EHLO "AUTH PLAIN " PLAIN_BAD "\r\nAUTH PLAIN " PLAIN_BAD "\r\nAUTH LOGIN " USER "\r\n" SECRET
          "\r\n" NOOP,
     OK_AUTH WRONG WRONG ASK_PASSWORD AUTHED OK, CHECKED_BAD CHECKED_BAD CHECKED_LOGIN},
    {"mail needs auth", AUTH | CLEAR | REQUIRED,
     EHLO MAIL "MAIL FROM:<\r\nRCPT TO:<a@b>\r\nAUTH PLAIN " PLAIN_OK "\r\n" MAIL,
     OK_AUTH NEED_AUTH NEED_AUTH "503 5.5.1 Need MAIL first\r\n" AUTHED MAIL_OK, CHECKED},
    {"mail of a trusted client", AUTH | CLEAR | REQUIRED | TRUSTED, EHLO MAIL, OK_AUTH MAIL_OK, ""},
    {"mail auth=", AUTH | CLEAR, EHLO "MAIL FROM:<a@b> AUTH=<>\r\n", OK_AUTH MAIL_OK, ""},
};

static void config_make(struct smtp_server_config *c, int options)
{
    smtp_server_config_init(c);
    c->hostname = SLICE("mx.test");
    c->features = (options & TLS ? SMTP_FEATURE_STARTTLS : 0u) |
                  (options & AUTH ? SMTP_FEATURE_AUTH : 0u) |
                  (options & EQUALS ? SMTP_FEATURE_AUTH_EQUALS : 0u) |
                  (options & BDAT ? SMTP_FEATURE_CHUNKING : 0u) |
                  (options & HELP ? SMTP_FEATURE_HELP | SMTP_FEATURE_VRFY : 0u);
    c->tls_required = (options & ENCRYPT) != 0;
    c->auth_needs_tls = !(options & CLEAR);
    c->auth_says_530 = (options & SAY_530) != 0;
    c->auth_required = (options & REQUIRED) != 0;
    c->auth_mechanisms = SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN | SMTP_AUTH_CRAM_MD5;
    c->auth_failures_max = options & MAX_2 ? 2 : 0;
    c->normalize_bare_lf = (options & NORMALIZE) != 0;
}

static void session_begin(struct script *t, const struct smtp_server_config *config, int options)
{
    script_init(t, config);
    smtp_server_set_flags(&t->server, (uint8_t)((options & NO_TLS ? SMTP_SESSION_NO_TLS : 0) |
                                                (options & NOT_HIM ? SMTP_SESSION_NO_AUTH : 0) |
                                                (options & TRUSTED ? SMTP_SESSION_TRUSTED : 0)));
    if (options & IMPLICIT) {
        smtp_server_deinit(&t->server);
        buf_clear(&t->out);
        smtp_server_init(&t->server, config);
        smtp_server_tls_started(&t->server);
        smtp_server_greet(&t->server, &t->out);
        ck_assert(smtp_server_tls(&t->server));
    }
}

static void run_row(const struct row *row, size_t piece_max, uint64_t seed)
{
    struct smtp_server_config config;
    struct script t;
    struct rng rng;
    struct buf want;
    config_make(&config, row->options);
    rng_init_seed(&rng, seed);
    session_begin(&t, &config, row->options);
    script_run(&t, slice_str(row->in), piece_max, &rng);
    buf_init(&want, 1 << 20);
    buf_add(&want, SLICE(HI));
    buf_add(&want, slice_str(row->replies));
    ck_assert_msg(slice_eq(buf_slice(&t.replies), buf_slice(&want)),
                  "%s (%zu)\ngot:  %.*s\nwant: %.*s", row->name, piece_max,
                  SLICE_ARG(buf_slice(&t.replies)), SLICE_ARG(buf_slice(&want)));
    ck_assert_msg(slice_eq(buf_slice(&t.events), slice_str(row->events)),
                  "%s (%zu)\ngot:  %.*s\nwant: %s", row->name, piece_max,
                  SLICE_ARG(buf_slice(&t.events)), row->events);
    ck_assert_msg(t.secret ==
                      (strcasestr(row->in, "auth") != NULL && strcasestr(row->in, "auth=") == NULL),
                  "%s: had_secret", row->name);
    buf_deinit(&want);
    script_deinit(&t);
}

START_TEST(table)
{
    run_row(&rows[_i], 0, 0);
    run_row(&rows[_i], 1, 0);
    for (uint64_t seed = 1; seed <= 20; seed++) {
        run_row(&rows[_i], 1 + seed % 9, seed);
    }
}
END_TEST

/* RFC 4954 4: 12288 bytes with CRLF pass, one more does not and ends the exchange. The lines are
 * base64 of 9210 and 9216 bytes. */
START_TEST(long_lines)
{
    static const struct {
        const char *before;
        size_t line; /* with CRLF */
        const char *after;
        const char *reply;
    } cases[] = {
        {"AUTH PLAIN ", 12288 - 9, "", MALFORMED}, /* the most base64 that fits behind 11 bytes */
        {"AUTH PLAIN ", 12289, "", "500 5.5.6 Authentication exchange line is too long\r\n"},
        {"auth login ", 12291, "", "500 5.5.6 Authentication exchange line is too long\r\n"},
        {"AUTH PLAIN\r\n", 12286, "", ASK MALFORMED},
        {"AUTH PLAIN\r\n", 12290, "", ASK "500 5.5.6 Authentication exchange line is too long\r\n"},
        {"AUTH LOGIN\r\n", 12282, "\r\n", ASK_USER ASK_PASSWORD WRONG},
        {"MAIL FROM:", 4097, "", "500 5.5.2 Line is too long\r\n"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        for (size_t piece = 0; piece < 3; piece++) {
            struct smtp_server_config config;
            struct script t;
            struct rng rng;
            struct buf in;
            struct slice before = slice_str(cases[i].before);
            config_make(&config, AUTH | CLEAR);
            rng_init_seed(&rng, 1);
            script_init(&t, &config);
            buf_init(&in, 1 << 20);
            buf_add(&in, SLICE(EHLO));
            buf_add(&in, before);
            size_t begun = slice_ends_nocase(before, SLICE("\r\n")) ? 0 : before.len;
            for (size_t n = begun; n + 2 < cases[i].line; n++) {
                buf_add_byte(&in, 'Z');
            }
            buf_add(&in, SLICE("\r\n"));
            buf_add(&in, slice_str(cases[i].after));
            buf_add(&in, SLICE(NOOP));
            script_run(&t, buf_slice(&in), piece == 2 ? 3000 : piece, &rng);
            struct slice got = slice_skip(buf_slice(&t.replies), sizeof(HI OK_AUTH) - 1);
            buf_clear(&in);
            buf_add(&in, slice_str(cases[i].reply));
            buf_add(&in, SLICE(OK));
            ck_assert_msg(slice_eq(got, buf_slice(&in)), "%zu, %zu: %.*s", i, piece,
                          SLICE_ARG(got));
            ck_assert_uint_le(t.line_peak, SMTP_AUTH_LINE_BYTES);
            buf_deinit(&in);
            script_deinit(&t);
        }
    }
}
END_TEST

/* What is owed, phases, and that nothing is consumed while an answer is. */
START_TEST(driver_contract)
{
    struct smtp_server_config config;
    struct smtp_server s;
    struct buf out;
    struct slice in = SLICE(EHLO "AUTH CRAM-MD5\r\n" TIM NOOP), none = {NULL, 0};
    struct smtp_verdict refused = {535, false, SLICE("5.7.8"), SLICE("No")};
    struct smtp_verdict bye = {421, true, SLICE("4.4.2"), SLICE("Timeout")};
    config_make(&config, TLS | AUTH | CLEAR);
    buf_init(&out, 4 * SMTP_SERVER_OUT_HIGH);
    smtp_server_init(&s, &config);
    smtp_server_greet(&s, &out);
    ck_assert_int_eq((int)smtp_server_step(&s, &in, &out), SMTP_SERVER_AUTH_CHALLENGE);
    ck_assert_uint_eq(in.len, sizeof(TIM NOOP) - 1);
    ck_assert_int_eq((int)smtp_server_step(&s, &in, &out), SMTP_SERVER_WAIT);
    ck_assert_int_eq((int)smtp_server_phase(&s), SMTP_PHASE_WAIT);
    smtp_server_challenge(&s, SLICE("<1@h>"), &out);
    ck_assert_int_eq((int)smtp_server_phase(&s), SMTP_PHASE_COMMAND);
    ck_assert_int_eq((int)smtp_server_step(&s, &in, &out), SMTP_SERVER_CHECK_AUTH);
    ck_assert_uint_eq(in.len, sizeof(NOOP) - 1);
    ck_assert(smtp_server_had_secret(&s) && !smtp_server_had_secret(&s));
    ck_assert_int_eq((int)smtp_server_step(&s, &in, &out), SMTP_SERVER_WAIT);
    ck_assert_int_eq((int)smtp_server_phase(&s), SMTP_PHASE_WAIT);
    ck_assert(slice_eq(smtp_server_auth(&s)->challenge, SLICE("<1@h>")));
    smtp_server_answer(&s, &refused, &out);
    ck_assert_uint_eq(smtp_server_auth_failures(&s), 1);
    ck_assert_ptr_null(s.auth);
    ck_assert_int_eq((int)smtp_server_step(&s, &in, &out), SMTP_SERVER_WANT_INPUT);
    in = SLICE(STARTTLS);
    ck_assert_int_eq((int)smtp_server_step(&s, &in, &out), SMTP_SERVER_START_TLS);
    ck_assert_int_eq((int)smtp_server_phase(&s), SMTP_PHASE_TLS);
    ck_assert_int_eq((int)smtp_server_step(&s, &none, &out), SMTP_SERVER_WAIT);
    smtp_server_tls_started(&s);
    ck_assert(smtp_server_tls(&s) && !smtp_server_esmtp(&s));
    /* In the middle of an exchange: shut and deinit leave nothing behind (ASan's leak check). */
    in = SLICE(EHLO "AUTH LOGIN " USER "\r\nc2Vj");
    ck_assert_int_eq((int)smtp_server_step(&s, &in, &out), SMTP_SERVER_WANT_INPUT);
    ck_assert_ptr_nonnull(s.auth);
    smtp_server_shut(&s, &bye, &out);
    ck_assert_ptr_null(s.auth);
    smtp_server_deinit(&s);
    smtp_server_init(&s, &config);
    smtp_server_greet(&s, &out);
    in = SLICE(EHLO "AUTH LOGIN " USER "\r\nc2Vj");
    (void)smtp_server_step(&s, &in, &out);
    smtp_server_deinit(&s);
    buf_deinit(&out);
}
END_TEST

/* ---- the canary ---- */

static bool find_in(const char *haystack, size_t len, const char *needle, size_t n)
{
    return memmem(haystack, len, needle, n) != NULL;
}

/* Is needle (with its bytes turned over, so that the search does not find itself) in this process's
 * memory? ASan keeps freed memory for a while as it was: the better for us. */
static bool memory_has(const char *turned, size_t n)
{
    enum { CHUNK = 1 << 20, MAP_MAX = 256 << 20 };
    char needle[64], line[512];
    static char chunk[CHUNK + 64];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "re");
    int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    ck_assert(maps && mem >= 0 && n <= sizeof(needle));
    while (!found && fgets(line, sizeof(line), maps)) {
        unsigned long from, to;
        char mode[5];
        if (sscanf(line, "%lx-%lx %4s", &from, &to, mode) != 3 || mode[1] != 'w' ||
            to - from > MAP_MAX) {
            continue;
        }
        for (unsigned long at = from; at < to && !found; at += CHUNK) {
            unsigned long skip_from = (unsigned long)(uintptr_t)chunk;
            if (at < skip_from + sizeof(chunk) && at + CHUNK > skip_from) {
                continue; /* our own copy of what we just read */
            }
            size_t want = to - at < sizeof(chunk) ? to - at : sizeof(chunk);
            ssize_t got = pread(mem, chunk, want, (off_t)at);
            if (got <= 0) {
                continue;
            }
            for (size_t i = 0; i < n; i++) {
                needle[i] = (char)(turned[i] ^ 0x5A);
            }
            char *hit = memmem(chunk, (size_t)got, needle, n);
            found = hit && at + (unsigned long)(hit - chunk) != (unsigned long)(uintptr_t)needle;
            secret_wipe(needle, sizeof(needle));
        }
    }
    secret_wipe(chunk, sizeof(chunk));
    close(mem);
    fclose(maps);
    return found;
}

static void turn(char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        text[i] = (char)(text[i] ^ 0x5A);
    }
}

/* Feeds a line in pieces out of one buffer that is wiped, as a driver does. */
static void feed_wiped(struct smtp_server *s, const char *turned, size_t n, size_t piece,
                       struct buf *out)
{
    char *segment = malloc(piece);
    for (size_t at = 0; at < n; at += piece) {
        size_t len = n - at < piece ? n - at : piece;
        memcpy(segment, turned + at, len);
        turn(segment, len);
        struct slice in = slice_of(segment, len);
        enum smtp_server_action action = smtp_server_step(s, &in, out);
        if (action == SMTP_SERVER_CHECK_AUTH) {
            struct smtp_verdict no = {535, false, SLICE("5.7.8"), SLICE("No")};
            ck_assert_uint_gt(smtp_server_auth(s)->password.len, 8);
            smtp_server_answer(s, &no, out);
        }
        if (smtp_server_had_secret(s)) {
            secret_wipe(segment, len);
        }
    }
    secret_wipe(segment, piece);
    free(segment);
}

START_TEST(password_leaves_no_trace)
{
    /* "canary-in-the-mine-that-must-not-be-heard", turned, so that the program file does not have it.
     * Its tail is looked for: allocators write over the beginning of what is freed. */
    char password[] = "9;4;(#w34w.2?w734?w.2;.w7/).w45.w8?w2?;(>";
    enum { TAIL = 16 };
    const char *tail = password + sizeof(password) - 1 - TAIL;
    static const char verbs[][24] = {"AUTH PLAIN ", "AUTH PLAIN\r\n", "AUTH LOGIN =\r\n"};
    static const size_t pieces[] = {1, 7, 4096};
    struct smtp_server_config config;
    struct smtp_server s;
    struct buf out, line;
    size_t n = sizeof(password) - 1;
    config_make(&config, AUTH | CLEAR);
    buf_init(&out, 1 << 20);
    ck_assert(!memory_has(tail, TAIL));
    for (size_t i = 0; i < ARRAY_COUNT(verbs) * ARRAY_COUNT(pieces); i++) {
        const char *verb = verbs[i % ARRAY_COUNT(verbs)];
        struct slice ehlo = SLICE(EHLO);
        char raw[64] = {0};
        size_t skip = verb[5] == 'P' ? 2 : 0; /* PLAIN: two empty names */
        memcpy(raw + skip, password, n);
        turn(raw + skip, n);
        buf_init(&line, 4096);
        ck_assert(secret_buf_reserve(&line, 1024));
        buf_add(&line, slice_str(verb));
        base64_add(&line, slice_of(raw, skip + n));
        secret_wipe(raw, sizeof(raw));
        buf_add(&line, SLICE("\r\n"));
        turn(line.ptr, line.len);
        smtp_server_init(&s, &config);
        smtp_server_greet(&s, &out);
        (void)smtp_server_step(&s, &ehlo, &out);
        feed_wiped(&s, line.ptr, line.len, pieces[i / ARRAY_COUNT(verbs)], &out);
        ck_assert_uint_eq(smtp_server_auth_failures(&s), 1);
        ck_assert_msg(!memory_has(tail, TAIL), "%s %zu: password", verb, i);
        size_t at = (size_t)(line.len - 2 - 12); /* the last twelve characters of the base64 text */
        ck_assert_msg(!memory_has(line.ptr + at, 12), "%s %zu: base64", verb, i);
        smtp_server_deinit(&s);
        secret_buf_release(&line);
    }
    /* The search can find: */
    turn(password, n);
    char *copy = strdup(password);
    turn(password, n);
    ck_assert(memory_has(tail, TAIL));
    ck_assert(find_in(copy, n, "mine", 4));
    secret_wipe(copy, n);
    free(copy);
    buf_deinit(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto/smtp/server_auth");
    TCase *tc = tcase_create("auth");
    tcase_add_loop_test(tc, table, 0, (int)ARRAY_COUNT(rows));
    tcase_add_test(tc, long_lines);
    tcase_add_test(tc, driver_contract);
    tcase_add_test(tc, password_leaves_no_trace);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
