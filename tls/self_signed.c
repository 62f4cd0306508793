/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The certificate a listener shows when none was configured (tls.on_missing: self_signed). 397 days:
 * the most that clients which look at it at all still take.
 */
#include "core/base/must.h"
#include "core/base/rng.h"
#include "core/base/secret.h"
#include "tls/certificate.h"
#include "tls/file.h"
#include "tls/forge.h"
#include "tls/name.h"
#include "tls/pem.h"

enum { DAYS = 397, DAY_S = 86400, DER_MAX = 16 * 1024 };

static bool add_certificate(const struct tls_self_signed *how, struct forge_key *key,
                            struct buf *chain)
{
    static const char loopback6[16] = {[15] = 1};
    const struct slice names[] = {how->host, SLICE("localhost")};
    const struct slice addresses[] = {SLICE("\x7f\0\0\1"), slice_of(loopback6, 16)};
    int64_t now = (int64_t)(how->wall_us / 1000000);
    struct rng rng;
    struct buf der;
    if (!rng_init_kernel(&rng)) {
        return false;
    }
    struct forge_certificate c = {
        .subject = slice_first(how->host, 64), /* RFC 5280 A.1: ub-common-name */
        .issuer = slice_first(how->host, 64),
        .dns = names,
        .dns_count = slice_eq_nocase(how->host, SLICE("localhost")) ? 1 : 2,
        .addresses = addresses,
        .address_count = 2,
        .not_before = now - DAY_S,
        .not_after = now + (int64_t)(how->days ? how->days : DAYS) * DAY_S,
        .path_length = FORGE_NO_PATH_LENGTH,
        .usage = FORGE_SIGN,
        .purpose = FORGE_SERVER | FORGE_CLIENT,
        .serial = rng_u64(&rng),
    };
    buf_init(&der, DER_MAX);
    bool ok = forge_certificate(&c, key, key, &der);
    if (ok) {
        tls_pem_add(chain, SLICE("CERTIFICATE"), buf_slice(&der));
    }
    buf_deinit(&der);
    return ok && !chain->overflow;
}

bool tls_certificate_make(const struct tls_self_signed *how, struct buf *chain, struct buf *key)
{
    struct buf der;
    must(how->rsa_bits == 0 || how->rsa_bits >= 2048);
    if (!tls_name_is_host(how->host)) {
        return false;
    }
    struct forge_key *made = forge_key_make(how->rsa_bits);
    if (!made) {
        return false;
    }
    buf_init(&der, DER_MAX);
    bool ok = add_certificate(how, made, chain) && forge_key_der(made, &der);
    if (ok) {
        tls_pem_add(key, SLICE("PRIVATE KEY"), buf_slice(&der));
    }
    secret_buf_release(&der);
    forge_key_free(&made);
    return ok && !key->overflow;
}

bool tls_certificate_save(const char *chain_path, struct slice chain, const char *key_path,
                          struct slice key, struct buf *problem)
{
    must(chain.len > 0 && key.len > 0);
    /* The key first: a reader that finds the new certificate finds its key too. */
    return tls_file_write(key_path, key, 0600, problem) &&
           tls_file_write(chain_path, chain, 0644, problem);
}
