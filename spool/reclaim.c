/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Giving segments back, and moving what stands in the way.
 *
 * THE RECLAIM ARGUMENT: a message that has ended never comes back.
 *
 * Recovery shows a recipient as queued when it finds a MESSAGE row and no later RESULT that ends it.
 * So the danger is a result (or a newer copy of the message) that disappears while an older MESSAGE
 * row is still on the disk. Let that MESSAGE row be in segment s and the later row in segment t.
 *
 *  1. t has the higher number: all records of a message in one run are in one log, whose segments are
 *     used in the order of their numbers, and a later run has higher numbers only.
 *  2. Segments of earlier runs ("the past") go in the order of their numbers over the whole directory,
 *     whoever wrote them; each removal is made durable (fsync of the directory) before the next.
 *  3. Segments of this run go only when the past is gone, durably, and then in the order of numbers
 *     within their log, each removal made durable before the next.
 *  By 2 if both are past, by 3 if t is of this run (s is past, or of the same log): t outlives s.
 *
 * Nothing that is still needed goes: a segment is removed only when no message holds it, and the
 * queue releases a hold only when the rows that make it needless (results, or the copy that
 * spool_compact_next asked for) are durable.
 *
 * Because of 2 and 3 it does not matter to which worker a recovered message is given, and the number
 * of workers may change at every start: nothing is rewritten for it. (Rejected: re-appending all live
 * messages into the logs of the new owners before the start. It needs room on a disk that may be full
 * and time in proportion to the queue, for the same guarantee.)
 *
 * A message that waits long pins all younger segments. So what is alive in the oldest segment is
 * appended again when that is cheap (little lives there) or when most of the disk is dead.
 *
 * A failed fsync of the directory may hide that a removal will come undone; a second one would not
 * tell. Then nothing is removed any more in this run.
 */
#include "spool/log.h"

enum {
    RECLAIM_RETRY_MS = 30000,
    COMPACT_DEAD_YOUNGER = 2, /* segments that would come free */
    COMPACT_LIVE_PERCENT = 25,
    COMPACT_LOOK = 8, /* how many younger segments are looked at */
};

/* ---- removing ---- */

/* A damaged segment has ended: whoever wants to know what was in it finds it under another name. */
static bool reclaim_set_aside(struct spool_dir *dir, const char *name, uint64_t number)
{
    char to[DISK_NAME_MAX];
    spool_name_make(to, SPOOL_NAME_BAD, number);
    if (atomic_fetch_add(&dir->bad_count, 1) < SPOOL_BAD_MAX) {
        return disk_rename(dir->fd, name, to) == 0;
    }
    atomic_fetch_sub(&dir->bad_count, 1);
    return false;
}

/* Takes its name away. False: it is still there, all as before. */
static bool reclaim_remove(struct spool *spool, uint64_t number, uint64_t file_bytes, bool damaged)
{
    char name[DISK_NAME_MAX];
    spool_name_make(name, SPOOL_NAME_SEGMENT, number);
    spool->leaving_spare = false;
    if (damaged && reclaim_set_aside(spool->dir, name, number)) {
        return true;
    }
    int r;
    if (spool_spare_has_room(spool->dir, file_bytes)) {
        char to[DISK_NAME_MAX];
        spool_name_make(to, SPOOL_NAME_SPARE, number);
        r = disk_rename(spool->dir->fd, name, to);
        spool->leaving_spare = r == 0;
    } else {
        r = disk_unlink(spool->dir->fd, name);
    }
    if (r < 0) {
        spool->reclaim_after_ms = io_now(spool->io)->mono_ms + RECLAIM_RETRY_MS;
    }
    return r == 0;
}

static bool past_is_gone(const struct spool *spool)
{
    return atomic_load(&spool->dir->past_gone) == spool->dir->past_count;
}

static struct spool_past *past_first(struct spool *spool)
{
    size_t gone = atomic_load(&spool->dir->past_gone);
    return gone < spool->dir->past_count ? &spool->dir->past[gone] : NULL;
}

/* True: an operation was started. */
static bool reclaim_past(struct spool *spool)
{
    struct spool_dir *dir = spool->dir;
    struct spool_past *p = past_first(spool);
    bool free_to_go = false;
    if (!p || atomic_load(&p->viewers) > 0 ||
        !atomic_compare_exchange_strong(&dir->past_busy, &free_to_go, true)) {
        return false;
    }
    p = past_first(spool); /* another worker may have been here between the two looks */
    if (!p || atomic_load(&p->viewers) > 0 ||
        !reclaim_remove(spool, p->number, p->file_bytes, p->damaged)) {
        atomic_store(&dir->past_busy, false);
        return false;
    }
    io_fsync(spool->io, spool_op_start(spool, SPOOL_OP_RECLAIM), dir->fd, false);
    return true;
}

