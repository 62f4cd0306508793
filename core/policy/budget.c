/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/budget.h"
#include "core/base/map.h"
#include "core/base/must.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Shared by all budgets that ever had one name at the same time. */
struct budget_count {
    uint32_t refs; /* by the table's mutex */
    _Atomic uint32_t connections;
    /* Whoever waits for a place. Written without order: a wrong one costs a turn, never the limit. */
    _Atomic uintptr_t wanted_by;
    _Atomic uint64_t wanted_until_us;
    _Atomic uint64_t yield_us; /* not before */
};

enum { BUDGET_TURNS = 8 };

/* Those whom a rate has refused, in their order. Whoever took last leaves a seat free, so that others beyond
 * BUDGET_TURNS come in, too. */
struct budget_turns {
    pthread_mutex_t mutex;
    _Atomic uint32_t count;
    uintptr_t last; /* who took */
    struct {
        uintptr_t who;
        uint64_t due_us; /* when it was told to come again */
    } seats[BUDGET_TURNS];
};

struct budget {
    struct map_node by_name;
    struct slice name; /* behind the struct */
    uint32_t refs;     /* by the table's mutex */
    bool listed;       /* newest of its name */
    _Atomic bool over; /* another has taken its place */
    uint64_t serial;   /* of the configuration that it is of, by the mutex too */
    struct budget_count *count;
    struct budget_limits limits;
    struct rate rates[BUDGET_RATES];
    struct budget_turns turns[BUDGET_RATES];
};

struct budget_table {
    pthread_mutex_t mutex;
    struct map by_name;
    size_t sweep_at; /* so many budgets: those that nobody needs are let go */
};

enum { BUDGET_SWEEP_MIN = 64 };

struct budget_table *budget_table_open(uint64_t seed)
{
    struct budget_table *t = calloc(1, sizeof(*t));
    if (t) {
        pthread_mutex_init(&t->mutex, NULL);
        map_init(&t->by_name, seed);
        t->sweep_at = BUDGET_SWEEP_MIN;
    }
    return t;
}

static void budget_free(struct budget *b);

static bool budget_at_rest(const struct budget *b, uint64_t now_us)
{
    for (size_t i = 0; i < BUDGET_RATES; i++) {
        const struct rate_rule *rule = &b->limits.rules[i];
        if (b->limits.limited[i] && rate_ready(&b->rates[i], rule, now_us) < rule->burst) {
            return false;
        }
    }
    return true;
}

/* Those that nobody holds go, unless (all: even if) their rates are not at rest. */
static void budget_table_sweep(struct budget_table *t, bool all, uint64_t now_us)
{
    size_t bucket = 0;
    struct map_node *node = map_next(&t->by_name, &bucket, NULL);
    while (node) {
        struct budget *b = container_of(node, struct budget, by_name);
        node = map_next(&t->by_name, &bucket, node);
        if (b->refs == 0 && (all || budget_at_rest(b, now_us))) {
            map_remove(&t->by_name, &b->by_name);
            budget_free(b);
        }
    }
    t->sweep_at = 2 * t->by_name.count + BUDGET_SWEEP_MIN;
}

void budget_table_close(struct budget_table **t)
{
    if (*t) {
        budget_table_sweep(*t, true, 0);
        must((*t)->by_name.count == 0);
        map_deinit(&(*t)->by_name);
        pthread_mutex_destroy(&(*t)->mutex);
        free(*t);
        *t = NULL;
    }
}

static bool budget_name_equal(const struct map_node *node, const void *key)
{
    return slice_eq(container_of(node, struct budget, by_name)->name, *(const struct slice *)key);
}

static bool budget_limits_equal(const struct budget_limits *a, const struct budget_limits *b)
{
    bool same = a->connections == b->connections;
    for (size_t i = 0; i < BUDGET_RATES && same; i++) {
        const struct rate_rule *x = &a->rules[i], *y = &b->rules[i];
        same = a->limited[i] == b->limited[i] &&
               (!a->limited[i] ||
                (x->units_per_us == y->units_per_us && x->units_each == y->units_each &&
                 x->burst == y->burst && x->take_max == y->take_max));
    }
    return same;
}

static void budget_count_put(struct budget_count *c)
{
    must(c->refs > 0);
    if (--c->refs == 0) {
        free(c);
    }
}

