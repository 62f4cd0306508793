/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a part pays, and to whom: all or nothing, and who is told to wait.
 */
#include "core/queue/toll.h"
#include "core/queue/queue.h"
#include "tests/unit/core/base/testing.h"
#include "tests/unit/core/io/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char rules[] = "{identity: {hostname: relay.example.test}, shaping: {"
                            "tenants: {slow: {message_rate: 1/day, weight: 3}, wide: {weight: 5},"
                            "          twice: {message_rate: {limit: 2/day, burst: 2}}},"
                            "campaigns: {once: {message_rate: 1/day, weight: 7},"
                            "            heavy: {byte_rate: {limit: 1KB/day, burst: 1KB}}}}}";

static const struct io_route routes[IO_KIND_COUNT];
static struct queue q;
static struct queue_site site;
static struct rng rng;
static struct conf *conf;
static struct shaping_table *shaping;

static void setup(void)
{
    char file[] = "/var/tmp/ringpost-toll-XXXXXX";
    int fd = mkstemp(file), error = 0;
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, rules, sizeof(rules) - 1), sizeof(rules) - 1);
    close(fd);
    struct buf errors;
    buf_init(&errors, 65536);
    conf = conf_load(&(struct conf_source){.file = file}, &errors, NULL);
    ck_assert_msg(conf != NULL, "%.*s", SLICE_ARG(buf_slice(&errors)));
    buf_deinit(&errors);
    unlink(file);
    shaping = shaping_table_new(conf);
    rng_init_seed(&rng, 1);
    q = (struct queue){.conf = conf, .shaping = shaping, .rng = &rng, .serial = 1};
    q.io = io_open(testing_backend(), 16, routes, NULL, &error);
    ck_assert_ptr_nonnull(q.io);
    q.budgets = budget_table_open(1);
    map_init(&q.labels, 1);
    queue_tolls_open(&q);
    site = (struct queue_site){.id = 7, .queue = &q};
}

static void teardown(void)
{
    queue_tolls_close(&q);
    map_deinit(&q.labels);
    budget_put(q.budgets, &site.own);
    budget_table_close(&q.budgets);
    io_close(q.io);
    shaping_table_free(shaping);
    conf_free(conf);
}

/* A message of these pays; who refuses, QUEUE_TOLLS: nobody. */
static enum queue_toll_by pay(const char *tenant, const char *campaign)
{
    struct queue_message m = {.body_bytes = 600};
    struct queue_part p = {.message = &m};
    struct queue_toll_wait wait = {.by = QUEUE_TOLLS};
    bool has = tenant[0] || campaign[0];
    m.label = has ? queue_label_get(&q,
                                    &(struct queue_label_names){.tenant = slice_str(tenant),
                                                                .campaign = slice_str(campaign)})
                  : NULL;
    bool may = queue_toll_check(&q, &site, &p, &wait);
    enum queue_toll_by checked = may ? QUEUE_TOLLS : wait.by;
    bool paid = queue_toll_pay(&q, &site, &p, &wait);
    ck_assert_int_eq(paid, may);
    ck_assert(paid || wait.next_us > io_now(q.io)->mono_us);
    ck_assert(paid || checked == wait.by);
    queue_label_put(&q, &m.label);
    return paid ? QUEUE_TOLLS : wait.by;
}

START_TEST(only_its_own_senders_wait)
{
    setup();
    ck_assert_int_eq(pay("slow", ""), QUEUE_TOLLS);
    ck_assert_int_eq(pay("slow", ""), QUEUE_TOLL_TENANT);
    ck_assert_int_eq(pay("slow", "once"), QUEUE_TOLL_TENANT);
    ck_assert_int_eq(pay("", ""), QUEUE_TOLLS);
    ck_assert_int_eq(pay("unknown", ""), QUEUE_TOLLS);
    ck_assert_int_eq(pay("wide", ""), QUEUE_TOLLS);
    ck_assert_int_eq(pay("", "slow"), QUEUE_TOLLS); /* a tenant's name is no campaign's */
    ck_assert_int_eq(pay("", "heavy"), QUEUE_TOLLS);
    ck_assert_int_eq(pay("", "heavy"), QUEUE_TOLL_CAMPAIGN);
    teardown();
}
END_TEST

