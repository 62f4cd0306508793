/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What holds a site up, of a picture of it; how fast it was lately; when it will be through.
 */
#include "core/queue/live.h"
#include "tests/unit/core/base/testing.h"

enum { NOW = 1000000 };

/* Ten ready, all connections in use. */
static struct queue_live picture(void)
{
    return (struct queue_live){.now_ms = NOW,
                               .ready = {[READY_NORMAL] = 10},
                               .granted = 5,
                               .working = 5,
                               .limit = 5,
                               .ramp_limit = UINT32_MAX,
                               .workers = 2,
                               .sent_milli = 2000,
                               .measured = true};
}

static void expect(const struct queue_live *l, enum queue_binding b, uint64_t until_ms)
{
    uint64_t until;
    ck_assert_int_eq(queue_live_binding(l, &until), b);
    ck_assert_uint_eq(until, until_ms);
}

START_TEST(connections_are_what_is_left)
{
    struct queue_live l = picture();
    expect(&l, QUEUE_BINDING_CONNECTIONS, 0);
    l.limit = 10;
    expect(&l, QUEUE_BINDING_ROUND_TRIP, 0);
    l.full = 1;
    expect(&l, QUEUE_BINDING_ROUND_TRIP, 0);
    l.full = 2;
    expect(&l, QUEUE_BINDING_PLACES, 0);
    l.waits_to_connect = true;
    l.connect_ms = NOW + 7;
    expect(&l, QUEUE_BINDING_CONNECTION_RATE, NOW + 7);
    l.waits_for_source = true;
    expect(&l, QUEUE_BINDING_SOURCE, NOW + 7);
    l.waits_for_provider = true;
    expect(&l, QUEUE_BINDING_PROVIDER, NOW + 7);
    l.ramp_limit = 5;
    expect(&l, QUEUE_BINDING_RAMP_UP, 0);
    l.peer_limit = 5;
    expect(&l, QUEUE_BINDING_PEER, 0);
}
END_TEST

START_TEST(rates_come_before_connections)
{
    struct queue_live l = picture();
    l.rests = true;
    l.rests_until_ms = NOW + 5;
    l.rests_for = (struct queue_toll_wait){.by = QUEUE_TOLL_SITE, .rate = BUDGET_MESSAGE_RATE};
    expect(&l, QUEUE_BINDING_MESSAGE_RATE, NOW + 5);
    l.rests_for.rate = BUDGET_BYTE_RATE;
    expect(&l, QUEUE_BINDING_BYTE_RATE, NOW + 5);
    l.rests_for.by = QUEUE_TOLL_PROVIDER;
    expect(&l, QUEUE_BINDING_PROVIDER, NOW + 5);
    l.rests_for.by = QUEUE_TOLL_SOURCE;
    expect(&l, QUEUE_BINDING_SOURCE, NOW + 5);
    l.rests_for.by = QUEUE_TOLL_WARMUP;
    expect(&l, QUEUE_BINDING_WARMUP, NOW + 5);
    ck_assert_uint_eq(queue_live_drain_s(&l), QUEUE_LIVE_UNKNOWN);
    l.back_off_until_ms = NOW + 9;
    expect(&l, QUEUE_BINDING_BACK_OFF, NOW + 9);
    l.suspended = true;
    expect(&l, QUEUE_BINDING_SUSPENDED, 0);
}
END_TEST

START_TEST(an_override_is_named_where_it_binds)
{
    struct queue_live l = picture();
    ck_assert_uint_eq(queue_live_override(&l), 0);
    l.rests = true;
    l.rests_until_ms = NOW + 5;
    l.rests_for = (struct queue_toll_wait){.by = QUEUE_TOLL_BRAKE, .cause = 7};
    expect(&l, QUEUE_BINDING_OVERRIDE, NOW + 5);
    ck_assert_uint_eq(queue_live_override(&l), 7);
    ck_assert_uint_eq(queue_live_drain_s(&l), QUEUE_LIVE_UNKNOWN);
    l.rests_for.by = QUEUE_TOLL_SITE;
    l.limit_milli = 1000;
    expect(&l, QUEUE_BINDING_OVERRIDE, NOW + 5);
    ck_assert_uint_ne(queue_live_drain_s(&l), QUEUE_LIVE_UNKNOWN);
    l = picture();
    l.limit_override = 8;
    expect(&l, QUEUE_BINDING_OVERRIDE, 0);
    ck_assert_uint_eq(queue_live_override(&l), 8);
    for (size_t i = 0; i < READY_CLASSES; i++) {
        l.ready[i] = 0;
    }
    l.assigned = 0;
    l.held = 3;
    l.held_until_ms = NOW + 4;
    l.held_for = (struct queue_toll_wait){.by = QUEUE_TOLL_BRAKE_TENANT, .cause = 9};
    expect(&l, QUEUE_BINDING_OVERRIDE, NOW + 4);
    ck_assert_uint_eq(queue_live_override(&l), 9);
    ck_assert(slice_eq(queue_binding_name(QUEUE_BINDING_OVERRIDE), SLICE("override")));
}
END_TEST

