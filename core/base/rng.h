/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * rng - randomness
 *
 * Purpose:   jitter, choice among equal MX hosts, ids, hash seeds. Not for keys.
 * Owner:     one per worker, seeded from the kernel at start (rng_init_kernel) or from a number in
 *            tests and in the simulator (rng_init_seed): the same seed gives the same run.
 * Thread:    the owner's.
 * Errors:    rng_init_kernel returns false when the kernel gives no entropy: the start is refused.
 */
#ifndef RINGPOST_BASE_RNG_H
#define RINGPOST_BASE_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
    uint64_t s[4];
};

bool rng_init_kernel(struct rng *r);
void rng_init_seed(struct rng *r, uint64_t seed);

uint64_t rng_u64(struct rng *r);
/* Uniform in [0, bound); bound > 0. */
uint64_t rng_below(struct rng *r, uint64_t bound);

#endif
