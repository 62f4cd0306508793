/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The whole life of messages against a real spool; the connections are scripts (rig.h).
 */
#include "core/app/recovered.h"
#include "core/queue/queue.h"
#include "tests/unit/core/queue/rig_mail.h"

static struct rig rig;

static void setup(const char *const *sets)
{
    rig_init(&rig);
    rig_start(&rig, sets);
}

static void teardown(void)
{
    rig_stop(&rig);
    rig_remove(&rig);
}

START_TEST(delivered_is_forgotten)
{
    setup(NULL);
    rig_submit_one(&rig, "a@sender.test", "ok@one.test");
    rig_settle(&rig);
    const struct queue_counters *c = &rig.queue.counters;
    ck_assert_uint_eq(c->accepted, 1);
    ck_assert_uint_eq(c->delivered, 1);
    ck_assert_uint_eq(c->dsn, 0);
    ck_assert_uint_eq(rig.part_count, 1);
    ck_assert_str_eq(rig.parts[0].first, "ok@one.test");
    rig_stop(&rig);
    ck_assert_uint_eq(rig_log_count(&rig, "\"event\":\"delivered\""), 1);
    rig_start(&rig, NULL); /* and stays so */
    ck_assert_uint_eq(rig.recovery.messages_live, 0);
    ck_assert_uint_eq(rig.queue.counters.queued, 0);
    teardown();
}
END_TEST

static unsigned succeed_at;

static struct outcome temporary_until(struct rig *r, const struct queue_part *p, uint32_t rcpt)
{
    ck_assert_uint_eq(p->message->rcpts[rcpt].attempts, r->part_count - 1);
    return r->part_count < succeed_at ? rig_temporary(r, p, rcpt) : rig_delivered(r, p, rcpt);
}

/* Attempts come schedule[n] apart, the last one repeats; between them the body is not in memory. */
START_TEST(temporary_is_tried_again_by_the_schedule)
{
    setup(NULL);
    succeed_at = 7;
    rig.script = temporary_until;
    rig_submit_one(&rig, "a@sender.test", "temp@one.test");
    RIG_UNTIL(&rig, rig.part_count == 1);
    ck_assert_uint_eq(rig.queue.memory_bytes, 0);
    ck_assert_uint_eq(rig.queue.counters.queued, 1);
    rig_settle(&rig);
    static const uint64_t waits[] = {30, 60, 90, 120, 120, 120};
    ck_assert_uint_eq(rig.part_count, 7);
    for (size_t i = 0; i < ARRAY_COUNT(waits); i++) {
        uint64_t waited = rig.parts[i + 1].at_ms - rig.parts[i].at_ms;
        ck_assert_msg(waited >= waits[i] * 99 / 100 - 1 && waited < waits[i] + 1000,
                      "wait %zu was %lu ms", i, (unsigned long)waited);
    }
    ck_assert_uint_eq(rig.queue.counters.deferrals, 6);
    ck_assert_uint_eq(rig.queue.counters.delivered, 1);
    ck_assert_uint_eq(rig.queue.counters.dsn, 0);
    teardown();
}
END_TEST

/* P2: one report, to the sender, from nobody, and it is a message like any other. */
START_TEST(permanent_bounces_once)
{
    setup(NULL);
    rig.script = rig_by_name;
    const char *rcpts[] = {"perm1@one.test", "ok@one.test", "perm2@two.test"};
    rig_submit(&rig, &(struct rig_mail){"a@sender.test", rcpts, 3, 0, 0});
    rig_settle(&rig);
    const struct queue_counters *c = &rig.queue.counters;
    ck_assert_uint_eq(c->bounced, 2);
    ck_assert_uint_eq(c->delivered, 2); /* ok@one.test and the report */
    ck_assert_uint_eq(c->accepted, 4);
    ck_assert_uint_eq(c->dsn, 1);
    ck_assert_uint_eq(rig.part_count, 2);
    const struct rig_part *report = &rig.parts[1];
    ck_assert_str_eq(report->sender, "");
    ck_assert_str_eq(report->first, "a@sender.test");
    ck_assert_uint_ne(report->flags & QUEUE_MSG_DSN, 0);
    ck_assert_ptr_nonnull(report->body);
    static const char *const wanted[] = {"perm1@one.test",
                                         "perm2@two.test",
                                         "Action: failed",
                                         "Status: 5.1.1",
                                         "no such user here",
                                         "Subject: hello",
                                         "Original-Envelope-Id: env-1",
                                         "the body"};
    for (size_t i = 0; i < ARRAY_COUNT(wanted); i++) {
        ck_assert_msg(strstr(report->body, wanted[i]) != NULL, "no %s in\n%s", wanted[i],
                      report->body);
    }
    ck_assert_ptr_null(strstr(report->body, "ok@one.test"));
    teardown();
}
END_TEST

