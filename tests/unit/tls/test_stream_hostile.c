/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a peer may not do: openings and answers that are refused, changed bytes, floods.
 */
#include "tests/unit/tls/stream_world.h"

static const struct {
    const char *what;
    struct slice bytes;
    enum tls_error kind;
    int alert; /* in the plain alert record; -1: none is said */
} openings[] = {
    {"SMTP", SLICE_INIT("EHLO client.example\r\n"), TLS_ERROR_NOT_TLS, 70},
    {"HTTP", SLICE_INIT("GET / HTTP/1.1\r\n\r\n"), TLS_ERROR_NOT_TLS, 70},
    {"SSL 2", SLICE_INIT("\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10"), TLS_ERROR_NOT_TLS, 70},
    {"an alert first", SLICE_INIT("\x15\x03\x01\x00\x02\x02\x28"), TLS_ERROR_NOT_TLS, 70},
    {"an empty record", SLICE_INIT("\x16\x03\x01\x00\x00"), TLS_ERROR_PROTOCOL, 50},
    {"a record of 64 KiB", SLICE_INIT("\x16\x03\x01\xff\xff\x01"), TLS_ERROR_PROTOCOL, 50},
    {"a ServerHello", SLICE_INIT("\x16\x03\x03\x00\x04\x02\x00\x00\x00"), TLS_ERROR_PROTOCOL, 50},
    {"an empty hello", SLICE_INIT("\x16\x03\x03\x00\x04\x01\x00\x00\x00"), TLS_ERROR_PROTOCOL, 50},
    {"a hello of 16 MB", SLICE_INIT("\x16\x03\x03\x00\x04\x01\xff\xff\xff"), TLS_ERROR_PROTOCOL,
     50},
    {"TLS 1.1",
     SLICE_INIT("\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x02"
                "0123456789abcdef0123456789abcdef\x00\x00\x02\xc0\x13\x01\x00"),
     TLS_ERROR_VERSION, 70},
    {"TLS 1.2 without a suite of ours",
     SLICE_INIT("\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03"
                "0123456789abcdef0123456789abcdef\x00\x00\x02\x00\x2f\x01\x00"),
     TLS_ERROR_NEGOTIATION, 40},
};

START_TEST(openings_that_are_refused)
{
    struct tls_stream_config config = {.context = server, .wall_us = rig_wall_us()};
    for (size_t segment = 1; segment <= 64; segment += 63) {
        struct rig_end e;
        struct slice rest = openings[_i].bytes;
        rig_end_init(&e, &config, 4096);
        while (rest.len > 0 && e.step != TLS_STEP_FAILED) {
            size_t n = tls_stream_feed(e.stream, slice_first(rest, segment));
            rest = slice_skip(rest, n);
            rig_drive(&e);
        }
        const struct tls_failure *f = tls_stream_error(e.stream);
        ck_assert_msg(e.step == TLS_STEP_FAILED, "%s", openings[_i].what);
        ck_assert_msg(f->kind == openings[_i].kind, "%s: %s", openings[_i].what, f->text);
        ck_assert_uint_gt(strlen(f->text), 0);
        ck_assert_uint_eq(e.out.len, 7);
        ck_assert_mem_eq(e.out.ptr, "\x15\x03\x03\x00\x02\x02", 6);
        ck_assert_int_eq(e.out.ptr[6], openings[_i].alert);
        ck_assert_int_eq(tls_stream_step(e.stream, &e.out), TLS_STEP_FAILED);
        rig_end_deinit(&e);
    }
}
END_TEST

/* What a client may meet instead of a ServerHello. */
START_TEST(answers_that_are_refused)
{
    static const struct {
        struct slice bytes;
        enum tls_error kind;
    } answers[] = {
        {SLICE_INIT("220 mail.example ESMTP\r\n"), TLS_ERROR_NOT_TLS},
        {SLICE_INIT("\x15\x03\x03\x00\x02\x02\x28"), TLS_ERROR_ALERT},
        {SLICE_INIT("\x15\x03\x01\x00\x02\x02\x46"), TLS_ERROR_ALERT},
        {SLICE_INIT("\x17\x03\x03\x00\x05hello"), TLS_ERROR_PROTOCOL},
        {SLICE_INIT("\x16\x03\x03\x00\x04\x0e\x00\x00\x00"), TLS_ERROR_PROTOCOL},
    };
    for (size_t i = 0; i < ARRAY_COUNT(answers); i++) {
        struct rig_link l = rig_connect(client, server, SLICE("mail.example"), NULL);
        rig_drive(&l.client);
        tls_stream_feed(l.client.stream, answers[i].bytes);
        rig_drive(&l.client);
        const struct tls_failure *f = tls_stream_error(l.client.stream);
        ck_assert_int_eq(l.client.step, TLS_STEP_FAILED);
        ck_assert_msg(f->kind == answers[i].kind || (i == 0 && f->kind == TLS_ERROR_VERSION),
                      "%zu: %s (%d)", i, f->text, f->code);
        ck_assert_int_eq(f->alert, i == 1 ? 40 : i == 2 ? 70 : -1);
        ck_assert(i != 1 || strstr(f->text, "handshake_failure") != NULL);
        rig_hang_up(&l);
    }
}
END_TEST

START_TEST(a_changed_record_ends_it)
{
    struct rig_link l = opened(_i ? client12 : client);
    ck_assert_uint_eq(tls_stream_write(l.client.stream, SLICE("MAIL FROM:<a@b>\r\n"),
                                       &l.client.out),
                      17);
    l.client.out.ptr[12] ^= 1;
    rig_run(&l);
    ck_assert_int_eq(tls_stream_error(l.server.stream)->kind, TLS_ERROR_PROTOCOL);
    ck_assert_uint_eq(l.server.plain.len, 0);
    ck_assert_int_eq(tls_stream_error(l.client.stream)->kind, TLS_ERROR_ALERT);
    ck_assert_int_eq(tls_stream_error(l.client.stream)->alert, 20);
    rig_hang_up(&l);
}
END_TEST

