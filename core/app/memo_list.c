/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/memo_list.h"

#include <stdlib.h>

bool memo_list_add(struct memo_list *l, const struct spool_memo *memo)
{
    struct memo_item *item = malloc(sizeof(*item) + memo->key.len + memo->value.len);
    if (!item) {
        return false;
    }
    char *text = (char *)(item + 1);
    memcpy(text, memo->key.ptr, memo->key.len);
    memcpy(text + memo->key.len, memo->value.ptr, memo->value.len);
    item->memo = (struct spool_memo){.kind = memo->kind,
                                     .key = slice_of(text, memo->key.len),
                                     .value = slice_of(text + memo->key.len, memo->value.len)};
    item->next = l->first;
    l->first = item;
    return true;
}

void memo_list_deinit(struct memo_list *l)
{
    while (l->first) {
        struct memo_item *item = l->first;
        l->first = item->next;
        free(item);
    }
}
