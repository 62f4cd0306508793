/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/suspend.h"
#include "core/queue/memo.h"
#include "core/queue/order.h"
#include "core/queue/queue.h"
#include "spool/wire.h"

#include <stdlib.h>

struct suspend_entry {
    struct map_node node;
    enum queue_scope scope;
    struct slice key;
    struct slice name; /* of the key, behind its scope */
    struct queue_suspension what;
};

static const struct slice scope_names[] = {
    [QUEUE_SCOPE_ALL] = SLICE_INIT("all"),           [QUEUE_SCOPE_DOMAIN] = SLICE_INIT("domain"),
    [QUEUE_SCOPE_SITE] = SLICE_INIT("site"),         [QUEUE_SCOPE_TENANT] = SLICE_INIT("tenant"),
    [QUEUE_SCOPE_CAMPAIGN] = SLICE_INIT("campaign"),
};

/* ---- keys and values ---- */

static bool scope_of(struct slice key, enum queue_scope *scope, struct slice *name)
{
    *name = key;
    struct slice head = slice_cut(name, ':');
    bool named = head.len < key.len;
    for (size_t i = 0; i < ARRAY_COUNT(scope_names); i++) {
        if (slice_eq_nocase(head, scope_names[i]) && named == (i != QUEUE_SCOPE_ALL)) {
            *scope = (enum queue_scope)i;
            return !named || name->len > 0;
        }
    }
    return false;
}

bool queue_scope_parse(struct slice word, char key[QUEUE_SCOPE_KEY_BYTES + 1])
{
    enum queue_scope scope = QUEUE_SCOPE_DOMAIN;
    struct slice name = word;
    bool bare = slice_find_byte(word, ':') < 0 && !slice_eq_nocase(word, scope_names[0]);
    if (word.len == 0 || (!bare && !scope_of(word, &scope, &name))) {
        return false;
    }
    size_t most = scope == QUEUE_SCOPE_TENANT || scope == QUEUE_SCOPE_CAMPAIGN
                      ? QUEUE_SELECT_NAME_BYTES
                      : LIMIT_DOMAIN_BYTES - 8;
    if (name.len > most) {
        return false;
    }
    struct buf out;
    buf_init(&out, QUEUE_SCOPE_KEY_BYTES);
    buf_add(&out, scope_names[scope]);
    if (scope != QUEUE_SCOPE_ALL) {
        buf_add_byte(&out, ':');
    }
    for (size_t i = 0; scope != QUEUE_SCOPE_ALL && i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (c <= ' ' || c == 0x7f || c == '"' || c == '\\') {
            out.overflow = true;
        }
        buf_add_byte(&out, ascii_lower((char)c));
    }
    bool ok = !out.overflow && slice_to_cstr(buf_slice(&out), key, QUEUE_SCOPE_KEY_BYTES + 1);
    buf_deinit(&out);
    return ok;
}

bool queue_scope_select(struct slice key, struct queue_select *out)
{
    enum queue_scope scope;
    struct slice name;
    *out = (struct queue_select){0};
    if (!scope_of(key, &scope, &name)) {
        return false;
    }
    switch (scope) {
    case QUEUE_SCOPE_ALL:
        out->all = true;
        return true;
    case QUEUE_SCOPE_DOMAIN:
        return slice_to_cstr(name, out->domain, sizeof(out->domain));
    case QUEUE_SCOPE_SITE:
        return slice_to_cstr(name, out->site, sizeof(out->site));
    case QUEUE_SCOPE_TENANT:
        return slice_to_cstr(name, out->tenant, sizeof(out->tenant));
    case QUEUE_SCOPE_CAMPAIGN:
        return slice_to_cstr(name, out->campaign, sizeof(out->campaign));
    case QUEUE_SCOPE_COUNT:
        break;
    }
    return false;
}

void queue_suspension_encode(const struct queue_suspension *s, struct buf *out)
{
    uint8_t times[16];
    struct wire_writer w = {times};
    wire_put(&w, s->since_ms, 8);
    wire_put(&w, s->until_ms, 8);
    buf_add(out, slice_of(times, sizeof(times)));
    buf_add(out, s->reason);
}

