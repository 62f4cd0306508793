/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/message.h"
#include "core/queue/park.h"
#include "core/queue/queue.h"

#include <stdlib.h>

/* The block: recipients, then strings. `fill` is where the next string goes. */
struct queue_block {
    size_t strings_left;
    char *fill;
    uint32_t rcpts_left;
    _Alignas(max_align_t) char bytes[];
};

static struct queue_block *queue_message_block(const struct queue_message *m)
{
    return container_of((char *)m->rcpts, struct queue_block, bytes);
}

static struct slice queue_block_copy(struct queue_block *b, struct slice s)
{
    must(s.len <= b->strings_left);
    struct slice copy = {b->fill, s.len};
    if (s.len) {
        memcpy(b->fill, s.ptr, s.len);
    }
    b->fill += s.len;
    b->strings_left -= s.len;
    return copy;
}

bool queue_message_build(struct queue_message *m, const struct queue_message_init *init)
{
    must(init->rcpt_count > 0 && init->rcpt_count <= LIMIT_RECIPIENTS);
    size_t strings = init->sender.len + init->envid.len + init->rcpt_bytes;
    struct queue_block *b = calloc(1, sizeof(*b) + init->rcpt_count * sizeof(struct queue_rcpt) +
                                          strings);
    if (!b) {
        return false;
    }
    m->submitter = HANDLE_NONE;
    m->hold.message = m;
    m->timer.fire = queue_message_due;
    m->id = init->id;
    m->arrival_us = init->arrival_us;
    m->ret = init->ret;
    m->flags = init->flags;
    m->rcpts = (struct queue_rcpt *)(void *)b->bytes;
    b->fill = b->bytes + init->rcpt_count * sizeof(struct queue_rcpt);
    b->strings_left = strings;
    b->rcpts_left = init->rcpt_count;
    m->sender = queue_block_copy(b, init->sender);
    m->envid = queue_block_copy(b, init->envid);
    list_init(&m->parts);
    return true;
}

void queue_message_unbuild(struct queue_message *m)
{
    for (uint32_t i = 0; i < m->rcpt_count; i++) {
        free(m->rcpts[i].last_text);
    }
    free(queue_message_block(m));
}

/* False: no memory. */
static bool queue_message_adopt(struct queue *q, struct queue_message *m,
                                const struct attributes *a)
{
    if (a && a->tenant.len + a->campaign.len + a->source.len + a->dkim.len) {
        const struct queue_label_names names = {a->tenant, a->campaign, a->source, a->dkim};
        m->label = queue_label_get(q, &names);
        if (!m->label) {
            return false;
        }
    }
    if (a) {
        m->priority = (uint8_t)a->priority;
        m->by = a->by;
        m->not_before_s = a->not_before_s;
        m->expire_s = a->expire_s;
        m->notify_s = a->notify_s;
    }
    return true;
}

struct slice queue_priority_name(const struct queue_message *m)
{
    switch ((enum conf_priority)m->priority) {
    case CONF_PRIORITY_URGENT:
        return SLICE("urgent");
    case CONF_PRIORITY_BULK:
        return SLICE("bulk");
    case CONF_PRIORITY_AUTO:
    case CONF_PRIORITY_NORMAL:
        break;
    }
    return SLICE("normal");
}

void queue_message_attributes(const struct queue_message *m, struct attributes *out)
{
    *out = (struct attributes){
        .priority = (enum conf_priority)m->priority,
        .by = m->by,
        .not_before_s = m->not_before_s,
        .expire_s = m->expire_s,
        .notify_s = m->notify_s,
        .tenant = queue_label_tenant(m->label),
        .campaign = queue_label_campaign(m->label),
        .source = queue_label_source(m->label),
        .dkim = queue_label_dkim(m->label),
    };
}

