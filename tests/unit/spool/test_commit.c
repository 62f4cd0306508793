/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * P1 and P2 under every single fault: the same seeded work, with the N-th I/O step failing or being
 * the last one, for every N; then recovery is compared with what clients were told.
 */
#include "tests/unit/spool/fake_io.c"
#include "tests/unit/spool/model.c"

static const struct model_options small = {.workers = 1, .body_max = 6000, .load = 40};

static uint64_t one_run(uint64_t seed, uint64_t at, enum fake_fault fault, uint64_t times)
{
    struct model m;
    fake_init(seed);
    model_init(&m, seed);
    model_start(&m, &small);
    if (at) {
        fake_fault_at(at, fault, times);
    }
    uint64_t before = fake_steps();
    model_run(&m, 150);
    if (!fake_dead() && rng_below(&m.rng, 2)) {
        model_settle(&m, 20000);
    }
    uint64_t steps = fake_steps() - before;
    if (!fake_dead()) {
        fake_crash(FAKE_FAULT_CRASH);
    }
    model_stop(&m);
    fake_restart();
    model_start(&m, &small);
    ck_assert_uint_eq(m.damaged, 0);
    model_run(&m, 60);
    model_settle(&m, 20000);
    fake_crash(FAKE_FAULT_CRASH);
    model_stop(&m);
    fake_restart();
    model_start(&m, &small);
    ck_assert_uint_eq(m.damaged, 0);
    model_stop(&m);
    model_deinit(&m);
    fake_deinit();
    return steps;
}

START_TEST(round_trip)
{
    struct model m;
    fake_init(1);
    model_init(&m, 1);
    model_start(&m, &small);
    model_run(&m, 300);
    model_settle(&m, 5000);
    ck_assert_uint_gt(m.acked, 30);
    ck_assert_uint_eq(m.lost, 0);
    ck_assert_uint_gt(model_live(&m), 0);
    unsigned live = model_live(&m);
    model_stop(&m);
    model_start(&m, &small);
    ck_assert_uint_eq(m.recovery.messages_live, live);
    model_stop(&m);
    model_deinit(&m);
    fake_deinit();
}
END_TEST

START_TEST(every_step)
{
    enum fake_fault fault = (enum fake_fault)_i;
    uint64_t steps = one_run(3, 0, FAKE_FAULT_NONE, 0);
    ck_assert_uint_gt(steps, 50);
    for (uint64_t n = 1; n <= steps; n++) {
        (void)one_run(3, n, fault, 1);
    }
}
END_TEST

START_TEST(random_seeds)
{
    for (uint64_t seed = 1000; seed < 1040; seed++) {
        enum fake_fault fault = (enum fake_fault)(1 + seed % (FAKE_FAULT_COUNT - 1));
        (void)one_run(seed, 1 + seed * 7 % 150, fault, 1);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("spool commit");
    TCase *t = tcase_create("commit");
    tcase_set_timeout(t, 100);
    tcase_add_test(t, round_trip);
    tcase_add_loop_test(t, every_step, FAKE_FAULT_CRASH, FAKE_FAULT_COUNT);
    tcase_add_test(t, random_seeds);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
