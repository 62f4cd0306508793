/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Any bytes as a segment. The checksums would keep a fuzzer out of everything behind them, so the input
 * is used twice: as the bytes of a segment that are scanned as they are, and as the rows of a frame
 * whose checksums are made right. What decodes must encode to the same bytes.
 */
#include "spool/scan.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEGMENT_BYTES = 64 * 1024 };

static void fuzz_message(struct slice payload)
{
    struct spool_message_view v;
    if (!spool_message_decode(payload, &v)) {
        return;
    }
    uint32_t n = 0;
    struct spool_rcpt rcpt;
    struct spool_rcpt *rcpts = calloc(v.rcpt_count, sizeof(*rcpts));
    struct spool_fragment_ref *fragments = calloc(v.fragment_count + 1, sizeof(*fragments));
    must(rcpts && fragments);
    struct slice rest = v.rcpts;
    while (n < v.rcpt_count && spool_message_next_rcpt(&rest, &rcpt)) {
        rcpts[n++] = rcpt;
    }
    must(n == v.rcpt_count && rest.len == 0);
    rest = v.fragments;
    for (n = 0; spool_message_next_fragment(&rest, &fragments[n]); n++) {
    }
    must(n == v.fragment_count);
    struct iovec body = {(void *)(uintptr_t)v.body.ptr, v.body.len};
    struct spool_message m = spool_message_of(&v);
    m.rcpts = rcpts;
    m.fragments = fragments;
    m.body = &body;
    m.body_count = 1;
    size_t bytes = spool_message_bytes(&m);
    uint8_t *copy = malloc(bytes);
    must(copy && spool_message_encode(copy, &m) == bytes);
    struct spool_message_view again;
    must(bytes == payload.len + SPOOL_ROW_HEADER_BYTES);
    must(spool_message_decode(slice_of(copy + SPOOL_ROW_HEADER_BYTES, payload.len), &again));
    must(again.id == v.id && slice_eq(again.rcpts, v.rcpts) && slice_eq(again.body, v.body));
    free(copy);
    free(fragments);
    free(rcpts);
}

static void fuzz_rows(struct slice payload)
{
    struct spool_row row;
    struct buf line;
    buf_init(&line, 4096);
    while (spool_row_next(&payload, &row)) {
        struct spool_fragment_view f;
        struct spool_result r;
        struct spool_seal s;
        fuzz_message(row.payload);
        (void)spool_fragment_decode(row.payload, &f);
        if (spool_result_decode(row.payload, &r)) {
            uint8_t
                copy[SPOOL_ROW_HEADER_BYTES + SPOOL_RESULT_FIXED_BYTES + LIMIT_OUTCOME_TEXT_BYTES];
            size_t n = spool_result_encode(copy, &r);
            must(slice_eq(slice_of(copy + SPOOL_ROW_HEADER_BYTES, n - SPOOL_ROW_HEADER_BYTES),
                          row.payload));
        }
        (void)spool_seal_decode(row.payload, &s);
        struct spool_memo memo;
        uint64_t sequence;
        if (spool_memo_decode(row.payload, &memo, &sequence)) {
            static uint8_t copy[SPOOL_ROW_HEADER_BYTES + SPOOL_STATE_FIXED_BYTES +
                                SPOOL_MEMO_KEY_BYTES_MAX + SPOOL_MEMO_VALUE_BYTES_MAX];
            size_t n = spool_memo_encode(copy, &memo, sequence);
            must(n == spool_memo_bytes(&memo));
            must(slice_eq(slice_of(copy + SPOOL_ROW_HEADER_BYTES, n - SPOOL_ROW_HEADER_BYTES),
                          row.payload));
        }
        buf_clear(&line);
        (void)spool_row_describe(&line, &row);
        (void)spool_row_name(row.type);
    }
    buf_deinit(&line);
}

struct fuzz_scan {
    uint64_t frames;
    uint64_t broken_bytes;
};

static void fuzz_frame(void *ctx, const struct spool_frame_header *h, struct slice payload)
{
    struct fuzz_scan *f = ctx;
    must(h->payload_bytes == payload.len);
    f->frames++;
    fuzz_rows(payload);
}

static void fuzz_broken(void *ctx, enum spool_damage kind, uint32_t offset, uint32_t bytes)
{
    struct fuzz_scan *f = ctx;
    must(kind == SPOOL_DAMAGE_FRAME || kind == SPOOL_DAMAGE_TORN);
    must(bytes > 0 && offset + bytes <= SEGMENT_BYTES);
    f->broken_bytes += bytes;
}

static struct spool_scanned fuzz_scan(const uint8_t *seg, size_t len, bool complete,
                                      struct fuzz_scan *f)
{
    const struct spool_scan scan = {.bytes = slice_of(seg, len),
                                    .number = 3,
                                    .salt = 7,
                                    .end = SEGMENT_BYTES - SPOOL_BLOCK_BYTES,
                                    .complete = complete,
                                    .frame = fuzz_frame,
                                    .broken = fuzz_broken,
                                    .ctx = f};
    struct spool_scanned out;
    spool_scan_segment(&scan, &out);
    must(out.frames == f->frames && out.valid_end <= SEGMENT_BYTES);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t room = SEGMENT_BYTES - 2 * SPOOL_BLOCK_BYTES - SPOOL_FRAME_HEADER_BYTES;
    size = size < room ? size : room;
    struct spool_segment_header header;
    (void)spool_segment_header_decode(slice_of(data, size), &header);
    uint8_t *seg = calloc(1, SEGMENT_BYTES);
    must(seg);

    /* As they are: no checksum will fit, so everything is broken or nothing. */
    struct fuzz_scan f = {0};
    memcpy(seg + SPOOL_DATA_OFFSET, data, size);
    (void)fuzz_scan(seg, SPOOL_DATA_OFFSET + size, true, &f);

    /* As rows. */
    if (size > 0) {
        struct spool_frame_header h = {.payload_bytes = (uint32_t)size,
                                       .epoch = 3,
                                       .lsn = 1,
                                       .offset = SPOOL_DATA_OFFSET,
                                       .group = SPOOL_DATA_OFFSET};
        memset(seg, 0, SEGMENT_BYTES);
        memcpy(seg + SPOOL_DATA_OFFSET + SPOOL_FRAME_HEADER_BYTES, data, size);
        spool_frame_seal(seg + SPOOL_DATA_OFFSET, &h, 7);
        f = (struct fuzz_scan){0};
        struct spool_scanned out = fuzz_scan(seg, SEGMENT_BYTES, false, &f);
        must(out.frames == 1 && f.broken_bytes == 0);
    }
    free(seg);
    return 0;
}
