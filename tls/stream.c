/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 *   HELLO ──start_server()──► HANDSHAKE ──finish()──► OPEN ──close_notify──► PEER_CLOSED
 *     │ (server)                  ▲ │                   │
 *     │                  (client) │ └── stream_fail() ──┴──► FAILED
 *     └───────────────────────────┴─── stream_fail() ──────► FAILED
 *
 * The library sees whole records only: it allocates 16 KiB for a record as soon as its five bytes of
 * header have come, and a peer that stops there would hold them. Its own buffers are empty between
 * records, so an idle stream owns none.
 */
#include "tls/stream_private.h"

#include "core/base/ipaddr.h"
#include "core/base/must.h"
#include "tls/name.h"

#include <stdlib.h>
#include <wolfssl/error-ssl.h>
#include <wolfssl/wolfcrypt/sha256.h>

enum {
    HANDSHAKE_BYTES_MAX = 128 * 1024,
    BARREN_BYTES_MAX = 64 * 1024,
    ANSWERS_MAX = 16,
    FRUIT_BYTES = 1024 * 1024, /* this much plaintext makes the answers forgotten */
    RECORD_PLAIN_MAX = 16384,
    RECORD_PLAIN_MIN = 1024, /* smaller records are not made only because out is nearly full */
    ALERT_HANDSHAKE_FAILURE = 40,
    ALERT_DECODE_ERROR = 50,
    ALERT_PROTOCOL_VERSION = 70,
};

/* ---- life ------------------------------------------------------------------------------------- */

static bool open_library(struct tls_stream *s, struct WOLFSSL_CTX *ctx)
{
    s->library = wolfSSL_new(ctx);
    if (!s->library) {
        return false;
    }
    wolfSSL_SetIOReadCtx(s->library, s);
    wolfSSL_SetIOWriteCtx(s->library, s);
    wolfSSL_SetCertCbCtx(s->library, s);
    return true;
}

static void set_server_name(struct tls_stream *s, struct slice name)
{
    if (name.len > 0 && name.ptr[name.len - 1] == '.') {
        name.len--;
    }
    if (name.len > TLS_SERVER_NAME_BYTES_MAX) {
        return;
    }
    for (size_t i = 0; i < name.len; i++) {
        s->facts.server_name[i] = ascii_lower(name.ptr[i]);
    }
}

static void resume(struct tls_stream *s, const struct tls_session *session)
{
    bool fits = memcmp(session->context_id, s->context->id, TLS_CONTEXT_ID_BYTES) == 0 &&
                slice_eq(slice_str(session->server_name), slice_str(s->facts.server_name));
    /* A copy: the library writes into the session of a connection. */
    WOLFSSL_SESSION *copy = fits ? wolfSSL_SESSION_dup(session->library) : NULL;
    if (copy && wolfSSL_set_session(s->library, copy) == WOLFSSL_SUCCESS) {
        stream_learn_session(s, session);
    }
    wolfSSL_SESSION_free(copy);
}

static bool open_client(struct tls_stream *s, const struct tls_stream_config *config)
{
    struct ip_addr addr;
    s->phase = STREAM_HANDSHAKE;
    s->facts.verdict = (struct tls_verdict){0};
    tls_verdict_add(&s->facts.verdict, TLS_VERDICT_NO_CERTIFICATE);
    set_server_name(s, config->server_name);
    if (!open_library(s, s->context->entries[0].library)) {
        return false;
    }
    struct slice name = slice_str(s->facts.server_name);
    /* RFC 6066 3: host names only, no addresses. */
    if (tls_name_is_host(name) && !ip_addr_parse(name, &addr) &&
        wolfSSL_UseSNI(s->library, WOLFSSL_SNI_HOST_NAME, name.ptr, (unsigned short)name.len) !=
            WOLFSSL_SUCCESS) {
        return false;
    }
    if (config->session) {
        resume(s, config->session);
    }
    return true;
}

struct tls_stream *tls_stream_open(const struct tls_stream_config *config)
{
    must(config->context != NULL);
    struct tls_stream *s = calloc(1, sizeof(*s));
    if (!s) {
        return NULL;
    }
    s->context = tls_context_get(config->context);
    s->wall_us = config->wall_us;
    s->failure.alert = -1;
    s->facts.version = "";
    s->facts.cipher = "";
    buf_init(&s->in, TLS_RECORD_BYTES_MAX);
    tls_verdict_add(&s->facts.verdict, TLS_VERDICT_UNCHECKED);
    if (!s->context->is_server && !open_client(s, config)) {
        tls_stream_close(&s);
    }
    return s;
}

void tls_stream_close(struct tls_stream **s)
{
    struct tls_stream *old = *s;
    *s = NULL;
    if (!old) {
        return;
    }
    wolfSSL_free(old->library);
    buf_deinit(&old->in);
    tls_context_put(&old->context);
    free(old);
}

