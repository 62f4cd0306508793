/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * How much may be under way, and what peers say against it: windows, LIMITS, full connections.
 */
#include "tests/unit/proto/smtp/client_words.h"

#define ENOUGH "too many messages on this connection\r\n"

static const struct script_row full_rows[] = {
    {.name = "full, said with 421",
     PIPELINED,
     .txns = {ONE, ONE},
     .steps = {HELLO, {PIPE, GROUP}, {OK OK GO, "Hi\r\n.\r\n" GROUP}, {OK "421 4.7.0 " ENOUGH, ""}},
     .outcomes = DELIVERED "; temporary connection mail 421 4.7.0",
     .end = "temporary connection mail 421 4.7.0",
     .trouble = "none",
     .again = "ny",
     .lesson = "421 4.7.0 too many messages on this connection",
     .full = 1},
    {.name = "full, said with 421 while others are under way: those it did not take",
     CHUNKED(4),
     .txns = {ONE, ONE, ONE, ONE},
     .steps = {HELLO,
               {CHUNK, BDAT NEXT NEXT NEXT},
               {OK OK OK OK OK OK OK, ""},
               {OK "421 4.7.0 " ENOUGH, ""}},
     .outcomes = TAKEN "; " TAKEN "; temporary connection mail 421 4.7.0; "
                       "temporary connection mail 421 4.7.0",
     .end = "temporary connection mail 421 4.7.0",
     .trouble = "none",
     .again = "nnyy",
     .full = 2},
    {.name = "full, said with 452: the connection ends in order",
     PIPELINED,
     .txns = {ONE, ONE, ONE},
     .steps = {HELLO,
               {PIPE, GROUP},
               {OK OK GO, "Hi\r\n.\r\n" GROUP},
               {OK "452 4.3.2 " ENOUGH "503 a\r\n503 b\r\n", "QUIT\r\n"},
               {"221 bye\r\n", ""}},
     .outcomes = DELIVERED "; temporary connection mail 452 4.3.2",
     .end = "none",
     .trouble = "none",
     .again = "ny",
     .full = 1},
    {.name = "full at the second of four that are under way",
     CHUNKED(4),
     .txns = {ONE, ONE, ONE, ONE},
     .steps = {HELLO,
               {CHUNK, BDAT NEXT NEXT NEXT},
               {OK OK OK OK "450 " ENOUGH "503 a\r\n503 b\r\n", "QUIT\r\n"},
               {OK "450 " ENOUGH "503 a\r\n503 b\r\n" OK "450 " ENOUGH "503 a\r\n503 b\r\n", ""},
               {"221 x\r\n", ""}},
     .outcomes = TAKEN "; temporary connection mail 450 4.0.0; "
                       "temporary connection mail 450 4.0.0; temporary connection mail 450 4.0.0",
     .end = "none",
     .trouble = "none",
     .again = "nyyy",
     .full = 1},
    {.name = "at the first message it is a rate, not a number",
     PIPELINED,
     .txns = {ONE},
     .steps = {HELLO, {PIPE, GROUP}, {"450 " ENOUGH "503 a\r\n503 b\r\n", ""}},
     .outcomes = "temporary message mail 450 4.0.0",
     .trouble = "none",
     .again = "n"},
    {.name = "421 for another reason",
     PIPELINED,
     .txns = {ONE, ONE},
     .steps = {HELLO, {PIPE, GROUP}, {OK OK GO, "Hi\r\n.\r\n" GROUP}, {OK OK "421 down\r\n", ""}},
     .outcomes = DELIVERED "; temporary connection rcpt 421 4.0.0",
     .end = "temporary connection rcpt 421 4.0.0",
     .trouble = "none",
     .again = "ny"},
    {.name = "421 to the dot is an answer",
     .txns = {ONE, ONE},
     .steps = {HELLO,
               {"250 mx\r\n", "MAIL FROM:<o@x>\r\n"},
               {OK, "RCPT TO:<d@y>\r\n"},
               {OK, "DATA\r\n"},
               {GO, "Hi\r\n.\r\n"},
               {OK, "MAIL FROM:<o@x>\r\n"},
               {OK, "RCPT TO:<d@y>\r\n"},
               {OK, "DATA\r\n"},
               {GO, "Hi\r\n.\r\n"},
               {"421 down\r\n", ""}},
     .outcomes = DELIVERED "; temporary connection final-dot 421 4.0.0",
     .end = "temporary connection final-dot 421 4.0.0",
     .again = "nn"},
    {.name = "421 while idle, because it is full",
     .txns = {ONE},
     .steps = {HELLO,
               {"250 mx\r\n", "MAIL FROM:<o@x>\r\n"},
               {OK, "RCPT TO:<d@y>\r\n"},
               {OK, "DATA\r\n"},
               {GO, "Hi\r\n.\r\n"},
               {OK, ""},
               {"421 " ENOUGH, ""}},
     .outcomes = DELIVERED,
     .end = "temporary connection none 421 4.0.0",
     .full = 1},
};

