/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The resolver of a worker: queries in, plans out. What happens when:
 *
 *   dns_*_start   name check, join a job or make one; the cache answers what it can; nothing is sent
 *   dns_on_io     c-ares reads its sockets and notes answers
 *   dns_run       answers → jobs (which may ask more) → questions out → callbacks of finished jobs
 */
#include "dns/dns.h"

#include "core/base/must.h"
#include "dns/state.h"

#include <stdlib.h>

static bool dns_check_config(const struct dns_config *cfg, struct buf *error)
{
    if (!cfg->ipv4 && !cfg->ipv6) {
        buf_addf(error, "dns: IPv4 and IPv6 are both off: nothing could be delivered");
        return false;
    }
    if (cfg->server_count > DNS_SERVERS_MAX) {
        buf_addf(error, "dns: %zu servers, at most %d are allowed", cfg->server_count,
                 DNS_SERVERS_MAX);
        return false;
    }
    if (cfg->timeout_ms == 0 || cfg->timeout_ms > INT32_MAX || cfg->tries == 0 ||
        cfg->tries > 100) {
        buf_addf(error, "dns: a time-out above 0 and 1 to 100 tries are needed");
        return false;
    }
    for (size_t i = 0; i < cfg->server_count; i++) {
        if (cfg->servers[i].addr.family == IP_NONE || cfg->servers[i].port == 0) {
            buf_addf(error, "dns: server %zu has no address or port", i + 1);
            return false;
        }
    }
    return true;
}

struct dns *dns_open(const struct dns_config *cfg, struct io *io, struct timer_wheel *timers,
                     struct rng *rng, struct buf *error)
{
    must(io != NULL && timers != NULL && rng != NULL && error != NULL);
    if (!dns_check_config(cfg, error)) {
        return NULL;
    }
    struct dns *dns = calloc(1, sizeof(*dns));
    if (!dns) {
        buf_addf(error, "dns: out of memory");
        return NULL;
    }
    dns->channel = dns_channel_open(cfg, io, timers, rng, error);
    if (!dns->channel) {
        free(dns);
        return NULL;
    }
    dns->io = io;
    dns->ipv4 = cfg->ipv4;
    dns->ipv6 = cfg->ipv6;
    struct dns_cache_limits limits = {
        .entries_max = cfg->cache_entries,
        .ttl_min_ms = cfg->ttl_min_ms,
        .ttl_max_ms = cfg->ttl_max_ms,
        .negative_ttl_max_ms = cfg->negative_ttl_max_ms,
    };
    dns_cache_init(&dns->cache, &limits, rng_u64(rng));
    map_init(&dns->jobs, rng_u64(rng));
    list_init(&dns->ready);
    list_init(&dns->last_resort.queries);
    dns->last_resort.dns = dns;
    return dns;
}

/* What c-ares brought, to the jobs. */
static void dns_digest(struct dns *dns)
{
    struct dns_ask *ask;
    while ((ask = dns_channel_next(dns->channel)) != NULL) {
        struct dns_entry *e = container_of(ask, struct dns_entry, ask);
        struct dns_answer *answer = ask->answer;
        ask->answer = NULL;
        if (answer && answer->kind != DNS_ANSWER_FAILED) {
            dns->counters.answers++;
        } else {
            dns->counters.failures++;
        }
        dns_job_wake(dns, e, answer);
    }
}

/* The jobs that are ready now; what their callbacks make ready is for the next time. */
static void dns_deliver(struct dns *dns)
{
    struct list ready;
    list_init(&ready);
    list_splice_back(&ready, &dns->ready);
    struct list *node;
    while ((node = list_pop_front(&ready)) != NULL) {
        dns_job_deliver(dns, LIST_ENTRY(node, struct dns_job, ready));
    }
}

void dns_run(struct dns *dns)
{
    dns_channel_run(dns->channel);
    dns_digest(dns);
    dns_channel_run(dns->channel); /* questions that the answers led to go out in this tick */
    dns_deliver(dns);
}

bool dns_pending(const struct dns *dns)
{
    return !list_empty(&dns->ready) || dns_channel_pending(dns->channel);
}

void dns_on_io(struct dns *dns, const struct io_event *ev)
{
    must(ev->kind == IO_KIND_DNS);
    dns_channel_on_io(dns->channel, ev);
}

void dns_drain(struct dns *dns)
{
    dns_run(dns); /* results that are there count */
    dns->drained = true;
    dns_channel_stop(dns->channel);
    dns_digest(dns);
    while (dns->job_count > 0) {
        must(!list_empty(&dns->ready));
        dns_deliver(dns);
    }
}

bool dns_idle(const struct dns *dns)
{
    return dns->drained && list_empty(&dns->ready) && dns_channel_idle(dns->channel);
}

void dns_close(struct dns *dns)
{
    must(dns_idle(dns) && dns->job_count == 0 && dns->jobs.count == 0);
    dns_channel_close(dns->channel);
    dns_cache_deinit(&dns->cache);
    map_deinit(&dns->jobs);
    free(dns);
}

static void dns_start(struct dns *dns, struct dns_query *q, struct slice text, bool with_mx)
{
    must(!dns_query_active(q) && q->done != NULL);
    struct dns_name name;
    if (dns_name_to_ascii(text, &name)) {
        dns_job_join(dns, q, &name, with_mx);
    } else {
        dns_job_refuse(dns, q, DNS_BAD_NAME, slice_str(dns_status_text(DNS_BAD_NAME)));
    }
}

void dns_mx_start(struct dns *dns, struct dns_query *q, struct slice domain)
{
    dns_start(dns, q, domain, true);
}

void dns_host_start(struct dns *dns, struct dns_query *q, struct slice host)
{
    dns_start(dns, q, host, false);
}

void dns_query_cancel(struct dns *dns, struct dns_query *q)
{
    if (dns_query_active(q)) {
        must(q->job->dns == dns);
        list_remove(&q->link);
        q->job = NULL;
    }
}

void dns_flush(struct dns *dns)
{
    dns_cache_flush(&dns->cache);
}

struct dns_counters dns_counters(const struct dns *dns)
{
    const struct dns_channel_counters *wire = dns_channel_counters(dns->channel);
    struct dns_counters c = dns->counters;
    c.asked = wire->asked;
    c.timeouts = wire->timeouts;
    c.in_flight = wire->in_flight;
    c.waiting = wire->waiting;
    c.evicted = dns->cache.evicted;
    c.cached = dns->cache.ready;
    return c;
}

static const struct {
    const char *name;
    const char *text;
} dns_status_rows[DNS_STATUS_COUNT] = {
    [DNS_OK] = {"ok", "found"},
    [DNS_NULL_MX] = {"null_mx", "the domain accepts no mail (null MX)"},
    [DNS_NO_DOMAIN] = {"no_domain", "the domain does not exist"},
    [DNS_NO_HOST] = {"no_host", "no mail host has an address"},
    [DNS_BAD_NAME] = {"bad_name", "not a domain name"},
    [DNS_TEMPORARY] = {"temporary", "the DNS gives no answer now"},
};

const char *dns_status_name(enum dns_status status)
{
    must(status < DNS_STATUS_COUNT);
    return dns_status_rows[status].name;
}

const char *dns_status_text(enum dns_status status)
{
    must(status < DNS_STATUS_COUNT);
    return dns_status_rows[status].text;
}