/* After a retry the body is on disk only: the report still quotes it. */
static struct outcome temporary_then_permanent(struct rig *r, const struct queue_part *p,
                                               uint32_t rcpt)
{
    return p->message->flags & QUEUE_MSG_DSN  ? rig_delivered(r, p, rcpt)
           : p->message->rcpts[rcpt].attempts ? rig_permanent(r, p, rcpt)
                                              : rig_temporary(r, p, rcpt);
}

START_TEST(a_report_quotes_what_is_on_disk)
{
    setup(NULL);
    rig.script = temporary_then_permanent;
    rig_submit_one(&rig, "a@sender.test", "x@one.test");
    rig_settle(&rig);
    ck_assert_uint_eq(rig.part_count, 3);
    ck_assert_ptr_nonnull(rig.parts[2].body);
    ck_assert_ptr_nonnull(strstr(rig.parts[2].body, "Subject: hello"));
    ck_assert_ptr_nonnull(strstr(rig.parts[2].body, ".a dot\r\nthe body"));
    ck_assert_uint_eq(rig.queue.counters.dsn, 1);
    teardown();
}
END_TEST

START_TEST(who_gets_a_report)
{
    static const struct {
        const char *sender, *rcpt;
        uint8_t notify;
        bool peer_has_dsn;
        unsigned reports, dropped;
    } rows[] = {
        {"", "perm@one.test", 0, false, 0, 0},
        {"", "perm@one.test", MAIL_NOTIFY_FAILURE, false, 0, 0},
        {"a@s.test", "perm@one.test", MAIL_NOTIFY_NEVER, false, 0, 0},
        {"a@s.test", "perm@one.test", MAIL_NOTIFY_DELAY, false, 0, 0},
        {"a@s.test", "perm@one.test", MAIL_NOTIFY_FAILURE, false, 1, 0},
        {"a@s.test", "ok@one.test", MAIL_NOTIFY_FAILURE, false, 0, 0},
        {"a@s.test", "ok@one.test", MAIL_NOTIFY_SUCCESS, false, 1, 0}, /* RFC 3461 5.2.2: relayed */
        {"a@s.test", "ok@one.test", MAIL_NOTIFY_SUCCESS, true, 0, 0},  /* the next hop's duty */
        {"a@s.test", "ok@one.test", 0, false, 0, 0},
    };
    setup(NULL);
    rig.script = rig_by_name;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        uint64_t before = rig.queue.counters.dsn;
        rig.peer_has_dsn = rows[i].peer_has_dsn;
        rig_forget_parts(&rig);
        rig_submit(&rig, &(struct rig_mail){rows[i].sender, &rows[i].rcpt, 1, rows[i].notify, 0});
        rig_settle(&rig);
        ck_assert_msg(rig.queue.counters.dsn - before == rows[i].reports, "row %zu", i);
        ck_assert_msg(rig.part_count == 1 + rows[i].reports, "row %zu", i);
    }
    teardown();
}
END_TEST

START_TEST(a_report_that_fails_makes_no_report)
{
    setup(NULL);
    rig.script = rig_permanent;
    rig_submit_one(&rig, "perm@sender.test", "perm@one.test");
    rig_settle(&rig);
    ck_assert_uint_eq(rig.part_count, 2);
    ck_assert_uint_eq(rig.queue.counters.dsn, 1);
    ck_assert_uint_eq(rig.queue.counters.dsn_dropped, 1);
    ck_assert_uint_eq(rig.queue.counters.bounced, 2);
    teardown();
}
END_TEST

