/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Level l has 64 slots of 64^l ms. A timer lies in the level whose slot width suits its distance
 * and moves one level down when its slot's time begins; on level 0 it fires. Compared with a heap:
 * O(1) start and stop, and nearly all timers (session deadlines) are stopped before they fire.
 */
#include "core/base/timer.h"

static unsigned timer_level_shift(unsigned level)
{
    return level * 6;
}

void timer_wheel_init(struct timer_wheel *w, uint64_t now_ms)
{
    *w = (struct timer_wheel){.now_ms = now_ms};
    for (unsigned l = 0; l < TIMER_LEVELS; l++) {
        for (unsigned s = 0; s < TIMER_SLOTS; s++) {
            list_init(&w->slots[l][s]);
        }
    }
}

/* The wheel's now is already processed, so the earliest slot is now + 1. */
static void timer_place(struct timer_wheel *w, struct timer *t)
{
    uint64_t due = t->due_ms > w->now_ms ? t->due_ms : w->now_ms + 1;
    unsigned level = 0;
    while (level + 1 < TIMER_LEVELS &&
           (due >> timer_level_shift(level)) - (w->now_ms >> timer_level_shift(level)) >=
               TIMER_SLOTS) {
        level++;
    }
    uint64_t unit = due >> timer_level_shift(level);
    uint64_t unit_now = w->now_ms >> timer_level_shift(level);
    if (unit - unit_now >= TIMER_SLOTS) {
        unit = unit_now + TIMER_SLOTS - 1; /* beyond the horizon: looked at again then */
    }
    unsigned slot = (unsigned)(unit % TIMER_SLOTS);
    list_push_back(&w->slots[level][slot], &t->link);
    w->occupied[level] |= UINT64_C(1) << slot;
}

void timer_start(struct timer_wheel *w, struct timer *t, uint64_t due_ms)
{
    must(t->fire != NULL);
    if (timer_armed(t)) {
        list_remove(&t->link);
    } else {
        w->armed++;
    }
    t->due_ms = due_ms;
    timer_place(w, t);
}

void timer_stop(struct timer_wheel *w, struct timer *t)
{
    if (!timer_armed(t)) {
        return;
    }
    list_remove(&t->link);
    must(w->armed > 0);
    w->armed--;
}

/* The first moment after now at which an occupied slot of this level begins. */
static uint64_t timer_level_next(const struct timer_wheel *w, unsigned level)
{
    uint64_t bits = w->occupied[level];
    if (bits == 0) {
        return TIMER_NEVER;
    }
    uint64_t unit_now = w->now_ms >> timer_level_shift(level);
    unsigned from = (unsigned)((unit_now + 1) % TIMER_SLOTS);
    uint64_t turned = from ? (bits >> from) | (bits << (TIMER_SLOTS - from)) : bits;
    uint64_t unit = unit_now + 1 + (uint64_t)__builtin_ctzll(turned);
    return unit << timer_level_shift(level);
}

uint64_t timer_wheel_next(const struct timer_wheel *w)
{
    uint64_t next = TIMER_NEVER;
    if (w->armed == 0) {
        return next;
    }
    for (unsigned l = 0; l < TIMER_LEVELS; l++) {
        uint64_t at = timer_level_next(w, l);
        next = at < next ? at : next;
    }
    return next;
}

static void timer_open_slot(struct timer_wheel *w, unsigned level, void *ctx)
{
    unsigned slot = (unsigned)((w->now_ms >> timer_level_shift(level)) % TIMER_SLOTS);
    struct list due;
    list_init(&due);
    list_splice_back(&due, &w->slots[level][slot]);
    w->occupied[level] &= ~(UINT64_C(1) << slot);
    struct list *node;
    while ((node = list_pop_front(&due))) {
        struct timer *t = LIST_ENTRY(node, struct timer, link);
        if (t->due_ms > w->now_ms) {
            timer_place(w, t);
            continue;
        }
        w->armed--;
        t->fire(t, ctx);
    }
}

void timer_wheel_run(struct timer_wheel *w, uint64_t now_ms, void *ctx)
{
    for (;;) {
        uint64_t next = timer_wheel_next(w);
        if (next > now_ms) {
            break;
        }
        must(next > w->now_ms);
        w->now_ms = next;
        for (unsigned l = TIMER_LEVELS; l-- > 0;) {
            if ((next & ((UINT64_C(1) << timer_level_shift(l)) - 1)) == 0) {
                timer_open_slot(w, l, ctx);
            }
        }
    }
    if (now_ms > w->now_ms) {
        w->now_ms = now_ms;
    }
}
