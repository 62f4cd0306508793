/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/buf.h"
#include "core/base/must.h"

#include <stdio.h>
#include <stdlib.h>

enum { BUF_CAP_FIRST = 256 };

void buf_init(struct buf *b, size_t cap_max)
{
    must(cap_max > 0);
    *b = (struct buf){.cap_max = cap_max};
}

void buf_deinit(struct buf *b)
{
    free(b->ptr);
    *b = (struct buf){0};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->overflow = false;
}

void buf_release(struct buf *b)
{
    size_t cap_max = b->cap_max;
    buf_deinit(b);
    b->cap_max = cap_max;
}

bool buf_reserve(struct buf *b, size_t n)
{
    must(b->len <= b->cap);
    if (n <= b->cap - b->len) {
        return true;
    }
    if (b->overflow || n > b->cap_max || b->len > b->cap_max - n) {
        b->overflow = true;
        return false;
    }
    size_t cap = b->cap ? b->cap : BUF_CAP_FIRST;
    while (cap < b->len + n) {
        cap *= 2;
    }
    if (cap > b->cap_max) {
        cap = b->cap_max;
    }
    char *ptr = realloc(b->ptr, cap);
    if (!ptr) {
        b->overflow = true;
        return false;
    }
    b->ptr = ptr;
    b->cap = cap;
    return true;
}

void buf_add(struct buf *b, struct slice s)
{
    if (s.len == 0 || b->overflow || !buf_reserve(b, s.len)) {
        return;
    }
    memcpy(b->ptr + b->len, s.ptr, s.len);
    b->len += s.len;
}

void buf_add_byte(struct buf *b, char c)
{
    buf_add(b, (struct slice){&c, 1});
}

void buf_add_u64(struct buf *b, uint64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    buf_add(b, slice_of(digits + at, sizeof(digits) - at));
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    if (b->overflow) {
        return;
    }
    for (int round = 0; round < 2; round++) {
        size_t room = b->cap - b->len;
        va_start(ap, fmt);
        int n = vsnprintf(b->ptr ? b->ptr + b->len : NULL, room, fmt, ap);
        va_end(ap);
        must(n >= 0);
        if ((size_t)n < room) {
            b->len += (size_t)n;
            return;
        }
        if (!buf_reserve(b, (size_t)n + 1)) {
            return;
        }
    }
}

void buf_consume(struct buf *b, size_t n)
{
    must(n <= b->len);
    b->len -= n;
    if (b->len) {
        memmove(b->ptr, b->ptr + n, b->len);
    }
}
