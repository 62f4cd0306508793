/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The order of a site's parts: classes, shares by weight, debts, holds.
 */
#include "core/queue/ready.h"
#include "core/base/rng.h"

#include "tests/unit/core/base/testing.h"

struct thing {
    struct ready_item item;
    struct ready_flow flow;
    unsigned number;
};

static struct ready ready;
static struct thing things[4096];
static unsigned used;

static void setup(void)
{
    ready_init(&ready, 42);
    used = 0;
}

static void teardown(void)
{
    struct ready_item *item;
    while ((item = ready_any(&ready))) {
        ready_remove(&ready, item);
    }
    ready_deinit(&ready);
}

static struct thing *push(enum ready_class class, uint64_t tenant, uint64_t campaign,
                          uint32_t weight, uint32_t cost)
{
    ck_assert_uint_lt(used, ARRAY_COUNT(things));
    struct thing *t = &things[used];
    *t = (struct thing){.item.cost = cost,
                        .flow = {class, tenant, campaign, weight, 0},
                        .number = used++};
    ck_assert(ready_push(&ready, &t->item, &t->flow, false));
    return t;
}

static struct thing *take(void)
{
    struct ready_item *item = ready_take(&ready);
    return item ? container_of(item, struct thing, item) : NULL;
}

START_TEST(one_flow_is_first_in_first_out)
{
    setup();
    for (unsigned i = 0; i < 100; i++) {
        push(READY_NORMAL, 1, 1, 0, 1 + i % 7);
    }
    for (unsigned i = 0; i < 100; i++) {
        ck_assert_uint_eq(take()->number, i);
    }
    ck_assert_ptr_null(take());
    ck_assert_uint_eq(ready.count, 0);
    ck_assert_uint_eq(ready.nodes.count, 0);
    teardown();
}
END_TEST

START_TEST(an_urgent_item_overtakes_whatever_waits)
{
    setup();
    for (unsigned i = 0; i < 1000; i++) {
        push(READY_BULK, 1 + i % 3, i % 5, 1000, 1);
    }
    struct thing *normal = push(READY_NORMAL, 9, 0, 0, 100);
    struct thing *urgent = push(READY_URGENT, 9, 0, 0, 100);
    ck_assert_ptr_eq(take(), urgent);
    ck_assert_ptr_eq(take(), normal);
    ck_assert_uint_eq(take()->flow.class, READY_BULK);
    teardown();
}
END_TEST

START_TEST(shares_are_those_of_the_weights)
{
    setup();
    static const uint32_t weights[] = {1, 2, 5};
    unsigned got[3] = {0};
    for (unsigned i = 0; i < 3000; i++) {
        push(READY_BULK, 1 + i % 3, 0, weights[i % 3], 1);
    }
    for (unsigned i = 0; i < 800; i++) {
        got[take()->flow.tenant - 1]++;
    }
    ck_assert_uint_eq(got[0], 100);
    ck_assert_uint_eq(got[1], 200);
    ck_assert_uint_eq(got[2], 500);
    teardown();
}
END_TEST

START_TEST(a_late_tenant_gets_its_share_at_once_and_no_more)
{
    setup();
    for (unsigned i = 0; i < 1000; i++) {
        push(READY_BULK, 1, 0, 0, 1);
    }
    for (unsigned i = 0; i < 500; i++) {
        take();
    }
    for (unsigned i = 0; i < 100; i++) {
        push(READY_BULK, 2, 0, 0, 1);
    }
    unsigned second = 0;
    for (unsigned i = 0; i < 100; i++) {
        second += take()->flow.tenant == 2;
    }
    ck_assert_uint_ge(second, 49);
    ck_assert_uint_le(second, 51);
    teardown();
}
END_TEST

