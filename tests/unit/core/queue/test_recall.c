/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * An order of one worker takes back what it has given to others: three queues, one site.
 */
#include "core/queue/recall.h"
#include "core/app/recovered.h"
#include "core/queue/far.h"
#include "tests/unit/core/queue/far_rig.h"

static struct far_rig far;
static const char *const one[] = {"delivery.connections_per_site=1", NULL};
static const char *const six[] = {"delivery.connections_per_site=6", NULL};

struct told {
    bool done;
    struct queue_order_counts counts;
};

static void on_done(void *ctx, const struct queue_order_counts *counts, struct buf *lines)
{
    (void)lines;
    *(struct told *)ctx = (struct told){true, *counts};
}

static void hold(bool on)
{
    for (unsigned w = 0; w < FAR_WORKERS; w++) {
        far.w[w].hold = on;
    }
}

static void end_all_held(void)
{
    for (unsigned w = 0; w < FAR_WORKERS; w++) {
        while (far.w[w].held_count) {
            far_end(&far.w[w]);
        }
    }
}

/* Worker 0 owns the site. */
static void begin(const char *const *sets)
{
    far_start(&far, sets);
    rig_submit_one(&far.w[0].rig, "a@s.test", "ok@one.test");
    FAR_UNTIL(&far, far_is_quiet(&far));
    hold(true);
}

static void start(unsigned worker, enum queue_action action, struct told *told)
{
    struct queue_order_init init = {.action = action,
                                    .select = {.domain = "one.test"},
                                    .done = on_done,
                                    .ctx = told};
    *told = (struct told){0};
    ck_assert(queue_order_start(far_queue(&far, worker), &init));
}

/* Deleted at once: what stands in the owner's order, and in lanes of others; not what has a connection. */
static void deleted_everywhere(const char *const *sets, unsigned home)
{
    enum { MANY = 600 }; /* more than a recall names */
    begin(sets);
    for (unsigned i = 0; i < MANY; i++) {
        rig_submit_one(&far.w[home].rig, "a@s.test", "ok@one.test");
    }
    far_turns(&far, 10);
    struct told told;
    start(home, QUEUE_ACT_DELETE, &told);
    FAR_UNTIL(&far, told.done);
    struct queue *q = far_queue(&far, home);
    ck_assert_uint_eq(told.counts.recipients, MANY);
    ck_assert_uint_gt(told.counts.sending, 0);
    ck_assert_uint_le(told.counts.sending, 6);
    ck_assert_uint_eq(q->counters.cancelled, MANY - told.counts.sending);
    hold(false);
    end_all_held();
    FAR_UNTIL(&far, far_is_quiet(&far));
    ck_assert_uint_eq(FAR_SUM(&far, delivered), 1 + told.counts.sending);
    ck_assert_uint_eq(FAR_SUM(&far, queued), 0);
    far_turns(&far, 5);
    far_check_rights(&far);
    far_stop(&far, true);
}

START_TEST(of_the_owner)
{
    deleted_everywhere(six, 0);
}
END_TEST

START_TEST(of_another)
{
    deleted_everywhere(six, 1);
}
END_TEST

START_TEST(of_another_with_one_connection)
{
    deleted_everywhere(one, 2);
}
END_TEST

/* Orders at all workers at once, while parts move. */
START_TEST(all_at_once)
{
    struct told told[FAR_WORKERS];
    begin(six);
    hold(false);
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = 0; i < 60; i++) {
            rig_submit_one(&far.w[i % FAR_WORKERS].rig, "a@s.test", "ok@one.test");
        }
        for (unsigned w = 0; w < FAR_WORKERS; w++) {
            start(w, round % 2 ? QUEUE_ACT_DELETE : QUEUE_ACT_HOLD, &told[w]);
        }
        for (unsigned w = 0; w < FAR_WORKERS; w++) {
            FAR_UNTIL(&far, told[w].done);
        }
    }
    for (unsigned w = 0; w < FAR_WORKERS; w++) {
        start(w, QUEUE_ACT_RELEASE, &told[w]);
    }
    FAR_UNTIL(&far, far_is_quiet(&far) && FAR_SUM(&far, queued) == 0);
    far_turns(&far, 5);
    far_check_rights(&far);
    far_stop(&far, true);
}
END_TEST

/* The end comes while parts are being taken back. */
START_TEST(an_end_in_the_middle)
{
    struct told told;
    begin(one);
    for (unsigned i = 0; i < 100; i++) {
        rig_submit_one(&far.w[1].rig, "a@s.test", "ok@one.test");
    }
    far_turns(&far, 3);
    start(1, QUEUE_ACT_DELETE, &told);
    far_turn(&far);
    hold(false);
    end_all_held();
    far_stop(&far, true);
    ck_assert(told.done);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {of_the_owner, of_another, of_another_with_one_connection, all_at_once,
                            an_end_in_the_middle};
    return testing_run("core/queue/recall", tests, ARRAY_COUNT(tests));
}
