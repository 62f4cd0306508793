/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A worker that idles keeps a current segment and a ready one, whatever is queued. A limit below that
 * would refuse mail for ever, because nothing that is delivered could bring the size down: so the limit
 * is never less than these and one more (the step back).
 *
 * Rejected: looking at each message. statvfs is a system call, and both numbers change only when a segment
 * is made or given back. A busy worker can make many segments between two looks, so the size is compared
 * when one is made (spool_room_grown: may only close the door, the next look says so and may open it).
 */
#include "spool/room.h"
#include "spool/dir.h"

enum { ROOM_SEGMENTS_OF_A_WORKER = 2 };

static uint64_t room_size_max(uint64_t size_max, const struct spool_room_sizes *s)
{
    uint64_t least = (uint64_t)(s->workers * ROOM_SEGMENTS_OF_A_WORKER + 1) * s->segment_bytes;
    return size_max == 0 || size_max > least ? size_max : least;
}

static bool room_too_big(bool before, uint64_t size_max, const struct spool_room_sizes *s)
{
    uint64_t max = room_size_max(size_max, s);
    return max != 0 && s->size_bytes > (before ? max - s->segment_bytes : max);
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
    atomic_store(&dir->room_size_max, room_size_max(limits->size_max, &sizes));
    atomic_store(&dir->room, (unsigned)now);
    if (spool_dir_fence(dir) == SPOOL_FENCE_TAKEN) {
        atomic_store(&dir->taken, true);
    }
    bool changed = dir->room_told != (unsigned)now;
    dir->room_told = (unsigned)now;
    *out = (struct spool_room_look){
        .room = now,
        .changed = changed,
        .size_bytes = sizes.size_bytes,
        .free_bytes = sizes.free_bytes,
    };
}

void spool_room_grown(struct spool_dir *dir)
{
    uint64_t max = atomic_load(&dir->room_size_max);
    unsigned was = SPOOL_ROOM_OK;
    if (max != 0 && atomic_load(&dir->bytes_total) > max) {
        (void)atomic_compare_exchange_strong(&dir->room, &was, (unsigned)SPOOL_ROOM_MAX_SIZE);
    }
}
