/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One forward scan per part: each scanner returns how many bytes of the input belong to its part
 * (0: none), so no byte is looked at twice and nothing is searched backwards. Looking for the last
 * "@" or ">" instead would have to undo quoting, which is how such parsers went wrong elsewhere.
 */
#include "proto/smtp/path.h"

#include "core/base/ipaddr.h"
#include "core/base/limits.h"
#include "core/base/utf8.h"

enum { PATH_LABEL_BYTES = 63 };

/* RFC 5322 3.2.3 */
static bool is_atext(char c)
{
    return ascii_is_alpha(c) || ascii_is_digit(c) ||
           (c != '\0' && memchr("!#$%&'*+-/=?^_`{|}~", c, 19) != NULL);
}

static bool is_high(char c)
{
    return (unsigned char)c >= 0x80;
}

/* Dot-string: atoms joined by single dots. */
static size_t scan_dot_string(struct slice s)
{
    size_t at = 0;
    bool atom = false;
    for (; at < s.len; at++) {
        if (is_atext(s.ptr[at]) || is_high(s.ptr[at])) {
            atom = true;
        } else if (s.ptr[at] == '.' && atom) {
            atom = false;
        } else {
            break;
        }
    }
    return atom ? at : 0;
}

/* Quoted-string with its quotes. RFC 5321 knows no control characters in it. */
static size_t scan_quoted(struct slice s)
{
    size_t at = 1;
    while (at < s.len && s.ptr[at] != '"') {
        if (s.ptr[at] == '\\') {
            at++;
            if (at == s.len || is_high(s.ptr[at])) {
                return 0;
            }
        }
        if (!is_high(s.ptr[at]) && (s.ptr[at] < 0x20 || s.ptr[at] > 0x7E)) {
            return 0;
        }
        at++;
    }
    return at < s.len ? at + 1 : 0;
}

static size_t scan_local(struct slice s)
{
    if (s.len == 0) {
        return 0;
    }
    return s.ptr[0] == '"' ? scan_quoted(s) : scan_dot_string(s);
}

static bool is_domain_byte(char c)
{
    return ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || c == '_' || c == '.' || is_high(c);
}

/* Up to the first byte that cannot be part of a domain or literal. */
static size_t scan_domain(struct slice s)
{
    size_t at = 0;
    if (s.len && s.ptr[0] == '[') {
        int close = slice_find_byte(s, ']');
        return close < 0 ? 0 : (size_t)close + 1;
    }
    while (at < s.len && is_domain_byte(s.ptr[at])) {
        at++;
    }
    return at;
}

static bool label_valid(struct slice label)
{
    bool high = false;
    if (label.len == 0 || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-') {
        return false;
    }
    for (size_t i = 0; i < label.len; i++) {
        if (label.ptr[i] == '.' || !is_domain_byte(label.ptr[i])) {
            return false;
        }
        high = high || is_high(label.ptr[i]);
    }
    /* A U-label's limit applies to its A-label form, which IDNA checks later. */
    return high || label.len <= PATH_LABEL_BYTES;
}

bool smtp_domain_valid(struct slice domain, bool utf8_ok)
{
    if (domain.len == 0 || domain.len > LIMIT_DOMAIN_BYTES || domain.ptr[domain.len - 1] == '.') {
        return false;
    }
    if (utf8_has_8bit(domain) && !(utf8_ok && utf8_valid(domain))) {
        return false;
    }
    while (domain.len) {
        if (!label_valid(slice_cut(&domain, '.'))) {
            return false;
        }
    }
    return true;
}

bool smtp_literal_valid(struct slice literal)
{
    struct ip_addr addr;
    if (literal.len < 3 || literal.ptr[0] != '[' || literal.ptr[literal.len - 1] != ']') {
        return false;
    }
    struct slice inner = slice_of(literal.ptr + 1, literal.len - 2);
    if (slice_starts_nocase(inner, SLICE("IPv6:"))) {
        inner = slice_skip(inner, 5);
        return slice_find_byte(inner, ':') >= 0 && ip_addr_parse(inner, &addr);
    }
    return slice_find_byte(inner, ':') < 0 && ip_addr_parse(inner, &addr);
}

bool smtp_helo_valid(struct slice name)
{
    if (name.len == 0 || name.len > LIMIT_DOMAIN_BYTES) {
        return false;
    }
    bool literal = name.ptr[0] == '[' && name.ptr[name.len - 1] == ']' && name.len > 2;
    struct slice inner = literal ? slice_of(name.ptr + 1, name.len - 2) : name;
    for (size_t i = 0; i < inner.len; i++) {
        char c = inner.ptr[i];
        if (c <= ' ' || c > 0x7E || memchr("()<>[]@,;\\\"", c, 11) || (c == ':' && !literal)) {
            return false;
        }
    }
    return true;
}

