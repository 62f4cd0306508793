/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/site.h"
#include "core/base/must.h"
#include "core/queue/queue.h"

#include <stdlib.h>

static bool queue_site_equal(const struct map_node *node, const void *key)
{
    return slice_eq_nocase(container_of(node, struct queue_site, by_key)->key,
                           *(const struct slice *)key);
}

struct queue_site *queue_site_get(struct queue *q, struct slice key)
{
    uint64_t hash = map_hash_nocase(&q->sites, key);
    struct map_node *node = map_find(&q->sites, hash, queue_site_equal, &key);
    if (node) {
        return container_of(node, struct queue_site, by_key);
    }
    struct queue_site *s = calloc(1, sizeof(*s) + key.len);
    if (!s) {
        return NULL;
    }
    char *text = (char *)(s + 1);
    memcpy(text, key.ptr, key.len);
    s->key = slice_of(text, key.len);
    list_init(&s->ready);
    list_init(&s->idle);
    if (!map_insert(&q->sites, &s->by_key, hash)) {
        free(s);
        return NULL;
    }
    return s;
}

void queue_site_set_plan(struct queue_site *s, struct route_plan *plan)
{
    for (size_t i = 0; s->plan && i < plan->count; i++) {
        for (size_t k = 0; k < s->plan->count; k++) {
            if (ip_endpoint_eq(&plan->candidates[i].endpoint, &s->plan->candidates[k].endpoint)) {
                plan->candidates[i].bad_until_ms = s->plan->candidates[k].bad_until_ms;
            }
        }
    }
    route_plan_put(&s->plan);
    s->plan = plan;
    s->stale = false;
}

void queue_site_push(struct queue *q, struct queue_site *s, struct queue_part *p, bool front)
{
    p->site = s;
    p->domain = NULL;
    if (front) {
        list_push_front(&s->ready, &p->in_list);
    } else {
        list_push_back(&s->ready, &p->in_list);
        s->last = p;
    }
    s->ready_count++;
    if (!list_linked(&s->active)) {
        list_push_back(&q->active_sites, &s->active);
    }
}

static void queue_site_pop(struct queue_site *s, struct queue_part *p)
{
    list_remove(&p->in_list);
    must(s->ready_count > 0);
    s->ready_count--;
    if (s->last == p) {
        s->last = NULL;
    }
}

struct queue_part *queue_site_take(struct queue *q, struct queue_site *s)
{
    struct list *node = list_first(&s->ready);
    if (!node) {
        return NULL;
    }
    struct queue_part *p = LIST_ENTRY(node, struct queue_part, in_list);
    queue_site_pop(s, p);
    for (uint32_t i = 0; i < p->count; i++) {
        queue_rcpt_set_state(p->message, &p->message->rcpts[p->rcpts[i]], QUEUE_RCPT_SENDING);
    }
    p->message->readers++;
    s->used_ms = io_now(q->io)->mono_ms;
    return p;
}

static void queue_site_give_back(struct queue *q, struct queue_part *p, bool front)
{
    must(p->site != NULL && p->message->readers > 0);
    p->message->readers--;
    for (uint32_t i = 0; i < p->count; i++) {
        queue_rcpt_set_state(p->message, &p->message->rcpts[p->rcpts[i]], QUEUE_RCPT_READY);
    }
    if (p->site->stale) {
        struct list parts;
        list_init(&parts);
        list_push_back(&parts, &p->in_list);
        queue_parts_release(&parts);
        return;
    }
    queue_site_push(q, p->site, p, front);
}

void queue_site_return(struct queue *q, struct queue_part *p)
{
    queue_site_give_back(q, p, true);
}

void queue_site_return_last(struct queue *q, struct queue_part *p)
{
    queue_site_give_back(q, p, false);
}

void queue_site_fail_ready(struct queue *q, struct queue_site *s, const struct outcome *o)
{
    struct list failed;
    list_init(&failed);
    list_splice_back(&failed, &s->ready);
    s->ready_count = 0;
    s->last = NULL;
    struct list *node;
    while ((node = list_pop_front(&failed))) {
        queue_part_refuse(q, LIST_ENTRY(node, struct queue_part, in_list), o);
    }
}

void queue_site_file(struct queue *q, struct queue_site *s, struct queue_message *m,
                     struct queue_part *p)
{
    while (p->count && queue_part_takes(s->last, m)) {
        s->last->rcpts[s->last->count++] = p->rcpts[--p->count];
    }
    if (p->count) {
        queue_site_push(q, s, p, false);
    } else {
        queue_part_free(p);
    }
}

void queue_site_release(struct queue_site *s)
{
    queue_parts_release(&s->ready);
    s->ready_count = 0;
    s->last = NULL;
    if (list_linked(&s->active)) {
        list_remove(&s->active);
    }
}

void queue_site_free(struct queue *q, struct queue_site *s)
{
    must(list_empty(&s->ready) && list_empty(&s->idle) && s->connections == 0);
    if (list_linked(&s->active)) {
        list_remove(&s->active);
    }
    timer_stop(q->timers, &s->pause);
    route_plan_put(&s->plan);
    map_remove(&q->sites, &s->by_key);
    free(s);
}
