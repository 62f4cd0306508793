/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/target.h"
#include "core/conf/value_names.h"
#include "core/queue/memo.h"
#include "core/queue/queue.h"

#include <stdlib.h>

static const struct slice target_default = SLICE_INIT("default");
static const struct slice target_mx = SLICE_INIT("mx:");

/* ---- text ---- */

static bool target_take_text(const struct buf *from, char text[QUEUE_TARGET_BYTES + 1])
{
    char lower[QUEUE_TARGET_BYTES + 1];
    if (from->overflow || !slice_to_cstr(buf_slice(from), lower, sizeof(lower))) {
        return false;
    }
    for (size_t i = 0; i <= from->len; i++) {
        text[i] = ascii_lower(lower[i]);
    }
    return true;
}

/* A word as relay.host takes it, with its port written out. */
static bool target_add_host(struct slice word, struct buf *out)
{
    union conf_value value;
    struct buf why;
    buf_init(&why, 1024);
    bool ok = word.len > 0 && conf_relay_host_parse(NULL, word, &value, &why);
    if (ok) {
        const struct conf_relay_host *h = &value.relay;
        struct ip_endpoint at = {h->addr, h->has_port ? h->port : QUEUE_TARGET_PORT};
        if (h->addr.family == IP_NONE && slice_eq_nocase(h->name, SLICE("mx"))) {
            buf_addf(out, "[%.*s]:%u", SLICE_ARG(h->name),
                     at.port); /* not the MX hosts of a "25" */
        } else if (h->addr.family == IP_NONE) {
            buf_addf(out, "%.*s:%u", SLICE_ARG(h->name), at.port);
        } else {
            ip_endpoint_add(out, &at);
        }
    }
    buf_deinit(&why);
    return ok;
}

bool queue_target_parse(struct slice word, char text[QUEUE_TARGET_BYTES + 1])
{
    struct buf out;
    bool ok = true;
    buf_init(&out, QUEUE_TARGET_BYTES);
    if (slice_eq_nocase(word, target_default)) {
        buf_add(&out, target_default);
    } else if (slice_starts_nocase(word, target_mx)) {
        ok = conf_domain_valid(slice_skip(word, target_mx.len));
        buf_add(&out, word);
    } else {
        ok = target_add_host(word, &out);
    }
    ok = ok && target_take_text(&out, text);
    buf_deinit(&out);
    return ok;
}

bool queue_target_read(struct slice text, struct queue_target *out)
{
    struct queue_target t = {0};
    if (slice_eq(slice_first(text, target_mx.len), target_mx)) {
        t.mx = true;
        t.name = slice_skip(text, target_mx.len);
        if (t.name.len) {
            *out = t;
        }
        return t.name.len > 0;
    }
    const char *colon = text.len ? memrchr(text.ptr, ':', text.len) : NULL;
    uint64_t port;
    if (!colon) {
        return false;
    }
    size_t at = (size_t)(colon - text.ptr);
    if (!slice_to_u64(slice_skip(text, at + 1), &port) || port == 0 || port > UINT16_MAX) {
        return false;
    }
    t.port = (uint16_t)port;
    t.name = slice_first(text, at);
    if (t.name.len > 2 && t.name.ptr[0] == '[') {
        t.name = slice_of(t.name.ptr + 1, t.name.len - 2);
    }
    if (!ip_addr_parse(t.name, &t.addr)) {
        t.addr = (struct ip_addr){0};
    }
    if (t.name.len) {
        *out = t;
    }
    return t.name.len > 0;
}

/* ---- the table ---- */

void queue_targets_close(struct queue *q)
{
    for (size_t i = 0; i < ARRAY_COUNT(q->targets.text); i++) {
        free(q->targets.text[i]);
        q->targets.text[i] = NULL;
    }
}

bool queue_target_put(struct queue *q, unsigned number, struct slice text)
{
    must(number > QUEUE_TARGET_NONE && number <= QUEUE_TARGETS_MAX);
    if (slice_eq(queue_target_text(q, number), text)) {
        return true;
    }
    struct queue_target read;
    char *copy = queue_target_read(text, &read) ? strndup(text.ptr, text.len) : NULL;
    if (!copy) {
        return false;
    }
    free(q->targets.text[number]);
    q->targets.text[number] = copy;
    return true;
}

bool queue_target_apply(struct queue *q, const struct spool_memo *memo)
{
    must(memo->kind == QUEUE_MEMO_TARGET);
    uint64_t number;
    return slice_to_u64(memo->key, &number) && number > QUEUE_TARGET_NONE &&
           number <= QUEUE_TARGETS_MAX && queue_target_put(q, (unsigned)number, memo->value);
}

unsigned queue_target_number(const struct queue *q, struct slice text)
{
    for (unsigned i = QUEUE_TARGET_NONE + 1; i <= QUEUE_TARGETS_MAX; i++) {
        if (slice_eq(queue_target_text(q, i), text)) {
            return i;
        }
    }
    return QUEUE_TARGET_NONE;
}

unsigned queue_target_take(struct queue *q)
{
    for (unsigned i = QUEUE_TARGET_NONE + 1; i <= QUEUE_TARGETS_MAX; i++) {
        if (!q->targets.text[i] && !q->targets.taken[i]) {
            q->targets.taken[i] = true;
            return i;
        }
    }
    return QUEUE_TARGET_NONE;
}

void queue_target_settle(struct queue *q, unsigned number)
{
    must(number <= QUEUE_TARGETS_MAX && q->targets.taken[number]);
    q->targets.taken[number] = false;
}

struct slice queue_target_text(const struct queue *q, unsigned number)
{
    const char *text = number <= QUEUE_TARGETS_MAX ? q->targets.text[number] : NULL;
    return text ? slice_str(text) : slice_of("", 0);
}

struct queue_key queue_target_key(const struct queue *q, const struct queue_rcpt *r)
{
    must(r->target != QUEUE_TARGET_NONE);
    struct queue_target t;
    struct queue_key key = {.name = queue_target_text(q, r->target), .kind = QUEUE_DOMAIN_TARGET};
    if (queue_target_read(key.name, &t) && t.mx) {
        key = (struct queue_key){.name = t.name, .kind = QUEUE_DOMAIN_MX};
    }
    return key;
}
