/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/source.h"
#include "core/base/must.h"
#include "core/queue/queue.h"
#include "core/queue/warmup.h"

#include <stdlib.h>

/* ---- the sites of a domain ---- */

/* A question of shaping with all that it points to. */
struct queue_question {
    struct shaping_query query;
    struct shaping_host hosts[];
};

void queue_plan_limit(const struct queue *q, const struct shaping_query *query,
                      struct route_plan *plan)
{
    struct shaping_query asked = *query;
    struct shaping_settings settings;
    struct site_limits limits;
    asked.source = plan->source;
    shaping_resolve(q->shaping, &asked, &settings);
    site_limits_make(&settings, q->conf->limits.message_bytes, &limits);
    if (plan->source.len) {
        shaping_resolve_total(q->shaping, CONF_SHAPING_SOURCE, plan->source, &settings);
        site_limits_set_total(&settings, q->conf->limits.message_bytes, &limits);
    }
    route_plan_limit(plan, &limits);
}

static struct slice question_keep(char **text, struct slice s)
{
    struct slice kept = {*text, s.len};
    if (s.len) {
        memcpy(*text, s.ptr, s.len);
    }
    *text += s.len;
    return kept;
}

bool queue_domain_keep(const struct queue *q, struct queue_domain *d,
                       const struct shaping_query *query)
{
    size_t bytes = query->domain.len;
    free(d->question);
    d->question = NULL;
    if (egress_count(q->egress) == 0) {
        return true;
    }
    for (size_t i = 0; i < query->host_count; i++) {
        bytes += query->hosts[i].name.len;
    }
    struct queue_question *kept = calloc(1, sizeof(*kept) +
                                                query->host_count * sizeof(kept->hosts[0]) + bytes);
    if (!kept) {
        return false;
    }
    char *text = (char *)(kept->hosts + query->host_count);
    kept->query = *query;
    kept->query.domain = question_keep(&text, query->domain);
    kept->query.hosts = kept->hosts;
    for (size_t i = 0; i < query->host_count; i++) {
        kept->hosts[i].name = question_keep(&text, query->hosts[i].name);
        kept->hosts[i].preference = query->hosts[i].preference;
    }
    d->question = kept;
    return true;
}

/* NULL: no memory. */
static struct queue_site *domain_make_site(struct queue *q, const struct queue_domain *d,
                                           struct slice source)
{
    const struct route_plan *base = d->site->plan;
    must(d->question != NULL);
    struct route_plan *plan = route_plan_by(base, source);
    if (!plan) {
        return NULL;
    }
    plan->expires_ms = base->expires_ms;
    queue_plan_limit(q, &d->question->query, plan);
    struct queue_site *s = queue_site_get(q, plan->key);
    if (!s) {
        route_plan_put(&plan);
        return NULL;
    }
    queue_site_set_plan(q, s, plan);
    s->used_ms = io_now(q->io)->mono_ms;
    return s;
}

struct queue_site *queue_domain_site(struct queue *q, struct queue_domain *d,
                                     const struct egress_source *source)
{
    must(d->site && d->site->plan);
    if (source->index >= d->source_count) {
        size_t count = source->index + 1;
        struct queue_site **more = realloc(d->by_source, count * sizeof(struct queue_site *));
        if (!more) {
            return NULL;
        }
        for (size_t i = d->source_count; i < count; i++) {
            more[i] = NULL;
        }
        d->by_source = more;
        d->source_count = count;
    }
    struct queue_site *s = d->by_source[source->index];
    if (!s && (s = domain_make_site(q, d, source->name))) {
        d->by_source[source->index] = s;
        s->domains++;
    }
    return s;
}

bool queue_domain_goes_to(const struct queue_domain *d, const struct queue_site *s)
{
    bool found = d->site == s;
    for (size_t i = 0; i < d->source_count && !found; i++) {
        found = d->by_source[i] == s;
    }
    return found;
}

void queue_domain_leave_sources(struct queue_domain *d)
{
    for (size_t i = 0; i < d->source_count; i++) {
        if (d->by_source[i]) {
            must(d->by_source[i]->domains > 0);
            d->by_source[i]->domains--;
        }
    }
    free(d->by_source);
    d->by_source = NULL;
    d->source_count = 0;
}

/* ---- the choice ---- */

/* Some source of the pool could, if its address were there and it had room. */
static bool source_reaches(const struct egress_pool *p, unsigned families)
{
    uint32_t weight;
    for (size_t i = 0; i < egress_pool_count(p); i++) {
        if (egress_pool_at(p, i, &weight)->families & families) {
            return true;
        }
    }
    return false;
}

