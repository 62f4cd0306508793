/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/credentials.h"
#include "core/base/must.h"
#include "core/base/secret.h"
#include "core/conf/report.h"

#include <crypt.h>
#include <stdlib.h>

static const struct slice sha256_tag = SLICE_INIT("{SHA256}");
static const struct slice plain_tag = SLICE_INIT("{PLAIN}");
enum { SHA256_HEX = 2 * DIGEST_SHA256_BYTES };

struct credentials {
    struct map by_name;
    struct credential decoy; /* its name is never looked up */
};

/* ---- the store ---- */

struct credentials *credentials_new(uint64_t seed)
{
    struct credentials *c = calloc(1, sizeof(*c));
    if (c) {
        map_init(&c->by_name, seed);
        c->decoy.kind = CREDENTIAL_NONE;
    }
    return c;
}

static void credential_free(struct credential *u)
{
    secret_wipe((char *)u->secret.ptr, u->secret.len);
    free(u);
}

void credentials_free(struct credentials **cp)
{
    struct credentials *c = *cp;
    *cp = NULL;
    for (size_t bucket = 0; c && bucket < c->by_name.bucket_count; bucket++) {
        while (c->by_name.buckets[bucket]) {
            struct map_node *n = c->by_name.buckets[bucket];
            map_remove(&c->by_name, n);
            credential_free(container_of(n, struct credential, node));
        }
    }
    if (c) {
        map_deinit(&c->by_name);
        free(c);
    }
}

size_t credentials_count(const struct credentials *c)
{
    return c->by_name.count;
}

static bool credential_is(const struct map_node *n, const void *key)
{
    return slice_eq(container_of(n, const struct credential, node)->name,
                    *(const struct slice *)key);
}

static struct credential *credentials_exact(const struct credentials *c, struct slice name)
{
    struct map_node *n = map_find(&c->by_name, map_hash(&c->by_name, name), credential_is, &name);
    return n ? container_of(n, struct credential, node) : NULL;
}

const struct credential *credentials_find(const struct credentials *c, struct slice login,
                                          struct slice hostname)
{
    const struct credential *u = credentials_exact(c, login);
    if (!u && hostname.len && login.len > hostname.len + 1 &&
        login.ptr[login.len - hostname.len - 1] == '@' && slice_ends_nocase(login, hostname)) {
        u = credentials_exact(c, slice_first(login, login.len - hostname.len - 1));
    }
    return u;
}

const struct credential *credentials_decoy(const struct credentials *c)
{
    return &c->decoy;
}

/* ---- adding ---- */

static bool all_hex(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = ascii_lower(s.ptr[i]);
        if (!ascii_is_digit(c) && (c < 'a' || c > 'f')) {
            return false;
        }
    }
    return true;
}

/* The kind by the form; NULL: fine, else what is wrong. */
static const char *kind_of(struct slice *password, enum credential_kind *kind)
{
    if (password->len == 0) {
        *kind = CREDENTIAL_NONE;
        return NULL;
    }
    if (slice_starts_nocase(*password, sha256_tag)) {
        *password = slice_skip(*password, sha256_tag.len);
        *kind = CREDENTIAL_SHA256;
        return password->len == SHA256_HEX && all_hex(*password)
                   ? NULL
                   : "{SHA256} must be followed by 64 hex digits";
    }
    if (slice_starts_nocase(*password, plain_tag)) {
        *password = slice_skip(*password, plain_tag.len);
        *kind = password->len ? CREDENTIAL_CLEAR : CREDENTIAL_NONE;
        return NULL;
    }
    if (password->ptr[0] == '{' && slice_find_byte(*password, '}') > 0) {
        return "this kind of hash is not known; use {SHA256} or a crypt(5) hash";
    }
    if (password->ptr[0] != '$') {
        *kind = CREDENTIAL_CLEAR;
        return NULL;
    }
    char text[CREDENTIAL_SECRET_BYTES + 1];
    if (!slice_to_cstr(*password, text, sizeof(text))) {
        return "is too long";
    }
    int known = crypt_checksalt(text);
    secret_wipe(text, sizeof(text));
    *kind = CREDENTIAL_CRYPT;
    return known == CRYPT_SALT_INVALID || known == CRYPT_SALT_METHOD_DISABLED
               ? "begins with $ but is no hash that this system knows (yescrypt $y$, bcrypt $2b$, "
                 "SHA-512 $6$)"
               : NULL;
}

static bool refuse(struct buf *errors, const char *where, struct slice name, const char *what)
{
    struct buf shown;
    buf_init(&shown, 4 * CREDENTIAL_NAME_BYTES + 16);
    conf_report_escape(&shown, slice_first(name, CREDENTIAL_NAME_BYTES));
    buf_addf(errors, "%s: user \"%.*s\": %s\n", where, SLICE_ARG(buf_slice(&shown)), what);
    buf_deinit(&shown);
    return false;
}

