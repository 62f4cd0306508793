/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What exactly is hashed, when nothing is, and that pieces do not matter. Whether the result verifies is
 * asked of dkimpy in tests/e2e/test_dkim_sign.py.
 */
#include "core/policy/dkim_signer.h"

#include "core/base/base64.h"
#include "tests/unit/core/policy/dkim_rig.h"
#include "tls/dkim_hash.h"

enum { NOW_S = 1700000000, HEADER_MAX = 10000 };

#define HEADER                                                                                     \
    "Received: x\r\nFrom: Joe  <joe@example.org>\r\nTo: a\r\nSUBJECT: s\r\n t\r\nTo: b\r\n"

/* domain selector key header-canon body-canon */
struct row {
    const char *domain, *selector, *key;
    enum dkim_canon header, body;
};

static struct dkim_table *table_of(const struct row *rows, size_t count, uint64_t valid_s)
{
    struct dkim_table *t = dkim_table_new(&rig_ops, valid_s);
    struct buf errors;
    buf_init(&errors, 1000);
    for (size_t i = 0; i < count; i++) {
        struct dkim_entry e = {.domain = slice_str(rows[i].domain),
                               .names = true,
                               .selector = slice_str(rows[i].selector),
                               .key = slice_str(rows[i].key),
                               .header_canon = rows[i].header,
                               .body_canon = rows[i].body,
                               .where = SLICE("t")};
        ck_assert(dkim_table_add(t, &e, &errors, &errors));
    }
    buf_deinit(&errors);
    return t;
}

static void hash_text(struct slice text, uint8_t out[DIGEST_SHA256_BYTES])
{
    struct digest_state s;
    dkim_hash_sha256()->init(&s);
    dkim_hash_sha256()->add(&s, text);
    dkim_hash_sha256()->done(&s, out);
}

static struct dkim_signer *run(struct dkim_table *t, struct slice header, struct slice body,
                               size_t piece)
{
    struct dkim_signer *s = dkim_signer_begin(t, dkim_hash_sha256(), HEADER_MAX);
    while (header.len) {
        dkim_signer_header(s, slice_first(header, piece));
        header = slice_skip(header, piece);
    }
    dkim_signer_header_end(s);
    while (body.len) {
        dkim_signer_body(s, slice_first(body, piece));
        body = slice_skip(body, piece);
    }
    dkim_signer_finish(s, NOW_S);
    return s;
}

/* The field of job i up to "b=", as it is attached. */
static void attached_field(struct dkim_signer *s, size_t i, struct buf *out)
{
    struct dkim_job *jobs = dkim_signer_jobs(s);
    for (size_t k = 0; k < 2; k++) {
        jobs[k].signature_bytes = k == i ? 3 : 0; /* the other one failed */
    }
    memcpy(jobs[i].signature, "\x01\x02\x03", 3);
    ck_assert_uint_eq(dkim_signer_attach(s, out), 1);
    ck_assert(slice_ends_nocase(buf_slice(out), SLICE("\r\n b=AQID\r\n")));
    out->len -= sizeof("AQID\r\n") - 1;
}

static void expect_job(struct dkim_signer *s, size_t i, const char *header, struct slice field)
{
    struct buf text;
    uint8_t want[DIGEST_SHA256_BYTES];
    buf_init(&text, 10000);
    buf_add(&text, slice_str(header));
    buf_add(&text, field);
    hash_text(buf_slice(&text), want);
    ck_assert(memcmp(dkim_signer_jobs(s)[i].hash, want, sizeof(want)) == 0);
    buf_deinit(&text);
}

static void expect_body_hash(struct slice field, const char *canonical_body)
{
    uint8_t hash[DIGEST_SHA256_BYTES];
    struct buf want;
    buf_init(&want, 100);
    hash_text(slice_str(canonical_body), hash);
    buf_add(&want, SLICE(" bh="));
    base64_add(&want, slice_of(hash, sizeof(hash)));
    ck_assert_ptr_nonnull(memmem(field.ptr, field.len, want.ptr, want.len));
    buf_deinit(&want);
}

/* Our folds are single spaces behind CRLF, so relaxed only drops the CRLFs. */
static void relax(struct slice field, struct buf *out)
{
    buf_add(out, SLICE("dkim-signature:"));
    field = slice_skip(field, sizeof("DKIM-Signature: ") - 1);
    for (size_t i = 0; i < field.len; i++) {
        if (field.ptr[i] != '\r' && field.ptr[i] != '\n') {
            buf_add_byte(out, field.ptr[i]);
        }
    }
}

