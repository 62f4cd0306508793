/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A disk that keeps or loses each write, a process that dies at each moment: what was taken on a day is never more
 * than its allowance. Threads: the same.
 */
#include "core/policy/warmup_table.h"
#include "core/base/must.h"
#include "core/base/rng.h"

#include <check.h>
#include <pthread.h>
#include <stdlib.h>

#define DAY_MS UINT64_C(10000)

static const uint32_t days[] = {3, 20, 500};
static const struct warmup_rule rule = {days, ARRAY_COUNT(days), 5, 10, DAY_MS};
static const struct warmup_name name = {{"ip9", 3}, {"google", 6}};

/* What the disk has. */
struct disk {
    struct buf key;
    struct buf value;
};

static void disk_init(struct disk *d)
{
    buf_init(&d->key, WARMUP_KEY_BYTES_MAX);
    buf_init(&d->value, WARMUP_VALUE_BYTES_MAX);
}

static void disk_deinit(struct disk *d)
{
    buf_deinit(&d->key);
    buf_deinit(&d->value);
}

/* One write; ok: it becomes durable and is told. */
static void disk_write(struct disk *d, struct warmup_track *k, bool final, bool ok,
                       uint64_t wall_ms)
{
    struct disk next;
    struct warmup_write w;
    disk_init(&next);
    warmup_write_begin(k, final, wall_ms, &next.key, &next.value, &w);
    ck_assert(!next.key.overflow && !next.value.overflow);
    if (ok) {
        disk_deinit(d);
        *d = next;
    } else {
        disk_deinit(&next);
    }
    warmup_write_done(k, ok, &w, wall_ms);
}

static struct warmup_table *start(const struct disk *d, struct warmup_track **k)
{
    struct warmup_table *t = warmup_table_open(7);
    ck_assert(t != NULL);
    if (d->key.len) {
        ck_assert(warmup_restore(t, buf_slice(&d->key), buf_slice(&d->value)));
    }
    *k = warmup_track_get(t, &name, &rule, 1, 1);
    ck_assert(*k != NULL);
    return t;
}

static bool take(struct warmup_track *k, uint64_t wall_ms)
{
    uint64_t date, until_ms = 0;
    enum warmup_answer a = warmup_take(k, wall_ms, &date, &until_ms);
    ck_assert(a == WARMUP_TAKEN || until_ms > wall_ms);
    return a == WARMUP_TAKEN;
}

/* Takes all there is; returns how many. */
static uint64_t take_all(struct disk *d, struct warmup_track *k, uint64_t wall_ms)
{
    uint64_t taken = 0;
    for (;;) {
        if (warmup_wants_write(k, wall_ms)) {
            disk_write(d, k, false, true, wall_ms);
        }
        if (!take(k, wall_ms)) {
            return taken;
        }
        taken++;
        warmup_answered(k, false, wall_ms);
    }
}

START_TEST(nothing_goes_before_it_is_written_down)
{
    struct disk d;
    struct warmup_track *k;
    uint64_t date, until_ms;
    disk_init(&d);
    struct warmup_table *t = start(&d, &k);
    ck_assert(warmup_take(k, 5, &date, &until_ms) == WARMUP_NOT_YET);
    ck_assert_uint_eq(until_ms, 5 + WARMUP_SOON_MS);
    ck_assert(warmup_wants_write(k, 5));
    ck_assert(!warmup_wants_write(k, 5)); /* one is enough */
    disk_write(&d, k, false, false, 5);
    ck_assert(warmup_check(k, 6, &until_ms) == WARMUP_NOT_YET);
    ck_assert_uint_eq(until_ms, 5 + WARMUP_FAILED_MS);
    ck_assert(!warmup_wants_write(k, 6));
    ck_assert(warmup_wants_write(k, 5 + WARMUP_FAILED_MS));
    disk_write(&d, k, false, true, 5 + WARMUP_FAILED_MS);
    ck_assert(take(k, 5 + WARMUP_FAILED_MS));
    warmup_table_close(&t);
    ck_assert(t == NULL);
    disk_deinit(&d);
}
END_TEST

