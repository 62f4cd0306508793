/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * rig - a queue with a real ring and a real spool, and a pool of connections that is a script
 *
 * Purpose:   what core/app/worker.c does around a queue, in one thread and with scripted ends of
 *            transactions. The sum of P2 and the recipients in memory are compared after every turn.
 * Owner:     the test: rig_start … rig_stop, any number of times on the same folder; rig_remove.
 * Thread:    the test's. Time: the real one; schedules are replaced by milliseconds.
 */
#ifndef RINGPOST_TESTS_QUEUE_RIG_H
#define RINGPOST_TESTS_QUEUE_RIG_H

#include "core/app/recovered.h"
#include "core/queue/far.h"
#include "core/queue/queue.h"
#include "proto/mail/notify.h"
#include "tests/unit/core/base/testing.h"
#include "tests/unit/core/io/backend.h"

#include <fcntl.h>
#include <ftw.h>

enum { RIG_PARTS_MAX = 64, RIG_SETS_MAX = 12 };

/* One transaction as the connection saw it. */
struct rig_part {
    uint64_t message;
    uint32_t count;
    uint32_t flags; /* of the message */
    uint64_t at_ms; /* wall */
    char sender[64];
    char first[64]; /* address of the first recipient */
    char site[128];
    char *body; /* of reports only, NUL-terminated */
};

struct rig;
typedef struct outcome rig_script(struct rig *r, const struct queue_part *p, uint32_t rcpt);

struct rig {
    char folder[64];
    const char *smarthost; /* setting; NULL: by MX */
    const char *dns_server;
    struct conf *conf;
    struct queue_group *group; /* NULL: alone; else `worker` is who this is */
    unsigned worker;
    struct mailbox box;
    struct budget_table *budgets;
    struct automation *automation; /* the test's; NULL: replies teach nothing */
    struct shaping_table *shaping;
    struct egress_table *egress; /* NULL: no sources */
    struct io *io;
    struct io_route routes[IO_KIND_COUNT];
    struct timer_wheel timers;
    struct rng rng;
    struct obs_sink *sink;
    struct obs_log log;
    struct dns *dns;
    struct spool_dir *dir;
    struct spool *spool;
    struct queue queue;
    struct spool_recovery recovery;
    struct recovered_list recovered;
    int log_fd;
    rig_script *script; /* NULL: parts are left in their sites */
    /* Of what is built upon a rig (tests/unit/core/relay/relay_rig.h); NULL: nothing. */
    void (*on_other)(struct rig *r, const struct io_event *ev);
    void (*on_turn)(struct rig *r);
    bool peer_has_dsn;
    bool peer_has_deliverby;
    bool keeps_messages;     /* nothing is parked: the test has pointers to messages */
    uint64_t schedule[4];    /* ms */
    uint64_t delay_after_ms; /* 0: as configured */
    struct rig_part parts[RIG_PARTS_MAX];
    unsigned part_count;
    unsigned accepted_ok, accepted_lost;
    uint64_t accepted_id;
};

/* ---- outcomes ---- */

static inline struct outcome rig_outcome(enum outcome_kind kind, uint16_t code, struct enhanced e,
                                         struct slice text)
{
    struct outcome o = outcome_local(kind, OUTCOME_RECIPIENT, OUTCOME_STAGE_RCPT, e, text);
    o.code = code;
    o.remote = true;
    return o;
}

static inline struct outcome rig_delivered(struct rig *r, const struct queue_part *p, uint32_t rcpt)
{
    (void)r, (void)p, (void)rcpt;
    return rig_outcome(OUTCOME_DELIVERED, 250, (struct enhanced){2, 0, 0}, SLICE("ok"));
}

static inline struct outcome rig_temporary(struct rig *r, const struct queue_part *p, uint32_t rcpt)
{
    (void)r, (void)p, (void)rcpt;
    return rig_outcome(OUTCOME_TEMPORARY, 451, (struct enhanced){4, 7, 1},
                       SLICE("come back later"));
}

