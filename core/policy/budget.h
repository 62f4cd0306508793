/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * budget - a limit that several sites share, over all workers
 *
 * Purpose:   a provider's `shared: true`, a source's, a tenant's or a campaign's connections and rates are
 *            counted in one place, exactly, whichever worker asks. Limits of a single site need none of
 *            this: its owner counts them (core/queue/sched.h).
 * Owner:     the table: the engine. A budget lives while somebody holds it (budget_get, budget_put).
 * Thread:    any. budget_get and budget_put take a mutex: once per site, tenant and configuration; taking
 *            and giving are atomic operations.
 * Units:     microseconds of the monotonic clock; events, bytes.
 * Limits:    none of its own: as many budgets as rules that are in use.
 * Errors:    budget_get: NULL without memory.
 *
 * A changed configuration brings a new budget under the same name. It goes on counting where the one before
 * stands: connections are the same count, a rate keeps what was sent and is not paid for yet. The old one lets
 * nothing more pass; its holders let it go as they learn of the new configuration. A budget that nobody holds
 * is remembered until its rates are at rest: who comes back has no second burst.
 *
 * Turns: whoever shares a budget is told from others by an address (who), which is never looked at. Of those that
 * a rate refused each has its turn in the order in which they came (a mutex, only where somebody waits). A place for a
 * connection that somebody waits for who has none is kept for him, and others have to make room
 * (budget_connection_yield).
 */
#ifndef RINGPOST_POLICY_BUDGET_H
#define RINGPOST_POLICY_BUDGET_H

#include "core/base/slice.h"
#include "core/policy/rate.h"

#include <stdbool.h>

enum {
    BUDGET_WANTED_US = 500 * 1000, /* how long a place is kept for who asked */
    BUDGET_YIELD_US = 250 * 1000,
    BUDGET_TURN_US = 20 * 1000, /* how long it is somebody's turn who does not take it */
    BUDGET_OLD_US = 5 * 1000,   /* until the new configuration should be known everywhere */
};

enum budget_rate { BUDGET_CONNECTION_RATE, BUDGET_MESSAGE_RATE, BUDGET_BYTE_RATE, BUDGET_RATES };

struct budget_limits {
    uint32_t connections; /* 0: no limit */
    bool limited[BUDGET_RATES];
    struct rate_rule rules[BUDGET_RATES];
};

struct budget;
struct budget_table;

struct budget_table *budget_table_open(uint64_t seed);
/* Nobody may hold a budget. */
void budget_table_close(struct budget_table **t);

/* The one of this name with these limits; made when there is none. serial: of the configuration that says so, which
 * grows: who still has an older one is given the newest one's limits. */
struct budget *budget_get(struct budget_table *t, struct slice name,
                          const struct budget_limits *limits, uint64_t serial, uint64_t now_us);
void budget_put(struct budget_table *t, struct budget **b);
/* Another has taken its place: it lets nothing pass. */
bool budget_is_over(const struct budget *b);

/* One more connection? False: the limit is reached, or the place is another's. has_none: who has no connection
 * at all; while he asks (at least every BUDGET_WANTED_US) the next place is his. */
bool budget_connection_take(struct budget *b, const void *who, bool has_none, uint64_t now_us);
void budget_connection_give(struct budget *b);
/* n connections that exist count here from now on, also above the limit (from: before; either may be NULL). */
void budget_connections_move(struct budget *from, struct budget *to, uint32_t n);
uint32_t budget_connections(const struct budget *b);
/* True: one of the connections should end, because somebody else waits for its place. Not more often than he can
 * make use of: one caller every BUDGET_YIELD_US learns it. */
bool budget_connection_yield(struct budget *b, uint64_t now_us);

/* n events of a rate now, or none. Always true where there is no limit. */
bool budget_rate_take(struct budget *b, enum budget_rate rate, const void *who, uint64_t n,
                      uint64_t now_us);
void budget_rate_give(struct budget *b, enum budget_rate rate, uint64_t n);
/* When it is worth while to try again: n would pass if nobody else took any, and it is not another's turn. Later
 * than now: who is expected then. */
uint64_t budget_rate_next_us(struct budget *b, enum budget_rate rate, const void *who, uint64_t n,
                             uint64_t now_us);

#endif
