/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a message's class, tenant, campaign and times do in the queue, and that they survive.
 */
#include "core/app/recovered.h"
#include "core/queue/queue.h"
#include "tests/unit/core/queue/crash.h"

static struct rig rig;

static uint32_t now_s(void)
{
    return (uint32_t)(io_now(rig.io)->wall_us / 1000000);
}

static struct queue_message *make(const char *rcpt, const struct attributes *a, uint64_t age_ms)
{
    uint64_t wall_us = io_now(rig.io)->wall_us;
    struct queue_message_init init = {
        .id = queue_next_id(&rig.queue, wall_us),
        .arrival_us = wall_us - age_ms * 1000,
        .sender = SLICE("a@sender.test"),
        .rcpt_count = 1,
        .rcpt_bytes = slice_str(rcpt).len,
        .attributes = a,
    };
    struct queue_message *m = queue_message_new(&rig.queue, &init);
    ck_assert_ptr_nonnull(m);
    queue_message_add_rcpt(m, slice_str(rcpt), (struct slice){NULL, 0}, 0);
    m->header_bytes = SLICE(RIG_HEADERS).len;
    m->submitter = (struct handle){77, 1};
    return m;
}

static uint64_t submit(const char *rcpt, const struct attributes *a)
{
    struct queue_message *m = make(rcpt, a, 0);
    rig_give(&rig, m, SLICE(RIG_BODY));
    return rig_submit_message(&rig, m, (struct slice){NULL, 0});
}

static void setup(rig_script *script)
{
    rig_init(&rig);
    rig.script = script;
    rig_start(&rig, NULL);
}

static void teardown(void)
{
    rig_stop(&rig);
    rig_remove(&rig);
}

/* Classes are strict; within one, tenants take turns, and campaigns within a tenant. */
START_TEST(who_is_next)
{
    static const struct {
        const char *rcpt;
        struct attributes a;
    } rows[] = {
        {"bulk-a1@x.test", {.priority = CONF_PRIORITY_BULK, .tenant = SLICE_INIT("a")}},
        {"bulk-a2@x.test", {.priority = CONF_PRIORITY_BULK, .tenant = SLICE_INIT("a")}},
        {"bulk-a3@x.test", {.priority = CONF_PRIORITY_BULK, .tenant = SLICE_INIT("a")}},
        {"bulk-b1@x.test", {.priority = CONF_PRIORITY_BULK, .tenant = SLICE_INIT("b")}},
        {"normal-x1@x.test", {.tenant = SLICE_INIT("a"), .campaign = SLICE_INIT("x")}},
        {"normal-x2@x.test", {.tenant = SLICE_INIT("a"), .campaign = SLICE_INIT("x")}},
        {"normal-y1@x.test", {.tenant = SLICE_INIT("a"), .campaign = SLICE_INIT("y")}},
        {"urgent@x.test", {.priority = CONF_PRIORITY_URGENT, .tenant = SLICE_INIT("b")}},
    };
    static const char *const want[] = {"urgent@x.test",    "normal-x1@x.test", "normal-y1@x.test",
                                       "normal-x2@x.test", "bulk-a1@x.test",   "bulk-b1@x.test",
                                       "bulk-a2@x.test",   "bulk-a3@x.test"};
    setup(NULL);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        submit(rows[i].rcpt, &rows[i].a);
    }
    ck_assert_uint_eq(rig.queue.labels.count, 4);
    rig_turn(&rig);
    rig.script = rig_delivered;
    rig_settle(&rig);
    ck_assert_uint_eq(rig.part_count, ARRAY_COUNT(want));
    for (size_t i = 0; i < ARRAY_COUNT(want); i++) {
        ck_assert_str_eq(rig.parts[i].first, want[i]);
    }
    ck_assert_uint_eq(rig.queue.labels.count, 0);
    rig_stop(&rig);
    ck_assert_uint_eq(rig_log_lines(&rig, "\"delivered\"", "\"campaign\":\"y\""), 1);
    rig_remove(&rig);
}
END_TEST

static const struct attributes everything = {
    .priority = CONF_PRIORITY_BULK,
    .by = ATTRIBUTES_BY_NOTIFY | ATTRIBUTES_BY_TRACE,
    .not_before_s = 4000000000,
    .expire_s = 4000000001,
    .notify_s = 4000000002,
    .tenant = SLICE_INIT("acme"),
    .campaign = SLICE_INIT("spring"),
};

