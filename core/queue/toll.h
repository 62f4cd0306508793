/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * toll - what a part has to pay before it may go: rates of its site, provider, source, tenant and campaign
 *
 * Purpose:   takes a part's share of all rates that apply, or of none. Rates of site, provider and source hold up the
 *            whole site (site->rest), those of a tenant or campaign only its own parts (ready_hold).
 *            Knows the rules `tenants:` and `campaigns:` of this worker's configuration, with their weights.
 * Owner:     the queue: queue_tolls_open … queue_tolls_close. A rule's share lives from the first message that
 *            it applies to until the configuration changes.
 * Thread:    the worker's; the budgets are shared by all workers.
 * Units:     us of the monotonic clock.
 * Limits:    as many shares as rules.
 * Errors:    without memory for a share its limit does not hold and its weight is 1.
 */
#ifndef RINGPOST_QUEUE_TOLL_H
#define RINGPOST_QUEUE_TOLL_H

#include "core/policy/budget.h"
#include "core/queue/label.h"

struct queue;
struct queue_part;
struct queue_site;
struct ready_flow;

/* Who collects; in this order. */
enum queue_toll_by {
    QUEUE_TOLL_SITE,
    QUEUE_TOLL_PROVIDER,
    QUEUE_TOLL_SOURCE,
    QUEUE_TOLL_WARMUP, /* core/queue/warmup.h: no rate */
    QUEUE_TOLL_BRAKE, /* the whole site rests: core/queue/brake.h. From here on only a sender's mail waits. */
    QUEUE_TOLL_TENANT,
    QUEUE_TOLL_CAMPAIGN,
    QUEUE_TOLL_BRAKE_TENANT, /* of this sender at this site, in the order of enum queue_brake_level */
    QUEUE_TOLL_BRAKE_CAMPAIGN,
    QUEUE_TOLL_BRAKE_DKIM,
    QUEUE_TOLLS,
};

/* Why a part may not go now. */
struct queue_toll_wait {
    enum queue_toll_by by;
    enum budget_rate rate;
    uint64_t next_us; /* when to try again */
    uint64_t cause;   /* override that is behind it; 0: none */
};

void queue_tolls_open(struct queue *q);
void queue_tolls_close(struct queue *q);
/* The configuration is another. */
void queue_tolls_forget(struct queue *q);

/* Would it be let through now? */
bool queue_toll_check(struct queue *q, struct queue_site *s, const struct queue_part *p,
                      struct queue_toll_wait *wait);
/* Pays everywhere, or nowhere. */
bool queue_toll_pay(struct queue *q, struct queue_site *s, struct queue_part *p,
                    struct queue_toll_wait *wait);

/* What was paid and not used. */
void queue_toll_give(struct queue *q, struct queue_site *s, const struct queue_part *p);

/* Weights of the tenant and the campaign. */
void queue_toll_weights(struct queue *q, const struct queue_label *label, struct ready_flow *flow);

#endif
