/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Both body algorithms hold back only what may still turn out to be the end: line ends that could be
 * the trailing empty lines, a CR that may belong to one, and in relaxed white space that may stand at
 * a line's end. All of it is counters, never text, so a body of a gigabyte of empty lines costs
 * nothing. What is held back has one order: line ends, then white space, then the CR.
 *
 *   data ──► let go of what is held, then the data
 *   WSP (relaxed) ──► held; CR ──► held; LF after CR ──► one more line end, white space is gone
 *   end ──► one CRLF (relaxed: only when there was anything), the rest is dropped
 */
#include "proto/mail/dkim_canon.h"

#include "core/base/must.h"

/* Line ends are let go in pieces of this many. */
#define EIGHT_CRLF "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n"

bool dkim_canon_from_name(struct slice name, enum dkim_canon *out)
{
    for (unsigned i = 0; i < DKIM_CANON_COUNT; i++) {
        if (slice_eq_nocase(name, dkim_canon_name((enum dkim_canon)i))) {
            *out = (enum dkim_canon)i;
            return true;
        }
    }
    return false;
}

struct slice dkim_canon_name(enum dkim_canon c)
{
    return c == DKIM_CANON_SIMPLE ? SLICE("simple") : SLICE("relaxed");
}

/* ---- the stage ---- */

static void stage_flush(struct dkim_stage *s)
{
    if (s->used) {
        s->sink.add(s->sink.ctx, slice_of(s->bytes, s->used));
        s->used = 0;
    }
}

static void stage_add(struct dkim_stage *s, struct slice text)
{
    must(s->used <= sizeof(s->bytes));
    if (text.len > sizeof(s->bytes) - s->used) {
        stage_flush(s);
    }
    if (text.len > sizeof(s->bytes)) {
        s->sink.add(s->sink.ctx, text);
    } else if (text.len) {
        memcpy(s->bytes + s->used, text.ptr, text.len);
        s->used += text.len;
    }
}

static void stage_init(struct dkim_stage *s, const struct dkim_sink *to)
{
    must(to->add != NULL);
    s->sink = *to;
    s->used = 0;
}

/* ---- header ---- */

static bool is_wsp(char c)
{
    return c == ' ' || c == '\t';
}

/* What no rule of a header touches: everything but white space, CR and colon. */
static size_t word_len(struct slice text)
{
    size_t n = 0;
    while (n < text.len && !is_wsp(text.ptr[n]) && text.ptr[n] != '\r') {
        n++;
    }
    return n;
}

static struct slice stage_name(struct dkim_stage *s, struct slice field)
{
    struct slice name = slice_cut(&field, ':');
    name = slice_trim(name);
    for (size_t i = 0; i < name.len; i++) {
        char c = ascii_lower(name.ptr[i]);
        stage_add(s, slice_of(&c, 1));
    }
    stage_add(s, SLICE(":"));
    return field;
}

/* Unfolded, white space reduced and trimmed. */
static void stage_value(struct dkim_stage *s, struct slice value)
{
    bool space = false;
    bool any = false;
    while (value.len) {
        if (is_wsp(value.ptr[0])) {
            space = true;
            value = slice_skip(value, 1);
            continue;
        }
        if (value.len >= 2 && value.ptr[0] == '\r' && value.ptr[1] == '\n') {
            value = slice_skip(value, 2);
            continue;
        }
        if (space && any) {
            stage_add(s, SLICE(" "));
        }
        size_t n = word_len(value);
        n = n ? n : 1; /* a bare CR */
        stage_add(s, slice_first(value, n));
        value = slice_skip(value, n);
        any = true;
        space = false;
    }
}

void dkim_canon_field(enum dkim_canon c, struct slice field, const struct dkim_sink *to)
{
    must(to->add != NULL);
    if (c == DKIM_CANON_SIMPLE) {
        if (field.len) {
            to->add(to->ctx, field);
        }
        return;
    }
    struct dkim_stage s;
    stage_init(&s, to);
    stage_value(&s, stage_name(&s, field));
    if (slice_ends_nocase(field, SLICE("\r\n"))) {
        stage_add(&s, SLICE("\r\n"));
    }
    stage_flush(&s);
}

/* ---- body ---- */

void dkim_canon_body_init(struct dkim_canon_body *b, enum dkim_canon c, const struct dkim_sink *to)
{
    b->canon = c;
    b->any = b->wsp = b->cr = false;
    b->crlfs = 0;
    stage_init(&b->stage, to);
}

/* Data came: what was held back was not the end. */
static void body_let_go(struct dkim_canon_body *b)
{
    for (; b->crlfs >= 8; b->crlfs -= 8) {
        stage_add(&b->stage, SLICE(EIGHT_CRLF));
    }
    stage_add(&b->stage, slice_first(SLICE(EIGHT_CRLF), (size_t)b->crlfs * 2));
    b->crlfs = 0;
    if (b->wsp) {
        stage_add(&b->stage, SLICE(" "));
        b->wsp = false;
    }
    if (b->cr) {
        stage_add(&b->stage, SLICE("\r"));
        b->cr = false;
    }
    b->any = true;
}

/* Neither white space nor part of a line's end. */
static bool is_plain(char c)
{
    return (unsigned char)c > ' ' || (!is_wsp(c) && c != '\r' && c != '\n');
}

/* What stays as it is: up to the first byte with a meaning. A space between two words is as it should
 * be, so that most lines are one run. */
static size_t body_run(const struct dkim_canon_body *b, struct slice text)
{
    size_t n = 0;
    if (b->canon == DKIM_CANON_SIMPLE) {
        const char *cr = memchr(text.ptr, '\r', text.len);
        return cr ? (size_t)(cr - text.ptr) : text.len;
    }
    for (;;) {
        while (n < text.len && is_plain(text.ptr[n])) {
            n++;
        }
        bool between = n > 0 && n + 1 < text.len && text.ptr[n] == ' ' && is_plain(text.ptr[n + 1]);
        if (!between) {
            return n;
        }
        n++;
    }
}

/* CR, LF, or in relaxed white space. */
static void body_special(struct dkim_canon_body *b, char c)
{
    if (c == '\n' && b->cr) {
        b->cr = b->wsp = false;
        b->crlfs++;
    } else if (c == '\n') {
        body_let_go(b);
        stage_add(&b->stage, SLICE("\n"));
    } else {
        if (b->cr) {
            body_let_go(b);
        }
        b->cr = c == '\r';
        b->wsp = b->wsp || c != '\r';
    }
}

void dkim_canon_body_add(struct dkim_canon_body *b, struct slice text)
{
    while (text.len) {
        bool lf_ends_line = b->cr && text.ptr[0] == '\n';
        size_t n = lf_ends_line ? 0 : body_run(b, text);
        if (n == 0) {
            body_special(b, text.ptr[0]);
            text = slice_skip(text, 1);
            continue;
        }
        body_let_go(b);
        stage_add(&b->stage, slice_first(text, n));
        text = slice_skip(text, n);
    }
}

void dkim_canon_body_done(struct dkim_canon_body *b)
{
    if (b->cr) {
        body_let_go(b); /* a bare CR is data */
    }
    if (b->any || b->canon == DKIM_CANON_SIMPLE) {
        stage_add(&b->stage, SLICE("\r\n"));
    }
    b->crlfs = 0;
    b->wsp = false;
    stage_flush(&b->stage);
}
