/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which certificate, which version, who may resume what, and client certificates.
 */
#include "tests/unit/tls/tls_rig.h"
#include "tls/context_private.h"

#include <check.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

enum { PERIOD_S = 3600 };

static struct rig rig;

static void set_up(void)
{
    rig_init(&rig);
}

static void tear_down(void)
{
    rig_deinit(&rig);
}

static struct tls_tickets *tickets_now(void)
{
    return tls_tickets_open((uint64_t)rig_now_s(), PERIOD_S);
}

static struct tls_context *plain_server(const struct tls_certificate *c,
                                        struct tls_tickets *tickets, enum tls_versions versions)
{
    return rig_server(&(struct tls_server_config){
        .certificates = &c, .count = 1, .tickets = tickets, .versions = versions});
}

static struct tls_context *plain_client(enum tls_versions versions)
{
    return rig_client(&(struct tls_client_config){.policy = TLS_POLICY_VERIFY,
                                                  .trust = rig.trust,
                                                  .versions = versions});
}

/* ---- the choice of the certificate ------------------------------------------------------------------------ */

static struct tls_certificate *certificate_for(const struct slice *dns, size_t n, unsigned rsa_bits)
{
    struct rig_cert c = rig_make(rig_good(SLICE("c"), dns, n), rsa_bits, &rig.ca);
    struct tls_certificate *pair = rig_pair((const struct rig_cert *[]){&c}, 1);
    rig_cert_free(&c);
    return pair;
}

enum {
    ALL12 = 1 << TLS_KEY_RSA | 1 << TLS_KEY_P256,
    RSA_ONLY = 1 << TLS_KEY_RSA,
    ECDSA_ONLY = 1 << TLS_KEY_P256,
};

/* Certificates: 0 RSA a.example, 1 ECDSA a.example, 2 ECDSA *.b.example, 3 RSA c.example + d.example. */
static const struct {
    const char *sni;
    uint8_t keys;
    int chosen; /* -1: none */
} choices[] = {
    {"", ALL12, 1},
    {"", RSA_ONLY, 0},
    {"", ECDSA_ONLY, 1},
    {"a.example", ALL12, 1},
    {"a.example", RSA_ONLY, 0},
    {"x.b.example", ALL12, 2},
    {"x.b.example", RSA_ONLY, 0}, /* better another name than no encryption */
    {"x.y.b.example", ALL12, 1},
    {"c.example", ALL12, 3},
    {"d.example", ALL12, 3},
    {"d.example", ECDSA_ONLY, 1},
    {"unknown.example", ALL12, 1},
    {"a.example", 1 << TLS_KEY_P384, -1},
    {"a.example", 0, -1},
};

START_TEST(sni_and_algorithms_choose)
{
    const struct slice a = SLICE("a.example"), b = SLICE("*.b.example"),
                       cd[] = {SLICE("c.example"), SLICE("d.example")};
    struct tls_certificate *c[] = {certificate_for(&a, 1, 2048), certificate_for(&a, 1, 0),
                                   certificate_for(&b, 1, 0), certificate_for(cd, 2, 2048)};
    struct tls_context *s = rig_server(
        &(struct tls_server_config){.certificates = (const struct tls_certificate *const *)c,
                                    .count = ARRAY_COUNT(c)});
    for (size_t i = 0; i < ARRAY_COUNT(choices); i++) {
        for (unsigned tls13 = 0; tls13 < 2; tls13++) {
            struct tls_hello h = {.version_max = tls13 ? 0x0304 : 0x0303, .version_min = 0x0303};
            struct slice sni = slice_str(choices[i].sni);
            h.keys_tls12 = tls13 ? 0 : choices[i].keys;
            h.keys_tls13 = tls13 ? choices[i].keys : 0;
            h.server_name_len = (uint8_t)sni.len;
            memcpy(h.server_name, sni.ptr, sni.len);
            const struct tls_context_entry *e = tls_context_choose(s, &h);
            ck_assert_msg((e ? (int)(e - s->entries) : -1) == choices[i].chosen, "%s: %d",
                          choices[i].sni, e ? (int)(e - s->entries) : -1);
        }
    }
    /* And what a client really sees. */
    struct tls_context *client = plain_client(TLS_VERSIONS_ALL);
    static const char *const good[] = {"a.example", "x.b.example", "c.example", "d.example"};
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        struct rig_link l = rig_connect(client, s, slice_str(good[i]), NULL);
        rig_run(&l);
        ck_assert_msg(rig_is_open(&l), "%s", good[i]);
        rig_hang_up(&l);
    }
    tls_context_put(&client);
    tls_context_put(&s);
    for (size_t i = 0; i < ARRAY_COUNT(c); i++) {
        tls_certificate_free(&c[i]);
    }
}
END_TEST

