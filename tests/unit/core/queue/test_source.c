/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/source.h"
#include "core/app/recovered.h"
#include "core/queue/sched.h"
#include "tests/unit/core/queue/rig_mail.h"

static struct rig rig;

static const struct ip_addr v4[] = {{IP_V4, {127, 0, 0, 11}},
                                    {IP_V4, {127, 0, 0, 12}},
                                    {IP_V4, {127, 0, 0, 13}}};
static const struct ip_addr v6 = {IP_V6, {[15] = 1}};

static const struct conf_egress_source two[] = {
    {.name = SLICE_INIT("ip1"), .addresses = {&v4[0], 1}, .ehlo = SLICE_INIT("a.example")},
    {.name = SLICE_INIT("ip2"), .addresses = {&v4[1], 1}, .ehlo = SLICE_INIT("b.example")},
    {.name = SLICE_INIT("six"), .addresses = {&v6, 1}, .ehlo = SLICE_INIT("c.example")},
};
static const struct conf_weight shares[] = {{SLICE_INIT("ip1"), 1}, {SLICE_INIT("ip2"), 1}};
static const struct conf_egress_pool pools[] = {{SLICE_INIT("pair"), {shares, 2}}};
static const struct conf_egress_rule rules[] = {
    {.sender_domain = SLICE_INIT("alone.test"), .pool = SLICE_INIT("ip1")},
    {.sender_domain = SLICE_INIT("pair.test"), .pool = SLICE_INIT("pair")},
    {.sender_domain = SLICE_INIT("six.test"), .pool = SLICE_INIT("six")},
};
static struct conf table_conf = {.sources = {two, 3},
                                 .source_pools = {pools, 1},
                                 .source_rules = {rules, 3}};

static void setup(void)
{
    rig_init(&rig);
    rig.egress = egress_table_new(&table_conf, NULL);
    ck_assert_ptr_nonnull(rig.egress);
    rig_start(&rig, NULL);
}

static void teardown(void)
{
    rig_stop(&rig);
    rig_remove(&rig);
    egress_table_free(rig.egress);
}

static void set_gone(const char *name, bool gone)
{
    const struct egress_source *s = egress_find(rig.egress, slice_str(name));
    ck_assert(egress_set_gone(s, (enum egress_family)s->families, gone));
}

static uint64_t submit_named(const char *source)
{
    const char *rcpt = "bob@dest.test";
    struct attributes a = {.source = slice_str(source)};
    struct queue_message_init init = {
        .id = queue_next_id(&rig.queue, io_now(rig.io)->wall_us),
        .arrival_us = io_now(rig.io)->wall_us,
        .sender = SLICE("alice@pair.test"),
        .rcpt_count = 1,
        .rcpt_bytes = slice_str(rcpt).len,
        .attributes = &a,
    };
    struct queue_message *m = queue_message_new(&rig.queue, &init);
    ck_assert_ptr_nonnull(m);
    queue_message_add_rcpt(m, slice_str(rcpt), (struct slice){NULL, 0}, 0);
    m->header_bytes = SLICE(RIG_HEADERS).len;
    m->submitter = (struct handle){77, 1};
    rig_give(&rig, m, SLICE(RIG_BODY));
    return rig_submit_message(&rig, m, (struct slice){NULL, 0});
}

static bool went_by(const struct rig_part *p, const char *source)
{
    char key[128];
    snprintf(key, sizeof(key), "0:127.0.0.1:2525@%s", source);
    return strcmp(p->site, key) == 0;
}

/* ---- which site ---- */

