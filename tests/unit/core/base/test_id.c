/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/id.h"
#include "tests/unit/core/base/testing.h"

#include <check.h>
#include <stdlib.h>

static const struct {
    uint64_t id;
    const char *text;
} shown[] = {
    {0, "0000000000000"},
    {1, "0000000000001"},
    {31, "000000000000Z"},
    {32, "0000000000010"},
    {UINT64_MAX, "FZZZZZZZZZZZZ"},
    {1ull << 63, "8000000000000"},
    {0x0123456789abcdef, "028T5CY4TQKFF"},
};

START_TEST(both_ways)
{
    char text[ID_TEXT_BYTES + 1];
    uint64_t back = 7;
    struct slice s = id_text(shown[_i].id, text);
    ck_assert_str_eq(text, shown[_i].text);
    ck_assert_uint_eq(s.len, ID_TEXT_BYTES);
    ck_assert(id_parse(s, &back));
    ck_assert_uint_eq(back, shown[_i].id);
}
END_TEST

static const char *const refused[] = {
    "",
    "000000000000",   /* 12 */
    "00000000000000", /* 14 */
    "G000000000000",  /* 2^64 */
    "ZZZZZZZZZZZZZ",
    "000000000000I", /* I, L, O, U are no digits */
    "00000L0000000",
    "O000000000000",
    "0000U00000000",
    "00000000 0000",
    "-000000000001",
    "000000000000\xc3",
};

START_TEST(refuses)
{
    uint64_t out = 42;
    ck_assert(!id_parse(slice_str(refused[_i]), &out));
    ck_assert_uint_eq(out, 42);
}
END_TEST

START_TEST(reads_small_letters_but_no_nul)
{
    uint64_t out = 0;
    ck_assert(id_parse(SLICE("028t5cy4tqkff"), &out));
    ck_assert_uint_eq(out, 0x0123456789abcdef);
    ck_assert(!id_parse(slice_of("000000\0"
                                 "000000",
                                 13),
                        &out));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("id");
    TCase *tc = tcase_create("text");
    tcase_add_loop_test(tc, both_ways, 0, (int)ARRAY_COUNT(shown));
    tcase_add_loop_test(tc, refuses, 0, (int)ARRAY_COUNT(refused));
    tcase_add_test(tc, reads_small_letters_but_no_nul);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
