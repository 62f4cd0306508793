/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The client machine with PIPELINING, prefetch behind the final dot and overlapped BDAT.
 */
#include "tests/unit/proto/smtp/client_script.h"

#define HELLO                                                                                      \
    {                                                                                              \
        "220 mx.test ESMTP\r\n", "EHLO me.test\r\n"                                                \
    }
#define PIPE "250-mx\r\n250 PIPELINING\r\n"
#define CHUNK "250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n"
#define TWO                                                                                        \
    {                                                                                              \
        "a@x",                                                                                     \
        {                                                                                          \
            {"b@y", NULL, 0},                                                                      \
            {                                                                                      \
                "c@y", NULL, 0                                                                     \
            }                                                                                      \
        }                                                                                          \
    }
#define ONE                                                                                        \
    {                                                                                              \
        "o@x",                                                                                     \
        {                                                                                          \
            {                                                                                      \
                "d@y", NULL, 0                                                                     \
            }                                                                                      \
        }                                                                                          \
    }
#define TWO_GROUP "MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nRCPT TO:<c@y>\r\nDATA\r\n"
#define ONE_GROUP "MAIL FROM:<o@x>\r\nRCPT TO:<d@y>\r\nDATA\r\n"
#define OK "250 ok\r\n"
#define GO "354 go\r\n"
#define DELIVERED "delivered message final-dot 250 2.0.0"
#define TAKEN "delivered message bdat 250 2.0.0"

