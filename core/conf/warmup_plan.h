/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * warmup_plan - an item of `warmup_plans` as it is stored
 *
 * Purpose:   the struct behind the rows of keys_sources.inc. What it means: core/policy/warmup.h.
 * Owner:     the conf. Thread: immutable after conf_load. Units: messages, percent, milliseconds.
 * Limits:    CONF_WARMUP_*. Errors: none.
 */
#ifndef RINGPOST_CONF_WARMUP_PLAN_H
#define RINGPOST_CONF_WARMUP_PLAN_H

#include "core/base/slice.h"

enum {
    CONF_WARMUP_PLANS_MAX = 100,
    CONF_WARMUP_DAYS_MAX = 366,
    CONF_WARMUP_PROVIDERS_MAX = 200,
};
#define CONF_WARMUP_COUNT_MAX UINT64_C(1000000000)

struct conf_counts {
    const uint32_t *items;
    size_t count;
};
/* Of one provider. */
struct conf_warmup_list {
    struct slice provider;
    struct slice days; /* "20 50 100": conf_warmup_next */
};
struct conf_warmup_lists {
    const struct conf_warmup_list *items;
    size_t count;
};
struct conf_warmup_plan {
    struct slice name;
    struct conf_counts
        days; /* for providers that are not in the list, and for all the rest together */
    struct conf_warmup_lists providers;
    uint32_t hold_at;
    uint32_t step_back_at;
    uint64_t day_ms;
};

#endif
