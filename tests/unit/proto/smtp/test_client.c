/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The client machine, one command at a time: session set-up, parameters, refusals, faults.
 */
#include "tests/unit/proto/smtp/client_script.h"

#define EHLO "EHLO me.test\r\n"
#define HELLO                                                                                      \
    {                                                                                              \
        "220 mx.test ESMTP\r\n", EHLO                                                              \
    }
#define ONE                                                                                        \
    {                                                                                              \
        "a@x.test",                                                                                \
        {                                                                                          \
            {                                                                                      \
                "b@y.test", NULL, 0                                                                \
            }                                                                                      \
        }                                                                                          \
    }

static const struct script_row session_rows[] = {
    {.name = "plain delivery and quit",
     .txns = {ONE},
     .quit = true,
     .steps = {HELLO,
               {"250-mx.test hello\r\n250 HELP\r\n", "MAIL FROM:<a@x.test>\r\n"},
               {"250 ok\r\n", "RCPT TO:<b@y.test>\r\n"},
               {"250 ok\r\n", "DATA\r\n"},
               {"354 go\r\n", "Hi\r\n.\r\n"},
               {"250 2.0.0 queued\r\n", "QUIT\r\n"},
               {"221 bye\r\n", ""}},
     .outcomes = "delivered message final-dot 250 2.0.0",
     .end = "none"},
    {.name = "multi-line greeting, HELO",
     .txns = {ONE},
     .steps = {{"220-hello\r\n220 there\r\n", EHLO},
               {"502 5.5.1 what\r\n", "HELO me.test\r\n"},
               {"250 mx\r\n", "MAIL FROM:<a@x.test>\r\n"},
               {"250 ok\r\n", "RCPT TO:<b@y.test>\r\n"},
               {"251 forwarded\r\n", "DATA\r\n"},
               {"354 go\r\n", "Hi\r\n.\r\n"},
               {"200 hm\r\n", ""}},
     .outcomes = "delivered message final-dot 200 2.0.0"},
    {.name = "greeting 554",
     .steps = {{"554 5.3.2 no\r\n", ""}},
     .end = "permanent connection banner 554 5.3.2"},
    {.name = "greeting 421",
     .steps = {{"421-busy\r\n421 later\r\n", ""}},
     .end = "temporary connection banner 421 4.0.0"},
    {.name = "greeting 450",
     .steps = {{"450 later\r\n", ""}},
     .end = "temporary connection banner 450 4.0.0"},
    {.name = "greeting broken",
     .steps = {{"HTTP/1.1 400 Bad Request\r\n", ""}},
     .end = "temporary connection banner 451 4.5.0"},
    {.name = "greeting 354",
     .steps = {{"354 what\r\n", ""}},
     .end = "temporary connection banner 451 4.5.0"},
    {.name = "greeting never comes",
     .steps = {{"!TIMEOUT", ""}},
     .end = "temporary connection banner 451 4.4.2"},
    {.name = "EHLO 4xx",
     .steps = {HELLO, {"451 no\r\n", ""}},
     .end = "temporary connection ehlo 451 4.0.0"},
    {.name = "HELO refused too",
     .steps = {HELLO, {"500 a\r\n", "HELO me.test\r\n"}, {"550 b\r\n", ""}},
     .end = "permanent connection ehlo 550 5.0.0"},
    {.name = "quit before hello",
     .quit = true,
     .steps = {HELLO, {"250 mx\r\n", "QUIT\r\n"}, {"!EOF", ""}},
     .end = "none"},
    {.name = "421 while idle",
     .steps = {HELLO, {"250 mx\r\n", ""}, {"421 idle\r\n", ""}},
     .end = "temporary connection none 421 4.0.0"},
    {.name = "eof while idle",
     .steps = {HELLO, {"250 mx\r\n", ""}, {"!EOF", ""}},
     .end = "temporary connection none 451 4.4.2"},
    {.name = "stray 250 while idle",
     .steps = {HELLO, {"250 mx\r\n250 more\r\n", ""}},
     .end = "temporary connection none 451 4.5.0"},
    {.name = "part of a stray reply, then our MAIL",
     .txns = {ONE},
     .steps = {HELLO, {"250 mx\r\n25", ""}},
     .outcomes = "temporary connection mail 451 4.5.0",
     .end = "temporary connection mail 451 4.5.0",
     .unanswered = true},
    {.name = "421 to QUIT",
     .quit = true,
     .steps = {HELLO, {"250 mx\r\n", "QUIT\r\n"}, {"421 bye\r\n", ""}},
     .end = "none"},
};

