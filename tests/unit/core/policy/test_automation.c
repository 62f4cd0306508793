/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/core/policy/automation_rig.h"

#include "core/base/rng.h"

#include <pthread.h>

#define SLOW "450 4.7.0 Too many messages, slow down"

/* SLICE_INIT for tables. */
#define ROW(name_, scope_, trigger_, action_, value_, duration_)                                   \
    {                                                                                              \
        .name = SLICE_INIT(name_), .classes = SLICE_INIT("rate-limited"),                          \
        .match = {.sample = SLICE_INIT(SLOW)}, .scope = SLICE_INIT(scope_),                        \
        .trigger = SLICE_INIT(trigger_), .action = SLICE_INIT(action_),                            \
        .value = SLICE_INIT(value_), .duration = SLICE_INIT(duration_),                            \
    }

static const struct automation_row half_rate = ROW("half", "source@site", "", "rate", "50%", "10m");
static const struct automation_row stop_site = ROW("pause", "site", "", "suspend", "", "30m");

START_TEST(a_reduction_holds_and_grows_by_steps)
{
    struct rig r;
    rig_open(&r, &half_rate, 1, false);
    struct automation_verdict v = rig_reply(&r, SLOW);
    ck_assert(v.fired == 1 && slice_eq(v.rule->name, SLICE("half")) && !v.fail);
    struct automation_effect e = rig_effect(&r);
    ck_assert_uint_eq(e.rate.factor, AUTOMATION_ONE / 2);
    ck_assert_uint_eq(e.rate.max, 0);
    ck_assert_uint_eq(e.connections.factor, AUTOMATION_ONE);
    ck_assert_uint_eq(e.until_ms, RIG_START + MINUTES(10));
    ck_assert(automation_fresh(r.a, &e, r.now_ms) && !automation_fresh(r.a, &e, e.until_ms));
    r.now_ms = RIG_START + MINUTES(10) - 1;
    ck_assert_uint_eq(rig_effect(&r).rate.factor, AUTOMATION_ONE / 2);
    for (unsigned step = 0; step < 4; step++) { /* a tenth each fifth of the duration */
        r.now_ms = RIG_START + MINUTES(10 + 2 * step);
        ck_assert_uint_eq(rig_effect(&r).rate.factor, AUTOMATION_ONE / 10 * (6 + step));
        r.now_ms += MINUTES(2) - 1;
        ck_assert_uint_eq(rig_effect(&r).rate.factor, AUTOMATION_ONE / 10 * (6 + step));
    }
    struct automation_override o;
    ck_assert(automation_next(r.a, 0, r.now_ms, &o));
    ck_assert_uint_eq(o.end_ms, RIG_START + MINUTES(18));
    r.now_ms = o.end_ms;
    e = rig_effect(&r);
    ck_assert(e.rate.factor == AUTOMATION_ONE && e.cause_id == 0);
    ck_assert(!automation_next(r.a, 0, r.now_ms, &o));
    rig_close(&r);
}
END_TEST

START_TEST(a_relapse_halves_once_per_settle_time)
{
    struct rig r;
    rig_open(&r, &half_rate, 1, false);
    rig_reply(&r, SLOW);
    for (unsigned i = 0; i < 50; i++) { /* what was on the wire */
        r.now_ms += 100;
        ck_assert_uint_eq(rig_reply(&r, SLOW).fired, 0);
    }
    ck_assert_uint_eq(rig_effect(&r).rate.factor, AUTOMATION_ONE / 2);
    r.now_ms = RIG_START + MINUTES(1);
    ck_assert_uint_eq(rig_reply(&r, SLOW).fired, 1);
    ck_assert_uint_eq(rig_effect(&r).rate.factor, AUTOMATION_ONE / 4);
    /* It has grown to 0.45 when it comes again: half of that. */
    r.now_ms += MINUTES(13);
    ck_assert_uint_eq(rig_effect(&r).rate.factor, AUTOMATION_ONE / 100 * 45);
    rig_reply(&r, SLOW);
    ck_assert_uint_eq(rig_effect(&r).rate.factor, AUTOMATION_ONE / 1000 * 225);
    for (unsigned i = 0; i < 50; i++) {
        r.now_ms += MINUTES(2);
        rig_reply(&r, SLOW);
    }
    ck_assert_uint_eq(rig_effect(&r).rate.factor, AUTOMATION_FACTOR_FLOOR);
    struct automation_override o;
    ck_assert(automation_next(r.a, 0, r.now_ms, &o));
    ck_assert_uint_eq(o.replies, 1 + 50 + 1 + 1 + 50);
    ck_assert_uint_ge(o.relapses, 50);
    /* From the floor: never more than double at a step. */
    uint32_t last = o.factor;
    while (automation_next(r.a, 0, r.now_ms, &o)) {
        ck_assert(o.factor >= last && o.factor <= 2 * last && o.factor <= AUTOMATION_ONE);
        last = o.factor;
        r.now_ms += MINUTES(1);
        ck_assert(r.now_ms < RIG_START + MINUTES(300));
    }
    rig_close(&r);
}
END_TEST

