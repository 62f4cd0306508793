/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * peers - what was learned of servers, at every worker and over a restart
 *
 * Purpose:   joins the table of a worker (core/policy/peers.h) with those of the others and with the spool. What
 *            one has learned goes to SPOOL_MEMO_WORKER; that one puts it together with what it knows, writes a
 *            memo and tells all others. At start every worker takes all memos.
 * Owner:     the queue. Thread: the queue's.
 * Limits:    PEERS_MAX memos; QUEUE_PEERS_ROWS rows per second, of one peer only the last.
 * Errors:    without memory, or room for one memo more, what was learned counts where it was learned. While the disk
 *            takes nothing rows wait.
 * Durability: a row is in the group commit of the turn in which it was learned, unless there were more of them.
 *
 *   worker ──PEER──► SPOOL_MEMO_WORKER ──PEER──► all workers
 *                          └── memo
 */
#ifndef RINGPOST_QUEUE_PEERS_H
#define RINGPOST_QUEUE_PEERS_H

#include "core/base/timer.h"
#include "core/policy/peers.h"
#include "core/queue/memo.h"

enum { QUEUE_PEERS_ROWS = 64, QUEUE_PEERS_TIDY_MS = 60 * 60 * 1000 };

struct queue_peers {
    struct peers table;
    uint32_t room;         /* rows that may still go in this second */
    uint64_t second_at_ms; /* when it began */
    struct timer later;    /* the next one */
    struct timer tidy;     /* at SPOOL_MEMO_WORKER */
};

void queue_peers_open(struct queue *q);
void queue_peers_stop(struct queue *q);
void queue_peers_close(struct queue *q);
/* A memo of kind QUEUE_MEMO_PEER, at start. */
void queue_peers_remember(struct queue *q, const struct spool_memo *memo);

/* Once per turn, behind everything that learns. */
void queue_peers_run(struct queue *q);
/* QUEUE_MAIL_PEER. */
void queue_peers_on_mail(struct queue *q, struct mail *m);
void queue_peers_drop_mail(struct mail *m);

/* At SPOOL_MEMO_WORKER: the memos of this host (empty: all) end. False: nothing was known; else done is called
 * once, perhaps at once. */
bool queue_peers_end(struct queue *q, struct slice host, queue_memo_done *done, void *ctx);
/* Then, at every worker: what the table knows of it goes. Returns of how many peers something did hold. */
uint32_t queue_peers_forget(struct queue *q, struct slice host);

/* One JSON object per line, at most so many bytes as the buffer takes. */
void queue_peers_report(const struct queue *q, struct buf *out);

#endif
