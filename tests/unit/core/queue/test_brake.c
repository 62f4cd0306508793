/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What overrides do to a site and its senders, at one worker and at three.
 */
#include "core/queue/brake.h"
#include "core/app/recovered.h"
#include "core/queue/way.h"
#include "tests/unit/core/queue/far_rig.h"

static struct rig rig;
static struct far_rig far;
static struct automation *a;

static void start(void)
{
    a = automation_open(1);
    rig_init(&rig);
    rig.automation = a;
    rig_start(&rig, NULL);
}

static void stop(void)
{
    rig_stop(&rig);
    rig_remove(&rig);
    automation_close(a);
}

static uint64_t wall_ms(void)
{
    return io_now(rig.io)->wall_us / 1000;
}

static struct queue_site *the_site(void)
{
    size_t bucket = 0;
    struct map_node *node = map_next(&rig.queue.sites, &bucket, NULL);
    ck_assert_ptr_nonnull(node);
    return container_of(node, struct queue_site, by_key);
}

/* Mail has gone there, so there is a site. */
static struct queue_site *used_site(void)
{
    rig_submit_one(&rig, "a@sender.test", "b@one.test");
    RIG_UNTIL(&rig, rig.queue.counters.delivered == 1);
    return the_site();
}

static uint64_t impose(struct automation_order order, struct automation_keys keys)
{
    order.duration_ms = order.duration_ms ? order.duration_ms : AUTOMATION_FOREVER;
    keys.site = keys.site.len ? keys.site : queue_site_place(the_site());
    uint64_t id = automation_impose(a, &order, &keys, wall_ms());
    ck_assert_uint_ne(id, 0);
    queue_brakes_changed(&rig.queue);
    return id;
}

static void cancel(uint64_t id)
{
    ck_assert(automation_cancel(a, id));
    queue_brakes_changed(&rig.queue);
}

static void send_as(const char *tenant, const char *to)
{
    const char *rcpts[] = {to};
    struct rig_mail mail = {.sender = "a@sender.test", .rcpts = rcpts, .count = 1};
    struct queue_message *m = rig_message(&rig, &mail);
    const struct queue_label_names names = {.tenant = slice_str(tenant)};
    m->label = names.tenant.len ? queue_label_get(&rig.queue, &names) : NULL;
    rig_submit_message(&rig, m, (struct slice){NULL, 0});
}

START_TEST(without_overrides_nothing_is_held)
{
    start();
    struct queue_site *s = used_site();
    ck_assert_ptr_null(queue_brake_of(&rig.queue, s));
    ck_assert_ptr_null(s->own);
    ck_assert_uint_eq(queue_brake_connections(&rig.queue, s, 10), 10);
    ck_assert_uint_eq(queue_brake_messages(&rig.queue, s, 100), 100);
    ck_assert_ptr_null(queue_brake_source(&rig.queue, s));
    stop();
}
END_TEST

START_TEST(a_site_rests_and_wakes_by_itself)
{
    start();
    struct queue_site *s = used_site();
    struct automation_order order = {.action = AUTOMATION_SUSPEND, .duration_ms = 400};
    uint64_t end_ms = wall_ms() + 400;
    uint64_t id = impose(order, (struct automation_keys){.source = SLICE("")});
    for (int i = 0; i < 3; i++) {
        rig_submit_one(&rig, "a@sender.test", "b@one.test");
    }
    RIG_UNTIL(&rig, timer_armed(&s->rest));
    ck_assert_int_eq(s->rests_for.by, QUEUE_TOLL_BRAKE);
    ck_assert_uint_eq(s->rests_for.cause, id);
    ck_assert_uint_eq(rig.queue.counters.delivered, 1);
    RIG_UNTIL(&rig, rig.queue.counters.delivered == 4);
    ck_assert_uint_ge(wall_ms(), end_ms);
    ck_assert_uint_eq(rig.queue.counters.deferrals, 0);
    stop();
}
END_TEST

START_TEST(what_is_cancelled_goes_on_at_once)
{
    start();
    struct queue_site *s = used_site();
    uint64_t id = impose((struct automation_order){.action = AUTOMATION_SUSPEND},
                         (struct automation_keys){.source = SLICE("")});
    rig_submit_one(&rig, "a@sender.test", "b@one.test");
    RIG_UNTIL(&rig, timer_armed(&s->rest));
    cancel(id);
    RIG_UNTIL(&rig, rig.queue.counters.delivered == 2);
    ck_assert(!timer_armed(&s->rest) && s->brake.effect == NULL);
    stop();
}
END_TEST

