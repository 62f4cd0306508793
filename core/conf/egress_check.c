/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What no single value says about sources, pools and rules. Every message stands at the item it is about.
 */
#include "core/base/map.h"
#include "core/conf/egress.h"
#include "core/conf/shaping.h"

#include <stdio.h>
#include <stdlib.h>

/* Sources and pools: one set of names. */
struct egress_name {
    struct map_node node;
    struct slice text;
    bool is_pool;
    size_t index;
    size_t seen_in; /* the last pool that has it, + 1 */
};

struct egress_check {
    struct conf_report *report;
    const struct conf_node *root;
    const struct conf *c;
    struct map names;
    struct egress_name *items;
    size_t count;
};

/* "sources[2].addresses", and where it was written. */
struct egress_place {
    struct conf_origin at;
    char text[96];
    struct slice path;
};

static const struct egress_place *place_of(const struct egress_check *k, struct egress_place *p,
                                           struct slice group, size_t index, const char *leaf)
{
    const struct conf_node *list = conf_node_find(k->root, group);
    const struct conf_node *item = list ? conf_node_at(list, index) : NULL;
    const struct conf_node *node = item ? conf_node_find(item, slice_str(leaf)) : NULL;
    p->at = node   ? node->origin
            : item ? item->origin
                   : (struct conf_origin){.kind = CONF_FROM_DEFAULT};
    int n = snprintf(p->text, sizeof(p->text), "%.*s[%zu].%s", SLICE_ARG(group), index, leaf);
    must(n > 0 && (size_t)n < sizeof(p->text));
    p->path = slice_of(p->text, (size_t)n);
    return p;
}

#define COMPLAIN(k, group, index, leaf, ...)                                                       \
    do {                                                                                           \
        struct egress_place place_;                                                                \
        place_of(k, &place_, SLICE(group), index, leaf);                                           \
        conf_report_error((k)->report, &place_.at, place_.path, __VA_ARGS__);                      \
    } while (0)

/* ---- names ---- */

/* Names of sources stand in the keys of sites, where case does not count. */
static bool name_is(const struct map_node *node, const void *key)
{
    return slice_eq_nocase(container_of(node, struct egress_name, node)->text,
                           *(const struct slice *)key);
}

static struct egress_name *find_alike(const struct egress_check *k, struct slice text)
{
    struct map_node *n = map_find(&k->names, map_hash_nocase(&k->names, text), name_is, &text);
    return n ? container_of(n, struct egress_name, node) : NULL;
}

static struct egress_name *find_name(const struct egress_check *k, struct slice text)
{
    struct egress_name *n = find_alike(k, text);
    return n && slice_eq(n->text, text) ? n : NULL;
}

static void add_name(struct egress_check *k, const struct egress_place *p,
                     const struct egress_name *name)
{
    if (name->text.len == 0) {
        conf_report_error(k->report, &p->at, p->path, "is missing");
        return;
    }
    const struct egress_name *other = find_alike(k, name->text);
    if (other) {
        conf_report_error(k->report, &p->at, p->path,
                          "\"%.*s\" is %s[%zu] already; sources and pools need different names",
                          SLICE_ARG(name->text), other->is_pool ? "source_pools" : "sources",
                          other->index);
        return;
    }
    struct egress_name *mine = &k->items[k->count++];
    *mine = *name;
    if (!map_insert(&k->names, &mine->node, map_hash_nocase(&k->names, mine->text))) {
        conf_report_error(k->report, &p->at, p->path, "out of memory");
    }
}

static void check_names(struct egress_check *k)
{
    const struct conf *c = k->c;
    struct egress_place p;
    for (size_t i = 0; i < c->sources.count; i++) {
        const struct egress_name name = {.text = c->sources.items[i].name, .index = i};
        add_name(k, place_of(k, &p, SLICE("sources"), i, "name"), &name);
    }
    for (size_t i = 0; i < c->source_pools.count; i++) {
        const struct egress_name name = {.text = c->source_pools.items[i].name,
                                         .index = i,
                                         .is_pool = true};
        add_name(k, place_of(k, &p, SLICE("source_pools"), i, "name"), &name);
    }
}

