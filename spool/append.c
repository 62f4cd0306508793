/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Frames are encoded straight into the commit buffer of their group: the only copy of a message on
 * its way to the disk. A group's place in the segment is known when it is opened (the one before it
 * is closed then), so a frame's reference is final when the frame ends, long before it is durable.
 */
#include "spool/log.h"

#include <stdlib.h>

static uint32_t block_up(size_t bytes)
{
    return (uint32_t)((bytes + SPOOL_BLOCK_BYTES - 1) & ~(size_t)(SPOOL_BLOCK_BYTES - 1));
}

/* ---- groups ---- */

static struct spool_group *group_open(struct spool *spool)
{
    must(spool->filling == NULL && spool->current != NULL);
    struct list *node = list_first(&spool->free);
    if (!node) {
        return NULL;
    }
    struct spool_group *g = LIST_ENTRY(node, struct spool_group, link);
    if (!g->bytes) {
        g->bytes = aligned_alloc(SPOOL_BLOCK_BYTES, SPOOL_GROUP_BYTES_MAX);
        if (!g->bytes) {
            return NULL;
        }
    }
    list_remove(node);
    g->len = 0;
    g->segment = spool->current;
    g->offset = spool->append_at;
    g->frames = 0;
    g->urgent = false;
    g->seals_upto = 0;
    g->lazy_since_ms = 0;
    g->segment->groups++;
    spool->filling = g;
    return g;
}

void spool_group_close(struct spool *spool)
{
    struct spool_group *g = spool->filling;
    must(g != NULL && !spool->frame.open);
    spool->filling = NULL;
    if (g->frames == 0) { /* its only frame was cancelled */
        spool_group_drop(spool, g);
        return;
    }
    uint32_t padded = block_up(g->len);
    memset(g->bytes + g->len, 0, padded - g->len);
    g->len = padded;
    spool->append_at = g->offset + padded;
    list_push_back(&spool->waiting, &g->link);
}

/* Back to the free list: it is durable, or lost. A second idle buffer gives its memory back. */
void spool_group_drop(struct spool *spool, struct spool_group *group)
{
    struct spool_segment *s = group->segment;
    must(s->groups > 0);
    s->groups--;
    if (s->finished) {
        spool_segment_finish(s);
    }
    group->segment = NULL;
    struct list *node = list_first(&spool->free);
    struct spool_group *kept = node ? LIST_ENTRY(node, struct spool_group, link) : NULL;
    if (kept && kept->bytes && group->bytes && list_empty(&spool->waiting)) {
        struct list *second = node->next;
        must(second != NULL);
        if (second != &spool->free && LIST_ENTRY(second, struct spool_group, link)->bytes) {
            free(group->bytes);
            group->bytes = NULL;
        }
    }
    if (group->bytes) {
        list_push_front(&spool->free, &group->link);
    } else {
        list_push_back(&spool->free, &group->link);
    }
}

/* ---- segments ---- */

void spool_seal_add(struct spool *spool, struct spool_seal seal)
{
    for (size_t i = 0; i < spool->seal_count; i++) {
        if (spool->seals[i].segment == seal.segment) {
            /* It ended earlier than thought: its last groups were lost. */
            if (seal.offset < spool->seals[i].offset) {
                spool->seals[i] = seal;
            }
            return;
        }
    }
    must(spool->seal_count < SPOOL_SEALS_PENDING_MAX); /* see spool_seals_room */
    spool->seals[spool->seal_count++] = seal;
}

/* What can end before seals are durable again: a segment for each group in memory, the current one, the
 * one that takes the seals then, and one more that was being made. */
bool spool_seals_room(const struct spool *spool)
{
    return spool->seal_count + spool->dir->options.buffers + 4 <= SPOOL_SEALS_PENDING_MAX;
}

static void frame_start(struct spool *spool, size_t bytes_max)
{
    struct spool_group *g = spool->filling;
    must(g && g->len + spool_frame_bytes((uint32_t)bytes_max) <= SPOOL_GROUP_BYTES_MAX);
    spool->frame =
        (struct spool_frame){.open = true, .group = g, .at = g->len, .bytes_max = bytes_max};
}

static uint8_t *frame_row(struct spool *spool, size_t bytes)
{
    struct spool_frame *f = &spool->frame;
    must(f->open && bytes <= f->bytes_max - f->used && f->rows < UINT16_MAX);
    uint8_t *at = f->group->bytes + f->at + SPOOL_FRAME_HEADER_BYTES + f->used;
    f->used += bytes;
    f->rows++;
    return at;
}