/* Nothing passes any more; returns where it stood. A taker who has looked at it before finds it changed. */
static uint64_t budget_shut(struct rate *r, const struct rate_rule *rule, uint64_t now_us)
{
    uint64_t spent = now_us * rule->units_per_us + rule->burst * rule->units_each;
    return atomic_exchange_explicit(&r->tat, spent, memory_order_relaxed);
}

/* Rates go on where `before` stands. */
static void budget_inherit(struct budget *b, struct budget *before, uint64_t now_us)
{
    for (size_t i = 0; i < BUDGET_RATES; i++) {
        if (!b->limits.limited[i]) {
            continue;
        }
        rate_init(&b->rates[i], &b->limits.rules[i], now_us);
        if (before && before->limits.limited[i]) {
            uint64_t tat = budget_shut(&before->rates[i], &before->limits.rules[i], now_us);
            atomic_store_explicit(&b->rates[i].tat, tat, memory_order_relaxed);
            rate_change(&b->rates[i], &before->limits.rules[i], &b->limits.rules[i], now_us);
        }
    }
}

static struct budget *budget_new(struct slice name, const struct budget_limits *limits,
                                 struct budget *before)
{
    struct budget *b = calloc(1, sizeof(*b) + name.len);
    struct budget_count *count = before ? before->count : calloc(1, sizeof(*count));
    if (!b || !count) {
        free(b);
        if (!before) {
            free(count);
        }
        return NULL;
    }
    char *text = (char *)(b + 1);
    if (name.len) {
        memcpy(text, name.ptr, name.len);
    }
    b->name = slice_of(text, name.len);
    b->count = count;
    count->refs++;
    b->limits = *limits;
    for (size_t i = 0; i < BUDGET_RATES; i++) {
        pthread_mutex_init(&b->turns[i].mutex, NULL);
    }
    return b;
}

static void budget_free(struct budget *b)
{
    for (size_t i = 0; i < BUDGET_RATES; i++) {
        pthread_mutex_destroy(&b->turns[i].mutex);
    }
    budget_count_put(b->count);
    free(b);
}

/* With the mutex held: b is the newest of its name from now on. Both may be in use when they are of one
 * configuration, which should not differ. */
static void budget_replace(struct budget_table *t, struct budget *before, struct budget *b,
                           uint64_t now_us)
{
    b->listed = true;
    if (before) {
        atomic_store_explicit(&before->over, before->serial < b->serial, memory_order_relaxed);
    }
    budget_inherit(b, before, now_us);
    if (before) {
        map_remove(&t->by_name, &before->by_name);
        before->listed = false;
        if (before->refs == 0) {
            budget_free(before);
        }
    }
}

/* With the mutex held. */
static struct budget *budget_find_or_make(struct budget_table *t, struct slice name,
                                          const struct budget_limits *limits, uint64_t serial,
                                          uint64_t now_us)
{
    uint64_t hash = map_hash(&t->by_name, name);
    struct map_node *node = map_find(&t->by_name, hash, budget_name_equal, &name);
    struct budget *before = node ? container_of(node, struct budget, by_name) : NULL;
    if (before && (before->serial > serial || budget_limits_equal(&before->limits, limits))) {
        before->serial = before->serial > serial ? before->serial : serial;
        return before;
    }
    struct budget *b = budget_new(name, limits, before);
    if (!b) {
        return NULL;
    }
    b->serial = serial;
    if (!map_insert(&t->by_name, &b->by_name, hash)) {
        budget_free(b);
        return NULL;
    }
    budget_replace(t, before, b, now_us);
    return b;
}

struct budget *budget_get(struct budget_table *t, struct slice name,
                          const struct budget_limits *limits, uint64_t serial, uint64_t now_us)
{
    pthread_mutex_lock(&t->mutex);
    if (t->by_name.count >= t->sweep_at) {
        budget_table_sweep(t, false, now_us);
    }
    struct budget *b = budget_find_or_make(t, name, limits, serial, now_us);
    if (b) {
        b->refs++;
    }
    pthread_mutex_unlock(&t->mutex);
    return b;
}

