/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Looking at overrides, ending them, and making them by hand.
 */
#include "core/policy/automation_private.h"

static void text_give(struct automation_override *out, size_t *at, struct slice text,
                      struct slice *to)
{
    must(text.len <= sizeof(out->bytes) - *at);
    if (text.len) {
        memcpy(out->bytes + *at, text.ptr, text.len);
    }
    *to = slice_of(out->bytes + *at, text.len);
    *at += text.len;
}

static void held_show(const struct automation_held *h, uint64_t now_ms,
                      struct automation_override *out)
{
    const struct automation_key *key = &h->seat->key;
    bool reduction = automation_is_reduction(h->action);
    bool suspended = automation_held_is_suspended(h, now_ms);
    size_t at = 0;
    *out = (struct automation_override){
        .id = h->id,
        .scope = key->scope,
        .action = h->action,
        .manual = h->manual,
        .since_ms = h->since_ms,
        .last_ms = h->last_ms,
        .until_ms = reduction ? h->grow_ms : h->until_ms,
        .end_ms = automation_held_end_ms(h),
        .base = h->base,
        .replies = h->replies,
        .relapses = h->relapses,
    };
    if (reduction || h->action == AUTOMATION_SUSPEND) {
        out->factor = suspended ? 0 : automation_held_factor(h, now_ms);
    } else {
        out->factor = AUTOMATION_ONE;
    }
    text_give(out, &at, key->who.text, &out->who);
    text_give(out, &at, key->where.text, &out->where);
    text_give(out, &at, slice_of(h->rule, h->rule_bytes), &out->rule);
    text_give(out, &at, slice_of(h->source, h->source_bytes), &out->source);
    text_give(out, &at, slice_of(h->sample, h->sample_bytes), &out->sample);
}

static struct automation_held *held_after(const struct automation *a, uint64_t after)
{
    for (struct list *it = a->by_id.next; it != &a->by_id; it = it->next) {
        struct automation_held *h = LIST_ENTRY(it, struct automation_held, by_id);
        if (h->id > after) {
            return h;
        }
    }
    return NULL;
}

bool automation_next(struct automation *a, uint64_t after, uint64_t now_ms,
                     struct automation_override *out)
{
    pthread_mutex_lock(&a->mutex);
    automation_sweep(a, now_ms);
    const struct automation_held *h = held_after(a, after);
    if (h) {
        held_show(h, now_ms, out);
    }
    pthread_mutex_unlock(&a->mutex);
    return h != NULL;
}

bool automation_find(struct automation *a, uint64_t id, uint64_t now_ms,
                     struct automation_override *out)
{
    return id > 0 && automation_next(a, id - 1, now_ms, out) && out->id == id;
}

bool automation_cancel(struct automation *a, uint64_t id)
{
    pthread_mutex_lock(&a->mutex);
    struct automation_held *h = id > 0 ? held_after(a, id - 1) : NULL;
    bool found = h && h->id == id;
    if (found) {
        automation_held_end(a, h);
    }
    pthread_mutex_unlock(&a->mutex);
    return found;
}

/* ---- by hand ------------------------------------------------------------------------------------------- */

static bool order_good(const struct automation_order *o)
{
    bool share = automation_is_reduction(o->action);
    return o->action < AUTOMATION_LASTING && o->duration_ms > 0 &&
           automation_action_fits(o->action, o->scope) &&
           o->source.len <= AUTOMATION_NAME_BYTES_MAX &&
           (!share || o->limit > 0 || (o->factor > 0 && o->factor < AUTOMATION_ONE));
}

static void order_write(const struct automation_order *o, struct automation_held *h,
                        uint64_t now_ms)
{
    bool reduction = automation_is_reduction(o->action);
    h->since_ms = h->last_ms = h->fired_ms = now_ms;
    h->duration_ms = o->duration_ms;
    h->until_ms = automation_add_ms(now_ms, o->duration_ms);
    h->step = AUTOMATION_ONE / 10;
    h->every_ms = o->duration_ms / 5;
    h->every_ms = h->every_ms < AUTOMATION_DURATION_MS_MIN ? AUTOMATION_DURATION_MS_MIN
                                                           : h->every_ms;
    h->every_ms = h->every_ms > AUTOMATION_DURATION_MS_MAX ? AUTOMATION_DURATION_MS_MAX
                                                           : h->every_ms;
    h->grow_ms = reduction ? h->until_ms : automation_add_ms(h->until_ms, h->every_ms);
    h->factor = reduction && !o->limit ? o->factor : AUTOMATION_ONE / 10;
    h->base = reduction && o->limit ? o->limit : 0;
    if (h->base) {
        /* A limit by hand is that limit, whatever was sent before; it ends without growing. */
        h->factor = AUTOMATION_ONE - 1;
        h->base = o->limit + o->limit / (AUTOMATION_ONE - 1) + 1;
    }
    if (o->source.len) {
        memcpy(h->source, o->source.ptr, o->source.len);
    }
    h->source_bytes = (uint16_t)o->source.len;
    h->sample_bytes = (uint16_t)outcome_text_clean(h->sample, sizeof(h->sample), o->reason);
}

uint64_t automation_impose(struct automation *a, const struct automation_order *order,
                           const struct automation_keys *keys, uint64_t now_ms)
{
    struct automation_key_scratch scratch;
    struct automation_key key;
    uint64_t id = 0;
    if (!order_good(order) || !automation_key_make(keys, order->scope, &scratch, &key)) {
        return 0;
    }
    pthread_mutex_lock(&a->mutex);
    struct automation_seat *seat = automation_seat_find(a, &key);
    if (seat && seat->held[order->action]) {
        automation_held_end(a, seat->held[order->action]);
    }
    struct automation_held *h = automation_held_new(a, &key, order->action, 0, true);
    if (h) {
        order_write(order, h, now_ms);
        automation_held_changed(a, h);
        id = h->id;
    }
    pthread_mutex_unlock(&a->mutex);
    return id;
}

struct automation_counts automation_counts(struct automation *a)
{
    pthread_mutex_lock(&a->mutex);
    struct automation_counts c = {
        .overrides = atomic_load_explicit(&a->active, memory_order_relaxed),
        .counters = a->counts.count,
        .fired = a->fired,
        .forgotten_overrides = a->forgotten_overrides,
        .forgotten_counters = a->forgotten_counters,
    };
    pthread_mutex_unlock(&a->mutex);
    return c;
}
