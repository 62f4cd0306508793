/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Replies of good and bad peers, each fed whole, in single bytes and in sevens: the result must not
 * depend on the cut.
 */
#include "proto/smtp/reply.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
    struct slice in;
    enum smtp_reply_fault fault;
    uint16_t code;
    uint16_t lines;
    const char *enhanced;
    const char *text;
} rows[] = {
    {SLICE_INIT("250 ok\r\n"), SMTP_REPLY_OK, 250, 1, "", "ok"},
    {SLICE_INIT("250\r\n"), SMTP_REPLY_OK, 250, 1, "", ""},
    {SLICE_INIT("250 \r\n"), SMTP_REPLY_OK, 250, 1, "", ""},
    {SLICE_INIT("250 bare lf\n"), SMTP_REPLY_OK, 250, 1, "", "bare lf"},
    {SLICE_INIT("250 2.1.5 fine\r\n"), SMTP_REPLY_OK, 250, 1, "2.1.5", "fine"},
    {SLICE_INIT("250 2.1.5\r\n"), SMTP_REPLY_OK, 250, 1, "2.1.5", ""},
    {SLICE_INIT("250 5.1.1 other class\r\n"), SMTP_REPLY_OK, 250, 1, "", "5.1.1 other class"},
    {SLICE_INIT("354 2.0.0 go\r\n"), SMTP_REPLY_OK, 354, 1, "", "2.0.0 go"},
    {SLICE_INIT("250-a\r\n250-b\r\n250 c\r\n"), SMTP_REPLY_OK, 250, 3, "", "a\nb\nc"},
    {SLICE_INIT("250-a\n250-\r\n250\r\n"), SMTP_REPLY_OK, 250, 3, "", "a\n\n"},
    {SLICE_INIT("250-\r\n250 x\r\n"), SMTP_REPLY_OK, 250, 2, "", "\nx"},
    {SLICE_INIT("550-5.7.1 a\r\n550 5.7.1 b\r\n"), SMTP_REPLY_OK, 550, 2, "5.7.1", "a\nb"},
    {SLICE_INIT("550-5.7.1 a\r\n550 5.7.2 b\r\n"), SMTP_REPLY_OK, 550, 2, "5.7.1", "a\n5.7.2 b"},
    {SLICE_INIT("550-a\r\n550 5.7.2 b\r\n"), SMTP_REPLY_OK, 550, 2, "", "a\n5.7.2 b"},
    {SLICE_INIT("250 a\rb\r\n"), SMTP_REPLY_OK, 250, 1, "", "a\rb"},
    {SLICE_INIT("000 x\r\n"), SMTP_REPLY_BAD_CODE, 0, 0, "", ""},
    {SLICE_INIT("199 x\r\n"), SMTP_REPLY_BAD_CODE, 0, 0, "", ""},
    {SLICE_INIT("600 x\r\n"), SMTP_REPLY_BAD_CODE, 0, 0, "", ""},
    {SLICE_INIT("999 x\r\n"), SMTP_REPLY_BAD_CODE, 0, 0, "", ""},
    {SLICE_INIT("25\r\n"), SMTP_REPLY_BAD_CODE, 0, 0, "", ""},
    {SLICE_INIT("2\r\n"), SMTP_REPLY_BAD_CODE, 0, 0, "", ""},
    {SLICE_INIT("\r\n"), SMTP_REPLY_BAD_CODE, 0, 0, "", ""},
    {SLICE_INIT("\n"), SMTP_REPLY_BAD_CODE, 0, 0, "", ""},
    {SLICE_INIT(" 250 x\r\n"), SMTP_REPLY_BAD_CODE, 0, 0, "", ""},
    {SLICE_INIT("2\0"
                "50 x\r\n"),
     SMTP_REPLY_BAD_CODE, 0, 0, "", ""},
    {SLICE_INIT("HTTP/1.1 200 OK\r\n"), SMTP_REPLY_BAD_CODE, 0, 0, "", ""},
    {SLICE_INIT("250ok\r\n"), SMTP_REPLY_BAD_SEPARATOR, 0, 0, "", ""},
    {SLICE_INIT("2500 ok\r\n"), SMTP_REPLY_BAD_SEPARATOR, 0, 0, "", ""},
    {SLICE_INIT("250\0ok\r\n"), SMTP_REPLY_BAD_SEPARATOR, 0, 0, "", ""},
    {SLICE_INIT("250\tok\r\n"), SMTP_REPLY_BAD_SEPARATOR, 0, 0, "", ""},
    {SLICE_INIT("250-a\r\n251 b\r\n"), SMTP_REPLY_MIXED_CODES, 0, 0, "", ""},
    {SLICE_INIT("250-a\r\n550-b\r\n250 c\r\n"), SMTP_REPLY_MIXED_CODES, 0, 0, "", ""},
    {SLICE_INIT("250-a\r\nhello\r\n"), SMTP_REPLY_BAD_CODE, 0, 0, "", ""},
};

