/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * egress - which source (local address, EHLO name, proxy) a message leaves by
 *
 * Purpose:   `sources:`, `source_pools:` and `source_rules:` as a table that is looked up per recipient and
 *            attempt. Two steps: which pool (egress_pool_of, a question of the message alone), then which of
 *            its sources (egress_choose, which is given what is known of the moment). A source is a pool of
 *            its own, too, with its name: names of pools and sources are one set.
 * Choice:    a draw by weight from a hash of message id and attempt: the same question has the same answer.
 *            A message keeps its draw for EGRESS_ATTEMPTS_PER_DRAW attempts, because greylists
 *            want to see the same address again. A source that may not be used gives up only its own mail:
 *            that is drawn once more, among the others, so the others' weights hold.
 * Owner:     relay_settings: egress_table_new … egress_table_free. Reads conf, which must outlive it.
 *            What is known of a source at run time (struct egress_state) is shared with the table that
 *            the next configuration brings, as long as name and addresses stay.
 * Thread:    immutable: any; the states are atomic.
 * Limits:    EGRESS_SOURCES_MAX sources and as many pools and rules.
 * Errors:    egress_table_new: NULL without memory. The configuration was judged by conf_load.
 */
#ifndef RINGPOST_POLICY_EGRESS_H
#define RINGPOST_POLICY_EGRESS_H

#include "core/conf/conf.h"

enum {
    EGRESS_SOURCES_MAX = CONF_EGRESS_MAX,
    EGRESS_ATTEMPTS_PER_DRAW = 4,
    EGRESS_PROXY_PAUSE_MS = 5000, /* doubled each time … */
    EGRESS_PROXY_PAUSE_MAX_MS = 60 * 1000,
};

enum egress_family { EGRESS_V4 = 1, EGRESS_V6 = 2 };

static inline unsigned egress_family_of(const struct ip_addr *a)
{
    return a->family == IP_V4 ? EGRESS_V4 : EGRESS_V6;
}

/* kind NONE: none of the rest means anything. */
struct egress_proxy {
    enum conf_egress_proxy_kind kind;
    struct ip_endpoint at; /* a literal address */
    struct slice user;     /* SOCKS5, RFC 1929; empty: no login */
    struct slice password;
};

struct egress_state;

struct egress_source {
    struct slice name; /* conf_label_valid */
    unsigned index;    /* 0 … egress_count - 1: bits of a set */
    struct ip_addr
        address4; /* IP_NONE: has none. Behind a proxy: the proxy's, nothing is bound here */
    struct ip_addr address6;
    unsigned families; /* EGRESS_*: what its addresses reach; a proxy without addresses: both */
    struct slice ehlo; /* never empty */
    struct egress_proxy proxy;
    struct egress_state *state;
};

struct egress_pool;
struct egress_table;

/* old: the table that this one replaces, or NULL. */
struct egress_table *egress_table_new(const struct conf *conf, const struct egress_table *old);
void egress_table_free(struct egress_table *t);

/* t may be NULL here and below: no sources. */
size_t egress_count(const struct egress_table *t);
const struct egress_source *egress_at(const struct egress_table *t, size_t index);
/* By name: "reroute to source NAME". NULL: there is none. */
const struct egress_source *egress_find(const struct egress_table *t, struct slice name);

/* ---- the choice ---- */

struct egress_mail {
    struct slice named; /* what the header field named: a pool or a source; empty: nothing */
    struct slice tenant;
    struct slice campaign;
    struct slice sender_domain; /* empty: the null sender */
};

/* A pool or a source of this name; NULL: neither. */
const struct egress_pool *egress_pool_find(const struct egress_table *t, struct slice name);
/* What the message named, if it exists; else of the first rule that matches. NULL: no rule does: mail without a
 * named source. */
const struct egress_pool *egress_pool_of(const struct egress_table *t, const struct egress_mail *m);
struct slice egress_pool_name(const struct egress_pool *p);
size_t egress_pool_count(const struct egress_pool *p);
const struct egress_source *egress_pool_at(const struct egress_pool *p, size_t i, uint32_t *weight);

struct egress_pick {
    uint64_t id;       /* of the message */
    uint32_t attempt;  /* of the recipient, from 0 */
    unsigned families; /* EGRESS_*: addresses that the destination has */
    /* May this one be used now (has it room)? NULL: all may. Paused sources are not asked for. */
    bool (*may)(void *ctx, const struct egress_source *s);
    void *ctx;
};

/* NULL: none of them may be used now. */
const struct egress_source *egress_choose(const struct egress_pool *p,
                                          const struct egress_pick *pick);

/* ---- addresses that have gone, and come back ---- */

/* Why a source is paused. */
#define EGRESS_TEXT_GONE                                                                           \
    SLICE("the address is not on this machine; mail goes by other sources of its pool, or waits "  \
          "until it is back")

/* Families that it can be used for at the moment; 0: paused. */
unsigned egress_families_now(const struct egress_source *s);
/* bind() says that the address is not on this machine (there: it is again). True: that is news. */
bool egress_set_gone(const struct egress_source *s, enum egress_family family, bool gone);

/* Its proxy is of no use: it pauses, longer each time in a row. True: that is news. */
bool egress_proxy_failed(const struct egress_source *s, uint64_t now_ms);
/* A connection went through it. */
void egress_proxy_works(const struct egress_source *s);
/* The pause is over: tried again from now on. True: that is news. */
bool egress_proxy_retry(const struct egress_source *s, uint64_t now_ms);

/* Grows with each such news, of all tables of one engine. */
uint64_t egress_news(const struct egress_table *t);
/* How often it was paused. */
uint64_t egress_pauses(const struct egress_source *s);

#endif
