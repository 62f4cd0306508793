/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/automation_rules.h"

#define RULE(name_, provider_, classes_, code_, pattern_, scope_, trigger_, action_, value_,       \
             duration_, sample_)                                                                   \
    {                                                                                              \
        .at = {CONF_FROM_FILE, SLICE_INIT("automation_builtin.inc"), __LINE__, 1},                 \
        .name = SLICE_INIT(name_),                                                                 \
        .provider = SLICE_INIT(provider_),                                                         \
        .classes = SLICE_INIT(classes_),                                                           \
        .match = {SLICE_INIT(code_), {"", 0}, {"", 0}, SLICE_INIT(pattern_), SLICE_INIT(sample_)}, \
        .scope = SLICE_INIT(scope_),                                                               \
        .trigger = SLICE_INIT(trigger_),                                                           \
        .action = SLICE_INIT(action_),                                                             \
        .value = SLICE_INIT(value_),                                                               \
        .duration = SLICE_INIT(duration_),                                                         \
    },

static const struct automation_row rows[] = {
#include "core/policy/automation_builtin.inc"
};

#undef RULE

struct automation_rows automation_builtin(void)
{
    return (struct automation_rows){rows, ARRAY_COUNT(rows)};
}
