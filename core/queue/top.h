/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * top - the sites with the most to do, a line each, for `ringpost top`
 *
 * Purpose:   of the sites that this worker owns those with the most parts waiting and under way.
 * Owner:     a function. Thread: the queue's.
 * Units:     parts (a message to one site in one transaction); per second × 1000 over the last QUEUE_METER_MS.
 * Limits:    one look at each site that this worker knows; `limit` lines, most waiting first, and as many bytes as
 *            the buffer takes.
 * Errors:    without memory: no lines.
 */
#ifndef RINGPOST_QUEUE_TOP_H
#define RINGPOST_QUEUE_TOP_H

#include "core/base/buf.h"

struct queue;

/* {"waiting":N,"site":…}: by the first number whoever has the lines of all workers puts them in order. */
void queue_top_report(struct queue *q, uint32_t limit, struct buf *out);

#endif
