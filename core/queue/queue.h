/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * queue - every message a worker answers for, from commit to the last durable result
 *
 * Purpose:   takes accepted messages to the spool, files their recipients under sites, gives parts to
 *            the connection pool, turns outcomes into durable results, retries, DSNs and log lines.
 * Owner:     the worker: queue_open, queue_close.
 * Thread:    the worker's.
 * Limits:    queue.recipients_max recipients and limits.memory of bodies, each divided by the workers.
 * Errors:    queue_submit returns what the spool said; afterwards nothing is lost: a result whose
 *            commit fails is appended again until it is durable.
 * Durability: events->accepted(ok = true) runs after the record is durable (P1). A recipient is
 *            forgotten only after its result is durable. A bounce and its DSN are one frame, so
 *            neither exists without the other (P2).
 *
 * The sum of P2: accepted = delivered + bounced + expired + cancelled + queued, in recipients, where
 * accepted counts those of clients, of our own DSNs and of recovery at start.
 */
#ifndef RINGPOST_QUEUE_QUEUE_H
#define RINGPOST_QUEUE_QUEUE_H

#include "core/conf/conf.h"
#include "core/obs/log.h"
#include "core/queue/brake.h"
#include "core/queue/group.h"
#include "core/queue/lesson.h"
#include "core/queue/memo.h"
#include "core/queue/message.h"
#include "core/queue/order.h"
#include "core/queue/park.h"
#include "core/queue/peers.h"
#include "core/queue/reader.h"
#include "core/queue/routing.h"
#include "core/queue/source.h"
#include "core/queue/toll.h"
#include "core/queue/suspend.h"
#include "core/queue/target.h"
#include "dns/dns.h"

struct queue_bounce;
struct queue_recall;

struct queue_events {
    /* The commit of a submitted message is decided. m is NULL when it is lost. */
    void (*accepted)(void *ctx, struct handle submitter, struct queue_message *m);
    /* After a submit or a fragment met SPOOL_WAIT, FULL or FAILED: try again. */
    void (*space)(void *ctx);
    /* A report is made. True: queue_bounce_signed follows, perhaps at once. False: it goes as it is.
     * content: during the call. NULL: no report is ever signed. */
    bool (*sign_report)(void *ctx, struct slice content, struct queue_bounce *report);
};

struct queue_counters {
    uint64_t accepted; /* recipients; see above */
    uint64_t delivered;
    uint64_t bounced;
    uint64_t expired;
    uint64_t cancelled;
    uint64_t queued;
    uint64_t messages; /* in memory */
    uint64_t messages_accepted;
    uint64_t deferrals; /* temporary outcomes */
    uint64_t unknown;   /* of them: a copy may have been delivered (P4) */
    uint64_t dsn;
    uint64_t dsn_dropped; /* notifications that could not be delivered themselves */
    uint64_t damaged;     /* bodies that failed their check (P6) */
};

struct queue_parts {
    const struct conf *conf;
    struct io *io;
    struct timer_wheel *timers;
    struct rng *rng;
    struct obs_log *log;
    struct dns *dns;
    struct queue_group *group; /* NULL: this queue is alone */
    struct budget_table *budgets;
    struct warmup_table *warmup;         /* shared by all workers; NULL: nothing warms up */
    const struct shaping_table *shaping; /* of conf, as is … */
    const struct egress_table *egress;   /* … this; NULL: no sources */
    struct automation *automation;       /* of the engine; NULL: replies teach nothing */
    unsigned worker;
    unsigned workers;
    uint64_t id_floor; /* ids must be above: from recovery */
};