static void assert_everything(struct rig *r, uint64_t id)
{
    struct attributes a;
    struct queue_message *m = crash_find(&r->queue, id);
    ck_assert_ptr_nonnull(m);
    queue_message_attributes(m, &a);
    ck_assert_int_eq((int)a.priority, (int)everything.priority);
    ck_assert_uint_eq(a.by, everything.by);
    ck_assert_uint_eq(a.not_before_s, everything.not_before_s);
    ck_assert_uint_eq(a.expire_s, everything.expire_s);
    ck_assert_uint_eq(a.notify_s, everything.notify_s);
    ck_assert(slice_eq(a.tenant, SLICE("acme")) && slice_eq(a.campaign, SLICE("spring")));
    ck_assert_uint_eq(m->rcpts[0].due_ms, 4000000000000);
}

START_TEST(they_survive_restarts)
{
    setup(rig_delivered);
    uint64_t id = submit("ok@one.test", &everything);
    for (unsigned i = 0; i < 3; i++) {
        rig_run_ms(&rig, 30);
        ck_assert_uint_eq(rig.part_count, 0);
        assert_everything(&rig, id);
        rig_stop(&rig);
        rig_start(&rig, NULL);
        ck_assert_uint_eq(rig.recovery.messages_live, 1);
    }
    assert_everything(&rig, id);
    teardown();
}
END_TEST

/* The message moves to another segment and is found there after a kill. */
START_TEST(they_survive_compaction)
{
    static struct rig after;
    rig_init(&rig);
    rig.keeps_messages = true;
    rig.script = rig_delivered;
    rig_start(&rig, NULL);
    uint64_t id = submit("ok@one.test", &everything);
    struct queue_message *m = crash_find(&rig.queue, id);
    uint64_t segment = m->ref.segment;
    const char *rcpt = "ok@one.test";
    for (unsigned i = 0; i < 40; i++) {
        rig_submit_big(&rig, &(struct rig_mail){"a@s.test", &rcpt, 1, 0, 0}, 0, 100000);
        rig_forget_parts(&rig);
    }
    RIG_UNTIL(&rig, m->ref.segment > segment && !rig.queue.compaction);
    assert_everything(&rig, id);
    rig_init(&after);
    crash_copy(&rig, &after);
    after.script = NULL;
    teardown();
    rig_start(&after, NULL);
    assert_everything(&after, id);
    rig_stop(&after);
    rig_remove(&after);
}
END_TEST

START_TEST(not_before_its_time)
{
    setup(rig_delivered);
    uint32_t at = now_s() + 2;
    submit("ok@one.test", &(struct attributes){.not_before_s = at});
    submit("now@one.test", NULL);
    RIG_UNTIL(&rig, rig.part_count == 1);
    ck_assert_str_eq(rig.parts[0].first, "now@one.test");
    RIG_UNTIL(&rig, rig.part_count == 2);
    ck_assert_uint_ge(rig.parts[1].at_ms, (uint64_t)at * 1000);
    rig_settle(&rig);
    teardown();
}
END_TEST

static void order_all(enum queue_action action)
{
    ck_assert(queue_order_start(&rig.queue, &(struct queue_order_init){.action = action,
                                                                       .select = {.all = true}}));
    RIG_UNTIL(&rig, rig.queue.orders.count == 0);
}

/* Neither `queue retry` nor what `queue release` lets go. */
START_TEST(no_order_sends_it_earlier)
{
    setup(rig_delivered);
    uint32_t at = now_s() + 2;
    submit("ok@one.test", &(struct attributes){.not_before_s = at});
    rig_run_ms(&rig, 20);
    order_all(QUEUE_ACT_RETRY);
    order_all(QUEUE_ACT_HOLD);
    order_all(QUEUE_ACT_RELEASE);
    RIG_UNTIL(&rig, rig.part_count == 1);
    ck_assert_uint_ge(rig.parts[0].at_ms, (uint64_t)at * 1000);
    rig_settle(&rig);
    teardown();
}
END_TEST

/* queue.max_age begins when it may be sent. */
START_TEST(what_was_held_long_has_its_time)
{
    setup(rig_temporary);
    struct attributes a = {.not_before_s = now_s()};
    struct queue_message *m = make("temp@one.test", &a, 10ull * 24 * 3600 * 1000);
    rig_give(&rig, m, SLICE(RIG_BODY));
    rig_submit_message(&rig, m, (struct slice){NULL, 0});
    RIG_UNTIL(&rig, rig.queue.counters.deferrals >= 2);
    ck_assert_uint_eq(rig.queue.counters.expired, 0);
    ck_assert_uint_eq(rig.queue.counters.dsn, 0); /* nor is it late */
    teardown();
}
END_TEST