void budget_put(struct budget_table *t, struct budget **b)
{
    if (!*b) {
        return;
    }
    pthread_mutex_lock(&t->mutex);
    must((*b)->refs > 0);
    if (--(*b)->refs == 0 && !(*b)->listed) {
        budget_free(*b);
    }
    pthread_mutex_unlock(&t->mutex);
    *b = NULL;
}

bool budget_is_over(const struct budget *b)
{
    return atomic_load_explicit(&b->over, memory_order_relaxed);
}

/* ---- connections ---- */

/* Somebody else waits for the next place. */
static bool budget_is_reserved(const struct budget_count *c, uintptr_t who, uint64_t now_us)
{
    return atomic_load_explicit(&c->wanted_until_us, memory_order_relaxed) > now_us &&
           atomic_load_explicit(&c->wanted_by, memory_order_relaxed) != who;
}

static bool budget_count_take(struct budget *b)
{
    _Atomic uint32_t *n = &b->count->connections;
    uint32_t now = atomic_load_explicit(n, memory_order_relaxed);
    do {
        if (b->limits.connections && now >= b->limits.connections) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(n, &now, now + 1, memory_order_acq_rel,
                                                    memory_order_relaxed));
    return true;
}

bool budget_connection_take(struct budget *b, const void *who, bool has_none, uint64_t now_us)
{
    struct budget_count *c = b->count;
    uintptr_t me = (uintptr_t)who;
    if (b->limits.connections && budget_is_reserved(c, me, now_us)) {
        return false;
    }
    if (budget_count_take(b)) {
        if (atomic_load_explicit(&c->wanted_by, memory_order_relaxed) == me) {
            atomic_store_explicit(&c->wanted_until_us, 0, memory_order_relaxed);
        }
        return true;
    }
    if (has_none) {
        atomic_store_explicit(&c->wanted_by, me, memory_order_relaxed);
        atomic_store_explicit(&c->wanted_until_us, now_us + BUDGET_WANTED_US, memory_order_relaxed);
    }
    return false;
}

void budget_connection_give(struct budget *b)
{
    uint32_t before = atomic_fetch_sub_explicit(&b->count->connections, 1, memory_order_acq_rel);
    must(before > 0);
}

void budget_connections_move(struct budget *from, struct budget *to, uint32_t n)
{
    if (to) {
        atomic_fetch_add_explicit(&to->count->connections, n, memory_order_acq_rel);
    }
    if (from) {
        uint32_t before = atomic_fetch_sub_explicit(&from->count->connections, n,
                                                    memory_order_acq_rel);
        must(before >= n);
    }
}

uint32_t budget_connections(const struct budget *b)
{
    return atomic_load_explicit(&b->count->connections, memory_order_relaxed);
}

bool budget_connection_yield(struct budget *b, uint64_t now_us)
{
    struct budget_count *c = b->count;
    uint64_t yield_us = atomic_load_explicit(&c->yield_us, memory_order_relaxed);
    return atomic_load_explicit(&c->wanted_until_us, memory_order_relaxed) > now_us &&
           yield_us <= now_us && budget_connections(b) >= b->limits.connections &&
           atomic_compare_exchange_strong_explicit(&c->yield_us, &yield_us,
                                                   now_us + BUDGET_YIELD_US, memory_order_relaxed,
                                                   memory_order_relaxed);
}

/* ---- rates ---- */

static void budget_turns_leave(struct budget_turns *t, uint32_t seat)
{
    uint32_t count = atomic_load_explicit(&t->count, memory_order_relaxed);
    memmove(&t->seats[seat], &t->seats[seat + 1], (count - seat - 1) * sizeof(t->seats[0]));
    atomic_store_explicit(&t->count, count - 1, memory_order_relaxed);
}

/* Those who have not come when they were told to have gone elsewhere. */
static void budget_turns_forget(struct budget_turns *t, uint64_t now_us)
{
    for (uint32_t i = atomic_load_explicit(&t->count, memory_order_relaxed); i > 0; i--) {
        if (t->seats[i - 1].due_us + BUDGET_TURN_US <= now_us) {
            budget_turns_leave(t, i - 1);
        }
    }
}

/* who's seat; count: it has none. */
static uint32_t budget_turns_find(const struct budget_turns *t, uintptr_t who)
{
    uint32_t count = atomic_load_explicit(&t->count, memory_order_relaxed), i = 0;
    while (i < count && t->seats[i].who != who) {
        i++;
    }
    return i;
}

