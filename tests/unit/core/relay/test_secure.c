/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Two ends of one connection in memory, whose handshakes stand in one queue.
 */
#include "core/relay/secure.h"
#include "core/io/io.h"
#include "tests/unit/core/base/testing.h"
#include "tests/unit/tls/tls_rig.h"

struct end {
    struct secure tls;
    struct buf plain;
    enum secure_result result;
    unsigned resumed;
};

static struct rig rig;
static struct tls_context *server_context, *client_context;
static struct handshakes turns;
static struct end client, server;

static void end_pump(struct end *e)
{
    do {
        e->result = secure_step(&e->tls, &e->plain, 1000);
    } while (e->result == SECURE_UP || e->result == SECURE_DATA);
}

static void end_on_turn(struct handshake_place *place)
{
    struct end *e = container_of(place, struct end, tls.place);
    e->resumed++;
    end_pump(e);
}

static void end_open(struct end *e, struct tls_context *context, struct slice name)
{
    struct tls_stream_config config = {.context = context,
                                       .wall_us = rig_wall_us(),
                                       .server_name = name};
    struct secure_owner owner = {&turns, end_on_turn, 64 * 1024};
    *e = (struct end){0};
    buf_init(&e->plain, 1 << 20);
    ck_assert(secure_open(&e->tls, &config, &owner));
}

static void set_up(void)
{
    rig_init(&rig);
    const struct tls_certificate *certificates[] = {rig.ecdsa_pair};
    server_context = rig_server(
        &(struct tls_server_config){.certificates = certificates, .count = 1});
    client_context = rig_client(
        &(struct tls_client_config){.policy = TLS_POLICY_VERIFY, .trust = rig.trust});
    handshakes_init(&turns);
    end_open(&client, client_context, SLICE("mail.example"));
    end_open(&server, server_context, (struct slice){0});
}

static void tear_down(void)
{
    secure_close(&client.tls);
    secure_close(&server.tls);
    buf_deinit(&client.plain);
    buf_deinit(&server.plain);
    ck_assert_uint_eq(turns.length, 0);
    tls_context_put(&server_context);
    tls_context_put(&client_context);
    rig_deinit(&rig);
}

/* As a socket would: at most one receive buffer, and none to who waits for its turn. */
static void carry(struct end *from, struct end *to)
{
    ck_assert(!secure_waits_for_turn(&to->tls));
    struct slice part = slice_first(buf_slice(&from->tls.wire), IO_RECV_BUFFER_BYTES);
    ck_assert(secure_feed(&to->tls, part));
    buf_consume(&from->tls.wire, part.len);
}

static void spend_the_turn(void)
{
    handshakes_took(&turns, HANDSHAKES_TURN_US);
}

/* Each flight finds the turn spent: each end waits, is called, goes on where it stood. */
START_TEST(every_flight_waits)
{
    set_up();
    for (unsigned flight = 0; !(client.tls.up && server.tls.up); flight++) {
        struct end *e = flight % 2 ? &server : &client, *other = flight % 2 ? &client : &server;
        ck_assert_uint_lt(flight, 6);
        spend_the_turn();
        end_pump(e);
        ck_assert_int_eq(e->result, SECURE_WANT_TURN);
        ck_assert(secure_waits_for_turn(&e->tls));
        end_pump(e); /* woken by something else */
        ck_assert_int_eq(e->result, SECURE_WANT_TURN);
        ck_assert_uint_eq(e->tls.wire.len, 0);
        ck_assert_uint_eq(turns.length, 1);
        handshakes_run(&turns); /* the turn that is spent ends */
        ck_assert_uint_eq(e->resumed, flight / 2);
        handshakes_run(&turns);
        ck_assert_uint_eq(e->resumed, flight / 2 + 1);
        ck_assert_int_eq(e->result, SECURE_WANT_INPUT);
        carry(e, other);
    }
    ck_assert_uint_eq(turns.counters.flights, turns.counters.waited);
    ck_assert_uint_ge(turns.counters.waited, 3);
    tear_down();
}
END_TEST

/* Who is through waits for no turn: data flows while others shake hands. */
START_TEST(data_does_not_wait)
{
    set_up();
    for (unsigned i = 0; i < 6 && !(client.tls.up && server.tls.up); i++) {
        end_pump(&client);
        carry(&client, &server);
        end_pump(&server);
        carry(&server, &client);
        handshakes_run(&turns);
    }
    end_pump(&client);
    ck_assert(client.tls.up && server.tls.up);
    uint64_t flights = turns.counters.flights;
    spend_the_turn();
    ck_assert_uint_eq(secure_write(&client.tls, SLICE("NOOP\r\n")), 6);
    carry(&client, &server);
    end_pump(&server);
    ck_assert_int_eq(server.result, SECURE_WANT_INPUT);
    ck_assert(slice_eq(buf_slice(&server.plain), SLICE("NOOP\r\n")));
    secure_shutdown(&client.tls);
    carry(&client, &server);
    end_pump(&server);
    ck_assert_int_eq(server.result, SECURE_END);
    ck_assert(server.tls.closed);
    ck_assert_uint_eq(secure_write(&server.tls, SLICE("221\r\n")), 5); /* it may still be told */
    ck_assert_uint_eq(turns.counters.flights, flights);
    tear_down();
}
END_TEST

START_TEST(closed_while_it_waits)
{
    set_up();
    spend_the_turn();
    end_pump(&client);
    ck_assert_uint_eq(turns.length, 1);
    secure_close(&client.tls);
    ck_assert(!secure_is_open(&client.tls));
    ck_assert_uint_eq(turns.length, 0);
    handshakes_run(&turns);
    handshakes_run(&turns);
    ck_assert_uint_eq(client.resumed, 0);
    secure_close(&client.tls); /* twice is as once */
    tear_down();
}
END_TEST

/* A refusal is work of a turn, too, and its alert goes out. */
START_TEST(garbage)
{
    set_up();
    ck_assert(secure_feed(&server.tls, SLICE("EHLO client.example\r\n")));
    spend_the_turn();
    end_pump(&server);
    ck_assert_int_eq(server.result, SECURE_WANT_TURN);
    handshakes_run(&turns);
    handshakes_run(&turns);
    ck_assert_int_eq(server.result, SECURE_FAILED);
    ck_assert_int_eq(secure_error(&server.tls)->kind, TLS_ERROR_NOT_TLS);
    ck_assert_uint_eq(server.tls.wire.len, 7);
    tear_down();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {every_flight_waits, data_does_not_wait, closed_while_it_waits, garbage};
    return testing_run("core/relay/secure", tests, ARRAY_COUNT(tests));
}