START_TEST(what_is_hashed)
{
    static const struct row rows[] = {
        {"example.org", "r", "rsa:R", DKIM_CANON_RELAXED, DKIM_CANON_RELAXED},
        {"example.org", "e", "ed:E", DKIM_CANON_SIMPLE, DKIM_CANON_SIMPLE},
    };
    struct dkim_table *t = table_of(rows, 2, 0);
    struct dkim_signer *s = run(t, SLICE(HEADER), SLICE("\r\nx  y \r\n\r\n"), 1000);
    struct buf field, relaxed, none;
    buf_init(&field, 10000);
    buf_init(&relaxed, 10000);
    buf_init(&none, 10000);
    ck_assert_int_eq((int)dkim_signer_skip(s), DKIM_SKIP_NOT);
    ck_assert(slice_eq(dkim_signer_domain(s), SLICE("example.org")));
    ck_assert_str_eq(dkim_signer_jobs(s)[0].key->name, "R");
    ck_assert_str_eq(dkim_signer_jobs(s)[1].key->name, "E");
    ck_assert_uint_eq(dkim_signer_attach(s, &none), 0);
    ck_assert_uint_eq(none.len, 0);

    attached_field(s, 0, &field);
    expect_body_hash(buf_slice(&field), "x y\r\n");
    relax(buf_slice(&field), &relaxed);
    ck_assert(slice_starts_nocase(buf_slice(&relaxed),
                                  SLICE("dkim-signature:v=1; a=rsa-sha256; c=relaxed/relaxed; "
                                        "d=example.org; s=r; t=1700000000; h=From:From:To:To:To:"
                                        "Cc:")));
    expect_job(s, 0, "from:Joe <joe@example.org>\r\nto:b\r\nto:a\r\nsubject:s t\r\n",
               buf_slice(&relaxed));

    buf_clear(&field);
    attached_field(s, 1, &field);
    expect_body_hash(buf_slice(&field), "x  y \r\n");
    expect_job(s, 1, "From: Joe  <joe@example.org>\r\nTo: b\r\nTo: a\r\nSUBJECT: s\r\n t\r\n",
               buf_slice(&field));
    dkim_signer_end(&s);
    ck_assert_ptr_null(s);
    dkim_table_put(&t);
    buf_deinit(&field);
    buf_deinit(&relaxed);
    buf_deinit(&none);
}
END_TEST

static const struct {
    const char *header, *body;
    enum dkim_skip skip;
} skips[] = {
    {HEADER, "\r\nbody\r\n", DKIM_SKIP_NOT},
    {HEADER, "\r\n", DKIM_SKIP_NOT},
    {HEADER, "", DKIM_SKIP_NOT}, /* all header */
    {HEADER, "body\r\n", DKIM_SKIP_HEADER},
    {HEADER, "\r", DKIM_SKIP_HEADER},
    {HEADER, "\rx", DKIM_SKIP_HEADER},
    {"From: a@EXAMPLE.org\r\n", "\r\n", DKIM_SKIP_NOT},
    {"From: a@sub.example.org\r\n", "\r\n", DKIM_SKIP_NO_KEY},
    {"From: a@example.com\r\n", "\r\n", DKIM_SKIP_NO_KEY},
    {"From: a@[127.0.0.1]\r\n", "\r\n", DKIM_SKIP_NO_KEY},
    {"From: a@exa!mple.org\r\n", "\r\n", DKIM_SKIP_FROM_SYNTAX},
    {"From: a\r\n", "\r\n", DKIM_SKIP_FROM_SYNTAX},
    {"From: a@example.org, b@example.com\r\n", "\r\n", DKIM_SKIP_FROM_DOMAINS},
    {"From: a@example.org\r\nFrom: a@example.org\r\n", "\r\n", DKIM_SKIP_FROM_FIELDS},
    {"To: a@example.org\r\n", "\r\n", DKIM_SKIP_NO_FROM},
    {"", "\r\n", DKIM_SKIP_NO_FROM},
    {"nonsense\r\n", "\r\n", DKIM_SKIP_HEADER},
    {"From: a@b\xc3\xbc"
     "cher.example\r\n",
     "\r\n", DKIM_SKIP_NOT},
};

START_TEST(reasons)
{
    static const struct row rows[] = {
        {"example.org", "s", "rsa:K", 0, 0},
        {"xn--bcher-kva.example", "s", "rsa:K", 0, 0},
    };
    struct dkim_table *t = table_of(rows, 2, 0);
    struct buf out;
    buf_init(&out, 1000);
    for (size_t piece = 1; piece < 200; piece += 66) {
        struct dkim_signer *s = run(t, slice_str(skips[_i].header), slice_str(skips[_i].body),
                                    piece);
        ck_assert_msg(dkim_signer_skip(s) == skips[_i].skip, "%s: %s", skips[_i].header,
                      dkim_skip_name(dkim_signer_skip(s)));
        if (skips[_i].skip != DKIM_SKIP_NOT) {
            ck_assert_uint_eq(dkim_signer_domain(s).len, 0);
            ck_assert_uint_eq(dkim_signer_attach(s, &out), 0);
        }
        dkim_signer_end(&s);
    }
    dkim_table_put(&t);
    buf_deinit(&out);
}
END_TEST

