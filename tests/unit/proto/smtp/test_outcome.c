/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/smtp/outcome.h"

#include <check.h>
#include <stdlib.h>

START_TEST(names)
{
    ck_assert(slice_eq(outcome_kind_name(OUTCOME_TEMPORARY), SLICE("temporary")));
    ck_assert(slice_eq(outcome_scope_name(OUTCOME_SITE), SLICE("site")));
    ck_assert(slice_eq(outcome_stage_name(OUTCOME_STAGE_FINAL_DOT), SLICE("final-dot")));
    for (int i = 0; i <= OUTCOME_STAGE_MAILBOX; i++) {
        ck_assert_uint_gt(outcome_stage_name((enum outcome_stage)i).len, 0);
    }
}
END_TEST

START_TEST(kinds)
{
    static const struct {
        uint16_t code;
        enum outcome_kind kind;
    } rows[] = {{250, OUTCOME_DELIVERED}, {299, OUTCOME_DELIVERED}, {354, OUTCOME_NONE},
                {400, OUTCOME_TEMPORARY}, {599, OUTCOME_PERMANENT}, {0, OUTCOME_NONE},
                {600, OUTCOME_NONE}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        ck_assert_int_eq(outcome_kind_of_code(rows[i].code), rows[i].kind);
    }
}
END_TEST

START_TEST(enhanced_codes)
{
    static const struct {
        const char *text;
        size_t taken;
        struct enhanced e;
    } rows[] = {
        {"5.1.1 no", 6, {5, 1, 1}},
        {"2.0.0", 5, {2, 0, 0}},
        {"4.999.999\tx", 10, {4, 999, 999}},
        {"3.1.1 x", 0, {0, 0, 0}},
        {"5.1 x", 0, {0, 0, 0}},
        {"5.1.1.1 x", 0, {0, 0, 0}},
        {"5.1.1x", 0, {0, 0, 0}},
        {"5.1234.1 x", 0, {0, 0, 0}},
        {"5..1 x", 0, {0, 0, 0}},
        {"5.1.1234", 0, {0, 0, 0}},
        {"", 0, {0, 0, 0}},
        {"5.1.", 0, {0, 0, 0}},
        {"55.1.1", 0, {0, 0, 0}},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct enhanced e = {0, 0, 0};
        size_t taken = enhanced_parse(slice_str(rows[i].text), &e);
        ck_assert_msg(taken == rows[i].taken, "%s: %zu", rows[i].text, taken);
        ck_assert_msg(e.cls == rows[i].e.cls && e.subject == rows[i].e.subject &&
                          e.detail == rows[i].e.detail,
                      "%s", rows[i].text);
    }
}
END_TEST

#define TEN "0123456789"
#define FORTY TEN TEN TEN TEN

START_TEST(clean_texts)
{
    static const struct {
        struct slice raw;
        const char *clean;
    } rows[] = {
        {SLICE_INIT("plain text"), "plain text"},
        {SLICE_INIT(""), ""},
        {SLICE_INIT(" \r\n\t "), ""},
        {SLICE_INIT("  a \r\n b\tc  "), "a b c"},
        {SLICE_INIT("a\0b"), "a\\x00b"},
        {SLICE_INIT("\x1b[2J"), "\\x1B[2J"},
        {SLICE_INIT("\xc3\xa9\x7f"), "\\xC3\\xA9\\x7F"},
        {SLICE_INIT("back\\slash"), "back\\slash"},
        {SLICE_INIT(FORTY), FORTY},
        {SLICE_INIT(FORTY "!"), "0123456789012345678901234567890123456..."},
        {SLICE_INIT("0123456789012345678901234567890123456\xff"),
         "0123456789012345678901234567890123456..."},
        {SLICE_INIT("012345678901234567890123456789012345\xff"),
         "012345678901234567890123456789012345\\xFF"},
        {SLICE_INIT("012345678901234567890123456789012\xff\xff\xff"),
         "012345678901234567890123456789012\\xFF..."},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char dst[40], again[40];
        size_t n = outcome_text_clean(dst, sizeof(dst), rows[i].raw);
        ck_assert_msg(slice_eq(slice_of(dst, n), slice_str(rows[i].clean)), "%zu: %.*s", i, (int)n,
                      dst);
        size_t m = outcome_text_clean(again, sizeof(again), slice_of(dst, n));
        ck_assert(slice_eq(slice_of(again, m), slice_of(dst, n)));
    }
}
END_TEST

START_TEST(lines)
{
    struct buf b;
    char kept[LIMIT_OUTCOME_TEXT_BYTES];
    buf_init(&b, 4096);
    struct outcome o = outcome_local(OUTCOME_PERMANENT, OUTCOME_SITE, OUTCOME_STAGE_ROUTE,
                                     (struct enhanced){5, 1, 2}, SLICE("no such\r\ndomain"));
    outcome_add_line(&b, &o);
    ck_assert(slice_eq(buf_slice(&b), SLICE("554 5.1.2 no such domain")));
    outcome_copy_text(&o, kept, sizeof(kept));
    ck_assert_ptr_eq(o.text.ptr, kept);
    ck_assert(slice_eq(o.text, SLICE("no such domain")));
    ck_assert(!o.remote);
    buf_clear(&b);
    o = (struct outcome){.text = SLICE("only text")};
    outcome_add_line(&b, &o);
    ck_assert(slice_eq(buf_slice(&b), SLICE("only text")));
    buf_clear(&b);
    o = outcome_local(OUTCOME_TEMPORARY, OUTCOME_RECIPIENT, OUTCOME_STAGE_RCPT,
                      (struct enhanced){4, 5, 3}, SLICE(""));
    outcome_add_line(&b, &o);
    ck_assert(slice_eq(buf_slice(&b), SLICE("452 4.5.3")));
    buf_deinit(&b);
    buf_init(&b, 100); /* too small for a text: nothing is added, overflow says so */
    outcome_text_add(&b, SLICE("x"));
    ck_assert(b.overflow && b.len == 0);
    buf_deinit(&b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto/smtp/outcome");
    TCase *tc = tcase_create("outcome");
    tcase_add_test(tc, names);
    tcase_add_test(tc, kinds);
    tcase_add_test(tc, enhanced_codes);
    tcase_add_test(tc, clean_texts);
    tcase_add_test(tc, lines);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
