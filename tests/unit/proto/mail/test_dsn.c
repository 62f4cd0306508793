/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The report is taken apart again by its boundary: parts, their types, their lines. With
 * DSN_TEST_DUMP set to a folder, every message built is also written there, to be read by another
 * parser.
 */
#include "proto/mail/dsn.h"

#include "core/base/utf8.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define HEADERS                                                                                    \
    "Received: by x\r\n\tfor y; date\r\nFrom: a@x.test\r\nSubject: hello\r\nMessage-ID: <1@x>\r\n"
#define BODY "Line one\r\n.dot\r\nlast\r\n"

static struct dsn_rcpt failed_rcpt(void)
{
    return (struct dsn_rcpt){
        .address = SLICE("bob@y.test"),
        .orcpt = SLICE("rfc822;bob+2Btag@y.test"),
        .action = DSN_FAILED,
        .outcome = {.kind = OUTCOME_PERMANENT,
                    .remote = true,
                    .code = 550,
                    .enhanced = {5, 1, 1},
                    .text = SLICE("no such user")},
        .remote_mta = SLICE("mx.y.test"),
        .last_attempt_us = 1795000000000000,
    };
}

static struct dsn base(const struct dsn_rcpt *rcpts, uint32_t count)
{
    return (struct dsn){
        .reporting_mta = SLICE("relay.test"),
        .sender = SLICE("a@x.test"),
        .envid = SLICE("QQ+2B1"),
        .queue_id = SLICE("q123"),
        .arrival_us = 1794999000000000,
        .now_us = 1795000001000000,
        .retry_until_us = 1795400000000000,
        .unique = 0x1234,
        .headers = SLICE(HEADERS),
        .body = SLICE(BODY),
        .body_bytes = sizeof(BODY) - 1,
        .original_bytes_max = 1 << 20,
        .rcpts = rcpts,
        .rcpt_count = count,
    };
}

struct parsed {
    struct buf all;
    struct slice header, text, status, original; /* parts with their MIME header */
    struct dsn_facts facts;
};

static struct slice until(struct slice *s, struct slice mark)
{
    const char *at = s->len ? memmem(s->ptr, s->len, mark.ptr, mark.len) : NULL;
    ck_assert_msg(at != NULL, "missing: %.*s", SLICE_ARG(mark));
    struct slice head = slice_of(s->ptr, (size_t)(at - s->ptr));
    *s = slice_skip(*s, head.len + mark.len);
    return head;
}

static bool has(struct slice s, const char *what)
{
    return s.len > 0 && memmem(s.ptr, s.len, what, strlen(what)) != NULL;
}

static void dump(const struct buf *b)
{
    static int number;
    const char *dir = getenv("DSN_TEST_DUMP");
    char path[512];
    if (dir) {
        snprintf(path, sizeof(path), "%s/%d-%d.eml", dir, (int)b->len, number++);
        FILE *f = fopen(path, "wb");
        ck_assert(f && fwrite(b->ptr, 1, b->len, f) == b->len && fclose(f) == 0);
    }
}

