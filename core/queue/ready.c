/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Two levels of the same thing: a node has a credit, a weight and a list. A tenant's list holds its
 * campaigns in turn, a campaign's its items, oldest first; the class holds the tenants in turn.
 *
 *   class ─► tenant ─► tenant ─► …           (round: struct ready_node.turn)
 *               └─► campaign ─► campaign      (round: struct ready_node.turn, in tenant->list)
 *                      └─► item ─► item       (struct ready_item.link, in campaign->list)
 *
 * A node is in its round while something below it is ready, or while it owes (credit < 0). So a flow that
 * empties itself after each dear item cannot begin anew without its debt. Debts are bounded by the dearest
 * item; paying them off costs at most as many visits as recipients were taken.
 */
#include "core/queue/ready.h"
#include "core/base/must.h"

#include <stdlib.h>

struct ready_key {
    uint64_t tenant;
    uint64_t campaign;
    enum ready_class class;
    bool is_tenant;
};

struct ready_node {
    struct map_node by_key;
    struct ready_key key;
    struct ready_node *tenant; /* of a campaign; NULL: this is a tenant */
    struct list turn;          /* in the round above, or in ready->held */
    struct list list;
    int64_t credit;
    uint64_t until_ms; /* held */
    uint32_t weight;
    uint32_t count;  /* items below */
    uint32_t may_go; /* of them, those that nothing below holds */
    bool held;
};

void ready_init(struct ready *r, uint64_t seed)
{
    *r = (struct ready){0};
    for (size_t i = 0; i < READY_CLASSES; i++) {
        list_init(&r->classes[i]);
    }
    list_init(&r->held);
    map_init(&r->nodes, seed);
}

static bool ready_equal(const struct map_node *node, const void *key)
{
    const struct ready_key *a = &container_of(node, struct ready_node, by_key)->key;
    const struct ready_key *b = key;
    return a->tenant == b->tenant && a->campaign == b->campaign && a->class == b->class &&
           a->is_tenant == b->is_tenant;
}

static uint64_t ready_hash(const struct ready *r, const struct ready_key *key)
{
    uint64_t low = (uint64_t)key->class << 1 | (key->is_tenant ? 1 : 0);
    return map_hash_u64(&r->nodes, map_hash_u64(&r->nodes, key->tenant ^ low) ^ key->campaign);
}

static struct ready_node *ready_find(const struct ready *r, const struct ready_key *key)
{
    struct map_node *node = map_find(&r->nodes, ready_hash(r, key), ready_equal, key);
    return node ? container_of(node, struct ready_node, by_key) : NULL;
}

static struct ready_node *ready_get(struct ready *r, const struct ready_key *key, uint32_t weight)
{
    struct ready_node *n = ready_find(r, key);
    if (!n) {
        n = calloc(1, sizeof(*n));
        if (!n) {
            return NULL;
        }
        n->key = *key;
        list_init(&n->list);
        if (!map_insert(&r->nodes, &n->by_key, ready_hash(r, key))) {
            free(n);
            return NULL;
        }
    }
    must(weight <= READY_WEIGHT_MAX);
    n->weight = weight ? weight : 1;
    return n;
}

static struct list *ready_round(struct ready *r, struct ready_node *n)
{
    return n->tenant ? &n->tenant->list : &r->classes[n->key.class];
}

static void ready_free(struct ready *r, struct ready_node *n)
{
    must(n->count == 0 && list_empty(&n->list));
    if (list_linked(&n->turn)) {
        list_remove(&n->turn);
    }
    map_remove(&r->nodes, &n->by_key);
    free(n);
}

void ready_deinit(struct ready *r)
{
    must(r->count == 0);
    for (int campaigns = 1; campaigns >= 0;
         campaigns--) { /* those that owe, before their tenants */
        size_t bucket = 0;
        struct map_node *node = map_next(&r->nodes, &bucket, NULL);
        while (node) {
            struct ready_node *n = container_of(node, struct ready_node, by_key);
            node = map_next(&r->nodes, &bucket, node);
            if (!n->key.is_tenant == (campaigns == 1)) {
                ready_free(r, n);
            }
        }
    }
    map_deinit(&r->nodes);
}

/* What has nothing and owes nothing goes. What campaigns owe each other ends with their tenant, and a held
 * node always has something: its limit is asked again when it comes back. */
static void ready_settle(struct ready *r, struct ready_node *n)
{
    struct ready_node *tenant = n->tenant ? n->tenant : n;
    if (n->tenant && n->count == 0 && (n->credit >= 0 || n->held)) {
        ready_free(r, n);
    }
    if (tenant->count || (tenant->credit < 0 && !tenant->held)) {
        return;
    }
    struct list *node;
    while ((node = list_first(&tenant->list))) {
        ready_free(r, LIST_ENTRY(node, struct ready_node, turn));
    }
    ready_free(r, tenant);
}

/* `more` items (or fewer) of n may go: everything above it that is not held knows. */
static void ready_let(struct ready *r, struct ready_node *n, int64_t more)
{
    for (;;) {
        n->may_go = (uint32_t)(n->may_go + more);
        if (n->held) {
            return;
        }
        if (!n->tenant) {
            r->may_go[n->key.class] = (uint32_t)(r->may_go[n->key.class] + more);
            return;
        }
        n = n->tenant;
    }
}

