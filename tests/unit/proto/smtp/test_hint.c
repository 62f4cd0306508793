/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Replies as they are met, and their neighbours that mean something else.
 */
#include "proto/smtp/hint.h"

#include "core/base/must.h"

#include <check.h>
#include <stdlib.h>

static const struct {
    uint16_t code;
    const char *text;
    enum smtp_hint hint;
} rows[] = {
    {421, "too many messages in this connection", SMTP_HINT_FULL}, /* Exim */
    {421, "Max message per connection reached, closing transmission channel", SMTP_HINT_FULL},
    {421, "4.7.0 enough messages on this connection", SMTP_HINT_FULL},
    {452, "Too many emails sent on this session", SMTP_HINT_FULL},
    {450, "Maximum number of messages per session reached", SMTP_HINT_FULL},
    {451, "Transaction limit exceeded: 20 transactions/connection", SMTP_HINT_FULL},
    {452, "TOO MANY MESSAGES PER CONNECTION.", SMTP_HINT_FULL},
    {421, "Message limit reached.\nOnly 10 mails per connection", SMTP_HINT_FULL},
    /* Not of this connection. */
    {421, "too many messages from your address", SMTP_HINT_NONE},
    {421, "Too many concurrent connections, mail refused", SMTP_HINT_NONE},
    {421, "too many connections from your mail server", SMTP_HINT_NONE},
    {452, "too many recipients", SMTP_HINT_NONE},
    {452, "mailbox full: message limit reached", SMTP_HINT_NONE},
    {450, "Error: too much mail from 192.0.2.1", SMTP_HINT_NONE},
    {421, "mail rejected; connection limit exceeded", SMTP_HINT_NONE},
    {421, "closing connection", SMTP_HINT_NONE},
    {451, "message on hold, this session was logged", SMTP_HINT_NONE}, /* no amount */
    /* Not for now. */
    {552, "too many messages in this connection", SMTP_HINT_NONE},
    {454, "too many messages in this connection", SMTP_HINT_NONE},
    {250, "too many messages in this connection", SMTP_HINT_NONE},
    /* Sending ahead. */
    {503, "5.5.0 improper use of SMTP command pipelining", SMTP_HINT_PIPELINING}, /* Postfix */
    {554, "SMTP synchronization error", SMTP_HINT_PIPELINING},                    /* Exim */
    {421, "4.7.0 Error: too many errors after PIPELINING", SMTP_HINT_PIPELINING},
    {250, "PIPELINING", SMTP_HINT_NONE},
    {550, "pipe command failed", SMTP_HINT_NONE},
    {550, "", SMTP_HINT_NONE},
    {421, "p", SMTP_HINT_NONE},
};

START_TEST(texts)
{
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct slice text = slice_str(rows[i].text);
        char *copy = malloc(text.len ? text.len : 1); /* ASan sees a read beyond */
        memcpy(copy, text.ptr, text.len);
        enum smtp_hint got = smtp_hint_of(rows[i].code, slice_of(copy, text.len));
        ck_assert_msg(got == rows[i].hint, "%u %s: %d", rows[i].code, rows[i].text, got);
        free(copy);
    }
}
END_TEST

/* A text of 32 KiB costs no more than its first part. */
START_TEST(long_text)
{
    static char text[32 * 1024];
    memset(text, 'm', sizeof(text));
    memcpy(text + SMTP_HINT_BYTES, "pipelining", 10);
    ck_assert_int_eq(smtp_hint_of(550, slice_of(text, sizeof(text))), SMTP_HINT_NONE);
    memcpy(text + SMTP_HINT_BYTES - 10, "pipelining", 10);
    ck_assert_int_eq(smtp_hint_of(550, slice_of(text, sizeof(text))), SMTP_HINT_PIPELINING);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto/smtp/hint");
    TCase *tc = tcase_create("hint");
    tcase_add_test(tc, texts);
    tcase_add_test(tc, long_text);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