START_TEST(a_plan_to_its_end)
{
    struct disk d;
    struct warmup_track *k;
    uint64_t date, until_ms, wall_ms = 3;
    disk_init(&d);
    struct warmup_table *t = start(&d, &k);
    for (size_t i = 0; i < ARRAY_COUNT(days); i++, wall_ms += DAY_MS) {
        ck_assert_uint_eq(take_all(&d, k, wall_ms), days[i]);
        ck_assert(!warmup_has_room(k, wall_ms));
        ck_assert(warmup_take(k, wall_ms, &date, &until_ms) == WARMUP_USED_UP);
        ck_assert_uint_eq(until_ms, wall_ms - 3 + DAY_MS);
    }
    for (int i = 0; i < 1000; i++) {
        ck_assert(take(k, wall_ms)); /* warm */
    }
    ck_assert(warmup_has_room(k, wall_ms));
    ck_assert(!warmup_wants_write(k, wall_ms));
    warmup_table_close(&t);
    disk_deinit(&d);
}
END_TEST

START_TEST(what_was_not_sent_may_go_later_that_day)
{
    struct disk d;
    struct warmup_track *k;
    uint64_t date, until_ms;
    disk_init(&d);
    struct warmup_table *t = start(&d, &k);
    ck_assert_uint_eq(take_all(&d, k, 0), 3);
    warmup_give(k, 0);
    ck_assert(warmup_take(k, 0, &date, &until_ms) == WARMUP_TAKEN);
    ck_assert_uint_eq(date, 0);
    ck_assert_uint_eq(take_all(&d, k, DAY_MS), 20);
    warmup_give(k, 0); /* yesterday's brings nothing today */
    ck_assert(!take(k, DAY_MS));
    warmup_table_close(&t);
    disk_deinit(&d);
}
END_TEST

START_TEST(deferrals_hold_and_step_back)
{
    struct disk d;
    struct warmup_track *k;
    struct warmup_view v;
    disk_init(&d);
    struct warmup_table *t = start(&d, &k);
    warmup_set_day(k, 2, 0);
    ck_assert_uint_eq(take_all(&d, k, 0), 20);
    warmup_answered(k, true, 0);
    warmup_answered(k, true, 0); /* 2 of 22: 9 % */
    warmup_track_view(k, DAY_MS, &v);
    ck_assert(v.state.day == 2 && v.last == WARMUP_HELD && v.allowance == 20);
    ck_assert_uint_eq(take_all(&d, k, DAY_MS), 20);
    for (int i = 0; i < 3; i++) {
        warmup_answered(k, true, DAY_MS); /* 3 of 23: 13 % */
    }
    warmup_track_view(k, 2 * DAY_MS, &v);
    ck_assert(v.state.day == 1 && v.last == WARMUP_STEPPED_BACK && v.allowance == 3);
    warmup_table_close(&t);
    disk_deinit(&d);
}
END_TEST

/* Dies at random moments, with writes under way that arrive or not; never more than the allowance of a day. */
START_TEST(kills)
{
    struct rng rng;
    rng_init_seed(&rng, (uint64_t)_i);
    struct disk d;
    struct warmup_track *k;
    disk_init(&d);
    uint64_t wall_ms = 0, taken = 0;
    uint64_t most = 0;
    struct warmup_table *t = start(&d, &k);
    warmup_set_day(k, 3, wall_ms);
    disk_write(&d, k, false, true, wall_ms);
    for (int step = 0; step < 3000; step++) {
        switch (rng_below(&rng, 40)) {
        case 0: /* killed; perhaps with a write that arrived and was never told */
            if (rng_below(&rng, 2) && warmup_wants_write(k, wall_ms)) {
                disk_write(&d, k, false, true, wall_ms);
            }
            warmup_table_close(&t);
            t = start(&d, &k);
            break;
        case 1:
            warmup_give(k, 0); /* what was taken and not sent */
            taken -= taken ? 1 : 0;
            break;
        default:
            if (warmup_wants_write(k, wall_ms)) {
                disk_write(&d, k, false, rng_below(&rng, 8) != 0, wall_ms);
                wall_ms += 1;
            }
            taken += take(k, wall_ms) ? 1 : 0;
            break;
        }
        most = taken > most ? taken : most;
        ck_assert_uint_le(taken, 500);
        wall_ms = wall_ms < DAY_MS - 2 ? wall_ms : DAY_MS - 2;
    }
    ck_assert_uint_gt(most, 100);
    warmup_table_close(&t);
    disk_deinit(&d);
}
END_TEST

