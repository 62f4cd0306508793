/* SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "core/queue/park.h"
#include "core/base/must.h"
#include "core/queue/park_bytes.h"
#include "core/queue/queue.h"

#include <stdlib.h>

enum {
    PARK_BYTES_MAX = 1 << 26,
    PARK_DUE_PER_TURN = 4096,
    PARK_SEEK_PER_TURN = 16384,
    PARK_AGAIN_MS = 1000,
    PARK_CROWDED_MS_MIN = 100,
    PARK_CROWDED_MS_MAX = 8000,
    PARK_WALK_LOOKS = 256,
};

/* ---- the lot ---- */

static void park_on_timer(struct timer *t, void *ctx)
{
    (void)ctx;
    struct queue *q = container_of(t, struct queue, park.timer);
    lot_run(&q->park.lot, io_now(q->io)->mono_ms);
}

void queue_park_open(struct queue *q)
{
    struct queue_park *p = &q->park;
    lot_init(&p->lot, rng_u64(q->rng), io_now(q->io)->mono_ms);
    text_set_init(&p->texts, rng_u64(q->rng));
    buf_init(&p->scratch, PARK_BYTES_MAX);
    p->timer.fire = park_on_timer;
    p->active_max = QUEUE_ACTIVE_MAX / q->workers;
}

static void park_arm(struct queue *q, uint64_t due_ms)
{
    struct queue_park *p = &q->park;
    if (!q->stopping && (!timer_armed(&p->timer) || p->timer.due_ms > due_ms)) {
        timer_start(q->timers, &p->timer, due_ms);
    }
}

void queue_park_stop(struct queue *q)
{
    timer_stop(q->timers, &q->park.timer);
}

static bool park_only_waits(struct queue *q, const struct queue_message *m)
{
    return m->queued && m->open_count > 0 && m->pending_count == 0 && m->readers == 0 &&
           list_empty(&m->parts) && !list_linked(&m->link) && timer_armed(&m->timer) &&
           !m->damaged && !m->marked && m->fragment_count == 0 &&
           m->inline_bytes == m->body_bytes && m->compact_after_ms <= io_now(q->io)->mono_ms &&
           !queue_compact_has(q, m) && m->hold.hold.segment == m->ref.segment &&
           m->hold.hold.bytes == m->ref.bytes;
}

/* ---- how much is under way ---- */

static unsigned park_crowd(const struct queue *q, const struct queue_message *m)
{
    uint32_t i = 0;
    while (i + 1 < m->rcpt_count && m->rcpts[i].state != QUEUE_RCPT_WAITING) {
        i++;
    }
    struct queue_key key = queue_key_of(q, &m->rcpts[i]);
    uint64_t hash = map_hash_nocase(&q->domains, key.name) + (uint64_t)key.kind;
    return (unsigned)(hash % QUEUE_CROWDS);
}

static bool park_is_crowded(const struct queue *q, unsigned crowd)
{
    const struct queue_park *p = &q->park;
    return q->messages.used > p->active_max &&
           p->crowds[crowd] >= p->active_max / QUEUE_CROWD_SHARE;
}

/* So late that all together are looked at some 256 times per millisecond: nearly nothing for the processor,
 * and far more often than anything is delivered, so that nobody waits for them. */
static uint64_t park_later(struct queue *q)
{
    uint64_t wait_ms = q->park.lot.used / 256;
    wait_ms = wait_ms < PARK_CROWDED_MS_MIN   ? PARK_CROWDED_MS_MIN
              : wait_ms > PARK_CROWDED_MS_MAX ? PARK_CROWDED_MS_MAX
                                              : wait_ms;
    return io_now(q->io)->mono_ms + wait_ms / 2 + rng_u64(q->rng) % wait_ms;
}

static struct lot_item *park_item(struct queue *q, const struct queue_message *m)
{
    struct queue_park *p = &q->park;
    if (!buf_reserve(&p->scratch, park_bound(m))) {
        buf_clear(&p->scratch);
        return NULL;
    }
    park_message(p, m);
    must(!p->scratch.overflow);
    struct lot_item *item = lot_item_new(p->scratch.len);
    if (!item) {
        park_give_up(p, m);
        return NULL;
    }
    memcpy(item->data, p->scratch.ptr, p->scratch.len);
    item->id = m->id;
    item->due_ms = m->timer.due_ms;
    item->segment = m->hold.hold.segment;
    item->held_bytes = m->hold.hold.bytes;
    item->tag = (uint16_t)(m->priority == CONF_PRIORITY_URGENT ? 0 : park_crowd(q, m) + 1);
    return item;
}

bool queue_park(struct queue *q, struct queue_message *m)
{
    struct queue_park *p = &q->park;
    if (p->off || !park_only_waits(q, m)) {
        return false;
    }
    struct lot_item *item = park_item(q, m);
    if (!item) {
        return false;
    }
    if (!lot_put(&p->lot, item)) {
        park_give_up(p, m);
        free(item);
        return false;
    }
    m->label = NULL; /* the item has it now */
    spool_hold_fold(q->spool, &m->hold.hold);
    park_arm(q, item->due_ms);
    queue_message_free(q, m);
    return true;
}

/* Out of the lot and a message again, in no list and without a timer. NULL: no memory, it is parked for
 * a second more. */
