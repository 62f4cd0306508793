/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One value for "what happened" instead of error codes plus side tables: whoever reads it later
 * (retry, DSN, log, spool) needs nothing else. Cleaning happens once, where the text is made, and
 * again where it is printed; it is idempotent so that this costs nothing but time.
 */
#include "proto/smtp/outcome.h"

#include "core/base/must.h"

static const struct slice kind_names[] = {
    [OUTCOME_NONE] = SLICE_INIT("none"),
    [OUTCOME_DELIVERED] = SLICE_INIT("delivered"),
    [OUTCOME_TEMPORARY] = SLICE_INIT("temporary"),
    [OUTCOME_PERMANENT] = SLICE_INIT("permanent"),
};

static const struct slice scope_names[] = {
    [OUTCOME_RECIPIENT] = SLICE_INIT("recipient"),
    [OUTCOME_MESSAGE] = SLICE_INIT("message"),
    [OUTCOME_CONNECTION] = SLICE_INIT("connection"),
    [OUTCOME_SITE] = SLICE_INIT("site"),
};

static const struct slice stage_names[] = {
    [OUTCOME_STAGE_NONE] = SLICE_INIT("none"),
    [OUTCOME_STAGE_ROUTE] = SLICE_INIT("route"),
    [OUTCOME_STAGE_CONNECT] = SLICE_INIT("connect"),
    [OUTCOME_STAGE_BANNER] = SLICE_INIT("banner"),
    [OUTCOME_STAGE_EHLO] = SLICE_INIT("ehlo"),
    [OUTCOME_STAGE_STARTTLS] = SLICE_INIT("starttls"),
    [OUTCOME_STAGE_AUTH] = SLICE_INIT("auth"),
    [OUTCOME_STAGE_MAIL] = SLICE_INIT("mail"),
    [OUTCOME_STAGE_RCPT] = SLICE_INIT("rcpt"),
    [OUTCOME_STAGE_DATA] = SLICE_INIT("data"),
    [OUTCOME_STAGE_BODY] = SLICE_INIT("body"),
    [OUTCOME_STAGE_FINAL_DOT] = SLICE_INIT("final-dot"),
    [OUTCOME_STAGE_BDAT] = SLICE_INIT("bdat"),
    [OUTCOME_STAGE_RSET] = SLICE_INIT("rset"),
    [OUTCOME_STAGE_QUIT] = SLICE_INIT("quit"),
    [OUTCOME_STAGE_MAILBOX] = SLICE_INIT("mailbox"),
};

must_static(ARRAY_COUNT(stage_names) == OUTCOME_STAGE_MAILBOX + 1, "every stage has a name");

struct slice outcome_kind_name(enum outcome_kind kind)
{
    must((size_t)kind < ARRAY_COUNT(kind_names));
    return kind_names[kind];
}

struct slice outcome_scope_name(enum outcome_scope scope)
{
    must((size_t)scope < ARRAY_COUNT(scope_names));
    return scope_names[scope];
}

struct slice outcome_stage_name(enum outcome_stage stage)
{
    must((size_t)stage < ARRAY_COUNT(stage_names));
    return stage_names[stage];
}

struct outcome outcome_local(enum outcome_kind kind, enum outcome_scope scope,
                             enum outcome_stage stage, struct enhanced enhanced, struct slice text)
{
    /* The basic code we would have said ourselves (RFC 5321 4.2.3), so that code tables that
     * policy keeps for peers fit our own findings too. */
    uint16_t code = 0;
    if (kind == OUTCOME_TEMPORARY) {
        code = enhanced.subject == 5 && enhanced.detail == 3 ? 452 : 451;
    } else if (kind == OUTCOME_PERMANENT) {
        code = 554;
    }
    return (struct outcome){.kind = kind,
                            .scope = scope,
                            .stage = stage,
                            .code = code,
                            .enhanced = enhanced,
                            .text = text};
}

