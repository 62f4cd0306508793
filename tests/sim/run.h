/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * run - one seed from its first client to its last judgement
 *
 * Purpose:   a safety phase (clients, faults, crashes at chosen steps of the disk), then a liveness phase
 *            without faults in which the queue must drain, then an orderly end that leaves nothing.
 * Owner:     the process. Thread: the only one. Errors: sim_fail.
 */
#ifndef RINGPOST_TESTS_SIM_RUN_H
#define RINGPOST_TESTS_SIM_RUN_H

#include "tests/sim/sim.h"

struct run_options {
    features with;
    int crashes; /* how many the run has; negative: by the seed */
    bool trace;
};

/* The counts are in sim.counts. */
void run_seed(uint64_t seed, const struct run_options *options);

#endif