static const struct script_row pipeline_rows[] = {
    {.name = "one group, QUIT behind the dot",
     .pipelining = true,
     .txns = {TWO},
     .quit = true,
     .steps =
         {HELLO, {PIPE, TWO_GROUP}, {OK OK OK GO, "Hi\r\n.\r\nQUIT\r\n"}, {OK "221 bye\r\n", ""}},
     .outcomes = DELIVERED "; " DELIVERED,
     .end = "none"},
    {.name = "offered but not allowed by us",
     .txns = {ONE},
     .steps = {HELLO, {PIPE, "MAIL FROM:<o@x>\r\n"}, {OK, "RCPT TO:<d@y>\r\n"}}},
    {.name = "allowed but not offered",
     .pipelining = true,
     .txns = {ONE},
     .steps = {HELLO, {"250 mx\r\n", "MAIL FROM:<o@x>\r\n"}, {OK, "RCPT TO:<d@y>\r\n"}}},
    {.name = "prefetch: dot and next group in one write",
     .pipelining = true,
     .window = 2,
     .prefetch = true,
     .txns = {TWO, ONE, ONE},
     .steps = {HELLO,
               {PIPE, TWO_GROUP},
               {OK OK OK GO, "Hi\r\n.\r\n" ONE_GROUP},
               {OK OK OK GO, "Hi\r\n.\r\n" ONE_GROUP},
               {OK OK OK GO, "Hi\r\n.\r\n"},
               {OK, ""}},
     .outcomes = DELIVERED "; " DELIVERED "; " DELIVERED "; " DELIVERED},
    {.name = "prefetch, replies dribble in",
     .pipelining = true,
     .window = 2,
     .prefetch = true,
     .txns = {ONE, ONE},
     .steps = {HELLO,
               {PIPE, ONE_GROUP},
               {OK OK GO, "Hi\r\n.\r\n" ONE_GROUP},
               {OK, ""},
               {OK, ""},
               {OK, ""},
               {GO, "Hi\r\n.\r\n"},
               {OK, ""}},
     .outcomes = DELIVERED "; " DELIVERED},
    {.name = "prefetch without pipelining waits its turn",
     .window = 2,
     .prefetch = true,
     .txns = {ONE, ONE},
     .steps = {HELLO,
               {"250 mx\r\n", "MAIL FROM:<o@x>\r\n"},
               {OK, "RCPT TO:<d@y>\r\n"},
               {OK, "DATA\r\n"},
               {GO, "Hi\r\n.\r\n"},
               {OK, "MAIL FROM:<o@x>\r\n"},
               {OK, "RCPT TO:<d@y>\r\n"}},
     .outcomes = DELIVERED},
    {.name = "first dot refused, prefetched one goes on",
     .pipelining = true,
     .window = 2,
     .prefetch = true,
     .txns = {ONE, ONE},
     .steps = {HELLO,
               {PIPE, ONE_GROUP},
               {OK OK GO, "Hi\r\n.\r\n" ONE_GROUP},
               {"554 5.7.1 spam\r\n" OK OK GO, "Hi\r\n.\r\n"},
               {OK, ""}},
     .outcomes = "permanent message final-dot 554 5.7.1; " DELIVERED},
    {.name = "prefetched MAIL meets a confused peer",
     .pipelining = true,
     .window = 2,
     .prefetch = true,
     .txns = {ONE, ONE},
     .steps = {HELLO,
               {PIPE, ONE_GROUP},
               {OK OK GO, "Hi\r\n.\r\n" ONE_GROUP},
               {"554 5.7.1 spam\r\n503 nested MAIL\r\n503 x\r\n503 y\r\n", ""}},
     .outcomes = "permanent message final-dot 554 5.7.1; temporary connection mail 503 5.0.0",
     .end = "temporary connection mail 503 5.0.0"},
    {.name = "lost between dot and answer",
     .pipelining = true,
     .window = 2,
     .prefetch = true,
     .txns = {ONE, ONE},
     .steps = {HELLO, {PIPE, ONE_GROUP}, {OK OK GO, "Hi\r\n.\r\n" ONE_GROUP}, {"!IO", ""}},
     .outcomes = "temporary connection final-dot 451 4.4.2 unknown; "
                 "temporary connection final-dot 451 4.4.2",
     .end = "temporary connection final-dot 451 4.4.2"},
    {.name = "421 to the dot with a group behind",
     .pipelining = true,
     .window = 2,
     .prefetch = true,
     .txns = {ONE, ONE},
     .steps = {HELLO, {PIPE, ONE_GROUP}, {OK OK GO, "Hi\r\n.\r\n" ONE_GROUP}, {"421 x\r\n", ""}},
     .outcomes =
         "temporary connection final-dot 421 4.0.0; temporary connection final-dot 421 4.0.0",
     .end = "temporary connection final-dot 421 4.0.0"},
    {.name = "MAIL refused in a group, DATA too",
     .pipelining = true,
     .txns = {TWO, ONE},
     .steps = {HELLO,
               {PIPE, TWO_GROUP},
               {"550 5.7.1 no\r\n503 a\r\n503 b\r\n503 c\r\n", "RSET\r\n" ONE_GROUP},
               {OK OK OK GO, "Hi\r\n.\r\n"},
               {OK, ""}},
     .outcomes = "permanent message mail 550 5.7.1; permanent message mail 550 5.7.1; " DELIVERED},
    {.name = "MAIL refused, RCPT taken, 354: lone dot",
     .pipelining = true,
     .txns = {TWO, ONE},
     .steps = {HELLO,
               {PIPE, TWO_GROUP},
               {"550 5.7.1 no\r\n" OK OK GO, ".\r\n"},
               {OK, "RSET\r\n" ONE_GROUP}},
     .outcomes = "permanent message mail 550 5.7.1; permanent message mail 550 5.7.1"},
    {.name = "all RCPT refused, 354: lone dot is no delivery",
     .pipelining = true,
     .txns = {TWO, ONE},
     .steps = {HELLO,
               {PIPE, TWO_GROUP},
               {OK "550 5.1.1 a\r\n450 4.2.1 b\r\n" GO, ".\r\n"},
               {OK, "RSET\r\n" ONE_GROUP}},
     .outcomes = "permanent recipient rcpt 550 5.1.1; temporary recipient rcpt 450 4.2.1"},
    {.name = "lone dot with the next one waiting",
     .pipelining = true,
     .window = 2,
     .prefetch = true,
     .txns = {TWO, ONE},
     .steps = {HELLO,
               {PIPE, TWO_GROUP},
               {OK "550 a\r\n550 b\r\n" GO, ".\r\n" ONE_GROUP},
               {"554 no valid recipients\r\n" OK OK GO, "Hi\r\n.\r\n"},
               {OK, ""}},
     .outcomes =
         "permanent recipient rcpt 550 5.0.0; permanent recipient rcpt 550 5.0.0; " DELIVERED},
    {.name = "all RCPT refused, DATA 503",
     .pipelining = true,
     .txns = {TWO, ONE},
     .steps = {HELLO, {PIPE, TWO_GROUP}, {OK "550 a\r\n550 b\r\n503 c\r\n", "RSET\r\n" ONE_GROUP}},
     .outcomes = "permanent recipient rcpt 550 5.0.0; permanent recipient rcpt 550 5.0.0"},
    {.name = "mixed recipients",
     .pipelining = true,
     .txns = {TWO},
     .steps = {HELLO, {PIPE, TWO_GROUP}, {OK "550 5.1.1 a\r\n" OK GO, "Hi\r\n.\r\n"}, {OK, ""}},
     .outcomes = "permanent recipient rcpt 550 5.1.1; " DELIVERED},
    {.name = "421 in the middle of a group",
     .pipelining = true,
     .txns = {TWO},
     .steps = {HELLO, {PIPE, TWO_GROUP}, {OK "550 5.1.1 a\r\n421 bye\r\n", ""}},
     .outcomes = "permanent recipient rcpt 550 5.1.1; temporary connection rcpt 421 4.0.0",
     .end = "temporary connection rcpt 421 4.0.0"},
    {.name = "too many replies",
     .pipelining = true,
     .txns = {TWO},
     .steps = {HELLO, {PIPE, TWO_GROUP}, {OK OK OK "451 x\r\n" OK, ""}},
     .outcomes = "temporary message data 451 4.0.0; temporary message data 451 4.0.0",
     .end = "temporary connection none 451 4.5.0"},
    {.name = "354, then 250 before our dot",
     .pipelining = true,
     .txns = {TWO},
     .steps = {HELLO, {PIPE, TWO_GROUP}, {OK OK OK GO OK, ""}},
     .outcomes = "temporary connection body 451 4.5.0; temporary connection body 451 4.5.0",
     .end = "temporary connection body 451 4.5.0"},
    {.name = "354, then part of a reply before our dot",
     .pipelining = true,
     .txns = {ONE},
     .steps = {HELLO, {PIPE, ONE_GROUP}, {OK OK GO "25", "Hi\r\n"}},
     .outcomes = "temporary connection body 451 4.5.0",
     .end = "temporary connection body 451 4.5.0"},
};

