/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/ledger.h"

#include "core/base/must.h"

#include <stdlib.h>

void bench_ledger_init(struct bench_ledger *l)
{
    *l = (struct bench_ledger){.run_count = 0};
}

void bench_ledger_deinit(struct bench_ledger *l)
{
    for (size_t i = 0; i < l->run_count; i++) {
        free(l->runs[i]->words);
        free(l->runs[i]);
    }
    free(l->runs);
    *l = (struct bench_ledger){.run_count = 0};
}

/* The newest run is nearly always the one asked for. */
static struct bench_run *ledger_lookup(const struct bench_ledger *l, uint64_t id)
{
    for (size_t i = l->run_count; i > 0; i--) {
        if (l->runs[i - 1]->id == id) {
            return l->runs[i - 1];
        }
    }
    return NULL;
}

const struct bench_run *bench_ledger_find(const struct bench_ledger *l, uint64_t id)
{
    return ledger_lookup(l, id);
}

struct bench_run *bench_ledger_run(struct bench_ledger *l, uint64_t id)
{
    struct bench_run *r = ledger_lookup(l, id);
    if (r != NULL || l->run_count >= BENCH_LEDGER_RUNS) {
        return r;
    }
    struct bench_run **grown = realloc(l->runs, (l->run_count + 1) * sizeof(struct bench_run *));
    if (grown == NULL) {
        return NULL;
    }
    l->runs = grown;
    r = calloc(1, sizeof(*r));
    if (r != NULL) {
        r->id = id;
        l->runs[l->run_count++] = r;
    }
    return r;
}

static bool run_grow(struct bench_run *r, size_t words)
{
    if (words <= r->word_count) {
        return true;
    }
    size_t count = r->word_count ? r->word_count : 1024;
    while (count < words) {
        count *= 2;
    }
    uint64_t *grown = realloc(r->words, count * sizeof(*grown));
    if (grown == NULL) {
        return false;
    }
    memset(grown + r->word_count, 0, (count - r->word_count) * sizeof(*grown));
    r->words = grown;
    r->word_count = count;
    return true;
}

/* The bit of a copy, BENCH_LEDGER_BITS when it cannot have one. */
static uint64_t run_bit(const struct bench_stamp *s, uint64_t k)
{
    if (s->recipients == 0 || k >= s->recipients || s->recipients > BENCH_LEDGER_BITS ||
        s->number >= BENCH_LEDGER_BITS / s->recipients) {
        return BENCH_LEDGER_BITS;
    }
    return s->number * s->recipients + k;
}

enum bench_copy bench_run_note(struct bench_run *r, const struct bench_stamp *s, uint64_t k,
                               uint64_t now_us)
{
    must(r->id == s->run);
    uint64_t bit = run_bit(s, k);
    if (bit >= BENCH_LEDGER_BITS || !run_grow(r, (size_t)(bit / 64 + 1))) {
        r->strange++;
        return BENCH_COPY_STRANGE;
    }
    uint64_t mask = UINT64_C(1) << (bit % 64);
    uint64_t *word = &r->words[bit / 64];
    r->first_us = r->unique + r->duplicates == 0 ? now_us : r->first_us;
    r->last_us = now_us;
    if (*word & mask) {
        r->duplicates++;
        return BENCH_COPY_DUPLICATE;
    }
    *word |= mask;
    r->unique++;
    bench_hist_add(&r->latency, now_us > s->sent_us ? now_us - s->sent_us : 0);
    return BENCH_COPY_FIRST;
}

uint64_t bench_run_missing(const struct bench_run *promised, const struct bench_run *seen)
{
    uint64_t missing = 0;
    for (size_t i = 0; i < promised->word_count; i++) {
        uint64_t have = seen != NULL && i < seen->word_count ? seen->words[i] : 0;
        missing += (uint64_t)__builtin_popcountll(promised->words[i] & ~have);
    }
    return missing;
}

void bench_ledger_add_json(const struct bench_ledger *l, struct buf *out)
{
    buf_add_byte(out, '[');
    for (size_t i = 0; i < l->run_count; i++) {
        const struct bench_run *r = l->runs[i];
        buf_addf(out,
                 "%s{\"run\":\"%016llx\",\"messages\":%llu,\"unique\":%llu,\"duplicates\":%llu,"
                 "\"strange\":%llu,\"first_us\":%llu,\"last_us\":%llu,\"end_to_end_us\":",
                 i ? "," : "", (unsigned long long)r->id, (unsigned long long)r->messages,
                 (unsigned long long)r->unique, (unsigned long long)r->duplicates,
                 (unsigned long long)r->strange, (unsigned long long)r->first_us,
                 (unsigned long long)r->last_us);
        bench_hist_add_json(&r->latency, out);
        buf_add_byte(out, '}');
    }
    buf_add_byte(out, ']');
}