static inline struct outcome rig_permanent(struct rig *r, const struct queue_part *p, uint32_t rcpt)
{
    (void)r, (void)p, (void)rcpt;
    return rig_outcome(OUTCOME_PERMANENT, 550, (struct enhanced){5, 1, 1},
                       SLICE("no such user here"));
}

/* By what the local part begins with: ok, temp, perm; reports are delivered. */
static inline struct outcome rig_by_name(struct rig *r, const struct queue_part *p, uint32_t rcpt)
{
    struct slice to = p->message->rcpts[rcpt].address;
    return p->message->flags & QUEUE_MSG_DSN        ? rig_delivered(r, p, rcpt)
           : slice_starts_nocase(to, SLICE("temp")) ? rig_temporary(r, p, rcpt)
           : slice_starts_nocase(to, SLICE("perm")) ? rig_permanent(r, p, rcpt)
                                                    : rig_delivered(r, p, rcpt);
}

/* ---- the loop ---- */

static inline void rig_on_spool(void *ctx, const struct io_event *ev)
{
    spool_on_io(((struct rig *)ctx)->spool, ev);
}

static inline void rig_on_body(void *ctx, const struct io_event *ev)
{
    queue_reader_on_io(&((struct rig *)ctx)->queue, ev);
}

static inline void rig_on_dns(void *ctx, const struct io_event *ev)
{
    dns_on_io(((struct rig *)ctx)->dns, ev);
}

static inline void rig_on_mailbox(void *ctx, const struct io_event *ev)
{
    (void)ctx, (void)ev; /* it only ends the wait */
}

/* What core/app/worker.c does with the mails of other queues. */
static inline void rig_read_mail(struct rig *r)
{
    struct mail *mail = mailbox_take(&r->box);
    while (mail) {
        struct mail *next = mail->next;
        ck_assert(queue_far_on_mail(&r->queue, mail));
        mail = next;
    }
}

static inline void rig_on_other(void *ctx, const struct io_event *ev)
{
    struct rig *r = ctx;
    ck_assert(r->on_other != NULL);
    r->on_other(r, ev);
}

static inline void rig_on_accepted(void *ctx, struct handle submitter, struct queue_message *m)
{
    struct rig *r = ctx;
    ck_assert_uint_eq(submitter.slot, 77);
    r->accepted_ok += m ? 1 : 0;
    r->accepted_lost += m ? 0 : 1;
    r->accepted_id = m ? m->id : 0;
}

static inline void rig_on_space(void *ctx)
{
    (void)ctx;
}

static inline void rig_note_part(struct rig *r, const struct queue_part *p)
{
    const struct queue_message *m = p->message;
    ck_assert_uint_lt(r->part_count, RIG_PARTS_MAX);
    struct rig_part *n = &r->parts[r->part_count++];
    *n = (struct rig_part){.message = m->id,
                           .count = p->count,
                           .flags = m->flags,
                           .at_ms = io_now(r->io)->wall_us / 1000};
    ck_assert(slice_to_cstr(slice_first(m->sender, 63), n->sender, sizeof(n->sender)));
    ck_assert(
        slice_to_cstr(slice_first(m->rcpts[p->rcpts[0]].address, 63), n->first, sizeof(n->first)));
    ck_assert(slice_to_cstr(slice_first(p->site->key, 127), n->site, sizeof(n->site)));
    if (m->flags & QUEUE_MSG_DSN && m->body) {
        n->body = strndup(m->body, m->body_bytes);
    }
}

static inline void rig_end_part(struct rig *r, struct queue_part *p)
{
    struct outcome outcomes[LIMIT_RECIPIENTS_PER_TRANSACTION];
    for (uint32_t i = 0; i < p->count; i++) {
        outcomes[i] = r->script(r, p, p->rcpts[i]);
    }
    struct queue_part_end end = {
        .outcomes = outcomes,
        .peer_name = SLICE("mx.example.test"),
        .peer_addr = SLICE("192.0.2.1"),
        .peer_has_dsn = r->peer_has_dsn,
        .peer_has_deliverby = r->peer_has_deliverby,
        .duration_ms = 1,
    };
    queue_part_sent(&r->queue, p, &end, false);
}