/* ---- versions -------------------------------------------------------------------------------------------------- */

START_TEST(versions_meet_or_say_so)
{
    for (enum tls_versions a = TLS_VERSIONS_ALL; a <= TLS_VERSIONS_ONLY_13; a++) {
        for (enum tls_versions b = TLS_VERSIONS_ALL; b <= TLS_VERSIONS_ONLY_13; b++) {
            struct tls_context *s = plain_server(rig.ecdsa_pair, NULL, a), *c = plain_client(b);
            struct rig_link l = rig_connect(c, s, SLICE("mail.example"), NULL);
            bool common = a == TLS_VERSIONS_ALL || b == TLS_VERSIONS_ALL || a == b;
            bool only12 = a == TLS_VERSIONS_ONLY_12 || b == TLS_VERSIONS_ONLY_12;
            rig_run(&l);
            ck_assert_msg(rig_is_open(&l) == common, "%d %d", (int)a, (int)b);
            if (common) {
                ck_assert_str_eq(tls_stream_facts(l.client.stream)->version,
                                 only12 ? "TLSv1.2" : "TLSv1.3");
            } else {
                ck_assert_int_eq(tls_stream_error(l.server.stream)->kind, TLS_ERROR_VERSION);
                ck_assert_int_eq(tls_stream_error(l.client.stream)->kind, TLS_ERROR_ALERT);
                ck_assert_int_eq(tls_stream_error(l.client.stream)->alert, 70);
            }
            rig_hang_up(&l);
            tls_context_put(&c);
            tls_context_put(&s);
        }
    }
}
END_TEST

/* ---- resumption --------------------------------------------------------------------------------------------------- */

/* A client that also offers tickets of TLS 1.2, as other libraries' do (ours does not: context.c). */
static struct tls_context *ticket_client(enum tls_versions versions)
{
    struct tls_context *c = plain_client(versions);
    ck_assert_int_eq(wolfSSL_CTX_UseSessionTicket(c->entries[0].library), WOLFSSL_SUCCESS);
    return c;
}

/* Did the server resume it? (This library's client breaks when a TLS 1.2 ticket is refused, so only
 * the server is asked.) */
static bool resumes(struct tls_context *client, struct tls_context *server, const char *name,
                    const struct tls_session *session)
{
    struct rig_link l = rig_connect(client, server, slice_str(name), session);
    rig_run(&l);
    bool resumed = l.server.step == TLS_STEP_DONE && tls_stream_facts(l.server.stream)->resumed;
    ck_assert(!resumed || rig_is_open(&l));
    ck_assert(resumed || rig_is_open(&l) ||
              tls_stream_error(l.server.stream)->kind == TLS_ERROR_ALERT);
    rig_hang_up(&l);
    return resumed;
}

/* One connection; returns the session it leaves, *resumed as both sides see it. */
static struct tls_session *visit(struct tls_context *client, struct tls_context *server,
                                 const char *name, const struct tls_session *session, bool *resumed)
{
    struct rig_link l = rig_connect(client, server, slice_str(name), session);
    rig_run(&l);
    ck_assert_msg(rig_is_open(&l), "%s | %s", tls_stream_error(l.client.stream)->text,
                  tls_stream_error(l.server.stream)->text);
    rig_send(&l, &l.server, SLICE("220 hello\r\n"));
    const struct tls_facts *c = tls_stream_facts(l.client.stream);
    ck_assert(c->resumed == tls_stream_facts(l.server.stream)->resumed);
    ck_assert_int_eq(c->verdict.kind, TLS_VERDICT_TRUSTED);
    ck_assert_mem_eq(c->peer_fingerprint, tls_certificate_fingerprint(rig.ecdsa_pair),
                     TLS_FINGERPRINT_BYTES);
    *resumed = c->resumed;
    struct tls_session *left = tls_stream_session(l.client.stream);
    rig_hang_up(&l);
    return left;
}

