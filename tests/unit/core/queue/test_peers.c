/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Rows of what was learned: how many, and what comes back after a restart.
 */
#include "core/queue/peers.h"
#include "core/app/memo_list.h"
#include "tests/unit/core/queue/rig_mail.h"

static struct rig rig;

static void learn(const char *key)
{
    struct peers_witness w = {SLICE("192.0.2.1"), SLICE("452 4.3.2 too many messages")};
    peers_learn_messages(&rig.queue.peers.table, slice_str(key), 7, &w,
                         io_now(rig.io)->wall_us / 1000);
}

static uint64_t frames(void)
{
    struct spool_stats s;
    RIG_UNTIL(&rig, queue_memo_idle(&rig.queue, false));
    spool_stats(rig.spool, &s);
    return s.frames;
}

static void on_memo(void *ctx, const struct spool_memo *memo)
{
    ck_assert(memo_list_add(ctx, memo));
}

static void on_message(void *ctx, unsigned worker, const struct spool_recovered *found)
{
    (void)ctx;
    (void)worker;
    (void)found;
    ck_assert_msg(false, "a message");
}

/* Stops, takes what the spool remembers, starts and gives it to the queue. */
static size_t restart(void)
{
    struct memo_list list = {NULL};
    struct spool_options options = {.segment_bytes = 1024 * 1024, .workers = 1};
    struct spool_recovery_events events = {.message = on_message, .memo = on_memo};
    struct spool_recovery found;
    struct buf error;
    char path[128];
    size_t count = 0;
    rig_stop(&rig);
    buf_init(&error, 4096);
    snprintf(path, sizeof(path), "%s/spool", rig.folder);
    struct spool_dir *dir = spool_dir_open(path, &options, &error);
    ck_assert_msg(dir != NULL, "%.*s", SLICE_ARG(buf_slice(&error)));
    ck_assert(spool_recover(dir, &events, &list, &found, &error));
    spool_dir_close(&dir);
    buf_deinit(&error);
    rig_start(&rig, NULL);
    for (struct memo_item *i = list.first; i; i = i->next) {
        ck_assert_uint_eq(i->memo.kind, QUEUE_MEMO_PEER);
        queue_peers_remember(&rig.queue, &i->memo);
        count++;
    }
    memo_list_deinit(&list);
    RIG_UNTIL(&rig, queue_memo_idle(&rig.queue, false));
    return count;
}

static uint32_t known(const char *key)
{
    return peers_look(&rig.queue.peers.table, slice_str(key), io_now(rig.io)->wall_us / 1000)
        .messages_max;
}

static void setup(void)
{
    rig_init(&rig);
    rig_start(&rig, NULL);
}

static void teardown(void)
{
    rig_stop(&rig);
    rig_remove(&rig);
}

START_TEST(rows_are_few_in_a_second)
{
    char key[32];
    for (unsigned i = 0; i < 2 * QUEUE_PEERS_ROWS; i++) {
        snprintf(key, sizeof(key), "mx%u.test:25", i);
        learn(key);
    }
    uint64_t before = frames();
    queue_peers_run(&rig.queue);
    queue_peers_run(&rig.queue);
    ck_assert_uint_eq(frames(), before + QUEUE_PEERS_ROWS);
    learn(key); /* what is known is no row */
    uint64_t began_ms = rig.queue.peers.second_at_ms;
    RIG_UNTIL(&rig, (queue_peers_run(&rig.queue), list_empty(&rig.queue.peers.table.changed)));
    ck_assert_uint_ge(io_now(rig.io)->mono_ms, began_ms + 1000);
    ck_assert_uint_eq(frames(), before + 2 * QUEUE_PEERS_ROWS);
}
END_TEST

START_TEST(rows_come_back_and_bad_ones_end)
{
    static const struct spool_memo bad = {.kind = QUEUE_MEMO_PEER,
                                          .key = SLICE_INIT("bad.test:25"),
                                          .value = SLICE_INIT("?")};
    learn("mx.one.test:25");
    learn("mx.two.test:25");
    queue_peers_run(&rig.queue);
    queue_memo_put(&rig.queue, &bad);
    RIG_UNTIL(&rig, queue_memo_idle(&rig.queue, false));
    ck_assert_uint_eq(restart(), 3);
    ck_assert(known("mx.one.test:25") == 7 && known("mx.two.test:25") == 7);
    ck_assert(list_empty(&rig.queue.peers.table.changed)); /* they are kept already */
    ck_assert_uint_eq(restart(), 2);
    /* What holds no more ends when it is noticed. */
    peers_tidy(&rig.queue.peers.table, UINT64_MAX / 2);
    RIG_UNTIL(&rig, queue_memo_idle(&rig.queue, false));
    ck_assert_uint_eq(restart(), 0);
}
END_TEST

static unsigned ends;

static void on_end(void *ctx, enum queue_memo_end end)
{
    (void)ctx;
    ck_assert_int_eq(end, QUEUE_MEMO_KEPT);
    ends++;
}

START_TEST(forgetting_is_durable_first)
{
    ck_assert(!queue_peers_end(&rig.queue, SLICE("mx.one.test"), on_end, NULL));
    learn("mx.one.test:25");
    learn("mx.one.test:26");
    learn("mx.two.test:25");
    /* Not written yet: there is nothing to wait for. */
    ck_assert(queue_peers_end(&rig.queue, SLICE("mx.two.test:25"), on_end, NULL));
    ck_assert_uint_eq(ends, 1);
    queue_peers_run(&rig.queue);
    RIG_UNTIL(&rig, queue_memo_idle(&rig.queue, false));
    ck_assert(queue_peers_end(&rig.queue, SLICE("mx.one.test"), on_end, NULL));
    ck_assert_uint_eq(ends, 1);
    RIG_UNTIL(&rig, ends == 2);
    ck_assert_uint_eq(queue_peers_forget(&rig.queue, SLICE("mx.one.test")), 2);
    ck_assert_uint_eq(queue_peers_forget(&rig.queue, SLICE("mx.one.test")), 0);
    ck_assert(known("mx.one.test:26") == 0 && known("mx.two.test:25") == 7);
    ck_assert_uint_eq(restart(), 1);
    ck_assert(queue_peers_end(&rig.queue, SLICE(""), on_end, NULL));
    RIG_UNTIL(&rig, ends == 3);
    ck_assert_uint_eq(restart(), 0);
}
END_TEST

START_TEST(report)
{
    struct buf out;
    buf_init(&out, 4096);
    learn("mx.one.test:25");
    queue_peers_report(&rig.queue, &out);
    ck_assert_msg(slice_starts_nocase(buf_slice(&out),
                                      SLICE(
                                          "{\"peer\":\"mx.one.test:25\",\"address\":\"192.0.2.1\","
                                          "\"topic\":\"messages_per_connection\","
                                          "\"learned\":7,\"since\":\"")),
                  "%.*s", SLICE_ARG(buf_slice(&out)));
    ck_assert(
        slice_ends_nocase(buf_slice(&out), SLICE("\"reply\":\"452 4.3.2 too many messages\"}\n")));
    buf_deinit(&out);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {rows_are_few_in_a_second, rows_come_back_and_bad_ones_end,
                            forgetting_is_durable_first, report};
    Suite *suite = suite_create("core/queue/peers");
    TCase *tc = tcase_create("peers");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    for (size_t i = 0; i < ARRAY_COUNT(tests); i++) {
        tcase_add_test(tc, tests[i]);
    }
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
