/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Recovery: what is on the disk becomes queues again.
 *
 *   1. heads     every segment's header and first frame: seals must be known before the segments they
 *                speak of are read
 *   2. scan      all frames in the order of (segment number, offset): a map id → place and state;
 *                meanwhile the next file is read (ahead.h)
 *   3. tidy      segments without a single frame (made ahead, never used) become spares; the tails of
 *                a crash are flushed, so that nothing is built on what only the page cache has
 *   4. replay    every live message is read from its place and handed to a worker (replay.c)
 *
 * Idempotent: 1, 2 and 4 write nothing. 3 only removes files that hold no record, so a crash in the
 * middle leaves a directory with the same meaning. That a final state is never undone, whatever row
 * comes later with the same id, makes the order of rows matter only among deferrals.
 *
 * Which worker gets a message does not matter (spool/reclaim.c): they are dealt in turn.
 */
#include "spool/recover_private.h"
#include "spool/scan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

enum { HEAD_BYTES = 64 * 1024 };

must_static(SPOOL_DATA_OFFSET + SPOOL_FRAME_HEADER_BYTES +
                    SPOOL_SEALS_MAX * (SPOOL_ROW_HEADER_BYTES + SPOOL_SEAL_BYTES) <=
                HEAD_BYTES,
            "a frame of seals lies in the head of a segment");

void spool_recovery_report(struct spool_recovering *r, enum spool_damage kind, uint64_t offset,
                           uint64_t bytes)
{
    if (kind == SPOOL_DAMAGE_TORN) {
        r->sum->torn++;
    } else {
        r->sum->damaged++;
        if (r->at) {
            r->at->damaged = true;
        }
    }
    if (r->events->damage) {
        const struct spool_damage_report d = {kind, r->file, r->at ? r->at->number : 0, offset,
                                              bytes};
        r->events->damage(r->ctx, &d);
    }
}

struct spool_past *spool_recovery_past(const struct spool_recovering *r, uint64_t number)
{
    size_t low = 0;
    size_t high = r->past_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (r->past[mid].number < number) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < r->past_count && r->past[low].number == number ? &r->past[low] : NULL;
}

/* ---- 1. heads ---- */

static void head_seals(struct spool_recovering *r, struct slice payload)
{
    struct spool_row row;
    while (spool_row_next(&payload, &row)) {
        struct spool_seal s;
        if (row.type != SPOOL_ROW_SEAL || !spool_seal_decode(row.payload, &s)) {
            continue;
        }
        struct spool_past *p = spool_recovery_past(r, s.segment);
        if (!p || s.segment >= r->at->number) {
            continue; /* long gone, or nonsense: a seal speaks of older segments only */
        }
        uint32_t offset = s.offset < SPOOL_DATA_OFFSET ? SPOOL_DATA_OFFSET : s.offset;
        if (!p->sealed || offset < p->valid_end) {
            p->valid_end = offset;
            p->complete = s.complete;
        }
        p->sealed = true;
    }
}

static bool head_header(const struct spool_past *p, struct slice head, int64_t size,
                        struct spool_segment_header *h)
{
    if (spool_segment_header_decode(head, h) && h->number == p->number) {
        return true;
    }
    char block[SPOOL_BLOCK_BYTES];
    return size >= SPOOL_BLOCK_BYTES &&
           disk_pread(p->fd, block, sizeof(block), (uint64_t)size - SPOOL_BLOCK_BYTES) ==
               SPOOL_BLOCK_BYTES &&
           spool_segment_header_decode(slice_of(block, sizeof(block)), h) && h->number == p->number;
}

/* Set aside for a person. It must not stay under its name: what ended its messages may be in younger segments, which are
 * given back in the meantime; readable again, it would bring back mail that was delivered long ago. */
static void head_set_aside(struct spool_recovering *r, struct spool_past *p)
{
    char bad[DISK_NAME_MAX];
    spool_name_make(bad, SPOOL_NAME_BAD, p->number);
    (void)disk_rename(r->dir->fd, r->file, bad);
    if (p->fd >= 0) {
        disk_close(p->fd);
    }
    p->fd = -1;
}

