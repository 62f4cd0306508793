/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The service manager's view of the engine: its states, and a sign of life.
 *
 * The sign is given only when every worker's loop has turned since the last one: each answers a mail. So a
 * worker that hangs, or a control thread that does, ends in a restart; a slow disk or peer does not, since
 * no loop waits for one.
 */
#include "core/app/engine_private.h"

#include <inttypes.h>

enum { ENGINE_SIGNS_PER_INTERVAL = 4, ENGINE_SIGN_MS_MIN = 10 };

static void engine_watchdog_start(struct engine *e)
{
    uint64_t every_ms = e->notify.watchdog_ms / ENGINE_SIGNS_PER_INTERVAL;
    if (e->notify.watchdog_ms && e->stop_signals == 0) {
        timer_start(&e->timers, &e->watchdog,
                    io_now(e->io)->mono_ms +
                        (every_ms > ENGINE_SIGN_MS_MIN ? every_ms : ENGINE_SIGN_MS_MIN));
    }
}

static void engine_on_watchdog(struct timer *t, void *ctx)
{
    (void)ctx;
    struct engine *e = container_of(t, struct engine, watchdog);
    if (e->pings == 0) { /* all have answered */
        notify_say(&e->notify, "WATCHDOG=1");
        e->pings = e->worker_count;
        for (unsigned i = 0; i < e->worker_count; i++) {
            engine_tell(e, i, worker_mail_new(WORKER_MAIL_PING));
        }
    }
    engine_watchdog_start(e);
}

void engine_service_ready(struct engine *e)
{
    e->watchdog.fire = engine_on_watchdog;
    notify_say(&e->notify, "READY=1\nSTATUS=taking mail on %zu ports",
               e->settings->conf->listeners.count);
    engine_watchdog_start(e);
}

/* Before that a reload is part of the start. */
static bool engine_service_is_ready(const struct engine *e)
{
    return e->ready == e->worker_count;
}

void engine_service_pong(struct engine *e)
{
    must(e->pings > 0);
    e->pings--;
}

/* sd_notify(3): the time tells this reload from an earlier one. */
void engine_service_reloading(struct engine *e)
{
    if (engine_service_is_ready(e)) {
        notify_say(&e->notify, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_read().mono_us);
    }
}

void engine_service_reloaded(struct engine *e, bool refused)
{
    if (engine_service_is_ready(e)) {
        notify_say(&e->notify, "READY=1\nSTATUS=taking mail on %zu ports%s",
                   e->settings->conf->listeners.count,
                   refused ? "; the last reload was refused, see the log" : "");
    }
}

void engine_service_stopping(struct engine *e)
{
    timer_stop(&e->timers, &e->watchdog);
    notify_say(&e->notify, "STOPPING=1\nSTATUS=finishing the mail at hand");
}
