/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/must.h"
#include "core/base/units.h"

#include <check.h>
#include <stdlib.h>

#define REFUSED UINT64_MAX

struct unit_case {
    const char *text;
    uint64_t value;
    const char *printed; /* NULL: as written */
};

static const struct unit_case duration_cases[] = {
    {"0", 0, NULL},
    {"250ms", 250, NULL},
    {"1s", 1000, NULL},
    {"90s", 90000, "1m30s"},
    {"1m30s", 90000, NULL},
    {"4h", 14400000, NULL},
    {"5d", 432000000, NULL},
    {"1d2h3m4s5ms", 93784005, NULL},
    {"24h", 86400000, "1d"},
    {"0s", 0, "0"},
    {"1m500ms", 60500, NULL},
    {"", REFUSED, NULL},
    {"5", REFUSED, NULL},
    {"00", REFUSED, NULL},
    {"s", REFUSED, NULL},
    {"5x", REFUSED, NULL},
    {"5M", REFUSED, NULL},
    {"1s1m", REFUSED, NULL},
    {"1s1s", REFUSED, NULL},
    {"1m30", REFUSED, NULL},
    {"1.5h", REFUSED, NULL},
    {"-1s", REFUSED, NULL},
    {"1 s", REFUSED, NULL},
    {" 1s", REFUSED, NULL},
    {"1s ", REFUSED, NULL},
    {"213503982335d", REFUSED, NULL}, /* over 2^64 ms */
    {"18446744073709551615ms1", REFUSED, NULL},
    {"213503982334d18446744073709551615ms", REFUSED, NULL},
    {"99999999999999999999s", REFUSED, NULL},
};

static const struct unit_case size_cases[] = {
    {"0", 0, NULL},
    {"1", 1, NULL},
    {"1023", 1023, NULL},
    {"1024", 1024, "1KiB"},
    {"1024B", 1024, "1KiB"},
    {"1KiB", 1024, NULL},
    {"25MB", 25000000, NULL},
    {"25MiB", 26214400, NULL},
    {"25 MiB", 26214400, "25MiB"},
    {"25mib", 26214400, "25MiB"},
    {"64MiB", 67108864, NULL},
    {"2GB", 2000000000, NULL},
    {"1GiB", 1073741824, NULL},
    {"3TB", 3000000000000, NULL},
    {"4TiB", 4398046511104, NULL},
    {"1000KiB", 1024000, "1000KiB"},
    {"", REFUSED, NULL},
    {"M", REFUSED, NULL},
    {"25M", REFUSED, NULL},
    {"25K", REFUSED, NULL},
    {"25PB", REFUSED, NULL},
    {"1.5GiB", REFUSED, NULL},
    {"-1", REFUSED, NULL},
    {"+1", REFUSED, NULL},
    {"1  KiB", REFUSED, NULL},
    {"1 ", REFUSED, NULL},
    {"1KiBs", REFUSED, NULL},
    {"16777216TiB", REFUSED, NULL}, /* 2^64 */
    {"18446744073709551616", REFUSED, NULL},
};

typedef bool parse_fn(struct slice text, uint64_t *out);
typedef void add_fn(struct buf *out, uint64_t v);

static void unit_check(const struct unit_case *c, parse_fn *parse, add_fn *add)
{
    uint64_t v = 77, again = 78;
    struct buf b;
    bool ok = parse(slice_str(c->text), &v);
    if (c->value == REFUSED) {
        ck_assert_msg(!ok, "\"%s\" was taken", c->text);
        ck_assert_uint_eq(v, 77);
        return;
    }
    ck_assert_msg(ok, "\"%s\" was refused", c->text);
    ck_assert_uint_eq(v, c->value);
    buf_init(&b, 128);
    add(&b, v);
    const char *want = c->printed ? c->printed : c->text;
    ck_assert_msg(slice_eq(buf_slice(&b), slice_str(want)), "%.*s", SLICE_ARG(buf_slice(&b)));
    ck_assert(parse(buf_slice(&b), &again));
    ck_assert_uint_eq(again, v);
    buf_deinit(&b);
}

START_TEST(durations)
{
    unit_check(&duration_cases[_i], units_parse_duration, units_add_duration);
}
END_TEST

START_TEST(sizes)
{
    unit_check(&size_cases[_i], units_parse_size, units_add_size);
}
END_TEST

START_TEST(what_is_printed_reads_back)
{
    uint64_t v = 1;
    for (int i = 0; i < 2000; i++) {
        uint64_t back;
        struct buf b;
        buf_init(&b, 128);
        units_add_duration(&b, v);
        ck_assert(units_parse_duration(buf_slice(&b), &back) && back == v);
        buf_clear(&b);
        units_add_size(&b, v);
        ck_assert(units_parse_size(buf_slice(&b), &back) && back == v);
        buf_deinit(&b);
        v = v * 6364136223846793005u + (uint64_t)i;
        v >>= i % 40;
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core/base/units");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, durations, 0, (int)ARRAY_COUNT(duration_cases));
    tcase_add_loop_test(t, sizes, 0, (int)ARRAY_COUNT(size_cases));
    tcase_add_test(t, what_is_printed_reads_back);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
