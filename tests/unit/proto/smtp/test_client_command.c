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

int main(void)
{
    Suite *suite = suite_create("proto/smtp/client_command");
    TCase *tc = tcase_create("command");
    tcase_add_test(tc, addresses);
    tcase_add_test(tc, values);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
