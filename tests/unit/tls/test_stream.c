/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Two streams against each other in memory: any segmentation, narrow buffers, every way to end.
 */
#include "tests/unit/tls/tls_rig.h"
#include "tls/stream_private.h"

#include <check.h>

static struct rig rig;
static struct tls_context *server, *client, *client12;

static void set_up(void)
{
    rig_init(&rig);
    const struct tls_certificate *certificates[] = {rig.ecdsa_pair, rig.rsa_pair};
    server = rig_server(&(struct tls_server_config){.certificates = certificates, .count = 2});
    client = rig_client(
        &(struct tls_client_config){.policy = TLS_POLICY_VERIFY, .trust = rig.trust});
    client12 = rig_client(&(struct tls_client_config){.policy = TLS_POLICY_VERIFY,
                                                      .trust = rig.trust,
                                                      .versions = TLS_VERSIONS_ONLY_12});
}

static void tear_down(void)
{
    tls_context_put(&server);
    tls_context_put(&client);
    tls_context_put(&client12);
    rig_deinit(&rig);
}

static struct rig_link opened(struct tls_context *c)
{
    struct rig_link l = rig_connect(c, server, SLICE("mail.example"), NULL);
    rig_run(&l);
    ck_assert(rig_is_open(&l));
    return l;
}

static struct slice noise(struct buf *b, size_t n)
{
    struct rng rng;
    rng_init_seed(&rng, n);
    buf_init(b, n + 1);
    for (size_t i = 0; i < n; i++) {
        buf_add_byte(b, (char)rng_u64(&rng));
    }
    return buf_slice(b);
}

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
    ck_assert_uint_eq(tls_stream_write(l.server.stream, SLICE("x"), &l.server.out), 0);
    ck_assert(tls_stream_shutdown(l.server.stream, &l.server.out));
    ck_assert(rig_carry(&l, &l.server, &l.client));
    rig_drive(&l.client);
    ck_assert_int_eq(l.client.read, TLS_READ_CLOSED);
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

/* ---- hostile peers ------------------------------------------------------------------------------------------ */

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
    Suite *s = suite_create("tls/stream");
    TCase *t = tcase_create("stream");
    tcase_add_unchecked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, any_segmentation, 0, 2 * (int)ARRAY_COUNT(segments));
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
    tcase_add_loop_test(t, openings_that_are_refused, 0, (int)ARRAY_COUNT(openings));
    tcase_add_test(t, answers_that_are_refused);
    tcase_add_loop_test(t, a_changed_record_ends_it, 0, 2);
    tcase_add_test(t, renegotiation_ends_it);
    tcase_add_test(t, key_updates_are_answered_but_not_for_ever);
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
