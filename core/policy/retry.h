/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * retry - when a deferred recipient is tried again, and when it is given up
 *
 * Purpose:   pure decision from the schedule: the n-th delay is schedule[n-1] (the last repeats),
 *            with jitter, never past the end of the message's life, where one last attempt is made.
 * Thread:    any. Units: wall milliseconds. Errors: none.
 * RFC:       5321 4.5.4.1 (retry strategy; give up after 4-5 days).
 */
#ifndef RINGPOST_POLICY_RETRY_H
#define RINGPOST_POLICY_RETRY_H

#include "core/base/rng.h"
#include "core/conf/conf.h"

struct retry_decision {
    bool expired;
    uint64_t due_ms;
};

/* attempts: failed ones so far, this one included (>= 1). */
struct retry_decision retry_decide(const struct conf_queue *q, uint32_t attempts,
                                   uint64_t arrival_ms, uint64_t now_ms, struct rng *rng);

#endif
