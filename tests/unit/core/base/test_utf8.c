/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/utf8.h"

#include "core/base/must.h"

#include <check.h>
#include <stdlib.h>

static const struct {
    struct slice text;
    bool ok;
} rows[] = {
    {SLICE_INIT(""), true},
    {SLICE_INIT("abc\0"), true},
    {SLICE_INIT("\xc2\x80"), true},
    {SLICE_INIT("\xdf\xbf"), true},
    {SLICE_INIT("\xe0\xa0\x80"), true},
    {SLICE_INIT("\xed\x9f\xbf"), true},
    {SLICE_INIT("\xee\x80\x80"), true},
    {SLICE_INIT("\xf0\x90\x80\x80"), true},
    {SLICE_INIT("\xf4\x8f\xbf\xbf"), true},
    {SLICE_INIT("\x80"), false},
    {SLICE_INIT("\xc0\x80"), false},
    {SLICE_INIT("\xc1\xbf"), false},
    {SLICE_INIT("\xc2"), false},
    {SLICE_INIT("\xc2\x41"), false},
    {SLICE_INIT("\xe0\x9f\xbf"), false},
    {SLICE_INIT("\xed\xa0\x80"), false},
    {SLICE_INIT("\xe2\x82"), false},
    {SLICE_INIT("\xf0\x8f\xbf\xbf"), false},
    {SLICE_INIT("\xf4\x90\x80\x80"), false},
    {SLICE_INIT("\xf5\x80\x80\x80"), false},
    {SLICE_INIT("\xf0\x9f\x98"), false},
    {SLICE_INIT("\xff"), false},
    {SLICE_INIT("ok\xfe"), false},
};

START_TEST(table)
{
    char *copy = malloc(rows[_i].text.len ? rows[_i].text.len : 1);
    memcpy(copy, rows[_i].text.ptr, rows[_i].text.len);
    ck_assert_int_eq(utf8_valid(slice_of(copy, rows[_i].text.len)), rows[_i].ok);
    free(copy);
}
END_TEST

START_TEST(every_code_point)
{
    char out[4];
    for (uint32_t c = 0; c < 0x110010; c++) {
        size_t n = utf8_encode(c, out);
        bool legal = c <= 0x10FFFF && !(c >= 0xD800 && c <= 0xDFFF);
        bool again = n == 0 || (utf8_sequence(slice_of(out, n)) == n &&
                                utf8_has_8bit(slice_of(out, n)) == (c >= 0x80) &&
                                utf8_code_point(slice_of(out, n)) == c);
        if ((n != 0) != legal || !again) { /* ck_assert costs at each call */
            ck_abort_msg("U+%04X", (unsigned)c);
        }
    }
}
END_TEST

START_TEST(what_commands)
{
    static const uint32_t yes[] = {0, 0x1F, 0x7F, 0x80, 0x9B, 0x9F, 0x200E, 0x2028, 0x202E, 0x2069};
    static const uint32_t no[] = {' ',    '~',    0xA0,   0xE9,   0x200D,
                                  0x2010, 0x202F, 0x2065, 0x206A, 0x1F600};
    for (size_t i = 0; i < ARRAY_COUNT(yes); i++) {
        ck_assert_msg(utf8_commands(yes[i]), "U+%04X", (unsigned)yes[i]);
        ck_assert_msg(!utf8_commands(no[i]), "U+%04X", (unsigned)no[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("utf8");
    TCase *tc = tcase_create("validator");
    tcase_add_loop_test(tc, table, 0, (int)ARRAY_COUNT(rows));
    tcase_add_test(tc, every_code_point);
    tcase_add_test(tc, what_commands);
    tcase_set_timeout(tc, 60);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