START_TEST(old_mail_expires_with_a_report)
{
    setup(NULL);
    rig.schedule[0] = 300; /* slow enough for a machine that is busy elsewhere */
    rig.schedule[1] = 600;
    rig.schedule[2] = 900;
    rig.conf->queue.max_age_ms = 1500;
    rig.script = rig_by_name;
    rig_submit_one(&rig, "a@sender.test", "temp@one.test");
    rig_settle(&rig);
    const struct queue_counters *c = &rig.queue.counters;
    ck_assert_uint_eq(c->expired, 1);
    ck_assert_uint_eq(c->bounced, 0);
    ck_assert_uint_eq(c->dsn, 1);
    ck_assert_uint_eq(c->delivered, 1);
    /* 0, 300, 900, and the last attempt at the very end of its life; then the report. */
    ck_assert_uint_eq(rig.part_count, 5);
    ck_assert_uint_ge(rig.parts[3].at_ms - rig.parts[0].at_ms, 1000);
    ck_assert_ptr_nonnull(strstr(rig.parts[4].body, "come back later"));
    teardown();
}
END_TEST

START_TEST(delay_is_told_once)
{
    setup(NULL);
    rig.conf->dsn.delay_after_ms = 60;
    succeed_at = 8;
    rig.script = rig_by_name;
    const char *rcpts[] = {"temp1@one.test", "temp2@one.test"};
    rig_submit(&rig, &(struct rig_mail){"a@sender.test", rcpts, 2, 0, 0});
    RIG_UNTIL(&rig, rig.queue.counters.deferrals >= 12);
    ck_assert_uint_eq(rig.queue.counters.dsn, 1);
    unsigned reports = 0;
    for (unsigned i = 0; i < rig.part_count; i++) {
        if (rig.parts[i].flags & QUEUE_MSG_DSN) {
            reports++;
            ck_assert_ptr_nonnull(strstr(rig.parts[i].body, "Action: delayed"));
            ck_assert_ptr_nonnull(strstr(rig.parts[i].body, "temp1@one.test"));
            ck_assert_ptr_nonnull(strstr(rig.parts[i].body, "temp2@one.test"));
        }
    }
    ck_assert_uint_eq(reports, 1);
    rig.script = rig_delivered;
    rig_settle(&rig);
    teardown();
}
END_TEST

/* NOTIFY=FAILURE alone: no report of delay (RFC 3461 4.1). */
START_TEST(delay_is_not_told_to_who_does_not_want_it)
{
    setup(NULL);
    rig.conf->dsn.delay_after_ms = 20;
    rig.script = rig_by_name;
    const char *rcpts[] = {"temp1@one.test"};
    rig_submit(&rig, &(struct rig_mail){"a@s.test", rcpts, 1, MAIL_NOTIFY_FAILURE, 0});
    RIG_UNTIL(&rig, rig.queue.counters.deferrals >= 4);
    ck_assert_uint_eq(rig.queue.counters.dsn, 0);
    rig.script = rig_delivered;
    rig_settle(&rig);
    teardown();
}
END_TEST

START_TEST(many_recipients_go_in_parts)
{
    static const struct {
        uint32_t rcpts, cap, parts[4];
    } rows[] = {{1, 100, {1}},
                {100, 100, {100}},
                {101, 100, {100, 1}},
                {250, 100, {100, 100, 50}},
                {7, 3, {3, 3, 1}}};
    static char names[250][32];
    const char *rcpts[250];
    for (unsigned i = 0; i < 250; i++) {
        snprintf(names[i], sizeof(names[i]), "ok%u@d%u.test", i,
                 i % 5); /* many domains, one smarthost */
        rcpts[i] = names[i];
    }
    setup(NULL);
    for (size_t k = 0; k < ARRAY_COUNT(rows); k++) {
        rig.conf->delivery.recipients_per_transaction = rows[k].cap;
        rig_set_conf(&rig);
        rig_forget_parts(&rig);
        rig_submit(&rig, &(struct rig_mail){"a@s.test", rcpts, rows[k].rcpts, 0, 0});
        rig_settle(&rig);
        unsigned parts = 0;
        while (parts < 4 && rows[k].parts[parts]) {
            ck_assert_uint_eq(rig.parts[parts].count, rows[k].parts[parts]);
            parts++;
        }
        ck_assert_uint_eq(rig.part_count, parts);
    }
    teardown();
}
END_TEST

