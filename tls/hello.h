/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * hello - what a client says first
 *
 * Purpose:   reads the ClientHello before the TLS library does, to choose the certificate by server
 *            name and by what the client can verify, and to tell a client that speaks no TLS, or too
 *            old a TLS, apart. Until it is whole there is no library object: a silent connection
 *            costs only its bytes.
 * Owner:     plain values, no slices into the input. Thread: any.
 * Limits:    a hello of at most TLS_HELLO_BYTES_MAX in at most 64 records.
 * Errors:    in the result.
 * RFC:       8446 4.1.2, 5.1 (fragments), 5246 7.4.1.2, 6066 3 (server_name)
 */
#ifndef RINGPOST_TLS_HELLO_H
#define RINGPOST_TLS_HELLO_H

#include "core/base/slice.h"

enum { TLS_HELLO_BYTES_MAX = 16 * 1024, TLS_SERVER_NAME_BYTES_MAX = 255 };

enum tls_hello_result {
    TLS_HELLO_OK,
    TLS_HELLO_MORE,      /* not whole yet */
    TLS_HELLO_NOT_TLS,   /* does not start as a TLS handshake */
    TLS_HELLO_MALFORMED, /* starts so, but is none */
    TLS_HELLO_TOO_LARGE,
};

/* Kinds of keys in certificates; as bits in tls_hello.usable_*. */
enum tls_key {
    TLS_KEY_OTHER,
    TLS_KEY_RSA,
    TLS_KEY_P256,
    TLS_KEY_P384,
    TLS_KEY_P521,
    TLS_KEY_ED25519,
    TLS_KEYS
};

struct tls_hello {
    uint16_t version_max; /* 0x0303: TLS 1.2, 0x0304: TLS 1.3; less: nothing newer is offered */
    uint16_t version_min; /* 0x0303 unless it offers 1.3 only */
    uint8_t keys_tls12;   /* bit per enum tls_key: kinds it can verify under TLS 1.2 ... */
    uint8_t keys_tls13;   /* ... under TLS 1.3 */
    uint8_t server_name_len;
    char server_name
        [TLS_SERVER_NAME_BYTES_MAX]; /* lower case; empty when there is none or it is none */
};

/* input: everything that came so far, from the first byte of the connection. */
enum tls_hello_result tls_hello_parse(struct slice input, struct tls_hello *out);

#endif
