/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What all overrides of one way mean together: the strictest of each kind. Those with a base say how much may
 * be sent, those without say which share of what is configured.
 */
#include "core/conf/shaping_option.h"
#include "core/policy/automation_private.h"

#include <limits.h>

struct summing {
    struct automation_effect *out;
    uint32_t strictest;
    uint64_t now_ms;
};

static void bound_apply(struct automation_bound *b, uint32_t factor, uint64_t base)
{
    if (base == 0) {
        b->factor = factor < b->factor ? factor : b->factor;
        return;
    }
    uint64_t max = automation_share(base, factor);
    max = max ? max : 1;
    b->max = b->max == 0 || max < b->max ? max : b->max;
}

static void cause_take(struct summing *s, const struct automation_held *h, uint32_t factor)
{
    if (s->out->cause_id == 0 || factor < s->strictest) {
        s->out->cause_id = h->id;
        s->strictest = factor;
    }
}

static void suspension_apply(struct summing *s, const struct automation_held *h)
{
    struct automation_effect *e = s->out;
    if (automation_held_is_suspended(h, s->now_ms)) {
        e->suspended_until_ms = h->until_ms > e->suspended_until_ms ? h->until_ms
                                                                    : e->suspended_until_ms;
        cause_take(s, h, 0);
        return;
    }
    uint32_t factor = automation_held_factor(h, s->now_ms);
    bound_apply(&e->rate, factor, h->base); /* messages a day, when nothing was wrong yet */
    bound_apply(&e->connections, factor, 0);
    cause_take(s, h, factor);
}

static void held_apply(struct summing *s, const struct automation_held *h)
{
    struct automation_effect *e = s->out;
    uint32_t factor = automation_held_factor(h, s->now_ms);
    switch (h->action) {
    case AUTOMATION_RATE:
        bound_apply(&e->rate, factor, h->base);
        cause_take(s, h, factor);
        break;
    case AUTOMATION_CONNECTIONS:
        bound_apply(&e->connections, factor, h->base);
        cause_take(s, h, factor);
        break;
    case AUTOMATION_PER_CONNECTION:
        bound_apply(&e->per_connection, factor, h->base);
        cause_take(s, h, factor);
        break;
    case AUTOMATION_SUSPEND:
        suspension_apply(s, h);
        break;
    case AUTOMATION_BOUNCE:
        e->bounce_id = h->id;
        cause_take(s, h, 0);
        break;
    case AUTOMATION_REROUTE:
        memcpy(e->source, h->source, h->source_bytes);
        e->source_bytes = (uint8_t)h->source_bytes;
        cause_take(s, h, AUTOMATION_ONE);
        break;
    case AUTOMATION_FAIL:
    case AUTOMATION_ACTIONS:
        break;
    }
    uint64_t next = automation_held_next_ms(h, s->now_ms);
    e->until_ms = next < e->until_ms ? next : e->until_ms;
}

static void seat_apply(struct automation *a, struct summing *s, struct automation_seat *seat)
{
    for (size_t i = 0; i < AUTOMATION_LASTING; i++) {
        struct automation_held *h = seat->held[i];
        if (!h) {
            continue;
        }
        if (automation_held_clamp(h, s->now_ms)) {
            automation_held_changed(a, h);
        }
        held_apply(s, h);
    }
}

unsigned automation_whos(const struct automation *a)
{
    return atomic_load_explicit(&a->whos, memory_order_acquire);
}

static bool bound_is_none(const struct automation_bound *b)
{
    return b->factor == AUTOMATION_ONE && b->max == 0;
}

bool automation_effect_is_none(const struct automation_effect *e)
{
    return bound_is_none(&e->rate) && bound_is_none(&e->connections) &&
           bound_is_none(&e->per_connection) && e->suspended_until_ms == 0 && e->bounce_id == 0 &&
           e->source_bytes == 0;
}

void automation_effect(struct automation *a, const struct automation_keys *keys, uint64_t now_ms,
                       struct automation_effect *out)
{
    automation_effect_of(a, keys, UINT_MAX, now_ms, out);
}

void automation_effect_of(struct automation *a, const struct automation_keys *keys, unsigned whos,
                          uint64_t now_ms, struct automation_effect *out)
{
    const struct automation_bound all = {AUTOMATION_ONE, 0};
    *out = (struct automation_effect){.generation = automation_generation(a),
                                      .made_ms = now_ms,
                                      .until_ms = AUTOMATION_FOREVER,
                                      .rate = all,
                                      .connections = all,
                                      .per_connection = all};
    struct summing s = {.out = out, .now_ms = now_ms};
    if (atomic_load_explicit(&a->active, memory_order_acquire) == 0) {
        return;
    }
    pthread_mutex_lock(&a->mutex);
    automation_sweep(a, now_ms);
    for (int who = 0; who < AUTOMATION_WHOS; who++) {
        for (int where = 0; where < AUTOMATION_WHERES; where++) {
            const struct automation_scope scope = {(enum automation_who)who,
                                                   (enum automation_where)where};
            struct automation_key_scratch scratch;
            struct automation_key key;
            if (!(whos & 1u << who) || a->per_scope[automation_scope_index(scope)] == 0 ||
                !automation_key_make(keys, scope, &scratch, &key)) {
                continue;
            }
            struct automation_seat *seat = automation_seat_find(a, &key);
            if (seat) {
                seat_apply(a, &s, seat);
            }
        }
    }
    out->generation = automation_generation(a);
    pthread_mutex_unlock(&a->mutex);
}

uint64_t automation_bounded(const struct automation_bound *b, uint64_t limit)
{
    if (limit > 0) {
        limit = automation_share(limit, b->factor);
        limit = limit ? limit : 1;
    }
    if (b->max > 0 && (limit == 0 || b->max < limit)) {
        limit = b->max;
    }
    return limit;
}

struct conf_rate automation_bounded_rate(const struct automation_bound *b,
                                         const struct conf_rate *limit)
{
    const uint64_t day_us = UINT64_C(86400) * 1000000;
    uint64_t per_day = 0;
    if (limit->count > 0) {
        /* Periods are whole seconds of at most a day; rounded down, never above what is configured. */
        per_day = limit->count * (day_us / 1000 / (limit->period_us / 1000000)) / 1000;
        per_day = per_day ? per_day : 1;
    }
    uint64_t want = automation_bounded(b, per_day);
    if (want == 0 || (want == per_day && limit->count > 0)) {
        return *limit;
    }
    struct conf_rate out = {want, day_us, conf_rate_burst(want, day_us)};
    if (per_day > 0) {
        uint64_t burst = (uint64_t)((double)limit->burst * (double)want / (double)per_day);
        out.burst = burst ? burst : 1;
    }
    return out;
}
