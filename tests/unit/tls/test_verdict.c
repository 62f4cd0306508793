/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The matrix of certificates, good and bad: what each is worth by itself, and what becomes of a
 * connection with it under each policy and version.
 */
#include "tests/unit/tls/tls_rig.h"
#include "tls/context_private.h"
#include "tls/der.h"
#include "tls/verdict.h"

#include <check.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

enum { CHAIN_MAX = 10 };

/* What a row builds upon; made once. */
struct world {
    struct rig_cert root, old_root, other_root;
    struct rig_cert middle;        /* good, by root */
    struct rig_cert middle_old;    /* expired, same name and key as middle */
    struct rig_cert middle_weak;   /* RSA 1024 */
    struct rig_cert middle_sha1;   /* signed with SHA-1 */
    struct rig_cert not_ca;        /* an ordinary certificate, by root */
    struct rig_cert no_sign;       /* a CA without keyCertSign */
    struct rig_cert none_below;    /* pathlen 0 */
    struct rig_cert below;         /* a CA by none_below */
    struct rig_cert only_example;  /* permitted: example.com */
    struct rig_cert below_example; /* a CA by only_example */
    struct rig_cert impostor;      /* the name of middle, another key, unsigned by root */
    struct rig_cert steps[8];      /* a long chain of CAs */
    struct tls_trust *trust;
};

static struct world w;

enum flaw {
    FLAW_NONE,
    FLAW_EXPIRED,
    FLAW_FUTURE,
    FLAW_CLIENT_ONLY,
    FLAW_CODE_ONLY,
    FLAW_ENCIPHER_ONLY,
    FLAW_WEAK_KEY,
    FLAW_SHA1,
    FLAW_CRITICAL,
    FLAW_IMPOSTOR, /* signed by impostor, shown with middle */
};

/* A row: names in the certificate, who signs it, what else is shown, and the verdict. */
struct row {
    const char *what;
    const char *cn, *dns;      /* dns "": no subjectAltName */
    struct rig_cert *issuer;   /* NULL: itself */
    struct rig_cert *shown[3]; /* after the certificate */
    enum flaw flaw;
    const char *host;
    enum tls_verdict_kind kind;
    bool address; /* 192.0.2.1 in the subjectAltName */
};

#define HOST "mail.example.com"

