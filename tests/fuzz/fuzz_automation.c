/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: rows of overrides are disk contents, so input: whatever is taken up stays in bounds, ends, and is
 *          written again as it was read.
 * Input:   1 byte: hours since the row was written; the rest is the row.
 */
#include "core/base/must.h"
#include "core/policy/automation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct automation_keys keys = {.source = {"ip1", 3},
                                            .site = {"mx.example.com:25", 17},
                                            .provider = {"google", 6},
                                            .tenant = {"shop", 4},
                                            .campaign = {"spring", 6},
                                            .dkim = {"example.org", 11}};

static void judge(struct automation *a, uint64_t now_ms)
{
    struct automation_override o;
    struct automation_effect e;
    automation_effect(a, &keys, now_ms, &e);
    must(e.rate.factor > 0 && e.rate.factor <= AUTOMATION_ONE && e.until_ms > now_ms);
    must(e.connections.factor > 0 && e.connections.factor <= AUTOMATION_ONE);
    must(e.per_connection.factor > 0 && e.per_connection.factor <= AUTOMATION_ONE);
    if (automation_next(a, 0, now_ms, &o)) {
        must(o.end_ms > now_ms && o.factor <= AUTOMATION_ONE);
        if (!o.manual) {
            must(e.suspended_until_ms <=
                 now_ms + AUTOMATION_DURATION_MS_MAX + AUTOMATION_CLOCK_SLACK_MS);
        }
    }
}

static void write_again(struct automation *a, uint64_t now_ms)
{
    struct automation_change first;
    struct automation_change second;
    struct automation *b = automation_open(2);
    must(b != NULL);
    automation_mark_all(a);
    if (automation_next_change(a, now_ms, &first) && first.len) {
        must(automation_restore(b, first.id, slice_of(first.bytes, first.len), now_ms));
        automation_mark_all(b);
        must(automation_next_change(b, now_ms, &second) && second.len == first.len);
        must(memcmp(first.bytes, second.bytes, first.len) == 0);
    }
    automation_close(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t now_ms = UINT64_C(1800000000000);
    if (size == 0) {
        return 0;
    }
    now_ms += data[0] * UINT64_C(3600000);
    struct automation *a = automation_open(1);
    must(a != NULL);
    if (automation_restore(a, 7, slice_of(data + 1, size - 1), now_ms)) {
        write_again(a, now_ms);
        for (unsigned i = 0; i < 50; i++) {
            judge(a, now_ms);
            now_ms += i * UINT64_C(600000);
        }
        automation_cancel(a, 7);
        must(automation_counts(a).overrides == 0);
    }
    automation_close(a);
    return 0;
}
