/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * heap - memory that is free goes back to the kernel
 *
 * Purpose:   a start frees what it read the spool with, as much again as stays; an allocator keeps such
 *            pages for a while that never comes when nothing is allocated.
 * Owner:     none. Thread: any. Without jemalloc (sanitizers): nothing happens.
 */
#ifndef RINGPOST_BASE_HEAP_H
#define RINGPOST_BASE_HEAP_H

void heap_purge(void);

#endif
