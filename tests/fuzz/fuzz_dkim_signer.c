/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: any message through the signer with a key for every domain in all four canonicalisations.
 * Whole, in single bytes and in random pieces it ends the same way with the same hashes; what is not
 * signed leaves nothing; a signed message has the fields that its h= names.
 */
#include "core/base/must.h"
#include "core/base/rng.h"
#include "core/policy/dkim_signer.h"
#include "tls/dkim_hash.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADER_MAX = 1 << 16, NOW_S = 1700000000 };

struct dkim_key {
    int unused;
};

static struct dkim_key *load(struct slice text, bool is_path, struct dkim_key_facts *facts,
                             struct buf *why)
{
    (void)text;
    (void)is_path;
    (void)why;
    *facts = (struct dkim_key_facts){.algorithm = DKIM_ED25519_SHA256, .bits = 256};
    return calloc(1, sizeof(struct dkim_key));
}

static void release(struct dkim_key *key)
{
    free(key);
}

static struct dkim_table *make_table(void)
{
    static const struct dkim_key_ops ops = {load, release};
    static const struct slice selectors[4] = {SLICE_INIT("a"), SLICE_INIT("b"), SLICE_INIT("c"),
                                              SLICE_INIT("d")};
    struct buf errors;
    struct dkim_table *t = dkim_table_new(&ops, 0);
    buf_init(&errors, 4096);
    for (unsigned i = 0; i < 4; i++) {
        struct dkim_entry e = {
            .selector = selectors[i],
            .key = SLICE("key"),
            .header_canon = (enum dkim_canon)(i & 1),
            .body_canon = (enum dkim_canon)(i >> 1),
            .where = SLICE("fuzz"),
        };
        must(dkim_table_add(t, &e, &errors, &errors) && errors.len == 0);
    }
    buf_deinit(&errors);
    return t;
}

/* A copy of its own: no look behind the piece. */
static void feed(struct dkim_signer *s, struct slice text, bool header, struct rng *rng,
                 size_t piece_max)
{
    while (text.len) {
        size_t n = piece_max ? 1 + (size_t)rng_below(rng, piece_max) : text.len;
        n = n < text.len ? n : text.len;
        char *copy = malloc(n);
        must(copy != NULL);
        memcpy(copy, text.ptr, n);
        if (header) {
            dkim_signer_header(s, slice_of(copy, n));
        } else {
            dkim_signer_body(s, slice_of(copy, n));
        }
        free(copy);
        text = slice_skip(text, n);
    }
}

static struct dkim_signer *run(struct dkim_table *t, struct slice header, struct slice body,
                               size_t piece_max)
{
    struct rng rng;
    struct buf text;
    rng_init_seed(&rng, header.len);
    buf_init(&text, 1 << 20);
    struct dkim_signer *s = dkim_signer_begin(t, dkim_hash_sha256(), HEADER_MAX);
    feed(s, header, true, &rng, piece_max);
    enum dkim_skip skip = dkim_signer_header_end(s);
    feed(s, body, false, &rng, piece_max);
    size_t count = dkim_signer_finish(s, NOW_S);
    must(count == (dkim_signer_skip(s) == DKIM_SKIP_NOT ? 4 : 0));
    must(skip == DKIM_SKIP_NOT || skip == dkim_signer_skip(s));
    must((dkim_signer_domain(s).len > 0) == (count > 0));
    for (size_t i = 0; i < count; i++) {
        dkim_signer_jobs(s)[i].signature_bytes = 64;
    }
    must(dkim_signer_attach(s, &text) == count && !text.overflow);
    must((text.len > 0) == (count > 0));
    buf_deinit(&text);
    return s;
}

static void canonical(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\n') {
            buf_add(out, SLICE("\r\n"));
        } else if (text.ptr[i] != '\r') {
            buf_add_byte(out, text.ptr[i]);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {1, 13};
    struct buf text;
    struct dkim_table *t = make_table();
    buf_init(&text, 1 << 24);
    canonical(&text, slice_of(data, size));
    struct slice all = buf_slice(&text);
    const char *blank = all.len ? memmem(all.ptr, all.len, "\r\n\r\n", 4) : NULL;
    struct slice header = blank ? slice_first(all, (size_t)(blank - all.ptr) + 2) : all;
    struct slice body = slice_skip(all, header.len);
    struct dkim_signer *whole = run(t, header, body, 0);
    for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
        struct dkim_signer *s = run(t, header, body, pieces[i]);
        must(dkim_signer_skip(s) == dkim_signer_skip(whole));
        must(slice_eq(dkim_signer_domain(s), dkim_signer_domain(whole)));
        for (size_t k = 0; k < 4 && dkim_signer_skip(s) == DKIM_SKIP_NOT; k++) {
            must(memcmp(dkim_signer_jobs(s)[k].hash, dkim_signer_jobs(whole)[k].hash,
                        DIGEST_SHA256_BYTES) == 0);
        }
        dkim_signer_end(&s);
    }
    dkim_signer_end(&whole);
    dkim_table_put(&t);
    buf_deinit(&text);
    return 0;
}