/* The tenant has room for two. The campaign refuses: the tenant's share is given back. */
START_TEST(all_or_nothing)
{
    setup();
    ck_assert_int_eq(pay("twice", "once"), QUEUE_TOLLS);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(pay("twice", "once"), QUEUE_TOLL_CAMPAIGN);
    }
    ck_assert_int_eq(pay("twice", ""), QUEUE_TOLLS);
    ck_assert_int_eq(pay("twice", ""), QUEUE_TOLL_TENANT);
    teardown();
}
END_TEST

START_TEST(what_is_given_back_may_be_paid_again)
{
    setup();
    struct queue_message m = {.body_bytes = 0}; /* an empty one is a byte */
    struct queue_part p = {.message = &m};
    m.label = queue_label_get(&q, &(struct queue_label_names){.tenant = SLICE("slow"),
                                                              .campaign = SLICE("heavy")});
    struct queue_toll_wait wait;
    for (int i = 0; i < 3; i++) {
        ck_assert(queue_toll_pay(&q, &site, &p, &wait));
        queue_toll_give(&q, &site, &p);
    }
    queue_label_put(&q, &m.label);
    ck_assert_int_eq(pay("slow", ""), QUEUE_TOLLS);
    ck_assert_int_eq(pay("slow", ""), QUEUE_TOLL_TENANT);
    teardown();
}
END_TEST

/* As long as the site's own rate lets nothing pass, nobody's tenant is asked. */
START_TEST(the_site_is_first)
{
    setup();
    struct budget_limits limits = {.limited = {[BUDGET_MESSAGE_RATE] = true}};
    limits.rules[BUDGET_MESSAGE_RATE] = rate_rule_make(1, RATE_PERIOD_US_MAX, 1, 1);
    site.own = budget_get(q.budgets, SLICE("site"), &limits, 1, io_now(q.io)->mono_us);
    ck_assert_int_eq(pay("slow", ""), QUEUE_TOLLS);
    ck_assert_int_eq(pay("slow", ""), QUEUE_TOLL_SITE);
    ck_assert_int_eq(pay("", ""), QUEUE_TOLL_SITE);
    teardown();
}
END_TEST

START_TEST(weights)
{
    setup();
    struct ready_flow flow = {0};
    struct queue_label *label = queue_label_get(
        &q, &(struct queue_label_names){.tenant = SLICE("slow"), .campaign = SLICE("once")});
    queue_toll_weights(&q, label, &flow);
    ck_assert_uint_eq(flow.tenant_weight, 3);
    ck_assert_uint_eq(flow.campaign_weight, 7);
    queue_label_put(&q, &label);
    queue_toll_weights(&q, NULL, &flow);
    ck_assert_uint_eq(flow.tenant_weight, 1);
    ck_assert_uint_eq(flow.campaign_weight, 1);
    teardown();
}
END_TEST

/* The same rule in a new configuration: what was sent counts. */
START_TEST(a_new_configuration_goes_on_counting)
{
    setup();
    ck_assert_int_eq(pay("slow", ""), QUEUE_TOLLS);
    queue_tolls_forget(&q);
    q.serial++;
    ck_assert_int_eq(pay("slow", ""), QUEUE_TOLL_TENANT);
    teardown();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        only_its_own_senders_wait, all_or_nothing, what_is_given_back_may_be_paid_again,
        the_site_is_first,         weights,        a_new_configuration_goes_on_counting};
    return testing_run("core/queue/toll", tests, ARRAY_COUNT(tests));
}