static enum smtp_reply_result feed_cut(struct smtp_reply_parser *p, struct slice all, size_t cut,
                                       struct smtp_reply *out)
{
    enum smtp_reply_result result = SMTP_REPLY_MORE;
    while (all.len > 0 && result == SMTP_REPLY_MORE) {
        struct slice in = slice_first(all, cut ? cut : all.len);
        all = slice_skip(all, in.len);
        result = smtp_reply_feed(p, &in, out);
        ck_assert(result == SMTP_REPLY_BROKEN || in.len == 0);
    }
    return result;
}

START_TEST(replies)
{
    static const size_t cuts[] = {0, 1, 7};
    for (size_t i = 0; i < ARRAY_COUNT(rows) * ARRAY_COUNT(cuts); i++) {
        size_t r = i / ARRAY_COUNT(cuts);
        struct smtp_reply_parser p;
        struct smtp_reply reply = {.code = 1};
        smtp_reply_init(&p);
        enum smtp_reply_result result = feed_cut(&p, rows[r].in, cuts[i % ARRAY_COUNT(cuts)],
                                                 &reply);
        ck_assert_msg(p.fault == rows[r].fault, "row %zu: fault %d", r, p.fault);
        ck_assert_uint_gt(smtp_reply_fault_text(p.fault).len, 0);
        if (rows[r].fault != SMTP_REPLY_OK) {
            ck_assert_int_eq(result, SMTP_REPLY_BROKEN);
            ck_assert_uint_eq(reply.code, 1);
            struct slice more = SLICE("250 ok\r\n"); /* it stays broken */
            ck_assert_int_eq(smtp_reply_feed(&p, &more, &reply), SMTP_REPLY_BROKEN);
        } else {
            char e[32] = "";
            ck_assert_int_eq(result, SMTP_REPLY_DONE);
            ck_assert_uint_eq(reply.code, rows[r].code);
            ck_assert_uint_eq(reply.lines, rows[r].lines);
            ck_assert_msg(slice_eq(reply.text, slice_str(rows[r].text)), "row %zu: %.*s", r,
                          SLICE_ARG(reply.text));
            if (reply.enhanced.cls) {
                snprintf(e, sizeof(e), "%u.%u.%u", reply.enhanced.cls, reply.enhanced.subject,
                         reply.enhanced.detail);
            }
            ck_assert_str_eq(e, rows[r].enhanced);
            ck_assert(!smtp_reply_partial(&p));
        }
        smtp_reply_deinit(&p);
    }
}
END_TEST

START_TEST(nul_in_text_is_text)
{
    struct smtp_reply_parser p;
    struct smtp_reply reply;
    struct slice in = SLICE("250 a\0b\r\n");
    smtp_reply_init(&p);
    ck_assert_int_eq(smtp_reply_feed(&p, &in, &reply), SMTP_REPLY_DONE);
    ck_assert(slice_eq(reply.text, SLICE("a\0b")));
    ck_assert_uint_eq(p.acc.cap, 0); /* parsed in place, nothing allocated */
    smtp_reply_deinit(&p);
}
END_TEST

START_TEST(several_in_one_slice)
{
    struct smtp_reply_parser p;
    struct smtp_reply reply;
    struct slice in = SLICE("250 a\r\n550-b\r\n550 c\r\n354 d\r\n25");
    static const uint16_t codes[] = {250, 550, 354};
    smtp_reply_init(&p);
    for (size_t i = 0; i < ARRAY_COUNT(codes); i++) {
        ck_assert_int_eq(smtp_reply_feed(&p, &in, &reply), SMTP_REPLY_DONE);
        ck_assert_uint_eq(reply.code, codes[i]);
        ck_assert(!smtp_reply_partial(&p));
    }
    ck_assert_int_eq(smtp_reply_feed(&p, &in, &reply), SMTP_REPLY_MORE);
    ck_assert(smtp_reply_partial(&p));
    smtp_reply_deinit(&p);
}
END_TEST

/* Line of n bytes with its line end: "250 xxx\r\n". */
static void add_line(struct buf *b, char sep, size_t n)
{
    buf_addf(b, "250%c", sep);
    for (size_t i = 6; i < n; i++) {
        buf_add_byte(b, 'x');
    }
    buf_add(b, SLICE("\r\n"));
}

