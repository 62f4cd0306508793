/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * clock - the only place that reads time
 *
 * Purpose:   monotonic time for deadlines, wall time for dates, ids and expiry. The loop reads both
 *            once per tick and passes them down (see io.h: io_now); other code takes time as an
 *            argument. The simulator links its own twin of this file.
 * Thread:    any. Units: in the names. Errors: none (clock_gettime cannot fail for these clocks).
 */
#ifndef RINGPOST_BASE_CLOCK_H
#define RINGPOST_BASE_CLOCK_H

#include "core/base/buf.h"

#include <stdint.h>

struct clock_now {
    uint64_t mono_ms;
    uint64_t mono_us;
    uint64_t wall_us; /* microseconds since 1970-01-01 UTC */
};

struct clock_now clock_read(void);

/* CPU time of the calling thread, for measurements. */
uint64_t clock_thread_cpu_us(void);

/* "Sat, 21 Nov 2026 11:25:00 +0000" (RFC 5322 3.3, always UTC). */
void clock_add_rfc5322(struct buf *out, uint64_t wall_us);
/* "2026-11-21T11:25:00.123456Z" (RFC 3339). */
void clock_add_rfc3339(struct buf *out, uint64_t wall_us);

#endif