START_TEST(pipelining)
{
    script_play_rows(pipeline_rows, ARRAY_COUNT(pipeline_rows));
}
END_TEST

#define ONE_BDAT "MAIL FROM:<o@x>\r\nRCPT TO:<d@y>\r\nBDAT 4 LAST\r\nHi\r\n"
#define BIG_BYTES (SMTP_CLIENT_BDAT_EAGER_BYTES + 1)
#define BIG                                                                                        \
    {                                                                                              \
        "o@x", {{"d@y", NULL, 0}}, .body_bytes = BIG_BYTES                                         \
    }

static const struct script_row chunk_rows[] = {
    {.name = "envelope, size and body in one write",
     .pipelining = true,
     .chunking = true,
     .txns = {ONE},
     .quit = true,
     .steps = {HELLO, {CHUNK, ONE_BDAT "QUIT\r\n"}, {OK OK OK "221 x\r\n", ""}},
     .outcomes = TAKEN,
     .end = "none"},
    {.name = "no dot-stuffing in BDAT",
     .pipelining = true,
     .chunking = true,
     .txns = {{.sender = "o@x", .rcpts = {{"d@y", NULL, 0}}, .body = ".\r\n", .flags = 4}},
     .steps = {HELLO,
               {CHUNK, "MAIL FROM:<o@x>\r\nRCPT TO:<d@y>\r\nBDAT 3 LAST\r\n.\r\n"},
               {OK OK OK, ""}},
     .outcomes = TAKEN},
    {.name = "BDAT without pipelining",
     .chunking = true,
     .txns = {ONE},
     .steps = {HELLO,
               {"250-mx\r\n250 CHUNKING\r\n", "MAIL FROM:<o@x>\r\n"},
               {OK, "RCPT TO:<d@y>\r\n"},
               {OK, "BDAT 4 LAST\r\nHi\r\n"},
               {OK, ""}},
     .outcomes = TAKEN},
    {.name = "offered but not allowed",
     .pipelining = true,
     .txns = {ONE},
     .steps = {HELLO, {CHUNK, ONE_GROUP}}},
    {.name = "four overlapped",
     .pipelining = true,
     .chunking = true,
     .window = 4,
     .prefetch = true,
     .txns = {ONE, ONE, ONE, ONE, ONE},
     .steps = {HELLO,
               {CHUNK, ONE_BDAT "RSET\r\n" ONE_BDAT "RSET\r\n" ONE_BDAT "RSET\r\n" ONE_BDAT},
               {OK OK OK, "RSET\r\n" ONE_BDAT},
               {OK OK OK OK, ""},
               {OK OK OK OK OK OK OK OK, ""},
               {OK OK OK OK, ""}},
     .outcomes = TAKEN "; " TAKEN "; " TAKEN "; " TAKEN "; " TAKEN},
    {.name = "overlapped, the second fails, the third does not care",
     .pipelining = true,
     .chunking = true,
     .window = 3,
     .prefetch = true,
     .txns = {ONE, ONE, ONE},
     .steps = {HELLO,
               {CHUNK, ONE_BDAT "RSET\r\n" ONE_BDAT "RSET\r\n" ONE_BDAT},
               {OK OK OK OK OK "550 5.1.1 x\r\n503 5.5.1 y\r\n" OK OK OK OK, ""}},
     .outcomes = TAKEN "; permanent recipient rcpt 550 5.1.1; " TAKEN},
    {.name = "overlapped, lost in the middle",
     .pipelining = true,
     .chunking = true,
     .window = 3,
     .prefetch = true,
     .txns = {ONE, ONE, ONE},
     .steps = {HELLO,
               {CHUNK, ONE_BDAT "RSET\r\n" ONE_BDAT "RSET\r\n" ONE_BDAT},
               {OK OK OK OK OK "550 5.1.1 x\r\n", ""},
               {"!EOF", ""}},
     .outcomes = TAKEN "; permanent recipient rcpt 550 5.1.1; "
                       "temporary connection bdat 451 4.4.2 unknown",
     .end = "temporary connection bdat 451 4.4.2"},
    {.name = "421 to the first of three",
     .pipelining = true,
     .chunking = true,
     .window = 3,
     .prefetch = true,
     .txns = {ONE, ONE},
     .steps = {HELLO, {CHUNK, ONE_BDAT "RSET\r\n" ONE_BDAT}, {OK OK "421 x\r\n", ""}},
     .outcomes = "temporary connection bdat 421 4.0.0; temporary connection bdat 421 4.0.0 unknown",
     .end = "temporary connection bdat 421 4.0.0"},
    {.name = "refused before its end, sync kept",
     .pipelining = true,
     .chunking = true,
     .txns = {ONE},
     .hold_body = true,
     .steps = {HELLO, {CHUNK, ONE_BDAT}, {OK "550 5.1.1 x\r\n503 y\r\n", ""}, {"!EOF", ""}},
     .outcomes = "permanent recipient rcpt 550 5.1.1",
     .end = "temporary connection body 451 4.4.2"},
    {.name = "accepted before its end",
     .pipelining = true,
     .chunking = true,
     .txns = {ONE},
     .hold_body = true,
     .steps = {HELLO, {CHUNK, ONE_BDAT}, {OK OK OK, ""}},
     .outcomes = "temporary connection body 451 4.5.0",
     .end = "temporary connection body 451 4.5.0"},
    {.name = "354 to BDAT",
     .pipelining = true,
     .chunking = true,
     .txns = {ONE},
     .steps = {HELLO, {CHUNK, ONE_BDAT}, {OK OK GO, ""}},
     .outcomes = "temporary connection bdat 451 4.5.0 unknown",
     .end = "temporary connection bdat 451 4.5.0"},
    {.name = "a big one waits for RCPT",
     .pipelining = true,
     .chunking = true,
     .txns = {BIG},
     .steps = {HELLO,
               {CHUNK, "MAIL FROM:<o@x>\r\nRCPT TO:<d@y>\r\n"},
               {OK, ""},
               {OK, "BDAT 131073 LAST\r\nHi\r\n"},
               {OK, ""}},
     .outcomes = TAKEN},
    {.name = "a big one without recipients is not sent",
     .pipelining = true,
     .chunking = true,
     .txns = {BIG, ONE},
     .steps = {HELLO,
               {CHUNK, "MAIL FROM:<o@x>\r\nRCPT TO:<d@y>\r\n"},
               {OK "550 5.1.1 x\r\n", "RSET\r\n" ONE_BDAT},
               {OK OK OK OK, ""}},
     .outcomes = "permanent recipient rcpt 550 5.1.1; " TAKEN},
    {.name = "BDAT 5xx, RSET ahead of the next",
     .pipelining = true,
     .chunking = true,
     .txns = {ONE, ONE},
     .steps = {HELLO, {CHUNK, ONE_BDAT}, {OK OK "554 5.6.0 x\r\n", "RSET\r\n" ONE_BDAT}},
     .outcomes = "permanent message bdat 554 5.6.0"},
};

