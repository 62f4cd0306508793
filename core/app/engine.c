/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The control thread. Order of the start, each step before the next: signals, log, spool (lock, version,
 * recovery), ports, workers, gate, admin socket. Nothing is accepted before all of it has succeeded.
 * The end: STOP to all workers, CUT at shutdown.deadline, the log is written out, exit.
 */
#include "core/app/engine.h"
#include "core/admin/server.h"
#include "core/app/room_watch.h"
#include "core/app/worker.h"
#include "core/io/filewatch.h"
#include "core/io/net.h"
#include "core/io/signals.h"
#include "ringpost_version.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    ENGINE_LOG_CLOSE_MS = 3000,
    ENGINE_TEXT_BYTES = 64 * 1024,
    ENGINE_JOBS_MAX = 4096,
    ENGINE_FILES_QUIET_MS = 500,
    ENGINE_TICK_MS = 60 * 1000
};

struct engine_query {
    uint32_t token;   /* 0: free */
    unsigned waiting; /* workers that have not answered */
    struct admin_request request;
    struct worker_stats sum;
    uint64_t spool_ready;
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
    struct offload *offload;
    struct rng rng;
    struct io *io;
    struct timer_wheel timers;
    struct mailbox mailbox;
    struct admin_server *admin;
    struct engine_query queries[ADMIN_CLIENTS_MAX];
    struct timer cut;   /* the end of patience */
    struct timer tick;  /* about once a minute */
    struct timer files; /* a while after the first sign of a changed file */
    struct filewatch *filewatch;
    struct room_watch room;
    struct worker_gate gate;
    unsigned worker_count;
    struct worker *workers;
    struct recovered_list *recovered;
    int *listen_fds; /* [worker][listener] */
    unsigned ready;
    unsigned stopped;
    int signal_fd;
    unsigned stop_signals;
    uint64_t reloads;
    uint64_t reloads_refused;
    bool no_memory;
};

static void engine_error(const char *what, struct slice why)
{
    fprintf(stderr, "ringpost: %s: %.*s\n", what, SLICE_ARG(why));
}

static bool engine_event(struct engine *e, enum obs_event event)
{
    return obs_begin(&e->log, event, clock_read().wall_us);
}

static void engine_event_end(struct engine *e)
{
    obs_end(&e->log, clock_read().mono_ms);
}

/* ---- recovery ---- */

static void engine_on_recovered(void *ctx, unsigned worker, const struct spool_recovered *found)
{
    struct engine *e = ctx;
    must(worker < e->worker_count);
    e->no_memory = !recovered_add(&e->recovered[worker], found) || e->no_memory;
}

static void engine_on_damage(void *ctx, const struct spool_damage_report *report)
{
    static const struct slice kinds[] = {
        [SPOOL_DAMAGE_FRAME] = SLICE_INIT("a stored record is damaged"),
        [SPOOL_DAMAGE_ROW] = SLICE_INIT("a stored record makes no sense"),
        [SPOOL_DAMAGE_SEGMENT] = SLICE_INIT("a segment's header is damaged; it is set aside"),
        [SPOOL_DAMAGE_UNREADABLE] = SLICE_INIT("the disk cannot read it"),
        [SPOOL_DAMAGE_TORN] = SLICE_INIT("the unacknowledged end of a crash, ignored"),
    };
    struct engine *e = ctx;
    must((size_t)report->kind < ARRAY_COUNT(kinds));
    if (engine_event(e, report->kind == SPOOL_DAMAGE_TORN ? OBS_SPOOL_NOTE : OBS_SPOOL_DAMAGE)) {
        obs_str(&e->log, OBS_F_REASON, kinds[report->kind]);
        obs_str(&e->log, OBS_F_PATH, slice_str(report->file));
        obs_u64(&e->log, OBS_F_SIZE, report->bytes);
        obs_u64(&e->log, OBS_F_COUNT, report->offset);
        engine_event_end(e);
    }
}