/* Opens it and reads its header and seals. False: the start must be refused. */
static bool head_read(struct spool_recovering *r, struct spool_past *p, char *head)
{
    p->fd = disk_open(r->dir->fd, r->file, DISK_READ, false);
    if (p->fd == -EMFILE || p->fd == -ENFILE || p->fd == -ENOMEM || p->fd == -EACCES) {
        buf_addf(r->error, "%s/%s cannot be opened: %s", r->dir->path, r->file, strerror(-p->fd));
        return false; /* nothing is wrong with the disk: the mail in it must not be left behind */
    }
    int64_t size = p->fd < 0 ? p->fd : disk_size(p->fd);
    if (size < 0) {
        spool_recovery_report(r, SPOOL_DAMAGE_UNREADABLE, 0, 0);
        head_set_aside(r, p);
        return true;
    }
    int64_t n = disk_pread(p->fd, head, HEAD_BYTES, 0);
    struct slice bytes = slice_of(head, n < 0 ? 0 : (size_t)n);
    struct spool_segment_header h;
    if (!head_header(p, bytes, size, &h)) {
        spool_recovery_report(r, n < 0 ? SPOOL_DAMAGE_UNREADABLE : SPOOL_DAMAGE_SEGMENT, 0,
                              (uint64_t)size);
        head_set_aside(r, p);
        return true;
    }
    if (h.major > SPOOL_FORMAT_MAJOR) {
        buf_addf(r->error,
                 "%s/%s was written by a newer ringpost (spool format %u, this one knows %d)",
                 r->dir->path, r->file, h.major, SPOOL_FORMAT_MAJOR);
        return false;
    }
    p->salt = h.salt;
    p->lineage = h.lineage;
    p->file_bytes = (uint64_t)size;
    if (bytes.len > SPOOL_DATA_OFFSET) {
        struct spool_frame_header f;
        struct slice payload;
        if (spool_frame_check(slice_skip(bytes, SPOOL_DATA_OFFSET), p->number, p->salt,
                              SPOOL_DATA_OFFSET, &f, &payload) == SPOOL_FRAME_OK) {
            head_seals(r, payload);
        }
    }
    return true;
}

static bool recover_heads(struct spool_recovering *r)
{
    char *head = malloc(HEAD_BYTES);
    if (!head) {
        r->no_memory = true;
        return false;
    }
    bool ok = true;
    for (size_t i = 0; ok && i < r->past_count; i++) {
        r->at = &r->past[i];
        spool_name_make(r->file, SPOOL_NAME_SEGMENT, r->at->number);
        ok = head_read(r, r->at, head);
    }
    free(head);
    return ok;
}

/* ---- 2. scan ---- */

static void id_seen(struct spool_recovering *r, uint64_t id)
{
    r->sum->id_max = id > r->sum->id_max ? id : r->sum->id_max;
}

static bool scan_message(struct spool_recovering *r, struct slice payload, struct spool_ref ref)
{
    struct spool_message_view v;
    if (!spool_message_decode(payload, &v)) {
        return false;
    }
    id_seen(r, v.id);
    r->no_memory = r->no_memory || !spool_found_message(&r->messages, &v, ref);
    return true;
}

static bool scan_result(struct spool_recovering *r, struct slice payload)
{
    struct spool_result v;
    if (!spool_result_decode(payload, &v)) {
        return false;
    }
    id_seen(r, v.id);
    return spool_found_result(&r->messages, &v);
}

static bool scan_memo(struct spool_recovering *r, const struct spool_row *row, struct spool_ref ref)
{
    struct spool_memo memo;
    uint64_t sequence;
    if (!spool_memo_decode(row->payload, &memo, &sequence)) {
        return false;
    }
    r->no_memory = r->no_memory || !spool_memos_found(&r->dir->memos, &memo, sequence, ref);
    return true;
}

