/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * wire - little-endian numbers in and out of bytes
 *
 * Purpose:   the one bounds-checked reader and the one writer of the spool's format.
 * Owner:     values. Thread: any. Units: bytes.
 * Errors:    a read past the end sets `bad` (it stays set) and gives zeros: decode all, check once.
 */
#ifndef RINGPOST_SPOOL_WIRE_H
#define RINGPOST_SPOOL_WIRE_H

#include "core/base/must.h"
#include "core/base/slice.h"

struct wire_reader {
    struct slice rest;
    bool bad;
};

static inline uint64_t wire_take(struct wire_reader *r, unsigned bytes)
{
    if (r->rest.len < bytes) {
        r->bad = true;
        r->rest.len = 0;
        return 0;
    }
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++) {
        v |= (uint64_t)(uint8_t)r->rest.ptr[i] << (8 * i);
    }
    r->rest = slice_skip(r->rest, bytes);
    return v;
}

static inline uint8_t wire_u8(struct wire_reader *r)
{
    return (uint8_t)wire_take(r, 1);
}

static inline uint16_t wire_u16(struct wire_reader *r)
{
    return (uint16_t)wire_take(r, 2);
}

static inline uint32_t wire_u32(struct wire_reader *r)
{
    return (uint32_t)wire_take(r, 4);
}

static inline uint64_t wire_u64(struct wire_reader *r)
{
    return wire_take(r, 8);
}

static inline struct slice wire_bytes(struct wire_reader *r, size_t n)
{
    if (r->rest.len < n) {
        r->bad = true;
        r->rest.len = 0;
        return (struct slice){0};
    }
    struct slice s = slice_first(r->rest, n);
    r->rest = slice_skip(r->rest, n);
    return s;
}

struct wire_writer {
    uint8_t *at;
};

static inline void wire_put(struct wire_writer *w, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        *w->at++ = (uint8_t)(v >> (8 * i));
    }
}

static inline void wire_put_slice(struct wire_writer *w, struct slice s)
{
    if (s.len) {
        memcpy(w->at, s.ptr, s.len);
        w->at += s.len;
    }
}

#endif
