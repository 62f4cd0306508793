/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * relay - the drivers of one worker: listeners, inbound sessions, outbound connections
 *
 * Purpose:   joins the protocol machines (proto/) and the queue to the ring. A driver moves bytes,
 *            keeps deadlines and asks policy; it decides nothing about mail by itself.
 * Owner:     the worker: relay_open … relay_stop (until true) … relay_close.
 * Thread:    the worker's; only `connections` and settings are shared.
 * Limits:    limits.connections sessions and delivery.connections_total connections in the engine.
 * Errors:    relay_open: NULL-terminated reason in *error.
 */
#ifndef RINGPOST_RELAY_RELAY_H
#define RINGPOST_RELAY_RELAY_H

#include "core/io/offload.h"
#include "core/policy/connections.h"
#include "core/policy/throttle.h"
#include "core/queue/queue.h"
#include "core/relay/handshakes.h"
#include "core/relay/login.h"
#include "core/relay/settings.h"
#include "core/relay/taps.h"

enum {
    RELAY_BACKLOG = 1024,
    RELAY_REARM_MS = 100,   /* a listener that ran out of descriptors tries again */
    RELAY_LINGER_MS = 2000, /* after our last word the client has this long to close */
    RELAY_LINGER_BYTES = 256 * 1024,
    RELAY_QUIT_MS = 2000,       /* for the answer to QUIT */
    RELAY_IDLE_WATCH_MS = 250,  /* idle connections whose places others may want */
    RELAY_PART_RETURNS_MAX = 3, /* a part on connections that died before its first answer */
    RELAY_ADDRESS_BAD_MS = 30 * 1000,
    MAILDIR_DELIVERIES = 16,   /* to mailboxes at once */
    RELAY_MAILBOX_LOOKS = 256, /* recipients looked for at once */
    RELAY_DISK_JOBS = MAILDIR_DELIVERIES + RELAY_MAILBOX_LOOKS,
    RELAY_RESUMABLE = 1024, /* TLS sessions with servers kept for the next connection */
};

struct relay_listener {
    struct handle self;
    struct relay *relay;
    unsigned index; /* in conf.listeners */
    int fd;
    int reserve_fd;
    bool accepting; /* the multishot accept is in the kernel */
    bool crowded;   /* all places are taken: clients are accepted one by one, see listener.c */
    struct timer rearm;
    struct ip_endpoint at;
};

struct relay_counters {
    uint64_t sessions; /* accepted */
    uint64_t sessions_refused;
    uint64_t messages_in; /* acknowledged */
    uint64_t connections; /* opened outwards */
    uint64_t transactions;
    uint64_t tls_in; /* handshakes with clients */
    uint64_t tls_in_failed;
    uint64_t tls_out;
    uint64_t tls_out_failed;
};

struct relay_parts {
    struct relay_settings *settings; /* a reference is taken */
    struct io *io;
    struct timer_wheel *timers;
    struct rng *rng;
    struct obs_log *log;
    struct queue *queue;
    struct connections *admitted; /* shared */
    struct throttle *throttle;    /* shared */
    struct offload *offload;      /* shared */
    struct offload *disk;         /* shared; threads that may block; NULL: no mailboxes here */
    unsigned worker;
    unsigned workers;
};

struct relay {
    struct relay_settings *settings;
    struct io *io;
    struct timer_wheel *timers;
    struct rng *rng;
    struct obs_log *log;
    struct queue *queue;
    struct connections *admitted;
    struct throttle *throttle;
    struct offload *offload;
    struct offload_port offload_port;
    struct offload *disk;
    struct offload_port disk_port;
    unsigned maildirs;       /* deliveries to mailboxes under way */
    unsigned mailbox_looks;  /* recipients being looked for */
    uint64_t mailbox_number; /* of the last question */
    struct login_cache logins;
    unsigned workers;
    struct tls_session *resumable[RELAY_RESUMABLE]; /* by hash of route and host */
    struct pool listeners;
    unsigned crowded; /* of them */
    struct pool inbound;
    struct pool outbound;
    struct list idle;        /* struct outbound.idle_link of all sites, longest idle first */
    struct timer idle_watch; /* pool_watch_idle */
    uint64_t source_news;    /* egress_news, as far as the pool has looked at it */
    uint32_t evicting;       /* connections that leave to make room for another site's */
    struct handshakes handshakes;
    struct list resume;        /* sessions whose commit was decided: replies go out in relay_run */
    struct list space_waiters; /* sessions the spool or memory had no room for */
    uint64_t inflight_bytes;   /* bodies being received */
    struct taps taps;          /* `ringpost trace` */
    uint64_t session_next;     /* worker + n × workers: no two workers have the same number */
    bool stopping;             /* no new sessions, no new connections */
    bool deadline;             /* out of patience: everything is cut */
    struct relay_counters counters;
};

extern const struct queue_events relay_queue_events;

bool relay_open(struct relay *r, const struct relay_parts *parts);
/* Opens listener `index` of the configuration on this fd (net_listen) and starts accepting. */
bool relay_listen(struct relay *r, unsigned index, int fd);
void relay_set_settings(struct relay *r, struct relay_settings *settings);

/* Stops accepting; sessions end after their transaction, connections after theirs. True when nothing is
 * left. relay_cut gives up on those that still work. */
bool relay_stop(struct relay *r);
void relay_cut(struct relay *r);
void relay_close(struct relay *r);

/* core/relay/listener.c: no more clients; places that came free go to those who wait. */
void relay_listeners_stop(struct relay *r);
void relay_listeners_run(struct relay *r);

/* Loop phases. relay_run: resumes sessions, gives parts to connections, then lets handshakes go on. */
void relay_run(struct relay *r);
bool relay_pending(const struct relay *r);

/* What the threads of the offload need for the relay's jobs. */
const struct offload_thread_hooks *relay_thread_hooks(void);

/* A number for the log, unique in the engine's life. */
uint64_t relay_session_id(struct relay *r);

/* Handlers of the operation kinds (see the table in core/app/worker.c). */
void relay_on_accept(struct relay *r, const struct io_event *ev);
void relay_on_inbound_recv(struct relay *r, const struct io_event *ev);
void relay_on_inbound_send(struct relay *r, const struct io_event *ev);
void relay_on_inbound_close(struct relay *r, const struct io_event *ev);
void relay_on_outbound_connect(struct relay *r, const struct io_event *ev);
void relay_on_outbound_recv(struct relay *r, const struct io_event *ev);
void relay_on_outbound_send(struct relay *r, const struct io_event *ev);
void relay_on_outbound_close(struct relay *r, const struct io_event *ev);
void relay_on_offload(struct relay *r, const struct io_event *ev);
void relay_on_disk(struct relay *r, const struct io_event *ev);

#endif
