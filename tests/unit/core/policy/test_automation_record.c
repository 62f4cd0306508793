/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/core/policy/automation_rig.h"

#define SLOW "450 4.7.0 Too many messages from 192.0.2.1, slow down"

static const struct automation_row rows[] = {
    {.name = SLICE_INIT("half"),
     .classes = SLICE_INIT("rate-limited"),
     .match = {.sample = SLICE_INIT(SLOW)},
     .scope = SLICE_INIT("source@site"),
     .action = SLICE_INIT("rate"),
     .value = SLICE_INIT("50%"),
     .duration = SLICE_INIT("10m")},
    {.name = SLICE_INIT("stop"),
     .classes = SLICE_INIT("rate-limited"),
     .match = {.sample = SLICE_INIT(SLOW)},
     .scope = SLICE_INIT("campaign"),
     .trigger = SLICE_INIT("2/1h"),
     .action = SLICE_INIT("suspend"),
     .duration = SLICE_INIT("30m")},
};

/* What a spool would keep. */
struct store {
    struct automation_change rows[16];
    size_t count;
};

static unsigned take(struct rig *r, struct store *s)
{
    struct automation_change c;
    unsigned n = 0;
    while (automation_next_change(r->a, r->now_ms, &c)) {
        size_t i = 0;
        while (i < s->count && s->rows[i].id != c.id) {
            i++;
        }
        ck_assert_uint_lt(i, ARRAY_COUNT(s->rows));
        s->rows[i] = c;
        s->count += i == s->count;
        n++;
    }
    return n;
}

static void restart(struct rig *r, const struct store *s)
{
    automation_close(r->a);
    r->a = automation_open(77); /* another seed: keys on disk do not depend on it */
    for (size_t i = 0; i < s->count; i++) {
        if (s->rows[i].len) {
            ck_assert(automation_restore(r->a, s->rows[i].id,
                                         slice_of(s->rows[i].bytes, s->rows[i].len), r->now_ms));
        }
    }
}

START_TEST(a_listed_override_says_all)
{
    struct rig r;
    struct automation_override o;
    rig_open(&r, rows, 2, false);
    rig_reply(&r, SLOW);
    r.now_ms += SECONDS(1);
    rig_reply(&r, SLOW);
    ck_assert(automation_next(r.a, 0, r.now_ms, &o));
    ck_assert(o.scope.who == AUTOMATION_SOURCE && o.scope.where == AUTOMATION_SITE);
    ck_assert(slice_eq(o.who, SLICE("ip1")) && slice_eq(o.where, SLICE("mx.example.com:25")));
    ck_assert(slice_eq(o.rule, SLICE("half")) && slice_eq(o.sample, SLICE(SLOW)));
    ck_assert(o.since_ms == RIG_START && o.last_ms == r.now_ms && !o.manual);
    ck_assert_uint_eq(o.factor, AUTOMATION_ONE / 2);
    ck_assert_uint_eq(o.replies, 2);
    uint64_t first = o.id;
    ck_assert(automation_next(r.a, o.id, r.now_ms, &o));
    ck_assert(o.action == AUTOMATION_SUSPEND && slice_eq(o.who, SLICE("shop/spring")));
    ck_assert(o.where.len == 0 && o.factor == 0 && o.until_ms == r.now_ms + MINUTES(30));
    ck_assert(!automation_next(r.a, o.id, r.now_ms, &o));
    ck_assert(automation_cancel(r.a, first) && !automation_cancel(r.a, first));
    ck_assert(!automation_cancel(r.a, 0) && !automation_find(r.a, first, r.now_ms, &o));
    ck_assert_uint_eq(rig_effect(&r).rate.factor, AUTOMATION_ONE);
    ck_assert(rig_effect(&r).suspended_until_ms != 0);
    rig_close(&r);
}
END_TEST

START_TEST(a_restart_in_the_middle_changes_nothing)
{
    struct store s = {.count = 0};
    struct rig r;
    rig_open(&r, rows, 2, false);
    rig_reply(&r, SLOW);
    r.now_ms += MINUTES(1);
    rig_reply(&r, SLOW);
    ck_assert_uint_eq(take(&r, &s), 2);
    ck_assert_uint_eq(take(&r, &s), 0);
    for (unsigned minute = 0; minute < 90; minute++) {
        r.now_ms += MINUTES(1);
        struct automation_effect before = rig_effect(&r);
        take(&r, &s);
        restart(&r, &s);
        struct automation_effect after = rig_effect(&r);
        ck_assert_uint_eq(before.rate.factor, after.rate.factor);
        ck_assert_uint_eq(before.connections.factor, after.connections.factor);
        ck_assert_uint_eq(before.suspended_until_ms, after.suspended_until_ms);
        ck_assert_uint_eq(before.cause_id, after.cause_id);
    }
    ck_assert_uint_eq(automation_counts(r.a).overrides, 0);
    take(&r, &s);
    ck_assert(s.count == 2 && s.rows[0].len == 0 && s.rows[1].len == 0);
    rig_close(&r);
}
END_TEST

