/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * heap - memory that is free goes back to the kernel
 *
 * Purpose:   a start frees what it read the spool with, as much again as stays; a queue that was long and
 *            is delivered frees most of what there was. The allocator keeps such pages for ten seconds,
 *            which it only counts in a thread of its own or while something is allocated.
 * Owner:     none. Thread: any. Without jemalloc (sanitizers): nothing happens.
 */
#ifndef RINGPOST_BASE_HEAP_H
#define RINGPOST_BASE_HEAP_H

/* Starts that thread; signals must be blocked. */
void heap_open(void);
/* At once. */
void heap_purge(void);

#endif
