/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/meta.h"

#include "core/base/must.h"

#include <check.h>
#include <stdlib.h>

#define N64 "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

static const struct attributes known[] = {
    {0},
    {.priority = CONF_PRIORITY_URGENT},
    {.priority = CONF_PRIORITY_BULK, .tenant = SLICE_INIT("t"), .campaign = SLICE_INIT("c")},
    {.tenant = SLICE_INIT("only.a+tenant@example")},
    {.campaign = SLICE_INIT("c")},
    {.source = SLICE_INIT("ip1")},
    {.not_before_s = 1, .expire_s = UINT32_MAX, .notify_s = 1795287600},
    {.by = ATTRIBUTES_BY_NOTIFY | ATTRIBUTES_BY_TRACE, .notify_s = 5},
    {.priority = CONF_PRIORITY_BULK,
     .by = ATTRIBUTES_BY_RETURN,
     .not_before_s = UINT32_MAX,
     .expire_s = UINT32_MAX,
     .notify_s = UINT32_MAX,
     .tenant = SLICE_INIT(N64),
     .campaign = SLICE_INIT(N64),
     .source = SLICE_INIT(N64)},
};

static void assert_same(const struct attributes *a, const struct attributes *b)
{
    ck_assert_int_eq((int)a->priority, (int)b->priority);
    ck_assert_uint_eq(a->by, b->by);
    ck_assert_uint_eq(a->not_before_s, b->not_before_s);
    ck_assert_uint_eq(a->expire_s, b->expire_s);
    ck_assert_uint_eq(a->notify_s, b->notify_s);
    ck_assert(slice_eq(a->tenant, b->tenant) && slice_eq(a->campaign, b->campaign));
    ck_assert(slice_eq(a->source, b->source));
}

START_TEST(comes_back)
{
    char bytes[QUEUE_META_BYTES_MAX];
    struct attributes out;
    struct slice meta = queue_meta_encode(&known[_i], bytes);
    ck_assert_uint_eq(meta.len == 0, _i == 0);
    ck_assert(queue_meta_decode(meta, &out));
    assert_same(&out, &known[_i]);
}
END_TEST

/* Most mail has none, and an ordinary class is none. */
START_TEST(ordinary_mail_has_no_bytes)
{
    char bytes[QUEUE_META_BYTES_MAX];
    struct attributes normal = {.priority = CONF_PRIORITY_NORMAL};
    ck_assert_uint_eq(queue_meta_encode(&normal, bytes).len, 0);
}
END_TEST

static const struct {
    const char *name;
    struct slice meta;
    bool ok;
} rows[] = {
    {"version only", SLICE_INIT("\1"), true},
    {"unknown field", SLICE_INIT("\1\x63\3abc\2\1t"), true},
    {"unknown field twice", SLICE_INIT("\1\x63\0\x63\0\2\1t"), true},
    {"version 0", SLICE_INIT("\0\2\1t"), false},
    {"version 2", SLICE_INIT("\2\2\1t"), false},
    {"half a field", SLICE_INIT("\1\2"), false},
    {"cut value", SLICE_INIT("\1\2\5t"), false},
    {"cut unknown field", SLICE_INIT("\1\x63\5t"), false},
    {"twice", SLICE_INIT("\1\2\1t\2\1u"), false},
    {"empty name", SLICE_INIT("\1\2\0"), false},
    {"not a name", SLICE_INIT("\1\2\3a b"), false},
    {"name with a NUL", SLICE_INIT("\1\3\3a\0b"), false},
    {"name with a line end", SLICE_INIT("\1\3\3a\r\n"), false},
    {"name of 65", SLICE_INIT("\1\2\x41" N64 "x"), false},
    {"class 4", SLICE_INIT("\1\1\1\4"), false},
    {"class of two bytes", SLICE_INIT("\1\1\2\1\0"), false},
    {"time of three bytes", SLICE_INIT("\1\4\3\1\1\1"), false},
    {"time of five bytes", SLICE_INIT("\1\4\5\1\1\1\1\1"), false},
    {"source that is no name", SLICE_INIT("\1\10\3a b"), false},
    {"by both", SLICE_INIT("\1\7\1\3"), false},
    {"by 8", SLICE_INIT("\1\7\1\x8"), false},
};

START_TEST(hostile_bytes)
{
    struct attributes out = {.expire_s = 7}, none = {0};
    ck_assert_msg(queue_meta_decode(rows[_i].meta, &out) == rows[_i].ok, "%s", rows[_i].name);
    if (!rows[_i].ok) {
        assert_same(&out, &none);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core/queue/meta");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, comes_back, 0, (int)ARRAY_COUNT(known));
    tcase_add_test(t, ordinary_mail_has_no_bytes);
    tcase_add_loop_test(t, hostile_bytes, 0, (int)ARRAY_COUNT(rows));
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
