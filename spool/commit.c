/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Group commit, and what happens when it fails.
 *
 *   frames ──► filling ──close──► waiting ──spool_commit──► flying ──OK──► durable, reported, free
 *              (append.c)          (FIFO)    (one at a time)   │
 *                                                              └─ not OK ─► log_fail: all of it is lost
 *
 * Waiting for the flush is the batching: while one group is in the kernel the next one fills. No
 * timer delays a frame that somebody waits for; frames that are all lazy (results) wait lazy_ms.
 *
 * THE CRASH ARGUMENT (promises P1, P2; the process or the machine stops at any point)
 *
 *  1. A frame is reported COMMITTED only after io_write_durable of its group said IO_OK: the bytes and
 *     an fdatasync that began after the write, or, where that is known to be as good, a write with
 *     RWF_DSYNC. That makes durable what it writes and need not do so for older writes: there are none,
 *     for each group was made durable by itself, and the file when it was made. The file's own existence was durable before that: a
 *     segment becomes `next` only after fsync of the file, rename and fsync of the directory (make.c).
 *     So what was reported is found by recovery.
 *  2. Groups of one log are written strictly one after another. So a broken frame that has a valid
 *     group behind it was once durable: that is damage, and reported. What is broken in the last
 *     group was never reported: a torn tail, ignored. Each frame has its own checksums, so a torn
 *     group may come back in part: those are frames nobody was told about, whole ones only.
 *  3. A result that ends a recipient is in the same log as the message and behind it; recovery
 *     applies rows in the order of (segment number, offset), which is the order of their making:
 *     numbers are given in the order of use within a log, and a later run has higher numbers only.
 *     Bounce and DSN share one frame: both or neither.
 *  4. A failed write or fdatasync may still have reached the disk, now or later, in part or as a
 *     whole; a second fdatasync may succeed without it. Therefore the segment ends for ever, nothing
 *     is ever flushed to it again, and all frames of flying, waiting and filling groups are lost.
 *     Before they are reported as lost (their clients hear 451, which promises that no copy will be
 *     sent), a SEAL in another segment is made durable: what lies in the failed segment beyond the
 *     last durable offset does not count, whatever the disk shows after a restart.
 *     If the seal cannot be written either (the next segment cannot be made, or its first commit
 *     fails too), they are reported as lost all the same: a client must not wait for a dead disk.
 *     Then, and only if the process dies before a later seal succeeds and the failed write had in
 *     truth arrived, an unacknowledged frame comes back: one message twice, never one lost.
 *  5. Recovery is read-only. The seals that fence the torn tails it saw go into the first group of
 *     the new run, before or together with anything that builds on what was read; so an old write
 *     that is still on its way when the new process starts reading cannot change the past later.
 *
 *   STARTING ──first segment made──► READY ◄──────────── seal durable ─────────────┐
 *                                      │ commit failed                              │
 *                                      ▼                                            │
 *                                   SEALING ──seal or segment failed──► READ_ONLY ──┘ (retry 1 s … 10 s)
 *   any ──foreign token in the lock file──► FENCED
 */
#include "spool/log.h"

#include <errno.h>
#include <stdlib.h>

void spool_incident(struct spool *spool, enum spool_incident what, uint64_t segment, int error)
{
    if (spool->events.incident) {
        spool->events.incident(spool->ctx, what, segment, error);
    }
}

void spool_space(struct spool *spool)
{
    if (spool->wants_space) {
        spool->wants_space = false;
        spool->events.space(spool->ctx);
    }
}

/* ---- open and close ---- */

static bool log_view_past(struct spool *spool)
{
    struct spool_dir *dir = spool->dir;
    for (size_t i = 0; i < dir->past_count; i++) {
        struct spool_past *p = &dir->past[i];
        struct spool_segment *s = spool_segment_new(p->number, p->file_bytes);
        if (!s || !spool_segment_reserve(spool)) {
            spool_segment_free(&s);
            return false;
        }
        s->past = p;
        s->read_fd = p->fd;
        s->salt = p->salt;
        s->durable_end = p->valid_end;
        s->finished = true;
        spool_segment_push(spool, s);
    }
    return true;
}

/* The newest first: only writes of the run before this one can still be on their way. If there are more
 * than a frame holds (a thousand crashes without a message), the oldest wait for the next start. */
