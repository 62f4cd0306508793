/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: DKIM canonicalisation of any text, as a body and as a header field. Whole, in single bytes
 * and in random pieces it gives the same, and the same as dkimpy's canonicalization.py, written down
 * here step by step as it stands there (each step makes a new copy of the text).
 */
#include "core/base/must.h"
#include "core/base/rng.h"
#include "proto/mail/dkim_canon.h"

#include "core/base/buf.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 1 << 24 };

/* ---- dkimpy ---- */

static bool wsp(char c)
{
    return c == ' ' || c == '\t';
}

/* re.sub(b"[\t ]+\r\n", b"\r\n", content) */
static void strip_trailing_whitespace(struct slice in, struct buf *out)
{
    for (size_t i = 0; i < in.len;) {
        size_t n = i;
        while (n < in.len && wsp(in.ptr[n])) {
            n++;
        }
        if (n > i && n + 1 < in.len && in.ptr[n] == '\r' && in.ptr[n + 1] == '\n') {
            i = n;
            continue;
        }
        n = n > i ? n : i + 1;
        buf_add(out, slice_of(in.ptr + i, n - i));
        i = n;
    }
}

/* re.sub(b"[\t ]+", b" ", content) */
static void compress_whitespace(struct slice in, struct buf *out)
{
    for (size_t i = 0; i < in.len; i++) {
        if (!wsp(in.ptr[i])) {
            buf_add_byte(out, in.ptr[i]);
        } else if (i == 0 || !wsp(in.ptr[i - 1])) {
            buf_add_byte(out, ' ');
        }
    }
}

static bool ends_crlf(struct slice s)
{
    return s.len >= 2 && s.ptr[s.len - 2] == '\r' && s.ptr[s.len - 1] == '\n';
}

/* strip_trailing_lines */
static void strip_trailing_lines(struct slice in, struct buf *out)
{
    while (ends_crlf(in)) {
        in.len -= 2;
    }
    buf_add(out, in);
    buf_add(out, SLICE("\r\n"));
}

static void reference_body(enum dkim_canon c, struct slice in, struct buf *out)
{
    struct buf a, b;
    buf_init(&a, TEXT_MAX);
    buf_init(&b, TEXT_MAX);
    if (c == DKIM_CANON_SIMPLE) {
        strip_trailing_lines(in, out);
    } else {
        strip_trailing_whitespace(in, &a);
        compress_whitespace(buf_slice(&a), &b);
        strip_trailing_lines(buf_slice(&b), out);
        if (out->len == 2) { /* correct_empty_body */
            buf_clear(out);
        }
    }
    buf_deinit(&a);
    buf_deinit(&b);
}

/* name.lower().rstrip(), compress_whitespace(unfold_header_value(value)).strip(); but strip() is of
 * SP and TAB only, as RFC 6376 3.4.2 says: Python's takes VT, FF and CR too. */
static void reference_field(struct slice field, struct buf *out)
{
    struct buf unfolded, reduced;
    struct slice value = field;
    struct slice name = slice_trim(slice_cut(&value, ':'));
    buf_init(&unfolded, TEXT_MAX);
    buf_init(&reduced, TEXT_MAX);
    for (size_t i = 0; i < value.len; i++) {
        if (i + 1 < value.len && value.ptr[i] == '\r' && value.ptr[i + 1] == '\n') {
            i++;
        } else {
            buf_add_byte(&unfolded, value.ptr[i]);
        }
    }
    compress_whitespace(buf_slice(&unfolded), &reduced);
    for (size_t i = 0; i < name.len; i++) {
        buf_add_byte(out, ascii_lower(name.ptr[i]));
    }
    buf_add(out, SLICE(":"));
    buf_add(out, slice_trim(buf_slice(&reduced)));
    buf_add(out, SLICE("\r\n"));
    buf_deinit(&unfolded);
    buf_deinit(&reduced);
}

/* ---- ours ---- */

static void collect(void *ctx, struct slice text)
{
    must(text.len > 0);
    buf_add(ctx, text);
}

static void our_body(enum dkim_canon c, struct slice in, size_t piece_max, struct buf *out)
{
    struct dkim_sink sink = {collect, out};
    struct dkim_canon_body b;
    struct rng rng;
    rng_init_seed(&rng, in.len);
    dkim_canon_body_init(&b, c, &sink);
    while (in.len) {
        size_t n = piece_max ? 1 + (size_t)rng_below(&rng, piece_max) : in.len;
        n = n < in.len ? n : in.len;
        char *copy = malloc(n); /* its own: no look behind the piece */
        must(copy != NULL);
        memcpy(copy, in.ptr, n);
        dkim_canon_body_add(&b, slice_of(copy, n));
        free(copy);
        in = slice_skip(in, n);
    }
    dkim_canon_body_done(&b);
}

static void check_body(enum dkim_canon c, struct slice in)
{
    static const size_t pieces[] = {0, 1, 2, 9, 700};
    struct buf want, got, closed;
    buf_init(&want, TEXT_MAX);
    buf_init(&got, TEXT_MAX);
    buf_init(&closed, TEXT_MAX);
    buf_add(&closed, in); /* SMTP ends a last line that has no end */
    if (in.len && !ends_crlf(in)) {
        buf_add(&closed, SLICE("\r\n"));
    }
    reference_body(c, buf_slice(&closed), &want);
    for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
        buf_clear(&got);
        our_body(c, in, pieces[i], &got);
        must(slice_eq(buf_slice(&got), buf_slice(&want)));
        buf_clear(&got);
        our_body(c, buf_slice(&closed), pieces[i], &got);
        must(slice_eq(buf_slice(&got), buf_slice(&want)));
    }
    buf_deinit(&want);
    buf_deinit(&got);
    buf_deinit(&closed);
}

static void check_field(struct slice value)
{
    struct buf field, want, got;
    buf_init(&field, TEXT_MAX);
    buf_init(&want, TEXT_MAX);
    buf_init(&got, TEXT_MAX);
    struct dkim_sink sink = {collect, &got};
    buf_add(&field, SLICE("SubJect \t:"));
    buf_add(&field, value);
    buf_add(&field, SLICE("\r\n"));
    reference_field(buf_slice(&field), &want);
    dkim_canon_field(DKIM_CANON_RELAXED, buf_slice(&field), &sink);
    must(slice_eq(buf_slice(&got), buf_slice(&want)));
    buf_clear(&got);
    dkim_canon_field(DKIM_CANON_SIMPLE, buf_slice(&field), &sink);
    must(slice_eq(buf_slice(&got), buf_slice(&field)));
    buf_deinit(&field);
    buf_deinit(&want);
    buf_deinit(&got);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf text;
    if (size == 0) {
        return 0;
    }
    bool canonical = (data[0] & 1) != 0;
    buf_init(&text, TEXT_MAX);
    for (size_t i = 1; i < size; i++) {
        if (canonical && data[i] == '\n') {
            buf_add(&text, SLICE("\r\n"));
        } else if (!canonical || data[i] != '\r') {
            buf_add_byte(&text, (char)data[i]);
        }
    }
    check_body(DKIM_CANON_SIMPLE, buf_slice(&text));
    check_body(DKIM_CANON_RELAXED, buf_slice(&text));
    check_field(buf_slice(&text));
    buf_deinit(&text);
    return 0;
}
