/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * model_address - slow, obvious judges of addresses, texts and ESMTP values, for the reference models
 *
 * Purpose:   says the same as proto/smtp/path.c, param.c and xtext.c by other means: every ">" is tried as the end of
 *            a path, every "@" as its middle, literals go to inet_pton, UTF-8 is decoded into code points.
 *            Nothing of proto/ is used. Header only, included by models.
 * Thread:    any. Errors: false.
 */
#ifndef RINGPOST_FUZZ_MODEL_ADDRESS_H
#define RINGPOST_FUZZ_MODEL_ADDRESS_H

#include "core/base/slice.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static inline bool model_is(struct slice s, const char *word)
{
    return s.len == strlen(word) && (s.len == 0 || strncasecmp(s.ptr, word, s.len) == 0);
}

static inline bool model_begins(struct slice s, const char *word)
{
    return s.len >= strlen(word) && strncasecmp(s.ptr, word, strlen(word)) == 0;
}

static inline struct slice model_part(struct slice s, size_t from, size_t to)
{
    return slice_of(s.ptr + from, to - from);
}

/* good: nonzero for each byte, as isxdigit(). */
static inline bool model_all(struct slice s, int (*good)(int c))
{
    for (size_t i = 0; i < s.len; i++) {
        if (!good((unsigned char)s.ptr[i])) {
            return false;
        }
    }
    return true;
}

static inline bool model_high(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] >= 0x80) {
            return true;
        }
    }
    return false;
}

/* By code points (RFC 3629): shortest form, no surrogates, up to U+10FFFF. */
static inline bool model_utf8(struct slice s)
{
    for (size_t at = 0; at < s.len;) {
        unsigned c = (unsigned char)s.ptr[at];
        size_t more = c < 0x80 ? 0 : c >> 5 == 6 ? 1 : c >> 4 == 14 ? 2 : c >> 3 == 30 ? 3 : 9;
        unsigned long point = more == 0 ? c : c & (0x3Fu >> more);
        static const unsigned long least[] = {0, 0x80, 0x800, 0x10000};
        if (more > 3 || s.len - at <= more) {
            return false;
        }
        for (size_t i = 1; i <= more; i++) {
            unsigned next = (unsigned char)s.ptr[at + i];
            if (next >> 6 != 2) {
                return false;
            }
            point = point << 6 | (next & 0x3F);
        }
        if (point < least[more] || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) {
            return false;
        }
        at += more + 1;
    }
    return true;
}

static inline bool model_atext(int c)
{
    return c >= 0x80 || isalnum(c) || (c != 0 && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

static inline int model_host_byte(int c)
{
    return c >= 0x80 || isalnum(c) || c == '-' || c == '_';
}

static inline bool model_literal(struct slice s)
{
    char text[64];
    struct in6_addr six;
    struct in_addr four;
    if (s.len < 3 || s.len >= sizeof(text) || s.ptr[0] != '[' || s.ptr[s.len - 1] != ']' ||
        memchr(s.ptr, '\0', s.len)) {
        return false;
    }
    memcpy(text, s.ptr + 1, s.len - 2);
    text[s.len - 2] = '\0';
    return strncasecmp(text, "IPv6:", 5) == 0 ? inet_pton(AF_INET6, text + 5, &six) == 1
                                              : inet_pton(AF_INET, text, &four) == 1;
}

static inline bool model_host(struct slice s)
{
    size_t from = 0;
    if (s.len < 1 || s.len > 255) {
        return false;
    }
    for (size_t i = 0; i <= s.len; i++) {
        if (i == s.len || s.ptr[i] == '.') {
            struct slice label = model_part(s, from, i);
            if (label.len == 0 || !model_all(label, model_host_byte) || label.ptr[0] == '-' ||
                label.ptr[label.len - 1] == '-' || (label.len > 63 && !model_high(label))) {
                return false;
            }
            from = i + 1;
        }
    }
    return true;
}

static inline bool model_domain(struct slice s)
{
    return model_literal(s) || model_host(s);
}

static inline bool model_local(struct slice s)
{
    if (s.len < 1 || s.len > 64) {
        return false;
    }
    if (s.ptr[0] != '"') {
        for (size_t i = 0; i < s.len; i++) {
            bool dot = s.ptr[i] == '.';
            bool edge = i == 0 || i + 1 == s.len || s.ptr[i - 1] == '.';
            if (dot ? edge : !model_atext((unsigned char)s.ptr[i])) {
                return false;
            }
        }
        return true;
    }
    bool escaped = false;
    for (size_t i = 1; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bool closes = c == '"' && !escaped;
        if (c < 0x20 || c == 0x7F || (c >= 0x80 && escaped) || closes != (i + 1 == s.len)) {
            return false;
        }
        escaped = c == '\\' && !escaped;
    }
    return s.len >= 2;
}

/* The whole of s is local@domain; *at is where the last "@" stands. */
static inline bool model_mailbox(struct slice s, size_t *at)
{
    for (*at = s.len; *at > 0; (*at)--) {
        if (s.ptr[*at - 1] == '@') {
            (*at)--;
            return s.len <= 254 && model_local(model_part(s, 0, *at)) &&
                   model_domain(model_part(s, *at + 1, s.len));
        }
    }
    return false;
}

/* "@a,@b:" is the whole of s. */
static inline bool model_route(struct slice s)
{
    size_t from = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == ',' || i + 1 == s.len) {
            if (from >= i || s.ptr[from] != '@' || !model_domain(model_part(s, from + 1, i))) {
                return false;
            }
            from = i + 1;
        }
    }
    return s.len > 0 && s.ptr[s.len - 1] == ':';
}

