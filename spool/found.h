/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * found - the messages that a scan has found so far, and their states (internal to spool/)
 *
 * Purpose:   MESSAGE and RESULT rows of one id become one state, for recovery.
 * Owner:     the caller owns the set; spool_found_free takes all of it away.
 * Thread:    any. Units: as in spool.h.
 * Errors:    rows are decoded already, but may still contradict each other: false says which.
 */
#ifndef RINGPOST_SPOOL_FOUND_H
#define RINGPOST_SPOOL_FOUND_H

#include "core/base/list.h"
#include "core/base/map.h"
#include "spool/format.h"

struct spool_found_rcpt {
    uint64_t next_due_ms;
    uint16_t attempts;
    uint8_t status; /* enum spool_rcpt_status */
};

/* places: in the order of the newest copies, which is the order in which they are met. */
struct spool_found_set {
    struct map by_id;
    struct list places;
};

struct spool_found {
    struct map_node node;
    struct list place;
    uint64_t id;
    struct spool_ref ref; /* of the newest copy */
    uint32_t rcpt_count;
    uint32_t queued;
    struct spool_found_rcpt rcpts[];
};

void spool_found_init(struct spool_found_set *found, uint64_t seed);
void spool_found_free(struct spool_found_set *found);

/* Rows come in the order of (segment number, offset). False: no memory. */
bool spool_found_message(struct spool_found_set *found, const struct spool_message_view *v,
                         struct spool_ref ref);
/* False: it names a recipient that its message does not have. */
bool spool_found_result(struct spool_found_set *found, const struct spool_result *result);
/* The next one in the order of places that has a queued recipient; after NULL: the first. */
struct spool_found *spool_found_next(const struct spool_found_set *found,
                                     const struct spool_found *after);
/* It is no longer needed, nor is anything that is asked of its id. */
void spool_found_drop(struct spool_found_set *found, struct spool_found *m);

#endif
