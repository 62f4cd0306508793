/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/clock.h"
#include "core/base/must.h"
#include "core/base/rfc3339.h"

#include <check.h>
#include <stdlib.h>

#define REFUSED UINT64_MAX

static const struct {
    const char *text;
    uint64_t us;
} rows[] = {
    {"1970-01-01T00:00:00Z", 0},
    {"1970-01-01t00:00:01z", 1000000},
    {"2026-11-21 19:00:00Z", 1795287600000000},
    {"2026-11-21T20:00:00+01:00", 1795287600000000},
    {"2026-11-21T13:30:00-05:30", 1795287600000000},
    {"2026-11-21T19:00:00.5Z", 1795287600500000},
    {"2026-11-21T19:00:00.1234567890Z", 1795287600123456},
    {"2024-02-29T00:00:00Z", 1709164800000000},
    {"2000-02-29T23:59:59Z", 951868799000000},
    {"2016-12-31T23:59:60Z", 1483228799999999},
    {"9999-12-31T23:59:59Z", 253402300799000000},
    {"1970-01-01T00:00:00-00:01", 60000000},
    {"", REFUSED},
    {"2026", REFUSED},
    {"2026-11-21", REFUSED},
    {"2026-11-21T19:00:00", REFUSED},
    {"2026-11-21T19:00Z", REFUSED},
    {"2026-11-21T19:00:00.Z", REFUSED},
    {"2026-11-21T19:00:00+0100", REFUSED},
    {"2026-11-21T19:00:00+01", REFUSED},
    {"2026-11-21T19:00:00+24:00", REFUSED},
    {"2026-11-21T19:00:00+01:60", REFUSED},
    {"2026-11-21T19:00:00Z ", REFUSED},
    {" 2026-11-21T19:00:00Z", REFUSED},
    {"2026-11-21T24:00:00Z", REFUSED},
    {"2026-11-21T19:60:00Z", REFUSED},
    {"2026-11-21T19:00:61Z", REFUSED},
    {"2026-13-01T00:00:00Z", REFUSED},
    {"2026-00-01T00:00:00Z", REFUSED},
    {"2026-02-29T00:00:00Z", REFUSED},
    {"2100-02-29T00:00:00Z", REFUSED},
    {"2026-04-31T00:00:00Z", REFUSED},
    {"2026-11-00T00:00:00Z", REFUSED},
    {"1969-12-31T23:59:59Z", REFUSED},
    {"1970-01-01T00:00:00+00:01", REFUSED},
    {"02026-11-21T19:00:00Z", REFUSED},
    {"2026-1-021T19:00:00Z", REFUSED},
    {"2026-11-21T+9:00:00Z", REFUSED},
    {"2026-11-21X19:00:00Z", REFUSED},
};

START_TEST(table)
{
    uint64_t us = 77;
    bool ok = rfc3339_parse(slice_str(rows[_i].text), &us);
    ck_assert_msg(ok == (rows[_i].us != REFUSED), "\"%s\"", rows[_i].text);
    ck_assert_msg(us == (ok ? rows[_i].us : 77), "\"%s\": %llu", rows[_i].text,
                  (unsigned long long)us);
}
END_TEST

/* What the clock writes is read back, over leap years and the turns of centuries. */
START_TEST(reads_what_the_clock_writes)
{
    for (uint64_t us = 0; us < 253402300800000000; us += 40000000000000 + 86399999999) {
        uint64_t back = 0;
        struct buf b;
        buf_init(&b, 64);
        clock_add_rfc3339(&b, us);
        ck_assert(rfc3339_parse(buf_slice(&b), &back));
        ck_assert_uint_eq(back, us);
        buf_deinit(&b);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core/base/rfc3339");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, table, 0, (int)ARRAY_COUNT(rows));
    tcase_add_test(t, reads_what_the_clock_writes);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
