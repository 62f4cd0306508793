/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * stream_private - the inside of a stream
 *
 * Purpose:   what stream*.c share, and the callbacks that context.c gives to the library. Owner,
 *            thread, limits: stream.h.
 */
#ifndef RINGPOST_TLS_STREAM_PRIVATE_H
#define RINGPOST_TLS_STREAM_PRIVATE_H

#include "tls/context_private.h"
#include "tls/stream.h"

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

enum stream_phase {
    STREAM_HELLO, /* server: waits for the whole ClientHello */
    STREAM_HANDSHAKE,
    STREAM_OPEN,
    STREAM_PEER_CLOSED, /* close_notify came */
    STREAM_FAILED,
};

struct tls_stream {
    WOLFSSL *library; /* NULL in STREAM_HELLO and when it failed */
    struct tls_context *context;
    enum stream_phase phase;
    bool is_tls13;
    bool said_close;
    bool begun;        /* step was called */
    bool wanted_room;  /* by the last step: it is in the middle of a flight */
    bool is_garbage;   /* what is not yet in records never will be */
    bool renegotiates; /* seen: a handshake record of TLS 1.2 after the handshake */
    bool rejected;     /* our verdict refused the certificate */
    struct buf in;     /* ciphertext: [0, used) the library has, [used, ready) are whole records */
    size_t used, ready;
    size_t tried;       /* STREAM_HELLO: so much of `in` was not enough */
    size_t record_left; /* of the record at `used` */
    struct buf *out;    /* during a call */
    uint64_t wall_us;
    size_t handshake_bytes; /* taken before it was finished */
    size_t barren_bytes;    /* taken since the last plaintext */
    size_t fruit_bytes;     /* plaintext since answers was zero */
    unsigned answers;       /* records written by reading */
    bool reading;           /* in the library's read */
    uint8_t binding[TLS_TICKET_BINDING_BYTES];
    uint8_t offered[TLS_FINGERPRINT_BYTES]; /* client: digest of the ticket shown, or zeros */
    struct tls_failure failure;
    struct tls_facts facts;
};

struct tls_session {
    WOLFSSL_SESSION *library;
    uint8_t context_id[TLS_CONTEXT_ID_BYTES];
    char server_name[TLS_SERVER_NAME_BYTES_MAX + 1];
    char peer_subject[sizeof(((struct tls_facts *)0)->peer_subject)];
    uint8_t peer_fingerprint[TLS_FINGERPRINT_BYTES];
    struct tls_verdict verdict;
};

/* The library's ways in and out; ctx is the stream. */
int stream_on_recv(WOLFSSL *library, char *dst, int size, void *ctx);
int stream_on_send(WOLFSSL *library, char *src, int size, void *ctx);
/* The peer's certificates: the last call is for its own. */
int stream_on_verify(int ok, WOLFSSL_X509_STORE_CTX *store);
int stream_on_ticket(WOLFSSL *library, unsigned char name[WOLFSSL_TICKET_NAME_SZ],
                     unsigned char iv[WOLFSSL_TICKET_IV_SZ],
                     unsigned char mac[WOLFSSL_TICKET_MAC_SZ], int seal, unsigned char *ticket,
                     int size, int *result_size, void *ctx);

/* Marks where the whole records in `in` end. */
void stream_find_records(struct tls_stream *s);
/* More work for nothing than a peer may ask for. */
bool stream_is_flood(const struct tls_stream *s);
/* Gives the input's memory back when it is used up. */
void stream_settle(struct tls_stream *s);

/* What the library's handshake brought. */
void stream_learn(struct tls_stream *s);
/* Client: takes over the facts of the session that was resumed. */
void stream_learn_session(struct tls_stream *s, const struct tls_session *session);

/* Ends it; both return for convenience the failed step. */
enum tls_step stream_fail(struct tls_stream *s, enum tls_error kind, const char *text);
enum tls_step stream_fail_library(struct tls_stream *s, int code);
/* A fatal alert while there is no library object yet. */
void stream_add_alert(struct buf *out, uint8_t description);

#endif
