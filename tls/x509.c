/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * wolfCrypt parses; what it does not hand out in a lean build (dates as numbers, addresses) is read
 * from the same bytes with der.h after it has accepted them. Signatures are checked through a
 * certificate manager that holds nothing but the one issuer in question: the library's only public
 * way to check one signature, and nothing can be left behind in it.
 */
#include "tls/x509.h"

#include "core/base/must.h"
#include "tls/der.h"

#include <stdlib.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/error-crypt.h>
#include <wolfssl/wolfcrypt/rsa.h>
#include <wolfssl/wolfcrypt/sha256.h>

must_static((int)TLS_NAME_HASH_BYTES == (int)KEYID_SIZE, "the library's hash of a name");
must_static((int)TLS_FINGERPRINT_BYTES == (int)WC_SHA256_DIGEST_SIZE, "SHA-256");

/* The fields behind the serial number and the signature algorithm; *tbs is left behind the key. */
static bool read_dates(struct slice der, struct x509 *c)
{
    struct slice cert, tbs, skipped, validity, value;
    uint8_t tag;
    bool ok = der_take(&der, DER_SEQUENCE, &cert) && der_take(&cert, DER_SEQUENCE, &tbs);
    (void)(ok &&
           der_take(&tbs, DER_CONTEXT_CONSTRUCTED | 0, &skipped)); /* version, may be absent */
    ok = ok && der_take(&tbs, DER_INTEGER, &skipped) && der_take(&tbs, DER_SEQUENCE, &skipped) &&
         der_take(&tbs, DER_SEQUENCE, &skipped) && der_take(&tbs, DER_SEQUENCE, &validity);
    return ok && der_next(&validity, &tag, &value) && der_time(tag, value, &c->not_before) &&
           der_next(&validity, &tag, &value) && der_time(tag, value, &c->not_after);
}

static unsigned rsa_bits(const DecodedCert *d)
{
    RsaKey key;
    word32 at = 0;
    unsigned bits = 0;
    if (wc_InitRsaKey(&key, NULL) != 0) {
        return 0;
    }
    if (wc_RsaPublicKeyDecode(d->publicKey, &at, &key, d->pubKeySize) == 0) {
        int bytes = wc_RsaEncryptSize(&key);
        bits = bytes > 0 ? (unsigned)bytes * 8 : 0;
    }
    wc_FreeRsaKey(&key);
    return bits;
}

static void read_ecc(const DecodedCert *d, struct x509 *c)
{
    int id = wc_ecc_get_oid(d->pkCurveOID, NULL, NULL);
    int bytes = id >= 0 ? wc_ecc_get_curve_size_from_id(id) : 0;
    c->key_bits = bytes > 0 ? (unsigned)bytes * 8 : 0;
    c->key = id == ECC_SECP256R1   ? TLS_KEY_P256
             : id == ECC_SECP384R1 ? TLS_KEY_P384
             : id == ECC_SECP521R1 ? TLS_KEY_P521
                                   : TLS_KEY_OTHER;
}

static void read_key(const DecodedCert *d, struct x509 *c)
{
    switch (d->keyOID) {
    case RSAk:
    case RSAPSSk:
        c->key = TLS_KEY_RSA;
        c->key_bits = rsa_bits(d);
        break;
    case ECDSAk:
        read_ecc(d, c);
        break;
    case ED25519k:
        c->key = TLS_KEY_ED25519;
        c->key_bits = 256;
        break;
    default:
        c->key = TLS_KEY_OTHER;
        c->key_bits = 0;
        break;
    }
}

static bool is_weak_signature(word32 oid)
{
    return oid == CTC_MD2wRSA || oid == CTC_MD5wRSA || oid == CTC_SHAwRSA || oid == CTC_SHAwDSA ||
           oid == CTC_SHAwECDSA;
}

