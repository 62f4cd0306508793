/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/clock.h"
#include "core/base/rng.h"
#include "tests/unit/core/base/testing.h"

#include <stdio.h>
#include <time.h>

static void expect_text(const struct buf *b, const char *want)
{
    if (!slice_eq(buf_slice(b), slice_str(want))) {
        ck_abort_msg("%.*s is not %s", SLICE_ARG(buf_slice(b)), want);
    }
}

static void expect_as_gmtime(uint64_t secs, uint32_t micros)
{
    struct tm tm;
    time_t t = (time_t)secs;
    char date[64], want[96];
    struct buf b;
    testing_that(gmtime_r(&t, &tm) != NULL);
    buf_init(&b, 128);
    clock_add_rfc5322(&b, secs * 1000000 + micros);
    strftime(date, sizeof(date), "%b %Y %H:%M:%S +0000", &tm);
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    snprintf(want, sizeof(want), "%s, %d %s", days[tm.tm_wday], tm.tm_mday, date);
    expect_text(&b, want);
    buf_clear(&b);
    clock_add_rfc3339(&b, secs * 1000000 + micros);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(want, sizeof(want), "%s.%06uZ", date, micros);
    expect_text(&b, want);
    buf_deinit(&b);
}

START_TEST(fixed_texts)
{
    static const struct {
        uint64_t us;
        const char *rfc5322, *rfc3339;
    } rows[] = {
        {0, "Thu, 1 Jan 1970 00:00:00 +0000", "1970-01-01T00:00:00.000000Z"},
        {1795260300123456, "Sat, 21 Nov 2026 11:25:00 +0000", "2026-11-21T11:25:00.123456Z"},
        {951782399999999, "Mon, 28 Feb 2000 23:59:59 +0000", "2000-02-28T23:59:59.999999Z"},
        {951782400000000, "Tue, 29 Feb 2000 00:00:00 +0000", "2000-02-29T00:00:00.000000Z"},
        {4107542400000001, "Mon, 1 Mar 2100 00:00:00 +0000", "2100-03-01T00:00:00.000001Z"},
        {4294967295000000, "Sun, 7 Feb 2106 06:28:15 +0000", "2106-02-07T06:28:15.000000Z"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct buf b;
        buf_init(&b, 128);
        clock_add_rfc5322(&b, rows[i].us);
        expect_text(&b, rows[i].rfc5322);
        buf_clear(&b);
        clock_add_rfc3339(&b, rows[i].us);
        expect_text(&b, rows[i].rfc3339);
        buf_deinit(&b);
    }
}
END_TEST

/* Every day of 1970 … 2110 at its first and last second: all leap years, 2000 and 2100. */
START_TEST(every_day_as_gmtime)
{
    for (uint64_t day = 0; day < 140 * 366; day++) {
        expect_as_gmtime(day * 86400 + (day % 2 ? 86399 : 0), (uint32_t)(day % 1000000));
    }
}
END_TEST

START_TEST(random_seconds_as_gmtime)
{
    struct rng r;
    rng_init_seed(&r, 1);
    for (int i = 0; i < 20000; i++) {
        expect_as_gmtime(rng_below(&r, 253402300800),
                         (uint32_t)rng_below(&r, 1000000)); /* to 9999 */
    }
}
END_TEST

START_TEST(reading)
{
    struct clock_now a = clock_read();
    uint64_t cpu = clock_thread_cpu_us();
    struct timespec pause = {0, 20 * 1000000};
    nanosleep(&pause, NULL);
    for (volatile unsigned i = 0; i < 3000000; i++) {
    }
    struct clock_now b = clock_read();
    ck_assert_uint_eq(a.mono_ms, a.mono_us / 1000);
    ck_assert_uint_ge(b.mono_us, a.mono_us + 20000);
    ck_assert_uint_gt(b.wall_us, a.wall_us);
    uint64_t used = clock_thread_cpu_us() - cpu;
    ck_assert_uint_gt(used, 0);
    ck_assert_uint_le(used, b.mono_us - a.mono_us + 20000); /* sleeping costs no CPU */
    ck_assert_uint_lt(b.wall_us / 1000000 - (uint64_t)time(NULL) + 2, 4);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {fixed_texts, every_day_as_gmtime, random_seconds_as_gmtime, reading};
    return testing_run("core/base/clock", tests, ARRAY_COUNT(tests));
}
