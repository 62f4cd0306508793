/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/trace.h"

#include <inttypes.h>

struct trace_entry {
    const char *what;
    uint64_t a;
    uint64_t b;
};

/* Thread-local by intent: a crash trace must be reachable from must_fail() without a context. */
static _Thread_local struct trace_entry trace_ring[TRACE_ENTRIES];
static _Thread_local uint64_t trace_next;

void trace_add(const char *what, uint64_t a, uint64_t b)
{
    trace_ring[trace_next++ % TRACE_ENTRIES] = (struct trace_entry){what, a, b};
}

void trace_dump(FILE *out)
{
    uint64_t first = trace_next > TRACE_ENTRIES ? trace_next - TRACE_ENTRIES : 0;
    for (uint64_t i = first; i < trace_next; i++) {
        const struct trace_entry *e = &trace_ring[i % TRACE_ENTRIES];
        fprintf(out, "  trace %" PRIu64 ": %s %" PRIu64 " %" PRIu64 "\n", i, e->what, e->a, e->b);
    }
}