static void log_seal_past(struct spool *spool)
{
    struct spool_dir *dir = spool->dir;
    for (size_t i = dir->past_count; i-- > 0 && spool_seals_room(spool);) {
        const struct spool_past *p = &dir->past[i];
        if (!p->sealed && i % dir->options.workers == spool->worker) {
            spool_seal_add(spool, (struct spool_seal){p->number, p->valid_end, false});
        }
    }
}

struct spool *spool_open(struct spool_dir *dir, unsigned worker, struct io *io,
                         struct timer_wheel *timers, const struct spool_events *events, void *ctx)
{
    must(worker < dir->options.workers && events->committed && events->space);
    struct spool *spool = calloc(1, sizeof(*spool));
    if (!spool) {
        return NULL;
    }
    spool->dir = dir;
    spool->worker = worker;
    spool->io = io;
    if (dir->dsync) {
        io_trust_dsync(io);
    }
    spool->timers = timers;
    spool->events = *events;
    spool->ctx = ctx;
    spool->state = SPOOL_STATE_STARTING;
    spool->lsn_next = dir->lsn_max + 1;
    spool->lsn_decided = dir->lsn_max;
    list_init(&spool->free);
    list_init(&spool->waiting);
    spool->groups = calloc(dir->options.buffers, sizeof(*spool->groups));
    spool_memos_init(&spool->memos, 0);
    if (!spool->groups || !log_view_past(spool)) {
        spool_close(&spool);
        return NULL;
    }
    if (worker == SPOOL_MEMO_WORKER) {
        spool_memos_take(spool);
    }
    log_seal_past(spool);
    for (unsigned i = 0; i < dir->options.buffers; i++) {
        list_push_back(&spool->free, &spool->groups[i].link);
    }
    spool_make_init(spool);
    spool_make_next(spool);
    return spool;
}

static bool log_in_kernel(const struct spool *spool)
{
    for (unsigned i = 0; i < SPOOL_OP_COUNT; i++) {
        if (spool->op_busy[i]) {
            return true;
        }
    }
    return false;
}

bool spool_stop(struct spool *spool)
{
    spool->stopping = true;
    timer_stop(spool->timers, &spool->make.retry);
    if (spool->make.step == SPOOL_MAKE_WAITING) {
        spool->make.step = SPOOL_MAKE_IDLE;
    }
    bool writes = spool->state == SPOOL_STATE_READY || spool->state == SPOOL_STATE_SEALING;
    bool pending = spool->filling && spool->filling->frames > 0;
    if (writes && pending) {
        spool->filling->urgent = true;
    }
    return !log_in_kernel(spool) && (!writes || (!pending && list_empty(&spool->waiting)));
}

void spool_close(struct spool **spool)
{
    struct spool *s = *spool;
    if (!s) {
        return;
    }
    must(!log_in_kernel(s));
    spool_memos_deinit(&s->memos);
    spool_make_deinit(s);
    for (size_t i = 0; i < s->segment_count; i++) {
        spool_segment_free(&s->segments[i]);
    }
    free(s->segments);
    spool_segment_free(&s->next);
    spool_segment_free(&s->leaving);
    for (unsigned i = 0; s->groups && i < s->dir->options.buffers; i++) {
        free(s->groups[i].bytes);
    }
    free(s->groups);
    free(s);
    *spool = NULL;
}

/* ---- operations ---- */

struct io_tag spool_op_start(struct spool *spool, enum spool_op op)
{
    must(!spool->op_busy[op]);
    spool->op_busy[op] = true;
    spool->op_gen[op] = spool->op_gen[op] == UINT32_MAX ? 1 : spool->op_gen[op] + 1;
    return (struct io_tag){IO_KIND_SPOOL, {(uint32_t)op, spool->op_gen[op]}};
}

void spool_on_io(struct spool *spool, const struct io_event *ev)
{
    must(!spool->frame.open);
    uint32_t slot = ev->owner.slot;
    if (slot >= SPOOL_OP_COUNT || !spool->op_busy[slot] || spool->op_gen[slot] != ev->owner.gen) {
        io_count_stale(spool->io);
        return;
    }
    spool->op_busy[slot] = false;
    switch ((enum spool_op)slot) {
    case SPOOL_OP_COMMIT:
        spool_commit_done(spool, ev);
        break;
    case SPOOL_OP_MAKE:
        spool_make_done(spool, ev);
        break;
    case SPOOL_OP_RECLAIM:
        spool_reclaim_done(spool, ev);
        break;
    case SPOOL_OP_COUNT:
        break;
    }
}

/* ---- the commit ---- */