static const struct row rows[] = {
    {"good, by the root", "m", HOST, &w.root, {0}, 0, HOST, TLS_VERDICT_TRUSTED, 0},
    {"good, by an intermediate",
     "m",
     HOST,
     &w.middle,
     {&w.middle},
     0,
     HOST,
     TLS_VERDICT_TRUSTED,
     0},
    {"good, shown with its root", "m", HOST, &w.root, {&w.root}, 0, HOST, TLS_VERDICT_TRUSTED, 0},
    {"good, with strangers before the intermediate",
     "m",
     HOST,
     &w.middle,
     {&w.other_root, &w.not_ca, &w.middle},
     0,
     HOST,
     TLS_VERDICT_TRUSTED,
     0},
    {"good, two ways, the first expired",
     "m",
     HOST,
     &w.middle,
     {&w.middle_old, &w.middle},
     0,
     HOST,
     TLS_VERDICT_TRUSTED,
     0},
    {"name in another case, with a dot",
     "m",
     "Mail.Example.COM",
     &w.root,
     {0},
     0,
     HOST ".",
     TLS_VERDICT_TRUSTED,
     0},
    {"expired", "m", HOST, &w.root, {0}, FLAW_EXPIRED, HOST, TLS_VERDICT_EXPIRED, 0},
    {"not yet valid", "m", HOST, &w.root, {0}, FLAW_FUTURE, HOST, TLS_VERDICT_NOT_YET_VALID, 0},
    {"wrong name", "m", "www.example.com", &w.root, {0}, 0, HOST, TLS_VERDICT_WRONG_NAME, 0},
    {"name in the CN only", HOST, "", &w.root, {0}, 0, HOST, TLS_VERDICT_NAME_IN_CN_ONLY, 0},
    {"name in the CN, another in the SAN",
     HOST,
     "www.example.com",
     &w.root,
     {0},
     0,
     HOST,
     TLS_VERDICT_WRONG_NAME,
     0},
    {"wildcard", "m", "*.example.com", &w.root, {0}, 0, HOST, TLS_VERDICT_TRUSTED, 0},
    {"wildcard, a label more",
     "m",
     "*.example.com",
     &w.root,
     {0},
     0,
     "a." HOST,
     TLS_VERDICT_WILDCARD_DEPTH,
     0},
    {"wildcard, a label less",
     "m",
     "*.example.com",
     &w.root,
     {0},
     0,
     "example.com",
     TLS_VERDICT_WILDCARD_DEPTH,
     0},
    {"wildcard inside a label",
     "m",
     "ma*.example.com",
     &w.root,
     {0},
     0,
     HOST,
     TLS_VERDICT_WRONG_NAME,
     0},
    {"wildcard over a whole top level",
     "m",
     "*.com",
     &w.root,
     {0},
     0,
     "example.com",
     TLS_VERDICT_WRONG_NAME,
     0},
    {"wildcard behind the first label",
     "m",
     "mail.*.com",
     &w.root,
     {0},
     0,
     HOST,
     TLS_VERDICT_WRONG_NAME,
     0},
    {"for clients only",
     "m",
     HOST,
     &w.root,
     {0},
     FLAW_CLIENT_ONLY,
     HOST,
     TLS_VERDICT_WRONG_USAGE,
     0},
    {"for code only", "m", HOST, &w.root, {0}, FLAW_CODE_ONLY, HOST, TLS_VERDICT_WRONG_USAGE, 0},
    {"its key may not sign",
     "m",
     HOST,
     &w.root,
     {0},
     FLAW_ENCIPHER_ONLY,
     HOST,
     TLS_VERDICT_WRONG_USAGE,
     0},
    {"self-signed", "m", HOST, NULL, {0}, 0, HOST, TLS_VERDICT_SELF_SIGNED, 0},
    {"unknown CA", "m", HOST, &w.other_root, {0}, 0, HOST, TLS_VERDICT_UNKNOWN_CA, 0},
    {"unknown CA, shown",
     "m",
     HOST,
     &w.other_root,
     {&w.other_root},
     0,
     HOST,
     TLS_VERDICT_UNKNOWN_CA,
     0},
    {"intermediate missing", "m", HOST, &w.middle, {0}, 0, HOST, TLS_VERDICT_UNKNOWN_CA, 0},
    {"RSA 1024", "m", HOST, &w.root, {0}, FLAW_WEAK_KEY, HOST, TLS_VERDICT_WEAK_KEY, 0},
    {"intermediate with RSA 1024",
     "m",
     HOST,
     &w.middle_weak,
     {&w.middle_weak},
     0,
     HOST,
     TLS_VERDICT_WEAK_KEY,
     0},
    {"signed with SHA-1", "m", HOST, &w.root, {0}, FLAW_SHA1, HOST, TLS_VERDICT_WEAK_SIGNATURE, 0},
    {"intermediate signed with SHA-1",
     "m",
     HOST,
     &w.middle_sha1,
     {&w.middle_sha1},
     0,
     HOST,
     TLS_VERDICT_WEAK_SIGNATURE,
     0},
    {"issuer is no CA", "m", HOST, &w.not_ca, {&w.not_ca}, 0, HOST, TLS_VERDICT_NOT_A_CA, 0},
    {"issuer may not sign certificates",
     "m",
     HOST,
     &w.no_sign,
     {&w.no_sign},
     0,
     HOST,
     TLS_VERDICT_NOT_A_CA,
     0},
    {"path longer than an issuer allows",
     "m",
     HOST,
     &w.below,
     {&w.below, &w.none_below},
     0,
     HOST,
     TLS_VERDICT_PATH_TOO_LONG,
     0},
    {"expired intermediate",
     "m",
     HOST,
     &w.middle,
     {&w.middle_old},
     0,
     HOST,
     TLS_VERDICT_CA_DATE,
     0},
    {"expired root", "m", HOST, &w.old_root, {0}, 0, HOST, TLS_VERDICT_CA_DATE, 0},
    {"within the constraint",
     "m",
     HOST,
     &w.only_example,
     {&w.only_example},
     0,
     HOST,
     TLS_VERDICT_TRUSTED,
     0},
    {"outside the constraint",
     "m",
     "mail.example.net",
     &w.only_example,
     {&w.only_example},
     0,
     "mail.example.net",
     TLS_VERDICT_NAME_CONSTRAINT,
     0},
    {"looks like the constraint",
     "m",
     "badexample.com",
     &w.only_example,
     {&w.only_example},
     0,
     "badexample.com",
     TLS_VERDICT_NAME_CONSTRAINT,
     0},
    {"outside the constraint of an issuer's issuer",
     "m",
     "mail.example.net",
     &w.below_example,
     {&w.below_example, &w.only_example},
     0,
     "mail.example.net",
     TLS_VERDICT_NAME_CONSTRAINT,
     0},
    {"unknown critical extension",
     "m",
     HOST,
     &w.root,
     {0},
     FLAW_CRITICAL,
     HOST,
     TLS_VERDICT_CRITICAL_EXTENSION,
     0},
    {"signed by somebody with the issuer's name",
     "m",
     HOST,
     &w.impostor,
     {&w.middle},
     FLAW_IMPOSTOR,
     HOST,
     TLS_VERDICT_BAD_SIGNATURE,
     0},
    {"address", "m", "", &w.root, {0}, 0, "192.0.2.1", TLS_VERDICT_TRUSTED, 1},
    {"another address", "m", "", &w.root, {0}, 0, "192.0.2.2", TLS_VERDICT_WRONG_NAME, 1},
    {"address in the CN", "192.0.2.1", "", &w.root, {0}, 0, "192.0.2.1", TLS_VERDICT_WRONG_NAME, 0},
};