START_TEST(a_rate_stands_in_for_the_sites_own)
{
    start();
    struct queue_site *s = used_site();
    uint64_t id = impose((struct automation_order){.action = AUTOMATION_RATE, .limit = 86400},
                         (struct automation_keys){.source = SLICE("")});
    ck_assert_ptr_nonnull(queue_brake_of(&rig.queue, s));
    ck_assert_ptr_nonnull(s->own);
    struct budget_limits limits = s->plan->limits.own;
    ck_assert(!limits.limited[BUDGET_MESSAGE_RATE]);
    queue_brake_bound(s, &limits);
    ck_assert(limits.limited[BUDGET_MESSAGE_RATE]);
    ck_assert_uint_eq(queue_brake_per_day(&limits.rules[BUDGET_MESSAGE_RATE]), 86400);
    for (int i = 0; i < 3; i++) {
        rig_submit_one(&rig, "a@sender.test", "b@one.test");
    }
    RIG_UNTIL(&rig, timer_armed(&s->rest));
    ck_assert_int_eq(s->rests_for.by, QUEUE_TOLL_SITE);
    ck_assert_uint_eq(s->rests_for.cause, id);
    cancel(id);
    RIG_UNTIL(&rig, rig.queue.counters.delivered == 4);
    ck_assert_ptr_null(s->own);
    stop();
}
END_TEST

START_TEST(a_tenant_alone_waits)
{
    start();
    struct queue_site *s = used_site();
    const struct automation_scope scope = {AUTOMATION_TENANT, AUTOMATION_SITE};
    uint64_t id = impose((struct automation_order){.action = AUTOMATION_SUSPEND, .scope = scope},
                         (struct automation_keys){.tenant = SLICE("loud")});
    for (int i = 0; i < 2; i++) {
        send_as("loud", "b@one.test");
        send_as("calm", "b@one.test");
        send_as("", "b@one.test");
    }
    RIG_UNTIL(&rig, rig.queue.counters.delivered == 5);
    rig_run_ms(&rig, 50);
    ck_assert_uint_eq(rig.queue.counters.delivered, 5);
    ck_assert(!timer_armed(&s->rest));
    ck_assert_int_eq(s->sched->holds_for.by, QUEUE_TOLL_BRAKE_TENANT);
    ck_assert_uint_eq(s->sched->holds_for.cause, id);
    cancel(id);
    RIG_UNTIL(&rig, rig.queue.counters.delivered == 7);
    stop();
}
END_TEST

START_TEST(a_tenant_has_a_rate_of_its_own)
{
    start();
    used_site();
    const struct automation_scope scope = {AUTOMATION_TENANT, AUTOMATION_SITE};
    impose((struct automation_order){.action = AUTOMATION_RATE, .scope = scope, .limit = 24},
           (struct automation_keys){.tenant = SLICE("loud")});
    for (int i = 0; i < 3; i++) {
        send_as("loud", "b@one.test");
        send_as("calm", "b@one.test");
    }
    RIG_UNTIL(&rig, rig.queue.counters.delivered == 5); /* one of the loud ones: the burst */
    rig_run_ms(&rig, 50);
    ck_assert_uint_eq(rig.queue.counters.delivered, 5);
    ck_assert_int_eq(the_site()->sched->holds_for.by, QUEUE_TOLL_BRAKE_TENANT);
    stop();
}
END_TEST

/* Room for more senders is made before, not between two of one part. */
START_TEST(a_parts_rates_are_of_one_moment)
{
    start();
    struct queue_site *s = used_site();
    const struct automation_scope tenant = {AUTOMATION_TENANT, AUTOMATION_SITE};
    const struct automation_scope dkim = {AUTOMATION_DKIM, AUTOMATION_SITE};
    impose((struct automation_order){.action = AUTOMATION_RATE, .scope = tenant, .limit = 24},
           (struct automation_keys){.tenant = SLICE("loud")});
    impose((struct automation_order){.action = AUTOMATION_RATE, .scope = dkim, .limit = 24},
           (struct automation_keys){.dkim = SLICE("loud.test")});
    struct queue_message m = {.label = NULL};
    struct queue_part p = {.message = &m};
    struct budget *rates[QUEUE_BRAKE_LEVELS];
    for (unsigned i = 0; i < QUEUE_BRAKE_SENDERS_MAX - 1; i++) {
        char name[16];
        snprintf(name, sizeof(name), "t%u", i);
        const struct queue_label_names names = {.tenant = slice_str(name)};
        m.label = queue_label_get(&rig.queue, &names);
        queue_brake_budgets(&rig.queue, s, &p, rates);
        queue_label_put(&rig.queue, &m.label);
    }
    const struct queue_label_names names = {.tenant = SLICE("loud"), .dkim = SLICE("loud.test")};
    m.label = queue_label_get(&rig.queue, &names);
    queue_brake_budgets(&rig.queue, s, &p, rates);
    ck_assert(rates[QUEUE_BRAKE_TENANT] && rates[QUEUE_BRAKE_DKIM]);
    size_t count = rig.queue.brakes.senders.count;
    queue_brake_budgets(&rig.queue, s, &p, rates);
    ck_assert_uint_eq(rig.queue.brakes.senders.count, count); /* both were still there */
    queue_label_put(&rig.queue, &m.label);
    stop();
}
END_TEST

