/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The path is searched depth first: from the peer's certificate to an authority, else to another
 * certificate of the chain whose subject is the issuer looked for, back when a branch ends. Every
 * path that reaches an authority is judged, the best verdict counts: with a cross-signed chain, one
 * expired way must not hide the good one. The number of signature checks is bounded, so that a chain
 * of many certificates with the same name costs no more than an honest one.
 */
#include "tls/verdict.h"

#include "core/base/must.h"
#include "tls/name.h"
#include "tls/x509.h"

enum {
    PATH_MAX_CERTIFICATES = 8,
    SIGNATURE_CHECKS_MAX = 24,
    RSA_BITS_MIN = 2048,
    ECC_BITS_MIN = 256
};

struct search {
    const struct tls_verdict_question *q;
    struct x509 own[TLS_CHAIN_MAX];
    size_t count;
    const struct x509 *path[PATH_MAX_CERTIFICATES]; /* [0]: the peer's */
    bool used[TLS_CHAIN_MAX];
    unsigned checks_left;
    bool reached; /* some path came to an authority: best is its verdict */
    bool bad_signature, too_long;
    bool name_forbidden; /* on the path at hand, said the library */
    struct tls_verdict best;
};

static const struct {
    const char *name, *text;
} kinds[TLS_VERDICT_KINDS] = {
    [TLS_VERDICT_TRUSTED] = {"trusted", "is trusted"},
    [TLS_VERDICT_UNCHECKED] = {"unchecked", "was not checked"},
    [TLS_VERDICT_NO_CERTIFICATE] = {"no_certificate", "was not shown"},
    [TLS_VERDICT_MALFORMED] = {"malformed", "cannot be read"},
    [TLS_VERDICT_BAD_SIGNATURE] = {"bad_signature", "has a signature that its issuer did not make"},
    [TLS_VERDICT_SELF_SIGNED] = {"self_signed", "is signed by itself"},
    [TLS_VERDICT_UNKNOWN_CA] = {"unknown_ca", "leads to no trusted authority"},
    [TLS_VERDICT_NOT_A_CA] = {"not_a_ca", "has an issuer that may not issue certificates"},
    [TLS_VERDICT_PATH_TOO_LONG] = {"path_too_long", "has more issuers than one of them allows"},
    [TLS_VERDICT_NAME_CONSTRAINT] = {"name_constraint", "has a name its issuer may not issue for"},
    [TLS_VERDICT_CRITICAL_EXTENSION] = {"critical_extension",
                                        "has a critical extension that is not understood"},
    [TLS_VERDICT_EXPIRED] = {"expired", "has expired"},
    [TLS_VERDICT_NOT_YET_VALID] = {"not_yet_valid", "is not valid yet"},
    [TLS_VERDICT_CA_DATE] = {"ca_date", "has an issuer that has expired or is not valid yet"},
    [TLS_VERDICT_WRONG_USAGE] = {"wrong_usage", "is not meant for this side of TLS"},
    [TLS_VERDICT_WEAK_KEY] = {"weak_key", "has a key that is too short, or an issuer's is"},
    [TLS_VERDICT_WEAK_SIGNATURE] = {"weak_signature", "is signed with MD5 or SHA-1"},
    [TLS_VERDICT_WRONG_NAME] = {"wrong_name", "is for another name"},
    [TLS_VERDICT_NAME_IN_CN_ONLY] = {"name_in_cn_only", "has the name only in its common name"},
    [TLS_VERDICT_WILDCARD_DEPTH] = {"wildcard_depth",
                                    "has a wildcard that stands for one label only"},
};

const char *tls_verdict_name(enum tls_verdict_kind kind)
{
    must((unsigned)kind < TLS_VERDICT_KINDS);
    return kinds[kind].name;
}

const char *tls_verdict_text(enum tls_verdict_kind kind)
{
    must((unsigned)kind < TLS_VERDICT_KINDS);
    return kinds[kind].text;
}

void tls_verdict_add(struct tls_verdict *v, enum tls_verdict_kind kind)
{
    must((unsigned)kind < TLS_VERDICT_KINDS);
    if (kind == TLS_VERDICT_TRUSTED) {
        return;
    }
    v->all |= UINT32_C(1) << kind;
    if (v->kind == TLS_VERDICT_TRUSTED || kind < v->kind) {
        v->kind = kind;
    }
}

/* ---- one certificate ---------------------------------------------------------------------- */

static void check_strength(const struct search *s, const struct x509 *c, struct tls_verdict *v)
{
    unsigned rsa_min = s->q->rsa_bits_min ? s->q->rsa_bits_min : RSA_BITS_MIN;
    if (c->key_bits < (c->key == TLS_KEY_RSA ? rsa_min : (unsigned)ECC_BITS_MIN)) {
        tls_verdict_add(v, TLS_VERDICT_WEAK_KEY);
    }
}

