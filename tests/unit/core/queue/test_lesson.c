/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * From a reply to an override, and how it is kept.
 */
#include "core/queue/lesson.h"
#include "core/app/recovered.h"
#include "core/queue/override.h"
#include "tests/unit/core/queue/far_rig.h"

#define SLOW "test of rules, slow down"
#define SAMPLE "451 4.7.0 " SLOW

static const struct automation_row rows[] = {
    {.at = {CONF_FROM_FILE, SLICE_INIT("my.yaml"), 1, 1},
     .name = SLICE_INIT("brake"),
     .match = {.pattern = SLICE_INIT("test of rules"), .sample = SLICE_INIT(SAMPLE)},
     .scope = SLICE_INIT("site"),
     .trigger = SLICE_INIT("2/1m"),
     .action = SLICE_INIT("suspend"),
     .duration = SLICE_INIT("1h")},
    {.at = {CONF_FROM_FILE, SLICE_INIT("my.yaml"), 2, 1},
     .name = SLICE_INIT("gone"),
     .match = {.pattern = SLICE_INIT("gone for good"),
               .sample = SLICE_INIT("450 4.1.1 gone for good")},
     .action = SLICE_INIT("fail")},
};

static struct far_rig far;
static struct automation *a;
static struct classifier *classifier;
static struct automation_rules *rules;

static void start(void)
{
    struct buf errors;
    const struct automation_rows extra = {rows, ARRAY_COUNT(rows)};
    buf_init(&errors, 65536);
    struct conf_report report = {.errors = &errors};
    a = automation_open(1);
    classifier = classifier_new(NULL, true, &report);
    ck_assert_ptr_nonnull(classifier);
    const struct automation_sources from = {.extra = &extra, .classifier = classifier};
    rules = automation_rules_new(&from, &report);
    ck_assert_msg(rules != NULL, "%.*s", SLICE_ARG(buf_slice(&errors)));
    buf_deinit(&errors);
    far_start(&far, NULL);
    for (unsigned w = 0; w < FAR_WORKERS; w++) {
        far_queue(&far, w)->lessons.automation = a;
        queue_lessons_set(far_queue(&far, w), classifier, rules);
        far.w[w].places = 2;
        far.w[w].hold = true;
        for (int i = 0; i < 4; i++) {
            rig_submit_one(&far.w[w].rig, "", "b@one.test");
        }
    }
    far_turns(&far, 200);
}

static void stop(void)
{
    struct automation_override o;
    while (automation_next(a, 0, 1, &o) && automation_cancel(a, o.id)) {
    }
    for (unsigned w = 0; w < FAR_WORKERS; w++) {
        far.w[w].hold = false;
        while (far.w[w].held_count) {
            far_end(&far.w[w]);
        }
    }
    far_stop(&far, true);
    automation_rules_free(rules);
    classifier_free(classifier);
    automation_close(a);
}

static struct outcome reply(const char *text, bool remote)
{
    struct outcome o = outcome_local(OUTCOME_TEMPORARY, OUTCOME_RECIPIENT, OUTCOME_STAGE_RCPT,
                                     (struct enhanced){4, 7, 0}, slice_str(text));
    o.code = 451;
    o.remote = remote;
    return o;
}

static bool hear(unsigned w, const char *text, bool remote)
{
    const struct outcome o = reply(text, remote);
    const struct queue_heard heard = {&o, NULL, 1};
    return queue_lesson_hear(far_queue(&far, w), far_site_of(&far.w[w]), &heard);
}

static size_t overrides(void)
{
    return automation_counts(a).overrides;
}

/* Those that do not own the site tell its owner. */
START_TEST(the_owner_counts_for_all)
{
    start();
    for (unsigned w = 0; w < FAR_WORKERS; w++) {
        ck_assert_ptr_nonnull(far_site_of(&far.w[w]));
    }
    ck_assert(!hear(1, SLOW, true));
    far_turns(&far, 20);
    ck_assert_uint_eq(overrides(), 0);
    ck_assert(!hear(2, SLOW, true));
    far_turns(&far, 20);
    ck_assert_uint_eq(overrides(), 1);
    struct automation_override o;
    ck_assert(automation_find(a, 1, io_now(far.w[0].rig.io)->wall_us / 1000, &o));
    ck_assert(slice_eq(o.rule, SLICE("brake")) && slice_eq(o.sample, SLICE(SAMPLE)));
    stop();
}
END_TEST

START_TEST(our_own_words_teach_nothing)
{
    start();
    for (int i = 0; i < 10; i++) {
        ck_assert(!hear(0, SLOW, false) && !hear(1, "gone for good", false));
    }
    far_turns(&far, 20);
    ck_assert_uint_eq(overrides(), 0);
    ck_assert_uint_eq(automation_counts(a).counters, 0);
    stop();
}
END_TEST

