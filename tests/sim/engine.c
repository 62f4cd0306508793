/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/sim/engine_private.h"
#include "core/io/net.h"
#include "core/queue/far.h"
#include "tests/sim/heap.h"
#include "tests/sim/ledger.h"
#include "tests/sim/net.h"
#include "tests/sim/orders.h"
#include "tests/sim/ring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ENGINE_JOBS = 64 };

struct engine_world engine;

/* A life is over. */
static void engine_over(void)
{
    engine.query.answered = NULL;
    engine.stopping = false;
    sim.life++;
    orders_engine_died();
}

bool engine_alive(void)
{
    return engine.life != NULL;
}

void engine_check_closed(int fd)
{
    if (!engine.probing) {
        ring_check_closed(fd);
    }
}

/* ---- death ---- */

void engine_die(enum disk_crash how)
{
    must(!engine.probing);
    sim_trace("crash: %s", how == DISK_CRASH_KILL ? "the process" : "the power");
    ledger_engine_died(how != DISK_CRASH_KILL);
    ring_crash(how);
    disk_crash(how);
    net_crash(how != DISK_CRASH_KILL);
    bool inside = engine.inside;
    heap_leave(false);
    heap_drop();
    engine_settings_drop();
    engine.life = NULL;
    engine.inside = engine.starting = false;
    engine_over();
    if (inside) {
        longjmp(engine.death, 1);
    }
}

_Noreturn void __real_must_fail(const char *expr, const char *file, int line);
_Noreturn void __wrap_must_fail(const char *expr, const char *file, int line);

static bool ends_with(const char *text, const char *end)
{
    size_t a = strlen(text), b = strlen(end);
    return a >= b && strcmp(text + a - b, end) == 0;
}

/* Where memory is missing for what must not be forgotten (a result, a report, a limit to be given back) the engine
 * stops: a crash like any other. Every other must() is a failure of the run. */
_Noreturn void __wrap_must_fail(const char *expr, const char *file, int line)
{
    bool of_memory = ends_with(expr, " != NULL") ||
                     (ends_with(file, "core/queue/bounce.c") && strcmp(expr, "ok") == 0);
    if (engine.inside && sim.counts.out_of_memory > engine.out_of_memory && of_memory) {
        sim_trace("stops without memory at %s:%d", file, line);
        engine_die(DISK_CRASH_KILL);
    }
    __real_must_fail(expr, file, line);
}

bool engine_enter(bool (*run)(void *arg), void *arg, bool *result)
{
    must(!engine.inside);
    engine.out_of_memory = sim.counts.out_of_memory;
    if (setjmp(engine.death)) {
        return false;
    }
    engine.inside = true;
    bool before = heap_enter();
    *result = run(arg);
    heap_leave(before);
    engine.inside = false;
    return true;
}

/* ---- start ---- */

static void life_on_recovered(void *ctx, unsigned worker, const struct spool_recovered *found)
{
    struct life *l = ctx;
    ledger_recovered(found);
    for (uint32_t i = 0; i < found->message.rcpt_count; i++) { /* as engine_spool.c */
        const struct spool_rcpt *r = &found->message.rcpts[i];
        bool queued = r->status == SPOOL_RCPT_QUEUED;
        l->memos.targets_used[queued ? queue_target_of_due(r->next_due_ms) : 0] = true;
    }
    l->no_memory = !recovered_add(&l->recovered[worker], found) || l->no_memory;
}

static void life_on_memo(void *ctx, const struct spool_memo *memo)
{
    struct life *l = ctx;
    l->no_memory = !memo_list_add(&l->memos, memo) || l->no_memory;
}

void engine_on_damage(void *ctx, const struct spool_damage_report *report)
{
    (void)ctx;
    ledger_damaged(report);
}

static bool life_open_spool(struct life *l, struct buf *why)
{
    const struct conf *conf = l->settings->conf;
    struct spool_options options = {.segment_bytes = conf->spool.segment_bytes,
                                    .workers = sim.opt.workers};
    l->dir = spool_dir_open("spool", &options, why);
    if (!l->dir) {
        return false;
    }
    struct spool_recovery_events events = {life_on_recovered, engine_on_damage, life_on_memo};
    ledger_recovery_begins();
    if (!spool_recover(l->dir, &events, l, &l->recovery, why) || l->no_memory) {
        return false;
    }
    ledger_recovery_ends("restart");
    return true;
}