struct queue {
    const struct conf *conf; /* replaced on reload, see queue_set_conf */
    const struct shaping_table *shaping;
    const struct egress_table *egress; /* NULL: no sources */
    struct budget_table *budgets;      /* shared by all workers */
    struct warmup_table *warmup;       /* the same */
    struct io *io;
    struct timer_wheel *timers;
    struct rng *rng;
    struct obs_log *log;
    struct dns *dns;
    struct spool *spool;
    const struct queue_events *events;
    void *ctx;
    struct queue_group *group;
    unsigned worker;
    unsigned workers;
    uint64_t id_last;
    struct pool messages; /* those that are not parked */
    struct queue_park park;
    struct map by_id;
    struct map labels;
    struct map tolls;    /* core/queue/toll.h */
    uint64_t names_seed; /* without a group */
    struct map domains;
    struct map sites;
    struct list due;          /* messages to be routed in the next queue_run */
    struct list committing;   /* submitted messages, by lsn */
    struct list batches;      /* results in the spool's hands, by lsn */
    struct list unsaved;      /* results the spool had no room for */
    struct list active_sites; /* struct queue_site.active */
    struct list filling;      /* struct queue_site.fill_link: parts routed in this turn */
    struct list scheds;       /* struct queue_sched.link: to be looked at */
    struct list credits;      /* struct queue_site.credit_link: the owner is to be told */
    uint64_t serial;          /* of the configuration: the same number in all workers */
    uint64_t sending;         /* recipients in transactions of this worker's connections */
    uint64_t away;            /* parts of ours that other workers have (far.c) */
    uint64_t guests;          /* parts of others that we have */
    bool leaving;             /* nothing new is begun */
    bool all_leave;           /* nor by anybody else: when the box was read last */
    struct pool readers;
    struct queue_compaction *compaction; /* at most one under way; NULL: none */
    struct queue_suspensions suspensions;
    struct queue_sources sources;
    struct queue_targets targets;
    struct queue_memos memos;
    struct queue_peers peers;
    struct queue_lessons lessons;
    struct queue_brakes brakes;
    struct queue_orders orders;
    struct queue_recall *recall; /* being filled; NULL: none */
    struct timer sweep;
    uint64_t memory_bytes;
    uint64_t lost_commits; /* groups that failed */
    bool stopping;
    bool cut; /* results that cannot be written are given up */
    struct queue_counters counters;
};

bool queue_open(struct queue *q, const struct queue_parts *parts, const struct queue_events *events,
                void *ctx);
/* The spool is opened with queue_spool_events and then given here. */
extern const struct spool_events queue_spool_events;
void queue_set_spool(struct queue *q, struct spool *spool);
void queue_set_conf(struct queue *q, const struct conf *conf, const struct shaping_table *shaping,
                    const struct egress_table *egress);

/* Nothing new is begun, parts of other workers go home. Before queue_stop. */
void queue_leave(struct queue *q);
/* No new attempts; timers stop. True when nothing of the queue is in the
 * kernel, at the resolver or at another worker, and nobody can send it anything any more. */
bool queue_stop(struct queue *q);
/* The patience is over: results the spool cannot take are not waited for (their recipients are sent to
 * again after the next start). */
void queue_cut(struct queue *q);
/* Frees everything in memory; the spool keeps it. */
void queue_close(struct queue *q);

uint64_t queue_next_id(struct queue *q, uint64_t wall_us);

/* New mail is refused while either is true: 452 4.3.1. */
bool queue_is_full(const struct queue *q, uint32_t more_rcpts);
bool queue_memory_short(const struct queue *q, uint64_t more_bytes);

/* Appends the record of m (content: m->body, or the first bytes in m->fragments and `rest`). On
 * SPOOL_APPENDED the queue owns m and events->accepted follows; else m stays the caller's. */
enum spool_append queue_submit(struct queue *q, struct queue_message *m, struct slice rest);

/* So many messages were found at start. */
void queue_recover_begin(struct queue *q, uint64_t count);
/* One of them: filed without a commit. */
void queue_recover(struct queue *q, const struct spool_recovered *found);

/* The transaction of p is over: outcomes[i] belongs to rcpts[i]. peer: "mx.example.net [192.0.2.1]".
 * p is freed. */
/* The delay drawn for the first deferred recipient of an attempt. */
struct queue_retry {
    uint32_t attempts; /* 0: none yet */
    uint64_t due_ms;
};

struct queue_part_end {
    const struct outcome *outcomes;
    struct slice peer_name;
    struct slice peer_addr;
    struct slice source; /* it went by; empty: none with a name */
    bool peer_has_dsn;
    bool peer_has_deliverby;
    bool final; /* in the mailbox: nobody behind us will report */
    /* How the line was protected, for the log; empty without TLS. */
    struct slice tls_version, tls_cipher, tls_certificate;
    uint64_t duration_ms;
    struct queue_retry *retry; /* queue_results' own */
};
void queue_part_done(struct queue *q, struct queue_part *p, const struct queue_part_end *end);
/* The same for a part that a connection had. pinned: the kernel still reads the content in memory:
 * queue_part_unpin follows. */
void queue_part_sent(struct queue *q, struct queue_part *p, const struct queue_part_end *end,
                     bool pinned);

/* Loop phases. */
void queue_run(struct queue *q);
bool queue_pending(const struct queue *q);

/* ---- results, core/queue/result.c ---- */

enum { QUEUE_BATCH_RCPTS_MAX = LIMIT_RECIPIENTS_PER_TRANSACTION };

struct queue_batch_row {
    uint32_t rcpt;
    uint8_t kind;   /* enum spool_result_kind */
    uint8_t notice; /* enum dsn_action + 1; 0: none */
};

