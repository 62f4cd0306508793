/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which fields are chosen, in which order, and the field that says so.
 */
#include "proto/mail/dkim_header.h"

#include "core/base/must.h"

#include <check.h>
#include <stdlib.h>

#define ALWAYS_REST "To:Cc:Subject:Date:Reply-To:Content-Type"

static void collect(void *ctx, struct slice text)
{
    buf_add(ctx, text);
}

static enum dkim_skip header_read(struct dkim_header *h, const char *text)
{
    dkim_header_init(h, 100000);
    for (struct slice rest = slice_str(text); rest.len; rest = slice_skip(rest, 3)) {
        dkim_header_add(h, slice_first(rest, 3));
    }
    return dkim_header_end(h);
}

static const struct {
    const char *header;
    const char *names;
    const char *signed_text; /* simple */
} rows[] = {
    {"From: a\r\n", "From:From:" ALWAYS_REST, "From: a\r\n"},
    {"X: 1\r\nFROM:a\r\nY: 2\r\n", "From:From:" ALWAYS_REST, "FROM:a\r\n"},
    {"", "From:" ALWAYS_REST, ""},
    /* Repeated ones from the bottom up, each named, and once more. */
    {"To: 1\r\nFrom: a\r\nto: 2\r\nTO : 3\r\n", "From:From:To:To:To:" ALWAYS_REST,
     "From: a\r\nTO : 3\r\nto: 2\r\nTo: 1\r\n"},
    {"Subject: s\r\n t\r\nFrom: a\r\nDate: d\r\nCc: c\r\nReply-To: r\r\nContent-Type: ct\r\n",
     "From:From:To:Cc:Cc:Subject:Subject:Date:Date:Reply-To:Reply-To:Content-Type:Content-Type",
     "From: a\r\nCc: c\r\nSubject: s\r\n t\r\nDate: d\r\nReply-To: r\r\nContent-Type: ct\r\n"},
    /* Others only when they are there. */
    {"Message-ID: m\r\nFrom: a\r\nMIME-Version: 1\r\nReferences: r\r\n",
     "From:From:" ALWAYS_REST ":Message-ID:References:MIME-Version",
     "From: a\r\nMessage-ID: m\r\nReferences: r\r\nMIME-Version: 1\r\n"},
    {"From: a\r\nList-Unsubscribe-Post: p\r\nList-Unsubscribe: u\r\n",
     "From:From:" ALWAYS_REST ":List-Unsubscribe:List-Unsubscribe:List-Unsubscribe-Post:"
     "List-Unsubscribe-Post",
     "From: a\r\nList-Unsubscribe: u\r\nList-Unsubscribe-Post: p\r\n"},
    {"Resent-To: 1\r\nFrom: a\r\nResent-To: 2\r\n", "From:From:" ALWAYS_REST ":Resent-To:Resent-To",
     "From: a\r\nResent-To: 2\r\nResent-To: 1\r\n"},
    /* Never these. */
    {"Received: r\r\nReturn-Path: p\r\nDKIM-Signature: x\r\nFrom: a\r\nBcc: b\r\nComments: c\r\n"
     "Authentication-Results: x\r\nX-Spam: y\r\nFromage: z\r\n",
     "From:From:" ALWAYS_REST, "From: a\r\n"},
};

START_TEST(choice)
{
    struct dkim_header h;
    struct buf names, text;
    struct dkim_sink sink = {collect, &text};
    buf_init(&names, 10000);
    buf_init(&text, 10000);
    ck_assert_int_eq((int)header_read(&h, rows[_i].header), DKIM_SKIP_NOT);
    dkim_header_add_names(&h, &names);
    dkim_header_canon(&h, DKIM_CANON_SIMPLE, &sink);
    ck_assert_msg(slice_eq(buf_slice(&names), slice_str(rows[_i].names)), "%.*s",
                  SLICE_ARG(buf_slice(&names)));
    ck_assert_msg(slice_eq(buf_slice(&text), slice_str(rows[_i].signed_text)), "%.*s",
                  SLICE_ARG(buf_slice(&text)));
    dkim_header_deinit(&h);
    buf_deinit(&names);
    buf_deinit(&text);
}
END_TEST

static const struct {
    const char *header;
    enum dkim_skip end;
    enum dkim_skip author;
} authors[] = {
    {"From: a@b.example\r\n", DKIM_SKIP_NOT, DKIM_SKIP_NOT},
    {"from\t: a@b.example\r\n", DKIM_SKIP_NOT, DKIM_SKIP_NOT},
    {"To: a@b.example\r\n", DKIM_SKIP_NOT, DKIM_SKIP_NO_FROM},
    {"", DKIM_SKIP_NOT, DKIM_SKIP_NO_FROM},
    {"From: a@b.example\r\nX: y\r\nFROM: a@b.example\r\n", DKIM_SKIP_NOT, DKIM_SKIP_FROM_FIELDS},
    {"From: a\r\n", DKIM_SKIP_NOT, DKIM_SKIP_FROM_SYNTAX},
    {"Resent-From: a@b.example\r\n", DKIM_SKIP_NOT, DKIM_SKIP_NO_FROM},
    {"X: y\r\n From: a@b.example\r\n", DKIM_SKIP_NOT, DKIM_SKIP_NO_FROM},
    {"From: a@b.example\r\nno field\r\n", DKIM_SKIP_HEADER, 0},
    {" From: a@b.example\r\n", DKIM_SKIP_HEADER, 0},
    {": x\r\n", DKIM_SKIP_HEADER, 0},
    {"From a@b Mon\r\n", DKIM_SKIP_HEADER, 0},
    {"From: a@b.example", DKIM_SKIP_HEADER, 0},
    {"na\xc3\xafve: x\r\n", DKIM_SKIP_HEADER, 0},
};