/* Whose recipients get a temporary failure, and reports are taken. */
static struct outcome only_reports(struct rig *r, const struct queue_part *p, uint32_t rcpt)
{
    return p->message->flags & QUEUE_MSG_DSN ? rig_delivered(r, p, rcpt)
                                             : rig_temporary(r, p, rcpt);
}

static const char *report(void)
{
    for (unsigned i = 0; i < rig.part_count; i++) {
        if (rig.parts[i].body) {
            return rig.parts[i].body;
        }
    }
    ck_abort_msg("no report");
    return "";
}

static void order(enum queue_action action, const char *domain)
{
    struct queue_order_init init = {.action = action};
    ck_assert(slice_to_cstr(slice_str(domain), init.select.domain, sizeof(init.select.domain)));
    ck_assert(queue_order_start(&rig.queue, &init));
}

/* Its time goes on while nothing may be attempted for it; what somebody holds waits for him. */
START_TEST(it_expires_while_it_is_suspended)
{
    setup(only_reports);
    struct queue_suspension s = {.since_ms = 1};
    struct buf value;
    buf_init(&value, 64);
    queue_suspension_encode(&s, &value);
    struct spool_memo memo = {.kind = QUEUE_MEMO_SUSPEND,
                              .key = SLICE("domain:one.test"),
                              .value = buf_slice(&value)};
    ck_assert(queue_suspend_apply(&rig.queue, &memo));
    buf_deinit(&value);
    rig.schedule[0] = 60 * 60 * 1000;
    uint32_t at = now_s() + 2;
    submit("temp@one.test", &(struct attributes){.expire_s = at}); /* not attempted at all */
    submit("temp@one.test", &(struct attributes){0});
    submit("temp@held.test", &(struct attributes){.expire_s = at});
    RIG_UNTIL(&rig, rig.queue.counters.deferrals == 1);
    order(QUEUE_ACT_HOLD, "held.test");
    RIG_UNTIL(&rig, rig.queue.counters.expired == 1 && rig.queue.counters.delivered == 1);
    ck_assert_uint_ge(io_now(rig.io)->wall_us, (uint64_t)at * 1000000);
    ck_assert_ptr_nonnull(strstr(report(), "Status: 5.4.7"));
    ck_assert_uint_eq(rig.queue.counters.queued, 2);
    ck_assert_uint_eq(rig.part_count, 2); /* that of the one before it was held, and the report */
    order(QUEUE_ACT_RELEASE, "held.test");
    RIG_UNTIL(&rig, rig.queue.counters.expired == 2);
    teardown();
}
END_TEST

/* It ends at its time without an attempt then, and its sender is told what the last one said. */
START_TEST(it_expires)
{
    setup(only_reports);
    uint32_t at = now_s() + 2;
    submit("temp@one.test", &(struct attributes){.expire_s = at});
    RIG_UNTIL(&rig, rig.queue.counters.expired == 1 && rig_messages(&rig) == 0);
    for (unsigned i = 0; i < rig.part_count; i++) {
        ck_assert(rig.parts[i].body || rig.parts[i].at_ms < (uint64_t)at * 1000);
    }
    ck_assert_uint_ge(io_now(rig.io)->wall_us, (uint64_t)at * 1000000);
    ck_assert_ptr_nonnull(strstr(report(), "Status: 5.4.7"));
    ck_assert_ptr_nonnull(strstr(report(), "Action: failed"));
    ck_assert_ptr_nonnull(strstr(report(), "the last attempt ended with"));
    ck_assert_ptr_null(strstr(report(), "Deliver-By-Date")); /* of DELIVERBY only */
    rig_stop(&rig);
    ck_assert_uint_eq(rig_log_lines(&rig, "\"expired\"", "\"5.4.7\""), 1);
    rig_remove(&rig);
}
END_TEST