START_TEST(a_reply_below_the_threshold_only_stops_the_growth)
{
    const struct automation_row row = ROW("three", "site", "3/10m", "connections", "50%", "10m");
    struct rig r;
    rig_open(&r, &row, 1, false);
    ck_assert_uint_eq(rig_reply(&r, SLOW).fired, 0);
    ck_assert_uint_eq(rig_reply(&r, SLOW).fired, 0);
    ck_assert_uint_eq(rig_effect(&r).connections.factor, AUTOMATION_ONE);
    ck_assert_uint_eq(rig_reply(&r, SLOW).fired, 1);
    ck_assert_uint_eq(rig_effect(&r).connections.factor, AUTOMATION_ONE / 2);
    r.now_ms += MINUTES(11);
    ck_assert_uint_eq(rig_effect(&r).connections.factor, AUTOMATION_ONE / 10 * 6);
    ck_assert_uint_eq(rig_reply(&r, SLOW).fired, 0);
    r.now_ms += MINUTES(10) - 1;
    ck_assert_uint_eq(rig_effect(&r).connections.factor, AUTOMATION_ONE / 10 * 6);
    r.now_ms += 1;
    ck_assert_uint_eq(rig_effect(&r).connections.factor, AUTOMATION_ONE / 10 * 7);
    rig_close(&r);
}
END_TEST

START_TEST(the_threshold_slides)
{
    const struct automation_row row = ROW("three", "site", "3/10m", "suspend", "", "1h");
    struct rig r;
    rig_open(&r, &row, 1, false);
    for (unsigned i = 0; i < 20; i++) { /* two in any ten minutes, never three */
        ck_assert_uint_eq(rig_reply(&r, SLOW).fired, 0);
        r.now_ms += MINUTES(5);
    }
    ck_assert_uint_eq(rig_reply(&r, SLOW).fired, 0);
    r.now_ms += MINUTES(5) - 1;
    ck_assert_uint_eq(rig_reply(&r, SLOW).fired, 1); /* 10 minutes less a millisecond ago */
    /* Another key has a count of its own. */
    r.event.keys.site = SLICE("other");
    ck_assert_uint_eq(rig_reply(&r, SLOW).fired, 0);
    rig_close(&r);
}
END_TEST