struct outcome queue_source_outcome(void)
{
    return outcome_local(OUTCOME_TEMPORARY, OUTCOME_SITE, OUTCOME_STAGE_ROUTE,
                         (struct enhanced){4, 4, 4},
                         SLICE("no source that this mail may leave by has an address of the "
                               "family (IPv4, IPv6) of the destination's hosts"));
}

/* NULL: mail without a source. */
static const struct egress_pool *source_pool(const struct queue *q, const struct queue_message *m)
{
    const struct egress_mail mail = {
        .named = queue_label_source(m->label),
        .tenant = queue_label_tenant(m->label),
        .campaign = queue_label_campaign(m->label),
        .sender_domain = queue_address_domain(m->sender),
    };
    return egress_count(q->egress) ? egress_pool_of(q->egress, &mail) : NULL;
}

/* NULL: none may be used now. d: NULL, or without a site: where it goes is not known yet. asked: only such as have
 * room today; NULL: all. */
static const struct egress_source *source_draw(const struct queue_message *m,
                                               const struct queue_rcpt *r,
                                               const struct queue_domain *d,
                                               const struct egress_pool *pool,
                                               struct queue_warmup_asked *asked)
{
    bool known = d && d->site && d->site->plan;
    const struct egress_pick pick = {
        .may = asked ? queue_warmup_may : NULL,
        .ctx = asked,
        .id = m->id,
        .attempt = r->attempts,
        .families = known ? d->site->plan->families : EGRESS_V4 | EGRESS_V6,
    };
    return egress_choose(pool, &pick);
}

/* An override may send the mail of this site by another source (core/queue/brake.h). */
static enum queue_way source_reroute(struct queue *q, struct queue_domain *d,
                                     struct queue_site **out)
{
    const struct egress_source *other = queue_brake_source(q, *out);
    if (other) {
        *out = queue_domain_site(q, d, other);
    }
    return *out ? QUEUE_WAY_SITE : QUEUE_WAY_MEMORY;
}

enum queue_way queue_source_way(struct queue *q, const struct queue_message *m,
                                const struct queue_rcpt *r, struct queue_domain *d,
                                struct queue_site **out)
{
    const struct egress_pool *pool = d->site->local ? NULL : source_pool(q, m);
    *out = d->site;
    if (!pool) {
        return source_reroute(q, d, out);
    }
    struct queue_warmup_asked asked = {q, d};
    const struct egress_source *source = source_draw(m, r, d, pool, &asked);
    if (!source) { /* what none has room for today waits where it would go */
        source = source_draw(m, r, d, pool, NULL);
    }
    if (!source) {
        bool later = source_reaches(pool, d->site->plan->families);
        q->sources.wait = q->sources.wait || later;
        return later ? QUEUE_WAY_WAIT : QUEUE_WAY_NONE;
    }
    *out = queue_domain_site(q, d, source);
    return *out ? source_reroute(q, d, out) : QUEUE_WAY_MEMORY;
}

const struct egress_source *queue_source_of(struct queue *q, const struct queue_message *m,
                                            const struct queue_rcpt *r)
{
    const struct egress_pool *pool = source_pool(q, m);
    const struct queue_domain *d = pool ? queue_domain_find(q, queue_key_of(q, r)) : NULL;
    return pool && !(d && d->kind == QUEUE_DOMAIN_LOCAL) ? source_draw(m, r, d, pool, NULL) : NULL;
}

/* ---- news ---- */

static void source_release(struct queue *q)
{
    size_t bucket = 0;
    for (struct map_node *n = map_next(&q->sites, &bucket, NULL); n;
         n = map_next(&q->sites, &bucket, n)) {
        struct queue_site *s = container_of(n, struct queue_site, by_key);
        struct slice name = queue_site_source(s);
        const struct egress_source *source = name.len ? egress_find(q->egress, name) : NULL;
        if (source && s->plan && !(egress_families_now(source) & s->plan->families)) {
            queue_site_release(q, s);
        }
    }
}

bool queue_sources_pending(const struct queue *q)
{
    return egress_news(q->egress) != q->sources.news;
}

void queue_sources_wake(struct queue *q)
{
    q->sources.wake = q->sources.wait;
}

void queue_sources_run(struct queue *q)
{
    if (queue_sources_pending(q)) {
        q->sources.news = egress_news(q->egress);
        source_release(q);
        queue_sources_wake(q);
    }
    const struct queue_order_init look = {.action = QUEUE_ACT_RESUME, .select.all = true};
    if (q->sources.wake && queue_order_start(q, &look)) {
        q->sources.wake = q->sources.wait = false;
    }
}
