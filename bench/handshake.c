/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The client checks nobody's certificate at either layer; our streams still judge it, which the bare
 * library does not: the comparison is not in our favour.
 */
#include "bench/handshake.h"

#include "bench/option.h"
#include "bench/secure.h"

#include "core/base/clock.h"
#include "core/base/must.h"

#include <stdio.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

enum {
    HANDSHAKE_ROUNDS = 3,
    HANDSHAKE_TURNS_MAX = 16,
    HANDSHAKE_PIPE_BYTES = 64 * 1024,
};

struct handshake {
    const struct tls_certificate *pair;
    struct tls_context *client, *server;
    WOLFSSL_CTX *bare_client, *bare_server;
    struct buf up, down;
};

/* ---- the bare library -------------------------------------------------------------------- */

static int bare_send(WOLFSSL *ssl, char *src, int size, void *ctx)
{
    (void)ssl;
    buf_add(ctx, slice_of(src, (size_t)size));
    return size;
}

static int bare_recv(WOLFSSL *ssl, char *dst, int size, void *ctx)
{
    struct buf *b = ctx;
    struct slice got = slice_first(buf_slice(b), (size_t)size);
    (void)ssl;
    if (got.len == 0) {
        return WOLFSSL_CBIO_ERR_WANT_READ;
    }
    memcpy(dst, got.ptr, got.len);
    buf_consume(b, got.len);
    return (int)got.len;
}

static WOLFSSL_CTX *bare_context(WOLFSSL_METHOD *method)
{
    int groups[] = {WOLFSSL_ECC_SECP256R1};
    WOLFSSL_CTX *ctx = wolfSSL_CTX_new(method);
    if (ctx != NULL) {
        wolfSSL_CTX_SetIORecv(ctx, bare_recv);
        wolfSSL_CTX_SetIOSend(ctx, bare_send);
        wolfSSL_CTX_set_verify(ctx, WOLFSSL_VERIFY_NONE, NULL);
        (void)wolfSSL_CTX_set_groups(ctx, groups, 1);
        (void)wolfSSL_CTX_set_cipher_list(ctx, "TLS13-AES128-GCM-SHA256");
        (void)wolfSSL_CTX_set_session_cache_mode(ctx, WOLFSSL_SESS_CACHE_OFF);
    }
    return ctx;
}

static bool bare_open(struct handshake *h)
{
    struct slice der = tls_certificate_der(h->pair, 0), key = tls_certificate_key_der(h->pair);
    h->bare_server = bare_context(wolfTLS_server_method());
    h->bare_client = bare_context(wolfTLS_client_method());
    return h->bare_server && h->bare_client &&
           wolfSSL_CTX_use_certificate_buffer(h->bare_server, (const unsigned char *)der.ptr,
                                              (long)der.len,
                                              WOLFSSL_FILETYPE_ASN1) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_use_PrivateKey_buffer(h->bare_server, (const unsigned char *)key.ptr,
                                             (long)key.len,
                                             WOLFSSL_FILETYPE_ASN1) == WOLFSSL_SUCCESS;
}

static bool bare_handshake(struct handshake *h)
{
    WOLFSSL *c = wolfSSL_new(h->bare_client), *s = wolfSSL_new(h->bare_server);
    bool done = false;
    if (c != NULL && s != NULL) {
        wolfSSL_SetIOWriteCtx(c, &h->up);
        wolfSSL_SetIOReadCtx(c, &h->down);
        wolfSSL_SetIOWriteCtx(s, &h->down);
        wolfSSL_SetIOReadCtx(s, &h->up);
    }
    for (unsigned i = 0; c && s && !done && i < HANDSHAKE_TURNS_MAX; i++) {
        bool client_done = wolfSSL_connect(c) == WOLFSSL_SUCCESS;
        done = wolfSSL_accept(s) == WOLFSSL_SUCCESS && client_done;
    }
    wolfSSL_free(c);
    wolfSSL_free(s);
    return done;
}

/* ---- our streams ------------------------------------------------------------------------- */

/* Gives the stream what came and lets it go on; true when its handshake is finished. */
static bool stream_turn(struct tls_stream *s, struct buf *in, struct buf *out)
{
    buf_consume(in, tls_stream_feed(s, buf_slice(in)));
    return tls_stream_step(s, out) == TLS_STEP_DONE;
}

