/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_add(struct buf *out, struct slice bytes)
{
    if (!buf_reserve(out, BASE64_TEXT_BYTES(bytes.len))) {
        return;
    }
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t a = (unsigned char)bytes.ptr[i];
        uint32_t b = left > 1 ? (unsigned char)bytes.ptr[i + 1] : 0;
        uint32_t c = left > 2 ? (unsigned char)bytes.ptr[i + 2] : 0;
        uint32_t v = a << 16 | b << 8 | c;
        char four[4] = {
            alphabet[v >> 18],
            alphabet[v >> 12 & 63],
            left > 1 ? alphabet[v >> 6 & 63] : '=',
            left > 2 ? alphabet[v & 63] : '=',
        };
        buf_add(out, slice_of(four, sizeof(four)));
    }
}

static int digit(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (ascii_is_digit(c)) {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_decode(struct slice text, void *out, size_t out_size, size_t *out_len)
{
    unsigned char *to = out;
    size_t pad = 0;
    uint32_t v = 0;
    while (pad < 2 && pad < text.len && text.ptr[text.len - 1 - pad] == '=') {
        pad++;
    }
    size_t len = text.len / 4 * 3 - pad;
    if (text.len % 4 != 0 || (text.len == 0 && pad) || len > out_size) {
        return false;
    }
    for (size_t i = 0; i < text.len - pad; i++) {
        int d = digit(text.ptr[i]);
        if (d < 0) {
            return false;
        }
        v = v << 6 | (uint32_t)d;
        size_t group = i / 4 * 3;
        switch (i % 4) {
        case 1:
            to[group] = (unsigned char)(v >> 4);
            break;
        case 2:
            to[group + 1] = (unsigned char)(v >> 2);
            break;
        case 3:
            to[group + 2] = (unsigned char)v;
            break;
        }
    }
    /* The bits behind the last byte must be zero. */
    if ((pad == 1 && (v & 3)) || (pad == 2 && (v & 15))) {
        return false;
    }
    *out_len = len;
    return true;
}
