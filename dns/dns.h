/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * dns - where mail for a domain goes: MX, A and AAAA as a plan
 *
 * Purpose:   turns a domain (or a smarthost's name) into an immutable plan: hosts in order of
 *            preference, each with its addresses, or the reason why there are none. c-ares does the
 *            asking on the ring's poll operation; caching, single-flight, caps and the meaning of
 *            answers are ours. Which addresses may be used (private ones, our own, families) is
 *            decided by policy; the order among equal preferences is shuffled by the caller.
 * Owner:     a worker owns its struct dns: dns_open … dns_drain … dns_close. A struct dns_query is
 *            embedded in its owner and must stay where it is while active (dns_query_active).
 *            A plan is reference-counted: whoever was given one ends it with dns_plan_put.
 * Thread:    the worker's; only plans may be kept, read and put on any thread.
 * Units:     *_ms are milliseconds; expires_ms and all times are io_now()->mono_ms.
 * Limits:    LIMIT_MX_HOSTS hosts, LIMIT_ADDRESSES_PER_HOST, LIMIT_ADDRESSES_PER_SITE (sum of a
 *            plan; each host in turn gets one before any gets a second); DNS_IN_FLIGHT_MAX questions
 *            on the wire, further ones wait; cfg.cache_entries cached answers, least recently used
 *            goes first; DNS_ALIAS_MAX CNAMEs in a row.
 * Completions: nothing completes inside dns_*_start, not even a cache hit: callbacks run in dns_run
 *            (and dns_drain). A callback may start and cancel any query and free its owner. After
 *            dns_query_cancel there is no callback.
 * Errors:    every lookup ends in a plan with a status; only NULL_MX, NO_DOMAIN, NO_HOST and BAD_NAME
 *            are permanent. Memory exhaustion is DNS_TEMPORARY.
 * RFC:       5321 5.1 (MX, implicit MX, CNAME), 7505 (null MX), 2308 (negative caching), 2181 5.2 and
 *            8 (TTL), 6891 (EDNS), 7873 (cookies), 9520 (caching failures), 5891 (A-labels).
 */
#ifndef RINGPOST_DNS_DNS_H
#define RINGPOST_DNS_DNS_H

#include "core/base/ipaddr.h"
#include "core/base/limits.h"
#include "core/base/list.h"
#include "core/base/rng.h"
#include "core/base/slice.h"
#include "core/base/timer.h"
#include "core/io/io.h"

enum {
    DNS_PORT = 53,
    DNS_SERVERS_MAX = 16,
    DNS_IN_FLIGHT_MAX = 1000,
    DNS_ALIAS_MAX = 8,
    DNS_TEMPORARY_TTL_MS = 5000, /* how long a failed question is not asked again (RFC 9520 3.2) */
};

enum dns_status {
    DNS_OK,        /* at least one host has an address */
    DNS_NULL_MX,   /* RFC 7505: the domain takes no mail: 5.1.10 */
    DNS_NO_DOMAIN, /* NXDOMAIN: 5.1.2 */
    DNS_NO_HOST,   /* it exists, but no host has an address, all answers were definite: 5.4.4 */
    DNS_BAD_NAME,  /* not a domain name (syntax, length, IDNA): 5.1.2 */
    DNS_TEMPORARY, /* SERVFAIL, REFUSED, time-out, malformed, no server, shutting down: 4.4.3 */
    DNS_STATUS_COUNT
};

struct dns_config {
    const struct ip_endpoint *servers; /* copied; count 0: /etc/resolv.conf */
    size_t server_count;
    uint64_t timeout_ms; /* longest wait for one answer of one server */
    uint32_t
        tries; /* rounds over all servers; a question is not given up before timeout_ms * tries,
                       and at the latest after timeout_ms * (tries + 1) * 2 * servers */
    uint32_t cache_entries;
    uint64_t ttl_min_ms; /* floor for positive answers */
    uint64_t ttl_max_ms;
    uint64_t negative_ttl_max_ms;
    bool ipv4; /* ask for A */
    bool ipv6; /* ask for AAAA */
};

struct dns_host {
    struct slice name; /* A-labels, lower case, no final dot; NUL behind the last byte */
    uint16_t preference;
    uint16_t address_count; /* 0: see status */
    const struct ip_addr *addresses;
    enum dns_status status; /* OK, NO_DOMAIN, NO_HOST, TEMPORARY: why it has no address */
};

struct dns_plan {
    enum dns_status status;
    uint16_t
        host_count; /* all MX hosts, also those without address; by preference, equal adjacent */
    uint16_t usable_count; /* hosts with an address; > 0 exactly when status is DNS_OK */
    bool implicit;         /* no MX record: the domain itself (RFC 5321 5.1) */
    bool truncated;        /* a cap cut hosts or addresses */
    bool partial;          /* OK, but a lookup failed temporarily; expires soon */
    bool ad; /* every answer had AD: means something with a validating resolver only */
    uint64_t expires_ms;
    struct slice domain;          /* what was asked, as A-labels in lower case */
    const struct dns_host *hosts; /* NULL when host_count is 0 */
    struct slice text;            /* when not OK: the reason in one line, "" otherwise */
};

struct dns_query;
/* plan: one reference for the callee. q is inactive already and may be started again. */
typedef void dns_done_fn(struct dns_query *q, const struct dns_plan *plan);

struct dns_job;
struct dns_query {
    dns_done_fn *done; /* the owner sets done, ctx, owner before the start */
    void *ctx;
    struct handle owner;
    struct list link;    /* dns's */
    struct dns_job *job; /* dns's; NULL: inactive */
};

struct dns_counters {
    uint64_t asked;      /* questions given to c-ares */
    uint64_t answers;    /* questions that ended with a definite answer */
    uint64_t failures;   /* … temporarily */
    uint64_t timeouts;   /* part of failures */
    uint64_t cache_hits; /* answered from the cache, positive or negative */
    uint64_t cache_misses;
    uint64_t joined;  /* lookups and plans that joined one under way */
    uint64_t evicted; /* live entries that made room */
    uint64_t capped;  /* plans cut by a limit */
    uint64_t plans[DNS_STATUS_COUNT];
    uint32_t in_flight; /* questions on the wire */
    uint32_t waiting;   /* questions that wait for a place on the wire */
    uint32_t cached;    /* entries */
};

struct dns;

/* NULL: one line of reason is in *error. Reads /etc/resolv.conf when no server is configured. */
struct dns *dns_open(const struct dns_config *cfg, struct io *io, struct timer_wheel *timers,
                     struct rng *rng, struct buf *error);
/* Ends everything under way: each active query gets its callback here (DNS_TEMPORARY, or its result if
 * that was there); one started from now on gets DNS_TEMPORARY in the next dns_run. Sockets are closed,
 * polls are cancelled. Never from within a callback. */
void dns_drain(struct dns *dns);
/* True after dns_drain when the last cancelled poll has come back and no query is active: only then
 * dns_close. */
bool dns_idle(const struct dns *dns);
void dns_close(struct dns *dns);

/* Mail for a domain: its MX hosts, or itself. Literals ("[192.0.2.1]") are not names: BAD_NAME. */
void dns_mx_start(struct dns *dns, struct dns_query *q, struct slice domain);
/* A host by name, without MX (a smarthost): one host, preference 0. */
void dns_host_start(struct dns *dns, struct dns_query *q, struct slice host);
/* Nothing happens when q is inactive. What is on the wire goes on and fills the cache. */
void dns_query_cancel(struct dns *dns, struct dns_query *q);
static inline bool dns_query_active(const struct dns_query *q)
{
    return q->job != NULL;
}

/* Loop phase: digests what came in, asks what waits, runs callbacks. */
void dns_run(struct dns *dns);
/* True when dns_run has something to do now: the loop must not sleep. */
bool dns_pending(const struct dns *dns);
/* The handler of IO_KIND_DNS. */
void dns_on_io(struct dns *dns, const struct io_event *ev);

/* Forgets every cached answer (operator's flush; what is under way is not affected). */
void dns_flush(struct dns *dns);
struct dns_counters dns_counters(const struct dns *dns);
const char *dns_status_name(enum dns_status status); /* "ok", "null_mx", …: logs and metrics */
const char *dns_status_text(enum dns_status status); /* a sentence for people */

const struct dns_plan *dns_plan_ref(const struct dns_plan *plan);
void dns_plan_put(const struct dns_plan **plan); /* sets *plan to NULL; NULL is allowed */

/* "1.34.5": the c-ares this is linked with. */
const char *dns_library_version(void);

#endif
