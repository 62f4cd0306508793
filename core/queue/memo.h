/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * memo - what the engine remembers over a restart and is not mail
 *
 * Purpose:   from any worker to the STATE rows of the spool. All of them are in the log of SPOOL_MEMO_WORKER
 *            (why: spool/memo.h); other workers send it theirs.
 * Owner:     the queue. Thread: the queue's.
 * Limits:    of spool_memo_put.
 * Errors:    queue_memo_put: what the disk cannot take now is tried again; what there is no room for, or no memory,
 *            is not remembered. queue_memo_tell says how it ended.
 * Durability: done(ok = true) comes after the commit.
 *
 * Kinds belong to whoever uses them and are never given a second meaning; of one that is not known the memo is
 * carried on. At start all memos are in the list that the engine was given (core/app/recovered.h).
 */
#ifndef RINGPOST_QUEUE_MEMO_H
#define RINGPOST_QUEUE_MEMO_H

#include "core/base/list.h"
#include "core/io/mailbox.h"
#include "spool/spool.h"

struct queue;

enum queue_memo_kind {
    QUEUE_MEMO_SUSPEND = 1,   /* core/queue/suspend.h */
    QUEUE_MEMO_TARGET = 16,   /* core/queue/target.h */
    QUEUE_MEMO_PEER = 2,      /* core/queue/peers.h */
    QUEUE_MEMO_OVERRIDE = 32, /* core/queue/override.h */
    QUEUE_MEMO_WARMUP = 24,   /* core/queue/warmup.h */
};

enum queue_memo_end {
    QUEUE_MEMO_KEPT,
    QUEUE_MEMO_NO_ROOM, /* the disk, or there are too many */
    QUEUE_MEMO_FAILED,
};

struct queue_memos {
    struct list waiting; /* for room */
    struct list writing; /* in the order of their lsn */
};

typedef void queue_memo_done(void *ctx, enum queue_memo_end end);

void queue_memo_open(struct queue *q);
void queue_memo_close(struct queue *q);
/* From any worker. An empty value ends it. */
void queue_memo_put(struct queue *q, const struct spool_memo *memo);
/* At SPOOL_MEMO_WORKER only; done is called once, perhaps at once. What has no room now is given up. */
void queue_memo_tell(struct queue *q, const struct spool_memo *memo, queue_memo_done *done,
                     void *ctx);

void queue_memo_run(struct queue *q);
void queue_memo_decided(struct queue *q, uint64_t lsn_upto, enum spool_commit_result result);
/* Nothing is on its way to the disk; cut: nothing is waited for. */
bool queue_memo_idle(struct queue *q, bool cut);
/* QUEUE_MAIL_MEMO. */
void queue_memo_on_mail(struct queue *q, struct mail *m);
void queue_memo_drop_mail(struct mail *m);

#endif
