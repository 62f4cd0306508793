/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Commits that fail: what clients were refused stays refused, and the log comes back by itself.
 */
#include "spool/log.h"
#include "tests/unit/spool/fake_io.c"
#include "tests/unit/spool/model.c"

static const struct model_options small = {.workers = 1, .body_max = 6000, .load = 40};

/* The disk fails a commit (whose bytes arrive all the same), the client hears 451, the power goes soon
 * after: it must not be accepted after all. */
START_TEST(lost_stays_lost)
{
    static const struct model_options o = {.workers = 1, .body_max = 6000, .load = 40};
    unsigned lost = 0;
    for (uint64_t n = 1; n <= 300; n++) {
        struct model m;
        fake_init(n);
        model_init(&m, n);
        model_start(&m, &o);
        model_run(&m, 40);
        fake_fault_at(1 + n % 20, FAKE_FAULT_EIO_LATE, 1);
        for (unsigned t = 0; t < 60 && m.lost == 0; t++) {
            model_run(&m, 1);
        }
        lost += m.lost;
        fake_crash(FAKE_FAULT_CRASH_KEEP);
        model_stop(&m);
        fake_restart();
        model_start(&m, &o);
        model_stop(&m);
        model_deinit(&m);
        fake_deinit();
    }
    ck_assert_uint_gt(lost, 50);
}
END_TEST

/* No write succeeds for a while: everything is refused, nothing hangs, and it comes back by itself. */
START_TEST(disk_dies_and_returns)
{
    for (uint64_t n = 1; n <= 20; n++) {
        struct model m;
        fake_init(n);
        model_init(&m, n);
        model_start(&m, &small);
        model_run(&m, 60);
        fake_fault_at(n, FAKE_FAULT_EIO, UINT32_MAX);
        for (unsigned t = 0; t < 100; t++) {
            model_run(&m, 4);
            fake_time_set(fake_time() + 500);
        }
        ck_assert(!spool_ready(m.spools[0]));
        ck_assert_uint_gt(m.refused_failed, 0);
        ck_assert_uint_lt(fake_file_count("seg-"), 8);
        fake_fault_at(1, FAKE_FAULT_NONE, 0);
        unsigned acked = m.acked;
        m.appended = 0;
        for (unsigned t = 0; t < 200; t++) {
            model_run(&m, 4);
            fake_time_set(fake_time() + 500);
        }
        model_settle(&m, 5000);
        ck_assert(spool_ready(m.spools[0]));
        ck_assert_uint_gt(m.acked, acked);
        model_stop(&m);
        model_start(&m, &small);
        ck_assert_uint_eq(m.damaged, 0);
        model_stop(&m);
        model_deinit(&m);
        fake_deinit();
    }
}
END_TEST

/* As many seals are owed as may be when a commit fails: its seal is among them, so what was lost stays
 * lost; and when no more can be owed, no segment is made that could fail. */
START_TEST(a_seal_is_never_left_out)
{
    unsigned lost = 0;
    for (uint64_t n = 1; n <= 60; n++) {
        struct model m;
        fake_init(n);
        model_init(&m, n);
        model_start(&m, &small);
        model_run(&m, 40);
        struct spool *spool = m.spools[0];
        uint64_t number = UINT64_MAX; /* of none: ignored when read */
        while (spool_seals_room(spool)) {
            spool_seal_add(spool, (struct spool_seal){number--, 4096, true});
        }
        fake_fault_at(1 + n % 20, FAKE_FAULT_EIO_LATE, 1);
        for (unsigned t = 0; t < 60 && m.lost == 0; t++) {
            model_run(&m, 1);
        }
        lost += m.lost;
        if (n % 3 == 0) { /* for good */
            fake_fault_at(1, FAKE_FAULT_EIO, UINT32_MAX);
            for (unsigned t = 0; t < 30; t++) {
                model_run(&m, 4);
                fake_time_set(fake_time() + 20000);
            }
            ck_assert_uint_lt(spool->seal_count, SPOOL_SEALS_PENDING_MAX);
        }
        fake_crash(FAKE_FAULT_CRASH_KEEP);
        model_stop(&m);
        fake_restart();
        model_start(&m, &small);
        model_stop(&m);
        model_deinit(&m);
        fake_deinit();
    }
    ck_assert_uint_gt(lost, 10);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("spool lost commits");
    TCase *t = tcase_create("commit");
    tcase_set_timeout(t, 100);
    tcase_add_test(t, lost_stays_lost);
    tcase_add_test(t, disk_dies_and_returns);
    tcase_add_test(t, a_seal_is_never_left_out);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
