/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * outbound_private - what the parts of a connection share
 *
 * Purpose:   one session's code in several files; nobody else includes this.
 * Owner:     struct outbound. Thread: the worker's. Errors: as said at each.
 *
 *   outbound.c         life, the loop around the machine, deadlines
 *   outbound_connect.c addresses, the socket, the next address when one fails
 *   outbound_proxy.c   the way through the proxy of a source
 *   outbound_tx.c      transactions and their outcomes
 *   outbound_learn.c   what is known of the peer
 *   outbound_send.c    bodies and output
 *   outbound_secure.c  TLS and AUTH
 */
#ifndef RINGPOST_RELAY_OUTBOUND_PRIVATE_H
#define RINGPOST_RELAY_OUTBOUND_PRIVATE_H

#include "core/relay/outbound.h"

enum {
    OUTBOUND_HEARD_MS = 100, /* an answer that is there is read by then, or looked for again */
    OUTBOUND_KEEP_BYTES = 4096,
    OUTBOUND_CANDIDATES_MAX = 10,
    /* Bodies in memory up to this are copied behind their commands, so that several go in one send … */
    OUTBOUND_COPY_BYTES = 8 * 1024,
    /* … as long as there is no more than this. */
    OUTBOUND_GATHER_BYTES = 64 * 1024,
    /* out and sending change places, so both have the ceiling of the bigger need: the commands of two
     * transactions around a piece of a body of which every byte may be a dot to be doubled. */
    OUTBOUND_BUF_BYTES = 2 * SMTP_CLIENT_OUT_BYTES + 2 * SPOOL_FRAME_BYTES_MAX,
    OUTBOUND_CIPHER_BYTES = OUTBOUND_BUF_BYTES + OUTBOUND_BUF_BYTES / 64 + 2 * TLS_RECORD_BYTES_MAX,
};
must_static((int)SPOOL_FRAME_BYTES_MAX >= (int)LIMIT_BODY_INLINE_BYTES,
            "a piece is not larger than a frame");

/* ---- outbound.c ---- */

struct io_tag outbound_tag(const struct outbound *o, enum io_kind kind);
uint64_t outbound_now(const struct outbound *o);
const struct route_candidate *outbound_candidate(const struct outbound *o);
/* The one place where state, lists and counts are joined. */
void outbound_set_state(struct outbound *o, enum outbound_state state);
/* An event about this connection; why may be NULL. */
void outbound_event(struct outbound *o, enum obs_event event, const struct outcome *why);
/* Steps the machine, sends, receives, sets the deadline. */
void outbound_drive(struct outbound *o, struct slice in);
void outbound_on_deadline(struct timer *t, void *ctx);
/* Ends it: again after every operation that the kernel gives back. */
void outbound_gone(struct outbound *o, enum outbound_state state);
/* Nothing is in the kernel, the socket is closed: back to the pool. */
void outbound_free(struct outbound *o);

/* ---- outbound_connect.c ---- */

struct outcome outbound_connect_outcome(enum io_status status, int error);
/* The address is avoided for a while, `failure` says why. */
void outbound_remember_failure(struct outbound *o, const struct outcome *why);
/* The same, and the next address will be tried. */
void outbound_fail_candidate(struct outbound *o, const struct outcome *why);
/* The next address will be tried; this one is not to blame. */
void outbound_skip_candidate(struct outbound *o, const struct outcome *why);
/* The socket could not be connected in time, or at all. */
void outbound_unreachable(struct outbound *o, const struct outcome *why);
/* The host is connected, directly or through a proxy: SMTP begins. */
void outbound_connected(struct outbound *o);
/* The old socket is closed: the next address, or the site has failed. */
void outbound_try_next(struct outbound *o);

/* ---- outbound_proxy.c: CONNECTING, through the proxy of a source ---- */

/* Where the socket is connected to instead of the candidate; NULL: no proxy. */
const struct ip_endpoint *outbound_proxy_at(const struct outbound *o);
/* The proxy is connected: asks for the candidate. False: there is no proxy. */
bool outbound_proxy_start(struct outbound *o);
/* It could not be connected, or the time is over. */
void outbound_proxy_unreachable(struct outbound *o, const struct outcome *why);
void outbound_proxy_received(struct outbound *o, const struct io_event *ev);
void outbound_proxy_sent(struct outbound *o, const struct io_event *ev);
void outbound_proxy_free(struct outbound *o);

/* ---- outbound_tx.c ---- */

/* It ends its transactions and begins no more. */
bool outbound_has_enough(const struct outbound *o);
/* Begins the site's next part; false: none, or this connection has had enough. */
bool outbound_begin(struct outbound *o);
/* A transaction is over: its outcomes go to the queue. */
void outbound_finish(struct outbound *o, struct outbound_tx *t);

/* ---- outbound_learn.c ---- */

/* How boldly this peer may be spoken to. */
void outbound_learn_open(struct outbound *o, struct smtp_client_config *config);
/* It was told to close before then; UINT32_MAX: never. */
uint64_t outbound_learned_idle_ms(const struct outbound *o);
/* A transaction has ended. */
void outbound_learn_served(struct outbound *o);
/* The machine has CLOSED. True: the peer got something wrong, and the next connection will be spoken to more
 * carefully. */
bool outbound_learn_closed(struct outbound *o);
/* The transaction failed only because the connection was at its end. */
bool outbound_is_blameless(const struct outbound *o, const struct outbound_tx *t);

/* ---- outbound_tapped.c: the same as without, and the taps are told ---- */

enum smtp_client_action outbound_step_tapped(struct outbound *o, struct slice *in);
/* smtp_client_body_end */
bool outbound_body_end_tapped(struct outbound *o);

/* ---- outbound_send.c ---- */

void outbound_body_begin(struct outbound *o);
/* The body of the moment cannot be had, and nothing on the connection waits for an answer any more. */
bool outbound_body_is_hopeless(struct outbound *o);
void outbound_release_body(struct outbound *o);
/* The end of this transaction's message may have reached the peer: the kernel has taken all of it, or may
 * have. */
bool outbound_may_have_arrived(const struct outbound *o, const struct outbound_tx *t);
/* The kernel has given back what it was sending. */
void outbound_sent(struct outbound *o);
/* It took so many bytes. True: the rest of the vector is to be sent. */
bool outbound_advance(struct outbound *o, size_t sent);
/* Gives the next bytes to the kernel, if it has none of ours. True: the connection failed meanwhile, the
 * machine must be stepped. */
bool outbound_send(struct outbound *o);

/* ---- outbound_secure.c ---- */

/* START_TLS: begins the handshake. */
void outbound_start_tls(struct outbound *o);
/* Received bytes: through the TLS layer to the machine. */
void outbound_receive(struct outbound *o, struct slice in);
/* What is to be sent next becomes ciphertext. False: TLS has failed. */
bool outbound_encrypt(struct outbound *o);
/* How the line is protected, for the log. */
void outbound_tell_tls(const struct outbound *o, struct queue_part_end *end);
/* AUTH_CHALLENGE. */
void outbound_answer_challenge(struct outbound *o);
/* The machine's configuration for this connection: policy and login of its route and host. */
struct smtp_client_config outbound_client_config(struct outbound *o);
/* Before the socket is closed: close_notify, or the alert of a handshake that failed. */
void outbound_secure_goodbye(struct outbound *o);
void outbound_secure_free(struct outbound *o);

#endif
