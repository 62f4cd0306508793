/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which worker sends what the connections of this one have not taken.
 */
#include "core/base/must.h"
#include "core/queue/brake.h"
#include "core/queue/far.h"
#include "core/queue/queue.h"
#include "core/queue/sched.h"

static uint64_t spread_now(const struct queue_sched *d)
{
    return io_now(d->queue->io)->mono_ms;
}

/* A connection that has nothing to do, or will have nothing when it is open. */
static bool sched_is_free(const struct queue_sched *d, unsigned worker)
{
    const struct queue_lane *lane = &d->lanes[worker];
    return lane->assigned < lane->granted && lane->full_until_ms <= spread_now(d);
}

/* For each connection: its window (2 with DATA), and as much again for the way here. */
static uint32_t sched_depth(const struct queue_sched *d)
{
    uint64_t window = route_plan_number(d->site->plan, CONF_SHAPING_CHUNKING_WINDOW);
    return 2 * (uint32_t)(window > 2 ? window : 2);
}

static bool sched_has_room(const struct queue_sched *d, unsigned worker)
{
    const struct queue_lane *lane = &d->lanes[worker];
    uint32_t working = lane->working < lane->granted ? lane->working : lane->granted;
    return lane->assigned < working * sched_depth(d) + (lane->granted - working) && !lane->stuck &&
           lane->full_until_ms <= spread_now(d);
}

enum { SCHED_NOBODY = UINT16_MAX };

static unsigned sched_find(struct queue_sched *d, unsigned first,
                           bool (*fits)(const struct queue_sched *d, unsigned worker))
{
    for (unsigned i = 0; i < d->lane_count; i++) {
        unsigned w = (first + i) % d->lane_count;
        if (w != d->queue->worker && fits(d, w)) {
            return w;
        }
    }
    return SCHED_NOBODY;
}

static unsigned sched_find_grant(struct queue_sched *d, unsigned first)
{
    for (unsigned i = 0; i < d->lane_count; i++) {
        unsigned w = (first + i) % d->lane_count;
        if (w != d->queue->worker && queue_sched_grant(d, w)) {
            return w;
        }
    }
    return SCHED_NOBODY;
}

/* Who is to send p, other than this worker. *grant: over a connection more. Nobody waits behind another part
 * as long as a connection is free or may be opened. */
static unsigned sched_choose(struct queue_sched *d, const struct queue_part *p, bool local,
                             bool *grant)
{
    unsigned home = p->message->queue->worker;
    *grant = false;
    if (home != d->queue->worker && sched_is_free(d, home)) {
        return home;
    }
    if (home != d->queue->worker && queue_sched_grant(d, home)) {
        *grant = true;
        return home;
    }
    if (!local) {
        return SCHED_NOBODY;
    }
    unsigned worker = sched_find(d, home, sched_is_free);
    if (worker == SCHED_NOBODY) {
        worker = sched_find_grant(d, home);
        *grant = worker != SCHED_NOBODY;
    }
    return worker != SCHED_NOBODY ? worker : sched_find(d, home, sched_has_room);
}

static void sched_assign(struct queue_sched *d, unsigned worker, bool grant)
{
    struct queue_part *p = queue_sched_take(d);
    d->lanes[worker].assigned++;
    d->assigned++;
    p->grant = grant;
    queue_far_assign(d->queue, p, worker);
}

static void sched_spread(struct queue_sched *d, bool local)
{
    struct queue_part *p;
    while ((p = queue_sched_peek(d)) && !timer_armed(&d->site->rest)) {
        bool grant, others;
        if (!queue_site_may_send(d->queue, d->site, p, &others)) {
            if (others) {
                continue;
            }
            return;
        }
        unsigned worker = sched_choose(d, p, local, &grant);
        if (worker == SCHED_NOBODY) {
            return;
        }
        sched_assign(d, worker, grant);
    }
}

void queue_sched_run(struct queue *q, bool local)
{
    struct list now;
    list_init(&now);
    list_splice_back(&now, &q->scheds);
    struct list *node;
    while ((node = list_pop_front(&now))) {
        struct queue_sched *d = LIST_ENTRY(node, struct queue_sched, link);
        if (d->down_until_ms > spread_now(d) && d->granted == 0) {
            queue_sched_end(d, &d->down);
        } else if (!d->site->local) {
            queue_brake_meet(q, d);
            if (d->lane_count > 1) {
                sched_spread(d, local);
            }
        }
        if (!local && d->waiting.count && !list_linked(&d->link)) {
            list_push_back(&q->scheds, &d->link); /* once more, after the pool */
        }
    }
}
