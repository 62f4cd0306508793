/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The rules: the newest copy of a message says where it lies; what was final stays final, whatever
 * comes later; a result without a message belongs to one that is gone already.
 */
#include "spool/found.h"

#include <stdlib.h>

static bool found_equal(const struct map_node *node, const void *key)
{
    return container_of(node, struct spool_found, node)->id == *(const uint64_t *)key;
}

static struct spool_found *found_find(const struct spool_found_set *found, uint64_t id)
{
    struct map_node *n = map_find(&found->by_id, map_hash_u64(&found->by_id, id), found_equal, &id);
    return n ? container_of(n, struct spool_found, node) : NULL;
}

/* older may be m itself. */
static void found_states(struct spool_found *m, const struct spool_message_view *v,
                         const struct spool_found *older)
{
    struct slice rest = v->rcpts;
    m->queued = 0;
    for (uint32_t i = 0; i < m->rcpt_count; i++) {
        struct spool_rcpt rcpt;
        must(spool_message_next_rcpt(&rest, &rcpt));
        if (!older || older->rcpts[i].status == SPOOL_RCPT_QUEUED) {
            m->rcpts[i] = (struct spool_found_rcpt){rcpt.next_due_ms, rcpt.attempts,
                                                    (uint8_t)rcpt.status};
        }
        m->queued += m->rcpts[i].status == SPOOL_RCPT_QUEUED ? 1 : 0;
    }
}

bool spool_found_message(struct spool_found_set *found, const struct spool_message_view *v,
                         struct spool_ref ref)
{
    struct spool_found *m = found_find(found, v->id);
    if (m && m->rcpt_count == v->rcpt_count) {
        found_states(m, v, m);
        m->ref = ref;
        list_remove(&m->place);
        list_push_back(&found->places, &m->place);
        return true;
    }
    if (m) {
        spool_found_drop(found, m); /* never ours: an id belongs to one envelope */
    }
    m = calloc(1, sizeof(*m) + v->rcpt_count * sizeof(m->rcpts[0]));
    if (!m) {
        return false;
    }
    m->id = v->id;
    m->ref = ref;
    m->rcpt_count = v->rcpt_count;
    found_states(m, v, NULL);
    if (!map_insert(&found->by_id, &m->node, map_hash_u64(&found->by_id, v->id))) {
        free(m);
        return false;
    }
    list_push_back(&found->places, &m->place);
    return true;
}

enum spool_rcpt_status spool_status_after(enum spool_result_kind kind)
{
    switch (kind) {
    case SPOOL_RESULT_DELIVERED:
        return SPOOL_RCPT_DELIVERED;
    case SPOOL_RESULT_BOUNCED:
        return SPOOL_RCPT_BOUNCED;
    case SPOOL_RESULT_EXPIRED:
        return SPOOL_RCPT_EXPIRED;
    case SPOOL_RESULT_CANCELLED:
        return SPOOL_RCPT_CANCELLED;
    case SPOOL_RESULT_DEFERRED:
        return SPOOL_RCPT_QUEUED;
    }
    must(false);
    return SPOOL_RCPT_QUEUED;
}

bool spool_found_result(struct spool_found_set *found, const struct spool_result *result)
{
    struct spool_found *m = found_find(found, result->id);
    if (!m) {
        return true;
    }
    if (result->rcpt >= m->rcpt_count) {
        return false;
    }
    struct spool_found_rcpt *f = &m->rcpts[result->rcpt];
    if (f->status != SPOOL_RCPT_QUEUED) {
        return true;
    }
    f->status = (uint8_t)spool_status_after(result->kind);
    f->attempts = result->attempts;
    f->next_due_ms = result->next_due_ms;
    m->queued -= f->status != SPOOL_RCPT_QUEUED ? 1 : 0;
    return true;
}

struct spool_found *spool_found_next(const struct spool_found_set *found,
                                     const struct spool_found *after)
{
    const struct list *head = &found->places;
    for (struct list *n = after ? after->place.next : head->next; n != head; n = n->next) {
        struct spool_found *m = LIST_ENTRY(n, struct spool_found, place);
        if (m->queued > 0) {
            return m;
        }
    }
    return NULL;
}

void spool_found_drop(struct spool_found_set *found, struct spool_found *m)
{
    map_remove(&found->by_id, &m->node);
    list_remove(&m->place);
    free(m);
}

void spool_found_init(struct spool_found_set *found, uint64_t seed)
{
    map_init(&found->by_id, seed);
    list_init(&found->places);
}

void spool_found_free(struct spool_found_set *found)
{
    struct list *n;
    while ((n = list_pop_front(&found->places))) {
        free(LIST_ENTRY(n, struct spool_found, place));
    }
    map_deinit(&found->by_id);
}
