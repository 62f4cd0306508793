/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tls/dkim_hash.h"

#include "core/base/must.h"

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/sha256.h>

#if defined(WOLFSSL_SMALL_STACK_CACHE) || defined(WOLF_CRYPTO_CB)
#error "the state of a hash must be plain memory: it is copied and forgotten"
#endif

must_static(sizeof(wc_Sha256) <= DIGEST_STATE_BYTES, "the library's state fits ours");
must_static(_Alignof(wc_Sha256) <= _Alignof(struct digest_state), "and its alignment");

static wc_Sha256 *state_of(struct digest_state *s)
{
    return (wc_Sha256 *)(void *)s->bytes;
}

static void sha256_init(struct digest_state *s)
{
    int rc = wc_InitSha256(state_of(s));
    must(rc == 0);
}

static void sha256_add(struct digest_state *s, struct slice data)
{
    while (data.len) { /* the library counts in 32 bits */
        struct slice piece = slice_first(data, 1 << 30);
        int rc = wc_Sha256Update(state_of(s), (const byte *)piece.ptr, (word32)piece.len);
        must(rc == 0);
        data = slice_skip(data, piece.len);
    }
}

static void sha256_done(struct digest_state *s, uint8_t *out)
{
    int rc = wc_Sha256Final(state_of(s), out);
    must(rc == 0);
    wc_Sha256Free(state_of(s));
}

const struct digest_ops *dkim_hash_sha256(void)
{
    static const struct digest_ops ops = {
        .result_bytes = WC_SHA256_DIGEST_SIZE,
        .init = sha256_init,
        .add = sha256_add,
        .done = sha256_done,
    };
    return &ops;
}
