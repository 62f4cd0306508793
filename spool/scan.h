/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * scan - reading one segment's bytes (internal to spool/)
 *
 * Purpose:   finds the frames of a segment, tells damage from a torn tail, for recovery and the tools.
 * Owner:     the caller owns the bytes; payloads point into them.
 * Thread:    any. Units: bytes; offsets are in the segment file.
 * Errors:    the bytes are hostile input: nothing in them makes it fail, read outside or allocate.
 */
#ifndef RINGPOST_SPOOL_SCAN_H
#define RINGPOST_SPOOL_SCAN_H

#include "spool/format.h"

struct spool_scan {
    struct slice bytes; /* the file from its beginning */
    uint64_t number;
    uint64_t salt;
    uint32_t end;  /* frames at or beyond it do not count */
    bool complete; /* a seal says that everything before end was durable */
    void (*frame)(void *ctx, const struct spool_frame_header *h, struct slice payload);
    /* DAMAGE_FRAME or DAMAGE_TORN; adjacent broken frames of a group are one report. */
    void (*broken)(void *ctx, enum spool_damage kind, uint32_t offset, uint32_t bytes);
    void *ctx;
};

struct spool_scanned {
    uint64_t frames;
    uint64_t lsn_max;
    uint32_t valid_end; /* end of the last valid frame, rounded up to a block */
};

void spool_scan_segment(const struct spool_scan *scan, struct spool_scanned *out);

/* The bytes of a whole segment file in memory. Unreadable blocks become zeros and are counted. */
struct spool_file {
    uint8_t *bytes; /* malloc'ed; spool_file_deinit */
    size_t len;
    size_t capacity;
    uint64_t unreadable_at;
    uint64_t unreadable_bytes;
    struct spool_segment_header header;
    bool header_ok; /* one of the two copies is right */
};

/* 0, or a negative errno: -ENOMEM, or it cannot be read at all. */
int spool_file_init(struct spool_file *file, int fd);
/* The same with a zeroed one, or one of before, whose memory is used again. */
int spool_file_load(struct spool_file *file, int fd);
void spool_file_deinit(struct spool_file *file);
/* Where its frames must end when no seal says otherwise. */
uint32_t spool_file_end(const struct spool_file *file);

#endif