static void check_name(const struct search *s, struct tls_verdict *v)
{
    const struct x509 *leaf = &s->own[0];
    struct slice host = s->q->name, rest = leaf->alt_names, name;
    struct ip_addr addr;
    bool depth = false;
    if (ip_addr_parse(host, &addr)) {
        if (!x509_has_address(leaf, &addr)) {
            tls_verdict_add(v, TLS_VERDICT_WRONG_NAME);
        }
        return;
    }
    if (host.len > 0 && host.ptr[host.len - 1] == '.') {
        host.len--;
    }
    while (x509_next_dns_name(&rest, &name)) {
        enum tls_name_match m = tls_name_match(name, host);
        if (m == TLS_NAME_MATCHES) {
            return;
        }
        depth = depth || m == TLS_NAME_DEPTH;
    }
    bool in_cn = !leaf->has_dns_names &&
                 tls_name_match(x509_common_name(leaf), host) == TLS_NAME_MATCHES;
    tls_verdict_add(v, depth   ? TLS_VERDICT_WILDCARD_DEPTH
                       : in_cn ? TLS_VERDICT_NAME_IN_CN_ONLY
                               : TLS_VERDICT_WRONG_NAME);
}

static void check_leaf(const struct search *s, struct tls_verdict *v)
{
    const struct x509 *leaf = &s->own[0];
    int64_t now = (int64_t)(s->q->wall_us / 1000000);
    bool fits = s->q->purpose == TLS_PURPOSE_SERVER ? leaf->for_server : leaf->for_client;
    if (now > leaf->not_after) {
        tls_verdict_add(v, TLS_VERDICT_EXPIRED);
    }
    if (now < leaf->not_before) {
        tls_verdict_add(v, TLS_VERDICT_NOT_YET_VALID);
    }
    /* Every suite in use has the key sign (ECDHE). */
    if (!fits || !leaf->may_sign) {
        tls_verdict_add(v, TLS_VERDICT_WRONG_USAGE);
    }
    if (leaf->unknown_critical) {
        tls_verdict_add(v, TLS_VERDICT_CRITICAL_EXTENSION);
    }
    check_strength(s, leaf, v);
    if (s->q->name.len > 0) {
        check_name(s, v);
    }
}

/* ---- one path ------------------------------------------------------------------------------ */

static void check_constraints(const struct x509 *leaf, const struct x509 *ca, struct tls_verdict *v)
{
    struct slice rest = leaf->alt_names, name;
    while (x509_next_dns_name(&rest, &name)) {
        if (!x509_permits_dns(ca, name)) {
            tls_verdict_add(v, TLS_VERDICT_NAME_CONSTRAINT);
        }
    }
}

/* below: how many CAs, not self-issued, stand between it and the peer's certificate. */
static void check_issuer(const struct search *s, const struct x509 *ca, unsigned below,
                         struct tls_verdict *v)
{
    int64_t now = (int64_t)(s->q->wall_us / 1000000);
    if (!ca->is_ca || !ca->may_sign_certificates) {
        tls_verdict_add(v, TLS_VERDICT_NOT_A_CA);
    }
    if (ca->path_length >= 0 && below > (unsigned)ca->path_length) {
        tls_verdict_add(v, TLS_VERDICT_PATH_TOO_LONG);
    }
    if (now > ca->not_after || now < ca->not_before) {
        tls_verdict_add(v, TLS_VERDICT_CA_DATE);
    }
    if (ca->unknown_critical) {
        tls_verdict_add(v, TLS_VERDICT_CRITICAL_EXTENSION);
    }
    check_strength(s, ca, v);
    check_constraints(&s->own[0], ca, v);
}

/* path[0..n-1] are from the chain; anchor signed the last, or is it (the peer's own certificate may
 * itself be an authority). */
static void judge(struct search *s, size_t n, const struct x509 *anchor)
{
    struct tls_verdict v = {0};
    unsigned below = 0;
    check_leaf(s, &v);
    for (size_t i = 0; i < n; i++) {
        const struct x509 *c = s->path[i];
        bool is_anchor = slice_eq(c->der, anchor->der);
        if (i > 0) {
            bool fits = s->q->purpose == TLS_PURPOSE_SERVER ? c->for_server : c->for_client;
            check_issuer(s, c, below, &v);
            if (!fits) {
                tls_verdict_add(&v, TLS_VERDICT_WRONG_USAGE);
            }
            below += !c->self_issued;
        }
        if (c->weak_signature && !is_anchor) {
            tls_verdict_add(&v, TLS_VERDICT_WEAK_SIGNATURE);
        }
    }
    if (!slice_eq(s->path[n - 1]->der, anchor->der)) {
        check_issuer(s, anchor, below, &v);
    }
    if (s->name_forbidden) {
        tls_verdict_add(&v, TLS_VERDICT_NAME_CONSTRAINT);
    }
    /* The later a kind stands in its enum, the milder it is. */
    bool better = !s->reached || v.kind == TLS_VERDICT_TRUSTED ||
                  (s->best.kind != TLS_VERDICT_TRUSTED && v.kind > s->best.kind);
    if (better) {
        s->best = v;
    }
    s->reached = true;
}

