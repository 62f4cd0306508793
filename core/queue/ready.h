/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ready - the order in which a site's parts are taken
 *
 * Purpose:   classes are strict: nothing of a lower one is given out while a higher one has something
 *            that may go. Within a class tenants take turns by weight, within a tenant its campaigns,
 *            within a campaign the oldest is first. What is counted is recipients, so a message to a
 *            hundred weighs as much as a hundred messages to one.
 * Owner:     a site embeds a struct ready, a part a struct ready_item. Tenants and campaigns are known
 *            by a hash of their names; both exist here only while something of theirs is ready (or
 *            while they owe turns for what they took).
 * Thread:    the owner's. No I/O, no clock: times come as arguments.
 * Units:     cost: recipients. Weight 1…READY_WEIGHT_MAX. Times: mono ms.
 * Limits:    memory: one small block per tenant and campaign with ready parts.
 * Errors:    ready_push: false without memory; the item is nowhere.
 *
 * Turns are those of a deficit round robin that serves as long as its credit is positive and lets the
 * last item overdraw it: an item of any cost passes whole, and whoever took too much sits out for it.
 * A flow that is alone passes without counting, and nothing that is empty keeps credit.
 */
#ifndef RINGPOST_QUEUE_READY_H
#define RINGPOST_QUEUE_READY_H

#include "core/base/list.h"
#include "core/base/map.h"

enum ready_class { READY_URGENT, READY_NORMAL, READY_BULK, READY_CLASSES };

enum { READY_WEIGHT_MAX = 1000 };

struct ready_node; /* a tenant of a class, or a campaign of a tenant */

struct ready_item {
    struct list link; /* linked: it is ready */
    struct ready_node *campaign;
    uint32_t cost;
};

struct ready {
    struct list classes[READY_CLASSES]; /* tenants that may go, in turn */
    struct list held;                   /* tenants and campaigns that wait for their time */
    struct map nodes;
    uint32_t count;                 /* items */
    uint32_t may_go[READY_CLASSES]; /* items that nothing holds */
};

/* Whose an item is. Zero hashes: no tenant, no campaign; these take their turn like any other. */
struct ready_flow {
    enum ready_class class;
    uint64_t tenant;
    uint64_t campaign;
    uint32_t tenant_weight; /* 0: 1. The newest counts. */
    uint32_t campaign_weight;
};

void ready_init(struct ready *r, uint64_t seed);
/* Nothing may be ready. */
void ready_deinit(struct ready *r);

/* Behind the others of its flow, or (back: something taken is returned) before them. */
bool ready_push(struct ready *r, struct ready_item *item, const struct ready_flow *flow,
                bool front);
/* Takes one item out of its place, wherever it stands. */
void ready_remove(struct ready *r, struct ready_item *item);
/* The next one, out of the list; NULL: none that may go now. */
struct ready_item *ready_take(struct ready *r);
/* What ready_take would give, left where it is. */
struct ready_item *ready_peek(struct ready *r);
/* Items that nothing holds. */
static inline uint32_t ready_may_go(const struct ready *r)
{
    return r->may_go[READY_URGENT] + r->may_go[READY_NORMAL] + r->may_go[READY_BULK];
}
/* Any item, in no order; for letting everything go. NULL: none. */
struct ready_item *ready_any(const struct ready *r);

/* This tenant, or only this campaign of it, may not go before until_ms: a limit of its own. Its items
 * stay; others go on. Nothing happens when nothing of it is ready. */
enum ready_level { READY_TENANT, READY_CAMPAIGN };
void ready_hold(struct ready *r, const struct ready_flow *flow, enum ready_level level,
                uint64_t until_ms);
/* Lets go whom it is time for. Returns the next time there is something to let go, or UINT64_MAX. */
uint64_t ready_unhold(struct ready *r, uint64_t now_ms);

#endif
