/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The last check of envelope strings (reliability B6). The commands' texts are tested on the wire,
 * in test_client.c.
 */
#include "proto/smtp/client_command.h"

#include <check.h>
#include <stdlib.h>

static const struct {
    struct slice address;
    bool ascii; /* result without utf8 */
    bool utf8;
} rows[] = {
    {SLICE_INIT(""), true, true},
    {SLICE_INIT("a@b"), true, true},
    {SLICE_INIT("postmaster"), true, true},
    {SLICE_INIT("\"a b\"@c"), true, true},
    {SLICE_INIT("\"a\\\"b>\"@c"), true, true},
    {SLICE_INIT("a@[IPv6:::1]"), true, true},
    {SLICE_INIT("a b@c"), false, false},
    {SLICE_INIT("a@b>"), false, false},
    {SLICE_INIT("<a@b"), false, false},
    {SLICE_INIT("a@b> SIZE=1"), false, false},
    {SLICE_INIT("a\r\n@b"), false, false},
    {SLICE_INIT("a\n@b"), false, false},
    {SLICE_INIT("\"a\n\"@b"), false, false},
    {SLICE_INIT("a\0@b"), false, false},
    {SLICE_INIT("a\x7f@b"), false, false},
    {SLICE_INIT("a\t@b"), false, false},
    {SLICE_INIT("\"a@b"), false, false},
    {SLICE_INIT("\"a\\\"@b"), false, false},
    {SLICE_INIT("\xc3\xa9@b"), false, true},
};

START_TEST(addresses)
{
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        ck_assert_msg(smtp_envelope_address_ok(rows[i].address, false) == rows[i].ascii, "%zu", i);
        ck_assert_msg(smtp_envelope_address_ok(rows[i].address, true) == rows[i].utf8, "%zu", i);
    }
    char longest[LIMIT_ADDRESS_BYTES + 1];
    memset(longest, 'a', sizeof(longest));
    ck_assert(smtp_envelope_address_ok(slice_of(longest, LIMIT_ADDRESS_BYTES), false));
    ck_assert(!smtp_envelope_address_ok(slice_of(longest, LIMIT_ADDRESS_BYTES + 1), false));
}
END_TEST

START_TEST(values)
{
    ck_assert(smtp_envelope_value_ok(SLICE(""), 10, false));
    ck_assert(smtp_envelope_value_ok(SLICE("rfc822;a+2Bb"), 100, false));
    ck_assert(!smtp_envelope_value_ok(SLICE("12345678901"), 10, false));
    ck_assert(!smtp_envelope_value_ok(SLICE("a b"), 10, false));
    ck_assert(!smtp_envelope_value_ok(SLICE("a\r\nb"), 10, true));
    ck_assert(!smtp_envelope_value_ok(SLICE("\xc3\xa9"), 10, false));
    ck_assert(smtp_envelope_value_ok(SLICE("\xc3\xa9"), 10, true));
}
END_TEST

/* BY goes only to who offers DELIVERBY, with what is left of the time (RFC 2852 4). */
START_TEST(deliver_by)
{
    static const struct {
        bool offered;
        char mode;
        bool trace;
        int32_t s;
        const char *want;
    } by[] = {
        {true, 'R', false, 120, "MAIL FROM:<a@b> BY=120;R\r\n"},
        {true, 'R', true, 1, "MAIL FROM:<a@b> BY=1;RT\r\n"},
        {true, 'N', false, -7, "MAIL FROM:<a@b> BY=-7;N\r\n"},
        {true, '\0', true, 120, "MAIL FROM:<a@b>\r\n"},
        {false, 'R', false, 120, "MAIL FROM:<a@b>\r\n"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(by); i++) {
        struct smtp_caps caps = {.esmtp = true, .deliverby = by[i].offered};
        struct smtp_client_txn txn = {.sender = SLICE("a@b"),
                                      .by_mode = by[i].mode,
                                      .by_trace = by[i].trace,
                                      .by_s = by[i].s};
        struct buf out;
        buf_init(&out, 1024);
        smtp_command_mail(&out, &txn, &caps);
        ck_assert_msg(slice_eq(buf_slice(&out), slice_str(by[i].want)), "%.*s",
                      SLICE_ARG(buf_slice(&out)));
        buf_deinit(&out);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto/smtp/client_command");
    TCase *tc = tcase_create("command");
    tcase_add_test(tc, addresses);
    tcase_add_test(tc, values);
    tcase_add_test(tc, deliver_by);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