bool queue_suspension_decode(struct slice value, struct queue_suspension *out)
{
    struct wire_reader r = {value, false};
    struct queue_suspension s = {.since_ms = wire_u64(&r), .until_ms = wire_u64(&r)};
    s.reason = r.rest;
    if (r.bad || s.reason.len > QUEUE_SUSPEND_REASON_BYTES) {
        return false;
    }
    *out = s;
    return true;
}

/* ---- the table ---- */

static bool suspend_equal(const struct map_node *node, const void *key)
{
    return slice_eq_nocase(container_of(node, struct suspend_entry, node)->key,
                           *(const struct slice *)key);
}

static struct suspend_entry *suspend_find(const struct queue *q, struct slice key)
{
    const struct map *table = &q->suspensions.table;
    struct map_node *n = map_find(table, map_hash_nocase(table, key), suspend_equal, &key);
    return n ? container_of(n, struct suspend_entry, node) : NULL;
}

bool queue_suspend_known(const struct queue *q, struct slice key)
{
    return suspend_find(q, key) != NULL;
}

static void suspend_drop(struct queue *q, struct suspend_entry *e)
{
    q->suspensions.count[e->scope]--;
    map_remove(&q->suspensions.table, &e->node);
    free(e);
}

static bool suspend_put(struct queue *q, struct slice key, const struct queue_suspension *what)
{
    struct suspend_entry *e = calloc(1, sizeof(*e) + key.len + what->reason.len);
    if (!e) {
        return false;
    }
    char *text = (char *)(e + 1);
    memcpy(text, key.ptr, key.len);
    if (what->reason.len) {
        memcpy(text + key.len, what->reason.ptr, what->reason.len);
    }
    e->key = slice_of(text, key.len);
    e->what = *what;
    e->what.reason = slice_of(text + key.len, what->reason.len);
    struct map *table = &q->suspensions.table;
    if (!scope_of(e->key, &e->scope, &e->name) ||
        !map_insert(table, &e->node, map_hash_nocase(table, e->key))) {
        free(e);
        return false;
    }
    q->suspensions.count[e->scope]++;
    return true;
}

/* The first that ends by itself. */
static struct suspend_entry *suspend_next_end(const struct queue *q)
{
    const struct map *table = &q->suspensions.table;
    struct suspend_entry *first = NULL;
    size_t bucket = 0;
    for (struct map_node *n = map_next(table, &bucket, NULL); n; n = map_next(table, &bucket, n)) {
        struct suspend_entry *e = container_of(n, struct suspend_entry, node);
        if (e->what.until_ms && (!first || e->what.until_ms < first->what.until_ms)) {
            first = e;
        }
    }
    return first;
}

static void suspend_arm(struct queue *q)
{
    const struct suspend_entry *first = suspend_next_end(q);
    timer_stop(q->timers, &q->suspensions.timer);
    if (first && !q->stopping) {
        uint64_t wall_ms = io_now(q->io)->wall_us / 1000;
        uint64_t wait_ms = first->what.until_ms > wall_ms ? first->what.until_ms - wall_ms : 0;
        timer_start(q->timers, &q->suspensions.timer, io_now(q->io)->mono_ms + wait_ms);
    }
}

/* The time of one is over. Each worker finds that for itself; the one that has the memos forgets it for all. */
static void suspend_on_timer(struct timer *t, void *ctx)
{
    (void)ctx;
    struct queue *q = container_of(t, struct queue, suspensions.timer);
    uint64_t wall_ms = io_now(q->io)->wall_us / 1000;
    struct suspend_entry *e;
    while ((e = suspend_next_end(q)) && e->what.until_ms <= wall_ms) {
        struct queue_order_init order = {.action = QUEUE_ACT_RESUME};
        bool known = queue_scope_select(e->key, &order.select);
        must(known);
        if (q->worker == SPOOL_MEMO_WORKER) {
            struct spool_memo memo = {.kind = QUEUE_MEMO_SUSPEND, .key = e->key};
            queue_memo_put(q, &memo);
        }
        suspend_drop(q, e);
        queue_order_start(q, &order);
    }
    suspend_arm(q);
}

void queue_suspend_open(struct queue *q)
{
    map_init(&q->suspensions.table, rng_u64(q->rng));
    q->suspensions.timer.fire = suspend_on_timer;
}

