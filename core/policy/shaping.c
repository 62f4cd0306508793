/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One map of every name that decides something: domains with a rule, and the four kinds of match of all
 * providers. A suffix is looked up label by label from the left, so the first hit is the longest.
 * Rules stay where conf_load put them; a lookup ends in at most six of them, from the least to the most
 * specific, and they are laid over each other. Rejected: merging at load for every domain and source
 * (sources × domains entries, and provenance for each).
 */
#include "core/policy/shaping.h"
#include "core/base/map.h"
#include "core/base/rng.h"
#include "core/conf/shaping_option.h"

#include <stdlib.h>

must_static(CONF_RATE_PERIOD_US_MAX <= RATE_PERIOD_US_MAX, "a rate that is read can be kept");
must_static(CONF_RATE_BURST_MAX <= RATE_BURST_MAX, "so can its burst");
must_static((uint64_t)CONF_RATE_BYTES_PER_S_MAX * 86400 <= RATE_COUNT_MAX, "and its count");

/* What a name decides: a rule of a scope by its name, or a provider by a match. */
enum name_kind {
    NAME_RULE = 0, /* + scope */
    NAME_MATCH = CONF_SHAPING_SCOPES,
    NAME_KINDS = NAME_MATCH + CONF_SHAPING_MATCHES,
};

struct name {
    struct map_node node;
    unsigned kind; /* NAME_RULE + scope, NAME_MATCH + match */
    struct slice text;
    const struct conf_shaping_rule *rule;
    size_t index; /* of the rule in its list, from 1 */
};

struct shaping_table {
    const struct conf *conf;
    const struct conf_shaping *rules;
    struct map names;
    size_t count;
    struct name items[];
};

struct name_key {
    unsigned kind;
    struct slice text; /* as it came: any case */
};

static bool name_is(const struct map_node *node, const void *key)
{
    const struct name *n = container_of(node, struct name, node);
    const struct name_key *k = key;
    bool exact = k->kind > NAME_RULE + CONF_SHAPING_DOMAIN && k->kind < NAME_MATCH;
    return n->kind == k->kind &&
           (exact ? slice_eq(n->text, k->text) : slice_eq_nocase(n->text, k->text));
}

static const struct name *name_find(const struct shaping_table *t, unsigned kind, struct slice text)
{
    struct name_key key = {kind, text};
    struct map_node *n = text.len
                             ? map_find(&t->names, map_hash_nocase(&t->names, text), name_is, &key)
                             : NULL;
    return n ? container_of(n, struct name, node) : NULL;
}

/* The longest suffix at a dot, the whole name included. */
static const struct name *suffix_find(const struct shaping_table *t, enum conf_shaping_match kind,
                                      struct slice text)
{
    const struct name *found = NULL;
    while (text.len && !found) {
        found = name_find(t, NAME_MATCH + (unsigned)kind, text);
        slice_cut(&text, '.');
    }
    return found;
}

static struct slice without_dot(struct slice name)
{
    return slice_first(name, name.len && name.ptr[name.len - 1] == '.' ? name.len - 1 : name.len);
}

/* ---- the table ----------------------------------------------------------------------------- */

static size_t names_count(const struct conf_shaping *s)
{
    size_t count = 0;
    for (int scope = 0; scope < CONF_SHAPING_SCOPES; scope++) {
        count += s->by[scope].count;
    }
    for (size_t i = 0; i < s->by[CONF_SHAPING_PROVIDER].count; i++) {
        for (int kind = 0; kind < CONF_SHAPING_MATCHES; kind++) {
            count += s->by[CONF_SHAPING_PROVIDER].items[i].match[kind].count;
        }
    }
    return count;
}

static bool name_put(struct shaping_table *t, const struct name *name)
{
    struct name *n = &t->items[t->count++];
    *n = *name;
    return map_insert(&t->names, &n->node, map_hash_nocase(&t->names, n->text));
}

static bool matches_put(struct shaping_table *t, const struct conf_shaping_rule *rule, size_t index)
{
    bool ok = true;
    for (unsigned kind = 0; kind < CONF_SHAPING_MATCHES; kind++) {
        for (size_t i = 0; i < rule->match[kind].count; i++) {
            struct name n = {.kind = NAME_MATCH + kind,
                             .text = rule->match[kind].items[i],
                             .rule = rule,
                             .index = index};
            ok = name_put(t, &n) && ok;
        }
    }
    return ok;
}

