/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * client_words - what rows of client_script.h are made of: one message "Hi" from o@x to d@y, again and again
 */
#ifndef RINGPOST_TESTS_CLIENT_WORDS_H
#define RINGPOST_TESTS_CLIENT_WORDS_H

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

#endif
