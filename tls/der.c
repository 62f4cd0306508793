/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tls/der.h"

#include "core/base/must.h"

#include <stdio.h>
#include <time.h>

enum { LONG_FORM = 0x80, LENGTH_MAX = 0xFFFF, MULTI_BYTE_TAG = 0x1F };

bool der_next(struct slice *in, uint8_t *tag, struct slice *value)
{
    const uint8_t *p = (const uint8_t *)in->ptr;
    size_t header = 2, len;
    if (in->len < header || (p[0] & MULTI_BYTE_TAG) == MULTI_BYTE_TAG) {
        return false;
    }
    len = p[1];
    if (len >= LONG_FORM) {
        size_t bytes = len - LONG_FORM;
        if (bytes < 1 || bytes > 2 || in->len < header + bytes) {
            return false;
        }
        len = bytes == 1 ? p[2] : (size_t)p[2] << 8 | p[3];
        if (len < (bytes == 1 ? (size_t)LONG_FORM : 0x100)) {
            return false;
        }
        header += bytes;
    }
    if (in->len - header < len) {
        return false;
    }
    *tag = p[0];
    *value = slice_of(in->ptr + header, len);
    *in = slice_skip(*in, header + len);
    return true;
}

bool der_take(struct slice *in, uint8_t tag, struct slice *value)
{
    struct slice rest = *in, got;
    uint8_t found;
    if (!der_next(&rest, &found, &got) || found != tag) {
        return false;
    }
    *in = rest;
    *value = got;
    return true;
}

static bool two_digits(struct slice s, size_t at, int *out)
{
    if (!ascii_is_digit(s.ptr[at]) || !ascii_is_digit(s.ptr[at + 1])) {
        return false;
    }
    *out = (s.ptr[at] - '0') * 10 + (s.ptr[at + 1] - '0');
    return true;
}

/* Days since 1970-01-01 of a date in the proleptic Gregorian calendar. */
static int64_t days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

bool der_time(uint8_t tag, struct slice value, int64_t *seconds)
{
    int year, century, f[5]; /* month, day, hour, minute, second */
    size_t at = tag == DER_GENERALIZED_TIME ? 4 : 2;
    if ((tag != DER_UTC_TIME && tag != DER_GENERALIZED_TIME) || value.len != at + 11 ||
        value.ptr[at + 10] != 'Z' || !two_digits(value, at - 2, &year)) {
        return false;
    }
    if (tag == DER_UTC_TIME) {
        century = year >= 50 ? 19 : 20;
    } else if (!two_digits(value, 0, &century)) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_COUNT(f); i++) {
        if (!two_digits(value, at + 2 * i, &f[i])) {
            return false;
        }
    }
    if (f[0] < 1 || f[0] > 12 || f[1] < 1 || f[1] > 31 || f[2] > 23 || f[3] > 59 || f[4] > 59) {
        return false;
    }
    *seconds = days_of(century * 100 + year, f[0], f[1]) * 86400 + f[2] * 3600 + f[3] * 60 + f[4];
    return true;
}

static size_t header_of(uint8_t tag, size_t len, char header[4])
{
    must(len <= LENGTH_MAX);
    header[0] = (char)tag;
    if (len < LONG_FORM) {
        header[1] = (char)len;
        return 2;
    }
    if (len <= 0xFF) {
        header[1] = (char)(LONG_FORM + 1);
        header[2] = (char)len;
        return 3;
    }
    header[1] = (char)(LONG_FORM + 2);
    header[2] = (char)(len >> 8);
    header[3] = (char)len;
    return 4;
}

void der_add(struct buf *out, uint8_t tag, struct slice value)
{
    char header[4];
    buf_add(out, slice_of(header, header_of(tag, value.len, header)));
    buf_add(out, value);
}

void der_wrap(struct buf *out, size_t from, uint8_t tag)
{
    char header[4];
    if (out->overflow) {
        return;
    }
    must(from <= out->len);
    size_t len = out->len - from;
    size_t n = header_of(tag, len, header);
    if (buf_reserve(out, n)) {
        memmove(out->ptr + from + n, out->ptr + from, len);
        memcpy(out->ptr + from, header, n);
        out->len += n;
    }
}

void der_add_time(struct buf *out, int64_t seconds)
{
    char text[32];
    struct tm tm;
    time_t t = (time_t)seconds;
    must(gmtime_r(&t, &tm) != NULL);
    /* RFC 5280 4.1.2.5: UTCTime through 2049. */
    bool utc = tm.tm_year >= 50 && tm.tm_year < 150;
    size_t n = strftime(text, sizeof(text), "%Y%m%d%H%M%SZ", &tm);
    must(n > 2);
    der_add(out, utc ? DER_UTC_TIME : DER_GENERALIZED_TIME,
            slice_skip(slice_of(text, n), utc ? 2 : 0));
}
