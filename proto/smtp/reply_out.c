/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/smtp/reply_out.h"

#include "core/base/must.h"

enum {
    REPLY_LINE_BYTES = 512, /* RFC 5321 4.5.3.1.5, with CRLF */
    REPLY_ENHANCED_BYTES = 11,
    REPLY_TEXT_BYTES = REPLY_LINE_BYTES - 4 - REPLY_ENHANCED_BYTES - 1 - 2,
};

void smtp_escape_add(struct buf *out, struct slice text, size_t max)
{
    static const char hex[] = "0123456789abcdef";
    size_t used = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool plain = c >= 0x20 && c <= 0x7E && c != '\\';
        char code[4] = {'\\', 'x', hex[c >> 4], hex[c & 15]};
        struct slice piece = plain ? slice_of(text.ptr + i, 1) : slice_of(code, sizeof(code));
        if (piece.len > max - used) {
            return;
        }
        buf_add(out, piece);
        used += piece.len;
    }
}

static void add_code(struct buf *out, uint16_t code, char separator)
{
    must(code >= 200 && code <= 599);
    buf_add_u64(out, code);
    buf_add_byte(out, separator);
}

void smtp_reply_add_plain(struct buf *out, uint16_t code, bool last, struct slice text)
{
    add_code(out, code, last ? ' ' : '-');
    smtp_escape_add(out, text, REPLY_TEXT_BYTES);
    buf_add(out, SLICE("\r\n"));
}

void smtp_reply_add(struct buf *out, const struct smtp_verdict *v)
{
    add_code(out, v->code, ' ');
    /* RFC 2034 4: the class must repeat the reply code's first digit. Policy texts come from
     * configuration, so a wrong one is replaced, not asserted. */
    if (v->enhanced.len && v->enhanced.len <= REPLY_ENHANCED_BYTES &&
        v->enhanced.ptr[0] == (char)('0' + v->code / 100)) {
        smtp_escape_add(out, v->enhanced, REPLY_ENHANCED_BYTES);
    } else {
        buf_add_u64(out, v->code / 100);
        buf_add(out, SLICE(".0.0"));
    }
    buf_add_byte(out, ' ');
    smtp_escape_add(out, v->text, REPLY_TEXT_BYTES);
    buf_add(out, SLICE("\r\n"));
}