/* The next turn may be a day away, and the override over long before. */
START_TEST(who_waits_for_a_rate_of_an_override_looks_again)
{
    start();
    struct queue_site *s = used_site();
    impose((struct automation_order){.action = AUTOMATION_RATE, .limit = 1},
           (struct automation_keys){.source = SLICE("")});
    for (int i = 0; i < 3; i++) {
        rig_submit_one(&rig, "a@sender.test", "b@one.test");
    }
    RIG_UNTIL(&rig, timer_armed(&s->rest));
    ck_assert_uint_gt(s->rests_for.next_us, io_now(rig.io)->mono_us + UINT64_C(3600000000));
    ck_assert_uint_le(s->rest.due_ms, io_now(rig.io)->mono_ms + QUEUE_BRAKE_LOOK_MS);
    stop();
}
END_TEST

START_TEST(what_is_to_bounce_bounces)
{
    start();
    struct queue_site *s = used_site();
    struct automation_order order = {.action = AUTOMATION_BOUNCE, .reason = SLICE("by\nhand")};
    uint64_t id = impose(order, (struct automation_keys){.source = SLICE("")});
    rig_submit_one(&rig, "", "b@one.test");
    rig_submit_one(&rig, "", "c@one.test");
    RIG_UNTIL(&rig, rig.queue.counters.bounced == 2);
    ck_assert_uint_eq(rig.queue.counters.delivered, 1);
    struct queue_message m = {.label = NULL};
    struct queue_part p = {.message = &m};
    struct outcome o;
    char text[LIMIT_OUTCOME_TEXT_BYTES];
    ck_assert(queue_brake_gives_up(&rig.queue, s, &p, &o, text));
    ck_assert(!o.remote && o.kind == OUTCOME_PERMANENT && o.stage == OUTCOME_STAGE_ROUTE);
    ck_assert_ptr_nonnull(memmem(o.text.ptr, o.text.len, "by hand", 7));
    cancel(id);
    ck_assert(!queue_brake_gives_up(&rig.queue, s, &p, &o, text));
    stop();
}
END_TEST

START_TEST(messages_on_a_connection)
{
    start();
    struct queue_site *s = used_site();
    impose((struct automation_order){.action = AUTOMATION_PER_CONNECTION,
                                     .factor = AUTOMATION_ONE / 4},
           (struct automation_keys){.source = SLICE("")});
    ck_assert_uint_eq(queue_brake_messages(&rig.queue, s, 100), 25);
    ck_assert_uint_eq(queue_brake_messages(&rig.queue, s, 1), 1);
    stop();
}
END_TEST

START_TEST(keys_of_a_way)
{
    start();
    struct queue_site *s = used_site();
    struct automation_keys keys;
    const struct queue_label_names names = {.tenant = SLICE("t"),
                                            .campaign = SLICE("c"),
                                            .dkim = SLICE("example.org")};
    struct queue_label *l = queue_label_get(&rig.queue, &names);
    queue_way_keys(s, l, &keys);
    ck_assert(slice_eq(keys.site, s->key) && keys.source.len == 0 && keys.provider.len == 0);
    ck_assert(slice_eq(keys.tenant, SLICE("t")) && slice_eq(keys.campaign, SLICE("c")));
    ck_assert(slice_eq(keys.dkim, SLICE("example.org")));
    queue_label_put(&rig.queue, &l);
    queue_way_keys(s, NULL, &keys);
    ck_assert(keys.tenant.len == 0 && keys.campaign.len == 0 && keys.dkim.len == 0);
    stop();
}
END_TEST

