/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What is on the disk is the truth: orderly ends, and kills at many moments of the same work.
 */
#include "core/app/recovered.h"
#include "core/queue/queue.h"
#include "tests/unit/core/queue/crash.h"

static struct rig rig;

/* What remains after an end in order: states, attempts and due times; the body comes from the disk. */
START_TEST(a_queue_survives_the_end)
{
    rig_init(&rig);
    rig.schedule[0] = 60 * 60 * 1000;
    rig.script = rig_by_name;
    rig_start(&rig, NULL);
    const char *rcpts[] = {"ok@one.test", "temp1@one.test", "perm@one.test", "temp2@two.test"};
    uint64_t id = rig_submit(&rig, &(struct rig_mail){"a@sender.test", rcpts, 4, 0, 0});
    RIG_UNTIL(&rig, rig.queue.counters.deferrals == 2 && rig.queue.counters.dsn == 1 &&
                        rig_messages(&rig) == 1);
    uint64_t due_ms = crash_find(&rig.queue, id)->rcpts[1].due_ms;
    rig_stop(&rig);
    rig_start(&rig, NULL);
    ck_assert_uint_eq(rig.recovery.rcpts_queued, 2);
    ck_assert_uint_eq(rig.queue.counters.accepted, 2); /* of recovery: what is owed */
    ck_assert_uint_eq(rig.queue.counters.queued, 2);
    struct queue_message *m = crash_find(&rig.queue, id);
    ck_assert_ptr_nonnull(m);
    static const struct {
        uint8_t state, result;
        uint16_t attempts;
    } want[] = {{QUEUE_RCPT_ENDED, SPOOL_RESULT_DELIVERED, 1},
                {QUEUE_RCPT_WAITING, 0, 1},
                {QUEUE_RCPT_ENDED, SPOOL_RESULT_BOUNCED, 1},
                {QUEUE_RCPT_WAITING, 0, 1}};
    for (size_t i = 0; i < ARRAY_COUNT(want); i++) {
        const struct queue_rcpt *r = &m->rcpts[i];
        ck_assert_uint_eq(r->state, want[i].state);
        ck_assert_uint_eq(r->result, want[i].result);
        ck_assert_uint_eq(r->attempts, want[i].attempts);
        ck_assert(slice_eq(r->address, slice_str(rcpts[i])));
    }
    ck_assert_uint_eq(m->rcpts[1].due_ms, due_ms);
    ck_assert_uint_eq(m->rcpts[3].due_ms, due_ms);
    ck_assert(slice_eq(m->envid, SLICE("env-1")));
    ck_assert_ptr_null(m->body);
    ck_assert(timer_armed(&m->timer));
    rig_forget_parts(&rig);
    rig_run_ms(&rig, 50); /* not before its time */
    ck_assert_uint_eq(rig.part_count, 0);
    rig_stop(&rig);
    rig_remove(&rig);
}
END_TEST

/* Due while we were away: at once. */
START_TEST(what_became_due_is_tried_at_once)
{
    rig_init(&rig);
    rig.schedule[0] = 200;
    rig.script = rig_temporary;
    rig_start(&rig, NULL);
    rig_submit_one(&rig, "a@s.test", "temp@one.test");
    RIG_UNTIL(&rig, rig.queue.counters.deferrals == 1);
    uint64_t tried_ms = rig.parts[0].at_ms;
    rig_stop(&rig);
    rig.script = rig_delivered;
    rig_start(&rig, NULL);
    rig_settle(&rig);
    ck_assert_uint_eq(rig.part_count, 2);
    ck_assert_uint_ge(rig.parts[1].at_ms, tried_ms + 198);
    ck_assert_uint_eq(rig.queue.counters.delivered, 1);
    rig_stop(&rig);
    rig_remove(&rig);
}
END_TEST

/* Ids go on above what the spool holds, also when the clock has been set back. */
START_TEST(ids_rise_over_restarts)
{
    uint64_t last = 0;
    rig_init(&rig);
    rig.script = NULL;
    for (unsigned run = 0; run < 3; run++) {
        rig_start(&rig, NULL);
        ck_assert_uint_ge(rig.queue.id_last, last);
        ck_assert_uint_gt(queue_next_id(&rig.queue, 1), last);
        last = rig_submit_one(&rig, "a@s.test", "ok@one.test");
        rig_stop(&rig);
    }
    rig_remove(&rig);
}
END_TEST

