/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/peers.h"
#include "core/base/must.h"

#include <stdio.h>
#include <stdlib.h>

void peers_init(struct peers *p, uint64_t seed, uint32_t max)
{
    must(max > 0 && max <= PEERS_MAX);
    *p = (struct peers){.max = max};
    map_init(&p->by_key, seed);
    list_init(&p->by_age);
    list_init(&p->changed);
}

/* Its texts stand behind the struct. */
struct peers_note {
    struct peers_witness witness;
};

void peers_forget(struct peers *p, struct peers_entry *e)
{
    map_remove(&p->by_key, &e->by_key);
    list_remove(&e->link);
    if (list_linked(&e->changed_link)) {
        list_remove(&e->changed_link);
    }
    for (size_t i = 0; i < ARRAY_COUNT(e->notes); i++) {
        free(e->notes[i]);
    }
    free(e);
}

static void entry_tell_gone(struct peers *p, struct peers_entry *e)
{
    if (e->kept && p->gone) {
        p->gone(p->ctx, e);
    }
    e->kept = false;
}

void peers_deinit(struct peers *p)
{
    struct list *node;
    while ((node = list_first(&p->by_age))) {
        peers_forget(p, LIST_ENTRY(node, struct peers_entry, link));
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

bool peers_key_is(struct slice key, struct slice host)
{
    return slice_starts_nocase(key, host) &&
           (key.len == host.len ||
            (key.ptr[host.len] == ':' && slice_find_byte(slice_skip(key, host.len + 1), ':') < 0));
}

/* ---- entries ---- */

struct slice peers_entry_key(const struct peers_entry *e)
{
    return slice_of(e->key, e->key_len);
}

static bool entry_is(const struct map_node *node, const void *key)
{
    return slice_eq_nocase(peers_entry_key(container_of(node, struct peers_entry, by_key)),
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
        struct peers_entry *oldest = LIST_ENTRY(list_first(&p->by_age), struct peers_entry, link);
        entry_tell_gone(p, oldest);
        peers_forget(p, oldest);
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

void peers_tell(struct peers *p, struct peers_entry *e)
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

bool peers_holds(const struct peers_entry *e, uint64_t now_ms)
{
    struct peers_facts f = entry_facts(e, now_ms);
    return f.level != PEERS_OVERLAPPED || f.messages_max || f.idle_max_ms != UINT32_MAX;
}

/* ---- witnesses ---- */

struct peers_witness peers_witness_of(const struct peers_entry *e, enum peers_topic topic)
{
    const struct peers_note *n = e->notes[topic];
    return n ? n->witness : (struct peers_witness){{NULL, 0}, {NULL, 0}};
}

/* Without memory there is none. */
static void entry_note(struct peers_entry *e, enum peers_topic topic, const struct peers_witness *w)
{
    struct slice address = slice_first(w->address, IP_TEXT_MAX);
    struct slice reply = slice_first(w->reply, PEERS_REPLY_BYTES);
    free(e->notes[topic]);
    e->notes[topic] = NULL;
    size_t bytes = address.len + reply.len;
    struct peers_note *n = bytes ? malloc(sizeof(*n) + bytes) : NULL;
    if (!n) {
        return;
    }
    char *text = (char *)(n + 1);
    if (address.len) {
        memcpy(text, address.ptr, address.len);
    }
    if (reply.len) {
        memcpy(text + address.len, reply.ptr, reply.len);
    }
    n->witness.address = slice_of(text, address.len);
    n->witness.reply = slice_of(text + address.len, reply.len);
    e->notes[topic] = n;
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
    entry_note(e, PEERS_LEVEL, &f->witness);
    peers_tell(p, e);
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

/* What is learned again and again is worth a row now and then, and when it is another. */
static bool is_news(uint64_t known, uint64_t known_ms, uint64_t value, uint64_t now_ms)
{
    uint64_t less = known < value ? known : value;
    uint64_t more = known < value ? value : known;
    return more - less > more / 8 || age(known_ms, now_ms) >= PEERS_DECAY_MS / 2;
}

void peers_learn_messages(struct peers *p, struct slice key, uint32_t count,
                          const struct peers_witness *witness, uint64_t now_ms)
{
    must(count > 0);
    struct peers_entry *e = entry_get(p, key);
    if (!e) {
        return;
    }
    bool news = e->messages == 0 || is_news(e->messages, e->messages_ms, count, now_ms);
    e->messages = count;
    if (news) {
        e->messages_ms = now_ms;
        entry_note(e, PEERS_MESSAGES, witness);
        peers_tell(p, e);
    }
}

bool peers_learn_idle(struct peers *p, struct slice key, uint64_t idle_ms,
                      const struct peers_witness *witness, uint64_t now_ms)
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
    uint32_t safe_ms = (uint32_t)(less - less / 4);
    bool news = e->idle_ms == UINT32_MAX || is_news(e->idle_ms, e->idle_at_ms, safe_ms, now_ms);
    e->idle_ms = safe_ms;
    if (news) {
        e->idle_at_ms = now_ms;
        entry_note(e, PEERS_IDLE, witness);
        peers_tell(p, e);
    }
    return true;
}

/* ---- rows ---- */

struct peers_entry *peers_changed(struct peers *p)
{
    struct list *node = list_pop_front(&p->changed);
    return node ? LIST_ENTRY(node, struct peers_entry, changed_link) : NULL;
}

static bool merge_level(struct peers_entry *e, const struct peers_entry *read, uint64_t now_ms)
{
    bool holds = now_ms < e->until_ms;
    if (now_ms >= read->until_ms || read->level == PEERS_OVERLAPPED ||
        (holds && read->level < e->level) ||
        (holds && read->level == e->level && read->until_ms <= e->until_ms)) {
        return false;
    }
    e->level = read->level;
    e->reason = read->reason;
    e->since_ms = read->since_ms;
    e->until_ms = read->until_ms;
    e->doubts = read->doubts;
    e->bears_overlap = false;
    return true;
}

static bool merge_messages(struct peers_entry *e, const struct peers_entry *read, uint64_t now_ms)
{
    uint64_t at_ms = read->messages_ms < now_ms ? read->messages_ms : now_ms;
    if (read->messages == 0 || (e->messages && at_ms <= e->messages_ms)) {
        return false;
    }
    e->messages = read->messages;
    e->messages_ms = at_ms;
    return true;
}

static bool merge_idle(struct peers_entry *e, const struct peers_entry *read, uint64_t now_ms)
{
    uint64_t at_ms = read->idle_at_ms < now_ms ? read->idle_at_ms : now_ms;
    if (read->idle_ms == UINT32_MAX || (e->idle_ms != UINT32_MAX && at_ms <= e->idle_at_ms)) {
        return false;
    }
    e->idle_ms = read->idle_ms;
    e->idle_at_ms = at_ms;
    return true;
}

enum peers_restored peers_merge(struct peers *p, const struct peers_read *read, uint64_t now_ms,
                                struct peers_entry **entry)
{
    static bool (*const topics[PEERS_TOPIC_COUNT])(struct peers_entry * e,
                                                   const struct peers_entry *read,
                                                   uint64_t now_ms) = {
        [PEERS_LEVEL] = merge_level,
        [PEERS_MESSAGES] = merge_messages,
        [PEERS_IDLE] = merge_idle,
    };
    const struct peers_entry *what = read->what;
    /* A row from the future (the clock was set back) must not hold for longer than one of now. */
    bool sane = what->until_ms <= now_ms + PEERS_SURE_MS &&
                what->since_ms <= now_ms + PEERS_SURE_MS;
    struct peers_entry *e = sane && peers_holds(what, now_ms) ? entry_get(p, read->key) : NULL;
    if (!e) {
        return PEERS_REFUSED;
    }
    bool news = false;
    for (size_t i = 0; i < ARRAY_COUNT(topics); i++) {
        if (topics[i](e, what, now_ms)) {
            entry_note(e, (enum peers_topic)i, &read->witness[i]);
            news = true;
        }
    }
    *entry = e;
    return news ? PEERS_NEWS : PEERS_KNOWN;
}

bool peers_tidy(struct peers *p, uint64_t now_ms)
{
    bool more = false;
    for (struct list *node = p->by_age.next; node != &p->by_age; node = node->next) {
        struct peers_entry *e = LIST_ENTRY(node, struct peers_entry, link);
        if (e->kept && !peers_holds(e, now_ms)) {
            entry_tell_gone(p, e);
        }
        more = more || e->kept;
    }
    return more;
}

/* ---- listings ---- */

static bool fact_of(const struct peers_entry *e, const struct peers_facts *now,
                    struct peers_fact *f)
{
    switch (f->topic) {
    case PEERS_LEVEL:
        f->level = now->level;
        f->reason = e->reason;
        f->since_ms = e->since_ms;
        f->until_ms = e->until_ms;
        return now->level != PEERS_OVERLAPPED;
    case PEERS_MESSAGES:
        f->value = now->messages_max;
        f->since_ms = e->messages_ms;
        f->until_ms = e->messages_ms + PEERS_SURE_MS;
        return now->messages_max > 0;
    case PEERS_IDLE:
        f->value = now->idle_max_ms;
        f->since_ms = e->idle_at_ms;
        f->until_ms = e->idle_at_ms + PEERS_SURE_MS;
        return now->idle_max_ms != UINT32_MAX;
    case PEERS_TOPIC_COUNT:
        break;
    }
    return false;
}

void peers_each(const struct peers *p, uint64_t now_ms,
                void (*each)(void *ctx, const struct peers_fact *f), void *ctx)
{
    for (const struct peers_entry *e = NULL; (e = peers_next(p, e, SLICE("")));) {
        struct peers_facts now = entry_facts(e, now_ms);
        for (unsigned topic = 0; topic < PEERS_TOPIC_COUNT; topic++) {
            struct peers_fact f = {.key = peers_entry_key(e),
                                   .topic = (enum peers_topic)topic,
                                   .witness = peers_witness_of(e, (enum peers_topic)topic)};
            if (fact_of(e, &now, &f)) {
                each(ctx, &f);
            }
        }
    }
}

struct peers_entry *peers_next(const struct peers *p, const struct peers_entry *at,
                               struct slice host)
{
    const struct list *node = at ? at->link.next : p->by_age.next;
    for (; node != &p->by_age; node = node->next) {
        struct peers_entry *e = LIST_ENTRY(node, struct peers_entry, link);
        if (host.len == 0 || peers_key_is(peers_entry_key(e), host)) {
            return e;
        }
    }
    return NULL;
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
