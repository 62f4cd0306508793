/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * source - which egress source a recipient leaves by, and the site that this makes of its domain's route
 *
 * Purpose:   a domain's route is found once; each source that mail goes there by makes a site of its own of it, with
 *            its own connections, limits and back-off. Without `sources:` there is one, as ever.
 * Owner:     the queue. The sites belong to queue->sites; a domain remembers those of its sources by their
 *            index in queue->egress, until the route or the configuration is another.
 * Thread:    the queue's.
 * Errors:    QUEUE_WAY_NONE and a reason: temporary, for it is a matter of our configuration. Without memory
 *            the recipient is looked at again a second later.
 *
 * What may not go by any source of its pool now (their addresses have gone, or none has room) waits as suspended
 * mail does, without a timer, a part or a write: QUEUE_DUE_SUSPENDED, until queue_sources_run hears that something
 * is different.
 */
#ifndef RINGPOST_QUEUE_SOURCE_H
#define RINGPOST_QUEUE_SOURCE_H

#include "core/policy/egress.h"
#include "core/queue/domain.h"

enum queue_way {
    QUEUE_WAY_SITE,
    QUEUE_WAY_WAIT,   /* no source may be used now */
    QUEUE_WAY_NONE,   /* none reaches these addresses */
    QUEUE_WAY_MEMORY, /* no memory */
};

struct queue_sources {
    uint64_t news; /* egress_news, as far as it has been looked at */
    bool wait;     /* somebody does */
    bool wake;     /* they are to be looked at again */
};

/* d's route is fresh and has a site. */
enum queue_way queue_source_way(struct queue *q, const struct queue_message *m,
                                const struct queue_rcpt *r, struct queue_domain *d,
                                struct queue_site **out);
/* What it would leave by now; NULL: no source, or none may be used. Changes nothing. */
const struct egress_source *queue_source_of(struct queue *q, const struct queue_message *m,
                                            const struct queue_rcpt *r);
/* The outcome of QUEUE_WAY_NONE. */
struct outcome queue_source_outcome(void);

/* Sources have gone, come back or have room again: what stands at those that may not be used is routed anew, what
 * waits for one is looked at. In each turn, before the routing. */
void queue_sources_run(struct queue *q);
bool queue_sources_pending(const struct queue *q);
/* Room for mail that waits for a source. */
void queue_sources_wake(struct queue *q);

/* ---- the sites of a domain ---- */

/* What the limits of a plan of these hosts are asked by. */
void queue_plan_limit(const struct queue *q, const struct shaping_query *query,
                      struct route_plan *plan);
/* Keeps the question for plans of sources. False: no memory. */
bool queue_domain_keep(const struct queue *q, struct queue_domain *d,
                       const struct shaping_query *query);
/* NULL: no memory. */
struct queue_site *queue_domain_site(struct queue *q, struct queue_domain *d,
                                     const struct egress_source *source);
void queue_domain_leave_sources(struct queue_domain *d);
/* Is s one of its sites, by whatever source? */
bool queue_domain_goes_to(const struct queue_domain *d, const struct queue_site *s);

#endif