static void reclaim_own(struct spool *spool)
{
    if (spool->segment_count == 0) {
        return;
    }
    struct spool_segment *s = spool->segments[0];
    if (s->past || s == spool->current || !s->finished || s->groups > 0 || s->hold_count > 0 ||
        !reclaim_remove(spool, s->number, s->file_bytes, false)) {
        return;
    }
    spool_segment_drop(spool, s);
    spool->leaving = s;
    io_fsync(spool->io, spool_op_start(spool, SPOOL_OP_RECLAIM), spool->dir->fd, false);
}

void spool_reclaim(struct spool *spool)
{
    if (spool->op_busy[SPOOL_OP_RECLAIM] || !spool->adopted || spool->stopping ||
        spool->state == SPOOL_STATE_FENCED || atomic_load(&spool->dir->reclaim_stopped) ||
        io_now(spool->io)->mono_ms < spool->reclaim_after_ms ||
        spool->flying) { /* as in make.c: names change when a write has just come back */
        return;
    }
    spool_segments_forget_past(spool);
    if (!reclaim_past(spool) && past_is_gone(spool)) {
        reclaim_own(spool);
    }
}

void spool_reclaim_done(struct spool *spool, const struct io_event *ev)
{
    struct spool_dir *dir = spool->dir;
    struct spool_segment *s = spool->leaving;
    struct spool_past *p = s ? NULL : past_first(spool);
    must(s || p);
    uint64_t number = p ? p->number : s->number;
    uint64_t bytes = p ? p->file_bytes : s->file_bytes;
    bool ok = ev->status == IO_OK;
    if (!ok) {
        atomic_store(&dir->reclaim_stopped, true);
        spool_incident(spool, SPOOL_INCIDENT_RECLAIM_STOPPED, number, ev->error);
    }
    spool->leaving = NULL;
    spool_segment_free(&s);
    if (p && ok) {
        disk_close(p->fd);
        p->fd = -1;
        atomic_fetch_add(&dir->past_gone, 1);
    }
    if (p) {
        atomic_store(&dir->past_busy, false);
    }
    if (!ok) {
        return;
    }
    atomic_fetch_sub(&dir->bytes_total, bytes);
    spool->stats.segments_reclaimed++;
    if (spool->leaving_spare) {
        spool_spare_put(dir, number);
    }
    spool_make_freed(spool);
    spool_reclaim(spool);
}

/* ---- moving ---- */

/* Most of what the segments of all workers take is dead, and that is more than the segments that are
 * in use anyway. */
static bool compact_dir_is_dead(const struct spool_dir *dir)
{
    uint64_t total = atomic_load(&dir->bytes_total);
    uint64_t live = atomic_load(&dir->bytes_live);
    uint64_t in_use = (uint64_t)(dir->options.workers * 3 + 2) * dir->options.segment_bytes;
    return total > in_use && live * 2 < total - in_use;
}

static bool compact_is_cheap(const struct spool *spool, size_t at)
{
    const struct spool_segment *s = spool->segments[at];
    if (s->live_bytes * 100 >= s->file_bytes * COMPACT_LIVE_PERCENT) {
        return false;
    }
    unsigned dead = 0;
    for (size_t i = at + 1; i < spool->segment_count && i <= at + COMPACT_LOOK; i++) {
        const struct spool_segment *y = spool->segments[i];
        dead += y->finished && y->hold_count == 0 ? 1 : 0;
    }
    return dead >= COMPACT_DEAD_YOUNGER;
}

/* Where something should move away; NULL: nowhere. */
static struct spool_segment *compact_segment(struct spool *spool)
{
    if (!spool->adopted || spool->stopping || spool->state != SPOOL_STATE_READY) {
        return NULL;
    }
    spool_segments_forget_past(spool);
    size_t at = 0;
    while (at < spool->segment_count && spool->segments[at]->hold_count == 0) {
        at++;
    }
    if (at == spool->segment_count || !spool->segments[at]->finished) {
        return NULL;
    }
    if (!compact_dir_is_dead(spool->dir) && !compact_is_cheap(spool, at)) {
        return NULL;
    }
    return spool->segments[at];
}

struct spool_hold *spool_compact_next(struct spool *spool)
{
    struct spool_segment *s = compact_segment(spool);
    if (!s) {
        return NULL;
    }
    struct list *holds = &s->holds;
    for (struct list *node = holds->next; node != holds; node = node->next) {
        struct spool_hold *hold = LIST_ENTRY(node, struct spool_hold, link);
        if (hold->memo) {
            spool_memos_move(spool, s);
        } else if (!hold->pinned) {
            return hold;
        }
    }
    return NULL;
}

uint64_t spool_compact_folded(struct spool *spool)
{
    const struct spool_segment *s = compact_segment(spool);
    return s && s->folded_count ? s->number : 0;
}