START_TEST(a_reply_may_give_its_recipient_up)
{
    start();
    ck_assert(hear(0, "gone for good", true) && hear(2, "it is gone for good now", true));
    ck_assert(!hear(0, "gone", true));
    ck_assert_uint_eq(overrides(), 0);
    stop();
}
END_TEST

START_TEST(failures_have_classes)
{
    start();
    struct queue *q = far_queue(&far, 0);
    struct outcome full = reply("mailbox is full", true), ours = reply("mailbox is full", false);
    full.enhanced = (struct enhanced){4, 2, 2};
    ck_assert_int_eq(queue_lesson_class(q, &full), BOUNCE_MAILBOX_FULL);
    ours.stage = OUTCOME_STAGE_CONNECT;
    ours.enhanced = (struct enhanced){4, 4, 1};
    ck_assert_int_eq(queue_lesson_class(q, &ours), BOUNCE_NO_ANSWER);
    queue_lessons_set(q, NULL, NULL);
    ck_assert_int_eq(queue_lesson_class(q, &full), BOUNCE_UNCLASSIFIED);
    ck_assert(!hear(0, "gone for good", true));
    stop();
}
END_TEST

static void on_kept(void *ctx, enum queue_memo_end end)
{
    ck_assert_int_eq(end, QUEUE_MEMO_KEPT);
    ++*(int *)ctx;
}

START_TEST(it_is_written_and_read_again)
{
    start();
    struct queue *q = far_queue(&far, 0);
    uint64_t now_ms = io_now(far.w[0].rig.io)->wall_us / 1000;
    struct automation_override o, again;
    struct automation_change change;
    int kept = 0;
    hear(0, SLOW, true);
    hear(0, SLOW, true);
    far_turns(&far, 20);
    ck_assert_uint_eq(overrides(), 1);
    ck_assert(!automation_has_changes(a)); /* worker 0 has them written */
    ck_assert(automation_encode(a, 1, &change) && change.len > 0);
    ck_assert(!automation_encode(a, 2, &change));
    struct automation *b = automation_open(2);
    struct spool_memo memo = {.kind = QUEUE_MEMO_OVERRIDE,
                              .key = SLICE("1"),
                              .value = slice_of(change.bytes, change.len)};
    ck_assert(queue_override_restore(b, &memo, now_ms));
    ck_assert(automation_find(a, 1, now_ms, &o) && automation_find(b, 1, now_ms, &again));
    ck_assert(slice_eq(o.sample, again.sample) && o.until_ms == again.until_ms);
    memo.key = SLICE("x1");
    ck_assert(!queue_override_restore(b, &memo, now_ms));
    memo.key = SLICE("2");
    memo.value = SLICE("rubbish");
    ck_assert(!queue_override_restore(b, &memo, now_ms));
    automation_close(b);
    ck_assert(automation_cancel(a, 1));
    queue_overrides_tell(q, 1, on_kept, &kept);
    far_turns(&far, 100);
    ck_assert_int_eq(kept, 1);
    ck_assert(!automation_has_changes(a));
    stop();
}
END_TEST

START_TEST(a_report)
{
    struct buf out;
    struct automation *b = automation_open(3);
    const struct automation_scope scope = {AUTOMATION_CAMPAIGN, AUTOMATION_PROVIDER};
    struct automation_order order = {.scope = scope,
                                     .action = AUTOMATION_RATE,
                                     .limit = 1440,
                                     .duration_ms = AUTOMATION_FOREVER,
                                     .reason = SLICE("a \"test\"")};
    const struct automation_keys keys = {.provider = SLICE("google"),
                                         .tenant = SLICE("news"),
                                         .campaign = SLICE("spring")};
    buf_init(&out, 4096);
    queue_overrides_report(b, 1000, &out);
    ck_assert_uint_eq(out.len, 0);
    ck_assert_uint_eq(automation_impose(b, &order, &keys, 1000), 1);
    queue_overrides_report(b, 1000, &out);
    buf_add_byte(&out, '\0');
    ck_assert_str_eq(out.ptr,
                     "{\"id\":1,\"scope\":\"campaign@provider\",\"action\":\"rate\",\"who\":"
                     "\"news/spring\",\"where\":\"google\","
                     "\"messages_per_day\":1440,\"manual\":true,"
                     "\"reason\":\"a \\\"test\\\"\",\"replies\":0,\"relapses\":0,"
                     "\"since\":\"1970-01-01T00:00:01.000000Z\","
                     "\"last\":\"1970-01-01T00:00:01.000000Z\",\"until\":null,\"ends\":null}\n");
    buf_deinit(&out);
    automation_close(b);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        the_owner_counts_for_all, our_own_words_teach_nothing,  a_reply_may_give_its_recipient_up,
        failures_have_classes,    it_is_written_and_read_again, a_report,
    };
    return testing_run("core/queue/lesson", tests, ARRAY_COUNT(tests));
}
