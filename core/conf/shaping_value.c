/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Rates as people write them. `m` is no unit: it would be read as month here and as minute there.
 */
#include "core/base/must.h"
#include "core/base/units.h"
#include "core/conf/shaping_option.h"
#include "core/conf/value.h"

#define SECOND_US UINT64_C(1000000)

struct period_unit {
    struct slice name;
    uint64_t us;
};

/* Largest first: the one that divides a period is how it is printed. */
static const struct period_unit units[] = {
    {SLICE_INIT("day"), CONF_RATE_PERIOD_US_MAX},
    {SLICE_INIT("h"), 3600 * SECOND_US},
    {SLICE_INIT("min"), 60 * SECOND_US},
    {SLICE_INIT("s"), SECOND_US},
};

/* "s", "30s", "day". */
static bool period_parse(struct slice text, uint64_t *us)
{
    struct slice digits = text;
    uint64_t n = 1;
    while (digits.len && !ascii_is_digit(digits.ptr[digits.len - 1])) {
        digits.len--;
    }
    if (digits.len && (!slice_to_u64(digits, &n) || n == 0)) {
        return false;
    }
    struct slice name = slice_skip(text, digits.len);
    for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
        if (slice_eq(name, units[i].name)) {
            *us = n * units[i].us;
            return n <= CONF_RATE_PERIOD_US_MAX / units[i].us;
        }
    }
    return false;
}

static uint64_t count_max(enum conf_shaping_kind kind, uint64_t period_us)
{
    uint64_t per_s = kind == CONF_SHAPING_RATE ? CONF_RATE_PER_S_MAX : CONF_RATE_BYTES_PER_S_MAX;
    return period_us / SECOND_US * per_s;
}

static void rate_range_add(struct buf *out, enum conf_shaping_kind kind)
{
    buf_addf(out, kind == CONF_SHAPING_RATE ? "1/day–%d/s" : "1KB/day–%dMB/s",
             kind == CONF_SHAPING_RATE ? CONF_RATE_PER_S_MAX : CONF_RATE_BYTES_PER_S_MAX / 1000000);
}

static bool rate_refuse(enum conf_shaping_kind kind, struct slice text, const char *what,
                        struct buf *why)
{
    conf_value_show(why, text);
    buf_addf(why, " %s, write for example %s (", what,
             kind == CONF_SHAPING_RATE ? "100/s, 30/min, 5/30s, 200/h, 1000/day"
                                       : "1MB/s, 64KiB/min, 10GB/day");
    rate_range_add(why, kind);
    buf_add_byte(why, ')');
    return false;
}

static bool rate_parse(enum conf_shaping_kind kind, struct slice text, struct conf_rate *out,
                       struct buf *why)
{
    struct slice rest = text;
    struct slice count = slice_cut(&rest, '/');
    struct conf_rate r;
    bool ok = kind == CONF_SHAPING_RATE ? slice_to_u64(count, &r.count)
                                        : units_parse_size(count, &r.count);
    if (!ok || !period_parse(rest, &r.period_us)) {
        return rate_refuse(kind, text, "is not a rate", why);
    }
    uint64_t min = kind == CONF_SHAPING_RATE ? 1 : CONF_RATE_BYTES_MIN;
    if (r.count < min || r.count > count_max(kind, r.period_us)) {
        return rate_refuse(kind, text, "is out of range", why);
    }
    r.burst = conf_rate_burst(r.count, r.period_us);
    *out = r;
    return true;
}

uint64_t conf_rate_burst(uint64_t count, uint64_t period_us)
{
    must(count > 0 && period_us >= SECOND_US);
    uint64_t burst = count / (period_us / (SECOND_US / 10));
    return burst ? burst : 1;
}

