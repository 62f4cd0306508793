/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The loop. One turn is worker_turn; its phases stand there in their order, each with its reason.
 *
 * Life:  begin (everything opened on this thread: the ring belongs to it) → step, step, … → STOP: relay stops
 * (clients and transactions end) → queue stops → spool stops (last commits) → resolver drained →
 * everything closed → STOPPED.
 */
#include "core/app/worker.h"
#include "core/queue/far.h"

#include <stdlib.h>
#include <string.h>

struct worker_mail *worker_mail_new(unsigned type)
{
    struct worker_mail *m = calloc(1, sizeof(*m));
    must(m != NULL); /* control messages only: a handful in the life of the engine */
    m->mail.type = type;
    buf_init(&m->answer, 4 * 1024 * 1024);
    return m;
}

void worker_mail_free(struct worker_mail *m)
{
    buf_deinit(&m->answer);
    dialogue_put(&m->dialogue);
    free(m);
}

/* ---- the dispatch table: which completion goes where ---- */

#define WORKER_ROUTE(name, owner, handler)                                                         \
    static void name(void *ctx, const struct io_event *ev)                                         \
    {                                                                                              \
        struct worker *w = ctx;                                                                    \
        handler(owner, ev);                                                                        \
    }

WORKER_ROUTE(worker_on_accept, &w->relay, relay_on_accept)
WORKER_ROUTE(worker_on_inbound_recv, &w->relay, relay_on_inbound_recv)
WORKER_ROUTE(worker_on_inbound_send, &w->relay, relay_on_inbound_send)
WORKER_ROUTE(worker_on_inbound_close, &w->relay, relay_on_inbound_close)
WORKER_ROUTE(worker_on_outbound_connect, &w->relay, relay_on_outbound_connect)
WORKER_ROUTE(worker_on_outbound_recv, &w->relay, relay_on_outbound_recv)
WORKER_ROUTE(worker_on_outbound_send, &w->relay, relay_on_outbound_send)
WORKER_ROUTE(worker_on_outbound_close, &w->relay, relay_on_outbound_close)
WORKER_ROUTE(worker_on_offload, &w->relay, relay_on_offload)
WORKER_ROUTE(worker_on_disk, &w->relay, relay_on_disk)
WORKER_ROUTE(worker_on_body_read, &w->queue, queue_reader_on_io)
WORKER_ROUTE(worker_on_spool, w->spool, spool_on_io)
WORKER_ROUTE(worker_on_dns, w->dns, dns_on_io)

static void worker_on_mailbox(void *ctx, const struct io_event *ev)
{
    (void)ctx; /* it only wakes the loop; the mails are taken in their phase */
    (void)ev;
}

static const struct io_route worker_routes[IO_KIND_COUNT] = {
    [IO_KIND_LISTENER_ACCEPT] = {"listener.accept", worker_on_accept},
    [IO_KIND_INBOUND_RECV] = {"inbound.recv", worker_on_inbound_recv},
    [IO_KIND_INBOUND_SEND] = {"inbound.send", worker_on_inbound_send},
    [IO_KIND_INBOUND_CLOSE] = {"inbound.close", worker_on_inbound_close},
    [IO_KIND_OUTBOUND_CONNECT] = {"outbound.connect", worker_on_outbound_connect},
    [IO_KIND_OUTBOUND_RECV] = {"outbound.recv", worker_on_outbound_recv},
    [IO_KIND_OUTBOUND_SEND] = {"outbound.send", worker_on_outbound_send},
    [IO_KIND_OUTBOUND_CLOSE] = {"outbound.close", worker_on_outbound_close},
    [IO_KIND_OFFLOAD] = {"offload", worker_on_offload},
    [IO_KIND_DISK] = {"disk", worker_on_disk},
    [IO_KIND_BODY_READ] = {"body.read", worker_on_body_read},
    [IO_KIND_SPOOL] = {"spool", worker_on_spool},
    [IO_KIND_DNS] = {"dns", worker_on_dns},
    [IO_KIND_MAILBOX] = {"mailbox", worker_on_mailbox},
};

/* ---- start ---- */

void worker_tell(struct worker *w, struct worker_mail *m)
{
    m->worker = w->parts.index;
    mailbox_post(w->parts.control, &m->mail, w->io);
}

