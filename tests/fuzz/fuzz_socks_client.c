/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: any bytes as the answers of a proxy. Whole, in single bytes and in random pieces: the same
 * verdict, the same words of ours, the same bytes left over. The first byte says whether we have a login.
 */
#include "core/base/must.h"
#include "core/base/rng.h"
#include "proto/socks/client.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct verdict {
    enum socks_result result;
    struct socks_client client;
    struct buf said;
    size_t used;
};

static void feed(struct verdict *v, bool login, struct slice bytes, size_t piece_max)
{
    struct rng rng;
    struct slice none = {NULL, 0};
    struct socks_config config = {.to = {ip_addr_v4(0xC6336402), 25}};
    if (login) {
        config.user = SLICE("joe");
        config.password = SLICE("secret");
    }
    rng_init_seed(&rng, bytes.len);
    buf_init(&v->said, 3 * SOCKS_OUT_BYTES_MAX);
    socks_client_init(&v->client, &config);
    v->result = socks_client_step(&v->client, &none, &v->said);
    v->used = 0;
    while (v->result == SOCKS_MORE && v->used < bytes.len) {
        size_t n = piece_max ? 1 + (size_t)rng_below(&rng, piece_max) : bytes.len;
        n = n < bytes.len - v->used ? n : bytes.len - v->used;
        char *copy = malloc(n);
        must(copy != NULL);
        memcpy(copy, bytes.ptr + v->used, n);
        struct slice in = slice_of(copy, n);
        v->result = socks_client_step(&v->client, &in, &v->said);
        must(v->result != SOCKS_MORE || in.len == 0);
        v->used += n - in.len;
        free(copy);
    }
    must(!v->said.overflow);
}

static void check_same(const struct verdict *a, const struct verdict *b)
{
    must(a->result == b->result && a->used == b->used);
    must(slice_eq(buf_slice(&a->said), buf_slice(&b->said)));
    must(a->client.fault == b->client.fault && a->client.reply == b->client.reply);
    must(ip_endpoint_eq(&a->client.bound, &b->client.bound));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {0, 1, 7};
    struct verdict v[ARRAY_COUNT(pieces)];
    struct slice input = slice_of(data, size);
    bool login = size > 0 && (data[0] & 1);
    input = slice_skip(input, size > 0 ? 1 : 0);
    for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
        feed(&v[i], login, input, pieces[i]);
        check_same(&v[0], &v[i]);
    }
    if (v[0].result == SOCKS_FAILED) {
        buf_clear(&v[0].said);
        socks_client_reason(&v[0].client, &v[0].said);
        must(v[0].said.len > 0);
    }
    for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
        buf_deinit(&v[i].said);
    }
    return 0;
}
