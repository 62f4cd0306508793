/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/retry.h"
#include "core/base/must.h"

struct retry_decision retry_decide(const struct conf_queue *q, uint32_t attempts,
                                   uint64_t arrival_ms, uint64_t now_ms, struct rng *rng)
{
    must(attempts >= 1 && q->schedule.count >= 1);
    uint64_t end_ms = arrival_ms + q->max_age_ms;
    if (now_ms >= end_ms || (q->max_attempts && attempts >= q->max_attempts)) {
        return (struct retry_decision){.expired = true};
    }
    size_t index = attempts - 1 < q->schedule.count ? attempts - 1 : q->schedule.count - 1;
    uint64_t delay_ms = q->schedule.items[index];
    uint64_t spread = delay_ms * q->jitter_percent / 100;
    if (spread) {
        delay_ms = delay_ms - spread + rng_below(rng, 2 * spread + 1);
    }
    uint64_t due_ms = now_ms + (delay_ms ? delay_ms : 1);
    return (struct retry_decision){.due_ms = due_ms < end_ms ? due_ms : end_ms};
}
