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
    struct buf name;      /* as typed; the user's when it is known */
    struct buf secret;    /* what we hold, NUL behind it */
    struct buf proof;     /* the password, or the challenge of CRAM-MD5 */
    void (*answer)(void *ctx, struct login *l);
};

struct login_request {
    struct handle session;
    const struct smtp_auth *auth;
    const struct credentials *credentials;
    struct slice hostname; /* "user@hostname" is "user" */
    void (*answer)(void *ctx, struct login *l); /* l lives until it returns */
};

bool login_submit(struct offload *o, struct offload_port *port, const struct login_request *r);

#endif
