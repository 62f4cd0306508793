/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/egress.h"
#include "tests/unit/core/base/testing.h"

/* ---- a configuration without files ---- */

enum { MEMBERS = 3 };

static const struct ip_addr addresses[][2] = {
    {{IP_V4, {127, 0, 0, 2}}, {IP_V6, {0xfd, 0, [15] = 2}}},
    {{IP_V4, {127, 0, 0, 3}}, {0}},
    {{IP_V6, {0xfd, 0, [15] = 4}}, {0}},
};

static struct conf_egress_source conf_sources[] = {
    {.name = SLICE_INIT("both"), .addresses = {addresses[0], 2}, .ehlo = SLICE_INIT("a.example")},
    {.name = SLICE_INIT("four"), .addresses = {addresses[1], 1}, .ehlo = SLICE_INIT("b.example")},
    {.name = SLICE_INIT("six"), .addresses = {addresses[2], 1}, .ehlo = SLICE_INIT("c.example")},
    {.name = SLICE_INIT("socks"),
     .ehlo = SLICE_INIT("d.example"),
     .proxy = {CONF_EGRESS_SOCKS5, {{IP_V4, {127, 0, 0, 1}}, 1080}},
     .proxy_user = SLICE_INIT("u"),
     .proxy_password = SLICE_INIT("p")},
};
static const struct conf_weight bulk[] = {{SLICE_INIT("both"), 3},
                                          {SLICE_INIT("four"), 1},
                                          {SLICE_INIT("socks"), 4}};
static const struct conf_weight small[] = {{SLICE_INIT("six"), 1}, {SLICE_INIT("four"), 1}};
static const struct conf_egress_pool conf_pools[] = {
    {SLICE_INIT("bulk"), {bulk, ARRAY_COUNT(bulk)}},
    {SLICE_INIT("small"), {small, ARRAY_COUNT(small)}},
};
static const struct conf_egress_rule conf_rules[] = {
    {.tenant = SLICE_INIT("news"), .campaign = SLICE_INIT("spring"), .pool = SLICE_INIT("small")},
    {.tenant = SLICE_INIT("news"), .pool = SLICE_INIT("bulk")},
    {.sender_domain = SLICE_INIT("example.org"), .pool = SLICE_INIT("six")},
};

static struct conf conf = {
    .sources = {conf_sources, ARRAY_COUNT(conf_sources)},
    .source_pools = {conf_pools, ARRAY_COUNT(conf_pools)},
    .source_rules = {conf_rules, ARRAY_COUNT(conf_rules)},
};

static struct egress_table *t;

static void setup(void)
{
    t = egress_table_new(&conf, NULL);
    ck_assert_ptr_nonnull(t);
}

static void teardown(void)
{
    egress_table_free(t);
}

/* ---- the table ---- */

START_TEST(sources_have_what_was_configured)
{
    ck_assert_uint_eq(egress_count(t), 4);
    const struct egress_source *s = egress_find(t, SLICE("both"));
    ck_assert_ptr_eq(s, egress_at(t, 0));
    ck_assert_uint_eq(s->families, EGRESS_V4 | EGRESS_V6);
    ck_assert(ip_addr_eq(&s->address4, &addresses[0][0]));
    ck_assert(ip_addr_eq(&s->address6, &addresses[0][1]));
    ck_assert(slice_eq(s->ehlo, SLICE("a.example")));
    ck_assert_int_eq(s->proxy.kind, CONF_EGRESS_DIRECT);
    s = egress_find(t, SLICE("six"));
    ck_assert_uint_eq(s->families, EGRESS_V6);
    ck_assert_int_eq(s->address4.family, IP_NONE);
    s = egress_find(t, SLICE("socks"));
    ck_assert_uint_eq(s->families, EGRESS_V4 | EGRESS_V6);
    ck_assert_int_eq(s->proxy.kind, CONF_EGRESS_SOCKS5);
    ck_assert_uint_eq(s->proxy.at.port, 1080);
    ck_assert(slice_eq(s->proxy.user, SLICE("u")) && slice_eq(s->proxy.password, SLICE("p")));
    ck_assert_ptr_null(egress_find(t, SLICE("bulk"))); /* a pool */
    ck_assert_ptr_null(egress_find(t, SLICE("nobody")));
}
END_TEST

START_TEST(without_a_table_there_are_no_sources)
{
    const struct egress_mail m = {.named = SLICE_INIT("both")};
    ck_assert_uint_eq(egress_count(NULL), 0);
    ck_assert_uint_eq(egress_news(NULL), 0);
    ck_assert_ptr_null(egress_find(NULL, SLICE("both")));
    ck_assert_ptr_null(egress_pool_find(NULL, m.named));
    struct conf none = {0};
    struct egress_table *empty = egress_table_new(&none, NULL);
    ck_assert_uint_eq(egress_count(empty), 0);
    ck_assert_ptr_null(egress_pool_of(empty, &m));
    egress_table_free(empty);
}
END_TEST

