/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * shaping - which limits hold for a destination, and which file said so
 *
 * Purpose:   looks up the rules of core/conf/shaping.h. For mail to one site by one egress source each
 *            option has the value of the most specific rule that sets it:
 *
 *              configuration keys (delivery.*)  <  default              <  default × source
 *                                               <  provider             <  provider × source
 *                                               <  domain               <  domain × source
 *
 *            `unset` in a rule cancels what the less specific ones say: the option is back at the
 *            configuration key, a rate at no limit.
 * Provider:  at most one. The recipient's domain decides if a provider names it (`domain`, then the
 *            longest `domain_suffix`); else the hosts: each belongs to the provider of its name
 *            (`mx_host`, then the longest `mx_suffix`), and the provider that most of the best-preferred
 *            hosts belong to has the site, the first of them in the route's order when two have as
 *            many. Hosts that belong to none do not count, nor do backups: politeness is due to
 *            those we talk to, and a foreign backup MX must not free anybody from a limit.
 * Budgets:   limits of options < CONF_SHAPING_BUDGETS are counted per site and source. A provider's with
 *            `shared: true` is counted once more, for all its sites together (per source): `shared`. That
 *            holds whatever a domain's rule says about the site's own. Sources, tenants and
 *            campaigns have budgets of their own, over all destinations (shaping_resolve_total); all
 *            that apply must have room.
 * Site:      domains with the same hosts share a site only if `group` is equal: one with a rule of its own
 *            has its own connections, because TLS policy and limits are per domain.
 * Owner:     shaping_table_new; reads `conf`, which must outlive it. Results point into both.
 * Thread:    immutable: any.
 * Errors:    shaping_table_new: NULL without memory. The rules were judged by conf_load.
 */
#ifndef RINGPOST_POLICY_SHAPING_H
#define RINGPOST_POLICY_SHAPING_H

#include "core/base/must.h"
#include "core/conf/shaping.h"
#include "core/policy/rate.h"

struct shaping_host {
    struct slice name;
    uint16_t preference;
};

/* Names in any case; a final dot is ignored. */
struct shaping_query {
    struct slice domain; /* of the recipients; "": whatever goes by a relay host */
    struct slice source; /* "": not one with a name */
    const struct shaping_host *hosts;
    size_t host_count; /* 0: not looked up; only the domain decides */
    bool relay;        /* the hosts are relay.host: relay.tls is the default of tls */
};

struct shaping_value {
    struct conf_shaping_value v;          /* state SET, or SILENT/UNSET: the default is in it */
    const struct conf_origin *at;         /* the line that set (or unset) it; NULL: none did */
    const struct conf_shaping_rule *rule; /* whose line it is; NULL likewise */
    const char *key; /* the configuration key it comes from; NULL: a line or fixed */
};

struct shaping_settings {
    struct shaping_value own[CONF_SHAPING_OPTIONS];    /* per site × source */
    struct shaping_value shared[CONF_SHAPING_BUDGETS]; /* per provider × source; rule NULL: none */
    const struct conf_shaping_rule *provider;          /* NULL: none */
    const struct conf_shaping_rule *domain;            /* NULL: none */
    uint64_t group; /* in one table; 0: provider by hosts or none, no rule of the domain's own */
};

static inline uint64_t shaping_number(const struct shaping_settings *s, enum conf_shaping_option o)
{
    return s->own[o].v.number;
}

/* count 0: no limit. */
static inline const struct conf_rate *shaping_rate(const struct shaping_settings *s,
                                                   enum conf_shaping_option o)
{
    return &s->own[o].v.rate;
}

/* r->count must not be 0. take_max: 1 for messages and connections, the largest message for bytes. */
static inline struct rate_rule shaping_rate_rule(const struct conf_rate *r, uint64_t take_max)
{
    must(r->count > 0);
    return rate_rule_make(r->count, r->period_us, r->burst, take_max);
}

struct shaping_table;

struct shaping_table *shaping_table_new(const struct conf *conf);
void shaping_table_free(struct shaping_table *t);
/* Does any rule set the option to this number? */
bool shaping_table_names(const struct shaping_table *t, enum conf_shaping_option o,
                         uint64_t number);

/* No allocation; a few hash lookups per label and host: once per site and reload. */
void shaping_resolve(const struct shaping_table *t, const struct shaping_query *q,
                     struct shaping_settings *out);
/* Does a rule name it? */
bool shaping_has_total(const struct shaping_table *t, enum conf_shaping_scope scope,
                       struct slice name);
/* Total budgets and weight of a source, tenant or campaign; only options of that scope mean anything.
 * False: no rule names it; *out is then all defaults (no limits, weight 1). */
bool shaping_resolve_total(const struct shaping_table *t, enum conf_shaping_scope scope,
                           struct slice name, struct shaping_settings *out);

#endif