static struct rig_cert make_leaf(const struct row *row)
{
    const struct slice dns = slice_str(row->dns), address = SLICE("\xc0\x00\x02\x01");
    struct forge_certificate c = rig_good(slice_str(row->cn), &dns, dns.len > 0);
    c.addresses = &address;
    c.address_count = row->address;
    switch (row->flaw) {
    case FLAW_NONE:
    case FLAW_WEAK_KEY:
    case FLAW_IMPOSTOR:
        break;
    case FLAW_EXPIRED:
        c.not_after = rig_now_s() - 60;
        break;
    case FLAW_FUTURE:
        c.not_before = rig_now_s() + 3600;
        break;
    case FLAW_CLIENT_ONLY:
        c.purpose = FORGE_CLIENT;
        break;
    case FLAW_CODE_ONLY:
        c.purpose = FORGE_CODE;
        break;
    case FLAW_ENCIPHER_ONLY:
        c.usage = FORGE_ENCIPHER;
        break;
    case FLAW_SHA1:
        c.sha1 = true;
        break;
    case FLAW_CRITICAL:
        c.unknown_critical = true;
        break;
    }
    return rig_make(c, row->flaw == FLAW_WEAK_KEY ? 1024 : 0, row->issuer);
}

static size_t chain_of(const struct row *row, const struct rig_cert *leaf,
                       const struct rig_cert *chain[4])
{
    size_t n = 0;
    chain[n++] = leaf;
    for (size_t i = 0; i < ARRAY_COUNT(row->shown) && row->shown[i]; i++) {
        chain[n++] = row->shown[i];
    }
    return n;
}

/* ---- the world -------------------------------------------------------------------------------------- */

static void add_root(const struct rig_cert *c)
{
    struct buf pem;
    buf_init(&pem, 16384);
    tls_pem_add(&pem, SLICE("CERTIFICATE"), buf_slice(&c->der));
    must(tls_trust_add_pem(w.trust, buf_slice(&pem)));
    buf_deinit(&pem);
}

/* A CA with the name and key of another. */
static struct rig_cert twin(const struct rig_cert *of, struct forge_certificate c,
                            const struct rig_cert *issuer)
{
    struct rig_cert made = {.name = of->name};
    buf_init(&made.der, 16384);
    c.subject = of->name;
    c.issuer = issuer->name;
    must(forge_certificate(&c, of->key, issuer->key, &made.der));
    return made;
}

static void make_intermediates(void)
{
    struct forge_certificate c = rig_good_ca(SLICE("Middle"));
    w.middle = rig_make(c, 0, &w.root);
    w.impostor = rig_make(c, 0, &w.other_root);
    c.not_after = rig_now_s() - 60;
    w.middle_old = twin(&w.middle, c, &w.root);
    w.middle_weak = rig_make(rig_good_ca(SLICE("Weak")), 1024, &w.root);
    c = rig_good_ca(SLICE("Old hash"));
    c.sha1 = true;
    w.middle_sha1 = rig_make(c, 0, &w.root);
    w.not_ca = rig_make(rig_good(SLICE("Not a CA"), NULL, 0), 0, &w.root);
    c = rig_good_ca(SLICE("Signs nothing"));
    c.usage = FORGE_SIGN;
    w.no_sign = rig_make(c, 0, &w.root);
    c = rig_good_ca(SLICE("None below"));
    c.path_length = 0;
    w.none_below = rig_make(c, 0, &w.root);
    w.below = rig_make(rig_good_ca(SLICE("Below")), 0, &w.none_below);
    c = rig_good_ca(SLICE("Only example.com"));
    c.permitted = SLICE("example.com");
    w.only_example = rig_make(c, 0, &w.root);
    w.below_example = rig_make(rig_good_ca(SLICE("Below example")), 0, &w.only_example);
}

