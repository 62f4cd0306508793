/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * dkim_hash - SHA-256 for DKIM
 *
 * Purpose:   core/base/digest.h's operations on wolfCrypt. Owner: constant. Thread: any.
 * Errors:    none.
 */
#ifndef RINGPOST_TLS_DKIM_HASH_H
#define RINGPOST_TLS_DKIM_HASH_H

#include "core/base/digest.h"

const struct digest_ops *dkim_hash_sha256(void);

#endif
