/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/smtp/xtext.h"

#include "core/base/utf8.h"

/* xchar of RFC 3461 4: what stands for itself. */
static bool is_xchar(char c)
{
    return c >= 0x21 && c <= 0x7E && c != '+' && c != '=';
}

/* hexchar is defined with capital letters only; small ones are read too, as others write them. */
static int hex_value(char c)
{
    if (ascii_is_digit(c)) {
        return c - '0';
    }
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Takes back what a failed decoder appended. */
static bool fail(struct buf *out, size_t mark)
{
    out->len = mark;
    return false;
}

bool smtp_xtext_decode(struct slice raw, struct buf *out)
{
    size_t mark = out->len;
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.ptr[i];
        if (c == '+') {
            int high = raw.len - i > 2 ? hex_value(raw.ptr[i + 1]) : -1;
            int low = raw.len - i > 2 ? hex_value(raw.ptr[i + 2]) : -1;
            int value = high < 0 || low < 0 ? -1 : high * 16 + low;
            if (value < 0x20 || value > 0x7E) {
                return fail(out, mark);
            }
            c = (char)value;
            i += 2;
        } else if (!is_xchar(c)) {
            return fail(out, mark);
        }
        buf_add_byte(out, c);
    }
    return raw.len > 0 && !out->overflow ? true : fail(out, mark);
}

void smtp_xtext_encode(struct slice text, struct buf *out)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (is_xchar(text.ptr[i])) {
            buf_add_byte(out, text.ptr[i]);
        } else {
            char code[3] = {'+', hex[c >> 4], hex[c & 15]};
            buf_add(out, slice_of(code, sizeof(code)));
        }
    }
}

/* "\x{HEX}" at the front of s: its length, 0 when it is none. RFC 6533 3 allows code points that
 * could stand literally only for the characters that may not (and never controls). */
static size_t embedded_char(struct slice s, uint32_t *code_point)
{
    enum { HEX_DIGITS_MAX = 6 };
    size_t at = 3;
    uint32_t value = 0;
    if (!slice_starts_nocase(s, SLICE("\\x{"))) {
        return 0;
    }
    for (; at < s.len && s.ptr[at] != '}'; at++) {
        int digit = hex_value(s.ptr[at]);
        if (digit < 0 || at - 3 == HEX_DIGITS_MAX) {
            return 0;
        }
        value = value * 16 + (uint32_t)digit;
    }
    if (at == s.len || at == 3 || value < 0x20 || (value >= 0x7F && value < 0xA0)) {
        return 0;
    }
    *code_point = value;
    return at + 1;
}

bool smtp_utf8_xtext_decode(struct slice raw, bool raw_utf8_ok, struct buf *out)
{
    size_t mark = out->len;
    bool any = raw.len > 0;
    while (raw.len) {
        char utf8[4];
        uint32_t code_point = 0;
        size_t used = 1;
        struct slice piece = slice_first(raw, 1);
        if ((unsigned char)raw.ptr[0] >= 0x80) {
            used = raw_utf8_ok ? utf8_sequence(raw) : 0;
            piece = slice_first(raw, used);
        } else if (raw.ptr[0] == '\\') {
            used = embedded_char(raw, &code_point);
            piece = slice_of(utf8, used ? utf8_encode(code_point, utf8) : 0);
        } else if (!is_xchar(raw.ptr[0])) {
            used = 0;
        }
        if (used == 0 || piece.len == 0) {
            return fail(out, mark);
        }
        buf_add(out, piece);
        raw = slice_skip(raw, used);
    }
    return any && !out->overflow ? true : fail(out, mark);
}