/* The first frame of a segment: what ends before it begins. */
static void seals_append(struct spool *spool)
{
    if (spool->seal_count == 0) {
        return;
    }
    const size_t row = SPOOL_ROW_HEADER_BYTES + SPOOL_SEAL_BYTES;
    frame_start(spool, spool->seal_count * row);
    for (size_t i = 0; i < spool->seal_count; i++) {
        must(spool_seal_encode(frame_row(spool, row), spool->seals[i]) == row);
    }
    uint64_t lsn;
    struct spool_ref ref;
    struct spool_group *g = spool->frame.group;
    spool_frame_end(spool, SPOOL_LAZY, &lsn, &ref);
    g->seals_upto = spool->seals_base + spool->seal_count;
}

void spool_log_advance(struct spool *spool)
{
    must(spool->current == NULL && spool->filling == NULL && spool->next != NULL);
    spool_segment_push(spool, spool->next);
    spool->current = spool->next;
    spool->next = NULL;
    spool->append_at = SPOOL_DATA_OFFSET;
}

/* The current segment is full: on to the next, which is ready. */
static void log_roll(struct spool *spool)
{
    must(spool->next != NULL);
    if (spool->filling) {
        spool_group_close(spool);
    }
    struct spool_segment *full = spool->current;
    spool_seal_add(spool, (struct spool_seal){full->number, spool->append_at, true});
    spool->current = NULL;
    spool_segment_finish(full);
    spool_log_advance(spool);
}

void spool_seals_commit(struct spool *spool)
{
    must(spool->filling == NULL && spool->append_at == SPOOL_DATA_OFFSET);
    if (!group_open(spool)) {
        return; /* no memory: the commit phase comes back */
    }
    seals_append(spool);
    spool->filling->urgent = true;
}

/* Where the data of the current segment must end for this class. Only without a next segment is
 * something kept back: results need it to drain a full disk. */
static uint32_t log_limit(const struct spool *spool, enum spool_class cls)
{
    uint32_t end = spool_segment_end(spool->current);
    if (spool->next) {
        return end;
    }
    uint32_t reserve = block_up((size_t)spool->current->file_bytes / 8);
    switch (cls) {
    case SPOOL_CLASS_MAIL:
    case SPOOL_CLASS_DEFERRAL:
        return end - reserve;
    case SPOOL_CLASS_COMPACT:
        return end - reserve / 2;
    case SPOOL_CLASS_RESULT:
        return end;
    }
    must(false);
    return 0;
}

static bool log_has_room(const struct spool *spool, enum spool_class cls, uint32_t bytes)
{
    size_t len = spool->filling ? spool->filling->len : 0;
    return (uint64_t)spool->append_at + block_up(len + bytes) <= log_limit(spool, cls);
}

/* There is no room now: will there be? */
static enum spool_append append_prospect(const struct spool *spool)
{
    if (spool->make.failure == IO_OK) {
        return SPOOL_WAIT;
    }
    return spool->make.failure == IO_NO_SPACE ? SPOOL_FULL : SPOOL_FAILED;
}

static enum spool_append append_refused(struct spool *spool)
{
    spool->wants_space = true;
    spool_make_next(spool);
    return append_prospect(spool);
}

static enum spool_append append_by_state(struct spool *spool)
{
    switch (spool->state) {
    case SPOOL_STATE_READY:
        return SPOOL_APPENDED;
    case SPOOL_STATE_STARTING:
        return append_refused(spool);
    case SPOOL_STATE_SEALING:
        spool->wants_space = true;
        return SPOOL_WAIT;
    case SPOOL_STATE_READ_ONLY:
        spool->wants_space = true;
        return spool->make.failure == IO_NO_SPACE ? SPOOL_FULL : SPOOL_FAILED;
    case SPOOL_STATE_FENCED:
        return SPOOL_FAILED;
    }
    must(false);
    return SPOOL_FAILED;
}

enum spool_append spool_takes_mail(const struct spool *spool)
{
    bool room = atomic_load_explicit(&spool->dir->room, memory_order_relaxed) == SPOOL_ROOM_OK;
    switch (spool->state) {
    case SPOOL_STATE_READY:
        if (!room) {
            return SPOOL_FULL;
        }
        return spool->next || log_has_room(spool, SPOOL_CLASS_MAIL, LIMIT_BODY_FRAGMENT_BYTES)
                   ? SPOOL_APPENDED
                   : append_prospect(spool);
    case SPOOL_STATE_SEALING:
        return room ? SPOOL_WAIT : SPOOL_FULL;
    case SPOOL_STATE_STARTING:
        return room ? append_prospect(spool) : SPOOL_FULL;
    case SPOOL_STATE_READ_ONLY:
        return spool->make.failure == IO_NO_SPACE ? SPOOL_FULL : SPOOL_FAILED;
    case SPOOL_STATE_FENCED:
        return SPOOL_FAILED;
    }
    must(false);
    return SPOOL_FAILED;
}

