/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * login - one AUTH of a client, checked on a thread of its own
 *
 * Purpose:   carries a name and what proves it from a session to core/io/offload and the answer back.
 *            A password hash takes milliseconds by design: the loop must not wait for it.
 * Owner:     login_submit gives it to the offload; it frees itself after telling the session, which it
 *            knows by handle only.
 * Thread:    login_submit and the answer: the worker.
 * Limits:    those of the offload. A copy of the password exists until the check is over, then it is
 *            wiped.
 * Errors:    login_submit: false when the offload is full (454 4.7.0).
 */
#ifndef RINGPOST_RELAY_LOGIN_H
#define RINGPOST_RELAY_LOGIN_H

#include "core/base/rng.h"
#include "core/io/offload.h"
#include "core/policy/credentials.h"
#include "proto/smtp/auth.h"

struct login {
    struct offload_job job;
    struct handle session;
    enum credential_kind kind;
    enum smtp_auth_mechanism mechanism;
    bool known;  /* false: checked for the time it takes, and refused */
    bool passed; /* the answer */
    unsigned char digest[SMTP_AUTH_DIGEST_BYTES];
    struct buf name;   /* as typed; the user's when it is known */
    struct buf secret; /* what we hold, NUL behind it */
    struct buf proof;  /* the password, or the challenge of CRAM-MD5 */
    struct buf
        decoy; /* a dearer hash to check in vain when a cheap secret is not right; or empty */
    void (*answer)(void *ctx, struct login *l);
};

struct login_request {
    struct handle session;
    const struct smtp_auth *auth;
    const struct credentials *credentials;
    struct slice hostname;                      /* "user@hostname" is "user" */
    void (*answer)(void *ctx, struct login *l); /* l lives until it returns */
};

/* Logins that passed lately, so that a client that connects for each message does not pay (nor make us
 * pay) a hash of many milliseconds each time. Holds no password: the SHA-256 of a random salt, our hash and
 * the password. A changed hash does not match any more. */
enum { LOGIN_CACHE_ENTRIES = 512, LOGIN_CACHE_MS = 60 * 1000 };

struct login_cache {
    unsigned char salt[16];
    struct login_cache_entry {
        unsigned char key[DIGEST_SHA256_BYTES];
        uint64_t until_ms; /* 0: free */
    } entries[LOGIN_CACHE_ENTRIES];
};

void login_cache_init(struct login_cache *c, struct rng *rng);
/* Is this what passed lately? Only for passwords that are expensive to check. */
bool login_cache_knows(const struct login_cache *c, const struct credential *user,
                       struct slice password, uint64_t now_ms);
void login_cache_keep(struct login_cache *c, const struct login *l, uint64_t now_ms);

bool login_submit(struct offload *o, struct offload_port *port, const struct login_request *r);

#endif