static bool log_writes(const struct spool *spool)
{
    return spool->current != NULL && spool->state != SPOOL_STATE_FENCED;
}

/* When the filling group wants to go: 0 now, TIMER_NEVER nothing in it. */
static uint64_t filling_due_ms(const struct spool *spool)
{
    const struct spool_group *g = spool->filling;
    if (!g || g->frames == 0) {
        return TIMER_NEVER;
    }
    /* On a full disk the last bytes are for results: fewer, fuller groups (each is padded to a block). */
    bool scarce = !spool->next && spool->make.failure == IO_NO_SPACE;
    uint32_t lazy_ms = spool->dir->options.lazy_ms * (scarce ? SPOOL_LAZY_TIMES_SCARCE : 1);
    return g->urgent ? 0 : g->lazy_since_ms + lazy_ms;
}

uint64_t spool_commit_due_ms(const struct spool *spool)
{
    if (spool->flying || !log_writes(spool)) {
        return TIMER_NEVER;
    }
    return list_empty(&spool->waiting) ? filling_due_ms(spool) : 0;
}

void spool_commit(struct spool *spool)
{
    must(!spool->frame.open);
    if (spool->state != SPOOL_STATE_READY && spool->current && !spool->filling && !spool->flying &&
        list_empty(&spool->waiting) && spool->append_at == SPOOL_DATA_OFFSET) {
        spool_seals_commit(spool); /* there was no memory for it before */
    }
    if (spool->flying || !log_writes(spool)) {
        return;
    }
    if (atomic_load(&spool->dir->taken)) { /* by one who has read this log already */
        spool_commit_fence(spool);
        return;
    }
    if (list_empty(&spool->waiting)) {
        if (filling_due_ms(spool) > io_now(spool->io)->mono_ms) {
            return;
        }
        spool_group_close(spool);
    }
    struct list *first = list_pop_front(&spool->waiting);
    must(first != NULL);
    struct spool_group *g = LIST_ENTRY(first, struct spool_group, link);
    must(g->len > 0 && g->segment->write_fd >= 0);
    must(g->offset == g->segment->durable_end);
    spool->flying = g;
    spool->flying_since_ms = io_now(spool->io)->mono_ms;
    io_write_durable(spool->io, spool_op_start(spool, SPOOL_OP_COMMIT), g->segment->write_fd,
                     g->bytes, g->len, g->offset);
}

static void log_decided(struct spool *spool, uint64_t lsn, enum spool_commit_result result)
{
    spool_memos_decided(spool, lsn, result);
    spool->events.committed(spool->ctx, lsn, result);
}

static void log_report_lost(struct spool *spool)
{
    if (spool->lsn_lost > spool->lsn_decided) {
        spool->lsn_decided = spool->lsn_lost;
        log_decided(spool, spool->lsn_lost, SPOOL_LOST);
    }
}

static void seals_durable(struct spool *spool, uint64_t upto)
{
    if (upto <= spool->seals_base) {
        return;
    }
    size_t n = (size_t)(upto - spool->seals_base);
    must(n <= spool->seal_count);
    memmove(&spool->seals[0], &spool->seals[n], (spool->seal_count - n) * sizeof(spool->seals[0]));
    spool->seal_count -= n;
    spool->seals_base = upto;
}

static void fence_drop(struct spool *spool);

static void commit_ok(struct spool *spool)
{
    struct spool_group *g = spool->flying;
    spool->flying = NULL;
    g->segment->durable_end = g->offset + (uint32_t)g->len;
    seals_durable(spool, g->seals_upto);
    spool->stats.commits++;
    spool->stats.frames += g->frames;
    spool->stats.bytes_committed += g->len;
    uint64_t lsn = g->lsn_last;
    spool_group_drop(spool, g);
    bool back = spool->state == SPOOL_STATE_READ_ONLY;
    log_report_lost(spool);
    must(lsn > spool->lsn_decided);
    spool->lsn_decided = lsn;
    if (spool->state == SPOOL_STATE_FENCED) {
        log_decided(spool, lsn, SPOOL_COMMITTED);
        fence_drop(spool);
        return;
    }
    if (atomic_load(&spool->dir->taken)) {
        log_decided(spool, lsn, SPOOL_COMMITTED);
        spool_commit_fence(spool);
        return;
    }
    spool->state = SPOOL_STATE_READY;
    spool->make.retry_ms = SPOOL_RETRY_MS_FIRST;
    log_decided(spool, lsn, SPOOL_COMMITTED);
    if (back) {
        spool_incident(spool, SPOOL_INCIDENT_RECOVERED, spool->current->number, 0);
    }
    spool_make_next(spool);
    spool_space(spool);
    spool_reclaim(spool);
}

