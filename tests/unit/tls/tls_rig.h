/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * tls_rig - authorities, certificates and two streams that talk to each other in memory
 *
 * Purpose:   what the tests of tls/ and its fuzz target share. Time stands still at RIG_NOW_S.
 * Owner:     the test: make, then free. Errors: must (a test cannot go on without).
 */
#ifndef RINGPOST_TESTS_TLS_RIG_H
#define RINGPOST_TESTS_TLS_RIG_H

#include "core/base/must.h"
#include "core/base/rng.h"
#include "core/base/secret.h"
#include "tls/forge.h"
#include "tls/pem.h"
#include "tls/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RIG_DAY_S = 86400, RIG_BUF_MAX = 4 * 1024 * 1024 };

/* wolfSSL judges tickets by the real clock, so the rig's dates lie around it. */
static inline int64_t rig_now_s(void)
{
    return (int64_t)time(NULL);
}

static inline uint64_t rig_wall_us(void)
{
    return (uint64_t)rig_now_s() * 1000000;
}

/* ---- certificates -------------------------------------------------------------------------------- */

struct rig_cert {
    struct slice name; /* common name */
    struct forge_key *key;
    struct buf der;
};

/* A good certificate for one DNS name (none: empty), to be changed before it is made. */
static inline struct forge_certificate rig_good(struct slice cn, const struct slice *dns, size_t n)
{
    return (struct forge_certificate){
        .subject = cn,
        .dns = dns,
        .dns_count = n,
        .not_before = rig_now_s() - 30 * RIG_DAY_S,
        .not_after = rig_now_s() + 30 * RIG_DAY_S,
        .path_length = FORGE_NO_PATH_LENGTH,
        .usage = FORGE_SIGN,
        .purpose = FORGE_SERVER | FORGE_CLIENT,
        .serial = 1,
    };
}

static inline struct forge_certificate rig_good_ca(struct slice cn)
{
    struct forge_certificate c = rig_good(cn, NULL, 0);
    c.ca = true;
    c.usage = FORGE_SIGN_CERTIFICATES;
    c.purpose = 0;
    return c;
}

/* issuer NULL: signs itself. rsa_bits 0: ECDSA. */
static inline struct rig_cert rig_make(struct forge_certificate c, unsigned rsa_bits,
                                       const struct rig_cert *issuer)
{
    struct rig_cert made = {.name = c.subject, .key = forge_key_make(rsa_bits)};
    must(made.key != NULL);
    buf_init(&made.der, 16 * 1024);
    c.issuer = issuer ? issuer->name : c.subject;
    must(forge_certificate(&c, made.key, issuer ? issuer->key : made.key, &made.der));
    return made;
}

static inline void rig_cert_free(struct rig_cert *c)
{
    forge_key_free(&c->key);
    buf_deinit(&c->der);
}

/* The chain (own certificate first) with the key of the first, as loaded from PEM. */
static inline struct tls_certificate *rig_pair(const struct rig_cert *const *chain, size_t count)
{
    struct buf pem, key, key_pem, problem;
    buf_init(&pem, 128 * 1024);
    buf_init(&key, 8192);
    buf_init(&key_pem, 16384);
    buf_init(&problem, 1024);
    for (size_t i = 0; i < count; i++) {
        tls_pem_add(&pem, SLICE("CERTIFICATE"), buf_slice(&chain[i]->der));
    }
    must(forge_key_der(chain[0]->key, &key));
    tls_pem_add(&key_pem, SLICE("PRIVATE KEY"), buf_slice(&key));
    struct tls_certificate_text text = {SLICE("chain"), buf_slice(&pem), SLICE("key"),
                                        buf_slice(&key_pem)};
    struct tls_certificate *c = tls_certificate_parse(&text, rig_wall_us(), &problem);
    if (!c) {
        fprintf(stderr, "%.*s\n", SLICE_ARG(buf_slice(&problem)));
    }
    must(c != NULL);
    buf_deinit(&pem);
    secret_buf_release(&key);
    secret_buf_release(&key_pem);
    buf_deinit(&problem);
    return c;
}

static inline struct tls_trust *rig_trust(const struct rig_cert *ca)
{
    struct buf pem;
    struct tls_trust *t = tls_trust_open();
    buf_init(&pem, 16384);
    tls_pem_add(&pem, SLICE("CERTIFICATE"), buf_slice(&ca->der));
    must(t != NULL && tls_trust_add_pem(t, buf_slice(&pem)));
    buf_deinit(&pem);
    return t;
}

/* ---- contexts -------------------------------------------------------------------------------------- */

/* An authority, and certificates of it for mail.example (ECDSA, RSA) and for a client. */
struct rig {
    struct rig_cert ca, ecdsa, rsa, client;
    struct tls_certificate *ecdsa_pair, *rsa_pair, *client_pair;
    struct tls_trust *trust;
};

static inline void rig_init(struct rig *r)
{
    static const struct slice host[] = {SLICE_INIT("mail.example")};
    *r = (struct rig){0};
    r->ca = rig_make(rig_good_ca(SLICE("Test CA")), 0, NULL);
    r->ecdsa = rig_make(rig_good(SLICE("mail.example"), host, 1), 0, &r->ca);
    r->rsa = rig_make(rig_good(SLICE("mail.example"), host, 1), 2048, &r->ca);
    r->client = rig_make(rig_good(SLICE("client 7"), NULL, 0), 0, &r->ca);
    r->ecdsa_pair = rig_pair((const struct rig_cert *[]){&r->ecdsa}, 1);
    r->rsa_pair = rig_pair((const struct rig_cert *[]){&r->rsa}, 1);
    r->client_pair = rig_pair((const struct rig_cert *[]){&r->client}, 1);
    r->trust = rig_trust(&r->ca);
}

