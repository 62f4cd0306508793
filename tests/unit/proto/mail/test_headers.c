/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Text in, exact text out, with "{END}" where the filter stopped for added fields. Every row runs
 * whole, in single bytes, and cut at every place.
 */
#include "proto/mail/headers.h"

#include "core/base/must.h"

#include <check.h>
#include <stdlib.h>

enum {
    ADDS = 1,
    D = MAIL_FIELD_DATE,
    F = MAIL_FIELD_FROM,
    M = MAIL_FIELD_MESSAGE_ID,
    ANY = MAIL_FIELD_ANY,
    R = MAIL_FIELD_RECEIVED,
    RA = MAIL_FIELD_RESENT_ANY,
    S = MAIL_FIELD_SUBJECT,
};

static const struct slice strip_names[] = {SLICE_INIT("received"), SLICE_INIT("X-Strip"),
                                           SLICE_INIT("Bcc")};

static const struct {
    const char *name;
    int strip; /* how many of strip_names */
    int adds;
    const char *in;
    const char *out;
    unsigned present;
} rows[] = {
    {"nothing to do", 0, 0, "From: a\r\nDate: d\r\n\r\nbody\r\n",
     "From: a\r\nDate: d\r\n{END}\r\nbody\r\n", F | D | ANY},
    {"names in any case", 0, 0, "FROM: a\r\ndate : d\r\nMessage-Id:<x>\r\n\r\n",
     "FROM: a\r\ndate : d\r\nMessage-Id:<x>\r\n{END}\r\n", F | D | M | ANY},
    {"strip one", 1, 0, "Received: x\r\nFrom: a\r\n\r\nb\r\n", "From: a\r\n{END}\r\nb\r\n",
     F | ANY},
    {"strip folded", 1, 0, "From: a\r\nReceived: x\r\n\ty\r\n z\r\nDate: d\r\n\r\n",
     "From: a\r\nDate: d\r\n{END}\r\n", F | D | ANY},
    {"strip several", 3, 0,
     "Received: 1\r\nReceived: 2\r\nS: x\r\nx-strip : y\r\nBCC:z\r\n\r\nBcc: body\r\n",
     "S: x\r\n{END}\r\nBcc: body\r\n", ANY},
    {"strip last", 3, 0, "S: x\r\nBcc: z\r\n\r\n", "S: x\r\n{END}\r\n", ANY},
    {"strip all", 3, 0, "Bcc: z\r\n\r\nb\r\n", "{END}\r\nb\r\n", ANY},
    {"like a stripped name", 3, 0, "Bccx: 1\r\nBc: 2\r\nX-Bcc: 3\r\n\r\n",
     "Bccx: 1\r\nBc: 2\r\nX-Bcc: 3\r\n{END}\r\n", ANY},
    {"keep folded", 1, 0, "Subject: x\r\n Received: y\r\n\r\n",
     "Subject: x\r\n Received: y\r\n{END}\r\n", S | ANY},
    {"white line in a field", 1, 0, "Subject: x\r\n \r\n\ty\r\nReceived: z\r\n\r\n",
     "Subject: x\r\n \r\n\ty\r\n{END}\r\n", S | ANY},
    {"not in an attachment", 1, 0, "S: x\r\n\r\n--b\r\n\r\nReceived: inner\r\n",
     "S: x\r\n{END}\r\n--b\r\n\r\nReceived: inner\r\n", ANY},
    {"stripped does not count", 1, 0, "Received: x\r\n\r\n", "{END}\r\n", ANY},
    {"received counts", 0, 0, "Received: x\r\n\r\n", "Received: x\r\n{END}\r\n", R | ANY},
    {"empty message", 0, 0, "", "{END}", 0},
    {"empty message, adds", 0, ADDS, "", "{END}", 0},
    {"no header", 0, 0, "Hello world\r\nmore\r\n", "{END}Hello world\r\nmore\r\n", 0},
    {"no header, adds", 0, ADDS, "Hello world\r\nmore\r\n", "{END}\r\nHello world\r\nmore\r\n", 0},
    {"no header one word, adds", 0, ADDS, "Hello\r\n", "{END}\r\nHello\r\n", 0},
    {"begins with space, adds", 0, ADDS, " From: x\r\n", "{END}\r\n From: x\r\n", 0},
    {"begins with colon, adds", 0, ADDS, ": x\r\n", "{END}\r\n: x\r\n", 0},
    {"blank first, adds", 0, ADDS, "\r\nbody\r\n", "{END}\r\nbody\r\n", 0},
    {"mbox line, adds", 0, ADDS, "From a@b Mon\r\nTo: x\r\n", "{END}\r\nFrom a@b Mon\r\nTo: x\r\n",
     0},
    {"8-bit name, adds", 0, ADDS, "S: x\r\nna\xc3\xafve: y\r\n",
     "S: x\r\n{END}\r\nna\xc3\xafve: y\r\n", ANY},
    {"broken header", 0, 0, "From: a\r\nno header\r\nDate: d\r\n\r\n",
     "From: a\r\n{END}no header\r\nDate: d\r\n\r\n", F | ANY},
    {"broken header, adds", 1, ADDS, "From: a\r\nReceived: x\r\nno header\r\nReceived: d\r\n\r\n",
     "From: a\r\n{END}\r\nno header\r\nReceived: d\r\n\r\n", F | ANY},
    {"only header", 0, ADDS, "From: a\r\n", "From: a\r\n{END}", F | ANY},
    {"only stripped", 1, ADDS, "Received: a\r\n", "{END}", ANY},
    {"resent", 0, 0, "Resent-To: a\r\nDate: x\r\n\r\n", "Resent-To: a\r\nDate: x\r\n{END}\r\n",
     RA | D | ANY},
    {"dot", 0, ADDS, ".\r\n", "{END}\r\n.\r\n", 0},
};

