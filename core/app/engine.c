/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The control thread. Order of the start, each step before the next: signals, files confined (before there
 * are threads), log, spool (lock, version, recovery), ports, admin socket, workers, system calls confined,
 * gate. Nothing is accepted before all of it has succeeded.
 * The end: STOP to all workers, CUT at shutdown.deadline, the log is written out, exit.
 */
#include "core/app/engine_private.h"
#include "core/base/heap.h"
#include "core/io/signals.h"
#include "ringpost_version.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ENGINE_LOG_CLOSE_MS = 3000,
    ENGINE_JOBS_MAX = 4096,
    ENGINE_DISK_THREADS = 8,
};

static void engine_error(const char *what, struct slice why)
{
    fprintf(stderr, "ringpost: %s: %.*s\n", what, SLICE_ARG(why));
}

bool engine_event(struct engine *e, enum obs_event event)
{
    return obs_begin(&e->log, event, clock_read().wall_us);
}

void engine_event_end(struct engine *e)
{
    obs_end(&e->log, clock_read().mono_ms);
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
            .io_backend = e->io_choice.backend,
            .settings = e->settings,
            .spool_dir = e->spool_dir,
            .sink = e->sink,
            .admitted = e->admitted,
            .throttle = e->throttle,
            .offload = e->offload,
            .group = &e->group,
            .budgets = e->budgets,
            .warmup = e->warmup,
            .automation = e->automation,
            .disk = e->disk,
            .control = &e->mailbox,
            .gate = &e->gate,
            .recovered = &e->recovered[i],
            .memos = &e->memos,
            .id_floor = e->recovery.id_max,
            .listen_fds = e->listen_fds + i * conf->listeners.count,
        };
        if (!worker_start(&e->workers[i], &parts)) {
            buf_add(error, SLICE("a worker thread could not be made"));
            return false;
        }
    }
    if (!worker_gate_wait(&e->gate, e->worker_count)) {
        buf_add(error, buf_slice(&e->gate.error));
        return false;
    }
    return true;
}

/* What is in force, and what is not. */
static void engine_log_sandbox(struct engine *e)
{
    if (engine_event(e, OBS_SANDBOX)) {
        obs_u64(&e->log, OBS_F_LANDLOCK, (uint64_t)e->sandbox.landlock_abi);
        obs_u64(&e->log, OBS_F_PATHS, e->sandbox.paths);
        obs_u64(&e->log, OBS_F_SYSCALLS, e->sandbox.calls);
        obs_bool(&e->log, OBS_F_RINGS, e->io_choice.backend == &io_backend_uring);
        if (e->sandbox.missing[0]) {
            obs_str(&e->log, OBS_F_REASON, slice_str(e->sandbox.missing));
        }
        engine_event_end(e);
    }
}

/* The last step: from here on clients are served. */
static bool engine_open_gate(struct engine *e, struct buf *error)
{
    bool epoll = e->io_choice.backend == &io_backend_epoll;
    if (!sandbox_confine_calls(&e->sandbox, e->settings->conf, epoll, error)) {
        return false;
    }
    engine_log_sandbox(e);
    worker_gate_open(&e->gate);
    return true;
}

void engine_tell(struct engine *e, unsigned worker, struct worker_mail *m)
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
    engine_service_stopping(e);
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
    bool reload = false; /* once for all that have come: they may come faster than it is done */
    while ((signo = signals_read(e->signal_fd))) {
        if (signo == SIGHUP) {
            reload = true;
        } else if (++e->stop_signals == 1) {
            engine_stop(e);
        } else {
            obs_log_deinit(&e->log);
            _exit(1); /* a second one: at once; what was acknowledged is in the spool */
        }
    }
    if (reload && e->stop_signals == 0) {
        engine_reload(e);
    }
    engine_arm_signals(e);
}

/* ---- the loop ---- */

