/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a TLS session costs: memory when idle, and processor time beside the bare library in the same
 * run. The numbers are printed; under sanitizers the ratio is not judged (only our half is slowed).
 */
#include "core/base/clock.h"
#include "tests/unit/tls/tls_rig.h"

#include <check.h>
#include <malloc.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#if defined(__SANITIZE_ADDRESS__)
/* gcc brings the function but not its header. */
size_t __sanitizer_get_current_allocated_bytes(void);
enum { SANITIZED = 1 };
static size_t allocated(void)
{
    return __sanitizer_get_current_allocated_bytes();
}
#else
enum { SANITIZED = 0 };
static size_t allocated(void)
{
    return mallinfo2().uordblks;
}
#endif

enum {
    IDLE_SESSIONS = 100,
    IDLE_BYTES_MAX = 20 * 1024,
    HANDSHAKES = SANITIZED ? 20 : 200,
    ROUNDS = 3,
    PIPE_BYTES = 64 * 1024,
};

static struct rig rig;

/* ---- memory --------------------------------------------------------------------------------------- */

static void say(struct rig_link *l, struct slice text)
{
    rig_send(l, &l->client, text);
    rig_send(l, &l->server, text);
    buf_release(&l->client.plain);
    buf_release(&l->server.plain);
    buf_release(&l->client.out);
    buf_release(&l->server.out);
}

/* Full handshake, some talk, then silence; both ends counted apart by closing one kind first. */
static void measure_idle(enum tls_versions versions, const char *what)
{
    const struct tls_certificate *certificates[] = {rig.ecdsa_pair};
    struct tls_tickets *tickets = tls_tickets_open((uint64_t)rig_now_s(), 3600);
    struct tls_context *server = rig_server(&(struct tls_server_config){
        .certificates = certificates, .count = 1, .tickets = tickets, .versions = versions});
    struct tls_context *client = rig_client(
        &(struct tls_client_config){.policy = TLS_POLICY_VERIFY, .trust = rig.trust});
    struct rig_link *links = calloc(IDLE_SESSIONS, sizeof(*links));
    must(links != NULL);
    size_t before = allocated();
    for (size_t i = 0; i < IDLE_SESSIONS; i++) {
        links[i] = rig_connect(client, server, SLICE("mail.example"), NULL);
        rig_run(&links[i]);
        ck_assert(rig_is_open(&links[i]));
        say(&links[i], SLICE("EHLO client.example\r\n"));
    }
    size_t both = allocated() - before;
    for (size_t i = 0; i < IDLE_SESSIONS; i++) {
        rig_end_deinit(&links[i].client);
    }
    size_t servers = allocated() - before;
    printf("idle TLS session (%s): server %zu bytes, client %zu bytes\n", what,
           servers / IDLE_SESSIONS, (both - servers) / IDLE_SESSIONS);
    ck_assert_uint_le(servers / IDLE_SESSIONS, IDLE_BYTES_MAX);
    ck_assert_uint_le((both - servers) / IDLE_SESSIONS, IDLE_BYTES_MAX);
    for (size_t i = 0; i < IDLE_SESSIONS; i++) {
        rig_end_deinit(&links[i].server);
    }
    /* Nothing stays behind: neither sessions in a cache nor certificates of peers. (malloc itself
     * counts what its thread cache holds.) */
    ck_assert(!SANITIZED || allocated() <= before + 4096);
    free(links);
    tls_context_put(&client);
    tls_context_put(&server);
    tls_tickets_put(&tickets);
}

START_TEST(an_idle_session_is_small)
{
    measure_idle(TLS_VERSIONS_ALL, "TLS 1.3");
    measure_idle(TLS_VERSIONS_ONLY_12, "TLS 1.2");
}
END_TEST

/* A record that has begun costs what came of it, not 16 KiB. */
START_TEST(a_stalled_record_is_small)
{
    const struct tls_certificate *certificates[] = {rig.ecdsa_pair};
    struct tls_context *server = rig_server(
        &(struct tls_server_config){.certificates = certificates, .count = 1});
    struct tls_context *client = rig_client(&(struct tls_client_config){.policy = TLS_POLICY_MAY});
    struct rig_link l = rig_connect(client, server, SLICE("mail.example"), NULL);
    rig_run(&l);
    ck_assert(rig_is_open(&l));
    size_t before = allocated();
    ck_assert_uint_eq(tls_stream_feed(l.server.stream, SLICE("\x17\x03\x03\x40\x00stall")), 10);
    rig_drive(&l.server);
    ck_assert_int_eq(l.server.read, TLS_READ_WANT_INPUT);
    ck_assert_uint_le(allocated() - before, 1024);
    rig_hang_up(&l);
    tls_context_put(&client);
    tls_context_put(&server);
}
END_TEST

