/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The model is an array of due times: at run(now) exactly those armed with due <= now fire. One
 * exception: what is started with a due time already past waits for the wheel's next millisecond.
 */
#include "core/base/rng.h"
#include "core/base/timer.h"
#include "tests/unit/core/base/testing.h"

enum { TIMERS = 100 };

struct rig;
struct model_timer {
    struct timer timer;
    struct rig *rig;
    bool armed;
    uint64_t due;
    uint64_t started_ms; /* the wheel's time then */
};

struct rig {
    struct timer_wheel wheel;
    struct rng rng;
    uint64_t now;
    uint64_t fired;
    bool play; /* fire() starts and stops others */
    struct model_timer timers[TIMERS];
};

static uint64_t far_or_near(struct rig *r)
{
    static const uint64_t spans[] = {1,      2,       63,       64,         65,         4096,
                                     100000, 3600000, 86400000, 1073741824, 1ull << 31, 1ull << 34};
    return rng_below(&r->rng, spans[rng_below(&r->rng, ARRAY_COUNT(spans))]);
}

static void model_start(struct rig *r, struct model_timer *t, uint64_t due)
{
    t->armed = true;
    t->due = due;
    t->started_ms = r->wheel.now_ms;
    timer_start(&r->wheel, &t->timer, due);
}

static void model_stop(struct rig *r, struct model_timer *t)
{
    t->armed = false;
    timer_stop(&r->wheel, &t->timer);
    testing_that(!timer_armed(&t->timer));
}

static void on_fire(struct timer *timer, void *ctx)
{
    struct model_timer *t = container_of(timer, struct model_timer, timer);
    struct rig *r = t->rig;
    testing_that(ctx == r);
    testing_that(t->armed);         /* a stopped timer fired */
    testing_that(t->due <= r->now); /* early */
    testing_that(!timer_armed(timer));
    t->armed = false;
    r->fired++;
    if (!r->play) {
        return;
    }
    struct model_timer *other = &r->timers[rng_below(&r->rng, TIMERS)];
    switch (rng_below(&r->rng, 4)) {
    case 0:
        model_stop(r, other);
        break;
    case 1:
        model_start(r, other, r->now + far_or_near(r));
        break;
    case 2: /* itself, sometimes already due */
        model_start(r, t, r->now - (r->now ? rng_below(&r->rng, 2) : 0) + rng_below(&r->rng, 3));
        break;
    default:
        break;
    }
}

static void run_at(struct rig *r, uint64_t now)
{
    r->now = now;
    timer_wheel_run(&r->wheel, now, r);
    uint64_t armed = 0;
    uint64_t next = timer_wheel_next(&r->wheel);
    for (size_t i = 0; i < TIMERS; i++) {
        struct model_timer *t = &r->timers[i];
        testing_that(timer_armed(&t->timer) == t->armed);
        if (!t->armed) {
            continue;
        }
        armed++;
        testing_that(t->due > now || t->started_ms == now);      /* lost */
        testing_that(next <= (t->due > now ? t->due : now + 1)); /* oversleeps */
    }
    testing_that(r->wheel.armed == armed);
    testing_that(armed ? next > now : next == TIMER_NEVER);
}

static struct rig *rig_new(uint64_t seed, uint64_t now)
{
    struct rig *r = calloc(1, sizeof(*r));
    ck_assert_ptr_nonnull(r);
    rng_init_seed(&r->rng, seed);
    r->now = now;
    timer_wheel_init(&r->wheel, now);
    for (size_t i = 0; i < TIMERS; i++) {
        r->timers[i].rig = r;
        r->timers[i].timer.fire = on_fire;
    }
    return r;
}

/* Every distance around every level's border, from nows around every border. */
START_TEST(borders)
{
    struct rig *r = rig_new(1, 0);
    for (unsigned now_shift = 0; now_shift <= 36; now_shift += 6) {
        for (int now_off = -1; now_off <= 1; now_off++) {
            for (unsigned shift = 0; shift <= 36; shift += 3) {
                for (int off = -2; off <= 2; off++) {
                    uint64_t now = ((uint64_t)5 << now_shift) + (uint64_t)(int64_t)now_off;
                    uint64_t due = now + ((uint64_t)1 << shift) + (uint64_t)(int64_t)off;
                    timer_wheel_init(&r->wheel, now);
                    r->fired = 0;
                    model_start(r, &r->timers[0], due);
                    uint64_t wakes = 0;
                    for (uint64_t at; (at = timer_wheel_next(&r->wheel)) != TIMER_NEVER;) {
                        testing_that(at <= (due > now ? due : now + 1));
                        run_at(r, at);
                        wakes++;
                    }
                    ck_assert_uint_eq(r->fired, 1);
                    ck_assert_uint_eq(r->now, due > now ? due : now + 1);
                    /* An idle worker sleeps: one wake-up per level, more only beyond the horizon. */
                    ck_assert_uint_le(wakes, due - now < (uint64_t)1 << 30 || due <= now ? 6 : 100);
                }
            }
        }
    }
    free(r);
}
END_TEST

