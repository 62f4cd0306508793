/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Bytes in, exact replies and commits out. Every row runs whole, in single bytes and in random pieces.
 */
#include "proto/smtp/server.h"
#include "core/base/rng.h"
#include "tests/unit/proto/smtp/server_script.h"

#include <check.h>

#define HI "220 mx.test ESMTP Ringpost\r\n"
#define EHLO "EHLO c.test\r\n"
#define EHLO_OK                                                                                    \
    "250-mx.test\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"           \
    "250-ENHANCEDSTATUSCODES\r\n250-CHUNKING\r\n250-DSN\r\n250-LIMITS RCPTMAX=3\r\n250 HELP\r\n"
#define OPEN EHLO "MAIL FROM:<a@b>\r\n"
#define OPEN_OK EHLO_OK "250 2.1.0 Ok\r\n"
#define TO "RCPT TO:<c@d>\r\n"
#define TO_OK "250 2.1.5 Ok\r\n"
#define TX OPEN TO "DATA\r\n"
#define GO "354 End data with <CR><LF>.<CR><LF>\r\n"
#define TX_OK OPEN_OK TO_OK GO
#define QUEUED "250 2.0.0 queued as 1\r\n"
#define NOOP "NOOP\r\n"
#define NOOP_OK "250 2.0.0 Ok\r\n"
#define QUIT "QUIT\r\n"
#define BYE "221 2.0.0 Bye\r\n<close>"
#define BARE "550 5.5.2 Bare CR or LF is not allowed, lines end in CR LF\r\n"
#define NEED_MAIL "503 5.5.1 Need MAIL first\r\n"
#define BAD_LINE "500 5.5.2 Command not recognized\r\n"
#define TOO_BIG "552 5.3.4 Message exceeds the size limit\r\n"
#define BDAT_BAD "501 5.5.4 Malformed BDAT, closing\r\n<close>"
#define A50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A100 A50 A50
#define L100                                                                                       \
    A50 "\r\n"                                                                                     \
        "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n"

enum { NORMALIZE = 1, EARLY = 2, NO_FEATURES = 4, LINE_PASS = 8 };

struct row {
    const char *name;
    struct slice in;
    const char *replies; /* without the greeting */
    const char *events;
    int options;
};
#define ROW(n, i, r, e)                                                                            \
    {                                                                                              \
        n, SLICE_INIT(i), r, e, 0                                                                  \
    }
#define ROWX(n, i, r, e, o)                                                                        \
    {                                                                                              \
        n, SLICE_INIT(i), r, e, o                                                                  \
    }

