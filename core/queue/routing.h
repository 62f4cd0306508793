/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * routing - recipients on their way to a site, all domains and sites together
 *
 * Purpose:   files due recipients under their domains; what happens to all routes at once: a new
 *            configuration, shutdown, forgetting.
 * Owner:     the queue. Thread: the owner's.
 * Errors:    a recipient without a route ends, or is put off, by the outcome that says why; one for which
 *            there is no memory is looked at again a second later.
 */
#ifndef RINGPOST_QUEUE_ROUTING_H
#define RINGPOST_QUEUE_ROUTING_H

#include "core/queue/domain.h"

/* By what its route is found: an operator's target before all; a relay host takes all mail, but not what is for
 * ourselves. */
struct queue_key queue_key_of(const struct queue *q, const struct queue_rcpt *r);

/* Files all due recipients of m under their domains. */
void queue_route_message(struct queue *q, struct queue_message *m);

/* A new configuration: every route is found anew when it is next needed. */
void queue_routes_expire(struct queue *q);

/* Ready parts and parts that wait for a route, of all sites and domains, are let go; their
 * recipients are WAITING again (shutdown). */
void queue_sites_release_parts(struct queue *q);

/* Forgets what nobody uses any more; called from a slow timer. */
void queue_sites_sweep(struct queue *q, bool all);

#endif
