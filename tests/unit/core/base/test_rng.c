/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/rng.h"
#include "tests/unit/core/base/testing.h"

START_TEST(same_seed_same_numbers)
{
    struct rng a, b, c;
    rng_init_seed(&a, 42);
    rng_init_seed(&b, 42);
    rng_init_seed(&c, 43);
    unsigned different = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t v = rng_u64(&a);
        testing_that(v == rng_u64(&b));
        different += v != rng_u64(&c);
    }
    ck_assert_uint_gt(different, 995);
}
END_TEST

/* A run of the simulator must mean the same tomorrow: splitmix64 + xoshiro256** of seed 1. */
START_TEST(the_algorithm_is_fixed)
{
    struct rng r;
    rng_init_seed(&r, 0);
    /* splitmix64(0): the published first outputs. */
    ck_assert_uint_eq(r.s[0], UINT64_C(0xe220a8397b1dcdaf));
    ck_assert_uint_eq(r.s[1], UINT64_C(0x6e789e6aa1b965f4));
    ck_assert_uint_eq(r.s[2], UINT64_C(0x06c45d188009454f));
    ck_assert_uint_eq(r.s[3], UINT64_C(0xf88bb8a8724c81ec));
    /* xoshiro256** of the state 1, 2, 3, 4: the reference code's first outputs. */
    r = (struct rng){{1, 2, 3, 4}};
    ck_assert_uint_eq(rng_u64(&r), 11520);
    ck_assert_uint_eq(rng_u64(&r), 0);
    ck_assert_uint_eq(rng_u64(&r), 1509978240);
    ck_assert_uint_eq(rng_u64(&r), 1215971899390074240u);
}
END_TEST

/* Chi-squared with bound-1 degrees of freedom: far beyond the 99.99 % point only when broken. */
START_TEST(below_is_uniform)
{
    static const uint64_t bounds[] = {2, 3, 7, 10, 64, 100};
    struct rng r;
    rng_init_seed(&r, 5);
    for (size_t k = 0; k < ARRAY_COUNT(bounds); k++) {
        uint64_t counts[100] = {0};
        uint64_t draws = bounds[k] * 2000;
        for (uint64_t i = 0; i < draws; i++) {
            uint64_t v = rng_below(&r, bounds[k]);
            testing_that(v < bounds[k]);
            counts[v]++;
        }
        double chi = 0, expected = 2000;
        for (uint64_t v = 0; v < bounds[k]; v++) {
            double d = (double)counts[v] - expected;
            chi += d * d / expected;
        }
        double freedom = (double)(bounds[k] - 1);
        ck_assert_msg(chi < freedom + 5 * (2 + freedom / 3) + 10, "bound %lu: chi2 %f",
                      (unsigned long)bounds[k], chi);
    }
}
END_TEST

START_TEST(extreme_bounds)
{
    struct rng r;
    rng_init_seed(&r, 6);
    uint64_t high = 0;
    for (int i = 0; i < 1000; i++) {
        ck_assert_uint_eq(rng_below(&r, 1), 0);
        ck_assert_uint_lt(rng_below(&r, UINT64_MAX), UINT64_MAX);
        uint64_t v = rng_below(&r,
                               (UINT64_C(1) << 63) + 1); /* nearly half of all draws are refused */
        ck_assert_uint_le(v, UINT64_C(1) << 63);
        high += v >> 62;
    }
    ck_assert(high > 400 && high < 600);
}
END_TEST

static void below_zero(void *ctx)
{
    rng_below(ctx, 0);
}

START_TEST(bound_zero_aborts)
{
    struct rng r;
    rng_init_seed(&r, 1);
    testing_must_abort(below_zero, &r, "bound > 0");
}
END_TEST

START_TEST(the_kernel_seeds_differently)
{
    struct rng a, b;
    ck_assert(rng_init_kernel(&a));
    ck_assert(rng_init_kernel(&b));
    ck_assert_uint_ne(rng_u64(&a), rng_u64(&b));
}
END_TEST

int main(void)
{
    const TTest *tests[] = {same_seed_same_numbers, the_algorithm_is_fixed,
                            below_is_uniform,       extreme_bounds,
                            bound_zero_aborts,      the_kernel_seeds_differently};
    return testing_run("core/base/rng", tests, ARRAY_COUNT(tests));
}