static const struct row rows[] = {
    ROW("plain", TX "S: x\r\n\r\nbody\r\n.\r\n" QUIT, TX_OK QUEUED BYE,
        "commit a@b>c@d [S: x\r\n\r\nbody\r\n]\n"),
    ROW("lower case", "ehlo x\r\nmail from:<a@b>\r\nrcpt to:<c@d>\r\ndata\r\n.\r\nquit\r\n",
        TX_OK QUEUED BYE, "commit a@b>c@d []\n"),
    ROW("two messages", TX "1\r\n.\r\nMAIL FROM:<>\r\n" TO "DATA\r\n2\r\n.\r\n",
        TX_OK QUEUED "250 2.1.0 Ok\r\n" TO_OK GO QUEUED,
        "commit a@b>c@d [1\r\n]\ncommit >c@d [2\r\n]\n"),
    ROW("helo", "HELO x\r\nMAIL FROM:<a@b>\r\n", "250 mx.test\r\n250 2.1.0 Ok\r\n", ""),
    ROW("spaces", "EHLO   c.test  \r\nMAIL FROM:  <a@b>  SIZE=10 \r\nRCPT   TO:<c@d>\r\n",
        EHLO_OK "250 2.1.0 Ok\r\n" TO_OK, ""),
    ROW("dots", TX "..\r\n...x\r\n.y\r\na..\r\n.\r\n", TX_OK QUEUED,
        "commit a@b>c@d [.\r\n..x\r\ny\r\na..\r\n]\n"),
    ROW("commands as text", TX "QUIT\r\nRSET\r\n.\r\n", TX_OK QUEUED,
        "commit a@b>c@d [QUIT\r\nRSET\r\n]\n"),
    /* order */
    ROW("mail first", "MAIL FROM:<a@b>\r\n", "503 5.5.1 Send EHLO first\r\n", ""),
    ROW("rcpt early", EHLO TO, EHLO_OK NEED_MAIL, ""),
    ROW("data early", EHLO "DATA\r\n", EHLO_OK NEED_MAIL, ""),
    ROW("nested mail", OPEN "MAIL FROM:<x@y>\r\n" TO,
        OPEN_OK "503 5.5.1 Transaction is already open\r\n" TO_OK, ""),
    ROW("data without rcpt", OPEN "DATA\r\n" TO, OPEN_OK "503 5.5.1 Need RCPT first\r\n" TO_OK, ""),
    ROW("all rcpt refused", OPEN "RCPT TO:<bad@d>\r\nDATA\r\n" TO "DATA\r\n",
        OPEN_OK "550 5.7.1 Refused\r\n554 5.5.1 No valid recipients\r\n" NEED_MAIL NEED_MAIL, ""),
    ROW("rset", OPEN TO "RSET\r\n" TO "DATA\r\n", OPEN_OK TO_OK NOOP_OK NEED_MAIL NEED_MAIL, ""),
    ROW("ehlo resets", OPEN TO EHLO TO "DATA\r\n", OPEN_OK TO_OK EHLO_OK NEED_MAIL NEED_MAIL, ""),
    ROW("bad ehlo keeps", OPEN TO "EHLO\r\nEHLO a b\r\nDATA\r\nx\r\n.\r\n",
        OPEN_OK TO_OK
        "501 5.5.4 Syntax: EHLO hostname\r\n501 5.5.4 Invalid host name\r\n" GO QUEUED,
        "commit a@b>c@d [x\r\n]\n"),
    ROW("rset before ehlo", "RSET\r\n" EHLO, NOOP_OK EHLO_OK, ""),
    /* policy */
    ROW("sender refused", EHLO "MAIL FROM:<bad@x>\r\n" TO,
        EHLO_OK "550 5.7.1 Refused\r\n" NEED_MAIL, ""),
    ROW("sender temp", EHLO "MAIL FROM:<temp@x>\r\nMAIL FROM:<a@b>\r\n",
        EHLO_OK "451 4.7.1 Later\r\n250 2.1.0 Ok\r\n", ""),
    ROW("sender closes", EHLO "MAIL FROM:<close@x>\r\n" NOOP,
        EHLO_OK "421 4.7.0 Go away\r\n<close>", ""),
    ROW("some refused",
        OPEN "RCPT TO:<bad@d>\r\n" TO "RCPT TO:<temp@d>\r\nRCPT TO:<e@f>\r\nDATA\r\n.\r\n",
        OPEN_OK "550 5.7.1 Refused\r\n" TO_OK "451 4.7.1 Later\r\n" TO_OK GO QUEUED,
        "commit a@b>c@d,e@f []\n"),
    ROW("too many rcpt", OPEN TO TO TO TO "DATA\r\n.\r\n",
        OPEN_OK TO_OK TO_OK TO_OK "452 4.5.3 Too many recipients\r\n" GO QUEUED,
        "commit a@b>c@d,c@d,c@d []\n"),
    ROW("no space", EHLO "MAIL FROM:<nospace@b>\r\n" TO "DATA\r\n" NOOP TO,
        EHLO_OK "250 2.1.0 Ok\r\n" TO_OK "452 4.3.1 No space\r\n" NOOP_OK NEED_MAIL, ""),
    ROW("commit fails", EHLO "MAIL FROM:<disk@b>\r\n" TO "DATA\r\nx\r\n.\r\n" TO,
        EHLO_OK "250 2.1.0 Ok\r\n" TO_OK GO "451 4.3.0 Disk trouble\r\n" NEED_MAIL,
        "commit disk@b>c@d [x\r\n]\n"),
    ROW("storage fails",
        EHLO "MAIL FROM:<full@b>\r\n" TO "DATA\r\n0123456789\r\nmore\r\n.\r\n" NOOP,
        EHLO_OK "250 2.1.0 Ok\r\n" TO_OK GO "452 4.3.1 Storage is full\r\n" NOOP_OK, ""),
    /* syntax */
    ROW("unknown", "FOO\r\n", BAD_LINE, ""),
    ROW("empty line", "\r\n" NOOP, BAD_LINE NOOP_OK, ""),
    ROW("no keyword", EHLO "MAIL <a@b>\r\nMAIL\r\n",
        EHLO_OK
        "501 5.5.4 Syntax: MAIL FROM:<address> [parameters]\r\n501 5.5.4 Syntax: MAIL FROM:<address> [parameters]\r\n",
        ""),
    ROW("bad sender", EHLO "MAIL FROM:a@b\r\nMAIL FROM:<a@b\r\nMAIL FROM:<a@b>x\r\n",
        EHLO_OK
        "501 5.1.7 Bad sender address syntax\r\n501 5.1.7 Bad sender address syntax\r\n501 5.1.7 Bad sender address syntax\r\n",
        ""),
    ROW("bad rcpt",
        OPEN "RCPT TO:<>\r\nRCPT TO:<c@d>\0\r\n"
             "RCPT TO:<postmaster>\r\n",
        OPEN_OK
        "501 5.1.3 Bad recipient address syntax\r\n500 5.5.2 NUL or CR in a command is not allowed\r\n" TO_OK,
        ""),
    ROW("data with argument", OPEN TO "DATA x\r\nDATA\r\n.\r\n",
        OPEN_OK TO_OK "501 5.5.4 Syntax: DATA\r\n" GO QUEUED, "commit a@b>c@d []\n"),
    ROW("unknown parameter",
        EHLO
        "MAIL FROM:<a@b> FOO=1\r\nMAIL FROM:<a@b> SIZE=1 SIZE=1\r\nMAIL FROM:<a@b> BODY=BINARYMIME\r\n",
        EHLO_OK
        "555 5.5.4 Unsupported parameter\r\n501 5.5.4 Bad or duplicate parameter\r\n501 5.5.4 Bad or duplicate parameter\r\n",
        ""),
    ROW("declared too big",
        EHLO
        "MAIL FROM:<a@b> SIZE=1001\r\nMAIL FROM:<a@b> SIZE=99999999999999999999\r\nMAIL FROM:<a@b> SIZE=1000\r\n",
        EHLO_OK TOO_BIG TOO_BIG "250 2.1.0 Ok\r\n", ""),
    ROW("orcpt smuggling", OPEN "RCPT TO:<c@d> ORCPT=rfc822;a+0D+0ARCPT\r\n",
        OPEN_OK "501 5.5.4 Bad or duplicate parameter\r\n", ""),
    ROW("bare lf command", "NOOP\n" NOOP, "500 5.5.2 Lines end in CR LF\r\n" NOOP_OK, ""),
    /* No chunk follows: the word is another, whatever the sign of a char is. */
    ROW("bare lf behind bdat and a high byte", "BDAT\xa6 1\n" NOOP,
        "500 5.5.2 Lines end in CR LF\r\n" NOOP_OK, ""),
    ROWX("bare lf command allowed", "NOOP\n" NOOP, NOOP_OK NOOP_OK, "", NORMALIZE),
    ROW("bare cr command", "NOOP\rNOOP\r\n" NOOP,
        "500 5.5.2 NUL or CR in a command is not allowed\r\n" NOOP_OK, ""),
    ROW("nul command", "NO\0OP\r\n" NOOP,
        "500 5.5.2 NUL or CR in a command is not allowed\r\n" NOOP_OK, ""),
    ROW("escape in helo", "EHLO a\x1b[2J\r\n", "501 5.5.4 Invalid host name\r\n", ""),
    /* UTF-8 */
    ROW("8-bit sender",
        EHLO "MAIL FROM:<\xc3\xbc@b>\r\nMAIL FROM:<\xff@b>\r\nMAIL FROM:<\xff@b> SMTPUTF8\r\n",
        EHLO_OK
        "553 5.6.7 8-bit address needs SMTPUTF8\r\n553 5.6.7 8-bit address needs SMTPUTF8\r\n500 5.5.2 Address is not valid UTF-8\r\n",
        ""),
    ROW("smtputf8",
        EHLO
        "MAIL FROM:<\xc3\xbc@b> SMTPUTF8\r\nRCPT TO:<\xc3\xa9@d>\r\nRCPT TO:<\xc3@d>\r\nDATA\r\n.\r\n",
        EHLO_OK "250 2.1.0 Ok\r\n" TO_OK "500 5.5.2 Address is not valid UTF-8\r\n" GO QUEUED,
        "commit \xc3\xbc@b>\xc3\xa9@d []\n"),
    ROW("8-bit rcpt", OPEN "RCPT TO:<\xc3\xa9@d>\r\n",
        OPEN_OK "553 5.6.7 8-bit address needs SMTPUTF8\r\n", ""),
    /* small verbs */
    ROW("small verbs",
        "NOOP x y\r\nVRFY a\r\nVRFY\r\nEXPN l\r\nHELP\r\nHELP DATA\r\nRSET x\r\nSTARTTLS\r\nAUTH PLAIN\r\n" QUIT
            NOOP,
        NOOP_OK
        "252 2.0.0 Cannot verify, send mail and see\r\n501 5.5.4 Syntax: VRFY address\r\n502 5.5.1 EXPN is not available\r\n"
        "214 2.0.0 Commands: EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY EXPN HELP QUIT\r\n"
        "214 2.0.0 Commands: EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY EXPN HELP QUIT\r\n"
        "501 5.5.4 Syntax: RSET\r\n502 5.5.1 Command not implemented\r\n"
        "503 5.5.1 Command not implemented\r\n" BYE,
        ""),
    ROW("http", "POST / HTTP/1.1\r\nHost: <x>\r\n\r\n",
        "554 5.5.2 This is an SMTP server, closing\r\n<close>", ""),
    ROW("header", EHLO "Subject: x\r\n",
        EHLO_OK "554 5.5.2 This is an SMTP server, closing\r\n<close>", ""),
    ROW("typing error", "MAIL: x\r\n" NOOP, BAD_LINE NOOP_OK, ""),
    ROW("tls hello", "\x16\x03\x01\x02",
        "554 5.5.2 No TLS before STARTTLS here, closing\r\n<close>", ""),
    ROWX("nothing offered", EHLO "BDAT 5\r\nabcde",
         "250 mx.test\r\n502 5.5.1 Command not implemented\r\n<close>", "", NO_FEATURES),
    /* text faults: the session goes on */
    ROW("nul in text", TX "a\0b\r\n.\r\n" NOOP,
        TX_OK "554 5.6.0 NUL bytes are not allowed\r\n" NOOP_OK, ""),
    ROW("line too long", TX A100 A50 "a\r\n.\r\n" NOOP,
        TX_OK "554 5.6.0 Line is too long\r\n" NOOP_OK, ""),
    ROW("line just fits", TX A100 A50 "\r\n.\r\n", TX_OK QUEUED,
        "commit a@b>c@d [" A100 A50 "\r\n]\n"),
    ROW("stuffed line just fits",
        TX ".." A100 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
           "\r\n.\r\n",
        TX_OK QUEUED,
        "commit a@b>c@d [." A100 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "\r\n]\n"),
    ROWX("long lines pass", TX A100 A100 "\r\n.\r\n", TX_OK QUEUED,
         "commit a@b>c@d [" A100 A100 "\r\n]\n", LINE_PASS),
    ROW("size exact", TX L100 L100 L100 L100 L100 L100 L100 L100 L100 L100 ".\r\n", TX_OK QUEUED,
        "commit a@b>c@d [" L100 L100 L100 L100 L100 L100 L100 L100 L100 L100 "]\n"),
    ROW("size one more", TX "x" L100 L100 L100 L100 L100 L100 L100 L100 L100 L100 ".\r\n" NOOP,
        TX_OK TOO_BIG NOOP_OK, ""),
    ROW("too big and bare",
        TX L100 L100 L100 L100 L100 L100 L100 L100 L100 L100 "x\ny\r\n.\r\n" NOOP,
        TX_OK BARE NOOP_OK, ""),
    ROW("hops", TX "Received: 1\r\nreceived : 2\r\nRECEIVED: 3\r\n 4\r\n\r\n.\r\n" NOOP,
        TX_OK "554 5.4.6 Too many hops, mail loop\r\n" NOOP_OK, ""),
    ROW("hops in body",
        TX
        "Received: 1\r\nReceived-SPF: x\r\nX-Received: y\r\nReceived: 2\r\n\r\nReceived: 3\r\n.\r\n",
        TX_OK QUEUED,
        "commit a@b>c@d [Received: 1\r\nReceived-SPF: x\r\nX-Received: y\r\nReceived: 2\r\n\r\nReceived: 3\r\n]\n"),
    ROW("header too large", TX "X: " A100 "\r\nY: " A100 "\r\nZ: " A100 "\r\n\r\n.\r\n" NOOP,
        TX_OK "552 5.3.4 Message header exceeds the size limit\r\n" NOOP_OK, ""),
    ROW("header fields", TX "1:\r\n2:\r\n3:\r\n4:\r\n5:\r\n6:\r\n7:\r\n\r\n.\r\n" NOOP,
        TX_OK "554 5.6.0 Too many header fields\r\n" NOOP_OK, ""),
    /* normalise */
    ROWX("lf becomes crlf", TX "a\nb\r\n.x\n.\n.\r\n\n.\r\n.\r\n" NOOP, TX_OK QUEUED NOOP_OK,
         "commit a@b>c@d [a\r\nb\r\nx\r\n\r\n\r\n\r\n\r\n]\n", NORMALIZE),
    ROWX("cr stays refused", TX "a\rb\r\n.\r\n" NOOP, TX_OK BARE NOOP_OK, "", NORMALIZE),
    /* BDAT */
    ROW("bdat chunks", OPEN TO "BDAT 5\r\n.\r\na\rBDAT 4 last\r\n\n.\r\n" NOOP,
        OPEN_OK TO_OK "250 2.0.0 5 octets received\r\n" QUEUED NOOP_OK,
        "commit a@b>c@d [.\r\na\r\n.\r\n]\n"),
    ROW("bdat without line end", OPEN TO "BDAT 3 LAST\r\nabc" NOOP, OPEN_OK TO_OK QUEUED NOOP_OK,
        "commit a@b>c@d [abc\r\n]\n"),
    ROW("bdat 0 last", OPEN TO "BDAT 0 LAST\r\n" NOOP, OPEN_OK TO_OK QUEUED NOOP_OK,
        "commit a@b>c@d []\n"),
    ROW("bdat 0", OPEN TO "BDAT 0\r\nBDAT 2\r\n\r\nBDAT 0 LAST\r\n",
        OPEN_OK TO_OK "250 2.0.0 0 octets received\r\n250 2.0.0 2 octets received\r\n" QUEUED,
        "commit a@b>c@d [\r\n]\n"),
    ROW("bdat ends in cr", OPEN TO "BDAT 2 LAST\r\na\r" NOOP, OPEN_OK TO_OK BARE NOOP_OK, ""),
    ROW("bdat bare lf", OPEN TO "BDAT 3\r\na\nbBDAT 4\r\nQUITBDAT 4 LAST\r\nQUIT" NOOP TO,
        OPEN_OK TO_OK BARE BARE BARE NOOP_OK NEED_MAIL, ""),
    ROWX("bdat bare lf normalised", OPEN TO "BDAT 3 LAST\r\na\nb", OPEN_OK TO_OK QUEUED,
         "commit a@b>c@d [a\r\nb\r\n]\n", NORMALIZE),
    ROW("bdat then data", OPEN TO "BDAT 2\r\n\r\nDATA\r\nMAIL FROM:<x@y>\r\n" TO "RSET\r\n" TO,
        OPEN_OK TO_OK
        "250 2.0.0 2 octets received\r\n503 5.5.1 BDAT LAST or RSET first\r\n503 5.5.1 BDAT LAST or RSET first\r\n503 5.5.1 BDAT LAST or RSET first\r\n" NOOP_OK
            NEED_MAIL,
        ""),
    ROW("bdat after last", OPEN TO "BDAT 1 LAST\r\nxBDAT 4\r\nQUIT" NOOP,
        OPEN_OK TO_OK QUEUED "503 5.5.1 Need MAIL and RCPT first\r\n" NOOP_OK,
        "commit a@b>c@d [x\r\n]\n"),
    ROW("bdat before ehlo", "BDAT 4\r\nQUITNOOP\r\n",
        "503 5.5.1 Need MAIL and RCPT first\r\n" NOOP_OK, ""),
    ROW("bdat no rcpt",
        OPEN "BDAT 4\r\nQUIT"
             "BDAT 4 LAST\r\nQUIT" TO,
        OPEN_OK "503 5.5.1 Need RCPT first\r\n503 5.5.1 Need RCPT first\r\n" NEED_MAIL, ""),
    ROW("bdat rcpt refused", OPEN "RCPT TO:<bad@d>\r\nBDAT 4 LAST\r\nQUIT" NOOP,
        OPEN_OK "550 5.7.1 Refused\r\n554 5.5.1 No valid recipients\r\n" NOOP_OK, ""),
    ROW("bdat no space",
        EHLO "MAIL FROM:<nospace@b>\r\n" TO "BDAT 4\r\nQUIT"
             "BDAT 4 LAST\r\nQUIT" NOOP,
        EHLO_OK "250 2.1.0 Ok\r\n" TO_OK "452 4.3.1 No space\r\n452 4.3.1 No space\r\n" NOOP_OK,
        ""),
    ROW("bdat over limit",
        OPEN TO "BDAT 4\r\nab\r\nBDAT 997\r\n" L100 L100 L100 L100 L100 L100 L100 L100 L100 A50
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                "BDAT 0 LAST\r\n" NOOP,
        OPEN_OK TO_OK "250 2.0.0 4 octets received\r\n" TOO_BIG TOO_BIG NOOP_OK, ""),
    ROW("bdat far over limit", OPEN TO "BDAT 2001\r\nxx",
        OPEN_OK TO_OK "552 5.3.4 Message exceeds the size limit\r\n<close>", ""),
    ROW("bdat 2^64-1", OPEN TO "BDAT 2\r\n\r\nBDAT 18446744073709551615 LAST\r\n",
        OPEN_OK TO_OK
        "250 2.0.0 2 octets received\r\n552 5.3.4 Message exceeds the size limit\r\n<close>",
        ""),
    ROW("bdat 2^63", OPEN TO "BDAT 9223372036854775808\r\n",
        OPEN_OK TO_OK "552 5.3.4 Message exceeds the size limit\r\n<close>", ""),
    ROW("bdat quit", OPEN TO "BDAT 2\r\n\r\n" QUIT,
        OPEN_OK TO_OK "250 2.0.0 2 octets received\r\n" BYE, ""),
    ROW("bdat hops",
        OPEN TO "BDAT 13\r\nReceived: 1\r\nBDAT 26 LAST\r\nReceived: 2\r\nReceived: 3\r\n" NOOP,
        OPEN_OK TO_OK
        "250 2.0.0 13 octets received\r\n554 5.4.6 Too many hops, mail loop\r\n" NOOP_OK,
        ""),
};

