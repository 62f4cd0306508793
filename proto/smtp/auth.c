/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A row per mechanism. Messages are taken apart where they lie: the one copy of a password is the
 * one that its owner wipes.
 */
#include "proto/smtp/auth.h"

#include "core/base/must.h"
#include "core/base/secret.h"

static const struct {
    enum smtp_auth_mechanism mechanism;
    struct slice name;
} rows[] = {
    {SMTP_AUTH_PLAIN, SLICE_INIT("PLAIN")},
    {SMTP_AUTH_LOGIN, SLICE_INIT("LOGIN")},
    {SMTP_AUTH_CRAM_MD5, SLICE_INIT("CRAM-MD5")},
    {SMTP_AUTH_XOAUTH2, SLICE_INIT("XOAUTH2")},
};

struct slice smtp_auth_name(enum smtp_auth_mechanism mechanism)
{
    struct slice name = SLICE("");
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (rows[i].mechanism == mechanism) {
            name = rows[i].name;
        }
    }
    must(name.len > 0);
    return name;
}

enum smtp_auth_mechanism smtp_auth_find(struct slice name)
{
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (slice_eq_nocase(rows[i].name, name)) {
            return rows[i].mechanism;
        }
    }
    return SMTP_AUTH_NONE;
}

uint32_t smtp_auth_find_all(struct slice words)
{
    uint32_t found = 0;
    while (words.len > 0) {
        found |= smtp_auth_find(slice_cut(&words, ' '));
    }
    return found;
}

void smtp_auth_add_names(struct buf *out, uint32_t mechanisms, struct slice before)
{
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (mechanisms & rows[i].mechanism) {
            buf_add(out, before);
            buf_add(out, rows[i].name);
            before = SLICE(" ");
        }
    }
}

bool smtp_auth_split_plain(struct slice raw, struct smtp_auth *out)
{
    int first = slice_find_byte(raw, '\0');
    struct slice rest = first >= 0 ? slice_skip(raw, (size_t)first + 1) : SLICE("");
    int second = slice_find_byte(rest, '\0');
    if (first < 0 || second < 0) {
        return false;
    }
    struct slice password = slice_skip(rest, (size_t)second + 1);
    if (slice_find_byte(password, '\0') >= 0) {
        return false;
    }
    out->authzid = slice_first(raw, (size_t)first);
    out->authcid = slice_first(rest, (size_t)second);
    out->password = password;
    return true;
}

static int hex_value(char c)
{
    c = ascii_lower(c);
    return ascii_is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool smtp_auth_split_cram(struct slice raw, struct smtp_auth *out)
{
    enum { HEX = 2 * SMTP_AUTH_DIGEST_BYTES };
    unsigned char digest[SMTP_AUTH_DIGEST_BYTES];
    /* From the end: a user name may hold spaces. */
    if (raw.len < HEX + 1 || raw.ptr[raw.len - HEX - 1] != ' ') {
        return false;
    }
    const char *hex = raw.ptr + raw.len - HEX;
    for (size_t i = 0; i < SMTP_AUTH_DIGEST_BYTES; i++) {
        int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        digest[i] = (unsigned char)(high << 4 | low);
    }
    memcpy(out->digest, digest, sizeof(digest));
    out->authcid = slice_first(raw, raw.len - HEX - 1);
    return true;
}

void smtp_auth_add_plain(struct buf *out, struct slice user, struct slice password)
{
    secret_buf_add(out, slice_of("\0", 1));
    secret_buf_add(out, user);
    secret_buf_add(out, slice_of("\0", 1));
    secret_buf_add(out, password);
}

void smtp_auth_add_xoauth2(struct buf *out, struct slice user, struct slice token)
{
    secret_buf_add(out, SLICE("user="));
    secret_buf_add(out, user);
    secret_buf_add(out, SLICE("\1auth=Bearer "));
    secret_buf_add(out, token);
    secret_buf_add(out, SLICE("\1\1"));
}

void smtp_auth_add_cram(struct buf *out, struct slice user,
                        const unsigned char digest[SMTP_AUTH_DIGEST_BYTES])
{
    static const char hex[] = "0123456789abcdef";
    secret_buf_add(out, user);
    secret_buf_add(out, SLICE(" "));
    for (size_t i = 0; i < SMTP_AUTH_DIGEST_BYTES; i++) {
        char two[2] = {hex[digest[i] >> 4], hex[digest[i] & 15]};
        secret_buf_add(out, slice_of(two, 2));
    }
}
