/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * From outcomes to durable results, with a disk that refuses. RLIMIT_FSIZE makes every commit fail the way
 * a failed write does; the log file of the rig loses its lines meanwhile.
 */
#include "core/app/recovered.h"
#include "core/queue/queue.h"
#include "tests/unit/core/queue/rig_mail.h"

#include <sys/resource.h>

static struct rig rig;

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

static void disk_works(bool works)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = works ? limit.rlim_max : 0;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* ---- a disk that refuses ---- */

/* P1: the client of a lost commit is told so, nothing of it stays, and nothing of it comes back. */
START_TEST(a_lost_commit_is_nobodys_mail)
{
    setup(rig_delivered);
    const char *rcpt = "ok@one.test";
    disk_works(false);
    struct queue_message *m = rig_message(&rig, &(struct rig_mail){"a@s.test", &rcpt, 1, 0, 0});
    ck_assert_int_eq(queue_submit(&rig.queue, m, (struct slice){NULL, 0}), SPOOL_APPENDED);
    RIG_UNTIL(&rig, rig.accepted_lost == 1);
    ck_assert_uint_eq(rig.accepted_ok, 0);
    ck_assert_uint_eq(rig.queue.counters.accepted, 0);
    ck_assert_uint_eq(rig_messages(&rig), 0);
    ck_assert_uint_eq(rig.queue.memory_bytes, 0);
    ck_assert_uint_eq(rig.queue.lost_commits, 1);
    disk_works(true);
    RIG_UNTIL(&rig, spool_ready(rig.spool)); /* by itself */
    rig_submit_one(&rig, "a@s.test", "ok@one.test");
    rig_settle(&rig);
    ck_assert_uint_eq(rig.part_count, 1);
    rig_stop(&rig);
    rig_start(&rig, NULL);
    ck_assert_uint_eq(rig.recovery.messages_live, 0);
    teardown();
}
END_TEST

/* P3: delivered, but the result cannot be written: the message is kept until it can, and is never sent
 * again meanwhile. */
START_TEST(a_result_is_written_until_it_is_durable)
{
    setup(NULL);
    rig_submit_one(&rig, "a@s.test", "ok@one.test");
    disk_works(false);
    rig.script = rig_delivered;
    RIG_UNTIL(&rig, rig.queue.lost_commits > 0);
    ck_assert_uint_eq(rig.queue.counters.delivered, 1);
    ck_assert_uint_eq(rig.queue.counters.queued, 0);
    ck_assert_uint_eq(rig_messages(&rig), 1); /* not forgotten */
    ck_assert(!list_empty(&rig.queue.unsaved));
    rig_run_ms(&rig, 100);
    ck_assert_uint_eq(rig.part_count, 1);
    disk_works(true);
    rig_settle(&rig);
    ck_assert_uint_eq(rig.part_count, 1);
    rig_stop(&rig);
    rig_start(&rig, NULL);
    ck_assert_uint_eq(rig.recovery.messages_live, 0);
    teardown();
}
END_TEST

/* The same with a bounce: its report stays with it, and there is one. */
START_TEST(a_report_goes_with_its_result)
{
    setup(NULL);
    rig_submit_one(&rig, "a@s.test", "perm@one.test");
    disk_works(false);
    rig.script = rig_by_name;
    RIG_UNTIL(&rig, rig.queue.lost_commits > 0);
    ck_assert_uint_eq(rig.queue.counters.bounced, 1);
    ck_assert_uint_eq(rig.queue.counters.dsn, 0); /* not before it is durable */
    ck_assert_uint_eq(rig.part_count, 1);
    disk_works(true);
    rig_settle(&rig);
    ck_assert_uint_eq(rig.queue.counters.dsn, 1);
    ck_assert_uint_eq(rig.part_count, 2);
    ck_assert_uint_eq(rig.queue.counters.accepted, 2);
    teardown();
}
END_TEST