static const enum tls_versions both[] = {TLS_VERSIONS_ONLY_12, TLS_VERSIONS_ONLY_13};

START_TEST(a_listener_resumes_its_own_sessions)
{
    struct tls_tickets *tickets = tickets_now();
    struct tls_context *s = plain_server(rig.ecdsa_pair, tickets, both[_i]);
    struct tls_context *c = ticket_client(both[_i]);
    bool resumed;
    struct tls_session *one = visit(c, s, "mail.example", NULL, &resumed), *next;
    ck_assert_ptr_nonnull(one);
    ck_assert(!resumed);
    /* The same one for several connections, and each leaves another. */
    for (unsigned i = 0; i < 3; i++) {
        next = visit(c, s, "mail.example", one, &resumed);
        ck_assert(resumed);
        ck_assert_ptr_nonnull(next);
        tls_session_free(&next);
    }
    /* After a reload of the same certificate (a new context), still. */
    tls_context_put(&s);
    s = plain_server(rig.ecdsa_pair, tickets, both[_i]);
    next = visit(c, s, "MAIL.example.", one, &resumed);
    ck_assert(resumed);
    tls_session_free(&next);
    tls_session_free(&one);
    tls_context_put(&c);
    tls_context_put(&s);
    tls_tickets_put(&tickets);
}
END_TEST

/* Reliability C7: by ticket (1.2), by PSK (1.3), and by session id (1.2 without tickets). */
START_TEST(no_listener_resumes_sessions_of_another)
{
    struct tls_tickets *a_tickets = tickets_now(), *b_tickets = tickets_now();
    bool by_id = _i == 2, resumed;
    enum tls_versions v = by_id ? TLS_VERSIONS_ONLY_12 : both[_i];
    struct tls_context *a = plain_server(rig.ecdsa_pair, by_id ? NULL : a_tickets, v);
    struct tls_context *b = plain_server(rig.ecdsa_pair, by_id ? NULL : b_tickets, v);
    struct tls_context *c = by_id ? plain_client(v) : ticket_client(v);
    struct tls_session *of_b = visit(c, b, "mail.example", NULL, &resumed);
    struct tls_session *of_a = visit(c, a, "mail.example", NULL, &resumed);
    ck_assert_ptr_nonnull(of_a);
    ck_assert(!resumes(c, b, "mail.example", of_a));
    ck_assert(!resumes(c, a, "mail.example", of_b));
    /* The session is fine: at home it resumes. Without tickets there is no resumption at all. */
    ck_assert(resumes(c, a, "mail.example", of_a) == !by_id);
    ck_assert(resumes(c, b, "mail.example", of_b) == !by_id);
    tls_session_free(&of_a);
    tls_session_free(&of_b);
    tls_context_put(&a);
    tls_context_put(&b);
    tls_context_put(&c);
    tls_tickets_put(&a_tickets);
    tls_tickets_put(&b_tickets);
}
END_TEST

START_TEST(tickets_grow_old)
{
    struct tls_tickets *tickets = tickets_now();
    struct tls_context *s = plain_server(rig.ecdsa_pair, tickets, both[_i]);
    struct tls_context *c = ticket_client(both[_i]);
    uint64_t now_s = (uint64_t)rig_now_s();
    bool resumed;
    struct tls_session *one = visit(c, s, "mail.example", NULL, &resumed);
    ck_assert(tls_tickets_tick(tickets, now_s + PERIOD_S));
    ck_assert(resumes(c, s, "mail.example", one));
    ck_assert(tls_tickets_tick(tickets, now_s + 2 * PERIOD_S));
    ck_assert(!resumes(c, s, "mail.example", one));
    tls_session_free(&one);
    tls_context_put(&c);
    tls_context_put(&s);
    tls_tickets_put(&tickets);
}
END_TEST

