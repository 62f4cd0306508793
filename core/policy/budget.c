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
    _Atomic bool wanted;
};

struct budget {
    struct map_node by_name;
    struct slice name; /* behind the struct */
    uint32_t refs;     /* by the table's mutex */
    bool listed;       /* newest of its name */
    struct budget_count *count;
    struct budget_limits limits;
    struct rate rates[BUDGET_RATES];
};

struct budget_table {
    pthread_mutex_t mutex;
    struct map by_name;
};

struct budget_table *budget_table_open(uint64_t seed)
{
    struct budget_table *t = calloc(1, sizeof(*t));
    if (t) {
        pthread_mutex_init(&t->mutex, NULL);
        map_init(&t->by_name, seed);
    }
    return t;
}

void budget_table_close(struct budget_table **t)
{
    if (*t) {
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

/* Rates go on where `before` stands. Its holders may still take from it for a moment: that is not seen. */
static void budget_inherit(struct budget *b, const struct budget *before, uint64_t now_us)
{
    for (size_t i = 0; i < BUDGET_RATES; i++) {
        if (!b->limits.limited[i]) {
            continue;
        }
        rate_init(&b->rates[i], &b->limits.rules[i], now_us);
        if (before && before->limits.limited[i]) {
            uint64_t tat = atomic_load_explicit(&before->rates[i].tat, memory_order_relaxed);
            atomic_store_explicit(&b->rates[i].tat, tat, memory_order_relaxed);
            rate_change(&b->rates[i], &before->limits.rules[i], &b->limits.rules[i], now_us);
        }
    }
}

static struct budget *budget_new(struct slice name, const struct budget_limits *limits,
                                 const struct budget *before, uint64_t now_us)
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
    budget_inherit(b, before, now_us);
    return b;
}

static void budget_free(struct budget *b)
{
    budget_count_put(b->count);
    free(b);
}

/* With the mutex held. */
static struct budget *budget_find_or_make(struct budget_table *t, struct slice name,
                                          const struct budget_limits *limits, uint64_t now_us)
{
    uint64_t hash = map_hash(&t->by_name, name);
    struct map_node *node = map_find(&t->by_name, hash, budget_name_equal, &name);
    struct budget *before = node ? container_of(node, struct budget, by_name) : NULL;
    if (before && budget_limits_equal(&before->limits, limits)) {
        return before;
    }
    struct budget *b = budget_new(name, limits, before, now_us);
    if (!b) {
        return NULL;
    }
    if (!map_insert(&t->by_name, &b->by_name, hash)) {
        budget_free(b);
        return NULL;
    }
    b->listed = true;
    if (before) {
        map_remove(&t->by_name, &before->by_name);
        before->listed = false;
    }
    return b;
}

struct budget *budget_get(struct budget_table *t, struct slice name,
                          const struct budget_limits *limits, uint64_t now_us)
{
    pthread_mutex_lock(&t->mutex);
    struct budget *b = budget_find_or_make(t, name, limits, now_us);
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
    if (--(*b)->refs == 0) {
        if ((*b)->listed) {
            map_remove(&t->by_name, &(*b)->by_name);
        }
        budget_free(*b);
    }
    pthread_mutex_unlock(&t->mutex);
    *b = NULL;
}

/* ---- connections ---- */

bool budget_connection_take(struct budget *b)
{
    _Atomic uint32_t *n = &b->count->connections;
    uint32_t now = atomic_load_explicit(n, memory_order_relaxed);
    do {
        if (b->limits.connections && now >= b->limits.connections) {
            atomic_store_explicit(&b->count->wanted, true, memory_order_relaxed);
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(n, &now, now + 1, memory_order_acq_rel,
                                                    memory_order_relaxed));
    atomic_store_explicit(&b->count->wanted, false, memory_order_relaxed);
    return true;
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
        uint32_t before =
            atomic_fetch_sub_explicit(&from->count->connections, n, memory_order_acq_rel);
        must(before >= n);
    }
}

uint32_t budget_connections(const struct budget *b)
{
    return atomic_load_explicit(&b->count->connections, memory_order_relaxed);
}

bool budget_is_wanted(const struct budget *b)
{
    return atomic_load_explicit(&b->count->wanted, memory_order_relaxed);
}

/* ---- rates ---- */

bool budget_rate_take(struct budget *b, enum budget_rate rate, uint64_t n, uint64_t now_us)
{
    return !b->limits.limited[rate] ||
           rate_take(&b->rates[rate], &b->limits.rules[rate], n, now_us);
}

void budget_rate_give(struct budget *b, enum budget_rate rate, uint64_t n)
{
    if (b->limits.limited[rate]) {
        rate_give(&b->rates[rate], &b->limits.rules[rate], n);
    }
}

uint64_t budget_rate_next_us(const struct budget *b, enum budget_rate rate, uint64_t n,
                             uint64_t now_us)
{
    return b->limits.limited[rate]
               ? rate_next_us(&b->rates[rate], &b->limits.rules[rate], n, now_us)
               : now_us;
}