static void read_extensions(const DecodedCert *d, struct x509 *c)
{
    c->is_ca = d->isCA;
    c->path_length = d->pathLengthSet ? d->pathLength : -1;
    c->may_sign_certificates = !d->extKeyUsageSet || (d->extKeyUsage & KEYUSE_KEY_CERT_SIGN);
    c->may_sign = !d->extKeyUsageSet || (d->extKeyUsage & KEYUSE_DIGITAL_SIG);
    c->for_server = !d->extExtKeyUsageSet ||
                    (d->extExtKeyUsage & (EXTKEYUSE_ANY | EXTKEYUSE_SERVER_AUTH));
    c->for_client = !d->extExtKeyUsageSet ||
                    (d->extExtKeyUsage & (EXTKEYUSE_ANY | EXTKEYUSE_CLIENT_AUTH));
    struct slice value, rest, name;
    /* 2.5.29.17 */
    if (!x509_extension(c, SLICE("\x55\x1d\x11"), &value) ||
        !der_take(&value, DER_SEQUENCE, &c->alt_names)) {
        c->alt_names = (struct slice){0};
    }
    rest = c->alt_names;
    c->has_dns_names = x509_next_dns_name(&rest, &name);
}

bool x509_parse(struct x509 *c, struct slice der)
{
    must(c != NULL);
    DecodedCert *d = der.len > 0 && der.len <= UINT16_MAX ? malloc(sizeof(*d)) : NULL;
    if (!d) {
        return false;
    }
    *c = (struct x509){.der = der, .decoded = d};
    wc_InitDecodedCert(d, (const byte *)der.ptr, (word32)der.len, NULL);
    int rc = wc_ParseCert(d, CERT_TYPE, NO_VERIFY, NULL);
    c->unknown_critical = rc == ASN_CRIT_EXT_E;
    if ((rc != 0 && !c->unknown_critical) || !read_dates(der, c)) {
        x509_free(c);
        return false;
    }
    read_key(d, c);
    read_extensions(d, c);
    c->weak_signature = is_weak_signature(d->signatureOID);
    memcpy(c->subject_hash, d->subjectHash, TLS_NAME_HASH_BYTES);
    memcpy(c->issuer_hash, d->issuerHash, TLS_NAME_HASH_BYTES);
    c->self_issued = memcmp(c->subject_hash, c->issuer_hash, TLS_NAME_HASH_BYTES) == 0;
    return true;
}

void x509_free(struct x509 *c)
{
    if (c->decoded) {
        wc_FreeDecodedCert(c->decoded);
        free(c->decoded);
    }
    *c = (struct x509){0};
}

/* An issuer that has expired still has signed what it has signed. */
static bool load_issuer(WOLFSSL_CERT_MANAGER *cm, struct slice der)
{
    const unsigned char *p = (const unsigned char *)der.ptr;
#if LIBWOLFSSL_VERSION_HEX >= 0x05006000
    return wolfSSL_CertManagerLoadCABuffer_ex(cm, p, (long)der.len, WOLFSSL_FILETYPE_ASN1, 0,
                                              WOLFSSL_LOAD_FLAG_DATE_ERR_OKAY) == WOLFSSL_SUCCESS;
#else
    return wolfSSL_CertManagerLoadCABuffer(cm, p, (long)der.len, WOLFSSL_FILETYPE_ASN1) ==
           WOLFSSL_SUCCESS;
#endif
}

enum x509_signature x509_signed_by(const struct x509 *c, const struct x509 *issuer)
{
    must(c->decoded != NULL && issuer->decoded != NULL);
    WOLFSSL_CERT_MANAGER *cm = wolfSSL_CertManagerNew();
    int rc = WOLFSSL_FAILURE;
    if (cm && load_issuer(cm, issuer->der)) {
        rc = wolfSSL_CertManagerVerifyBuffer(cm, (const unsigned char *)c->der.ptr,
                                             (long)c->der.len, WOLFSSL_FILETYPE_ASN1);
    }
    wolfSSL_CertManagerFree(cm);
    /* These are looked at only after the signature was found good. */
    if (rc == WOLFSSL_SUCCESS || rc == ASN_BEFORE_DATE_E || rc == ASN_AFTER_DATE_E ||
        rc == ASN_CRIT_EXT_E) {
        return X509_SIGNED;
    }
    return rc == ASN_NAME_INVALID_E ? X509_SIGNED_BUT_NAME_FORBIDDEN : X509_NOT_SIGNED;
}

void x509_fingerprint(struct slice der, uint8_t out[TLS_FINGERPRINT_BYTES])
{
    must(der.len <= UINT32_MAX);
    must(wc_Sha256Hash((const byte *)der.ptr, (word32)der.len, out) == 0);
}
