/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * hist - a log-linear histogram
 *
 * Purpose:   latencies of a measurement with a bounded relative error, mergeable across threads.
 * Owner:     the struct that embeds it; zeroed is empty, nothing to free.
 * Thread:    the owner's.
 * Units:     whatever is added, here microseconds. Values up to 127 are exact, above them a bucket
 *            is 1/64 of its value wide (error <= 1.6 %). Values beyond BENCH_HIST_VALUE_MAX count
 *            as that.
 * Errors:    none.
 */
#ifndef RINGPOST_BENCH_HIST_H
#define RINGPOST_BENCH_HIST_H

#include "core/base/buf.h"

#include <stdint.h>

enum {
    BENCH_HIST_SUB_BITS = 6,
    BENCH_HIST_TOP_BIT = 40, /* 2^41 us = 25 days */
    BENCH_HIST_BUCKETS = (BENCH_HIST_TOP_BIT - BENCH_HIST_SUB_BITS + 2) << BENCH_HIST_SUB_BITS,
};
#define BENCH_HIST_VALUE_MAX ((UINT64_C(1) << (BENCH_HIST_TOP_BIT + 1)) - 1)

struct bench_hist {
    uint64_t count;
    uint64_t sum;
    uint64_t min; /* meaningless while count is 0 */
    uint64_t max;
    uint64_t buckets[BENCH_HIST_BUCKETS];
};

void bench_hist_add(struct bench_hist *h, uint64_t value);
void bench_hist_merge(struct bench_hist *into, const struct bench_hist *from);

/* The smallest recorded-or-larger value that at least `permille` of 1000 values do not exceed;
 * 0 when empty. 500 = median, 990 = p99, 1000 = maximum. */
uint64_t bench_hist_quantile(const struct bench_hist *h, unsigned permille);

/* Appends {"count":..,"mean":..,"min":..,"p50":..,"p90":..,"p99":..,"p999":..,"max":..}. */
void bench_hist_add_json(const struct bench_hist *h, struct buf *out);

#endif
