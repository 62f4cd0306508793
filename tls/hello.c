/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Nearly every hello is one record and is read in place; one that is split into several is put
 * together first. What is odd but not impossible is left to the library, which reads the same bytes
 * again and refuses with the right alert: here only what the choice of the certificate needs.
 */
#include "tls/hello.h"

#include "core/base/buf.h"
#include "core/base/must.h"
#include "tls/name.h"

enum {
    RECORD_HEADER = 5,
    RECORDS_MAX = 64,
    RECORD_BYTES_MAX = 16384,
    HANDSHAKE_HEADER = 4,
    TYPE_HANDSHAKE = 22,
    CLIENT_HELLO = 1,
    RANDOM_BYTES = 32,
    SESSION_ID_MAX = 32,
    EXTENSION_SERVER_NAME = 0,
    EXTENSION_GROUPS = 10,
    EXTENSION_SIGNATURES = 13,
    EXTENSION_VERSIONS = 43,
    VERSION_TLS12 = 0x0303,
    VERSION_TLS13 = 0x0304,
};

/* What the lists of the hello say, before it is weighed. */
struct offer {
    bool suites_rsa12, suites_ecdsa12, suites13;
    bool has_versions, version12, version13;
    uint16_t legacy_version;
    bool has_groups, p256, p384, p521;
    bool sign_rsa, sign_p256, sign_p384, sign_p521, sign_ed25519;
    bool sign_rsa_pss;
    struct slice name;
};

static bool take_u8(struct slice *in, unsigned *out)
{
    if (in->len < 1) {
        return false;
    }
    *out = (uint8_t)in->ptr[0];
    *in = slice_skip(*in, 1);
    return true;
}

static bool take_u16(struct slice *in, unsigned *out)
{
    unsigned high, low;
    if (in->len < 2 || !take_u8(in, &high) || !take_u8(in, &low)) {
        return false;
    }
    *out = high << 8 | low;
    return true;
}

static bool take_bytes(struct slice *in, size_t n, struct slice *out)
{
    if (in->len < n) {
        return false;
    }
    *out = slice_first(*in, n);
    *in = slice_skip(*in, n);
    return true;
}

static bool take_vector8(struct slice *in, struct slice *out)
{
    unsigned n;
    return take_u8(in, &n) && take_bytes(in, n, out);
}

static bool take_vector16(struct slice *in, struct slice *out)
{
    unsigned n;
    return take_u16(in, &n) && take_bytes(in, n, out);
}

/* ---- lists ------------------------------------------------------------------------------------ */

static void read_suite(struct offer *o, unsigned suite)
{
    switch (suite) {
    case 0x1301: /* TLS_AES_128_GCM_SHA256 */
    case 0x1302:
    case 0x1303:
        o->suites13 = true;
        break;
    case 0xC02B: /* TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 */
    case 0xC02C:
    case 0xCCA9: /* ..._CHACHA20_POLY1305 */
        o->suites_ecdsa12 = true;
        break;
    case 0xC02F: /* TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 */
    case 0xC030:
    case 0xCCA8:
        o->suites_rsa12 = true;
        break;
    default:
        break;
    }
}

/* SHA-1 (0x02..) is passed over: a client that can verify nothing better is served no signature. */
static void read_signature(struct offer *o, unsigned scheme)
{
    switch (scheme) {
    case 0x0401: /* rsa_pkcs1_sha256 */
    case 0x0501:
    case 0x0601:
        o->sign_rsa = true;
        break;
    case 0x0804: /* rsa_pss_rsae_sha256 */
    case 0x0805:
    case 0x0806:
        o->sign_rsa = true;
        o->sign_rsa_pss = true;
        break;
    case 0x0403:
        o->sign_p256 = true;
        break;
    case 0x0503:
        o->sign_p384 = true;
        break;
    case 0x0603:
        o->sign_p521 = true;
        break;
    case 0x0807:
        o->sign_ed25519 = true;
        break;
    default:
        break;
    }
}

static bool read_signatures(struct offer *o, struct slice data)
{
    struct slice list;
    unsigned scheme;
    if (!take_vector16(&data, &list) || data.len > 0 || list.len == 0 || list.len % 2) {
        return false;
    }
    while (take_u16(&list, &scheme)) {
        read_signature(o, scheme);
    }
    return true;
}