START_TEST(a_suspension_ends_and_comes_back_slowly)
{
    struct rig r;
    rig_open(&r, &stop_site, 1, false);
    rig_reply(&r, SLOW);
    struct automation_effect e = rig_effect(&r);
    ck_assert_uint_eq(e.suspended_until_ms, RIG_START + MINUTES(30));
    ck_assert_uint_eq(e.until_ms, RIG_START + MINUTES(30));
    for (unsigned i = 0; i < 29; i++) { /* replies on their way do not renew it */
        r.now_ms += MINUTES(1);
        ck_assert_uint_eq(rig_reply(&r, SLOW).fired, 0);
    }
    ck_assert_uint_eq(rig_effect(&r).suspended_until_ms, RIG_START + MINUTES(30));
    r.now_ms = RIG_START + MINUTES(30);
    e = rig_effect(&r);
    ck_assert_uint_eq(e.suspended_until_ms, 0);
    ck_assert_uint_eq(e.rate.factor, AUTOMATION_ONE / 10);
    ck_assert_uint_eq(e.connections.factor, AUTOMATION_ONE / 10);
    ck_assert_uint_eq(e.per_connection.factor, AUTOMATION_ONE);
    r.now_ms += MINUTES(6);
    ck_assert_uint_eq(rig_effect(&r).rate.factor, AUTOMATION_ONE / 10 * 2);
    /* A relapse while it grows: suspended again, and the next start is lower. */
    ck_assert_uint_eq(rig_reply(&r, SLOW).fired, 1);
    e = rig_effect(&r);
    ck_assert_uint_eq(e.suspended_until_ms, r.now_ms + MINUTES(30));
    r.now_ms += MINUTES(30);
    ck_assert_uint_eq(rig_effect(&r).suspended_until_ms, 0);
    ck_assert_uint_eq(rig_effect(&r).rate.factor, AUTOMATION_ONE / 10);
    ck_assert_uint_eq(rig_reply(&r, SLOW).fired, 1);
    r.now_ms += MINUTES(30);
    ck_assert_uint_eq(rig_effect(&r).rate.factor, AUTOMATION_ONE / 20);
    r.now_ms += MINUTES(6);
    ck_assert_uint_eq(rig_effect(&r).rate.factor, AUTOMATION_ONE / 10); /* doubled, then tenths */
    r.now_ms += MINUTES(6 * 9);
    ck_assert_uint_eq(rig_effect(&r).rate.factor, AUTOMATION_ONE);
    rig_close(&r);
}
END_TEST

START_TEST(bounce_reroute_and_fail)
{
    const struct automation_row rows[] = {
        ROW("b", "tenant@site", "", "bounce", "", "5m"),
        ROW("r", "source@provider", "", "reroute", "ip2", "10m"),
        {.name = SLICE_INIT("f"),
         .classes = SLICE_INIT("mailbox-full"),
         .match = {.code = SLICE_INIT("4xx"), .sample = SLICE_INIT("452 4.2.2 mailbox full")},
         .action = SLICE_INIT("fail")},
    };
    struct rig r;
    rig_open(&r, rows, 3, false);
    struct automation_verdict v = rig_reply(&r, "452 4.2.2 <x@y.example> over quota");
    ck_assert(v.fail && v.fired == 1 && slice_eq(v.rule->name, SLICE("f")));
    ck_assert_uint_eq(automation_counts(r.a).overrides, 0);
    v = rig_reply(&r, SLOW);
    ck_assert(!v.fail && v.fired == 2);
    struct automation_effect e = rig_effect(&r);
    ck_assert(e.bounce_id != 0 && e.suspended_until_ms == 0);
    ck_assert(slice_eq(slice_of(e.source, e.source_bytes), SLICE("ip2")));
    r.now_ms += MINUTES(5);
    e = rig_effect(&r);
    ck_assert(e.bounce_id == 0 && e.source_bytes == 3);
    r.now_ms += MINUTES(5);
    ck_assert_uint_eq(rig_effect(&r).source_bytes, 0);
    ck_assert_uint_eq(automation_counts(r.a).overrides, 0);
    rig_close(&r);
}
END_TEST

START_TEST(limits_begin_at_what_was_sent)
{
    const struct automation_row rows[] = {
        ROW("rate", "site", "", "rate", "10/min", "30m"),
        ROW("conns", "site", "", "connections", "1", "30m"),
        ROW("per", "site", "", "messages_per_connection", "2", "30m"),
    };
    struct rig r;
    rig_open(&r, rows, 3, false);
    r.event.base = (struct automation_base){.messages_per_day = 86400 * 100, /* 100/s */
                                            .connections = 20};
    ck_assert_uint_eq(rig_reply(&r, SLOW).fired, 3);
    struct automation_effect e = rig_effect(&r);
    ck_assert_uint_le(e.rate.max, 10 * 60 * 24);
    ck_assert_uint_ge(e.rate.max, 10 * 60 * 24 - 1);
    ck_assert_uint_eq(e.rate.factor, AUTOMATION_ONE);
    ck_assert_uint_eq(e.connections.max, 1);
    ck_assert_uint_eq(e.per_connection.max, 2); /* nobody knew: taken for a 16th */
    ck_assert_uint_eq(automation_bounded(&e.connections, 10), 1);
    ck_assert_uint_eq(automation_bounded(&e.connections, 0), 1);
    /* No jump from 10/min to 10/s: doubling first. */
    r.now_ms += MINUTES(30);
    e = rig_effect(&r);
    ck_assert_uint_le(e.rate.max, 20 * 60 * 24);
    ck_assert_uint_ge(e.rate.max, 20 * 60 * 24 - 2);
    ck_assert_uint_eq(e.connections.max, 2);
    rig_close(&r);
}
END_TEST