/* What a client gets back when its session is refused is an ordinary connection. */
START_TEST(a_refused_session_costs_nothing)
{
    struct tls_tickets *old = tickets_now(), *fresh = tickets_now();
    struct tls_context *before = plain_server(rig.ecdsa_pair, old, both[_i]);
    struct tls_context *after = plain_server(rig.ecdsa_pair, fresh, both[_i]);
    struct tls_context *c = plain_client(both[_i]);
    bool resumed;
    struct tls_session *one = visit(c, before, "mail.example", NULL, &resumed), *next;
    ck_assert_ptr_nonnull(one);
    next = visit(c, after, "mail.example", one, &resumed);
    ck_assert(!resumed);
    tls_session_free(&next);
    tls_session_free(&one);
    tls_context_put(&c);
    tls_context_put(&before);
    tls_context_put(&after);
    tls_tickets_put(&old);
    tls_tickets_put(&fresh);
}
END_TEST

/* A session is worth what it was for this name, this context and this certificate. */
START_TEST(sessions_do_not_travel)
{
    const struct slice two[] = {SLICE("mail.example"), SLICE("other.example")};
    struct rig_cert cert = rig_make(rig_good(SLICE("two"), two, 2), 0, &rig.ca);
    struct tls_certificate *pair = rig_pair((const struct rig_cert *[]){&cert}, 1);
    struct tls_tickets *tickets = tickets_now();
    struct tls_context *s = plain_server(pair, tickets, both[_i]);
    struct tls_context *renewed = plain_server(rig.ecdsa_pair, tickets, both[_i]);
    struct tls_context *c = ticket_client(both[_i]), *another = ticket_client(both[_i]);
    struct tls_context *clients[] = {c, another, c, c}, *servers[] = {s, s, renewed, s};
    static const char *const names[] = {"other.example", "mail.example", "mail.example",
                                        "mail.example"};
    struct rig_link l = rig_connect(c, s, SLICE("mail.example"), NULL);
    rig_run(&l);
    rig_send(&l, &l.server, SLICE("220\r\n"));
    struct tls_session *one = tls_stream_session(l.client.stream);
    ck_assert_ptr_nonnull(one);
    rig_hang_up(&l);
    for (size_t i = 0; i < ARRAY_COUNT(clients); i++) {
        ck_assert_msg(resumes(clients[i], servers[i], names[i], one) == (i == 3), "%zu", i);
    }
    tls_session_free(&one);
    tls_context_put(&c);
    tls_context_put(&another);
    tls_context_put(&s);
    tls_context_put(&renewed);
    tls_tickets_put(&tickets);
    tls_certificate_free(&pair);
    rig_cert_free(&cert);
}
END_TEST

START_TEST(no_session_from_a_failed_or_server_stream)
{
    struct tls_context *s = plain_server(rig.ecdsa_pair, NULL, TLS_VERSIONS_ALL);
    struct tls_context *c = plain_client(TLS_VERSIONS_ALL);
    struct rig_link l = rig_connect(c, s, SLICE("wrong.example"), NULL);
    rig_run(&l);
    ck_assert(!rig_is_open(&l));
    ck_assert_ptr_null(tls_stream_session(l.client.stream));
    ck_assert_ptr_null(tls_stream_session(l.server.stream));
    rig_hang_up(&l);
    /* TLS 1.3 without tickets leaves none. */
    l = rig_connect(c, s, SLICE("mail.example"), NULL);
    rig_run(&l);
    ck_assert(rig_is_open(&l));
    ck_assert_ptr_null(tls_stream_session(l.client.stream));
    rig_hang_up(&l);
    tls_context_put(&c);
    tls_context_put(&s);
}
END_TEST

/* ---- client certificates ------------------------------------------------------------------------------------------- */

enum who { WHO_NOBODY, WHO_KNOWN, WHO_STRANGER, WHO_SERVER_ONLY };

