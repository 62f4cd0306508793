/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * route - from DNS answers or smarthosts to the addresses a site is tried at
 *
 * Purpose:   pure decisions: which hosts and addresses of an MX plan may be used (self-in-MX rule,
 *            private targets, address families), in which order, and what it means when none is left.
 * Owner:     route_plan_* : reference-counted by its holder count (route_plan_put).
 * Thread:    a plan does not change and is shared between workers (the count is atomic).
 * Limits:    LIMIT_ADDRESSES_PER_SITE candidates.
 * Errors:    no candidate: NULL and an outcome of scope SITE: permanent 5.1.2/5.1.10/5.4.4/5.4.6 or
 *            temporary 4.4.3.
 * RFC:       5321 5.1 (order, self), 7505 (null MX).
 */
#ifndef RINGPOST_POLICY_ROUTE_H
#define RINGPOST_POLICY_ROUTE_H

#include "core/base/ipaddr.h"
#include "core/base/rng.h"
#include "core/conf/conf.h"
#include "core/policy/egress.h"
#include "core/policy/site_limits.h"
#include "proto/smtp/outcome.h"

/* What dns found for one host, in a form that does not depend on dns/ (siblings do not include each
 * other): the queue converts. */
struct route_host {
    struct slice name;
    struct slice named; /* a smarthost as the operator wrote it; empty: an MX host */
    uint16_t preference;
    uint16_t port;
    bool explicit;   /* named by the operator (smarthost): private addresses are fine */
    bool unresolved; /* its lookup failed for now: it may turn out usable */
    const struct ip_addr *addresses;
    size_t address_count;
};

struct route_candidate {
    struct ip_endpoint endpoint;
    struct slice host;  /* behind the plan */
    struct slice named; /* too; see route_host: nobody but a smarthost is logged in to */
    uint16_t preference;
};

struct route_plan {
    _Atomic uint32_t refs;
    uint64_t expires_ms; /* set by its maker before anybody else has it */
    size_t count;
    struct route_candidate *candidates;
    struct slice key;    /* names the site: equal for equal host sets, limits and sources */
    size_t hosts_len;    /* of key: its beginning, without group and source */
    struct slice source; /* the end of key, of policy/egress.h; empty: none with a name */
    unsigned families;   /* EGRESS_*: of its addresses */
    size_t bytes;        /* of all of it */
    struct site_limits limits;
};

/* hosts sorted by preference. On NULL *refusal is set (text is a literal). */
struct route_plan *route_plan_new(const struct conf *conf, const struct route_host *hosts,
                                  size_t count, struct rng *rng, struct outcome *refusal);
/* The same hosts for mail that leaves by this source, without limits yet. NULL: no memory. */
struct route_plan *route_plan_by(const struct route_plan *base, struct slice source);
/* Before anybody else has it. Domains with rules of their own become sites of their own. */
void route_plan_limit(struct route_plan *p, const struct site_limits *limits);
static inline uint64_t route_plan_number(const struct route_plan *p, enum conf_shaping_option o)
{
    return p->limits.number[o];
}
struct route_plan *route_plan_ref(struct route_plan *p);
void route_plan_put(struct route_plan **p);

#endif
