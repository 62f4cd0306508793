/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/toll.h"
#include "core/base/must.h"
#include "core/queue/brake.h"
#include "core/queue/queue.h"
#include "core/queue/site.h"
#include "core/queue/warmup.h"

#include <stdlib.h>

/* A rule of a tenant or campaign, as this worker uses it. */
struct toll_share {
    struct map_node node;
    enum conf_shaping_scope scope;
    struct slice name;     /* behind the struct */
    struct budget *budget; /* NULL: no rate is limited */
    uint32_t weight;
};

struct toll_key {
    enum conf_shaping_scope scope;
    struct slice name;
};

void queue_tolls_open(struct queue *q)
{
    map_init(&q->tolls, rng_u64(q->rng));
}

void queue_tolls_forget(struct queue *q)
{
    size_t bucket = 0;
    struct map_node *node = map_next(&q->tolls, &bucket, NULL);
    while (node) {
        struct toll_share *share = container_of(node, struct toll_share, node);
        node = map_next(&q->tolls, &bucket, node);
        map_remove(&q->tolls, &share->node);
        budget_put(q->budgets, &share->budget);
        free(share);
    }
}

void queue_tolls_close(struct queue *q)
{
    queue_tolls_forget(q);
    map_deinit(&q->tolls);
}

static bool toll_equal(const struct map_node *node, const void *key)
{
    const struct toll_share *share = container_of(node, struct toll_share, node);
    const struct toll_key *k = key;
    return share->scope == k->scope && slice_eq(share->name, k->name);
}

/* "tenant newsletter" */
static struct budget *toll_budget(struct queue *q, const struct toll_key *key,
                                  const struct budget_limits *limits)
{
    struct buf text;
    buf_init(&text, 1024);
    buf_add(&text, key->scope == CONF_SHAPING_TENANT ? SLICE("tenant ") : SLICE("campaign "));
    buf_add(&text, key->name);
    struct budget *b = site_limits_has_rate(limits)
                           ? budget_get(q->budgets, buf_slice(&text), limits, q->serial,
                                        io_now(q->io)->mono_us)
                           : NULL;
    buf_deinit(&text);
    return b;
}

static struct toll_share *toll_new(struct queue *q, const struct toll_key *key, uint64_t hash)
{
    struct shaping_settings settings;
    struct site_limits limits;
    struct toll_share *share = calloc(1, sizeof(*share) + key->name.len);
    if (!share) {
        return NULL;
    }
    char *text = (char *)(share + 1);
    memcpy(text, key->name.ptr, key->name.len);
    share->scope = key->scope;
    share->name = slice_of(text, key->name.len);
    if (!map_insert(&q->tolls, &share->node, hash)) {
        free(share);
        return NULL;
    }
    shaping_resolve_total(q->shaping, key->scope, key->name, &settings);
    site_limits_make(&settings, q->conf->limits.message_bytes, &limits);
    share->weight = (uint32_t)limits.number[CONF_SHAPING_WEIGHT];
    share->budget = toll_budget(q, key, &limits.own);
    return share;
}

/* NULL: no rule. */
static struct toll_share *toll_share(struct queue *q, enum conf_shaping_scope scope,
                                     struct slice name)
{
    struct toll_key key = {scope, name};
    if (name.len == 0) {
        return NULL;
    }
    uint64_t hash = map_hash(&q->tolls, name) ^ (uint64_t)scope;
    struct map_node *node = map_find(&q->tolls, hash, toll_equal, &key);
    if (node) {
        return container_of(node, struct toll_share, node);
    }
    return shaping_has_total(q->shaping, scope, name) ? toll_new(q, &key, hash) : NULL;
}

void queue_toll_weights(struct queue *q, const struct queue_label *label, struct ready_flow *flow)
{
    const struct toll_share *tenant = toll_share(q, CONF_SHAPING_TENANT, queue_label_tenant(label));
    const struct toll_share *campaign = toll_share(q, CONF_SHAPING_CAMPAIGN,
                                                   queue_label_campaign(label));
    flow->tenant_weight = tenant ? tenant->weight : 1;
    flow->campaign_weight = campaign ? campaign->weight : 1;
}

/* ---- paying ---- */

struct tolls {
    struct budget *budgets[QUEUE_TOLLS]; /* NULL: nothing to pay */
    uint64_t amounts[BUDGET_RATES];
    const void *who;
    uint64_t now_us;
};

static const enum budget_rate toll_rates[] = {BUDGET_MESSAGE_RATE, BUDGET_BYTE_RATE};