static bool worker_open_dns(struct worker *w, struct buf *error)
{
    const struct conf *conf = w->settings->conf;
    struct dns_config cfg = {
        .servers = conf->dns.servers.items,
        .server_count = conf->dns.servers.count,
        .timeout_ms = conf->dns.timeout_ms,
        .tries = conf->dns.tries,
        .cache_entries = conf->dns.cache_entries,
        .ttl_min_ms = conf->dns.ttl_min_ms,
        .ttl_max_ms = conf->dns.ttl_max_ms,
        .negative_ttl_max_ms = conf->dns.negative_ttl_max_ms,
        .ipv4 = conf->delivery.ipv4,
        .ipv6 = conf->delivery.ipv6,
    };
    w->dns = dns_open(&cfg, w->io, &w->timers, &w->rng, error);
    return w->dns != NULL;
}

static void worker_recover(struct worker *w)
{
    struct recovered_item *item;
    queue_recover_begin(&w->queue, w->parts.recovered->count);
    while ((item = recovered_pop(w->parts.recovered))) {
        queue_recover(&w->queue, &item->found);
        recovered_item_free(item);
    }
    spool_adopted(w->spool);
}

/* What no queued mail is routed to any more is forgotten: a number is free again. */
static void worker_remember_target(struct worker *w, const struct spool_memo *memo)
{
    uint64_t number;
    bool used = slice_to_u64(memo->key, &number) && number <= QUEUE_TARGETS_MAX &&
                w->parts.memos->targets_used[number];
    if (used) {
        (void)queue_target_apply(&w->queue, memo);
    } else if (w->parts.index == SPOOL_MEMO_WORKER) {
        struct spool_memo forgotten = {.kind = memo->kind, .key = memo->key};
        queue_memo_put(&w->queue, &forgotten);
    }
}

static void worker_remember(struct worker *w)
{
    for (const struct memo_item *i = w->parts.memos->first; i; i = i->next) {
        if (i->memo.kind == QUEUE_MEMO_TARGET) {
            worker_remember_target(w, &i->memo);
        }
        if (i->memo.kind == QUEUE_MEMO_SUSPEND) {
            /* What cannot be read was written by another version; without memory the start would fail soon. */
            (void)queue_suspend_apply(&w->queue, &i->memo);
        } else if (i->memo.kind == QUEUE_MEMO_PEER) {
            queue_peers_remember(&w->queue, &i->memo);
        }
    }
}

static bool worker_open_queue(struct worker *w, struct buf *error)
{
    const struct worker_parts *p = &w->parts;
    struct queue_parts queue = {
        .conf = w->settings->conf,
        .io = w->io,
        .timers = &w->timers,
        .rng = &w->rng,
        .log = &w->log,
        .dns = w->dns,
        .group = p->group,
        .budgets = p->budgets,
        .warmup = p->warmup,
        .automation = p->automation,
        .shaping = w->settings->shaping,
        .egress = w->settings->egress,
        .worker = p->index,
        .workers = p->count,
        .id_floor = p->id_floor,
    };
    queue_open(&w->queue, &queue, &relay_queue_events, &w->relay);
    queue_lessons_set(&w->queue, w->settings->classifier, w->settings->automation);
    w->spool = spool_open(p->spool_dir, p->index, w->io, &w->timers, &queue_spool_events,
                          &w->queue);
    if (!w->spool) {
        buf_add(error, SLICE("out of memory while opening the spool"));
        return false;
    }
    queue_set_spool(&w->queue, w->spool);
    return true;
}

/* False: `error` says why; what was opened stays for worker_close. */
static bool worker_open(struct worker *w, struct buf *error)
{
    const struct worker_parts *p = &w->parts;
    if (!rng_init_kernel(&w->rng)) {
        buf_add(error, SLICE("the kernel gives no random bytes (getrandom)"));
        return false;
    }
    timer_wheel_init(&w->timers, io_now(w->io)->mono_ms);
    if (!worker_open_dns(w, error) || !worker_open_queue(w, error)) {
        return false;
    }
    struct relay_parts relay = {
        .settings = w->settings,
        .io = w->io,
        .timers = &w->timers,
        .rng = &w->rng,
        .log = &w->log,
        .queue = &w->queue,
        .admitted = p->admitted,
        .throttle = p->throttle,
        .offload = p->offload,
        .disk = p->disk,
        .worker = p->index,
        .workers = p->count,
    };
    if (!relay_open(&w->relay, &relay)) {
        buf_add(error, SLICE("no descriptor left for the worker's events (ulimit -n)"));
        return false;
    }
    worker_remember(w);
    worker_recover(w);
    for (unsigned i = 0; i < w->settings->conf->listeners.count; i++) {
        if (!relay_listen(&w->relay, i, p->listen_fds[i])) {
            buf_add(error, SLICE("out of memory while opening the listeners"));
            return false;
        }
    }
    return true;
}

