/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One map with three kinds of keys, which cannot be mixed up: "example.org", ".example.org" for what is
 * below it, "" for all others. A lookup asks for the name, for each parent with its dot, for "".
 * Everything that a rule points to lives in the table and is freed with it.
 */
#include "core/policy/dkim.h"

#include "core/base/must.h"
#include "core/base/rng.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { REASON_BYTES_MAX = 1024 };

/* One load per text: a thousand domains may share a key file. */
struct table_key {
    struct map_node node;
    struct dkim_key *key;
    struct dkim_key_facts facts;
    bool is_path;
    struct slice text;
    char bytes[];
};

struct dkim_table {
    atomic_uint refs;
    const struct dkim_key_ops *ops;
    uint64_t valid_s;
    struct map rules;
    struct map keys;
};

struct key_id {
    struct slice text;
    bool is_path;
};

static bool rule_equal(const struct map_node *node, const void *key)
{
    const struct dkim_rule *r = container_of(node, struct dkim_rule, node);
    return slice_eq(r->pattern, *(const struct slice *)key);
}

static bool key_equal(const struct map_node *node, const void *key)
{
    const struct table_key *k = container_of(node, struct table_key, node);
    const struct key_id *id = key;
    return k->is_path == id->is_path && slice_eq(k->text, id->text);
}

struct dkim_table *dkim_table_new(const struct dkim_key_ops *ops, uint64_t valid_s)
{
    struct rng rng;
    must(ops->load != NULL && ops->release != NULL);
    struct dkim_table *t = calloc(1, sizeof(*t));
    if (!t || !rng_init_kernel(&rng)) {
        free(t);
        return NULL;
    }
    atomic_init(&t->refs, 1);
    t->ops = ops;
    t->valid_s = valid_s;
    map_init(&t->rules, rng_u64(&rng));
    map_init(&t->keys, rng_u64(&rng));
    return t;
}

struct dkim_table *dkim_table_ref(struct dkim_table *t)
{
    unsigned before = atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    must(before > 0);
    return t;
}

/* ---- memory ---- */

static bool text_copy(struct slice text, struct slice *out)
{
    if (text.len == 0) {
        *out = SLICE("");
        return true;
    }
    char *copy = malloc(text.len);
    if (!copy) {
        return false;
    }
    memcpy(copy, text.ptr, text.len);
    *out = slice_of(copy, text.len);
    return true;
}

static void text_free(struct slice *text)
{
    if (text->len) {
        free((char *)(uintptr_t)text->ptr);
    }
    *text = SLICE("");
}

static void rule_free(struct dkim_rule *r)
{
    for (size_t i = 0; i < r->count; i++) {
        text_free(&r->keys[i].selector);
        text_free(&r->keys[i].domain);
    }
    text_free(&r->pattern);
    free(r);
}

static void table_key_free(const struct dkim_table *t, struct table_key *k)
{
    if (k->key) {
        t->ops->release(k->key);
    }
    explicit_bzero(k->bytes, k->text.len); /* may be the key itself */
    free(k);
}

static void table_free(struct dkim_table *t)
{
    struct map_node *node;
    size_t bucket = 0;
    while ((node = map_next(&t->rules, &bucket, NULL)) != NULL) {
        map_remove(&t->rules, node);
        rule_free(container_of(node, struct dkim_rule, node));
    }
    bucket = 0;
    while ((node = map_next(&t->keys, &bucket, NULL)) != NULL) {
        map_remove(&t->keys, node);
        table_key_free(t, container_of(node, struct table_key, node));
    }
    map_deinit(&t->rules);
    map_deinit(&t->keys);
    free(t);
}

void dkim_table_put(struct dkim_table **table)
{
    struct dkim_table *t = *table;
    *table = NULL;
    if (t) {
        unsigned before = atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel);
        must(before > 0);
        if (before == 1) {
            table_free(t);
        }
    }
}

size_t dkim_table_count(const struct dkim_table *t)
{
    return t->rules.count;
}

