/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * buf - a growable byte buffer with a ceiling
 *
 * Purpose:   builds replies, commands, records and log lines. Grows by doubling up to cap_max,
 *            never beyond it.
 * Owner:     the struct that embeds it: buf_init, then buf_deinit. An unused buf holds no memory,
 *            so an idle session costs nothing.
 * Thread:    the owner's.
 * Units:     bytes.
 * Errors:    when an append would pass cap_max (or memory is exhausted) nothing is appended and
 *            `overflow` stays set until buf_clear; callers append a whole unit and check once.
 */
#ifndef RINGPOST_BASE_BUF_H
#define RINGPOST_BASE_BUF_H

#include "core/base/slice.h"

#include <stdarg.h>

struct buf {
    char *ptr;
    size_t len;
    size_t cap;
    size_t cap_max;
    bool overflow;
};

void buf_init(struct buf *b, size_t cap_max);
void buf_deinit(struct buf *b);

/* Empties it and keeps the memory. */
void buf_clear(struct buf *b);
/* Empties it and gives the memory back. */
void buf_release(struct buf *b);

/* Makes room for n more bytes; false (overflow set) when the ceiling forbids it. */
bool buf_reserve(struct buf *b, size_t n);

void buf_add(struct buf *b, struct slice s);
void buf_add_byte(struct buf *b, char c);
void buf_add_u64(struct buf *b, uint64_t v);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Removes n bytes from the front (memmove of the rest). */
void buf_consume(struct buf *b, size_t n);

static inline struct slice buf_slice(const struct buf *b)
{
    return (struct slice){b->ptr, b->len};
}

#endif