START_TEST(session)
{
    script_play_rows(session_rows, ARRAY_COUNT(session_rows));
}
END_TEST

#define FULL_CAPS                                                                                  \
    "250-mx\r\n250-SIZE 1000\r\n250-8bitmime\r\n250-SMTPUTF8\r\n250-DSN\r\n250 LIMITS RCPTMAX=2\r\n"
#define FULL_TXN(...)                                                                              \
    {                                                                                              \
        .sender = "a@x.test", __VA_ARGS__                                                          \
    }

static const struct script_row parameter_rows[] = {
    {.name = "all parameters",
     .txns = {FULL_TXN(.rcpts = {{"b@y.test", "rfc822;b+2Bc@y", 6}, {"c@y.test", NULL, 1}},
                       .flags = 3, .envid = "id+2B1", .ret = MAIL_RET_HDRS)},
     .steps = {HELLO,
               {FULL_CAPS, "MAIL FROM:<a@x.test> SIZE=4 BODY=8BITMIME SMTPUTF8 RET=HDRS "
                           "ENVID=id+2B1\r\n"},
               {"250 ok\r\n", "RCPT TO:<b@y.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b+2Bc@y\r\n"},
               {"250 ok\r\n", "RCPT TO:<c@y.test> NOTIFY=NEVER\r\n"}}},
    {.name = "nothing offered, nothing said",
     .txns = {FULL_TXN(.rcpts = {{"b@y.test", "rfc822;b+2Bc@y", 6}}, .envid = "id", .ret = 1)},
     .steps = {HELLO,
               {"250 mx\r\n", "MAIL FROM:<a@x.test>\r\n"},
               {"250 ok\r\n", "RCPT TO:<b@y.test>\r\n"}}},
    {.name = "null sender, 7-bit",
     .txns = {{"", {{"b@y.test", NULL, 0}}}},
     .steps = {HELLO, {FULL_CAPS, "MAIL FROM:<> SIZE=4\r\n"}}},
    {.name = "8-bit, not offered",
     .txns = {FULL_TXN(.rcpts = {{"b@y.test", NULL, 0}}, .flags = 1)},
     .steps = {HELLO, {"250 mx\r\n", ""}},
     .outcomes = "permanent message mail 554 5.6.3",
     .unanswered = true},
    {.name = "SMTPUTF8, not offered",
     .txns = {FULL_TXN(.rcpts = {{"b@y.test", NULL, 0}}, .flags = 3)},
     .steps = {HELLO, {"250-mx\r\n250 8BITMIME\r\n", ""}},
     .outcomes = "permanent message mail 554 5.6.7"},
    {.name = "too big",
     .txns = {FULL_TXN(.rcpts = {{"b@y.test", NULL, 0}, {"c@y.test", NULL, 0}}, .body_bytes = 1001),
              ONE},
     .steps = {HELLO, {FULL_CAPS, "MAIL FROM:<a@x.test> SIZE=4\r\n"}},
     .outcomes = "permanent message mail 554 5.3.4; permanent message mail 554 5.3.4"},
    {.name = "DELIVERBY R, not offered",
     .txns = {FULL_TXN(.rcpts = {{"b@y.test", NULL, 0}}, .by_mode = 'R', .by_s = 60), ONE},
     .steps = {HELLO, {FULL_CAPS, "MAIL FROM:<a@x.test> SIZE=4\r\n"}},
     .outcomes = "permanent message mail 554 5.4.7"},
    {.name = "DELIVERBY R, too little time is left",
     .txns = {FULL_TXN(.rcpts = {{"b@y.test", NULL, 0}}, .by_mode = 'R', .by_s = 59),
              FULL_TXN(.rcpts = {{"b@y.test", NULL, 0}}, .by_mode = 'R', .by_s = 60)},
     .steps = {HELLO, {"250-mx\r\n250 DELIVERBY 60\r\n", "MAIL FROM:<a@x.test> BY=60;R\r\n"}},
     .outcomes = "permanent message mail 554 5.4.7"},
    {.name = "DELIVERBY N, not offered; a time that is over is no matter",
     .txns = {FULL_TXN(.rcpts = {{"b@y.test", NULL, 0}}, .by_mode = 'N', .by_s = -5)},
     .steps = {HELLO, {FULL_CAPS, "MAIL FROM:<a@x.test> SIZE=4\r\n"}}},
    {.name = "RCPTMAX",
     .txns = {FULL_TXN(.rcpts = {{"b@y", NULL, 0}, {"c@y", NULL, 0}, {"d@y", NULL, 0}})},
     .steps = {HELLO,
               {FULL_CAPS, "MAIL FROM:<a@x.test> SIZE=4\r\n"},
               {"250 ok\r\n", "RCPT TO:<b@y>\r\n"},
               {"250 ok\r\n", "RCPT TO:<c@y>\r\n"},
               {"250 ok\r\n", "DATA\r\n"},
               {"354 ok\r\n", "Hi\r\n.\r\n"},
               {"250 ok\r\n", ""}},
     .outcomes = "delivered message final-dot 250 2.0.0; delivered message final-dot 250 2.0.0; "
                 "temporary recipient rcpt 452 4.5.3"},
    {.name = "MAILMAX ends the session",
     .txns = {ONE, ONE},
     .steps = {HELLO,
               {"250-mx\r\n250 LIMITS MAILMAX=1\r\n", "MAIL FROM:<a@x.test>\r\n"},
               {"550 5.7.1 no\r\n", "QUIT\r\n"},
               {"221 bye\r\n", ""}},
     .outcomes = "permanent message mail 550 5.7.1",
     .end = "none"},
    {.name = "sender that would split the envelope",
     .txns = {{"a@x>\r\nRCPT TO:<z@z", {{"b@y.test", NULL, 0}}}},
     .steps = {HELLO, {"250 mx\r\n", ""}},
     .outcomes = "permanent message mail 554 5.6.0"},
    {.name = "bad recipients among good ones",
     .txns = {FULL_TXN(.rcpts = {{"b\r\n@y", NULL, 0},
                                 {"\"q >\"@y", NULL, 0},
                                 {"c @y", NULL, 0},
                                 {"d@y", "rfc822;a b", 0}})},
     .steps = {HELLO,
               {"250 mx\r\n", "MAIL FROM:<a@x.test>\r\n"},
               {"250 ok\r\n", "RCPT TO:<\"q >\"@y>\r\n"},
               {"550 5.1.1 no\r\n", ""}},
     .outcomes = "permanent recipient rcpt 554 5.6.0; permanent recipient rcpt 550 5.1.1; "
                 "permanent recipient rcpt 554 5.6.0; permanent recipient rcpt 554 5.6.0"},
    {.name = "raw 8-bit address without SMTPUTF8",
     .txns = {{"a@x", {{"\xc3\xa9@y", NULL, 0}}}},
     .steps = {HELLO, {"250 mx\r\n", ""}},
     .outcomes = "permanent recipient rcpt 554 5.6.0"},
    {.name = "body without final CRLF",
     .txns = {FULL_TXN(.rcpts = {{"b@y", NULL, 0}}, .body = "no end", .flags = 8)},
     .steps = {HELLO,
               {"250 mx\r\n", "MAIL FROM:<a@x.test>\r\n"},
               {"250 ok\r\n", "RCPT TO:<b@y>\r\n"},
               {"250 ok\r\n", "DATA\r\n"},
               {"354 go\r\n", "no end\r\n.\r\n"},
               {"250 ok\r\n", ""}},
     .outcomes = "delivered message final-dot 250 2.0.0"},
    {.name = "empty body",
     .txns = {FULL_TXN(.rcpts = {{"b@y", NULL, 0}}, .body = "", .flags = 8)},
     .steps = {HELLO,
               {"250 mx\r\n", "MAIL FROM:<a@x.test>\r\n"},
               {"250 ok\r\n", "RCPT TO:<b@y>\r\n"},
               {"250 ok\r\n", "DATA\r\n"},
               {"354 go\r\n", ".\r\n"},
               {"250 ok\r\n", ""}},
     .outcomes = "delivered message final-dot 250 2.0.0"},
    {.name = "leading dots",
     .txns = {FULL_TXN(.rcpts = {{"b@y", NULL, 0}}, .body = ".\r\n..\r\na.\r\n.b\r\n", .flags = 4)},
     .steps = {HELLO,
               {"250 mx\r\n", "MAIL FROM:<a@x.test>\r\n"},
               {"250 ok\r\n", "RCPT TO:<b@y>\r\n"},
               {"250 ok\r\n", "DATA\r\n"},
               {"354 go\r\n", "..\r\n...\r\na.\r\n..b\r\n.\r\n"},
               {"250 ok\r\n", ""}},
     .outcomes = "delivered message final-dot 250 2.0.0"},
};