static void engine_on_mail(struct engine *e, struct worker_mail *m)
{
    switch ((enum control_mail_type)m->mail.type) {
    case CONTROL_MAIL_READY:
        if (++e->ready == e->worker_count) {
            heap_purge(); /* of what recovery found */
            if (engine_event(e, OBS_READY)) {
                obs_u64(&e->log, OBS_F_PID, (uint64_t)getpid());
                engine_event_end(e);
            }
            engine_service_ready(e);
        }
        break;
    case CONTROL_MAIL_PONG:
        engine_service_pong(e);
        break;
    case CONTROL_MAIL_ANSWER:
        engine_on_answer(e, m);
        break;
    case CONTROL_MAIL_DIALOGUE:
        engine_on_dialogue(e, m);
        break;
    case CONTROL_MAIL_STOPPED:
        e->stopped++;
        break;
    case CONTROL_MAIL_SOURCES:
        engine_sources_news(e);
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
    engine_on_sources(&e->sources, NULL);
    while (e->stopped < e->worker_count || !admin_server_idle(e->admin)) {
        engine_turn(e);
    }
    room_watch_stop(&e->room);
    io_cancel(e->io, (struct io_tag){IO_KIND_SIGNAL, {0, 1}});
    io_cancel(e->io, (struct io_tag){IO_KIND_FILEWATCH, {0, 1}});
    timer_stop(&e->timers, &e->files);
    timer_stop(&e->timers, &e->sources);
    timer_stop(&e->timers, &e->tick);
    timer_stop(&e->timers, &e->trace_tick);
    while (io_in_flight(e->io)) {
        engine_turn(e);
    }
}

/* ---- start and end ---- */

static bool engine_open_control(struct engine *e, struct buf *error)
{
    int code = 0;
    e->io = io_open(e->io_choice.backend, 256, engine_routes, e, &code);
    if (!e->io) {
        buf_addf(error, "the control thread's ring cannot be made: %s", strerror(code));
        return false;
    }
    mailbox_init(&e->mailbox, io_wake_fd(e->io));
    timer_wheel_init(&e->timers, io_now(e->io)->mono_ms);
    e->cut.fire = engine_on_cut;
    e->tick.fire = engine_on_tick;
    e->files.fire = engine_on_files;
    e->trace_tick.fire = engine_on_trace_tick;
    e->sources.fire = engine_on_sources;
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
                               .handler = {engine_on_query, engine_on_trace_gone, e}};
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
    queue_group_init(&e->group, e->worker_count, rng_u64(&e->rng));
    e->budgets = budget_table_open(rng_u64(&e->rng));
    e->warmup = warmup_table_open(rng_u64(&e->rng));
    e->automation = automation_open(rng_u64(&e->rng));
    e->admitted = connections_open(rng_u64(&e->rng));
    e->throttle = throttle_open(rng_u64(&e->rng));
    return e->workers && e->recovered && e->listen_fds && e->budgets && e->warmup &&
           e->automation && e->admitted && e->throttle;
}

static bool engine_open(struct engine *e, struct buf *error)
{
    if (!engine_allocate(e)) {
        buf_add(error, SLICE("out of memory or random bytes"));
        return false;
    }
    if (!engine_choose_io(e, error)) {
        return false;
    }
    notify_open(&e->notify, e->source->environment);
    e->signal_fd = signals_open();
    engine_top_open(e);
    if (!sandbox_confine_files(&e->sandbox, e->settings, e->source, error)) {
        return false;
    }
    e->sink = e->signal_fd >= 0 ? obs_sink_open(STDOUT_FILENO) : NULL;
    if (!e->sink) {
        buf_add(error, SLICE("the log thread or the signal descriptor could not be made"));
        return false;
    }
    heap_open();
    e->offload = offload_open(e->worker_count, ENGINE_JOBS_MAX,
                              relay_thread_hooks()); /* signals are blocked by now */
    if (!e->offload) {
        buf_add(error, SLICE("the threads for passwords and signatures could not be made"));
        return false;
    }
    if (e->settings->conf->local.maildir.len) {
        e->disk = offload_open(ENGINE_DISK_THREADS, e->worker_count * RELAY_DISK_JOBS, NULL);
        if (!e->disk) {
            buf_add(error, SLICE("the threads for mailboxes could not be made"));
            return false;
        }
    }
    obs_log_init(&e->log, e->sink, (enum obs_level)e->settings->conf->log.level);
    if (engine_event(e, OBS_STARTED)) {
        obs_str(&e->log, OBS_F_VERSION, SLICE(RINGPOST_VERSION));
        obs_u64(&e->log, OBS_F_PID, (uint64_t)getpid());
        obs_str(&e->log, OBS_F_BACKEND, slice_str(io_backend_name(e->io_choice.backend)));
        engine_event_end(e);
    }
    engine_say_io(e);
    return engine_open_spool(e, error) && engine_open_ports(e, error) &&
           engine_open_control(e, error) && engine_open_admin(e, error) &&
           engine_start_workers(e, error) && engine_open_gate(e, error);
}

static void engine_close(struct engine *e)
{
    worker_gate_dismiss(&e->gate);
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
    offload_close(&e->disk);
    for (unsigned i = 0; i < e->worker_count; i++) {
        offload_port_close(&e->workers[i].relay.offload_port);
        offload_port_close(&e->workers[i].relay.disk_port);
    }
    queue_group_deinit(&e->group);
    budget_table_close(&e->budgets);
    warmup_table_close(&e->warmup);
    automation_close(e->automation);
    throttle_close(e->throttle);
    connections_close(e->admitted);
    filewatch_close(&e->filewatch);
    if (engine_event(e, OBS_STOPPED)) {
        engine_event_end(e);
    }
    obs_log_deinit(&e->log);
    obs_sink_close(e->sink, ENGINE_LOG_CLOSE_MS);
    notify_close(&e->notify);
    close(e->signal_fd);
    if (e->statm_fd >= 0) {
        close(e->statm_fd);
    }
    relay_settings_put(&e->settings);
    free(e->workers);
    free(e->recovered);
    memo_list_deinit(&e->memos);
    free(e->listen_fds);
}

int engine_run(const struct conf_source *src, struct relay_settings *settings)
{
    struct engine engine = {.source = src, .settings = settings};
    struct buf error;
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