static bool stream_handshake(struct handshake *h)
{
    uint64_t wall_us = clock_read().wall_us;
    struct tls_stream *c = tls_stream_open(
        &(struct tls_stream_config){.context = h->client, .wall_us = wall_us});
    struct tls_stream *s = tls_stream_open(
        &(struct tls_stream_config){.context = h->server, .wall_us = wall_us});
    bool client_done = false, server_done = false;
    for (unsigned i = 0; c && s && !(client_done && server_done) && i < HANDSHAKE_TURNS_MAX; i++) {
        client_done = client_done || stream_turn(c, &h->down, &h->up);
        server_done = server_done || stream_turn(s, &h->up, &h->down);
    }
    tls_stream_close(&c);
    tls_stream_close(&s);
    return client_done && server_done;
}

/* ---- measuring --------------------------------------------------------------------------- */

/* The better of *best and of this round; false when a handshake failed. */
static bool handshake_round(struct handshake *h, bool (*shake)(struct handshake *h), uint64_t count,
                            double *best)
{
    uint64_t start_us = clock_thread_cpu_us();
    for (uint64_t i = 0; i < count; i++) {
        buf_clear(&h->up);
        buf_clear(&h->down);
        if (!shake(h)) {
            bench_complain("handshake: one failed");
            return false;
        }
    }
    uint64_t us = clock_thread_cpu_us() - start_us;
    double rate = (double)count * 1e6 / (double)(us ? us : 1);
    *best = rate > *best ? rate : *best;
    return true;
}

static bool handshake_run(struct handshake *h, uint64_t count, struct handshake_rates *out)
{
    bool ok = bare_open(h);
    *out = (struct handshake_rates){0};
    for (unsigned i = 0; ok && i < HANDSHAKE_ROUNDS; i++) {
        ok = handshake_round(h, bare_handshake, count, &out->library) &&
             handshake_round(h, stream_handshake, count, &out->streams);
    }
    wolfSSL_CTX_free(h->bare_client);
    wolfSSL_CTX_free(h->bare_server);
    return ok;
}

bool bench_handshake_measure(uint64_t rsa_bits, uint64_t count, struct handshake_rates *out)
{
    struct tls_certificate *pair = bench_secure_certificate(rsa_bits);
    must(count > 0);
    if (pair == NULL) {
        return false;
    }
    struct handshake h = {
        .pair = pair,
        .client = bench_secure_client(),
        .server = bench_secure_server(pair),
    };
    buf_init(&h.up, HANDSHAKE_PIPE_BYTES);
    buf_init(&h.down, HANDSHAKE_PIPE_BYTES);
    bool ok = h.client && h.server && handshake_run(&h, count, out);
    tls_context_put(&h.client);
    tls_context_put(&h.server);
    tls_certificate_free(&pair);
    buf_deinit(&h.up);
    buf_deinit(&h.down);
    return ok;
}

/* ---- ringpost-bench handshake ------------------------------------------------------------ */

struct handshake_options {
    uint64_t count;
};

static const struct bench_option handshake_rows[] = {
    {"--count", "N", BENCH_OPTION_NUMBER, offsetof(struct handshake_options, count), 1, 1000000,
     NULL, "handshakes per round and key (300)"},
};

static const struct bench_command handshake_command = {
    .name = "handshake",
    .summary = "TLS handshakes of our streams beside the bare library's; JSON on stdout",
    .options = handshake_rows,
    .option_count = ARRAY_COUNT(handshake_rows),
};

int handshake_main(int argc, char **argv)
{
    static const struct {
        const char *name;
        uint64_t rsa_bits;
    } keys[] = {{"ECDSA P-256", 0}, {"RSA-2048", 2048}};
    struct handshake_options o = {.count = 300};
    int status = 0;
    if (!bench_options_read(&handshake_command, &o, argc, argv, &status)) {
        return status;
    }
    const char *comma = "";
    printf("{");
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        struct handshake_rates r;
        if (!bench_handshake_measure(keys[i].rsa_bits, o.count, &r)) {
            return 1;
        }
        printf("%s\"%s\":{\"library\":%.0f,\"streams\":%.0f,\"ratio\":%.2f}", comma, keys[i].name,
               r.library, r.streams, r.streams / r.library);
        comma = ",";
    }
    printf("}\n");
    return 0;
}