static void set_up(void)
{
    static const char *const names[] = {"S0", "S1", "S2", "S3", "S4", "S5", "S6", "S7"};
    w = (struct world){.trust = tls_trust_open()};
    w.root = rig_make(rig_good_ca(SLICE("Root")), 0, NULL);
    w.other_root = rig_make(rig_good_ca(SLICE("Nobody's root")), 0, NULL);
    struct forge_certificate old = rig_good_ca(SLICE("Old root"));
    old.not_after = rig_now_s() - 60;
    w.old_root = rig_make(old, 0, NULL);
    make_intermediates();
    for (size_t i = 0; i < ARRAY_COUNT(w.steps); i++) {
        w.steps[i] = rig_make(rig_good_ca(slice_str(names[i])), 0, i ? &w.steps[i - 1] : &w.root);
    }
    add_root(&w.root);
    add_root(&w.old_root);
    ck_assert_uint_eq(tls_trust_count(w.trust), 2);
}

static void tear_down(void)
{
    struct rig_cert *all[] = {&w.root,       &w.old_root,      &w.other_root,  &w.middle,
                              &w.middle_old, &w.middle_weak,   &w.middle_sha1, &w.not_ca,
                              &w.no_sign,    &w.none_below,    &w.below,       &w.only_example,
                              &w.impostor,   &w.below_example, &w.steps[0],    &w.steps[1],
                              &w.steps[2],   &w.steps[3],      &w.steps[4],    &w.steps[5],
                              &w.steps[6],   &w.steps[7]};
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        rig_cert_free(all[i]);
    }
    tls_trust_put(&w.trust);
}

/* ---- tests --------------------------------------------------------------------------------------------- */

static struct tls_verdict ask(const struct rig_cert *const *certs, size_t n, const char *host)
{
    struct slice chain[CHAIN_MAX];
    must(n <= CHAIN_MAX);
    for (size_t i = 0; i < n; i++) {
        chain[i] = buf_slice(&certs[i]->der);
    }
    return tls_verdict_of(&(struct tls_verdict_question){.chain = chain,
                                                         .count = n,
                                                         .trust = w.trust,
                                                         .name = slice_str(host),
                                                         .wall_us = rig_wall_us()});
}

START_TEST(each_certificate_has_its_verdict)
{
    const struct row *row = &rows[_i];
    const struct rig_cert *chain[4];
    struct rig_cert leaf = make_leaf(row);
    struct tls_verdict v = ask(chain, chain_of(row, &leaf, chain), row->host);
    ck_assert_msg(v.kind == row->kind, "%s: %s", row->what, tls_verdict_name(v.kind));
    ck_assert_msg(v.all == (row->kind ? UINT32_C(1) << row->kind : 0), "%s: 0x%x", row->what,
                  v.all);
    rig_cert_free(&leaf);
}
END_TEST

/* One connection; true when it came to be. */
static bool connect_with(const struct row *row, struct tls_context *client,
                         struct tls_context *server)
{
    struct rig_link l = rig_connect(client, server, slice_str(row->host), NULL);
    rig_run(&l);
    bool open = rig_is_open(&l);
    const struct tls_facts *facts = tls_stream_facts(l.client.stream);
    const struct tls_failure *failure = tls_stream_error(l.client.stream);
    ck_assert(facts->peer_certificate);
    ck_assert_msg(facts->verdict.kind == row->kind, "%s: %s", row->what,
                  tls_verdict_name(facts->verdict.kind));
    if (!open) {
        ck_assert_int_eq(failure->kind, TLS_ERROR_CERTIFICATE);
        ck_assert_msg(strstr(failure->text, tls_verdict_text(row->kind)) != NULL, "%s",
                      failure->text);
        ck_assert_int_eq(tls_stream_error(l.server.stream)->kind, TLS_ERROR_ALERT);
    } else {
        rig_send(&l, &l.server, SLICE("220 mail\r\n"));
        ck_assert_uint_eq(l.client.plain.len, 10);
    }
    rig_hang_up(&l);
    return open;
}

