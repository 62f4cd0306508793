/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * hash - a fast hash of bytes
 *
 * Purpose:   tables that are no map (core/base/map.h has its own). With a secret seed nobody outside can
 *            aim at a slot; it protects nothing else.
 * Owner:     none. Thread: any. Errors: none.
 */
#ifndef RINGPOST_BASE_HASH_H
#define RINGPOST_BASE_HASH_H

#include "core/base/slice.h"

uint64_t hash_bytes(struct slice bytes, uint64_t seed);

#endif