static bool life_open(struct life *l, struct buf *why)
{
    struct rng rng;
    rng_init_seed(&rng, rng_u64(&sim.rng));
    queue_group_init(&l->group, sim.opt.workers, rng_u64(&rng));
    l->budgets = budget_table_open(rng_u64(&rng));
    l->admitted = connections_open(rng_u64(&rng));
    l->throttle = throttle_open(rng_u64(&rng));
    l->sink = obs_sink_open(1);
    l->offload = offload_open(1, ENGINE_JOBS, relay_thread_hooks());
    mailbox_init(&l->control, -1);
    if (!l->budgets || !l->admitted || !l->throttle || !l->sink || !l->offload ||
        !life_open_spool(l, why)) {
        return false;
    }
    struct ip_endpoint at = {l->settings->conf->listeners.items[0].address, 25};
    for (unsigned i = 0; i < sim.opt.workers; i++) {
        l->listen_fds[i] = net_listen(&at, RELAY_BACKLOG);
    }
    for (unsigned i = 0; i < sim.opt.workers; i++) {
        l->workers[i] = (struct worker){.parts = {
                                            .io_backend = &ring_backend,
                                            .index = i,
                                            .count = sim.opt.workers,
                                            .settings = l->settings,
                                            .spool_dir = l->dir,
                                            .sink = l->sink,
                                            .admitted = l->admitted,
                                            .throttle = l->throttle,
                                            .offload = l->offload,
                                            .group = &l->group,
                                            .budgets = l->budgets,
                                            .control = &l->control,
                                            .recovered = &l->recovered[i],
                                            .memos = &l->memos,
                                            .id_floor = l->recovery.id_max,
                                            .listen_fds = &l->listen_fds[i],
                                        }};
        if (!worker_begin(&l->workers[i], why)) {
            return false;
        }
        l->running[i] = true;
    }
    return true;
}

static bool life_start(void *arg)
{
    struct life *l = calloc(1, sizeof(*l));
    if (!l) {
        return false;
    }
    l->settings = relay_settings_ref(arg);
    for (unsigned i = 0; i < sim.opt.workers; i++) {
        recovered_init(&l->recovered[i]);
    }
    struct buf why;
    buf_init(&why, ENGINE_TEXT);
    bool ok = life_open(l, &why);
    if (!ok) {
        sim_trace("refused to start: %.*s", SLICE_ARG(buf_slice(&why)));
    }
    buf_deinit(&why);
    engine.life = l;
    return ok;
}

bool engine_start(struct relay_settings *settings)
{
    bool ok = false;
    must(!engine.life);
    engine.starting = true;
    heap_set_failing(sim.opt.oom_ppm);
    if (!engine_enter(life_start, settings, &ok)) {
        return false;
    }
    engine.starting = false;
    if (!ok) { /* the process ends */
        engine_die(DISK_CRASH_KILL);
        return false;
    }
    for (unsigned i = 0; i < sim.opt.workers; i++) {
        ring_submit(i);
    }
    sim_trace("started: %llu messages", (unsigned long long)engine.life->recovery.messages_live);
    return true;
}

/* ---- the loop ---- */

static void life_check_spool(const struct life *l, unsigned i)
{
    struct spool_stats stats;
    spool_stats(l->workers[i].spool, &stats);
    if (stats.state == SPOOL_STATE_READ_ONLY) {
        ledger_spool_is_read_only();
    }
}

static bool life_step(void *arg)
{
    return worker_step(arg);
}

static void life_check_sum(const struct life *l, unsigned i)
{
    const struct queue_counters *c = &l->workers[i].queue.counters;
    if (c->accepted != c->delivered + c->bounced + c->expired + c->cancelled + c->queued) {
        sim_fail(
            "P2: accepted %llu is not delivered %llu + bounced %llu + expired %llu + cancelled "
            "%llu + queued %llu",
            (unsigned long long)c->accepted, (unsigned long long)c->delivered,
            (unsigned long long)c->bounced, (unsigned long long)c->expired,
            (unsigned long long)c->cancelled, (unsigned long long)c->queued);
    }
}

static bool life_close(void *arg)
{
    struct life *l = arg;
    for (unsigned i = 0; i < sim.opt.workers; i++) {
        worker_end(&l->workers[i]);
        struct mail *mail = mailbox_take(&l->workers[i].mailbox);
        while (mail) { /* as worker_join */
            struct mail *next = mail->next;
            if (mail->type >= QUEUE_MAIL_OFFER) {
                queue_far_drop(mail);
            } else {
                worker_mail_free(container_of(mail, struct worker_mail, mail));
            }
            mail = next;
        }
        recovered_deinit(&l->recovered[i]);
        offload_port_close(&l->workers[i].relay.offload_port);
    }
    struct mail *mail = mailbox_take(&l->control);
    while (mail) {
        struct mail *next = mail->next;
        worker_mail_free(container_of(mail, struct worker_mail, mail));
        mail = next;
    }
    memo_list_deinit(&l->memos);
    spool_dir_close(&l->dir);
    offload_close(&l->offload);
    queue_group_deinit(&l->group);
    budget_table_close(&l->budgets);
    throttle_close(l->throttle);
    connections_close(l->admitted);
    obs_sink_close(l->sink, 0);
    relay_settings_put(&l->settings);
    free(l);
    return true;
}