START_TEST(each_policy_does_with_it_what_it_says)
{
    const struct row *row = &rows[_i];
    const struct rig_cert *chain[4];
    /* Our own server does not show such a certificate. */
    if (row->flaw == FLAW_CRITICAL) {
        return;
    }
    struct rig_cert leaf = make_leaf(row);
    struct tls_certificate *pair = rig_pair(chain, chain_of(row, &leaf, chain));
    const struct tls_certificate *certificates[] = {pair};
    struct tls_context *server = rig_server(
        &(struct tls_server_config){.certificates = certificates, .count = 1});
    for (enum tls_policy p = TLS_POLICY_MAY; p <= TLS_POLICY_VERIFY; p++) {
        for (enum tls_versions v = TLS_VERSIONS_ONLY_12; v <= TLS_VERSIONS_ONLY_13; v++) {
            struct tls_context *client = rig_client(
                &(struct tls_client_config){.policy = p, .trust = w.trust, .versions = v});
            bool want = p != TLS_POLICY_VERIFY || row->kind == TLS_VERDICT_TRUSTED;
            ck_assert_msg(connect_with(row, client, server) == want, "%s, policy %d, version %d",
                          row->what, (int)p, (int)v);
            tls_context_put(&client);
        }
    }
    tls_context_put(&server);
    tls_certificate_free(&pair);
    rig_cert_free(&leaf);
}
END_TEST

/* What one connection showed does not help another: an incomplete chain stays incomplete. */
START_TEST(nothing_is_learnt_from_other_peers)
{
    const struct row *rows_used[] = {&rows[1], &rows[23]};
    struct tls_context *client = rig_client(
        &(struct tls_client_config){.policy = TLS_POLICY_VERIFY, .trust = w.trust});
    ck_assert_int_eq(rows_used[1]->kind, TLS_VERDICT_UNKNOWN_CA);
    for (size_t i = 0; i < 4; i++) {
        const struct row *row = rows_used[i % 2];
        const struct rig_cert *chain[4];
        struct rig_cert leaf = make_leaf(row);
        struct tls_certificate *pair = rig_pair(chain, chain_of(row, &leaf, chain));
        const struct tls_certificate *certificates[] = {pair};
        struct tls_context *server = rig_server(
            &(struct tls_server_config){.certificates = certificates, .count = 1});
        ck_assert(connect_with(row, client, server) == (row->kind == TLS_VERDICT_TRUSTED));
        tls_context_put(&server);
        tls_certificate_free(&pair);
        rig_cert_free(&leaf);
    }
    tls_context_put(&client);
}
END_TEST

/* An authority of this name that a hostile server shows under MAY must not be believed under any. */
START_TEST(a_shown_authority_is_not_an_authority)
{
    const struct row *row = &rows[22];
    const struct rig_cert *chain[4];
    struct rig_cert leaf = make_leaf(row);
    ck_assert_int_eq(row->kind, TLS_VERDICT_UNKNOWN_CA);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(ask(chain, chain_of(row, &leaf, chain), HOST).kind,
                         TLS_VERDICT_UNKNOWN_CA);
    }
    rig_cert_free(&leaf);
}
END_TEST

/* Under MAY everything is let in, but nothing is kept: no CA of any peer stays in the shared context. */
START_TEST(no_peer_leaves_a_certificate_behind)
{
#ifdef PERSIST_CERT_CACHE
    struct tls_context *client = rig_client(
        &(struct tls_client_config){.policy = TLS_POLICY_MAY, .trust = w.trust});
    int before = wolfSSL_CTX_get_cert_cache_memsize(client->entries[0].library);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct rig_cert *chain[4];
        if (rows[i].flaw == FLAW_CRITICAL) {
            continue;
        }
        struct rig_cert leaf = make_leaf(&rows[i]);
        struct tls_certificate *pair = rig_pair(chain, chain_of(&rows[i], &leaf, chain));
        const struct tls_certificate *certificates[] = {pair};
        struct tls_context *server = rig_server(
            &(struct tls_server_config){.certificates = certificates, .count = 1});
        ck_assert(connect_with(&rows[i], client, server));
        ck_assert_int_eq(wolfSSL_CTX_get_cert_cache_memsize(client->entries[0].library), before);
        tls_context_put(&server);
        tls_certificate_free(&pair);
        rig_cert_free(&leaf);
    }
    tls_context_put(&client);
