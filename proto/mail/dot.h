/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * dot - dot-stuffing of a body for DATA
 *
 * Purpose:   doubles the dot at the beginning of a line (RFC 5321 4.5.2). Works over slices with
 *            state across their borders and yields pieces that point into the input, so a big body
 *            is never copied: the added dot is a piece of one byte, or the next piece begins one
 *            byte earlier on the same dot.
 * Owner:     a value; one per body. Thread: any.
 * Input:     canonical text (every CR followed by LF, every LF preceded by CR): the spool's form.
 *            Given that, the output holds no bare CR or LF and no CRLF.CRLF (reliability B4).
 * Errors:    none.
 */
#ifndef RINGPOST_MAIL_DOT_H
#define RINGPOST_MAIL_DOT_H

#include "core/base/buf.h"

struct mail_dot {
    bool in_line; /* the next byte does not begin a line */
    bool doubled; /* the next byte is a dot whose twin was sent already */
};

/* A zeroed struct is the start of a body. */
static inline void mail_dot_init(struct mail_dot *d)
{
    *d = (struct mail_dot){false, false};
}

/* Takes from *in the longest piece that can be sent as it is and returns it; the pieces in their
 * order are the output. Empty: *in is used up. */
struct slice mail_dot_next(struct mail_dot *d, struct slice *in);

/* All of `in`, copied to out. For small bodies. */
void mail_dot_add(struct mail_dot *d, struct slice in, struct buf *out);

#endif
