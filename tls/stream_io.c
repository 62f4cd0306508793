/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The library's input and output, and its two callbacks that decide something: certificates and
 * tickets.
 */
#include "tls/stream_private.h"

#include "core/base/must.h"
#include "tls/x509.h"

#include <wolfssl/error-ssl.h>
#include <wolfssl/wolfcrypt/error-crypt.h>
#include <wolfssl/wolfcrypt/random.h>

enum {
    RECORD_HEADER = 5,
    TYPE_CHANGE_CIPHER_SPEC = 20,
    TYPE_ALERT = 21,
    TYPE_HANDSHAKE = 22,
    TYPE_DATA = 23,
};

must_static((int)TLS_TICKET_NAME_BYTES == WOLFSSL_TICKET_NAME_SZ, "a ticket's key name");
must_static((int)TLS_TICKET_IV_BYTES == WOLFSSL_TICKET_IV_SZ, "a ticket's iv");
must_static((int)TLS_TICKET_MAC_BYTES == WOLFSSL_TICKET_MAC_SZ, "a ticket's mac");

/* ---- records ------------------------------------------------------------------------------------ */

void stream_find_records(struct tls_stream *s)
{
    while (!s->is_garbage && s->in.len - s->ready >= RECORD_HEADER) {
        const uint8_t *p = (const uint8_t *)s->in.ptr + s->ready;
        size_t len = RECORD_HEADER + ((size_t)p[3] << 8 | p[4]);
        s->is_garbage = p[0] < TYPE_CHANGE_CIPHER_SPEC || p[0] > TYPE_DATA || p[1] != 3 ||
                        len > TLS_RECORD_BYTES_MAX;
        if (!s->is_garbage && s->in.len - s->ready < len) {
            return;
        }
        s->ready += s->is_garbage ? 0 : len;
    }
    /* No record follows any more: the library shall see all of it and say the right alert. */
    if (s->is_garbage) {
        s->ready = s->in.len;
    }
}

void stream_settle(struct tls_stream *s)
{
    if (s->in.ptr && s->used == s->in.len) {
        buf_release(&s->in);
        s->used = s->ready = 0;
    }
}

/* At the start of a record: false when it must not be given to the library. */
static bool admit_record(struct tls_stream *s)
{
    const uint8_t *p = (const uint8_t *)s->in.ptr + s->used;
    size_t have = s->ready - s->used;
    if (have < RECORD_HEADER) {
        s->record_left = have;
        return true;
    }
    s->record_left = RECORD_HEADER + ((size_t)p[3] << 8 | p[4]);
    s->record_left = s->record_left < have ? s->record_left : have;
    /* TLS 1.3 has no renegotiation, and its records are all of type data. */
    s->renegotiates = s->phase == STREAM_OPEN && !s->is_tls13 &&
                      (p[0] == TYPE_HANDSHAKE || p[0] == TYPE_CHANGE_CIPHER_SPEC);
    /* One call of the library may take many records. */
    return !s->renegotiates && !(s->phase == STREAM_OPEN && stream_is_flood(s));
}

int stream_on_recv(WOLFSSL *library, char *dst, int size, void *ctx)
{
    struct tls_stream *s = ctx;
    size_t n = s->ready - s->used;
    must(size >= 0 && s->ready <= s->in.len);
    (void)library;
    if (n == 0) {
        return WOLFSSL_CBIO_ERR_WANT_READ;
    }
    if (s->record_left == 0 && !admit_record(s)) {
        return WOLFSSL_CBIO_ERR_GENERAL;
    }
    n = n < (size_t)size ? n : (size_t)size;
    n = n < s->record_left ? n : s->record_left;
    memcpy(dst, s->in.ptr + s->used, n);
    s->used += n;
    s->record_left -= n;
    s->handshake_bytes += s->phase == STREAM_HANDSHAKE ? n : 0;
    s->barren_bytes += n;
    return (int)n;
}

int stream_on_send(WOLFSSL *library, char *src, int size, void *ctx)
{
    struct tls_stream *s = ctx;
    (void)library;
    /* wolfSSL_free says close_notify when the peer did: nobody waits for it. */
    if (!s->out) {
        return WOLFSSL_CBIO_ERR_CONN_CLOSE;
    }
    size_t room = s->out->cap_max - s->out->len;
    size_t n = room < (size_t)size ? room : (size_t)size;
    if (n == 0) {
        return WOLFSSL_CBIO_ERR_WANT_WRITE;
    }
    if (!buf_reserve(s->out, n)) {
        return WOLFSSL_CBIO_ERR_GENERAL;
    }
    buf_add(s->out, slice_of(src, n));
    s->answers += s->reading;
    return (int)n;
}

void stream_add_alert(struct buf *out, uint8_t description)
{
    const uint8_t alert[] = {TYPE_ALERT, 3, 3, 0, 2, 2 /* fatal */, description};
    buf_add(out, slice_of(alert, sizeof(alert)));
}

/* ---- certificates ------------------------------------------------------------------------------- */

static struct tls_verdict judge(const struct tls_stream *s, const WOLFSSL_X509_STORE_CTX *store)
{
    const struct tls_context *c = s->context;
    struct slice chain[TLS_CHAIN_MAX];
    size_t count = store->totalCerts > 0 ? (size_t)store->totalCerts : 0;
    count = count < TLS_CHAIN_MAX ? count : TLS_CHAIN_MAX;
    for (size_t i = 0; i < count; i++) {
        chain[i] = slice_of(store->certs[i].buffer, store->certs[i].length);
    }
    struct tls_verdict_question q = {
        .chain = chain,
        .count = count,
        .trust = c->trust,
        .name = c->is_server ? slice_of("", 0) : slice_str(s->facts.server_name),
        .purpose = c->is_server ? TLS_PURPOSE_CLIENT : TLS_PURPOSE_SERVER,
        .rsa_bits_min = c->rsa_bits_min,
        .wall_us = s->wall_us,
    };
    struct tls_verdict v = tls_verdict_of(&q);
    /* Whoever connects without a name has nothing to check, but it is not this host's certificate. */
    if (!c->is_server && q.name.len == 0) {
        tls_verdict_add(&v, TLS_VERDICT_WRONG_NAME);
    }
    return v;
}

