/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/way.h"
#include "core/base/must.h"
#include "core/queue/site.h"

void queue_way_keys(const struct queue_site *s, const struct queue_label *label,
                    struct automation_keys *out)
{
    must(s->plan != NULL);
    *out = (struct automation_keys){
        .source = queue_site_source(s),
        .site = queue_site_place(s),
        .provider = slice_str(s->plan->limits.provider_name),
        .tenant = queue_label_tenant(label),
        .campaign = queue_label_campaign(label),
        .dkim = queue_label_dkim(label),
    };
}