struct shaping_table *shaping_table_new(const struct conf *conf)
{
    const struct conf_shaping *rules = conf->shaping.rules;
    size_t most = names_count(rules);
    struct rng rng;
    struct shaping_table *t = calloc(1, sizeof(*t) + most * sizeof(t->items[0]));
    if (!t) {
        return NULL;
    }
    t->conf = conf;
    t->rules = rules;
    /* Domains come from strangers; without a seed of the kernel's the chains are only longer. */
    map_init(&t->names, rng_init_kernel(&rng) ? rng_u64(&rng) : 0);
    bool ok = true;
    for (unsigned scope = CONF_SHAPING_PROVIDER; scope < CONF_SHAPING_SCOPES; scope++) {
        for (size_t i = 0; i < rules->by[scope].count; i++) {
            const struct conf_shaping_rule *rule = &rules->by[scope].items[i];
            struct name n = {.kind = NAME_RULE + scope,
                             .text = rule->name,
                             .rule = rule,
                             .index = i + 1};
            ok = name_put(t, &n) && ok;
            ok = matches_put(t, rule, i + 1) && ok;
        }
    }
    must(t->count == most);
    if (!ok) {
        shaping_table_free(t);
        return NULL;
    }
    return t;
}

void shaping_table_free(struct shaping_table *t)
{
    if (t) {
        map_deinit(&t->names);
        free(t);
    }
}

/* NOLINTNEXTLINE(misc-no-recursion): sources of a rule have none */
static bool rule_names(const struct conf_shaping_rule *rule, enum conf_shaping_option o,
                       uint64_t number)
{
    const struct conf_shaping_setting *s = conf_shaping_find(rule, o);
    bool found = s && s->value.state == CONF_SHAPING_SET && s->value.number == number;
    for (size_t i = 0; i < rule->sources.count && !found; i++) {
        found = rule_names(&rule->sources.items[i], o, number);
    }
    return found;
}

bool shaping_table_names(const struct shaping_table *t, enum conf_shaping_option o, uint64_t number)
{
    bool found = rule_names(&t->rules->base, o, number);
    for (size_t scope = 0; scope < CONF_SHAPING_SCOPES; scope++) {
        for (size_t i = 0; i < t->rules->by[scope].count && !found; i++) {
            found = rule_names(&t->rules->by[scope].items[i], o, number);
        }
    }
    return found;
}

/* ---- which provider ------------------------------------------------------------------------ */

static const struct name *provider_of_host(const struct shaping_table *t, struct slice host)
{
    host = without_dot(host);
    const struct name *n = name_find(t, NAME_MATCH + CONF_SHAPING_MX_HOST, host);
    return n ? n : suffix_find(t, CONF_SHAPING_MX_SUFFIX, host);
}

static bool is_best(const struct shaping_query *q, size_t i)
{
    for (size_t j = 0; j < q->host_count; j++) {
        if (q->hosts[j].preference < q->hosts[i].preference) {
            return false;
        }
    }
    return true;
}

/* Hosts are few (LIMIT_ADDRESSES_PER_SITE), so pairs are compared. */
static const struct name *provider_of_hosts(const struct shaping_table *t,
                                            const struct shaping_query *q)
{
    const struct name *best = NULL;
    size_t best_count = 0;
    for (size_t i = 0; i < q->host_count; i++) {
        const struct name *n = is_best(q, i) ? provider_of_host(t, q->hosts[i].name) : NULL;
        size_t count = 0;
        for (size_t j = 0; n && j < q->host_count; j++) {
            const struct name *other = is_best(q, j) ? provider_of_host(t, q->hosts[j].name) : NULL;
            count += other && other->rule == n->rule;
        }
        if (count > best_count) {
            best = n;
            best_count = count;
        }
    }
    return best;
}

static const struct name *provider_of_domain(const struct shaping_table *t, struct slice domain)
{
    const struct name *n = name_find(t, NAME_MATCH + CONF_SHAPING_DOMAIN_NAME, domain);
    return n ? n : suffix_find(t, CONF_SHAPING_DOMAIN_SUFFIX, domain);
}