static bool take(struct buf *got, enum mail_headers_event event, struct slice out)
{
    if (event == MAIL_HEADERS_END) {
        buf_add(got, SLICE("{END}"));
    } else if (event == MAIL_HEADERS_DATA) {
        ck_assert_uint_gt(out.len, 0);
        buf_add(got, out);
    }
    return event != MAIL_HEADERS_WANT_INPUT;
}

static void feed(struct mail_headers *h, struct buf *got, struct slice part)
{
    struct slice out;
    char *copy = malloc(part.len ? part.len : 1);
    struct slice in = slice_of(copy, part.len);
    memcpy(copy, part.ptr, part.len);
    while (take(got, mail_headers_step(h, &in, &out), out)) {
    }
    ck_assert_uint_eq(in.len, 0);
    free(copy);
}

/* cut: SIZE_MAX for single bytes, else two parts. */
static void run_row(int i, size_t cut)
{
    struct mail_headers_config config = {strip_names, (size_t)rows[i].strip, rows[i].adds != 0, 0};
    struct mail_headers h;
    struct slice in = slice_str(rows[i].in);
    struct slice out;
    struct buf got;
    buf_init(&got, 10000);
    mail_headers_init(&h, &config);
    if (cut == SIZE_MAX) {
        for (size_t k = 0; k < in.len; k++) {
            feed(&h, &got, slice_first(slice_skip(in, k), 1));
        }
    } else {
        feed(&h, &got, slice_first(in, cut));
        feed(&h, &got, slice_skip(in, cut));
    }
    while (take(&got, mail_headers_finish(&h, &out), out)) {
    }
    ck_assert_msg(slice_eq(buf_slice(&got), slice_str(rows[i].out)), "%s (%zu): %.*s", rows[i].name,
                  cut, SLICE_ARG(buf_slice(&got)));
    ck_assert_uint_eq(h.present, rows[i].present);
    ck_assert(mail_headers_passing(&h));
    ck_assert_ptr_null(h.held.ptr);
    mail_headers_deinit(&h);
    buf_deinit(&got);
}

START_TEST(table)
{
    for (size_t cut = 0; cut <= strlen(rows[_i].in); cut++) {
        run_row(_i, cut);
    }
    run_row(_i, SIZE_MAX);
}
END_TEST

/* What was removed of the first names is kept, however it was cut; the others' is gone. */
START_TEST(taken)
{
    static const char text[] = "X-Strip : a\r\nFrom: a\r\nRECEIVED: 1\r\n\t2\r\nBcc: secret\r\n"
                               "X-Strip:\r\n folded\r\n\r\nX-Strip: body\r\n";
    static const char want[] = "X-Strip : a\r\nRECEIVED: 1\r\n\t2\r\nX-Strip:\r\n folded\r\n";
    struct mail_headers_config config = {strip_names, 3, false, 2};
    struct slice in = slice_str(text);
    for (size_t cut = 0; cut <= in.len; cut++) {
        struct mail_headers h;
        struct buf got;
        buf_init(&got, 10000);
        mail_headers_init(&h, &config);
        feed(&h, &got, slice_first(in, cut));
        feed(&h, &got, slice_skip(in, cut));
        ck_assert_msg(slice_eq(buf_slice(&h.taken), slice_str(want)), "%zu: %.*s", cut,
                      SLICE_ARG(buf_slice(&h.taken)));
        mail_headers_deinit(&h);
        buf_deinit(&got);
    }
}
END_TEST

START_TEST(too_much_to_take)
{
    struct mail_headers_config config = {strip_names, 3, false, 2};
    struct mail_headers h;
    struct buf got;
    buf_init(&got, 100000);
    mail_headers_init(&h, &config);
    for (int i = 0; i < 300; i++) {
        feed(&h, &got, SLICE("X-Strip: 0123456789\r\n"));
        ck_assert_uint_le(h.taken.len, MAIL_TAKEN_BYTES_MAX);
    }
    ck_assert(h.taken.overflow);
    ck_assert_uint_eq(got.len, 0);
    mail_headers_deinit(&h);
    buf_deinit(&got);
}
END_TEST

