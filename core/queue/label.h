/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * label - tenant, campaign, named source and DKIM domain, once for all messages that have them
 *
 * Purpose:   a million messages of one mailing share one set of names; a message has a pointer. The hashes
 *            are the same in all workers: by them the owner of a site tells whose turn it is.
 * Owner:     the home's queue; counted by messages. What is inside never changes, so other workers read it
 *            as long as they have a part of such a message.
 * Thread:    the home's (get, put).
 * Limits:    names as conf_label_valid.
 * Errors:    NULL: no memory.
 */
#ifndef RINGPOST_QUEUE_LABEL_H
#define RINGPOST_QUEUE_LABEL_H

#include "core/base/map.h"

struct obs_log;
struct queue;

struct queue_label {
    struct map_node node;
    uint32_t refs;
    uint8_t tenant_bytes;
    uint8_t campaign_bytes;
    uint8_t source_bytes;
    uint8_t dkim_bytes;
    uint64_t tenant_hash; /* 0: no tenant */
    uint64_t campaign_hash;
    uint64_t dkim_hash;
    char text[]; /* tenant, campaign, source, dkim */
};

struct queue_label_names {
    struct slice tenant;
    struct slice campaign;
    struct slice source; /* or a pool, named by the message's header */
    struct slice dkim;   /* domain that has signed it here, in lower case */
};

/* One of the names must not be empty. */
struct queue_label *queue_label_get(struct queue *q, const struct queue_label_names *names);
void queue_label_put(struct queue *q, struct queue_label **label);

/* Of NULL: empty. */
static inline struct slice queue_label_tenant(const struct queue_label *l)
{
    return l ? slice_of(l->text, l->tenant_bytes) : slice_of("", 0);
}

static inline struct slice queue_label_campaign(const struct queue_label *l)
{
    return l ? slice_of(l->text + l->tenant_bytes, l->campaign_bytes) : slice_of("", 0);
}

static inline struct slice queue_label_source(const struct queue_label *l)
{
    return l ? slice_of(l->text + l->tenant_bytes + l->campaign_bytes, l->source_bytes)
             : slice_of("", 0);
}

static inline struct slice queue_label_dkim(const struct queue_label *l)
{
    return l ? slice_of(l->text + l->tenant_bytes + l->campaign_bytes + l->source_bytes,
                        l->dkim_bytes)
             : slice_of("", 0);
}

/* Its fields of an event that has begun. */
void queue_log_label(struct obs_log *log, const struct queue_label *l);

/* What the turns of a tenant or campaign of this name go by; 0: the name is empty. */
uint64_t queue_label_hash(const struct queue *q, struct slice name);

#endif