static inline struct queue_part *rig_take(struct rig *r)
{
    struct list *node = list_first(&r->queue.active_sites);
    while (node) {
        struct queue_site *s = LIST_ENTRY(node, struct queue_site, active);
        struct queue_part *p = queue_site_take(&r->queue, s);
        if (p) {
            ck_assert_ptr_eq(p->site, s);
            rig_note_part(r, p);
            return p;
        }
        list_remove(&s->active);
        node = list_first(&r->queue.active_sites);
    }
    return NULL;
}

/* P2, and that the counter says what is in memory. */
static inline void rig_check_sum(struct rig *r)
{
    const struct queue_counters *c = &r->queue.counters;
    testing_that(c->accepted == c->delivered + c->bounced + c->expired + c->cancelled + c->queued);
    uint64_t open = 0, messages = 0;
    struct queue_walk walk = {0};
    struct queue_message *m;
    while ((m = queue_walk_next(&r->queue, &walk))) {
        uint32_t mine = 0;
        for (uint32_t i = 0; i < m->rcpt_count; i++) {
            mine += m->rcpts[i].state != QUEUE_RCPT_ENDED;
        }
        testing_that(m->open_count == mine);
        open += m->queued ? mine : 0;
        messages += m->queued ? 1 : 0;
    }
    testing_that(open == c->queued && messages == c->messages);
}

static inline void rig_turn(struct rig *r)
{
    uint64_t soon = io_now(r->io)->mono_ms + 5;
    uint64_t next = timer_wheel_next(&r->timers), commit = spool_commit_due_ms(r->spool);
    next = commit < next ? commit : next;
    bool busy = dns_pending(r->dns) || queue_pending(&r->queue);
    io_wait(r->io, busy ? 0 : next < soon ? next : soon);
    io_dispatch(r->io);
    rig_read_mail(r);
    timer_wheel_run(&r->timers, io_now(r->io)->mono_ms, r);
    dns_run(r->dns);
    queue_run(&r->queue);
    queue_sites_file(&r->queue);
    struct queue_part *p;
    while (r->script && (p = rig_take(r))) {
        rig_end_part(r, p);
    }
    if (r->on_turn) {
        r->on_turn(r);
    }
    queue_far_run(&r->queue);
    rig_check_sum(r);
    spool_commit(r->spool);
    obs_flush(&r->log, io_now(r->io)->mono_ms);
}

static inline void rig_run_ms(struct rig *r, uint64_t ms)
{
    uint64_t until = io_now(r->io)->mono_ms + ms;
    while (io_now(r->io)->mono_ms < until) {
        rig_turn(r);
    }
}

