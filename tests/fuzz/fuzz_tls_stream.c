/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: hostile input to TLS. The first byte chooses what the rest is:
 *   0  what a client says to our server (hello, records), whole, in single bytes, in random pieces: the
 *      outcome must be the same, and nothing may be read as data before a handshake is finished;
 *   1  what a server says to our client, likewise;
 *   2  what goes wrong on the way between our client and our server: edits (direction, place, bits)
 *      and segment sizes; data may arrive only unchanged, in order, and from the beginning;
 *   3  a certificate: DER, and PEM, to the verdict and to the loaders.
 * The library's randomness is its own, so ciphertext differs from run to run; the verdicts do not.
 */
#include "tests/unit/tls/tls_rig.h"
#include "tls/verdict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SAID_BYTES = 5000, INPUT_MAX = 64 * 1024 };

struct fuzz {
    struct rig rig;
    struct tls_context *server, *client;
    char said[SAID_BYTES];
};

static struct fuzz *fuzz_world(void)
{
    static struct fuzz *w;
    if (!w) {
        w = calloc(1, sizeof(*w));
        must(w != NULL);
        rig_init(&w->rig);
        const struct tls_certificate *certificates[] = {w->rig.ecdsa_pair, w->rig.rsa_pair};
        w->server = rig_server(
            &(struct tls_server_config){.certificates = certificates, .count = 2});
        w->client = rig_client(
            &(struct tls_client_config){.policy = TLS_POLICY_VERIFY, .trust = w->rig.trust});
        for (size_t i = 0; i < SAID_BYTES; i++) {
            w->said[i] = (char)(i * 7 + i / 256);
        }
    }
    return w;
}

/* ---- one side alone --------------------------------------------------------------------------------- */

static struct tls_failure run_alone(struct tls_context *context, struct slice input, size_t segment)
{
    struct tls_stream_config config = {.context = context,
                                       .wall_us = rig_wall_us(),
                                       .server_name = tls_context_is_server(context)
                                                          ? (struct slice){0}
                                                          : SLICE("mail.example")};
    struct rig_end e;
    struct rng rng;
    rng_init_seed(&rng, input.len);
    rig_end_init(&e, &config, 64 * 1024);
    rig_drive(&e);
    while (input.len > 0 && e.step != TLS_STEP_FAILED) {
        size_t n = segment ? segment : 1 + (size_t)rng_below(&rng, 50);
        n = tls_stream_feed(e.stream, slice_first(input, n));
        input = slice_skip(input, n);
        rig_drive(&e);
        must(n > 0 || e.step == TLS_STEP_FAILED);
        must(e.step != TLS_STEP_DONE && e.plain.len == 0);
        must(e.out.len <= 64 * 1024);
    }
    tls_stream_eof(e.stream);
    struct tls_failure failure = *tls_stream_error(e.stream);
    must(failure.kind != TLS_ERROR_NONE && failure.text[0] != '\0');
    must(!tls_stream_facts(e.stream)->done);
    rig_end_deinit(&e);
    return failure;
}

static void fuzz_alone(struct tls_context *context, struct slice input)
{
    struct tls_failure whole = run_alone(context, input, INPUT_MAX);
    struct tls_failure bytes = run_alone(context, input, 1);
    struct tls_failure pieces = run_alone(context, input, 0);
    must(whole.kind == bytes.kind && whole.kind == pieces.kind);
    must(whole.alert == bytes.alert && whole.alert == pieces.alert);
}

/* ---- both, with somebody between ---------------------------------------------------------------------- */

/* The next edit: two bytes of place (top bit: which direction), one of bits. */
static void edit(struct rig_link *l, struct slice *script)
{
    if (script->len < 3) {
        return;
    }
    const uint8_t *p = (const uint8_t *)script->ptr;
    struct buf *out = p[0] & 0x80 ? &l->server.out : &l->client.out;
    size_t at = (size_t)(p[0] & 0x7F) << 8 | p[1];
    if (at < out->len) {
        out->ptr[at] = (char)(out->ptr[at] ^ p[2]);
    }
    l->segment = 1 + (size_t)p[1] * 17;
    *script = slice_skip(*script, 3);
}

static void check_said(const struct fuzz *w, const struct rig_end *e)
{
    must(e->plain.len <= SAID_BYTES);
    must(e->plain.len == 0 || memcmp(e->plain.ptr, w->said, e->plain.len) == 0);
    must(e->plain.len == 0 || tls_stream_facts(e->stream)->done);
}

static void fuzz_between(struct fuzz *w, struct slice script)
{
    struct rig_link l = rig_connect(w->client, w->server, SLICE("mail.example"), NULL);
    struct slice said = slice_of(w->said, SAID_BYTES), up = said, down = said;
    for (unsigned i = 0; i < 400; i++) {
        rig_drive(&l.client);
        rig_drive(&l.server);
        if (l.client.step == TLS_STEP_DONE && l.client.read != TLS_READ_FAILED) {
            up = slice_skip(up,
                            tls_stream_write(l.client.stream, slice_first(up, 700), &l.client.out));
        }
        if (l.server.step == TLS_STEP_DONE && l.server.read != TLS_READ_FAILED) {
            down = slice_skip(down, tls_stream_write(l.server.stream, slice_first(down, 900),
                                                     &l.server.out));
        }
        edit(&l, &script);
        bool a = rig_carry(&l, &l.client, &l.server), b = rig_carry(&l, &l.server, &l.client);
        if (!a && !b) {
            break;
        }
        must(!tls_stream_facts(l.client.stream)->done ||
             tls_stream_facts(l.client.stream)->verdict.kind == TLS_VERDICT_TRUSTED);
    }
    rig_drive(&l.client);
    rig_drive(&l.server);
    check_said(w, &l.client);
    check_said(w, &l.server);
    rig_hang_up(&l);
}

/* ---- certificates ---------------------------------------------------------------------------------------- */

static void fuzz_certificate(struct fuzz *w, struct slice input)
{
    struct slice chain[3] = {input, slice_skip(input, input.len / 2), buf_slice(&w->rig.ca.der)};
    struct tls_verdict_question q = {.chain = chain,
                                     .count = 3,
                                     .trust = w->rig.trust,
                                     .name = SLICE("mail.example"),
                                     .wall_us = rig_wall_us()};
    struct buf problem;
    /* Nothing that a fuzzer makes is signed by our authority. */
    must(tls_verdict_of(&q).kind != TLS_VERDICT_TRUSTED);
    q.chain = (struct slice[]){buf_slice(&w->rig.ecdsa.der), input};
    q.count = 2;
    must(tls_verdict_of(&q).kind == TLS_VERDICT_TRUSTED);
    buf_init(&problem, 1024);
    struct tls_certificate_text text = {SLICE("c"), input, SLICE("k"), input};
    struct tls_certificate *c = tls_certificate_parse(&text, rig_wall_us(), &problem);
    must(c != NULL || problem.len > 0);
    tls_certificate_free(&c);
    struct tls_trust *t = tls_trust_open();
    (void)tls_trust_add_pem(t, input);
    q.trust = t;
    (void)tls_verdict_of(&q);
    tls_trust_put(&t);
    buf_deinit(&problem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz *w = fuzz_world();
    if (size == 0 || size > INPUT_MAX) {
        return 0;
    }
    struct slice input = slice_of(data + 1, size - 1);
    switch (data[0] & 3) {
    case 0:
        fuzz_alone(w->server, input);
        break;
    case 1:
        fuzz_alone(w->client, input);
        break;
    case 2:
        fuzz_between(w, input);
        break;
    default:
        fuzz_certificate(w, input);
        break;
    }
    return 0;
}