/* "; did you mean ip1?", or which there are. */
static void suggest(const struct egress_check *k, struct slice text, bool pools_too,
                    struct buf *out)
{
    struct slice near = {NULL, 0};
    size_t best = 2 + text.len / 5;
    for (size_t i = 0; i < k->count; i++) {
        const struct egress_name *n = &k->items[i];
        if ((pools_too || !n->is_pool) && conf_suggest_nearer(text, n->text, &best)) {
            near = n->text;
        }
    }
    if (near.len) {
        buf_addf(out, "; did you mean %.*s?", SLICE_ARG(near));
    } else {
        buf_add(out, pools_too ? SLICE("; add it to source_pools or sources")
                               : SLICE("; add it to sources"));
    }
}

static void unknown(const struct egress_check *k, const struct egress_place *p, struct slice text,
                    bool pools_too)
{
    struct buf hint;
    buf_init(&hint, 256);
    suggest(k, text, pools_too, &hint);
    conf_report_error(k->report, &p->at, p->path, "\"%.*s\" is not the name of a %s%.*s",
                      SLICE_ARG(text), pools_too ? "pool or source" : "source",
                      SLICE_ARG(buf_slice(&hint)));
    buf_deinit(&hint);
}

/* ---- sources ---- */

/* NULL: mail can be sent from it. */
static const char *address_trouble(const struct ip_addr *a)
{
    switch (ip_addr_class(a)) {
    case IP_CLASS_UNSPECIFIED:
        return "is every address and none: name the one that mail is to leave by";
    case IP_CLASS_MULTICAST:
        return "is a multicast address: nothing can be sent from it";
    case IP_CLASS_LINK_LOCAL:
        return "is a link-local address: nothing behind a router can be reached from it";
    case IP_CLASS_LOOPBACK:
    case IP_CLASS_PRIVATE:
    case IP_CLASS_RESERVED:
    case IP_CLASS_NAT64:
    case IP_CLASS_GLOBAL:
        break;
    }
    return NULL;
}

static void check_addresses(const struct egress_check *k, size_t i)
{
    const struct conf_egress_source *s = &k->c->sources.items[i];
    const struct conf_delivery *d = &k->c->delivery;
    char text[IP_TEXT_MAX];
    bool reach = s->addresses.count == 0;
    for (size_t a = 0; a < s->addresses.count; a++) {
        const struct ip_addr *address = &s->addresses.items[a];
        const char *trouble = address_trouble(address);
        if (trouble) {
            COMPLAIN(k, "sources", i, "addresses", "%s %s", ip_addr_text(address, text), trouble);
        }
        if (a > 0 && address->family == s->addresses.items[0].family) {
            COMPLAIN(
                k, "sources", i, "addresses",
                "%s: a source has one address of a family; make two sources and a pool of them",
                ip_addr_text(address, text));
        }
        reach = reach || (address->family == IP_V4 ? d->ipv4 : d->ipv6);
    }
    if (!reach) {
        COMPLAIN(k, "sources", i, "addresses",
                 "nothing can be reached from there: delivery.ipv%d is false",
                 s->addresses.items[0].family == IP_V4 ? 4 : 6);
    }
    if (s->addresses.count == 0 && s->proxy.kind != CONF_EGRESS_SOCKS5) {
        COMPLAIN(k, "sources", i, "addresses", "must be given: one IPv4 or IPv6 address, or both");
    }
}

static void check_proxy(const struct egress_check *k, size_t i)
{
    const struct conf_egress_source *s = &k->c->sources.items[i];
    if (s->proxy_user.len && s->proxy.kind != CONF_EGRESS_SOCKS5) {
        COMPLAIN(k, "sources", i, "proxy_user", "needs a proxy: socks5://…");
    }
    if ((s->proxy_user.len == 0) != (s->proxy_password.len == 0)) {
        const char *has = s->proxy_user.len ? "proxy_user" : "proxy_password";
        COMPLAIN(k, "sources", i, has, "needs %s too",
                 s->proxy_user.len ? "proxy_password" : "proxy_user");
    }
}

/* ---- pools and rules ---- */

