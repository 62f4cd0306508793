/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tls/certificate.h"

#include "core/base/clock.h"
#include "core/base/must.h"
#include "core/base/secret.h"
#include "tls/file.h"
#include "tls/pem.h"
#include "tls/x509.h"

#include <stdlib.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

enum { DER_BYTES_MAX = 32 * 1024, WARNING_BYTES_MAX = 1024, DATE_BYTES = 64, RSA_BITS_WISE = 2048 };

struct tls_certificate {
    struct slice chain[TLS_CHAIN_MAX]; /* own memory */
    size_t count;
    struct x509 leaf; /* of chain[0] */
    struct buf key;
    uint8_t fingerprint[TLS_FINGERPRINT_BYTES];
    struct buf warning;
};

/* ---- reading the texts ---------------------------------------------------------------------- */

static bool fail(struct buf *problem, struct slice file, const char *what)
{
    buf_addf(problem, "%.*s: %s", SLICE_ARG(file), what);
    return false;
}

static bool add_to_chain(struct tls_certificate *c, struct slice der)
{
    char *copy = malloc(der.len);
    if (!copy) {
        return false;
    }
    memcpy(copy, der.ptr, der.len);
    c->chain[c->count++] = slice_of(copy, der.len);
    return true;
}

static bool read_chain(struct tls_certificate *c, struct slice file, struct slice text,
                       struct buf *problem)
{
    struct tls_pem_block block;
    struct buf der;
    enum tls_pem rc;
    bool ok = true;
    buf_init(&der, DER_BYTES_MAX);
    while (ok && (rc = tls_pem_next(&text, &block, &der)) != TLS_PEM_END) {
        if (rc == TLS_PEM_BROKEN) {
            ok = fail(problem, file,
                      "a block does not end, or is not base64: is the file still being written?");
        } else if (!slice_eq(block.label, SLICE("CERTIFICATE"))) {
            continue;
        } else if (block.encrypted || der.len == 0) {
            ok = fail(problem, file, "a certificate in it is encrypted: get it again");
        } else if (c->count == TLS_CHAIN_MAX) {
            ok = fail(problem, file,
                      "more than 10 certificates: keep the server's own and those "
                      "that lead to the authority");
        } else {
            ok = add_to_chain(c, buf_slice(&der)) || fail(problem, file, "no memory");
        }
    }
    secret_buf_release(&der);
    if (ok && c->count == 0) {
        ok = fail(problem, file, "holds no certificate in PEM form: is it another file, or empty?");
    }
    if (ok && !x509_parse(&c->leaf, c->chain[0])) {
        ok = fail(problem, file, "its first certificate cannot be read: get it again");
    }
    if (ok && c->leaf.unknown_critical) {
        ok = fail(problem, file, "has a critical extension that is not understood: get another");
    }
    return ok;
}

static bool is_private_key(struct slice label)
{
    return slice_eq(label, SLICE("PRIVATE KEY")) || slice_eq(label, SLICE("RSA PRIVATE KEY")) ||
           slice_eq(label, SLICE("EC PRIVATE KEY"));
}

static bool read_key(struct tls_certificate *c, struct slice file, struct slice text,
                     struct buf *problem)
{
    struct tls_pem_block block;
    enum tls_pem rc;
    while ((rc = tls_pem_next(&text, &block, &c->key)) == TLS_PEM_BLOCK) {
        if (block.encrypted || slice_eq(block.label, SLICE("ENCRYPTED PRIVATE KEY"))) {
            secret_buf_clear(&c->key);
            return fail(problem, file,
                        "the key is encrypted: remove its passphrase (openssl pkey)");
        }
        if (is_private_key(block.label)) {
            return true;
        }
    }
    secret_buf_clear(&c->key);
    return fail(problem, file,
                rc == TLS_PEM_BROKEN
                    ? "a block does not end, or is not base64: is the file still being written?"
                    : "holds no private key in PEM form: is it another file, or empty?");
}

/* ---- checking -------------------------------------------------------------------------------- */

static bool check_pair(const struct tls_certificate *c, const struct tls_certificate_text *text,
                       struct buf *problem)
{
    WOLFSSL_CTX *ctx = wolfSSL_CTX_new(wolfTLS_server_method());
    const char *what = NULL;
    struct slice file = text->key_name;
    if (!ctx) {
        return fail(problem, text->chain_name, "no memory");
    }
    if (wolfSSL_CTX_use_certificate_buffer(ctx, (const unsigned char *)c->chain[0].ptr,
                                           (long)c->chain[0].len,
                                           WOLFSSL_FILETYPE_ASN1) != WOLFSSL_SUCCESS) {
        what = "its key is of a kind or length that is not supported: use ECDSA P-256 or RSA 2048";
        file = text->chain_name;
    } else if (wolfSSL_CTX_use_PrivateKey_buffer(ctx, (const unsigned char *)c->key.ptr,
                                                 (long)c->key.len,
                                                 WOLFSSL_FILETYPE_ASN1) != WOLFSSL_SUCCESS) {
        what = "the private key cannot be used: is it of the same kind as the certificate's?";
    } else if (wolfSSL_CTX_check_private_key(ctx) != WOLFSSL_SUCCESS) {
        what = "is the key of another certificate: give the two that belong together";
    }
    wolfSSL_CTX_free(ctx);
    return what ? fail(problem, file, what) : true;
}

static void warn(struct tls_certificate *c, struct slice file, const char *what)
{
    if (c->warning.len > 0) {
        buf_add(&c->warning, SLICE("; "));
    }
    buf_addf(&c->warning, "%.*s: %s", SLICE_ARG(file), what);
}

