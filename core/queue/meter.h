/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * meter - how many per second lately
 *
 * Purpose:   counts in two windows: the one that runs and the one before.
 * Owner:     embedded. Thread: its owner's. Units: mono ms.
 * Limits:    none. Errors: none.
 */
#ifndef RINGPOST_QUEUE_METER_H
#define RINGPOST_QUEUE_METER_H

#include <stdbool.h>
#include <stdint.h>

enum { QUEUE_METER_MS = 5000 };

struct queue_meter {
    uint64_t since_ms; /* of the window that runs; 0: nothing was counted yet */
    uint32_t now;
    uint32_t before;
    bool whole; /* the window before was one */
};

static inline void queue_meter_turn(struct queue_meter *m, uint64_t now_ms)
{
    if (m->since_ms == 0 || now_ms - m->since_ms >= 2 * (uint64_t)QUEUE_METER_MS) {
        *m = (struct queue_meter){.since_ms = now_ms ? now_ms : 1};
    } else if (now_ms - m->since_ms >= QUEUE_METER_MS) {
        *m = (struct queue_meter){m->since_ms + QUEUE_METER_MS, 0, m->now, true};
    }
}

static inline void queue_meter_add(struct queue_meter *m, uint32_t n, uint64_t now_ms)
{
    queue_meter_turn(m, now_ms);
    m->now += n;
}

/* Per 1000 s. */
static inline uint64_t queue_meter_milli(const struct queue_meter *m, uint64_t now_ms)
{
    struct queue_meter copy = *m;
    if (m->since_ms == 0) {
        return 0;
    }
    queue_meter_turn(&copy, now_ms);
    uint64_t ms = now_ms - copy.since_ms + (copy.whole ? QUEUE_METER_MS : 0);
    return ms ? ((uint64_t)copy.now + copy.before) * 1000000 / ms : 0;
}

#endif