START_TEST(a_tenant_counts_when_nobody_else_may_go)
{
    struct queue_live l = picture();
    l.held = 4;
    l.held_until_ms = NOW + 3;
    l.held_for = (struct queue_toll_wait){.by = QUEUE_TOLL_TENANT, .rate = BUDGET_MESSAGE_RATE};
    expect(&l, QUEUE_BINDING_CONNECTIONS, 0);
    l.ready[READY_NORMAL] = 0;
    expect(&l, QUEUE_BINDING_TENANT, NOW + 3);
    l.held_for.by = QUEUE_TOLL_CAMPAIGN;
    expect(&l, QUEUE_BINDING_CAMPAIGN, NOW + 3);
    l.assigned = 1; /* that one may */
    expect(&l, QUEUE_BINDING_CONNECTIONS, 0);
}
END_TEST

START_TEST(nothing_is_nothing)
{
    struct queue_live l = picture();
    l.ready[READY_NORMAL] = 0;
    expect(&l, QUEUE_BINDING_NOTHING_READY, 0);
    ck_assert_uint_eq(queue_live_drain_s(&l), 0);
    l.back_off_until_ms = NOW; /* over */
    expect(&l, QUEUE_BINDING_NOTHING_READY, 0);
    /* Mail is put off at once, so none is ready. */
    l.back_off_until_ms = NOW + 5;
    expect(&l, QUEUE_BINDING_BACK_OFF, NOW + 5);
    ck_assert_uint_eq(queue_live_drain_s(&l), QUEUE_LIVE_UNKNOWN);
    l.suspended = true;
    expect(&l, QUEUE_BINDING_SUSPENDED, 0);
    ck_assert_uint_eq(queue_live_drain_s(&l), QUEUE_LIVE_UNKNOWN);
}
END_TEST

START_TEST(drain_says_what_it_cannot_know)
{
    struct queue_live l = picture();
    ck_assert_uint_eq(queue_live_drain_s(&l), 5);
    l.measured = false;
    ck_assert_uint_eq(queue_live_drain_s(&l), QUEUE_LIVE_UNKNOWN);
    l.measured = true;
    l.sent_milli = 0;
    ck_assert_uint_eq(queue_live_drain_s(&l), QUEUE_LIVE_UNKNOWN);
    l.rests = true;
    l.rests_for.rate = BUDGET_MESSAGE_RATE;
    l.limit_milli = 500; /* a limit is known before anything was sent */
    ck_assert_uint_eq(queue_live_drain_s(&l), 20);
    l.back_off_until_ms = NOW + 1;
    ck_assert_uint_eq(queue_live_drain_s(&l), QUEUE_LIVE_UNKNOWN);
}
END_TEST

START_TEST(every_binding_has_a_name)
{
    for (int b = 0; b < QUEUE_BINDINGS; b++) {
        ck_assert_uint_gt(queue_binding_name((enum queue_binding)b).len, 0);
    }
}
END_TEST

START_TEST(the_meter_forgets)
{
    struct queue_meter m = {0};
    ck_assert_uint_eq(queue_meter_milli(&m, NOW), 0);
    for (uint64_t t = NOW; t < NOW + 20000; t += 100) {
        queue_meter_add(&m, 2, t); /* 20 per second */
    }
    uint64_t milli = queue_meter_milli(&m, NOW + 20000);
    ck_assert_uint_ge(milli, 19000);
    ck_assert_uint_le(milli, 21000);
    ck_assert_uint_lt(queue_meter_milli(&m, NOW + 24000), milli);
    ck_assert_uint_eq(queue_meter_milli(&m, NOW + 60000), 0);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {connections_are_what_is_left,
                            rates_come_before_connections,
                            a_tenant_counts_when_nobody_else_may_go,
                            an_override_is_named_where_it_binds,
                            nothing_is_nothing,
                            drain_says_what_it_cannot_know,
                            every_binding_has_a_name,
                            the_meter_forgets};
    return testing_run("core/queue/live", tests, ARRAY_COUNT(tests));
}
