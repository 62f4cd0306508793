/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: message text by DATA and by BDAT against a slow model (model_text.h) that computes everything from all the
 *          octets at once: what is stored, which fault is reported, where DATA ends, and each fact of
 *          struct smtp_body_facts; whole, in single bytes and in random pieces.
 * Input:   a byte of limits, then the octets.
 */
#include "core/base/must.h"
#include "core/base/rng.h"
#include "proto/smtp/body.h"
#include "tests/fuzz/model_text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 2048 };

struct taken {
    struct buf stored;
    size_t used; /* octets up to and with the end of DATA */
    bool ended;
};

/* One segment, in memory of its own. */
static void feed(struct smtp_body *b, struct slice segment, struct taken *t)
{
    char *copy = malloc(segment.len);
    struct slice run, in = slice_of(copy, segment.len);
    must(copy != NULL);
    memcpy(copy, segment.ptr, segment.len);
    enum smtp_body_event event = SMTP_BODY_RUN;
    while (event == SMTP_BODY_RUN) {
        event = smtp_body_step(b, &in, &run);
        if (event == SMTP_BODY_RUN) {
            must(run.len > 0);
            buf_add(&t->stored, run);
        }
    }
    t->ended = event == SMTP_BODY_END;
    must(t->ended || in.len == 0);
    t->used += segment.len - in.len;
    free(copy);
}

static void check(const struct smtp_body *b, const struct taken *t, const struct model_text *m,
                  const struct smtp_server_config *config)
{
    const struct smtp_verdict *v = smtp_body_verdict(b);
    const char *fault = model_text_fault(m, config);
    must((v == NULL) == (fault == NULL));
    if (v) {
        uint64_t code;
        must(slice_to_u64(slice_first(slice_str(fault), 3), &code) && v->code == code);
        must(slice_eq(v->enhanced, slice_skip(slice_str(fault), 4)));
        return;
    }
    must(slice_eq(buf_slice(&t->stored), buf_slice(&m->stored)));
    const struct smtp_body_facts *f = &b->facts;
    must(f->size == m->stored.len && f->header_end == m->header_bytes);
    must(f->line_longest == m->longest && f->header_fields == m->fields && f->hops == m->hops);
    must(f->has_8bit == m->eight_bit && f->leading_dot == m->leading_dot);
    must(!f->header_has_8bit || f->has_8bit);
    must(f->header_has_8bit == model_high(slice_first(buf_slice(&m->stored), m->header_bytes)));
}

static void run(const struct smtp_server_config *config, struct slice octets, bool dots,
                size_t piece_max)
{
    struct smtp_body b;
    struct taken t = {.used = 0};
    struct model_text m;
    struct rng rng;
    struct slice run, rest = octets;
    long end = dots ? model_data_end(octets) : (long)octets.len;
    rng_init_seed(&rng, octets.len + piece_max);
    buf_init(&t.stored, 1 << 24);
    smtp_body_init(&b, config, dots);
    while (rest.len && !t.ended) {
        struct slice segment = slice_first(rest, piece_max ? 1 + (size_t)rng_below(&rng, piece_max)
                                                           : rest.len);
        feed(&b, segment, &t);
        rest = slice_skip(rest, segment.len);
    }
    must(t.ended == (dots && end >= 0));
    if (t.ended || !dots) {
        must(t.used == (size_t)end + (dots ? 3 : 0));
        if (!dots && smtp_body_finish(&b, &run)) {
            buf_add(&t.stored, run);
        }
        model_text_read(&m, config, slice_first(octets, (size_t)end), dots, true);
        check(&b, &t, &m, config);
        buf_deinit(&m.stored);
    }
    buf_deinit(&t.stored);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {0, 1, 40};
    struct smtp_server_config config;
    if (size == 0 || size > INPUT_BYTES_MAX) {
        return 0;
    }
    smtp_server_config_init(&config);
    config.normalize_bare_lf = data[0] & 1;
    config.size_max = data[0] & 2 ? 100 : 0;
    config.line_length_max = data[0] & 4 ? 30 : 0;
    config.header_bytes_max = data[0] & 8 ? 50 : 100000;
    config.header_fields_max = data[0] & 16 ? 3 : 1000;
    config.hops_max = data[0] & 32 ? 2 : 0;
    for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
        run(&config, slice_of(data + 1, size - 1), true, pieces[i]);
        run(&config, slice_of(data + 1, size - 1), false, pieces[i]);
    }
    return 0;
}