/* Builds and checks what is true of every DSN. */
static struct parsed build(const struct dsn *d)
{
    struct parsed p = {.facts = {false, false, false}};
    buf_init(&p.all, 1 << 22);
    ck_assert(dsn_build(&p.all, d, &p.facts));
    dump(&p.all);
    struct slice rest = buf_slice(&p.all);
    for (struct slice lines = rest; lines.len > 0;) {
        struct slice line = slice_cut(&lines, '\n');
        ck_assert(line.len > 0 && line.len <= 999 && line.ptr[line.len - 1] == '\r');
        ck_assert_int_eq(slice_find_byte(line, '\r'), (int)line.len - 1);
    }
    ck_assert(utf8_has_8bit(rest) == (p.facts.body_8bit || p.facts.smtputf8) ||
              !utf8_has_8bit(rest));
    p.header = until(&rest, SLICE("\r\n\r\n"));
    struct slice mark = p.header;
    (void)until(&mark, SLICE("boundary=\""));
    struct slice boundary = until(&mark, SLICE("\""));
    char bytes[100];
    int n = snprintf(bytes, sizeof(bytes), "\r\n--%.*s", SLICE_ARG(boundary));
    struct slice delimiter = slice_of(bytes, (size_t)n);
    (void)until(&rest, delimiter);
    p.text = until(&rest, delimiter);
    p.status = until(&rest, delimiter);
    p.original = until(&rest, delimiter);
    ck_assert(slice_eq(rest, SLICE("--\r\n")));
    static const char *const fields[] = {"From: Mail Delivery System <",
                                         "\r\nTo: <",
                                         "\r\nSubject: ",
                                         "\r\nDate: ",
                                         "\r\nMessage-ID: <",
                                         "\r\nAuto-Submitted: auto-replied",
                                         "\r\nMIME-Version: 1.0",
                                         "multipart/report; report-type=delivery-status"};
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++) {
        ck_assert_msg(has(p.header, fields[i]), "%s", fields[i]);
    }
    return p;
}

START_TEST(failure)
{
    struct dsn_rcpt r = failed_rcpt();
    struct dsn d = base(&r, 1);
    struct parsed p = build(&d);
    ck_assert(has(p.header, "From: Mail Delivery System <MAILER-DAEMON@relay.test>\r\n"));
    ck_assert(has(p.header, "To: <a@x.test>\r\n"));
    ck_assert(has(p.text, "could not be delivered to:\r\n\r\n  <bob@y.test>\r\n"));
    ck_assert(has(p.text, "    mx.y.test said: 550 5.1.1 no such user\r\n"));
    ck_assert(has(p.status, "\r\nContent-Type: message/delivery-status\r\n\r\n"
                            "Reporting-MTA: dns; relay.test\r\n"
                            "Original-Envelope-Id: QQ+1\r\n"
                            "X-Ringpost-Queue-ID: q123\r\n"
                            "Arrival-Date: "));
    ck_assert(has(p.status, "\r\n\r\nOriginal-Recipient: rfc822; bob+tag@y.test\r\n"
                            "Final-Recipient: rfc822; bob@y.test\r\n"
                            "Action: failed\r\nStatus: 5.1.1\r\n"
                            "Remote-MTA: dns; mx.y.test\r\n"
                            "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n"
                            "Last-Attempt-Date: "));
    ck_assert(!has(p.status, "Will-Retry-Until"));
    ck_assert(slice_eq(p.original,
                       SLICE("\r\nContent-Type: message/rfc822\r\n\r\n" HEADERS "\r\n" BODY)));
    ck_assert(p.facts.full && !p.facts.body_8bit && !p.facts.smtputf8);
    buf_deinit(&p.all);
}
END_TEST