const struct dkim_rule *dkim_table_next(const struct dkim_table *t, size_t *bucket,
                                        const struct dkim_rule *after)
{
    struct map_node *node = map_next(&t->rules, bucket, after ? &after->node : NULL);
    return node ? container_of(node, struct dkim_rule, node) : NULL;
}

uint64_t dkim_table_valid_s(const struct dkim_table *t)
{
    return t->valid_s;
}

void dkim_table_key_files(const struct dkim_table *t, void (*each)(void *ctx, struct slice path),
                          void *ctx)
{
    struct map_node *node = NULL;
    size_t bucket = 0;
    while ((node = map_next(&t->keys, &bucket, node)) != NULL) {
        const struct table_key *k = container_of(node, struct table_key, node);
        if (k->is_path) {
            each(ctx, k->text);
        }
    }
}

/* ---- filling ---- */

void dkim_add_shown(struct buf *out, struct slice word)
{
    for (size_t i = 0; i < word.len; i++) {
        unsigned char c = (unsigned char)word.ptr[i];
        buf_add_byte(out, c >= ' ' && c != 0x7f ? word.ptr[i] : '?');
    }
}

static bool complain(struct buf *to, struct slice where, const char *what, struct slice detail)
{
    buf_addf(to, "%.*s: %s", SLICE_ARG(where), what);
    buf_add(to, detail.len ? SLICE(" '") : SLICE(""));
    dkim_add_shown(to, detail);
    buf_add(to, detail.len ? SLICE("'\n") : SLICE("\n"));
    return false;
}

static struct table_key *table_key_new(const struct dkim_table *t, const struct dkim_entry *e,
                                       struct buf *errors)
{
    struct buf why;
    struct table_key *k = calloc(1, sizeof(*k) + e->key.len);
    if (!k) {
        complain(errors, e->where, "out of memory", SLICE(""));
        return NULL;
    }
    memcpy(k->bytes, e->key.ptr, e->key.len);
    k->text = slice_of(k->bytes, e->key.len);
    k->is_path = e->key_is_path;
    buf_init(&why, REASON_BYTES_MAX);
    k->key = t->ops->load(e->key, e->key_is_path, &k->facts, &why);
    if (!k->key) {
        buf_addf(errors, "%.*s: key%s", SLICE_ARG(e->where), e->key_is_path ? " " : "");
        dkim_add_shown(errors, e->key_is_path ? e->key : SLICE(""));
        buf_addf(errors, ": %.*s\n", SLICE_ARG(buf_slice(&why)));
        table_key_free(t, k);
        k = NULL;
    }
    buf_deinit(&why);
    return k;
}

static const struct table_key *table_key_get(struct dkim_table *t, const struct dkim_entry *e,
                                             struct buf *errors, struct buf *warnings)
{
    struct key_id id = {e->key, e->key_is_path};
    uint64_t hash = map_hash(&t->keys, e->key);
    struct map_node *node = map_find(&t->keys, hash, key_equal, &id);
    if (node) {
        return container_of(node, struct table_key, node);
    }
    struct table_key *k = table_key_new(t, e, errors);
    if (!k) {
        return NULL;
    }
    if (!map_insert(&t->keys, &k->node, hash)) {
        complain(errors, e->where, "out of memory", SLICE(""));
        table_key_free(t, k);
        return NULL;
    }
    if (k->facts.weak) {
        buf_addf(warnings, "%.*s: the key has only %u bits; RFC 8301 asks for 2048\n",
                 SLICE_ARG(e->where), k->facts.bits);
    }
    return k;
}

static struct dkim_rule *rule_find(const struct dkim_table *t, struct slice pattern)
{
    struct map_node *node = map_find(&t->rules, map_hash(&t->rules, pattern), rule_equal, &pattern);
    return node ? container_of(node, struct dkim_rule, node) : NULL;
}

static struct dkim_rule *rule_get(struct dkim_table *t, struct slice pattern)
{
    struct dkim_rule *r = rule_find(t, pattern);
    if (r) {
        return r;
    }
    r = calloc(1, sizeof(*r));
    if (!r || !text_copy(pattern, &r->pattern)) {
        free(r);
        return NULL;
    }
    if (!map_insert(&t->rules, &r->node, map_hash(&t->rules, r->pattern))) {
        rule_free(r);
        return NULL;
    }
    return r;
}

