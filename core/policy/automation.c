/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a failed outcome does to the tables. A reply that comes while something is already in force for it says
 * little new: the replies to what was on the wire when the brake was pulled must not pull it again. So a
 * reduction is halved at most once per settle time, and a suspension hears nothing while it lasts.
 */
#include "core/policy/automation_private.h"

#include <stdlib.h>

/* Where nobody knows what was sent before, a limit is taken for a 16th of it. */
enum { UNKNOWN_BASE_TIMES = 16 };

struct automation *automation_open(uint64_t seed)
{
    struct automation *a = calloc(1, sizeof(*a));
    if (!a) {
        return NULL;
    }
    pthread_mutex_init(&a->mutex, NULL);
    map_init(&a->seats, seed);
    map_init(&a->counts, seed + 1);
    list_init(&a->by_id);
    list_init(&a->by_age);
    list_init(&a->dirty);
    list_init(&a->gone);
    list_init(&a->counts_by_age);
    a->next_id = 1;
    a->next_end_ms = AUTOMATION_FOREVER;
    return a;
}

void automation_close(struct automation *a)
{
    struct list *it;
    if (!a) {
        return;
    }
    while ((it = list_first(&a->by_id)) != NULL) {
        automation_held_end(a, LIST_ENTRY(it, struct automation_held, by_id));
    }
    while ((it = list_first(&a->gone)) != NULL) {
        automation_gone_free(a, LIST_ENTRY(it, struct automation_held, by_id));
    }
    automation_counts_clear(a);
    map_deinit(&a->seats);
    map_deinit(&a->counts);
    pthread_mutex_destroy(&a->mutex);
    free(a);
}

uint64_t automation_generation(const struct automation *a)
{
    return atomic_load_explicit(&a->generation, memory_order_acquire);
}

/* ---- a rule fires ------------------------------------------------------------------------------------ */

struct firing {
    struct automation *a;
    const struct automation_rule *rule;
    const struct automation_event *event;
    const struct automation_key *key;
    uint64_t now_ms;
};

static uint64_t base_of(const struct automation_event *event, enum automation_action action)
{
    if (action == AUTOMATION_RATE || action == AUTOMATION_SUSPEND) {
        return event->base.messages_per_day;
    }
    if (action == AUTOMATION_CONNECTIONS) {
        return event->base.connections;
    }
    return action == AUTOMATION_PER_CONNECTION ? event->base.per_connection : 0;
}

/* What the rule asks for, as a share of the base. A limit that is no less than what was sent when the reply
 * came is not what was meant: half, then. */
static uint32_t factor_wanted(const struct automation_rule *rule, uint64_t base)
{
    if (rule->limit == 0) {
        return rule->factor;
    }
    must(base > 0);
    if (rule->limit >= base) {
        return AUTOMATION_ONE / 2;
    }
    /* Rounded up: the share of the base, which is rounded down, is the limit again. */
    return (uint32_t)(((unsigned __int128)rule->limit * AUTOMATION_ONE + base - 1) / base);
}

static void cause_set(const struct firing *f, struct automation_held *h)
{
    struct buf line;
    const struct automation_rule *rule = f->rule;
    must(rule->name.len <= sizeof(h->rule) && rule->source.len <= sizeof(h->source));
    memcpy(h->rule, rule->name.ptr, rule->name.len);
    h->rule_bytes = (uint16_t)rule->name.len;
    if (rule->source.len) {
        memcpy(h->source, rule->source.ptr, rule->source.len);
    }
    h->source_bytes = (uint16_t)rule->source.len;
    buf_init(&line, LIMIT_OUTCOME_TEXT_BYTES + 64);
    outcome_add_line(&line, f->event->seen.outcome);
    h->sample_bytes = (uint16_t)outcome_text_clean(h->sample, sizeof(h->sample), buf_slice(&line));
    buf_deinit(&line);
    h->duration_ms = rule->duration_ms;
    if (rule->step) {
        h->step = rule->step;
        h->every_ms = rule->every_ms;
    }
    h->fired_ms = f->now_ms;
}

static uint64_t settle_ms(const struct automation_rule *rule)
{
    uint64_t ms = rule->duration_ms / 10;
    ms = ms < AUTOMATION_SETTLE_MS_MIN ? AUTOMATION_SETTLE_MS_MIN : ms;
    return ms > AUTOMATION_SETTLE_MS_MAX ? AUTOMATION_SETTLE_MS_MAX : ms;
}

/* Half of now, or what this rule asks for if that is less, but no less than the floor: what the rule asks
 * for, or a 64th. */
static uint32_t factor_halved(const struct automation_held *h, uint32_t wanted, uint64_t now_ms)
{
    uint32_t floor = wanted < AUTOMATION_FACTOR_FLOOR ? wanted : AUTOMATION_FACTOR_FLOOR;
    uint32_t now = automation_held_factor(h, now_ms);
    uint32_t half = now / 2 < wanted ? now / 2 : wanted;
    half = half < floor ? floor : half;
    return half < now ? half : now;
}

static void reduction_start(const struct firing *f, struct automation_held *h)
{
    h->base = base_of(f->event, h->action);
    if (h->base == 0 && f->rule->limit) {
        h->base = f->rule->limit * UNKNOWN_BASE_TIMES;
    }
    h->factor = factor_wanted(f->rule, h->base);
    h->grow_ms = f->now_ms + f->rule->duration_ms;
    cause_set(f, h);
}