START_TEST(chunking)
{
    script_play_rows(chunk_rows, ARRAY_COUNT(chunk_rows));
}
END_TEST

/* BDAT was refused while its body is on the way: the announced bytes are still sent, the session
 * goes on; and a body whose connection ended has no end. */
START_TEST(refused_while_sending)
{
    struct smtp_client c;
    struct smtp_client_config config = {.helo_name = SLICE("me"),
                                        .pipelining = true,
                                        .chunking = true,
                                        .window = 2,
                                        .chunk_window = 2};
    struct smtp_client_rcpt rcpt = {.address = SLICE("b@y")}, rcpt2 = rcpt;
    struct smtp_client_txn txn = {.sender = SLICE("a@x"),
                                  .rcpts = &rcpt,
                                  .rcpt_count = 1,
                                  .body_bytes = 4};
    struct smtp_client_txn next = txn;
    struct buf out;
    next.rcpts = &rcpt2;
    buf_init(&out, SMTP_CLIENT_OUT_BYTES);
    smtp_client_init(&c, &config);
    smtp_client_start(&c);
    struct slice in = SLICE("220 x\r\n" CHUNK);
    ck_assert_int_eq(smtp_client_step(&c, &in, &out), SMTP_CLIENT_READY);
    smtp_client_begin(&c, &txn);
    ck_assert_int_eq(smtp_client_step(&c, &in, &out), SMTP_CLIENT_SEND_BODY);
    in = SLICE(OK "550 5.1.1 no\r\n503 5.5.1 none\r\n");
    ck_assert_int_eq(smtp_client_step(&c, &in, &out), SMTP_CLIENT_WANT_REPLY);
    ck_assert_int_eq(smtp_client_stage(&c), OUTCOME_STAGE_BODY);
    smtp_client_begin(&c, &next);
    buf_clear(&out);
    ck_assert(smtp_client_body_end(&c, &out));
    ck_assert(slice_eq(buf_slice(&out),
                       SLICE("RSET\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nBDAT 4 LAST\r\n")));
    ck_assert_int_eq(smtp_client_step(&c, &in, &out), SMTP_CLIENT_TXN_DONE);
    ck_assert_ptr_eq(smtp_client_take(&c), &txn);
    ck_assert_int_eq(smtp_client_step(&c, &in, &out), SMTP_CLIENT_SEND_BODY);
    smtp_client_fail(&c, SMTP_FAIL_IO);
    ck_assert(!smtp_client_body_end(&c, &out));
    ck_assert_int_eq(smtp_client_step(&c, &in, &out), SMTP_CLIENT_TXN_DONE);
    ck_assert_ptr_eq(smtp_client_take(&c), &next);
    ck_assert(!rcpt2.outcome.unknown && !next.answered && txn.answered);
    ck_assert_int_eq(smtp_client_step(&c, &in, &out), SMTP_CLIENT_CLOSED);
    smtp_client_deinit(&c);
    buf_deinit(&out);
}
END_TEST

