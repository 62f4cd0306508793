/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * outbound - one connection to a host of a site
 *
 * Purpose:   connects (candidate after candidate), drives proto/smtp/client, sends bodies from memory or
 *            from the spool, reports every part's outcome to the queue, then waits for more work.
 * Owner:     the relay's pool; ends itself.
 * Thread:    the worker's.
 * Limits:    SMTP_CLIENT_WINDOW_MAX transactions at a time; one piece of a body in memory.
 */
#ifndef RINGPOST_RELAY_OUTBOUND_H
#define RINGPOST_RELAY_OUTBOUND_H

#include "core/relay/relay.h"
#include "core/relay/secure.h"
#include "proto/mail/dot.h"
#include "proto/socks/client.h"

enum outbound_state {
    OUTBOUND_CONNECTING,
    OUTBOUND_UP,       /* greeting, EHLO, transactions */
    OUTBOUND_IDLE,     /* in site->idle */
    OUTBOUND_QUITTING, /* QUIT is on its way */
    OUTBOUND_GONE,     /* waiting for the kernel to give everything back */
    OUTBOUND_NEXT,     /* as GONE, but the next candidate will be tried */
};

enum {
    OUTBOUND_OP_CONNECT = 1,
    OUTBOUND_OP_RECV = 2,
    OUTBOUND_OP_SEND = 4,
    OUTBOUND_OP_CLOSE = 8,
    OUTBOUND_OP_READ = 16, /* a piece of a body */
};

/* A transaction and the part it carries. */
struct outbound_tx {
    struct smtp_client_txn txn; /* first: the machine gives this pointer back */
    struct queue_part *part;
    uint64_t began_ms;
    uint64_t
        end_at; /* of what is sent on the connection: behind the last byte of the message; 0: not yet */
    bool damaged;    /* the stored body failed its check */
    bool unreadable; /* the disk would not read it, this time */
    struct smtp_client_rcpt rcpts[];
};

/* How far a connection has come. */
struct outbound_mark {
    uint8_t state;
    uint8_t stage; /* enum outcome_stage */
    uint32_t replies;
    uint64_t given, taken;
};

struct outbound {
    struct handle self;
    struct relay *relay;
    struct relay_settings *settings;
    struct queue_site *site;
    struct route_plan *plan;
    const struct egress_source *source; /* of settings; NULL: none with a name */
    size_t candidate;                   /* index in plan */
    size_t tried;                       /* candidates tried by this connection */
    uint8_t state;                      /* enum outbound_state */
    uint8_t ops;
    uint8_t route;  /* enum relay_route */
    uint8_t policy; /* enum conf_tls_policy */
    bool greeted;   /* a transaction was possible */
    bool served;    /* the peer has judged a message: the host works */
    bool wasted;    /* it ended before that; `failure` says how */
    bool evicted;   /* counted in relay->evicting */
    bool yields;    /* its place is for another site of the provider */
    bool sheds;     /* there may be fewer of them now: counted in site->leaving */
    bool told;      /* the reply that ends it has been heard (core/queue/lesson.h) … */
    bool told_fail; /* … and a rule gives up who it is about */
    bool suspect;   /* its first message has ended a connection before: alone until served */
    bool praised;   /* it is known that the peer bears overlapped messages */
    bool spent;     /* the session may not be used for what is there (RCPTDOMAINMAX) */
    int fd;
    uint64_t id; /* for the log */
    struct sockaddr_storage addr;
    struct socks_client *socks; /* CONNECTING, while a SOCKS5 proxy is asked */
    struct smtp_client smtp;
    uint32_t begun;        /* transactions on this connection */
    uint32_t messages_max; /* that the peer is known to take on one; 0: not known */
    uint64_t idle_since_ms;
    uint64_t given;     /* bytes given to the kernel on this connection, before encryption … */
    uint64_t taken;     /* … and those of them that it took for certain */
    bool torn;          /* under TLS: of the current send some were taken, not all */
    struct buf out;     /* not given to the kernel yet */
    struct buf sending; /* in the kernel: commands around the body */
    struct msghdr msg;
    struct iovec iov[3];

    /* The body being sent. */
    struct outbound_tx *body; /* NULL: none, or all of it has been given to the kernel */
    size_t body_at;           /* of out: the body belongs here */
    uint32_t piece;           /* next piece to send */
    uint32_t pieces;
    struct slice data; /* the piece at hand; from memory or the reader */
    bool data_ready;
    struct handle reader;                  /* HANDLE_NONE: the body is in memory */
    struct mail_dot dot;                   /* dot-stuffing across pieces */
    struct queue_message *sending_message; /* its memory is in the kernel: one more reader */
    bool sending_pinned;                   /* a guest's whose part is over: its home waits */
    struct handle sending_reader;          /* its buffer is in the kernel: closed after the send */
    bool reader_lent; /* the send under way reads a piece in the reader's buffer */

    struct secure tls;
    struct buf cipher;   /* in the kernel, under TLS */
    struct buf plain;    /* decrypted, on its way to the machine */
    bool plaintext;      /* TLS failed at this candidate and the policy lets it be */
    bool tls_refused;    /* behind the handshake: its session is not kept */
    bool sending_secret; /* sending is to be wiped */

    struct dialogue_tap *taps; /* who listens; NULL: nobody */

    struct timer deadline;
    struct outbound_mark mark; /* where we were when it was set */
    int unacked;           /* bytes the peer had not taken when a deadline was over; 0: not asked */
    struct list link;      /* site->idle, or while there is room in the window site->roomy */
    struct list idle_link; /* relay->idle */
    struct outcome failure; /* of the last candidate, or what made it `wasted` */
    char failure_text[LIMIT_OUTCOME_TEXT_BYTES];
};

/* Opens a connection for a site that has work; false: no room or nothing to try (the site is failed). */
bool outbound_open(struct relay *r, struct queue_site *site);
/* The source that the site's mail leaves by, NULL: none with a name. False: it has gone, from this machine or the
 * configuration. */
bool outbound_find_source(const struct relay *r, const struct queue_site *site,
                          const struct egress_source **out);
/* An idle connection gets work from its site. */
void outbound_wake(struct outbound *o);
/* One of site->roomy takes what it can. */
void outbound_fill(struct outbound *o);
void outbound_shut(struct outbound *o, bool at_once);
/* The address that it comes from has gone. */
bool outbound_is_orphaned(const struct outbound *o);

/* ---- core/relay/pool.c ---- */

/* The pool's part of relay_run. */
void pool_run(struct relay *r);
/* A connection of this site idles. If it holds a place that other sites of its provider may need, somebody
 * looks now and then. */
void pool_watch_idle(struct relay *r, struct queue_site *site);

#endif
