/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Line by line, in three steps: find the line (in place, or gathered in acc when it came in parts),
 * judge it (line_parse, pure), join its text. All limits are checked on the length of the line
 * before its content, so that the verdict is the same however the bytes were cut.
 *
 * acc = [text of complete lines joined with LF: text_bytes][raw bytes of the arriving line]
 */
#include "proto/smtp/reply.h"

#include "core/base/must.h"

enum {
    CODE_BYTES = 3,
    /* Kept for the next reply; more goes back, idle connections are many. */
    ACC_KEPT_BYTES = 1024,
};

must_static(LIMIT_REPLY_LINE_BYTES < LIMIT_REPLY_BYTES, "one line fits a reply");

void smtp_reply_init(struct smtp_reply_parser *p)
{
    *p = (struct smtp_reply_parser){.text_bytes = 0};
    buf_init(&p->acc, LIMIT_REPLY_BYTES + LIMIT_REPLY_LINE_BYTES);
}

void smtp_reply_deinit(struct smtp_reply_parser *p)
{
    buf_deinit(&p->acc);
}

bool smtp_reply_partial(const struct smtp_reply_parser *p)
{
    return !p->delivered && p->raw_bytes > 0;
}

static void parser_reset(struct smtp_reply_parser *p)
{
    if (p->acc.cap > ACC_KEPT_BYTES) {
        buf_release(&p->acc);
    } else {
        buf_clear(&p->acc);
    }
    p->text_bytes = p->raw_bytes = 0;
    p->lines = p->code = 0;
    p->enhanced = (struct enhanced){0, 0, 0};
    p->delivered = false;
}

struct line {
    uint16_t code;
    bool last;
    struct slice text;
};

/* RFC 5321 4.2: Reply-line = code [SP / "-" text] CRLF. line is without its line end. */
static enum smtp_reply_fault line_parse(struct slice line, struct line *out)
{
    uint16_t code = 0;
    if (line.len < CODE_BYTES) {
        return SMTP_REPLY_BAD_CODE;
    }
    for (size_t i = 0; i < CODE_BYTES; i++) {
        if (!ascii_is_digit(line.ptr[i])) {
            return SMTP_REPLY_BAD_CODE;
        }
        code = (uint16_t)(code * 10 + (line.ptr[i] - '0'));
    }
    if (code < 200 || code > 599) {
        return SMTP_REPLY_BAD_CODE;
    }
    char sep = line.len > CODE_BYTES ? line.ptr[CODE_BYTES] : ' ';
    if (sep != ' ' && sep != '-') {
        return SMTP_REPLY_BAD_SEPARATOR;
    }
    *out = (struct line){code, sep == ' ', slice_skip(line, CODE_BYTES + 1)};
    return SMTP_REPLY_OK;
}

/* Takes the enhanced code off a line's text. The first line decides whether the reply has one
 * (RFC 2034 4: every line repeats it); another class than the code's is only text. */
static void enhanced_take(struct smtp_reply_parser *p, struct line *line)
{
    struct enhanced e;
    size_t n = enhanced_parse(line->text, &e);
    if (n == 0 || e.cls != line->code / 100) {
        return;
    }
    if (p->lines == 1) {
        p->enhanced = e;
    }
    if (p->enhanced.cls == e.cls && p->enhanced.subject == e.subject &&
        p->enhanced.detail == e.detail) {
        line->text = slice_skip(line->text, n);
    }
}

static enum smtp_reply_fault line_accept(struct smtp_reply_parser *p, struct slice raw,
                                         struct line *out)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): what has a length has a place */
    if (raw.len > 0 && raw.ptr[raw.len - 1] == '\r') {
        raw.len--;
    }
    enum smtp_reply_fault fault = line_parse(raw, out);
    if (fault != SMTP_REPLY_OK) {
        return fault;
    }
    if (p->lines > 0 && out->code != p->code) {
        return SMTP_REPLY_MIXED_CODES;
    }
    if (p->lines >= LIMIT_REPLY_LINES) {
        return SMTP_REPLY_TOO_MANY_LINES;
    }
    p->code = out->code;
    p->lines++;
    enhanced_take(p, out);
    return SMTP_REPLY_OK;
}

/* Joins the line's text to what acc holds. The text may itself lie in acc, behind text_bytes. */
static bool text_join(struct smtp_reply_parser *p, struct slice text)
{
    bool inside = text.len > 0 && p->acc.len > 0 && text.ptr >= p->acc.ptr &&
                  text.ptr < p->acc.ptr + p->acc.len;
    size_t at = p->text_bytes + (p->lines > 1 ? 1 : 0);
    if (inside) {
        /* There is room: the text had code and separator before it. */
        must(text.ptr >= p->acc.ptr + at);
        memmove(p->acc.ptr + at, text.ptr, text.len);
    } else {
        p->acc.len = p->text_bytes;
        if (!buf_reserve(&p->acc, text.len + 1)) {
            return false;
        }
        if (text.len > 0) {
            memcpy(p->acc.ptr + at, text.ptr, text.len);
        }
    }
    if (p->lines > 1) {
        p->acc.ptr[p->text_bytes] = '\n';
    }
    p->acc.len = p->text_bytes = at + text.len;
    return true;
}