START_TEST(parameters)
{
    script_play_rows(parameter_rows, ARRAY_COUNT(parameter_rows));
}
END_TEST

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
#define MAIL                                                                                       \
    {                                                                                              \
        "250 mx\r\n", "MAIL FROM:<a@x>\r\n"                                                        \
    }
#define RCPT_B                                                                                     \
    {                                                                                              \
        "250 ok\r\n", "RCPT TO:<b@y>\r\n"                                                          \
    }
#define RCPT_C                                                                                     \
    {                                                                                              \
        "250 ok\r\n", "RCPT TO:<c@y>\r\n"                                                          \
    }
#define DATA                                                                                       \
    {                                                                                              \
        "250 ok\r\n", "DATA\r\n"                                                                   \
    }
#define BODY                                                                                       \
    {                                                                                              \
        "354 go\r\n", "Hi\r\n.\r\n"                                                                \
    }

static const struct script_row refusal_rows[] = {
    {.name = "MAIL 5xx, next without RSET",
     .txns = {TWO, TWO},
     .steps = {HELLO, MAIL, {"550 5.1.8 bad sender\r\n", "MAIL FROM:<a@x>\r\n"}},
     .outcomes = "permanent message mail 550 5.1.8; permanent message mail 550 5.1.8"},
    {.name = "MAIL 503 is no verdict",
     .txns = {TWO},
     .steps = {HELLO, MAIL, {"503 what\r\n", ""}},
     .outcomes = "temporary connection mail 503 5.0.0; temporary connection mail 503 5.0.0",
     .end = "temporary connection mail 503 5.0.0"},
    {.name = "one of two refused",
     .txns = {TWO},
     .steps = {HELLO,
               MAIL,
               RCPT_B,
               {"550-5.1.1 no\r\n550 5.1.1 such user\r\n", "RCPT TO:<c@y>\r\n"},
               DATA,
               BODY,
               {"250 ok\r\n", ""}},
     .outcomes = "permanent recipient rcpt 550 5.1.1; delivered message final-dot 250 2.0.0"},
    {.name = "all refused, next needs RSET",
     .txns = {TWO, ONE},
     .steps = {HELLO,
               MAIL,
               RCPT_B,
               {"450 4.2.1 later\r\n", "RCPT TO:<c@y>\r\n"},
               {"550 no\r\n", "RSET\r\n"},
               {"250 ok\r\n", "MAIL FROM:<a@x.test>\r\n"}},
     .outcomes = "temporary recipient rcpt 450 4.2.1; permanent recipient rcpt 550 5.0.0"},
    {.name = "RSET refused",
     .txns = {TWO, ONE},
     .steps = {HELLO,
               MAIL,
               RCPT_B,
               {"450 4.2.1 later\r\n", "RCPT TO:<c@y>\r\n"},
               {"550 no\r\n", "RSET\r\n"},
               {"500 what\r\n", ""}},
     .outcomes = "temporary recipient rcpt 450 4.2.1; permanent recipient rcpt 550 5.0.0; "
                 "temporary connection rset 500 5.0.0",
     .end = "temporary connection rset 500 5.0.0"},
    {.name = "552 after an accepted one means 452",
     .txns = {TWO},
     .steps =
         {HELLO, MAIL, RCPT_B, RCPT_C, {"552 too many\r\n", "DATA\r\n"}, BODY, {"250 ok\r\n", ""}},
     .outcomes = "delivered message final-dot 250 2.0.0; temporary recipient rcpt 552 4.5.3"},
    {.name = "552 5.5.3",
     .txns = {TWO},
     .steps = {HELLO, MAIL, RCPT_B, {"552 5.5.3 too many\r\n", "RCPT TO:<c@y>\r\n"}},
     .outcomes = NULL},
    {.name = "552 5.2.2 is a full mailbox",
     .txns = {TWO},
     .steps = {HELLO,
               MAIL,
               RCPT_B,
               RCPT_C,
               {"552 5.2.2 full\r\n", "DATA\r\n"},
               BODY,
               {"250 ok\r\n", ""}},
     .outcomes = "delivered message final-dot 250 2.0.0; permanent recipient rcpt 552 5.2.2"},
    {.name = "552 for the first",
     .txns = {ONE},
     .steps = {HELLO,
               {"250 mx\r\n", "MAIL FROM:<a@x.test>\r\n"},
               {"250 ok\r\n", "RCPT TO:<b@y.test>\r\n"},
               {"552 no\r\n", ""}},
     .outcomes = "permanent recipient rcpt 552 5.0.0"},
    {.name = "DATA 4xx",
     .txns = {TWO, ONE},
     .steps =
         {HELLO, MAIL, RCPT_B, RCPT_C, {"550 no\r\n", "DATA\r\n"}, {"451 disk\r\n", "RSET\r\n"}},
     .outcomes = "temporary message data 451 4.0.0; permanent recipient rcpt 550 5.0.0"},
    {.name = "DATA 250 makes no sense",
     .txns = {TWO},
     .steps = {HELLO, MAIL, RCPT_B, RCPT_C, DATA, {"250 ok\r\n", ""}},
     .outcomes = "temporary connection data 451 4.5.0; temporary connection data 451 4.5.0",
     .end = "temporary connection data 451 4.5.0"},
    {.name = "354 to RCPT",
     .txns = {TWO},
     .steps = {HELLO, MAIL, RCPT_B, {"354 go\r\n", ""}},
     .outcomes = "temporary connection rcpt 451 4.5.0; temporary connection rcpt 451 4.5.0",
     .end = "temporary connection rcpt 451 4.5.0"},
    {.name = "final dot refused",
     .txns = {TWO, ONE},
     .steps = {HELLO, MAIL, RCPT_B, RCPT_C, DATA, BODY, {"554 5.7.1 spam\r\n", "RSET\r\n"}},
     .outcomes = "permanent message final-dot 554 5.7.1; permanent message final-dot 554 5.7.1"},
    {.name = "421 to RCPT keeps what is definite",
     .txns = {TWO},
     .steps = {HELLO, MAIL, RCPT_B, {"550 no\r\n", "RCPT TO:<c@y>\r\n"}, {"421 bye\r\n", ""}},
     .outcomes = "permanent recipient rcpt 550 5.0.0; temporary connection rcpt 421 4.0.0",
     .end = "temporary connection rcpt 421 4.0.0"},
    {.name = "421 to the dot is an answer",
     .txns = {ONE},
     .steps = {HELLO,
               {"250 mx\r\n", "MAIL FROM:<a@x.test>\r\n"},
               {"250 ok\r\n", "RCPT TO:<b@y.test>\r\n"},
               DATA,
               BODY,
               {"421 bye\r\n", ""}},
     .outcomes = "temporary connection final-dot 421 4.0.0",
     .end = "temporary connection final-dot 421 4.0.0"},
    {.name = "lost before the dot",
     .txns = {TWO},
     .hold_body = true,
     .steps = {HELLO, MAIL, RCPT_B, RCPT_C, DATA, {"354 go\r\n", "Hi\r\n"}, {"!IO", ""}},
     .outcomes = "temporary connection body 451 4.4.2; temporary connection body 451 4.4.2",
     .end = "temporary connection body 451 4.4.2"},
    {.name = "lost after the dot",
     .txns = {TWO},
     .steps = {HELLO, MAIL, RCPT_B, {"550 no\r\n", "RCPT TO:<c@y>\r\n"}, DATA, BODY, {"!EOF", ""}},
     .outcomes = "permanent recipient rcpt 550 5.0.0; "
                 "temporary connection final-dot 451 4.4.2 unknown",
     .end = "temporary connection final-dot 451 4.4.2"},
    {.name = "garbage to the dot",
     .txns = {ONE},
     .steps = {HELLO,
               {"250 mx\r\n", "MAIL FROM:<a@x.test>\r\n"},
               {"250 ok\r\n", "RCPT TO:<b@y.test>\r\n"},
               DATA,
               BODY,
               {"250ok\r\n", ""}},
     .outcomes = "temporary connection final-dot 451 4.5.0 unknown",
     .end = "temporary connection final-dot 451 4.5.0"},
    {.name = "part of the answer to the dot",
     .txns = {ONE},
     .steps = {HELLO,
               {"250 mx\r\n", "MAIL FROM:<a@x.test>\r\n"},
               {"250 ok\r\n", "RCPT TO:<b@y.test>\r\n"},
               DATA,
               BODY,
               {"250 o", ""},
               {"!TIMEOUT", ""}},
     .outcomes = "temporary connection final-dot 451 4.4.2 unknown",
     .end = "temporary connection final-dot 451 4.4.2"},
    {.name = "250 before the dot",
     .txns = {ONE},
     .hold_body = true,
     .steps = {HELLO,
               {"250 mx\r\n", "MAIL FROM:<a@x.test>\r\n"},
               {"250 ok\r\n", "RCPT TO:<b@y.test>\r\n"},
               DATA,
               {"354 go\r\n", "Hi\r\n"},
               {"250 ok\r\n", ""}},
     .outcomes = "temporary connection body 451 4.5.0",
     .end = "temporary connection body 451 4.5.0"},
    {.name = "refused in the middle of the body",
     .txns = {ONE},
     .hold_body = true,
     .steps = {HELLO,
               {"250 mx\r\n", "MAIL FROM:<a@x.test>\r\n"},
               {"250 ok\r\n", "RCPT TO:<b@y.test>\r\n"},
               DATA,
               {"354 go\r\n", "Hi\r\n"},
               {"552 5.3.4 too big\r\n", ""}},
     .outcomes = "permanent message body 552 5.3.4",
     .end = "temporary connection body 552 5.3.4"},
    {.name = "421 in the middle of the body",
     .txns = {ONE},
     .hold_body = true,
     .steps = {HELLO,
               {"250 mx\r\n", "MAIL FROM:<a@x.test>\r\n"},
               {"250 ok\r\n", "RCPT TO:<b@y.test>\r\n"},
               DATA,
               {"354 go\r\n", "Hi\r\n"},
               {"421 down\r\n", ""}},
     .outcomes = "temporary connection body 421 4.0.0",
     .end = "temporary connection body 421 4.0.0"},
    {.name = "dead when we came back",
     .txns = {ONE},
     .steps = {HELLO, {"250 mx\r\n", "MAIL FROM:<a@x.test>\r\n"}, {"!EOF", ""}},
     .outcomes = "temporary connection mail 451 4.4.2",
     .end = "temporary connection mail 451 4.4.2",
     .unanswered = true},
    {.name = "our own side gives up",
     .txns = {ONE},
     .hold_body = true,
     .steps = {HELLO,
               {"250 mx\r\n", "MAIL FROM:<a@x.test>\r\n"},
               {"250 ok\r\n", "RCPT TO:<b@y.test>\r\n"},
               DATA,
               {"354 go\r\n", "Hi\r\n"},
               {"!LOCAL", ""}},
     .outcomes = "temporary connection body 451 4.3.0",
     .end = "temporary connection body 451 4.3.0"},
};