static bool engine_open_spool(struct engine *e, struct buf *error)
{
    const struct conf *conf = e->settings->conf;
    char path[4096];
    if (!slice_to_cstr(conf->spool.dir, path, sizeof(path))) {
        buf_add(error, SLICE("spool.dir is too long"));
        return false;
    }
    struct spool_options options = {.segment_bytes = conf->spool.segment_bytes,
                                    .workers = e->worker_count};
    e->spool_dir = spool_dir_open(path, &options, error);
    if (!e->spool_dir) {
        return false;
    }
    if (!spool_dir_direct(e->spool_dir) && engine_event(e, OBS_SPOOL_NOTE)) {
        obs_str(&e->log, OBS_F_REASON,
                SLICE("this file system refuses O_DIRECT; commits go through the page cache"));
        obs_str(&e->log, OBS_F_PATH, conf->spool.dir);
        engine_event_end(e);
    }
    struct spool_recovery_events events = {engine_on_recovered, engine_on_damage};
    if (!spool_recover(e->spool_dir, &events, e, &e->recovery, error)) {
        return false;
    }
    if (e->no_memory) {
        buf_add(error, SLICE("the queue in the spool does not fit into memory"));
        return false;
    }
    if (engine_event(e, OBS_RECOVERED)) {
        obs_u64(&e->log, OBS_F_MESSAGES, e->recovery.messages_live);
        obs_u64(&e->log, OBS_F_RECIPIENTS, e->recovery.rcpts_queued);
        obs_u64(&e->log, OBS_F_DAMAGED, e->recovery.damaged);
        engine_event_end(e);
    }
    room_watch_open(&e->room, e->spool_dir, &e->log, conf);
    return true;
}

/* ---- ports ---- */

static bool engine_open_port(struct engine *e, unsigned listener, struct buf *error)
{
    const struct conf *conf = e->settings->conf;
    struct ip_endpoint at = {conf->listeners.items[listener].address,
                             conf->listeners.items[listener].port};
    char text[IP_ENDPOINT_TEXT_MAX];
    int rc = net_probe(&at);
    for (unsigned w = 0; w < e->worker_count && rc >= 0; w++) {
        rc = net_listen(&at, RELAY_BACKLOG);
        e->listen_fds[w * conf->listeners.count + listener] = rc;
    }
    if (rc < 0) {
        const char *remedy = rc == -EADDRINUSE ? "stop what uses it or choose another port"
                             : rc == -EACCES
                                 ? "ports below 1024 need the sysctl "
                                   "net.ipv4.ip_unprivileged_port_start or CAP_NET_BIND_SERVICE"
                                 : "see listeners in the configuration";
        buf_addf(error, "cannot listen on %s: %s (%s)", ip_endpoint_text(&at, text), strerror(-rc),
                 remedy);
        return false;
    }
    if (engine_event(e, OBS_LISTENING)) {
        obs_str(&e->log, OBS_F_LISTENER, slice_str(ip_endpoint_text(&at, text)));
        obs_u64(&e->log, OBS_F_PORT, at.port);
        engine_event_end(e);
    }
    return true;
}

static bool engine_open_ports(struct engine *e, struct buf *error)
{
    for (unsigned i = 0; i < e->settings->conf->listeners.count; i++) {
        if (!engine_open_port(e, i, error)) {
            return false;
        }
    }
    return true;
}

/* ---- workers ---- */

static unsigned engine_cores(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < 1 ? 1 : n > LIMIT_WORKERS ? LIMIT_WORKERS : (unsigned)n;
}

static bool engine_start_workers(struct engine *e, struct buf *error)
{
    const struct conf *conf = e->settings->conf;
    worker_gate_init(&e->gate);
    for (unsigned i = 0; i < e->worker_count; i++) {
        struct worker_parts parts = {
            .index = i,
            .count = e->worker_count,
            .settings = e->settings,
            .spool_dir = e->spool_dir,
            .sink = e->sink,
            .admitted = e->admitted,
            .throttle = e->throttle,
            .offload = e->offload,
            .control = &e->mailbox,
            .gate = &e->gate,
            .recovered = &e->recovered[i],
            .id_floor = e->recovery.id_max,
            .listen_fds = e->listen_fds + i * conf->listeners.count,
        };
        if (!worker_start(&e->workers[i], &parts)) {
            buf_add(error, SLICE("a worker thread could not be made"));
            return false;
        }
    }
    if (!worker_gate_open(&e->gate, e->worker_count)) {
        buf_add(error, buf_slice(&e->gate.error));
        return false;
    }
    return true;
}