/* Orderly: nothing is lost. By a kill: at most two chunks. */
START_TEST(what_an_end_costs)
{
    struct disk d;
    struct warmup_track *k;
    struct warmup_view v;
    disk_init(&d);
    struct warmup_table *t = start(&d, &k);
    warmup_set_day(k, 3, 0);
    for (int i = 0; i < 123; i++) {
        if (warmup_wants_write(k, 0)) {
            disk_write(&d, k, false, true, 0);
        }
        ck_assert(take(k, 0));
    }
    warmup_table_close(&t); /* killed */
    t = start(&d, &k);
    warmup_track_view(k, 0, &v);
    ck_assert_uint_ge(v.state.sent, 123);
    ck_assert_uint_le(v.state.sent, 123 + 2 * warmup_chunk(500));
    uint64_t sent = v.state.sent;
    if (warmup_wants_write(k, 0)) {
        disk_write(&d, k, false, true, 0);
    }
    ck_assert(take(k, 0));
    disk_write(&d, k, true, true, 0); /* in order */
    ck_assert(!take(k, 0));
    warmup_give(k, 0); /* too late */
    warmup_table_close(&t);
    t = start(&d, &k);
    warmup_track_view(k, 0, &v);
    ck_assert_uint_eq(v.state.sent, sent + 1);
    ck_assert_uint_eq(v.state.day, 3);
    warmup_table_close(&t);
    disk_deinit(&d);
}
END_TEST

/* A write that began yesterday reserves nothing for today. */
START_TEST(a_write_over_midnight)
{
    struct disk d;
    struct warmup_track *k;
    struct warmup_write w;
    disk_init(&d);
    struct warmup_table *t = start(&d, &k);
    ck_assert(warmup_wants_write(k, DAY_MS - 1));
    warmup_write_begin(k, false, DAY_MS - 1, &d.key, &d.value, &w);
    ck_assert(!take(k, DAY_MS));
    warmup_write_done(k, true, &w, DAY_MS);
    ck_assert(!take(k, DAY_MS));
    warmup_table_close(&t);
    disk_deinit(&d);
}
END_TEST

/* Two writes under way at once: the later one does not lower what the earlier one reserves. */
START_TEST(two_writes)
{
    struct disk d, e;
    struct warmup_track *k;
    struct warmup_write first, second;
    disk_init(&d);
    disk_init(&e);
    struct warmup_table *t = start(&d, &k);
    ck_assert(warmup_wants_write(k, 0));
    warmup_write_begin(k, false, 0, &d.key, &d.value, &first);
    warmup_set_day(k, 1, 0);
    warmup_write_begin(k, false, 0, &e.key, &e.value, &second);
    ck_assert_uint_ge(second.reserved, first.reserved);
    warmup_table_close(&t);
    disk_deinit(&d);
    disk_deinit(&e);
}
END_TEST

START_TEST(another_length_of_the_day)
{
    static const struct warmup_rule longer = {days, ARRAY_COUNT(days), 5, 10, 6 * DAY_MS};
    struct disk d;
    struct warmup_track *k;
    struct warmup_view v;
    disk_init(&d);
    struct warmup_table *t = start(&d, &k);
    ck_assert_uint_eq(take_all(&d, k, 7 * DAY_MS), 3);
    warmup_table_close(&t);
    t = warmup_table_open(3);
    ck_assert(warmup_restore(t, buf_slice(&d.key), buf_slice(&d.value)));
    k = warmup_track_get(t, &name, &longer, 1, 1);
    ck_assert(k != NULL);
    warmup_track_view(k, 7 * DAY_MS, &v);
    ck_assert(v.state.date == 1 && v.state.sent == 3 && v.state.day == 1);
    warmup_track_view(k, 12 * DAY_MS, &v);
    ck_assert(v.state.date == 2 && v.state.day == 2);
    warmup_table_close(&t);
    disk_deinit(&d);
}
END_TEST