START_TEST(limits)
{
    static const struct {
        size_t line_bytes;
        unsigned lines;
        enum smtp_reply_fault fault;
    } cases[] = {
        {LIMIT_REPLY_LINE_BYTES, 1, SMTP_REPLY_OK},
        {LIMIT_REPLY_LINE_BYTES + 1, 1, SMTP_REPLY_LINE_TOO_LONG},
        {10, LIMIT_REPLY_LINES, SMTP_REPLY_OK},
        {10, LIMIT_REPLY_LINES + 1, SMTP_REPLY_TOO_MANY_LINES},
        {LIMIT_REPLY_LINE_BYTES, 8, SMTP_REPLY_OK},
        {LIMIT_REPLY_LINE_BYTES, 9, SMTP_REPLY_TOO_LONG},
    };
    must_static(LIMIT_REPLY_BYTES == 8 * LIMIT_REPLY_LINE_BYTES, "the rows above assume it");
    static const size_t cuts[] = {0, 1, 1000};
    for (size_t i = 0; i < ARRAY_COUNT(cases) * ARRAY_COUNT(cuts); i++) {
        size_t c = i / ARRAY_COUNT(cuts);
        struct buf b;
        struct smtp_reply_parser p;
        struct smtp_reply reply;
        buf_init(&b, 1 << 20);
        smtp_reply_init(&p);
        for (unsigned n = 1; n <= cases[c].lines; n++) {
            add_line(&b, n < cases[c].lines ? '-' : ' ', cases[c].line_bytes);
        }
        enum smtp_reply_result result = feed_cut(&p, buf_slice(&b), cuts[i % ARRAY_COUNT(cuts)],
                                                 &reply);
        ck_assert_msg(p.fault == cases[c].fault, "case %zu: fault %d", c, p.fault);
        ck_assert_int_eq(result, p.fault ? SMTP_REPLY_BROKEN : SMTP_REPLY_DONE);
        smtp_reply_deinit(&p);
        buf_deinit(&b);
    }
}
END_TEST

/* A line without end must not be gathered beyond the limit. */
START_TEST(endless_line)
{
    struct smtp_reply_parser p;
    struct smtp_reply reply;
    char block[1000];
    memset(block, '2', sizeof(block));
    smtp_reply_init(&p);
    enum smtp_reply_result result = SMTP_REPLY_MORE;
    for (int i = 0; i < 5 && result == SMTP_REPLY_MORE; i++) {
        struct slice in = slice_of(block, sizeof(block));
        result = smtp_reply_feed(&p, &in, &reply);
    }
    ck_assert_int_eq(result, SMTP_REPLY_BROKEN);
    ck_assert_uint_le(p.acc.len, LIMIT_REPLY_LINE_BYTES);
    smtp_reply_deinit(&p);
}
END_TEST

START_TEST(big_reply_gives_memory_back)
{
    struct smtp_reply_parser p;
    struct smtp_reply reply;
    struct buf b;
    buf_init(&b, 1 << 20);
    add_line(&b, '-', 4000);
    add_line(&b, ' ', 4000);
    smtp_reply_init(&p);
    struct slice in = buf_slice(&b);
    ck_assert_int_eq(smtp_reply_feed(&p, &in, &reply), SMTP_REPLY_DONE);
    ck_assert_uint_gt(p.acc.cap, 4000);
    in = SLICE("250 ok\r\n");
    ck_assert_int_eq(smtp_reply_feed(&p, &in, &reply), SMTP_REPLY_DONE);
    ck_assert_uint_eq(p.acc.cap, 0);
    smtp_reply_deinit(&p);
    buf_deinit(&b);
}
END_TEST

START_TEST(outcomes)
{
    char text[LIMIT_OUTCOME_TEXT_BYTES];
    struct smtp_reply reply = {.code = 550, .lines = 2, .text = SLICE("a\n\x1b")};
    struct outcome o = smtp_reply_outcome(&reply, OUTCOME_MESSAGE, OUTCOME_STAGE_DATA, text,
                                          sizeof(text));
    ck_assert_int_eq(o.kind, OUTCOME_PERMANENT);
    ck_assert_int_eq(o.scope, OUTCOME_MESSAGE);
    ck_assert_int_eq(o.stage, OUTCOME_STAGE_DATA);
    ck_assert_uint_eq(o.enhanced.cls, 5);
    ck_assert(o.remote && !o.unknown && slice_eq(o.text, SLICE("a \\x1B")));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto/smtp/reply");
    TCase *tc = tcase_create("reply");
    tcase_add_test(tc, replies);
    tcase_add_test(tc, nul_in_text_is_text);
    tcase_add_test(tc, several_in_one_slice);
    tcase_add_test(tc, limits);
    tcase_add_test(tc, endless_line);
    tcase_add_test(tc, big_reply_gives_memory_back);
    tcase_add_test(tc, outcomes);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
