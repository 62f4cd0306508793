/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Segments come and go under crashes: nothing that is needed goes, nothing that has ended comes back,
 * whatever the number of workers at the next start.
 */
#include "tests/unit/spool/fake_io.c"
#include "tests/unit/spool/model.c"

static struct model_options heavy(unsigned workers)
{
    return (struct model_options){.workers = workers, .body_max = 100 * 1024, .load = 30 * workers};
}

/* Runs with these numbers of workers, each ended by a fault after so many steps. */
struct script {
    unsigned workers[4];
    unsigned runs;
    unsigned turns;
};

static const struct script same = {{1, 1, 1}, 3, 220};
static const struct script changing = {{1, 3, 2, 3}, 4, 220};

static uint64_t script_run(const struct script *s, uint64_t seed, uint64_t at,
                           enum fake_fault fault)
{
    struct model m;
    uint64_t steps = 0;
    fake_init(seed);
    model_init(&m, seed);
    for (unsigned r = 0; r < s->runs; r++) {
        struct model_options o = heavy(s->workers[r]);
        if (at && r > 0) {
            fake_fault_at(at, fault, 1); /* also within recovery */
        }
        uint64_t before = fake_steps();
        model_start(&m, &o);
        if (at && r == 0) {
            fake_fault_at(at * 2, fault, 1);
        }
        model_run(&m, s->turns);
        if (r == 1) {
            steps = fake_steps() - before;
        }
        if (!fake_dead()) {
            fake_crash(FAKE_FAULT_CRASH);
        }
        model_stop(&m);
        fake_restart();
    }
    struct model_options o = heavy(s->workers[0]);
    o.load = 0;
    model_start(&m, &o);
    model_run(&m, 2500);
    model_settle(&m, 20000);
    ck_assert_uint_eq(m.damaged, 0);
    model_stop(&m);
    model_deinit(&m);
    fake_deinit();
    return steps;
}

START_TEST(crash_steps)
{
    const struct script *s = _i ? &changing : &same;
    uint64_t steps = script_run(s, 5, 0, FAKE_FAULT_NONE);
    ck_assert_uint_gt(steps, 100);
    for (uint64_t n = 1; n <= steps; n += 3) {
        (void)script_run(s, 5 + n % 3, n, FAKE_FAULT_CRASH);
    }
}
END_TEST

START_TEST(random_faults)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        (void)script_run(&changing, seed * 77, 1 + seed * 13 % 250,
                         (enum fake_fault)(1 + seed % (FAKE_FAULT_COUNT - 1)));
    }
}
END_TEST

/* Everything delivered: the segments are given back and re-used, none stays but the current ones. */
START_TEST(drains)
{
    struct model m;
    fake_init(9);
    model_init(&m, 9);
    struct model_options o = heavy(2);
    o.load = 150;
    model_start(&m, &o);
    unsigned most = 0;
    for (unsigned i = 0; i < 200; i++) {
        model_run(&m, 30);
        unsigned now = fake_file_count("seg-");
        most = now > most ? now : most;
    }
    model_settle(&m, 20000);
    ck_assert_uint_eq(m.appended, 150);
    ck_assert_uint_gt(most, 4);
    struct spool_stats stats;
    uint64_t reclaimed = 0;
    for (unsigned w = 0; w < 2; w++) {
        spool_stats(m.spools[w], &stats);
        reclaimed += stats.segments_reclaimed;
    }
    ck_assert_uint_gt(reclaimed, 4);
    ck_assert_uint_le(fake_file_count("spare-"), 2);
    ck_assert_uint_eq(m.refused_full + m.refused_failed, 0);
    model_stop(&m);
    model_deinit(&m);
    fake_deinit();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("spool reclaim");
    TCase *t = tcase_create("reclaim");
    tcase_set_timeout(t, 100);
    tcase_add_test(t, drains);
    tcase_add_loop_test(t, crash_steps, 0, 2);
    tcase_add_test(t, random_faults);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
