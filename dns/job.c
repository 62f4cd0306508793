/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A plan in the making.
 *
 *   dns_job_join --> ask MX --job_take_mx--> ask A and AAAA of every host --+
 *        |              |  no MX: the domain is the only host (implicit)    |
 *        | host only ---+-------------------------------------------------->|
 *        |              |  NXDOMAIN, null MX, failure                       v
 *        |              +------------------------------------------> job_finish --> dns->ready
 *        +-- another job for the same is under way: wait with it
 *
 * `pending` counts open questions plus one while a function asks: a cache hit is answered inside
 * job_ask, and must not finish the job in the middle of the loop that asks for all hosts.
 */
#include "dns/job.h"

#include "core/base/must.h"
#include "dns/state.h"

#include <stdio.h>
#include <stdlib.h>

static const struct dns_answer job_no_memory = {.kind = DNS_ANSWER_FAILED,
                                                .text = SLICE_INIT("out of memory")};

static void job_ask(struct job_slot *slot);
static void job_unhold(struct dns_job *job);

static uint64_t job_now_ms(const struct dns_job *job)
{
    return io_now(job->dns->io)->mono_ms;
}

static void job_note_reason(struct dns_job *job, struct slice reason)
{
    if (job->reason[0] == '\0') {
        snprintf(job->reason, sizeof(job->reason), "%.*s", SLICE_ARG(reason));
    }
}

/* ---- hosts ---- */

static bool job_make_hosts(struct dns_job *job, unsigned count)
{
    must(count > 0 && count <= LIMIT_MX_HOSTS && job->hosts == NULL);
    job->hosts = calloc(count, sizeof(*job->hosts));
    job->slots = calloc(2 * (size_t)count, sizeof(*job->slots));
    if (!job->hosts || !job->slots) {
        job->draft.status = DNS_TEMPORARY;
        job_note_reason(job, job_no_memory.text);
        return false;
    }
    job->draft.host_count = (uint16_t)count;
    return true;
}

static void job_set_host(struct dns_job *job, unsigned i, struct slice name, uint16_t preference)
{
    must(name.len > 0 && name.len <= DNS_NAME_MAX);
    struct dns_plan_host *host = &job->hosts[i];
    host->name.len = (uint8_t)name.len;
    memcpy(host->name.text, name.ptr, name.len);
    host->preference = preference;
}

/* NOLINTNEXTLINE(misc-no-recursion): MX, then addresses, each once */
static void job_ask_hosts(struct dns_job *job)
{
    const struct dns *dns = job->dns;
    for (unsigned i = 0; i < 2u * job->draft.host_count; i++) {
        struct job_slot *slot = &job->slots[i];
        slot->job = job;
        slot->type = i % 2 == 0 ? DNS_TYPE_A : DNS_TYPE_AAAA;
        slot->name = job->hosts[i / 2].name;
        slot->kind = DNS_ANSWER_NODATA; /* of a family that is switched off */
        if (slot->type == DNS_TYPE_A ? dns->ipv4 : dns->ipv6) {
            job_ask(slot);
        }
    }
}

/* NOLINTNEXTLINE(misc-no-recursion): MX, then addresses, each once */
static void job_single_host(struct dns_job *job)
{
    if (job_make_hosts(job, 1)) {
        job_set_host(job, 0, dns_name_slice(&job->domain), 0);
        job_ask_hosts(job);
    }
}

/* ---- answers ---- */

/* NOLINTNEXTLINE(misc-no-recursion): MX, then addresses, each once */
static void job_take_mx(struct dns_job *job, const struct dns_answer *a)
{
    if (a->count == 0) {
        /* RFC 7505 3; or every target is no host name, which is no reason to try the domain itself. */
        job->draft.status = a->null_mx ? DNS_NULL_MX : DNS_NO_HOST;
        return;
    }
    job->draft.truncated = a->capped;
    if (job_make_hosts(job, a->count)) {
        for (unsigned i = 0; i < a->count; i++) {
            job_set_host(job, i, a->mx[i].name, a->mx[i].preference);
        }
        job_ask_hosts(job);
    }
}

