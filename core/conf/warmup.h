/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * warmup - `warmup_plans`: their own type of value, and what relates them
 *
 * Purpose:   parse and print of CONF_WARMUP_DAYS (same contract as conf_value_parse), a list of allowances with the
 *            name of a provider; the judgement of plans and of the sources that name one. What they mean:
 *            core/policy/warmup.h.
 * Owner:     text results point into the input. Thread: the loader's.
 * Limits:    CONF_WARMUP_*.
 * Errors:    reported at the item that is wrong.
 */
#ifndef RINGPOST_CONF_WARMUP_H
#define RINGPOST_CONF_WARMUP_H

#include "core/conf/apply.h"
#include "core/conf/conf.h"
#include "core/conf/value.h"
#include "core/conf/warmup_plan.h"

/* "google:20 50 100"; the name and each number are checked. */
bool conf_warmup_days_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                            struct buf *why);
void conf_warmup_days_print(const struct conf_key *key, const union conf_value *v, struct buf *out);
/* {google: [20, 50]} becomes ["google:20 50"]. */
void conf_warmup_flatten(struct conf_apply *a, struct conf_node *map);

/* The next number of conf_warmup_list.days; false: there is none. */
bool conf_warmup_next(struct slice *days, uint32_t *out);
/* NULL: no plan has this name. */
const struct conf_warmup_plan *conf_warmup_plan(const struct conf *c, struct slice name);

/* Plans against each other, sources against plans; providers that no rule of `shaping` names. root: the merged tree,
 * for the places of messages. */
void conf_warmup_check(struct conf_report *report, const struct conf_node *root,
                       const struct conf *c);

#endif
