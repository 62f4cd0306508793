/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/cli_text.h"
#include "core/base/must.h"

#include <check.h>
#include <stdlib.h>

static void expect(struct buf *out, const char *want)
{
    buf_add_byte(out, '\0');
    ck_assert_str_eq(out->ptr, want);
    buf_deinit(out);
}

static const struct {
    const char *in, *out;
} texts[] = {
    {"plain text", "plain text"},
    {"", ""},
    {"\x1b[31mred\x07", "?[31mred?"},
    {"a\r\nb\tc", "a??b?c"},
    {"\x7f", "?"},
    {"b\xc3\xbc"
     "cher",
     "b\xc3\xbc"
     "cher"},
    {"\xc2\x9b"
     "31m",
     "?31m"},                 /* C1: CSI as one code point */
    {"\xc2\xa0", "\xc2\xa0"}, /* the first behind C1 */
    {"a\xe2\x80\xae"
     "b\xe2\x81\xa6"
     "c",
     "a?b?c"}, /* U+202E, U+2066 */
    {"\xe2\x82\xac \xf0\x9f\x93\xa7", "\xe2\x82\xac \xf0\x9f\x93\xa7"},
    {"\xff\xfe\xc3", "???"},
    {"\xc0\xaf", "??"},
};

START_TEST(text)
{
    struct buf out;
    buf_init(&out, 1024);
    cli_text_add(&out, slice_str(texts[_i].in));
    expect(&out, texts[_i].out);
}
END_TEST

static const struct {
    uint64_t value;
    const char *size, *age;
} numbers[] = {
    {0, "0 B", "0s"},
    {59, "59 B", "59s"},
    {60, "60 B", "1m00s"},
    {1023, "1023 B", "17m03s"},
    {1024, "1.0 KiB", "17m04s"},
    {3600, "3.5 KiB", "1h00m"},
    {86399, "84.4 KiB", "23h59m"},
    {86400, "84.4 KiB", "1d00h"},
    {1048575, "1.0 MiB", "12d03h"},
    {26214400, "25.0 MiB", "303d09h"},
    {UINT64_C(1) << 40, "1.0 TiB", "12725829d00h"},
    {UINT64_MAX, "16384.0 PiB", "213503982334601d07h"},
};

START_TEST(sizes_and_ages)
{
    struct buf out;
    buf_init(&out, 1024);
    cli_text_add_size(&out, numbers[_i].value);
    expect(&out, numbers[_i].size);
    buf_init(&out, 1024);
    cli_text_add_age(&out, numbers[_i].value);
    expect(&out, numbers[_i].age);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core/app/cli_text");
    TCase *t = tcase_create("text");
    tcase_add_loop_test(t, text, 0, (int)ARRAY_COUNT(texts));
    tcase_add_loop_test(t, sizes_and_ages, 0, (int)ARRAY_COUNT(numbers));
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
