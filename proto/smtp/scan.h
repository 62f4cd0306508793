/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * scan - the fast walk over message text
 *
 * Purpose:   finds how far a piece of text is unremarkable: lines that end in CRLF, no other CR or LF,
 *            no NUL, (when dots matter) no dot at a line's start. Gathers line lengths and 8-bit on
 *            the way. What it stops at is the byte-wise machine's work (body.c).
 * Owner:     struct smtp_scan is embedded. Thread: any.
 * Units:     bytes. Works in blocks of SMTP_SCAN_BLOCK: shorter input is left to the caller.
 * Errors:    none.
 */
#ifndef RINGPOST_SMTP_SCAN_H
#define RINGPOST_SMTP_SCAN_H

#include "core/base/slice.h"

enum { SMTP_SCAN_BLOCK = 64 };

struct smtp_scan {
    uint64_t line_len;     /* of the line at hand, without its CR */
    uint64_t line_longest; /* of complete lines, without CRLF */
    bool at_start;         /* the next byte begins a line */
    bool has_8bit;
    bool leading_dot; /* with stop_dot = false: a line began with "." */
};

/* Returns how many bytes at the front are unremarkable; never ends behind a CR. */
size_t smtp_scan_plain(struct smtp_scan *s, struct slice in, bool stop_dot);

#endif
