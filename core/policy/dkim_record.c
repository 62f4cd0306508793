/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/dkim_record.h"

#include "core/base/base64.h"
#include "core/base/must.h"

enum {
    PUBLIC_BYTES_MAX = 1024, /* RSA of 4096 bits: 550 */
    TAGS_MAX = 32,
};

static struct slice key_type(enum dkim_algorithm a)
{
    return a == DKIM_RSA_SHA256 ? SLICE("rsa") : SLICE("ed25519");
}

void dkim_record_add(struct buf *out, enum dkim_algorithm a, struct slice public_base64)
{
    buf_add(out, SLICE("v=DKIM1; k="));
    buf_add(out, key_type(a));
    buf_add(out, SLICE("; p="));
    buf_add(out, public_base64);
}

void dkim_record_add_zone(struct buf *out, struct slice selector, struct slice domain,
                          struct slice record)
{
    must(record.len > 0);
    buf_addf(out, "%.*s._domainkey.%.*s. IN TXT (", SLICE_ARG(selector), SLICE_ARG(domain));
    while (record.len) {
        buf_add(out, SLICE(" \""));
        buf_add(out, slice_first(record, DKIM_RECORD_STRING_MAX));
        buf_add(out, SLICE("\""));
        record = slice_skip(record, DKIM_RECORD_STRING_MAX);
    }
    buf_add(out, SLICE(" )"));
}

/* ---- judging ---- */

enum tag { TAG_V, TAG_K, TAG_H, TAG_S, TAG_T, TAG_P, TAG_COUNT };

static const char tag_letters[TAG_COUNT] = {'v', 'k', 'h', 's', 't', 'p'};

struct tags {
    bool has[TAG_COUNT];
    struct slice value[TAG_COUNT];
    bool v_first;
};

static struct slice trim_all(struct slice s)
{
    while (s.len && memchr(" \t\r\n", s.ptr[0], 4)) {
        s = slice_skip(s, 1);
    }
    while (s.len && memchr(" \t\r\n", s.ptr[s.len - 1], 4)) {
        s.len--;
    }
    return s;
}

static bool invalid(struct buf *why, const char *what)
{
    buf_addf(why, "%s", what);
    return false;
}

static bool tag_take(struct tags *t, struct slice item, size_t position, struct buf *why)
{
    struct slice value = item;
    struct slice name = trim_all(slice_cut(&value, '='));
    if (name.len == 0 || slice_find_byte(item, '=') < 0) {
        return invalid(why, "it is not a list of tag=value");
    }
    for (unsigned i = 0; i < TAG_COUNT; i++) {
        if (name.len == 1 && name.ptr[0] == tag_letters[i]) {
            if (t->has[i]) {
                return invalid(why, "a tag stands in it twice");
            }
            t->has[i] = true;
            t->value[i] = trim_all(value);
            t->v_first = t->v_first || (i == TAG_V && position == 0);
        }
    }
    return true;
}

static bool tags_read(struct tags *t, struct slice record, struct buf *why)
{
    *t = (struct tags){0};
    for (size_t position = 0; record.len; position++) {
        struct slice item = trim_all(slice_cut(&record, ';'));
        if (position == TAGS_MAX) {
            return invalid(why, "it has too many tags");
        }
        if (item.len == 0 && trim_all(record).len) {
            return invalid(why, "it has an empty tag");
        }
        if (item.len && !tag_take(t, item, position, why)) {
            return false;
        }
    }
    return true;
}

/* "a:b:c" with white space. */
static bool list_has(struct slice list, struct slice want)
{
    while (list.len) {
        if (slice_eq_nocase(trim_all(slice_cut(&list, ':')), want)) {
            return true;
        }
    }
    return false;
}

/* A word of whoever holds the zone, on its way to an operator's terminal. */
static void add_stranger(struct buf *out, struct slice word)
{
    enum { SHOWN_BYTES = 40 };
    word = slice_first(word, SHOWN_BYTES);
    for (size_t i = 0; i < word.len; i++) {
        buf_add_byte(out, word.ptr[i] >= ' ' && word.ptr[i] <= '~' ? word.ptr[i] : '?');
    }
}

static bool tags_valid(const struct tags *t, enum dkim_algorithm a, struct buf *why)
{
    struct slice type = t->has[TAG_K] ? t->value[TAG_K] : SLICE("rsa");
    if (t->has[TAG_V] && (!t->v_first || !slice_eq(t->value[TAG_V], SLICE("DKIM1")))) {
        return invalid(why, "v= must stand first and be DKIM1");
    }
    if (!t->has[TAG_P]) {
        return invalid(why, "p= is missing");
    }
    if (!slice_eq(type, key_type(a))) {
        buf_add(why, SLICE("it is for a key of type '"));
        add_stranger(why, type);
        buf_addf(why, "', ours is %.*s", SLICE_ARG(key_type(a)));
        return false;
    }
    if (t->has[TAG_H] && !list_has(t->value[TAG_H], SLICE("sha256"))) {
        return invalid(why, "h= does not allow sha256");
    }
    if (t->has[TAG_S] && !list_has(t->value[TAG_S], SLICE("*")) &&
        !list_has(t->value[TAG_S], SLICE("email"))) {
        return invalid(why, "s= does not allow email");
    }
    return true;
}

static bool public_decode(struct slice text, uint8_t out[PUBLIC_BYTES_MAX], size_t *len)
{
    char packed[BASE64_TEXT_BYTES(PUBLIC_BYTES_MAX)];
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (memchr(" \t\r\n", text.ptr[i], 4)) {
            continue;
        }
        if (n == sizeof(packed)) {
            return false;
        }
        packed[n++] = text.ptr[i];
    }
    return base64_decode(slice_of(packed, n), out, PUBLIC_BYTES_MAX, len);
}

/* The same bytes, or the bare RSAPublicKey of which ours (SubjectPublicKeyInfo) ends in: RFC 6376
 * 3.6.1 names the one, RFC 5280 style the other, and both are published. */
static bool public_equal(struct slice published, struct slice ours, bool rsa)
{
    uint8_t a[PUBLIC_BYTES_MAX], b[PUBLIC_BYTES_MAX];
    size_t a_len, b_len;
    if (!public_decode(published, a, &a_len) || !public_decode(ours, b, &b_len)) {
        return false;
    }
    if (a_len == b_len) {
        return memcmp(a, b, a_len) == 0;
    }
    return rsa && a_len > 64 && a_len < b_len && a[0] == 0x30 && b[b_len - a_len - 1] == 0 &&
           memcmp(a, b + (b_len - a_len), a_len) == 0;
}

enum dkim_record_verdict dkim_record_check(struct slice record, enum dkim_algorithm a,
                                           struct slice public_base64, struct buf *why)
{
    struct tags t;
    must(public_base64.len > 0);
    if (!tags_read(&t, record, why) || !tags_valid(&t, a, why)) {
        return DKIM_RECORD_INVALID;
    }
    if (t.value[TAG_P].len == 0) {
        buf_add(why, SLICE("p= is empty: the key is revoked"));
        return DKIM_RECORD_REVOKED;
    }
    if (!public_equal(t.value[TAG_P], public_base64, a == DKIM_RSA_SHA256)) {
        buf_add(why, SLICE("p= is another key"));
        return DKIM_RECORD_OTHER_KEY;
    }
    if (t.has[TAG_T] && list_has(t.value[TAG_T], SLICE("y"))) {
        buf_add(why, SLICE("t=y: test mode, verifiers may treat the mail as unsigned"));
        return DKIM_RECORD_TEST_MODE;
    }
    return DKIM_RECORD_MATCHES;
}