/* A report of delay that was sent is not sent again by the next run. */
START_TEST(delay_is_told_once_over_a_restart)
{
    unsigned reports = 0;
    rig_init(&rig);
    rig.script = rig_by_name;
    rig.delay_after_ms = 60;
    for (unsigned run = 0; run < 3; run++) {
        rig_start(&rig, NULL);
        if (run == 0) {
            rig_submit_one(&rig, "a@sender.test", "temp@one.test");
        }
        uint64_t deferrals = rig.queue.counters.deferrals + 4;
        RIG_UNTIL(&rig, rig.queue.counters.deferrals >= deferrals);
        reports += (unsigned)rig.queue.counters.dsn;
        ck_assert_uint_eq(reports, 1);
        rig_stop(&rig);
        rig_forget_parts(&rig);
    }
    rig_remove(&rig);
}
END_TEST

/* ---- kills ---- */

enum { KILLS = 24 };

static void kill_and_look(unsigned nth)
{
    static struct rig after;
    rig_init(&after);
    crash_copy(&rig, &after);
    after.script = NULL; /* only look */
    rig_start(&after, NULL);
    crash_compare(&rig, &after);
    /* And it can go on: everything owed is delivered, each of it once. */
    if (nth % 4 == 0) {
        uint64_t owed = after.queue.counters.queued;
        after.script = rig_delivered;
        rig_settle(&after);
        ck_assert_uint_eq(after.queue.counters.delivered, owed);
        ck_assert_uint_eq(after.queue.counters.accepted, owed);
    }
    rig_stop(&after);
    rig_remove(&after);
}

/* The same work, killed at every turn of it: mail comes in, ends in every way, is tried again. */
START_TEST(a_kill_at_any_turn)
{
    static const char *const rcpts[] = {"ok1@a.test", "temp@a.test", "perm@b.test", "ok2@c.test"};
    rig_init(&rig);
    rig.script = rig_by_name;
    rig_start(&rig, NULL);
    rig.conf->queue.max_age_ms = 400; /* the temporary ones end as well */
    unsigned bounced = 0;
    for (unsigned n = 0; n < KILLS; n++) {
        if (n % 2 == 0) {
            struct rig_mail mail = {n % 6 ? "a@sender.test" : "", rcpts, 1 + n % 4, 0, 0};
            struct queue_message *m = rig_message(&rig, &mail);
            while (queue_submit(&rig.queue, m, (struct slice){NULL, 0}) == SPOOL_WAIT) {
                rig_turn(&rig);
            }
        }
        kill_and_look(n);
        rig_turn(&rig);
        kill_and_look(n + 1);
        bounced += !list_empty(&rig.queue.batches);
        rig_forget_parts(&rig);
    }
    ck_assert_uint_gt(bounced, 2); /* some kills met results on their way */
    rig_settle(&rig);
    ck_assert_uint_gt(rig.queue.counters.expired, 0);
    ck_assert_uint_gt(rig.queue.counters.dsn, 2);
    rig_stop(&rig);
    rig_remove(&rig);
}
END_TEST

/* P2: the report stands in the frame of the result that owes it. However often we are killed around
 * that moment, the sender gets exactly one. */
START_TEST(one_report_over_a_kill)
{
    for (unsigned turns = 0; turns < 8; turns++) {
        static struct rig after;
        rig_init(&rig);
        rig.script = NULL;
        rig_start(&rig, NULL);
        rig_submit_one(&rig, "a@sender.test", "perm@one.test");
        rig.script = rig_by_name;
        for (unsigned i = 0; i < turns; i++) {
            rig_turn(&rig);
        }
        rig_init(&after);
        crash_copy(&rig, &after);
        rig_stop(&rig);
        unsigned before = 0; /* reports that went out before the kill */
        for (unsigned i = 0; i < rig.part_count; i++) {
            before += rig.parts[i].flags & QUEUE_MSG_DSN ? 1 : 0;
        }
        after.script = rig_by_name;
        rig_start(&after, NULL);
        rig_settle(&after);
        unsigned reports = before, repeated = 0;
        for (unsigned i = 0; i < after.part_count; i++) {
            bool report = after.parts[i].flags & QUEUE_MSG_DSN;
            bool known = false;
            for (unsigned k = 0; k < rig.part_count; k++) {
                known = known || (report && rig.parts[k].message == after.parts[i].message);
            }
            reports += report && !known;
            repeated += known; /* sent, but its delivery was not durable: P4 allows that */
        }
        ck_assert_uint_eq(reports, 1);
        ck_assert_uint_le(repeated, 1);
        rig_stop(&after);
        rig_remove(&after);
        rig_remove(&rig);
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {a_queue_survives_the_end, what_became_due_is_tried_at_once,
                            ids_rise_over_restarts,   delay_is_told_once_over_a_restart,
                            a_kill_at_any_turn,       one_report_over_a_kill};
    return testing_run("core/queue/restart", tests, ARRAY_COUNT(tests));
}
