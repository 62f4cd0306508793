/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/cli_text.h"
#include "core/base/must.h"
#include "core/base/utf8.h"

static uint32_t text_code_point(struct slice sequence)
{
    static const unsigned char first_mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    must(sequence.len >= 1 && sequence.len <= 4);
    uint32_t value = (unsigned char)sequence.ptr[0] & first_mask[sequence.len];
    for (size_t i = 1; i < sequence.len; i++) {
        value = value << 6 | ((unsigned char)sequence.ptr[i] & 0x3f);
    }
    return value;
}

static bool text_is_harmful(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200e && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

void cli_text_add(struct buf *out, struct slice text)
{
    while (text.len) {
        size_t n = utf8_sequence(text);
        if (n == 0 || text_is_harmful(text_code_point(slice_first(text, n)))) {
            buf_add_byte(out, '?');
        } else {
            buf_add(out, slice_first(text, n));
        }
        text = slice_skip(text, n ? n : 1);
    }
}

void cli_text_add_size(struct buf *out, uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
    if (bytes < 1024) {
        buf_addf(out, "%u B", (unsigned)bytes);
        return;
    }
    double value = (double)bytes / 1024;
    size_t unit = 0;
    while (value >= 1023.95 && unit + 1 < ARRAY_COUNT(units)) {
        value /= 1024;
        unit++;
    }
    buf_addf(out, "%.1f %s", value, units[unit]);
}

void cli_text_add_age(struct buf *out, uint64_t seconds)
{
    uint64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;
    if (minutes == 0) {
        buf_addf(out, "%us", (unsigned)seconds);
    } else if (hours == 0) {
        buf_addf(out, "%um%02us", (unsigned)minutes, (unsigned)(seconds % 60));
    } else if (days == 0) {
        buf_addf(out, "%uh%02um", (unsigned)hours, (unsigned)(minutes % 60));
    } else {
        buf_add_u64(out, days);
        buf_addf(out, "d%02uh", (unsigned)(hours % 24));
    }
}
