/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/classify.h"

#define ROW(class_, code_, enhanced_, stage_, pattern_, sample_)                                   \
    {                                                                                              \
        .at = {CONF_FROM_FILE, SLICE_INIT("classify_builtin.inc"), __LINE__, 1},                   \
        .class = SLICE_INIT(class_),                                                               \
        .match = {SLICE_INIT(code_), SLICE_INIT(enhanced_), SLICE_INIT(stage_),                    \
                  SLICE_INIT(pattern_), SLICE_INIT(sample_)},                                      \
    },

static const struct classify_row rows[] = {
#include "core/policy/classify_builtin.inc"
};

#undef ROW

struct classify_rows classify_builtin(void)
{
    return (struct classify_rows){rows, ARRAY_COUNT(rows)};
}