static bool rule_add(struct dkim_table *t, struct slice pattern, const struct dkim_rule_key *key,
                     const struct dkim_entry *e, struct buf *errors)
{
    struct dkim_rule *r = rule_get(t, pattern);
    if (!r) {
        return complain(errors, e->where, "out of memory", SLICE(""));
    }
    for (size_t i = 0; i < r->count; i++) {
        if (slice_eq(r->keys[i].selector, key->selector) &&
            slice_eq(r->keys[i].domain, key->domain)) {
            return complain(errors, e->where, "the domain has this selector already", e->selector);
        }
    }
    if (r->count == DKIM_SIGNATURES_MAX) {
        return complain(errors, e->where, "more than 4 keys for one domain", e->domain);
    }
    struct dkim_rule_key *to = &r->keys[r->count];
    *to = *key;
    to->selector = to->domain = SLICE("");
    if (!text_copy(key->selector, &to->selector) || !text_copy(key->domain, &to->domain)) {
        text_free(&to->selector);
        return complain(errors, e->where, "out of memory", SLICE(""));
    }
    r->count++;
    return true;
}

/* pattern: a dot and the domain; *len of the domain. *signing: d=, empty for the author's own. */
static bool entry_domains(const struct dkim_entry *e, char pattern[LIMIT_DOMAIN_BYTES + 2],
                          size_t *len, struct dkim_domain *signing, struct buf *errors)
{
    struct dkim_domain domain = {0};
    if (e->domain.len && !dkim_domain_normalize(e->domain, &domain)) {
        return complain(errors, e->where, "no domain name:", e->domain);
    }
    bool own = slice_eq(e->signing_domain, SLICE("%"));
    *signing = domain;
    if (own) {
        *signing = (struct dkim_domain){0};
    }
    if (!own && e->signing_domain.len && !dkim_domain_normalize(e->signing_domain, signing)) {
        return complain(errors, e->where, "no domain name:", e->signing_domain);
    }
    pattern[0] = '.';
    memcpy(pattern + 1, domain.text, domain.len);
    *len = domain.len;
    return true;
}

bool dkim_table_add(struct dkim_table *t, const struct dkim_entry *e, struct buf *errors,
                    struct buf *warnings)
{
    char pattern[LIMIT_DOMAIN_BYTES + 2] = "";
    size_t len = 0;
    struct dkim_domain signing = {0};
    must(atomic_load(&t->refs) == 1); /* nobody reads it yet */
    must(e->domain.len == 0 || e->names || e->subdomains);
    if (!dkim_selector_valid(e->selector)) {
        return complain(errors, e->where, "no selector:", e->selector);
    }
    if (!entry_domains(e, pattern, &len, &signing, errors)) {
        return false;
    }
    if (e->key.len == 0) {
        return complain(errors, e->where, "a selector without a key", e->selector);
    }
    const struct table_key *k = table_key_get(t, e, errors, warnings);
    if (!k) {
        return false;
    }
    struct dkim_rule_key key = {
        .key = k->key,
        .algorithm = k->facts.algorithm,
        .header_canon = e->header_canon,
        .body_canon = e->body_canon,
        .selector = e->selector,
        .domain = dkim_domain_slice(&signing),
    };
    bool ok = true;
    if (e->names || len == 0) {
        ok = rule_add(t, slice_of(pattern + 1, len), &key, e, errors);
    }
    if (ok && e->subdomains && len > 0) {
        ok = rule_add(t, slice_of(pattern, len + 1), &key, e, errors);
    }
    return ok;
}

/* ---- asking ---- */

const struct dkim_rule *dkim_table_find(const struct dkim_table *t, struct slice domain)
{
    must(domain.len > 0);
    const struct dkim_rule *r = rule_find(t, domain);
    while (!r && domain.len) {
        int dot = slice_find_byte(slice_skip(domain, 1), '.');
        domain = dot < 0 ? SLICE("") : slice_skip(domain, (size_t)dot + 1);
        r = rule_find(t, domain);
    }
    return r;
}