struct queue_message *queue_message_new(struct queue *q, const struct queue_message_init *init)
{
    struct handle self;
    struct queue_message *m = pool_get(&q->messages, &self);
    if (!m) {
        return NULL;
    }
    if (!queue_message_build(m, init)) {
        pool_put(&q->messages, self);
        return NULL;
    }
    m->self = self;
    m->queue = q;
    bool found = map_insert(&q->by_id, &m->by_id, map_hash_u64(&q->by_id, m->id));
    if (!found || !queue_message_adopt(q, m, init->attributes)) {
        if (found) {
            map_remove(&q->by_id, &m->by_id);
        }
        queue_message_unbuild(m);
        pool_put(&q->messages, self);
        return NULL;
    }
    return m;
}

struct queue_rcpt *queue_message_add_rcpt(struct queue_message *m, struct slice address,
                                          struct slice orcpt, uint8_t notify)
{
    struct queue_block *b = queue_message_block(m);
    must(b->rcpts_left > 0);
    b->rcpts_left--;
    struct queue_rcpt *r = &m->rcpts[m->rcpt_count++];
    r->address = queue_block_copy(b, address);
    r->orcpt = queue_block_copy(b, orcpt);
    r->notify = notify;
    r->state = QUEUE_RCPT_WAITING;
    r->due_ms = (uint64_t)m->not_before_s * 1000;
    m->open_count++;
    return r;
}

void queue_message_free(struct queue *q, struct queue_message *m)
{
    must(list_empty(&m->parts));
    must(m->readers == 0 && m->pending_count == 0);
    must(!list_linked(&m->link));
    timer_stop(q->timers, &m->timer);
    queue_message_drop_body(q, m);
    spool_release(q->spool, &m->hold.hold);
    for (uint32_t i = 0; i < m->fragment_count; i++) {
        spool_release(q->spool, &m->fragment_holds[i].hold);
    }
    free(m->fragments);
    free(m->fragment_holds);
    queue_park_uncrowd(q, m);
    queue_label_put(q, &m->label);
    map_remove(&q->by_id, &m->by_id);
    queue_message_unbuild(m);
    pool_put(&q->messages, m->self);
}

struct queue_message *queue_message_resolve(struct queue *q, struct handle h)
{
    return pool_resolve(&q->messages, h);
}

void queue_message_give_body(struct queue *q, struct queue_message *m, char *body)
{
    must(m->body == NULL);
    m->body = body;
    q->memory_bytes += m->body_bytes;
}

void queue_message_drop_body(struct queue *q, struct queue_message *m)
{
    if (m->body) {
        must(q->memory_bytes >= m->body_bytes);
        q->memory_bytes -= m->body_bytes;
        free(m->body);
        m->body = NULL;
    }
}

void queue_rcpt_set_state(struct queue_message *m, struct queue_rcpt *r,
                          enum queue_rcpt_state state)
{
    /* Row: from; bit: to. */
    static const unsigned allowed[] = {
        [QUEUE_RCPT_WAITING] = 1u << QUEUE_RCPT_READY | 1u << QUEUE_RCPT_ENDED,
        [QUEUE_RCPT_READY] = 1u << QUEUE_RCPT_WAITING | 1u << QUEUE_RCPT_ENDED,
        [QUEUE_RCPT_ENDED] = 0,
    };
    must(r->state < ARRAY_COUNT(allowed) && (allowed[r->state] & 1u << state));
    r->state = (uint8_t)state;
    if (state == QUEUE_RCPT_ENDED) {
        must(m->open_count > 0);
        m->open_count--;
    }
}

void queue_rcpt_remember(struct queue_rcpt *r, const struct outcome *o)
{
    r->last_code = o->code;
    r->last_enhanced = o->enhanced;
    free(r->last_text);
    r->last_text = NULL;
    if (o->text.len) {
        r->last_text = malloc(o->text.len + 1);
        if (r->last_text && !slice_to_cstr(o->text, r->last_text, o->text.len + 1)) {
            r->last_text[0] = '\0';
        }
    }
}

struct slice queue_id_text(uint64_t id, char dst[QUEUE_ID_TEXT_BYTES + 1])
{
    return id_text(id, dst);
}

bool queue_id_parse(struct slice text, uint64_t *out)
{
    return id_parse(text, out);
}
