/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * park - messages that only wait for their next attempt, as bytes
 *
 * Purpose:   a message of which nothing is under way is written down in some 150 bytes (core/queue/lot.h)
 *            and its struct queue_message freed. When its time comes, or somebody looks for it, it is a
 *            message again. So is what is due while too much is under way already: it waits here, not as a
 *            part of a site.
 * Owner:     the queue. Thread: the owner's.
 * Limits:    stays a message: what has fragments (it is big anyway), what is damaged, what compaction has or
 *            could not read. While QUEUE_ACTIVE_MAX messages of all workers are under way, a key (a
 *            domain, or the relay host) that has more than its share gets no more of them.
 * Errors:    without memory a message stays what it is.
 *
 *   queue_settle ─► queue_park ─► lot ─(due: queue_unpark_due)─► queue->due
 *                                  └─(queue_find, compaction)─► a message with its timer
 */
#ifndef RINGPOST_QUEUE_PARK_H
#define RINGPOST_QUEUE_PARK_H

#include "core/queue/lot.h"
#include "core/queue/message.h"
#include "core/queue/text.h"

enum {
    QUEUE_ACTIVE_MAX = 64 * 1024, /* divided by the workers */
    QUEUE_CROWDS = 1024,
    QUEUE_CROWD_SHARE = 16, /* of what a worker may have under way */
};

struct queue_select;

struct queue_park {
    struct lot lot;
    struct text_set texts;
    struct timer timer; /* of the lot */
    struct buf scratch;
    uint64_t deferred;   /* recipients in the lot that wait after a failure */
    uint32_t active_max; /* of this worker */
    bool off;            /* nothing is parked (tests that keep pointers to messages) */
    uint32_t crowds[QUEUE_CROWDS];
    uint64_t seek_segment; /* compaction wants a message of it; 0: none */
    uint32_t seek_slot;
};

void queue_park_open(struct queue *q);
/* Frees what is parked; the spool keeps it. */
void queue_park_close(struct queue *q);
void queue_park_stop(struct queue *q);

/* True: m only waited, it is parked and gone. */
bool queue_park(struct queue *q, struct queue_message *m);
/* Due messages are messages again, in q->due; so many per call that the loop stays quick. */
void queue_unpark_due(struct queue *q);
/* There is more for queue_unpark_due, or for queue_unpark_seek. */
bool queue_park_pending(const struct queue *q);
/* Looks on for a message of this segment, a piece of the lot per call, and makes it one again. */
void queue_unpark_seek(struct queue *q, uint64_t segment);
/* The message with this id, a whole one; NULL: there is none. It is parked again by the next queue_settle. */
struct queue_message *queue_find(struct queue *q, uint64_t id);

/* m is to be tried now: true when it is put off instead, because too much of its kind is under way. It is
 * parked then, and gone. Else it is counted. */
bool queue_park_crowded(struct queue *q, struct queue_message *m);
void queue_park_uncrowd(struct queue *q, struct queue_message *m);

/* A walk over all messages: first those that are, then the parked ones, these as copies: only to be read.
 * Zero-initialise; queue_walk_end unless it came to NULL. The queue must not change meanwhile. */
struct queue_walk {
    uint32_t slot;
    bool parked;
    bool copied;
    bool more; /* NULL, but not at the end: some hundred parked ones were none of those */
    const struct queue_select
        *select; /* of the parked ones only those that it may mean; NULL: all */
    struct queue_message copy;
};
struct queue_message *queue_walk_next(struct queue *q, struct queue_walk *w);
void queue_walk_end(struct queue_walk *w);

#endif
