/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/must.h"
#include "tls/der.h"

#include <check.h>
#include <stdlib.h>

#define BYTES(s) ((struct slice){(s), sizeof(s) - 1})

static const struct {
    struct slice in;
    bool ok;
    uint8_t tag;
    size_t len, rest;
} items[] = {
    {{"\x02\x01\x05", 3}, true, 0x02, 1, 0},
    {{"\x05\x00\x01", 3}, true, 0x05, 0, 1},
    {{"", 0}, false, 0, 0, 0},
    {{"\x02", 1}, false, 0, 0, 0},
    {{"\x02\x02\x05", 3}, false, 0, 0, 0},     /* longer than what is there */
    {{"\x02\x80", 2}, false, 0, 0, 0},         /* indefinite */
    {{"\x02\x81\x01\x05", 4}, false, 0, 0, 0}, /* not the shortest form */
    {{"\x02\x82\x00\x80", 4}, false, 0, 0, 0},
    {{"\x02\x83\x01\x00\x00", 5}, false, 0, 0, 0}, /* three bytes of length */
    {{"\x02\x82\x01", 3}, false, 0, 0, 0},
    {{"\x1f\x81\x01\x00", 4}, false, 0, 0, 0}, /* tag of several bytes */
};

START_TEST(reads_items)
{
    struct slice in = items[_i].in, value;
    uint8_t tag;
    bool ok = der_next(&in, &tag, &value);
    ck_assert(ok == items[_i].ok);
    if (ok) {
        ck_assert_uint_eq(tag, items[_i].tag);
        ck_assert_uint_eq(value.len, items[_i].len);
        ck_assert_uint_eq(in.len, items[_i].rest);
    } else {
        ck_assert(slice_eq(in, items[_i].in));
    }
}
END_TEST

START_TEST(takes_only_what_is_wanted)
{
    struct slice in = BYTES("\x02\x01\x05\x05\x00"), value;
    ck_assert(!der_take(&in, DER_NULL, &value));
    ck_assert_uint_eq(in.len, 5);
    ck_assert(der_take(&in, DER_INTEGER, &value));
    ck_assert(der_take(&in, DER_NULL, &value));
    ck_assert_uint_eq(in.len, 0);
}
END_TEST

static const struct {
    uint8_t tag;
    const char *text;
    bool ok;
    int64_t seconds;
} times[] = {
    {DER_UTC_TIME, "700101000000Z", true, 0},
    {DER_UTC_TIME, "691231235959Z", true, -1},
    {DER_UTC_TIME, "500101000000Z", true, -631152000},
    {DER_UTC_TIME, "491231235959Z", true, 2524607999},
    {DER_UTC_TIME, "000229120000Z", true, 951825600},
    {DER_GENERALIZED_TIME, "20500101000000Z", true, 2524608000},
    {DER_GENERALIZED_TIME, "99991231235959Z", true, 253402300799},
    {DER_GENERALIZED_TIME, "19700101000000Z", true, 0},
    {DER_UTC_TIME, "7001010000Z", false, 0}, /* seconds are a must */
    {DER_UTC_TIME, "700101000000+0100", false, 0},
    {DER_UTC_TIME, "701301000000Z", false, 0},
    {DER_UTC_TIME, "700100000000Z", false, 0},
    {DER_UTC_TIME, "700101240000Z", false, 0},
    {DER_UTC_TIME, "7001010000 0Z", false, 0},
    {DER_UTC_TIME, "", false, 0},
    {DER_GENERALIZED_TIME, "20500101000000.5Z", false, 0},
    {DER_INTEGER, "700101000000Z", false, 0},
};

START_TEST(reads_times)
{
    int64_t seconds = 77;
    bool ok = der_time(times[_i].tag, slice_str(times[_i].text), &seconds);
    ck_assert(ok == times[_i].ok);
    ck_assert_int_eq(seconds, ok ? times[_i].seconds : 77);
}
END_TEST

START_TEST(writes_what_it_reads)
{
    static const size_t sizes[] = {0, 1, 127, 128, 255, 256, 60000};
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        char *content = calloc(1, sizes[i] + 1);
        struct buf b;
        struct slice in, value, inner;
        buf_init(&b, 70000);
        der_add(&b, DER_OCTET_STRING, slice_of(content, sizes[i]));
        der_wrap(&b, 0, DER_SEQUENCE);
        in = buf_slice(&b);
        ck_assert(der_take(&in, DER_SEQUENCE, &value));
        ck_assert_uint_eq(in.len, 0);
        ck_assert(der_take(&value, DER_OCTET_STRING, &inner));
        ck_assert_uint_eq(inner.len, sizes[i]);
        ck_assert_uint_eq(value.len, 0);
        buf_deinit(&b);
        free(content);
    }
}
END_TEST

START_TEST(writes_times)
{
    static const int64_t when[] = {0, -631152000, 2524607999, 2524608000, 1795000000};
    for (size_t i = 0; i < ARRAY_COUNT(when); i++) {
        struct buf b;
        struct slice in, value;
        uint8_t tag;
        int64_t back;
        buf_init(&b, 100);
        der_add_time(&b, when[i]);
        in = buf_slice(&b);
        ck_assert(der_next(&in, &tag, &value) && der_time(tag, value, &back));
        ck_assert_int_eq(back, when[i]);
        ck_assert_int_eq(tag, when[i] < 2524608000 ? DER_UTC_TIME : DER_GENERALIZED_TIME);
        buf_deinit(&b);
    }
}
END_TEST

START_TEST(a_full_buffer_is_an_overflow)
{
    struct buf b;
    buf_init(&b, 8);
    der_add(&b, DER_OCTET_STRING, SLICE("123456"));
    ck_assert(!b.overflow);
    der_wrap(&b, 0, DER_SEQUENCE);
    ck_assert(b.overflow);
    der_wrap(&b, 0, DER_SEQUENCE);
    buf_deinit(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls/der");
    TCase *t = tcase_create("der");
    tcase_add_loop_test(t, reads_items, 0, (int)ARRAY_COUNT(items));
    tcase_add_test(t, takes_only_what_is_wanted);
    tcase_add_loop_test(t, reads_times, 0, (int)ARRAY_COUNT(times));
    tcase_add_test(t, writes_what_it_reads);
    tcase_add_test(t, writes_times);
    tcase_add_test(t, a_full_buffer_is_an_overflow);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
