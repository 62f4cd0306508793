/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * FUTURERELEASE (RFC 4865) and DELIVERBY (RFC 2852): what EHLO says, what MAIL takes, what it means by
 * the clock.
 */
#include "core/base/must.h"
#include "proto/smtp/server.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { NOW_S = 1795287600 }; /* 2026-11-21T19:00:00Z */

static struct smtp_server_config config;
static struct smtp_server server;
static struct buf out;

static void setup(void)
{
    smtp_server_config_init(&config);
    config.hostname = SLICE("mx.test");
    config.features = SMTP_FEATURE_FUTURERELEASE | SMTP_FEATURE_DELIVERBY;
    config.future_release_s = 3600;
    config.deliver_by_s = 10;
    buf_init(&out, 4 * SMTP_SERVER_OUT_HIGH);
    smtp_server_init(&server, &config);
    smtp_server_set_now(&server, NOW_S);
    smtp_server_greet(&server, &out);
}

static void teardown(void)
{
    smtp_server_deinit(&server);
    buf_deinit(&out);
}

static enum smtp_server_action say(const char *line)
{
    struct slice in = slice_str(line);
    buf_clear(&out);
    return smtp_server_step(&server, &in, &out);
}

static void assert_said(const char *want)
{
    ck_assert_msg(slice_eq(buf_slice(&out), slice_str(want)), "%.*s", SLICE_ARG(buf_slice(&out)));
}

START_TEST(offered)
{
    say("EHLO c.test\r\n");
    assert_said("250-mx.test\r\n250-FUTURERELEASE 3600 2026-11-21T20:00:00Z\r\n"
                "250 DELIVERBY 10\r\n");
}
END_TEST

#define TOO_LONG "501 5.5.4 Mail is not held for so long\r\n"
#define TOO_SHORT "555 5.5.4 The time to deliver by is too short\r\n"
#define CROSSED "501 5.5.4 Mail is held longer than the time to deliver by\r\n"

static const struct {
    const char *params;
    const char *refusal; /* NULL: taken */
    uint64_t hold_until_s, by_until_s;
    enum smtp_by_mode by;
} rows[] = {
    {"", NULL, 0, 0, SMTP_BY_NONE},
    {" HOLDFOR=3600", NULL, NOW_S + 3600, 0, SMTP_BY_NONE},
    {" HOLDFOR=3601", TOO_LONG, 0, 0, SMTP_BY_NONE},
    {" HOLDUNTIL=2026-11-21T20:00:00Z", NULL, NOW_S + 3600, 0, SMTP_BY_NONE},
    {" HOLDUNTIL=2026-11-21T20:00:00.1Z", TOO_LONG, 0, 0, SMTP_BY_NONE},
    {" HOLDUNTIL=9999-12-31T23:59:59Z", TOO_LONG, 0, 0, SMTP_BY_NONE},
    {" HOLDUNTIL=2001-01-01T00:00:00Z", NULL, 978307200, 0, SMTP_BY_NONE},
    {" BY=10;R", NULL, 0, NOW_S + 10, SMTP_BY_RETURN},
    {" BY=9;R", TOO_SHORT, 0, 0, SMTP_BY_NONE},
    {" BY=9;N", NULL, 0, NOW_S + 9, SMTP_BY_NOTIFY},
    {" BY=-9;N", NULL, 0, NOW_S - 9, SMTP_BY_NOTIFY},
    {" BY=999999999;RT", NULL, 0, NOW_S + 999999999ull, SMTP_BY_RETURN},
    {" HOLDFOR=59 BY=60;R", NULL, NOW_S + 59, NOW_S + 60, SMTP_BY_RETURN},
    {" HOLDFOR=60 BY=60;R", CROSSED, 0, 0, SMTP_BY_NONE},
    {" BY=30;N HOLDFOR=60", CROSSED, 0, 0, SMTP_BY_NONE},
    {" HOLDUNTIL=2001-01-01T00:00:00Z BY=-5;N", NULL, 978307200, NOW_S - 5, SMTP_BY_NOTIFY},
};

START_TEST(table)
{
    char line[128];
    snprintf(line, sizeof(line), "MAIL FROM:<a@b>%s\r\n", rows[_i].params);
    say("EHLO c.test\r\n");
    enum smtp_server_action action = say(line);
    if (rows[_i].refusal) {
        assert_said(rows[_i].refusal);
        ck_assert_ptr_null(smtp_server_envelope(&server));
        return;
    }
    ck_assert_int_eq((int)action, SMTP_SERVER_CHECK_MAIL);
    struct smtp_sender_view sender;
    smtp_envelope_sender(smtp_server_envelope(&server), &sender);
    ck_assert_uint_eq(sender.hold_until_s, rows[_i].hold_until_s);
    ck_assert_uint_eq(sender.by_until_s, rows[_i].by_until_s);
    ck_assert_int_eq((int)sender.by, (int)rows[_i].by);
    ck_assert_int_eq(sender.by_trace, strstr(rows[_i].params, "RT") != NULL);
}
END_TEST

START_TEST(not_offered)
{
    config.features = 0;
    say("EHLO c.test\r\n");
    assert_said("250 mx.test\r\n");
    say("MAIL FROM:<a@b> HOLDFOR=5\r\n");
    assert_said("555 5.5.4 Unsupported parameter\r\n");
    say("MAIL FROM:<a@b> BY=50;R\r\n");
    assert_said("555 5.5.4 Unsupported parameter\r\n");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("proto/smtp/server times");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, offered);
    tcase_add_loop_test(t, table, 0, (int)ARRAY_COUNT(rows));
    tcase_add_test(t, not_offered);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
