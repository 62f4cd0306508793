/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Two checksums per frame instead of one: with the length under a checksum of its own, a flipped bit
 * in a payload costs that frame only, and the scan goes on behind it. Both begin with the segment's
 * secret salt: a body is chosen by a stranger and may hold anything that looks like a frame, which
 * would otherwise come alive when the frame around it is damaged and the scan looks for the next one.
 */
#include "spool/format.h"
#include "core/base/crc32c.h"
#include "spool/wire.h"

static const char segment_magic[8] = {'R', 'I', 'N', 'G', 'S', 'P', 'L', '\n'};

enum { FRAME_MAGIC = 0x31465052 }; /* "RPF1" */

static uint32_t format_salted_crc(uint64_t salt, const void *ptr, size_t len)
{
    uint8_t first[8];
    struct wire_writer w = {first};
    wire_put(&w, salt, 8);
    return crc32c(crc32c(0, first, sizeof(first)), ptr, len);
}

void spool_segment_header_encode(const struct spool_segment_header *h,
                                 uint8_t block[SPOOL_BLOCK_BYTES])
{
    must(h->number != 0);
    memset(block, 0, SPOOL_BLOCK_BYTES);
    memcpy(block, segment_magic, sizeof(segment_magic));
    struct wire_writer w = {block + sizeof(segment_magic)};
    wire_put(&w, h->major, 2);
    wire_put(&w, h->minor, 2);
    wire_put(&w, h->lineage, 4);
    wire_put(&w, h->number, 8);
    wire_put(&w, h->created_us, 8);
    wire_put(&w, h->segment_bytes, 8);
    wire_put(&w, h->salt, 8);
    w.at = block + SPOOL_BLOCK_BYTES - 4;
    wire_put(&w, crc32c(0, block, SPOOL_BLOCK_BYTES - 4), 4);
}

bool spool_segment_header_decode(struct slice block, struct spool_segment_header *out)
{
    if (block.len < SPOOL_BLOCK_BYTES ||
        memcmp(block.ptr, segment_magic, sizeof(segment_magic)) != 0) {
        return false;
    }
    struct wire_reader tail = {slice_of(block.ptr + SPOOL_BLOCK_BYTES - 4, 4), false};
    if (wire_u32(&tail) != crc32c(0, block.ptr, SPOOL_BLOCK_BYTES - 4)) {
        return false;
    }
    struct wire_reader r = {slice_skip(block, sizeof(segment_magic)), false};
    struct spool_segment_header h = {
        .major = wire_u16(&r),
        .minor = wire_u16(&r),
        .lineage = wire_u32(&r),
        .number = wire_u64(&r),
        .created_us = wire_u64(&r),
        .segment_bytes = wire_u64(&r),
        .salt = wire_u64(&r),
    };
    if (r.bad || h.number == 0 || h.lineage >= LIMIT_WORKERS ||
        h.segment_bytes < SPOOL_SEGMENT_BYTES_MIN || h.segment_bytes > SPOOL_SEGMENT_BYTES_MAX ||
        h.segment_bytes % SPOOL_BLOCK_BYTES != 0) {
        return false;
    }
    *out = h;
    return true;
}

void spool_frame_seal(uint8_t *dst, const struct spool_frame_header *h, uint64_t salt)
{
    must(h->payload_bytes <= SPOOL_FRAME_BYTES_MAX);
    must(h->offset % SPOOL_FRAME_ALIGN == 0 && h->group % SPOOL_BLOCK_BYTES == 0);
    struct wire_writer w = {dst};
    wire_put(&w, FRAME_MAGIC, 4);
    wire_put(&w, 0, 4);
    wire_put(&w, format_salted_crc(salt, dst + SPOOL_FRAME_HEADER_BYTES, h->payload_bytes), 4);
    wire_put(&w, h->payload_bytes, 4);
    wire_put(&w, h->epoch, 8);
    wire_put(&w, h->lsn, 8);
    wire_put(&w, h->offset, 4);
    wire_put(&w, h->group, 4);
    wire_put(&w, h->rows, 2);
    wire_put(&w, h->flags, 2);
    wire_put(&w, 0, 4);
    w.at = dst + 4;
    wire_put(&w, format_salted_crc(salt, dst + 8, SPOOL_FRAME_HEADER_BYTES - 8), 4);
}