/* Ends every segment that frames were meant for, from the failed one on. */
static void log_end_segments(struct spool *spool, const struct spool_segment *failed)
{
    spool->current = NULL;
    for (size_t i = spool->segment_count; i-- > 0;) {
        struct spool_segment *s = spool->segments[i];
        if (s->number < failed->number) {
            break;
        }
        spool_seal_add(spool, (struct spool_seal){s->number, s->durable_end, true});
        spool_segment_finish(s);
    }
}

/* Everything that is not in the kernel is lost. */
static void log_drop_groups(struct spool *spool)
{
    struct list *node;
    while ((node = list_pop_front(&spool->waiting))) {
        spool_group_drop(spool, LIST_ENTRY(node, struct spool_group, link));
    }
    struct spool_group *g = spool->filling;
    spool->filling = NULL;
    if (g) {
        spool_group_drop(spool, g);
    }
    spool->lsn_lost = spool->lsn_next - 1;
}

static void log_fail(struct spool *spool, int error)
{
    struct spool_group *g = spool->flying;
    struct spool_segment *failed = g->segment;
    spool->stats.failures++;
    spool_incident(spool, SPOOL_INCIDENT_WRITE_FAILED, failed->number, error);
    spool->flying = NULL;
    log_end_segments(spool, failed);
    spool_group_drop(spool, g);
    log_drop_groups(spool);
}

static void log_read_only(struct spool *spool, uint64_t segment, int error)
{
    if (spool->state != SPOOL_STATE_READ_ONLY && spool->state != SPOOL_STATE_FENCED) {
        spool->state = SPOOL_STATE_READ_ONLY;
        spool_incident(spool, SPOOL_INCIDENT_READ_ONLY, segment, error);
    }
    log_report_lost(spool);
    spool_space(spool); /* who waits may now answer 451 */
}

void spool_commit_done(struct spool *spool, const struct io_event *ev)
{
    struct spool_group *g = spool->flying;
    must(g != NULL);
    if (ev->status == IO_OK) {
        commit_ok(spool);
        return;
    }
    uint64_t number = g->segment->number;
    bool again = spool->state == SPOOL_STATE_SEALING || spool->state == SPOOL_STATE_READ_ONLY;
    log_fail(spool, ev->error);
    if (again || spool->state == SPOOL_STATE_FENCED) {
        log_read_only(spool, number, ev->error);
        spool_make_later(spool);
        return;
    }
    spool->state = SPOOL_STATE_SEALING;
    if (spool->next) {
        spool_commit_on_segment(spool);
    } else if (spool->make.step == SPOOL_MAKE_WAITING) {
        log_read_only(spool, number, ev->error); /* its timer goes on */
    } else {
        spool_make_next(spool);
    }
}

/* ---- news from make.c ---- */

static void fence_drop(struct spool *spool)
{
    if (spool->flying) {
        return; /* its completion comes back to here */
    }
    log_drop_groups(spool);
    log_report_lost(spool);
}

void spool_commit_fence(struct spool *spool)
{
    if (spool->state == SPOOL_STATE_FENCED) {
        return;
    }
    spool->state = SPOOL_STATE_FENCED;
    spool_incident(spool, SPOOL_INCIDENT_FENCED, 0, 0);
    fence_drop(spool);
    spool_space(spool);
}

void spool_commit_on_segment(struct spool *spool)
{
    must(spool->next != NULL);
    switch (spool->state) {
    case SPOOL_STATE_STARTING:
        spool_log_advance(spool);
        spool->state = SPOOL_STATE_READY;
        spool_make_next(spool);
        break;
    case SPOOL_STATE_SEALING:
    case SPOOL_STATE_READ_ONLY:
        spool_log_advance(spool);
        spool_seals_commit(spool);
        spool_commit(spool);
        return;
    case SPOOL_STATE_READY:
    case SPOOL_STATE_FENCED:
        break;
    }
    spool_space(spool);
}

void spool_commit_on_no_segment(struct spool *spool)
{
    if (spool->state == SPOOL_STATE_SEALING) {
        log_read_only(spool, 0, 0);
    }
    spool_space(spool); /* who waits for a segment learns that there is none */
}