/* False: it has settled not yet. */
static bool reduction_again(const struct firing *f, struct automation_held *h)
{
    if (f->now_ms < h->fired_ms + settle_ms(f->rule)) {
        return false;
    }
    if (h->base == 0 && f->rule->limit) {
        h->base = f->rule->limit * UNKNOWN_BASE_TIMES; /* was a share of what is configured */
    }
    h->factor = factor_halved(h, factor_wanted(f->rule, h->base), f->now_ms);
    h->grow_ms = f->now_ms + f->rule->duration_ms;
    h->relapses++;
    cause_set(f, h);
    return true;
}

static void suspension_start(const struct firing *f, struct automation_held *h, bool again)
{
    h->base = again && h->base ? h->base : base_of(f->event, h->action);
    h->factor = again ? factor_halved(h, f->rule->factor, f->now_ms) : f->rule->factor;
    h->until_ms = f->now_ms + f->rule->duration_ms;
    h->grow_ms = h->until_ms + f->rule->every_ms;
    h->relapses += again;
    cause_set(f, h);
}

static bool held_again(const struct firing *f, struct automation_held *h)
{
    if (h->manual) {
        return false; /* somebody decided that */
    }
    switch (h->action) {
    case AUTOMATION_RATE:
    case AUTOMATION_CONNECTIONS:
    case AUTOMATION_PER_CONNECTION:
        return reduction_again(f, h);
    case AUTOMATION_SUSPEND:
        suspension_start(f, h, true);
        return true;
    case AUTOMATION_BOUNCE:
    case AUTOMATION_REROUTE:
        h->until_ms = f->now_ms + f->rule->duration_ms;
        h->relapses++;
        cause_set(f, h);
        return true;
    case AUTOMATION_FAIL:
    case AUTOMATION_ACTIONS:
        break;
    }
    must(false);
    return false;
}

static bool held_start(const struct firing *f)
{
    struct automation_held *h = automation_held_new(f->a, f->key, f->rule->action, 0, false);
    if (!h) {
        return false;
    }
    h->since_ms = h->last_ms = f->now_ms;
    h->replies = 1;
    h->step = 1; /* until a rule says otherwise */
    h->every_ms = 1;
    h->factor = 1;
    if (automation_is_reduction(h->action)) {
        reduction_start(f, h);
    } else if (h->action == AUTOMATION_SUSPEND) {
        suspension_start(f, h, false);
    } else {
        h->until_ms = f->now_ms + f->rule->duration_ms;
        cause_set(f, h);
    }
    automation_held_changed(f->a, h);
    return true;
}

/* A reply that matches: clean time begins anew. Only a move that matters is written. */
static void held_hear(const struct firing *f, struct automation_held *h)
{
    uint64_t now = f->now_ms;
    uint64_t clean = automation_is_reduction(h->action) ? h->duration_ms : h->every_ms;
    h->replies += h->replies < UINT32_MAX;
    h->last_ms = now > h->last_ms ? now : h->last_ms;
    automation_held_touch(f->a, h);
    if (h->manual || h->action == AUTOMATION_BOUNCE || h->action == AUTOMATION_REROUTE) {
        return;
    }
    uint32_t factor = automation_held_factor(h, now);
    bool grown = factor != h->factor;
    h->factor = factor;
    if (grown || now + clean > h->grow_ms) {
        h->grow_ms = now + clean;
    }
    if (grown || h->grow_ms > h->written_grow_ms + clean / 8) {
        h->written_grow_ms = h->grow_ms;
        automation_held_changed(f->a, h);
    }
}

/* True: it fired. */
static bool rule_apply(const struct firing *f)
{
    struct automation_seat *seat = automation_seat_find(f->a, f->key);
    struct automation_held *h = seat ? seat->held[f->rule->action] : NULL;
    if (h && automation_held_clamp(h, f->now_ms)) {
        automation_held_changed(f->a, h);
    }
    if (h && automation_held_is_suspended(h, f->now_ms)) {
        h->replies += h->replies < UINT32_MAX;
        return false; /* what was on its way; it must not be renewed for ever */
    }
    bool fires = automation_count_hit(f->a, f->rule, f->key, f->now_ms);
    if (h) {
        bool again = fires && held_again(f, h);
        if (again) {
            automation_held_changed(f->a, h);
        }
        held_hear(f, h);
        return again;
    }
    return fires && held_start(f);
}

struct automation_verdict automation_note(struct automation *a,
                                          const struct automation_rules *rules,
                                          struct pattern_matcher *matcher,
                                          const struct automation_event *event, uint64_t now_ms)
{
    struct automation_verdict v = {.fail = false};
    const struct outcome *o = event->seen.outcome;
    bool locked = false;
    if (!o->remote || (o->kind != OUTCOME_TEMPORARY && o->kind != OUTCOME_PERMANENT)) {
        return v; /* our own words must never slow us down: they would for ever */
    }
    for (size_t i = 0; i < automation_rules_count(rules); i++) {
        const struct automation_rule *rule = automation_rules_at(rules, i);
        struct automation_key_scratch scratch;
        struct automation_key key;
        if (!automation_rule_matches(rule, matcher, &event->seen, event->class,
                                     event->keys.provider)) {
            continue;
        }
        if (rule->action == AUTOMATION_FAIL) {
            v.fail = true;
            v.rule = rule;
            v.fired++;
            continue;
        }
        if (!automation_key_make(&event->keys, rule->scope, &scratch, &key)) {
            continue;
        }
        if (!locked) {
            pthread_mutex_lock(&a->mutex);
            automation_sweep(a, now_ms);
            locked = true;
        }
        const struct firing f = {a, rule, event, &key, now_ms};
        if (rule_apply(&f)) {
            a->fired++;
            v.fired++;
            v.rule = rule;
        }
    }
    if (locked) {
        pthread_mutex_unlock(&a->mutex);
    }
    return v;
}