START_TEST(without_a_named_source_it_outlives_a_restart_too)
{
    struct store s = {.count = 0};
    struct rig r;
    rig_open(&r, rows, 1, false);
    r.event.keys.source = SLICE("");
    rig_reply(&r, SLOW);
    ck_assert_uint_eq(rig_effect(&r).rate.factor, AUTOMATION_ONE / 2);
    ck_assert_uint_eq(take(&r, &s), 1);
    restart(&r, &s);
    ck_assert_uint_eq(rig_effect(&r).rate.factor, AUTOMATION_ONE / 2);
    rig_close(&r);
}
END_TEST

START_TEST(growth_writes_nothing_and_replies_write_little)
{
    struct store s = {.count = 0};
    struct rig r;
    rig_open(&r, rows, 1, false);
    rig_reply(&r, SLOW);
    ck_assert_uint_eq(take(&r, &s), 1);
    for (unsigned i = 0; i < 1000; i++) {
        r.now_ms += 50;
        rig_reply(&r, SLOW);
    }
    ck_assert_uint_le(take(&r, &s), 1);
    r.now_ms += MINUTES(11);
    rig_effect(&r);
    ck_assert_uint_eq(take(&r, &s), 0);
    automation_mark_all(r.a);
    automation_mark_all(r.a);
    ck_assert_uint_eq(take(&r, &s), 1);
    rig_close(&r);
}
END_TEST

START_TEST(what_ends_is_handed_out_as_gone_once)
{
    struct store s = {.count = 0};
    struct rig r;
    rig_open(&r, rows, 1, false);
    rig_reply(&r, SLOW);
    automation_cancel(r.a, 1);
    ck_assert_uint_eq(take(&r, &s), 0); /* no row was ever written */
    rig_reply(&r, SLOW);
    ck_assert_uint_eq(take(&r, &s), 1);
    struct automation_override o;
    ck_assert(automation_next(r.a, 0, r.now_ms, &o) && o.id == s.rows[0].id);
    ck_assert(automation_cancel(r.a, o.id));
    ck_assert_uint_eq(take(&r, &s), 1);
    ck_assert_uint_eq(s.rows[0].len, 0);
    ck_assert_uint_eq(take(&r, &s), 0);
    rig_close(&r);
}
END_TEST

START_TEST(what_was_over_before_the_start_is_not_taken_up)
{
    struct store s = {.count = 0};
    struct rig r;
    rig_open(&r, rows, 1, false);
    rig_reply(&r, SLOW);
    take(&r, &s);
    r.now_ms += MINUTES(60);
    restart(&r, &s);
    ck_assert_uint_eq(automation_counts(r.a).overrides, 0);
    ck_assert_uint_eq(take(&r, &s), 1);
    ck_assert_uint_eq(s.rows[0].len, 0);
    rig_reply(&r, SLOW); /* ids go on */
    struct automation_override o;
    ck_assert(automation_next(r.a, 0, r.now_ms, &o) && o.id > s.rows[0].id);
    rig_close(&r);
}
END_TEST

START_TEST(broken_rows_are_refused)
{
    struct store s = {.count = 0};
    struct rig r;
    char copy[AUTOMATION_RECORD_BYTES_MAX + 1];
    rig_open(&r, rows, 1, false);
    rig_reply(&r, SLOW);
    take(&r, &s);
    const struct automation_change *c = &s.rows[0];
    struct automation *a = automation_open(1);
    for (size_t len = 0; len < c->len; len++) {
        ck_assert(!automation_restore(a, 9, slice_of(c->bytes, len), r.now_ms));
    }
    memcpy(copy, c->bytes, c->len);
    copy[c->len] = 'x';
    ck_assert(!automation_restore(a, 9, slice_of(copy, c->len + 1), r.now_ms));
    static const size_t wrong[] = {0, 1, 2, 3, 4}; /* format, action, scope, manual */
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        memcpy(copy, c->bytes, c->len);
        copy[wrong[i]] = 99;
        ck_assert(!automation_restore(a, 9, slice_of(copy, c->len), r.now_ms));
    }
    memcpy(copy, c->bytes, c->len);
    memset(copy + 96, 0, 4); /* a factor of nothing */
    ck_assert(!automation_restore(a, 9, slice_of(copy, c->len), r.now_ms));
    memset(copy + 96, 0xff, 4);
    ck_assert(!automation_restore(a, 9, slice_of(copy, c->len), r.now_ms));
    ck_assert(!automation_restore(a, 0, slice_of(c->bytes, c->len), r.now_ms));
    ck_assert(!automation_restore(a, UINT64_MAX, slice_of(c->bytes, c->len), r.now_ms));
    ck_assert(automation_restore(a, 9, slice_of(c->bytes, c->len), r.now_ms));
    ck_assert(!automation_restore(a, 9, slice_of(c->bytes, c->len), r.now_ms));
    ck_assert(!automation_restore(a, 10, slice_of(c->bytes, c->len), r.now_ms));
    ck_assert_uint_eq(automation_counts(a).overrides, 1);
    automation_close(a);
    rig_close(&r);
}
END_TEST

