/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * worker - one core's share of the engine
 *
 * Purpose:   a thread with its own ring, timers, spool log, queue, resolver, sessions and
 *            connections; runs the loop phases and obeys the control thread's mails.
 * Owner:     the engine. worker_start … (mail STOP) … worker_join.
 * Thread:    everything inside belongs to the worker's thread; others use its mailbox.
 * Errors:    a start that fails is told at the gate, before any worker accepts anything.
 */
#ifndef RINGPOST_APP_WORKER_H
#define RINGPOST_APP_WORKER_H

#include "core/admin/request.h"
#include "core/app/memo_list.h"
#include "core/app/recovered.h"
#include "core/io/mailbox.h"
#include "core/relay/relay.h"

#include <pthread.h>

/* To a worker. */
enum worker_mail_type {
    WORKER_MAIL_STOP,   /* end in order */
    WORKER_MAIL_CUT,    /* the patience is over: end at once */
    WORKER_MAIL_RELOAD, /* settings: one reference */
    WORKER_MAIL_QUERY,
    WORKER_MAIL_PING,    /* answer it: the loop turns */
    WORKER_MAIL_UNTRACE, /* nobody reads the dialogue of this token any more */
    WORKER_MAIL_SOURCES, /* one has gone, or is back: queue_sources_run finds out which */
};

/* To the control thread. */
enum control_mail_type {
    CONTROL_MAIL_READY, /* the spool takes mail */
    CONTROL_MAIL_ANSWER,
    CONTROL_MAIL_PONG,
    CONTROL_MAIL_DIALOGUE, /* lines of a trace */
    CONTROL_MAIL_STOPPED,
    CONTROL_MAIL_SOURCES, /* a source has gone: the other workers are to know */
};

struct worker_mail {
    struct mail mail;
    unsigned worker;                 /* sender, for mails to control */
    struct relay_settings *settings; /* RELOAD */
    struct admin_request request;    /* QUERY and its ANSWER */
    uint32_t token;
    struct buf answer; /* JSON lines */
    bool apply;        /* QUERY of what is stored first: it is, now it counts; else: store it */
    enum worker_verdict {
        WORKER_DONE,
        WORKER_CUT,     /* the answer is cut short */
        WORKER_REFUSED, /* too much is under way */
        WORKER_NOT_FOUND,
        WORKER_NOT_STORED,
    } verdict;
    struct queue_order_counts counts;
    struct worker *self;       /* while it works on the answer */
    uint64_t since_ms;         /* of a suspension */
    struct dialogue *dialogue; /* of a trace, both ways: one reference */
    uint16_t target;           /* of queue route: core/queue/target.h; both ways */
    struct worker_stats {
        struct queue_counters queue;
        struct relay_counters relay;
        struct spool_stats spool;
        struct io_counters io;
        uint64_t deferred;
        uint64_t inflight;
        uint64_t sites;
        uint64_t sessions;
        uint64_t connections;
        struct handshakes_counters handshakes;
        uint64_t handshakes_waiting;
        uint64_t memory_bytes;
    } stats; /* ANSWER to queue stats */
};

/* Where workers wait until all of them have started, and at the end until nobody writes to them any more. */
struct worker_gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned arrived;
    bool open;
    bool failed;
    bool over;
    struct buf error; /* of the first that failed */
};

void worker_gate_init(struct worker_gate *g);
void worker_gate_deinit(struct worker_gate *g);
/* Waits for `count` arrivals; false: one failed, its reason is in g->error and the gate stays shut. */
bool worker_gate_wait(struct worker_gate *g, unsigned count);
void worker_gate_open(struct worker_gate *g);
/* All have said STOPPED and the control thread sends no mail any more: they may close and go. */
void worker_gate_dismiss(struct worker_gate *g);

struct worker_parts {
    unsigned index;
    unsigned count;
    const struct io_backend *io_backend; /* the same for all: they wake each other */
    struct relay_settings *settings;
    struct spool_dir *spool_dir;
    struct obs_sink *sink;
    struct connections *admitted;
    struct throttle *throttle;
    struct offload *offload;
    struct queue_group *group;
    struct budget_table *budgets;
    struct warmup_table *warmup;
    struct automation *automation;
    struct offload *disk; /* NULL: no mailboxes here */
    struct mailbox *control;
    struct worker_gate *gate;
    struct recovered_list *recovered;
    const struct memo_list *memos;
    uint64_t id_floor;
    const int *listen_fds; /* one per configured listener, this worker's own */
};

struct worker {
    struct worker_parts parts;
    pthread_t thread;
    bool running; /* the thread exists */
    struct mailbox mailbox;
    struct io *io;
    struct timer_wheel timers;
    struct rng rng;
    struct obs_log log;
    struct dns *dns;
    struct spool *spool;
    struct queue queue;
    struct relay relay;
    struct relay_settings *settings;
    bool stopping;
    bool told_ready;
    uint64_t source_news; /* egress_news, as far as the control thread was told */
    bool told_dns;        /* dns_drain was called */
};

bool worker_start(struct worker *w, const struct worker_parts *parts);
void worker_join(struct worker *w);

/* What the thread does, for who has no threads (tests/sim): begin (all zero but parts; false: `error` says
 * why), step until it says false (STOP has been obeyed, everything is closed), end. All by one thread. */
bool worker_begin(struct worker *w, struct buf *error);
bool worker_step(struct worker *w);
void worker_end(struct worker *w);
/* When a step is due though nothing has completed (mono ms; UINT64_MAX: never). */
uint64_t worker_due_ms(const struct worker *w);

/* What was said on connections that are listened to goes to the control thread. */
void worker_tell_dialogues(struct worker *w);
/* Answers the control thread's question, now or later. */
void worker_query(struct worker *w, struct worker_mail *m);
/* Overrides by hand; at the worker that has the memos. */
void worker_overrides(struct worker *w, struct worker_mail *m);
/* To the control thread. */
void worker_tell(struct worker *w, struct worker_mail *m);

struct worker_mail *worker_mail_new(unsigned type);
void worker_mail_free(struct worker_mail *m);

#endif