/* NOLINTNEXTLINE(misc-no-recursion): MX, then addresses, each once */
static void job_take_mx_outcome(struct dns_job *job, const struct dns_answer *a)
{
    switch (a->kind) {
    case DNS_ANSWER_DATA:
        job_take_mx(job, a);
        break;
    case DNS_ANSWER_NODATA:
        job->draft.implicit = true;
        job_single_host(job);
        break;
    case DNS_ANSWER_NXDOMAIN:
        job->draft.status = DNS_NO_DOMAIN;
        break;
    case DNS_ANSWER_FAILED:
        job->draft.status = DNS_TEMPORARY;
        break;
    case DNS_ANSWER_ALIAS:
        must_never("an alias is followed before");
        break;
    }
}

/* True: slot->name has changed, ask again. */
static bool job_follow(struct job_slot *slot, const struct dns_answer *a)
{
    must(a->text.len > 0 && a->text.len <= DNS_NAME_MAX);
    if (++slot->hops > DNS_ALIAS_MAX) {
        slot->kind = DNS_ANSWER_FAILED;
        job_note_reason(slot->job, SLICE("too many CNAMEs"));
        return false;
    }
    slot->name.len = (uint8_t)a->text.len;
    memcpy(slot->name.text, a->text.ptr, a->text.len + 1);
    return true;
}

/* Digests an answer; true when the question goes on under another name. */
/* NOLINTNEXTLINE(misc-no-recursion): MX, then addresses, each once */
static bool job_take(struct job_slot *slot, const struct dns_answer *a, uint64_t expires_ms)
{
    struct dns_job *job = slot->job;
    struct dns_plan_draft *d = &job->draft;
    d->expires_ms = expires_ms < d->expires_ms ? expires_ms : d->expires_ms;
    d->ad = d->ad && a->ad;
    slot->kind = a->kind;
    if (a->kind == DNS_ANSWER_ALIAS && job_follow(slot, a)) {
        return true;
    }
    if (a->kind == DNS_ANSWER_FAILED) {
        job_note_reason(job, a->text);
    }
    if (slot == &job->mx) {
        if (slot->kind == DNS_ANSWER_FAILED) {
            d->status = DNS_TEMPORARY;
        } else {
            job_take_mx_outcome(job, a);
        }
    } else if (slot->kind == DNS_ANSWER_DATA) {
        must(a->count <= LIMIT_ADDRESSES_PER_HOST);
        slot->count = a->count;
        memcpy(slot->addresses, a->addresses, a->count * sizeof(a->addresses[0]));
        d->truncated = d->truncated || a->capped;
    }
    return false;
}

/* ---- questions ---- */

/* An entry that will have the answer; NULL without memory, or when nothing can be asked any more. */
static struct dns_entry *job_ask_wire(struct dns *dns, const struct job_slot *slot)
{
    if (dns->drained) {
        return NULL;
    }
    struct dns_entry *e = dns_cache_add(&dns->cache, dns_name_slice(&slot->name), slot->type);
    if (e) {
        dns->counters.cache_misses++;
        dns_channel_ask(dns->channel, &e->ask);
    }
    return e;
}

/* NOLINTNEXTLINE(misc-no-recursion): MX, then addresses, each once */
static void job_ask(struct job_slot *slot)
{
    struct dns_job *job = slot->job;
    struct dns *dns = job->dns;
    bool again = true;
    while (again) {
        struct slice name = dns_name_slice(&slot->name);
        struct dns_entry *e = dns_cache_find(&dns->cache, name, slot->type, job_now_ms(job));
        if (e && e->answer) {
            dns->counters.cache_hits++;
            again = job_take(slot, e->answer, e->expires_ms);
            continue;
        }
        dns->counters.joined += e != NULL;
        e = e ? e : job_ask_wire(dns, slot);
        if (!e) {
            job_take(slot, &job_no_memory, job_now_ms(job) + DNS_TEMPORARY_TTL_MS);
            return;
        }
        list_push_back(&e->waiters, &slot->wait);
        job->pending++;
        again = false;
    }
}