enum outcome_kind outcome_kind_of_code(uint16_t code)
{
    switch (code / 100) {
    case 2:
        return OUTCOME_DELIVERED;
    case 4:
        return OUTCOME_TEMPORARY;
    case 5:
        return OUTCOME_PERMANENT;
    default:
        return OUTCOME_NONE;
    }
}

/* One to three digits at s[*at]; false: none or more. */
static bool number_parse(struct slice s, size_t *at, uint16_t *out)
{
    size_t begin = *at;
    unsigned value = 0;
    while (*at < s.len && *at - begin < 4 && ascii_is_digit(s.ptr[*at])) {
        value = value * 10 + (unsigned)(s.ptr[*at] - '0');
        (*at)++;
    }
    if (*at == begin || *at - begin > 3) {
        return false;
    }
    *out = (uint16_t)value;
    return true;
}

size_t enhanced_parse(struct slice s, struct enhanced *out)
{
    struct enhanced e = {0, 0, 0};
    size_t at = 2;
    if (s.len < 5 || (s.ptr[0] != '2' && s.ptr[0] != '4' && s.ptr[0] != '5') || s.ptr[1] != '.') {
        return 0;
    }
    e.cls = (uint8_t)(s.ptr[0] - '0');
    if (!number_parse(s, &at, &e.subject) || at >= s.len || s.ptr[at] != '.') {
        return 0;
    }
    at++;
    if (!number_parse(s, &at, &e.detail)) {
        return 0;
    }
    if (at < s.len) {
        if (s.ptr[at] != ' ' && s.ptr[at] != '\t') {
            return 0; /* "2.0.0.1" or "5.1.1x" is text */
        }
        at++;
    }
    *out = e;
    return at;
}

void enhanced_add(struct buf *out, struct enhanced e)
{
    if (e.cls != 0) {
        buf_addf(out, "%u.%u.%u", e.cls, e.subject, e.detail);
    }
}

static bool is_blank(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

size_t outcome_text_clean(char *dst, size_t cap, struct slice raw)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t len = 0;
    size_t cut = 0; /* the longest prefix that leaves room for "..." */
    bool gap = false;
    must(cap >= 16 && dst);
    for (size_t i = 0; i < raw.len; i++) {
        unsigned char c = (unsigned char)raw.ptr[i];
        if (is_blank(c)) {
            gap = len > 0;
            continue;
        }
        bool plain = c > 0x20 && c < 0x7f;
        size_t need = (plain ? 1U : 4U) + (gap ? 1U : 0U);
        if (need > cap - len) {
            memcpy(dst + cut, "...", 3);
            return cut + 3;
        }
        if (gap) {
            dst[len++] = ' ';
            gap = false;
        }
        if (plain) {
            dst[len++] = (char)c;
        } else {
            dst[len++] = '\\';
            dst[len++] = 'x';
            dst[len++] = hex[c >> 4];
            dst[len++] = hex[c & 15];
        }
        if (len <= cap - 3) {
            cut = len;
        }
    }
    must(len <= cap);
    return len;
}

void outcome_text_add(struct buf *out, struct slice raw)
{
    if (out->overflow || !buf_reserve(out, LIMIT_OUTCOME_TEXT_BYTES)) {
        return;
    }
    out->len += outcome_text_clean(out->ptr + out->len, LIMIT_OUTCOME_TEXT_BYTES, raw);
}

void outcome_copy_text(struct outcome *o, char *dst, size_t cap)
{
    o->text = slice_of(dst, outcome_text_clean(dst, cap, o->text));
}

void outcome_add_line(struct buf *out, const struct outcome *o)
{
    const char *sep = "";
    if (o->code != 0) {
        buf_add_u64(out, o->code);
        sep = " ";
    }
    if (o->enhanced.cls != 0) {
        buf_add(out, slice_str(sep));
        enhanced_add(out, o->enhanced);
        sep = " ";
    }
    if (o->text.len > 0) {
        buf_add(out, slice_str(sep));
        outcome_text_add(out, o->text);
    }
}
