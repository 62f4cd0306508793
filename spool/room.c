/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A worker that idles keeps a current segment and a ready one, whatever is queued. A limit below that
 * would refuse mail for ever, because nothing that is delivered could bring the size down: so the limit
 * is never less than these and one more (the step back).
 *
 * Rejected: looking at each message. statvfs takes a lock of the file system, and both numbers change
 * only when a segment is made or given back; who comes between two looks finds the room that a segment
 * made ahead is there for.
 */
#include "spool/room.h"
#include "spool/dir.h"

enum { ROOM_SEGMENTS_OF_A_WORKER = 2 };

static bool room_too_big(bool before, uint64_t size_max, const struct spool_room_sizes *s)
{
    if (size_max == 0) {
        return false;
    }
    uint64_t least = (uint64_t)(s->workers * ROOM_SEGMENTS_OF_A_WORKER + 1) * s->segment_bytes;
    uint64_t max = size_max > least ? size_max : least;
    return s->size_bytes > (before ? max - s->segment_bytes : max);
}

static bool room_too_little(bool before, uint64_t free_min, const struct spool_room_sizes *s)
{
    return free_min != 0 && s->free_bytes < free_min + (before ? s->segment_bytes : 0);
}

enum spool_room spool_room_decide(enum spool_room before, const struct spool_room_limits *limits,
                                  const struct spool_room_sizes *sizes)
{
    must(sizes->workers > 0 && sizes->segment_bytes > 0);
    if (room_too_little(before == SPOOL_ROOM_MIN_FREE, limits->free_min, sizes)) {
        return SPOOL_ROOM_MIN_FREE;
    }
    if (room_too_big(before == SPOOL_ROOM_MAX_SIZE, limits->size_max, sizes)) {
        return SPOOL_ROOM_MAX_SIZE;
    }
    return SPOOL_ROOM_OK;
}

void spool_dir_look(struct spool_dir *dir, const struct spool_room_limits *limits,
                    struct spool_room_look *out)
{
    const struct spool_room_sizes sizes = {
        .size_bytes = atomic_load(&dir->bytes_total),
        .free_bytes = spool_dir_free_bytes(dir),
        .segment_bytes = dir->options.segment_bytes,
        .workers = dir->options.workers,
    };
    enum spool_room before = (enum spool_room)atomic_load(&dir->room);
    enum spool_room now = spool_room_decide(before, limits, &sizes);
    atomic_store(&dir->room, (unsigned)now);
    *out = (struct spool_room_look){
        .room = now,
        .changed = now != before,
        .size_bytes = sizes.size_bytes,
        .free_bytes = sizes.free_bytes,
    };
}
