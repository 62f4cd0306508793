/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/recovered.h"
#include "core/base/must.h"

#include <stdlib.h>

void recovered_init(struct recovered_list *l)
{
    *l = (struct recovered_list){0};
    l->last = &l->first;
}

static size_t recovered_text_bytes(const struct spool_message *m)
{
    size_t n = m->sender.len + m->envid.len + m->meta.len;
    for (uint32_t i = 0; i < m->rcpt_count; i++) {
        n += m->rcpts[i].address.len + m->rcpts[i].orcpt.len;
    }
    return n;
}

static struct slice recovered_copy(char **at, struct slice s)
{
    struct slice copy = {*at, s.len};
    if (s.len) {
        memcpy(*at, s.ptr, s.len);
    }
    *at += s.len;
    return copy;
}

bool recovered_add(struct recovered_list *l, const struct spool_recovered *found)
{
    const struct spool_message *m = &found->message;
    size_t rcpt_bytes = m->rcpt_count * sizeof(struct spool_rcpt);
    size_t fragment_bytes = m->fragment_count * sizeof(struct spool_fragment_ref);
    struct recovered_item *item = malloc(sizeof(*item) + rcpt_bytes + fragment_bytes +
                                         recovered_text_bytes(m));
    if (!item) {
        return false;
    }
    struct spool_rcpt *rcpts = (struct spool_rcpt *)(void *)(item + 1);
    struct spool_fragment_ref *fragments = (struct spool_fragment_ref *)(void *)(rcpts +
                                                                                 m->rcpt_count);
    char *text = (char *)(fragments + m->fragment_count);
    item->next = NULL;
    item->found = *found;
    item->found.message.sender = recovered_copy(&text, m->sender);
    item->found.message.envid = recovered_copy(&text, m->envid);
    item->found.message.meta = recovered_copy(&text, m->meta);
    for (uint32_t i = 0; i < m->rcpt_count; i++) {
        rcpts[i] = m->rcpts[i];
        rcpts[i].address = recovered_copy(&text, m->rcpts[i].address);
        rcpts[i].orcpt = recovered_copy(&text, m->rcpts[i].orcpt);
    }
    for (uint32_t i = 0; i < m->fragment_count; i++) {
        fragments[i] = m->fragments[i];
    }
    item->found.message.rcpts = rcpts;
    item->found.message.fragments = fragments;
    *l->last = item;
    l->last = &item->next;
    l->count++;
    return true;
}

struct recovered_item *recovered_pop(struct recovered_list *l)
{
    struct recovered_item *item = l->first;
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

void recovered_deinit(struct recovered_list *l)
{
    struct recovered_item *item;
    while ((item = recovered_pop(l))) {
        free(item);
    }
}