static struct queue_message *park_take(struct queue *q, struct lot_item *item)
{
    struct queue_park *p = &q->park;
    struct queue_message_init init;
    struct slice from = park_init(item, &init);
    lot_remove(&p->lot, item);
    struct queue_message *m = queue_message_new(q, &init);
    if (!m) {
        item->due_ms = io_now(q->io)->mono_ms + PARK_AGAIN_MS;
        bool back = lot_put(&p->lot, item);
        must(back); /* it has just had its place there */
        park_arm(q, item->due_ms);
        return NULL;
    }
    park_take_message(p, item, from, m, false);
    spool_hold_unfold(q->spool, &m->hold.hold, item->segment, item->held_bytes);
    free(item);
    return m;
}

/* The same with its timer running: nobody has to care for it. */
static struct queue_message *park_take_timed(struct queue *q, struct lot_item *item)
{
    struct queue_message *m = park_take(q, item);
    if (m) {
        queue_schedule(q, m);
    }
    return m;
}

void queue_park_close(struct queue *q)
{
    struct queue_park *p = &q->park;
    for (uint32_t slot = 0; slot < p->lot.made; slot++) {
        struct lot_item *item = lot_at(&p->lot, slot);
        struct queue_message *m = item ? park_take(q, item) : NULL;
        if (m) {
            queue_message_free(q, m);
        }
    }
    lot_deinit(&p->lot);
    text_set_deinit(&p->texts);
    buf_deinit(&p->scratch);
}

void queue_unpark_due(struct queue *q)
{
    struct queue_park *p = &q->park;
    struct lot_item *item;
    for (unsigned n = 0; !q->stopping && n < PARK_DUE_PER_TURN && (item = lot_due(&p->lot)); n++) {
        if (item->tag && park_is_crowded(q, item->tag - 1u)) {
            lot_delay(&p->lot, item, park_later(q));
            continue;
        }
        struct queue_message *m = park_take(q, item);
        if (m) {
            list_push_back(&q->due, &m->link);
        }
    }
    uint64_t next_ms = lot_next_ms(&p->lot);
    if (next_ms != UINT64_MAX) {
        park_arm(q, next_ms);
    }
}

bool queue_park_pending(const struct queue *q)
{
    return !q->stopping && (q->park.lot.ready > 0 || q->park.seek_segment != 0);
}

void queue_unpark_seek(struct queue *q, uint64_t segment)
{
    struct queue_park *p = &q->park;
    p->seek_segment = segment;
    for (unsigned n = 0; segment && p->lot.used && n < PARK_SEEK_PER_TURN; n++) {
        struct lot_item *item = lot_at(&p->lot, p->seek_slot++ % p->lot.made);
        if (item && item->segment == segment) {
            (void)park_take_timed(q, item);
            p->seek_segment = 0;
            return;
        }
    }
}

static bool park_id_equal(const struct map_node *node, const void *key)
{
    return container_of(node, struct queue_message, by_id)->id == *(const uint64_t *)key;
}

struct queue_message *queue_find(struct queue *q, uint64_t id)
{
    struct map_node *node = map_find(&q->by_id, map_hash_u64(&q->by_id, id), park_id_equal, &id);
    if (node) {
        return container_of(node, struct queue_message, by_id);
    }
    struct lot_item *item = lot_find(&q->park.lot, id);
    return item ? park_take_timed(q, item) : NULL;
}

/* ---- walks ---- */

void queue_walk_end(struct queue_walk *w)
{
    if (w->copied) {
        queue_message_unbuild(&w->copy);
        w->copied = false;
    }
}

static struct queue_message *walk_copy(struct queue *q, struct queue_walk *w,
                                       const struct lot_item *item)
{
    struct queue_message_init init;
    struct slice from = park_init(item, &init);
    w->copy = (struct queue_message){.queue = q};
    w->copied = queue_message_build(&w->copy, &init);
    if (!w->copied) {
        return NULL;
    }
    park_take_message(&q->park, item, from, &w->copy, true);
    return &w->copy;
}

struct queue_message *queue_walk_next(struct queue *q, struct queue_walk *w)
{
    struct handle h;
    queue_walk_end(w);
    w->more = false;
    while (!w->parked && w->slot < q->messages.made) {
        struct queue_message *m = pool_at(&q->messages, w->slot++, &h);
        if (m) {
            return m;
        }
    }
    if (!w->parked) {
        w->parked = true;
        w->slot = 0;
    }
    uint64_t now_us = io_now(q->io)->wall_us;
    for (unsigned looks = 0; w->slot < q->park.lot.made; looks++) {
        if (w->select && looks == PARK_WALK_LOOKS) {
            w->more = true;
            return NULL;
        }
        struct lot_item *item = lot_at(&q->park.lot, w->slot++);
        if (item && w->select && !park_may_mean(item, w->select, now_us)) {
            continue;
        }
        struct queue_message *m = item ? walk_copy(q, w, item) : NULL;
        if (m) {
            return m;
        }
    }
    return NULL;
}

bool queue_park_crowded(struct queue *q, struct queue_message *m)
{
    if (m->crowd) {
        return false; /* it is counted already */
    }
    unsigned crowd = park_crowd(q, m);
    if (m->priority != CONF_PRIORITY_URGENT && park_is_crowded(q, crowd)) {
        timer_start(q->timers, &m->timer, park_later(q));
        queue_body_unused(q, m);
        if (queue_park(q, m)) {
            return true;
        }
        timer_stop(q->timers, &m->timer);
    }
    q->park.crowds[crowd]++;
    m->crowd = (uint16_t)(crowd + 1);
    return false;
}

void queue_park_uncrowd(struct queue *q, struct queue_message *m)
{
    if (m->crowd) {
        must(q->park.crowds[m->crowd - 1] > 0);
        q->park.crowds[m->crowd - 1]--;
        m->crowd = 0;
    }
}
