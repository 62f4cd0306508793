/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Keys, seats and counters. Hashes of keys stand in rows on disk, so their seeds are fixed; who can make two
 * keys of one hash and one shown text only makes his own destinations share an override. In the tables
 * themselves they are hashed again with the map's secret seed.
 */
#include "core/base/hash.h"
#include "core/policy/automation_private.h"

#include <stdlib.h>

enum { SEED_NAME = 1, SEED_SITE = 2, SEED_RULE = 3 };

static struct automation_name name_of(struct slice text, uint64_t seed)
{
    return (struct automation_name){slice_first(text, AUTOMATION_KEY_BYTES_MAX),
                                    hash_bytes(text, seed)};
}

static struct automation_name campaign_of(const struct automation_keys *keys,
                                          struct automation_key_scratch *scratch)
{
    struct slice tenant = slice_first(keys->tenant, AUTOMATION_KEY_BYTES_MAX / 2 - 1);
    struct slice campaign = slice_first(keys->campaign, AUTOMATION_KEY_BYTES_MAX / 2);
    size_t len = 0;
    if (tenant.len) {
        memcpy(scratch->campaign, tenant.ptr, tenant.len);
        len = tenant.len;
        scratch->campaign[len++] = '/';
    }
    if (campaign.len) {
        memcpy(scratch->campaign + len, campaign.ptr, campaign.len);
        len += campaign.len;
    }
    uint64_t hash = hash_bytes(keys->campaign, hash_bytes(keys->tenant, SEED_NAME));
    return (struct automation_name){slice_of(scratch->campaign, len), hash};
}

static bool who_make(const struct automation_keys *keys, enum automation_who who,
                     struct automation_key_scratch *scratch, struct automation_name *out)
{
    struct slice text = SLICE("");
    switch (who) {
    case AUTOMATION_EVERYBODY:
    case AUTOMATION_WHOS:
        *out = (struct automation_name){text, 0};
        return who == AUTOMATION_EVERYBODY;
    case AUTOMATION_SOURCE: /* mail without a named one leaves by one and the same, too */
        *out = name_of(keys->source, SEED_NAME);
        return true;
    case AUTOMATION_TENANT:
        text = keys->tenant;
        break;
    case AUTOMATION_CAMPAIGN:
        *out = campaign_of(keys, scratch);
        return keys->campaign.len > 0;
    case AUTOMATION_DKIM:
        text = keys->dkim;
        break;
    }
    *out = name_of(text, SEED_NAME);
    return text.len > 0;
}

bool automation_key_make(const struct automation_keys *keys, struct automation_scope scope,
                         struct automation_key_scratch *scratch, struct automation_key *out)
{
    out->scope = scope;
    if (!who_make(keys, scope.who, scratch, &out->who)) {
        return false;
    }
    switch (scope.where) {
    case AUTOMATION_SITE:
        out->where = name_of(keys->site, SEED_SITE);
        return keys->site.len > 0;
    case AUTOMATION_PROVIDER:
        /* Without a provider the site stands for it; a name of one is never taken for the other. */
        out->where = keys->provider.len ? name_of(keys->provider, SEED_NAME)
                                        : name_of(keys->site, SEED_SITE);
        return keys->provider.len > 0 || keys->site.len > 0;
    case AUTOMATION_ANYWHERE:
        out->where = (struct automation_name){SLICE(""), 0};
        return scope.who != AUTOMATION_EVERYBODY;
    case AUTOMATION_WHERES:
        break;
    }
    return false;
}

/* ---- seats --------------------------------------------------------------------------------------- */

static uint64_t key_hash(const struct automation *a, const struct automation_key *key)
{
    const uint64_t words[] = {automation_scope_index(key->scope), key->who.hash, key->where.hash};
    return map_hash(&a->seats, slice_of(words, sizeof(words)));
}

static bool name_eq(const struct automation_name *a, const struct automation_name *b)
{
    return a->hash == b->hash && slice_eq(a->text, b->text);
}

static bool seat_is(const struct map_node *node, const void *key)
{
    const struct automation_key *own = &container_of(node, struct automation_seat, node)->key;
    const struct automation_key *other = key;
    return automation_scope_index(own->scope) == automation_scope_index(other->scope) &&
           name_eq(&own->who, &other->who) && name_eq(&own->where, &other->where);
}

struct automation_seat *automation_seat_find(const struct automation *a,
                                             const struct automation_key *key)
{
    struct map_node *node = map_find(&a->seats, key_hash(a, key), seat_is, key);
    return node ? container_of(node, struct automation_seat, node) : NULL;
}

