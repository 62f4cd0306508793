/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * timer - hierarchical timer wheel
 *
 * Purpose:   all deadlines of one worker: session phases, retries, DNS, back-off. Starting and
 *            stopping is O(1); the wheel knows the next due time, so an idle worker sleeps without
 *            a tick.
 * Owner:     the worker owns the wheel; each timer is embedded in its owner, which must stop it
 *            before it goes away.
 * Thread:    the worker's. Time is an argument: the wheel never reads a clock.
 * Units:     milliseconds of the monotonic clock (uint64_t). A timer never fires early, and fires in
 *            the first run at or after its due time.
 * Limits:    5 levels of 64 slots with factor 64 (12 days); what lies beyond waits in the furthest
 *            slot and is sorted again then.
 * Errors:    none.
 */
#ifndef RINGPOST_BASE_TIMER_H
#define RINGPOST_BASE_TIMER_H

#include "core/base/list.h"

#include <stdint.h>

enum { TIMER_LEVELS = 5, TIMER_SLOTS = 64 };

#define TIMER_NEVER UINT64_MAX

struct timer {
    struct list link;
    uint64_t due_ms;
    void (*fire)(struct timer *t, void *ctx); /* ctx: what timer_wheel_run was given */
};

struct timer_wheel {
    uint64_t now_ms;
    uint64_t armed; /* timers in the wheel */
    uint64_t
        occupied[TIMER_LEVELS]; /* a bit per non-empty slot (may be stale-set, never stale-clear) */
    struct list slots[TIMER_LEVELS][TIMER_SLOTS];
};

void timer_wheel_init(struct timer_wheel *w, uint64_t now_ms);

/* (Re)starts t; due in the past fires at the next run. */
void timer_start(struct timer_wheel *w, struct timer *t, uint64_t due_ms);
void timer_stop(struct timer_wheel *w, struct timer *t);

static inline bool timer_armed(const struct timer *t)
{
    return list_linked(&t->link);
}

/* Fires everything due at now_ms, in slot order; fire() may start and stop any timer. */
void timer_wheel_run(struct timer_wheel *w, uint64_t now_ms, void *ctx);

/* A time at which run() has something to do (fire or re-sort), TIMER_NEVER when empty. */
uint64_t timer_wheel_next(const struct timer_wheel *w);

#endif
