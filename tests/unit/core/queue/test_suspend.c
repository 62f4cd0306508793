/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/suspend.h"
#include "core/app/recovered.h"
#include "core/queue/memo.h"
#include "core/queue/order.h"
#include "core/queue/queue.h"
#include "tests/unit/core/queue/rig_mail.h"

static struct rig rig;

static const struct {
    const char *word;
    const char *key; /* NULL: makes no sense */
} words[] = {
    {"all", "all"},
    {"ALL", "all"},
    {"Example.ORG", "domain:example.org"},
    {"domain:Example.org", "domain:example.org"},
    {"site:mx.example.org", "site:mx.example.org"},
    {"Tenant:News", "tenant:news"},
    {"campaign:spring-26", "campaign:spring-26"},
    {"[192.0.2.1]", "domain:[192.0.2.1]"},
    {"", NULL},
    {":", NULL},
    {"site:", NULL},
    {"all:", NULL},
    {"all:x", NULL},
    {"somebody:x", NULL},
    {"a b", NULL},
    {"a\"b", NULL},
    {"a\x7f", NULL},
    {"tenant:12345678901234567890123456789012345678901234567890123456789012345", NULL},
};

START_TEST(scopes)
{
    char key[QUEUE_SCOPE_KEY_BYTES + 1], again[QUEUE_SCOPE_KEY_BYTES + 1];
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        bool ok = queue_scope_parse(slice_str(words[i].word), key);
        ck_assert_msg(ok == (words[i].key != NULL), "%s", words[i].word);
        if (ok) {
            struct queue_select select;
            ck_assert_str_eq(key, words[i].key);
            ck_assert(queue_scope_parse(slice_str(key), again));
            ck_assert_str_eq(key, again);
            ck_assert(queue_scope_select(slice_str(key), &select));
            ck_assert(!queue_select_empty(&select));
        }
    }
    char name[300];
    memset(name, 'x', sizeof(name));
    ck_assert(queue_scope_parse(slice_of(name, LIMIT_DOMAIN_BYTES - 8), key));
    ck_assert(!queue_scope_parse(slice_of(name, LIMIT_DOMAIN_BYTES), key));
}
END_TEST

START_TEST(values)
{
    struct buf out;
    buf_init(&out, 1024);
    struct queue_suspension s = {.since_ms = 5, .until_ms = UINT64_MAX, .reason = SLICE("why")},
                            got;
    queue_suspension_encode(&s, &out);
    ck_assert(queue_suspension_decode(buf_slice(&out), &got));
    ck_assert(got.since_ms == 5 && got.until_ms == UINT64_MAX && slice_eq(got.reason, s.reason));
    for (size_t n = 0; n < 16; n++) {
        ck_assert(!queue_suspension_decode(slice_first(buf_slice(&out), n), &got));
    }
    char longest[16 + QUEUE_SUSPEND_REASON_BYTES + 1] = {0};
    ck_assert(queue_suspension_decode(slice_of(longest, sizeof(longest) - 1), &got));
    ck_assert(!queue_suspension_decode(slice_of(longest, sizeof(longest)), &got));
    buf_deinit(&out);
}
END_TEST

static void apply(const char *key, bool on, uint64_t until_ms)
{
    struct buf value;
    buf_init(&value, 1024);
    struct queue_suspension s = {.since_ms = 1,
                                 .until_ms = until_ms,
                                 .reason = SLICE("a \"test\"")};
    if (on) {
        queue_suspension_encode(&s, &value);
    }
    struct spool_memo memo = {.kind = QUEUE_MEMO_SUSPEND,
                              .key = slice_str(key),
                              .value = buf_slice(&value)};
    ck_assert(queue_suspend_apply(&rig.queue, &memo));
    buf_deinit(&value);
    struct queue_order_init order = {.action = on ? QUEUE_ACT_SUSPEND : QUEUE_ACT_RESUME};
    ck_assert(queue_scope_select(slice_str(key), &order.select));
    ck_assert(queue_order_start(&rig.queue, &order));
}