/* With nothing to strip the header comes back as the very bytes, in one piece. */
START_TEST(zero_copy)
{
    static const char text[] = "From: a\r\nX: b\r\n c\r\n\r\nbody\r\n";
    struct mail_headers_config config = {NULL, 0, true, 0};
    struct mail_headers h;
    struct slice in = slice_str(text);
    struct slice out;
    mail_headers_init(&h, &config);
    ck_assert_int_eq((int)mail_headers_step(&h, &in, &out), MAIL_HEADERS_DATA);
    ck_assert(out.ptr == text && out.len == 19);
    ck_assert_int_eq((int)mail_headers_step(&h, &in, &out), MAIL_HEADERS_END);
    ck_assert_int_eq((int)mail_headers_step(&h, &in, &out), MAIL_HEADERS_DATA);
    ck_assert(out.ptr == text + 19 && out.len == 8);
    ck_assert_int_eq((int)mail_headers_step(&h, &in, &out), MAIL_HEADERS_WANT_INPUT);
    ck_assert_ptr_null(h.held.ptr);
    mail_headers_deinit(&h);
}
END_TEST

/* A name without end is no field and costs no memory beyond its limit. */
START_TEST(endless_name)
{
    struct mail_headers_config config = {NULL, 0, true, 0};
    struct mail_headers h;
    struct buf got;
    buf_init(&got, 10000);
    mail_headers_init(&h, &config);
    for (int i = 0; i < 3000; i++) {
        feed(&h, &got, SLICE("x"));
        ck_assert_uint_le(h.held.cap, 2 * MAIL_FIELD_NAME_MAX + 2);
    }
    ck_assert_uint_eq(got.len, 5 + 2 + 3000);
    ck_assert(slice_starts_nocase(buf_slice(&got), SLICE("{END}\r\nxxx")));
    mail_headers_deinit(&h);
    buf_deinit(&got);
}
END_TEST

static const struct {
    unsigned present;
    const char *sender;
    const char *out;
} missing[] = {
    {0, "a@b", "Message-ID: <7@h>\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\nFrom: a@b\r\n"},
    {0, "",
     "Message-ID: <7@h>\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\nFrom: MAILER-DAEMON@h\r\n"},
    {D | F | M, "a@b", ""},
    {D | F, "a@b", "Message-ID: <7@h>\r\n"},
    {D | F | M | RA, "a@b",
     "Resent-Message-ID: <7@h>\r\nResent-Date: Thu, 1 Jan 1970 00:00:00 +0000\r\nResent-From: a@b\r\n"},
    {RA | MAIL_FIELD_RESENT_FROM | MAIL_FIELD_RESENT_DATE | MAIL_FIELD_RESENT_MESSAGE_ID, "a@b",
     ""},
};

START_TEST(add_missing)
{
    struct buf out;
    struct mail_missing m = {.sender = slice_str(missing[_i].sender),
                             .host = SLICE("h"),
                             .id = SLICE("7")};
    buf_init(&out, 1000);
    mail_headers_add_missing(&out, missing[_i].present, &m);
    ck_assert_msg(slice_eq(buf_slice(&out), slice_str(missing[_i].out)), "%.*s",
                  SLICE_ARG(buf_slice(&out)));
    buf_deinit(&out);
}
END_TEST

/* RFC 6409 8 names Date and Message-ID; who the author is nobody else can know. */
START_TEST(add_missing_without_from)
{
    struct buf out;
    struct mail_missing m = {.sender = SLICE("a@b"),
                             .host = SLICE("h"),
                             .id = SLICE("7"),
                             .no_from = true};
    buf_init(&out, 1000);
    mail_headers_add_missing(&out, MAIL_FIELD_ANY, &m);
    ck_assert(slice_eq(buf_slice(&out),
                       SLICE("Message-ID: <7@h>\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\n")));
    buf_clear(&out);
    mail_headers_add_missing(&out, MAIL_FIELD_DATE | MAIL_FIELD_MESSAGE_ID, &m);
    ck_assert_uint_eq(out.len, 0);
    buf_deinit(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("headers");
    TCase *tc = tcase_create("filter");
    tcase_add_loop_test(tc, table, 0, (int)ARRAY_COUNT(rows));
    tcase_add_test(tc, zero_copy);
    tcase_add_test(tc, taken);
    tcase_add_test(tc, too_much_to_take);
    tcase_add_test(tc, endless_name);
    tcase_add_loop_test(tc, add_missing, 0, (int)ARRAY_COUNT(missing));
    tcase_add_test(tc, add_missing_without_from);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
