/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * units - durations and sizes as people write them
 *
 * Purpose:   "1m30s" <-> 90000 ms, "64MiB" <-> 67108864 bytes. Reading is strict: what could be
 *            meant in two ways ("10M", "5") is refused.
 * Thread:    any. Units: milliseconds; bytes.
 * Errors:    parse functions return false and leave *out untouched (syntax, unknown unit, overflow).
 */
#ifndef RINGPOST_BASE_UNITS_H
#define RINGPOST_BASE_UNITS_H

#include "core/base/buf.h"

/* Numbers with units d h m s ms, largest first, each at most once: "5d", "1m30s", "250ms".
 * "0" alone needs no unit; any other number does. */
bool units_parse_duration(struct slice text, uint64_t *out_ms);
/* Bytes ("1024", "1024B"), KiB MiB GiB TiB (1024^n), KB MB GB TB (1000^n); letters in any case, one
 * space allowed before the unit. No fractions. */
bool units_parse_size(struct slice text, uint64_t *out_bytes);

/* The shortest form that the parser reads back to the same value. */
void units_add_duration(struct buf *out, uint64_t ms);
void units_add_size(struct buf *out, uint64_t bytes);

#endif
