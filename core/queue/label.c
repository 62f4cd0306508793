/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/label.h"
#include "core/base/hash.h"
#include "core/queue/queue.h"

#include <stdlib.h>

uint64_t queue_label_hash(const struct queue *q, struct slice name)
{
    uint64_t seed = q->group ? q->group->names_seed : q->names_seed;
    uint64_t hash = name.len ? hash_bytes(name, seed) : 0;
    return name.len && hash == 0 ? 1 : hash;
}

void queue_log_label(struct obs_log *log, const struct queue_label *l)
{
    if (l && l->tenant_bytes) {
        obs_str(log, OBS_F_TENANT, queue_label_tenant(l));
    }
    if (l && l->campaign_bytes) {
        obs_str(log, OBS_F_CAMPAIGN, queue_label_campaign(l));
    }
}

struct label_key {
    struct slice tenant;
    struct slice campaign;
};

static bool label_equal(const struct map_node *node, const void *key)
{
    const struct queue_label *l = container_of(node, struct queue_label, node);
    const struct label_key *k = key;
    return slice_eq(queue_label_tenant(l), k->tenant) &&
           slice_eq(queue_label_campaign(l), k->campaign);
}

struct queue_label *queue_label_get(struct queue *q, struct slice tenant, struct slice campaign)
{
    struct label_key key = {tenant, campaign};
    uint64_t tenant_hash = queue_label_hash(q, tenant);
    uint64_t campaign_hash = queue_label_hash(q, campaign);
    uint64_t hash = map_hash_u64(&q->labels, tenant_hash * 31 + campaign_hash);
    must(tenant.len <= UINT8_MAX && campaign.len <= UINT8_MAX && tenant.len + campaign.len > 0);
    struct map_node *node = map_find(&q->labels, hash, label_equal, &key);
    if (node) {
        struct queue_label *known = container_of(node, struct queue_label, node);
        known->refs++;
        return known;
    }
    struct queue_label *l = calloc(1, sizeof(*l) + tenant.len + campaign.len);
    if (!l) {
        return NULL;
    }
    l->refs = 1;
    l->tenant_bytes = (uint8_t)tenant.len;
    l->campaign_bytes = (uint8_t)campaign.len;
    l->tenant_hash = tenant_hash;
    l->campaign_hash = campaign_hash;
    if (tenant.len) {
        memcpy(l->text, tenant.ptr, tenant.len);
    }
    if (campaign.len) {
        memcpy(l->text + tenant.len, campaign.ptr, campaign.len);
    }
    if (!map_insert(&q->labels, &l->node, hash)) {
        free(l);
        return NULL;
    }
    return l;
}

void queue_label_put(struct queue *q, struct queue_label **label)
{
    struct queue_label *l = *label;
    *label = NULL;
    if (l) {
        must(l->refs > 0);
        if (--l->refs == 0) {
            map_remove(&q->labels, &l->node);
            free(l);
        }
    }
}