enum { RATES = ARRAY_COUNT(toll_rates) };

static struct budget *toll_of_label(struct queue *q, enum conf_shaping_scope scope,
                                    struct slice name)
{
    struct toll_share *share = toll_share(q, scope, name);
    return share ? share->budget : NULL;
}

static struct tolls tolls_of(struct queue *q, struct queue_site *s, const struct queue_part *p)
{
    const struct queue_message *m = p->message;
    const struct queue_label *l = m->label;
    struct tolls t = {
        .budgets = {[QUEUE_TOLL_SITE] = s->own,
                    [QUEUE_TOLL_PROVIDER] = s->provider,
                    [QUEUE_TOLL_SOURCE] = s->total},
        .amounts =
            {[BUDGET_MESSAGE_RATE] = 1, [BUDGET_BYTE_RATE] = m->body_bytes ? m->body_bytes : 1},
        .who = (const void *)(uintptr_t)s->id, /* the same in all workers */
        .now_us = io_now(q->io)->mono_us,
    };
    if (l) {
        t.budgets[QUEUE_TOLL_TENANT] = toll_of_label(q, CONF_SHAPING_TENANT, queue_label_tenant(l));
        t.budgets[QUEUE_TOLL_CAMPAIGN] = toll_of_label(q, CONF_SHAPING_CAMPAIGN,
                                                       queue_label_campaign(l));
        queue_brake_budgets(q, s, p, &t.budgets[QUEUE_TOLL_BRAKE_TENANT]);
    }
    return t;
}

/* Only the first that refuses is asked to keep a turn. */
static bool tolls_check(const struct tolls *t, struct queue_toll_wait *wait)
{
    for (size_t i = 0; i < (size_t)QUEUE_TOLLS * RATES; i++) {
        struct budget *b = t->budgets[i / RATES];
        enum budget_rate rate = toll_rates[i % RATES];
        uint64_t next_us = b ? budget_rate_next_us(b, rate, t->who, t->amounts[rate], t->now_us)
                             : t->now_us;
        if (next_us > t->now_us) {
            *wait = (struct queue_toll_wait){.by = (enum queue_toll_by)(i / RATES),
                                             .rate = rate,
                                             .next_us = next_us};
            return false;
        }
    }
    return true;
}

bool queue_toll_check(struct queue *q, struct queue_site *s, const struct queue_part *p,
                      struct queue_toll_wait *wait)
{
    if (queue_brake_holds(q, s, p, wait)) {
        return false;
    }
    struct tolls t = tolls_of(q, s, p);
    if (tolls_check(&t, wait)) {
        return queue_warmup_check(q, s, wait);
    }
    wait->cause = queue_brake_cause(q, s, p, wait);
    return false;
}

static void tolls_give(const struct tolls *t, size_t upto)
{
    for (size_t i = 0; i < upto; i++) {
        enum budget_rate rate = toll_rates[i % RATES];
        if (t->budgets[i / RATES]) {
            budget_rate_give(t->budgets[i / RATES], rate, t->amounts[rate]);
        }
    }
}

void queue_toll_give(struct queue *q, struct queue_site *s, const struct queue_part *p)
{
    struct tolls t = tolls_of(q, s, p);
    tolls_give(&t, (size_t)QUEUE_TOLLS * RATES);
    queue_warmup_give(s, p);
}

bool queue_toll_pay(struct queue *q, struct queue_site *s, struct queue_part *p,
                    struct queue_toll_wait *wait)
{
    if (queue_brake_holds(q, s, p, wait)) {
        return false;
    }
    struct tolls t = tolls_of(q, s, p);
    for (size_t i = 0; i < (size_t)QUEUE_TOLLS * RATES; i++) {
        struct budget *b = t.budgets[i / RATES];
        enum budget_rate rate = toll_rates[i % RATES];
        if (!b || budget_rate_take(b, rate, t.who, t.amounts[rate], t.now_us)) {
            continue;
        }
        tolls_give(&t, i);
        if (tolls_check(&t, wait)) { /* somebody gave back what he had taken */
            *wait = (struct queue_toll_wait){.by = (enum queue_toll_by)(i / RATES),
                                             .rate = rate,
                                             .next_us = t.now_us + 1000};
        }
        wait->cause = queue_brake_cause(q, s, p, wait);
        return false;
    }
    if (!queue_warmup_take(q, s, p, wait)) {
        tolls_give(&t, (size_t)QUEUE_TOLLS * RATES);
        return false;
    }
    return true;
}
