/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/obs/log.h"

/* Bytes of a well-formed UTF-8 sequence at the start of s, 0 when there is none (RFC 3629). */
static size_t obs_utf8_len(struct slice s)
{
    unsigned char c = (unsigned char)s.ptr[0];
    size_t n = c >= 0xc2 && c <= 0xdf   ? 2
               : c >= 0xe0 && c <= 0xef ? 3
               : c >= 0xf0 && c <= 0xf4 ? 4
                                        : 0;
    if (n == 0 || s.len < n) {
        return 0;
    }
    unsigned char second = (unsigned char)s.ptr[1];
    unsigned char low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    unsigned char high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (second < low || second > high) {
        return 0;
    }
    for (size_t i = 2; i < n; i++) {
        if (((unsigned char)s.ptr[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return n;
}

static void obs_json_escape(struct buf *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    if (c == '"' || c == '\\') {
        char pair[2] = {'\\', (char)c};
        buf_add(out, slice_of(pair, 2));
    } else if (c == '\n' || c == '\r' || c == '\t') {
        char pair[2] = {'\\', c == '\n' ? 'n' : c == '\r' ? 'r' : 't'};
        buf_add(out, slice_of(pair, 2));
    } else if (c < 0x20 || c == 0x7f) {
        char esc[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        buf_add(out, slice_of(esc, 6));
    } else {
        char esc[5] = {'\\', '\\', 'x', hex[c >> 4], hex[c & 15]};
        buf_add(out, slice_of(esc, 5));
    }
}

void obs_json_string(struct buf *out, struct slice value)
{
    buf_add_byte(out, '"');
    size_t plain = 0;
    while (plain < value.len) {
        unsigned char c = (unsigned char)value.ptr[plain];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            plain++;
            continue;
        }
        size_t n = c >= 0x80 ? obs_utf8_len(slice_skip(value, plain)) : 0;
        if (n) {
            plain += n;
            continue;
        }
        buf_add(out, slice_first(value, plain));
        obs_json_escape(out, c);
        value = slice_skip(value, plain + 1);
        plain = 0;
    }
    buf_add(out, value);
    buf_add_byte(out, '"');
}
