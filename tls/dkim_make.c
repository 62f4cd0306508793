/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * New keys, as PKCS#8 ("PRIVATE KEY"): what OpenSSL 3 writes for both kinds and everything reads.
 */
#include "tls/dkim_key.h"

#include "core/base/must.h"
#include "tls/dkim_pem.h"

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/ed25519.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/rsa.h>

enum { RSA_EXPONENT = 65537 };

/* DER length, or 0. */
static size_t rsa_make(unsigned bits, WC_RNG *rng, uint8_t out[DKIM_DER_BYTES])
{
    RsaKey rsa;
    uint8_t plain[DKIM_DER_BYTES];
    word32 len = DKIM_DER_BYTES;
    int n = 0;
    bool ok = wc_InitRsaKey(&rsa, NULL) == 0 &&
              wc_MakeRsaKey(&rsa, (int)bits, RSA_EXPONENT, rng) == 0;
    if (ok) {
        n = wc_RsaKeyToDer(&rsa, plain, sizeof(plain));
        ok = n > 0 && wc_CreatePKCS8Key(out, &len, plain, (word32)n, RSAk, NULL, 0) > 0;
    }
    wc_FreeRsaKey(&rsa);
    explicit_bzero(plain, sizeof(plain));
    return ok ? len : 0;
}

static size_t ed25519_make(WC_RNG *rng, uint8_t out[DKIM_DER_BYTES])
{
    ed25519_key ed;
    int n = 0;
    if (wc_ed25519_init(&ed) == 0 && wc_ed25519_make_key(rng, ED25519_KEY_SIZE, &ed) == 0) {
        n = wc_Ed25519PrivateKeyToDer(&ed, out, DKIM_DER_BYTES);
    }
    wc_ed25519_free(&ed);
    return n > 0 ? (size_t)n : 0;
}

bool dkim_key_make(enum dkim_key_type type, unsigned bits, struct buf *pem, struct buf *why)
{
    uint8_t der[DKIM_DER_BYTES];
    WC_RNG rng;
    size_t len = 0;
    must(type == DKIM_KEY_ED25519 || bits == 2048 || bits == 3072 || bits == 4096);
    if (wc_InitRng(&rng) != 0) {
        buf_addf(why, "the system gives no random numbers");
        return false;
    }
    switch (type) {
    case DKIM_KEY_RSA:
        len = rsa_make(bits, &rng, der);
        break;
    case DKIM_KEY_ED25519:
        len = ed25519_make(&rng, der);
        break;
    }
    wc_FreeRng(&rng);
    if (len) {
        dkim_pem_add(pem, slice_of(der, len));
    }
    explicit_bzero(der, sizeof(der));
    if (len == 0 || pem->overflow) {
        buf_addf(why, "the key could not be made");
        return false;
    }
    return true;
}