static bool scan_row(struct spool_recovering *r, const struct spool_row *row, struct spool_ref ref)
{
    struct spool_fragment_view f;
    struct spool_seal s;
    switch (row->type) {
    case SPOOL_ROW_MESSAGE:
        return scan_message(r, row->payload, ref);
    case SPOOL_ROW_RESULT:
        return scan_result(r, row->payload);
    case SPOOL_ROW_FRAGMENT:
        if (!spool_fragment_decode(row->payload, &f)) {
            return false;
        }
        id_seen(r, f.id);
        return true;
    case SPOOL_ROW_SEAL:
        return spool_seal_decode(row->payload, &s);
    case SPOOL_ROW_STATE:
        return scan_memo(r, row, ref);
    default:
        return true; /* a newer minor version: skipped */
    }
}

static void scan_frame(void *ctx, const struct spool_frame_header *h, struct slice payload)
{
    struct spool_recovering *r = ctx;
    struct spool_ref ref = {h->epoch, h->offset, spool_frame_bytes(h->payload_bytes)};
    struct spool_row row;
    bool ok = true;
    while (ok && spool_row_next(&payload, &row)) {
        ok = scan_row(r, &row, ref);
    }
    if (!ok || payload.len != 0) {
        r->broken++;
        spool_recovery_report(r, SPOOL_DAMAGE_ROW, h->offset, ref.bytes);
    }
}

static void scan_broken(void *ctx, enum spool_damage kind, uint32_t offset, uint32_t bytes)
{
    struct spool_recovering *r = ctx;
    r->broken++;
    spool_recovery_report(r, kind, offset, bytes);
}

/* False: no memory. */
static bool recover_segment(struct spool_recovering *r, struct spool_past *p)
{
    const struct spool_file *file = &r->bytes;
    int e = spool_ahead_take(&r->ahead, p->fd, &r->bytes);
    if (p + 1 < r->past + r->past_count && p[1].fd >= 0) {
        spool_ahead_start(&r->ahead, p[1].fd);
    }
    if (e == -ENOMEM) {
        r->no_memory = true;
        return false;
    }
    r->broken = 0;
    if (e < 0 || file->unreadable_bytes) {
        r->broken++;
        spool_recovery_report(r, SPOOL_DAMAGE_UNREADABLE, file->unreadable_at,
                              file->unreadable_bytes);
    }
    if (e < 0 || !file->header_ok) {
        /* It was readable a moment ago. Not known to be empty: tidy must leave it. */
        p->valid_end = p->valid_end ? p->valid_end : SPOOL_DATA_OFFSET;
        spool_recovery_report(r, SPOOL_DAMAGE_SEGMENT, 0, p->file_bytes);
        return true;
    }
    if (file->len < file->header.segment_bytes) {
        r->broken++;
        spool_recovery_report(r, SPOOL_DAMAGE_SHORT, file->len,
                              file->header.segment_bytes - file->len);
    }
    uint32_t end = spool_file_end(file);
    struct spool_scan scan = {
        .bytes = slice_of(file->bytes, file->len),
        .number = p->number,
        .salt = p->salt,
        .end = p->sealed && p->valid_end < end ? p->valid_end : end,
        .complete = p->sealed && p->complete,
        .frame = scan_frame,
        .broken = scan_broken,
        .ctx = r,
    };
    struct spool_scanned out;
    spool_scan_segment(&scan, &out);
    if (!p->sealed) {
        p->valid_end = out.valid_end;
    }
    r->sum->segments++;
    r->sum->frames += out.frames;
    r->sum->lsn_max = out.lsn_max > r->sum->lsn_max ? out.lsn_max : r->sum->lsn_max;
    if (out.frames == 0 && r->broken == 0) {
        p->valid_end = 0; /* nothing in it: tidy takes it */
    }
    return !r->no_memory;
}

static bool recover_scan(struct spool_recovering *r)
{
    for (size_t i = 0; i < r->past_count; i++) {
        r->at = &r->past[i];
        spool_name_make(r->file, SPOOL_NAME_SEGMENT, r->at->number);
        if (r->at->fd >= 0 && !recover_segment(r, r->at)) {
            break;
        }
    }
    spool_ahead_stop(&r->ahead);
    spool_file_deinit(&r->bytes);
    return !r->no_memory;
}

