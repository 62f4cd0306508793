/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One override through its life. Growth is not a timer but a function of the time since grow_ms, so that
 * nothing must run for it, nothing is written for it, and a restart in the middle changes nothing.
 */
#include "core/policy/automation_private.h"

#include <stdlib.h>

bool automation_held_is_suspended(const struct automation_held *h, uint64_t now_ms)
{
    return h->action == AUTOMATION_SUSPEND && now_ms < h->until_ms;
}

/* The factor after n steps: additive, and while that would more than double it, doubling. */
static uint32_t grown(uint32_t factor, uint32_t step, uint64_t n)
{
    must(factor > 0 && step > 0);
    while (n > 0 && factor < AUTOMATION_ONE && factor < step) {
        factor *= 2; /* < 2 * step, so it fits */
        n--;
    }
    if (factor >= AUTOMATION_ONE || n >= (AUTOMATION_ONE - factor + step - 1) / step) {
        return AUTOMATION_ONE;
    }
    return factor + step * (uint32_t)n;
}

static uint64_t steps_to_one(uint32_t factor, uint32_t step)
{
    uint64_t n = 0;
    while (factor < AUTOMATION_ONE && factor < step) {
        factor *= 2;
        n++;
    }
    return factor >= AUTOMATION_ONE ? n : n + (AUTOMATION_ONE - factor + step - 1) / step;
}

uint32_t automation_held_factor(const struct automation_held *h, uint64_t now_ms)
{
    if (now_ms < h->grow_ms) {
        return h->factor;
    }
    return grown(h->factor, h->step, 1 + (now_ms - h->grow_ms) / h->every_ms);
}

static bool grows(const struct automation_held *h)
{
    return automation_is_reduction(h->action) || h->action == AUTOMATION_SUSPEND;
}

uint64_t automation_held_next_ms(const struct automation_held *h, uint64_t now_ms)
{
    if (!grows(h) || automation_held_is_suspended(h, now_ms)) {
        return h->until_ms;
    }
    if (now_ms < h->grow_ms) {
        return h->grow_ms;
    }
    return now_ms + h->every_ms - (now_ms - h->grow_ms) % h->every_ms;
}

uint64_t automation_held_end_ms(const struct automation_held *h)
{
    if (!grows(h)) {
        return h->until_ms;
    }
    uint64_t steps = steps_to_one(h->factor, h->step);
    must(steps >= 1);
    return automation_add_ms(h->grow_ms, (steps - 1) * h->every_ms);
}

bool automation_held_clamp(struct automation_held *h, uint64_t now_ms)
{
    uint64_t until = automation_add_ms(now_ms, h->duration_ms);
    uint64_t grow = automation_add_ms(until, h->every_ms);
    if (h->until_ms <= automation_add_ms(until, AUTOMATION_CLOCK_SLACK_MS) &&
        h->grow_ms <= automation_add_ms(grow, AUTOMATION_CLOCK_SLACK_MS) &&
        h->fired_ms <= automation_add_ms(now_ms, AUTOMATION_CLOCK_SLACK_MS)) {
        return false;
    }
    h->until_ms = h->until_ms > until ? until : h->until_ms;
    h->grow_ms = h->grow_ms > grow ? grow : h->grow_ms;
    h->fired_ms = h->fired_ms > now_ms ? now_ms : h->fired_ms;
    h->last_ms = h->last_ms > now_ms ? now_ms : h->last_ms;
    return true;
}

uint64_t automation_share(uint64_t value, uint32_t factor)
{
    must(factor <= AUTOMATION_ONE);
    return value / AUTOMATION_ONE * factor + value % AUTOMATION_ONE * factor / AUTOMATION_ONE;
}

/* ---- the tables ------------------------------------------------------------------------------------ */

static void changed_all(struct automation *a)
{
    atomic_fetch_add_explicit(&a->generation, 1, memory_order_release);
}

static void scope_count(struct automation *a, struct automation_scope scope, int more)
{
    uint32_t *count = &a->per_scope[automation_scope_index(scope)];
    uint32_t whos = 0;
    must(more > 0 || *count > 0);
    *count = (uint32_t)((int64_t)*count + more);
    for (unsigned i = 0; i < AUTOMATION_SCOPES; i++) {
        whos |= a->per_scope[i] ? UINT32_C(1) << i / AUTOMATION_WHERES : 0;
    }
    atomic_store_explicit(&a->whos, whos, memory_order_release);
    atomic_fetch_add_explicit(&a->active, (uint32_t)more, memory_order_release);
}