START_TEST(each_source_has_a_site_of_its_own)
{
    static const char *const senders[] = {"a@alone.test", "a@pair.test", "a@other.test", ""};
    for (size_t i = 0; i < ARRAY_COUNT(senders); i++) {
        rig_submit_one(&rig, senders[i], "bob@dest.test");
    }
    RIG_UNTIL(&rig, rig.part_count == ARRAY_COUNT(senders));
    ck_assert(went_by(&rig.parts[0], "ip1"));
    ck_assert(went_by(&rig.parts[1], "ip1") || went_by(&rig.parts[1], "ip2"));
    ck_assert_str_eq(rig.parts[2].site, "0:127.0.0.1:2525"); /* no rule: as ever */
    ck_assert_str_eq(rig.parts[3].site, "0:127.0.0.1:2525");
    struct queue_site *s = queue_site_get(&rig.queue, SLICE("0:127.0.0.1:2525@ip1"));
    ck_assert(slice_eq(queue_site_source(s), SLICE("ip1")));
    ck_assert(slice_eq(queue_site_place(s), SLICE("0:127.0.0.1:2525")));
    ck_assert(slice_eq(s->plan->source, SLICE("ip1")));
    ck_assert_uint_eq(s->plan->count, 1);
    ck_assert(slice_eq(s->plan->candidates[0].host, SLICE("127.0.0.1")));
    s = queue_site_get(&rig.queue, SLICE("0:127.0.0.1:2525"));
    ck_assert_uint_eq(queue_site_source(s).len, 0);
    ck_assert(slice_eq(queue_site_place(s), s->key));
    rig_settle(&rig);
}
END_TEST

START_TEST(a_message_goes_where_its_id_says)
{
    uint64_t ids[40];
    const struct egress_pool *p = egress_pool_find(rig.egress, SLICE("pair"));
    unsigned first = 0;
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++) {
        ids[i] = rig_submit_one(&rig, "a@pair.test", "bob@dest.test");
    }
    RIG_UNTIL(&rig, rig.part_count == ARRAY_COUNT(ids));
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++) {
        const struct egress_pick pick = {.id = rig.parts[i].message, .families = EGRESS_V4};
        const struct egress_source *s = egress_choose(p, &pick);
        ck_assert(went_by(&rig.parts[i], s->name.ptr));
        first += s->index == 0;
    }
    ck_assert_uint_gt(first, 5);
    ck_assert_uint_lt(first, 35);
    rig_settle(&rig);
}
END_TEST

START_TEST(what_the_header_named_counts_more_and_survives_a_restart)
{
    rig.script = rig_temporary;
    rig.schedule[0] = 3600 * 1000;
    submit_named("ip2");
    RIG_UNTIL(&rig, rig.queue.counters.deferrals == 1);
    ck_assert(went_by(&rig.parts[0], "ip2"));
    rig_stop(&rig);
    rig.script = rig_delivered;
    rig_start(&rig, NULL);
    struct queue_order_init now = {.action = QUEUE_ACT_RETRY, .select.all = true};
    ck_assert(queue_order_start(&rig.queue, &now));
    RIG_UNTIL(&rig, rig.part_count == 2);
    ck_assert(went_by(&rig.parts[1], "ip2"));
    rig_settle(&rig);
}
END_TEST

START_TEST(no_source_reaches_the_family)
{
    rig.schedule[0] = 3600 * 1000;
    rig_submit_one(&rig, "a@six.test", "bob@dest.test");
    RIG_UNTIL(&rig, rig.queue.counters.deferrals == 1);
    ck_assert_uint_eq(rig.part_count, 0);
}
END_TEST

/* ---- sources that go and come back ---- */

static bool nothing_stands_anywhere(void)
{
    size_t bucket = 0;
    for (struct map_node *n = map_next(&rig.queue.sites, &bucket, NULL); n;
         n = map_next(&rig.queue.sites, &bucket, n)) {
        const struct queue_site *s = container_of(n, struct queue_site, by_key);
        if (s->sched->waiting.count || !list_empty(&s->filling)) {
            return false;
        }
    }
    return true;
}

START_TEST(mail_of_a_paused_source_goes_by_the_others_of_its_pool)
{
    set_gone("ip1", true);
    for (unsigned i = 0; i < 20; i++) {
        rig_submit_one(&rig, "a@pair.test", "bob@dest.test");
    }
    RIG_UNTIL(&rig, rig.part_count == 20);
    for (unsigned i = 0; i < 20; i++) {
        ck_assert(went_by(&rig.parts[i], "ip2"));
    }
    rig_settle(&rig);
}
END_TEST

START_TEST(what_stands_there_already_is_routed_anew)
{
    rig.script = NULL;
    for (unsigned i = 0; i < 20; i++) {
        rig_submit_one(&rig, "a@pair.test", "bob@dest.test");
    }
    rig_run_ms(&rig, 20);
    set_gone("ip2", true);
    rig_turn(&rig);
    rig_turn(&rig);
    rig.script = rig_delivered;
    RIG_UNTIL(&rig, rig.part_count == 20);
    for (unsigned i = 0; i < 20; i++) {
        ck_assert(went_by(&rig.parts[i], "ip1"));
    }
    rig_settle(&rig);
}
END_TEST

