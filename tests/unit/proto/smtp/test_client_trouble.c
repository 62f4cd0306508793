/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the client machine learns of a peer, and what becomes of the transactions meanwhile.
 */
#include "tests/unit/proto/smtp/client_script.h"

#define HELLO                                                                                      \
    {                                                                                              \
        "220 mx\r\n", "EHLO me.test\r\n"                                                           \
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
#define PIPE "250-mx\r\n250 PIPELINING\r\n"
#define CHUNK "250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n"
#define OK "250 ok\r\n"
#define GO "354 go\r\n"
#define ENVELOPE "MAIL FROM:<o@x>\r\nRCPT TO:<d@y>\r\n"
#define GROUP ENVELOPE "DATA\r\n"
#define BDAT ENVELOPE "BDAT 4 LAST\r\nHi\r\n"
#define NEXT "RSET\r\n" BDAT
#define DELIVERED "delivered message final-dot 250 2.0.0"
#define TAKEN "delivered message bdat 250 2.0.0"
#define PIPELINED .pipelining = true, .window = 2, .prefetch = true
#define CHUNKED(n) .pipelining = true, .chunking = true, .window = n, .prefetch = true

static const struct script_row trouble_rows[] = {
    {.name = "BDAT is unknown",
     CHUNKED(4),
     .careful = true,
     .txns = {ONE, ONE},
     .steps = {HELLO, {CHUNK, BDAT}, {OK OK "502 5.5.1 what?\r\n500 5.5.1 Hi?\r\n" OK, "RSET\r\n"}},
     .outcomes = "temporary connection rset 500 5.5.1",
     .end = "temporary connection rset 500 5.5.1",
     .trouble = "bdat overlapped",
     .again = "y"},
    {.name = "500 to BDAT, but the session goes on: a verdict",
     CHUNKED(4),
     .careful = true,
     .txns = {ONE, ONE},
     .steps = {HELLO, {CHUNK, BDAT}, {OK OK "500 5.5.2 bad\r\n", "RSET\r\n"}, {OK, BDAT}},
     .outcomes = "permanent message bdat 500 5.5.2",
     .trouble = "none",
     .again = "n"},
    {.name = "500 to BDAT, and the RSET is out already",
     CHUNKED(2),
     .txns = {ONE, ONE},
     .steps =
         {HELLO, {CHUNK, BDAT NEXT}, {OK OK "500 5.5.2 bad\r\n", ""}, {OK, ""}, {OK OK OK, ""}},
     .outcomes = "permanent message bdat 500 5.5.2; " TAKEN,
     .trouble = "none",
     .again = "nn"},
    {.name = "500 to BDAT from who knows it",
     CHUNKED(1),
     .txns = {ONE, ONE},
     .steps = {HELLO, {CHUNK, BDAT}, {OK OK OK, BDAT}, {OK OK "500 5.5.2 bad\r\n", ""}},
     .outcomes = TAKEN "; permanent message bdat 500 5.5.2",
     .trouble = "none",
     .again = "nn"},
    {.name = "500 to BDAT, and gone: nobody knows what it meant",
     CHUNKED(4),
     .txns = {ONE},
     .steps = {HELLO, {CHUNK, BDAT}, {OK OK "500 x\r\n", "RSET\r\n"}, {"!EOF", ""}},
     .outcomes = "temporary connection rset 451 4.4.2",
     .end = "temporary connection rset 451 4.4.2",
     .trouble = "bdat overlapped",
     .again = "y"},
    {.name = "500 to BDAT, and we must go: then it is what it says",
     CHUNKED(4),
     .txns = {ONE},
     .steps = {HELLO, {CHUNK, BDAT}, {OK OK "500 x\r\n", "RSET\r\n"}, {"!LOCAL", ""}},
     .outcomes = "permanent message bdat 500 5.0.0",
     .end = "temporary connection rset 451 4.3.0",
     .trouble = "none",
     .again = "n"},
    {.name = "BDAT is unknown, others were sent: of those nothing is known",
     CHUNKED(2),
     .txns = {ONE, ONE},
     .steps = {HELLO, {CHUNK, BDAT NEXT}, {OK OK "503 5.5.1 RCPT first\r\n500 Hi\r\n", ""}},
     .outcomes = "temporary connection rset 500 5.0.0; temporary connection bdat 500 5.0.0 unknown",
     .end = "temporary connection rset 500 5.0.0",
     .trouble = "bdat overlapped",
     .again = "yy"},
    {.name = "a refusal by BDAT is one",
     CHUNKED(2),
     .txns = {ONE},
     .steps = {HELLO, {CHUNK, BDAT}, {OK OK "550 5.7.1 spam\r\n", ""}},
     .outcomes = "permanent message bdat 550 5.7.1",
     .trouble = "none",
     .again = "n"},
    {.name = "BDAT without pipelining",
     .chunking = true,
     .txns = {ONE},
     .steps = {HELLO,
               {"250-mx\r\n250 CHUNKING\r\n", "MAIL FROM:<o@x>\r\n"},
               {OK, "RCPT TO:<d@y>\r\n"},
               {OK, "BDAT 4 LAST\r\nHi\r\n"},
               {"500 what\r\n", "RSET\r\n"},
               {"500 Hi?\r\n", ""}},
     .outcomes = "temporary connection rset 500 5.0.0",
     .end = "temporary connection rset 500 5.0.0",
     .trouble = "bdat overlapped",
     .again = "y"},
    {.name = "improper pipelining",
     PIPELINED,
     .txns = {ONE},
     .steps = {HELLO, {PIPE, GROUP}, {"503 5.5.0 improper use of SMTP command pipelining\r\n", ""}},
     .outcomes = "temporary connection mail 503 5.5.0",
     .end = "temporary connection mail 503 5.5.0",
     .trouble = "pipeline pipelined",
     .again = "y"},
    {.name = "improper pipelining, said with 550 and 421",
     CHUNKED(4),
     .txns = {ONE, ONE},
     .steps = {HELLO, {CHUNK, BDAT NEXT}, {OK OK OK OK "550 5.5.0 command pipelining\r\n", ""}},
     .outcomes = TAKEN "; temporary connection mail 550 5.5.0",
     .end = "temporary connection mail 550 5.5.0",
     .trouble = "pipeline overlapped",
     .again = "ny"},
    {.name = "a complaint without reason",
     .txns = {ONE},
     .steps = {HELLO, {PIPE, "MAIL FROM:<o@x>\r\n"}, {"554 5.5.0 improper pipelining\r\n", ""}},
     .outcomes = "permanent message mail 554 5.5.0",
     .trouble = "none",
     .again = "n"},
    {.name = "RCPT out of sequence",
     PIPELINED,
     .txns = {ONE},
     .steps = {HELLO, {PIPE, GROUP}, {OK "503 need MAIL\r\n", ""}},
     .outcomes = "temporary connection rcpt 503 5.0.0",
     .end = "temporary connection rcpt 503 5.0.0",
     .trouble = "replies pipelined",
     .again = "y"},
    {.name = "RCPT out of sequence, one command at a time",
     .txns = {ONE},
     .steps = {HELLO,
               {PIPE, "MAIL FROM:<o@x>\r\n"},
               {OK, "RCPT TO:<d@y>\r\n"},
               {"503 need MAIL\r\n", ""}},
     .outcomes = "permanent recipient rcpt 503 5.0.0",
     .trouble = "none",
     .again = "n"},
    {.name = "DATA out of sequence",
     PIPELINED,
     .txns = {ONE},
     .steps = {HELLO, {PIPE, GROUP}, {OK OK "503 need RCPT\r\n", ""}},
     .outcomes = "temporary connection data 503 5.0.0",
     .end = "temporary connection data 503 5.0.0",
     .trouble = "replies pipelined",
     .again = "y"},
    {.name = "MAIL out of sequence behind a dot",
     PIPELINED,
     .txns = {ONE, ONE},
     .steps = {HELLO, {PIPE, GROUP}, {OK OK GO, "Hi\r\n.\r\n" GROUP}, {OK "503 hm\r\n", ""}},
     .outcomes = DELIVERED "; temporary connection mail 503 5.0.0",
     .end = "temporary connection mail 503 5.0.0",
     .trouble = "replies pipelined",
     .again = "ny"},
    {.name = "a reply too many",
     PIPELINED,
     .txns = {ONE},
     .steps = {HELLO, {PIPE, GROUP}, {OK OK GO, "Hi\r\n.\r\n"}, {OK OK, ""}},
     .outcomes = DELIVERED,
     .end = "temporary connection none 451 4.5.0",
     .trouble = "replies pipelined",
     .again = "n"},
    {.name = "a reply too many, one command at a time: nothing to learn",
     .txns = {ONE},
     .steps = {HELLO, {"250 mx\r\n", "MAIL FROM:<o@x>\r\n"}, {"550 no\r\n" OK, ""}},
     .outcomes = "permanent message mail 550 5.0.0",
     .end = "temporary connection none 451 4.5.0",
     .trouble = "none"},
    {.name = "RSET refused",
     CHUNKED(2),
     .txns = {ONE, ONE},
     .steps = {HELLO, {CHUNK, BDAT NEXT}, {OK OK OK "500 what\r\n", ""}},
     .outcomes = TAKEN "; temporary connection bdat 500 5.0.0 unknown",
     .end = "temporary connection rset 500 5.0.0",
     .trouble = "replies overlapped",
     .again = "ny"},
    {.name = "replies are shifted: what reads as an address's is no delivery",
     CHUNKED(2),
     .txns = {ONE, ONE},
     .steps = {HELLO, {CHUNK, BDAT NEXT}, {OK OK "250 2.1.5 fine\r\n", ""}},
     .outcomes = "temporary connection bdat 451 4.5.0 unknown; "
                 "temporary connection bdat 451 4.5.0 unknown",
     .end = "temporary connection rset 451 4.5.0",
     .trouble = "replies overlapped",
     .again = "yy"},
    {.name = "a message for nobody was taken",
     CHUNKED(2),
     .txns = {ONE, ONE},
     .steps = {HELLO, {CHUNK, BDAT NEXT}, {OK "550 5.1.1 x\r\n" OK, ""}},
     .outcomes = "permanent recipient rcpt 550 5.1.1; temporary connection bdat 451 4.5.0 unknown",
     .end = "temporary connection rset 451 4.5.0",
     .trouble = "replies overlapped"},
    {.name = "alone, 2.1.5 is as good as any",
     CHUNKED(2),
     .txns = {ONE},
     .steps = {HELLO, {CHUNK, BDAT}, {OK OK "250 2.1.5 fine\r\n", ""}},
     .outcomes = "delivered message bdat 250 2.1.5",
     .trouble = "none"},
    {.name = "lost while overlapped",
     CHUNKED(2),
     .txns = {ONE, ONE},
     .steps = {HELLO, {CHUNK, BDAT NEXT}, {OK OK OK, ""}, {"!IO", ""}},
     .outcomes = TAKEN "; temporary connection bdat 451 4.4.2 unknown",
     .end = "temporary connection rset 451 4.4.2",
     .trouble = "lost pipelined",
     .again = "nn"},
    {.name = "silent while overlapped",
     CHUNKED(2),
     .txns = {ONE, ONE},
     .steps = {HELLO, {CHUNK, BDAT NEXT}, {OK, ""}, {"!TIMEOUT", ""}},
     .outcomes = "temporary connection bdat 451 4.4.2 unknown; "
                 "temporary connection bdat 451 4.4.2 unknown",
     .end = "temporary connection rcpt 451 4.4.2",
     .trouble = "silent overlapped",
     .again = "nn"},
    {.name = "lost with one reply due",
     PIPELINED,
     .txns = {ONE},
     .steps = {HELLO, {PIPE, GROUP}, {OK OK GO, "Hi\r\n.\r\n"}, {"!EOF", ""}},
     .outcomes = "temporary connection final-dot 451 4.4.2 unknown",
     .end = "temporary connection final-dot 451 4.4.2",
     .trouble = "none",
     .again = "n"},
    {.name = "we ourselves gave up",
     PIPELINED,
     .txns = {ONE},
     .steps = {HELLO, {PIPE, GROUP}, {"!LOCAL", ""}},
     .outcomes = "temporary connection mail 451 4.3.0",
     .end = "temporary connection mail 451 4.3.0",
     .trouble = "none",
     .again = "n"},
};

START_TEST(trouble)
{
    script_play_rows(trouble_rows, ARRAY_COUNT(trouble_rows));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto/smtp/client trouble");
    TCase *tc = tcase_create("trouble");
    tcase_add_test(tc, trouble);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
