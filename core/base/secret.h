/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * secret - bytes that must not stay in memory
 *
 * Purpose:   passwords and what they were typed as. A buf that holds some is filled and given back
 *            through these, so that no copy stays behind: neither where it was nor where it grew.
 * Owner:     the buf's. Thread: any. Units: bytes. Errors: as in buf.h.
 */
#ifndef RINGPOST_BASE_SECRET_H
#define RINGPOST_BASE_SECRET_H

#include "core/base/buf.h"

/* Overwrites; the compiler may not leave it out. NULL is fine when n is 0. */
void secret_wipe(void *p, size_t n);

/* Room for n more bytes, as buf_reserve; the memory left behind by growing is wiped. */
bool secret_buf_reserve(struct buf *b, size_t n);
/* As buf_add. */
void secret_buf_add(struct buf *b, struct slice s);
/* Wipes all of its memory; empty, memory kept. */
void secret_buf_clear(struct buf *b);
/* Wipes all of its memory and gives it back. */
void secret_buf_release(struct buf *b);

#endif