START_TEST(mail_without_a_source_waits_without_a_trace_and_goes_when_it_is_back)
{
    set_gone("ip1", true);
    rig_submit_one(&rig, "a@alone.test", "bob@dest.test");
    submit_named("ip1");
    rig_run_ms(&rig, 100);
    ck_assert_uint_eq(rig.part_count, 0);
    ck_assert_uint_eq(rig.queue.counters.deferrals, 0);
    ck_assert_uint_eq(rig.queue.counters.queued, 2);
    ck_assert(nothing_stands_anywhere() && rig.queue.sources.wait);
    rig_stop(&rig); /* a restart looks at it at once, and waits again */
    rig_start(&rig, NULL);
    rig_run_ms(&rig, 100);
    ck_assert_uint_eq(rig.part_count, 0);
    set_gone("ip1", false);
    RIG_UNTIL(&rig, rig.part_count == 2);
    ck_assert(went_by(&rig.parts[0], "ip1") && went_by(&rig.parts[1], "ip1"));
    ck_assert(!rig.queue.sources.wait);
    rig_settle(&rig);
}
END_TEST

/* ---- another configuration ---- */

static void take_table(const struct conf *conf)
{
    struct egress_table *before = rig.egress;
    rig.egress = egress_table_new(conf, before);
    ck_assert_ptr_nonnull(rig.egress);
    rig_set_conf(&rig);
    egress_table_free(before);
}

START_TEST(mail_for_a_source_that_is_taken_away_is_routed_anew)
{
    static const struct conf_egress_rule all[] = {{.pool = SLICE_INIT("ip2")}};
    const struct conf less = {.sources = {&two[1], 1}, .source_rules = {all, 1}};
    rig.script = NULL;
    rig_submit_one(&rig, "a@alone.test", "bob@dest.test");
    submit_named("ip1");
    rig_run_ms(&rig, 20);
    take_table(&less);
    rig.script = rig_delivered;
    RIG_UNTIL(&rig, rig.part_count == 2);
    ck_assert(went_by(&rig.parts[0], "ip2") && went_by(&rig.parts[1], "ip2"));
    rig_settle(&rig);
}
END_TEST

START_TEST(what_waits_for_a_source_hears_of_a_new_configuration)
{
    const struct conf none = {0};
    set_gone("ip1", true);
    rig_submit_one(&rig, "a@alone.test", "bob@dest.test");
    rig_run_ms(&rig, 50);
    ck_assert_uint_eq(rig.part_count, 0);
    take_table(&none);
    RIG_UNTIL(&rig, rig.part_count == 1);
    ck_assert_str_eq(rig.parts[0].site, "0:127.0.0.1:2525");
    rig_settle(&rig);
}
END_TEST

/* ---- what is shown ---- */

START_TEST(the_report_says_by_what_it_would_leave)
{
    struct buf out;
    buf_init(&out, 65536);
    rig.script = rig_temporary;
    rig.schedule[0] = 3600 * 1000;
    uint64_t id = submit_named("ip2");
    RIG_UNTIL(&rig, rig.queue.counters.deferrals == 1);
    ck_assert(queue_report_one(&rig.queue, id, 1, &out));
    ck_assert_ptr_nonnull(memmem(out.ptr, out.len, "\"source\":\"ip2\"", 14));
    buf_deinit(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue_source");
    TCase *c = tcase_create("source");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, each_source_has_a_site_of_its_own);
    tcase_add_test(c, a_message_goes_where_its_id_says);
    tcase_add_test(c, what_the_header_named_counts_more_and_survives_a_restart);
    tcase_add_test(c, no_source_reaches_the_family);
    tcase_add_test(c, mail_of_a_paused_source_goes_by_the_others_of_its_pool);
    tcase_add_test(c, what_stands_there_already_is_routed_anew);
    tcase_add_test(c, mail_without_a_source_waits_without_a_trace_and_goes_when_it_is_back);
    tcase_add_test(c, mail_for_a_source_that_is_taken_away_is_routed_anew);
    tcase_add_test(c, what_waits_for_a_source_hears_of_a_new_configuration);
    tcase_add_test(c, the_report_says_by_what_it_would_leave);
    suite_add_tcase(suite, c);
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