START_TEST(recipients_are_counted_not_messages)
{
    setup();
    for (unsigned i = 0; i < 100; i++) {
        push(READY_NORMAL, 1, 0, 0, 100);
    }
    for (unsigned i = 0; i < 2000; i++) {
        push(READY_NORMAL, 2, 0, 0, 1);
    }
    uint32_t costs[2] = {0};
    for (unsigned i = 0; i < 1010; i++) {
        struct thing *t = take();
        costs[t->flow.tenant - 1] += t->item.cost;
    }
    ck_assert_uint_le(costs[0], costs[1] + 100);
    ck_assert_uint_le(costs[1], costs[0] + 100);
    teardown();
}
END_TEST

START_TEST(who_empties_himself_after_each_dear_item_still_pays)
{
    setup();
    for (unsigned i = 0; i < 2000; i++) {
        push(READY_NORMAL, 2, 0, 0, 1);
    }
    uint32_t costs[2] = {0};
    struct thing *dear = push(READY_NORMAL, 1, 0, 0, 100);
    for (unsigned i = 0; i < 505; i++) {
        struct thing *t = take();
        costs[t->flow.tenant - 1] += t->item.cost;
        if (t == dear) {
            ck_assert(ready_push(&ready, &dear->item, &dear->flow, false));
        }
    }
    ck_assert_uint_le(costs[0], costs[1] + 100);
    ck_assert_uint_ge(costs[0] + 100, costs[1]);
    teardown();
}
END_TEST

START_TEST(campaigns_share_within_their_tenant)
{
    setup();
    for (unsigned i = 0; i < 600; i++) {
        push(READY_BULK, 1, i % 2, 0, 1); /* two campaigns of one tenant */
        push(READY_BULK, 2, 7, 0, 1);
    }
    unsigned tenants[2] = {0};
    unsigned campaigns[2] = {0};
    for (unsigned i = 0; i < 400; i++) {
        struct thing *t = take();
        tenants[t->flow.tenant - 1]++;
        if (t->flow.tenant == 1) {
            campaigns[t->flow.campaign]++;
        }
    }
    ck_assert_uint_eq(tenants[0], 200);
    ck_assert_uint_eq(campaigns[0], 100);
    teardown();
}
END_TEST

START_TEST(what_comes_back_goes_first)
{
    setup();
    struct thing *a = push(READY_NORMAL, 1, 1, 0, 1);
    struct thing *b = push(READY_NORMAL, 1, 1, 0, 1);
    ck_assert_ptr_eq(take(), a);
    ck_assert(ready_push(&ready, &a->item, &a->flow, true));
    ck_assert_ptr_eq(take(), a);
    ck_assert_ptr_eq(take(), b);
    teardown();
}
END_TEST

START_TEST(a_held_tenant_waits_and_the_others_go)
{
    setup();
    push(READY_URGENT, 1, 0, 0, 1);
    struct thing *second = push(READY_URGENT, 1, 0, 0, 1);
    struct thing *other = push(READY_URGENT, 2, 0, 0, 1);
    struct thing *bulk = push(READY_BULK, 1, 0, 0, 1);
    ready_hold(&ready, &second->flow, READY_TENANT, 1000);
    ck_assert_ptr_eq(take(), other);
    ck_assert_ptr_eq(take(), bulk); /* another class of it is not held */
    ck_assert_ptr_null(take());
    ck_assert_uint_eq(ready.count, 2);
    ck_assert_uint_eq(ready_unhold(&ready, 999), 1000);
    ck_assert_ptr_null(take());
    ck_assert_uint_eq(ready_unhold(&ready, 1000), UINT64_MAX);
    ck_assert_uint_eq(take()->number, 0);
    ck_assert_ptr_eq(take(), second);
    teardown();
}
END_TEST

