/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * site_limits - the limits of one site as plain values
 *
 * Purpose:   what shaping_resolve found, without pointers into the configuration: it travels with the route
 *            and may outlive the configuration it was made by.
 * Owner:     embedded in the route plan. Thread: immutable.
 * Units:     as the options': counts, milliseconds; tls: enum conf_tls_policy.
 * Limits:    none. Errors: none.
 */
#ifndef RINGPOST_POLICY_SITE_LIMITS_H
#define RINGPOST_POLICY_SITE_LIMITS_H

#include "core/policy/budget.h"
#include "core/policy/shaping.h"

struct site_limits {
    uint64_t number[CONF_SHAPING_OPTIONS]; /* everything but rates */
    struct budget_limits own;      /* the site's rates; connections are its owner's to count */
    struct budget_limits provider; /* shared by all sites of the provider … */
    bool has_provider;             /* … if it says so */
    char provider_name[CONF_SHAPING_NAME_BYTES_MAX + 1]; /* empty: it is nobody's */
    struct budget_limits total;                          /* shared by all sites of the source … */
    bool has_total;                                      /* … if a rule limits it */
    uint64_t group;                                      /* shaping_settings.group */
};

/* message_bytes: the largest message, which a byte rate must let pass. */
void site_limits_make(const struct shaping_settings *s, uint64_t message_bytes,
                      struct site_limits *out);

/* What a source may over all destinations (shaping_resolve_total). */
void site_limits_set_total(const struct shaping_settings *s, uint64_t message_bytes,
                           struct site_limits *out);

static inline bool site_limits_has_rate(const struct budget_limits *l)
{
    return l->limited[BUDGET_CONNECTION_RATE] || l->limited[BUDGET_MESSAGE_RATE] ||
           l->limited[BUDGET_BYTE_RATE];
}

#endif