static void engine_tell(struct engine *e, unsigned worker, struct worker_mail *m)
{
    mailbox_post(&e->workers[worker].mailbox, &m->mail, e->io);
}

static void engine_tell_all(struct engine *e, enum worker_mail_type type)
{
    for (unsigned i = 0; i < e->worker_count; i++) {
        engine_tell(e, i, worker_mail_new(type));
    }
}

/* ---- signals ---- */

static void engine_stop(struct engine *e)
{
    if (engine_event(e, OBS_STOPPING)) {
        engine_event_end(e);
    }
    admin_server_drain(e->admin);
    engine_tell_all(e, WORKER_MAIL_STOP);
    timer_start(&e->timers, &e->cut,
                io_now(e->io)->mono_ms + e->settings->conf->shutdown.deadline_ms);
}

static void engine_on_cut(struct timer *t, void *ctx)
{
    (void)ctx;
    engine_tell_all(container_of(t, struct engine, cut), WORKER_MAIL_CUT);
}

static void engine_log_reload(struct engine *e, enum obs_event event, struct slice why)
{
    e->reloads += event == OBS_RELOADED;
    e->reloads_refused += event == OBS_RELOAD_REFUSED;
    if (engine_event(e, event)) {
        if (why.len) {
            obs_str(&e->log, OBS_F_REASON, why);
        }
        engine_event_end(e);
    }
}

static void engine_watch_one(void *ctx, struct slice path)
{
    struct engine *e = ctx;
    filewatch_add(e->filewatch, path);
}

static void engine_watch_files(struct engine *e)
{
    filewatch_clear(e->filewatch);
    relay_settings_files(e->settings, engine_watch_one, e);
}

static void engine_take_settings(struct engine *e, struct relay_settings *settings)
{
    for (unsigned i = 0; i < e->worker_count; i++) {
        struct worker_mail *m = worker_mail_new(WORKER_MAIL_RELOAD);
        m->settings = relay_settings_ref(settings);
        engine_tell(e, i, m);
    }
    relay_settings_put(&e->settings);
    e->settings = settings;
    room_watch_set_conf(&e->room, settings->conf);
    e->log.level = (enum obs_level)settings->conf->log.level;
    engine_watch_files(e);
    engine_log_reload(e, OBS_RELOADED, (struct slice){NULL, 0});
}

/* All or nothing: a file with an error, or a changed key that needs a restart, changes nothing. */
static void engine_reload(struct engine *e)
{
    struct buf errors, warnings;
    struct relay_settings *settings = NULL;
    buf_init(&errors, ENGINE_TEXT_BYTES);
    buf_init(&warnings, ENGINE_TEXT_BYTES);
    struct relay_settings_messages to = {.errors = &errors, .warnings = &warnings};
    struct conf *conf = conf_load(e->source, &errors, NULL);
    if (conf && !conf_reload_diff(e->settings->conf, conf, &errors)) {
        settings = relay_settings_new(conf, e->settings, &to);
    }
    struct slice lines = buf_slice(&warnings);
    while (lines.len) {
        engine_log_reload(e, OBS_CONFIG_WARNING, slice_cut(&lines, '\n'));
    }
    if (settings) {
        engine_take_settings(e, settings);
    } else {
        engine_log_reload(e, OBS_RELOAD_REFUSED, buf_slice(&errors));
        conf_free(conf);
    }
    buf_deinit(&errors);
    buf_deinit(&warnings);
}

/* ---- certificates, keys and users that change on disk ---- */

static void engine_arm_filewatch(struct engine *e)
{
    io_poll(e->io, (struct io_tag){IO_KIND_FILEWATCH, {0, 1}}, filewatch_fd(e->filewatch), POLLIN);
}

/* Files are rarely replaced alone (a certificate, then its key): wait until it is quiet for a moment. */
static void engine_on_filewatch(void *ctx, const struct io_event *ev)
{
    struct engine *e = ctx;
    if (ev->status != IO_CANCELLED && e->stop_signals == 0) {
        timer_start(&e->timers, &e->files, io_now(e->io)->mono_ms + ENGINE_FILES_QUIET_MS);
    }
}