/* It waits for a connection, and when there is one it is too late. */
START_TEST(it_expires_while_it_waits_for_a_connection)
{
    setup(NULL);
    submit("late@one.test", &(struct attributes){.expire_s = now_s() + 1});
    submit("other@one.test", NULL);
    rig_run_ms(&rig, 1100);
    ck_assert_uint_eq(rig.queue.counters.queued, 2);
    rig.script = rig_delivered;
    rig_settle(&rig);
    ck_assert_uint_eq(rig.queue.counters.expired, 1);
    ck_assert_uint_eq(rig.queue.counters.delivered, 2); /* the other one, and the report */
    ck_assert_str_eq(rig.parts[0].first, "other@one.test");
    ck_assert_ptr_nonnull(strstr(report(), "5.4.7 delivery time expired"));
    teardown();
}
END_TEST

/* It expired while the engine was not running. */
START_TEST(it_expires_while_we_are_away)
{
    setup(NULL);
    uint32_t at = now_s() + 1;
    submit("late@one.test", &(struct attributes){.expire_s = at});
    rig_stop(&rig);
    while (clock_read().wall_us < (uint64_t)at * 1000000) {
        usleep(20000);
    }
    rig.script = rig_delivered;
    rig_start(&rig, NULL);
    rig_settle(&rig);
    ck_assert_uint_eq(rig.queue.counters.expired, 1);
    teardown();
}
END_TEST

/* DELIVERBY N: told once, at that time, and tried on. */
START_TEST(late_and_tried_on)
{
    setup(only_reports);
    uint32_t at = now_s() + 2;
    rig.schedule[0] = rig.schedule[1] = rig.schedule[2] = rig.schedule[3] = 60 * 60 * 1000;
    submit("temp@one.test", &(struct attributes){.by = ATTRIBUTES_BY_NOTIFY, .notify_s = at});
    RIG_UNTIL(&rig, rig.queue.counters.dsn == 1 && rig_messages(&rig) == 1);
    ck_assert_uint_ge(io_now(rig.io)->wall_us, (uint64_t)at * 1000000);
    ck_assert_ptr_nonnull(strstr(report(), "Action: delayed"));
    ck_assert_ptr_nonnull(strstr(report(), "\r\nDeliver-By-Date: "));
    ck_assert_uint_eq(rig.queue.counters.queued, 1);
    teardown();
}
END_TEST

/* DELIVERBY …T: each relay is reported, whatever the next host does. */
START_TEST(a_trace_reports_the_relay)
{
    setup(rig_delivered);
    rig.peer_has_dsn = true;
    submit("ok@one.test", &(struct attributes){.by = ATTRIBUTES_BY_RETURN | ATTRIBUTES_BY_TRACE,
                                               .expire_s = now_s() + 60});
    RIG_UNTIL(&rig, rig.queue.counters.dsn == 1 && rig_messages(&rig) == 0);
    ck_assert_ptr_nonnull(strstr(report(), "Action: relayed"));
    teardown();
}
END_TEST

/* DELIVERBY N: who does not know it cannot tell that it is late; the sender hears that from us. */
START_TEST(who_cannot_tell_that_it_is_late)
{
    setup(rig_delivered);
    struct attributes notify = {.by = ATTRIBUTES_BY_NOTIFY, .notify_s = now_s() + 60};
    rig.peer_has_dsn = rig.peer_has_deliverby = true;
    submit("ok@one.test", &notify);
    RIG_UNTIL(&rig, rig.queue.counters.delivered == 1 && rig_messages(&rig) == 0);
    ck_assert_uint_eq(rig.queue.counters.dsn, 0);
    rig.peer_has_deliverby = false;
    submit("ok@one.test", &notify);
    RIG_UNTIL(&rig, rig.queue.counters.dsn == 1 && rig_messages(&rig) == 0);
    ck_assert_ptr_nonnull(strstr(report(), "Action: relayed"));
    teardown();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core/queue/attributes");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, who_is_next);
    tcase_add_test(t, they_survive_restarts);
    tcase_add_test(t, they_survive_compaction);
    tcase_add_test(t, not_before_its_time);
    tcase_add_test(t, no_order_sends_it_earlier);
    tcase_add_test(t, what_was_held_long_has_its_time);
    tcase_add_test(t, it_expires);
    tcase_add_test(t, it_expires_while_it_waits_for_a_connection);
    tcase_add_test(t, it_expires_while_we_are_away);
    tcase_add_test(t, it_expires_while_it_is_suspended);
    tcase_add_test(t, late_and_tried_on);
    tcase_add_test(t, a_trace_reports_the_relay);
    tcase_add_test(t, who_cannot_tell_that_it_is_late);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
