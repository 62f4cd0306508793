/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * override - overrides (core/policy/automation.h) that outlive the process
 *
 * Purpose:   each is a memo of the spool, its key the id as text; written when it changes, taken away when it is
 *            over, read at start before any mail goes.
 * Owner:     the automation is the engine's; the queue of SPOOL_MEMO_WORKER writes.
 * Thread:    queue_overrides_run and _cancel: that worker's; queue_override_restore: before workers start.
 * Limits:    QUEUE_OVERRIDES_PER_TURN changes in a turn; growth is computed, not written.
 * Errors:    what the disk cannot take now is tried again (core/queue/memo.h). A row that makes no sense is
 *            left where it is: another version may know it.
 * Durability: queue_overrides_tell: done comes after the commit of all that had changed until then.
 */
#ifndef RINGPOST_QUEUE_OVERRIDE_H
#define RINGPOST_QUEUE_OVERRIDE_H

#include "core/policy/automation.h"
#include "core/queue/memo.h"

enum { QUEUE_OVERRIDES_PER_TURN = 64 };

/* A memo of kind QUEUE_MEMO_OVERRIDE. */
bool queue_override_restore(struct automation *a, const struct spool_memo *memo, uint64_t now_ms);

/* Once per turn. */
void queue_overrides_run(struct queue *q);
/* The same, all of it, and `done` when this override's newest state is on the disk. */
void queue_overrides_tell(struct queue *q, uint64_t id, queue_memo_done *done, void *ctx);

/* One JSON object per override, in the order of their ids, at most so many bytes as the buffer takes. */
void queue_overrides_report(struct automation *a, uint64_t now_ms, struct buf *out);
/* Its members without the braces. */
void queue_override_add(struct buf *out, const struct automation_override *o);

#endif
