/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Two streams against each other in memory: any segmentation, narrow buffers, every way to end.
 */
#include "tests/unit/tls/stream_world.h"

/* ---- segmentation and buffers ------------------------------------------------------------------------- */

static const struct {
    size_t segment, bytes;
} segments[] = {
    {1, 3000},      {2, 5000},       {3, 5000},       {5, 20000},      {7, 20000},   {100, 50000},
    {1400, 300000}, {16384, 300000}, {16406, 300000}, {65536, 300000}, {0, 1000000},
};

START_TEST(any_segmentation)
{
    struct buf b;
    struct slice data = noise(&b, segments[_i / 2].bytes);
    struct rig_link l = rig_connect(_i % 2 ? client12 : client, server, SLICE("mail.example"),
                                    NULL);
    l.segment = segments[_i / 2].segment;
    rig_run(&l);
    ck_assert(rig_is_open(&l));
    rig_send(&l, &l.client, data);
    rig_send(&l, &l.server, data);
    ck_assert(slice_eq(buf_slice(&l.server.plain), data));
    ck_assert(slice_eq(buf_slice(&l.client.plain), data));
    ck_assert_ptr_null(l.server.stream->in.ptr);
    ck_assert_ptr_null(l.client.stream->in.ptr);
    rig_hang_up(&l);
    buf_deinit(&b);
}
END_TEST

/* Who budgets handshakes must know before a call of step whether it will compute. */
START_TEST(work_is_announced)
{
    struct rig_link l = rig_connect(_i ? client12 : client, server, SLICE("mail.example"), NULL);
    ck_assert(tls_stream_has_work(l.client.stream)); /* its key pair */
    ck_assert(!tls_stream_has_work(l.server.stream));
    rig_drive(&l.client);
    ck_assert(!tls_stream_has_work(l.client.stream));
    l.segment = 1;
    for (size_t left = l.client.out.len; left > 0; left--) {
        ck_assert(!tls_stream_has_work(l.server.stream)); /* a hello that is not whole is none */
        rig_drive(&l.server);
        ck_assert_int_eq(l.server.step, TLS_STEP_WANT_INPUT);
        ck_assert(rig_carry(&l, &l.client, &l.server));
    }
    ck_assert(tls_stream_has_work(l.server.stream));
    rig_drive(&l.server);
    ck_assert(!tls_stream_has_work(l.server.stream));
    l.segment = 65536;
    rig_run(&l);
    ck_assert(rig_is_open(&l));
    ck_assert(!tls_stream_has_work(l.server.stream) && !tls_stream_has_work(l.client.stream));
    rig_hang_up(&l);
    l = rig_connect(client, server, SLICE("mail.example"), NULL);
    (void)tls_stream_feed(l.server.stream, SLICE("EHLO x\r\n")); /* also what is to be refused */
    ck_assert(tls_stream_has_work(l.server.stream));
    rig_hang_up(&l);
}
END_TEST

static const size_t widths[] = {TLS_OUT_ROOM_MIN, 600, 1024, 1500, 4096, 20000};

START_TEST(narrow_output)
{
    struct buf b;
    struct slice data = noise(&b, 100000);
    struct rig_link l = rig_connect_narrow(_i % 2 ? client12 : client, server,
                                           SLICE("mail.example"), widths[_i / 2]);
    rig_run(&l);
    ck_assert(rig_is_open(&l));
    rig_send(&l, &l.client, data);
    rig_send(&l, &l.server, data);
    ck_assert(slice_eq(buf_slice(&l.server.plain), data));
    ck_assert(slice_eq(buf_slice(&l.client.plain), data));
    ck_assert_uint_le(l.server.out.cap, widths[_i / 2]);
    rig_hang_up(&l);
    buf_deinit(&b);
}
END_TEST