START_TEST(actions)
{
    static const struct {
        enum dsn_action action;
        struct enhanced last;
        const char *subject, *fields;
        bool full;
    } rows[] = {
        {DSN_FAILED, {4, 2, 2}, "Undelivered", "Action: failed\r\nStatus: 5.0.0\r\n", true},
        {DSN_EXPIRED, {4, 4, 1}, "Undelivered", "Action: failed\r\nStatus: 4.4.7\r\n", true},
        {DSN_EXPIRED, {5, 4, 7}, "Undelivered", "Action: failed\r\nStatus: 5.4.7\r\n", true},
        {DSN_DELAYED, {4, 4, 1}, "Delayed", "Action: delayed\r\nStatus: 4.4.1\r\n", false},
        {DSN_DELAYED, {0, 0, 0}, "Delayed", "Action: delayed\r\nStatus: 4.0.0\r\n", false},
        {DSN_RELAYED, {2, 1, 5}, "Successful", "Action: relayed\r\nStatus: 2.1.5\r\n", false},
        {DSN_DELIVERED, {2, 0, 0}, "Successful", "Action: delivered\r\nStatus: 2.0.0\r\n", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct dsn_rcpt r = failed_rcpt();
        r.action = rows[i].action;
        r.outcome.enhanced = rows[i].last;
        struct dsn d = base(&r, 1);
        struct parsed p = build(&d);
        ck_assert_msg(has(p.header, rows[i].subject), "%zu", i);
        ck_assert_msg(has(p.status, rows[i].fields), "%zu", i);
        ck_assert_int_eq(p.facts.full, rows[i].full);
        ck_assert_int_eq(has(p.status, "Will-Retry-Until: "), rows[i].action == DSN_DELAYED);
        ck_assert_int_eq(has(p.original, BODY), rows[i].full);
        buf_deinit(&p.all);
    }
}
END_TEST

START_TEST(several_recipients)
{
    struct dsn_rcpt r[3] = {failed_rcpt(), failed_rcpt(), failed_rcpt()};
    r[1].address = SLICE("carol@z.test");
    r[1].action = DSN_EXPIRED;
    r[1].orcpt = SLICE("");
    r[1].remote_mta = SLICE("");
    r[1].outcome = outcome_local(OUTCOME_TEMPORARY, OUTCOME_SITE, OUTCOME_STAGE_ROUTE,
                                 (struct enhanced){4, 4, 3}, SLICE("name server did not answer"));
    r[2].address = SLICE("dave@z.test");
    r[2].action = DSN_DELAYED;
    struct dsn d = base(r, 3);
    struct parsed p = build(&d);
    ck_assert(has(p.header, "Undelivered"));
    ck_assert(has(p.text, "given up, for:\r\n\r\n  <carol@z.test>\r\n"
                          "    451 4.4.3 name server did not answer\r\n"));
    ck_assert(has(p.text, "  <dave@z.test>"));
    ck_assert(has(p.status, "\r\n\r\nFinal-Recipient: rfc822; carol@z.test\r\nAction: failed\r\n"
                            "Status: 4.4.7\r\nDiagnostic-Code: x-ringpost; 451 4.4.3 name"));
    buf_deinit(&p.all);
}
END_TEST

START_TEST(hostile_texts)
{
    struct dsn_rcpt r = failed_rcpt();
    r.outcome.text = SLICE("bad\r\n\r\n--=_ringpost_0000000000001234_0\r\nX: y\0\x1b\xff");
    r.remote_mta = SLICE("mx\r\nBcc: z@z");
    r.orcpt = SLICE("rfc822;a+0D+0Ab");
    struct dsn d = base(&r, 1);
    d.envid = SLICE("a+0D+0Ab");
    d.reporting_mta = SLICE("relay\r\nX-Evil: 1");
    struct parsed p = build(&d);
    ck_assert(!has(buf_slice(&p.all), "\r\nX: y"));
    ck_assert(!has(buf_slice(&p.all), "\r\nBcc:"));
    ck_assert(!has(buf_slice(&p.all), "\r\nX-Evil"));
    ck_assert(!has(p.status, "Original-Recipient"));
    ck_assert(!has(p.status, "Original-Envelope-Id"));
    ck_assert(has(p.status, "X: y\\x00\\x1B\\xFF\r\n"));
    buf_deinit(&p.all);
}
END_TEST

START_TEST(boundary_avoids_the_original)
{
    struct dsn_rcpt r = failed_rcpt();
    struct dsn d = base(&r, 1);
    d.body = SLICE("--=_ringpost_0000000000001234_0--\r\n=_ringpost_0000000000001234_1\r\n");
    d.body_bytes = d.body.len;
    struct parsed p = build(&d);
    ck_assert(has(p.header, "boundary=\"=_ringpost_0000000000001234_2\""));
    ck_assert(has(p.original, "--=_ringpost_0000000000001234_0--\r\n"));
    buf_deinit(&p.all);
}
END_TEST

START_TEST(headers_only)
{
    char long_line[1200];
    memset(long_line, 'x', sizeof(long_line));
    memcpy(long_line + sizeof(long_line) - 2, "\r\n", 2);
    for (int i = 0; i < 5; i++) {
        struct dsn_rcpt r = failed_rcpt();
        struct dsn d = base(&r, 1);
        switch (i) {
        case 0:
            d.ret = MAIL_RET_HDRS;
            break;
        case 1:
            d.original_bytes_max = d.headers.len + 2 + d.body.len - 1;
            break;
        case 2:
            d.body = SLICE("");
            d.body.ptr = NULL;
            break;
        case 3: /* only part of the body is at hand */
            d.body_bytes++;
            break;
        default:
            d.body = slice_of(long_line, sizeof(long_line));
            d.body_bytes = d.body.len;
            break;
        }
        struct parsed p = build(&d);
        ck_assert_msg(slice_eq(p.original,
                               SLICE("\r\nContent-Type: text/rfc822-headers\r\n\r\n" HEADERS)),
                      "case %d", i);
        ck_assert(!p.facts.full);
        buf_deinit(&p.all);
    }
}
END_TEST

START_TEST(huge_headers_are_cut_between_fields)
{
    struct dsn_rcpt r = failed_rcpt();
    struct dsn d = base(&r, 1);
    struct buf h;
    buf_init(&h, 1 << 20);
    buf_add(&h, SLICE("X-Long: "));
    for (int i = 0; i < 1000; i++) {
        buf_add_byte(&h, 'x');
    }
    buf_add(&h, SLICE("\r\n")); /* above 998: left out */
    for (int i = 0; i < 4000; i++) {
        buf_addf(&h, "X-%04d: some\r\n\ttext of two lines\r\n", i);
    }
    d.headers = buf_slice(&h);
    d.ret = MAIL_RET_HDRS;
    struct parsed p = build(&d);
    ck_assert(!has(p.original, "X-Long"));
    ck_assert(has(p.original, "X-0000: some\r\n\ttext of two lines\r\n"));
    ck_assert(slice_ends_nocase(p.original, SLICE("some\r\n\ttext of two lines\r\n")));
    ck_assert_uint_le(p.original.len, DSN_HEADERS_BYTES_MAX + 100);
    ck_assert_uint_ge(p.original.len, DSN_HEADERS_BYTES_MAX - 100);
    buf_deinit(&p.all);
    buf_deinit(&h);
}
END_TEST

START_TEST(eight_bit_and_utf8)
{
    struct dsn_rcpt r = failed_rcpt();
    struct dsn d = base(&r, 1);
    d.body = SLICE("gr\xc3\xbc\xc3\x9f\r\n");
    d.body_bytes = d.body.len;
    struct parsed p = build(&d);
    ck_assert(p.facts.body_8bit && !p.facts.smtputf8);
    ck_assert(has(p.header, "Content-Transfer-Encoding: 8bit"));
    ck_assert(has(p.original, "message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n"));
    ck_assert(!has(p.status, "8bit"));
    buf_deinit(&p.all);

    r.address = SLICE("gr\xc3\xbc\xc3\x9f@y.test");
    r.orcpt = SLICE("utf-8;gr\\x{FC}n@y.test");
    d.smtputf8 = true;
    d.sender = SLICE("\xc3\xa4@x.test");
    p = build(&d);
    ck_assert(p.facts.body_8bit && p.facts.smtputf8);
    ck_assert(has(p.status, "message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit"));
    ck_assert(has(p.status, "Final-Recipient: utf-8; gr\xc3\xbc\xc3\x9f@y.test\r\n"));
    ck_assert(has(p.status, "Original-Recipient: utf-8; gr\xc3\xbcn@y.test\r\n"));
    ck_assert(has(p.original, "Content-Type: message/global\r\n"));
    buf_deinit(&p.all);

    d.ret = MAIL_RET_HDRS;
    p = build(&d);
    ck_assert(has(p.original, "Content-Type: message/global-headers\r\n"));
    buf_deinit(&p.all);

    r.address = SLICE("ascii@y.test"); /* the encoded form where UTF-8 may not stand */
    d.smtputf8 = false;
    d.sender = SLICE("a@x.test");
    p = build(&d);
    ck_assert(has(p.status, "Original-Recipient: utf-8; gr\\x{FC}n@y.test\r\n"));
    ck_assert(has(p.status, "Content-Type: message/delivery-status\r\n"));
    buf_deinit(&p.all);
}
END_TEST

START_TEST(long_text_is_wrapped)
{
    struct dsn_rcpt r = failed_rcpt();
    r.outcome.text = SLICE("the quick brown fox jumps over the lazy dog and then again the quick "
                           "brown fox jumps over the lazy dog until the day is done");
    r.outcome.unknown = true;
    struct dsn d = base(&r, 1);
    struct parsed p = build(&d);
    for (struct slice lines = p.text; lines.len > 0;) {
        ck_assert_uint_le(slice_cut(&lines, '\n').len, 100);
    }
    ck_assert(has(p.text, "connection was lost"));
    buf_deinit(&p.all);
}
END_TEST

START_TEST(unusable_input)
{
    struct dsn_rcpt r = failed_rcpt();
    struct dsn d = base(&r, 0);
    struct dsn_facts facts;
    struct buf out;
    buf_init(&out, 1 << 20);
    ck_assert(!dsn_build(&out, &d, &facts));
    d = base(&r, 1);
    d.sender = SLICE("");
    ck_assert(!dsn_build(&out, &d, &facts));
    buf_deinit(&out);
    buf_init(&out, 600); /* the ceiling is too low */
    d = base(&r, 1);
    ck_assert(!dsn_build(&out, &d, &facts));
    buf_deinit(&out);
}
END_TEST

START_TEST(wanted)
{
    static const struct {
        uint8_t notify;
        bool failed, delayed, relayed;
    } rows[] = {
        {MAIL_NOTIFY_DEFAULT, true, true, false},
        {MAIL_NOTIFY_NEVER, false, false, false},
        {MAIL_NOTIFY_NEVER | MAIL_NOTIFY_FAILURE, false, false, false},
        {MAIL_NOTIFY_FAILURE, true, false, false},
        {MAIL_NOTIFY_DELAY, false, true, false},
        {MAIL_NOTIFY_SUCCESS, false, false, true},
        {MAIL_NOTIFY_SUCCESS | MAIL_NOTIFY_FAILURE | MAIL_NOTIFY_DELAY, true, true, true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        ck_assert_int_eq(dsn_wanted(rows[i].notify, DSN_FAILED, false), rows[i].failed);
        ck_assert_int_eq(dsn_wanted(rows[i].notify, DSN_EXPIRED, false), rows[i].failed);
        ck_assert_int_eq(dsn_wanted(rows[i].notify, DSN_DELAYED, false), rows[i].delayed);
        ck_assert_int_eq(dsn_wanted(rows[i].notify, DSN_RELAYED, false), rows[i].relayed);
        ck_assert_int_eq(dsn_wanted(rows[i].notify, DSN_DELIVERED, false), rows[i].relayed);
        ck_assert(!dsn_wanted(rows[i].notify, DSN_FAILED, true));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto/mail/dsn");
    TCase *tc = tcase_create("dsn");
    tcase_add_test(tc, failure);
    tcase_add_test(tc, actions);
    tcase_add_test(tc, several_recipients);
    tcase_add_test(tc, hostile_texts);
    tcase_add_test(tc, boundary_avoids_the_original);
    tcase_add_test(tc, headers_only);
    tcase_add_test(tc, huge_headers_are_cut_between_fields);
    tcase_add_test(tc, eight_bit_and_utf8);
    tcase_add_test(tc, long_text_is_wrapped);
    tcase_add_test(tc, unusable_input);
    tcase_add_test(tc, wanted);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