/* Neither does a connection that has said half a hello: no library object yet. */
START_TEST(a_silent_client_is_small)
{
    const struct tls_certificate *certificates[] = {rig.ecdsa_pair};
    struct tls_context *server = rig_server(
        &(struct tls_server_config){.certificates = certificates, .count = 1});
    struct tls_stream_config config = {.context = server, .wall_us = rig_wall_us()};
    struct rig_end e;
    size_t before = allocated();
    rig_end_init(&e, &config, 4096);
    tls_stream_feed(e.stream, SLICE("\x16\x03\x01\x02\x00\x01"));
    rig_drive(&e);
    ck_assert_int_eq(e.step, TLS_STEP_WANT_INPUT);
    printf("TLS session before its hello: %zu bytes\n", allocated() - before);
    ck_assert_uint_le(allocated() - before, 2048);
    rig_end_deinit(&e);
    tls_context_put(&server);
}
END_TEST

/* ---- handshakes -------------------------------------------------------------------------------------- */

struct bare_pipe {
    char bytes[PIPE_BYTES];
    size_t len, used;
};

static int bare_send(WOLFSSL *ssl, char *src, int size, void *ctx)
{
    struct bare_pipe *p = ctx;
    (void)ssl;
    must(p->len + (size_t)size <= PIPE_BYTES);
    memcpy(p->bytes + p->len, src, (size_t)size);
    p->len += (size_t)size;
    return size;
}

static int bare_recv(WOLFSSL *ssl, char *dst, int size, void *ctx)
{
    struct bare_pipe *p = ctx;
    size_t n = p->len - p->used < (size_t)size ? p->len - p->used : (size_t)size;
    (void)ssl;
    if (n == 0) {
        return WOLFSSL_CBIO_ERR_WANT_READ;
    }
    memcpy(dst, p->bytes + p->used, n);
    p->used += n;
    return (int)n;
}

struct bare {
    WOLFSSL_CTX *client, *server;
    struct bare_pipe up, down;
};

static const char suite[] = "TLS13-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256:"
                            "ECDHE-RSA-AES128-GCM-SHA256";

static WOLFSSL_CTX *bare_context(WOLFSSL_METHOD *method)
{
    int groups[] = {WOLFSSL_ECC_SECP256R1};
    WOLFSSL_CTX *ctx = wolfSSL_CTX_new(method);
    must(ctx && wolfSSL_CTX_set_cipher_list(ctx, suite) == WOLFSSL_SUCCESS &&
         wolfSSL_CTX_set_groups(ctx, groups, 1) == WOLFSSL_SUCCESS &&
         wolfSSL_CTX_set_session_cache_mode(ctx, WOLFSSL_SESS_CACHE_OFF) == WOLFSSL_SUCCESS);
    wolfSSL_CTX_SetIORecv(ctx, bare_recv);
    wolfSSL_CTX_SetIOSend(ctx, bare_send);
    return ctx;
}

static void bare_open(struct bare *b, const struct tls_certificate *pair)
{
    struct slice der = tls_certificate_der(pair, 0), key = tls_certificate_key_der(pair);
    struct slice ca = buf_slice(&rig.ca.der);
    b->server = bare_context(wolfTLS_server_method());
    b->client = bare_context(wolfTLS_client_method());
    must(wolfSSL_CTX_use_certificate_buffer(b->server, (const unsigned char *)der.ptr,
                                            (long)der.len,
                                            WOLFSSL_FILETYPE_ASN1) == WOLFSSL_SUCCESS &&
         wolfSSL_CTX_use_PrivateKey_buffer(b->server, (const unsigned char *)key.ptr, (long)key.len,
                                           WOLFSSL_FILETYPE_ASN1) == WOLFSSL_SUCCESS &&
         wolfSSL_CTX_load_verify_buffer(b->client, (const unsigned char *)ca.ptr, (long)ca.len,
                                        WOLFSSL_FILETYPE_ASN1) == WOLFSSL_SUCCESS);
    wolfSSL_CTX_set_verify(b->client, WOLFSSL_VERIFY_PEER, NULL);
}