static inline void rig_deinit(struct rig *r)
{
    tls_certificate_free(&r->ecdsa_pair);
    tls_certificate_free(&r->rsa_pair);
    tls_certificate_free(&r->client_pair);
    rig_cert_free(&r->ca);
    rig_cert_free(&r->ecdsa);
    rig_cert_free(&r->rsa);
    rig_cert_free(&r->client);
    tls_trust_put(&r->trust);
}

static inline struct tls_context *rig_server(const struct tls_server_config *config)
{
    struct buf problem;
    buf_init(&problem, 1024);
    struct tls_context *c = tls_context_open_server(config, &problem);
    must(c != NULL && problem.len == 0);
    buf_deinit(&problem);
    return c;
}

static inline struct tls_context *rig_client(const struct tls_client_config *config)
{
    struct buf problem;
    buf_init(&problem, 1024);
    struct tls_context *c = tls_context_open_client(config, &problem);
    must(c != NULL && problem.len == 0);
    buf_deinit(&problem);
    return c;
}

/* ---- two streams ------------------------------------------------------------------------------------ */

struct rig_end {
    struct tls_stream *stream;
    struct buf out;   /* ciphertext on its way to the other */
    struct buf plain; /* received */
    enum tls_step step;
    enum tls_read read;
    unsigned steps; /* how often step was called with something to do */
};

struct rig_link {
    struct rig_end client, server;
    size_t segment; /* bytes handed over at once; 0: random up to 64 KiB */
    struct rng rng;
};

static inline void rig_end_init(struct rig_end *e, const struct tls_stream_config *config,
                                size_t out_max)
{
    *e = (struct rig_end){.stream = tls_stream_open(config), .step = TLS_STEP_WANT_INPUT};
    must(e->stream != NULL);
    buf_init(&e->out, out_max);
    buf_init(&e->plain, RIG_BUF_MAX);
}

static inline void rig_end_deinit(struct rig_end *e)
{
    tls_stream_close(&e->stream);
    buf_deinit(&e->out);
    buf_deinit(&e->plain);
}

/* out_max: of the buffers that carry the ciphertext. */
static inline struct rig_link rig_connect_narrow(struct tls_context *client,
                                                 struct tls_context *server, struct slice name,
                                                 size_t out_max)
{
    struct rig_link l = {.segment = 64 * 1024};
    struct tls_stream_config c = {.context = client, .wall_us = rig_wall_us(), .server_name = name};
    struct tls_stream_config s = {.context = server, .wall_us = rig_wall_us()};
    rng_init_seed(&l.rng, 7);
    rig_end_init(&l.client, &c, out_max);
    rig_end_init(&l.server, &s, out_max);
    return l;
}

static inline struct rig_link rig_connect(struct tls_context *client, struct tls_context *server,
                                          struct slice name, const struct tls_session *session)
{
    struct rig_link l = rig_connect_narrow(client, server, name, 256 * 1024);
    struct tls_stream_config c = {.context = client,
                                  .wall_us = rig_wall_us(),
                                  .server_name = name,
                                  .session = session};
    if (session) {
        rig_end_deinit(&l.client);
        rig_end_init(&l.client, &c, 256 * 1024);
    }
    return l;
}

static inline void rig_hang_up(struct rig_link *l)
{
    rig_end_deinit(&l->client);
    rig_end_deinit(&l->server);
}

/* Takes everything the stream can give now. */
static inline void rig_drive(struct rig_end *e)
{
    if (e->step == TLS_STEP_WANT_INPUT || e->step == TLS_STEP_WANT_ROOM) {
        bool due = tls_stream_has_work(e->stream);
        e->steps++;
        e->step = tls_stream_step(e->stream, &e->out);
        /* What was not announced is no work. */
        must(due || e->step == TLS_STEP_WANT_INPUT || e->step == TLS_STEP_WANT_ROOM);
    }
    if (e->step == TLS_STEP_DONE) {
        e->read = tls_stream_read(e->stream, &e->plain, RIG_BUF_MAX, &e->out);
    }
}

/* Moves one segment; false: there was none, or the other does not take it. */
static inline bool rig_carry(struct rig_link *l, struct rig_end *from, struct rig_end *to)
{
    size_t n = l->segment ? l->segment : 1 + (size_t)rng_below(&l->rng, 65536);
    struct slice segment = slice_first(buf_slice(&from->out), n);
    if (segment.len == 0) {
        return false;
    }
    size_t taken = tls_stream_feed(to->stream, segment);
    buf_consume(&from->out, taken);
    return taken > 0;
}

/* Until nothing moves any more. */
static inline void rig_run(struct rig_link *l)
{
    bool moved = true;
    rig_drive(&l->client);
    while (moved) {
        bool a = rig_carry(l, &l->client, &l->server);
        rig_drive(&l->server);
        bool b = rig_carry(l, &l->server, &l->client);
        rig_drive(&l->client);
        moved = a || b || l->client.out.len > 0 || l->server.out.len > 0;
        if ((l->client.step == TLS_STEP_FAILED || l->server.step == TLS_STEP_FAILED) && !a && !b) {
            return;
        }
    }
}

static inline bool rig_is_open(const struct rig_link *l)
{
    return l->client.step == TLS_STEP_DONE && l->server.step == TLS_STEP_DONE;
}

/* Sends all of it, by way of the other end. */
static inline void rig_send(struct rig_link *l, struct rig_end *from, struct slice plain)
{
    while (plain.len > 0) {
        size_t n = tls_stream_write(from->stream, plain, &from->out);
        plain = slice_skip(plain, n);
        size_t before = from->out.len;
        rig_run(l);
        must(n > 0 || from->out.len < before);
    }
}

#endif
