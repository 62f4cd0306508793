/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * script - several lives of a spool with mail of several segments
 *
 * Purpose:   what the reclaim tests share: runs with different numbers of workers, a fault in each of
 *            them, then a last run that must find everything right.
 * Use:       after fake_io.c and model.c.
 */
#ifndef RINGPOST_TESTS_SPOOL_SCRIPT_H
#define RINGPOST_TESTS_SPOOL_SCRIPT_H

#include "tests/unit/spool/model.h"

#include <check.h>

static inline struct model_options script_heavy(unsigned workers)
{
    return (struct model_options){.workers = workers, .body_max = 100 * 1024, .load = 30 * workers};
}

/* Runs with these numbers of workers, each ended by a fault after so many steps. */
struct script {
    unsigned workers[4];
    unsigned runs;
    unsigned turns;
};

/* How many steps the second run took; at: step of the fault in each run, 0: none. */
static inline uint64_t script_run(const struct script *s, uint64_t seed, uint64_t at,
                                  enum fake_fault fault)
{
    struct model m;
    uint64_t steps = 0;
    fake_init(seed);
    model_init(&m, seed);
    for (unsigned r = 0; r < s->runs; r++) {
        struct model_options o = script_heavy(s->workers[r]);
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
    struct model_options o = script_heavy(s->workers[0]);
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

/* The power goes at every stride-th step. */
static inline void script_crash_steps(const struct script *s, uint64_t stride)
{
    uint64_t steps = script_run(s, 5, 0, FAKE_FAULT_NONE);
    ck_assert_uint_gt(steps, 100);
    for (uint64_t n = 1; n <= steps; n += stride) {
        (void)script_run(s, 5 + n % 3, n, FAKE_FAULT_CRASH);
    }
}

#endif
