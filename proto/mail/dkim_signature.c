/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The DKIM-Signature field as text. It is hashed as it stands here with an empty b=, so nothing may
 * change behind _begin but the value of b=: verifiers take out the value with the white space in it
 * (RFC 6376 3.5, b=). Folded with single spaces, which no gateway has a reason to rewrite.
 */
#include "proto/mail/dkim_header.h"

#include "core/base/base64.h"
#include "core/base/must.h"

enum {
    LINE_BYTES = 76,
    SIGNATURE_BYTES_MAX = 512,
};

#define FOLD "\r\n "

static struct slice algorithm_name(enum dkim_algorithm a)
{
    return a == DKIM_RSA_SHA256 ? SLICE("rsa-sha256") : SLICE("ed25519-sha256");
}

/* Appends text, before it a fold when the line would become too long. *column: bytes in the line. */
static void add_word(struct buf *out, size_t *column, struct slice text)
{
    if (*column + text.len > LINE_BYTES) {
        buf_add(out, SLICE(FOLD));
        *column = 1;
    }
    buf_add(out, text);
    *column += text.len;
}

/* " name=value;" as one word. */
static void add_tag(struct buf *out, size_t *column, struct slice name, struct slice value)
{
    size_t bytes = 1 + name.len + 1 + value.len + 1;
    if (*column + bytes > LINE_BYTES) {
        buf_add(out, SLICE(FOLD));
        *column = 0;
    } else {
        buf_add_byte(out, ' ');
    }
    buf_add(out, name);
    buf_add_byte(out, '=');
    buf_add(out, value);
    buf_add_byte(out, ';');
    *column += bytes;
}

static void add_number_tag(struct buf *out, size_t *column, struct slice name, uint64_t value)
{
    struct buf text;
    buf_init(&text, 32);
    buf_add_u64(&text, value);
    out->overflow = out->overflow || text.overflow; /* no memory: the field would lack its value */
    add_tag(out, column, name, buf_slice(&text));
    buf_deinit(&text);
}

static void add_canon_tag(struct buf *out, size_t *column, const struct dkim_signature *s)
{
    char text[16];
    struct slice header = dkim_canon_name(s->header_canon);
    struct slice body = dkim_canon_name(s->body_canon);
    must(header.len + 1 + body.len <= sizeof(text));
    memcpy(text, header.ptr, header.len);
    text[header.len] = '/';
    memcpy(text + header.len + 1, body.ptr, body.len);
    add_tag(out, column, SLICE("c"), slice_of(text, header.len + 1 + body.len));
}

/* Folded between the names only. */
static void add_names(struct buf *out, size_t *column, struct slice names)
{
    add_word(out, column, SLICE(" h="));
    while (names.len) {
        size_t n = slice_cut(&(struct slice){names.ptr, names.len}, ':').len;
        n += n < names.len; /* with its colon */
        add_word(out, column, slice_first(names, n));
        names = slice_skip(names, n);
    }
    buf_add_byte(out, ';');
    *column += 1;
}

void dkim_signature_begin(struct buf *out, const struct dkim_signature *s)
{
    size_t column = 0;
    struct buf hash;
    must(s->domain.len > 0 && s->selector.len > 0 && s->names.len > 0);
    buf_init(&hash, 2 * BASE64_TEXT_BYTES(sizeof(s->body_hash)));
    base64_add(&hash, slice_of(s->body_hash, sizeof(s->body_hash)));
    add_word(out, &column, SLICE("DKIM-Signature:"));
    add_tag(out, &column, SLICE("v"), SLICE("1"));
    add_tag(out, &column, SLICE("a"), algorithm_name(s->algorithm));
    add_canon_tag(out, &column, s);
    add_tag(out, &column, SLICE("d"), s->domain);
    add_tag(out, &column, SLICE("s"), s->selector);
    add_number_tag(out, &column, SLICE("t"), s->signed_s);
    if (s->valid_s) {
        add_number_tag(out, &column, SLICE("x"), s->signed_s + s->valid_s);
    }
    add_names(out, &column, s->names);
    out->overflow = out->overflow || hash.overflow;
    add_tag(out, &column, SLICE("bh"), buf_slice(&hash));
    buf_deinit(&hash);
    buf_add(out, SLICE(FOLD "b="));
}

void dkim_signature_end(struct buf *out, struct slice signature)
{
    struct buf text;
    must(signature.len > 0 && signature.len <= SIGNATURE_BYTES_MAX);
    buf_init(&text, 2 * BASE64_TEXT_BYTES(SIGNATURE_BYTES_MAX));
    base64_add(&text, signature);
    struct slice rest = buf_slice(&text);
    size_t line = LINE_BYTES - 4; /* " b=" stands before the first piece */
    out->overflow = out->overflow || text.overflow;
    while (rest.len) {
        buf_add(out, slice_first(rest, line));
        rest = slice_skip(rest, line);
        buf_add(out, rest.len ? SLICE(FOLD) : SLICE("\r\n"));
        line = LINE_BYTES - 1;
    }
    buf_deinit(&text);
}