static bool read_groups(struct offer *o, struct slice data)
{
    struct slice list;
    unsigned group;
    if (!take_vector16(&data, &list) || data.len > 0 || list.len == 0 || list.len % 2) {
        return false;
    }
    o->has_groups = true;
    while (take_u16(&list, &group)) {
        o->p256 = o->p256 || group == 23;
        o->p384 = o->p384 || group == 24;
        o->p521 = o->p521 || group == 25;
    }
    return true;
}

static bool read_versions(struct offer *o, struct slice data)
{
    struct slice list;
    unsigned version;
    if (!take_vector8(&data, &list) || data.len > 0 || list.len == 0 || list.len % 2) {
        return false;
    }
    o->has_versions = true;
    while (take_u16(&list, &version)) {
        o->version12 = o->version12 || version == VERSION_TLS12;
        o->version13 = o->version13 || version == VERSION_TLS13;
    }
    return true;
}

/* RFC 6066 3: a list, of which only host names (0) are defined, and one of each. */
static bool read_server_name(struct offer *o, struct slice data)
{
    struct slice list, name;
    unsigned type;
    if (!take_vector16(&data, &list) || data.len > 0 || list.len == 0) {
        return false;
    }
    while (list.len > 0) {
        if (!take_u8(&list, &type) || !take_vector16(&list, &name)) {
            return false;
        }
        if (type == 0 && o->name.len == 0) {
            o->name = name;
        }
    }
    return true;
}

static bool read_extensions(struct offer *o, struct slice in)
{
    struct slice list, data;
    unsigned type;
    if (in.len == 0) {
        return true;
    }
    if (!take_vector16(&in, &list) || in.len > 0) {
        return false;
    }
    while (list.len > 0) {
        bool ok = take_u16(&list, &type) && take_vector16(&list, &data);
        if (ok && type == EXTENSION_SERVER_NAME) {
            ok = read_server_name(o, data);
        } else if (ok && type == EXTENSION_GROUPS) {
            ok = read_groups(o, data);
        } else if (ok && type == EXTENSION_SIGNATURES) {
            ok = read_signatures(o, data);
        } else if (ok && type == EXTENSION_VERSIONS) {
            ok = read_versions(o, data);
        }
        if (!ok) {
            return false;
        }
    }
    return true;
}

static bool read_hello(struct slice body, struct offer *o)
{
    struct slice random, id, suites, compression;
    unsigned version, suite;
    if (!take_u16(&body, &version) || !take_bytes(&body, RANDOM_BYTES, &random) ||
        !take_vector8(&body, &id) || id.len > SESSION_ID_MAX || !take_vector16(&body, &suites) ||
        suites.len == 0 || suites.len % 2 || !take_vector8(&body, &compression) ||
        compression.len == 0) {
        return false;
    }
    o->legacy_version = (uint16_t)version;
    while (take_u16(&suites, &suite)) {
        read_suite(o, suite);
    }
    return read_extensions(o, body);
}

/* ---- weighing ---------------------------------------------------------------------------------- */

static uint8_t key_bit(bool usable, enum tls_key key)
{
    return (uint8_t)(usable ? 1U << key : 0U);
}

static void weigh(const struct offer *o, struct tls_hello *out)
{
    *out = (struct tls_hello){0};
    /* RFC 8446 4.2.1: with the extension the old field says nothing. */
    bool v12 = o->has_versions ? o->version12 : o->legacy_version >= VERSION_TLS12;
    bool v13 = o->version13 && o->suites13;
    bool only13 = o->version13 && !v12; /* even without a suite for it */
    out->version_max = v13 || only13     ? VERSION_TLS13
                       : v12             ? VERSION_TLS12
                       : o->has_versions ? VERSION_TLS12 - 1
                                         : o->legacy_version;
    out->version_min = only13 ? VERSION_TLS13 : VERSION_TLS12;
    if (v12) {
        bool any = !o->has_groups;
        out->keys_tls12 =
            (uint8_t)(key_bit(o->suites_rsa12 && o->sign_rsa, TLS_KEY_RSA) |
                      (o->suites_ecdsa12
                           ? key_bit(o->sign_p256 && (any || o->p256), TLS_KEY_P256) |
                                 key_bit(o->sign_p384 && (any || o->p384), TLS_KEY_P384) |
                                 key_bit(o->sign_p521 && (any || o->p521), TLS_KEY_P521) |
                                 key_bit(o->sign_ed25519, TLS_KEY_ED25519)
                           : 0));
    }
    if (v13) {
        out->keys_tls13 =
            (uint8_t)(key_bit(o->sign_rsa_pss, TLS_KEY_RSA) | key_bit(o->sign_p256, TLS_KEY_P256) |
                      key_bit(o->sign_p384, TLS_KEY_P384) | key_bit(o->sign_p521, TLS_KEY_P521) |
                      key_bit(o->sign_ed25519, TLS_KEY_ED25519));
    }
    if (tls_name_is_host(o->name)) {
        out->server_name_len = (uint8_t)o->name.len;
        for (size_t i = 0; i < o->name.len; i++) {
            out->server_name[i] = ascii_lower(o->name.ptr[i]);
        }
    }
}