static void engine_close(void)
{
    bool ok;
    if (!engine_enter(life_close, engine.life, &ok)) {
        return;
    }
    engine.life = NULL;
    char text[512];
    if (heap_used()) {
        heap_describe(text, sizeof(text));
        sim_fail("%zu blocks of memory are left at the end:%s", heap_used(), text);
    }
    if (net_open_fds()) {
        net_describe_fds(text, sizeof(text));
        sim_fail("%u sockets are left at the end:%s", net_open_fds(), text);
    }
    if (disk_open_files() || ring_ops_open()) {
        sim_fail("%u files and %u operations are left at the end", disk_open_files(),
                 ring_ops_open());
    }
    sim_trace("ended");
    engine_over();
}

uint64_t engine_due_us(void)
{
    uint64_t due = UINT64_MAX;
    for (unsigned i = 0; engine.life && i < sim.opt.workers; i++) {
        if (engine.life->running[i]) {
            uint64_t ms = worker_due_ms(&engine.life->workers[i]);
            due = ms != UINT64_MAX && ms * SIM_MS < due ? ms * SIM_MS : due;
        }
    }
    return due;
}

bool engine_step(void)
{
    unsigned ready[SIM_WORKERS_MAX], n = 0, left = 0;
    struct life *l = engine.life;
    for (unsigned i = 0; l && i < sim.opt.workers; i++) {
        if (!l->running[i]) {
            continue;
        }
        left++;
        uint64_t ms = worker_due_ms(&l->workers[i]);
        if (ring_has_events(i) || (ms != UINT64_MAX && ms * SIM_MS <= sim.now_us)) {
            ready[n++] = i;
        }
    }
    if (l && !left) {
        engine_close();
        return true;
    }
    if (n == 0) {
        return false;
    }
    unsigned i = ready[sim_below(n)];
    bool goes_on = true;
    sim.counts.steps++;
    if (engine_enter(life_step, &l->workers[i], &goes_on)) {
        l->running[i] = goes_on;
        if (goes_on) {
            life_check_sum(l, i);
            life_check_spool(l, i);
        }
        ring_submit(i);
    }
    engine_control();
    return true;
}

struct life_order {
    struct worker *worker;
    enum worker_mail_type type;
};

static bool life_order(void *arg)
{
    const struct life_order *o = arg;
    struct worker_mail *m = worker_mail_new(o->type);
    mailbox_post(&o->worker->mailbox, &m->mail, o->worker->io);
    return true;
}

static void engine_order(enum worker_mail_type type)
{
    heap_set_failing(0);
    for (unsigned i = 0; engine.life && i < sim.opt.workers; i++) {
        bool ok;
        if (engine.life->running[i]) {
            struct life_order o = {&engine.life->workers[i], type};
            (void)engine_enter(life_order, &o, &ok);
            ring_submit(i);
        }
    }
    /* Memory is there from here on: queue_park_close makes messages of what is parked, and a process that is
     * about to end stops by must() when it cannot (known, docs/RELIABILITY.md). */
}

void engine_stop(void)
{
    engine.stopping = true;
    engine.query.answered = NULL; /* orders end where they are */
    engine_order(WORKER_MAIL_STOP);
}

void engine_cut(void)
{
    engine_order(WORKER_MAIL_CUT);
}

bool engine_empty(void)
{
    for (unsigned i = 0; i < sim.opt.workers; i++) {
        const struct queue_counters *c = &engine.life->workers[i].queue.counters;
        if (c->queued || c->messages) {
            return false;
        }
    }
    return true;
}

void engine_describe(char *out, size_t bytes)
{
    size_t at = 0;
    out[0] = 0;
    for (unsigned i = 0; engine.life && i < sim.opt.workers && at + 128 < bytes; i++) {
        const struct worker *w = &engine.life->workers[i];
        struct spool_stats stats;
        spool_stats(w->spool, &stats);
        at += (size_t)snprintf(out + at, bytes - at,
                               " worker %u: queued %llu, messages %llu, spool state %d;", i,
                               (unsigned long long)w->queue.counters.queued,
                               (unsigned long long)w->queue.counters.messages, stats.state);
    }
}
