/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * secure - a socket of the load tools, with or without TLS on it
 *
 * Purpose:   bench_secure_recv and _send behave like recv(2) and send(2) on a non-blocking socket;
 *            handshake, records and what the socket does not take yet are their affair. Nobody's
 *            certificate is checked: the other end is being measured, not trusted.
 * Owner:     contexts and links are the caller's: open, then put or close. A link of NULL is the
 *            bare socket.
 * Thread:    a link: its session's. A context: any.
 * Limits:    SECURE_WIRE_BYTES of ciphertext wait for the socket, one receive buffer for its keys.
 * Errors:    as the system calls: -1 with errno, EPROTO when TLS failed.
 */
#ifndef RINGPOST_BENCH_SECURE_H
#define RINGPOST_BENCH_SECURE_H

#include "core/base/buf.h"
#include "tls/stream.h"

#include <sys/types.h>

enum {
    SECURE_RAW_BYTES = 16 * 1024,
    SECURE_WIRE_BYTES = 4 * TLS_RECORD_BYTES_MAX,
};

struct bench_secure;

/* All three: NULL after a line on stderr. The certificate is self-signed; rsa_bits 0: ECDSA P-256. */
struct tls_certificate *bench_secure_certificate(uint64_t rsa_bits);
struct tls_context *bench_secure_client(void);
struct tls_context *bench_secure_server(const struct tls_certificate *pair);

/* The first bench_secure_recv begins the handshake. NULL: no memory. */
struct bench_secure *bench_secure_open(struct tls_context *context);
/* Says close_notify as far as the socket takes it. Nulls the caller's pointer; NULL is fine. */
void bench_secure_close(struct bench_secure **x, int fd);

/* Appends to plain at most the room it has, at least one byte; 0: the end. */
ssize_t bench_secure_recv(struct bench_secure *x, int fd, struct buf *plain);
/* How much was taken; what of it stands in our buffer leaves with the next send or flush. */
ssize_t bench_secure_send(struct bench_secure *x, int fd, struct slice plain);
/* True: nothing taken waits here. False: errno, EAGAIN when the socket is full. */
bool bench_secure_flush(struct bench_secure *x, int fd);

/* NULL for the bare socket and before the end of the handshake. */
const struct tls_facts *bench_secure_facts(const struct bench_secure *x);

/* ringpost-bench certificate DIR */
int certificate_main(int argc, char **argv);

#endif