static const struct {
    enum tls_client_cert ask;
    enum who who;
    bool open;
    enum tls_verdict_kind kind;
} visits[] = {
    {TLS_CLIENT_CERT_NONE, WHO_NOBODY, true, TLS_VERDICT_UNCHECKED},
    {TLS_CLIENT_CERT_NONE, WHO_KNOWN, true, TLS_VERDICT_UNCHECKED},
    {TLS_CLIENT_CERT_REQUEST, WHO_NOBODY, true, TLS_VERDICT_NO_CERTIFICATE},
    {TLS_CLIENT_CERT_REQUEST, WHO_KNOWN, true, TLS_VERDICT_TRUSTED},
    {TLS_CLIENT_CERT_REQUEST, WHO_STRANGER, true, TLS_VERDICT_UNKNOWN_CA},
    {TLS_CLIENT_CERT_REQUEST, WHO_SERVER_ONLY, true, TLS_VERDICT_WRONG_USAGE},
    {TLS_CLIENT_CERT_REQUIRE, WHO_NOBODY, false, TLS_VERDICT_NO_CERTIFICATE},
    {TLS_CLIENT_CERT_REQUIRE, WHO_KNOWN, true, TLS_VERDICT_TRUSTED},
    {TLS_CLIENT_CERT_REQUIRE, WHO_STRANGER, false, TLS_VERDICT_UNKNOWN_CA},
    {TLS_CLIENT_CERT_REQUIRE, WHO_SERVER_ONLY, false, TLS_VERDICT_WRONG_USAGE},
};

static struct tls_certificate *certificate_of(enum who who)
{
    struct rig_cert stranger_ca, c;
    struct forge_certificate f = rig_good(SLICE("client 7"), NULL, 0);
    f.purpose = who == WHO_SERVER_ONLY ? FORGE_SERVER : FORGE_CLIENT;
    stranger_ca = rig_make(rig_good_ca(SLICE("Stranger")), 0, NULL);
    c = rig_make(f, 0, who == WHO_STRANGER ? &stranger_ca : &rig.ca);
    struct tls_certificate *pair = rig_pair((const struct rig_cert *[]){&c}, 1);
    rig_cert_free(&c);
    rig_cert_free(&stranger_ca);
    return pair;
}

START_TEST(client_certificates)
{
    struct tls_certificate *mine = certificate_of(visits[_i].who);
    struct tls_tickets *tickets = tickets_now();
    const struct tls_certificate *certificates[] = {rig.ecdsa_pair};
    for (size_t v = 0; v < ARRAY_COUNT(both); v++) {
        struct tls_context *s = rig_server(
            &(struct tls_server_config){.certificates = certificates,
                                        .count = 1,
                                        .client_cert = visits[_i].ask,
                                        .client_trust = rig.trust,
                                        .tickets = tickets,
                                        .versions = both[v]});
        struct tls_context *c = rig_client(
            &(struct tls_client_config){.policy = TLS_POLICY_VERIFY,
                                        .trust = rig.trust,
                                        .certificate = visits[_i].who == WHO_NOBODY ? NULL : mine});
        struct rig_link l = rig_connect(c, s, SLICE("mail.example"), NULL);
        rig_run(&l);
        const struct tls_facts *f = tls_stream_facts(l.server.stream);
        ck_assert_int_eq(l.server.step, visits[_i].open ? TLS_STEP_DONE : TLS_STEP_FAILED);
        ck_assert_msg(f->verdict.kind == visits[_i].kind, "%s", tls_verdict_name(f->verdict.kind));
        ck_assert(f->done == visits[_i].open);
        ck_assert(visits[_i].open ||
                  tls_stream_error(l.server.stream)->kind == TLS_ERROR_CERTIFICATE);
        bool seen = visits[_i].ask != TLS_CLIENT_CERT_NONE && visits[_i].who != WHO_NOBODY;
        ck_assert_str_eq(f->peer_subject, seen ? "/CN=client 7" : "");
        if (seen) {
            ck_assert_mem_eq(f->peer_fingerprint, tls_certificate_fingerprint(mine),
                             TLS_FINGERPRINT_BYTES);
        }
        rig_hang_up(&l);
        tls_context_put(&c);
        tls_context_put(&s);
    }
    tls_tickets_put(&tickets);
    tls_certificate_free(&mine);
}
END_TEST