static void bare_handshake(struct bare *b)
{
    WOLFSSL *c = wolfSSL_new(b->client), *s = wolfSSL_new(b->server);
    int rc = 0, rs = 0;
    must(c && s);
    b->up.len = b->up.used = b->down.len = b->down.used = 0;
    wolfSSL_SetIOWriteCtx(c, &b->up);
    wolfSSL_SetIOReadCtx(c, &b->down);
    wolfSSL_SetIOWriteCtx(s, &b->down);
    wolfSSL_SetIOReadCtx(s, &b->up);
    must(wolfSSL_check_domain_name(c, "mail.example") == WOLFSSL_SUCCESS);
    must(wolfSSL_UseSNI(c, WOLFSSL_SNI_HOST_NAME, "mail.example", 12) == WOLFSSL_SUCCESS);
    for (unsigned i = 0; i < 8 && (rc != WOLFSSL_SUCCESS || rs != WOLFSSL_SUCCESS); i++) {
        rc = wolfSSL_connect(c);
        rs = wolfSSL_accept(s);
    }
    must(rc == WOLFSSL_SUCCESS && rs == WOLFSSL_SUCCESS);
    wolfSSL_free(c);
    wolfSSL_free(s);
}

static uint64_t time_bare(struct bare *b)
{
    uint64_t start = clock_thread_cpu_us();
    for (unsigned i = 0; i < HANDSHAKES; i++) {
        bare_handshake(b);
    }
    return clock_thread_cpu_us() - start;
}

static uint64_t time_streams(struct tls_context *client, struct tls_context *server)
{
    uint64_t start = clock_thread_cpu_us();
    for (unsigned i = 0; i < HANDSHAKES; i++) {
        struct rig_link l = rig_connect(client, server, SLICE("mail.example"), NULL);
        rig_run(&l);
        must(rig_is_open(&l) &&
             tls_stream_facts(l.client.stream)->verdict.kind == TLS_VERDICT_TRUSTED);
        rig_hang_up(&l);
    }
    return clock_thread_cpu_us() - start;
}

/* Client and server together, taking turns so that both meet the same machine; the best of each. */
static void measure_handshakes(const struct tls_certificate *pair, const char *what)
{
    struct bare *b = calloc(1, sizeof(*b));
    struct tls_tickets *tickets = tls_tickets_open((uint64_t)rig_now_s(), 3600);
    struct tls_context *server = rig_server(
        &(struct tls_server_config){.certificates = &pair, .count = 1, .tickets = tickets});
    struct tls_context *client = rig_client(
        &(struct tls_client_config){.policy = TLS_POLICY_VERIFY, .trust = rig.trust});
    uint64_t bare_us = UINT64_MAX, stream_us = UINT64_MAX;
    must(b != NULL);
    bare_open(b, pair);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t us = time_bare(b);
        bare_us = us < bare_us ? us : bare_us;
        us = time_streams(client, server);
        stream_us = us < stream_us ? us : stream_us;
    }
    double ratio = (double)bare_us / (double)stream_us;
    printf("handshakes/s, both ends on one core (TLS 1.3, %s): library %.0f, stream %.0f, "
           "ratio %.2f\n",
           what, 1e6 * HANDSHAKES / (double)bare_us, 1e6 * HANDSHAKES / (double)stream_us, ratio);
    ck_assert_msg(SANITIZED || ratio >= 0.8, "%s: ratio %.2f", what, ratio);
    wolfSSL_CTX_free(b->client);
    wolfSSL_CTX_free(b->server);
    free(b);
    tls_context_put(&client);
    tls_context_put(&server);
    tls_tickets_put(&tickets);
}

START_TEST(handshakes_cost_what_the_library_costs)
{
    measure_handshakes(rig.ecdsa_pair, "ECDSA P-256");
    measure_handshakes(rig.rsa_pair, "RSA-2048");
}
END_TEST

static void set_up(void)
{
    rig_init(&rig);
}

static void tear_down(void)
{
    rig_deinit(&rig);
}

int main(void)
{
    Suite *s = suite_create("tls/cost");
    TCase *t = tcase_create("cost");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, an_idle_session_is_small);
    tcase_add_test(t, a_stalled_record_is_small);
    tcase_add_test(t, a_silent_client_is_small);
    tcase_add_test(t, handshakes_cost_what_the_library_costs);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
