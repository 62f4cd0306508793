/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a log says of itself.
 */
#include "spool/log.h"

uint64_t spool_decided_lsn(const struct spool *spool)
{
    return spool->lsn_decided;
}

static bool log_is_stalled(const struct spool *spool)
{
    return spool->flying && io_now(spool->io)->mono_ms - spool->flying_since_ms > SPOOL_STALLED_MS;
}

bool spool_ready(const struct spool *spool)
{
    enum spool_append verdict = spool_takes_mail(spool);
    return spool->state == SPOOL_STATE_READY && !log_is_stalled(spool) &&
           (verdict == SPOOL_APPENDED || verdict == SPOOL_WAIT);
}

const char *spool_health_name(enum spool_health health)
{
    static const char *const names[] = {
        [SPOOL_HEALTH_READY] = "ready",         [SPOOL_HEALTH_STARTING] = "starting",
        [SPOOL_HEALTH_MAX_SIZE] = "max_size",   [SPOOL_HEALTH_MIN_FREE] = "min_free",
        [SPOOL_HEALTH_FULL] = "full",           [SPOOL_HEALTH_STALLED] = "stalled",
        [SPOOL_HEALTH_READ_ONLY] = "read-only", [SPOOL_HEALTH_FENCED] = "fenced",
    };
    must((size_t)health < ARRAY_COUNT(names));
    return names[health];
}

static enum spool_health log_health(const struct spool *spool)
{
    enum spool_append verdict = spool_takes_mail(spool);
    if (verdict != SPOOL_FAILED && log_is_stalled(spool)) {
        return SPOOL_HEALTH_STALLED;
    }
    switch (verdict) {
    case SPOOL_APPENDED:
    case SPOOL_WAIT:
        return spool->state == SPOOL_STATE_STARTING ? SPOOL_HEALTH_STARTING : SPOOL_HEALTH_READY;
    case SPOOL_FAILED:
        return spool->state == SPOOL_STATE_FENCED ? SPOOL_HEALTH_FENCED : SPOOL_HEALTH_READ_ONLY;
    case SPOOL_FULL:
        break;
    }
    switch ((enum spool_room)atomic_load(&spool->dir->room)) {
    case SPOOL_ROOM_MAX_SIZE:
        return SPOOL_HEALTH_MAX_SIZE;
    case SPOOL_ROOM_MIN_FREE:
        return SPOOL_HEALTH_MIN_FREE;
    case SPOOL_ROOM_OK:
        break;
    }
    return SPOOL_HEALTH_FULL;
}

void spool_stats(const struct spool *spool, struct spool_stats *out)
{
    *out = spool->stats;
    out->state = spool->state;
    out->health = log_health(spool);
    out->ready = spool_ready(spool);
    out->full = spool->next == NULL && spool->make.failure == IO_NO_SPACE;
    out->segments = spool->segment_count + (spool->next ? 1 : 0);
    out->bytes_total = spool->next ? spool->next->file_bytes : 0;
    for (size_t i = 0; i < spool->segment_count; i++) {
        const struct spool_segment *s = spool->segments[i];
        out->bytes_total += s->past && s->hold_count == 0 ? 0 : s->file_bytes;
    }
}