START_TEST(nothing_is_read_beyond_the_cap)
{
    struct buf b, plain, out;
    struct slice data = noise(&b, 40000);
    struct rig_link l = opened(client);
    buf_init(&plain, 100000);
    buf_init(&out, 4096);
    ck_assert_uint_eq(tls_stream_write(l.client.stream, data, &l.client.out), data.len);
    while (l.client.out.len > 0) {
        size_t n = tls_stream_feed(l.server.stream, buf_slice(&l.client.out));
        buf_consume(&l.client.out, n);
        enum tls_read rc;
        do {
            size_t before = plain.len;
            rc = tls_stream_read(l.server.stream, &plain, 1000, &out);
            ck_assert_uint_le(plain.len - before, 1000);
            ck_assert(tls_stream_has_work(l.server.stream) == (rc == TLS_READ_MORE));
        } while (rc == TLS_READ_MORE);
        ck_assert_int_eq(rc, TLS_READ_WANT_INPUT);
    }
    ck_assert(slice_eq(buf_slice(&plain), data));
    buf_deinit(&b);
    buf_deinit(&plain);
    buf_deinit(&out);
    rig_hang_up(&l);
}
END_TEST

START_TEST(a_full_plain_buffer_holds_the_rest_back)
{
    struct buf b, plain;
    struct slice data = noise(&b, 5000);
    struct rig_link l = opened(client);
    buf_init(&plain, 3000);
    ck_assert_uint_eq(tls_stream_write(l.client.stream, data, &l.client.out), data.len);
    ck_assert_uint_eq(tls_stream_feed(l.server.stream, buf_slice(&l.client.out)), l.client.out.len);
    ck_assert_int_eq(tls_stream_read(l.server.stream, &plain, 9999, &l.server.out), TLS_READ_MORE);
    ck_assert_uint_eq(plain.len, 3000);
    ck_assert_int_eq(tls_stream_read(l.server.stream, &plain, 9999, &l.server.out), TLS_READ_MORE);
    ck_assert(slice_eq(buf_slice(&plain), slice_first(data, 3000)));
    buf_clear(&plain);
    ck_assert_int_eq(tls_stream_read(l.server.stream, &plain, 9999, &l.server.out),
                     TLS_READ_WANT_INPUT);
    ck_assert(slice_eq(buf_slice(&plain), slice_skip(data, 3000)));
    buf_deinit(&b);
    buf_deinit(&plain);
    rig_hang_up(&l);
}
END_TEST

/* Output that is not taken stops everything, and nothing is lost. */
START_TEST(full_output_holds_back)
{
    struct rig_link l = opened(client);
    struct buf out;
    buf_init(&out, TLS_OUT_ROOM_MIN);
    buf_add_byte(&out, 'x');
    ck_assert_uint_eq(tls_stream_write(l.client.stream, SLICE("abc"), &l.client.out), 3);
    tls_stream_feed(l.server.stream, buf_slice(&l.client.out));
    ck_assert_int_eq(tls_stream_read(l.server.stream, &l.server.plain, 10, &out),
                     TLS_READ_WANT_ROOM);
    ck_assert(!tls_stream_shutdown(l.server.stream, &out));
    buf_clear(&out);
    ck_assert_int_eq(tls_stream_read(l.server.stream, &l.server.plain, 10, &out),
                     TLS_READ_WANT_INPUT);
    ck_assert(slice_eq(buf_slice(&l.server.plain), SLICE("abc")));
    buf_deinit(&out);
    rig_hang_up(&l);
}
END_TEST

START_TEST(feed_takes_one_record_at_most)
{
    struct rig_link l = opened(client);
    struct buf b;
    struct slice data = noise(&b, 60000);
    ck_assert_uint_eq(tls_stream_write(l.client.stream, data, &l.client.out), data.len);
    size_t taken = tls_stream_feed(l.server.stream, buf_slice(&l.client.out));
    ck_assert_uint_eq(taken, TLS_RECORD_BYTES_MAX);
    ck_assert_uint_eq(tls_stream_feed(l.server.stream, SLICE("more")), 0);
    buf_deinit(&b);
    rig_hang_up(&l);
}
END_TEST