static void engine_on_files(struct timer *t, void *ctx)
{
    (void)ctx;
    struct engine *e = container_of(t, struct engine, files);
    if (e->stop_signals) {
        return;
    }
    if (filewatch_changed(e->filewatch)) {
        engine_reload(e);
    }
    engine_arm_filewatch(e);
}

static void engine_on_tick(struct timer *t, void *ctx)
{
    (void)ctx;
    struct engine *e = container_of(t, struct engine, tick);
    relay_settings_tick(e->settings, io_now(e->io)->wall_us);
    timer_start(&e->timers, t, io_now(e->io)->mono_ms + ENGINE_TICK_MS);
}

static void engine_arm_signals(struct engine *e)
{
    io_poll(e->io, (struct io_tag){IO_KIND_SIGNAL, {0, 1}}, e->signal_fd, POLLIN);
}

static void engine_on_signal(void *ctx, const struct io_event *ev)
{
    struct engine *e = ctx;
    int signo;
    if (ev->status == IO_CANCELLED) {
        return;
    }
    while ((signo = signals_read(e->signal_fd))) {
        if (signo == SIGHUP) {
            if (e->stop_signals == 0) {
                engine_reload(e);
            }
        } else if (++e->stop_signals == 1) {
            engine_stop(e);
        } else {
            obs_log_deinit(&e->log);
            _exit(1); /* a second one: at once; what was acknowledged is in the spool */
        }
    }
    engine_arm_signals(e);
}

/* ---- the admin socket ---- */

static void engine_on_query(void *ctx, const struct admin_request *request, uint32_t token)
{
    struct engine *e = ctx;
    for (size_t i = 0; i < ARRAY_COUNT(e->queries); i++) {
        struct engine_query *q = &e->queries[i];
        if (q->token) {
            continue;
        }
        *q = (struct engine_query){.token = token, .waiting = e->worker_count, .request = *request};
        for (unsigned w = 0; w < e->worker_count; w++) {
            struct worker_mail *m = worker_mail_new(WORKER_MAIL_QUERY);
            m->request = *request;
            m->request.limit += request->verb == ADMIN_QUEUE_LS ? 1
                                                                : 0; /* one more: is there more? */
            m->token = token;
            engine_tell(e, w, m);
        }
        return;
    }
    admin_reply_end(e->admin,
                    token); /* as many clients as slots: cannot happen while all are live */
}

static void engine_sum(uint64_t *to, const uint64_t *from, size_t bytes)
{
    for (size_t i = 0; i < bytes / sizeof(*to); i++) {
        to[i] += from[i];
    }
}

static void engine_add_stats(struct engine_query *q, const struct worker_stats *s)
{
    engine_sum((uint64_t *)&q->sum.queue, (const uint64_t *)&s->queue, sizeof(s->queue));
    engine_sum((uint64_t *)&q->sum.relay, (const uint64_t *)&s->relay, sizeof(s->relay));
    engine_sum((uint64_t *)&q->sum.io, (const uint64_t *)&s->io, sizeof(s->io));
    q->sum.deferred += s->deferred;
    q->sum.inflight += s->inflight;
    q->sum.sites += s->sites;
    q->sum.sessions += s->sessions;
    q->sum.connections += s->connections;
    q->sum.memory_bytes += s->memory_bytes;
    q->sum.spool.segments += s->spool.segments;
    q->sum.spool.bytes_total += s->spool.bytes_total;
    q->sum.spool.bytes_live += s->spool.bytes_live;
    q->sum.spool.commits += s->spool.commits;
    q->sum.spool.frames += s->spool.frames;
    q->sum.spool.bytes_committed += s->spool.bytes_committed;
    q->sum.spool.failures += s->spool.failures;
    q->sum.spool.full = q->sum.spool.full || s->spool.full;
    if (s->spool.health > q->sum.spool.health) {
        q->sum.spool.health = s->spool.health;
    }
    q->spool_ready += s->spool.ready ? 1 : 0;
}

