/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/cli_top_table.h"
#include "core/base/must.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static char *text_of(struct buf *b)
{
    buf_add_byte(b, '\0');
    ck_assert(!b->overflow);
    return b->ptr;
}

static const char first[] =
    "{\"totals\":{\"at_ms\":1000,\"accepted\":10,\"delivered\":5,\"deferrals\":0,"
    "\"queued\":5,\"inflight\":1,\"sites\":2,\"sessions\":3,\"connections\":4,"
    "\"memory_bytes\":1048576}}";
static const char second[] =
    "{\"totals\":{\"at_ms\":3000,\"accepted\":30,\"delivered\":6,\"deferrals\":1,"
    "\"queued\":24,\"inflight\":1,\"sites\":2,\"sessions\":3,\"connections\":4,"
    "\"memory_bytes\":1048576}}";

START_TEST(rates_are_between_two_answers)
{
    struct cli_top_totals none = {0}, a, b;
    struct buf out;
    buf_init(&out, 4096);
    ck_assert(cli_top_read_totals(slice_str(first), &a) && a.known);
    ck_assert(cli_top_read_totals(slice_str(second), &b));
    cli_top_add_head(&out, &a, &none);
    ck_assert_ptr_nonnull(strstr(text_of(&out), "accepted -  delivered -  deferred -  queue 5"));
    buf_clear(&out);
    cli_top_add_head(&out, &b, &a);
    ck_assert_ptr_nonnull(
        strstr(text_of(&out),
               "accepted 10.0/s  delivered 0.5/s  deferred 0.5/s  queue 24  in flight 1"));
    ck_assert_ptr_nonnull(strstr(out.ptr, "sites 2  connections 4  sessions 3  memory 1.0 MiB"));
    buf_clear(&out);
    cli_top_add_head(&out, &a, &b); /* the engine was restarted: no rate, no nonsense */
    ck_assert_ptr_nonnull(strstr(text_of(&out), "accepted -"));
    buf_deinit(&out);
}
END_TEST

static const char *const bad[] = {"", "x", "[]", "{\"totals\":1}", "{}", "null", "{\"totals\":"};

START_TEST(what_is_no_answer)
{
    struct cli_top_totals t = {.accepted = 7};
    struct buf out;
    buf_init(&out, 4096);
    ck_assert(!cli_top_read_totals(slice_str(bad[_i]), &t));
    ck_assert_uint_eq(t.accepted, 7);
    ck_assert(!cli_top_add_site(&out, slice_str(bad[_i])));
    ck_assert_uint_eq(out.len, 0);
    buf_deinit(&out);
}
END_TEST

START_TEST(a_site)
{
    struct buf out;
    buf_init(&out, 4096);
    ck_assert(cli_top_add_site(
        &out,
        SLICE("{\"waiting\":12,\"site\":\"10:mx.example.org:25\",\"in_flight\":3,\"connections\":2,"
              "\"in_per_s\":1.500,\"delivered_per_s\":20.000,\"deferred_per_s\":0.250,"
              "\"binding\":\"round trip\",\"last\":{\"ago_s\":1,\"code\":451,"
              "\"text\":\"4.7.1 \\u001b[2Jlater\\u0007\"},\"new\":true}")));
    char *text = text_of(&out);
    ck_assert_ptr_nonnull(
        strstr(text, "       12      3     2      1.5     20.0      0.2  round trip"));
    ck_assert_ptr_nonnull(strstr(text, "10:mx.example.org:25"));
    ck_assert_ptr_nonnull(strstr(text, "451 4.7.1 ?[2Jlater?\n"));
    buf_clear(&out);
    ck_assert(cli_top_add_site(&out, SLICE("{\"waiting\":0}"))); /* an engine that says less */
    ck_assert_int_eq(text_of(&out)[out.len - 2], '\n');
    buf_deinit(&out);
}
END_TEST

static const struct {
    const char *text;
    size_t width;
    const char *want;
} cuts[] = {
    {"abcdef\nab\n", 3, "abc\nab\n"},
    {"abcdef\n", 0, "abcdef\n"},
    {"\xc3\xa4\xc3\xb6\xc3\xbc\n", 2, "\xc3\xa4\xc3\xb6\n"}, /* characters, not bytes */
    {"", 5, ""},
};

START_TEST(lines_are_cut)
{
    struct buf out;
    buf_init(&out, 4096);
    cli_top_add_cut(&out, slice_str(cuts[_i].text), cuts[_i].width);
    ck_assert_str_eq(text_of(&out), cuts[_i].want);
    buf_deinit(&out);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cli_top_table");
    TCase *t = tcase_create("cli_top_table");
    tcase_add_test(t, rates_are_between_two_answers);
    tcase_add_loop_test(t, what_is_no_answer, 0, (int)ARRAY_COUNT(bad));
    tcase_add_test(t, a_site);
    tcase_add_loop_test(t, lines_are_cut, 0, (int)ARRAY_COUNT(cuts));
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
