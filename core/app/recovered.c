/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/recovered.h"
#include "core/base/must.h"
#include "spool/format.h"

#include <stdlib.h>

void recovered_init(struct recovered_list *l)
{
    *l = (struct recovered_list){0};
    l->last = &l->first;
}

/* As it waits here: a row without content, and what such a row does not say. */
struct recovered_row {
    struct recovered_row *next;
    struct spool_ref ref;
    uint64_t body_bytes;
    uint32_t inline_bytes;
    uint32_t header_bytes;
    uint32_t bytes;
    bool damaged;
    uint8_t row[];
};

bool recovered_add(struct recovered_list *l, const struct spool_recovered *found)
{
    struct spool_message m = found->message;
    m.body_count = 0;
    m.header_bytes = 0;
    m.body_bytes = 0;
    for (uint32_t i = 0; i < m.fragment_count; i++) {
        m.body_bytes += m.fragments[i].body_bytes;
    }
    size_t bytes = spool_message_bytes(&m);
    struct recovered_row *item = malloc(sizeof(*item) + bytes);
    if (!item) {
        return false;
    }
    *item = (struct recovered_row){
        .ref = found->ref,
        .body_bytes = found->message.body_bytes,
        .inline_bytes = found->inline_bytes,
        .header_bytes = found->message.header_bytes,
        .bytes = (uint32_t)spool_message_encode(item->row, &m),
        .damaged = found->damaged,
    };
    must(item->bytes == bytes);
    *l->last = item;
    l->last = &item->next;
    l->count++;
    return true;
}

static struct recovered_row *recovered_take(struct recovered_list *l)
{
    struct recovered_row *item = l->first;
    if (item) {
        l->first = item->next;
        if (!l->first) {
            l->last = &l->first;
        }
        must(l->count > 0);
        l->count--;
    }
    return item;
}

static struct recovered_item *recovered_open(const struct recovered_row *from)
{
    struct slice rest = slice_of((const char *)from->row, from->bytes);
    struct spool_row row;
    struct spool_message_view v;
    must(spool_row_next(&rest, &row) && spool_message_decode(row.payload, &v));
    struct recovered_item *item = malloc(sizeof(*item) + v.rcpt_count * sizeof(item->rcpts[0]) +
                                         v.fragment_count * sizeof(struct spool_fragment_ref));
    if (!item) {
        return NULL;
    }
    struct spool_fragment_ref *fragments = (void *)(item->rcpts + v.rcpt_count);
    item->found = (struct spool_recovered){.message = spool_message_of(&v),
                                           .ref = from->ref,
                                           .inline_bytes = from->inline_bytes,
                                           .damaged = from->damaged};
    item->found.message.body_bytes = from->body_bytes;
    item->found.message.header_bytes = from->header_bytes;
    for (uint32_t i = 0; i < v.rcpt_count; i++) {
        must(spool_message_next_rcpt(&v.rcpts, &item->rcpts[i]));
    }
    for (uint32_t i = 0; i < v.fragment_count; i++) {
        must(spool_message_next_fragment(&v.fragments, &fragments[i]));
    }
    item->found.message.rcpts = item->rcpts;
    item->found.message.fragments = fragments;
    return item;
}

struct recovered_item *recovered_pop(struct recovered_list *l)
{
    struct recovered_row *row = recovered_take(l);
    if (!row) {
        return NULL;
    }
    struct recovered_item *item = recovered_open(row);
    must(item != NULL); /* start-up: a queue that does not fit into memory must not start half */
    item->row = row;
    return item;
}

void recovered_item_free(struct recovered_item *item)
{
    free(item->row);
    free(item);
}

void recovered_deinit(struct recovered_list *l)
{
    struct recovered_row *row;
    while ((row = recovered_take(l))) {
        free(row);
    }
}