START_TEST(author)
{
    struct dkim_header h;
    struct dkim_domain d;
    ck_assert_int_eq((int)header_read(&h, authors[_i].header), (int)authors[_i].end);
    if (authors[_i].end == DKIM_SKIP_NOT) {
        ck_assert_int_eq((int)dkim_header_author(&h, &d), (int)authors[_i].author);
    }
    if (authors[_i].end == DKIM_SKIP_NOT && authors[_i].author == DKIM_SKIP_NOT) {
        ck_assert_str_eq(d.text, "b.example");
    }
    dkim_header_deinit(&h);
}
END_TEST

START_TEST(limits)
{
    struct dkim_header h;
    dkim_header_init(&h, 10);
    dkim_header_add(&h, SLICE("From: "));
    dkim_header_add(&h, SLICE("12345"));
    dkim_header_add(&h, SLICE("6"));
    ck_assert_int_eq((int)dkim_header_end(&h), DKIM_SKIP_HEADER);
    dkim_header_deinit(&h);

    for (size_t count = LIMIT_HEADER_FIELDS; count <= LIMIT_HEADER_FIELDS + 1; count++) {
        dkim_header_init(&h, 100000);
        for (size_t i = 0; i < count; i++) {
            dkim_header_add(&h, SLICE("To: x\r\n"));
        }
        ck_assert_int_eq((int)dkim_header_end(&h),
                         count > LIMIT_HEADER_FIELDS ? DKIM_SKIP_HEADER : DKIM_SKIP_NOT);
        dkim_header_deinit(&h);
    }
}
END_TEST

/* ---- the field ---- */

static struct dkim_signature example(void)
{
    return (struct dkim_signature){
        .algorithm = DKIM_RSA_SHA256,
        .header_canon = DKIM_CANON_RELAXED,
        .body_canon = DKIM_CANON_SIMPLE,
        .domain = SLICE("example.org"),
        .selector = SLICE("s1"),
        .names = SLICE("From:From:To:Cc:Subject:Date:Reply-To:Content-Type:Message-ID"),
        .body_hash = {1, 2, 3},
        .signed_s = 1700000000,
    };
}

START_TEST(signature_text)
{
    struct buf out;
    uint8_t value[100];
    struct dkim_signature s = example();
    memset(value, 0xff, sizeof(value));
    buf_init(&out, 10000);
    dkim_signature_begin(&out, &s);
    ck_assert(slice_ends_nocase(buf_slice(&out), SLICE("\r\n b=")));
    dkim_signature_end(&out, slice_of(value, sizeof(value)));
    ck_assert(slice_eq(
        buf_slice(&out),
        SLICE("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/simple; d=example.org; s=s1;\r\n"
              " t=1700000000; h=From:From:To:Cc:Subject:Date:Reply-To:Content-Type:\r\n"
              " Message-ID; bh=AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=;\r\n"
              " b=////////////////////////////////////////////////////////////////////////\r\n"
              " /////////////////////////////////////////////////////////////w==\r\n")));
    buf_deinit(&out);
}
END_TEST

START_TEST(signature_variants)
{
    struct buf out;
    struct dkim_signature s = example();
    s.algorithm = DKIM_ED25519_SHA256;
    s.header_canon = DKIM_CANON_SIMPLE;
    s.body_canon = DKIM_CANON_RELAXED;
    s.valid_s = 86400;
    buf_init(&out, 10000);
    dkim_signature_begin(&out, &s);
    buf_add_byte(&out, '\0');
    ck_assert_ptr_nonnull(strstr(out.ptr, " a=ed25519-sha256; c=simple/relaxed;"));
    ck_assert_ptr_nonnull(strstr(out.ptr, " t=1700000000; x=1700086400;"));
    ck_assert_ptr_null(strstr(out.ptr, " l="));
    buf_deinit(&out);
}
END_TEST

/* No line above 78, whatever the lengths; the text without folds stays the same. */
START_TEST(signature_folds)
{
    static char names[40000];
    char domain[200];
    struct buf out;
    memset(domain, 'd', sizeof(domain));
    for (size_t i = 0; i < sizeof(names); i++) {
        names[i] = i % 9 == 8 ? ':' : 'n';
    }
    names[sizeof(names) - 1] = 'n';
    for (size_t n = 1; n < 60; n++) {
        struct dkim_signature s = example();
        s.domain = slice_of(domain, n);
        s.names = slice_of(names, n == 59 ? sizeof(names) : n * 9 - 1);
        buf_init(&out, 100000);
        dkim_signature_begin(&out, &s);
        ck_assert(!out.overflow);
        struct slice rest = buf_slice(&out);
        while (rest.len) {
            struct slice line = slice_cut(&rest, '\n');
            ck_assert_uint_le(line.len, 78);
            ck_assert(rest.len == 0 || rest.ptr[0] == ' ');
        }
        buf_deinit(&out);
    }
}
END_TEST

START_TEST(signature_without_room)
{
    struct buf out;
    struct dkim_signature s = example();
    buf_init(&out, 100);
    dkim_signature_begin(&out, &s);
    ck_assert(out.overflow);
    buf_deinit(&out);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("mail/dkim_header");
    TCase *t = tcase_create("header");
    tcase_add_loop_test(t, choice, 0, (int)ARRAY_COUNT(rows));
    tcase_add_loop_test(t, author, 0, (int)ARRAY_COUNT(authors));
    tcase_add_test(t, limits);
    tcase_add_test(t, signature_text);
    tcase_add_test(t, signature_variants);
    tcase_add_test(t, signature_folds);
    tcase_add_test(t, signature_without_room);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
