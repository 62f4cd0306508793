/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: any bytes as the beginning of a connection behind a load balancer. Whole, in single bytes
 * and in random pieces: the same verdict, the same addresses, the same bytes left over. What is
 * accepted and written again reads the same.
 */
#include "core/base/must.h"
#include "core/base/rng.h"
#include "proto/proxy/header.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct verdict {
    enum proxy_result result;
    struct proxy_header header;
    size_t used;
};

static struct verdict feed(struct slice bytes, size_t piece_max, struct rng *rng)
{
    struct verdict v = {.result = PROXY_MORE};
    struct proxy_parser p;
    proxy_parser_init(&p);
    while (v.result == PROXY_MORE && v.used < bytes.len) {
        size_t n = piece_max ? 1 + (size_t)rng_below(rng, piece_max) : bytes.len;
        n = n < bytes.len - v.used ? n : bytes.len - v.used;
        char *copy = malloc(n);
        must(copy != NULL);
        memcpy(copy, bytes.ptr + v.used, n);
        struct slice in = slice_of(copy, n);
        v.result = proxy_parser_feed(&p, &in, &v.header);
        must(v.result != PROXY_MORE || in.len == 0);
        v.used += n - in.len;
        free(copy);
    }
    return v;
}

static void check_same(const struct verdict *a, const struct verdict *b)
{
    must(a->result == b->result);
    must(a->result == PROXY_BAD || a->used == b->used);
    must(a->header.version == b->header.version);
    must(ip_endpoint_eq(&a->header.source, &b->header.source));
    must(ip_endpoint_eq(&a->header.destination, &b->header.destination));
}

static void check_written(const struct verdict *v)
{
    struct buf b;
    buf_init(&b, 1000);
    for (int version = 1; version <= 2; version++) {
        buf_clear(&b);
        (version == 1 ? proxy_add_v1 : proxy_add_v2)(&b, &v->header.source, &v->header.destination);
        struct verdict again = feed(buf_slice(&b), 0, NULL);
        again.header.version = v->header.version;
        again.used = v->used;
        check_same(v, &again);
    }
    buf_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of(data, size);
    struct rng rng;
    rng_init_seed(&rng, size);
    struct verdict whole = feed(input, 0, &rng);
    struct verdict bytes = feed(input, 1, &rng);
    struct verdict pieces = feed(input, 40, &rng);
    check_same(&whole, &bytes);
    check_same(&whole, &pieces);
    switch (whole.result) {
    case PROXY_MORE:
        must(whole.used == size);
        break;
    case PROXY_PROXIED:
        must(whole.header.source.addr.family != IP_NONE);
        must(whole.header.version == 2 || whole.used <= PROXY_V1_BYTES);
        check_written(&whole);
        break;
    case PROXY_LOCAL:
    case PROXY_UNKNOWN:
    case PROXY_BAD:
        must(whole.header.source.addr.family == IP_NONE);
        break;
    }
    return 0;
}
