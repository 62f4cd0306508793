/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * dkim_canon - DKIM canonicalisation, simple and relaxed
 *
 * Purpose:   turns header fields and a streaming body into the bytes that are hashed.
 * Owner:     struct dkim_canon_body is embedded (plain memory, nothing to free); the sink's ctx
 *            outlives it.
 * Thread:    the owner's.
 * Input:     canonical text (lines end in CRLF). A bare CR or LF is data like any other byte. Body
 *            in any segmentation: the result never depends on it.
 * Limits:    memory is constant; slices handed to the sink live during the call.
 * Errors:    none.
 * RFC:       6376 3.4.1 to 3.4.4. A last line without CRLF counts as if it had one, since SMTP has no
 *            other way to end a line: so white space at its end goes in relaxed as well.
 */
#ifndef RINGPOST_MAIL_DKIM_CANON_H
#define RINGPOST_MAIL_DKIM_CANON_H

#include "core/base/slice.h"

enum dkim_canon { DKIM_CANON_SIMPLE, DKIM_CANON_RELAXED };
enum { DKIM_CANON_COUNT = 2, DKIM_STAGE_BYTES = 512 };

struct dkim_sink {
    void (*add)(void *ctx, struct slice bytes);
    void *ctx;
};

/* Collects small pieces for the sink. */
struct dkim_stage {
    struct dkim_sink sink;
    size_t used;
    char bytes[DKIM_STAGE_BYTES];
};

struct dkim_canon_body {
    enum dkim_canon canon;
    bool any;       /* something but empty lines was there */
    bool wsp;       /* held back: white space, */
    bool cr;        /* … a CR whose LF has not come */
    uint64_t crlfs; /* … and, before both, line ends that may be the last ones */
    struct dkim_stage stage;
};

/* "simple" or "relaxed" in any case of letters. */
bool dkim_canon_from_name(struct slice name, enum dkim_canon *out);
struct slice dkim_canon_name(enum dkim_canon c);

/* One whole field, name to CRLF with its folded lines. The result ends in CRLF exactly when the field
 * does (the signature's own field is hashed without). */
void dkim_canon_field(enum dkim_canon c, struct slice field, const struct dkim_sink *to);

void dkim_canon_body_init(struct dkim_canon_body *b, enum dkim_canon c, const struct dkim_sink *to);
void dkim_canon_body_add(struct dkim_canon_body *b, struct slice text);
/* The body is over; everything is at the sink now. */
void dkim_canon_body_done(struct dkim_canon_body *b);

#endif
