/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * stream - one TLS connection, without the connection
 *
 * Purpose:   ciphertext in, plaintext out, and back. It reads and writes no socket and no clock.
 *
 *              bytes from the socket → tls_stream_feed ─► tls_stream_step until TLS_STEP_DONE
 *                                                    └──► tls_stream_read  → plaintext
 *              plaintext → tls_stream_write → out → bytes to the socket
 *
 * Owner:     the connection's owner: open, then close (any time, in any state). Holds a reference to
 *            its context.
 * Thread:    the owner's; another connection of the same context may run on another thread.
 * Units:     bytes.
 * Limits:    work: feed does no cryptography; one call of step costs at most one flight of the
 *            handshake (some 150 to 900 µs where a private key is used), one read at most `max` bytes,
 *            one write at most what out has room for. A call of step is cheap unless tls_stream_has_work
 *            said before it that there is something to do.
 *            memory: keeps at most one record (18 KiB) of input, and only as much as has come; when
 *            idle nothing but the library's object. `out` is never grown beyond its cap_max: what
 *            does not fit makes the call say so, and nothing more is read until there is room.
 *            hostile peers: 128 KiB of handshake, 64 KiB of records that bring no data, 16 answers to
 *            key updates; more fails the stream. Renegotiation fails it.
 * Errors:    TLS_STEP_FAILED, TLS_READ_FAILED: final. tls_stream_error says why; what stands in `out`
 *            (an alert) should still be sent, then the connection closed.
 * RFC:       8446, 5246, 6066 3 (SNI), 7568 and 8996 (nothing below 1.2), 9325
 */
#ifndef RINGPOST_TLS_STREAM_H
#define RINGPOST_TLS_STREAM_H

#include "tls/context.h"
#include "tls/session.h"
#include "tls/verdict.h"

struct tls_stream;

enum {
    TLS_OUT_ROOM_MIN = 512, /* what step, read and shutdown want free in out */
    TLS_RECORD_BYTES_MAX = 5 + 16384 + 2048,
    TLS_RECORD_OVERHEAD_MAX = 64, /* a write of n ≤ 16384 bytes makes at most n + this */
};

/* Copied where needed; the slices and the session only have to live for the call of open. */
struct tls_stream_config {
    struct tls_context *context;
    uint64_t wall_us;         /* judges the peer's certificate by this time */
    struct slice server_name; /* client: host name (SNI and name check) or address (check only) */
    const struct tls_session *session; /* client: resume this one, if it fits; or NULL */
};

/* NULL without memory. */
struct tls_stream *tls_stream_open(const struct tls_stream_config *config);
/* Frees it, whatever its state; sends nothing. Nulls the caller's pointer; NULL is fine. */
void tls_stream_close(struct tls_stream **s);

/* Takes ciphertext; returns how much (less than all: call step or read first, then feed the rest). */
size_t tls_stream_feed(struct tls_stream *s, struct slice cipher);

enum tls_step {
    TLS_STEP_WANT_INPUT,
    TLS_STEP_WANT_ROOM, /* send what is in out, then call again */
    TLS_STEP_DONE,      /* the handshake is finished, facts are known; read may have data already */
    TLS_STEP_FAILED,
};

/* Drives the handshake. A client calls it once without input to start. */
enum tls_step tls_stream_step(struct tls_stream *s, struct buf *out);
/* Is there something that step or read can use without further input? */
bool tls_stream_has_work(const struct tls_stream *s);

enum tls_read {
    TLS_READ_WANT_INPUT, /* everything fed was used */
    TLS_READ_MORE,       /* max bytes were added and there is more, or plain is full */
    TLS_READ_WANT_ROOM,  /* send what is in out, then call again */
    TLS_READ_CLOSED,     /* the peer said close_notify: what came before is whole */
    TLS_READ_FAILED,
};

/* Appends at most max bytes to plain. After TLS_STEP_DONE only. */
enum tls_read tls_stream_read(struct tls_stream *s, struct buf *plain, size_t max, struct buf *out);

/* Encrypts as much of plain as fits into out; returns how much (0: no room, or the stream failed). After
 * TLS_STEP_DONE and before shutdown only; also when the peer has closed its direction. */
size_t tls_stream_write(struct tls_stream *s, struct slice plain, struct buf *out);

/* Says close_notify (once). False: no room in out. Nothing can be written after it. */
bool tls_stream_shutdown(struct tls_stream *s, struct buf *out);
/* The socket ended. Without a close_notify before it the stream fails: what came may be cut short. */
void tls_stream_eof(struct tls_stream *s);

enum tls_error {
    TLS_ERROR_NONE,
    TLS_ERROR_NOT_TLS,       /* the peer speaks something else */
    TLS_ERROR_VERSION,       /* no common version */
    TLS_ERROR_NEGOTIATION,   /* no common cipher, group or signature algorithm */
    TLS_ERROR_CERTIFICATE,   /* the peer's certificate: see facts.verdict */
    TLS_ERROR_ALERT,         /* the peer ended it with an alert */
    TLS_ERROR_PROTOCOL,      /* the peer broke the protocol, or the bytes were changed */
    TLS_ERROR_FLOOD,         /* the peer sends what brings nothing */
    TLS_ERROR_TRUNCATED,     /* ended without close_notify, or inside the handshake */
    TLS_ERROR_RENEGOTIATION, /* refused */
    TLS_ERROR_RESOURCES,     /* memory, randomness */
};

struct tls_failure {
    enum tls_error kind;
    int code;  /* the library's, for the log; 0 when the stream found it */
    int alert; /* TLS_ERROR_ALERT: which one; else -1 */
    char text[96];
};

const struct tls_failure *tls_stream_error(const struct tls_stream *s);
const char *tls_error_name(enum tls_error kind);

/* Known after TLS_STEP_DONE; before it (and after a failed handshake) only what was learnt so far. */
struct tls_facts {
    const char *version; /* "TLSv1.3" */
    const char *cipher;  /* IANA's name */
    unsigned cipher_bits;
    bool done;
    bool resumed;
    bool peer_certificate;      /* one was shown, in this session or in the one that is resumed */
    struct tls_verdict verdict; /* of it; for servers that did not ask: UNCHECKED */
    char server_name[TLS_SERVER_NAME_BYTES_MAX + 1]; /* asked for (server) or of (client); or "" */
    /* Who the peer's certificate is for: its subject, "/O=…/CN=…" in printable ASCII; "sha256:" and the
     * fingerprint when it has none, or none that fits. Two identities have two texts. */
    char peer_subject[256];
    uint8_t peer_fingerprint[TLS_FINGERPRINT_BYTES]; /* SHA-256 of the peer's certificate */
};

const struct tls_facts *tls_stream_facts(const struct tls_stream *s);

/* Client: the session to resume next time, or NULL when there is no new one (the one that was resumed stays
 * good). With TLS 1.3 it comes with the first bytes the server sends: ask when the connection ends. The
 * caller frees it. */
struct tls_session *tls_stream_session(struct tls_stream *s);

#endif