struct queue_batch {
    struct list link;
    struct queue_message *message;
    struct queue_message *dsn; /* written in the same frame; NULL: none */
    uint64_t lsn;
    uint64_t at_us;
    uint32_t count;
    bool wants_dsn;
    bool ordered;            /* queue_results_ordered: counted in queue->orders */
    struct slice remote_mta; /* behind the rows */
    struct queue_batch_row rows[];
};

/* Ends, defers or bounces rcpts[] of m by outcomes[]; logs; appends the results. */
void queue_results(struct queue *q, struct queue_message *m, const uint32_t *rcpts, uint32_t count,
                   const struct queue_part_end *end);
/* What an operator ordered: DEFERRED until due_ms (keep_due: until the time that is set already), BOUNCED (quiet: without a report) or CANCELLED. The recipients are
 * WAITING. */
struct queue_ordered {
    enum spool_result_kind kind;
    uint64_t due_ms;
    bool keep_due;
    bool quiet;
};
void queue_results_ordered(struct queue *q, struct queue_message *m, const uint32_t *rcpts,
                           uint32_t count, const struct queue_ordered *what);
/* When it is due, as it is stored. */
static inline uint64_t queue_due_stored(const struct queue_rcpt *r)
{
    /* Of a suspended one a restart looks at it at once. */
    return queue_target_pack(r->due_ms == QUEUE_DUE_SUSPENDED ? 0 : r->due_ms, r->target);
}
/* Which keys of the configuration give the peer what it wants; empty: it wants nothing. */
struct slice queue_hint(const struct conf *conf, enum outcome_wants wants);
/* Its line in the log: core/queue/result_log.c. */
void queue_log_result(struct queue *q, const struct queue_message *m, const struct queue_rcpt *r,
                      enum obs_event event, const struct outcome *o,
                      const struct queue_part_end *end);
/* Appends again what had no room. */
void queue_results_retry(struct queue *q);
void queue_results_decided(struct queue *q, uint64_t lsn_upto, enum spool_commit_result result);

/* ---- bounces, core/queue/bounce.c ---- */

/* Makes batch->dsn (at once, or after reading the original, and after events->sign_report), then appends
 * the batch. */
void queue_bounce_start(struct queue *q, struct queue_batch *b);
/* What goes on top of the report: DKIM-Signature fields or nothing. Frees it. */
void queue_bounce_signed(struct queue_bounce *report, struct slice signature);
void queue_batch_append(struct queue *q, struct queue_batch *b);

/* ---- compaction, core/queue/compact.c ---- */

struct queue_compaction;
/* Moves one message of the oldest segments when the spool asks for it. */
void queue_compact_run(struct queue *q);
void queue_compact_decided(struct queue *q, uint64_t lsn_upto, enum spool_commit_result result);
bool queue_compact_has(const struct queue *q, const struct queue_message *m);
/* m is going away. */
void queue_compact_forget(struct queue *q, const struct queue_message *m);

/* The record of m as it is now; its recipients, an array of m->rcpt_count to fill, and its attributes are what
 * *out points into. */
struct queue_record {
    struct spool_rcpt *rcpts;
    char meta[QUEUE_META_BYTES_MAX];
};
void queue_message_record(const struct queue_message *m, struct queue_record *parts,
                          struct spool_message *out);

/* Timer callback of a message. */
void queue_message_due(struct timer *t, void *ctx);

/* Activates a committed message: counts, logs, first attempt. */
void queue_activate(struct queue *q, struct queue_message *m);
/* The slow timer that forgets unused routes (queue_sites_sweep). */
void queue_sweep_start(struct queue *q);
/* Frees m when it has ended and nothing needs it, parks it when it only waits (park.h): m may be gone. */
void queue_settle(struct queue *q, struct queue_message *m);
/* Drops the body from memory when no attempt is under way or about to begin. */
void queue_body_unused(struct queue *q, struct queue_message *m);
/* Starts m's timer for its earliest waiting recipient. */
void queue_schedule(struct queue *q, struct queue_message *m);

/* ---- report, core/queue/report.c: JSON for the admin socket ---- */

/* Whether a connection has it, perhaps of another worker. */
bool queue_rcpt_is_sending(const struct queue_message *m, const struct queue_rcpt *r);
/* One JSON object without LF; at most rcpts_max recipients of it. */
void queue_report_message(struct queue *q, const struct queue_message *m, uint32_t rcpts_max,
                          struct buf *out);
/* False: no such message here. */
bool queue_report_one(struct queue *q, uint64_t id, uint32_t rcpts_max, struct buf *out);
/* Recipients that wait after a failure. Walks all messages that are not parked. */
uint64_t queue_report_deferred(struct queue *q);

#endif