#endif
}
END_TEST

/* Several things at once: the gravest is the kind, all are there. */
START_TEST(several_findings)
{
    const struct slice dns = SLICE("www.example.net");
    struct forge_certificate c = rig_good(SLICE("m"), &dns, 1);
    c.not_after = rig_now_s() - 60;
    c.purpose = FORGE_CLIENT;
    struct rig_cert leaf = rig_make(c, 0, NULL);
    const struct rig_cert *chain[] = {&leaf};
    struct tls_verdict v = ask(chain, 1, HOST);
    ck_assert_int_eq(v.kind, TLS_VERDICT_SELF_SIGNED);
    ck_assert_uint_eq(v.all, 1U << TLS_VERDICT_SELF_SIGNED | 1U << TLS_VERDICT_EXPIRED |
                                 1U << TLS_VERDICT_WRONG_USAGE | 1U << TLS_VERDICT_WRONG_NAME);
    rig_cert_free(&leaf);
}
END_TEST

START_TEST(self_signed_but_given_as_an_authority)
{
    const struct slice dns = SLICE(HOST);
    struct rig_cert leaf = rig_make(rig_good(SLICE("m"), &dns, 1), 0, NULL);
    const struct rig_cert *chain[] = {&leaf};
    add_root(&leaf);
    ck_assert_int_eq(ask(chain, 1, HOST).kind, TLS_VERDICT_TRUSTED);
    ck_assert_int_eq(ask(chain, 1, "www.example.com").kind, TLS_VERDICT_WRONG_NAME);
    rig_cert_free(&leaf);
}
END_TEST

START_TEST(a_path_has_an_end)
{
    const struct slice dns = SLICE(HOST);
    const struct rig_cert *chain[CHAIN_MAX];
    for (size_t depth = 6; depth <= 8; depth++) {
        struct rig_cert leaf = rig_make(rig_good(SLICE("m"), &dns, 1), 0, &w.steps[depth - 1]);
        chain[0] = &leaf;
        for (size_t i = 0; i < depth; i++) {
            chain[1 + i] = &w.steps[depth - 1 - i];
        }
        enum tls_verdict_kind kind = ask(chain, 1 + depth, HOST).kind;
        ck_assert_int_eq(kind, depth < 8 ? TLS_VERDICT_TRUSTED : TLS_VERDICT_UNKNOWN_CA);
        rig_cert_free(&leaf);
    }
}
END_TEST

/* Certificates with the same name that issue each other in a circle: the search ends, and soon. */
START_TEST(a_circle_of_issuers_ends)
{
    struct rig_cert ring[CHAIN_MAX];
    const struct rig_cert *chain[CHAIN_MAX];
    struct forge_certificate c = rig_good_ca(SLICE("Ring"));
    for (size_t i = 0; i < CHAIN_MAX; i++) {
        ring[i] = rig_make(c, 0, i ? &ring[0] : NULL);
        chain[i] = &ring[i];
    }
    struct tls_verdict v = ask(chain, CHAIN_MAX, "");
    ck_assert_int_ne(v.kind, TLS_VERDICT_TRUSTED);
    for (size_t i = 0; i < CHAIN_MAX; i++) {
        rig_cert_free(&ring[i]);
    }
}
END_TEST

START_TEST(nothing_and_nonsense)
{
    const struct slice junk[] = {SLICE("\x30\x03\x02\x01\x01"), SLICE("")};
    struct tls_verdict_question q = {.trust = w.trust, .wall_us = rig_wall_us()};
    ck_assert_int_eq(tls_verdict_of(&q).kind, TLS_VERDICT_NO_CERTIFICATE);
    q.chain = junk;
    q.count = 1;
    ck_assert_int_eq(tls_verdict_of(&q).kind, TLS_VERDICT_MALFORMED);
    q.chain = junk + 1;
    ck_assert_int_eq(tls_verdict_of(&q).kind, TLS_VERDICT_MALFORMED);
    /* Cut anywhere, a certificate is none. */
    for (size_t n = 1; n < w.middle.der.len; n += 7) {
        const struct slice cut = slice_first(buf_slice(&w.middle.der), n);
        q.chain = &cut;
        ck_assert_int_eq(tls_verdict_of(&q).kind, TLS_VERDICT_MALFORMED);
    }
}
END_TEST

