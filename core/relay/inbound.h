/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * inbound - one session of a client
 *
 * Purpose:   drives proto/smtp/server over a socket: bytes in, replies out, body to the spool, 250
 *            after the commit.
 * Owner:     the relay's pool. Ends itself: CLOSING → LINGER → GONE, then goes back to the pool.
 * Thread:    the worker's.
 * Limits:    reads only when it can use the bytes: nothing is read while an answer is owed, the output is
 *            not taken or memory is short. An idle session holds this struct and the client's name.
 */
#ifndef RINGPOST_RELAY_INBOUND_H
#define RINGPOST_RELAY_INBOUND_H

#include "core/policy/access.h"
#include "core/policy/credentials.h"
#include "core/relay/body_in.h"
#include "core/relay/relay.h"
#include "core/relay/secure.h"

enum inbound_state {
    INBOUND_OPEN,
    INBOUND_CLOSING, /* the last reply is on its way */
    INBOUND_LINGER,  /* our half is closed; what the client still sends is dropped */
    INBOUND_GONE,    /* waiting for the kernel to give everything back */
};

/* What is in the kernel. */
enum { INBOUND_OP_RECV = 1, INBOUND_OP_SEND = 2, INBOUND_OP_CLOSE = 4 };

struct inbound {
    struct handle self;
    struct relay *relay;
    struct relay_settings *settings;
    uint64_t id; /* for the log */
    int fd;
    uint8_t state; /* enum inbound_state */
    uint8_t ops;
    uint8_t phase; /* enum smtp_server_phase the deadline belongs to */
    bool waiting_commit;
    bool waiting_space;
    bool commit_ok; /* the decision, while in relay->resume */
    bool commit_known;
    bool waiting_login;
    bool waiting_signature;
    bool held_secret;       /* held has seen an AUTH exchange: wipe it when it goes */
    bool starting_tls;      /* the 220 is on its way in the clear */
    bool admitted;          /* counted in relay->admitted */
    bool certificate_shown; /* by the client, and trusted: as good as a login */
    struct ip_endpoint peer;
    unsigned listener;
    struct smtp_server smtp;
    struct buf out;     /* replies not given to the kernel yet */
    struct buf sending; /* in the kernel */
    size_t sent;        /* of sending */
    struct buf held;    /* input that waits */
    struct secure tls;
    struct proxy_in *proxy;              /* while the PROXY header is awaited */
    struct buf user;                     /* who logged in; empty: nobody */
    const struct credential *credential; /* of settings; NULL: none */
    struct timer deadline;
    struct list link; /* relay->resume or relay->space_waiters */
    struct body_in *body;
    uint64_t phase_since_ms;
    uint64_t phase_bytes;
    uint64_t lingered;
    uint64_t waiting_mailbox;  /* number of the question about a recipient; 0: none */
    uint64_t committing_id;    /* message whose commit is awaited */
    struct dialogue_tap *taps; /* who listens; NULL: nobody */
    size_t told;               /* of out: the taps have had it */
};

/* Takes over fd; refuses (and closes) it when there is no room. */
void inbound_open(struct relay_listener *listener, int fd);
/* Tells it to end: in order (after the transaction at hand) or at once. */
void inbound_shut(struct inbound *s, bool at_once);
/* The commit of its message was decided, or there may be room again: goes on. */
void inbound_resume(struct inbound *s);

#endif