static unsigned suspended;

static void count(void *ctx, const struct queue_order_counts *c, struct buf *lines)
{
    (void)lines;
    suspended = (unsigned)c->suspended;
    *(bool *)ctx = true;
}

static unsigned count_suspended(void)
{
    bool done = false;
    struct queue_order_init order = {.action = QUEUE_ACT_COUNT,
                                     .select = {.all = true},
                                     .done = count,
                                     .ctx = &done};
    ck_assert(queue_order_start(&rig.queue, &order));
    RIG_UNTIL(&rig, done);
    return suspended;
}

START_TEST(is_a_word_suspended)
{
    static const struct {
        const char *key;
        bool one, two, mx;
    } rows[] = {{"domain:one.test", true, false, false},
                {"site:mx.test", false, false, true},
                {"tenant:one.test", false, false, false},
                {"all", true, true, true}};
    rig_init(&rig);
    rig_start(&rig, NULL);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct slice key;
        struct queue_suspension what;
        apply(rows[i].key, true, 0);
        ck_assert(queue_suspend_word(&rig.queue, SLICE("one.test"), NULL, NULL) == rows[i].one);
        ck_assert(queue_suspend_word(&rig.queue, SLICE("Two.test"), NULL, NULL) == rows[i].two);
        bool found = queue_suspend_word(&rig.queue, SLICE("MX.test"), &key, &what);
        ck_assert(found == rows[i].mx);
        ck_assert(!found || (slice_eq(key, slice_str(rows[i].key)) &&
                             slice_eq(what.reason, SLICE("a \"test\""))));
        apply(rows[i].key, false, 0);
    }
    rig_stop(&rig);
    rig_remove(&rig);
}
END_TEST

static const struct {
    const char *key;
    unsigned rcpts; /* of a@one.test, b@two.test, c@one.test */
} scopes_of[] = {
    {"all", 3},          {"domain:one.test", 2}, {"domain:three.test", 0}, {"site:127.0.0.1", 3},
    {"site:mx.test", 0}, {"tenant:news", 0}};

/* New mail waits, nothing is attempted or written for it; what was there goes back; resume lets all of it go. */
START_TEST(waits_and_goes)
{
    static const char *const rcpts[] = {"a@one.test", "b@two.test", "c@one.test"};
    for (size_t i = 0; i < ARRAY_COUNT(scopes_of); i++) {
        rig_init(&rig);
        rig.script = NULL;
        rig_start(&rig, NULL);
        unsigned want = scopes_of[i].rcpts;
        rig_submit(&rig, &(struct rig_mail){"a@s.test", rcpts, 3, 0, 0});
        RIG_UNTIL(&rig, !list_empty(&rig.queue.active_sites)); /* they stand in line */
        apply(scopes_of[i].key, true, 0);
        RIG_UNTIL(&rig, !queue_orders_pending(&rig.queue));
        rig.script = rig_delivered;
        rig_submit(&rig, &(struct rig_mail){"a@s.test", rcpts, 3, 0, 0});
        RIG_UNTIL(&rig, rig.queue.counters.delivered == 2 * (3 - want));
        rig_run_ms(&rig, 20);
        ck_assert_uint_eq(count_suspended(), 2 * want);
        ck_assert_uint_eq(rig.queue.counters.queued, 2 * want);
        ck_assert_uint_eq(rig.queue.counters.deferrals, 0);
        struct spool_stats before, after;
        RIG_UNTIL(&rig, list_empty(&rig.queue.batches));
        spool_stats(rig.spool, &before);
        rig_run_ms(&rig, 30);
        spool_stats(rig.spool, &after);
        ck_assert_uint_eq(before.frames, after.frames);
        ck_assert(queue_suspend_known(&rig.queue, slice_str(scopes_of[i].key)));
        apply(scopes_of[i].key, false, 0);
        rig_settle(&rig);
        ck_assert_uint_eq(rig.queue.counters.delivered, 6);
        ck_assert(!queue_suspend_known(&rig.queue, slice_str(scopes_of[i].key)));
        rig_stop(&rig);
        rig_remove(&rig);
    }
}
END_TEST