START_TEST(a_bounded_rate_is_a_rate)
{
    const struct conf_rate limit = {100, 1000000, 10};
    const struct conf_rate none = {0, 0, 0};
    struct automation_bound b = {AUTOMATION_ONE, 0};
    struct conf_rate out = automation_bounded_rate(&b, &limit);
    ck_assert(out.count == 100 && out.period_us == 1000000 && out.burst == 10);
    ck_assert_uint_eq(automation_bounded_rate(&b, &none).count, 0);
    b.factor = AUTOMATION_ONE / 4;
    out = automation_bounded_rate(&b, &limit);
    ck_assert_uint_eq(out.count, 25 * 86400);
    ck_assert_uint_eq(out.period_us, UINT64_C(86400) * 1000000);
    ck_assert_uint_eq(out.burst, 2);
    ck_assert_uint_eq(automation_bounded_rate(&b, &none).count, 0); /* a share of nothing set */
    b.max = 60 * 24;
    out = automation_bounded_rate(&b, &limit);
    ck_assert(out.count == 60 * 24 && out.burst == 1);
    ck_assert_uint_eq(automation_bounded_rate(&b, &none).count, 60 * 24);
    b = (struct automation_bound){1, 0};
    ck_assert_uint_eq(automation_bounded(&b, 5), 1);
    ck_assert_uint_eq(automation_bounded_rate(&b, &limit).count, 1);
}
END_TEST

START_TEST(own_findings_and_deliveries_never_count)
{
    const struct automation_row row = {.name = SLICE_INIT("any"),
                                       .match = {.code = SLICE_INIT("4xx"),
                                                 .sample = SLICE_INIT("421 x")},
                                       .scope = SLICE_INIT("site"),
                                       .action = SLICE_INIT("suspend")};
    struct rig r;
    rig_open(&r, &row, 1, false);
    struct outcome o = outcome_local(OUTCOME_TEMPORARY, OUTCOME_CONNECTION, OUTCOME_STAGE_RCPT,
                                     (struct enhanced){4, 4, 2}, SLICE("suspended by a rule"));
    r.event.seen = (struct reply_seen){&o, o.text};
    for (int class = 0; class < BOUNCE_CLASSES; class ++) {
        r.event.class = (enum bounce_class) class;
        ck_assert_uint_eq(
            automation_note(r.a, r.rules, &r.scratch.matcher, &r.event, r.now_ms).fired, 0);
    }
    o.remote = true;
    o.kind = OUTCOME_DELIVERED;
    ck_assert_uint_eq(automation_note(r.a, r.rules, &r.scratch.matcher, &r.event, r.now_ms).fired,
                      0);
    o.kind = OUTCOME_TEMPORARY;
    ck_assert_uint_eq(automation_note(r.a, r.rules, &r.scratch.matcher, &r.event, r.now_ms).fired,
                      1);
    rig_close(&r);
}
END_TEST

