/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/relay/login.h"
#include "core/base/must.h"
#include "core/base/secret.h"
#include "tls/dkim_hash.h"
#include "tls/hmac.h"

#include <stdlib.h>

/* ---- what passed lately ---- */

void login_cache_init(struct login_cache *c, struct rng *rng)
{
    *c = (struct login_cache){0};
    for (size_t i = 0; i < sizeof(c->salt); i += sizeof(uint64_t)) {
        uint64_t r = rng_u64(rng);
        memcpy(c->salt + i, &r, sizeof(r));
    }
}

static void login_cache_key(const struct login_cache *c, struct slice secret, struct slice password,
                            unsigned char key[DIGEST_SHA256_BYTES])
{
    const struct digest_ops *sha256 = dkim_hash_sha256();
    struct digest_state s;
    sha256->init(&s);
    sha256->add(&s, slice_of((const char *)c->salt, sizeof(c->salt)));
    sha256->add(&s, secret);
    sha256->add(&s, slice_of("", 1));
    sha256->add(&s, password);
    sha256->done(&s, key);
    secret_wipe(&s, sizeof(s));
}

static size_t login_cache_slot(const unsigned char key[DIGEST_SHA256_BYTES])
{
    return (key[0] | (size_t)key[1] << 8) % LOGIN_CACHE_ENTRIES;
}

bool login_cache_knows(const struct login_cache *c, const struct credential *user,
                       struct slice password, uint64_t now_ms)
{
    unsigned char key[DIGEST_SHA256_BYTES];
    if (user->kind != CREDENTIAL_CRYPT) {
        return false;
    }
    login_cache_key(c, user->secret, password, key);
    const struct login_cache_entry *e = &c->entries[login_cache_slot(key)];
    return e->until_ms > now_ms && credential_same_bytes(e->key, key, sizeof(key));
}

void login_cache_keep(struct login_cache *c, const struct login *l, uint64_t now_ms)
{
    unsigned char key[DIGEST_SHA256_BYTES];
    if (l->kind == CREDENTIAL_CRYPT && l->passed) {
        login_cache_key(c, slice_of(l->secret.ptr, l->secret.len - 1), buf_slice(&l->proof), key);
        struct login_cache_entry *e = &c->entries[login_cache_slot(key)];
        memcpy(e->key, key, sizeof(key));
        e->until_ms = now_ms + LOGIN_CACHE_MS;
    }
}

/* ---- one login ---- */

static bool login_cram(const struct login *l)
{
    unsigned char want[SMTP_AUTH_DIGEST_BYTES];
    return l->kind == CREDENTIAL_CLEAR &&
           tls_hmac_md5(buf_slice(&l->secret), buf_slice(&l->proof), want) &&
           credential_same_bytes(want, l->digest, sizeof(want));
}

static void login_run(struct offload_job *job, void *thread)
{
    (void)thread;
    struct login *l = container_of(job, struct login, job);
    bool right = l->mechanism == SMTP_AUTH_CRAM_MD5
                     ? login_cram(l)
                     : credential_check(l->kind, slice_of(l->secret.ptr, l->secret.len - 1),
                                        buf_slice(&l->proof), dkim_hash_sha256());
    l->passed = right && l->known;
    if (!right && l->decoy.len) {
        (void)credential_check(CREDENTIAL_CRYPT, slice_of(l->decoy.ptr, l->decoy.len - 1),
                               buf_slice(&l->proof), dkim_hash_sha256());
    }
}

static void login_free(struct login *l)
{
    buf_deinit(&l->name);
    secret_buf_release(&l->secret);
    secret_buf_release(&l->proof);
    secret_buf_release(&l->decoy);
    free(l);
}

static void login_done(struct offload_job *job, void *ctx)
{
    struct login *l = container_of(job, struct login, job);
    l->answer(ctx, l);
    login_free(l);
}

bool login_submit(struct offload *o, struct offload_port *port, const struct login_request *r)
{
    struct login *l = calloc(1, sizeof(*l));
    if (!l) {
        return false;
    }
    const struct credential *user = credentials_find(r->credentials, r->auth->authcid, r->hostname);
    const struct credential *decoy = credentials_decoy(r->credentials);
    const struct credential *checked = user ? user : decoy;
    bool cram = r->auth->mechanism == SMTP_AUTH_CRAM_MD5;
    buf_init(&l->name, CREDENTIAL_NAME_BYTES + SMTP_AUTH_LINE_BYTES);
    buf_init(&l->secret, CREDENTIAL_SECRET_BYTES + 1);
    buf_init(&l->proof, SMTP_AUTH_LINE_BYTES);
    buf_init(&l->decoy, CREDENTIAL_SECRET_BYTES + 1);
    buf_add(&l->name, user ? user->name : r->auth->authcid);
    secret_buf_add(&l->secret, checked->secret);
    if (!cram) {
        secret_buf_add(&l->secret, slice_of("", 1)); /* crypt(3) reads to it */
    }
    if (!cram && checked->kind != CREDENTIAL_CRYPT && decoy->kind == CREDENTIAL_CRYPT) {
        /* Who guesses must not learn by the time it takes who exists and has no hash. */
        secret_buf_add(&l->decoy, decoy->secret);
        secret_buf_add(&l->decoy, slice_of("", 1));
    }
    secret_buf_add(&l->proof, cram ? r->auth->challenge : r->auth->password);
    memcpy(l->digest, r->auth->digest, sizeof(l->digest));
    l->session = r->session;
    l->kind = checked->kind;
    l->mechanism = r->auth->mechanism;
    /* RFC 4616: acting for somebody else is not offered. */
    l->known = user && (r->auth->authzid.len == 0 || slice_eq(r->auth->authzid, r->auth->authcid));
    l->answer = r->answer;
    l->job.run = login_run;
    l->job.done = login_done;
    bool complete = !l->name.overflow && !l->secret.overflow && !l->proof.overflow &&
                    !l->decoy.overflow;
    if (!complete || !offload_submit(o, port, &l->job)) {
        login_free(l);
        return false;
    }
    return true;
}