START_TEST(header_too_long)
{
    static const struct row row = {"", "s", "rsa:K", 0, 0};
    static char text[HEADER_MAX];
    struct dkim_table *t = table_of(&row, 1, 0);
    struct dkim_signer *s = dkim_signer_begin(t, dkim_hash_sha256(), HEADER_MAX);
    dkim_signer_header(s, SLICE(HEADER));
    dkim_signer_header(s, slice_of(text, sizeof(text)));
    dkim_signer_header(s, SLICE("X: y\r\n"));
    ck_assert_int_eq((int)dkim_signer_header_end(s), DKIM_SKIP_HEADER);
    dkim_signer_body(s, SLICE("\r\n"));
    ck_assert_uint_eq(dkim_signer_finish(s, NOW_S), 0);
    dkim_signer_end(&s);
    dkim_table_put(&t);
}
END_TEST

/* The default rule signs as the author's own domain, also with x=. */
START_TEST(default_domain)
{
    static const struct row row = {"", "s", "rsa:K", 0, 0};
    struct dkim_table *t = table_of(&row, 1, 100);
    struct dkim_signer *s = run(t, SLICE("From: a@Some.Where.TEST\r\n"), SLICE("\r\n"), 7);
    struct buf out;
    buf_init(&out, 10000);
    ck_assert(slice_eq(dkim_signer_domain(s), SLICE("some.where.test")));
    dkim_signer_jobs(s)[0].signature_bytes = DKIM_JOB_SIGNATURE_BYTES;
    ck_assert_uint_eq(dkim_signer_attach(s, &out), 1);
    buf_add_byte(&out, '\0');
    ck_assert_ptr_nonnull(strstr(out.ptr, " d=some.where.test; s=s;"));
    ck_assert_ptr_nonnull(strstr(out.ptr, "t=1700000000; x=1700000100;"));
    dkim_signer_end(&s);
    dkim_table_put(&t);
    buf_deinit(&out);
}
END_TEST

/* The table may be replaced while a message is on its way. */
START_TEST(keeps_its_keys)
{
    static const struct row row = {"", "s", "rsa:K", 0, 0};
    struct dkim_table *t = table_of(&row, 1, 0);
    struct dkim_signer *s = run(t, SLICE(HEADER), SLICE("\r\n"), 100);
    dkim_table_put(&t);
    ck_assert_int_eq(rig_alive, 1);
    ck_assert_str_eq(dkim_signer_jobs(s)[0].key->name, "K");
    dkim_signer_end(&s);
    ck_assert_int_eq(rig_alive, 0);
    dkim_signer_end(&s);
}
END_TEST

/* A message that is given up in the middle. */
START_TEST(given_up)
{
    static const struct row row = {"", "s", "rsa:K", 0, 0};
    struct dkim_table *t = table_of(&row, 1, 0);
    struct dkim_signer *s = dkim_signer_begin(t, dkim_hash_sha256(), HEADER_MAX);
    dkim_signer_header(s, SLICE("From: a"));
    dkim_signer_end(&s);
    s = dkim_signer_begin(t, dkim_hash_sha256(), HEADER_MAX);
    dkim_signer_header(s, SLICE(HEADER));
    ck_assert_int_eq((int)dkim_signer_header_end(s), DKIM_SKIP_NOT);
    dkim_signer_body(s, SLICE("\r\nx"));
    dkim_signer_end(&s);
    dkim_table_put(&t);
    ck_assert_int_eq(rig_alive, 0);
}
END_TEST

/* The most a header can make of h=: every field repeated. */
START_TEST(longest_names)
{
    static const struct row row = {"", "s", "rsa:K", DKIM_CANON_RELAXED, 0};
    struct dkim_table *t = table_of(&row, 1, 0);
    struct dkim_signer *s = dkim_signer_begin(t, dkim_hash_sha256(), 100000);
    dkim_signer_header(s, SLICE("From: a@b.test\r\n"));
    for (int i = 0; i < LIMIT_HEADER_FIELDS - 1; i++) {
        dkim_signer_header(s, SLICE("Content-Transfer-Encoding: x\r\n"));
    }
    ck_assert_int_eq((int)dkim_signer_header_end(s), DKIM_SKIP_NOT);
    ck_assert_uint_eq(dkim_signer_finish(s, NOW_S), 1);
    dkim_signer_end(&s);
    dkim_table_put(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("policy/dkim_signer");
    TCase *t = tcase_create("signer");
    tcase_add_test(t, what_is_hashed);
    tcase_add_loop_test(t, reasons, 0, (int)ARRAY_COUNT(skips));
    tcase_add_test(t, header_too_long);
    tcase_add_test(t, default_domain);
    tcase_add_test(t, keeps_its_keys);
    tcase_add_test(t, given_up);
    tcase_add_test(t, longest_names);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