/* Turns until the condition holds; a test that waits longer than 20 s has failed. */
#define RIG_UNTIL(r, cond)                                                                         \
    for (uint64_t rig_end_ms = io_now((r)->io)->mono_ms + 20000; !(cond); rig_turn(r))             \
    ck_assert_msg(io_now((r)->io)->mono_ms < rig_end_ms, "still not: %s", #cond)

/* Messages in memory, parked or not. */
static inline uint32_t rig_messages(const struct rig *r)
{
    return r->queue.messages.used + r->queue.park.lot.used;
}

/* Nothing is left of any message, in memory or held on disk. */
static inline void rig_settle(struct rig *r)
{
    struct spool_stats stats;
    RIG_UNTIL(r, rig_messages(r) == 0);
    ck_assert_uint_eq(r->queue.counters.queued, 0);
    ck_assert_uint_eq(r->queue.counters.messages, 0);
    ck_assert_uint_eq(r->queue.memory_bytes, 0);
    ck_assert_uint_eq(r->queue.readers.used, 0);
    spool_stats(r->spool, &stats);
    ck_assert_uint_eq(stats.bytes_live, 0);
}

/* ---- start and end ---- */

static inline void rig_init(struct rig *r)
{
    *r = (struct rig){.script = rig_delivered,
                      .smarthost = "relay.host=[127.0.0.1]:2525",
                      .dns_server = "dns.servers=127.0.0.1:1",
                      .schedule = {30, 60, 90, 120},
                      .log_fd = -1};
    snprintf(r->folder, sizeof(r->folder), "/var/tmp/ringpost-queue-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(r->folder));
    rng_init_seed(&r->rng, 1);
}

static inline void rig_load_conf(struct rig *r, const char *const *extra)
{
    char dir[128];
    snprintf(dir, sizeof(dir), "spool.dir=%s/spool", r->folder);
    const char *sets[RIG_SETS_MAX] = {"identity.hostname=relay.example.test",
                                      dir,
                                      r->dns_server,
                                      "spool.segment_size=1MiB",
                                      "queue.jitter=1",
                                      r->smarthost};
    size_t count = r->smarthost ? 6 : 5;
    for (size_t i = 0; extra && extra[i]; i++) {
        ck_assert_uint_lt(count, RIG_SETS_MAX);
        sets[count++] = extra[i];
    }
    struct conf_source src = {.set = sets, .set_count = count};
    struct buf errors;
    buf_init(&errors, 65536);
    r->conf = conf_load(&src, &errors, NULL);
    ck_assert_msg(r->conf != NULL, "%.*s", SLICE_ARG(buf_slice(&errors)));
    buf_deinit(&errors);
    r->conf->queue.schedule = (struct conf_durations){r->schedule, ARRAY_COUNT(r->schedule)};
    if (r->delay_after_ms) {
        r->conf->dsn.delay_after_ms = r->delay_after_ms;
    }
}

static inline void rig_on_recovered(void *ctx, unsigned worker, const struct spool_recovered *found)
{
    ck_assert_uint_eq(worker, 0);
    ck_assert(recovered_add(&((struct rig *)ctx)->recovered, found));
}

static inline void rig_open_spool(struct rig *r)
{
    struct spool_options options = {.segment_bytes = r->conf->spool.segment_bytes, .workers = 1};
    struct spool_recovery_events events = {.message = rig_on_recovered};
    struct buf error;
    buf_init(&error, 4096);
    r->dir = spool_dir_open(r->conf->spool.dir.ptr, &options, &error);
    ck_assert_msg(r->dir != NULL, "%.*s", SLICE_ARG(buf_slice(&error)));
    recovered_init(&r->recovered);
    ck_assert(spool_recover(r->dir, &events, r, &r->recovery, &error));
    buf_deinit(&error);
}

static inline void rig_open_dns(struct rig *r)
{
    struct buf error;
    buf_init(&error, 4096);
    struct dns_config cfg = {.servers = r->conf->dns.servers.items,
                             .server_count = r->conf->dns.servers.count,
                             .timeout_ms = 100,
                             .tries = 1,
                             .cache_entries = 100,
                             .ttl_min_ms = 1000,
                             .ttl_max_ms = 1000,
                             .negative_ttl_max_ms = 1000,
                             .ipv4 = true,
                             .ipv6 = true};
    r->dns = dns_open(&cfg, r->io, &r->timers, &r->rng, &error);
    ck_assert_msg(r->dns != NULL, "%.*s", SLICE_ARG(buf_slice(&error)));
    buf_deinit(&error);
}

/* r->conf is another, or has changed. */
static inline void rig_set_conf(struct rig *r)
{
    struct shaping_table *before = r->shaping;
    r->shaping = shaping_table_new(r->conf);
    ck_assert_ptr_nonnull(r->shaping);
    queue_set_conf(&r->queue, r->conf, r->shaping, r->egress);
    shaping_table_free(before);
}

static inline void rig_start(struct rig *r, const char *const *extra)
{
    struct io_route *routes = r->routes;
    for (int kind = 0; kind < IO_KIND_COUNT; kind++) {
        routes[kind] = (struct io_route){"other", rig_on_other};
    }
    routes[IO_KIND_SPOOL] = (struct io_route){"spool", rig_on_spool};
    routes[IO_KIND_BODY_READ] = (struct io_route){"body", rig_on_body};
    routes[IO_KIND_DNS] = (struct io_route){"dns", rig_on_dns};
    routes[IO_KIND_MAILBOX] = (struct io_route){"mailbox", rig_on_mailbox};
    static const struct queue_events events = {.accepted = rig_on_accepted, .space = rig_on_space};
    int error = 0;
    char path[128];
    rig_load_conf(r, extra);
    snprintf(path, sizeof(path), "%s/log", r->folder);
    r->log_fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    r->sink = obs_sink_open(r->log_fd);
    obs_log_init(&r->log, r->sink, OBS_DEBUG);
    r->io = io_open(testing_backend(), 64, routes, r, &error);
    ck_assert_msg(r->io != NULL, "io_uring: %s", strerror(error));
    mailbox_init(&r->box, io_wake_fd(r->io));
    timer_wheel_init(&r->timers, io_now(r->io)->mono_ms);
    rig_open_dns(r);
    rig_open_spool(r);
    r->budgets = budget_table_open(1);
    r->shaping = shaping_table_new(r->conf);
    ck_assert(r->budgets && r->shaping);
    struct queue_parts parts = {.conf = r->conf,
                                .io = r->io,
                                .timers = &r->timers,
                                .rng = &r->rng,
                                .log = &r->log,
                                .dns = r->dns,
                                .budgets = r->budgets,
                                .shaping = r->shaping,
                                .egress = r->egress,
                                .automation = r->automation,
                                .group = r->group,
                                .worker = r->worker,
                                .workers = r->group ? r->group->workers : 1,
                                .id_floor = r->recovery.id_max};
    ck_assert(queue_open(&r->queue, &parts, &events, r));
    r->queue.park.off = r->keeps_messages;
    r->spool = spool_open(r->dir, 0, r->io, &r->timers, &queue_spool_events, &r->queue);
    ck_assert_ptr_nonnull(r->spool);
    queue_set_spool(&r->queue, r->spool);
    struct recovered_item *item;
    while ((item = recovered_pop(&r->recovered))) {
        queue_recover(&r->queue, &item->found);
        recovered_item_free(item);
    }
    rig_check_sum(r);
    spool_adopted(r->spool);
    RIG_UNTIL(r, spool_ready(r->spool));
}

static inline void rig_forget_parts(struct rig *r)
{
    for (unsigned i = 0; i < r->part_count; i++) {
        free(r->parts[i].body);
    }
    r->part_count = 0;
}

static inline void rig_stop(struct rig *r)
{
    rig_script *script = r->script;
    r->script = NULL;
    RIG_UNTIL(r, queue_stop(&r->queue) && spool_stop(r->spool));
    dns_drain(r->dns);
    RIG_UNTIL(r, dns_idle(r->dns));
    queue_close(&r->queue);
    budget_table_close(&r->budgets);
    shaping_table_free(r->shaping);
    spool_close(&r->spool);
    dns_close(r->dns);
    spool_dir_close(&r->dir);
    obs_log_deinit(&r->log);
    obs_sink_close(r->sink, 2000);
    io_wait(r->io, 0);
    ck_assert_uint_eq(io_in_flight(r->io), 0);
    io_close(r->io);
    conf_free(r->conf);
    close(r->log_fd);
    r->script = script;
}

static inline int rig_remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

static inline void rig_remove(struct rig *r)
{
    rig_forget_parts(r);
    nftw(r->folder, rig_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* How many lines of the log have both texts (NULL: any): call after rig_stop. */
static inline unsigned rig_log_lines(struct rig *r, const char *text, const char *and)
{
    char path[128];
    static char line[16384];
    unsigned n = 0;
    snprintf(path, sizeof(path), "%s/log", r->folder);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof(line), f)) {
        n += strstr(line, text) && (!and || strstr(line, and)) ? 1 : 0;
    }
    if (f) {
        fclose(f);
    }
    return n;
}

static inline unsigned rig_log_count(struct rig *r, const char *text)
{
    return rig_log_lines(r, text, NULL);
}

#endif
