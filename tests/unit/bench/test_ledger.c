/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/ledger.h"

#include "core/base/must.h"

#include <check.h>
#include <stdlib.h>

static struct bench_stamp stamp(uint64_t number, uint64_t recipients)
{
    return (
        struct bench_stamp){.run = 7, .number = number, .recipients = recipients, .sent_us = 100};
}

START_TEST(first_duplicate_strange)
{
    static const struct {
        uint64_t number, recipients, k;
        enum bench_copy want;
    } rows[] = {
        {0, 1, 0, BENCH_COPY_FIRST},
        {0, 1, 0, BENCH_COPY_DUPLICATE},
        {1, 1, 0, BENCH_COPY_FIRST},
        {100000, 1, 0, BENCH_COPY_FIRST}, /* grows */
        {100000, 1, 0, BENCH_COPY_DUPLICATE},
        {0, 1, 1, BENCH_COPY_STRANGE},          /* no such recipient */
        {0, 0, 0, BENCH_COPY_STRANGE},          /* nobody at all */
        {0, 1, UINT64_MAX, BENCH_COPY_STRANGE}, /* an address that is not ours */
        {UINT64_MAX, 2, 0, BENCH_COPY_STRANGE}, /* the product would overflow */
        {BENCH_LEDGER_BITS, 1, 0, BENCH_COPY_STRANGE},
    };
    struct bench_ledger l;
    bench_ledger_init(&l);
    struct bench_run *r = bench_ledger_run(&l, 7);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct bench_stamp s = stamp(rows[i].number, rows[i].recipients);
        ck_assert_int_eq(bench_run_note(r, &s, rows[i].k, 150), rows[i].want);
    }
    ck_assert_uint_eq(r->unique, 3);
    ck_assert_uint_eq(r->duplicates, 2);
    ck_assert_uint_eq(r->strange, 5);
    ck_assert_uint_eq(bench_hist_quantile(&r->latency, 1000), 50);
    bench_ledger_deinit(&l);
}
END_TEST

START_TEST(runs_are_kept_apart)
{
    struct bench_ledger l;
    bench_ledger_init(&l);
    struct bench_run *a = bench_ledger_run(&l, 1);
    struct bench_run *b = bench_ledger_run(&l, 2);
    ck_assert_ptr_ne(a, b);
    ck_assert_ptr_eq(bench_ledger_run(&l, 1), a);
    ck_assert_ptr_eq(bench_ledger_find(&l, 2), b);
    ck_assert_ptr_null(bench_ledger_find(&l, 3));
    for (uint64_t id = 3; l.run_count < BENCH_LEDGER_RUNS; id++) {
        ck_assert_ptr_nonnull(bench_ledger_run(&l, id));
    }
    ck_assert_ptr_null(bench_ledger_run(&l, UINT64_MAX));
    bench_ledger_deinit(&l);
}
END_TEST

START_TEST(missing_is_what_was_promised_only)
{
    struct bench_ledger promised;
    struct bench_ledger seen;
    bench_ledger_init(&promised);
    bench_ledger_init(&seen);
    struct bench_run *p = bench_ledger_run(&promised, 7);
    struct bench_run *s = bench_ledger_run(&seen, 7);
    for (uint64_t n = 0; n < 1000; n++) {
        struct bench_stamp st = stamp(n * 100, 3);
        (void)bench_run_note(p, &st, n % 3, 200);
        if (n != 5 && n < 990) {
            (void)bench_run_note(s, &st, n % 3, 300);
        }
        (void)bench_run_note(s, &st, (n + 1) % 3, 300); /* not promised: does not count */
    }
    ck_assert_uint_eq(bench_run_missing(p, s), 11);
    ck_assert_uint_eq(bench_run_missing(p, NULL), 1000);
    ck_assert_uint_eq(bench_run_missing(p, p), 0);
    bench_ledger_deinit(&promised);
    bench_ledger_deinit(&seen);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bench/ledger");
    TCase *tc = tcase_create("ledger");
    tcase_add_test(tc, first_duplicate_strange);
    tcase_add_test(tc, runs_are_kept_apart);
    tcase_add_test(tc, missing_is_what_was_promised_only);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
