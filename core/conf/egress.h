/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * egress - `sources`, `source_pools` and `source_rules`: their own types of values, and what relates them
 *
 * Purpose:   parse and print of CONF_WEIGHT and CONF_EGRESS_PROXY (same contract as conf_value_parse), and the
 *            judgement of the three lists: names that are missing, doubled or unknown, addresses that
 *            nothing can be sent from, rules (of shaping, too) that can never apply. What they mean: core/policy/egress.h.
 * Owner:     text results point into the input. Thread: the loader's.
 * Limits:    weights 1 … CONF_WEIGHT_MAX, so CONF_EGRESS_MAX of them fit 32 bits.
 * Errors:    reported at the item that is wrong.
 */
#ifndef RINGPOST_CONF_EGRESS_H
#define RINGPOST_CONF_EGRESS_H

#include "core/base/must.h"
#include "core/conf/apply.h"
#include "core/conf/conf.h"
#include "core/conf/value.h"

must_static((uint64_t)CONF_EGRESS_MAX *CONF_WEIGHT_MAX <= UINT32_MAX, "sums of weights fit");

/* "ip1:3"; "ip1" is "ip1:1". */
bool conf_weight_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                       struct buf *why);
void conf_weight_print(const struct conf_key *key, const union conf_value *v, struct buf *out);
/* "socks5://192.0.2.1:1080", "haproxy://[2001:db8::1]:2525" */
bool conf_egress_proxy_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                             struct buf *why);
void conf_egress_proxy_print(const struct conf_key *key, const union conf_value *v,
                             struct buf *out);

/* Empty names of sources towards servers: helo. The items are the loader's to write. */
void conf_egress_derive(struct conf *c);

/* The three lists against each other. root: the merged tree, for the places of messages. bad: one of their keys
 * was refused, and names may be missing for that reason. */
void conf_egress_check(struct conf_report *report, const struct conf_node *root,
                       const struct conf *c, bool bad);

#endif