struct model_path {
    struct slice address; /* without route; empty for <> */
    struct slice local;
    struct slice rest; /* behind the ">" */
};

/* The bytes between "<" and ">" */
static inline bool model_path_inside(struct slice s, bool sender, struct model_path *out)
{
    size_t at;
    *out = (struct model_path){.address = s, .local = s};
    if ((sender && s.len == 0) || (!sender && model_is(s, "postmaster"))) {
        return true;
    }
    for (size_t i = 0; i < s.len; i++) {
        if ((i == 0 || (s.ptr[i - 1] == ':' && model_route(model_part(s, 0, i)))) &&
            model_mailbox(model_part(s, i, s.len), &at)) {
            out->address = model_part(s, i, s.len);
            out->local = model_part(out->address, 0, at);
            return true;
        }
    }
    return false;
}

enum model_path_result { MODEL_PATH_OK, MODEL_PATH_BAD, MODEL_PATH_NOT_UTF8 };

/* NOT_UTF8: some bytes in it are not text at all; which of the refusals is said then is not the model's matter. */
static inline enum model_path_result model_path_read(struct slice s, bool sender,
                                                     struct model_path *out)
{
    if (s.len == 0 || s.ptr[0] != '<') {
        return MODEL_PATH_BAD;
    }
    for (size_t end = 1; end < s.len; end++) {
        if (s.ptr[end] == '>' && model_path_inside(model_part(s, 1, end), sender, out)) {
            out->rest = model_part(s, end + 1, s.len);
            return model_utf8(model_part(s, 1, end)) ? MODEL_PATH_OK : MODEL_PATH_NOT_UTF8;
        }
    }
    return model_utf8(s) ? MODEL_PATH_BAD : MODEL_PATH_NOT_UTF8;
}

/* RFC 3461 4: decodes to printable ASCII; text must hold s.len bytes. */
static inline bool model_xtext(struct slice s, char *text, size_t *len)
{
    *len = 0;
    for (size_t i = 0; i < s.len; i++) {
        int c = (unsigned char)s.ptr[i];
        if (c == '+') {
            char hex[3] = {0};
            if (i + 2 >= s.len || !isxdigit((unsigned char)s.ptr[i + 1]) ||
                !isxdigit((unsigned char)s.ptr[i + 2])) {
                return false;
            }
            memcpy(hex, s.ptr + i + 1, 2);
            c = (int)strtoul(hex, NULL, 16);
            i += 2;
        } else if (c == ' ' || c == '=') {
            return false;
        }
        if (c < 0x20 || c > 0x7E) {
            return false;
        }
        text[(*len)++] = (char)c;
    }
    return s.len > 0;
}

/* RFC 6533 3. */
static inline bool model_utf8_xtext(struct slice s, bool raw_ok)
{
    if (!model_utf8(s) || (model_high(s) && !raw_ok)) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        int c = (unsigned char)s.ptr[i];
        if (c == '\\') {
            size_t close = i;
            while (close < s.len && s.ptr[close] != '}') {
                close++;
            }
            struct slice digits = model_part(s, i, close);
            if (close == s.len || !model_begins(digits, "\\x{") || digits.len < 4 ||
                digits.len > 9 || !model_all(slice_skip(digits, 3), isxdigit)) {
                return false;
            }
            char hex[8] = {0};
            memcpy(hex, digits.ptr + 3, digits.len - 3);
            unsigned long point = strtoul(hex, NULL, 16);
            if (point < 0x20 || (point >= 0x7F && point < 0xA0) || point > 0x10FFFF ||
                (point >= 0xD800 && point <= 0xDFFF)) {
                return false;
            }
            i = close;
        } else if (c < 0x21 || c == 0x7F || c == '+' || c == '=') {
            return false;
        }
    }
    return s.len > 0;
}

#endif