/* 100 recipients, all refused with texts of their own: they must not move each other. */
START_TEST(hundred_refusals)
{
    enum { COUNT = LIMIT_RECIPIENTS_PER_TRANSACTION };
    struct smtp_client c;
    struct smtp_client_config config = {.helo_name = SLICE("me"), .pipelining = true, .window = 1};
    struct smtp_client_rcpt rcpts[COUNT];
    struct smtp_client_txn txn = {.sender = SLICE("a@x"), .rcpts = rcpts, .rcpt_count = COUNT};
    struct buf out, peer, want;
    buf_init(&out, SMTP_CLIENT_OUT_BYTES);
    buf_init(&peer, 1 << 20);
    buf_init(&want, 1000);
    for (unsigned i = 0; i < COUNT; i++) {
        rcpts[i] = (struct smtp_client_rcpt){.address = SLICE("b@y")};
    }
    smtp_client_init(&c, &config);
    smtp_client_start(&c);
    struct slice in = SLICE("220 x\r\n250-x\r\n250 PIPELINING\r\n");
    ck_assert_int_eq(smtp_client_step(&c, &in, &out), SMTP_CLIENT_READY);
    smtp_client_begin(&c, &txn);
    buf_add(&peer, SLICE(OK));
    for (unsigned i = 0; i < COUNT; i++) {
        buf_addf(&peer, "550 number %u %0400d\r\n", i, 7);
    }
    buf_add(&peer, SLICE("503 no\r\n"));
    in = SLICE("");
    ck_assert_int_eq(smtp_client_step(&c, &in, &out), SMTP_CLIENT_WANT_REPLY);
    ck_assert(c.expect_count == 3);
    in = buf_slice(&peer);
    ck_assert_int_eq(smtp_client_step(&c, &in, &out), SMTP_CLIENT_TXN_DONE);
    (void)smtp_client_take(&c);
    for (unsigned i = 0; i < COUNT; i++) {
        buf_clear(&want);
        buf_addf(&want, "number %u %0400d", i, 7);
        ck_assert(slice_eq(rcpts[i].outcome.text, buf_slice(&want)));
    }
    smtp_client_deinit(&c);
    buf_deinit(&out);
    buf_deinit(&peer);
    buf_deinit(&want);
}
END_TEST