/* ---- the handshake ------------------------------------------------------------------------------ */

static bool has_room(const struct buf *out)
{
    must(out->cap_max >= TLS_OUT_ROOM_MIN);
    return out->cap_max - out->len >= TLS_OUT_ROOM_MIN;
}

static enum tls_step refuse(struct tls_stream *s, enum tls_error kind, uint8_t alert,
                            const char *text)
{
    stream_add_alert(s->out, alert);
    return stream_fail(s, kind, text);
}

/* What tickets of this connection are for: this certificate, under this name. */
static void bind_tickets(struct tls_stream *s, const struct tls_context_entry *entry)
{
    uint8_t text[TLS_FINGERPRINT_BYTES + TLS_SERVER_NAME_BYTES_MAX];
    size_t n = strlen(s->facts.server_name);
    memcpy(text, entry->fingerprint, TLS_FINGERPRINT_BYTES);
    memcpy(text + TLS_FINGERPRINT_BYTES, s->facts.server_name, n);
    must(wc_Sha256Hash(text, (word32)(TLS_FINGERPRINT_BYTES + n), s->binding) == 0);
}

static enum tls_step choose_certificate(struct tls_stream *s, const struct tls_hello *hello)
{
    const struct tls_context_entry *entry;
    if (hello->version_max < 0x0303) {
        return refuse(s, TLS_ERROR_VERSION, ALERT_PROTOCOL_VERSION,
                      "the client offers nothing newer than TLS 1.1");
    }
    if ((s->context->versions == TLS_VERSIONS_ONLY_13 && hello->version_max < 0x0304) ||
        (s->context->versions == TLS_VERSIONS_ONLY_12 && hello->version_min > 0x0303)) {
        return refuse(s, TLS_ERROR_VERSION, ALERT_PROTOCOL_VERSION,
                      "no TLS version in common with the client");
    }
    set_server_name(s, slice_of(hello->server_name, hello->server_name_len));
    entry = tls_context_choose(s->context, hello);
    if (!entry) {
        return refuse(s, TLS_ERROR_NEGOTIATION, ALERT_HANDSHAKE_FAILURE,
                      "the client can use no certificate of this listener (ciphers, signatures)");
    }
    if (!open_library(s, entry->library)) {
        return stream_fail(s, TLS_ERROR_RESOURCES, "no memory for a TLS session");
    }
    bind_tickets(s, entry);
    s->phase = STREAM_HANDSHAKE;
    return TLS_STEP_DONE;
}

/* DONE: there is a library object, and the handshake may begin. */
static enum tls_step start_server(struct tls_stream *s)
{
    struct tls_hello hello;
    switch (tls_hello_parse(buf_slice(&s->in), &hello)) {
    case TLS_HELLO_OK:
        return choose_certificate(s, &hello);
    case TLS_HELLO_MORE:
        if (s->in.len < s->in.cap_max) {
            s->tried = s->in.len;
            return TLS_STEP_WANT_INPUT;
        }
        return refuse(s, TLS_ERROR_PROTOCOL, ALERT_DECODE_ERROR, "the ClientHello is too large");
    case TLS_HELLO_NOT_TLS:
        return refuse(s, TLS_ERROR_NOT_TLS, ALERT_PROTOCOL_VERSION,
                      "the client does not speak TLS here");
    case TLS_HELLO_MALFORMED:
        return refuse(s, TLS_ERROR_PROTOCOL, ALERT_DECODE_ERROR, "the ClientHello is malformed");
    case TLS_HELLO_TOO_LARGE:
        return refuse(s, TLS_ERROR_PROTOCOL, ALERT_DECODE_ERROR, "the ClientHello is too large");
    }
    must(false);
}

static enum tls_step finish(struct tls_stream *s)
{
    stream_learn(s);
    /* The callback has refused already; this is what stands if it was never called. */
    if (!s->context->is_server && s->context->policy == TLS_POLICY_VERIFY &&
        s->facts.verdict.kind != TLS_VERDICT_TRUSTED) {
        return stream_fail(s, TLS_ERROR_CERTIFICATE, "the certificate was not verified");
    }
    if (s->context->client_cert == TLS_CLIENT_CERT_REQUIRE && s->context->is_server &&
        s->facts.verdict.kind != TLS_VERDICT_TRUSTED) {
        return stream_fail(s, TLS_ERROR_CERTIFICATE, "the certificate was not verified");
    }
    s->phase = STREAM_OPEN;
    s->facts.done = true;
    return TLS_STEP_DONE;
}