START_TEST(a_held_campaign_waits_and_the_tenant_goes_on)
{
    setup();
    struct thing *first = push(READY_NORMAL, 1, 1, 0, 1);
    struct thing *second = push(READY_NORMAL, 1, 2, 0, 1);
    ready_hold(&ready, &first->flow, READY_CAMPAIGN, 50);
    ck_assert_ptr_eq(take(), second);
    ck_assert_ptr_null(take());
    /* Nothing of the tenant may go: nor when it is held and let go itself. */
    ready_hold(&ready, &first->flow, READY_TENANT, 20);
    ck_assert_uint_eq(ready_unhold(&ready, 30), 50);
    ck_assert_ptr_null(take());
    ck_assert_uint_eq(ready_unhold(&ready, 50), UINT64_MAX);
    ck_assert_ptr_eq(take(), first);
    ck_assert_uint_eq(ready.nodes.count, 0);
    teardown();
}
END_TEST

START_TEST(a_held_item_can_be_removed)
{
    setup();
    struct thing *a = push(READY_NORMAL, 1, 1, 0, 1);
    ready_hold(&ready, &a->flow, READY_CAMPAIGN, 50);
    ready_hold(&ready, &a->flow, READY_TENANT, 50);
    ready_remove(&ready, &a->item);
    ck_assert_uint_eq(ready.count, 0);
    ck_assert_uint_eq(ready.nodes.count, 0);
    ck_assert_uint_eq(ready_unhold(&ready, 60), UINT64_MAX);
    teardown();
}
END_TEST

/* Whatever happens in whatever order: everything comes out once, counts agree. */
static void history(uint64_t seed)
{
    struct rng rng;
    rng_init_seed(&rng, seed);
    bool in[512] = {false};
    unsigned inside = 0;
    for (unsigned step = 0; step < 20000; step++) {
        uint64_t dice = rng_u64(&rng);
        unsigned n = (unsigned)(dice >> 8) % 512;
        struct thing *t = &things[n];
        switch (dice & 7) {
        case 0:
        case 1:
        case 2:
            if (!in[n]) {
                *t = (struct thing){.item.cost = 1 + (uint32_t)(dice >> 20) % 100,
                                    .flow = {(enum ready_class)((dice >> 30) % 3), dice >> 40 & 3,
                                             dice >> 44 & 3, (uint32_t)(dice >> 48 & 7), 0},
                                    .number = n};
                testing_that(ready_push(&ready, &t->item, &t->flow, dice >> 60 & 1));
                in[n] = true;
                inside++;
            }
            break;
        case 3:
            if (in[n]) {
                ready_remove(&ready, &t->item);
                in[n] = false;
                inside--;
            }
            break;
        case 4:
            if (in[n]) {
                ready_hold(&ready, &t->flow, dice >> 50 & 1 ? READY_TENANT : READY_CAMPAIGN,
                           step + (dice >> 51 & 63));
            }
            break;
        case 5:
            ready_unhold(&ready, step);
            break;
        default: {
            struct thing *got = take();
            if (got) {
                testing_that(in[got->number]);
                in[got->number] = false;
                inside--;
            }
        }
        }
        testing_that(ready.count == inside);
        testing_that(ready.may_go[0] + ready.may_go[1] + ready.may_go[2] <= inside);
    }
    ready_unhold(&ready, UINT64_MAX);
    ck_assert_uint_eq(ready.may_go[0] + ready.may_go[1] + ready.may_go[2], inside);
    while (take()) {
        inside--;
    }
    ck_assert_uint_eq(inside, 0);
}

START_TEST(any_history_keeps_its_books)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        setup();
        history(seed);
        teardown();
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        one_flow_is_first_in_first_out,
        an_urgent_item_overtakes_whatever_waits,
        shares_are_those_of_the_weights,
        a_late_tenant_gets_its_share_at_once_and_no_more,
        recipients_are_counted_not_messages,
        who_empties_himself_after_each_dear_item_still_pays,
        campaigns_share_within_their_tenant,
        what_comes_back_goes_first,
        a_held_tenant_waits_and_the_others_go,
        a_held_campaign_waits_and_the_tenant_goes_on,
        a_held_item_can_be_removed,
        any_history_keeps_its_books,
    };
    return testing_run("core/queue/ready", tests, ARRAY_COUNT(tests));
}