/* Data right behind the client's last handshake record, in the same segment. */
START_TEST(data_with_the_finished)
{
    struct rig_link l = rig_connect(client, server, SLICE("mail.example"), NULL);
    rig_drive(&l.client);
    ck_assert(rig_carry(&l, &l.client, &l.server));
    rig_drive(&l.server);
    ck_assert(rig_carry(&l, &l.server, &l.client));
    rig_drive(&l.client);
    ck_assert_int_eq(l.client.step, TLS_STEP_DONE);
    ck_assert_uint_eq(tls_stream_write(l.client.stream, SLICE("EHLO x\r\n"), &l.client.out), 8);
    ck_assert(rig_carry(&l, &l.client, &l.server));
    ck_assert_int_eq(tls_stream_step(l.server.stream, &l.server.out), TLS_STEP_DONE);
    ck_assert(tls_stream_has_work(l.server.stream));
    ck_assert_int_eq(tls_stream_read(l.server.stream, &l.server.plain, 100, &l.server.out),
                     TLS_READ_WANT_INPUT);
    ck_assert(slice_eq(buf_slice(&l.server.plain), SLICE("EHLO x\r\n")));
    rig_hang_up(&l);
}
END_TEST

/* ---- facts ---------------------------------------------------------------------------------------------- */

START_TEST(facts_of_both_sides)
{
    struct rig_link l = opened(_i ? client12 : client);
    const struct tls_facts *c = tls_stream_facts(l.client.stream);
    const struct tls_facts *s = tls_stream_facts(l.server.stream);
    ck_assert_str_eq(c->version, _i ? "TLSv1.2" : "TLSv1.3");
    ck_assert_str_eq(c->cipher,
                     _i ? "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" : "TLS_AES_128_GCM_SHA256");
    ck_assert_uint_eq(c->cipher_bits, 128);
    ck_assert_str_eq(s->version, c->version);
    ck_assert_str_eq(s->cipher, c->cipher);
    ck_assert(c->done && s->done && !c->resumed && !s->resumed);
    ck_assert_str_eq(s->server_name, "mail.example");
    ck_assert_int_eq(c->verdict.kind, TLS_VERDICT_TRUSTED);
    ck_assert_str_eq(c->peer_subject, "/CN=mail.example");
    ck_assert_mem_eq(c->peer_fingerprint, tls_certificate_fingerprint(rig.ecdsa_pair),
                     TLS_FINGERPRINT_BYTES);
    ck_assert(!s->peer_certificate);
    ck_assert_int_eq(s->verdict.kind, TLS_VERDICT_UNCHECKED);
    ck_assert_int_eq(tls_stream_error(l.client.stream)->kind, TLS_ERROR_NONE);
    /* One flight each, and one step more to learn that there is nothing else. */
    ck_assert_uint_le(l.server.steps, 3);
    ck_assert_uint_le(l.client.steps, 3);
    rig_hang_up(&l);
}
END_TEST

START_TEST(no_name_and_odd_names)
{
    static const struct {
        const char *name, *sni;
    } names[] = {{"", ""},
                 {"192.0.2.1", ""},
                 {"2001:db8::1", ""},
                 {"MAIL.example.", "mail.example"},
                 {"a b", ""}};
    struct tls_context *any = rig_client(
        &(struct tls_client_config){.policy = TLS_POLICY_MAY, .trust = rig.trust});
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        struct rig_link l = rig_connect(any, server, slice_str(names[i].name), NULL);
        rig_run(&l);
        ck_assert(rig_is_open(&l));
        ck_assert_str_eq(tls_stream_facts(l.server.stream)->server_name, names[i].sni);
        ck_assert_int_eq(tls_stream_facts(l.client.stream)->verdict.kind,
                         i == 3 ? TLS_VERDICT_TRUSTED : TLS_VERDICT_WRONG_NAME);
        rig_hang_up(&l);
        /* Who verifies cannot do so without a name. */
        l = rig_connect(client, server, slice_str(names[i].name), NULL);
        rig_run(&l);
        ck_assert(rig_is_open(&l) == (i == 3));
        rig_hang_up(&l);
    }
    tls_context_put(&any);
}
END_TEST

/* ---- ends ------------------------------------------------------------------------------------------------- */