void dns_job_wake(struct dns *dns, struct dns_entry *e, struct dns_answer *answer)
{
    struct list waiters;
    list_init(&waiters);
    list_splice_back(&waiters, &e->waiters);
    uint64_t now_ms = io_now(dns->io)->mono_ms;
    uint64_t expires_ms = now_ms + DNS_TEMPORARY_TTL_MS;
    const struct dns_answer *a = answer ? answer : &job_no_memory;
    if (answer) {
        dns_cache_fill(&dns->cache, e, answer, now_ms);
        expires_ms = e->expires_ms;
    } else {
        dns_cache_drop(&dns->cache, e);
    }
    struct list *node;
    while ((node = list_pop_front(&waiters)) != NULL) {
        struct job_slot *slot = LIST_ENTRY(node, struct job_slot, wait);
        struct dns_job *job = slot->job;
        if (job_take(slot, a, expires_ms)) {
            job_ask(slot);
        }
        job_unhold(job);
    }
    if (answer) {
        dns_cache_settle(&dns->cache, e, now_ms);
    }
}

/* ---- the verdict ---- */

/* A and AAAA in turns, so that a cap leaves both. */
static void job_merge_host(struct dns_job *job, unsigned i)
{
    struct dns_plan_host *host = &job->hosts[i];
    const struct job_slot *v4 = &job->slots[2 * i], *v6 = &job->slots[2 * i + 1];
    for (unsigned k = 0; k < LIMIT_ADDRESSES_PER_HOST; k++) {
        if (k < v4->count && host->count < LIMIT_ADDRESSES_PER_HOST) {
            host->addresses[host->count++] = v4->addresses[k];
        }
        if (k < v6->count && host->count < LIMIT_ADDRESSES_PER_HOST) {
            host->addresses[host->count++] = v6->addresses[k];
        }
    }
    job->draft.truncated = job->draft.truncated || v4->count + v6->count > host->count;
    bool failed = v4->kind == DNS_ANSWER_FAILED || v6->kind == DNS_ANSWER_FAILED;
    bool no_name = v4->kind == DNS_ANSWER_NXDOMAIN || v6->kind == DNS_ANSWER_NXDOMAIN;
    host->status = host->count > 0 ? DNS_OK
                   : failed        ? DNS_TEMPORARY
                   : no_name       ? DNS_NO_DOMAIN
                                   : DNS_NO_HOST;
    job->draft.partial = job->draft.partial || failed;
}

static enum dns_status job_verdict(struct dns_job *job)
{
    bool temporary = false;
    bool usable = false;
    for (unsigned i = 0; i < job->draft.host_count; i++) {
        job_merge_host(job, i);
        usable = usable || job->hosts[i].status == DNS_OK;
        temporary = temporary || job->hosts[i].status == DNS_TEMPORARY;
    }
    if (usable) {
        return DNS_OK;
    }
    if (temporary) {
        return DNS_TEMPORARY;
    }
    bool itself = job->draft.implicit || !job->with_mx;
    return itself && job->hosts[0].status == DNS_NO_DOMAIN ? DNS_NO_DOMAIN : DNS_NO_HOST;
}

static void job_explain(struct dns_job *job)
{
    struct slice domain = job->draft.domain;
    switch (job->draft.status) {
    case DNS_OK:
        job->reason[0] = '\0';
        break;
    case DNS_TEMPORARY:
    case DNS_BAD_NAME:
        break; /* said already */
    case DNS_NULL_MX:
    case DNS_NO_DOMAIN:
    case DNS_NO_HOST:
        snprintf(job->reason, sizeof(job->reason), "%.*s: %s", SLICE_ARG(domain),
                 dns_status_text(job->draft.status));
        break;
    case DNS_STATUS_COUNT:
        must_never("not a status");
        break;
    }
    job->draft.text = slice_str(job->reason);
}

