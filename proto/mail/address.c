/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Tokens first, then mailboxes: a mailbox is what stands between commas, with at most one pair of brackets.
 * Outside of them its tokens are a display name or, when there are no brackets, the address.
 */
#include "proto/mail/address.h"
#include "core/base/limits.h"
#include "core/base/must.h"

#include <stddef.h>

enum token {
    TOKEN_END,
    TOKEN_BAD,
    TOKEN_SPACE,
    TOKEN_WORD,
    TOKEN_QUOTED,
    TOKEN_LITERAL,
    TOKEN_CHAR
};

/* An addr-spec as its tokens come. */
struct spec {
    unsigned ats;
    bool words; /* anything at all */
    bool space; /* between what was taken and what comes */
    bool bad;
    bool odd;
    uint16_t local_len;
    uint16_t domain_len;
    char text[LIMIT_ADDRESS_BYTES + 1 + LIMIT_DOMAIN_BYTES];
};

static void spec_clear(struct spec *s)
{
    memset(s, 0, offsetof(struct spec, text)); /* the text is as long as the rest says */
}

struct mailbox {
    struct spec bare;  /* outside of brackets: an address, or a display name */
    struct spec angle; /* between brackets */
    unsigned angles;
    bool open;
};

/* ---- tokens ---- */

/* Length of what begins with open at the front of text up to its close, nested or not; 0: it never
 * closes. */
static size_t enclosed_len(struct slice text, char open, char close, bool nests)
{
    unsigned depth = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '\\') {
            i++;
        } else if (c == close && depth == 1) {
            return i + 1;
        } else if (c == open && (nests || depth == 0)) {
            depth++;
        } else if (c == close) {
            depth--;
        }
    }
    return 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_word(char c)
{
    return !is_space(c) && memchr("<>@,;:\"([", c, 9) == NULL;
}

static enum token token_take(struct slice *text, size_t n, enum token kind, struct slice *out)
{
    if (n == 0) {
        return TOKEN_BAD;
    }
    *out = slice_first(*text, n);
    *text = slice_skip(*text, n);
    return kind;
}

static enum token token_next(struct slice *text, struct slice *out)
{
    size_t n = 0;
    if (text->len == 0) {
        return TOKEN_END;
    }
    switch (text->ptr[0]) {
    case '(':
        return token_take(text, enclosed_len(*text, '(', ')', true), TOKEN_SPACE, out);
    case '"':
        return token_take(text, enclosed_len(*text, '"', '"', false), TOKEN_QUOTED, out);
    case '[':
        return token_take(text, enclosed_len(*text, '[', ']', false), TOKEN_LITERAL, out);
    default:
        break;
    }
    while (n < text->len && is_space(text->ptr[n])) {
        n++;
    }
    if (n) {
        return token_take(text, n, TOKEN_SPACE, out);
    }
    while (n < text->len && is_word(text->ptr[n])) {
        n++;
    }
    return n ? token_take(text, n, TOKEN_WORD, out) : token_take(text, 1, TOKEN_CHAR, out);
}

/* ---- addresses ---- */

/* RFC 5322 3.2.3 atext and the dot; UTF-8 as RFC 6532. */
static bool is_local_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (unsigned char)c >= 0x80 || (c && memchr("!#$%&'*+-/=?^_`{|}~.", c, 20) != NULL);
}

static bool is_domain_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (unsigned char)c >= 0x80 || c == '-' || c == '_' || c == '.';
}

static bool all_bytes(struct slice text, bool (*is)(char c))
{
    size_t i = 0;
    while (i < text.len && is(text.ptr[i])) {
        i++;
    }
    return i == text.len;
}

/* "=?utf-8?q?joe?=" is an atom by the grammar and a name in disguise by RFC 2047. */
static bool has_encoded_word(struct slice text)
{
    for (size_t i = 0; i + 1 < text.len; i++) {
        if (text.ptr[i] == '=' && text.ptr[i + 1] == '?') {
            return true;
        }
    }
    return false;
}

static void spec_local_add(struct spec *s, enum token kind, struct slice text)
{
    bool joined = s->local_len == 0 || s->text[s->local_len - 1] == '.' || text.ptr[0] == '.';
    bool word = kind == TOKEN_WORD && all_bytes(text, is_local_byte) && !has_encoded_word(text);
    bool fits = text.len <= LIMIT_ADDRESS_BYTES - (size_t)s->local_len;
    s->odd = s->odd || !joined || !fits || !(word || kind == TOKEN_QUOTED);
    if (fits) {
        memcpy(s->text + s->local_len, text.ptr, text.len);
        s->local_len = (uint16_t)(s->local_len + text.len);
    }
}

static void spec_domain_add(struct spec *s, enum token kind, struct slice text)
{
    char *domain = s->text + s->local_len + 1;
    bool joined = s->domain_len == 0 || domain[s->domain_len - 1] == '.' || text.ptr[0] == '.';
    if ((s->space && !joined) || text.len > LIMIT_DOMAIN_BYTES - (size_t)s->domain_len) {
        s->bad = true;
        return;
    }
    bool literal = kind == TOKEN_LITERAL || (s->domain_len && domain[0] == '[');
    s->odd = s->odd || (literal ? s->domain_len > 0 : !all_bytes(text, is_domain_byte));
    memcpy(domain + s->domain_len, text.ptr, text.len);
    s->domain_len = (uint16_t)(s->domain_len + text.len);
}