/* Delivered, deferred and bounced in one transaction: each recipient goes its own way. */
START_TEST(every_recipient_has_its_own_fate)
{
    setup(NULL);
    rig.script = rig_by_name;
    const char *rcpts[] = {"ok1@a.test", "temp1@a.test", "perm1@b.test", "ok2@b.test"};
    rig_submit(&rig, &(struct rig_mail){"a@s.test", rcpts, 4, 0, 0});
    RIG_UNTIL(&rig, rig.queue.counters.deferrals >= 3);
    ck_assert_uint_eq(rig.queue.counters.queued, 1);
    ck_assert_uint_eq(rig.queue.counters.bounced, 1);
    ck_assert_uint_eq(rig.queue.counters.dsn, 1);
    for (unsigned i = 1; i < rig.part_count; i++) { /* nobody else is ever sent to again: P3 */
        ck_assert_uint_eq(rig.parts[i].count, 1);
        ck_assert(rig.parts[i].flags & QUEUE_MSG_DSN ||
                  strcmp(rig.parts[i].first, "temp1@a.test") == 0);
    }
    rig.script = rig_delivered;
    rig_settle(&rig);
    ck_assert_uint_eq(rig.queue.counters.delivered, 4);
    teardown();
}
END_TEST

START_TEST(ids_always_rise)
{
    setup(NULL);
    uint64_t last = rig.queue.id_last;
    rig.queue.worker = 5;
    for (uint64_t i = 0; i < 100000; i++) {
        /* A clock that jumps; and one that stands still for more ids than a millisecond has. */
        uint64_t wall_ms = i < 50000 ? 1000 + (i % 7 == 0 ? 0 : i / 9) : 9000;
        uint64_t id = queue_next_id(&rig.queue, wall_ms * 1000);
        testing_that(id > last);
        testing_that((id >> 14 & 0xff) == 5); /* two workers never make the same */
        last = id;
    }
    rig.queue.worker = 0;
    teardown();
}
END_TEST

START_TEST(full_and_short_of_memory)
{
    setup(NULL);
    rig.conf->queue.recipients_max = 10;
    rig.conf->limits.memory_bytes = 1000;
    rig.queue.counters.queued = 5;
    ck_assert(!queue_is_full(&rig.queue, 5));
    ck_assert(queue_is_full(&rig.queue, 7));
    rig.queue.counters.queued = 0;
    ck_assert(!queue_memory_short(&rig.queue, 1000));
    ck_assert(queue_memory_short(&rig.queue, 1001));
    /* A body beyond the budget is dropped at the commit and read back for the attempt. */
    rig.conf->limits.memory_bytes = 10;
    rig.script = NULL;
    rig_submit_one(&rig, "a@s.test", "ok@one.test");
    ck_assert_uint_eq(rig.queue.memory_bytes, 0);
    rig.script = rig_delivered;
    rig_settle(&rig);
    teardown();
}
END_TEST

START_TEST(stopping_with_work_left)
{
    setup(NULL);
    rig.script = NULL;
    rig_submit_one(&rig, "a@s.test", "ok1@one.test");
    rig_submit_one(&rig, "a@s.test", "ok2@one.test");
    RIG_UNTIL(&rig, !list_empty(&rig.queue.active_sites));
    rig_stop(&rig); /* ready parts are let go */
    rig.script = rig_delivered;
    rig_start(&rig, NULL);
    ck_assert_uint_eq(rig.recovery.rcpts_queued, 2);
    rig_settle(&rig);
    ck_assert_uint_eq(rig.part_count, 2);
    teardown();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {delivered_is_forgotten,
                            temporary_is_tried_again_by_the_schedule,
                            permanent_bounces_once,
                            a_report_quotes_what_is_on_disk,
                            who_gets_a_report,
                            a_report_that_fails_makes_no_report,
                            old_mail_expires_with_a_report,
                            delay_is_told_once,
                            delay_is_not_told_to_who_does_not_want_it,
                            many_recipients_go_in_parts,
                            every_recipient_has_its_own_fate,
                            ids_always_rise,
                            full_and_short_of_memory,
                            stopping_with_work_left};
    return testing_run("core/queue/queue", tests, ARRAY_COUNT(tests));
}
