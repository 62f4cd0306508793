/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * site - where recipients go: domains, sites, parts
 *
 * Purpose:   a *domain* is the right side of an address (or the one smarthost) with its resolved
 *            route; a *site* is a set of hosts that several domains may share, with its ready list;
 *            a *part* is one message with those of its recipients that go to the same site in one
 *            transaction.
 * Owner:     the queue. Domains and sites live while something refers to them and for
 *            QUEUE_SITE_LINGER_MS more (connections, back-off and routes are worth keeping).
 * Thread:    the owner's.
 * Limits:    a part has at most delivery.recipients_per_transaction recipients.
 */
#ifndef RINGPOST_QUEUE_SITE_H
#define RINGPOST_QUEUE_SITE_H

#include "core/policy/route.h"
#include "core/queue/message.h"
#include "dns/dns.h"

enum { QUEUE_SITE_LINGER_MS = 60 * 1000, QUEUE_SMARTHOSTS_MAX = 16 };

struct queue_site {
    struct map_node by_key;
    struct slice key;  /* behind the struct */
    struct list ready; /* struct queue_part.in_list */
    uint32_t ready_count;
    struct list active; /* in queue->active_sites while ready is not empty: work for the pool */
    struct queue_part
        *last; /* the newest part in ready: where a recipient of the same message goes */
    struct route_plan *plan; /* newest route */
    bool stale;              /* it was found by an older configuration: parts are routed anew */
    uint32_t domains;        /* domains that point here */
    uint64_t used_ms;

    /* The connection pool's (core/relay/pool.c). */
    struct list idle;     /* connections waiting for work, most recently used first */
    uint32_t connections; /* all of them: connecting, busy, idle */
    uint32_t connecting;
    uint32_t working; /* those that have been ready for a transaction */
    uint32_t limit;   /* 0: the configured one */
    uint64_t limit_until_ms;
    struct list *active_list; /* for the timer */
    struct timer pause;       /* armed: the second try after a failure waits for it */
    uint64_t down_until_ms;   /* back-off after no host could be reached twice */
    struct outcome down;      /* why */
    char down_text[LIMIT_OUTCOME_TEXT_BYTES];
    uint32_t failures; /* in a row */
};

struct queue_domain {
    struct map_node by_name;
    struct slice name;   /* behind the struct, lower case as given */
    struct list waiting; /* parts until the route is known */
    struct queue_part *last;
    struct queue_site *site; /* NULL: not resolved, or the route is a refusal */
    uint64_t expires_ms;     /* of the route */
    struct outcome refusal;  /* when there is no site */
    char refusal_text[LIMIT_OUTCOME_TEXT_BYTES];
    bool smarthost;
    uint8_t pending; /* lookups under way */
    struct dns_query queries[QUEUE_SMARTHOSTS_MAX];
    const struct dns_plan *plans[QUEUE_SMARTHOSTS_MAX];
    struct queue *queue;
    uint64_t used_ms;
};

struct queue_part {
    struct list in_list; /* domain->waiting or site->ready */
    struct list of_message;
    struct queue_message *message;
    struct queue_domain *domain; /* while waiting */
    struct queue_site *site;
    uint32_t count;
    uint32_t cap;
    uint8_t returns;  /* times it came back unsent from a connection that had died */
    uint32_t rcpts[]; /* indexes */
};

/* Files all due recipients of m under their domains. */
void queue_route_message(struct queue *q, struct queue_message *m);

/* The oldest ready part of a site, leased to a connection (recipients SENDING, message has one more
 * reader); NULL: none. */
struct queue_part *queue_site_take(struct queue *q, struct queue_site *s);
/* Back to the front, nothing was sent. */
void queue_site_return(struct queue *q, struct queue_part *p);
/* Behind the others: a connection died on it. If the message itself is why, it must not be the first that
 * the next one tries. */
void queue_site_return_last(struct queue *q, struct queue_part *p);

/* A leased part keeps its first `count` recipients; the others become a part of their own, leased too.
 * NULL: no memory, p is as before. */
struct queue_part *queue_part_split(struct queue *q, struct queue_part *p, uint32_t count);

/* Ends every ready part with this outcome (the whole destination failed). */
void queue_site_fail_ready(struct queue *q, struct queue_site *s, const struct outcome *o);

/* A new configuration: every route is found anew when it is next needed. */
void queue_routes_expire(struct queue *q);

/* Ready parts and parts that wait for a route, of all sites and domains, are let go; their
 * recipients are WAITING again (shutdown). */
void queue_sites_release_parts(struct queue *q);

/* Forgets what nobody uses any more; called from a slow timer. */
void queue_sites_sweep(struct queue *q, bool all);

#endif
