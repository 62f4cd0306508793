/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/capture.h"
#include "bench/message.h"

#include "core/base/must.h"

#include <check.h>
#include <stdlib.h>

/* Only CRLF line ends, one at the end, no line with a leading dot, lines of at most 998 bytes. */
static bool message_is_clean(struct slice text)
{
    size_t line = 0;
    bool clean = true;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        clean = clean && (c != '\r' || (i + 1 < text.len && text.ptr[i + 1] == '\n'));
        clean = clean && (c != '\n' || (i > 0 && text.ptr[i - 1] == '\r'));
        clean = clean && (c != '.' || line > 0) && line < 1000;
        line = c == '\n' ? 0 : line + 1;
    }
    return clean && line == 0;
}

START_TEST(the_check_itself_sees_dirt)
{
    static const struct slice dirty[] = {SLICE_INIT("a\r\n.b\r\n"), SLICE_INIT("a\rb\r\n"),
                                         SLICE_INIT("a\nb\r\n"), SLICE_INIT("a\r\nb"),
                                         SLICE_INIT("a\r\n\r")};
    for (size_t i = 0; i < ARRAY_COUNT(dirty); i++) {
        ck_assert(!message_is_clean(dirty[i]));
    }
    ck_assert(message_is_clean(SLICE("a.\r\n\r\n")));
}
END_TEST

/* Every size gives exactly that size and a stamp that reads back. */
START_TEST(every_size_is_exact_and_clean)
{
    struct bench_template t;
    struct buf out;
    buf_init(&out, 1 << 20);
    ck_assert(bench_template_init(&t, 42, 4096));
    for (size_t size = BENCH_MESSAGE_MIN; size <= 2000; size++) {
        struct bench_stamp in = {.run = 0xfeedULL << 40,
                                 .number = size,
                                 .recipients = 3,
                                 .sent_us = size * 7};
        struct bench_stamp back;
        buf_clear(&out);
        struct slice fields = size % 2 ? SLICE("X-More: 1\r\nX-And: 2\r\n") : SLICE("");
        bench_template_add(&t, &out, &in, fields, size + fields.len);
        ck_assert_uint_eq(out.len, size + fields.len);
        bool has = memmem(out.ptr, out.len, "\r\nX-And: 2\r\n\r\n", 14) != NULL;
        ck_assert(has == (size % 2 == 1));
        ck_assert(message_is_clean(buf_slice(&out)));
        ck_assert(bench_stamp_find(buf_slice(&out), &back));
        ck_assert_uint_eq(back.run, in.run);
        ck_assert_uint_eq(back.number, in.number);
        ck_assert_uint_eq(back.recipients, 3);
        ck_assert_uint_eq(back.sent_us, in.sent_us);
    }
    bench_template_deinit(&t);
    buf_deinit(&out);
}
END_TEST

#define ID "X-Bench-Id: 00000000000000ff-12\r\n"
#define REST "X-Bench-R: 1\r\nX-Bench-T: 9\r\n"

START_TEST(stamp_vectors)
{
    static const struct {
        struct slice text;
        bool found;
    } rows[] = {
        {SLICE_INIT(ID REST "\r\n"), true},
        {SLICE_INIT("Received: from x\r\n\tby y\r\nx-bench-id: 00000000000000FF-12\r\n" REST),
         true},
        {SLICE_INIT("X-Bench-Id: 00000000000000ff-12\nX-Bench-R: 1\nX-Bench-T: 9\n"), true},
        {SLICE_INIT(""), false},
        {SLICE_INIT(ID "\r\n" REST), false}, /* the body does not count */
        {SLICE_INIT(ID "X-Bench-T: 9\r\n\r\n"), false},
        {SLICE_INIT("X-Bench-Id: 00000000000000f-12\r\n" REST), false},
        {SLICE_INIT("X-Bench-Id: 00000000000000ff+12\r\n" REST), false},
        {SLICE_INIT("X-Bench-Id: 0000000000000zff-12\r\n" REST), false},
        {SLICE_INIT("X-Bench-Id: 00000000000000ff-\r\n" REST), false},
        {SLICE_INIT(ID "X-Bench-R: -1\r\nX-Bench-T: 9\r\n"), false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct bench_stamp s = {.run = 0};
        ck_assert_msg(bench_stamp_find(rows[i].text, &s) == rows[i].found, "row %zu", i);
        ck_assert(!rows[i].found || (s.run == 255 && s.number == 12 && s.sent_us == 9));
    }
}
END_TEST

START_TEST(signature_vectors)
{
    static const struct {
        struct slice text;
        bool is_signed;
    } rows[] = {
        {SLICE_INIT("DKIM-Signature: v=1\r\n" ID "\r\n"), true},
        {SLICE_INIT(ID "dkim-signature:v=1\r\n\r\n"), true},
        {SLICE_INIT(ID "\r\nDKIM-Signature: v=1\r\n"), false}, /* the body does not count */
        {SLICE_INIT("X-DKIM-Signature: v=1\r\n\r\n"), false},
        {SLICE_INIT("DKIM-Signatures: v=1\r\n\r\n"), false},
        {SLICE_INIT(""), false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        ck_assert_msg(bench_message_is_signed(rows[i].text) == rows[i].is_signed, "row %zu", i);
    }
}
END_TEST

START_TEST(recipient_vectors)
{
    static const struct {
        struct slice text;
        bool ours;
        uint64_t k;
    } rows[] = {
        {SLICE_INIT("r0@example0.test"), true, 0},  {SLICE_INIT("r17@example3.test"), true, 17},
        {SLICE_INIT("r@example0.test"), false, 0},  {SLICE_INIT("root@example0.test"), false, 0},
        {SLICE_INIT("17@example0.test"), false, 0}, {SLICE_INIT(""), false, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        uint64_t k = 99;
        ck_assert(bench_recipient_index(rows[i].text, &k) == rows[i].ours);
        ck_assert_uint_eq(k, rows[i].ours ? rows[i].k : 99);
    }
}
END_TEST

START_TEST(unstuff_vectors)
{
    static const struct {
        struct slice in;
        struct slice out;
    } rows[] = {
        {SLICE_INIT(""), SLICE_INIT("")},
        {SLICE_INIT("a\r\n"), SLICE_INIT("a\r\n")},
        {SLICE_INIT("..\r\n"), SLICE_INIT(".\r\n")},
        {SLICE_INIT("a\r\n..b\r\n...c\r\n"), SLICE_INIT("a\r\n.b\r\n..c\r\n")},
        {SLICE_INIT("a.\r\n b..c\r\n"), SLICE_INIT("a.\r\n b..c\r\n")},
        {SLICE_INIT("..\r\n..\r\n"), SLICE_INIT(".\r\n.\r\n")},
        {SLICE_INIT(".."), SLICE_INIT(".")},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct buf out;
        buf_init(&out, 1024);
        bench_capture_unstuff(rows[i].in, &out);
        ck_assert_msg(slice_eq(buf_slice(&out), rows[i].out), "row %zu: %.*s", i,
                      SLICE_ARG(buf_slice(&out)));
        buf_deinit(&out);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bench/message");
    TCase *tc = tcase_create("message");
    tcase_add_test(tc, the_check_itself_sees_dirt);
    tcase_add_test(tc, every_size_is_exact_and_clean);
    tcase_add_test(tc, stamp_vectors);
    tcase_add_test(tc, signature_vectors);
    tcase_add_test(tc, recipient_vectors);
    tcase_add_test(tc, unstuff_vectors);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