/* ---- laying rules over each other ---------------------------------------------------------- */

static void defaults_put(const struct shaping_table *t, bool relay, struct shaping_settings *out)
{
    *out = (struct shaping_settings){0};
    for (int o = 0; o < CONF_SHAPING_OPTIONS; o++) {
        struct shaping_value *v = &out->own[o];
        v->v = conf_shaping_default(t->conf, (enum conf_shaping_option)o, relay, &v->key);
    }
}

static void rule_put(const struct shaping_table *t, bool relay,
                     const struct conf_shaping_rule *rule, struct shaping_settings *out)
{
    for (size_t i = 0; rule && i < rule->count; i++) {
        const struct conf_shaping_setting *s = &rule->settings[i];
        struct shaping_value v = {.v = s->value, .at = &s->at, .rule = rule};
        if (s->value.state == CONF_SHAPING_UNSET) {
            v.v = conf_shaping_default(t->conf, s->option, relay, &v.key);
            v.v.state = CONF_SHAPING_UNSET;
        }
        out->own[s->option] = v;
        if (rule->scope == CONF_SHAPING_PROVIDER && s->option < CONF_SHAPING_BUDGETS) {
            bool none = s->value.state == CONF_SHAPING_UNSET;
            struct shaping_value silent = {.rule = NULL};
            if (none || s->value.shared) {
                out->shared[s->option] = none ? silent : v;
            }
        }
    }
}

static const struct conf_shaping_rule *source_find(const struct conf_shaping_rule *rule,
                                                   struct slice source)
{
    for (size_t i = 0; rule && source.len && i < rule->sources.count; i++) {
        if (slice_eq(rule->sources.items[i].name, source)) {
            return &rule->sources.items[i];
        }
    }
    return NULL;
}

void shaping_resolve(const struct shaping_table *t, const struct shaping_query *q,
                     struct shaping_settings *out)
{
    struct slice domain = without_dot(q->domain);
    const struct name *rule = name_find(t, NAME_RULE + CONF_SHAPING_DOMAIN, domain);
    const struct name *by_domain = provider_of_domain(t, domain);
    const struct name *provider = by_domain ? by_domain : provider_of_hosts(t, q);
    defaults_put(t, q->relay, out);
    out->provider = provider ? provider->rule : NULL;
    out->domain = rule ? rule->rule : NULL;
    const struct conf_shaping_rule *order[] = {&t->rules->base, out->provider, out->domain};
    for (size_t i = 0; i < ARRAY_COUNT(order); i++) {
        rule_put(t, q->relay, order[i], out);
        rule_put(t, q->relay, source_find(order[i], q->source), out);
    }
    out->group = (uint64_t)(rule ? rule->index : 0) << 32 | (by_domain ? by_domain->index : 0);
}

bool shaping_has_total(const struct shaping_table *t, enum conf_shaping_scope scope,
                       struct slice name)
{
    must(scope > CONF_SHAPING_DOMAIN && scope < CONF_SHAPING_SCOPES);
    return name_find(t, NAME_RULE + (unsigned)scope, name) != NULL;
}

bool shaping_resolve_total(const struct shaping_table *t, enum conf_shaping_scope scope,
                           struct slice name, struct shaping_settings *out)
{
    must(scope > CONF_SHAPING_DOMAIN && scope < CONF_SHAPING_SCOPES);
    const struct name *n = name_find(t, NAME_RULE + (unsigned)scope, name);
    defaults_put(t, false, out);
    out->own[CONF_SHAPING_CONNECTIONS].v.number = 0; /* the key is for one site, not for all */
    out->own[CONF_SHAPING_CONNECTIONS].key = NULL;
    rule_put(t, false, n ? n->rule : NULL, out);
    if (out->own[CONF_SHAPING_CONNECTIONS].v.state == CONF_SHAPING_UNSET) {
        out->own[CONF_SHAPING_CONNECTIONS].v.number = 0;
        out->own[CONF_SHAPING_CONNECTIONS].key = NULL;
    }
    return n != NULL;
}