START_TEST(renegotiation_ends_it)
{
    struct rig_link l = opened(client12);
    tls_stream_feed(l.server.stream, SLICE("\x16\x03\x03\x00\x05hello"));
    rig_drive(&l.server);
    ck_assert_int_eq(l.server.read, TLS_READ_FAILED);
    ck_assert_int_eq(tls_stream_error(l.server.stream)->kind, TLS_ERROR_RENEGOTIATION);
    rig_hang_up(&l);
}
END_TEST

START_TEST(key_updates_are_answered_but_not_for_ever)
{
    struct rig_link l = opened(client);
    unsigned answered = 0;
    while (l.server.read != TLS_READ_FAILED && answered < 100) {
        l.client.stream->out = &l.client.out;
        ck_assert_int_eq(wolfSSL_update_keys(l.client.stream->library), WOLFSSL_SUCCESS);
        l.client.stream->out = NULL;
        answered++;
        ck_assert(rig_carry(&l, &l.client, &l.server));
        rig_drive(&l.server);
        ck_assert(answered > 3 || rig_carry(&l, &l.server, &l.client));
        rig_drive(&l.client);
    }
    ck_assert_uint_ge(answered, 10);
    ck_assert_uint_le(answered, 40);
    ck_assert_int_eq(tls_stream_error(l.server.stream)->kind, TLS_ERROR_FLOOD);
    rig_hang_up(&l);
}
END_TEST

/* The library takes them all in one call. */
START_TEST(key_updates_in_one_segment)
{
    struct rig_link l = opened(client);
    l.segment = 65536;
    l.client.stream->out = &l.client.out;
    for (unsigned i = 0; i < 300; i++) {
        ck_assert_int_eq(wolfSSL_update_keys(l.client.stream->library), WOLFSSL_SUCCESS);
    }
    l.client.stream->out = NULL;
    ck_assert(rig_carry(&l, &l.client, &l.server));
    rig_drive(&l.server);
    ck_assert_int_eq(l.server.read, TLS_READ_FAILED);
    ck_assert_int_eq(tls_stream_error(l.server.stream)->kind, TLS_ERROR_FLOOD);
    ck_assert_uint_lt(l.server.out.len, 20 * 40);
    rig_hang_up(&l);
}
END_TEST

/* Keys that change now and then, with data between, are fine for ever. */
START_TEST(honest_key_updates)
{
    struct buf b;
    struct slice data = noise(&b, 300000);
    struct rig_link l = opened(client);
    for (unsigned i = 0; i < 40; i++) {
        l.client.stream->out = &l.client.out;
        ck_assert_int_eq(wolfSSL_update_keys(l.client.stream->library), WOLFSSL_SUCCESS);
        l.client.stream->out = NULL;
        rig_run(&l);
        rig_send(&l, &l.client, data);
        ck_assert(slice_eq(buf_slice(&l.server.plain), data));
        buf_clear(&l.server.plain);
        rig_send(&l, &l.server, SLICE("250 ok\r\n"));
    }
    ck_assert_uint_eq(l.client.plain.len, 40 * 8);
    buf_deinit(&b);
    rig_hang_up(&l);
}
END_TEST

/* Any byte of the first flight of either side changed: no session, no crash, an error on both. */
START_TEST(a_changed_handshake_ends_it)
{
    for (size_t at = 5; at < 600; at += 13) {
        struct rig_link l = rig_connect(_i ? client12 : client, server, SLICE("mail.example"),
                                        NULL);
        rig_drive(&l.client);
        bool hello = at % 2 && at < l.client.out.len;
        if (hello) {
            l.client.out.ptr[at] ^= 0x55;
        }
        ck_assert(rig_carry(&l, &l.client, &l.server));
        rig_drive(&l.server);
        if (!hello && at < l.server.out.len) {
            l.server.out.ptr[at] ^= 0x55;
        }
        rig_run(&l);
        tls_stream_eof(l.client.stream);
        tls_stream_eof(l.server.stream);
        ck_assert(tls_stream_error(l.client.stream)->kind != TLS_ERROR_NONE);
        ck_assert(tls_stream_error(l.server.stream)->kind != TLS_ERROR_NONE);
        ck_assert_uint_eq(l.client.plain.len + l.server.plain.len, 0);
        rig_hang_up(&l);
    }
}
END_TEST

START_TEST(every_error_has_a_name)
{
    for (enum tls_error e = TLS_ERROR_NONE; e <= TLS_ERROR_RESOURCES; e++) {
        ck_assert_uint_gt(strlen(tls_error_name(e)), 0);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls/stream, hostile peers");
    TCase *t = tcase_create("stream");
    tcase_add_unchecked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, openings_that_are_refused, 0, (int)ARRAY_COUNT(openings));
    tcase_add_test(t, answers_that_are_refused);
    tcase_add_loop_test(t, a_changed_record_ends_it, 0, 2);
    tcase_add_test(t, renegotiation_ends_it);
    tcase_add_test(t, key_updates_are_answered_but_not_for_ever);
    tcase_add_test(t, key_updates_in_one_segment);
    tcase_add_test(t, honest_key_updates);
    tcase_add_loop_test(t, a_changed_handshake_ends_it, 0, 2);
    tcase_add_test(t, every_error_has_a_name);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