START_TEST(scopes_reach_as_far_as_they_say)
{
    static const struct {
        const char *scope;
        unsigned same; /* which keys must be the same: source site provider tenant campaign dkim */
    } rows[] = {
        {"site", 2},           {"provider", 4},           {"source", 1},
        {"source@site", 3},    {"source@provider", 5},    {"tenant", 8},
        {"tenant@site", 10},   {"tenant@provider", 12},   {"campaign", 24},
        {"campaign@site", 26}, {"campaign@provider", 28}, {"dkim", 32},
        {"dkim@site", 34},     {"dkim@provider", 36},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct automation_row row = ROW("x", "", "", "suspend", "", "30m");
        row.scope = slice_str(rows[i].scope);
        struct rig r;
        rig_open(&r, &row, 1, false);
        ck_assert_uint_eq(rig_reply(&r, SLOW).fired, 1);
        for (unsigned other = 0; other < 64; other++) {
            struct automation_keys k = r.event.keys;
            struct slice *parts[] = {&k.source, &k.site,     &k.provider,
                                     &k.tenant, &k.campaign, &k.dkim};
            for (unsigned bit = 0; bit < 6; bit++) {
                *parts[bit] = other & 1U << bit ? SLICE("other") : *parts[bit];
            }
            struct automation_effect e;
            automation_effect(r.a, &k, r.now_ms, &e);
            bool reached = e.suspended_until_ms != 0;
            ck_assert_msg(reached == ((other & rows[i].same) == 0), "%s %x", rows[i].scope, other);
        }
        rig_close(&r);
    }
}
END_TEST

START_TEST(without_a_provider_the_site_stands_for_it)
{
    const struct automation_row row = ROW("x", "provider", "", "suspend", "", "30m");
    struct rig r;
    rig_open(&r, &row, 1, false);
    r.event.keys.provider = SLICE("");
    r.event.keys.site = SLICE("google");
    ck_assert_uint_eq(rig_reply(&r, SLOW).fired, 1);
    ck_assert(rig_effect(&r).suspended_until_ms != 0);
    r.event.keys.provider = SLICE("google"); /* a site of that name is not the provider */
    ck_assert_uint_eq(rig_effect(&r).suspended_until_ms, 0);
    r.event.keys.site = r.event.keys.provider = SLICE("");
    ck_assert_uint_eq(rig_reply(&r, SLOW).fired, 0);
    rig_close(&r);
}
END_TEST

START_TEST(the_strictest_counts_and_is_the_cause)
{
    static const struct {
        const char *values[3];
        const char *cause;
    } orders[] = {{{"50%", "20%", "80%"}, "b"},
                  {{"20%", "50%", "80%"}, "a"},
                  {{"50%", "80%", "20%"}, "c"}};
    for (size_t i = 0; i < ARRAY_COUNT(orders); i++) {
        struct automation_row rows[] = {
            ROW("a", "site", "", "rate", "", "30m"),
            ROW("b", "source", "", "rate", "", "30m"),
            ROW("c", "tenant", "", "rate", "", "30m"),
        };
        struct rig r;
        for (size_t k = 0; k < ARRAY_COUNT(rows); k++) {
            rows[k].value = slice_str(orders[i].values[k]);
        }
        rig_open(&r, rows, 3, false);
        rig_reply(&r, SLOW);
        struct automation_effect e = rig_effect(&r);
        ck_assert_uint_eq(e.rate.factor, AUTOMATION_ONE / 5);
        struct automation_override o;
        ck_assert(automation_find(r.a, e.cause_id, r.now_ms, &o));
        ck_assert(slice_eq(o.rule, slice_str(orders[i].cause)));
        rig_close(&r);
    }
}
END_TEST

START_TEST(the_longest_suspension_counts)
{
    const struct automation_row rows[] = {ROW("a", "site", "", "suspend", "", "2h"),
                                          ROW("b", "source", "", "suspend", "", "1h"),
                                          ROW("c", "tenant", "", "suspend", "", "3h"),
                                          ROW("d", "dkim", "", "suspend", "", "1h")};
    struct rig r;
    rig_open(&r, rows, 4, false);
    rig_reply(&r, SLOW);
    struct automation_effect e = rig_effect(&r);
    ck_assert_uint_eq(e.suspended_until_ms, RIG_START + MINUTES(180));
    ck_assert_uint_eq(e.until_ms, RIG_START + MINUTES(60)); /* the first that changes */
    rig_close(&r);
}
END_TEST

START_TEST(a_clock_set_back_prolongs_nothing)
{
    const struct automation_row rows[] = {ROW("p", "site", "", "suspend", "", "30m"),
                                          ROW("h", "site", "2/1h", "rate", "50%", "30m")};
    struct rig r;
    rig_open(&r, rows, 2, false);
    rig_reply(&r, SLOW);
    struct automation_effect e = rig_effect(&r);
    r.now_ms -= MINUTES(60 * 24);
    ck_assert(!automation_fresh(r.a, &e, r.now_ms));
    e = rig_effect(&r);
    ck_assert_uint_eq(e.suspended_until_ms, r.now_ms + MINUTES(30));
    r.now_ms += MINUTES(30);
    ck_assert_uint_eq(rig_effect(&r).suspended_until_ms, 0);
    ck_assert_uint_eq(rig_reply(&r, SLOW).fired, 2); /* a moment in the future counts as now */
    rig_close(&r);
}
END_TEST