static struct credential *credential_new(struct slice name, struct slice secret)
{
    struct credential *u = calloc(1, sizeof(*u) + name.len + secret.len + 1);
    if (u) {
        char *text = (char *)(u + 1);
        memcpy(text, name.ptr, name.len);
        if (secret.len) {
            memcpy(text + name.len, secret.ptr, secret.len);
        }
        u->name = slice_of(text, name.len);
        u->secret = slice_of(text + name.len, secret.len);
    }
    return u;
}

bool credentials_add(struct credentials *c, const struct conf_user *user, const char *where,
                     struct buf *errors)
{
    struct slice secret = user->password;
    enum credential_kind kind = CREDENTIAL_NONE;
    const char *wrong = kind_of(&secret, &kind);
    if (user->name.len == 0 || user->name.len > CREDENTIAL_NAME_BYTES) {
        wrong = "the name must have 1–255 bytes";
    } else if (secret.len > CREDENTIAL_SECRET_BYTES) {
        wrong = "the password has more than 512 bytes";
    }
    if (wrong) {
        return refuse(errors, where, user->name, wrong);
    }
    struct credential *old = credentials_exact(c, user->name);
    if (!old && c->by_name.count >= CREDENTIALS_MAX) {
        return refuse(errors, where, user->name, "there are too many users");
    }
    struct credential *u = credential_new(user->name, secret);
    if (!u) {
        return refuse(errors, where, user->name, "out of memory");
    }
    u->kind = kind;
    u->allowed_from = user->allowed_from;
    u->priority = user->priority;
    u->tenant = user->tenant;
    if (old) {
        map_remove(&c->by_name, &old->node);
    }
    if (!map_insert(&c->by_name, &u->node, map_hash(&c->by_name, u->name))) {
        credential_free(u);
        return refuse(errors, where, user->name, "out of memory");
    }
    if (u->kind >= c->decoy.kind) {
        c->decoy.kind = u->kind;
        c->decoy.secret = u->secret;
    }
    if (old && old->secret.ptr == c->decoy.secret.ptr) {
        c->decoy.kind = u->kind;
        c->decoy.secret = u->secret;
    }
    if (old) {
        credential_free(old);
    }
    return true;
}

/* ---- checking ---- */

bool credential_same_bytes(const void *a, const void *b, size_t n)
{
    const volatile unsigned char *x = a, *y = b;
    unsigned char differ = 0;
    for (size_t i = 0; i < n; i++) {
        differ |= (unsigned char)(x[i] ^ y[i]);
    }
    return differ == 0;
}

static void sha256_of(const struct digest_ops *sha256, struct slice text, uint8_t *out)
{
    struct digest_state s;
    sha256->init(&s);
    sha256->add(&s, text);
    sha256->done(&s, out);
    secret_wipe(&s, sizeof(s));
}

static bool check_sha256(struct slice hex, struct slice password, const struct digest_ops *sha256)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t digest[DIGEST_SHA256_BYTES];
    char is[SHA256_HEX], want[SHA256_HEX];
    must(hex.len == SHA256_HEX);
    sha256_of(sha256, password, digest);
    for (size_t i = 0; i < SHA256_HEX; i++) {
        is[i] = digits[i % 2 ? digest[i / 2] & 15 : digest[i / 2] >> 4];
        want[i] = ascii_lower(hex.ptr[i]);
    }
    return credential_same_bytes(is, want, sizeof(is));
}

static bool check_clear(struct slice secret, struct slice password, const struct digest_ops *sha256)
{
    uint8_t a[DIGEST_SHA256_BYTES], b[DIGEST_SHA256_BYTES];
    sha256_of(sha256, secret, a); /* of one length, whatever the lengths are */
    sha256_of(sha256, password, b);
    return credential_same_bytes(a, b, sizeof(a)) && secret.len == password.len;
}

static bool check_crypt(struct slice hash, struct slice password)
{
    char text[CREDENTIAL_SECRET_BYTES + 1];
    struct crypt_data *data = calloc(1, sizeof(*data));
    bool same = false;
    /* A NUL inside would cut it: nobody's password. */
    if (data && slice_find_byte(password, 0) < 0 && slice_to_cstr(password, text, sizeof(text))) {
        const char *is = crypt_r(text, hash.ptr, data);
        struct slice got = is ? slice_str(is) : (struct slice){NULL, 0};
        same = got.len == hash.len && credential_same_bytes(got.ptr, hash.ptr, hash.len);
    }
    secret_wipe(text, sizeof(text));
    if (data) {
        secret_wipe(data, sizeof(*data));
    }
    free(data);
    return same;
}

bool credential_check(enum credential_kind kind, struct slice secret, struct slice password,
                      const struct digest_ops *sha256)
{
    if (password.len > CREDENTIAL_SECRET_BYTES) {
        return false;
    }
    switch (kind) {
    case CREDENTIAL_NONE:
        return false;
    case CREDENTIAL_CLEAR:
        return check_clear(secret, password, sha256);
    case CREDENTIAL_SHA256:
        return check_sha256(secret, password, sha256);
    case CREDENTIAL_CRYPT:
        return check_crypt(secret, password);
    }
    return false;
}