START_TEST(full)
{
    script_play_rows(full_rows, ARRAY_COUNT(full_rows));
}
END_TEST

#define RESET "250 2.0.0 Ok\r\n"
#define QUEUED(id) "250 2.0.0 Ok: queued as " id "\r\n"
#define LIMITS(what) "250-mx\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 LIMITS " what "\r\n"
#define TO(a, b)                                                                                   \
    {                                                                                              \
        "o@x", .rcpts = { {a, NULL, 0}, {b, NULL, 0} }                                             \
    }

static const struct script_row window_rows[] = {
    {.name = "careful: one, two, all",
     CHUNKED(4),
     .careful = true,
     .txns = {ONE, ONE, ONE, ONE, ONE, ONE},
     .steps = {HELLO,
               {CHUNK, BDAT},
               {OK OK OK, BDAT NEXT},
               {OK OK OK, ""},
               {OK OK OK OK, BDAT NEXT NEXT},
               {OK OK OK OK OK OK OK OK OK OK OK, ""}},
     .outcomes = TAKEN "; " TAKEN "; " TAKEN "; " TAKEN "; " TAKEN "; " TAKEN},
    {.name = "the order is checked: an answer is left out, RSET's comes in its place",
     CHUNKED(4),
     .careful = true,
     .check_order = true,
     .txns = {ONE, ONE, ONE},
     .steps = {HELLO, {CHUNK, NEXT}, {RESET OK OK QUEUED("1A"), BDAT NEXT}, {OK OK RESET, ""}},
     .outcomes = TAKEN "; temporary connection bdat 451 4.5.0 unknown; "
                       "temporary connection bdat 451 4.5.0 unknown",
     .end = "temporary connection rset 451 4.5.0",
     .trouble = "replies overlapped",
     .again = "nyy"},
    {.name = "the order is checked: all is well",
     CHUNKED(2),
     .careful = true,
     .check_order = true,
     .txns = {ONE, ONE, ONE},
     .steps = {HELLO,
               {CHUNK, NEXT},
               {RESET OK OK QUEUED("1A"), BDAT NEXT},
               {OK OK QUEUED("2B") RESET OK OK QUEUED("3C"), ""}},
     .outcomes = TAKEN "; " TAKEN "; " TAKEN,
     .trouble = "none"},
    {.name = "the first RSET is refused: what is wrong is said of MAIL",
     CHUNKED(4),
     .careful = true,
     .check_order = true,
     .relay = true,
     .txns = {ONE, ONE},
     .steps = {HELLO,
               {CHUNK, NEXT},
               {"530 5.7.0 STARTTLS first\r\n530 5.7.0 STARTTLS first\r\n503 a\r\n503 b\r\n",
                "RSET\r\n" BDAT},
               {OK OK OK OK, ""}},
     .outcomes = "temporary message mail 530 4.7.0 wants-tls; " TAKEN,
     .trouble = "none"},
    {.name = "the order cannot be checked: one after the other",
     CHUNKED(4),
     .careful = true,
     .check_order = true,
     .txns = {ONE, ONE, ONE},
     .steps = {HELLO, {CHUNK, NEXT}, {OK OK OK OK, BDAT}, {OK OK OK, BDAT}, {OK OK OK, ""}},
     .outcomes = TAKEN "; " TAKEN "; " TAKEN,
     .trouble = "none"},
    {.name = "DATA: the answer to a dot is left out, MAIL's comes in its place",
     PIPELINED,
     .check_order = true,
     .txns = {ONE, ONE, ONE},
     .steps = {HELLO,
               {PIPE, GROUP},
               {OK OK GO, "Hi\r\n.\r\n" GROUP},
               {QUEUED("1A") OK OK GO, "Hi\r\n.\r\n" GROUP},
               {OK, ""}},
     .outcomes = DELIVERED "; temporary connection final-dot 451 4.5.0 unknown; "
                           "temporary connection mail 451 4.5.0",
     .end = "temporary connection mail 451 4.5.0",
     .trouble = "replies pipelined",
     .again = "nyy"},
    {.name = "DATA: where all answers look the same nothing is sent behind a dot any more",
     PIPELINED,
     .check_order = true,
     .txns = {ONE, ONE, ONE},
     .steps = {HELLO,
               {PIPE, GROUP},
               {OK OK GO, "Hi\r\n.\r\n" GROUP},
               {OK OK OK GO, "Hi\r\n.\r\n"},
               {OK, GROUP},
               {OK OK GO, "Hi\r\n.\r\n"}},
     .outcomes = DELIVERED "; " DELIVERED,
     .trouble = "none"},
    {.name = "DATA: 2.1.0 to a dot",
     PIPELINED,
     .txns = {ONE, ONE},
     .steps =
         {HELLO, {PIPE, GROUP}, {OK OK GO, "Hi\r\n.\r\n" GROUP}, {"250 2.1.0 sender ok\r\n", ""}},
     .outcomes = "temporary connection final-dot 451 4.5.0 unknown; "
                 "temporary connection mail 451 4.5.0",
     .end = "temporary connection mail 451 4.5.0",
     .trouble = "replies pipelined"},
    {.name = "221 is no delivery when QUIT is out",
     CHUNKED(4),
     .txns = {ONE},
     .quit = true,
     .steps = {HELLO, {CHUNK, BDAT "QUIT\r\n"}, {OK OK "221 bye\r\n", ""}},
     .outcomes = "temporary connection bdat 451 4.5.0 unknown",
     .end = "temporary connection quit 451 4.5.0",
     .trouble = "replies pipelined"},
    {.name = "where all answers look the same QUIT behind a message is no harm",
     CHUNKED(4),
     .check_order = true,
     .careful = true,
     .txns = {ONE},
     .quit = true,
     .steps = {HELLO, {CHUNK, NEXT "QUIT\r\n"}, {OK OK OK OK "221 bye\r\n", ""}},
     .outcomes = TAKEN,
     .end = "none"},
    {.name = "MAILMAX with four that could be under way",
     CHUNKED(4),
     .txns = {ONE, ONE, ONE},
     .steps = {HELLO,
               {LIMITS("MAILMAX=2"), BDAT NEXT},
               {OK OK OK OK OK OK OK, "QUIT\r\n"},
               {"221 x\r\n", ""}},
     .outcomes = TAKEN "; " TAKEN,
     .end = "none"},
    {.name = "RCPTDOMAINMAX is of the session",
     CHUNKED(1),
     .txns = {TO("a@one.test", "b@two.test"), TO("c@ONE.test", "d@three.test")},
     .steps = {HELLO,
               {LIMITS("RCPTDOMAINMAX=1"),
                "MAIL FROM:<o@x>\r\nRCPT TO:<a@one.test>\r\nBDAT 4 LAST\r\nHi\r\n"},
               {OK OK OK, "MAIL FROM:<o@x>\r\nRCPT TO:<c@ONE.test>\r\nBDAT 4 LAST\r\nHi\r\n"},
               {OK OK OK, ""}},
     .outcomes = TAKEN "; temporary recipient rcpt 452 4.5.3; " TAKEN
                       "; temporary recipient rcpt 452 4.5.3"},
};