/* Any single byte of what is signed, or of the signature, changed: never trusted. (The few bytes of
 * encoding between them carry nothing, and the library reads them leniently.) */
START_TEST(a_changed_certificate_is_not_trusted)
{
    const struct slice dns = SLICE(HOST);
    struct rig_cert leaf = rig_make(rig_good(SLICE("m"), &dns, 1), 0, &w.root);
    const struct rig_cert *chain[] = {&leaf};
    ck_assert_int_eq(ask(chain, 1, HOST).kind, TLS_VERDICT_TRUSTED);
    struct slice der = buf_slice(&leaf.der), certificate, tbs, algorithm;
    must(der_take(&der, DER_SEQUENCE, &certificate) && der_take(&certificate, DER_SEQUENCE, &tbs));
    size_t signed_end = (size_t)(certificate.ptr - leaf.der.ptr);
    must(der_take(&certificate, DER_SEQUENCE, &algorithm));
    size_t signature = (size_t)(certificate.ptr - leaf.der.ptr) + 3;
    for (size_t i = 0; i < leaf.der.len; i++) {
        if (i >= signed_end && i < signature) {
            continue;
        }
        leaf.der.ptr[i] ^= 1;
        ck_assert_msg(ask(chain, 1, HOST).kind != TLS_VERDICT_TRUSTED, "byte %zu", i);
        leaf.der.ptr[i] ^= 1;
    }
    rig_cert_free(&leaf);
}
END_TEST

START_TEST(purposes)
{
    struct rig_cert leaf = rig_make(rig_good(SLICE("client"), NULL, 0), 0, &w.root);
    const struct slice chain = buf_slice(&leaf.der);
    struct tls_verdict_question q = {.chain = &chain,
                                     .count = 1,
                                     .trust = w.trust,
                                     .purpose = TLS_PURPOSE_CLIENT,
                                     .wall_us = rig_wall_us()};
    ck_assert_int_eq(tls_verdict_of(&q).kind, TLS_VERDICT_TRUSTED);
    rig_cert_free(&leaf);
    struct forge_certificate c = rig_good(SLICE("server"), NULL, 0);
    c.purpose = FORGE_SERVER;
    leaf = rig_make(c, 0, &w.root);
    const struct slice server_only = buf_slice(&leaf.der);
    q.chain = &server_only;
    ck_assert_int_eq(tls_verdict_of(&q).kind, TLS_VERDICT_WRONG_USAGE);
    q.trust = NULL;
    ck_assert_int_eq(tls_verdict_of(&q).kind, TLS_VERDICT_UNKNOWN_CA);
    rig_cert_free(&leaf);
}
END_TEST

START_TEST(every_kind_has_a_name)
{
    for (enum tls_verdict_kind k = 0; k < TLS_VERDICT_KINDS; k++) {
        ck_assert_uint_gt(strlen(tls_verdict_name(k)), 0);
        ck_assert_uint_gt(strlen(tls_verdict_text(k)), 0);
        for (enum tls_verdict_kind other = 0; other < k; other++) {
            ck_assert_str_ne(tls_verdict_name(k), tls_verdict_name(other));
        }
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls/verdict");
    TCase *t = tcase_create("verdict");
    tcase_add_unchecked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, each_certificate_has_its_verdict, 0, (int)ARRAY_COUNT(rows));
    tcase_add_loop_test(t, each_policy_does_with_it_what_it_says, 0, (int)ARRAY_COUNT(rows));
    tcase_add_test(t, nothing_is_learnt_from_other_peers);
    tcase_add_test(t, a_shown_authority_is_not_an_authority);
    tcase_add_test(t, no_peer_leaves_a_certificate_behind);
    tcase_add_test(t, several_findings);
    tcase_add_test(t, self_signed_but_given_as_an_authority);
    tcase_add_test(t, a_path_has_an_end);
    tcase_add_test(t, a_circle_of_issuers_ends);
    tcase_add_test(t, nothing_and_nonsense);
    tcase_add_test(t, a_changed_certificate_is_not_trusted);
    tcase_add_test(t, purposes);
    tcase_add_test(t, every_kind_has_a_name);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
