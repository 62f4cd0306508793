/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/hist.h"

#include "core/base/must.h"

#include <check.h>
#include <stdlib.h>

START_TEST(empty_is_zero)
{
    static struct bench_hist h;
    ck_assert_uint_eq(bench_hist_quantile(&h, 500), 0);
    ck_assert_uint_eq(bench_hist_quantile(&h, 1000), 0);
}
END_TEST

START_TEST(single_values)
{
    static const uint64_t values[] = {0,      1,          63,         64,
                                      127,    128,        129,        1000,
                                      123456, UINT32_MAX, 1ULL << 40, BENCH_HIST_VALUE_MAX,
                                      8191,   65535,      65536};
    for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
        struct bench_hist h = {.count = 0};
        bench_hist_add(&h, values[i]);
        /* One value is every quantile, exactly: the bucket's end is cut at the maximum. */
        ck_assert_uint_eq(bench_hist_quantile(&h, 1), values[i]);
        ck_assert_uint_eq(bench_hist_quantile(&h, 1000), values[i]);
        ck_assert_uint_eq(h.min, values[i]);
    }
}
END_TEST

START_TEST(beyond_the_range_counts_as_the_end)
{
    struct bench_hist h = {.count = 0};
    bench_hist_add(&h, UINT64_MAX);
    ck_assert_uint_eq(h.max, BENCH_HIST_VALUE_MAX);
    ck_assert_uint_eq(h.buckets[BENCH_HIST_BUCKETS - 1], 1);
}
END_TEST

START_TEST(quantiles_are_within_the_error)
{
    struct bench_hist h = {.count = 0};
    for (uint64_t v = 1; v <= 100000; v++) {
        bench_hist_add(&h, v);
    }
    static const struct {
        unsigned permille;
        uint64_t exact;
    } rows[] = {{1, 100}, {10, 1000}, {500, 50000}, {900, 90000}, {990, 99000}, {1000, 100000}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        uint64_t got = bench_hist_quantile(&h, rows[i].permille);
        ck_assert_uint_ge(got, rows[i].exact);
        ck_assert_uint_le(got, rows[i].exact + rows[i].exact / 64 + 1);
    }
}
END_TEST

START_TEST(merge_equals_adding_to_one)
{
    struct bench_hist a = {.count = 0};
    struct bench_hist b = {.count = 0};
    struct bench_hist all = {.count = 0};
    struct bench_hist none = {.count = 0};
    for (uint64_t v = 0; v < 5000; v++) {
        bench_hist_add(v % 3 ? &a : &b, v * v);
        bench_hist_add(&all, v * v);
    }
    bench_hist_merge(&a, &b);
    bench_hist_merge(&a, &none);
    ck_assert_mem_eq(&a, &all, sizeof(a));
}
END_TEST

START_TEST(json_has_every_field)
{
    struct bench_hist h = {.count = 0};
    struct buf out;
    buf_init(&out, 4096);
    bench_hist_add(&h, 10);
    bench_hist_add(&h, 20);
    bench_hist_add_json(&h, &out);
    buf_add_byte(&out, '\0');
    ck_assert_str_eq(out.ptr,
                     "{\"count\":2,\"mean\":15,\"min\":10,\"p50\":10,\"p90\":20,\"p99\":20,"
                     "\"p999\":20,\"max\":20}");
    buf_deinit(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bench/hist");
    TCase *tc = tcase_create("hist");
    tcase_add_test(tc, empty_is_zero);
    tcase_add_test(tc, single_values);
    tcase_add_test(tc, beyond_the_range_counts_as_the_end);
    tcase_add_test(tc, quantiles_are_within_the_error);
    tcase_add_test(tc, merge_equals_adding_to_one);
    tcase_add_test(tc, json_has_every_field);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