/* Rights of all workers that are to stay. */
static uint32_t staying(void)
{
    uint32_t n = 0;
    for (unsigned w = 0; w < FAR_WORKERS; w++) {
        const struct queue_site *s = far_site_of(&far.w[w]);
        n += s ? s->granted - s->surplus : 0;
    }
    return n;
}

START_TEST(each_worker_is_told_how_many_connections_to_keep)
{
    static const char *const sets[] = {"delivery.connections_per_site=6", NULL};
    a = automation_open(1);
    for (unsigned w = 0; w < FAR_WORKERS; w++) {
        far.w[w].rig.automation = a;
    }
    far_start(&far, sets);
    for (unsigned w = 0; w < FAR_WORKERS; w++) {
        /* rig_init has forgotten it */
        far_queue(&far, w)->lessons.automation = a;
        far.w[w].places = 6;
        far.w[w].hold = true;
        for (int i = 0; i < 8; i++) {
            rig_submit_one(&far.w[w].rig, "a@sender.test", "b@one.test");
        }
    }
    far_turns(&far, 200);
    struct queue_site *owner = NULL;
    for (unsigned w = 0; w < FAR_WORKERS; w++) {
        struct queue_site *s = far_site_of(&far.w[w]);
        owner = s && s->sched ? s : owner;
    }
    ck_assert_ptr_nonnull(owner);
    ck_assert_uint_eq(owner->sched->granted, 6);
    ck_assert_uint_eq(staying(), 6);
    const struct automation_order order = {.action = AUTOMATION_CONNECTIONS,
                                           .limit = 2,
                                           .duration_ms = AUTOMATION_FOREVER};
    const struct automation_keys keys = {.site = queue_site_place(owner)};
    ck_assert_uint_ne(automation_impose(a, &order, &keys, io_now(owner->queue->io)->wall_us / 1000),
                      0);
    queue_brakes_changed(owner->queue);
    far_turns(&far, 50);
    ck_assert_uint_eq(staying(), 2);
    ck_assert_uint_eq(queue_brake_connections(owner->queue, owner, 6), 2);
    /* Cancelled before they have gone: they stay. */
    ck_assert(automation_cancel(a, 1));
    queue_brakes_changed(owner->queue);
    far_turns(&far, 50);
    ck_assert_uint_eq(staying(), 6);
    ck_assert_uint_ne(automation_impose(a, &order, &keys, io_now(owner->queue->io)->wall_us / 1000),
                      0);
    queue_brakes_changed(owner->queue);
    far_turns(&far, 50);
    ck_assert_uint_eq(staying(), 2);
    /* Each that is asked leaves, once. */
    uint32_t left = 0;
    for (unsigned w = 0; w < FAR_WORKERS; w++) {
        struct queue_site *s = far_site_of(&far.w[w]);
        while (s && queue_site_sheds(s)) {
            s->leaving--;
            left++;
        }
    }
    ck_assert_uint_eq(left, 4);
    for (unsigned w = 0; w < FAR_WORKERS; w++) {
        far.w[w].hold = false;
        while (far.w[w].held_count) {
            far_end(&far.w[w]);
        }
    }
    automation_cancel(a, 2);
    far_stop(&far, true);
    automation_close(a);
}
END_TEST

START_TEST(who_is_still_being_opened_goes_before_who_works)
{
    struct queue_site s = {.granted = 6, .connections = 5, .working = 2, .surplus = 4};
    ck_assert(queue_site_sheds(&s)); /* three that may fail are not enough */
    ck_assert_uint_eq(s.surplus, 3);
    ck_assert(!queue_site_sheds(&s));
    s.working++; /* one of the three was not refused */
    ck_assert(queue_site_sheds(&s));
    ck_assert(!queue_site_sheds(&s));
    ck_assert_uint_eq(s.leaving, 2);
    ck_assert_uint_eq(s.surplus, 2);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        without_overrides_nothing_is_held,
        a_site_rests_and_wakes_by_itself,
        what_is_cancelled_goes_on_at_once,
        a_rate_stands_in_for_the_sites_own,
        a_tenant_alone_waits,
        a_tenant_has_a_rate_of_its_own,
        a_parts_rates_are_of_one_moment,
        who_waits_for_a_rate_of_an_override_looks_again,
        what_is_to_bounce_bounces,
        messages_on_a_connection,
        keys_of_a_way,
        each_worker_is_told_how_many_connections_to_keep,
        who_is_still_being_opened_goes_before_who_works,
    };
    return testing_run("core/queue/brake", tests, ARRAY_COUNT(tests));
}
