/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * format - the bytes of the spool
 *
 * Purpose:   the layout of segments, frames and rows, with the only code that reads or writes it.
 * Owner:     values; decoded slices point into the bytes they were decoded from.
 * Thread:    any. Units: bytes; all integers little-endian, at any alignment.
 * Errors:    disk contents are input: decoders return false and leave *out in no defined state only
 *            where said; they never read outside the slice they were given.
 *
 * SEGMENT  seg-<16 hex digits of its number>.log, segment_bytes long:
 *
 *      0                 header block, 4096 bytes
 *      4096              groups, each beginning on a multiple of 4096 and zero-padded to one
 *      segment_bytes-4096 copy of the header block (one bad block must not take 64 MiB with it)
 *
 * HEADER BLOCK
 *      0  8  magic "RINGSPL\n"
 *      8  2  format major (a newer one is refused)      10  2  format minor
 *     12  4  lineage: the worker whose log it is
 *     16  8  segment number = epoch of every frame in it; unique in the directory, ever increasing
 *     24  8  created, wall clock, microseconds
 *     32  8  segment_bytes
 *     40  8  salt: random; every checksum of the segment begins with it, so that bytes chosen by
 *            a stranger (a message body) can never pass for a frame
 *     48  .. zero
 *   4092  4  CRC-32C of bytes 0..4091
 *
 * GROUP    what one write + fdatasync makes durable: frames one after another, each beginning on a
 *          multiple of 8, then zeros. A group has no header of its own: every frame names it.
 *
 * FRAME    the unit of atomicity: all its rows count, or none.
 *      0  4  magic "RPF1"
 *      4  4  CRC-32C of salt, then bytes 8..47 (the length can be trusted although the payload
 *            is damaged: one bad frame does not hide the next)
 *      8  4  CRC-32C of salt, then the payload
 *     12  4  payload bytes
 *     16  8  epoch (segment number)
 *     24  8  lsn: per worker, ever increasing
 *     32  4  its own offset in the segment (a misdirected read or write is seen)
 *     36  4  offset of its group
 *     40  2  rows                                        42  2  flags (0)
 *     44  4  zero
 *     48  .. payload: rows, then zeros up to the next multiple of 8 (not counted, not checked)
 *
 * ROW      unknown types are skipped by their length.
 *      0  2  type     2  2  flags (0)     4  4  payload bytes
 *      8  .. payload
 *
 * MESSAGE (1)
 *      0  8  id                 8  8  arrival, wall clock, microseconds
 *     16  4  flags (the queue's)   20  4  header bytes of the content
 *     24  8  content bytes        32  4  recipients
 *     36  4  fragments            40  4  inline content bytes
 *     44  2  sender bytes         46  2  envid bytes
 *     48  2  meta bytes           50  1  ret        51  5  zero
 *     56  .. sender, envid, meta; then per fragment
 *              0 8 segment   8 4 frame offset   12 4 frame bytes   16 4 content bytes
 *            then per recipient
 *              0 2 address bytes   2 2 orcpt bytes   4 1 notify   5 1 status   6 2 attempts
 *              8 8 next due, wall clock, milliseconds   16 .. address, orcpt
 *            then the inline content.
 * FRAGMENT (2)
 *      0  8  message id    8  4  index     12  .. content
 * RESULT (3)
 *      0  8  message id    8  4  recipient index    12  1  kind (enum spool_result_kind)
 *     13  1  enhanced class  14 2 reply code  16 2 enhanced subject  18 2 enhanced detail
 *     20  2  attempts     22  2  text bytes   24  8  next due, wall clock, milliseconds
 *     32  8  when, wall clock, microseconds   40  .. text
 * SEAL (4)  of another, earlier segment: frames at or beyond the offset do not count
 *      0  8  segment       8  4  offset
 *     12  4  1: everything before the offset was durable (what is missing there is damage);
 *            0: a crash cut it (what is broken in its last group was never acknowledged)
 * STATE (5), since minor 1: what is remembered and is not mail (spool/memo.h)
 *      0  8  sequence: of the rows of one kind and key the highest counts
 *      8  1  kind (the queue's)     9  1  key bytes (not 0)    10  2  value bytes (0: forgotten)
 *     12  .. key, value
 *
 * Minor 0 skips STATE rows and carries none on: it forgets them with the segments it gives back (in
 * order, so what an upgrade finds again is the newest of each key). Mail is not touched by that.
 */
#ifndef RINGPOST_SPOOL_FORMAT_H
#define RINGPOST_SPOOL_FORMAT_H

#include "core/base/buf.h"
#include "core/base/limits.h"
#include "spool/spool.h"

enum {
    SPOOL_FORMAT_MAJOR = 1,
    SPOOL_FORMAT_MINOR = 1,

    SPOOL_BLOCK_BYTES = 4096,
    SPOOL_DATA_OFFSET = SPOOL_BLOCK_BYTES,
    SPOOL_FRAME_HEADER_BYTES = 48,
    SPOOL_FRAME_ALIGN = 8,
    SPOOL_ROW_HEADER_BYTES = 8,
    SPOOL_MESSAGE_FIXED_BYTES = 56,
    SPOOL_MESSAGE_FRAGMENT_BYTES = 20,
    SPOOL_MESSAGE_RCPT_BYTES = 16,
    SPOOL_FRAGMENT_FIXED_BYTES = 12,
    SPOOL_RESULT_FIXED_BYTES = 40,
    SPOOL_SEAL_BYTES = 16,
    SPOOL_STATE_FIXED_BYTES = 12,

    /* A group fits one commit buffer; the largest frame fits the smallest segment with a frame of
     * seals before it. */
    SPOOL_GROUP_BYTES_MAX = 1024 * 1024,
    SPOOL_SEALS_MAX = 1024,
};

must_static(SPOOL_DATA_OFFSET + SPOOL_BLOCK_BYTES + SPOOL_FRAME_BYTES_MAX +
                    2 * SPOOL_FRAME_HEADER_BYTES +
                    SPOOL_SEALS_MAX * (SPOOL_ROW_HEADER_BYTES + SPOOL_SEAL_BYTES) +
                    SPOOL_BLOCK_BYTES <=
                (int)SPOOL_SEGMENT_BYTES_MIN,
            "seals and the largest frame fit the smallest segment");
must_static(SPOOL_FRAME_BYTES_MAX + SPOOL_FRAME_HEADER_BYTES <= SPOOL_GROUP_BYTES_MAX,
            "a frame fits a group");
must_static(LIMIT_BODY_INLINE_BYTES * 2 <= SPOOL_FRAME_BYTES_MAX,
            "a body leaves room for the envelope");

enum spool_row_type {
    SPOOL_ROW_MESSAGE = 1,
    SPOOL_ROW_FRAGMENT = 2,
    SPOOL_ROW_RESULT = 3,
    SPOOL_ROW_SEAL = 4,
    SPOOL_ROW_STATE = 5,
};

struct spool_segment_header {
    uint16_t major;
    uint16_t minor;
    uint32_t lineage;
    uint64_t number;
    uint64_t created_us;
    uint64_t segment_bytes;
    uint64_t salt;
};

struct spool_frame_header {
    uint32_t header_crc;
    uint32_t payload_crc;
    uint32_t payload_bytes;
    uint64_t epoch;
    uint64_t lsn;
    uint32_t offset;
    uint32_t group;
    uint16_t rows;
    uint16_t flags;
};

struct spool_row {
    uint16_t type; /* may be unknown */
    struct slice payload;
};

struct spool_seal {
    uint64_t segment;
    uint32_t offset;
    bool complete;
};

/* A decoded MESSAGE row: fixed fields and slices; fragments and recipients are read one by one with
 * spool_message_next_*, so that a hostile count never makes us allocate. */
struct spool_message_view {
    uint64_t id;
    uint64_t arrival_us;
    uint32_t flags;
    uint32_t header_bytes;
    uint64_t body_bytes;
    uint8_t ret;
    uint32_t rcpt_count;
    uint32_t fragment_count;
    struct slice sender;
    struct slice envid;
    struct slice meta;
    struct slice fragments; /* fragment_count * SPOOL_MESSAGE_FRAGMENT_BYTES, checked */
    struct slice rcpts;     /* rcpt_count well-formed entries, checked */
    struct slice body;      /* inline content */
};

struct spool_fragment_view {
    uint64_t id;
    uint32_t index;
    struct slice body;
};

/* ---- segments ---- */

void spool_segment_header_encode(const struct spool_segment_header *h,
                                 uint8_t block[SPOOL_BLOCK_BYTES]);
/* False: not a header of ours, or damaged. A newer major still decodes (all but its meaning). */
bool spool_segment_header_decode(struct slice block, struct spool_segment_header *out);

/* ---- frames ---- */

/* Writes header and both checksums in front of a payload that lies at dst + 48. */
void spool_frame_seal(uint8_t *dst, const struct spool_frame_header *h, uint64_t salt);

enum spool_frame_verdict {
    SPOOL_FRAME_OK,
    SPOOL_FRAME_BAD_PAYLOAD, /* the header is right, so is its length: go on behind it */
    SPOOL_FRAME_NONE,        /* no frame begins here */
};

/* Where a frame is expected, and which. */
struct spool_frame_place {
    uint64_t epoch, salt;
    uint64_t lsn; /* 0: not known */
    uint32_t offset;
};

/* Whether it looks as if a frame of this segment had begun here: most of what tells it from others is right, the rest
 * need not be. Good for a note, never for a frame. */
bool spool_frame_was_here(struct slice bytes, const struct spool_frame_place *at);
/* Looks at the frame that should begin at `offset` of segment `epoch`; bytes begin there and may
 * reach further than the frame. On OK *payload is the rows. */
enum spool_frame_verdict spool_frame_check(struct slice bytes, uint64_t epoch, uint64_t salt,
                                           uint32_t offset, struct spool_frame_header *out,
                                           struct slice *payload);
/* Header, payload and padding. */
static inline uint32_t spool_frame_bytes(uint32_t payload_bytes)
{
    return (SPOOL_FRAME_HEADER_BYTES + payload_bytes + SPOOL_FRAME_ALIGN - 1) &
           ~(uint32_t)(SPOOL_FRAME_ALIGN - 1);
}

/* ---- rows ---- */

/* Cuts the next row off *payload; false at the end or when it is malformed (then payload->len != 0). */
bool spool_row_next(struct slice *payload, struct spool_row *out);
/* Name of a row type, "unknown" for others. */
struct slice spool_row_name(uint16_t type);
/* One line of text about a row, for the tools. False: the row is malformed. */
bool spool_row_describe(struct buf *out, const struct spool_row *row);

/* Encoders return the bytes written (row header included); dst has at least the size that the
 * *_bytes function names. */
size_t spool_message_bytes(const struct spool_message *m);
size_t spool_message_encode(uint8_t *dst, const struct spool_message *m);
size_t spool_fragment_bytes(size_t body_bytes);
size_t spool_fragment_encode(uint8_t *dst, uint64_t id, uint32_t index, struct slice body);
size_t spool_result_bytes(const struct spool_result *r);
size_t spool_result_encode(uint8_t *dst, const struct spool_result *r);
size_t spool_seal_encode(uint8_t *dst, struct spool_seal s);
size_t spool_memo_bytes(const struct spool_memo *memo);
size_t spool_memo_encode(uint8_t *dst, const struct spool_memo *memo, uint64_t sequence);

/* Decoders take a row's payload; false when it is malformed in any way. */
bool spool_message_decode(struct slice payload, struct spool_message_view *out);
/* What was decoded as it is encoded again: all but the lists and the body, which are the caller's to set
 * (their counts are set). The slices are the view's. */
struct spool_message spool_message_of(const struct spool_message_view *v);
bool spool_message_next_fragment(struct slice *fragments, struct spool_fragment_ref *out);
bool spool_message_next_rcpt(struct slice *rcpts, struct spool_rcpt *out);
bool spool_fragment_decode(struct slice payload, struct spool_fragment_view *out);
bool spool_result_decode(struct slice payload, struct spool_result *out);
bool spool_seal_decode(struct slice payload, struct spool_seal *out);
bool spool_memo_decode(struct slice payload, struct spool_memo *out, uint64_t *sequence);

#endif
