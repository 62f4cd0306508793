/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Segments come and go under crashes: nothing that is needed goes, nothing that has ended comes back,
 * whatever the number of workers at the next start.
 */
#include "tests/unit/spool/fake_io.c"
#include "tests/unit/spool/model.c"
#include "tests/unit/spool/script.h"

static const struct script same = {{1, 1, 1}, 3, 220};
static const struct script changing = {{1, 3, 2, 3}, 4, 220};

START_TEST(random_faults)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        (void)script_run(&changing, seed * 77, 1 + seed * 13 % 250,
                         (enum fake_fault)(1 + seed % (FAKE_FAULT_COUNT - 1)));
    }
}
END_TEST

START_TEST(crash_steps)
{
    script_crash_steps(&same, 3);
}
END_TEST

/* Everything delivered: the segments are given back and re-used, none stays but the current ones. */
START_TEST(drains)
{
    struct model m;
    fake_init(9);
    model_init(&m, 9);
    struct model_options o = script_heavy(2);
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

static void release_all(struct model *m, unsigned worker)
{
    for (unsigned i = 0; i < m->count; i++) {
        struct model_message *g = &m->messages[i];
        for (unsigned h = 0; h < 1 + MODEL_FRAGMENTS && g->worker == worker; h++) {
            spool_release(m->spools[worker], &g->place.holds[h]);
        }
    }
}

/* A worker that has stopped lets go of what it knows. For one that still runs this is no permission to
 * remove the segments of earlier runs. */
START_TEST(the_end_of_one_worker_gives_nothing_back)
{
    struct model m;
    fake_init(11);
    model_init(&m, 11);
    struct model_options o = script_heavy(2);
    o.no_results = true;
    model_start(&m, &o);
    model_run(&m, 500);
    model_settle(&m, 20000);
    model_stop(&m);
    unsigned live = model_live(&m);
    ck_assert_uint_gt(live, 10);
    o.load = 0;
    model_start(&m, &o);
    unsigned segments = fake_file_count("seg-");
    ck_assert_uint_gt(segments, 1);
    for (unsigned t = 0; !spool_stop(m.spools[0]); t++) {
        ck_assert_uint_lt(t, 10000);
        model_turn(&m);
    }
    release_all(&m, 0);
    release_all(&m, 1); /* that one's mail has ended: it looks what can go */
    model_run(&m, 500);
    ck_assert_uint_ge(fake_file_count("seg-"), segments);
    model_stop(&m);
    model_start(&m, &o); /* checks that every message is found */
    ck_assert_uint_eq(m.recovery.messages_live, live);
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
    tcase_add_test(t, crash_steps);
    tcase_add_test(t, random_faults);
    tcase_add_test(t, the_end_of_one_worker_gives_nothing_back);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
