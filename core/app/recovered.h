/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * recovered - what recovery found, until the worker it belongs to runs
 *
 * Purpose:   recovery runs on the control thread and lends each message for the length of a callback;
 *            the queues live on the workers' threads. This list keeps copies in between.
 * Owner:     the engine; each worker empties its own list at start.
 * Thread:    filled by the control thread before the worker starts, then the worker's.
 * Errors:    recovered_add returns false without memory: the start is refused.
 */
#ifndef RINGPOST_APP_RECOVERED_H
#define RINGPOST_APP_RECOVERED_H

#include "spool/spool.h"

struct recovered_row;

struct recovered_item {
    struct spool_recovered found;
    struct recovered_row *row; /* its texts */
    struct spool_rcpt rcpts[];
};

struct recovered_list {
    struct recovered_row *first;
    struct recovered_row **last;
    uint64_t count;
};

void recovered_init(struct recovered_list *l);
bool recovered_add(struct recovered_list *l, const struct spool_recovered *found);
/* The oldest; the caller frees it with recovered_item_free. NULL: empty. */
struct recovered_item *recovered_pop(struct recovered_list *l);
void recovered_item_free(struct recovered_item *item);
void recovered_deinit(struct recovered_list *l);

#endif
