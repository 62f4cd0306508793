/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/cli_table.h"
#include "core/base/must.h"

#include <check.h>
#include <stdlib.h>

#define NOW UINT64_C(1795260300) /* 2026-11-21T11:25:00Z */

static void expect(struct buf *out, const char *want)
{
    buf_add_byte(out, '\0');
    ck_assert_str_eq(out->ptr, want);
    buf_deinit(out);
}

static const struct {
    const char *json, *ls;
} messages[] = {
    {"{\"id\":\"00000FQ0A3M7Z\",\"from\":\"a@x.test\",\"size\":1536,\"age_seconds\":62,\"recipients\":"
     "[{\"to\":\"b@y.test\",\"state\":\"deferred\",\"attempts\":2,"
     "\"next_attempt\":\"2026-11-21T11:27:05.500000Z\",\"last\":\"451 4.3.0 try again\"},"
     "{\"to\":\"c@y.test\",\"state\":\"ready\",\"attempts\":0,\"next_attempt\":null,\"last\":null}]}",
     "00000FQ0A3M7Z      1m02s    1.5 KiB    <a@x.test>\n"
     "    <b@y.test>  deferred, attempts 2, next in 2m05s\n"
     "        451 4.3.0 try again\n"
     "    <c@y.test>  ready\n"},
    {"{\"id\":\"1\",\"from\":\"\",\"size\":0,\"age_seconds\":0,\"recipient_count\":5,\"recipients\":"
     "[{\"to\":\"b@y.test\",\"state\":\"deferred\",\"attempts\":1,"
     "\"next_attempt\":\"2026-11-21T11:24:00Z\",\"last\":\"\\u001b[2J\\n550\"}]}",
     "1                  0s       0 B        <>\n"
     "    <b@y.test>  deferred, attempts 1, next now\n"
     "        ?[2J?550\n"
     "    and 4 more\n"},
    /* Wrong types and missing fields are shown as nothing, not trusted. */
    {"{\"id\":7,\"from\":null,\"size\":-1,\"age_seconds\":\"x\",\"recipients\":[1,null,{\"to\":[]}]}",
     "                   0s       0 B        <>\n    <>  \n    <>  \n    <>  \n"},
    {"{\"recipients\":{}}", "                   0s       0 B        <>\n"},
    {"{\"id\":\"1\",\"recipients\":[{\"next_attempt\":\"soon\"}]}",
     "1                  0s       0 B        <>\n    <>  \n"},
};

START_TEST(ls)
{
    struct buf out;
    buf_init(&out, 4096);
    ck_assert(cli_table_add_ls(&out, slice_str(messages[_i].json), NOW));
    expect(&out, messages[_i].ls);
}
END_TEST

START_TEST(show)
{
    struct buf out;
    buf_init(&out, 4096);
    ck_assert(cli_table_add_show(
        &out,
        SLICE(
            "{\"id\":\"X\",\"from\":\"a@x.test\",\"size\":10,\"arrived\":\"2026-11-21T11:24:00Z\","
            "\"age_seconds\":60,\"recipients\":[{\"to\":\"b@y.test\",\"state\":\"sending\","
            "\"attempts\":0}]}"),
        NOW));
    expect(&out,
           "id          X\nfrom        <a@x.test>\narrived     2026-11-21T11:24:00Z (1m00s ago)\n"
           "size        10 B\nrecipients\n    <b@y.test>  sending\n");
}
END_TEST

/* Attributes that a message has are lines; what is no text is nothing. */
START_TEST(show_attributes)
{
    struct buf out;
    buf_init(&out, 4096);
    ck_assert(cli_table_add_show(
        &out,
        SLICE("{\"id\":\"X\",\"from\":\"\",\"size\":10,\"arrived\":\"A\",\"age_seconds\":60,"
              "\"priority\":\"bulk\",\"tenant\":\"acme\",\"campaign\":7,\"send_at\":\"S\","
              "\"expires\":\"E\",\"deliver_by\":\"D\",\"recipients\":[]}"),
        NOW));
    ck_assert_ptr_nonnull(memmem(out.ptr, out.len, "\nsize        10 B\npriority    bulk\n", 35));
    ck_assert_ptr_nonnull(memmem(out.ptr, out.len,
                                 "tenant      acme\nsend at     S\nexpires     E\n"
                                 "deliver by  D\nrecipients\n",
                                 70));
    buf_deinit(&out);
}
END_TEST

static const struct {
    const char *json, *text;
} stats[] = {
    {"{\"accepted\":10,\"delivered\":5,\"bounced\":1,\"expired\":0,\"cancelled\":1,\"queued\":3,"
     "\"spool\":{\"state\":\"ready\",\"live_bytes\":2048}}",
     "accepted                10\ndelivered               5\nbounced                 1\n"
     "expired                 0\ncancelled               1\nqueued                  3\n"
     "spool\n  state                 ready\n  live_bytes            2.0 KiB\n"
     "\naccepted = delivered + bounced + expired + cancelled + queued: exact\n"},
    {"{\"accepted\":10,\"delivered\":5,\"bounced\":0,\"expired\":0,\"cancelled\":0,\"queued\":3}",
     "accepted                10\ndelivered               5\nbounced                 0\n"
     "expired                 0\ncancelled               0\nqueued                  3\n"
     "\naccepted = delivered + bounced + expired + cancelled + queued: WRONG BY 2\n"},
    {"{\"new\":[1,2],\"uptime_seconds\":61,\"odd\\u001bkey\":null}",
     "new                     [ 1, 2 ]\nuptime_seconds          1m01s\nodd?key                 \n"},
    {"{}", ""},
};

START_TEST(statistics)
{
    struct buf out;
    buf_init(&out, 4096);
    ck_assert(cli_table_add_stats(&out, slice_str(stats[_i].json)));
    expect(&out, stats[_i].text);
}
END_TEST

static const char *const broken[] = {
    "",
    " ",
    "{",
    "[]",
    "1",
    "null",
    "{\"a\":1}x",
    "{\"a\":1}{}",
    "{\"a\":1,}",
    "\xff",
    "{\"a\":\"\xff\"}",
    "{\"a\":[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}",
};

START_TEST(what_is_not_an_object)
{
    struct buf out;
    struct slice json = slice_str(broken[_i]);
    buf_init(&out, 4096);
    ck_assert(!cli_table_add_ls(&out, json, NOW));
    ck_assert(!cli_table_add_show(&out, json, NOW));
    ck_assert(!cli_table_add_stats(&out, json));
    ck_assert_uint_eq(out.len, 0);
    buf_deinit(&out);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core/app/cli_table");
    TCase *t = tcase_create("table");
    tcase_add_loop_test(t, ls, 0, (int)ARRAY_COUNT(messages));
    tcase_add_test(t, show);
    tcase_add_test(t, show_attributes);
    tcase_add_loop_test(t, statistics, 0, (int)ARRAY_COUNT(stats));
    tcase_add_loop_test(t, what_is_not_an_object, 0, (int)ARRAY_COUNT(broken));
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