static void job_finish(struct dns_job *job)
{
    must(job->pending == 0 && job->plan == NULL);
    struct dns_plan_draft *d = &job->draft;
    d->domain = dns_name_slice(&job->domain);
    if (d->host_count > 0) {
        d->status = job_verdict(job);
        d->hosts = job->hosts;
    }
    d->partial = d->partial && d->status == DNS_OK;
    if (d->expires_ms == UINT64_MAX) {
        d->expires_ms = job_now_ms(job) + DNS_TEMPORARY_TTL_MS;
    }
    job_explain(job);
    job->plan = dns_plan_make(d);
    if (job->plan) {
        job->dns->counters.capped += job->plan->truncated;
    }
    list_push_back(&job->dns->ready, &job->ready);
}

static void job_unhold(struct dns_job *job)
{
    must(job->pending > 0);
    if (--job->pending == 0) {
        job_finish(job);
    }
}

/* ---- jobs and queries ---- */

struct job_key {
    struct slice name;
    bool with_mx;
};

static bool job_equal(const struct map_node *node, const void *key)
{
    const struct dns_job *job = container_of(node, struct dns_job, node);
    const struct job_key *k = key;
    return job->with_mx == k->with_mx && slice_eq(dns_name_slice(&job->domain), k->name);
}

static void job_add_query(struct dns_job *job, struct dns_query *q)
{
    must(q->job == NULL && q->done != NULL);
    q->job = job;
    list_push_back(&job->queries, &q->link);
}

static void job_last_resort(struct dns *dns, struct dns_query *q)
{
    struct dns_job *job = &dns->last_resort;
    job_add_query(job, q);
    if (!list_linked(&job->ready)) {
        list_push_back(&dns->ready, &job->ready);
    }
}

static struct dns_job *job_new(struct dns *dns)
{
    struct dns_job *job = calloc(1, sizeof(*job));
    if (job) {
        job->dns = dns;
        job->draft.expires_ms = UINT64_MAX;
        job->draft.ad = true;
        list_init(&job->queries);
        dns->job_count++;
    }
    return job;
}

void dns_job_join(struct dns *dns, struct dns_query *q, const struct dns_name *name, bool with_mx)
{
    struct job_key key = {dns_name_slice(name), with_mx};
    uint64_t hash = map_hash(&dns->jobs, key.name) + with_mx;
    struct map_node *node = map_find(&dns->jobs, hash, job_equal, &key);
    if (node) {
        dns->counters.joined++;
        job_add_query(container_of(node, struct dns_job, node), q);
        return;
    }
    struct dns_job *job = dns->drained ? NULL : job_new(dns);
    if (!job) {
        job_last_resort(dns, q);
        return;
    }
    job->domain = *name;
    job->with_mx = with_mx;
    job->in_map = map_insert(&dns->jobs, &job->node, hash); /* without: it is not shared */
    job_add_query(job, q);
    job->pending = 1;
    if (with_mx) {
        job->mx.job = job;
        job->mx.type = DNS_TYPE_MX;
        job->mx.name = *name;
        job_ask(&job->mx);
    } else {
        job_single_host(job);
    }
    job_unhold(job);
}

void dns_job_refuse(struct dns *dns, struct dns_query *q, enum dns_status status, struct slice text)
{
    struct dns_job *job = dns->drained ? NULL : job_new(dns);
    if (!job) {
        job_last_resort(dns, q);
        return;
    }
    job->draft.status = status;
    job->draft.ad = false;
    job_note_reason(job, text);
    job_add_query(job, q);
    job_finish(job);
}

void dns_job_deliver(struct dns *dns, struct dns_job *job)
{
    const struct dns_plan *plan = job->plan ? job->plan : dns_plan_last_resort(dns->drained);
    if (job->in_map) {
        map_remove(&dns->jobs, &job->node);
    }
    /* Off the job first: a callback may start a query that lands in last_resort, for the next run. */
    struct list queries;
    list_init(&queries);
    list_splice_back(&queries, &job->queries);
    struct list *node;
    while ((node = list_pop_front(&queries)) != NULL) {
        struct dns_query *q = LIST_ENTRY(node, struct dns_query, link);
        q->job = NULL;
        dns->counters.plans[plan->status]++;
        q->done(q, dns_plan_ref(plan));
    }
    if (job != &dns->last_resort) {
        dns_plan_put(&job->plan);
        free(job->hosts);
        free(job->slots);
        free(job);
        dns->job_count--;
    }
}
