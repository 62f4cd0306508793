/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/slice.h"
#include "tests/unit/core/base/testing.h"

/* Text with an explicit length, so that NUL bytes and unterminated text can be meant. */
#define S(lit) SLICE_INIT(lit)

START_TEST(comparing)
{
    static const struct {
        struct slice a, b;
        bool eq, nocase, starts, ends;
    } rows[] = {
        {S(""), S(""), true, true, true, true},
        {S("a"), S(""), false, false, true, true},
        {S(""), S("a"), false, false, false, false},
        {S("abc"), S("abc"), true, true, true, true},
        {S("aBc"), S("AbC"), false, true, true, true},
        {S("abcd"), S("AB"), false, false, true, false},
        {S("abcd"), S("CD"), false, false, false, true},
        {S("abcd"), S("bc"), false, false, false, false},
        {S("a\0b"), S("a\0c"), false, false, false, false},
        {S("a\0b"), S("A\0B"), false, true, true, true},
        {S("\xc3\x84"), S("\xc3\xa4"), false, false, false, false}, /* no case above ASCII */
        {S("["), S("{"), false, false, false, false},               /* 0x5b and 0x7b */
        {S("@"), S("`"), false, false, false, false},               /* 0x40 and 0x60 */
        {S("Z"), S("z"), false, true, true, true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        ck_assert_msg(slice_eq(rows[i].a, rows[i].b) == rows[i].eq, "eq, row %zu", i);
        ck_assert_msg(slice_eq_nocase(rows[i].a, rows[i].b) == rows[i].nocase, "nocase, row %zu",
                      i);
        ck_assert_msg(slice_starts_nocase(rows[i].a, rows[i].b) == rows[i].starts,
                      "starts, row %zu", i);
        ck_assert_msg(slice_ends_nocase(rows[i].a, rows[i].b) == rows[i].ends, "ends, row %zu", i);
    }
}
END_TEST

START_TEST(cutting_off)
{
    struct slice s = SLICE("hello");
    static const struct {
        size_t n;
        const char *skip, *first;
    } rows[] = {
        {0, "hello", ""}, {1, "ello", "h"},        {5, "", "hello"},
        {6, "", "hello"}, {SIZE_MAX, "", "hello"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        ck_assert(slice_eq(slice_skip(s, rows[i].n), slice_str(rows[i].skip)));
        ck_assert(slice_eq(slice_first(s, rows[i].n), slice_str(rows[i].first)));
    }
    ck_assert_ptr_eq(slice_skip(s, 99).ptr, s.ptr + 5); /* still inside: pointer differences work */
    struct slice none = {NULL, 0};
    ck_assert_uint_eq(slice_skip(none, 3).len, 0);
    ck_assert_uint_eq(slice_first(none, 3).len, 0);
    ck_assert(slice_eq(none, SLICE("")));
    ck_assert_uint_eq(slice_str(NULL).len, 0);
}
END_TEST

START_TEST(finding)
{
    ck_assert_int_eq(slice_find_byte(SLICE("abcb"), 'b'), 1);
    ck_assert_int_eq(slice_find_byte(SLICE("abc"), 'x'), -1);
    ck_assert_int_eq(slice_find_byte(SLICE("a\0b"), '\0'), 1);
    ck_assert_int_eq(slice_find_byte((struct slice){NULL, 0}, 'a'), -1);
    /* The end is the length, not a NUL behind it. */
    ck_assert_int_eq(slice_find_byte(slice_first(SLICE("abc"), 2), 'c'), -1);
}
END_TEST

START_TEST(trimming)
{
    static const struct {
        struct slice in, out;
    } rows[] = {
        {S(""), S("")},
        {S(" \t "), S("")},
        {S("a"), S("a")},
        {S("\t a b \t"), S("a b")},
        {S("\r\na\n"), S("\r\na\n")},
        {S(" \0 "), S("\0")},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        ck_assert_msg(slice_eq(slice_trim(rows[i].in), rows[i].out), "row %zu", i);
    }
}
END_TEST

START_TEST(cutting_at_a_separator)
{
    static const struct {
        struct slice in, head, rest;
    } rows[] = {
        {S("a,b,c"), S("a"), S("b,c")}, {S(",b"), S(""), S("b")}, {S("a,"), S("a"), S("")},
        {S("abc"), S("abc"), S("")},    {S(""), S(""), S("")},    {S(","), S(""), S("")},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct slice rest = rows[i].in;
        struct slice head = slice_cut(&rest, ',');
        ck_assert_msg(slice_eq(head, rows[i].head) && slice_eq(rest, rows[i].rest), "row %zu", i);
    }
}
END_TEST

START_TEST(numbers)
{
    static const struct {
        struct slice in;
        bool ok;
        uint64_t value;
    } rows[] = {
        {S("0"), true, 0},
        {S("007"), true, 7},
        {S("18446744073709551615"), true, UINT64_MAX},
        {S("18446744073709551616"), false, 0},
        {S("18446744073709551620"), false, 0},
        {S("99999999999999999999999"), false, 0},
        {S("000000000000000000000000000001"), true, 1},
        {S(""), false, 0},
        {S("-1"), false, 0},
        {S("+1"), false, 0},
        {S(" 1"), false, 0},
        {S("1 "), false, 0},
        {S("1\0"), false, 0},
        {S("1e3"), false, 0},
        {S("\xd9\xa1"), false, 0}, /* ARABIC-INDIC DIGIT ONE */
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        uint64_t v = 4711;
        ck_assert_msg(slice_to_u64(rows[i].in, &v) == rows[i].ok, "row %zu", i);
        ck_assert_msg(v == (rows[i].ok ? rows[i].value : 4711), "row %zu: %llu", i,
                      (unsigned long long)v);
    }
}
END_TEST

START_TEST(c_strings)
{
    char dst[4] = "xxx";
    ck_assert(slice_to_cstr(SLICE("abc"), dst, sizeof(dst)));
    ck_assert_str_eq(dst, "abc");
    ck_assert(!slice_to_cstr(SLICE("abcd"), dst, sizeof(dst)));
    ck_assert_str_eq(dst, "");
    ck_assert(!slice_to_cstr(SLICE("a\0b"), dst, sizeof(dst)));
    ck_assert_str_eq(dst, "");
    ck_assert(slice_to_cstr((struct slice){NULL, 0}, dst, sizeof(dst)));
    ck_assert_str_eq(dst, "");
    char one[1];
    ck_assert(slice_to_cstr(SLICE(""), one, 1));
    ck_assert(!slice_to_cstr(SLICE("a"), one, 1));
}
END_TEST

START_TEST(ascii_classes)
{
    for (int c = 0; c < 256; c++) {
        char ch = (char)c;
        bool upper = c >= 'A' && c <= 'Z', lower = c >= 'a' && c <= 'z';
        ck_assert(ascii_is_alpha(ch) == (upper || lower));
        ck_assert(ascii_is_digit(ch) == (c >= '0' && c <= '9'));
        ck_assert_int_eq((unsigned char)ascii_lower(ch), upper ? c + 32 : c);
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {comparing, cutting_off, finding,      trimming, cutting_at_a_separator,
                            numbers,   c_strings,   ascii_classes};
    return testing_run("core/base/slice", tests, ARRAY_COUNT(tests));
}
