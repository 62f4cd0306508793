/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A frame is looked for at every multiple of 8 behind the last one. What lies between is padding
 * (zeros up to the block's end), or broken. Broken bytes are first only noted: they are damage when a
 * frame of a later group follows, or when a seal says that all of it was durable; in the last group
 * they are the torn end of a crash. Bytes behind the last frame are of no interest unless they begin
 * with a frame header of this segment, be it a damaged one (a re-used file is full of old frames, with other
 * numbers and salts).
 *
 * A block that came back as zeros would look like padding: the lsn of the frames, which has no gaps
 * within a segment, gives it away.
 */
#include "spool/scan.h"
#include "core/io/disk.h"

#include <errno.h>
#include <stdlib.h>

enum { FILE_PIECE_BYTES = 1024 * 1024 };

struct scan_state {
    const struct spool_scan *scan;
    uint32_t limit; /* min of end and what there is */
    uint32_t pos;
    uint32_t last_end;   /* end of the last valid frame */
    uint64_t lsn_expect; /* 0: none seen yet */
    uint32_t bad_from;   /* noted, not decided; bad_to == 0: nothing */
    uint32_t bad_to;
    bool bad_frame; /* among it a frame whose header is right, or nearly so */
    struct spool_scanned *out;
};

static void scan_note(struct scan_state *s, uint32_t from, uint32_t to, bool frame)
{
    if (s->bad_to == 0) {
        s->bad_from = from;
    }
    s->bad_to = to;
    s->bad_frame = s->bad_frame || frame;
}

static void scan_decide(struct scan_state *s, bool damage)
{
    if (s->bad_to == 0) {
        return;
    }
    s->scan->broken(s->scan->ctx, damage ? SPOOL_DAMAGE_FRAME : SPOOL_DAMAGE_TORN, s->bad_from,
                    s->bad_to - s->bad_from);
    s->bad_to = 0;
    s->bad_frame = false;
}

static bool scan_is_zero(const struct scan_state *s, uint32_t from, uint32_t to)
{
    static const char zeros[SPOOL_BLOCK_BYTES];
    return from >= to || memcmp(s->scan->bytes.ptr + from, zeros, to - from) == 0;
}

static uint32_t scan_block_up(uint32_t offset)
{
    return (offset + SPOOL_BLOCK_BYTES - 1) & ~(uint32_t)(SPOOL_BLOCK_BYTES - 1);
}

static void scan_valid(struct scan_state *s, const struct spool_frame_header *h,
                       struct slice payload)
{
    bool gap = s->lsn_expect != 0 ? h->lsn != s->lsn_expect : s->pos != SPOOL_DATA_OFFSET;
    if (gap && s->bad_to == 0 && s->last_end < s->pos) {
        /* Frames that read as zeros, as whole blocks if that can be. */
        uint32_t from = scan_block_up(s->last_end);
        scan_note(s, from < s->pos ? from : s->last_end, s->pos, false);
    }
    if (s->bad_to != 0 && (h->group > s->bad_from || s->scan->complete)) {
        scan_decide(s, true);
    }
    s->lsn_expect = h->lsn + 1;
    s->out->frames++;
    s->out->lsn_max = h->lsn > s->out->lsn_max ? h->lsn : s->out->lsn_max;
    s->scan->frame(s->scan->ctx, h, payload);
    s->pos += spool_frame_bytes(h->payload_bytes);
    s->last_end = s->pos;
}

/* No frame begins here. Padding up to the next block, or a broken place. */
static void scan_none(struct scan_state *s)
{
    uint32_t block = (s->pos | (SPOOL_BLOCK_BYTES - 1)) + 1;
    block = block < s->limit ? block : s->limit;
    if (scan_is_zero(s, s->pos, block)) {
        s->pos = block;
        return;
    }
    uint32_t to = s->pos + SPOOL_FRAME_ALIGN;
    struct slice here = slice_of(s->scan->bytes.ptr + s->pos, s->limit - s->pos);
    struct spool_frame_place at = {s->scan->number, s->scan->salt, s->lsn_expect, s->pos};
    scan_note(s, s->pos, to, spool_frame_was_here(here, &at));
    s->pos = to;
}

static void scan_finish(struct scan_state *s)
{
    uint32_t end = scan_block_up(s->last_end);
    s->out->valid_end = end;
    if (s->scan->complete && end < s->limit && s->bad_to == 0) {
        scan_note(s, end, s->limit, false);
    }
    if (s->scan->complete) {
        scan_decide(s, true);
    } else if (s->bad_frame || (s->bad_to != 0 && s->bad_from < s->last_end)) {
        scan_decide(s, false);
    }
}

void spool_scan_segment(const struct spool_scan *scan, struct spool_scanned *out)
{
    *out = (struct spool_scanned){.valid_end = SPOOL_DATA_OFFSET};
    struct scan_state s = {.scan = scan,
                           .pos = SPOOL_DATA_OFFSET,
                           .last_end = SPOOL_DATA_OFFSET,
                           .out = out};
    must(scan->bytes.len <= UINT32_MAX);
    s.limit = scan->bytes.len < scan->end ? (uint32_t)scan->bytes.len : scan->end;
    s.limit &= ~(uint32_t)(SPOOL_FRAME_ALIGN - 1);
    while (s.pos < s.limit) {
        struct spool_frame_header h;
        struct slice payload;
        struct slice here = slice_of(scan->bytes.ptr + s.pos, s.limit - s.pos);
        switch (spool_frame_check(here, scan->number, scan->salt, s.pos, &h, &payload)) {
        case SPOOL_FRAME_OK:
            scan_valid(&s, &h, payload);
            break;
        case SPOOL_FRAME_BAD_PAYLOAD: {
            uint32_t to = s.pos + spool_frame_bytes(h.payload_bytes);
            if (s.bad_to != 0 && h.group > s.bad_from) {
                scan_decide(&s, true);
            }
            scan_note(&s, s.pos, to, true);
            s.lsn_expect = h.lsn + 1;
            s.pos = to;
            break;
        }
        case SPOOL_FRAME_NONE:
            scan_none(&s);
            break;
        }
    }
    scan_finish(&s);
}

/* ---- files ---- */

/* A piece that fails is read again block by block: only what is truly unreadable is lost. */
static void file_read_piece(struct spool_file *f, int fd, size_t at, size_t len)
{
    if (disk_pread(fd, f->bytes + at, len, at) == (int64_t)len) {
        return;
    }
    for (size_t i = 0; i < len; i += SPOOL_BLOCK_BYTES) {
        size_t n = len - i < SPOOL_BLOCK_BYTES ? len - i : SPOOL_BLOCK_BYTES;
        int64_t r = disk_pread(fd, f->bytes + at + i, n, at + i);
        if (r == (int64_t)n) {
            continue;
        }
        memset(f->bytes + at + i, 0, n);
        if (f->unreadable_bytes == 0) {
            f->unreadable_at = at + i;
        }
        f->unreadable_bytes += n;
    }
}

static bool file_header(struct spool_file *f)
{
    struct slice all = slice_of(f->bytes, f->len);
    if (spool_segment_header_decode(all, &f->header)) {
        return true;
    }
    return f->len >= SPOOL_BLOCK_BYTES &&
           spool_segment_header_decode(slice_skip(all, f->len - SPOOL_BLOCK_BYTES), &f->header);
}

int spool_file_init(struct spool_file *file, int fd)
{
    *file = (struct spool_file){0};
    return spool_file_load(file, fd);
}

int spool_file_load(struct spool_file *file, int fd)
{
    *file = (struct spool_file){.bytes = file->bytes, .capacity = file->capacity};
    int64_t size = disk_size(fd);
    if (size < 0) {
        return (int)size;
    }
    file->len = (size_t)(size > SPOOL_SEGMENT_BYTES_MAX ? SPOOL_SEGMENT_BYTES_MAX : size);
    if (file->len >= file->capacity) {
        free(file->bytes);
        file->capacity = file->len + 1;
        file->bytes = malloc(file->capacity);
    }
    if (!file->bytes) {
        file->capacity = file->len = 0;
        return -ENOMEM;
    }
    for (size_t at = 0; at < file->len; at += FILE_PIECE_BYTES) {
        size_t len = file->len - at < FILE_PIECE_BYTES ? file->len - at : FILE_PIECE_BYTES;
        file_read_piece(file, fd, at, len);
    }
    file->header_ok = file_header(file);
    return 0;
}

void spool_file_deinit(struct spool_file *file)
{
    free(file->bytes);
    *file = (struct spool_file){0};
}

uint32_t spool_file_end(const struct spool_file *file)
{
    /* The last block is the copy of the header; a file cut short has none. */
    size_t end = file->header.segment_bytes - SPOOL_BLOCK_BYTES;
    return (uint32_t)(file->len < end ? file->len : end);
}
