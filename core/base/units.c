/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/units.h"
#include "core/base/must.h"

struct unit {
    struct slice name;
    uint64_t factor;
};

/* Largest first: printing takes them in this order, reading demands it. */
static const struct unit duration_units[] = {
    {SLICE_INIT("d"), 86400000}, {SLICE_INIT("h"), 3600000}, {SLICE_INIT("m"), 60000},
    {SLICE_INIT("s"), 1000},     {SLICE_INIT("ms"), 1},
};

static const struct unit size_units[] = {
    {SLICE_INIT("TiB"), 1ull << 40},
    {SLICE_INIT("TB"), 1000000000000ull},
    {SLICE_INIT("GiB"), 1ull << 30},
    {SLICE_INIT("GB"), 1000000000},
    {SLICE_INIT("MiB"), 1ull << 20},
    {SLICE_INIT("MB"), 1000000},
    {SLICE_INIT("KiB"), 1ull << 10},
    {SLICE_INIT("KB"), 1000},
    {SLICE_INIT("B"), 1},
};

/* Cuts the leading digits off *text. */
static bool number_cut(struct slice *text, uint64_t *out)
{
    size_t n = 0;
    while (n < text->len && ascii_is_digit(text->ptr[n])) {
        n++;
    }
    if (!slice_to_u64(slice_first(*text, n), out)) {
        return false;
    }
    *text = slice_skip(*text, n);
    return true;
}

static struct slice letters_cut(struct slice *text)
{
    size_t n = 0;
    while (n < text->len && ascii_is_alpha(text->ptr[n])) {
        n++;
    }
    struct slice letters = slice_first(*text, n);
    *text = slice_skip(*text, n);
    return letters;
}

bool units_parse_duration(struct slice text, uint64_t *out_ms)
{
    uint64_t total = 0;
    size_t next_unit = 0;
    if (slice_eq(text, SLICE("0"))) {
        *out_ms = 0;
        return true;
    }
    do {
        uint64_t n, part;
        if (!number_cut(&text, &n)) {
            return false;
        }
        struct slice name = letters_cut(&text);
        size_t i = next_unit;
        while (i < ARRAY_COUNT(duration_units) && !slice_eq(duration_units[i].name, name)) {
            i++;
        }
        if (i == ARRAY_COUNT(duration_units) ||
            __builtin_mul_overflow(n, duration_units[i].factor, &part) ||
            __builtin_add_overflow(total, part, &total)) {
            return false;
        }
        next_unit = i + 1;
    } while (text.len);
    *out_ms = total;
    return true;
}

bool units_parse_size(struct slice text, uint64_t *out_bytes)
{
    uint64_t n, bytes;
    if (!number_cut(&text, &n)) {
        return false;
    }
    if (text.len == 0) {
        *out_bytes = n;
        return true;
    }
    if (text.ptr[0] == ' ') {
        text = slice_skip(text, 1);
    }
    for (size_t i = 0; i < ARRAY_COUNT(size_units); i++) {
        if (slice_eq_nocase(text, size_units[i].name)) {
            if (__builtin_mul_overflow(n, size_units[i].factor, &bytes)) {
                return false;
            }
            *out_bytes = bytes;
            return true;
        }
    }
    return false;
}

void units_add_duration(struct buf *out, uint64_t ms)
{
    if (ms == 0) {
        buf_add(out, SLICE("0"));
    }
    for (size_t i = 0; i < ARRAY_COUNT(duration_units) && ms; i++) {
        uint64_t n = ms / duration_units[i].factor;
        if (n) {
            buf_add_u64(out, n);
            buf_add(out, duration_units[i].name);
            ms %= duration_units[i].factor;
        }
    }
}

void units_add_size(struct buf *out, uint64_t bytes)
{
    /* The unit that leaves the smallest whole number. Bytes stand without one. */
    const struct unit *best = &size_units[ARRAY_COUNT(size_units) - 1];
    for (size_t i = 0; i < ARRAY_COUNT(size_units); i++) {
        const struct unit *u = &size_units[i];
        if (bytes && bytes % u->factor == 0 && u->factor > best->factor) {
            best = u;
        }
    }
    buf_add_u64(out, bytes / best->factor);
    if (best->factor > 1) {
        buf_add(out, best->name);
    }
}