START_TEST(refusals)
{
    script_play_rows(refusal_rows, ARRAY_COUNT(refusal_rows));
}
END_TEST

START_TEST(texts_are_clean_and_outlive_the_input)
{
    struct smtp_client c;
    struct smtp_client_config config = {.helo_name = SLICE("me"), .window = 1};
    struct smtp_client_rcpt rcpt = {.address = SLICE("b@y")};
    struct smtp_client_txn txn = {.sender = SLICE("a@x"), .rcpts = &rcpt, .rcpt_count = 1};
    static const char *const turns[] = {"220 x\r\n", "250 x\r\n", "250 x\r\n",
                                        "550-5.1.1 no\x1b[2J\r\n550 5.1.1 \xff user\tb\r\n"};
    struct buf out;
    buf_init(&out, SMTP_CLIENT_OUT_BYTES);
    smtp_client_init(&c, &config);
    smtp_client_start(&c);
    enum smtp_client_action action = SMTP_CLIENT_WANT_REPLY;
    for (size_t i = 0; i < ARRAY_COUNT(turns); i++) {
        char *copy = strdup(turns[i]);
        struct slice in = slice_str(copy);
        action = smtp_client_step(&c, &in, &out);
        free(copy);
        if (action == SMTP_CLIENT_READY) {
            smtp_client_begin(&c, &txn);
            (void)smtp_client_step(&c, &in, &out);
        }
    }
    ck_assert_int_eq(action, SMTP_CLIENT_TXN_DONE);
    ck_assert_ptr_eq(smtp_client_take(&c), &txn);
    ck_assert(slice_eq(rcpt.outcome.text, SLICE("no\\x1B[2J \\xFF user b")));
    ck_assert(rcpt.outcome.remote);
    smtp_client_deinit(&c);
    buf_deinit(&out);
}
END_TEST

