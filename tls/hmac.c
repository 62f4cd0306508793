/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tls/hmac.h"

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/hmac.h>

bool tls_hmac_md5(struct slice key, struct slice text, unsigned char out[TLS_HMAC_MD5_BYTES])
{
    Hmac h;
    if (wc_HmacInit(&h, NULL, INVALID_DEVID) != 0) {
        return false;
    }
    bool ok = wc_HmacSetKey(&h, WC_MD5, (const byte *)key.ptr, (word32)key.len) == 0 &&
              wc_HmacUpdate(&h, (const byte *)text.ptr, (word32)text.len) == 0 &&
              wc_HmacFinal(&h, out) == 0;
    wc_HmacFree(&h);
    return ok;
}