/* ---- mails ---- */

static void worker_obey(struct worker *w, struct worker_mail *m)
{
    switch ((enum worker_mail_type)m->mail.type) {
    case WORKER_MAIL_STOP:
        w->stopping = true;
        queue_leave(&w->queue);
        worker_mail_free(m);
        return;
    case WORKER_MAIL_CUT:
        relay_cut(&w->relay);
        queue_cut(&w->queue);
        worker_mail_free(m);
        return;
    case WORKER_MAIL_RELOAD:
        relay_settings_put(&w->settings);
        w->settings = m->settings;
        relay_set_settings(&w->relay, w->settings);
        queue_set_conf(&w->queue, w->settings->conf, w->settings->shaping, w->settings->egress);
        queue_lessons_set(&w->queue, w->settings->classifier, w->settings->automation);
        w->log.level = (enum obs_level)w->settings->conf->log.level;
        worker_mail_free(m);
        return;
    case WORKER_MAIL_QUERY:
        worker_query(w, m);
        return;
    case WORKER_MAIL_PING:
        m->mail.type = CONTROL_MAIL_PONG;
        worker_tell(w, m);
        return;
    case WORKER_MAIL_UNTRACE:
        taps_end(&w->relay, m->token);
        worker_mail_free(m);
        return;
    case WORKER_MAIL_SOURCES:
        worker_mail_free(m); /* it was to wake us */
        return;
    }
    must_never("an unknown mail");
}

static void worker_read_mail(struct worker *w)
{
    struct mail *mail = mailbox_take(&w->mailbox);
    while (mail) {
        struct mail *next = mail->next;
        if (!queue_far_on_mail(&w->queue, mail)) {
            worker_obey(w, container_of(mail, struct worker_mail, mail));
        }
        mail = next;
    }
}

/* ---- the loop ---- */

static void worker_tell_sources(struct worker *w)
{
    uint64_t news = egress_news(w->settings->egress);
    if (news != w->source_news) {
        w->source_news = news;
        worker_tell(w, worker_mail_new(CONTROL_MAIL_SOURCES));
    }
}

static uint64_t worker_deadline(const struct worker *w)
{
    if (dns_pending(w->dns) || queue_pending(&w->queue) || relay_pending(&w->relay)) {
        return 0;
    }
    uint64_t deadline = timer_wheel_next(&w->timers);
    uint64_t commit = spool_commit_due_ms(w->spool);
    uint64_t log = obs_due_ms(&w->log);
    deadline = commit < deadline ? commit : deadline;
    return log < deadline ? log : deadline;
}

static void worker_turn(struct worker *w, uint64_t deadline_ms)
{
    io_wait(w->io, deadline_ms); /* submits what the last turn started */
    io_dispatch(w->io);          /* completions: new bytes, finished commits */
    worker_read_mail(w);         /* orders, before new work is begun */
    timer_wheel_run(&w->timers, io_now(w->io)->mono_ms, w);
    dns_run(w->dns);      /* routes for waiting recipients */
    queue_run(&w->queue); /* committed and due messages become ready parts */
    relay_run(&w->relay); /* replies whose commit is decided; parts to connections */
    if (w->relay.taps.count) {
        worker_tell_dialogues(w);
    }
    worker_tell_sources(w); /* what connections found out */
    spool_commit(w->spool); /* everything appended above goes out as one group */
    obs_flush(&w->log, io_now(w->io)->mono_ms);
    if (!w->told_ready && spool_ready(w->spool)) {
        w->told_ready = true;
        worker_tell(w, worker_mail_new(CONTROL_MAIL_READY));
    }
}

/* One step of the orderly end; true when everything may be closed. */
static bool worker_stop_step(struct worker *w)
{
    if (!relay_stop(&w->relay) || !queue_stop(&w->queue) || !spool_stop(w->spool)) {
        return false;
    }
    if (!w->told_dns) {
        w->told_dns = true;
        dns_drain(w->dns);
    }
    return dns_idle(w->dns);
}

static void worker_close(struct worker *w)
{
    relay_close(&w->relay);
    queue_close(&w->queue);
    spool_close(&w->spool);
    dns_close(w->dns);
    obs_log_deinit(&w->log);
    relay_settings_put(&w->settings);
}

