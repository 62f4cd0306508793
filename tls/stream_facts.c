/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What is known about a session, and why it failed.
 */
#include "tls/stream_private.h"

#include "core/base/must.h"
#include "tls/x509.h"

#include <stdio.h>
#include <stdlib.h>
#include <wolfssl/error-ssl.h>
#include <wolfssl/wolfcrypt/error-crypt.h>

enum { TICKET_BYTES_MAX = 4096 };

/* ---- facts ---------------------------------------------------------------------------------------- */

static const struct {
    int id;
    unsigned bits;
    const char *name;
} suites[] = {
    {0x1301, 128, "TLS_AES_128_GCM_SHA256"},
    {0x1302, 256, "TLS_AES_256_GCM_SHA384"},
    {0x1303, 256, "TLS_CHACHA20_POLY1305_SHA256"},
    {0xC02B, 128, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
    {0xC02C, 256, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
    {0xC02F, 128, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
    {0xC030, 256, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
    {0xCCA8, 256, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"},
    {0xCCA9, 256, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"},
};

void stream_learn(struct tls_stream *s)
{
    int suite = wolfSSL_get_current_cipher_suite(s->library);
    s->facts.version = wolfSSL_get_version(s->library);
    s->is_tls13 = slice_eq(slice_str(s->facts.version), SLICE("TLSv1.3"));
    s->facts.resumed = wolfSSL_session_reused(s->library) == 1;
    for (size_t i = 0; i < ARRAY_COUNT(suites); i++) {
        if (suites[i].id == suite) {
            s->facts.cipher = suites[i].name;
            s->facts.cipher_bits = suites[i].bits;
        }
    }
}

const struct tls_facts *tls_stream_facts(const struct tls_stream *s)
{
    return &s->facts;
}

/* ---- sessions -------------------------------------------------------------------------------------- */

/* Of the ticket that the library has. False: none, or none of a size worth keeping. */
static bool ticket_digest(const struct tls_stream *s, uint8_t out[TLS_FINGERPRINT_BYTES])
{
    uint8_t ticket[TICKET_BYTES_MAX];
    word32 size = sizeof(ticket);
    if (wolfSSL_get_SessionTicket(s->library, ticket, &size) != WOLFSSL_SUCCESS || size == 0) {
        return false;
    }
    x509_fingerprint(slice_of(ticket, size), out);
    return true;
}

/* A full handshake overwrites this: its certificate is judged again. */
void stream_learn_session(struct tls_stream *s, const struct tls_session *session)
{
    s->facts.peer_certificate = true;
    s->facts.verdict = session->verdict;
    memcpy(s->facts.peer_subject, session->peer_subject, sizeof(s->facts.peer_subject));
    memcpy(s->facts.peer_fingerprint, session->peer_fingerprint, TLS_FINGERPRINT_BYTES);
    (void)ticket_digest(s, s->offered);
}

/* A ticket that came on this connection. Some servers (Postfix) send none to a client that resumed: the
 * library then still has the old ticket, but beside it the secret of now, and the two do not belong together. */
static bool has_new_ticket(const struct tls_stream *s)
{
    uint8_t digest[TLS_FINGERPRINT_BYTES];
    return ticket_digest(s, digest) && memcmp(digest, s->offered, sizeof(digest)) != 0;
}

struct tls_session *tls_stream_session(struct tls_stream *s)
{
    if (s->context->is_server || !s->facts.done || !s->library || !s->facts.peer_certificate) {
        return NULL;
    }
    /* Without a ticket there may be a session id, but only before TLS 1.3. */
    if (s->is_tls13 && !has_new_ticket(s)) {
        return NULL;
    }
    struct tls_session *session = calloc(1, sizeof(*session));
    WOLFSSL_SESSION *live = session ? wolfSSL_get1_session(s->library) : NULL;
    if (live) {
        session->library = wolfSSL_SESSION_dup(live);
        wolfSSL_SESSION_free(live);
    }
    if (!session || !session->library) {
        free(session);
        return NULL;
    }
    memcpy(session->context_id, s->context->id, TLS_CONTEXT_ID_BYTES);
    memcpy(session->server_name, s->facts.server_name, sizeof(session->server_name));
    memcpy(session->peer_subject, s->facts.peer_subject, sizeof(session->peer_subject));
    memcpy(session->peer_fingerprint, s->facts.peer_fingerprint, TLS_FINGERPRINT_BYTES);
    session->verdict = s->facts.verdict;
    return session;
}

void tls_session_free(struct tls_session **s)
{
    struct tls_session *old = *s;
    *s = NULL;
    if (old) {
        wolfSSL_SESSION_free(old->library);
        free(old);
    }
}

/* ---- failures ---------------------------------------------------------------------------------------- */

static const struct {
    int code;
    const char *name;
} alerts[] = {
    {0, "close_notify"},
    {10, "unexpected_message"},
    {20, "bad_record_mac"},
    {22, "record_overflow"},
    {40, "handshake_failure"},
    {42, "bad_certificate"},
    {43, "unsupported_certificate"},
    {44, "certificate_revoked"},
    {45, "certificate_expired"},
    {46, "certificate_unknown"},
    {47, "illegal_parameter"},
    {48, "unknown_ca"},
    {49, "access_denied"},
    {50, "decode_error"},
    {51, "decrypt_error"},
    {70, "protocol_version"},
    {71, "insufficient_security"},
    {80, "internal_error"},
    {86, "inappropriate_fallback"},
    {90, "user_canceled"},
    {100, "no_renegotiation"},
    {109, "missing_extension"},
    {110, "unsupported_extension"},
    {112, "unrecognized_name"},
    {113, "bad_certificate_status_response"},
    {115, "unknown_psk_identity"},
    {116, "certificate_required"},
    {120, "no_application_protocol"},
};

/* What the library's numbers mean; all others are a broken protocol. */
static const struct {
    int code;
    enum tls_error kind;
    const char *text;
} meanings[] = {
    {VERSION_ERROR, TLS_ERROR_VERSION, "no TLS version in common"},
    {UNSUPPORTED_PROTO_VERSION, TLS_ERROR_VERSION, "no TLS version in common"},
    {MATCH_SUITE_ERROR, TLS_ERROR_NEGOTIATION, "no cipher, group or signature in common"},
    {UNSUPPORTED_SUITE, TLS_ERROR_NEGOTIATION, "no cipher in common"},
    {ECC_CURVE_ERROR, TLS_ERROR_NEGOTIATION, "no group in common"},
    {BAD_KEY_SHARE_DATA, TLS_ERROR_NEGOTIATION, "no group in common"},
    {INVALID_PARAMETER, TLS_ERROR_NEGOTIATION, "a parameter that was not offered"},
    {NO_PEER_CERT, TLS_ERROR_CERTIFICATE, "the peer shows no certificate"},
    {VERIFY_CERT_ERROR, TLS_ERROR_CERTIFICATE, "the certificate is refused"},
    {ASN_PARSE_E, TLS_ERROR_CERTIFICATE, "the certificate cannot be read"},
    {MAX_CHAIN_ERROR, TLS_ERROR_CERTIFICATE, "the certificate chain is too long"},
    {VERIFY_SIGN_ERROR, TLS_ERROR_CERTIFICATE, "the peer does not own its certificate's key"},
    {UNKNOWN_RECORD_TYPE, TLS_ERROR_NOT_TLS, "the peer does not speak TLS here"},
    {SOCKET_PEER_CLOSED_E, TLS_ERROR_TRUNCATED, "the connection ended"},
    {MEMORY_E, TLS_ERROR_RESOURCES, "no memory"},
    {MEMORY_ERROR, TLS_ERROR_RESOURCES, "no memory"},
    {RNG_FAILURE_E, TLS_ERROR_RESOURCES, "no randomness"},
    {VERIFY_MAC_ERROR, TLS_ERROR_PROTOCOL, "a record was changed on its way"},
    {DECRYPT_ERROR, TLS_ERROR_PROTOCOL, "a record was changed on its way"},
    {VERIFY_FINISHED_ERROR, TLS_ERROR_PROTOCOL, "the handshake was changed on its way"},
};

static const char *const names[] = {
    [TLS_ERROR_NONE] = "none",
    [TLS_ERROR_NOT_TLS] = "not_tls",
    [TLS_ERROR_VERSION] = "version",
    [TLS_ERROR_NEGOTIATION] = "negotiation",
    [TLS_ERROR_CERTIFICATE] = "certificate",
    [TLS_ERROR_ALERT] = "alert",
    [TLS_ERROR_PROTOCOL] = "protocol",
    [TLS_ERROR_FLOOD] = "flood",
    [TLS_ERROR_TRUNCATED] = "truncated",
    [TLS_ERROR_RENEGOTIATION] = "renegotiation",
    [TLS_ERROR_RESOURCES] = "resources",
};

const char *tls_error_name(enum tls_error kind)
{
    must((size_t)kind < ARRAY_COUNT(names));
    return names[kind];
}

const struct tls_failure *tls_stream_error(const struct tls_stream *s)
{
    return &s->failure;
}

static const char *alert_name(int code)
{
    for (size_t i = 0; i < ARRAY_COUNT(alerts); i++) {
        if (alerts[i].code == code) {
            return alerts[i].name;
        }
    }
    return "unknown";
}

enum tls_step stream_fail(struct tls_stream *s, enum tls_error kind, const char *text)
{
    must(kind != TLS_ERROR_NONE);
    if (s->phase != STREAM_FAILED) {
        s->phase = STREAM_FAILED;
        s->failure.kind = kind;
        (void)snprintf(s->failure.text, sizeof(s->failure.text), "%s", text);
    }
    /* Nothing is done with it any more: its memory and keys go at once. */
    struct buf *out = s->out;
    s->out = NULL;
    wolfSSL_free(s->library);
    s->library = NULL;
    s->out = out;
    s->used = s->in.len;
    stream_settle(s);
    return TLS_STEP_FAILED;
}

static enum tls_step fail_by_alert(struct tls_stream *s, int alert)
{
    char text[sizeof(s->failure.text)];
    s->failure.alert = alert;
    (void)snprintf(text, sizeof(text), "the peer ended it with the alert %s (%d)",
                   alert_name(alert), alert);
    return stream_fail(s, TLS_ERROR_ALERT, text);
}

enum tls_step stream_fail_library(struct tls_stream *s, int code)
{
    WOLFSSL_ALERT_HISTORY history;
    char text[sizeof(s->failure.text)];
    s->failure.code = code;
    if (code == NO_PEER_CERT) {
        s->facts.verdict = (struct tls_verdict){0};
        tls_verdict_add(&s->facts.verdict, TLS_VERDICT_NO_CERTIFICATE);
    }
    if (s->rejected) {
        (void)snprintf(text, sizeof(text), "the certificate %s",
                       tls_verdict_text(s->facts.verdict.kind));
        return stream_fail(s, TLS_ERROR_CERTIFICATE, text);
    }
    if (code == FATAL_ERROR && wolfSSL_get_alert_history(s->library, &history) == WOLFSSL_SUCCESS &&
        history.last_rx.code >= 0) {
        return fail_by_alert(s, history.last_rx.code);
    }
    for (size_t i = 0; i < ARRAY_COUNT(meanings); i++) {
        if (meanings[i].code == code) {
            return stream_fail(s, meanings[i].kind, meanings[i].text);
        }
    }
    (void)snprintf(text, sizeof(text), "broken protocol: %s",
                   wolfSSL_ERR_reason_error_string((unsigned long)code));
    return stream_fail(s, TLS_ERROR_PROTOCOL, text);
}