START_TEST(two_cover_it)
{
    rig_init(&rig);
    rig_start(&rig, NULL);
    apply("all", true, 0);
    apply("domain:one.test", true, 0);
    rig_submit_one(&rig, "a@s.test", "a@one.test");
    rig_submit_one(&rig, "a@s.test", "a@two.test");
    rig_run_ms(&rig, 20);
    ck_assert_uint_eq(count_suspended(), 2);
    apply("all", false, 0);
    RIG_UNTIL(&rig, rig.queue.counters.delivered == 1);
    rig_run_ms(&rig, 20);
    ck_assert_uint_eq(count_suspended(), 1);
    apply("domain:one.test", false, 0);
    rig_settle(&rig);
    rig_stop(&rig);
    rig_remove(&rig);
}
END_TEST

/* Its time is over: without anybody's word, and the spool forgets it too. */
START_TEST(ends_by_itself)
{
    rig_init(&rig);
    rig_start(&rig, NULL);
    apply("domain:one.test", true, clock_read().wall_us / 1000 + 150);
    rig_submit_one(&rig, "a@s.test", "a@one.test");
    rig_run_ms(&rig, 50);
    ck_assert_uint_eq(rig.queue.counters.delivered, 0);
    struct spool_stats before, after;
    spool_stats(rig.spool, &before);
    rig_settle(&rig);
    ck_assert_uint_eq(rig.queue.counters.delivered, 1);
    ck_assert(!queue_suspend_known(&rig.queue, SLICE("domain:one.test")));
    RIG_UNTIL(&rig, queue_memo_idle(&rig.queue, false));
    spool_stats(rig.spool, &after);
    ck_assert_uint_ge(after.frames, before.frames + 2); /* the result, and the end of the memo */
    rig_stop(&rig);
    rig_remove(&rig);
}
END_TEST

static enum queue_memo_end told = QUEUE_MEMO_FAILED;
static unsigned tellings;

static void on_told(void *ctx, enum queue_memo_end end)
{
    (void)ctx;
    told = end;
    tellings++;
}

START_TEST(a_memo_is_told_when_it_is_kept)
{
    rig_init(&rig);
    rig_start(&rig, NULL);
    struct spool_memo memo = {.kind = QUEUE_MEMO_SUSPEND,
                              .key = SLICE("all"),
                              .value = SLICE("0123456789abcdef")};
    queue_memo_tell(&rig.queue, &memo, on_told, NULL);
    ck_assert_uint_eq(tellings, 0);
    RIG_UNTIL(&rig, tellings == 1);
    ck_assert_int_eq(told, QUEUE_MEMO_KEPT);
    rig_stop(&rig);
    rig_remove(&rig);
}
END_TEST

START_TEST(reports)
{
    struct buf out;
    buf_init(&out, 4096);
    rig_init(&rig);
    rig_start(&rig, NULL);
    apply("domain:one.test", true, 0);
    queue_suspend_report(&rig.queue, &out);
    buf_add_byte(&out, '\0');
    ck_assert_str_eq(out.ptr,
                     "{\"suspended\":\"domain:one.test\",\"since\":\"1970-01-01T00:00:00.001000Z\","
                     "\"until\":null,\"reason\":\"a \\\"test\\\"\"}\n");
    buf_deinit(&out);
    rig_stop(&rig);
    rig_remove(&rig);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {scopes,
                            values,
                            waits_and_goes,
                            is_a_word_suspended,
                            two_cover_it,
                            ends_by_itself,
                            a_memo_is_told_when_it_is_kept,
                            reports};
    return testing_run("core/queue/suspend", tests, ARRAY_COUNT(tests));
}
