/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ledger - which copies were seen, of how many runs
 *
 * Purpose:   a bit per (run, message number, recipient) tells a first copy from a duplicate and
 *            lets two ledgers be compared: what was promised and never came is lost.
 * Owner:     the struct that embeds it: bench_ledger_init / _deinit.
 * Thread:    the caller locks.
 * Units:     microseconds of the monotonic clock.
 * Limits:    BENCH_LEDGER_RUNS runs, BENCH_LEDGER_BITS copies per run (128 MiB of bits); what lies
 *            beyond is counted as `strange`, never dropped silently.
 * Errors:    note returns BENCH_COPY_STRANGE beyond the limits or without memory.
 */
#ifndef RINGPOST_BENCH_LEDGER_H
#define RINGPOST_BENCH_LEDGER_H

#include "bench/hist.h"
#include "bench/message.h"

#define BENCH_LEDGER_BITS (UINT64_C(1) << 30)
enum { BENCH_LEDGER_RUNS = 4096 };

enum bench_copy { BENCH_COPY_FIRST, BENCH_COPY_DUPLICATE, BENCH_COPY_STRANGE };

struct bench_run {
    uint64_t id;
    uint64_t *words;
    size_t word_count;
    uint64_t unique;
    uint64_t duplicates;
    uint64_t strange;
    uint64_t messages; /* transactions that brought them */
    uint64_t first_us;
    uint64_t last_us;
    struct bench_hist latency; /* of first copies, from X-Bench-T */
};

struct bench_ledger {
    struct bench_run **runs;
    size_t run_count;
};

void bench_ledger_init(struct bench_ledger *l);
void bench_ledger_deinit(struct bench_ledger *l);

/* The run with this id, made when it is new; NULL beyond the limits. */
struct bench_run *bench_ledger_run(struct bench_ledger *l, uint64_t id);
/* The same without making one. */
const struct bench_run *bench_ledger_find(const struct bench_ledger *l, uint64_t id);

enum bench_copy bench_run_note(struct bench_run *r, const struct bench_stamp *s, uint64_t k,
                               uint64_t now_us);

/* Copies set in `promised` and not in `seen`; seen may be NULL. */
uint64_t bench_run_missing(const struct bench_run *promised, const struct bench_run *seen);

void bench_ledger_add_json(const struct bench_ledger *l, struct buf *out);

#endif
