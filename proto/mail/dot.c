/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A line's leading dot is sent twice by ending one piece on it and starting the next piece on it
 * again: no byte is copied or made up. memchr walks to line ends, the work is linear.
 */
#include "proto/mail/dot.h"

#include "core/base/must.h"

struct slice mail_dot_next(struct mail_dot *d, struct slice *in)
{
    size_t at = 0;
    while (at < in->len) {
        if (!d->in_line && !d->doubled && in->ptr[at] == '.') {
            struct slice piece = slice_first(*in, at + 1);
            d->doubled = true;
            *in = slice_skip(*in, at); /* the dot stays: it begins the next piece */
            return piece;
        }
        d->doubled = false;
        const char *lf = memchr(in->ptr + at, '\n', in->len - at);
        d->in_line = lf == NULL;
        at = lf ? (size_t)(lf - in->ptr) + 1 : in->len;
    }
    struct slice piece = *in;
    *in = slice_skip(*in, in->len);
    return piece;
}

void mail_dot_add(struct mail_dot *d, struct slice in, struct buf *out)
{
    while (in.len > 0) {
        struct slice piece = mail_dot_next(d, &in);
        must(piece.len > 0);
        buf_add(out, piece);
    }
}
