/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tls/pem.h"

#include "core/base/base64.h"
#include "core/base/must.h"
#include "core/base/secret.h"

enum { LINE_BYTES = 64 };

/* Cuts off everything up to and with the mark; *before is what stood before it. */
static bool cut_at(struct slice *text, struct slice mark, struct slice *before)
{
    const char *at = text->len ? memmem(text->ptr, text->len, mark.ptr, mark.len) : NULL;
    if (!at) {
        return false;
    }
    size_t n = (size_t)(at - text->ptr);
    *before = slice_first(*text, n);
    *text = slice_skip(*text, n + mark.len);
    return true;
}

static bool decode(struct slice body, struct buf *der)
{
    struct buf packed;
    size_t len = 0;
    buf_init(&packed, body.len + 1);
    secret_buf_reserve(&packed, body.len + 1);
    for (size_t i = 0; i < body.len && !packed.overflow; i++) {
        if (!memchr(" \t\r\n", body.ptr[i], 4)) {
            buf_add_byte(&packed, body.ptr[i]);
        }
    }
    size_t most = packed.len / 4 * 3;
    bool ok = !packed.overflow && packed.len > 0 && secret_buf_reserve(der, most) &&
              base64_decode(buf_slice(&packed), der->ptr, der->cap, &len);
    if (ok) {
        der->len = len;
    }
    secret_buf_release(&packed);
    return ok;
}

enum tls_pem tls_pem_next(struct slice *text, struct tls_pem_block *block, struct buf *der)
{
    struct slice junk, label, body, rest, end_label;
    secret_buf_clear(der);
    if (!cut_at(text, SLICE("-----BEGIN "), &junk)) {
        *text = slice_skip(*text, text->len);
        return TLS_PEM_END;
    }
    rest = *text;
    if (!cut_at(&rest, SLICE("-----"), &label) || slice_find_byte(label, '\n') >= 0 ||
        !cut_at(&rest, SLICE("-----END "), &body) || !cut_at(&rest, SLICE("-----"), &end_label) ||
        !slice_eq(label, end_label)) {
        return TLS_PEM_BROKEN;
    }
    /* Another BEGIN in between: this block was cut off. */
    if (memmem(body.ptr, body.len, "-----BEGIN", 10)) {
        return TLS_PEM_BROKEN;
    }
    block->label = label;
    block->encrypted = memmem(body.ptr, body.len, "ENCRYPTED", 9) != NULL;
    if (!block->encrypted && !decode(body, der)) {
        return TLS_PEM_BROKEN;
    }
    *text = rest;
    return TLS_PEM_BLOCK;
}

void tls_pem_add(struct buf *out, struct slice label, struct slice der)
{
    struct buf text;
    must(label.len > 0 && der.len > 0);
    buf_init(&text, BASE64_TEXT_BYTES(der.len) + 1);
    secret_buf_reserve(&text, BASE64_TEXT_BYTES(der.len) + 1);
    base64_add(&text, der);
    /* Room for all of it at once: growing would leave copies of a key behind. */
    bool room = !text.overflow &&
                secret_buf_reserve(out, text.len + text.len / LINE_BYTES + 2 * label.len + 64);
    if (room) {
        buf_addf(out, "-----BEGIN %.*s-----\n", SLICE_ARG(label));
        for (struct slice rest = buf_slice(&text); rest.len; rest = slice_skip(rest, LINE_BYTES)) {
            buf_add(out, slice_first(rest, LINE_BYTES));
            buf_add_byte(out, '\n');
        }
        buf_addf(out, "-----END %.*s-----\n", SLICE_ARG(label));
    }
    out->overflow = out->overflow || !room;
    secret_buf_release(&text);
}
