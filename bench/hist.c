/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Why not a sorted array of samples: a run of minutes at 100,000 messages a second must cost
 * neither memory nor a sort. Why not powers of two: p99 would be off by up to 100 %.
 *
 * Bucket of v:   v < 64                         v
 *                64 * 2^s <= v < 128 * 2^s      64 * (s + 1) + (v >> s) - 64
 */
#include "bench/hist.h"

#include "core/base/must.h"

enum { SUB = 1 << BENCH_HIST_SUB_BITS };

static unsigned hist_bucket(uint64_t v)
{
    if (v < SUB) {
        return (unsigned)v;
    }
    unsigned top = 63U - (unsigned)__builtin_clzll(v);
    unsigned shift = top - BENCH_HIST_SUB_BITS;
    return SUB * shift + (unsigned)(v >> shift);
}

/* The largest value that falls into the bucket. */
static uint64_t hist_bucket_last(unsigned bucket)
{
    if (bucket < 2 * SUB) {
        return bucket;
    }
    unsigned shift = bucket / SUB - 1;
    uint64_t unit = bucket - SUB * shift;
    return ((unit + 1) << shift) - 1;
}

void bench_hist_add(struct bench_hist *h, uint64_t value)
{
    uint64_t v = value < BENCH_HIST_VALUE_MAX ? value : BENCH_HIST_VALUE_MAX;
    unsigned bucket = hist_bucket(v);
    must(bucket < BENCH_HIST_BUCKETS);
    h->buckets[bucket]++;
    h->min = h->count == 0 || v < h->min ? v : h->min;
    h->max = v > h->max ? v : h->max;
    h->count++;
    h->sum += v;
}

void bench_hist_merge(struct bench_hist *into, const struct bench_hist *from)
{
    if (from->count == 0) {
        return;
    }
    for (unsigned i = 0; i < BENCH_HIST_BUCKETS; i++) {
        into->buckets[i] += from->buckets[i];
    }
    into->min = into->count == 0 || from->min < into->min ? from->min : into->min;
    into->max = from->max > into->max ? from->max : into->max;
    into->count += from->count;
    into->sum += from->sum;
}

uint64_t bench_hist_quantile(const struct bench_hist *h, unsigned permille)
{
    must(permille <= 1000);
    if (h->count == 0) {
        return 0;
    }
    uint64_t rank = (h->count * permille + 999) / 1000;
    rank = rank ? rank : 1;
    uint64_t seen = 0;
    for (unsigned i = 0; i < BENCH_HIST_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen >= rank) {
            uint64_t last = hist_bucket_last(i);
            return last < h->max ? last : h->max;
        }
    }
    return h->max;
}

void bench_hist_add_json(const struct bench_hist *h, struct buf *out)
{
    static const struct {
        const char *name;
        unsigned permille;
    } rows[] = {{"p50", 500}, {"p90", 900}, {"p99", 990}, {"p999", 999}};

    uint64_t mean = h->count ? h->sum / h->count : 0;
    buf_addf(out, "{\"count\":%llu,\"mean\":%llu,\"min\":%llu", (unsigned long long)h->count,
             (unsigned long long)mean, (unsigned long long)(h->count ? h->min : 0));
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        buf_addf(out, ",\"%s\":%llu", rows[i].name,
                 (unsigned long long)bench_hist_quantile(h, rows[i].permille));
    }
    buf_addf(out, ",\"max\":%llu}", (unsigned long long)h->max);
}
