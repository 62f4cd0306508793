/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * found - the messages that a scan has found so far, and their states (internal to spool/)
 *
 * Purpose:   MESSAGE and RESULT rows of one id become one state, for recovery.
 * Owner:     the caller owns the map; spool_found_free takes all of it away.
 * Thread:    any. Units: as in spool.h.
 * Errors:    rows are decoded already, but may still contradict each other: false says which.
 */
#ifndef RINGPOST_SPOOL_FOUND_H
#define RINGPOST_SPOOL_FOUND_H

#include "core/base/map.h"
#include "spool/format.h"

struct spool_found_rcpt {
    uint64_t next_due_ms;
    uint16_t attempts;
    uint8_t status; /* enum spool_rcpt_status */
};

struct spool_found {
    struct map_node node;
    uint64_t id;
    struct spool_ref ref; /* of the newest copy */
    uint32_t rcpt_count;
    uint32_t queued;
    struct spool_found_rcpt rcpts[];
};

/* Rows come in the order of (segment number, offset). False: no memory. */
bool spool_found_message(struct map *found, const struct spool_message_view *v,
                         struct spool_ref ref);
/* False: it names a recipient that its message does not have. */
bool spool_found_result(struct map *found, const struct spool_result *result);
/* Those with a queued recipient, in the order of their places; malloc'ed. NULL: no memory. */
struct spool_found **spool_found_live(const struct map *found, size_t *count);
void spool_found_free(struct map *found);

#endif