/* local@domain at the front of s; returns its length, 0 when there is none. */
static size_t scan_mailbox(struct slice s, struct smtp_address *out)
{
    size_t local = scan_local(s);
    if (local == 0 || local > LIMIT_LOCAL_PART_BYTES || local == s.len || s.ptr[local] != '@') {
        return 0;
    }
    struct slice rest = slice_skip(s, local + 1);
    struct slice domain = slice_first(rest, scan_domain(rest));
    bool literal = domain.len && domain.ptr[0] == '[';
    if (literal ? !smtp_literal_valid(domain) : !smtp_domain_valid(domain, true)) {
        return 0;
    }
    size_t total = local + 1 + domain.len;
    if (total > LIMIT_ADDRESS_BYTES) {
        return 0;
    }
    *out = (struct smtp_address){slice_first(s, local), domain};
    return total;
}

bool smtp_address_parse(struct slice text, bool utf8_ok, struct smtp_address *out)
{
    struct smtp_address address;
    if (utf8_has_8bit(text) && !(utf8_ok && utf8_valid(text))) {
        return false;
    }
    size_t len = scan_mailbox(text, &address);
    if (len == 0 || len != text.len) {
        return false;
    }
    *out = address;
    return true;
}

/* "@a,@b:" at the front: obsolete, to be accepted and ignored (RFC 5321 C). */
static bool skip_route(struct slice *s)
{
    while (s->len && s->ptr[0] == '@') {
        struct slice host = slice_skip(*s, 1);
        size_t len = scan_domain(host);
        host = slice_first(host, len);
        if (!smtp_domain_valid(host, true) && !smtp_literal_valid(host)) {
            return false;
        }
        *s = slice_skip(*s, 1 + len);
        if (s->len == 0 || (s->ptr[0] != ',' && s->ptr[0] != ':')) {
            return false;
        }
        bool last = s->ptr[0] == ':';
        *s = slice_skip(*s, 1);
        if (last) {
            return true;
        }
        if (s->len == 0 || s->ptr[0] != '@') {
            return false;
        }
    }
    return true;
}

/* What may stand without "@": <> as sender, <postmaster> as recipient. */
static bool special_path(struct slice s, enum smtp_path_kind kind, struct smtp_path *path)
{
    struct slice postmaster = SLICE("postmaster");
    if (kind == SMTP_PATH_REVERSE) {
        *path = (struct smtp_path){0};
        return s.len && s.ptr[0] == '>';
    }
    if (!slice_starts_nocase(s, postmaster) || s.len == postmaster.len ||
        s.ptr[postmaster.len] != '>') {
        return false;
    }
    path->text = slice_first(s, postmaster.len);
    path->address = (struct smtp_address){path->text, slice_first(path->text, 0)};
    path->has_8bit = false;
    return true;
}

enum smtp_path_result smtp_path_parse(struct slice *in, enum smtp_path_kind kind,
                                      struct smtp_path *out)
{
    struct slice s = *in;
    struct smtp_path path = {0};
    if (s.len == 0 || s.ptr[0] != '<') {
        return SMTP_PATH_SYNTAX;
    }
    s = slice_skip(s, 1);
    if (!special_path(s, kind, &path)) {
        /* Bytes that are not UTF-8 would make the scan's verdict meaningless: look at them first. */
        int close = slice_find_byte(s, '>');
        if (close >= 0 && !utf8_valid(slice_first(s, (size_t)close))) {
            return SMTP_PATH_BAD_UTF8;
        }
        if (!skip_route(&s)) {
            return SMTP_PATH_SYNTAX;
        }
        size_t len = scan_mailbox(s, &path.address);
        if (len == 0) {
            return SMTP_PATH_SYNTAX;
        }
        path.text = slice_first(s, len);
        if (utf8_has_8bit(path.text)) {
            path.has_8bit = true;
            if (!utf8_valid(path.text)) {
                return SMTP_PATH_BAD_UTF8;
            }
        }
    }
    s = slice_skip(s, path.text.len);
    if (s.len == 0 || s.ptr[0] != '>') {
        return SMTP_PATH_SYNTAX;
    }
    *in = slice_skip(s, 1);
    *out = path;
    return SMTP_PATH_OK;
}
