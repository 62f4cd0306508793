/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/peers.h"
#include "core/base/must.h"

#include <stdio.h>
#include <stdlib.h>

void peers_init(struct peers *p, uint64_t seed, uint32_t max)
{
    must(max > 0 && max <= PEERS_MAX);
    map_init(&p->by_key, seed);
    list_init(&p->by_age);
    list_init(&p->changed);
    p->max = max;
}

static void entry_free(struct peers *p, struct peers_entry *e)
{
    map_remove(&p->by_key, &e->by_key);
    list_remove(&e->link);
    if (list_linked(&e->changed_link)) {
        list_remove(&e->changed_link);
    }
    free(e);
}

void peers_deinit(struct peers *p)
{
    struct list *node;
    while ((node = list_first(&p->by_age))) {
        entry_free(p, LIST_ENTRY(node, struct peers_entry, link));
    }
    map_deinit(&p->by_key);
}

struct slice peers_key(char *dst, struct slice host, uint16_t port)
{
    size_t room = PEERS_KEY_BYTES - 7; /* ":65535" and the NUL */
    size_t n = host.len < room ? host.len : room;
    for (size_t i = 0; i < n; i++) {
        char c = host.ptr[i];
        dst[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    int more = snprintf(dst + n, 7, ":%u", port);
    return slice_of(dst, n + (size_t)more);
}

/* ---- entries ---- */

static struct slice entry_key(const struct peers_entry *e)
{
    return slice_of(e->key, e->key_len);
}

static bool entry_is(const struct map_node *node, const void *key)
{
    return slice_eq_nocase(entry_key(container_of(node, struct peers_entry, by_key)),
                           *(const struct slice *)key);
}

static struct peers_entry *entry_find(const struct peers *p, struct slice key)
{
    uint64_t hash = map_hash_nocase(&p->by_key, key);
    struct map_node *node = map_find(&p->by_key, hash, entry_is, &key);
    return node ? container_of(node, struct peers_entry, by_key) : NULL;
}

/* Found or made; NULL: no memory. */
static struct peers_entry *entry_get(struct peers *p, struct slice key)
{
    struct peers_entry *e = entry_find(p, key);
    if (e || key.len == 0 || key.len > PEERS_KEY_BYTES) {
        return e;
    }
    if (p->by_key.count >= p->max) {
        entry_free(p, LIST_ENTRY(list_first(&p->by_age), struct peers_entry, link));
    }
    e = calloc(1, sizeof(*e) + key.len);
    if (!e) {
        return NULL;
    }
    memcpy(e->key, key.ptr, key.len);
    e->key_len = (uint16_t)key.len;
    e->idle_ms = UINT32_MAX;
    if (!map_insert(&p->by_key, &e->by_key, map_hash_nocase(&p->by_key, key))) {
        free(e);
        return NULL;
    }
    list_push_back(&p->by_age, &e->link);
    return e;
}

static void entry_changed(struct peers *p, struct peers_entry *e)
{
    list_remove(&e->link);
    list_push_back(&p->by_age, &e->link);
    if (!list_linked(&e->changed_link)) {
        list_push_back(&p->changed, &e->changed_link);
    }
}

/* ---- what holds now ---- */

/* A clock that was set back makes nothing older than new. */
static uint64_t age(uint64_t then_ms, uint64_t now_ms)
{
    return now_ms > then_ms ? now_ms - then_ms : 0;
}

/* Doubled every PEERS_DECAY_MS; UINT64_MAX: forgotten. */
static uint64_t decayed(uint64_t value, uint64_t then_ms, uint64_t now_ms)
{
    uint64_t old = age(then_ms, now_ms);
    return old >= PEERS_SURE_MS ? UINT64_MAX : value << (old / PEERS_DECAY_MS);
}

static struct peers_facts entry_facts(const struct peers_entry *e, uint64_t now_ms)
{
    struct peers_facts f = {.level = now_ms < e->until_ms ? e->level : PEERS_OVERLAPPED,
                            .bears_overlap = e->bears_overlap,
                            .idle_max_ms = UINT32_MAX};
    uint64_t messages = e->messages ? decayed(e->messages, e->messages_ms, now_ms) : 0;
    uint64_t idle_ms = decayed(e->idle_ms, e->idle_at_ms, now_ms);
    f.messages_max = messages <= PEERS_MESSAGES_MAX ? (uint32_t)messages : 0;
    if (e->idle_ms != UINT32_MAX && idle_ms <= PEERS_IDLE_MS_MAX) {
        f.idle_max_ms = (uint32_t)idle_ms;
    }
    return f;
}

struct peers_facts peers_look(const struct peers *p, struct slice key, uint64_t now_ms)
{
    const struct peers_entry *e = entry_find(p, key);
    return e ? entry_facts(e, now_ms) : (struct peers_facts){.idle_max_ms = UINT32_MAX};
}

/* ---- learning ---- */

static uint64_t doubt_lasts_ms(uint32_t doubts)
{
    uint64_t ms = (uint64_t)PEERS_DOUBT_MS << (doubts < 10 ? doubts : 10);
    return ms < PEERS_SURE_MS ? ms : PEERS_SURE_MS;
}

bool peers_blame(struct peers *p, struct slice key, const struct peers_fault *f, uint64_t now_ms)
{
    must(f->used != PEERS_STEPWISE && f->reason != PEERS_NOTHING);
    bool doubt = f->reason == PEERS_LOST || f->reason == PEERS_SILENT;
    struct peers_entry *e = entry_get(p, key);
    if (!e) {
        return false;
    }
    e->bears_overlap = e->bears_overlap && f->used != PEERS_OVERLAPPED;
    if (doubt && f->proven && (e->doubt_ms == 0 || age(e->doubt_ms, now_ms) > PEERS_DOUBT_MS)) {
        e->doubt_ms = now_ms;
        return false;
    }
    enum peers_level level = f->used == PEERS_OVERLAPPED ? PEERS_PIPELINED : PEERS_STEPWISE;
    bool held = now_ms < e->until_ms;
    if (held && e->level >= level) {
        return false; /* of a connection that was opened before */
    }
    if (age(e->since_ms, now_ms) > PEERS_SURE_MS) {
        e->doubts = 0;
    }
    e->level = level;
    e->reason = f->reason;
    e->since_ms = now_ms;
    e->until_ms = now_ms + (doubt ? doubt_lasts_ms(e->doubts) : PEERS_SURE_MS);
    e->doubts += doubt;
    e->doubt_ms = 0;
    entry_changed(p, e);
    return true;
}

void peers_praise(struct peers *p, struct slice key)
{
    /* It must not push out what is known to be wrong with others. */
    bool room = p->by_key.count < p->max - p->max / 4;
    struct peers_entry *e = room ? entry_get(p, key) : entry_find(p, key);
    if (e) {
        e->bears_overlap = true;
    }
}

void peers_learn_messages(struct peers *p, struct slice key, uint32_t count, uint64_t now_ms)
{
    must(count > 0);
    struct peers_entry *e = entry_get(p, key);
    if (e) {
        e->messages = count;
        e->messages_ms = now_ms;
        entry_changed(p, e);
    }
}

bool peers_learn_idle(struct peers *p, struct slice key, uint64_t idle_ms, uint64_t now_ms)
{
    struct peers_entry *e = idle_ms <= PEERS_IDLE_MS_MAX ? entry_get(p, key) : NULL;
    if (!e) {
        return false;
    }
    uint64_t less = idle_ms < e->idle_seen_ms ? idle_ms : e->idle_seen_ms;
    uint64_t more = idle_ms > e->idle_seen_ms ? idle_ms : e->idle_seen_ms;
    bool twice = e->idle_seen && more - less <= less / 2 + PEERS_IDLE_NOISE_MS;
    e->idle_seen = true;
    e->idle_seen_ms = idle_ms;
    if (!twice) {
        return false;
    }
    e->idle_ms = (uint32_t)(less - less / 4);
    e->idle_at_ms = now_ms;
    entry_changed(p, e);
    return true;
}

bool peers_forget(struct peers *p, struct slice key)
{
    struct peers_entry *e = entry_find(p, key);
    if (e) {
        entry_free(p, e);
    }
    return e != NULL;
}

bool peers_put(struct peers *p, struct slice key, const struct peers_entry *read, uint64_t now_ms)
{
    struct peers_facts f = entry_facts(read, now_ms);
    bool holds = f.level != PEERS_OVERLAPPED || f.messages_max || f.idle_max_ms != UINT32_MAX;
    /* A row from the future (the clock was set back) must not hold for longer than one of now. */
    bool sane = read->until_ms <= now_ms + PEERS_SURE_MS &&
                read->since_ms <= now_ms + PEERS_SURE_MS;
    struct peers_entry *e = holds && sane ? entry_get(p, key) : NULL;
    if (!e) {
        return false;
    }
    e->level = read->level;
    e->reason = read->reason;
    e->since_ms = read->since_ms;
    e->until_ms = read->until_ms;
    e->doubts = read->doubts;
    e->messages = read->messages;
    e->messages_ms = read->messages_ms < now_ms ? read->messages_ms : now_ms;
    e->idle_ms = read->idle_ms;
    e->idle_at_ms = read->idle_at_ms < now_ms ? read->idle_at_ms : now_ms;
    return true;
}

/* ---- listings ---- */

void peers_each(const struct peers *p, uint64_t now_ms,
                void (*each)(void *ctx, const struct peers_entry *e, const struct peers_facts *f),
                void *ctx)
{
    for (struct list *node = p->by_age.next; node != &p->by_age; node = node->next) {
        const struct peers_entry *e = LIST_ENTRY(node, struct peers_entry, link);
        struct peers_facts f = entry_facts(e, now_ms);
        if (f.level != PEERS_OVERLAPPED || f.messages_max || f.idle_max_ms != UINT32_MAX) {
            each(ctx, e, &f);
        }
    }
}

struct slice peers_reason_name(enum peers_reason reason)
{
    static const struct slice names[] = {
        [PEERS_NOTHING] = SLICE_INIT("nothing"),
        [PEERS_REPLIES] = SLICE_INIT("replies out of step"),
        [PEERS_BDAT] = SLICE_INIT("BDAT offered and not known"),
        [PEERS_PIPELINE] = SLICE_INIT("it complains of pipelining"),
        [PEERS_LOST] = SLICE_INIT("connection lost"),
        [PEERS_SILENT] = SLICE_INIT("a reply did not come"),
    };
    must((size_t)reason < ARRAY_COUNT(names));
    return names[reason];
}

struct slice peers_level_name(enum peers_level level)
{
    static const struct slice names[] = {
        [PEERS_OVERLAPPED] = SLICE_INIT("overlapped"),
        [PEERS_PIPELINED] = SLICE_INIT("pipelined"),
        [PEERS_STEPWISE] = SLICE_INIT("one command at a time"),
    };
    must((size_t)level < ARRAY_COUNT(names));
    return names[level];
}