bool ready_push(struct ready *r, struct ready_item *item, const struct ready_flow *flow, bool front)
{
    must(!list_linked(&item->link) && item->cost > 0);
    struct ready_key key = {flow->tenant, 0, flow->class, true};
    struct ready_node *tenant = ready_get(r, &key, flow->tenant_weight);
    if (!tenant) {
        return false;
    }
    key.campaign = flow->campaign;
    key.is_tenant = false;
    struct ready_node *campaign = ready_get(r, &key, flow->campaign_weight);
    if (!campaign) {
        ready_settle(r, tenant);
        return false;
    }
    campaign->tenant = tenant;
    if (!list_linked(&tenant->turn)) {
        list_push_back(&r->classes[flow->class], &tenant->turn);
    }
    if (!list_linked(&campaign->turn)) {
        list_push_back(&tenant->list, &campaign->turn);
    }
    if (front) {
        list_push_front(&campaign->list, &item->link);
    } else {
        list_push_back(&campaign->list, &item->link);
    }
    item->campaign = campaign;
    campaign->count++;
    tenant->count++;
    r->count++;
    ready_let(r, campaign, 1);
    return true;
}

static void ready_uncount(struct ready *r, struct ready_item *item)
{
    struct ready_node *campaign = item->campaign;
    must(campaign->count > 0 && campaign->tenant->count > 0 && r->count > 0);
    list_remove(&item->link);
    item->campaign = NULL;
    campaign->count--;
    campaign->tenant->count--;
    r->count--;
    ready_let(r, campaign, -1);
}

void ready_remove(struct ready *r, struct ready_item *item)
{
    struct ready_node *campaign = item->campaign;
    ready_uncount(r, item);
    ready_settle(r, campaign);
}

/* The one whose turn it is, in a round in which something may go. Those that only owe pay on the way. */
static struct ready_node *ready_turn(struct ready *r, struct list *round)
{
    for (;;) {
        struct list *first = list_first(round);
        must(first != NULL);
        struct ready_node *n = LIST_ENTRY(first, struct ready_node, turn);
        bool alone = n->turn.next == round;
        if (n->may_go && (n->credit > 0 || alone)) {
            return n;
        }
        n->credit += n->weight;
        if (n->may_go && n->credit > 0) {
            return n;
        }
        n->credit = n->credit > 0 ? 0 : n->credit;
        list_remove(&n->turn);
        list_push_back(round, &n->turn);
        ready_settle(r, n);
    }
}

/* It has taken something: when its credit is used up, the next one's turn begins. */
static void ready_charge(struct ready *r, struct ready_node *n, uint32_t cost)
{
    struct list *round = ready_round(r, n);
    if (n->turn.next == round && n->turn.prev == round) {
        n->credit = 0; /* alone: no turns, no debts */
        return;
    }
    n->credit -= cost;
    if (n->count == 0 && n->credit > 0) {
        n->credit = 0;
    }
    if (n->credit <= 0) {
        list_remove(&n->turn);
        list_push_back(round, &n->turn);
    }
}

struct ready_item *ready_peek(struct ready *r)
{
    for (size_t class = 0; class < READY_CLASSES; class ++) {
        if (r->may_go[class]) {
            struct ready_node *tenant = ready_turn(r, &r->classes[class]);
            struct ready_node *campaign = ready_turn(r, &tenant->list);
            return LIST_ENTRY(list_first(&campaign->list), struct ready_item, link);
        }
    }
    return NULL;
}

struct ready_item *ready_take(struct ready *r)
{
    struct ready_item *item = ready_peek(r);
    if (item) {
        struct ready_node *campaign = item->campaign;
        struct ready_node *tenant = campaign->tenant;
        ready_uncount(r, item);
        ready_charge(r, campaign, item->cost);
        ready_charge(r, tenant, item->cost);
        ready_settle(r, campaign);
    }
    return item;
}

struct ready_item *ready_any(const struct ready *r)
{
    size_t bucket = 0;
    for (struct map_node *node = r->count ? map_next(&r->nodes, &bucket, NULL) : NULL; node;
         node = map_next(&r->nodes, &bucket, node)) {
        struct ready_node *n = container_of(node, struct ready_node, by_key);
        if (n->tenant && n->count) {
            return LIST_ENTRY(list_first(&n->list), struct ready_item, link);
        }
    }
    return NULL;
}

void ready_hold(struct ready *r, const struct ready_flow *flow, enum ready_level level,
                uint64_t until_ms)
{
    struct ready_key key = {flow->tenant, level == READY_CAMPAIGN ? flow->campaign : 0, flow->class,
                            level == READY_TENANT};
    struct ready_node *n = ready_find(r, &key);
    if (!n || n->count == 0) {
        return;
    }
    n->until_ms = until_ms;
    if (n->held) {
        return;
    }
    uint32_t below = n->may_go;
    ready_let(r, n, -(int64_t)below);
    n->held = true;
    n->may_go = below;
    list_remove(&n->turn);
    list_push_back(&r->held, &n->turn);
}

static void ready_release(struct ready *r, struct ready_node *n)
{
    uint32_t below = n->may_go;
    list_remove(&n->turn);
    list_push_back(ready_round(r, n), &n->turn);
    n->held = false;
    n->may_go = 0;
    ready_let(r, n, below);
    ready_settle(r, n);
}

uint64_t ready_unhold(struct ready *r, uint64_t now_ms)
{
    uint64_t next_ms = UINT64_MAX;
    struct list *node = list_first(&r->held);
    while (node && node != &r->held) {
        struct ready_node *n = LIST_ENTRY(node, struct ready_node, turn);
        node = node->next;
        if (n->until_ms <= now_ms) {
            ready_release(r, n);
        } else if (n->until_ms < next_ms) {
            next_ms = n->until_ms;
        }
    }
    return next_ms;
}
