/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * memo - what the spool remembers besides mail (internal to spool/; the calls for others: spool.h)
 *
 * Purpose:   a table of {kind, key} → value whose truth are STATE rows. The newest row of a key counts; a row
 *            without a value ends it. A live memo holds its segment and is appended again when its segment
 *            is to be given back.
 * Owner:     during recovery the directory, then the log of SPOOL_MEMO_WORKER.
 * Thread:    the owner's.
 * Limits:    SPOOL_MEMOS_MAX live ones through spool_memo_put; recovery takes what it finds.
 * Durability: the table changes when the row is durable, not before.
 *
 * All of them are in one log, because a row that ends a memo must outlive the row it ends: segments are given
 * back in order within a log (spool/reclaim.c), not between the logs of one run. A worker that wants
 * something remembered asks the worker of that log (core/queue/state.h).
 */
#ifndef RINGPOST_SPOOL_MEMO_H
#define RINGPOST_SPOOL_MEMO_H

#include "core/base/map.h"
#include "spool/format.h"

struct spool_memos {
    struct map map;      /* struct spool_memo_entry, durable ones */
    struct list pending; /* appended, in the order of their lsn */
    uint32_t pending_count;
    uint64_t sequence_last;
};

void spool_memos_init(struct spool_memos *memos, uint64_t seed);
/* Holds are forgotten, not released. */
void spool_memos_deinit(struct spool_memos *memos);

/* A row of the scan. False: no memory. */
bool spool_memos_found(struct spool_memos *memos, const struct spool_memo *memo, uint64_t sequence,
                       struct spool_ref ref);
/* All rows were found: what has ended goes, the others are told. Returns how many there are. */
uint64_t spool_memos_tell(struct spool_memos *memos,
                          void (*tell)(void *ctx, const struct spool_memo *memo), void *ctx);
/* From the directory to the log, which takes its holds. */
void spool_memos_take(struct spool *spool);

#endif
