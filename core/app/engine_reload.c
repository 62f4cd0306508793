/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/engine_private.h"

#include <poll.h>

enum { ENGINE_FILES_QUIET_MS = 500, ENGINE_TICK_MS = 60 * 1000 };

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

void engine_watch_files(struct engine *e)
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
    e->files_refused = false;
    room_watch_set_conf(&e->room, settings->conf);
    e->log.level = (enum obs_level)settings->conf->log.level;
    engine_watch_files(e);
    engine_on_sources(&e->sources, NULL);
    engine_log_reload(e, OBS_RELOADED, (struct slice){NULL, 0});
}

void engine_reload(struct engine *e)
{
    struct buf errors, warnings;
    struct relay_settings *settings = NULL;
    buf_init(&errors, ENGINE_TEXT_BYTES);
    buf_init(&warnings, ENGINE_TEXT_BYTES);
    engine_service_reloading(e);
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
        sandbox_explain(&e->sandbox, &errors);
        engine_log_reload(e, OBS_RELOAD_REFUSED, buf_slice(&errors));
        conf_free(conf);
    }
    engine_service_reloaded(e, settings == NULL);
    buf_deinit(&errors);
    buf_deinit(&warnings);
}

/* ---- certificates, keys and users that change on disk ---- */

void engine_arm_filewatch(struct engine *e)
{
    io_poll(e->io, (struct io_tag){IO_KIND_FILEWATCH, {0, 1}}, filewatch_fd(e->filewatch), POLLIN);
}

/* Files are rarely replaced alone (a certificate, then its key): wait until it is quiet for a moment. */
void engine_on_filewatch(void *ctx, const struct io_event *ev)
{
    struct engine *e = ctx;
    if (ev->status != IO_CANCELLED && e->stop_signals == 0) {
        timer_start(&e->timers, &e->files, io_now(e->io)->mono_ms + ENGINE_FILES_QUIET_MS);
    }
}

/* What was refused is tried again when something else happens in a folder, and once a minute: a table may
 * name a key that is on its way, in a folder that nobody watches yet. */
static void engine_try_files(struct engine *e)
{
    if (filewatch_changed(e->filewatch) || e->files_refused) {
        uint64_t refused = e->reloads_refused;
        engine_reload(e);
        e->files_refused = e->reloads_refused != refused;
    }
}

void engine_on_files(struct timer *t, void *ctx)
{
    (void)ctx;
    struct engine *e = container_of(t, struct engine, files);
    if (e->stop_signals) {
        return;
    }
    engine_try_files(e);
    engine_arm_filewatch(e);
}

void engine_on_tick(struct timer *t, void *ctx)
{
    (void)ctx;
    struct engine *e = container_of(t, struct engine, tick);
    relay_settings_tick(e->settings, io_now(e->io)->wall_us);
    if (e->files_refused && e->stop_signals == 0) {
        engine_try_files(e);
    }
    timer_start(&e->timers, t, io_now(e->io)->mono_ms + ENGINE_TICK_MS);
}
