/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: a key file of any bytes (PEM, bare base64), and a key record of any bytes from DNS: read or refused with one
 *          line of reasons; a key that is read writes a record that matches itself.
 * Input:   the file; also the record.
 */
#include "core/base/must.h"
#include "core/policy/dkim_record.h"
#include "tls/dkim_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_why(struct slice why)
{
    for (size_t i = 0; i < why.len; i++) {
        must((unsigned char)why.ptr[i] >= 0x20);
    }
}

static void check_key(const struct dkim_key *key, struct buf *why)
{
    struct buf record;
    bool rsa = dkim_key_type(key) == DKIM_KEY_RSA;
    enum dkim_algorithm a = rsa ? DKIM_RSA_SHA256 : DKIM_ED25519_SHA256;
    must(dkim_key_bits(key) >= (rsa ? DKIM_RSA_BITS_MIN : 256) &&
         dkim_key_bits(key) <= DKIM_RSA_BITS_MAX);
    buf_init(&record, 1 << 16);
    dkim_record_add(&record, a, dkim_key_public(key));
    must(dkim_record_check(buf_slice(&record), a, dkim_key_public(key), why) ==
         DKIM_RECORD_MATCHES);
    buf_deinit(&record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf why;
    struct slice text = slice_of(data, size);
    buf_init(&why, 4096);
    struct dkim_key *key = dkim_key_read(text, &why);
    must((key != NULL) == (why.len == 0));
    check_why(buf_slice(&why));
    if (key) {
        check_key(key, &why);
        dkim_key_free(&key);
    }
    buf_clear(&why);
    enum dkim_record_verdict v = dkim_record_check(text, DKIM_RSA_SHA256, SLICE("AQAB"), &why);
    must((v == DKIM_RECORD_MATCHES) == (why.len == 0));
    check_why(buf_slice(&why));
    buf_deinit(&why);
    return 0;
}
