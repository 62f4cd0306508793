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

static bool label_equal(const struct map_node *node, const void *key)
{
    const struct queue_label *l = container_of(node, struct queue_label, node);
    const struct queue_label_names *n = key;
    return slice_eq(queue_label_tenant(l), n->tenant) &&
           slice_eq(queue_label_campaign(l), n->campaign) &&
           slice_eq(queue_label_source(l), n->source) && slice_eq(queue_label_dkim(l), n->dkim);
}

static char *label_copy(char *to, struct slice name)
{
    if (name.len) {
        memcpy(to, name.ptr, name.len);
    }
    return to + name.len;
}

struct queue_label *queue_label_get(struct queue *q, const struct queue_label_names *n)
{
    size_t bytes = n->tenant.len + n->campaign.len + n->source.len + n->dkim.len;
    uint64_t dkim_hash = queue_label_hash(q, n->dkim);
    uint64_t tenant_hash = queue_label_hash(q, n->tenant);
    uint64_t campaign_hash = queue_label_hash(q, n->campaign);
    uint64_t hash = map_hash_u64(&q->labels, ((tenant_hash * 31 + campaign_hash) * 31 +
                                              queue_label_hash(q, n->source)) *
                                                     31 +
                                                 dkim_hash);
    must(n->tenant.len <= UINT8_MAX && n->campaign.len <= UINT8_MAX);
    must(n->source.len <= UINT8_MAX && n->dkim.len <= UINT8_MAX && bytes > 0);
    struct map_node *node = map_find(&q->labels, hash, label_equal, n);
    if (node) {
        struct queue_label *known = container_of(node, struct queue_label, node);
        known->refs++;
        return known;
    }
    struct queue_label *l = calloc(1, sizeof(*l) + bytes);
    if (!l) {
        return NULL;
    }
    l->refs = 1;
    l->tenant_bytes = (uint8_t)n->tenant.len;
    l->campaign_bytes = (uint8_t)n->campaign.len;
    l->source_bytes = (uint8_t)n->source.len;
    l->dkim_bytes = (uint8_t)n->dkim.len;
    l->dkim_hash = dkim_hash;
    l->tenant_hash = tenant_hash;
    l->campaign_hash = campaign_hash;
    char *to = label_copy(label_copy(l->text, n->tenant), n->campaign);
    label_copy(label_copy(to, n->source), n->dkim);
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