/* The header at bytes, if it is one of this segment and of this very place. */
static bool frame_header_decode(struct slice bytes, uint64_t salt, struct spool_frame_header *out)
{
    struct wire_reader r = {slice_first(bytes, SPOOL_FRAME_HEADER_BYTES), false};
    if (bytes.len < SPOOL_FRAME_HEADER_BYTES || wire_u32(&r) != FRAME_MAGIC) {
        return false;
    }
    uint32_t crc = wire_u32(&r);
    if (crc != format_salted_crc(salt, bytes.ptr + 8, SPOOL_FRAME_HEADER_BYTES - 8)) {
        return false;
    }
    out->header_crc = crc;
    out->payload_crc = wire_u32(&r);
    out->payload_bytes = wire_u32(&r);
    out->epoch = wire_u64(&r);
    out->lsn = wire_u64(&r);
    out->offset = wire_u32(&r);
    out->group = wire_u32(&r);
    out->rows = wire_u16(&r);
    out->flags = wire_u16(&r);
    return true;
}

/* All is right but the epoch: with the right one the checksum fits, which the salt keeps from old frames. */
static bool frame_epoch_broke(struct slice bytes, uint64_t epoch, uint64_t salt)
{
    uint8_t header[SPOOL_FRAME_HEADER_BYTES];
    struct spool_frame_header h;
    memcpy(header, bytes.ptr, sizeof(header));
    for (unsigned i = 0; i < 8; i++) {
        header[16 + i] = (uint8_t)(epoch >> (8 * i));
    }
    return frame_header_decode(slice_of(header, sizeof(header)), salt, &h);
}

bool spool_frame_was_here(struct slice bytes, const struct spool_frame_place *at)
{
    struct wire_reader r = {slice_first(bytes, SPOOL_FRAME_HEADER_BYTES), false};
    if (bytes.len < SPOOL_FRAME_HEADER_BYTES) {
        return false;
    }
    bool magic = wire_u32(&r) == FRAME_MAGIC;
    r.rest = slice_skip(bytes, 16);
    bool ours = wire_u64(&r) == at->epoch;
    bool next = wire_u64(&r) == at->lsn && at->lsn != 0;
    bool here = wire_u32(&r) == at->offset;
    /* Magic and offset alone are those of every old frame in a re-used file. */
    return ours ? magic || here
                : magic && here && (next || frame_epoch_broke(bytes, at->epoch, at->salt));
}

enum spool_frame_verdict spool_frame_check(struct slice bytes, uint64_t epoch, uint64_t salt,
                                           uint32_t offset, struct spool_frame_header *out,
                                           struct slice *payload)
{
    struct spool_frame_header h;
    if (!frame_header_decode(bytes, salt, &h)) {
        return SPOOL_FRAME_NONE;
    }
    if (h.epoch != epoch || h.offset != offset || h.payload_bytes > SPOOL_FRAME_BYTES_MAX ||
        h.group > offset || h.group < SPOOL_DATA_OFFSET || h.group % SPOOL_BLOCK_BYTES != 0 ||
        spool_frame_bytes(h.payload_bytes) > bytes.len) {
        return SPOOL_FRAME_NONE;
    }
    struct slice rows = slice_of(bytes.ptr + SPOOL_FRAME_HEADER_BYTES, h.payload_bytes);
    *out = h;
    if (h.payload_crc != format_salted_crc(salt, rows.ptr, rows.len)) {
        return SPOOL_FRAME_BAD_PAYLOAD;
    }
    *payload = rows;
    return SPOOL_FRAME_OK;
}

bool spool_frame_body(const struct spool_place *place, struct spool_ref ref, struct slice raw,
                      uint64_t id, struct slice *body)
{
    struct spool_frame_header h;
    struct slice payload;
    if (raw.len < ref.bytes || place->offset != ref.offset ||
        spool_frame_check(slice_first(raw, ref.bytes), ref.segment, place->salt, ref.offset, &h,
                          &payload) != SPOOL_FRAME_OK) {
        return false;
    }
    struct spool_row row;
    while (spool_row_next(&payload, &row)) {
        struct spool_message_view m;
        struct spool_fragment_view f;
        if (row.type == SPOOL_ROW_MESSAGE && spool_message_decode(row.payload, &m) && m.id == id) {
            *body = m.body;
            return true;
        }
        if (row.type == SPOOL_ROW_FRAGMENT && spool_fragment_decode(row.payload, &f) &&
            f.id == id) {
            *body = f.body;
            return true;
        }
    }
    return false;
}