/* ---- 3. tidy ---- */

/* A segment without frames. Out of the order of reclaiming: it has no record that could matter. */
static void tidy_empty(struct spool_recovering *r, struct spool_past *p)
{
    char spare[DISK_NAME_MAX];
    spool_name_make(spare, SPOOL_NAME_SPARE, p->number);
    disk_close(p->fd);
    p->fd = -1;
    if (!spool_spare_has_room(r->dir, p->file_bytes)) {
        (void)disk_unlink(r->dir->fd, r->file);
    } else if (disk_rename(r->dir->fd, r->file, spare) == 0) {
        spool_spare_put(r->dir, p->number);
    }
}

static void recover_tidy(struct spool_recovering *r)
{
    size_t kept = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < r->past_count; i++) {
        struct spool_past *p = r->at = &r->past[i];
        spool_name_make(r->file, SPOOL_NAME_SEGMENT, p->number);
        if (p->fd >= 0 && p->valid_end == 0) {
            tidy_empty(r, p);
        } else if (p->fd >= 0 && !p->sealed && disk_fsync(p->fd) < 0) {
            spool_recovery_report(r, SPOOL_DAMAGE_UNREADABLE, 0, 0);
        }
        if (p->fd < 0) {
            continue;
        }
        bytes += p->file_bytes;
        r->past[kept++] = *p;
    }
    if (kept < r->past_count && disk_fsync(r->dir->fd) < 0) {
        /* A file may come back that a seal speaks of: keep all seals, and use no such file. */
        atomic_store(&r->dir->reclaim_stopped, true);
        r->dir->spare_count = 0;
    }
    r->past_count = kept;
    for (size_t i = 0; i < kept; i++) {
        atomic_init(&r->past[i].viewers, r->dir->options.workers);
    }
    atomic_store(&r->dir->bytes_total, bytes);
}

/* ---- all of it ---- */

static bool recover_list(struct spool_recovering *r)
{
    uint64_t *numbers = NULL;
    int e = spool_dir_numbers(r->dir->fd, SPOOL_NAME_SEGMENT, &numbers, &r->past_count);
    if (e < 0) {
        buf_addf(r->error, "%s: %s", r->dir->path, strerror(-e));
        return false;
    }
    r->past = calloc(r->past_count + 1, sizeof(*r->past));
    for (size_t i = 0; r->past && i < r->past_count; i++) {
        r->past[i].number = numbers[i];
        r->past[i].fd = -1;
    }
    free(numbers);
    r->no_memory = r->past == NULL;
    return !r->no_memory;
}

bool spool_recover(struct spool_dir *dir, const struct spool_recovery_events *events, void *ctx,
                   struct spool_recovery *summary, struct buf *error)
{
    must(dir->past == NULL && events->message != NULL);
    *summary = (struct spool_recovery){0};
    struct spool_recovering r = {
        .dir = dir, .events = events, .ctx = ctx, .sum = summary, .error = error};
    spool_found_init(&r.messages, dir->token);
    spool_memos_init(&dir->memos, dir->token);
    bool ok = recover_list(&r) && recover_heads(&r) && recover_scan(&r);
    if (ok) {
        recover_tidy(&r);
        summary->memos = spool_memos_tell(&dir->memos, events->memo, ctx);
        ok = spool_recovery_replay(&r);
        r.no_memory = !ok;
    }
    if (r.no_memory) {
        buf_add(error, SLICE("out of memory while the spool is read"));
    }
    spool_found_free(&r.messages);
    free(r.rcpts);
    free(r.fragments);
    free(r.raw);
    /* Also after a failure: spool_dir_close owns the descriptors. */
    dir->past = r.past;
    dir->past_count = r.past ? r.past_count : 0;
    dir->lsn_max = summary->lsn_max;
    return ok;
}
