/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The segments a log knows and the holds on them. A worker has a view (struct spool_segment) of every
 * segment of the past, because any worker may own messages in it; what they share is
 * spool_past.viewers. A hold names its segment by number, so a stale one finds nothing.
 */
#include "spool/log.h"

#include <stdlib.h>

struct spool_segment *spool_segment_new(uint64_t number, uint64_t file_bytes)
{
    struct spool_segment *s = calloc(1, sizeof(*s));
    if (!s) {
        return NULL;
    }
    s->number = number;
    s->file_bytes = file_bytes;
    s->durable_end = SPOOL_DATA_OFFSET;
    s->write_fd = s->read_fd = -1;
    list_init(&s->holds);
    return s;
}

void spool_segment_free(struct spool_segment **segment)
{
    struct spool_segment *s = *segment;
    if (!s) {
        return;
    }
    if (s->write_fd >= 0) {
        disk_close(s->write_fd);
    }
    if (s->read_fd >= 0 && !s->past) {
        disk_close(s->read_fd);
    }
    free(s);
    *segment = NULL;
}

bool spool_segment_reserve(struct spool *spool)
{
    if (spool->segment_count < spool->segment_cap) {
        return true;
    }
    size_t cap = spool->segment_cap ? spool->segment_cap * 2 : 16;
    struct spool_segment **grown = realloc(spool->segments, cap * sizeof(struct spool_segment *));
    if (!grown) {
        return false;
    }
    spool->segments = grown;
    spool->segment_cap = cap;
    return true;
}

void spool_segment_push(struct spool *spool, struct spool_segment *segment)
{
    must(spool->segment_count < spool->segment_cap);
    must(spool->segment_count == 0 ||
         spool->segments[spool->segment_count - 1]->number < segment->number);
    spool->segments[spool->segment_count++] = segment;
}

/* The place of the first segment whose number is not below. */
static size_t segment_index(const struct spool *spool, uint64_t number)
{
    size_t low = 0;
    size_t high = spool->segment_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (spool->segments[mid]->number < number) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

struct spool_segment *spool_segment_find(const struct spool *spool, uint64_t number)
{
    size_t i = segment_index(spool, number);
    return i < spool->segment_count && spool->segments[i]->number == number ? spool->segments[i]
                                                                            : NULL;
}

void spool_segment_drop(struct spool *spool, struct spool_segment *segment)
{
    size_t i = segment_index(spool, segment->number);
    must(i < spool->segment_count && spool->segments[i] == segment);
    must(segment != spool->current && segment->hold_count == 0 && segment->groups == 0);
    memmove(&spool->segments[i], &spool->segments[i + 1],
            (spool->segment_count - i - 1) * sizeof(struct spool_segment *));
    spool->segment_count--;
}

void spool_segment_finish(struct spool_segment *segment)
{
    segment->finished = true;
    if (segment->groups == 0 && segment->write_fd >= 0) {
        disk_close(segment->write_fd);
        segment->write_fd = -1;
    }
}

void spool_segments_forget_past(struct spool *spool)
{
    size_t gone = atomic_load(&spool->dir->past_gone);
    uint64_t below = gone < spool->dir->past_count ? spool->dir->past[gone].number : UINT64_MAX;
    while (spool->segment_count && spool->segments[0]->past && spool->segments[0]->number < below) {
        struct spool_segment *s = spool->segments[0];
        spool_segment_drop(spool, s);
        spool_segment_free(&s);
    }
}

/* ---- holds ---- */

bool spool_hold(struct spool *spool, struct spool_hold *hold, struct spool_ref ref)
{
    must(hold->segment == 0 || hold->segment == ref.segment);
    struct spool_segment *s = spool_segment_find(spool, ref.segment);
    if (!s || (s->past && spool->adopted && s->hold_count == 0)) {
        return false; /* a segment of the past that this worker has let go may be gone */
    }
    if (hold->segment == 0) {
        hold->segment = ref.segment;
        hold->bytes = 0;
        list_push_back(&s->holds, &hold->link);
        s->hold_count++;
    }
    /* Saturates: the number is for accounting only, a lie on disk must not wrap it. */
    uint32_t add = ref.bytes <= UINT32_MAX - hold->bytes ? ref.bytes : 0;
    hold->bytes += add;
    s->live_bytes += add;
    spool->stats.bytes_live += add;
    atomic_fetch_add(&spool->dir->bytes_live, add);
    return true;
}

void spool_release(struct spool *spool, struct spool_hold *hold)
{
    if (hold->segment == 0) {
        return;
    }
    struct spool_segment *s = spool_segment_find(spool, hold->segment);
    must(s != NULL && s->hold_count > 0 && s->live_bytes >= hold->bytes);
    list_remove(&hold->link);
    s->hold_count--;
    s->live_bytes -= hold->bytes;
    spool->stats.bytes_live -= hold->bytes;
    atomic_fetch_sub(&spool->dir->bytes_live, hold->bytes);
    hold->segment = 0;
    hold->bytes = 0;
    if (s->hold_count > 0) {
        return;
    }
    /* While stopping, what is released is not ended: it is only forgotten in memory. To another worker
     * that still runs it must look needed for ever, or that one removes the segment. */
    if (s->past && spool->adopted && !spool->stopping) {
        must(atomic_fetch_sub(&s->past->viewers, 1) > 0);
    }
    spool_reclaim(spool);
}

void spool_hold_fold(struct spool *spool, struct spool_hold *hold)
{
    struct spool_segment *s = spool_segment_find(spool, hold->segment);
    must(s != NULL && !hold->pinned);
    list_remove(&hold->link);
    s->folded_count++;
    hold->segment = 0;
    hold->bytes = 0;
}

void spool_hold_unfold(struct spool *spool, struct spool_hold *hold, uint64_t segment,
                       uint32_t bytes)
{
    struct spool_segment *s = spool_segment_find(spool, segment);
    must(s != NULL && s->folded_count > 0 && hold->segment == 0);
    s->folded_count--;
    hold->segment = segment;
    hold->bytes = bytes;
    list_push_back(&s->holds, &hold->link);
}

void spool_adopted(struct spool *spool)
{
    must(!spool->adopted);
    spool->adopted = true;
    for (size_t i = 0; i < spool->segment_count && spool->segments[i]->past; i++) {
        if (spool->segments[i]->hold_count == 0) {
            must(atomic_fetch_sub(&spool->segments[i]->past->viewers, 1) > 0);
        }
    }
    spool_reclaim(spool);
}

bool spool_locate(const struct spool *spool, struct spool_ref ref, struct spool_place *place)
{
    const struct spool_segment *s = spool_segment_find(spool, ref.segment);
    if (!s || s->read_fd < 0 || s->hold_count == 0) {
        return false;
    }
    *place = (struct spool_place){.fd = s->read_fd,
                                  .offset = ref.offset,
                                  .bytes = ref.bytes,
                                  .salt = s->salt};
    return true;
}