START_TEST(close_notify_both_ways)
{
    struct rig_link l = opened(_i ? client12 : client);
    ck_assert_uint_eq(tls_stream_write(l.client.stream, SLICE("QUIT\r\n"), &l.client.out), 6);
    ck_assert(tls_stream_shutdown(l.client.stream, &l.client.out));
    size_t len = l.client.out.len;
    ck_assert(tls_stream_shutdown(l.client.stream, &l.client.out));
    ck_assert_uint_eq(l.client.out.len, len);
    ck_assert(rig_carry(&l, &l.client, &l.server));
    rig_drive(&l.server);
    ck_assert_int_eq(l.server.read, TLS_READ_CLOSED);
    ck_assert(slice_eq(buf_slice(&l.server.plain), SLICE("QUIT\r\n")));
    tls_stream_eof(l.server.stream);
    ck_assert_int_eq(tls_stream_error(l.server.stream)->kind, TLS_ERROR_NONE);
    /* It may still answer. */
    ck_assert_uint_eq(tls_stream_write(l.server.stream, SLICE("221 bye\r\n"), &l.server.out), 9);
    ck_assert(tls_stream_shutdown(l.server.stream, &l.server.out));
    ck_assert(rig_carry(&l, &l.server, &l.client));
    rig_drive(&l.client);
    ck_assert_int_eq(l.client.read, TLS_READ_CLOSED);
    ck_assert(slice_eq(buf_slice(&l.client.plain), SLICE("221 bye\r\n")));
    rig_hang_up(&l);
}
END_TEST

START_TEST(an_end_without_close_notify_is_a_failure)
{
    struct rig_link l = opened(client);
    tls_stream_eof(l.server.stream);
    ck_assert_int_eq(tls_stream_error(l.server.stream)->kind, TLS_ERROR_TRUNCATED);
    ck_assert_int_eq(tls_stream_read(l.server.stream, &l.server.plain, 1, &l.server.out),
                     TLS_READ_FAILED);
    ck_assert_uint_eq(tls_stream_write(l.server.stream, SLICE("x"), &l.server.out), 0);
    ck_assert(tls_stream_shutdown(l.server.stream, &l.server.out));
    ck_assert_uint_eq(l.server.out.len, 0);
    rig_hang_up(&l);
    l = rig_connect(client, server, SLICE("mail.example"), NULL);
    rig_drive(&l.client);
    tls_stream_eof(l.client.stream);
    tls_stream_eof(l.server.stream);
    ck_assert_int_eq(tls_stream_error(l.client.stream)->kind, TLS_ERROR_TRUNCATED);
    ck_assert_int_eq(tls_stream_error(l.server.stream)->kind, TLS_ERROR_TRUNCATED);
    ck_assert_int_eq(tls_stream_step(l.server.stream, &l.server.out), TLS_STEP_FAILED);
    rig_hang_up(&l);
}
END_TEST

START_TEST(closed_at_any_moment)
{
    for (unsigned moment = 0; moment < 12; moment++) {
        struct rig_link l = rig_connect(client, server, SLICE("mail.example"), NULL);
        l.segment = 97;
        for (unsigned i = 0; i < moment; i++) {
            rig_drive(&l.client);
            (void)rig_carry(&l, &l.client, &l.server);
            rig_drive(&l.server);
            (void)rig_carry(&l, &l.server, &l.client);
        }
        rig_hang_up(&l);
    }
    struct tls_stream *none = NULL;
    tls_stream_close(&none);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls/stream");
    TCase *t = tcase_create("stream");
    tcase_add_unchecked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, any_segmentation, 0, 2 * (int)ARRAY_COUNT(segments));
    tcase_add_loop_test(t, work_is_announced, 0, 2);
    tcase_add_loop_test(t, narrow_output, 0, 2 * (int)ARRAY_COUNT(widths));
    tcase_add_test(t, nothing_is_read_beyond_the_cap);
    tcase_add_test(t, a_full_plain_buffer_holds_the_rest_back);
    tcase_add_test(t, full_output_holds_back);
    tcase_add_test(t, feed_takes_one_record_at_most);
    tcase_add_test(t, data_with_the_finished);
    tcase_add_loop_test(t, facts_of_both_sides, 0, 2);
    tcase_add_test(t, no_name_and_odd_names);
    tcase_add_loop_test(t, close_notify_both_ways, 0, 2);
    tcase_add_test(t, an_end_without_close_notify_is_a_failure);
    tcase_add_test(t, closed_at_any_moment);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