START_TEST(a_new_configuration)
{
    static const uint32_t more[] = {7};
    static const struct warmup_rule other = {more, 1, 5, 10, DAY_MS};
    struct disk d;
    struct warmup_track *k;
    disk_init(&d);
    struct warmup_table *t = start(&d, &k);
    ck_assert_uint_eq(take_all(&d, k, 0), 3);
    ck_assert(warmup_track_get(t, &name, &other, 1, 2) == k);
    ck_assert_uint_eq(take_all(&d, k, 0), 4);
    ck_assert(warmup_track_get(t, &name, &rule, 1, 1) == k); /* who still has the old one */
    ck_assert_uint_eq(take_all(&d, k, 0), 0);
    ck_assert(!warmup_has_room(k, 0));
    ck_assert(warmup_track_get(t, &name, NULL, 1, 3) == NULL); /* no plan: no limit */
    ck_assert(take(k, 0));
    const struct warmup_name stranger = {SLICE("ip1"), SLICE("")};
    ck_assert(warmup_track_get(t, &stranger, NULL, 1, 3) == NULL);
    ck_assert(warmup_track_find(t, &stranger) == NULL && warmup_track_find(t, &name) == k);
    warmup_table_close(&t);
    disk_deinit(&d);
}
END_TEST

static const struct {
    const char *key;
    const char *value;
    bool ok;
} memos[] = {
    {"ip9 google", "1 2 86400000 20000 15 14 1", true},
    {"ip9 ", "1 2 86400000 20000 15 14 1", true}, /* no provider */
    {"ip9", "1 2 86400000 20000 15 14 1", false},
    {" google", "1 2 86400000 20000 15 14 1", false},
    {"ip9 google", "2 2 86400000 20000 15 14 1", false},
    {"ip9 google", "1 0 86400000 20000 15 14 1", false},
    {"ip9 google", "1 4294967295 86400000 20000 15 14 1", false},
    {"ip9 google", "1 2 0 20000 15 14 1", false},
    {"ip9 google", "1 2 86400000 18446744073709551615 15 14 1", false},
    {"ip9 google", "1 2 86400000 20000 15 14 15", false}, /* more deferred than answered */
    {"ip9 google", "1 2 86400000 20000 15 14", false},
    {"ip9 google", "1 2 86400000 20000 15 14 1 1", false},
    {"ip9 google", "1 2 86400000 -1 15 14 1", false},
    {"ip9 google", "", false},
};

START_TEST(memos_of_strangers)
{
    struct warmup_table *t = warmup_table_open(1);
    ck_assert(warmup_restore(t, slice_str(memos[_i].key), slice_str(memos[_i].value)) ==
              memos[_i].ok);
    warmup_table_close(&t);
}
END_TEST

/* ---- threads ---- */

struct crowd {
    struct warmup_track *track;
    struct disk disk;
    pthread_mutex_t mutex;
    _Atomic uint64_t taken;
};

static void *crowd_member(void *arg)
{
    struct crowd *c = arg;
    for (int i = 0; i < 20000; i++) {
        if (warmup_wants_write(c->track, 0)) {
            pthread_mutex_lock(&c->mutex);
            disk_write(&c->disk, c->track, false, true, 0);
            pthread_mutex_unlock(&c->mutex);
        }
        c->taken += take(c->track, 0) ? 1 : 0;
    }
    return NULL;
}

START_TEST(threads)
{
    struct crowd c = {.taken = 0};
    pthread_t members[4];
    disk_init(&c.disk);
    pthread_mutex_init(&c.mutex, NULL);
    struct warmup_table *t = start(&c.disk, &c.track);
    warmup_set_day(c.track, 3, 0);
    for (size_t i = 0; i < ARRAY_COUNT(members); i++) {
        int error = pthread_create(&members[i], NULL, crowd_member, &c);
        ck_assert_int_eq(error, 0);
    }
    for (size_t i = 0; i < ARRAY_COUNT(members); i++) {
        pthread_join(members[i], NULL);
    }
    ck_assert_uint_eq(c.taken, 500);
    warmup_table_close(&t);
    pthread_mutex_destroy(&c.mutex);
    disk_deinit(&c.disk);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("warmup_table");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, nothing_goes_before_it_is_written_down);
    tcase_add_test(tc, a_plan_to_its_end);
    tcase_add_test(tc, what_was_not_sent_may_go_later_that_day);
    tcase_add_test(tc, deferrals_hold_and_step_back);
    tcase_add_loop_test(tc, kills, 0, 20);
    tcase_add_test(tc, what_an_end_costs);
    tcase_add_test(tc, a_write_over_midnight);
    tcase_add_test(tc, two_writes);
    tcase_add_test(tc, another_length_of_the_day);
    tcase_add_test(tc, a_new_configuration);
    tcase_add_loop_test(tc, memos_of_strangers, 0, ARRAY_COUNT(memos));
    tcase_add_test(tc, threads);
    Suite *s = suite_create("core/policy/warmup_table");
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