/* Things the library finds too, or finds only because its own store is empty. */
static bool is_covered(int error)
{
    static const int covered[] = {
        0,
        ASN_NO_SIGNER_E,
        ASN_SELF_SIGNED_E,
        ASN_BEFORE_DATE_E,
        ASN_AFTER_DATE_E,
        ASN_CRIT_EXT_E,
        KEYUSE_SIGNATURE_E,
        KEYUSE_ENCIPHER_E,
        EXTKEYUSE_AUTH_E,
#ifdef OPENSSL_COMPATIBLE_DEFAULTS
        /* The distribution's build says it in OpenSSL's numbers. */
        X509_V_ERR_CERT_NOT_YET_VALID,
        X509_V_ERR_CERT_HAS_EXPIRED,
        X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
        X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
        X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
        X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
#endif
    };
    for (size_t i = 0; i < ARRAY_COUNT(covered); i++) {
        if (error == covered[i]) {
            return true;
        }
    }
    return false;
}

/* No handshake is possible with such a key, whatever the policy. */
static bool is_unusable(int error)
{
    return error == PEER_KEY_ERROR || error == RSA_KEY_SIZE_E || error == ECC_KEY_SIZE_E ||
           error == MEMORY_E || error == MEMORY_ERROR;
}

static void name_peer(struct tls_stream *s, const struct x509 *leaf)
{
    struct buf text;
    buf_init(&text, sizeof(s->facts.peer_subject) - 1);
    if (!x509_subject_text(leaf, &text)) {
        buf_deinit(&text);
        buf_init(&text, sizeof(s->facts.peer_subject) - 1);
        buf_add(&text, SLICE("sha256:"));
        for (size_t i = 0; i < TLS_FINGERPRINT_BYTES; i++) {
            buf_addf(&text, "%02x", s->facts.peer_fingerprint[i]);
        }
    }
    must(text.len < sizeof(s->facts.peer_subject));
    if (text.len) { /* else no memory: a name that nobody has */
        memcpy(s->facts.peer_subject, text.ptr, text.len);
    }
    s->facts.peer_subject[text.len] = '\0';
    buf_deinit(&text);
}

static void learn_certificate(struct tls_stream *s, const WOLFSSL_X509_STORE_CTX *store)
{
    struct x509 leaf;
    if (store->totalCerts <= 0) {
        return;
    }
    struct slice der = slice_of(store->certs[0].buffer, store->certs[0].length);
    s->facts.peer_certificate = true;
    x509_fingerprint(der, s->facts.peer_fingerprint);
    if (x509_parse(&leaf, der)) {
        name_peer(s, &leaf);
        x509_free(&leaf);
    }
}

int stream_on_verify(int ok, WOLFSSL_X509_STORE_CTX *store)
{
    struct tls_stream *s = store->userCtx;
    const struct tls_context *c = s->context;
    (void)ok;
    /* The whole chain is judged with the peer's own certificate, which comes last. */
    if (store->error_depth > 0) {
        return 1;
    }
    s->facts.peer_subject[0] = '\0';
    learn_certificate(s, store);
    s->facts.verdict = judge(s, store);
    if (!is_covered(store->error)) {
        tls_verdict_add(&s->facts.verdict,
                        is_unusable(store->error) ? TLS_VERDICT_WEAK_KEY : TLS_VERDICT_MALFORMED);
    }
    bool must_be_trusted = c->is_server ? c->client_cert == TLS_CLIENT_CERT_REQUIRE
                                        : c->policy == TLS_POLICY_VERIFY;
    s->rejected = is_unusable(store->error) ||
                  (must_be_trusted && s->facts.verdict.kind != TLS_VERDICT_TRUSTED);
    return s->rejected ? 0 : 1;
}

/* ---- tickets -------------------------------------------------------------------------------------- */

int stream_on_ticket(WOLFSSL *library, unsigned char name[WOLFSSL_TICKET_NAME_SZ],
                     unsigned char iv[WOLFSSL_TICKET_IV_SZ],
                     unsigned char mac[WOLFSSL_TICKET_MAC_SZ], int seal, unsigned char *ticket,
                     int size, int *result_size, void *ctx)
{
    struct tls_stream *s = wolfSSL_GetIOReadCtx(library);
    struct tls_ticket t = {name, iv, mac, ticket, size > 0 ? (size_t)size : 0, s->binding};
    (void)ctx;
    if (!s->context->tickets || t.len == 0) {
        return WOLFSSL_TICKET_RET_REJECT;
    }
    *result_size = size;
    if (!seal) {
        return tls_tickets_open_ticket(s->context->tickets, &t) ? WOLFSSL_TICKET_RET_OK
                                                                : WOLFSSL_TICKET_RET_REJECT;
    }
    WC_RNG *rng = wolfSSL_GetRNG(library);
    if (!rng || wc_RNG_GenerateBlock(rng, iv, WOLFSSL_TICKET_IV_SZ) != 0) {
        return WOLFSSL_TICKET_RET_FATAL;
    }
    return tls_tickets_seal(s->context->tickets, &t) ? WOLFSSL_TICKET_RET_OK
                                                     : WOLFSSL_TICKET_RET_FATAL;
}