START_TEST(window)
{
    script_play_rows(window_rows, ARRAY_COUNT(window_rows));
}
END_TEST

/* Takes the machine to READY with these capabilities. */
static void ready(struct smtp_client *c, const struct smtp_client_config *config, struct buf *out,
                  struct slice in)
{
    buf_init(out, SMTP_CLIENT_OUT_BYTES);
    smtp_client_init(c, config);
    smtp_client_start(c);
    ck_assert_int_eq(smtp_client_step(c, &in, out), SMTP_CLIENT_READY);
}

static void give_up(struct smtp_client *c, struct buf *out)
{
    struct slice none = SLICE("");
    smtp_client_fail(c, SMTP_FAIL_LOCAL);
    while (smtp_client_step(c, &none, out) == SMTP_CLIENT_TXN_DONE) {
        (void)smtp_client_take(c);
    }
    smtp_client_deinit(c);
    buf_deinit(out);
}

/* Beyond two transactions only SMTP_CLIENT_WINDOW_BYTES are under way, whatever the window. */
START_TEST(window_in_bytes)
{
    static const struct {
        uint64_t each;
        uint32_t fit;
    } sizes[] = {{4, 16},
                 {SMTP_CLIENT_BDAT_EAGER_BYTES, 8},
                 {100 * 1000, 11},
                 {SMTP_CLIENT_WINDOW_BYTES / 2, 2}};
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        struct smtp_client c;
        struct smtp_client_config config = {.helo_name = SLICE("me"),
                                            .pipelining = true,
                                            .chunking = true,
                                            .window = 2,
                                            .chunk_window = SMTP_CLIENT_WINDOW_MAX};
        struct smtp_client_rcpt rcpts[SMTP_CLIENT_WINDOW_MAX];
        struct smtp_client_txn txns[SMTP_CLIENT_WINDOW_MAX];
        struct buf out;
        struct slice none = SLICE("");
        uint32_t begun = 0;
        ready(&c, &config, &out, SLICE("220 x\r\n" CHUNK));
        while (begun < SMTP_CLIENT_WINDOW_MAX && smtp_client_can_follow(&c)) {
            rcpts[begun] = (struct smtp_client_rcpt){.address = SLICE("b@y")};
            txns[begun] = (struct smtp_client_txn){.sender = SLICE("a@x"),
                                                   .rcpts = &rcpts[begun],
                                                   .rcpt_count = 1,
                                                   .body_bytes = sizes[i].each};
            smtp_client_begin(&c, &txns[begun++]);
            if (smtp_client_step(&c, &none, &out) == SMTP_CLIENT_SEND_BODY) {
                ck_assert(!smtp_client_can_follow(&c)); /* nothing can go out in the middle of it */
                ck_assert(smtp_client_body_end(&c, &out));
            }
        }
        /* A big one waits for its RCPT: then the next is not begun either. */
        uint32_t fit = sizes[i].each > SMTP_CLIENT_BDAT_EAGER_BYTES ? 1 : sizes[i].fit;
        ck_assert_msg(begun == fit, "%zu: %u", i, begun);
        ck_assert(!smtp_client_can_begin(&c) || fit == 1);
        give_up(&c, &out);
    }
}
END_TEST