static struct slice text_keep(char *dst, struct slice text)
{
    must(text.len <= AUTOMATION_KEY_BYTES_MAX);
    if (text.len) {
        memcpy(dst, text.ptr, text.len);
    }
    return slice_of(dst, text.len);
}

struct automation_seat *automation_seat_get(struct automation *a, const struct automation_key *key)
{
    struct automation_seat *seat = automation_seat_find(a, key);
    if (seat) {
        return seat;
    }
    seat = calloc(1, sizeof(*seat));
    if (!seat) {
        return NULL;
    }
    seat->key = *key;
    seat->key.who.text = text_keep(seat->bytes, key->who.text);
    seat->key.where.text = text_keep(seat->bytes + AUTOMATION_KEY_BYTES_MAX, key->where.text);
    if (!map_insert(&a->seats, &seat->node, key_hash(a, key))) {
        free(seat);
        return NULL;
    }
    return seat;
}

void automation_seat_put(struct automation *a, struct automation_seat *seat)
{
    for (size_t i = 0; i < AUTOMATION_LASTING; i++) {
        if (seat->held[i]) {
            return;
        }
    }
    map_remove(&a->seats, &seat->node);
    free(seat);
}

/* ---- counters -------------------------------------------------------------------------------------- */

static bool count_is(const struct map_node *node, const void *key)
{
    const struct automation_count *own = container_of(node, struct automation_count, node);
    const struct automation_count *other = key;
    return own->rule == other->rule && own->who == other->who && own->where == other->where;
}

static void count_free(struct automation *a, struct automation_count *c)
{
    map_remove(&a->counts, &c->node);
    list_remove(&c->by_age);
    free(c);
}

void automation_counts_clear(struct automation *a)
{
    while (!list_empty(&a->counts_by_age)) {
        count_free(a, LIST_ENTRY(list_first(&a->counts_by_age), struct automation_count, by_age));
    }
}

static struct automation_count *count_new(struct automation *a, const struct automation_count *like,
                                          uint64_t hash)
{
    if (a->counts.count >= AUTOMATION_COUNTERS_MAX) {
        count_free(a, LIST_ENTRY(list_first(&a->counts_by_age), struct automation_count, by_age));
        a->forgotten_counters++;
    }
    struct automation_count *c = calloc(1, sizeof(*c) + like->capacity * sizeof(c->times_ms[0]));
    if (!c) {
        return NULL;
    }
    *c = *like;
    if (!map_insert(&a->counts, &c->node, hash)) {
        free(c);
        return NULL;
    }
    list_push_back(&a->counts_by_age, &c->by_age);
    return c;
}

/* Its trigger's size may have changed with the configuration. */
static struct automation_count *count_get(struct automation *a, const struct automation_count *like)
{
    const uint64_t words[] = {like->rule, like->who, like->where};
    uint64_t hash = map_hash(&a->counts, slice_of(words, sizeof(words)));
    struct map_node *node = map_find(&a->counts, hash, count_is, like);
    struct automation_count *c = node ? container_of(node, struct automation_count, node) : NULL;
    if (c && c->capacity != like->capacity) {
        count_free(a, c);
        c = NULL;
    }
    if (!c) {
        return count_new(a, like, hash);
    }
    list_remove(&c->by_age);
    list_push_back(&a->counts_by_age, &c->by_age);
    return c;
}

bool automation_count_hit(struct automation *a, const struct automation_rule *rule,
                          const struct automation_key *key, uint64_t now_ms)
{
    must(rule->trigger_count >= 1 && rule->trigger_count <= AUTOMATION_TRIGGER_MAX);
    if (rule->trigger_count == 1) {
        return true;
    }
    const struct automation_count like = {.rule = hash_bytes(rule->name, SEED_RULE),
                                          .who = key->who.hash,
                                          .where = key->where.hash,
                                          .capacity = rule->trigger_count};
    struct automation_count *c = count_get(a, &like);
    if (!c) {
        return false;
    }
    c->times_ms[c->next] = now_ms;
    c->next = (c->next + 1) % c->capacity;
    c->used += c->used < c->capacity;
    if (c->used < c->capacity) {
        return false;
    }
    /* Full: the next place is the oldest moment. One in the future is of a clock that was set back. */
    uint64_t oldest = c->times_ms[c->next];
    if (oldest <= now_ms && now_ms - oldest >= rule->trigger_ms) {
        return false;
    }
    count_free(a, c);
    return true;
}