/* The patience is over: the engine ends without the result; the next start sends again (P4). */
START_TEST(cut)
{
    setup(NULL);
    rig_submit_one(&rig, "a@s.test", "ok@one.test");
    disk_works(false);
    rig.script = rig_delivered;
    RIG_UNTIL(&rig, rig.queue.lost_commits > 0 && !list_empty(&rig.queue.unsaved));
    ck_assert(!queue_stop(&rig.queue));
    rig_run_ms(&rig, 30);
    ck_assert(!queue_stop(&rig.queue)); /* it waits for as long as it may */
    queue_cut(&rig.queue);
    RIG_UNTIL(&rig, queue_stop(&rig.queue));
    disk_works(true);
    rig_stop(&rig);
    rig_forget_parts(&rig);
    rig_start(&rig, NULL);
    rig_settle(&rig);
    ck_assert_uint_eq(rig.part_count, 1);
    teardown();
}
END_TEST

/* ---- outcomes ---- */

/* Recipients that were deferred together travel together again: one draw of the jitter for all. */
START_TEST(one_delay_for_all_of_an_attempt)
{
    const char *rcpts[] = {"temp1@a.test", "temp2@a.test", "temp3@b.test", "ok@b.test"};
    setup(rig_by_name);
    rig.conf->queue.jitter_percent = 100;
    rig_submit(&rig, &(struct rig_mail){"a@s.test", rcpts, 4, 0, 0});
    RIG_UNTIL(&rig, rig.part_count == 5);
    for (unsigned i = 1; i < 5; i++) {
        ck_assert_uint_eq(rig.parts[i].count, 3);
    }
    rig.script = rig_delivered;
    rig_settle(&rig);
    teardown();
}
END_TEST

START_TEST(the_number_of_attempts_may_be_limited)
{
    setup(rig_by_name);
    rig.conf->queue.max_attempts = 3;
    rig_submit_one(&rig, "a@s.test", "temp@one.test");
    rig_settle(&rig);
    ck_assert_uint_eq(rig.part_count, 4); /* and the report */
    ck_assert_uint_eq(rig.queue.counters.expired, 1);
    ck_assert_uint_eq(rig.queue.counters.deferrals, 3);
    teardown();
}
END_TEST

static struct outcome unknown_first(struct rig *r, const struct queue_part *p, uint32_t rcpt)
{
    if (r->part_count > 1) {
        return rig_delivered(r, p, rcpt);
    }
    struct outcome o = outcome_local(OUTCOME_TEMPORARY, OUTCOME_CONNECTION, OUTCOME_STAGE_FINAL_DOT,
                                     (struct enhanced){4, 4, 2}, SLICE("connection lost"));
    o.unknown = true;
    return o;
}

/* P4: where a copy may have arrived, it is counted and said. */
START_TEST(unknown_outcomes_are_counted)
{
    setup(unknown_first);
    rig_submit_one(&rig, "a@s.test", "x@one.test");
    rig_settle(&rig);
    ck_assert_uint_eq(rig.queue.counters.unknown, 1);
    ck_assert_uint_eq(rig.queue.counters.delivered, 1);
    ck_assert_uint_eq(rig.part_count, 2);
    rig_stop(&rig);
    ck_assert_uint_eq(rig_log_count(&rig, "\"outcome_unknown\":true"), 1);
    rig_remove(&rig);
}
END_TEST

