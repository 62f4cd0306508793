/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * wolfSSL's own certificate manager stays empty: what a peer's certificate is worth is decided by
 * verdict.c, out of our own store. Verification is still demanded of the library (VERIFY_PEER), so that
 * it asks clients for a certificate and calls back for every chain; with an empty manager it finds no
 * issuer for any of them and can keep none.
 */
#include "tls/context.h"

#include "core/base/must.h"
#include "tls/name.h"
#include "tls/pem.h"
#include "tls/stream_private.h"

#include <stdlib.h>
#include <wolfssl/wolfcrypt/random.h>

enum { CHAIN_PEM_MAX = 512 * 1024, NAMES_MAX = 64 * 1024, CLIENT_SESSION_S = 3600 };

/* RSA below this the library does not even parse into a session; verdict.c asks for more. */
enum { RSA_BITS_LIBRARY_MIN = 1024, ECC_BITS_LIBRARY_MIN = 256 };

static const char suites[] = "TLS13-AES128-GCM-SHA256:TLS13-AES256-GCM-SHA384:"
                             "TLS13-CHACHA20-POLY1305-SHA256:"
                             "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                             "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                             "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

static bool fail(struct buf *problem, const char *what)
{
    buf_addf(problem, "TLS: %s", what);
    return false;
}

static WOLFSSL_METHOD *method_of(bool server, enum tls_versions versions)
{
    switch (versions) {
    case TLS_VERSIONS_ALL:
        return server ? wolfTLS_server_method() : wolfTLS_client_method();
    case TLS_VERSIONS_ONLY_12:
        return server ? wolfTLSv1_2_server_method() : wolfTLSv1_2_client_method();
    case TLS_VERSIONS_ONLY_13:
        return server ? wolfTLSv1_3_server_method() : wolfTLSv1_3_client_method();
    }
    must(false);
}

static bool set_groups(WOLFSSL_CTX *ctx, enum tls_versions versions)
{
    int groups[] = {WOLFSSL_ECC_SECP256R1, WOLFSSL_ECC_X25519, WOLFSSL_ECC_SECP384R1,
                    WOLFSSL_ECC_SECP521R1};
    /* wolfSSL 5.5 (-DRINGPOST_WOLFSSL=system) knows this only for TLS 1.3. */
    if (versions != TLS_VERSIONS_ONLY_12) {
        return wolfSSL_CTX_set_groups(ctx, groups, ARRAY_COUNT(groups)) == WOLFSSL_SUCCESS;
    }
    bool ok = true;
    for (size_t i = 0; i < ARRAY_COUNT(groups); i++) {
        ok = ok && wolfSSL_CTX_UseSupportedCurve(ctx, (word16)groups[i]) == WOLFSSL_SUCCESS;
    }
    return ok;
}

/* Everything that is the same for every context. */
static bool set_common(WOLFSSL_CTX *ctx, enum tls_versions versions, bool verify)
{
    wolfSSL_CTX_SetIORecv(ctx, stream_on_recv);
    wolfSSL_CTX_SetIOSend(ctx, stream_on_send);
    wolfSSL_CTX_set_verify(ctx, verify ? WOLFSSL_VERIFY_PEER : WOLFSSL_VERIFY_NONE,
                           stream_on_verify);
    return wolfSSL_CTX_SetMinVersion(ctx, WOLFSSL_TLSV1_2) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_set_cipher_list(ctx, suites) == WOLFSSL_SUCCESS &&
           set_groups(ctx, versions) &&
           wolfSSL_CTX_set_session_cache_mode(ctx, WOLFSSL_SESS_CACHE_OFF) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_SetMinRsaKey_Sz(ctx, RSA_BITS_LIBRARY_MIN) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_SetMinEccKey_Sz(ctx, ECC_BITS_LIBRARY_MIN) == WOLFSSL_SUCCESS;
}

static bool set_certificate(WOLFSSL_CTX *ctx, const struct tls_certificate *certificate)
{
    struct buf chain;
    struct slice key = tls_certificate_key_der(certificate);
    buf_init(&chain, CHAIN_PEM_MAX);
    for (size_t i = 0; i < tls_certificate_count(certificate); i++) {
        tls_pem_add(&chain, SLICE("CERTIFICATE"), tls_certificate_der(certificate, i));
    }
    bool ok = !chain.overflow &&
              wolfSSL_CTX_use_certificate_chain_buffer(ctx, (const unsigned char *)chain.ptr,
                                                       (long)chain.len) == WOLFSSL_SUCCESS &&
              wolfSSL_CTX_use_PrivateKey_buffer(ctx, (const unsigned char *)key.ptr, (long)key.len,
                                                WOLFSSL_FILETYPE_ASN1) == WOLFSSL_SUCCESS;
    buf_deinit(&chain);
    return ok;
}

static bool set_tickets(WOLFSSL_CTX *ctx, const struct tls_context *c)
{
    /* The callback is there in any case: without it the library would use keys of its own. */
    if (wolfSSL_CTX_set_TicketEncCb(ctx, stream_on_ticket) != WOLFSSL_SUCCESS) {
        return false;
    }
    if (!c->tickets) {
        return wolfSSL_CTX_NoTicketTLSv12(ctx) == WOLFSSL_SUCCESS &&
               (c->versions == TLS_VERSIONS_ONLY_12 || wolfSSL_CTX_no_ticket_TLSv13(ctx) == 0);
    }
    int period_s = (int)tls_tickets_period_s(c->tickets);
    return wolfSSL_CTX_set_TicketHint(ctx, period_s) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_set_timeout(ctx, (unsigned)period_s) >= 0;
}

