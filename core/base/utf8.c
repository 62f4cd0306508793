/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/utf8.h"

#include "core/base/must.h"

static bool tail(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

size_t utf8_sequence(struct slice s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    if (s.len == 0) {
        return 0;
    }
    if (p[0] < 0x80) {
        return 1;
    }
    if (p[0] >= 0xC2 && p[0] <= 0xDF) {
        return s.len >= 2 && tail(p[1]) ? 2 : 0;
    }
    if (p[0] >= 0xE0 && p[0] <= 0xEF) {
        unsigned char low = p[0] == 0xE0 ? 0xA0 : 0x80;  /* no overlong form */
        unsigned char high = p[0] == 0xED ? 0x9F : 0xBF; /* no surrogate */
        return s.len >= 3 && p[1] >= low && p[1] <= high && tail(p[2]) ? 3 : 0;
    }
    if (p[0] >= 0xF0 && p[0] <= 0xF4) {
        unsigned char low = p[0] == 0xF0 ? 0x90 : 0x80;
        unsigned char high = p[0] == 0xF4 ? 0x8F : 0xBF; /* no value above U+10FFFF */
        return s.len >= 4 && p[1] >= low && p[1] <= high && tail(p[2]) && tail(p[3]) ? 4 : 0;
    }
    return 0;
}

bool utf8_valid(struct slice s)
{
    while (s.len) {
        size_t n = utf8_sequence(s);
        if (n == 0) {
            return false;
        }
        s = slice_skip(s, n);
    }
    return true;
}

bool utf8_has_8bit(struct slice s)
{
    unsigned char all = 0;
    for (size_t i = 0; i < s.len; i++) {
        all |= (unsigned char)s.ptr[i];
    }
    return all >= 0x80;
}

uint32_t utf8_code_point(struct slice sequence)
{
    static const unsigned char first_mask[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    must(sequence.len >= 1 && sequence.len <= 4);
    uint32_t value = (unsigned char)sequence.ptr[0] & first_mask[sequence.len];
    for (size_t i = 1; i < sequence.len; i++) {
        value = value << 6 | ((unsigned char)sequence.ptr[i] & 0x3F);
    }
    return value;
}

bool utf8_commands(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x200E && c <= 0x200F) ||
           (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

size_t utf8_encode(uint32_t code_point, char out[4])
{
    uint32_t c = code_point;
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) {
        return 0;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}