/* With the mutex held: who takes a seat, or keeps his. */
static void budget_turns_wait(struct budget_turns *t, uintptr_t who, uint64_t due_us)
{
    uint32_t count = atomic_load_explicit(&t->count, memory_order_relaxed);
    uint32_t seat = budget_turns_find(t, who);
    if (seat == count && count < BUDGET_TURNS - (t->last == who ? 1 : 0)) {
        t->seats[count].who = who;
        atomic_store_explicit(&t->count, count + 1, memory_order_relaxed);
    } else if (seat == count) {
        return;
    }
    if (seat > 0 && t->seats[0].due_us + BUDGET_TURN_US > due_us) {
        due_us = t->seats[0].due_us + BUDGET_TURN_US; /* the first may take all of its time */
    }
    t->seats[seat].due_us = due_us;
}

/* With the mutex held: it is somebody else's turn. */
static bool budget_turns_is_anothers(struct budget_turns *t, uintptr_t who, uint64_t now_us)
{
    budget_turns_forget(t, now_us);
    return atomic_load_explicit(&t->count, memory_order_relaxed) > 0 && t->seats[0].who != who;
}

/* With the mutex held: passes if it is who's turn. */
static bool budget_turns_take(struct budget *b, enum budget_rate rate, uintptr_t who, uint64_t n,
                              uint64_t now_us)
{
    struct budget_turns *t = &b->turns[rate];
    const struct rate_rule *rule = &b->limits.rules[rate];
    if (budget_turns_is_anothers(t, who, now_us) || !rate_take(&b->rates[rate], rule, n, now_us)) {
        budget_turns_wait(t, who, rate_next_us(&b->rates[rate], rule, n, now_us));
        return false;
    }
    uint32_t seat = budget_turns_find(t, who);
    if (seat < atomic_load_explicit(&t->count, memory_order_relaxed)) {
        budget_turns_leave(t, seat);
    }
    t->last = who;
    return true;
}

bool budget_rate_take(struct budget *b, enum budget_rate rate, const void *who, uint64_t n,
                      uint64_t now_us)
{
    struct budget_turns *t = &b->turns[rate];
    if (!b->limits.limited[rate]) {
        return true;
    }
    if (atomic_load_explicit(&b->over, memory_order_relaxed)) {
        return false;
    }
    if (atomic_load_explicit(&t->count, memory_order_relaxed) == 0 &&
        rate_take(&b->rates[rate], &b->limits.rules[rate], n, now_us)) {
        return true;
    }
    pthread_mutex_lock(&t->mutex);
    bool taken = budget_turns_take(b, rate, (uintptr_t)who, n, now_us);
    pthread_mutex_unlock(&t->mutex);
    return taken;
}

void budget_rate_give(struct budget *b, enum budget_rate rate, uint64_t n)
{
    if (b->limits.limited[rate]) {
        rate_give(&b->rates[rate], &b->limits.rules[rate], n);
    }
}

uint64_t budget_rate_next_us(struct budget *b, enum budget_rate rate, const void *who, uint64_t n,
                             uint64_t now_us)
{
    struct budget_turns *t = &b->turns[rate];
    if (!b->limits.limited[rate]) {
        return now_us;
    }
    if (atomic_load_explicit(&b->over, memory_order_relaxed)) {
        return now_us + BUDGET_OLD_US;
    }
    uint64_t next_us = rate_next_us(&b->rates[rate], &b->limits.rules[rate], n, now_us);
    if (next_us <= now_us && atomic_load_explicit(&t->count, memory_order_relaxed) == 0) {
        return next_us;
    }
    pthread_mutex_lock(&t->mutex);
    if (budget_turns_is_anothers(t, (uintptr_t)who, now_us)) {
        budget_turns_wait(t, (uintptr_t)who, next_us);
        uint64_t due_us = t->seats[0].due_us;
        uint64_t after_us = (due_us > now_us ? due_us : now_us) + 1000;
        next_us = after_us > next_us ? after_us : next_us;
    } else if (next_us > now_us) {
        budget_turns_wait(t, (uintptr_t)who, next_us);
    }
    pthread_mutex_unlock(&t->mutex);
    return next_us;
}