static enum tls_step shake(struct tls_stream *s)
{
    int rc = s->context->is_server ? wolfSSL_accept(s->library) : wolfSSL_connect(s->library);
    if (rc == WOLFSSL_SUCCESS) {
        return finish(s);
    }
    int error = wolfSSL_get_error(s->library, rc);
    if (error == WOLFSSL_ERROR_WANT_WRITE) {
        return TLS_STEP_WANT_ROOM;
    }
    if (error != WOLFSSL_ERROR_WANT_READ) {
        return stream_fail_library(s, error);
    }
    if (s->handshake_bytes > HANDSHAKE_BYTES_MAX) {
        return stream_fail(s, TLS_ERROR_FLOOD, "the handshake is larger than 128 KiB");
    }
    return TLS_STEP_WANT_INPUT;
}

enum tls_step tls_stream_step(struct tls_stream *s, struct buf *out)
{
    enum tls_step step = TLS_STEP_DONE;
    if (s->phase == STREAM_FAILED) {
        return TLS_STEP_FAILED;
    }
    if (s->phase == STREAM_OPEN || s->phase == STREAM_PEER_CLOSED) {
        return TLS_STEP_DONE;
    }
    if (!has_room(out)) {
        return TLS_STEP_WANT_ROOM;
    }
    s->out = out;
    s->begun = true;
    if (s->phase == STREAM_HELLO) {
        step = start_server(s);
    }
    if (step == TLS_STEP_DONE) {
        step = shake(s);
    }
    s->out = NULL;
    s->wanted_room = step == TLS_STEP_WANT_ROOM;
    stream_settle(s);
    return step;
}

/* ---- data --------------------------------------------------------------------------------------- */

size_t tls_stream_feed(struct tls_stream *s, struct slice cipher)
{
    if (s->phase == STREAM_FAILED || s->phase == STREAM_PEER_CLOSED) {
        return cipher.len;
    }
    if (s->used > 0) {
        buf_consume(&s->in, s->used);
        s->ready -= s->used;
        s->used = 0;
    }
    size_t n = s->in.cap_max - s->in.len;
    n = n < cipher.len ? n : cipher.len;
    if (!buf_reserve(&s->in, n)) {
        (void)stream_fail(s, TLS_ERROR_RESOURCES, "no memory for input");
        return cipher.len;
    }
    buf_add(&s->in, slice_first(cipher, n));
    stream_find_records(s);
    return n;
}

/* Whole, or such that no more of it can help. */
static bool hello_is_whole(const struct tls_stream *s)
{
    struct tls_hello hello;
    return s->in.len == s->in.cap_max ||
           tls_hello_parse(buf_slice(&s->in), &hello) != TLS_HELLO_MORE;
}

bool tls_stream_has_work(const struct tls_stream *s)
{
    switch (s->phase) {
    case STREAM_HELLO:
        return s->in.len > s->tried && hello_is_whole(s);
    case STREAM_HANDSHAKE:
        return s->ready > s->used || s->wanted_room || (!s->begun && !s->context->is_server);
    case STREAM_OPEN:
        return s->ready > s->used || wolfSSL_pending(s->library) > 0;
    case STREAM_PEER_CLOSED:
    case STREAM_FAILED:
        return false;
    }
    must(false);
}

/* What a peer makes us do for nothing; asked before each record. */
bool stream_is_flood(const struct tls_stream *s)
{
    return s->answers > ANSWERS_MAX || s->barren_bytes > BARREN_BYTES_MAX;
}

static void count_fruit(struct tls_stream *s, size_t plain)
{
    s->barren_bytes = plain > 0 ? 0 : s->barren_bytes;
    s->fruit_bytes += plain;
    if (s->fruit_bytes > FRUIT_BYTES) {
        s->fruit_bytes = 0;
        s->answers = 0;
    }
}

static enum tls_read read_failed(struct tls_stream *s, int rc)
{
    int error = wolfSSL_get_error(s->library, rc);
    if (s->renegotiates) {
        (void)stream_fail(s, TLS_ERROR_RENEGOTIATION, "the peer wants to renegotiate");
        return TLS_READ_FAILED;
    }
    if (error == WOLFSSL_ERROR_WANT_READ) {
        return TLS_READ_WANT_INPUT;
    }
    if (error == WOLFSSL_ERROR_WANT_WRITE) {
        return TLS_READ_WANT_ROOM;
    }
    if (error == WOLFSSL_ERROR_ZERO_RETURN) {
        s->phase = STREAM_PEER_CLOSED;
        return TLS_READ_CLOSED;
    }
    (void)stream_fail_library(s, error);
    return TLS_READ_FAILED;
}