/* Issue 2, 7: one line per recipient and attempt, with the far end's words. */
START_TEST(what_the_log_says)
{
    static const struct {
        const char *text;
        unsigned count;
    } rows[] = {
        {"\"event\":\"delivered\"", 3}, /* ok, and two reports */
        {"\"event\":\"deferred\"", 1},
        {"\"event\":\"expired\"", 1},
        {"\"event\":\"bounced\"", 1},
        {"\"event\":\"dsn\"", 2},
        {"\"event\":\"dsn_dropped\"", 0},
        {"\"to\":\"perm@one.test\",\"attempt\":1,", 1},
        {"\"to\":\"temp@one.test\",\"attempt\":2,", 1},
        {"\"code\":550,\"status\":\"5.1.1\",\"reply\":\"no such user here\"", 1},
        {"\"code\":451,\"status\":\"4.7.1\",\"reply\":\"come back later\"", 2},
        {"\"peer\":\"192.0.2.1\",\"peer_name\":\"mx.example.test\",\"stage\":\"rcpt\"", 6},
        {"\"next_attempt_seconds\":", 1},
    };
    const char *rcpts[] = {"ok@one.test", "temp@one.test", "perm@one.test"};
    setup(rig_by_name);
    rig.conf->queue.max_attempts = 2;
    rig_submit(&rig, &(struct rig_mail){"a@s.test", rcpts, 3, MAIL_NOTIFY_FAILURE, 0});
    rig_settle(&rig);
    rig_stop(&rig);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        ck_assert_msg(rig_log_count(&rig, rows[i].text) == rows[i].count, "%s: %u", rows[i].text,
                      rig_log_count(&rig, rows[i].text));
    }
    rig_remove(&rig);
}
END_TEST

/* A full batch: as many recipients as one transaction may have, one frame, one report. */
START_TEST(a_hundred_bounces_one_report)
{
    static char names[LIMIT_RECIPIENTS_PER_TRANSACTION][32];
    const char *rcpts[LIMIT_RECIPIENTS_PER_TRANSACTION];
    for (unsigned i = 0; i < ARRAY_COUNT(names); i++) {
        snprintf(names[i], sizeof(names[i]), "perm%u@one.test", i);
        rcpts[i] = names[i];
    }
    setup(rig_by_name);
    rig_submit(&rig, &(struct rig_mail){"a@s.test", rcpts, ARRAY_COUNT(names), 0, 0});
    rig_settle(&rig);
    ck_assert_uint_eq(rig.queue.counters.bounced, 100);
    ck_assert_uint_eq(rig.queue.counters.dsn, 1);
    for (unsigned i = 0; i < ARRAY_COUNT(names); i++) {
        ck_assert_ptr_nonnull(strstr(rig.parts[1].body, names[i]));
    }
    ck_assert_ptr_nonnull(strstr(rig.parts[1].body, "Remote-MTA: dns; mx.example.test"));
    teardown();
}
END_TEST

/* ---- the log ---- */

START_TEST(hints_name_the_keys)
{
    struct conf_relay_host host = {.name = SLICE("a.example")};
    struct conf conf = {.workers = 1};
    ck_assert(queue_hint(&conf, OUTCOME_WANTS_NOTHING).len == 0);
    ck_assert(slice_eq(queue_hint(&conf, OUTCOME_WANTS_TLS), SLICE("set delivery.tls")));
    conf.relay.host = (struct conf_relay_hosts){&host, 1};
    ck_assert(slice_eq(queue_hint(&conf, OUTCOME_WANTS_TLS), SLICE("set relay.tls")));
    ck_assert(slice_eq(queue_hint(&conf, OUTCOME_WANTS_LOGIN),
                       SLICE("set relay.username and relay.password")));
    conf.relay.username = SLICE("me");
    ck_assert(slice_eq(queue_hint(&conf, OUTCOME_WANTS_LOGIN),
                       SLICE("check relay.username, relay.password and relay.auth_hosts")));
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_lost_commit_is_nobodys_mail,   a_result_is_written_until_it_is_durable,
        a_report_goes_with_its_result,   cut,
        one_delay_for_all_of_an_attempt, the_number_of_attempts_may_be_limited,
        unknown_outcomes_are_counted,    what_the_log_says,
        a_hundred_bounces_one_report,    hints_name_the_keys};
    return testing_run("core/queue/result", tests, ARRAY_COUNT(tests));
}
