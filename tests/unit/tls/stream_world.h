/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * stream_world - a server with two certificates, and clients for it
 *
 * Purpose:   what the tests of streams share.
 * Owner:     set_up and tear_down, as a fixture of the whole case. Thread: the test's.
 */
#ifndef RINGPOST_TESTS_TLS_STREAM_WORLD_H
#define RINGPOST_TESTS_TLS_STREAM_WORLD_H

#include "tests/unit/tls/tls_rig.h"
#include "tls/stream_private.h"

#include <check.h>

static struct rig rig;
static struct tls_context *server, *client, *client12;

static inline void set_up(void)
{
    rig_init(&rig);
    const struct tls_certificate *certificates[] = {rig.ecdsa_pair, rig.rsa_pair};
    server = rig_server(&(struct tls_server_config){.certificates = certificates, .count = 2});
    client = rig_client(
        &(struct tls_client_config){.policy = TLS_POLICY_VERIFY, .trust = rig.trust});
    client12 = rig_client(&(struct tls_client_config){.policy = TLS_POLICY_VERIFY,
                                                      .trust = rig.trust,
                                                      .versions = TLS_VERSIONS_ONLY_12});
}

static inline void tear_down(void)
{
    tls_context_put(&server);
    tls_context_put(&client);
    tls_context_put(&client12);
    rig_deinit(&rig);
}

static inline struct rig_link opened(struct tls_context *c)
{
    struct rig_link l = rig_connect(c, server, SLICE("mail.example"), NULL);
    rig_run(&l);
    ck_assert(rig_is_open(&l));
    return l;
}

static inline struct slice noise(struct buf *b, size_t n)
{
    struct rng rng;
    rng_init_seed(&rng, n);
    buf_init(b, n + 1);
    for (size_t i = 0; i < n; i++) {
        buf_add_byte(b, (char)rng_u64(&rng));
    }
    return buf_slice(b);
}

#endif