/* A ticket from before client certificates were demanded is no way around them. */
START_TEST(resumption_never_skips_the_client_certificate)
{
    struct tls_tickets *tickets = tickets_now();
    const struct tls_certificate *certificates[] = {rig.ecdsa_pair};
    struct tls_context *before = plain_server(rig.ecdsa_pair, tickets, both[_i]);
    struct tls_context *after = rig_server(
        &(struct tls_server_config){.certificates = certificates,
                                    .count = 1,
                                    .client_cert = TLS_CLIENT_CERT_REQUIRE,
                                    .client_trust = rig.trust,
                                    .tickets = tickets,
                                    .versions = both[_i]});
    struct tls_context *c = ticket_client(both[_i]);
    bool resumed;
    struct tls_session *one = visit(c, before, "mail.example", NULL, &resumed);
    ck_assert_ptr_nonnull(one);
    struct rig_link l = rig_connect(c, after, SLICE("mail.example"), one);
    rig_run(&l);
    ck_assert_int_eq(l.server.step, TLS_STEP_FAILED);
    ck_assert(!tls_stream_facts(l.server.stream)->resumed);
    ck_assert_int_eq(tls_stream_error(l.server.stream)->kind,
                     _i ? TLS_ERROR_CERTIFICATE : TLS_ERROR_ALERT);
    rig_hang_up(&l);
    ck_assert(resumes(c, before, "mail.example", one));
    tls_session_free(&one);
    tls_context_put(&c);
    tls_context_put(&before);
    tls_context_put(&after);
    tls_tickets_put(&tickets);
}
END_TEST

/* ---- life ------------------------------------------------------------------------------------------------------------- */

START_TEST(a_reload_disturbs_no_session)
{
    struct tls_context *s = plain_server(rig.ecdsa_pair, NULL, TLS_VERSIONS_ALL);
    struct tls_context *c = plain_client(TLS_VERSIONS_ALL);
    struct rig_link l = rig_connect(c, s, SLICE("mail.example"), NULL);
    rig_drive(&l.client);
    ck_assert(tls_context_is_server(s) && !tls_context_is_server(c));
    tls_context_put(&s);
    tls_context_put(&c);
    ck_assert_ptr_null(s);
    rig_run(&l);
    ck_assert(rig_is_open(&l));
    rig_send(&l, &l.server, SLICE("still here"));
    ck_assert_uint_eq(l.client.plain.len, 10);
    rig_hang_up(&l);
}
END_TEST

START_TEST(what_cannot_be_opened)
{
    const struct tls_certificate *many[TLS_CONTEXT_CERTIFICATES_MAX + 1];
    struct buf problem;
    buf_init(&problem, 256);
    ck_assert_ptr_null(tls_context_open_server(&(struct tls_server_config){.count = 0}, &problem));
    ck_assert_uint_gt(problem.len, 0);
    for (size_t i = 0; i < ARRAY_COUNT(many); i++) {
        many[i] = rig.ecdsa_pair;
    }
    buf_clear(&problem);
    ck_assert_ptr_null(tls_context_open_server(
        &(struct tls_server_config){.certificates = many, .count = ARRAY_COUNT(many)}, &problem));
    ck_assert_uint_gt(problem.len, 0);
    buf_deinit(&problem);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls/context");
    TCase *t = tcase_create("context");
    tcase_add_unchecked_fixture(t, set_up, tear_down);
    tcase_add_test(t, sni_and_algorithms_choose);
    tcase_add_test(t, versions_meet_or_say_so);
    tcase_add_loop_test(t, a_listener_resumes_its_own_sessions, 0, 2);
    tcase_add_loop_test(t, no_listener_resumes_sessions_of_another, 0, 3);
    tcase_add_loop_test(t, tickets_grow_old, 0, 2);
    tcase_add_loop_test(t, a_refused_session_costs_nothing, 0, 2);
    tcase_add_loop_test(t, sessions_do_not_travel, 0, 2);
    tcase_add_test(t, no_session_from_a_failed_or_server_stream);
    tcase_add_loop_test(t, client_certificates, 0, (int)ARRAY_COUNT(visits));
    tcase_add_loop_test(t, resumption_never_skips_the_client_certificate, 0, 2);
    tcase_add_test(t, a_reload_disturbs_no_session);
    tcase_add_test(t, what_cannot_be_opened);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