bool worker_begin(struct worker *w, struct buf *error)
{
    int code = 0;
    w->settings = relay_settings_ref(w->parts.settings);
    w->io = io_open(w->parts.io_backend, w->settings->conf->io.ring_entries, worker_routes, w,
                    &code);
    if (!w->io) {
        buf_addf(error, "a worker's ring cannot be made: %s; `ringpost doctor` says what to change",
                 strerror(code));
        return false;
    }
    mailbox_init(&w->mailbox, io_wake_fd(w->io));
    w->parts.group->boxes[w->parts.index] = &w->mailbox;
    obs_log_init(&w->log, w->parts.sink, (enum obs_level)w->settings->conf->log.level);
    return worker_open(w, error);
}

uint64_t worker_due_ms(const struct worker *w)
{
    uint64_t deadline = worker_deadline(w);
    uint64_t soon = io_now(w->io)->mono_ms + 20;
    return w->stopping && soon < deadline ? soon : deadline;
}

bool worker_step(struct worker *w)
{
    if (w->stopping && worker_stop_step(w)) {
        worker_close(w);
        return false;
    }
    worker_turn(w, worker_due_ms(w));
    return true;
}

static void worker_gate_leave(struct worker_gate *g)
{
    pthread_mutex_lock(&g->mutex);
    while (!g->over) {
        pthread_cond_wait(&g->changed, &g->mutex);
    }
    pthread_mutex_unlock(&g->mutex);
}

void worker_end(struct worker *w)
{
    while (io_in_flight(w->io)) { /* the wake-up that carries the last mail */
        io_wait(w->io, io_now(w->io)->mono_ms + 20);
        io_dispatch(w->io);
    }
    io_wait(w->io, 0);
    if (w->parts.gate) {
        worker_gate_leave(w->parts.gate); /* until then others may wake this io */
    }
    io_close(w->io);
}

/* ---- the thread ---- */

void worker_gate_init(struct worker_gate *g)
{
    *g = (struct worker_gate){0};
    pthread_mutex_init(&g->mutex, NULL);
    pthread_cond_init(&g->changed, NULL);
    buf_init(&g->error, 4096);
}

void worker_gate_deinit(struct worker_gate *g)
{
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->mutex);
    buf_deinit(&g->error);
}

bool worker_gate_wait(struct worker_gate *g, unsigned count)
{
    pthread_mutex_lock(&g->mutex);
    while (g->arrived < count && !g->failed) {
        pthread_cond_wait(&g->changed, &g->mutex);
    }
    bool ok = !g->failed;
    pthread_mutex_unlock(&g->mutex);
    return ok;
}

void worker_gate_open(struct worker_gate *g)
{
    pthread_mutex_lock(&g->mutex);
    must(!g->failed);
    g->open = true;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->mutex);
}

/* A worker whose start failed stays here for ever: the process ends. */
static void worker_gate_pass(struct worker_gate *g, bool ok, struct slice error)
{
    pthread_mutex_lock(&g->mutex);
    g->arrived++;
    if (!ok && !g->failed) {
        g->failed = true;
        buf_add(&g->error, error);
    }
    pthread_cond_broadcast(&g->changed);
    while (!g->open) {
        pthread_cond_wait(&g->changed, &g->mutex);
    }
    pthread_mutex_unlock(&g->mutex);
}

void worker_gate_dismiss(struct worker_gate *g)
{
    pthread_mutex_lock(&g->mutex);
    g->over = true;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->mutex);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct buf why;
    buf_init(&why, 4096);
    bool ok = worker_begin(w, &why);
    worker_gate_pass(w->parts.gate, ok, buf_slice(&why));
    buf_deinit(&why);
    while (worker_step(w)) {
    }
    worker_tell(w, worker_mail_new(CONTROL_MAIL_STOPPED));
    worker_end(w);
    return NULL;
}

bool worker_start(struct worker *w, const struct worker_parts *parts)
{
    *w = (struct worker){.parts = *parts};
    w->running = pthread_create(&w->thread, NULL, worker_main, w) == 0;
    return w->running;
}

void worker_join(struct worker *w)
{
    pthread_join(w->thread, NULL);
    w->running = false;
    struct mail *mail = mailbox_take(&w->mailbox);
    while (mail) { /* orders that came too late */
        struct mail *next = mail->next;
        if (mail->type >= QUEUE_MAIL_OFFER) {
            queue_far_drop(mail);
        } else {
            struct worker_mail *m = container_of(mail, struct worker_mail, mail);
            relay_settings_put(&m->settings);
            worker_mail_free(m);
        }
        mail = next;
    }
}