bool spool_records(const struct spool *spool)
{
    return spool->state != SPOOL_STATE_STARTING && spool->state != SPOOL_STATE_FENCED;
}

/* ---- frames ---- */

enum spool_append spool_frame_begin(struct spool *spool, enum spool_class cls, size_t bytes_max)
{
    must(!spool->frame.open);
    must(bytes_max > 0 && bytes_max <= SPOOL_FRAME_BYTES_MAX);
    enum spool_append state = append_by_state(spool);
    if (state != SPOOL_APPENDED) {
        return state;
    }
    must(spool->current != NULL);
    uint32_t bytes = spool_frame_bytes((uint32_t)bytes_max);
    if (spool->filling && spool->filling->len + bytes > SPOOL_GROUP_BYTES_MAX) {
        spool_group_close(spool);
    }
    if (!log_has_room(spool, cls, bytes)) {
        if (!spool->next) {
            return append_refused(spool);
        }
        log_roll(spool);
        if (!log_has_room(spool, SPOOL_CLASS_RESULT, bytes)) {
            return append_refused(spool);
        }
    }
    if (!spool->filling) {
        if (!group_open(spool)) {
            spool->wants_space = true;
            return SPOOL_WAIT;
        }
        if (spool->append_at == SPOOL_DATA_OFFSET) {
            seals_append(spool);
        }
    }
    if (spool->filling->len + bytes > SPOOL_GROUP_BYTES_MAX) {
        /* Many seals and a frame of the largest size. */
        spool_group_close(spool);
        if (!group_open(spool)) {
            spool->wants_space = true;
            return SPOOL_WAIT;
        }
    }
    frame_start(spool, bytes_max);
    return SPOOL_APPENDED;
}

void spool_add_message(struct spool *spool, const struct spool_message *m)
{
    size_t bytes = spool_message_bytes(m);
    must(spool_message_encode(frame_row(spool, bytes), m) == bytes);
}

void spool_add_fragment(struct spool *spool, uint64_t id, uint32_t index, struct slice body)
{
    size_t bytes = spool_fragment_bytes(body.len);
    must(spool_fragment_encode(frame_row(spool, bytes), id, index, body) == bytes);
}

void spool_add_result(struct spool *spool, const struct spool_result *r)
{
    size_t bytes = spool_result_bytes(r);
    must(spool_result_encode(frame_row(spool, bytes), r) == bytes);
}

void spool_add_memo(struct spool *spool, const struct spool_memo *memo, uint64_t sequence)
{
    size_t bytes = spool_memo_bytes(memo);
    must(spool_memo_encode(frame_row(spool, bytes), memo, sequence) == bytes);
}

void spool_frame_end(struct spool *spool, enum spool_urgency urgency, uint64_t *lsn,
                     struct spool_ref *ref)
{
    struct spool_frame *f = &spool->frame;
    struct spool_group *g = f->group;
    must(f->open && f->rows > 0);
    uint32_t bytes = spool_frame_bytes((uint32_t)f->used);
    memset(g->bytes + f->at + SPOOL_FRAME_HEADER_BYTES + f->used, 0,
           bytes - SPOOL_FRAME_HEADER_BYTES - f->used);
    const struct spool_frame_header h = {
        .payload_bytes = (uint32_t)f->used,
        .epoch = g->segment->number,
        .lsn = spool->lsn_next++,
        .offset = g->offset + (uint32_t)f->at,
        .group = g->offset,
        .rows = f->rows,
    };
    spool_frame_seal(g->bytes + f->at, &h, g->segment->salt);
    g->len += bytes;
    g->lsn_last = h.lsn;
    g->frames++;
    if (urgency == SPOOL_URGENT) {
        g->urgent = true;
    } else if (g->lazy_since_ms == 0) {
        g->lazy_since_ms = io_now(spool->io)->mono_ms;
    }
    f->open = false;
    *lsn = h.lsn;
    *ref = (struct spool_ref){.segment = h.epoch, .offset = h.offset, .bytes = bytes};
}

void spool_frame_cancel(struct spool *spool)
{
    must(spool->frame.open);
    spool->frame.open = false;
}
