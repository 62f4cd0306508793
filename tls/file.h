/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * file - certificates and keys on disk
 *
 * Purpose:   reads a whole file, and writes one so that a reader sees the old or the new one. Inside
 *            tls/ only.
 * Owner:     the buf is the caller's; what is read may be a key: release it with secret_buf_release.
 * Thread:    blocks: not a loop's.
 * Limits:    the buf's cap_max.
 * Errors:    false with "FILE: what: remedy" in *problem.
 * Durability: write: file synced, renamed, folder synced.
 */
#ifndef RINGPOST_TLS_FILE_H
#define RINGPOST_TLS_FILE_H

#include "core/base/buf.h"

#include <sys/types.h>

bool tls_file_read(const char *path, struct buf *out, struct buf *problem);
bool tls_file_write(const char *path, struct slice text, mode_t mode, struct buf *problem);
/* May somebody beside the owner and the group read it? */
bool tls_file_is_public(const char *path);

#endif
