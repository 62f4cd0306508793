/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * digest - a cryptographic hash as a value
 *
 * Purpose:   lets proto/ and core/policy hash without knowing the crypto library: tls/ hands out the
 *            operations (tls/dkim_hash.h).
 * Owner:     the state is plain bytes in its user: no allocation, nothing to free; copying the struct
 *            copies the computation (one prefix, several endings). Thread: the owner's.
 * Errors:    none.
 */
#ifndef RINGPOST_BASE_DIGEST_H
#define RINGPOST_BASE_DIGEST_H

#include "core/base/slice.h"

enum { DIGEST_STATE_BYTES = 256, DIGEST_SHA256_BYTES = 32 };

struct digest_state {
    _Alignas(16) unsigned char bytes[DIGEST_STATE_BYTES];
};

struct digest_ops {
    size_t result_bytes;
    void (*init)(struct digest_state *s);
    void (*add)(struct digest_state *s, struct slice data);
    /* Writes result_bytes; the state is over. */
    void (*done)(struct digest_state *s, uint8_t *out);
};

#endif