/* One call of the library; *got is what it added to plain. */
static enum tls_read read_some(struct tls_stream *s, struct buf *plain, size_t max, size_t *got)
{
    int pending = wolfSSL_pending(s->library);
    /* No record holds more plaintext than it is long. */
    size_t n = (pending > 0 ? (size_t)pending : 0) + (s->ready - s->used);
    *got = 0;
    if (n == 0) {
        return TLS_READ_WANT_INPUT;
    }
    n = n < max ? n : max;
    n = n < RECORD_PLAIN_MAX ? n : RECORD_PLAIN_MAX;
    if (!buf_reserve(plain, n)) {
        (void)stream_fail(s, TLS_ERROR_RESOURCES, "no memory for plaintext");
        return TLS_READ_FAILED;
    }
    s->reading = true;
    int rc = wolfSSL_read(s->library, plain->ptr + plain->len, (int)n);
    s->reading = false;
    *got = rc > 0 ? (size_t)rc : 0;
    plain->len += *got;
    count_fruit(s, *got);
    if (stream_is_flood(s)) {
        (void)stream_fail(s, TLS_ERROR_FLOOD, "the peer sends records that bring no data");
        return TLS_READ_FAILED;
    }
    return rc > 0 ? TLS_READ_MORE : read_failed(s, rc);
}

enum tls_read tls_stream_read(struct tls_stream *s, struct buf *plain, size_t max, struct buf *out)
{
    enum tls_read result = TLS_READ_MORE;
    if (s->phase == STREAM_FAILED) {
        return TLS_READ_FAILED;
    }
    if (s->phase == STREAM_PEER_CLOSED) {
        return TLS_READ_CLOSED;
    }
    must(s->phase == STREAM_OPEN && max > 0 && !plain->overflow);
    s->out = out;
    while (result == TLS_READ_MORE && max > 0 && plain->len < plain->cap_max) {
        size_t room = plain->cap_max - plain->len, got;
        if (!has_room(out)) {
            result = TLS_READ_WANT_ROOM;
            break;
        }
        result = read_some(s, plain, max < room ? max : room, &got);
        max -= got;
    }
    s->out = NULL;
    stream_settle(s);
    /* The cap was met exactly: whether there is more is known here, without another call. */
    if (result == TLS_READ_MORE && !tls_stream_has_work(s)) {
        return TLS_READ_WANT_INPUT;
    }
    return result;
}

size_t tls_stream_write(struct tls_stream *s, struct slice plain, struct buf *out)
{
    size_t taken = 0;
    if (s->phase == STREAM_FAILED) {
        return 0;
    }
    /* The peer's close_notify ends its direction only (RFC 8446 6.1): answers may still be owed. */
    must((s->phase == STREAM_OPEN || s->phase == STREAM_PEER_CLOSED) && !s->said_close);
    s->out = out;
    while (plain.len > 0 && !out->overflow) {
        size_t room = out->cap_max - out->len;
        size_t n = plain.len < RECORD_PLAIN_MAX ? plain.len : RECORD_PLAIN_MAX;
        if (room < n + TLS_RECORD_OVERHEAD_MAX) {
            bool worth = room >= RECORD_PLAIN_MIN + TLS_RECORD_OVERHEAD_MAX || out->len == 0;
            n = worth && room > TLS_RECORD_OVERHEAD_MAX ? room - TLS_RECORD_OVERHEAD_MAX : 0;
        }
        if (n == 0) {
            break;
        }
        /* At once, and without a doubling that the library's own small writes would bring. */
        int rc = buf_reserve(out, n + TLS_RECORD_OVERHEAD_MAX)
                     ? wolfSSL_write(s->library, plain.ptr, (int)n)
                     : MEMORY_ERROR;
        if (rc <= 0) {
            (void)stream_fail_library(s,
                                      rc == MEMORY_ERROR ? rc : wolfSSL_get_error(s->library, rc));
            break;
        }
        taken += (size_t)rc;
        plain = slice_skip(plain, (size_t)rc);
    }
    s->out = NULL;
    return taken;
}

bool tls_stream_shutdown(struct tls_stream *s, struct buf *out)
{
    if (s->said_close || (s->phase != STREAM_OPEN && s->phase != STREAM_PEER_CLOSED)) {
        return true;
    }
    if (!has_room(out)) {
        return false;
    }
    s->out = out;
    (void)wolfSSL_shutdown(s->library);
    s->out = NULL;
    s->said_close = true;
    return true;
}

void tls_stream_eof(struct tls_stream *s)
{
    switch (s->phase) {
    case STREAM_HELLO:
    case STREAM_HANDSHAKE:
        (void)stream_fail(s, TLS_ERROR_TRUNCATED, "the connection ended inside the handshake");
        break;
    case STREAM_OPEN:
        (void)stream_fail(s, TLS_ERROR_TRUNCATED, "the connection ended without close_notify");
        break;
    case STREAM_PEER_CLOSED:
    case STREAM_FAILED:
        break;
    }
}
