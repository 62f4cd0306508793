/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/cli_text.h"
#include "core/base/must.h"
#include "core/base/utf8.h"

void cli_text_add(struct buf *out, struct slice text)
{
    while (text.len) {
        size_t n = utf8_sequence(text);
        if (n == 0 || utf8_commands(utf8_code_point(slice_first(text, n)))) {
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