/* The promise SMTP_CLIENT_OUT_BYTES makes: the longest group fits. */
START_TEST(longest_group_fits)
{
    enum { COUNT = LIMIT_RECIPIENTS_PER_TRANSACTION };
    char address[LIMIT_ADDRESS_BYTES], orcpt[LIMIT_ORCPT_BYTES], host[LIMIT_DOMAIN_BYTES];
    memset(address, 'a', sizeof(address));
    memset(orcpt, 'o', sizeof(orcpt));
    memset(host, 'h', sizeof(host));
    struct smtp_client c;
    struct smtp_client_config config = {.helo_name = slice_of(host, sizeof(host)),
                                        .pipelining = true,
                                        .window = 1};
    struct smtp_client_rcpt rcpts[COUNT];
    struct smtp_client_txn txn = {.sender = slice_of(address, sizeof(address)),
                                  .envid = slice_of(orcpt, LIMIT_ENVID_BYTES),
                                  .ret = MAIL_RET_FULL,
                                  .flags = SMTP_TXN_BODY_8BIT | SMTP_TXN_SMTPUTF8,
                                  .body_bytes = UINT64_MAX,
                                  .rcpts = rcpts,
                                  .rcpt_count = COUNT};
    for (unsigned i = 0; i < COUNT; i++) {
        rcpts[i] = (struct smtp_client_rcpt){.address = slice_of(address, sizeof(address)),
                                             .orcpt = slice_of(orcpt, sizeof(orcpt)),
                                             .notify = 14};
    }
    struct buf out;
    buf_init(&out, SMTP_CLIENT_OUT_BYTES);
    smtp_client_init(&c, &config);
    smtp_client_start(&c);
    struct slice in = SLICE("220 x\r\n250-x\r\n250-DSN\r\n250-SIZE\r\n250-8BITMIME\r\n"
                            "250-SMTPUTF8\r\n250 PIPELINING\r\n");
    ck_assert_int_eq(smtp_client_step(&c, &in, &out), SMTP_CLIENT_READY);
    smtp_client_begin(&c, &txn);
    ck_assert_int_eq(smtp_client_step(&c, &in, &out), SMTP_CLIENT_WANT_REPLY);
    ck_assert(!out.overflow);
    smtp_client_fail(&c, SMTP_FAIL_EOF);
    (void)smtp_client_take(&c);
    smtp_client_deinit(&c);
    buf_deinit(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto/smtp/client window");
    TCase *tc = tcase_create("window");
    tcase_add_test(tc, pipelining);
    tcase_add_test(tc, chunking);
    tcase_add_test(tc, refused_while_sending);
    tcase_add_test(tc, hundred_refusals);
    tcase_add_test(tc, longest_group_fits);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
