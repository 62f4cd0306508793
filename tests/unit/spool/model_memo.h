/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * model_memo - what the model remembers of memos
 *
 * Purpose:   writes and ends random memos; after a crash what is found must be what was acknowledged last,
 *            or one of the writes that were in doubt (P1 for STATE rows). Their sizes vary, so that they are
 *            moved between segments.
 * Use:       included by model.c.
 */
#ifndef RINGPOST_TESTS_SPOOL_MODEL_MEMO_H
#define RINGPOST_TESTS_SPOOL_MODEL_MEMO_H

#include "tests/unit/spool/model.h"

#include <stdio.h>

static inline struct slice memo_key(char text[16], unsigned i)
{
    int n = snprintf(text, 16, "key%u", i);
    return slice_of(text, (size_t)n);
}

/* serial 0: no value. */
static inline struct slice memo_value(char text[SPOOL_MEMO_VALUE_BYTES_MAX], unsigned serial)
{
    if (serial == 0) {
        return (struct slice){NULL, 0};
    }
    size_t len = 4 + (size_t)serial * 7919 % (SPOOL_MEMO_VALUE_BYTES_MAX - 3);
    memset(text, 'a' + (int)(serial % 26), len);
    memcpy(text, &serial, sizeof(serial));
    return slice_of(text, len);
}

static inline void model_memo_put(struct model *m)
{
    char key[16], value[SPOOL_MEMO_VALUE_BYTES_MAX];
    unsigned i = (unsigned)rng_below(&m->rng, MODEL_MEMOS);
    struct model_memo *e = &m->memos[i];
    if (e->doubts == MODEL_MEMO_DOUBTS) {
        return;
    }
    unsigned serial = rng_below(&m->rng, 4) == 0 ? 0 : ++m->memo_serial;
    struct spool_memo memo = {.kind = (uint8_t)(i % 3),
                              .key = memo_key(key, i),
                              .value = memo_value(value, serial)};
    uint64_t lsn;
    if (spool_memo_put(m->spools[SPOOL_MEMO_WORKER], &memo, &lsn) == SPOOL_APPENDED) {
        e->doubt[e->doubts++] = (struct model_memo_doubt){lsn, serial};
    }
}

static inline void model_memos_decided(struct model *m, uint64_t upto, bool durable)
{
    for (unsigned i = 0; i < MODEL_MEMOS; i++) {
        struct model_memo *e = &m->memos[i];
        unsigned kept = 0;
        for (unsigned k = 0; k < e->doubts; k++) {
            if (e->doubt[k].lsn > upto) {
                e->doubt[kept++] = e->doubt[k];
            } else if (durable) {
                e->serial = e->doubt[k].serial;
            }
        }
        e->doubts = kept;
    }
}

static inline void on_memo(void *ctx, const struct spool_memo *memo)
{
    struct model *m = ctx;
    char key[16], value[SPOOL_MEMO_VALUE_BYTES_MAX];
    unsigned serial = 0;
    if (memo->kind >= 200) {
        return; /* a test's own */
    }
    for (unsigned i = 0; i < MODEL_MEMOS; i++) {
        if (memo->kind == i % 3 && slice_eq(memo->key, memo_key(key, i))) {
            must(!m->memos[i].found && memo->value.len >= sizeof(serial));
            memcpy(&serial, memo->value.ptr, sizeof(serial));
            must(serial && slice_eq(memo->value, memo_value(value, serial)));
            m->memos[i].found = serial;
            return;
        }
    }
    must_never("a memo nobody wrote");
}

static inline void model_memos_check(struct model *m)
{
    for (unsigned i = 0; i < MODEL_MEMOS; i++) {
        struct model_memo *e = &m->memos[i];
        bool right = e->found == e->serial || m->options.lost_may_return;
        for (unsigned k = 0; k < e->doubts; k++) {
            right = right || e->found == e->doubt[k].serial;
        }
        must(right);
        *e = (struct model_memo){.serial = e->found};
    }
}

#endif