static void warn_date(struct tls_certificate *c, struct slice file, const char *what,
                      int64_t when_s)
{
    char text[DATE_BYTES + 64];
    struct buf date;
    buf_init(&date, DATE_BYTES);
    if (when_s >= 0) {
        clock_add_rfc3339(&date, (uint64_t)when_s * 1000000);
    }
    struct buf line;
    buf_init(&line, sizeof(text));
    buf_addf(&line, "%s %.*s: renew it", what, SLICE_ARG(slice_first(buf_slice(&date), 10)));
    if (slice_to_cstr(buf_slice(&line), text, sizeof(text))) {
        warn(c, file, text);
    }
    buf_deinit(&line);
    buf_deinit(&date);
}

static void check_wisdom(struct tls_certificate *c, struct slice file, uint64_t wall_us)
{
    int64_t now = (int64_t)(wall_us / 1000000);
    if (now > c->leaf.not_after) {
        warn_date(c, file, "expired on", c->leaf.not_after);
    }
    if (now < c->leaf.not_before) {
        warn_date(c, file, "is not valid before", c->leaf.not_before);
    }
    if (c->leaf.key == TLS_KEY_RSA && c->leaf.key_bits < RSA_BITS_WISE) {
        warn(c, file, "its RSA key is shorter than 2048 bits, which many clients refuse: renew it");
    }
    if (!c->leaf.for_server && !c->leaf.for_client) {
        warn(c, file, "is not meant for TLS (extendedKeyUsage): get another");
    }
    for (size_t i = 1; i < c->count; i++) {
        struct x509 above, below;
        bool parsed = x509_parse(&above, c->chain[i]);
        bool ordered = parsed && x509_parse(&below, c->chain[i - 1]);
        if (ordered) {
            ordered = memcmp(below.issuer_hash, above.subject_hash, TLS_NAME_HASH_BYTES) == 0;
            x509_free(&below);
        }
        if (parsed) {
            x509_free(&above);
        }
        if (!ordered) {
            warn(c, file,
                 "its certificates do not lead from one to the next: put the server's own "
                 "first, then each one's issuer");
            return;
        }
    }
}

/* ---- life ------------------------------------------------------------------------------------- */

struct tls_certificate *tls_certificate_parse(const struct tls_certificate_text *text,
                                              uint64_t wall_us, struct buf *problem)
{
    must(text != NULL && problem != NULL);
    struct tls_certificate *c = calloc(1, sizeof(*c));
    if (!c) {
        (void)fail(problem, text->chain_name, "no memory");
        return NULL;
    }
    buf_init(&c->key, DER_BYTES_MAX);
    buf_init(&c->warning, WARNING_BYTES_MAX);
    if (!read_chain(c, text->chain_name, text->chain, problem) ||
        !read_key(c, text->key_name, text->key, problem) || !check_pair(c, text, problem)) {
        tls_certificate_free(&c);
        return NULL;
    }
    x509_fingerprint(c->chain[0], c->fingerprint);
    check_wisdom(c, text->chain_name, wall_us);
    return c;
}

struct tls_certificate *tls_certificate_load(const char *chain_path, const char *key_path,
                                             uint64_t wall_us, struct buf *problem)
{
    struct buf chain, key;
    struct tls_certificate *c = NULL;
    must(chain_path != NULL && key_path != NULL);
    buf_init(&chain, TLS_CERTIFICATE_FILE_BYTES_MAX);
    buf_init(&key, TLS_CERTIFICATE_FILE_BYTES_MAX);
    if (tls_file_read(chain_path, &chain, problem) && tls_file_read(key_path, &key, problem)) {
        struct tls_certificate_text text = {slice_str(chain_path), buf_slice(&chain),
                                            slice_str(key_path), buf_slice(&key)};
        c = tls_certificate_parse(&text, wall_us, problem);
    }
    if (c && tls_file_is_public(key_path)) {
        warn(c, slice_str(key_path), "everybody on this machine can read the key: chmod o-rw");
    }
    /* One file may hold both. */
    secret_buf_release(&chain);
    secret_buf_release(&key);
    return c;
}

void tls_certificate_free(struct tls_certificate **c)
{
    struct tls_certificate *old = *c;
    *c = NULL;
    if (!old) {
        return;
    }
    x509_free(&old->leaf);
    for (size_t i = 0; i < old->count; i++) {
        free((void *)(uintptr_t)old->chain[i].ptr);
    }
    secret_buf_release(&old->key);
    buf_deinit(&old->warning);
    free(old);
}

/* ---- asking ------------------------------------------------------------------------------------ */

enum tls_key tls_certificate_key(const struct tls_certificate *c)
{
    return c->leaf.key;
}

size_t tls_certificate_count(const struct tls_certificate *c)
{
    return c->count;
}

struct slice tls_certificate_der(const struct tls_certificate *c, size_t n)
{
    must(n < c->count);
    return c->chain[n];
}

struct slice tls_certificate_key_der(const struct tls_certificate *c)
{
    return buf_slice(&c->key);
}

const uint8_t *tls_certificate_fingerprint(const struct tls_certificate *c)
{
    return c->fingerprint;
}

int64_t tls_certificate_not_after(const struct tls_certificate *c)
{
    return c->leaf.not_after;
}

struct slice tls_certificate_name(const struct tls_certificate *c, size_t n)
{
    struct slice rest = c->leaf.alt_names, name;
    if (!c->leaf.has_dns_names) {
        return n == 0 ? x509_common_name(&c->leaf) : (struct slice){0};
    }
    for (size_t i = 0; x509_next_dns_name(&rest, &name); i++) {
        if (i == n) {
            return name;
        }
    }
    return (struct slice){0};
}

struct slice tls_certificate_warning(const struct tls_certificate *c)
{
    return buf_slice(&c->warning);
}