static bool add_names(struct tls_context_entry *e, const struct tls_certificate *certificate)
{
    struct slice name;
    for (size_t i = 0; (name = tls_certificate_name(certificate, i)).len > 0; i++) {
        if (slice_find_byte(name, '\n') < 0) {
            buf_add(&e->names, name);
            buf_add_byte(&e->names, '\n');
        }
    }
    return !e->names.overflow;
}

static bool open_entry(struct tls_context *c, struct tls_context_entry *e,
                       const struct tls_certificate *certificate)
{
    bool verify = !c->is_server || c->client_cert != TLS_CLIENT_CERT_NONE;
    buf_init(&e->names, NAMES_MAX);
    e->library = wolfSSL_CTX_new(method_of(c->is_server, c->versions));
    if (!e->library || !set_common(e->library, c->versions, verify) ||
        (certificate && !set_certificate(e->library, certificate))) {
        return false;
    }
    if (!c->is_server) {
        /* No tickets of TLS 1.2 (wolfSSL_CTX_UseSessionTicket): a client of wolfSSL that offers one
         * takes any ServerHello for consent, and breaks with a server that has forgotten its keys.
         * Session ids, and the tickets of TLS 1.3, may be refused. */
        return wolfSSL_CTX_set_timeout(e->library, CLIENT_SESSION_S) >= 0;
    }
    e->key = tls_certificate_key(certificate);
    memcpy(e->fingerprint, tls_certificate_fingerprint(certificate), TLS_FINGERPRINT_BYTES);
    if (c->client_cert == TLS_CLIENT_CERT_REQUIRE) {
        wolfSSL_CTX_set_verify(e->library,
                               WOLFSSL_VERIFY_PEER | WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                               stream_on_verify);
    }
    return set_tickets(e->library, c) && add_names(e, certificate);
}

static bool make_id(uint8_t id[TLS_CONTEXT_ID_BYTES])
{
    WC_RNG rng;
    if (wc_InitRng(&rng) != 0) {
        return false;
    }
    bool ok = wc_RNG_GenerateBlock(&rng, id, TLS_CONTEXT_ID_BYTES) == 0;
    wc_FreeRng(&rng);
    return ok;
}

static struct tls_context *make(size_t entries)
{
    struct tls_context *c = calloc(1, sizeof(*c) + entries * sizeof(c->entries[0]));
    /* Counted by the library: the last cleanup frees what it keeps for the process. */
    if (c && (wolfSSL_Init() != WOLFSSL_SUCCESS || !make_id(c->id))) {
        free(c);
        return NULL;
    }
    if (c) {
        atomic_init(&c->references, 1);
    }
    return c;
}

struct tls_context *tls_context_open_server(const struct tls_server_config *config,
                                            struct buf *problem)
{
    must(config->client_cert == TLS_CLIENT_CERT_NONE || config->client_trust != NULL);
    if (config->count == 0 || config->count > TLS_CONTEXT_CERTIFICATES_MAX) {
        (void)fail(problem, config->count ? "more than 64 certificates for one listener"
                                          : "a listener needs a certificate");
        return NULL;
    }
    struct tls_context *c = make(config->count);
    if (!c) {
        (void)fail(problem, "no memory or no randomness");
        return NULL;
    }
    c->is_server = true;
    c->versions = config->versions;
    c->client_cert = config->client_cert;
    if (config->client_cert != TLS_CLIENT_CERT_NONE) {
        c->trust = tls_trust_get(config->client_trust);
    } else if (config->tickets) {
        c->tickets = tls_tickets_get(config->tickets);
    }
    for (size_t i = 0; i < config->count; i++) {
        c->count++;
        if (!open_entry(c, &c->entries[i], config->certificates[i])) {
            (void)fail(problem, "the library refuses the certificate or its key");
            tls_context_put(&c);
            return NULL;
        }
    }
    return c;
}

struct tls_context *tls_context_open_client(const struct tls_client_config *config,
                                            struct buf *problem)
{
    must(config->policy >= TLS_POLICY_MAY && config->policy <= TLS_POLICY_VERIFY);
    struct tls_context *c = make(1);
    if (!c) {
        (void)fail(problem, "no memory or no randomness");
        return NULL;
    }
    c->versions = config->versions;
    c->policy = config->policy;
    c->rsa_bits_min = config->rsa_bits_min;
    c->trust = config->trust ? tls_trust_get(config->trust) : NULL;
    c->count = 1;
    if (!open_entry(c, &c->entries[0], config->certificate)) {
        (void)fail(problem, config->certificate ? "the library refuses the client certificate"
                                                : "no memory");
        tls_context_put(&c);
        return NULL;
    }
    return c;
}

struct tls_context *tls_context_get(struct tls_context *c)
{
    must(atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed) > 0);
    return c;
}

void tls_context_put(struct tls_context **c)
{
    struct tls_context *old = *c;
    *c = NULL;
    if (!old || atomic_fetch_sub_explicit(&old->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < old->count; i++) {
        wolfSSL_CTX_free(old->entries[i].library);
        buf_deinit(&old->entries[i].names);
    }
    tls_trust_put(&old->trust);
    tls_tickets_put(&old->tickets);
    free(old);
    must(wolfSSL_Cleanup() == WOLFSSL_SUCCESS);
}

bool tls_context_is_server(const struct tls_context *c)
{
    return c->is_server;
}