static void check_pool(struct egress_check *k, size_t i)
{
    const struct conf_weights *members = &k->c->source_pools.items[i].sources;
    struct egress_place p;
    place_of(k, &p, SLICE("source_pools"), i, "sources");
    if (members->count == 0) {
        conf_report_error(k->report, &p.at, p.path, "must be given: at least one source");
    }
    for (size_t m = 0; m < members->count; m++) {
        struct egress_name *n = find_name(k, members->items[m].name);
        if (!n || n->is_pool) {
            unknown(k, &p, members->items[m].name, false);
        } else if (n->seen_in == i + 1) {
            conf_report_error(k->report, &p.at, p.path, "%.*s is there twice; give it one share",
                              SLICE_ARG(n->text));
        } else {
            n->seen_in = i + 1;
        }
    }
}

static bool covers(struct slice wanted, struct slice given, bool any_case)
{
    return wanted.len == 0 || (any_case ? slice_eq_nocase(wanted, given) : slice_eq(wanted, given));
}

/* Whatever b matches, a matches too. */
static bool rule_covers(const struct conf_egress_rule *a, const struct conf_egress_rule *b)
{
    return covers(a->tenant, b->tenant, false) && covers(a->campaign, b->campaign, false) &&
           covers(a->sender_domain, b->sender_domain, true);
}

static void check_rule(const struct egress_check *k, size_t i)
{
    const struct conf_egress_rule *rules = k->c->source_rules.items;
    struct egress_place p;
    place_of(k, &p, SLICE("source_rules"), i, "pool");
    if (rules[i].pool.len == 0) {
        conf_report_error(k->report, &p.at, p.path, "must be given: a pool or a source");
    } else if (!find_name(k, rules[i].pool)) {
        unknown(k, &p, rules[i].pool, true);
    }
    for (size_t j = 0; j < i; j++) {
        if (rule_covers(&rules[j], &rules[i])) {
            conf_report_error(k->report, &p.at, p.path,
                              "can never apply: source_rules[%zu] matches all of its mail before; "
                              "put the narrower rule first",
                              j);
            return;
        }
    }
}

/* ---- rules of shaping for sources ---- */

static void check_shaped(const struct egress_check *k, const struct conf_shaping_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++) {
        const struct conf_shaping_rule *r = &rules->items[i];
        const struct egress_name *n = find_name(k, r->name);
        if (!n || n->is_pool) {
            conf_report_warning(
                k->report, &r->at, SLICE("shaping"),
                "the rule for source %.*s can never apply: no source has this name%s",
                SLICE_ARG(r->name), n ? " (it is a pool)" : "");
        }
    }
}

static void check_shaping(const struct egress_check *k)
{
    const struct conf_shaping *s = k->c->shaping.rules;
    const enum conf_shaping_scope scopes[] = {CONF_SHAPING_PROVIDER, CONF_SHAPING_DOMAIN};
    if (!s) {
        return;
    }
    check_shaped(k, &s->by[CONF_SHAPING_SOURCE]);
    check_shaped(k, &s->base.sources);
    for (size_t i = 0; i < ARRAY_COUNT(scopes); i++) {
        const struct conf_shaping_rules *rules = &s->by[scopes[i]];
        for (size_t r = 0; r < rules->count; r++) {
            check_shaped(k, &rules->items[r].sources);
        }
    }
}

void conf_egress_check(struct conf_report *report, const struct conf_node *root,
                       const struct conf *c, bool bad)
{
    size_t count = c->sources.count + c->source_pools.count;
    struct egress_check k = {.report = report, .root = root, .c = c};
    if (bad) {
        return;
    }
    k.items = calloc(count + 1, sizeof(*k.items));
    if (!k.items) {
        COMPLAIN(&k, "sources", 0, "name", "out of memory");
        return;
    }
    map_init(&k.names, 0);
    check_names(&k);
    for (size_t i = 0; i < c->sources.count; i++) {
        check_addresses(&k, i);
        check_proxy(&k, i);
    }
    for (size_t i = 0; i < c->source_pools.count; i++) {
        check_pool(&k, i);
    }
    for (size_t i = 0; i < c->source_rules.count; i++) {
        check_rule(&k, i);
    }
    check_shaping(&k);
    map_deinit(&k.names);
    free(k.items);
}
