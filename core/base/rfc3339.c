/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/rfc3339.h"

/* Exactly n digits. */
static bool take_digits(struct slice *s, size_t n, uint32_t *out)
{
    uint64_t v;
    if (s->len < n || !slice_to_u64(slice_first(*s, n), &v)) {
        return false;
    }
    *s = slice_skip(*s, n);
    *out = (uint32_t)v;
    return true;
}

static bool take_byte(struct slice *s, char lower)
{
    if (s->len == 0 || ascii_lower(s->ptr[0]) != lower) {
        return false;
    }
    *s = slice_skip(*s, 1);
    return true;
}

static uint32_t days_of(uint32_t year, uint32_t month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap ? 1u : 0u);
}

/* Since 1970-01-01. Years begin in March here, so that the day of February comes last. */
static uint64_t days_since_1970(uint32_t year, uint32_t month, uint32_t day)
{
    uint64_t y = month <= 2 ? year - 1 : year;
    uint64_t of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    return y * 365 + y / 4 - y / 100 + y / 400 + of_year - 719468;
}

static bool take_date(struct slice *s, uint64_t *days)
{
    uint32_t year, month, day;
    bool ok = take_digits(s, 4, &year) && take_byte(s, '-') && take_digits(s, 2, &month) &&
              take_byte(s, '-') && take_digits(s, 2, &day) && year >= 1970 && month >= 1 &&
              month <= 12 && day >= 1 && day <= days_of(year, month);
    if (ok) {
        *days = days_since_1970(year, month, day);
    }
    return ok;
}

static bool take_time(struct slice *s, uint64_t *us)
{
    uint32_t hour, minute, second, digit;
    bool ok = take_digits(s, 2, &hour) && take_byte(s, ':') && take_digits(s, 2, &minute) &&
              take_byte(s, ':') && take_digits(s, 2, &second) && hour <= 23 && minute <= 59 &&
              second <= 60;
    if (!ok) {
        return false;
    }
    uint64_t fraction = 0;
    if (take_byte(s, '.')) {
        if (s->len == 0 || !ascii_is_digit(s->ptr[0])) {
            return false;
        }
        for (uint32_t weight = 100000; take_digits(s, 1, &digit); weight /= 10) {
            fraction += (uint64_t)digit * weight;
        }
    }
    if (second == 60) {
        second = 59;
        fraction = 999999;
    }
    *us = ((uint64_t)hour * 3600 + minute * 60 + second) * 1000000 + fraction;
    return true;
}

/* Minutes east of Greenwich. */
static bool take_offset(struct slice *s, int32_t *minutes)
{
    uint32_t hour, minute;
    if (take_byte(s, 'z')) {
        *minutes = 0;
        return true;
    }
    bool east = take_byte(s, '+');
    if ((!east && !take_byte(s, '-')) || !take_digits(s, 2, &hour) || !take_byte(s, ':') ||
        !take_digits(s, 2, &minute) || hour > 23 || minute > 59) {
        return false;
    }
    int32_t all = (int32_t)(hour * 60 + minute);
    *minutes = east ? all : -all;
    return true;
}

bool rfc3339_parse(struct slice text, uint64_t *out_us)
{
    uint64_t days, us;
    int32_t offset;
    struct slice s = text;
    if (!take_date(&s, &days) || (!take_byte(&s, 't') && !take_byte(&s, ' ')) ||
        !take_time(&s, &us) || !take_offset(&s, &offset) || s.len) {
        return false;
    }
    int64_t all = (int64_t)(days * 86400 * 1000000 + us) - (int64_t)offset * 60 * 1000000;
    if (all < 0) {
        return false;
    }
    *out_us = (uint64_t)all;
    return true;
}