static void engine_stats_spool(const struct engine *e, const struct engine_query *q,
                               struct buf *out)
{
    const struct spool_stats *s = &q->sum.spool;
    buf_addf(out, ",\"spool\":{\"ready\":%s,\"state\":\"%s\",\"full\":%s",
             q->spool_ready == e->worker_count ? "true" : "false", spool_health_name(s->health),
             s->full ? "true" : "false");
    if (e->room.last.free_bytes != UINT64_MAX) {
        buf_addf(out, ",\"free_bytes\":%llu", (unsigned long long)e->room.last.free_bytes);
    }
    buf_addf(out,
             ",\"segments\":%llu,\"bytes\":%llu,\"bytes_live\":%llu,\"commits\":%llu,"
             "\"frames\":%llu,\"bytes_committed\":%llu,\"failures\":%llu}",
             (unsigned long long)s->segments, (unsigned long long)s->bytes_total,
             (unsigned long long)s->bytes_live, (unsigned long long)s->commits,
             (unsigned long long)s->frames, (unsigned long long)s->bytes_committed,
             (unsigned long long)s->failures);
}

static void engine_reply_stats(struct engine *e, struct engine_query *q)
{
    const struct worker_stats *s = &q->sum;
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"accepted", s->queue.accepted},
        {"delivered", s->queue.delivered},
        {"bounced", s->queue.bounced},
        {"expired", s->queue.expired},
        {"cancelled", s->queue.cancelled},
        {"queued", s->queue.queued},
        {"deferred", s->deferred},
        {"inflight", s->inflight},
        {"messages", s->queue.messages},
        {"messages_accepted", s->queue.messages_accepted},
        {"deferrals", s->queue.deferrals},
        {"outcome_unknown", s->queue.unknown},
        {"dsn", s->queue.dsn},
        {"dsn_dropped", s->queue.dsn_dropped},
        {"damaged", s->queue.damaged + e->recovery.damaged},
        {"sites", s->sites},
        {"sessions", s->sessions},
        {"connections", s->connections},
        {"transactions", s->relay.transactions},
        {"tls_in", s->relay.tls_in},
        {"tls_in_failed", s->relay.tls_in_failed},
        {"tls_out", s->relay.tls_out},
        {"tls_out_failed", s->relay.tls_out_failed},
        {"reloads", e->reloads},
        {"reloads_refused", e->reloads_refused},
        {"memory_bytes", s->memory_bytes},
        {"log_dropped", obs_sink_dropped(e->sink)},
        {"workers", e->worker_count},
    };
    struct buf out;
    buf_init(&out, 8192);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        buf_addf(&out, "%s\"%s\":%llu", i ? "," : "{", rows[i].name,
                 (unsigned long long)rows[i].value);
    }
    engine_stats_spool(e, q, &out);
    buf_addf(&out,
             ",\"io\":{\"submits\":%llu,\"operations\":%llu,\"events\":%llu,\"stale\":%llu,"
             "\"durable_writes\":%llu,\"short_writes\":%llu}}",
             (unsigned long long)s->io.submits, (unsigned long long)s->io.ops,
             (unsigned long long)s->io.events, (unsigned long long)s->io.stale,
             (unsigned long long)s->io.durable_writes, (unsigned long long)s->io.short_writes);
    admin_reply(e->admin, q->token, buf_slice(&out));
    buf_deinit(&out);
}

static void engine_on_answer(struct engine *e, struct worker_mail *m)
{
    struct engine_query *q = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(e->queries) && !q; i++) {
        q = e->queries[i].token == m->token ? &e->queries[i] : NULL;
    }
    must(q != NULL && q->waiting > 0);
    if (q->request.verb == ADMIN_QUEUE_STATS) {
        engine_add_stats(q, &m->stats);
    }
    struct slice lines = buf_slice(&m->answer);
    while (lines.len && admin_reply(e->admin, q->token, slice_cut(&lines, '\n'))) {
    }
    if (--q->waiting == 0) {
        if (q->request.verb == ADMIN_QUEUE_STATS) {
            engine_reply_stats(e, q);
        }
        admin_reply_end(e->admin, q->token);
        q->token = 0;
    }
}

/* ---- the loop ---- */

