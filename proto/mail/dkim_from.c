/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The authors' domain of a From field.
 *
 * Strict where an address is concerned, lenient about display names: "Doe, John <j@x>", "j@x <j@x>" and
 * "Re: J <j@x>" are everywhere. A part of the list without any '@' is a piece of a name that should
 * have been quoted. Two readings of one field must not lead to two domains: an address with two '@', two
 * pairs of brackets in one mailbox, an open quote or comment are syntax errors, and the message is not
 * signed.
 */
#include "proto/mail/dkim_header.h"

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
    struct dkim_domain domain;
};

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

static void spec_domain_add(struct spec *s, struct slice text)
{
    struct dkim_domain *d = &s->domain;
    bool joined = d->len == 0 || d->text[d->len - 1] == '.' || text.ptr[0] == '.';
    if ((s->space && !joined) || text.len > LIMIT_DOMAIN_BYTES - (size_t)d->len) {
        s->bad = true;
        return;
    }
    memcpy(d->text + d->len, text.ptr, text.len);
    d->len = (uint16_t)(d->len + text.len);
    d->text[d->len] = '\0';
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
    } else if (s->ats && (kind == TOKEN_WORD || kind == TOKEN_LITERAL)) {
        spec_domain_add(s, text);
    } else if (s->ats || kind == TOKEN_CHAR) {
        s->bad = true;
    }
    s->words = true;
    s->space = false;
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

/* Of the mailbox that just ended: its domain joins the field's. */
static enum dkim_skip mailbox_end(struct mailbox *m, struct dkim_domain *out)
{
    const struct spec *s = m->angles ? &m->angle : &m->bare;
    if (!m->angles && s->ats == 0) {
        return m->open ? DKIM_SKIP_FROM_SYNTAX : DKIM_SKIP_NOT; /* nothing, or a piece of a name */
    }
    if (m->open || m->angles > 1 || s->bad || s->ats != 1 || s->domain.len == 0) {
        return DKIM_SKIP_FROM_SYNTAX;
    }
    if (out->len && !slice_eq_nocase(dkim_domain_slice(out), dkim_domain_slice(&s->domain))) {
        return DKIM_SKIP_FROM_DOMAINS;
    }
    *out = s->domain;
    *m = (struct mailbox){0};
    return DKIM_SKIP_NOT;
}

/* A special character outside of brackets. */
static enum dkim_skip mailbox_char(struct mailbox *m, char c, struct dkim_domain *out)
{
    enum dkim_skip skip = DKIM_SKIP_NOT;
    switch (c) {
    case '<':
        m->angles++;
        m->open = true;
        break;
    case ',':
    case ';':
        skip = mailbox_end(m, out);
        *m = (struct mailbox){0};
        break;
    case ':': /* a group's name */
        m->bare = (struct spec){0};
        break;
    default:
        m->angle.bad = m->angle.bad || (m->angles && c == '@'); /* an address behind the brackets */
        spec_add(&m->bare, TOKEN_CHAR, slice_of(&c, 1));
        break;
    }
    return skip;
}

static enum dkim_skip angle_token(struct mailbox *m, enum token kind, struct slice token,
                                  struct slice *rest)
{
    if (kind == TOKEN_CHAR && token.ptr[0] == '>') {
        m->open = false;
    } else if (kind == TOKEN_CHAR && token.ptr[0] == '@' && !m->angle.words) {
        return route_skip(rest) ? DKIM_SKIP_NOT : DKIM_SKIP_FROM_SYNTAX;
    } else {
        spec_add(&m->angle, kind, token);
    }
    return DKIM_SKIP_NOT;
}

enum dkim_skip dkim_from_domain(struct slice value, struct dkim_domain *out)
{
    struct mailbox m = {0};
    struct dkim_domain domain = {0};
    struct slice token = {NULL, 0};
    enum dkim_skip skip = DKIM_SKIP_NOT;
    enum token kind = token_next(&value, &token);
    for (; kind != TOKEN_END && skip == DKIM_SKIP_NOT; kind = token_next(&value, &token)) {
        if (kind == TOKEN_BAD) {
            return DKIM_SKIP_FROM_SYNTAX;
        }
        if (m.open) {
            skip = angle_token(&m, kind, token, &value);
        } else if (kind == TOKEN_CHAR) {
            skip = mailbox_char(&m, token.ptr[0], &domain);
        } else {
            spec_add(&m.bare, kind, token);
        }
    }
    if (skip == DKIM_SKIP_NOT) {
        skip = mailbox_end(&m, &domain);
    }
    if (skip == DKIM_SKIP_NOT && domain.len == 0) {
        skip = DKIM_SKIP_FROM_SYNTAX;
    }
    if (skip == DKIM_SKIP_NOT) {
        *out = domain;
    }
    return skip;
}
