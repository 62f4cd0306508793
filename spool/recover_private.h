/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * recover_private - what the steps of recovery share
 *
 * Purpose:   one recovery's code in two files: recover.c (heads, scan, tidy) and replay.c. Nobody else
 *            includes this.
 * Owner:     spool_recover has the struct on its stack. Thread: the one that calls it.
 */
#ifndef RINGPOST_SPOOL_RECOVER_PRIVATE_H
#define RINGPOST_SPOOL_RECOVER_PRIVATE_H

#include "spool/dir.h"
#include "spool/ahead.h"
#include "spool/found.h"

struct spool_recovering {
    struct spool_dir *dir;
    const struct spool_recovery_events *events;
    void *ctx;
    struct spool_recovery *sum;
    struct buf *error;
    struct spool_found_set messages;
    struct spool_past *past; /* of all segment files, then compacted */
    size_t past_count;
    bool no_memory;

    /* of the segment being scanned */
    struct spool_past *at;
    char file[DISK_NAME_MAX];
    struct spool_file bytes; /* used again for each */
    struct spool_ahead ahead;
    uint64_t broken;

    /* of the replay */
    struct spool_rcpt *rcpts;
    size_t rcpt_cap;
    struct spool_fragment_ref *fragments;
    size_t fragment_cap;
    uint8_t *raw; /* what was read last: all of one or more messages */
    size_t raw_cap;
    struct spool_ref raw_ref;
    unsigned worker_next;
};

void spool_recovery_report(struct spool_recovering *r, enum spool_damage kind, uint64_t offset,
                           uint64_t bytes);
/* NULL: there is no such segment. */
struct spool_past *spool_recovery_past(const struct spool_recovering *r, uint64_t number);
/* False: no memory. */
bool spool_recovery_replay(struct spool_recovering *r);

#endif
