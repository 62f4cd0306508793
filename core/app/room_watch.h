/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * room_watch - looks now and then whether the spool may still grow
 *
 * Purpose:   spool.max_size and spool.min_free: once a second one look (spool_dir_look), told to the log
 *            when it says something new. The workers read the verdict without asking anybody.
 * Owner:     the engine: room_watch_open after the spool, before the ports; room_watch_start when there
 *            are timers; room_watch_stop before the timers go.
 * Thread:    the control thread.
 */
#ifndef RINGPOST_APP_ROOM_WATCH_H
#define RINGPOST_APP_ROOM_WATCH_H

#include "core/base/timer.h"
#include "core/conf/conf.h"
#include "core/obs/log.h"
#include "spool/spool.h"

enum { ROOM_WATCH_MS = 1000 };

struct room_watch {
    struct spool_dir *dir;
    struct obs_log *log;
    struct timer_wheel *timers;
    struct timer timer;
    struct spool_room_limits limits;
    struct spool_room_look last;
};

/* Takes the first look. */
void room_watch_open(struct room_watch *w, struct spool_dir *dir, struct obs_log *log,
                     const struct conf *conf);
void room_watch_start(struct room_watch *w, struct timer_wheel *timers);
/* The limits may have changed (reload): looks at once. */
void room_watch_set_conf(struct room_watch *w, const struct conf *conf);
void room_watch_stop(struct room_watch *w);

#endif
