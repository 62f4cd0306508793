/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/buf.h"
#include "tests/unit/core/base/testing.h"

START_TEST(unused_holds_no_memory)
{
    struct buf b;
    buf_init(&b, 100);
    ck_assert_ptr_null(b.ptr);
    ck_assert_uint_eq(buf_slice(&b).len, 0);
    buf_clear(&b);
    buf_release(&b);
    ck_assert_uint_eq(b.cap_max, 100);
    buf_deinit(&b);
}
END_TEST

/* All of it or nothing; overflow stays until buf_clear and nothing is added meanwhile. */
START_TEST(ceiling)
{
    static const struct {
        size_t cap_max, first, second;
        size_t len;
        bool overflow;
    } rows[] = {
        {10, 10, 0, 10, false},
        {10, 11, 0, 0, true},
        {10, 4, 6, 10, false},
        {10, 4, 7, 4, true},
        {1, 1, 1, 1, true},
        {300, 256, 44, 300, false},
        {300, 256, 45, 256, true},
        {1000, 257, 743, 1000, false},
        {1 << 20, 1 << 20, 1, 1 << 20, true},
    };
    static char data[1 << 20];
    memset(data, 'x', sizeof(data));
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct buf b;
        buf_init(&b, rows[i].cap_max);
        buf_add(&b, slice_of(data, rows[i].first));
        buf_add(&b, slice_of(data, rows[i].second));
        ck_assert_msg(b.len == rows[i].len && b.overflow == rows[i].overflow, "row %zu: %zu", i,
                      b.len);
        ck_assert_uint_le(b.cap, rows[i].cap_max);
        if (b.overflow) {
            buf_add_byte(&b, 'y');
            ck_assert_uint_eq(b.len, rows[i].len); /* even a byte that would fit: a unit is whole */
            buf_clear(&b);
            buf_add_byte(&b, 'y');
            ck_assert(b.len == 1 && !b.overflow && b.ptr[0] == 'y');
        }
        buf_deinit(&b);
    }
}
END_TEST

START_TEST(huge_requests_do_not_wrap)
{
    struct buf b;
    buf_init(&b, SIZE_MAX);
    buf_add_byte(&b, 'a');
    b.cap_max = 1000;
    ck_assert(!buf_reserve(&b, SIZE_MAX));
    buf_clear(&b);
    ck_assert(!buf_reserve(&b, SIZE_MAX - 1));
    buf_clear(&b);
    buf_add(&b, SLICE("bc"));
    ck_assert(slice_eq(buf_slice(&b), SLICE("bc")));
    buf_deinit(&b);
}
END_TEST

START_TEST(bytes_survive_growth)
{
    struct buf b;
    buf_init(&b, 100000);
    for (unsigned i = 0; i < 100000; i++) {
        buf_add_byte(&b, (char)(i * 7 % 251));
    }
    ck_assert(b.len == 100000 && !b.overflow);
    for (unsigned i = 0; i < 100000; i++) {
        testing_that(b.ptr[i] == (char)(i * 7 % 251));
    }
    buf_release(&b);
    ck_assert(b.ptr == NULL && b.len == 0 && b.cap_max == 100000);
    buf_deinit(&b);
}
END_TEST

START_TEST(formatting)
{
    static const size_t lengths[] = {0, 1, 254, 255, 256, 257, 511, 512, 513, 4000};
    static char text[4001];
    memset(text, 'f', 4000);
    for (size_t i = 0; i < ARRAY_COUNT(lengths); i++) {
        for (size_t before = 0; before < 3; before++) {
            struct buf b;
            buf_init(&b, 8192);
            buf_add(&b, slice_of("xxx", before));
            buf_addf(&b, "%.*s", (int)lengths[i], text);
            ck_assert(!b.overflow);
            ck_assert_uint_eq(b.len, before + lengths[i]);
            ck_assert(b.len == before || memcmp(b.ptr + before, text, lengths[i]) == 0);
            buf_addf(&b, "-%d%s", 42, "!");
            ck_assert(slice_ends_nocase(buf_slice(&b), SLICE("-42!")));
            buf_deinit(&b);
        }
    }
    struct buf small;
    buf_init(&small, 5);
    buf_addf(&small, "%s", "123456");
    ck_assert(small.overflow && small.len == 0);
    buf_clear(&small);
    buf_addf(&small, "%s", "1234");
    ck_assert(slice_eq(buf_slice(&small), SLICE("1234")));
    buf_deinit(&small);
}
END_TEST

START_TEST(numbers)
{
    static const struct {
        uint64_t v;
        const char *text;
    } rows[] = {
        {0, "0"},
        {9, "9"},
        {10, "10"},
        {1234567890, "1234567890"},
        {UINT64_MAX, "18446744073709551615"},
        {10000000000000000000u, "10000000000000000000"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct buf b;
        buf_init(&b, 20);
        buf_add_u64(&b, rows[i].v);
        ck_assert(slice_eq(buf_slice(&b), slice_str(rows[i].text)));
        buf_deinit(&b);
    }
}
END_TEST

START_TEST(consuming)
{
    struct buf b;
    buf_init(&b, 100);
    buf_add(&b, SLICE("abcdef"));
    buf_consume(&b, 0);
    buf_consume(&b, 2);
    ck_assert(slice_eq(buf_slice(&b), SLICE("cdef")));
    buf_add(&b, SLICE("g"));
    buf_consume(&b, 5);
    ck_assert_uint_eq(b.len, 0);
    buf_deinit(&b);
}
END_TEST

static void consume_too_much(void *ctx)
{
    buf_consume(ctx, 4);
}

START_TEST(consuming_more_than_there_is_aborts)
{
    struct buf b;
    buf_init(&b, 100);
    buf_add(&b, SLICE("abc"));
    testing_must_abort(consume_too_much, &b, "n <= b->len");
    buf_deinit(&b);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {unused_holds_no_memory,
                            ceiling,
                            huge_requests_do_not_wrap,
                            bytes_survive_growth,
                            formatting,
                            numbers,
                            consuming,
                            consuming_more_than_there_is_aborts};
    return testing_run("core/base/buf", tests, ARRAY_COUNT(tests));
}