START_TEST(stages_for_deadlines)
{
    static const struct {
        const char *peer;
        enum outcome_stage stage;
    } rows[] = {{"", OUTCOME_STAGE_BANNER},        {"220 x\r\n", OUTCOME_STAGE_EHLO},
                {"250 x\r\n", OUTCOME_STAGE_MAIL}, {"250 x\r\n", OUTCOME_STAGE_RCPT},
                {"250 x\r\n", OUTCOME_STAGE_DATA}, {"354 x\r\n", OUTCOME_STAGE_BODY},
                {"", OUTCOME_STAGE_FINAL_DOT},     {"250 x\r\n", OUTCOME_STAGE_NONE}};
    struct smtp_client c;
    struct smtp_client_config config = {.helo_name = SLICE("me"), .window = 1};
    struct smtp_client_rcpt rcpt = {.address = SLICE("b@y")};
    struct smtp_client_txn txn = {.sender = SLICE("a@x"), .rcpts = &rcpt, .rcpt_count = 1};
    struct buf out;
    buf_init(&out, SMTP_CLIENT_OUT_BYTES);
    smtp_client_init(&c, &config);
    ck_assert_int_eq(smtp_client_stage(&c), OUTCOME_STAGE_CONNECT);
    smtp_client_start(&c);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct slice in = slice_str(rows[i].peer);
        if (rows[i].stage == OUTCOME_STAGE_FINAL_DOT) {
            ck_assert(smtp_client_body_end(&c, &out));
        }
        if (smtp_client_step(&c, &in, &out) == SMTP_CLIENT_READY && c.mails == 0) {
            smtp_client_begin(&c, &txn);
            (void)smtp_client_step(&c, &in, &out);
        }
        ck_assert_int_eq(smtp_client_stage(&c), rows[i].stage);
    }
    (void)smtp_client_take(&c);
    smtp_client_deinit(&c);
    buf_deinit(&out);
}
END_TEST

START_TEST(no_room_for_commands)
{
    struct smtp_client c;
    struct smtp_client_config config = {.helo_name = SLICE("me"), .window = 1};
    struct slice in = SLICE("220 x\r\n");
    struct buf out;
    buf_init(&out, 4);
    smtp_client_init(&c, &config);
    smtp_client_start(&c);
    ck_assert_int_eq(smtp_client_step(&c, &in, &out), SMTP_CLIENT_CLOSED);
    ck_assert_int_eq(smtp_client_outcome(&c)->kind, OUTCOME_TEMPORARY);
    smtp_client_fail(&c, SMTP_FAIL_EOF); /* has no effect any more */
    ck_assert_uint_eq(smtp_client_outcome(&c)->enhanced.subject, 3);
    smtp_client_deinit(&c);
    buf_deinit(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto/smtp/client");
    TCase *tc = tcase_create("client");
    tcase_add_test(tc, session);
    tcase_add_test(tc, parameters);
    tcase_add_test(tc, refusals);
    tcase_add_test(tc, texts_are_clean_and_outlive_the_input);
    tcase_add_test(tc, stages_for_deadlines);
    tcase_add_test(tc, no_room_for_commands);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