/* With DATA a third transaction could say nothing: it is not begun. */
START_TEST(data_window_is_two)
{
    struct smtp_client c;
    struct smtp_client_config config = {.helo_name = SLICE("me"),
                                        .pipelining = true,
                                        .chunking = true,
                                        .window = 2,
                                        .chunk_window = 16};
    struct smtp_client_rcpt rcpts[2] = {{.address = SLICE("b@y")}, {.address = SLICE("b@y")}};
    struct smtp_client_txn txns[2];
    struct buf out;
    ready(&c, &config, &out, SLICE("220 x\r\n" PIPE));
    for (unsigned i = 0; i < 2; i++) {
        struct slice in = i ? SLICE(OK OK GO) : SLICE("");
        txns[i] = (struct smtp_client_txn){.sender = SLICE("a@x"),
                                           .rcpts = &rcpts[i],
                                           .rcpt_count = 1,
                                           .body_bytes = 4};
        if (i) {
            ck_assert(!smtp_client_can_follow(&c)); /* DATA is not answered */
            ck_assert_int_eq(smtp_client_step(&c, &in, &out), SMTP_CLIENT_SEND_BODY);
        }
        ck_assert(smtp_client_can_begin(&c));
        smtp_client_begin(&c, &txns[i]);
        if (i) {
            ck_assert(smtp_client_body_end(&c, &out));
        } else {
            ck_assert_int_eq(smtp_client_step(&c, &in, &out), SMTP_CLIENT_WANT_REPLY);
        }
    }
    ck_assert(!smtp_client_can_begin(&c) && !smtp_client_can_follow(&c));
    give_up(&c, &out);
}
END_TEST

/* Which of a message's recipients fit, before anything is begun. */
START_TEST(recipients_that_fit)
{
    static const struct {
        struct slice limits;
        const char *fit; /* of the addresses below */
    } rows[] = {{SLICE_INIT("RCPTMAX=3"), "yyynn"},
                {SLICE_INIT("RCPTDOMAINMAX=1"), "ynynn"},
                {SLICE_INIT("RCPTDOMAINMAX=2"), "yyyyn"},
                {SLICE_INIT("RCPTDOMAINMAX=999999"), "yyyyy"},
                {SLICE_INIT("RCPTDOMAINMAX=2 RCPTMAX=1"), "ynnnn"},
                {SLICE_INIT("RCPTDOMAINMAX=0"), "yyyyy"}};
    const struct slice addresses[] = {SLICE("a@one.test"), SLICE("b@two.test"), SLICE("c@ONE.test"),
                                      SLICE("d@two.test"), SLICE("e@three.test")};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct smtp_client c;
        struct smtp_client_config config = {.helo_name = SLICE("me"), .window = 1};
        struct buf out, hello;
        bool taken[ARRAY_COUNT(addresses)];
        uint32_t want = 0;
        buf_init(&hello, 1000);
        buf_addf(&hello, "220 x\r\n250-mx\r\n250 LIMITS %.*s\r\n", SLICE_ARG(rows[i].limits));
        ready(&c, &config, &out, buf_slice(&hello));
        uint32_t fit = smtp_client_rcpt_fit(&c, addresses, ARRAY_COUNT(addresses), taken);
        for (size_t k = 0; k < ARRAY_COUNT(addresses); k++) {
            want += rows[i].fit[k] == 'y';
            ck_assert_msg(taken[k] == (rows[i].fit[k] == 'y'), "row %zu, %zu", i, k);
        }
        ck_assert_uint_eq(fit, want);
        give_up(&c, &out);
        buf_deinit(&hello);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto/smtp/client limits");
    TCase *tc = tcase_create("limits");
    tcase_add_test(tc, full);
    tcase_add_test(tc, window);
    tcase_add_test(tc, window_in_bytes);
    tcase_add_test(tc, data_window_is_two);
    tcase_add_test(tc, recipients_that_fit);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