/* The one that matched longest ago makes room. */
static bool room_make(struct automation *a)
{
    if (atomic_load_explicit(&a->active, memory_order_relaxed) < AUTOMATION_OVERRIDES_MAX) {
        return true;
    }
    struct list *oldest = list_first(&a->by_age);
    if (!oldest) {
        return false;
    }
    automation_held_end(a, LIST_ENTRY(oldest, struct automation_held, by_age));
    a->forgotten_overrides++;
    return true;
}

/* New ids are the highest; only restored ones are sorted in. */
static void id_insert(struct automation *a, struct automation_held *h)
{
    struct list *after = a->by_id.prev;
    while (after != &a->by_id && LIST_ENTRY(after, struct automation_held, by_id)->id > h->id) {
        after = after->prev;
    }
    list_push_front(after, &h->by_id);
}

struct automation_held *automation_held_new(struct automation *a, const struct automation_key *key,
                                            enum automation_action action, uint64_t id, bool manual)
{
    must(action < AUTOMATION_LASTING);
    if (!room_make(a)) {
        return NULL;
    }
    struct automation_held *h = calloc(1, sizeof(*h));
    struct automation_seat *seat = h ? automation_seat_get(a, key) : NULL;
    if (!seat) {
        free(h);
        return NULL;
    }
    must(seat->held[action] == NULL);
    seat->held[action] = h;
    h->seat = seat;
    h->action = action;
    h->manual = manual;
    h->id = id ? id : a->next_id++;
    id_insert(a, h);
    if (!manual) {
        list_push_back(&a->by_age, &h->by_age);
    }
    scope_count(a, key->scope, 1);
    return h;
}

void automation_gone_free(struct automation *a, struct automation_held *h)
{
    must(h->seat == NULL && a->gone_count > 0);
    list_remove(&h->by_id);
    a->gone_count--;
    free(h);
}

/* Nobody may be taking changes: then the oldest tombstone goes, and the row it stood for is found to be
 * over when it is restored. */
static void gone_push(struct automation *a, struct automation_held *h)
{
    if (a->gone_count >= AUTOMATION_OVERRIDES_MAX) {
        automation_gone_free(a, LIST_ENTRY(list_first(&a->gone), struct automation_held, by_id));
    }
    list_push_back(&a->gone, &h->by_id);
    a->gone_count++;
    atomic_store_explicit(&a->unwritten, true, memory_order_release);
}

void automation_held_end(struct automation *a, struct automation_held *h)
{
    struct automation_seat *seat = h->seat;
    must(seat && seat->held[h->action] == h);
    scope_count(a, seat->key.scope, -1);
    seat->held[h->action] = NULL;
    h->seat = NULL;
    automation_seat_put(a, seat);
    list_remove(&h->by_id);
    if (list_linked(&h->by_age)) {
        list_remove(&h->by_age);
    }
    if (list_linked(&h->dirty)) {
        list_remove(&h->dirty);
    }
    changed_all(a);
    if (h->written) {
        gone_push(a, h);
    } else {
        free(h);
    }
}

void automation_held_changed(struct automation *a, struct automation_held *h)
{
    uint64_t end = automation_held_end_ms(h);
    a->next_end_ms = end < a->next_end_ms ? end : a->next_end_ms;
    if (!list_linked(&h->dirty)) {
        list_push_back(&a->dirty, &h->dirty);
    }
    atomic_store_explicit(&a->unwritten, true, memory_order_release);
    changed_all(a);
}

void automation_held_touch(struct automation *a, struct automation_held *h)
{
    if (list_linked(&h->by_age)) {
        list_remove(&h->by_age);
        list_push_back(&a->by_age, &h->by_age);
    }
}

void automation_sweep(struct automation *a, uint64_t now_ms)
{
    struct list *it;
    struct list *tmp;
    if (now_ms < a->next_end_ms) {
        return;
    }
    a->next_end_ms = AUTOMATION_FOREVER;
    LIST_FOR_EACH(it, tmp, &a->by_id) {
        struct automation_held *h = LIST_ENTRY(it, struct automation_held, by_id);
        uint64_t end = automation_held_end_ms(h);
        if (end <= now_ms) {
            automation_held_end(a, h);
        } else if (end < a->next_end_ms) {
            a->next_end_ms = end;
        }
    }
}
