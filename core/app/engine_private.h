/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * engine_private - what the parts of the control thread share
 *
 * Purpose:   one struct in several files; nobody else includes this.
 *
 *   engine.c         start, ports, workers, signals, the loop, the end
 *   engine_io.c      which back end of core/io
 *   engine_ports.c   listening, also on sockets that were given to us
 *   engine_service.c the service manager: states, signs of life
 *   engine_spool.c   opening and recovering the spool
 *   engine_reload.c  new settings: SIGHUP, files that change on disk
 *   engine_query.c   the admin socket's questions and orders
 *   engine_stats.c   the answer to queue stats
 *   engine_top.c     the answer to top
 *   engine_trace.c   the answer to trace
 *
 * Owner:     engine_run. Thread: the control thread. Errors: as said at each.
 */
#ifndef RINGPOST_APP_ENGINE_PRIVATE_H
#define RINGPOST_APP_ENGINE_PRIVATE_H

#include "core/admin/server.h"
#include "core/app/engine.h"
#include "core/app/notify.h"
#include "core/app/room_watch.h"
#include "core/app/sandbox.h"
#include "core/app/worker.h"
#include "core/io/choose.h"
#include "core/policy/warmup_table.h"
#include "core/io/filewatch.h"

enum { ENGINE_TEXT_BYTES = 64 * 1024 };

struct engine_query {
    uint32_t token;   /* 0: free */
    unsigned waiting; /* workers that have not answered */
    struct admin_request request;
    struct worker_stats sum;
    uint64_t spool_ready;
    enum worker_verdict verdict; /* the worst */
    bool applies;                /* what is stored first is; all workers are told now */
    uint16_t target;             /* queue route: its number, once it has one */
    uint64_t since_ms;
    struct queue_order_counts counts;
    struct buf *lists; /* queue ls, top: by worker; NULL otherwise */
};

struct engine_trace {
    uint32_t token; /* 0: free */
    struct dialogue *dialogue;
    uint64_t lost_told;
    uint64_t missed_told;
};

struct engine {
    const struct conf_source *source;
    struct relay_settings *settings;
    struct obs_sink *sink;
    struct obs_log log;
    struct spool_dir *spool_dir;
    struct spool_recovery recovery;
    struct connections *admitted;
    struct throttle *throttle;
    struct queue_group group;
    struct budget_table *budgets;
    struct warmup_table *warmup;
    struct automation *automation; /* overrides and their counters */
    struct offload *offload;
    struct offload *disk; /* threads that may block on mailboxes; NULL: there are none */
    struct rng rng;
    struct io_choice io_choice;
    struct io *io;
    struct timer_wheel timers;
    struct mailbox mailbox;
    struct admin_server *admin;
    struct engine_query queries[ADMIN_CLIENTS_MAX];
    struct engine_trace traces[DIALOGUES_MAX];
    struct timer trace_tick;
    struct timer cut;   /* the end of patience */
    struct timer tick;  /* about once a minute */
    struct timer files; /* a while after the first sign of a changed file */
    struct filewatch *filewatch;
    struct timer sources; /* armed while there are any */
    uint64_t source_news; /* egress_news, as far as the workers were told */
    bool files_refused;   /* the last of them: what is on disk is not what runs */
    struct room_watch room;
    struct sandbox sandbox;
    struct notify notify;
    struct timer watchdog;
    unsigned pings; /* workers that have not answered */
    struct worker_gate gate;
    unsigned worker_count;
    struct worker *workers;
    struct recovered_list *recovered;
    struct memo_list memos;
    int *listen_fds; /* [worker][listener] */
    unsigned ready;
    unsigned stopped;
    int signal_fd;
    int statm_fd; /* our memory, for top; -1: not known */
    unsigned stop_signals;
    uint64_t reloads;
    uint64_t reloads_refused;
    bool no_memory;
};

/* ---- engine.c ---- */

/* Begins an event of the control thread; false: the level leaves it out. */
bool engine_event(struct engine *e, enum obs_event event);
void engine_event_end(struct engine *e);
void engine_tell(struct engine *e, unsigned worker, struct worker_mail *m);

/* ---- engine_io.c ---- */

/* False: `error` says why. */
bool engine_choose_io(struct engine *e, struct buf *error);
/* One line when it is not the back end one would wish for. */
void engine_say_io(struct engine *e);

/* ---- engine_ports.c ---- */

/* False: `error` says why. */
bool engine_open_ports(struct engine *e, struct buf *error);

/* ---- engine_service.c ---- */

void engine_service_ready(struct engine *e);
void engine_service_pong(struct engine *e);
void engine_service_reloading(struct engine *e);
void engine_service_reloaded(struct engine *e, bool refused);
void engine_service_stopping(struct engine *e);

/* ---- engine_spool.c ---- */

/* False: `error` says why. */
bool engine_open_spool(struct engine *e, struct buf *error);

/* ---- engine_reload.c ---- */

/* All or nothing: a file with an error, or a changed key that needs a restart, changes nothing. */
void engine_reload(struct engine *e);
void engine_watch_files(struct engine *e);
void engine_arm_filewatch(struct engine *e);
void engine_on_filewatch(void *ctx, const struct io_event *ev);
void engine_on_files(struct timer *t, void *ctx);
void engine_on_tick(struct timer *t, void *ctx);

/* ---- engine_sources.c ---- */

/* Tells the workers what is new about addresses of sources. */
void engine_sources_news(struct engine *e);
/* Looks for all of them; there may be others: at the start, after a reload, from then on by itself. */
void engine_on_sources(struct timer *t, void *ctx);

/* ---- engine_query.c ---- */

void engine_on_query(void *ctx, const struct admin_request *request, uint32_t token);
void engine_on_answer(struct engine *e, struct worker_mail *m);

/* ---- engine_stats.c ---- */

void engine_add_stats(struct engine_query *q, const struct worker_stats *s);
void engine_reply_stats(struct engine *e, struct engine_query *q);

/* ---- engine_top.c ---- */

/* Before files are confined: /proc is out of reach then. */
void engine_top_open(struct engine *e);
void engine_reply_top(struct engine *e, struct engine_query *q);

/* ---- engine_trace.c ---- */

/* False: there are enough of them, or no memory. */
bool engine_trace_open(struct engine *e, const struct admin_request *request, uint32_t token);
/* A reference for a worker; NULL: its client has gone. */
struct dialogue *engine_trace_dialogue(struct engine *e, uint32_t token);
/* All workers listen. */
void engine_trace_begun(struct engine *e, uint32_t token);
/* The admin server's word: nobody reads it any more. */
void engine_on_trace_gone(void *ctx, uint32_t token);
void engine_on_dialogue(struct engine *e, struct worker_mail *m);
void engine_on_trace_tick(struct timer *t, void *ctx);

#endif
