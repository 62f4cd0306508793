/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/site_limits.h"

static const enum conf_shaping_option rate_options[BUDGET_RATES] = {
    [BUDGET_CONNECTION_RATE] = CONF_SHAPING_CONNECTION_RATE,
    [BUDGET_MESSAGE_RATE] = CONF_SHAPING_MESSAGE_RATE,
    [BUDGET_BYTE_RATE] = CONF_SHAPING_BYTE_RATE,
};

static void site_limits_rate(const struct conf_rate *r, enum budget_rate rate,
                             uint64_t message_bytes, struct budget_limits *out)
{
    out->limited[rate] = r->count > 0;
    if (r->count) {
        out->rules[rate] = shaping_rate_rule(r, rate == BUDGET_BYTE_RATE ? message_bytes : 1);
    }
}

void site_limits_make(const struct shaping_settings *s, uint64_t message_bytes,
                      struct site_limits *out)
{
    *out = (struct site_limits){.group = s->group};
    for (size_t i = 0; i < CONF_SHAPING_OPTIONS; i++) {
        out->number[i] = s->own[i].v.number;
    }
    for (size_t i = 0; i < BUDGET_RATES; i++) {
        site_limits_rate(&s->own[rate_options[i]].v.rate, (enum budget_rate)i, message_bytes,
                         &out->own);
        const struct shaping_value *shared = &s->shared[rate_options[i]];
        if (shared->rule) {
            out->has_provider = true;
            site_limits_rate(&shared->v.rate, (enum budget_rate)i, message_bytes, &out->provider);
        }
    }
    if (s->shared[CONF_SHAPING_CONNECTIONS].rule) {
        out->has_provider = true;
        out->provider.connections = (uint32_t)s->shared[CONF_SHAPING_CONNECTIONS].v.number;
    }
    if (s->provider) {
        bool fits = slice_to_cstr(s->provider->name, out->provider_name,
                                  sizeof(out->provider_name));
        must(fits);
    }
}

void site_limits_set_total(const struct shaping_settings *s, uint64_t message_bytes,
                           struct site_limits *out)
{
    const struct shaping_value *connections = &s->own[CONF_SHAPING_CONNECTIONS];
    for (size_t i = 0; i < BUDGET_RATES; i++) {
        site_limits_rate(&s->own[rate_options[i]].v.rate, (enum budget_rate)i, message_bytes,
                         &out->total);
    }
    if (connections->rule) {
        out->total.connections = (uint32_t)connections->v.number;
    }
    out->has_total = out->total.connections || site_limits_has_rate(&out->total);
}