START_TEST(orders_by_hand_last_until_cancelled)
{
    struct store s = {.count = 0};
    struct rig r;
    struct automation_override o;
    rig_open(&r, rows, 2, false);
    struct automation_order order = {.scope = {AUTOMATION_SOURCE, AUTOMATION_SITE},
                                     .action = AUTOMATION_SUSPEND,
                                     .duration_ms = AUTOMATION_FOREVER,
                                     .reason = SLICE("asked by their postmaster")};
    uint64_t id = automation_impose(r.a, &order, &r.event.keys, r.now_ms);
    ck_assert(id != 0 && automation_find(r.a, id, r.now_ms, &o));
    ck_assert(o.manual && o.end_ms == AUTOMATION_FOREVER && slice_eq(o.sample, order.reason));
    take(&r, &s);
    r.now_ms += MINUTES(60 * 24 * 365);
    restart(&r, &s);
    ck_assert_uint_eq(rig_effect(&r).suspended_until_ms, AUTOMATION_FOREVER);
    /* Another order for the same replaces it; rules do not touch it. */
    order.action = AUTOMATION_RATE;
    order.limit = 100;
    uint64_t rate = automation_impose(r.a, &order, &r.event.keys, r.now_ms);
    ck_assert_uint_eq(rig_effect(&r).rate.max, 100);
    r.now_ms += MINUTES(10);
    rig_reply(&r, SLOW);
    ck_assert_uint_eq(rig_effect(&r).rate.max, 100);
    ck_assert_uint_eq(rig_effect(&r).rate.factor, AUTOMATION_ONE);
    order.limit = 0;
    order.factor = AUTOMATION_ONE / 4;
    uint64_t next = automation_impose(r.a, &order, &r.event.keys, r.now_ms);
    ck_assert(next > rate && !automation_cancel(r.a, rate));
    ck_assert_uint_eq(rig_effect(&r).rate.factor, AUTOMATION_ONE / 4);
    ck_assert(automation_cancel(r.a, id) && automation_cancel(r.a, next));
    ck_assert_uint_eq(rig_effect(&r).suspended_until_ms, 0);
    order.factor = AUTOMATION_ONE;
    ck_assert_uint_eq(automation_impose(r.a, &order, &r.event.keys, r.now_ms), 0);
    order.action = AUTOMATION_SUSPEND;
    order.scope = (struct automation_scope){AUTOMATION_EVERYBODY, AUTOMATION_ANYWHERE};
    ck_assert_uint_eq(automation_impose(r.a, &order, &r.event.keys, r.now_ms), 0);
    rig_close(&r);
}
END_TEST

START_TEST(tombstones_are_bounded)
{
    struct store s = {.count = 0};
    struct automation_change c;
    struct rig r;
    rig_open(&r, rows, 1, false);
    rig_reply(&r, SLOW);
    take(&r, &s);
    r.now_ms += MINUTES(60);
    for (unsigned i = 0; i < AUTOMATION_OVERRIDES_MAX + 500; i++) { /* all over long ago */
        testing_that(
            automation_restore(r.a, 100 + i, slice_of(s.rows[0].bytes, s.rows[0].len), r.now_ms));
    }
    unsigned gone = 0;
    while (automation_next_change(r.a, r.now_ms, &c)) {
        testing_that(c.len == 0);
        gone++;
    }
    ck_assert_uint_eq(gone, AUTOMATION_OVERRIDES_MAX);
    rig_close(&r);
}
END_TEST

START_TEST(long_keys_are_told_apart)
{
    static char one[2000];
    static char two[2000];
    struct store s = {.count = 0};
    struct rig r;
    memset(one, 'a', sizeof(one));
    memset(two, 'a', sizeof(two));
    two[1999] = 'b';
    rig_open(&r, rows, 1, false);
    r.event.keys.site = slice_of(one, sizeof(one));
    rig_reply(&r, SLOW);
    take(&r, &s);
    restart(&r, &s);
    ck_assert_uint_eq(rig_effect(&r).rate.factor, AUTOMATION_ONE / 2);
    r.event.keys.site = slice_of(two, sizeof(two));
    ck_assert_uint_eq(rig_effect(&r).rate.factor, AUTOMATION_ONE);
    rig_close(&r);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {a_listed_override_says_all,
                            a_restart_in_the_middle_changes_nothing,
                            without_a_named_source_it_outlives_a_restart_too,
                            growth_writes_nothing_and_replies_write_little,
                            what_ends_is_handed_out_as_gone_once,
                            what_was_over_before_the_start_is_not_taken_up,
                            broken_rows_are_refused,
                            orders_by_hand_last_until_cancelled,
                            tombstones_are_bounded,
                            long_keys_are_told_apart};
    return testing_run("core/policy/automation_record", tests, ARRAY_COUNT(tests));
}
