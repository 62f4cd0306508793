/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * meta - a message's attributes as bytes: spool_message.meta
 *
 * Purpose:   they survive restarts and compaction. A message without any has no bytes.
 * Owner:     decoded names are slices of the bytes. Thread: any.
 * Format:    a version (1), then fields {tag u8, bytes u8, value}: class 1 (u8), tenant 2, campaign 3,
 *            not-before 4, expiry 5, notice 6 (u32, seconds since 1970), by 7 (u8), source 8, DKIM domain 9.
 *            Little-endian. A field that
 *            is not known is skipped: a later version may write more of them.
 * Limits:    QUEUE_META_BYTES_MAX written, SPOOL_META_BYTES_MAX read.
 * Errors:    queue_meta_decode: false when it makes no sense; *out is then an ordinary message.
 */
#ifndef RINGPOST_QUEUE_META_H
#define RINGPOST_QUEUE_META_H

#include "core/policy/attributes.h"

enum { QUEUE_META_BYTES_MAX = 512, QUEUE_META_DKIM_BYTES_MAX = 253 };

struct slice queue_meta_encode(const struct attributes *a, char dst[QUEUE_META_BYTES_MAX]);
bool queue_meta_decode(struct slice meta, struct attributes *out);

#endif