static enum smtp_reply_result parser_break(struct smtp_reply_parser *p, enum smtp_reply_fault fault)
{
    p->fault = fault;
    return SMTP_REPLY_BROKEN;
}

/* A whole line with its LF: raw lies in the input or in acc. */
static enum smtp_reply_result line_done(struct smtp_reply_parser *p, struct slice raw,
                                        struct smtp_reply *out)
{
    struct line line;
    enum smtp_reply_fault fault = line_accept(p, slice_first(raw, raw.len - 1), &line);
    if (fault != SMTP_REPLY_OK) {
        return parser_break(p, fault);
    }
    bool single = line.last && p->lines == 1;
    if (!single && !text_join(p, line.text)) {
        return parser_break(p, SMTP_REPLY_NO_MEMORY);
    }
    if (!line.last) {
        return SMTP_REPLY_MORE;
    }
    p->delivered = true;
    *out = (struct smtp_reply){
        .code = p->code,
        .lines = p->lines,
        .enhanced = p->enhanced,
        .text = single ? line.text : slice_of(p->acc.ptr, p->text_bytes),
    };
    return SMTP_REPLY_DONE;
}

enum smtp_reply_result smtp_reply_feed(struct smtp_reply_parser *p, struct slice *in,
                                       struct smtp_reply *out)
{
    if (p->fault != SMTP_REPLY_OK) {
        return SMTP_REPLY_BROKEN;
    }
    if (p->delivered) {
        parser_reset(p);
    }
    while (in->len > 0) {
        const char *lf = memchr(in->ptr, '\n', in->len);
        struct slice part = slice_first(*in, lf ? (size_t)(lf - in->ptr) + 1 : in->len);
        size_t line_bytes = p->acc.len - p->text_bytes + part.len;
        if (line_bytes + (lf ? 0 : 1) > LIMIT_REPLY_LINE_BYTES) {
            return parser_break(p, SMTP_REPLY_LINE_TOO_LONG);
        }
        if (lf && p->raw_bytes + part.len > LIMIT_REPLY_BYTES) {
            return parser_break(p, SMTP_REPLY_TOO_LONG);
        }
        p->raw_bytes += part.len;
        *in = slice_skip(*in, part.len);
        struct slice line = part;
        if (!lf || line_bytes > part.len) {
            buf_add(&p->acc, part);
            if (p->acc.overflow) {
                return parser_break(p, SMTP_REPLY_NO_MEMORY);
            }
            line = slice_of(p->acc.ptr + p->text_bytes, line_bytes);
        }
        if (!lf) {
            return SMTP_REPLY_MORE;
        }
        enum smtp_reply_result result = line_done(p, line, out);
        if (result != SMTP_REPLY_MORE) {
            return result;
        }
    }
    return SMTP_REPLY_MORE;
}

static const struct slice fault_texts[] = {
    [SMTP_REPLY_OK] = SLICE_INIT("no fault"),
    [SMTP_REPLY_BAD_CODE] = SLICE_INIT("peer sent a reply without a valid code"),
    [SMTP_REPLY_BAD_SEPARATOR] = SLICE_INIT("peer sent a reply without a space after its code"),
    [SMTP_REPLY_MIXED_CODES] = SLICE_INIT("peer sent a reply with different codes in its lines"),
    [SMTP_REPLY_LINE_TOO_LONG] = SLICE_INIT("peer sent a reply line that is too long"),
    [SMTP_REPLY_TOO_MANY_LINES] = SLICE_INIT("peer sent a reply of too many lines"),
    [SMTP_REPLY_TOO_LONG] = SLICE_INIT("peer sent a reply that is too long"),
    [SMTP_REPLY_NO_MEMORY] = SLICE_INIT("no memory for the peer's reply"),
};

struct slice smtp_reply_fault_text(enum smtp_reply_fault fault)
{
    must((size_t)fault < ARRAY_COUNT(fault_texts));
    return fault_texts[fault];
}

struct outcome smtp_reply_outcome(const struct smtp_reply *r, enum outcome_scope scope,
                                  enum outcome_stage stage, char *dst, size_t cap)
{
    struct enhanced e = r->enhanced;
    must(r->code >= 200 && r->code <= 599);
    if (e.cls == 0 && r->code / 100 != 3) {
        e.cls = (uint8_t)(r->code / 100);
    }
    struct outcome o = {
        .kind = outcome_kind_of_code(r->code),
        .scope = scope,
        .stage = stage,
        .remote = true,
        .code = r->code,
        .enhanced = e,
        .text = r->text,
    };
    outcome_copy_text(&o, dst, cap);
    return o;
}