static void engine_on_mail(struct engine *e, struct worker_mail *m)
{
    switch ((enum control_mail_type)m->mail.type) {
    case CONTROL_MAIL_READY:
        if (++e->ready == e->worker_count && engine_event(e, OBS_READY)) {
            obs_u64(&e->log, OBS_F_PID, (uint64_t)getpid());
            engine_event_end(e);
        }
        break;
    case CONTROL_MAIL_ANSWER:
        engine_on_answer(e, m);
        break;
    case CONTROL_MAIL_STOPPED:
        e->stopped++;
        break;
    }
    worker_mail_free(m);
}

static void engine_read_mail(struct engine *e)
{
    struct mail *mail = mailbox_take(&e->mailbox);
    while (mail) {
        struct mail *next = mail->next;
        engine_on_mail(e, container_of(mail, struct worker_mail, mail));
        mail = next;
    }
}

static void engine_on_mailbox(void *ctx, const struct io_event *ev)
{
    (void)ctx;
    (void)ev;
}

static void engine_on_admin(void *ctx, const struct io_event *ev)
{
    struct engine *e = ctx;
    admin_server_on_io(e->admin, ev);
}

static const struct io_route engine_routes[IO_KIND_COUNT] = {
    [IO_KIND_MAILBOX] = {"mailbox", engine_on_mailbox},
    [IO_KIND_SIGNAL] = {"signal", engine_on_signal},
    [IO_KIND_FILEWATCH] = {"filewatch", engine_on_filewatch},
    [IO_KIND_ADMIN_ACCEPT] = {"admin.accept", engine_on_admin},
    [IO_KIND_ADMIN_RECV] = {"admin.recv", engine_on_admin},
    [IO_KIND_ADMIN_SEND] = {"admin.send", engine_on_admin},
};

static void engine_turn(struct engine *e)
{
    uint64_t deadline = timer_wheel_next(&e->timers);
    uint64_t log = obs_due_ms(&e->log);
    io_wait(e->io, log < deadline ? log : deadline);
    io_dispatch(e->io);
    engine_read_mail(e);
    timer_wheel_run(&e->timers, io_now(e->io)->mono_ms, e);
    obs_flush(&e->log, io_now(e->io)->mono_ms);
}

static void engine_loop(struct engine *e)
{
    engine_arm_signals(e);
    engine_arm_filewatch(e);
    engine_on_tick(&e->tick, NULL);
    while (e->stopped < e->worker_count || !admin_server_idle(e->admin)) {
        engine_turn(e);
    }
    room_watch_stop(&e->room);
    io_cancel(e->io, (struct io_tag){IO_KIND_SIGNAL, {0, 1}});
    io_cancel(e->io, (struct io_tag){IO_KIND_FILEWATCH, {0, 1}});
    timer_stop(&e->timers, &e->files);
    timer_stop(&e->timers, &e->tick);
    while (io_in_flight(e->io)) {
        engine_turn(e);
    }
}

/* ---- start and end ---- */

static bool engine_open_control(struct engine *e, struct buf *error)
{
    int code = 0;
    e->io = io_open(256, engine_routes, e, &code);
    if (!e->io) {
        buf_addf(error, "io_uring is not available here: %s; `ringpost doctor` says what to change",
                 strerror(code));
        return false;
    }
    mailbox_init(&e->mailbox, io_wake_fd(e->io));
    timer_wheel_init(&e->timers, io_now(e->io)->mono_ms);
    e->cut.fire = engine_on_cut;
    e->tick.fire = engine_on_tick;
    e->files.fire = engine_on_files;
    e->filewatch = filewatch_open();
    if (!e->filewatch) {
        buf_add(error, SLICE("inotify is not available (fs.inotify.max_user_instances)"));
        return false;
    }
    engine_watch_files(e);
    room_watch_start(&e->room, &e->timers);
    return true;
}

static bool engine_open_admin(struct engine *e, struct buf *error)
{
    struct admin_config cfg = {.path = e->settings->conf->admin.socket,
                               .handler = {engine_on_query, e}};
    e->admin = admin_server_open(&cfg, e->io, &e->timers, error);
    return e->admin != NULL;
}