static bool is_signed(struct search *s, const struct x509 *c, const struct x509 *issuer,
                      bool *forbidden)
{
    if (s->checks_left == 0) {
        s->too_long = true;
        return false;
    }
    s->checks_left--;
    enum x509_signature got = x509_signed_by(c, issuer);
    *forbidden = got == X509_SIGNED_BUT_NAME_FORBIDDEN;
    s->bad_signature = s->bad_signature || got == X509_NOT_SIGNED;
    return got != X509_NOT_SIGNED;
}

/* ---- the search ----------------------------------------------------------------------------- */

static bool is_done(const struct search *s)
{
    return s->reached && s->best.kind == TLS_VERDICT_TRUSTED;
}

/* The authorities that issued the last certificate of the path, or are it. */
static void try_anchors(struct search *s, size_t n)
{
    const struct x509 *last = s->path[n - 1];
    struct slice der;
    for (size_t i = 0; (der = tls_trust_find(s->q->trust, last->subject_hash, i)).len > 0; i++) {
        if (slice_eq(der, last->der)) {
            judge(s, n, last);
            return;
        }
    }
    for (size_t i = 0; !is_done(s); i++) {
        struct x509 anchor;
        bool forbidden, before = s->name_forbidden;
        der = tls_trust_find(s->q->trust, last->issuer_hash, i);
        if (der.len == 0) {
            return;
        }
        if (!x509_parse(&anchor, der)) {
            continue;
        }
        if (is_signed(s, last, &anchor, &forbidden)) {
            s->name_forbidden = before || forbidden;
            judge(s, n, &anchor);
            s->name_forbidden = before;
        }
        x509_free(&anchor);
    }
}

/* NOLINTNEXTLINE(misc-no-recursion): PATH_MAX_CERTIFICATES */
static void extend(struct search *s, size_t n)
{
    const struct x509 *last = s->path[n - 1];
    if (s->q->trust) {
        try_anchors(s, n);
    }
    for (size_t i = 1; i < s->count && !is_done(s); i++) {
        const struct x509 *next = &s->own[i];
        bool forbidden, before = s->name_forbidden;
        if (s->used[i] || !next->decoded ||
            memcmp(next->subject_hash, last->issuer_hash, TLS_NAME_HASH_BYTES) != 0) {
            continue;
        }
        if (n == PATH_MAX_CERTIFICATES) {
            s->too_long = true;
            return;
        }
        if (!is_signed(s, last, next, &forbidden)) {
            continue;
        }
        s->used[i] = true;
        s->path[n] = next;
        s->name_forbidden = before || forbidden;
        extend(s, n + 1);
        s->name_forbidden = before;
        s->used[i] = false;
    }
}

static struct tls_verdict no_path(const struct search *s)
{
    struct tls_verdict v = {0};
    check_leaf(s, &v);
    if (s->own[0].weak_signature) {
        tls_verdict_add(&v, TLS_VERDICT_WEAK_SIGNATURE);
    }
    tls_verdict_add(&v, s->bad_signature        ? TLS_VERDICT_BAD_SIGNATURE
                        : s->own[0].self_issued ? TLS_VERDICT_SELF_SIGNED
                                                : TLS_VERDICT_UNKNOWN_CA);
    if (s->too_long) {
        tls_verdict_add(&v, TLS_VERDICT_PATH_TOO_LONG);
    }
    return v;
}

struct tls_verdict tls_verdict_of(const struct tls_verdict_question *q)
{
    struct search s = {.q = q, .checks_left = SIGNATURE_CHECKS_MAX};
    struct tls_verdict v = {0};
    must(q->count == 0 || q->chain != NULL);
    if (q->count == 0) {
        tls_verdict_add(&v, TLS_VERDICT_NO_CERTIFICATE);
        return v;
    }
    s.count = q->count < TLS_CHAIN_MAX ? q->count : TLS_CHAIN_MAX;
    if (!x509_parse(&s.own[0], q->chain[0])) {
        tls_verdict_add(&v, TLS_VERDICT_MALFORMED);
        return v;
    }
    /* The others may be junk that nobody needs: what does not parse is not on a path. */
    for (size_t i = 1; i < s.count; i++) {
        (void)x509_parse(&s.own[i], q->chain[i]);
    }
    s.path[0] = &s.own[0];
    extend(&s, 1);
    v = s.reached ? s.best : no_path(&s);
    for (size_t i = 0; i < s.count; i++) {
        x509_free(&s.own[i]);
    }
    return v;
}
