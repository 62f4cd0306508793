/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/room_watch.h"
#include "core/base/clock.h"

#include <inttypes.h>

static void room_watch_say(struct room_watch *w)
{
    struct clock_now now = clock_read();
    if (!obs_begin(w->log, OBS_SPOOL_STATE, now.wall_us)) {
        return;
    }
    char text[160];
    int n = 0;
    switch (w->last.room) {
    case SPOOL_ROOM_OK:
        n = snprintf(text, sizeof(text), "there is room again; new mail is taken");
        break;
    case SPOOL_ROOM_MAX_SIZE:
        n = snprintf(text, sizeof(text),
                     "new mail is refused: the log is larger than spool.max_size (%" PRIu64
                     " bytes)",
                     w->limits.size_max);
        break;
    case SPOOL_ROOM_MIN_FREE:
        n = snprintf(text, sizeof(text),
                     "new mail is refused: the file system has less than spool.min_free (%" PRIu64
                     " bytes)",
                     w->limits.free_min);
        break;
    }
    must(n > 0 && (size_t)n < sizeof(text));
    obs_str(w->log, OBS_F_REASON, slice_of(text, (size_t)n));
    obs_str(w->log, OBS_F_PATH, slice_str(spool_dir_path(w->dir)));
    obs_u64(w->log, OBS_F_SIZE, w->last.size_bytes);
    if (w->last.free_bytes != UINT64_MAX) {
        obs_u64(w->log, OBS_F_FREE, w->last.free_bytes);
    }
    obs_end(w->log, now.mono_ms);
}

static void room_watch_look(struct room_watch *w)
{
    spool_dir_look(w->dir, &w->limits, &w->last);
    if (w->last.changed) {
        room_watch_say(w);
    }
}

static void room_watch_again(struct room_watch *w)
{
    timer_start(w->timers, &w->timer, clock_read().mono_ms + ROOM_WATCH_MS);
}

static void room_watch_on_timer(struct timer *t, void *ctx)
{
    (void)ctx;
    struct room_watch *w = container_of(t, struct room_watch, timer);
    room_watch_look(w);
    room_watch_again(w);
}

void room_watch_open(struct room_watch *w, struct spool_dir *dir, struct obs_log *log,
                     const struct conf *conf)
{
    must(dir != NULL && log != NULL);
    *w = (struct room_watch){.dir = dir, .log = log, .timer = {.fire = room_watch_on_timer}};
    room_watch_set_conf(w, conf);
}

void room_watch_start(struct room_watch *w, struct timer_wheel *timers)
{
    must(w->timers == NULL && timers != NULL);
    w->timers = timers;
    room_watch_again(w);
}

void room_watch_set_conf(struct room_watch *w, const struct conf *conf)
{
    w->limits = (struct spool_room_limits){.size_max = conf->spool.max_bytes,
                                           .free_min = conf->spool.min_free_bytes};
    room_watch_look(w);
}

void room_watch_stop(struct room_watch *w)
{
    if (w->timers) {
        timer_stop(w->timers, &w->timer);
        w->timers = NULL;
    }
}
