/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * dir - the spool directory as the process holds it (internal to spool/)
 *
 * Purpose:   what all workers share: descriptor, lock, numbers, the segments of earlier runs ("the
 *            past"), spare files.
 * Owner:     control thread. Thread: fields are const while workers run, except the atomics and what
 *            spares_lock guards.
 *
 * Names in the directory:
 *   lock                    flock'ed by the engine; text: format version, pid, token (the fence)
 *   seg-<number>.log        a segment
 *   make-<number>.tmp       a segment being made; leftovers are removed at start
 *   spare-<number>.log      a finished segment kept for re-use; <number> is its former one
 *   bad-<number>.log        a damaged segment, set aside for a person (at most SPOOL_BAD_MAX)
 */
#ifndef RINGPOST_SPOOL_DIR_H
#define RINGPOST_SPOOL_DIR_H

#include "core/io/disk.h"
#include "spool/format.h"
#include "spool/memo.h"

#include <pthread.h>
#include <stdatomic.h>

enum { SPOOL_SPARES_MAX = 64, SPOOL_BAD_MAX = 8 };

/* A segment of an earlier run. It belongs to no worker: any worker's messages may lie in it. */
struct spool_past {
    uint64_t number;
    uint64_t salt;
    uint64_t file_bytes;
    uint32_t lineage;
    uint32_t valid_end;  /* frames at or beyond it do not count */
    bool sealed;         /* a seal on disk says so already */
    bool complete;       /* that seal says that all before it was durable */
    bool damaged;        /* something in it is broken: it is kept for a person when it has ended */
    int fd;              /* buffered, read-only */
    atomic_uint viewers; /* workers that hold, or may still hold, something in it */
};

struct spool_dir {
    char *path;
    int fd;
    int lock_fd;
    bool direct;
    bool dsync;                   /* one write with RWF_DSYNC is a durable one */
    struct spool_options options; /* defaults filled in */
    uint64_t token;
    uint64_t lsn_max;        /* of all earlier runs */
    struct spool_past *past; /* ascending numbers */
    size_t past_count;
    struct spool_memos memos; /* found at start; spool_open of their worker takes them */
    atomic_size_t past_gone;  /* so many of the first are gone, durably */
    atomic_bool past_busy;    /* one worker at a time removes from the past */
    atomic_uint bad_count;
    atomic_bool reclaim_stopped; /* a directory fsync has failed */
    atomic_uint room;            /* enum spool_room: the verdict on new mail */
    unsigned room_told;          /* the same as the last look returned it; control thread's */
    atomic_bool taken;           /* a look found another engine's token: no more is written */
    atomic_uint_fast64_t room_size_max; /* as the last look found it, 0: no limit */
    atomic_uint_fast64_t number_next;
    atomic_uint_fast64_t bytes_total; /* segment files, without spares */
    atomic_uint_fast64_t bytes_live;  /* held */
    pthread_mutex_t spares_lock;
    uint64_t spares[SPOOL_SPARES_MAX];
    unsigned spare_count;
};

enum spool_name { SPOOL_NAME_SEGMENT, SPOOL_NAME_MAKE, SPOOL_NAME_SPARE, SPOOL_NAME_BAD };

void spool_name_make(char out[DISK_NAME_MAX], enum spool_name kind, uint64_t number);
/* False: not a name of ours. */
bool spool_name_parse(const char *name, enum spool_name *kind, uint64_t *number);

uint64_t spool_dir_number(struct spool_dir *dir);

/* A worker has made a segment: the log may be too large now (spool/room.c). */
void spool_room_grown(struct spool_dir *dir);

enum spool_fence { SPOOL_FENCE_OURS, SPOOL_FENCE_TAKEN, SPOOL_FENCE_UNREADABLE };
enum spool_fence spool_dir_fence(const struct spool_dir *dir);

/* Spares. take: 0 when there is none. has_room: a finished segment of this size may become one. */
uint64_t spool_spare_take(struct spool_dir *dir);
bool spool_spare_has_room(struct spool_dir *dir, uint64_t file_bytes);
void spool_spare_put(struct spool_dir *dir, uint64_t number);

/* The numbers of all names of one kind, ascending; *numbers is malloc'ed. Negative errno on failure. */
int spool_dir_numbers(int dir_fd, enum spool_name kind, uint64_t **numbers, size_t *count);

#endif
