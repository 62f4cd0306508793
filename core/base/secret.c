/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * realloc may move and leaves what it moved from as it was, so growing is done by hand.
 */
#include "core/base/secret.h"

#include <stdlib.h>

enum { SECRET_CAP_FIRST = 64 };

void secret_wipe(void *p, size_t n)
{
    if (n > 0) {
        explicit_bzero(p, n);
    }
}

bool secret_buf_reserve(struct buf *b, size_t n)
{
    if (n <= b->cap - b->len) {
        return true;
    }
    if (b->overflow || n > b->cap_max || b->len > b->cap_max - n) {
        b->overflow = true;
        return false;
    }
    size_t cap = b->cap ? b->cap : SECRET_CAP_FIRST;
    while (cap < b->len + n) {
        cap *= 2;
    }
    cap = cap < b->cap_max ? cap : b->cap_max;
    char *ptr = malloc(cap);
    if (!ptr) {
        b->overflow = true;
        return false;
    }
    if (b->len > 0) {
        memcpy(ptr, b->ptr, b->len);
    }
    secret_wipe(b->ptr, b->cap);
    free(b->ptr);
    b->ptr = ptr;
    b->cap = cap;
    return true;
}

void secret_buf_add(struct buf *b, struct slice s)
{
    if (s.len > 0 && !b->overflow && secret_buf_reserve(b, s.len)) {
        memcpy(b->ptr + b->len, s.ptr, s.len);
        b->len += s.len;
    }
}

void secret_buf_clear(struct buf *b)
{
    secret_wipe(b->ptr, b->cap);
    buf_clear(b);
}

void secret_buf_release(struct buf *b)
{
    secret_wipe(b->ptr, b->cap);
    buf_release(b);
}
