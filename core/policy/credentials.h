/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * credentials - who may log in
 *
 * Purpose:   the users of the configuration and of users files, and the check of a password.
 * Owner:     credentials_new … credentials_free; filled by one, immutable afterwards. All texts are
 *            copied into it and wiped at the end.
 * Thread:    after filling any: find is for a loop, check takes milliseconds and is for a thread of
 *            core/io/offload.
 * Limits:    CREDENTIALS_MAX users; a users file of CREDENTIALS_FILE_BYTES.
 * Errors:    false and one line "WHERE: what is wrong" per error; never a password in it.
 *
 * An unknown name costs as much as a known one: it is checked against the decoy, the user whose hash
 * is the dearest, and refused whatever comes out.
 */
#ifndef RINGPOST_POLICY_CREDENTIALS_H
#define RINGPOST_POLICY_CREDENTIALS_H

#include "core/base/digest.h"
#include "core/base/map.h"
#include "core/conf/conf.h"

enum {
    CREDENTIALS_MAX = 1000000,
    CREDENTIALS_FILE_BYTES = 64 * 1024 * 1024,
    CREDENTIAL_NAME_BYTES = 255,
    CREDENTIAL_SECRET_BYTES = 512,
};

enum credential_kind {
    CREDENTIAL_NONE,   /* cannot log in */
    CREDENTIAL_CLEAR,  /* the password itself: the only kind that CRAM-MD5 can use */
    CREDENTIAL_SHA256, /* {SHA256}hex */
    CREDENTIAL_CRYPT,  /* crypt(5): yescrypt, bcrypt, SHA-512 … */
};

struct credential {
    struct map_node node;
    struct slice name;
    struct slice secret; /* NUL behind it */
    enum credential_kind kind;
    struct conf_names allowed_from; /* lives in the configuration; empty: any sender */
    enum conf_priority priority;
    struct slice tenant; /* lives in the configuration */
};

struct credentials;

struct credentials *credentials_new(uint64_t seed);
void credentials_free(struct credentials **c);
size_t credentials_count(const struct credentials *c);

/* Adds a user or replaces the one of that name. The form of `password` says its kind. where: for the
 * message. allowed_from is not copied. */
bool credentials_add(struct credentials *c, const struct conf_user *user, const char *where,
                     struct buf *errors);
/* Lines "name password" or "name:password", with # comments; or JSON: {"name": {"password_hash": hex,
 * "enabled": true}} or {"users": [{"username": …, "password": …}]}. */
bool credentials_read(struct credentials *c, struct slice text, const char *file,
                      struct buf *errors);

/* The user of a login name: "name", or "name@hostname" when there is no user of that whole name. */
const struct credential *credentials_find(const struct credentials *c, struct slice login,
                                          struct slice hostname);
/* For an unknown name; never NULL. */
const struct credential *credentials_decoy(const struct credentials *c);

/* Whether the password is the right one, in time that does not depend on where it differs. */
bool credential_check(enum credential_kind kind, struct slice secret, struct slice password,
                      const struct digest_ops *sha256);
/* Whether two secrets are the same bytes; time depends on n only. */
bool credential_same_bytes(const void *a, const void *b, size_t n);

#endif