static bool engine_allocate(struct engine *e)
{
    const struct conf *conf = e->settings->conf;
    e->worker_count = conf->workers ? conf->workers : engine_cores();
    e->workers = calloc(e->worker_count, sizeof(*e->workers));
    e->recovered = calloc(e->worker_count, sizeof(*e->recovered));
    e->listen_fds = calloc((size_t)e->worker_count * conf->listeners.count + 1,
                           sizeof(*e->listen_fds));
    for (unsigned i = 0; e->recovered && i < e->worker_count; i++) {
        recovered_init(&e->recovered[i]);
    }
    if (!rng_init_kernel(&e->rng)) {
        return false;
    }
    e->admitted = connections_open(rng_u64(&e->rng));
    e->throttle = throttle_open(rng_u64(&e->rng));
    return e->workers && e->recovered && e->listen_fds && e->admitted && e->throttle;
}

static bool engine_open(struct engine *e, struct buf *error)
{
    if (!engine_allocate(e)) {
        buf_add(error, SLICE("out of memory or random bytes"));
        return false;
    }
    e->signal_fd = signals_open();
    e->sink = e->signal_fd >= 0 ? obs_sink_open(STDOUT_FILENO) : NULL;
    if (!e->sink) {
        buf_add(error, SLICE("the log thread or the signal descriptor could not be made"));
        return false;
    }
    e->offload = offload_open(e->worker_count, ENGINE_JOBS_MAX,
                              relay_thread_hooks()); /* signals are blocked by now */
    if (!e->offload) {
        buf_add(error, SLICE("the threads for passwords and signatures could not be made"));
        return false;
    }
    obs_log_init(&e->log, e->sink, (enum obs_level)e->settings->conf->log.level);
    if (engine_event(e, OBS_STARTED)) {
        obs_str(&e->log, OBS_F_VERSION, SLICE(RINGPOST_VERSION));
        obs_u64(&e->log, OBS_F_PID, (uint64_t)getpid());
        obs_str(&e->log, OBS_F_BACKEND, SLICE("uring"));
        engine_event_end(e);
    }
    return engine_open_spool(e, error) && engine_open_ports(e, error) &&
           engine_open_control(e, error) && engine_open_admin(e, error) &&
           engine_start_workers(e, error);
}

static void engine_close(struct engine *e)
{
    for (unsigned i = 0; i < e->worker_count; i++) {
        worker_join(&e->workers[i]);
        recovered_deinit(&e->recovered[i]);
    }
    engine_read_mail(e);
    admin_server_close(e->admin);
    io_close(e->io);
    worker_gate_deinit(&e->gate);
    spool_dir_close(&e->spool_dir);
    offload_close(&e->offload);
    for (unsigned i = 0; i < e->worker_count; i++) {
        offload_port_close(&e->workers[i].relay.offload_port);
    }
    throttle_close(e->throttle);
    connections_close(e->admitted);
    filewatch_close(&e->filewatch);
    if (engine_event(e, OBS_STOPPED)) {
        engine_event_end(e);
    }
    obs_log_deinit(&e->log);
    obs_sink_close(e->sink, ENGINE_LOG_CLOSE_MS);
    close(e->signal_fd);
    relay_settings_put(&e->settings);
    free(e->workers);
    free(e->recovered);
    free(e->listen_fds);
}

/* Passwords and keys are in this memory, and may be in the environment: no core file of it, and nobody but
 * root looks into it (/proc, ptrace), not even under the same user. */
static void engine_keep_secrets(void)
{
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0);
}

int engine_run(const struct conf_source *src, struct relay_settings *settings)
{
    struct engine engine = {.source = src, .settings = settings};
    struct buf error;
    engine_keep_secrets();
    buf_init(&error, ENGINE_TEXT_BYTES);
    if (!engine_open(&engine, &error)) {
        engine_error("cannot start", buf_slice(&error));
        if (engine.sink) {
            obs_log_deinit(&engine.log);
            obs_sink_close(engine.sink, ENGINE_LOG_CLOSE_MS);
        }
        _exit(1); /* nothing was accepted; threads that did start have nothing to finish */
    }
    buf_deinit(&error);
    engine_loop(&engine);
    engine_close(&engine);
    return 0;
}
