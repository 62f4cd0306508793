/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/relay/login.h"
#include "core/base/must.h"
#include "core/base/secret.h"
#include "tls/dkim_hash.h"
#include "tls/hmac.h"

#include <stdlib.h>

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
}

static void login_free(struct login *l)
{
    buf_deinit(&l->name);
    secret_buf_release(&l->secret);
    secret_buf_release(&l->proof);
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
    const struct credential *checked = user ? user : credentials_decoy(r->credentials);
    bool cram = r->auth->mechanism == SMTP_AUTH_CRAM_MD5;
    buf_init(&l->name, CREDENTIAL_NAME_BYTES + SMTP_AUTH_LINE_BYTES);
    buf_init(&l->secret, CREDENTIAL_SECRET_BYTES + 1);
    buf_init(&l->proof, SMTP_AUTH_LINE_BYTES);
    buf_add(&l->name, user ? user->name : r->auth->authcid);
    secret_buf_add(&l->secret, checked->secret);
    if (!cram) {
        secret_buf_add(&l->secret, slice_of("", 1)); /* crypt(3) reads to it */
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
    bool complete = !l->name.overflow && !l->secret.overflow && !l->proof.overflow;
    if (!complete || !offload_submit(o, port, &l->job)) {
        login_free(l);
        return false;
    }
    return true;
}