/* ---- records ------------------------------------------------------------------------------------ */

/* The payload of the next record; MORE when it has not come whole. */
static enum tls_hello_result next_record(struct slice *in, struct slice *payload)
{
    const uint8_t *p = (const uint8_t *)in->ptr;
    if ((in->len > 0 && p[0] != TYPE_HANDSHAKE) || (in->len > 1 && p[1] != 3)) {
        return TLS_HELLO_NOT_TLS;
    }
    if (in->len < RECORD_HEADER) {
        return TLS_HELLO_MORE;
    }
    size_t len = (size_t)p[3] << 8 | p[4];
    if (len == 0 || len > RECORD_BYTES_MAX) {
        return TLS_HELLO_MALFORMED;
    }
    *payload = slice_first(slice_skip(*in, RECORD_HEADER), len);
    if (payload->len < len) {
        return TLS_HELLO_MORE;
    }
    *in = slice_skip(*in, RECORD_HEADER + len);
    return TLS_HELLO_OK;
}

/* Knows the length of the whole message from its first bytes. */
static enum tls_hello_result message_length(struct slice got, size_t *len)
{
    const uint8_t *p = (const uint8_t *)got.ptr;
    if (got.len > 0 && p[0] != CLIENT_HELLO) {
        return TLS_HELLO_MALFORMED;
    }
    if (got.len < HANDSHAKE_HEADER) {
        return TLS_HELLO_MORE;
    }
    *len = HANDSHAKE_HEADER + ((size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3]);
    return *len > TLS_HELLO_BYTES_MAX ? TLS_HELLO_TOO_LARGE : TLS_HELLO_OK;
}

static enum tls_hello_result parse_message(struct slice message, struct tls_hello *out)
{
    struct offer o = {0};
    must(message.len >= HANDSHAKE_HEADER);
    if (!read_hello(slice_skip(message, HANDSHAKE_HEADER), &o)) {
        return TLS_HELLO_MALFORMED;
    }
    weigh(&o, out);
    return TLS_HELLO_OK;
}

enum tls_hello_result tls_hello_parse(struct slice input, struct tls_hello *out)
{
    struct slice payload;
    struct buf whole;
    size_t len = 0;
    enum tls_hello_result rc = next_record(&input, &payload);
    if (rc != TLS_HELLO_OK) {
        return rc;
    }
    rc = message_length(payload, &len);
    if (rc == TLS_HELLO_OK && payload.len >= len) {
        return parse_message(slice_first(payload, len), out);
    }
    buf_init(&whole, RECORD_BYTES_MAX + TLS_HELLO_BYTES_MAX);
    buf_add(&whole, payload);
    for (size_t i = 1; rc == TLS_HELLO_MORE || (rc == TLS_HELLO_OK && whole.len < len); i++) {
        if (i == RECORDS_MAX) {
            rc = TLS_HELLO_MALFORMED;
            break;
        }
        rc = next_record(&input, &payload);
        if (rc != TLS_HELLO_OK) {
            break;
        }
        buf_add(&whole, payload);
        rc = whole.overflow ? TLS_HELLO_TOO_LARGE : message_length(buf_slice(&whole), &len);
    }
    if (rc == TLS_HELLO_OK) {
        rc = parse_message(slice_first(buf_slice(&whole), len), out);
    }
    buf_deinit(&whole);
    return rc;
}
