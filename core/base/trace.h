/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * trace - the last things a thread did
 *
 * Purpose:   a fixed ring of the most recent events of the calling thread, printed when must()
 *            fails. It answers "how did we get here" without a debugger.
 * Owner:     the thread (thread-local storage); nothing to create or free.
 * Limits:    TRACE_ENTRIES entries; older ones are overwritten. what must be a string literal.
 * Errors:    none.
 */
#ifndef RINGPOST_BASE_TRACE_H
#define RINGPOST_BASE_TRACE_H

#include <stdint.h>
#include <stdio.h>

enum { TRACE_ENTRIES = 256 };

void trace_add(const char *what, uint64_t a, uint64_t b);
void trace_dump(FILE *out);

#endif