void queue_suspend_close(struct queue *q)
{
    struct map *table = &q->suspensions.table;
    size_t bucket = 0;
    timer_stop(q->timers, &q->suspensions.timer);
    struct map_node *n = map_next(table, &bucket, NULL);
    while (n) {
        struct map_node *after = map_next(table, &bucket, n);
        free(container_of(n, struct suspend_entry, node));
        n = after;
    }
    map_deinit(table);
}

bool queue_suspend_apply(struct queue *q, const struct spool_memo *memo)
{
    must(memo->kind == QUEUE_MEMO_SUSPEND);
    struct queue_suspension what = {0};
    if (memo->value.len && !queue_suspension_decode(memo->value, &what)) {
        return false;
    }
    struct suspend_entry *old = suspend_find(q, memo->key);
    if (old) {
        suspend_drop(q, old);
    }
    bool ok = memo->value.len == 0 || suspend_put(q, memo->key, &what);
    suspend_arm(q);
    return ok;
}

/* ---- questions ---- */

static struct suspend_entry *suspend_by(const struct queue *q, enum queue_scope scope,
                                        struct slice name)
{
    char text[QUEUE_SCOPE_KEY_BYTES + 1];
    if (!q->suspensions.count[scope] || name.len == 0 ||
        scope_names[scope].len + 1 + name.len > QUEUE_SCOPE_KEY_BYTES) {
        return NULL;
    }
    struct slice head = scope_names[scope];
    memcpy(text, head.ptr, head.len);
    text[head.len] = ':';
    memcpy(text + head.len + 1, name.ptr, name.len);
    return suspend_find(q, slice_of(text, head.len + 1 + name.len));
}

static bool suspend_has(const struct queue *q, enum queue_scope scope, struct slice name)
{
    return suspend_by(q, scope, name) != NULL;
}

bool queue_suspend_word(const struct queue *q, struct slice word, struct slice *key,
                        struct queue_suspension *what)
{
    const struct suspend_entry *e = suspend_find(q, scope_names[QUEUE_SCOPE_ALL]);
    e = e ? e : suspend_by(q, QUEUE_SCOPE_DOMAIN, word);
    e = e ? e : suspend_by(q, QUEUE_SCOPE_SITE, word);
    if (e && key) {
        *key = e->key;
    }
    if (e && what) {
        *what = e->what;
    }
    return e != NULL;
}

bool queue_suspend_covers(const struct queue *q, const struct queue_message *m,
                          const struct queue_rcpt *r)
{
    if (q->suspensions.table.count == 0) {
        return false;
    }
    return q->suspensions.count[QUEUE_SCOPE_ALL] ||
           suspend_has(q, QUEUE_SCOPE_DOMAIN, queue_address_domain(r->address)) ||
           suspend_has(q, QUEUE_SCOPE_TENANT, queue_label_tenant(m->label)) ||
           suspend_has(q, QUEUE_SCOPE_CAMPAIGN, queue_label_campaign(m->label));
}

bool queue_suspend_site(const struct queue *q, const struct queue_site *s)
{
    const struct route_plan *plan = s ? s->plan : NULL;
    if (!q->suspensions.count[QUEUE_SCOPE_SITE]) {
        return false;
    }
    for (size_t i = 0; plan && i < plan->count; i++) {
        if (suspend_has(q, QUEUE_SCOPE_SITE, plan->candidates[i].host)) {
            return true;
        }
    }
    return false;
}

static void suspend_report_time(struct buf *out, const char *name, uint64_t ms)
{
    buf_addf(out, ",\"%s\":", name);
    if (ms) {
        buf_add_byte(out, '"');
        clock_add_rfc3339(out, ms * 1000);
        buf_add_byte(out, '"');
    } else {
        buf_add(out, SLICE("null"));
    }
}

void queue_suspend_report(const struct queue *q, struct buf *out)
{
    const struct map *table = &q->suspensions.table;
    size_t bucket = 0;
    for (struct map_node *n = map_next(table, &bucket, NULL); n && !out->overflow;
         n = map_next(table, &bucket, n)) {
        const struct suspend_entry *e = container_of(n, struct suspend_entry, node);
        buf_add(out, SLICE("{\"suspended\":"));
        obs_json_string(out, e->key);
        suspend_report_time(out, "since", e->what.since_ms);
        suspend_report_time(out, "until", e->what.until_ms);
        buf_add(out, SLICE(",\"reason\":"));
        obs_json_string(out, e->what.reason);
        buf_add(out, SLICE("}\n"));
    }
}
