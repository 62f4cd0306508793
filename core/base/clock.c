/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/clock.h"
#include "core/base/must.h"

#include <time.h>

static uint64_t clock_get_us(clockid_t id)
{
    struct timespec ts;
    int rc = clock_gettime(id, &ts);
    must(rc == 0);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

struct clock_now clock_read(void)
{
    uint64_t mono_us = clock_get_us(CLOCK_MONOTONIC);
    return (struct clock_now){mono_us / 1000u, mono_us, clock_get_us(CLOCK_REALTIME)};
}

uint64_t clock_thread_cpu_us(void)
{
    return clock_get_us(CLOCK_THREAD_CPUTIME_ID);
}

struct clock_civil {
    unsigned year, month, day, hour, minute, second, weekday, micros;
};

/* Days-to-civil by the 400-year cycle of the Gregorian calendar; no locale, no TZ lookup. */
static struct clock_civil clock_civil_of(uint64_t wall_us)
{
    uint64_t secs = wall_us / 1000000u;
    uint64_t days = secs / 86400u;
    uint64_t rest = secs % 86400u;
    uint64_t z = days + 719468u;
    uint64_t era = z / 146097u;
    uint64_t doe = z % 146097u;
    uint64_t yoe = (doe - doe / 1460u + doe / 36524u - doe / 146096u) / 365u;
    uint64_t doy = doe - (365u * yoe + yoe / 4u - yoe / 100u);
    uint64_t mp = (5u * doy + 2u) / 153u;
    uint64_t month = mp < 10u ? mp + 3u : mp - 9u;
    return (struct clock_civil){
        .year = (unsigned)(yoe + era * 400u + (month <= 2u ? 1u : 0u)),
        .month = (unsigned)month,
        .day = (unsigned)(doy - (153u * mp + 2u) / 5u + 1u),
        .hour = (unsigned)(rest / 3600u),
        .minute = (unsigned)(rest / 60u % 60u),
        .second = (unsigned)(rest % 60u),
        .weekday = (unsigned)((days + 4u) % 7u),
        .micros = (unsigned)(wall_us % 1000000u),
    };
}

/* printf would cost more than the rest of a log line. */
static void clock_digits(char *at, unsigned value, unsigned digits)
{
    while (digits--) {
        at[digits] = (char)('0' + value % 10);
        value /= 10;
    }
}

static void clock_time_of_day(char *at, const struct clock_civil *c)
{
    clock_digits(at, c->hour, 2);
    clock_digits(at + 3, c->minute, 2);
    clock_digits(at + 6, c->second, 2);
}

void clock_add_rfc5322(struct buf *out, uint64_t wall_us)
{
    static const char day_names[] = "SunMonTueWedThuFriSat";
    static const char month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct clock_civil c = clock_civil_of(wall_us);
    char time[] = "00:00:00 +0000";
    buf_add(out, slice_of(day_names + (size_t)3 * c.weekday, 3));
    buf_add(out, SLICE(", "));
    buf_add_u64(out, c.day);
    buf_add_byte(out, ' ');
    buf_add(out, slice_of(month_names + (size_t)3 * (c.month - 1), 3));
    buf_add_byte(out, ' ');
    buf_add_u64(out, c.year);
    buf_add_byte(out, ' ');
    clock_time_of_day(time, &c);
    buf_add(out, slice_of(time, sizeof(time) - 1));
}

void clock_add_rfc3339(struct buf *out, uint64_t wall_us)
{
    struct clock_civil c = clock_civil_of(wall_us);
    char text[] = "0000-00-00T00:00:00.000000Z";
    clock_digits(text, c.year, 4);
    clock_digits(text + 5, c.month, 2);
    clock_digits(text + 8, c.day, 2);
    clock_time_of_day(text + 11, &c);
    clock_digits(text + 20, c.micros, 6);
    buf_add(out, slice_of(text, sizeof(text) - 1));
}