static void spec_add(struct spec *s, enum token kind, struct slice text)
{
    if (kind == TOKEN_SPACE) {
        s->space = true;
        return;
    }
    if (kind == TOKEN_CHAR && text.ptr[0] == '@') {
        s->bad = s->bad || !s->words;
        s->ats++;
        s->text[s->local_len] = '@';
    } else if (s->ats && (kind == TOKEN_WORD || kind == TOKEN_LITERAL)) {
        spec_domain_add(s, kind, text);
    } else if (s->ats || kind == TOKEN_CHAR) {
        s->bad = true;
    } else {
        spec_local_add(s, kind, text);
    }
    s->words = true;
    s->space = false;
}

static bool spec_is_address(const struct spec *s)
{
    return !s->bad && s->ats == 1 && s->domain_len > 0;
}

static enum mail_addresses spec_give(const struct spec *s, bool in_name,
                                     const struct mail_address_sink *to)
{
    struct mail_address a = {
        .local = slice_of(s->text, s->local_len),
        .in_name = in_name,
        .odd = s->odd || !spec_is_address(s),
    };
    must(s->ats > 0);
    a.domain = slice_of(s->text + s->local_len + 1, s->domain_len);
    a.text = slice_of(s->text, (size_t)s->local_len + 1 + s->domain_len);
    return to->take(to->ctx, &a) ? MAIL_ADDRESSES_READ : MAIL_ADDRESSES_STOPPED;
}

/* "<@relay,@other:joe@example.org>": the route is obsolete and says nothing (RFC 5322 4.4). */
static bool route_skip(struct slice *text)
{
    struct slice token;
    for (;;) {
        enum token kind = token_next(text, &token);
        if (kind == TOKEN_END || kind == TOKEN_BAD) {
            return false;
        }
        if (kind == TOKEN_CHAR && token.ptr[0] == ':') {
            return true;
        }
        if (kind == TOKEN_CHAR && token.ptr[0] != '@' && token.ptr[0] != ',') {
            return false;
        }
    }
}

static void mailbox_clear(struct mailbox *m)
{
    spec_clear(&m->bare);
    spec_clear(&m->angle);
    m->angles = 0;
    m->open = false;
}

/* Of the mailbox that just ended. */
static enum mail_addresses mailbox_end(const struct mailbox *m, const struct mail_address_sink *to)
{
    const struct spec *s = m->angles ? &m->angle : &m->bare;
    if (!m->angles && s->ats == 0) {
        /* Nothing, or a piece of a name. */
        return m->open ? MAIL_ADDRESSES_SYNTAX : MAIL_ADDRESSES_READ;
    }
    if (m->open || m->angles > 1 || !spec_is_address(s)) {
        return MAIL_ADDRESSES_SYNTAX;
    }
    if (m->angles && m->bare.ats && spec_give(&m->bare, true, to) != MAIL_ADDRESSES_READ) {
        return MAIL_ADDRESSES_STOPPED;
    }
    return spec_give(s, false, to);
}

/* A special character outside of brackets. */
static enum mail_addresses mailbox_char(struct mailbox *m, char c,
                                        const struct mail_address_sink *to)
{
    enum mail_addresses result = MAIL_ADDRESSES_READ;
    switch (c) {
    case '<':
        m->angles++;
        m->open = true;
        break;
    case ',':
    case ';':
        result = mailbox_end(m, to);
        mailbox_clear(m);
        break;
    case ':': /* a group's name */
        result = m->bare.ats ? spec_give(&m->bare, true, to) : result;
        spec_clear(&m->bare);
        break;
    default:
        m->angle.bad = m->angle.bad || (m->angles && c == '@'); /* an address behind the brackets */
        spec_add(&m->bare, TOKEN_CHAR, slice_of(&c, 1));
        break;
    }
    return result;
}

static enum mail_addresses angle_token(struct mailbox *m, enum token kind, struct slice token,
                                       struct slice *rest)
{
    if (kind == TOKEN_CHAR && token.ptr[0] == '>') {
        m->open = false;
    } else if (kind == TOKEN_CHAR && token.ptr[0] == '@' && !m->angle.words) {
        return route_skip(rest) ? MAIL_ADDRESSES_READ : MAIL_ADDRESSES_SYNTAX;
    } else {
        spec_add(&m->angle, kind, token);
    }
    return MAIL_ADDRESSES_READ;
}

enum mail_addresses mail_addresses_each(struct slice value, const struct mail_address_sink *to)
{
    struct mailbox m;
    struct slice token = {NULL, 0};
    enum mail_addresses result = MAIL_ADDRESSES_READ;
    must(to->take != NULL);
    mailbox_clear(&m);
    for (;;) {
        enum token kind = token_next(&value, &token);
        if (kind == TOKEN_END) {
            return mailbox_end(&m, to);
        }
        if (kind == TOKEN_BAD) {
            return MAIL_ADDRESSES_SYNTAX;
        }
        if (m.open) {
            result = angle_token(&m, kind, token, &value);
        } else if (kind == TOKEN_CHAR) {
            result = mailbox_char(&m, token.ptr[0], to);
        } else {
            spec_add(&m.bare, kind, token);
        }
        if (result != MAIL_ADDRESSES_READ) {
            return result;
        }
    }
}
