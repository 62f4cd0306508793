/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * group - the queues of all workers, and which of them answers for a site
 *
 * Purpose:   each site has one *owner*: the worker that used it first. All parts for the site go through
 *            the owner's scheduler, so its limits and its order are exact without a lock on the way of a
 *            message. The directory here is asked only when a worker makes or forgets a site.
 * Owner:     the engine: made before the workers, freed after them.
 * Thread:    any; a mutex inside.
 * Limits:    LIMIT_WORKERS.
 * Errors:    queue_group_join: without memory the asker becomes a second owner of the site: its limits
 *            are then per owner, which is better than mail that stays.
 */
#ifndef RINGPOST_QUEUE_GROUP_H
#define RINGPOST_QUEUE_GROUP_H

#include "core/base/limits.h"
#include "core/base/map.h"
#include "core/io/mailbox.h"

#include <pthread.h>

struct queue_group {
    unsigned workers;
    uint64_t names_seed;                  /* of label.h */
    struct mailbox *boxes[LIMIT_WORKERS]; /* set by each worker before any of them runs */
    _Atomic unsigned leaving;             /* workers that begin nothing new any more */
    pthread_mutex_t mutex;
    struct map owners;
};

void queue_group_init(struct queue_group *g, unsigned workers, uint64_t seed);
void queue_group_deinit(struct queue_group *g);

/* Who owns the site of this key, from now on also on the asker's account. False: no memory, nothing is noted:
 * *owner is the asker, who must not leave. */
bool queue_group_join(struct queue_group *g, struct slice key, unsigned worker, unsigned *owner);
void queue_group_leave(struct queue_group *g, struct slice key);

#endif