static void random_run(uint64_t seed, bool play, bool leaps)
{
    struct rig *r = rig_new(seed, seed * 1234567);
    r->play = play;
    for (int step = 0; step < 1500; step++) {
        for (int k = (int)rng_below(&r->rng, 6); k > 0; k--) {
            struct model_timer *t = &r->timers[rng_below(&r->rng, TIMERS)];
            if (rng_below(&r->rng, 4) == 0) {
                model_stop(r, t);
            } else {
                uint64_t past = rng_below(&r->rng, 10) == 0 ? far_or_near(r) : 0;
                model_start(r, t, past > r->now ? 0 : r->now - past + far_or_near(r));
            }
        }
        uint64_t next = timer_wheel_next(&r->wheel);
        if (leaps && rng_below(&r->rng, 3) == 0) {
            run_at(r, r->now + far_or_near(r));
        } else if (next != TIMER_NEVER) {
            run_at(r, next + rng_below(&r->rng, 3));
        }
    }
    ck_assert_uint_gt(r->fired, 500);
    r->play = false;
    run_at(r, r->now + (1ull << 36)); /* everything ends, whatever its distance */
    ck_assert_uint_eq(r->wheel.armed, 0);
    free(r);
}

START_TEST(random_against_the_model)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        random_run(seed, false, false);
        random_run(seed, false, true);
    }
}
END_TEST

START_TEST(random_with_restarts_inside_fire)
{
    for (uint64_t seed = 11; seed <= 16; seed++) {
        random_run(seed, true, seed % 2);
    }
}
END_TEST

START_TEST(a_passed_millisecond_is_over)
{
    struct rig *r = rig_new(1, 1000);
    model_start(r, &r->timers[0], 1000);
    model_start(r, &r->timers[1], 0);
    run_at(r, 1000);
    ck_assert_uint_eq(r->fired, 0); /* 1000 is over: due in the past fires at the next tick */
    run_at(r, 1001);
    ck_assert_uint_eq(r->fired, 2);
    run_at(r, 1001);
    ck_assert_uint_eq(r->fired, 2);
    timer_wheel_run(&r->wheel, 999, r); /* the clock never goes back; the wheel would not either */
    ck_assert_uint_eq(r->wheel.now_ms, 1001);
    free(r);
}
END_TEST

START_TEST(stop_of_a_timer_due_in_the_same_slot)
{
    struct rig *r = rig_new(1, 0);
    for (size_t i = 0; i < TIMERS; i++) {
        model_start(r, &r->timers[i], 7);
    }
    r->play = true;
    run_at(r, 7);
    r->play = false;
    run_at(r, 1ull << 36);
    ck_assert_uint_eq(r->wheel.armed, 0);
    free(r);
}
END_TEST

START_TEST(never_is_a_due_time_too)
{
    struct rig *r = rig_new(1, 5);
    model_start(r, &r->timers[0], UINT64_MAX - 1);
    ck_assert_uint_ne(timer_wheel_next(&r->wheel), TIMER_NEVER);
    run_at(r, 1ull << 36);
    ck_assert_uint_eq(r->fired, 0);
    model_stop(r, &r->timers[0]);
    ck_assert_uint_eq(timer_wheel_next(&r->wheel), TIMER_NEVER);
    timer_stop(&r->wheel, &r->timers[0].timer); /* twice is fine */
    free(r);
}
END_TEST

static void start_without_fire(void *ctx)
{
    struct timer t = {0};
    timer_start(ctx, &t, 1);
}

START_TEST(a_timer_without_a_callback_aborts)
{
    struct rig *r = rig_new(1, 0);
    testing_must_abort(start_without_fire, &r->wheel, "t->fire != NULL");
    free(r);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {borders,
                            random_against_the_model,
                            random_with_restarts_inside_fire,
                            a_passed_millisecond_is_over,
                            stop_of_a_timer_due_in_the_same_slot,
                            never_is_a_due_time_too,
                            a_timer_without_a_callback_aborts};
    return testing_run("core/base/timer", tests, ARRAY_COUNT(tests));
}
