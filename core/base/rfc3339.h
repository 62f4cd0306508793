/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * rfc3339 - dates as programs write them
 *
 * Purpose:   "2026-11-21T19:00:00Z", "2026-11-21 20:00:00.5+01:00" to microseconds since 1970. Writing them
 *            is in clock.h.
 * Thread:    any. Units: microseconds, UTC.
 * Limits:    years 1970 to 9999; digits of a second beyond the sixth are dropped; second 60 (a leap
 *            second) is the last microsecond of the minute.
 * Errors:    false, *out is untouched: another form, or no such date.
 * RFC:       3339 5.6 (and its note: lower case and a space instead of T).
 */
#ifndef RINGPOST_BASE_RFC3339_H
#define RINGPOST_BASE_RFC3339_H

#include "core/base/slice.h"

bool rfc3339_parse(struct slice text, uint64_t *out_us);

#endif
