/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * memo_list - what the spool remembered besides mail, from recovery to the workers
 *
 * Purpose:   each worker takes from it what it needs at its start (core/queue/memo.h).
 * Owner:     the engine. Thread: filled before the workers start, then only read.
 * Errors:    memo_list_add: false without memory.
 */
#ifndef RINGPOST_APP_MEMO_LIST_H
#define RINGPOST_APP_MEMO_LIST_H

#include "core/queue/target.h"
#include "spool/spool.h"

struct memo_item {
    struct memo_item *next;
    struct spool_memo memo; /* its text is behind the struct */
};

struct memo_list {
    struct memo_item *first;
    bool targets_used[QUEUE_TARGETS_MAX + 1]; /* by number: queued mail is routed there */
};

bool memo_list_add(struct memo_list *l, const struct spool_memo *memo);
void memo_list_deinit(struct memo_list *l);

#endif