static void config_make(struct smtp_server_config *c, int options)
{
    smtp_server_config_init(c);
    c->hostname = SLICE("mx.test");
    c->size_max = 1000;
    c->bdat_swallow_max = 2000;
    c->recipients_max = 3;
    c->line_length_max = options & LINE_PASS ? 0 : 150;
    c->header_bytes_max = 300;
    c->header_fields_max = 6;
    c->hops_max = 3;
    c->normalize_bare_lf = (options & NORMALIZE) != 0;
    c->refuse_early_talker = (options & EARLY) != 0;
    c->features = options & NO_FEATURES ? 0 : SMTP_FEATURES_DEFAULT;
}

static void run_row(const struct row *row, size_t piece_max, uint64_t seed)
{
    struct smtp_server_config config;
    struct script t;
    struct rng rng;
    struct buf want;
    config_make(&config, row->options);
    rng_init_seed(&rng, seed);
    script_init(&t, &config);
    script_run(&t, row->in, piece_max, &rng);
    buf_init(&want, 1 << 20);
    buf_add(&want, SLICE(HI));
    buf_add(&want, slice_str(row->replies));
    ck_assert_msg(slice_eq(buf_slice(&t.replies), buf_slice(&want)),
                  "%s (%zu)\ngot:  %.*s\nwant: %.*s", row->name, piece_max,
                  SLICE_ARG(buf_slice(&t.replies)), SLICE_ARG(buf_slice(&want)));
    ck_assert_msg(slice_eq(buf_slice(&t.events), slice_str(row->events)),
                  "%s (%zu)\ngot:  %.*s\nwant: %s", row->name, piece_max,
                  SLICE_ARG(buf_slice(&t.events)), row->events);
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

/* The ten fake ends of data (and the "false claim"): at the start, in the middle and at the end of a
 * message, cut at every place. None ends it; the message is refused after its true end. */
static const struct {
    struct slice bytes;
    const char *reply;
} fakes[] = {
    {SLICE_INIT("\n.\n"), BARE},
    {SLICE_INIT("\r.\r"), BARE},
    {SLICE_INIT("\r.\n"), BARE},
    {SLICE_INIT("\n.\r"), BARE},
    {SLICE_INIT("\n.\r\n"), BARE},
    {SLICE_INIT("\r\n.\n"), BARE},
    {SLICE_INIT("\r.\r\n"), BARE},
    {SLICE_INIT("\r\n.\r"), BARE},
    {SLICE_INIT("\r\n\0.\r\n"), "554 5.6.0 NUL bytes are not allowed\r\n"},
    {SLICE_INIT("\r\n.\0\r\n"), "554 5.6.0 NUL bytes are not allowed\r\n"},
    {SLICE_INIT("\r\n.\r\r\n"), BARE},
};

static void check_fake(const struct row *row, size_t from, size_t to)
{
    for (size_t cut = from; cut <= to; cut++) {
        struct smtp_server_config config;
        struct script t;
        struct rng rng;
        config_make(&config, 0);
        rng_init_seed(&rng, 1);
        script_init(&t, &config);
        script_run(&t, slice_first(row->in, cut), 0, &rng);
        script_run(&t, slice_skip(row->in, cut), 0, &rng);
        ck_assert_uint_eq(t.commits, 0);
        ck_assert_uint_eq(t.aborts, 1);
        ck_assert_msg(slice_ends_nocase(buf_slice(&t.replies), slice_str(row->replies)),
                      "cut %zu: %.*s", cut, SLICE_ARG(buf_slice(&t.replies)));
        script_deinit(&t);
    }
}

START_TEST(fake_ends)
{
    static const struct slice places[3][2] = {
        {SLICE_INIT(""), SLICE_INIT("MAIL FROM:<evil@x>\r\ntext\r\n")},
        {SLICE_INIT("head\r\n\r\ntext"),
         SLICE_INIT("MAIL FROM:<evil@x>\r\nRCPT TO:<v@x>\r\nDATA\r\nx\r\n")},
        {SLICE_INIT("head\r\n\r\n" L100 "text"), SLICE_INIT("")},
    };
    for (size_t place = 0; place < 3; place++) {
        struct buf in;
        struct buf want;
        buf_init(&in, 10000);
        buf_init(&want, 10000);
        buf_add(&in, SLICE(TX));
        size_t from = in.len;
        buf_add(&in, places[place][0]);
        buf_add(&in, fakes[_i].bytes);
        buf_add(&in, places[place][1]);
        /* At the very end a fake that closes with CR or LF needs its line ended first. */
        buf_add(&in, SLICE("\r\n.\r\nNOOP\r\n"));
        buf_add(&want, SLICE(GO));
        buf_add(&want, slice_str(fakes[_i].reply));
        buf_add(&want, SLICE(NOOP_OK));
        struct row row = {"fake", buf_slice(&in), NULL, "", 0};
        buf_add_byte(&want, '\0');
        row.replies = want.ptr;
        check_fake(&row, from, in.len - 6);
        buf_deinit(&in);
        buf_deinit(&want);
    }
}
END_TEST

/* BDAT sizes that are none: the next octets are payload, so the session ends. */
START_TEST(bdat_malformed)
{
    static const char *const lines[] = {
        "BDAT",
        "BDAT ",
        "BDAT x",
        "BDAT -1",
        "BDAT +1",
        "BDAT 0x10",
        "BDAT 1 LAS",
        "BDAT 1 LAST x",
        "BDAT 1 FIRST",
        "BDAT 18446744073709551616",
        "BDAT 99999999999999999999",
        "BDAT 1,2",
        "BDAT 1.5",
        "BDAT LAST",
        "BDAT 1LAST",
        "BDAT 1\tLAST",
        "BDAT 1\r",
        "bdat 1 \x01",
    };
    static const struct slice befores[] = {SLICE_INIT(""), SLICE_INIT(EHLO), SLICE_INIT(OPEN),
                                           SLICE_INIT(OPEN TO), SLICE_INIT(OPEN TO "BDAT 1\r\nx")};
    for (size_t i = 0; i < ARRAY_COUNT(befores); i++) {
        struct smtp_server_config config;
        struct script t;
        struct rng rng;
        struct buf in;
        buf_init(&in, 10000);
        buf_add(&in, befores[i]);
        buf_add(&in, slice_str(lines[_i]));
        buf_add(&in, SLICE("\r\nQUIT\r\n"));
        config_make(&config, 0);
        rng_init_seed(&rng, 1);
        script_init(&t, &config);
        script_run(&t, buf_slice(&in), 3, &rng);
        ck_assert_msg(slice_ends_nocase(buf_slice(&t.replies), SLICE(BDAT_BAD)), "%s: %.*s",
                      lines[_i], SLICE_ARG(buf_slice(&t.replies)));
        buf_deinit(&in);
        script_deinit(&t);
    }
}
END_TEST

static void repeat(struct script *t, const char *line, size_t count)
{
    for (size_t i = 0; i < count && !t->closed; i++) {
        script_feed(t, slice_str(line));
    }
}

static size_t count_of(struct slice text, struct slice what)
{
    size_t n = 0;
    while (text.len >= what.len) {
        n += memcmp(text.ptr, what.ptr, what.len) == 0;
        text = slice_skip(text, 1);
    }
    return n;
}

START_TEST(floods)
{
    struct smtp_server_config config;
    struct script t;
    config_make(&config, 0);
    script_init(&t, &config);
    repeat(&t, "FOO\r\n", 25);
    ck_assert(t.closed);
    ck_assert_uint_eq(count_of(buf_slice(&t.replies), SLICE("500 ")), 20);
    ck_assert(slice_ends_nocase(buf_slice(&t.replies),
                                SLICE("421 4.7.0 Too many errors, closing\r\n<close>")));
    script_deinit(&t);

    script_init(&t, &config);
    repeat(&t, "NOOP\r\n", 200);
    ck_assert_uint_eq(count_of(buf_slice(&t.replies), SLICE("250 ")), 120);
    ck_assert(t.closed);
    script_deinit(&t);

    /* A delivered message forgives (RFC says nothing; long sessions need it). */
    script_init(&t, &config);
    script_feed(&t, SLICE(EHLO));
    for (int round = 0; round < 3; round++) {
        repeat(&t, "FOO\r\n", 15);
        script_feed(&t, SLICE("MAIL FROM:<a@b>\r\n" TO "DATA\r\n.\r\n"));
    }
    ck_assert(!t.closed);
    ck_assert_uint_eq(t.commits, 3);
    repeat(&t, "FOO\r\n", 20);
    script_feed(&t, SLICE(QUIT));
    ck_assert(slice_ends_nocase(buf_slice(&t.replies), SLICE(BYE)));
    script_deinit(&t);

    script_init(&t, &config);
    script_feed(&t, SLICE(OPEN TO));
    repeat(&t, "BDAT 0\r\n", 200);
    ck_assert(t.closed);
    ck_assert_uint_eq(t.aborts, 1);
    script_deinit(&t);
}
END_TEST

/* 100 MB without a line end in constant memory; the third such line ends the session. */
START_TEST(endless_line)
{
    enum { PIECE = 64 * 1024, PIECES = 1600 };
    struct smtp_server_config config;
    struct script t;
    char *piece = malloc(PIECE);
    memset(piece, 'A', PIECE);
    config_make(&config, 0);
    script_init(&t, &config);
    for (int i = 0; i < PIECES; i++) {
        script_feed(&t, slice_of(piece, PIECE));
        ck_assert_uint_eq(t.server.line.cap, 0);
    }
    script_feed(&t, SLICE("\r\nNOOP\r\n"));
    ck_assert(
        slice_ends_nocase(buf_slice(&t.replies), SLICE("500 5.5.2 Line is too long\r\n" NOOP_OK)));
    for (int i = 0; i < 2; i++) {
        script_feed(&t, slice_of(piece, PIECE));
        script_feed(&t, SLICE("\r\n"));
    }
    ck_assert(slice_ends_nocase(buf_slice(&t.replies),
                                SLICE("421 4.7.0 Too many overlong lines, closing\r\n<close>")));
    script_deinit(&t);
    /* BDAT at the front of such a line hides payload. */
    memcpy(piece, "BDAT ", 5);
    script_init(&t, &config);
    script_feed(&t, slice_of(piece, PIECE));
    ck_assert(slice_ends_nocase(buf_slice(&t.replies), SLICE(BDAT_BAD)));
    script_deinit(&t);
    free(piece);
}
END_TEST

/* 4096 with CRLF fits, 4097 does not, whole or in pieces. */
START_TEST(line_limit)
{
    char line[LIMIT_COMMAND_LINE_BYTES + 2];
    memset(line, 'x', sizeof(line));
    memcpy(line, "NOOP ", 5);
    for (size_t len = LIMIT_COMMAND_LINE_BYTES - 1; len <= LIMIT_COMMAND_LINE_BYTES + 1; len++) {
        for (size_t piece = 0; piece <= 1000; piece += 500) {
            struct smtp_server_config config;
            struct script t;
            struct rng rng;
            line[len - 2] = '\r';
            line[len - 1] = '\n';
            config_make(&config, 0);
            rng_init_seed(&rng, len);
            script_init(&t, &config);
            script_run(&t, slice_of(line, len), piece, &rng);
            bool good = slice_ends_nocase(buf_slice(&t.replies), SLICE(NOOP_OK));
            ck_assert_int_eq(good, len <= LIMIT_COMMAND_LINE_BYTES);
            ck_assert_uint_eq(t.server.line.cap, 0); /* given back */
            ck_assert_uint_le(t.line_peak, LIMIT_COMMAND_LINE_BYTES);
            script_deinit(&t);
        }
        line[len - 2] = line[len - 1] = 'x';
    }
}
END_TEST

START_TEST(early_talker)
{
    struct smtp_server_config config;
    struct smtp_server s;
    struct buf out;
    struct slice in = SLICE("EHLO x\r\n");
    buf_init(&out, 32768);
    config_make(&config, 0);
    smtp_server_init(&s, &config);
    ck_assert_int_eq((int)smtp_server_step(&s, &in, &out), SMTP_SERVER_WAIT);
    ck_assert_uint_eq(in.len, 8);
    ck_assert_int_eq((int)smtp_server_phase(&s), SMTP_PHASE_GREETING);
    smtp_server_deinit(&s);
    config_make(&config, EARLY);
    smtp_server_init(&s, &config);
    ck_assert_int_eq((int)smtp_server_step(&s, &in, &out), SMTP_SERVER_CLOSE);
    ck_assert(slice_eq(buf_slice(&out), SLICE("554 5.5.0 Client spoke before its turn\r\n")));
    smtp_server_deinit(&s);
    buf_deinit(&out);
}
END_TEST

/* While an answer is owed nothing is consumed; phases; shut with an open body. */
START_TEST(waits_and_shuts)
{
    static const struct smtp_verdict shutdown = {421, false, SLICE_INIT("4.3.2"),
                                                 SLICE_INIT("Shutting down")};
    struct smtp_server_config config;
    struct smtp_server s;
    struct buf out;
    struct smtp_verdict yes = SMTP_VERDICT_ACCEPT;
    struct slice in = SLICE(OPEN TO "DATA\r\nabc\r\n.\r\nNOOP\r\n");
    buf_init(&out, 32768);
    config_make(&config, 0);
    smtp_server_init(&s, &config);
    smtp_server_greet(&s, &out);
    ck_assert_int_eq((int)smtp_server_step(&s, &in, &out), SMTP_SERVER_CHECK_MAIL);
    size_t left = in.len;
    ck_assert_int_eq((int)smtp_server_step(&s, &in, &out), SMTP_SERVER_WAIT);
    ck_assert_int_eq((int)smtp_server_phase(&s), SMTP_PHASE_WAIT);
    ck_assert_uint_eq(in.len, left);
    smtp_server_answer(&s, &yes, &out);
    ck_assert_int_eq((int)smtp_server_step(&s, &in, &out), SMTP_SERVER_CHECK_RCPT);
    smtp_server_answer(&s, &yes, &out);
    ck_assert_int_eq((int)smtp_server_phase(&s), SMTP_PHASE_COMMAND);
    ck_assert_int_eq((int)smtp_server_step(&s, &in, &out), SMTP_SERVER_BODY_BEGIN);
    smtp_server_answer(&s, &yes, &out);
    ck_assert_int_eq((int)smtp_server_phase(&s), SMTP_PHASE_BODY);
    const char *text = in.ptr;
    ck_assert_int_eq((int)smtp_server_step(&s, &in, &out), SMTP_SERVER_BODY_DATA);
    ck_assert_ptr_eq(smtp_server_data(&s).ptr, text); /* lent, not copied */
    ck_assert_uint_eq(smtp_server_data(&s).len, 5);
    ck_assert_int_eq((int)smtp_server_step(&s, &in, &out), SMTP_SERVER_BODY_COMMIT);
    ck_assert_uint_eq(in.len, 6);
    ck_assert_int_eq((int)smtp_server_step(&s, &in, &out), SMTP_SERVER_WAIT);
    ck_assert_uint_eq(in.len, 6);
    ck_assert_uint_eq(count_of(buf_slice(&out), SLICE("queued")), 0);
    smtp_server_answer(&s, &yes, &out);
    ck_assert_ptr_null(s.tx);
    ck_assert_ptr_null(s.line.ptr);
    ck_assert_int_eq((int)smtp_server_step(&s, &in, &out), SMTP_SERVER_WANT_INPUT);
    ck_assert(slice_ends_nocase(buf_slice(&out), SLICE("250 2.0.0 Ok, queued\r\n" NOOP_OK)));
    /* An open body is given up before the session closes. */
    in = SLICE("MAIL FROM:<a@b>\r\n" TO "DATA\r\nabc");
    for (int i = 0; i < 3; i++) {
        (void)smtp_server_step(&s, &in, &out);
        smtp_server_answer(&s, &yes, &out);
    }
    ck_assert_int_eq((int)smtp_server_step(&s, &in, &out), SMTP_SERVER_BODY_DATA);
    smtp_server_shut(&s, &shutdown, &out);
    ck_assert_int_eq((int)smtp_server_step(&s, &in, &out), SMTP_SERVER_BODY_ABORT);
    ck_assert_int_eq((int)smtp_server_step(&s, &in, &out), SMTP_SERVER_CLOSE);
    ck_assert_int_eq((int)smtp_server_phase(&s), SMTP_PHASE_CLOSED);
    ck_assert(slice_ends_nocase(buf_slice(&out), SLICE("421 4.3.2 Shutting down\r\n")));
    smtp_server_deinit(&s);
    buf_deinit(&out);
    ck_assert_uint_le(sizeof(struct smtp_server), 256);
}
END_TEST

/* What the driver learns about a message and its envelope. */
START_TEST(facts)
{
    struct smtp_server_config config;
    struct script t;
    struct rng rng;
    config_make(&config, 0);
    for (size_t piece = 0; piece < 4; piece++) {
        rng_init_seed(&rng, piece);
        script_init(&t, &config);
        script_run(
            &t,
            SLICE(TX "Received: x\r\nSubject: \xc3\xbc\r\n\r\n..dot\r\nlong line here\r\n.\r\n"),
            piece, &rng);
        ck_assert_uint_eq(t.facts.size, 13 + 13 + 2 + 6 + 16);
        ck_assert_uint_eq(t.facts.header_end, 28);
        ck_assert_uint_eq(t.facts.hops, 1);
        ck_assert_uint_eq(t.facts.header_fields, 2);
        ck_assert_uint_eq(t.facts.line_longest, 14);
        ck_assert(t.facts.has_8bit && t.facts.header_has_8bit && t.facts.leading_dot);
        ck_assert(!t.facts.normalized && !t.facts.line_end_added);
        script_feed(&t, SLICE("MAIL FROM:<a@b>\r\n" TO "BDAT 10 LAST\r\nno header\xc3"));
        ck_assert_uint_eq(t.facts.header_end, 0);
        ck_assert(t.facts.line_end_added && t.facts.has_8bit && !t.facts.header_has_8bit &&
                  !t.facts.leading_dot);
        script_deinit(&t);
    }
}
END_TEST

START_TEST(envelope)
{
    struct smtp_envelope e;
    struct smtp_path path;
    struct smtp_sender_view sender;
    struct smtp_rcpt_view rcpt;
    struct smtp_mail_params mail = {.size = 5,
                                    .smtputf8 = true,
                                    .ret = MAIL_RET_HDRS,
                                    .envid = SLICE("a+2Bb"),
                                    .auth = SLICE("<>")};
    struct smtp_rcpt_params params = {.notify = MAIL_NOTIFY_DELAY,
                                      .orcpt = SLICE("rfc822;x+3Dy@z")};
    struct slice in = SLICE("<\"q q\"@b.test>");
    smtp_envelope_init(&e);
    ck_assert_ptr_null(e.arena.ptr);
    ck_assert_int_eq((int)smtp_path_parse(&in, SMTP_PATH_REVERSE, &path), SMTP_PATH_OK);
    ck_assert(smtp_envelope_set_sender(&e, &path, &mail));
    for (uint32_t i = 0; i < 1000; i++) {
        ck_assert(smtp_envelope_push_rcpt(&e, &path, &params));
        if (i % 2) {
            smtp_envelope_pop_rcpt(&e);
        }
    }
    ck_assert_uint_eq(e.rcpt_count, 500);
    smtp_envelope_sender(&e, &sender);
    ck_assert(slice_eq(sender.address, SLICE("\"q q\"@b.test")) &&
              slice_eq(sender.parts.local, SLICE("\"q q\"")));
    ck_assert(slice_eq(sender.parts.domain, SLICE("b.test")) &&
              slice_eq(sender.envid, SLICE("a+b")));
    ck_assert(slice_eq(sender.envid_xtext, SLICE("a+2Bb")) &&
              slice_eq(sender.auth_xtext, SLICE("<>")));
    ck_assert(sender.smtputf8 && sender.size_declared == 5 && sender.ret == MAIL_RET_HDRS);
    smtp_envelope_rcpt(&e, 499, &rcpt);
    ck_assert(slice_eq(rcpt.orcpt_raw, SLICE("rfc822;x+3Dy@z")) &&
              slice_eq(rcpt.orcpt_type, SLICE("rfc822")));
    ck_assert(slice_eq(rcpt.orcpt, SLICE("x=y@z")) && rcpt.notify == MAIL_NOTIFY_DELAY);
    smtp_envelope_deinit(&e);
}
END_TEST

/* Policy text cannot leave its line. */
START_TEST(reply_escape)
{
    struct buf out;
    char text[600];
    memset(text, '\n', sizeof(text));
    buf_init(&out, 4096);
    struct smtp_verdict v = {550, false, SLICE("5.1.1"), SLICE("a\r\nb\x1b\xc3\\")};
    smtp_reply_add(&out, &v);
    ck_assert(slice_eq(buf_slice(&out), SLICE("550 5.1.1 a\\x0d\\x0ab\\x1b\\xc3\\x5c\r\n")));
    buf_clear(&out);
    v = (struct smtp_verdict){451, false, SLICE("5.1.1"), slice_of(text, sizeof(text))};
    smtp_reply_add(&out, &v);
    ck_assert(slice_starts_nocase(buf_slice(&out), SLICE("451 4.0.0 \\x0a")));
    ck_assert_uint_le(out.len, 512);
    buf_deinit(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("server");
    TCase *tc = tcase_create("machine");
    tcase_add_loop_test(tc, table, 0, (int)ARRAY_COUNT(rows));
    tcase_add_loop_test(tc, fake_ends, 0, (int)ARRAY_COUNT(fakes));
    tcase_add_loop_test(tc, bdat_malformed, 0, 18);
    tcase_add_test(tc, floods);
    tcase_add_test(tc, endless_line);
    tcase_add_test(tc, line_limit);
    tcase_add_test(tc, early_talker);
    tcase_add_test(tc, waits_and_shuts);
    tcase_add_test(tc, facts);
    tcase_add_test(tc, envelope);
    tcase_add_test(tc, reply_escape);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
