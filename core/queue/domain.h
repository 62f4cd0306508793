/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * domain - the right side of addresses, and where its mail goes
 *
 * Purpose:   a *domain* is the right side of an address, or the one smarthost, or this machine's mailboxes,
 *            with its resolved route: a site or a refusal. domain.c keeps them and asks the name service; domain_route.c makes the
 *            route of the answers.
 * Owner:     the queue. A domain lives while something refers to it and for QUEUE_SITE_LINGER_MS more.
 * Thread:    the owner's.
 * Errors:    queue_domain_get: NULL without memory. A route that does not exist is a refusal: an outcome.
 */
#ifndef RINGPOST_QUEUE_DOMAIN_H
#define RINGPOST_QUEUE_DOMAIN_H

#include "core/queue/site.h"
#include "dns/dns.h"

enum { QUEUE_SMARTHOSTS_MAX = 16 };

enum queue_domain_kind {
    QUEUE_DOMAIN_MX,        /* its own hosts */
    QUEUE_DOMAIN_SMARTHOST, /* relay.host, for all names */
    QUEUE_DOMAIN_LOCAL,     /* mailboxes of this machine, for all of access.local_domains */
    QUEUE_DOMAIN_TARGET,    /* a host that an operator has named: core/queue/target.h */
};

struct queue_question;

struct queue_domain {
    struct map_node by_name;
    struct slice name;   /* behind the struct, lower case as given */
    struct list waiting; /* parts until the route is known */
    struct queue_part *last;
    struct queue_site *site; /* without a source; NULL: not resolved, or the route is a refusal */
    struct queue_site **by_source;   /* core/queue/source.h; NULL: not used lately. Owned. */
    size_t source_count;             /* of by_source */
    struct queue_question *question; /* by what the limits for a source are found. Owned. */
    uint64_t expires_ms;             /* of the route */
    struct outcome refusal;          /* when there is no site */
    char refusal_text[LIMIT_OUTCOME_TEXT_BYTES];
    enum queue_domain_kind kind;
    uint8_t pending; /* lookups under way */
    struct dns_query queries[QUEUE_SMARTHOSTS_MAX];
    const struct dns_plan *plans[QUEUE_SMARTHOSTS_MAX];
    struct queue *queue;
    uint64_t used_ms;
};

struct queue_key {
    struct slice name; /* of QUEUE_DOMAIN_MX; the others are one each */
    enum queue_domain_kind kind;
};

/* Found or made. */
struct queue_domain *queue_domain_get(struct queue *q, struct queue_key key);
/* NULL: not known now. */
struct queue_domain *queue_domain_find(struct queue *q, struct queue_key key);
/* Nothing may wait for it. */
void queue_domain_free(struct queue *q, struct queue_domain *d);
/* Its route is known and not too old. */
bool queue_domain_fresh(const struct queue *q, const struct queue_domain *d);
/* True when the route is known at once; else the lookups have begun. */
bool queue_domain_resolve(struct queue *q, struct queue_domain *d);
/* The configuration is another: the route is found anew, lookups under way are for nothing. */
void queue_domain_expire(struct queue *q, struct queue_domain *d);
/* Parts that wait for the route are let go. */
void queue_domain_release(struct queue_domain *d);

/* ---- domain_route.c: each ends in a site or a refusal ---- */

/* Of the answer in d->plans[0]. */
void queue_domain_build_mx(struct queue *q, struct queue_domain *d);
/* Of the hosts in relay.host and the answers in d->plans. */
void queue_domain_build_smarthosts(struct queue *q, struct queue_domain *d);
/* Always the same site, without hosts: core/relay/maildir.h takes its parts. */
void queue_domain_build_local(struct queue *q, struct queue_domain *d);
/* Of an operator's target: the answer in d->plans[0], or the address that it is. */
void queue_domain_build_target(struct queue *q, struct queue_domain *d);
/* False: the domain is no address literal, nothing has changed. */
bool queue_domain_build_literal(struct queue *q, struct queue_domain *d);
void queue_domain_leave_site(struct queue_domain *d);

#endif