START_TEST(the_pool_is_what_the_message_named_or_the_first_rule_that_matches)
{
    static const struct {
        const char *named, *tenant, *campaign, *sender, *pool;
    } rows[] = {
        {"", "", "", "", NULL},
        {"", "news", "", "", "bulk"},
        {"", "news", "spring", "example.org", "small"},
        {"", "news", "autumn", "example.org", "bulk"},
        {"", "News", "", "", NULL}, /* names of tenants: case counts */
        {"", "other", "spring", "", NULL},
        {"", "other", "", "Example.ORG", "six"},
        {"", "", "", "sub.example.org", NULL},
        {"four", "news", "", "", "four"},
        {"small", "news", "", "", "small"},
        {"gone", "news", "", "", "bulk"},
        {"gone", "", "", "", NULL},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct egress_mail m = {slice_str(rows[i].named), slice_str(rows[i].tenant),
                                      slice_str(rows[i].campaign), slice_str(rows[i].sender)};
        const struct egress_pool *p = egress_pool_of(t, &m);
        ck_assert_msg((p != NULL) == (rows[i].pool != NULL), "row %zu", i);
        ck_assert_msg(!p || slice_eq(egress_pool_name(p), slice_str(rows[i].pool)), "row %zu", i);
    }
}
END_TEST

/* ---- the choice ---- */

enum { DRAWS = 100000 };

/* Ids as queue_next_id makes them: a few per millisecond. */
static uint64_t nth_id(uint64_t i)
{
    return (UINT64_C(1700000000000) + i / 3) << 22 | i % 3;
}

struct may {
    unsigned never; /* 1 << index */
    unsigned asked;
};

static bool may_go(void *ctx, const struct egress_source *s)
{
    struct may *m = ctx;
    m->asked |= 1u << s->index;
    return !(m->never & 1u << s->index);
}

static void count(const char *pool, struct egress_pick pick, uint32_t counts[4])
{
    memset(counts, 0, 4 * sizeof(*counts));
    const struct egress_pool *p = egress_pool_find(t, slice_str(pool));
    for (uint64_t i = 0; i < DRAWS; i++) {
        pick.id = nth_id(i);
        const struct egress_source *s = egress_choose(p, &pick);
        ck_assert_ptr_nonnull(s);
        counts[s->index]++;
    }
}

/* Within five standard deviations of the binomial distribution: fails once in two million, and ids are fixed. */
static void expect_share(uint32_t got, double share)
{
    double off = (double)got - DRAWS * share;
    ck_assert_msg(off * off <= 25 * DRAWS * share * (1 - share), "%u of %d, wanted %.3f", got,
                  DRAWS, share);
}

START_TEST(weights_hold)
{
    uint32_t c[4];
    struct egress_pick pick = {.families = EGRESS_V4};
    count("bulk", pick, c);
    expect_share(c[0], 3.0 / 8);
    expect_share(c[1], 1.0 / 8);
    expect_share(c[3], 4.0 / 8);
    ck_assert_uint_eq(c[2], 0);
    pick.attempt = EGRESS_ATTEMPTS_PER_DRAW;
    count("bulk", pick, c);
    expect_share(c[0], 3.0 / 8);
}
END_TEST

START_TEST(the_others_weights_hold_when_one_may_not)
{
    uint32_t c[4];
    struct may may = {.never = 1u << 3};
    struct egress_pick pick = {.families = EGRESS_V4, .may = may_go, .ctx = &may};
    count("bulk", pick, c);
    expect_share(c[0], 3.0 / 4);
    expect_share(c[1], 1.0 / 4);
    ck_assert_uint_eq(c[3], 0);
    pick.may = NULL;
    egress_set_gone(egress_at(t, 0), EGRESS_V4, true);
    count("bulk", pick, c);
    expect_share(c[1], 1.0 / 5);
    expect_share(c[3], 4.0 / 5);
}
END_TEST

START_TEST(only_the_mail_of_the_one_that_may_not_moves)
{
    const struct egress_pool *p = egress_pool_find(t, SLICE("bulk"));
    struct may may = {.never = 1u << 1};
    for (uint64_t i = 0; i < 2000; i++) {
        struct egress_pick pick = {.id = nth_id(i), .families = EGRESS_V4};
        const struct egress_source *before = egress_choose(p, &pick);
        pick.may = may_go;
        pick.ctx = &may;
        const struct egress_source *after = egress_choose(p, &pick);
        ck_assert(after == before || before->index == 1);
        ck_assert_uint_ne(after->index, 1);
    }
}
END_TEST

START_TEST(a_message_keeps_its_source_for_some_attempts)
{
    const struct egress_pool *p = egress_pool_find(t, SLICE("bulk"));
    unsigned other = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        struct egress_pick pick = {.id = nth_id(i), .families = EGRESS_V4};
        const struct egress_source *first = egress_choose(p, &pick);
        for (pick.attempt = 0; pick.attempt < EGRESS_ATTEMPTS_PER_DRAW; pick.attempt++) {
            ck_assert_ptr_eq(egress_choose(p, &pick), first);
        }
        other += egress_choose(p, &pick) != first;
    }
    /* 1 - (9 + 1 + 16) / 64 of them: 594 */
    ck_assert_uint_gt(other, 500);
    ck_assert_uint_lt(other, 700);
}
END_TEST