START_TEST(a_reload_keeps_what_is_in_force_and_takes_new_thresholds)
{
    struct automation_row row = ROW("x", "site", "5/1h", "suspend", "", "30m");
    struct rig r;
    rig_open(&r, &row, 1, false);
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_uint_eq(rig_reply(&r, SLOW).fired, 0);
    }
    for (unsigned count = 2; count <= 3; count++) {
        row.trigger = count == 2 ? SLICE("2/1h") : SLICE("3/1h");
        automation_rules_free(r.rules);
        r.rules = rig_rules(&r, &row, 1, false);
        ck_assert(r.rules != NULL);
        for (unsigned i = 1; i < count; i++) {
            ck_assert_uint_eq(rig_reply(&r, SLOW).fired, 0);
        }
        ck_assert_uint_eq(rig_reply(&r, SLOW).fired, 1);
        uint64_t until = rig_effect(&r).suspended_until_ms;
        automation_rules_free(r.rules);
        r.rules = rig_rules(&r, NULL, 0, false);
        ck_assert_uint_eq(rig_effect(&r).suspended_until_ms, until);
        r.now_ms = until;
    }
    rig_close(&r);
}
END_TEST

/* Hostile peers and odd clocks: whatever comes, factors stay in (0, 1] and suspensions end. */
START_TEST(property_factors_and_ends)
{
    const struct automation_row rows[] = {
        ROW("a", "site", "2/5m", "rate", "1/min", "20m"),
        ROW("b", "source@provider", "", "connections", "70%", "10m"),
        ROW("c", "tenant@site", "5/10m", "suspend", "", "15m"),
        ROW("d", "source", "3/1h", "messages_per_connection", "3", "1h"),
    };
    struct rig r;
    struct rng rng;
    rig_open(&r, rows, 4, false);
    rng_init_seed(&rng, 99);
    for (unsigned n = 0; n < 20000; n++) {
        char site[16];
        int len = snprintf(site, sizeof(site), "mx%u", (unsigned)rng_below(&rng, 20));
        r.event.keys.site = slice_of(site, (size_t)len);
        r.event.base.messages_per_day = rng_below(&rng, 3) ? rng_below(&rng, 1000000000) : 0;
        r.event.base.connections = (uint32_t)rng_below(&rng, 50);
        r.now_ms += rng_below(&rng, 20) == 0 ? MINUTES(rng_below(&rng, 60)) : rng_below(&rng, 5000);
        r.now_ms -= rng_below(&rng, 500) == 0 ? MINUTES(rng_below(&rng, 3000)) : 0;
        if (rng_below(&rng, 3)) {
            rig_reply(&r, SLOW);
        }
        struct automation_effect e = rig_effect(&r);
        testing_that(e.rate.factor > 0 && e.rate.factor <= AUTOMATION_ONE);
        testing_that(e.connections.factor > 0 && e.connections.factor <= AUTOMATION_ONE);
        testing_that(e.per_connection.factor > 0 && e.per_connection.factor <= AUTOMATION_ONE);
        testing_that(e.suspended_until_ms <= r.now_ms + MINUTES(15) + AUTOMATION_CLOCK_SLACK_MS);
        testing_that(e.until_ms > r.now_ms);
    }
    r.now_ms += MINUTES(60 * 48);
    ck_assert_uint_eq(rig_effect(&r).suspended_until_ms, 0);
    struct automation_override o;
    ck_assert(!automation_next(r.a, 0, r.now_ms, &o));
    rig_close(&r);
}
END_TEST

