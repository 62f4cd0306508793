/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/obs/log.h"

#include "core/base/must.h"
#include "core/base/utf8.h"

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

/* A character that is no text, as JSON writes it: the value is the same, and no terminal obeys it. */
static void obs_json_escape_point(struct buf *out, uint32_t c)
{
    static const char hex[] = "0123456789abcdef";
    must(c >= 0x80 && c <= 0xffff && utf8_commands(c));
    char esc[6] = {'\\', 'u', hex[c >> 12], hex[c >> 8 & 15], hex[c >> 4 & 15], hex[c & 15]};
    buf_add(out, slice_of(esc, 6));
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
        size_t n = c >= 0x80 ? utf8_sequence(slice_skip(value, plain)) : 0;
        uint32_t point = n ? utf8_code_point(slice_of(value.ptr + plain, n)) : 0;
        if (n && !utf8_commands(point)) {
            plain += n;
            continue;
        }
        buf_add(out, slice_first(value, plain));
        if (n) {
            obs_json_escape_point(out, point);
        } else {
            obs_json_escape(out, c);
        }
        value = slice_skip(value, plain + (n ? n : 1));
        plain = 0;
    }
    buf_add(out, value);
    buf_add_byte(out, '"');
}
