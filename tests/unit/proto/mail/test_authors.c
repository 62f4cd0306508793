/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * In whose name: From and Sender fields of a header that comes whole, in single bytes and in pieces.
 */
#include "proto/mail/authors.h"
#include "core/base/must.h"

#include <check.h>

static const struct row {
    const char *header;
    const char *want; /* an address per line */
    enum mail_authors_result result;
} rows[] = {
    {"From: a@b.c\r\n", "a@b.c\n", MAIL_AUTHORS_READ},
    {"To: x@y.z\r\nfrom:a@b.c\r\nSubject: From: x@y.z\r\n", "a@b.c\n", MAIL_AUTHORS_READ},
    {"FROM \t : a@b.c\r\n", "a@b.c\n", MAIL_AUTHORS_READ},
    {"From:\r\n \tA\r\n <a@b.c>\r\nTo: x@y.z\r\n", "a@b.c\n", MAIL_AUTHORS_READ},
    {"From: a@b.c\r\nSender: S <s@b.c>\r\n", "a@b.c\ns@b.c\n", MAIL_AUTHORS_READ},
    {"Sender: s@b.c\r\nX: y\r\nFrom: a@b.c, d@e.f\r\n", "s@b.c\na@b.c\nd@e.f\n", MAIL_AUTHORS_READ},
    {"From: a@b.c\r\nFrom: d@e.f\r\n", "a@b.c\nd@e.f\n", MAIL_AUTHORS_READ},
    {"From: a@b.c\r\nX: y\r\nFrom: d@e.f\r\nFrom: g@h.i\r\n", "a@b.c\nd@e.f\ng@h.i\n",
     MAIL_AUTHORS_READ},
    {"From: G: a@b.c, d@e.f;\r\n", "a@b.c\nd@e.f\n", MAIL_AUTHORS_READ},
    {"X-From: x@y.z\r\nFrom-X: x@y.z\r\nFro: x@y.z\r\nFromm: x@y.z\r\nSenders: x@y.z\r\n"
     "From: a@b.c\r\n From: x@y.z\r\n",
     "a@b.c\nx@y.z\n", MAIL_AUTHORS_READ}, /* folded: a group's name that looks like an address */
    {"X: y\r\n From: x@y.z\r\nFrom: a@b.c\r\n", "a@b.c\n", MAIL_AUTHORS_READ},
    {" From: x@y.z\r\nFrom: a@b.c\r\n", "a@b.c\n", MAIL_AUTHORS_READ},
    {"From a@b.c Mon Jan 1\r\nFrom: a@b.c\r\n", "a@b.c\n", MAIL_AUTHORS_READ},
    {"Reply-To: x@y.z\r\nResent-From: x@y.z\r\nFrom: a@b.c", "a@b.c\n", MAIL_AUTHORS_READ},
    {"", "", MAIL_AUTHORS_MISSING},
    {"Subject: x\r\n", "", MAIL_AUTHORS_MISSING},
    {"Sender: a@b.c\r\n", "", MAIL_AUTHORS_MISSING},
    {"From\r\n: a@b.c\r\n", "", MAIL_AUTHORS_MISSING},
    {"From x: a@b.c\r\n", "", MAIL_AUTHORS_MISSING},
    {"From:\r\n", "", MAIL_AUTHORS_SYNTAX},
    {"From: undisclosed:;\r\n", "", MAIL_AUTHORS_SYNTAX},
    {"From: joe\r\n", "", MAIL_AUTHORS_SYNTAX},
    {"From: a@b.c\r\nSender: <\r\n", "a@b.c\n", MAIL_AUTHORS_SYNTAX},
    {"From: a@b.c\r\nSender:\r\n", "a@b.c\n", MAIL_AUTHORS_SYNTAX},
    {"From: a@b.c\r\nFrom:\r\n", "a@b.c\n", MAIL_AUTHORS_SYNTAX},
    {"From: a@b.c:;\r\n", "a@b.c\n", MAIL_AUTHORS_SYNTAX}, /* a group of nobody */
};

static bool take(void *ctx, const struct mail_address *a)
{
    buf_add(ctx, a->text);
    buf_add_byte(ctx, '\n');
    return true;
}

START_TEST(table)
{
    const struct row *row = &rows[_i];
    struct slice whole = slice_str(row->header);
    for (size_t piece = 1; piece <= whole.len + 1; piece++) {
        struct mail_authors a;
        struct buf out;
        mail_authors_init(&a, 65536);
        buf_init(&out, 65536);
        for (struct slice in = whole; in.len;
             in = slice_skip(in, piece < in.len ? piece : in.len)) {
            mail_authors_add(&a, slice_first(in, piece));
        }
        const struct mail_address_sink to = {take, &out};
        enum mail_authors_result result = mail_authors_each(&a, &to);
        ck_assert_msg(result == row->result, "%s by %zu: %d", row->header, piece, (int)result);
        ck_assert_msg(slice_eq(buf_slice(&out), slice_str(row->want)), "%s by %zu: %.*s",
                      row->header, piece, SLICE_ARG(buf_slice(&out)));
        buf_deinit(&out);
        mail_authors_deinit(&a);
    }
}
END_TEST

static bool refuse(void *ctx, const struct mail_address *a)
{
    (void)a;
    ++*(unsigned *)ctx;
    return false;
}

START_TEST(the_sink_may_stop)
{
    struct mail_authors a;
    unsigned calls = 0;
    const struct mail_address_sink to = {refuse, &calls};
    mail_authors_init(&a, 65536);
    mail_authors_add(&a, SLICE("From: a@b.c, d@e.f\r\nFrom: g@h.i\r\n"));
    ck_assert_int_eq((int)mail_authors_each(&a, &to), MAIL_AUTHORS_STOPPED);
    ck_assert_uint_eq(calls, 1);
    mail_authors_deinit(&a);
}
END_TEST

/* Only the fields that are looked for cost memory; without room it says so. */
START_TEST(memory)
{
    struct mail_authors a;
    mail_authors_init(&a, 64);
    for (int i = 0; i < 1000; i++) {
        mail_authors_add(&a, SLICE("Received: from x by y; some time\r\n"));
    }
    ck_assert_ptr_null(a.text.ptr);
    mail_authors_add(&a, SLICE("From: a@b.c\r\n"));
    ck_assert(!a.text.overflow);
    mail_authors_add(&a,
                     SLICE("From: 0123456789012345678901234567890123456789012345678901234567\r\n"));
    ck_assert(a.text.overflow);
    mail_authors_deinit(&a);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("mail/authors");
    TCase *t = tcase_create("authors");
    tcase_add_loop_test(t, table, 0, (int)ARRAY_COUNT(rows));
    tcase_add_test(t, the_sink_may_stop);
    tcase_add_test(t, memory);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