START_TEST(memory_is_bounded)
{
    const struct automation_row rows[] = {ROW("a", "site", "", "rate", "50%", "30m"),
                                          ROW("b", "site", "100/1h", "suspend", "", "15m")};
    struct rig r;
    rig_open(&r, rows, 2, false);
    for (unsigned n = 0; n < AUTOMATION_OVERRIDES_MAX + 1000; n++) {
        char site[32];
        int len = snprintf(site, sizeof(site), "mx%u.hostile.example", n);
        r.event.keys.site = slice_of(site, (size_t)len);
        rig_reply(&r, SLOW);
        if (n % 100 == 0) { /* one that matches again and again is never the oldest */
            r.event.keys.site = SLICE("steady");
            rig_reply(&r, SLOW);
        }
        r.now_ms += 10;
    }
    struct automation_counts c = automation_counts(r.a);
    ck_assert_uint_eq(c.overrides, AUTOMATION_OVERRIDES_MAX);
    ck_assert_uint_eq(c.counters, AUTOMATION_COUNTERS_MAX);
    ck_assert_uint_eq(c.forgotten_overrides, 1001);
    ck_assert_uint_eq(c.forgotten_counters, 1001);
    r.event.keys.site = SLICE("steady");
    ck_assert_uint_eq(rig_effect(&r).rate.factor, AUTOMATION_ONE / 2);
    r.event.keys.site = SLICE("mx5.hostile.example");
    ck_assert_uint_eq(rig_effect(&r).rate.factor, AUTOMATION_ONE);
    rig_close(&r);
}
END_TEST

struct crowd {
    struct rig *r;
    uint64_t until_ms;
};

/* Each thread has its own matcher; everything else is shared. */
static void *crowd_run(void *ctx)
{
    struct crowd *c = ctx;
    struct pattern_matcher matcher;
    struct automation_event event = c->r->event;
    struct automation_effect e = {.until_ms = 0};
    must(pattern_matcher_open(&matcher));
    for (uint64_t now = c->r->now_ms; now < c->until_ms; now += 500) {
        automation_note(c->r->a, c->r->rules, &matcher, &event, now);
        if (!automation_fresh(c->r->a, &e, now)) {
            automation_effect(c->r->a, &event.keys, now, &e);
        }
        must(e.rate.factor > 0 && e.rate.factor <= AUTOMATION_ONE);
        struct automation_change change;
        automation_next_change(c->r->a, now, &change);
    }
    pattern_matcher_close(&matcher);
    return NULL;
}

START_TEST(many_threads_use_one)
{
    struct rig r;
    pthread_t threads[3];
    rig_open(&r, &half_rate, 1, false);
    struct outcome o;
    ck_assert(reply_sample_parse(SLICE(SLOW), OUTCOME_STAGE_RCPT, &o));
    r.event.seen = (struct reply_seen){&o, o.text};
    r.event.class = BOUNCE_RATE_LIMITED;
    struct crowd crowd = {&r, RIG_START + MINUTES(20)};
    for (size_t i = 0; i < ARRAY_COUNT(threads); i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, crowd_run, &crowd), 0);
    }
    for (size_t i = 0; i < ARRAY_COUNT(threads); i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
    /* The threads' clocks are not in step: their replies count once each, whatever their order. */
    struct automation_override held;
    ck_assert(automation_next(r.a, 0, crowd.until_ms, &held));
    ck_assert_uint_eq(held.replies, 3 * MINUTES(20) / 500);
    rig_close(&r);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {a_reduction_holds_and_grows_by_steps,
                            a_relapse_halves_once_per_settle_time,
                            a_reply_below_the_threshold_only_stops_the_growth,
                            the_threshold_slides,
                            a_suspension_ends_and_comes_back_slowly,
                            bounce_reroute_and_fail,
                            limits_begin_at_what_was_sent,
                            a_bounded_rate_is_a_rate,
                            own_findings_and_deliveries_never_count,
                            scopes_reach_as_far_as_they_say,
                            without_a_provider_the_site_stands_for_it,
                            the_strictest_counts_and_is_the_cause,
                            the_longest_suspension_counts,
                            a_clock_set_back_prolongs_nothing,
                            a_reload_keeps_what_is_in_force_and_takes_new_thresholds,
                            property_factors_and_ends,
                            memory_is_bounded,
                            many_threads_use_one};
    return testing_run("core/policy/automation", tests, ARRAY_COUNT(tests));
}
