/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * TLS contexts of the load tools, and certificates for servers that are measured: made by this code
 * for all of them alike, so that they meet the same key.
 */
#include "bench/option.h"
#include "bench/secure.h"

#include "core/base/clock.h"
#include "core/base/must.h"
#include "core/base/secret.h"

#include <stdio.h>

enum {
    PEM_BYTES_MAX = 16 * 1024,
    PROBLEM_BYTES_MAX = 1024,
    PATH_BYTES = 4096,
};

static void context_complain(struct tls_context *c, const struct buf *problem)
{
    if (c == NULL) {
        bench_complain("TLS: %.*s", SLICE_ARG(buf_slice(problem)));
    }
}

struct tls_context *bench_secure_client(void)
{
    struct buf problem;
    buf_init(&problem, PROBLEM_BYTES_MAX);
    struct tls_context *c =
        tls_context_open_client(&(struct tls_client_config){.policy = TLS_POLICY_ENCRYPT},
                                &problem);
    context_complain(c, &problem);
    buf_deinit(&problem);
    return c;
}

static bool certificate_make(uint64_t rsa_bits, struct buf *chain, struct buf *key)
{
    buf_init(chain, PEM_BYTES_MAX);
    buf_init(key, PEM_BYTES_MAX);
    return tls_certificate_make(&(struct tls_self_signed){.host = SLICE("bench.example.test"),
                                                          .rsa_bits = (unsigned)rsa_bits,
                                                          .wall_us = clock_read().wall_us},
                                chain, key);
}

struct tls_certificate *bench_secure_certificate(uint64_t rsa_bits)
{
    struct buf chain, key, problem;
    struct tls_certificate *pair = NULL;
    buf_init(&problem, PROBLEM_BYTES_MAX);
    if (certificate_make(rsa_bits, &chain, &key)) {
        struct tls_certificate_text text = {SLICE("certificate"), buf_slice(&chain), SLICE("key"),
                                            buf_slice(&key)};
        pair = tls_certificate_parse(&text, clock_read().wall_us, &problem);
    }
    if (pair == NULL) {
        bench_complain("certificate: %.*s", SLICE_ARG(buf_slice(&problem)));
    }
    secret_buf_release(&key);
    buf_deinit(&chain);
    buf_deinit(&problem);
    return pair;
}

struct tls_context *bench_secure_server(const struct tls_certificate *pair)
{
    struct buf problem;
    buf_init(&problem, PROBLEM_BYTES_MAX);
    struct tls_context *c =
        tls_context_open_server(&(struct tls_server_config){.certificates = &pair, .count = 1},
                                &problem);
    context_complain(c, &problem);
    buf_deinit(&problem);
    return c;
}

/* ---- ringpost-bench certificate --------------------------------------------------------- */

struct certificate_options {
    const char *dir;
    uint64_t rsa_bits;
};

static const struct bench_option certificate_rows[] = {
    {"--dir", "DIR", BENCH_OPTION_TEXT, offsetof(struct certificate_options, dir), 0, 0, NULL,
     "where cert.pem and key.pem go (.)"},
    {"--rsa", "BITS", BENCH_OPTION_NUMBER, offsetof(struct certificate_options, rsa_bits), 2048,
     4096, NULL, "an RSA key instead of ECDSA P-256"},
};

static const struct bench_command certificate_command = {
    .name = "certificate",
    .summary = "make a self-signed certificate",
    .options = certificate_rows,
    .option_count = ARRAY_COUNT(certificate_rows),
};

static bool certificate_save(const struct certificate_options *o)
{
    char chain_path[PATH_BYTES], key_path[PATH_BYTES];
    struct buf chain, key, problem;
    (void)snprintf(chain_path, sizeof(chain_path), "%s/cert.pem", o->dir);
    (void)snprintf(key_path, sizeof(key_path), "%s/key.pem", o->dir);
    buf_init(&problem, PROBLEM_BYTES_MAX);
    bool ok = certificate_make(o->rsa_bits, &chain, &key) &&
              tls_certificate_save(chain_path, buf_slice(&chain), key_path, buf_slice(&key),
                                   &problem);
    if (!ok) {
        bench_complain("certificate: %.*s", SLICE_ARG(buf_slice(&problem)));
    }
    secret_buf_release(&key);
    buf_deinit(&chain);
    buf_deinit(&problem);
    return ok;
}

int certificate_main(int argc, char **argv)
{
    struct certificate_options o = {.dir = "."};
    int status = 0;
    if (!bench_options_read(&certificate_command, &o, argc, argv, &status)) {
        return status;
    }
    return certificate_save(&o) ? 0 : 1;
}