START_TEST(families_of_the_destination_count)
{
    uint32_t c[4];
    struct egress_pick pick = {.families = EGRESS_V6};
    count("small", pick, c);
    ck_assert_uint_eq(c[2], DRAWS);
    pick.families = EGRESS_V4;
    count("small", pick, c);
    ck_assert_uint_eq(c[1], DRAWS);
    pick.families = EGRESS_V4 | EGRESS_V6;
    count("small", pick, c);
    expect_share(c[1], 0.5);
    const struct egress_pool *six = egress_pool_find(t, SLICE("six"));
    pick.families = EGRESS_V4;
    ck_assert_ptr_null(egress_choose(six, &pick));
}
END_TEST

START_TEST(none_may_is_no_source_and_paused_ones_are_not_asked_for)
{
    const struct egress_pool *p = egress_pool_find(t, SLICE("small"));
    struct may may = {.never = ~0u};
    struct egress_pick pick = {.id = 1,
                               .families = EGRESS_V4 | EGRESS_V6,
                               .may = may_go,
                               .ctx = &may};
    ck_assert_ptr_null(egress_choose(p, &pick));
    ck_assert_uint_eq(may.asked, 1u << 1 | 1u << 2);
    may = (struct may){0};
    egress_set_gone(egress_at(t, 1), EGRESS_V4, true);
    ck_assert_ptr_eq(egress_choose(p, &pick), egress_at(t, 2));
    ck_assert_uint_eq(may.asked, 1u << 2);
}
END_TEST

/* ---- gone and back ---- */

START_TEST(an_address_that_goes_is_news_once)
{
    const struct egress_source *s = egress_at(t, 0);
    uint64_t news = egress_news(t);
    ck_assert(egress_set_gone(s, EGRESS_V6, true));
    ck_assert(!egress_set_gone(s, EGRESS_V6, true));
    ck_assert_uint_eq(egress_news(t), news + 1);
    ck_assert_uint_eq(egress_families_now(s), EGRESS_V4);
    ck_assert(egress_set_gone(s, EGRESS_V4, true));
    ck_assert_uint_eq(egress_families_now(s), 0);
    ck_assert_uint_eq(egress_pauses(s), 2);
    ck_assert(egress_set_gone(s, EGRESS_V4, false));
    ck_assert(!egress_set_gone(s, EGRESS_V4, false));
    ck_assert_uint_eq(egress_families_now(s), EGRESS_V4);
    ck_assert_uint_eq(egress_news(t), news + 3);
    ck_assert_uint_eq(egress_pauses(s), 2);
}
END_TEST

START_TEST(the_next_table_knows_what_is_gone)
{
    struct conf_egress_source others[] = {conf_sources[1], conf_sources[0], conf_sources[2]};
    struct conf next = {.sources = {others, ARRAY_COUNT(others)}};
    others[2].addresses = (struct conf_addresses){addresses[1], 1}; /* "six" has another address */
    egress_set_gone(egress_find(t, SLICE("four")), EGRESS_V4, true);
    egress_set_gone(egress_find(t, SLICE("six")), EGRESS_V6, true);
    struct egress_table *n = egress_table_new(&next, t);
    ck_assert_uint_eq(egress_families_now(egress_find(n, SLICE("four"))), 0);
    ck_assert_uint_eq(egress_families_now(egress_find(n, SLICE("both"))), EGRESS_V4 | EGRESS_V6);
    ck_assert_uint_eq(egress_families_now(egress_find(n, SLICE("six"))), EGRESS_V4);
    ck_assert_uint_eq(egress_news(n), egress_news(t));
    /* A connection of before tells it to both. */
    egress_set_gone(egress_find(t, SLICE("both")), EGRESS_V4, true);
    ck_assert_uint_eq(egress_families_now(egress_find(n, SLICE("both"))), EGRESS_V6);
    ck_assert_uint_eq(egress_news(n), egress_news(t));
    egress_table_free(t);
    t = n; /* and it outlives the one before */
    ck_assert(egress_set_gone(egress_find(t, SLICE("four")), EGRESS_V4, false));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("egress");
    TCase *c = tcase_create("egress");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, sources_have_what_was_configured);
    tcase_add_test(c, without_a_table_there_are_no_sources);
    tcase_add_test(c, the_pool_is_what_the_message_named_or_the_first_rule_that_matches);
    tcase_add_test(c, weights_hold);
    tcase_add_test(c, the_others_weights_hold_when_one_may_not);
    tcase_add_test(c, only_the_mail_of_the_one_that_may_not_moves);
    tcase_add_test(c, a_message_keeps_its_source_for_some_attempts);
    tcase_add_test(c, families_of_the_destination_count);
    tcase_add_test(c, none_may_is_no_source_and_paused_ones_are_not_asked_for);
    tcase_add_test(c, an_address_that_goes_is_news_once);
    tcase_add_test(c, the_next_table_knows_what_is_gone);
    suite_add_tcase(suite, c);
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