bool conf_shaping_parse(enum conf_shaping_option o, struct slice text,
                        struct conf_shaping_value *out, struct buf *why)
{
    struct conf_shaping_value v = {.state = CONF_SHAPING_SET};
    if (conf_shaping_is_rate(o)) {
        if (!rate_parse(conf_shaping_rows[o].kind, text, &v.rate, why)) {
            return false;
        }
    } else {
        struct conf_key key = conf_shaping_key(o);
        union conf_value parsed;
        if (!conf_value_parse(&key, text, &parsed, why)) {
            return false;
        }
        v.number = parsed.number;
    }
    *out = v;
    return true;
}

bool conf_shaping_parse_burst(enum conf_shaping_option o, struct slice text,
                              struct conf_shaping_value *v, struct buf *why)
{
    must(conf_shaping_is_rate(o) && v->rate.count > 0);
    uint64_t max = v->rate.count < CONF_RATE_BURST_MAX ? v->rate.count : CONF_RATE_BURST_MAX;
    bool bytes = conf_shaping_rows[o].kind == CONF_SHAPING_BYTES_RATE;
    struct conf_key key = {.type = bytes ? CONF_SIZE : CONF_COUNT, .min = 1, .max = max};
    union conf_value parsed;
    if (!conf_value_parse(&key, text, &parsed, why)) {
        return false;
    }
    v->rate.burst = parsed.number;
    return true;
}

/* ---- printing ------------------------------------------------------------------------------ */

void conf_rate_add(struct buf *out, enum conf_shaping_option o, const struct conf_rate *r)
{
    must(r->count > 0);
    if (conf_shaping_rows[o].kind == CONF_SHAPING_BYTES_RATE) {
        units_add_size(out, r->count);
    } else {
        buf_add_u64(out, r->count);
    }
    buf_add_byte(out, '/');
    size_t unit = 0;
    while (r->period_us % units[unit].us != 0) {
        unit++;
        must(unit < ARRAY_COUNT(units));
    }
    if (r->period_us != units[unit].us) {
        buf_add_u64(out, r->period_us / units[unit].us);
    }
    buf_add(out, units[unit].name);
}

void conf_rate_burst_add(struct buf *out, enum conf_shaping_option o, const struct conf_rate *r)
{
    if (conf_shaping_rows[o].kind == CONF_SHAPING_BYTES_RATE) {
        units_add_size(out, r->burst);
    } else {
        buf_add_u64(out, r->burst);
    }
}

static void number_add(struct buf *out, enum conf_shaping_option o, uint64_t number)
{
    struct conf_key key = conf_shaping_key(o);
    union conf_value v = {.number = number};
    conf_value_print(&key, &v, out);
}

void conf_shaping_value_add(struct buf *out, enum conf_shaping_option o,
                            const struct conf_shaping_value *v)
{
    if (v->state == CONF_SHAPING_UNSET) {
        buf_add(out, SLICE("unset"));
        return;
    }
    bool rate = conf_shaping_is_rate(o);
    bool burst = rate && v->rate.burst != conf_rate_burst(v->rate.count, v->rate.period_us);
    buf_add(out, burst || v->shared ? SLICE("{limit: ") : SLICE(""));
    if (rate) {
        conf_rate_add(out, o, &v->rate);
    } else {
        number_add(out, o, v->number);
    }
    if (burst) {
        buf_add(out, SLICE(", burst: "));
        conf_rate_burst_add(out, o, &v->rate);
    }
    buf_add(out, v->shared ? SLICE(", shared: true") : SLICE(""));
    buf_add(out, burst || v->shared ? SLICE("}") : SLICE(""));
}

void conf_shaping_range_add(struct buf *out, enum conf_shaping_option o)
{
    if (conf_shaping_is_rate(o)) {
        rate_range_add(out, conf_shaping_rows[o].kind);
        return;
    }
    struct conf_key key = conf_shaping_key(o);
    if (key.type == CONF_ENUM) {
        conf_choices_add(out, key.choices);
    } else {
        conf_range_add(out, &key);
    }
}
