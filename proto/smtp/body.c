/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The line machine (every byte that smtp_scan_plain does not take):
 *
 *   LINE_START ──"." (DATA)──► DOT ──CR──► DOT_CR ──LF──► end of data
 *       │ other                 │ other        └ other: bare CR
 *       ▼                       ▼
 *    IN_LINE ◄──────────────────┘
 *       │ CR ──► CR ──LF──► LINE_START        LF in IN_LINE: bare LF
 *       └◄──────other: bare CR
 *
 * Bytes are handed out where they lie. A CR at the end of a segment may yet turn out to be bare, so
 * it is held and comes as a slice of a constant later; likewise a CRLF made of a bare LF.
 */
#include "proto/smtp/body.h"

enum { LINE_START, IN_LINE, CR, DOT, DOT_CR };

static const struct smtp_verdict fault_verdicts[] = {
    {550, false, SLICE_INIT("5.5.2"),
     SLICE_INIT("Bare CR or LF is not allowed, lines end in CR LF")},
    {554, false, SLICE_INIT("5.6.0"), SLICE_INIT("NUL bytes are not allowed")},
    {552, false, SLICE_INIT("5.3.4"), SLICE_INIT("Message exceeds the size limit")},
    {552, false, SLICE_INIT("5.3.4"), SLICE_INIT("Message header exceeds the size limit")},
    {554, false, SLICE_INIT("5.6.0"), SLICE_INIT("Too many header fields")},
    {554, false, SLICE_INIT("5.4.6"), SLICE_INIT("Too many hops, mail loop")},
    {554, false, SLICE_INIT("5.6.0"), SLICE_INIT("Line is too long")},
};

void smtp_body_init(struct smtp_body *b, const struct smtp_server_config *config, bool dots)
{
    *b = (struct smtp_body){.config = config, .dots = dots};
    b->scan.at_start = true;
}

const struct smtp_verdict *smtp_body_verdict(const struct smtp_body *b)
{
    if (!b->faults) {
        return NULL;
    }
    size_t rank = (size_t)__builtin_ctz(b->faults);
    must(rank < ARRAY_COUNT(fault_verdicts));
    return &fault_verdicts[rank];
}

static void check_line(struct smtp_body *b, uint64_t len)
{
    if (b->config->line_length_max && len > b->config->line_length_max) {
        b->faults |= SMTP_FAULT_LINE;
    }
}

static void line_end(struct smtp_body *b, bool bare_lf)
{
    if (b->scan.line_len > b->scan.line_longest) {
        b->scan.line_longest = b->scan.line_len;
    }
    b->scan.line_len = 0;
    b->state = LINE_START;
    b->after_lf = bare_lf;
}

/* Judges canonical text; false when it is not to be handed out any more. */
static bool account(struct smtp_body *b, struct slice run)
{
    const struct smtp_server_config *c = b->config;
    b->facts.size += run.len;
    if (c->size_max && b->facts.size > c->size_max) {
        b->faults |= SMTP_FAULT_SIZE;
    }
    if (!b->head.ended) {
        smtp_headscan_feed(&b->head, run);
        b->faults |= smtp_headscan_bytes(&b->head) > c->header_bytes_max ? SMTP_FAULT_HEADER_SIZE
                                                                         : 0u;
        b->faults |= b->head.fields > c->header_fields_max ? SMTP_FAULT_HEADER_FIELDS : 0u;
        b->faults |= c->hops_max && b->head.hops >= c->hops_max ? SMTP_FAULT_HOPS : 0u;
    }
    check_line(b, b->scan.line_longest);
    check_line(b, b->scan.line_len);
    return b->faults == 0;
}

static void text_byte(struct smtp_body *b, char c)
{
    b->faults |= c == '\0' ? SMTP_FAULT_NUL : 0u;
    b->scan.has_8bit = b->scan.has_8bit || (unsigned char)c >= 0x80;
    b->scan.line_len++;
}

/* What became of one byte. */
enum took {
    TOOK,     /* consumed, part of the run */
    DROPPED,  /* consumed, not part of the output */
    AGAIN,    /* not consumed: the state changed */
    CUT,      /* not consumed: the run before it must be handed out first */
    CRLF_OUT, /* consumed; a constant CRLF goes out */
    CR_OUT,   /* not consumed; a held CR that was bare goes out (to be counted, not stored) */
    ENDED,    /* consumed: the end of data */
};

static enum took take_line_start(struct smtp_body *b, char c, bool run_open)
{
    if (c == '.' && b->dots) {
        if (run_open) {
            return CUT;
        }
        b->state = DOT;
        return DROPPED;
    }
    b->scan.leading_dot = b->scan.leading_dot || c == '.';
    b->state = IN_LINE;
    return AGAIN;
}

static enum took take_in_line(struct smtp_body *b, char c, bool run_open)
{
    if (c == '\r') {
        b->state = CR;
        return TOOK;
    }
    if (c != '\n') {
        text_byte(b, c);
        return TOOK;
    }
    if (!b->config->normalize_bare_lf) {
        b->faults |= SMTP_FAULT_BARE;
        line_end(b, true);
        return TOOK;
    }
    if (run_open) {
        return CUT;
    }
    b->facts.normalized = true;
    line_end(b, true);
    return CRLF_OUT;
}

static enum took take_after_cr(struct smtp_body *b, char c)
{
    bool held = b->cr_held;
    b->cr_held = false;
    if (c == '\n') {
        line_end(b, false);
        return held ? CRLF_OUT : TOOK;
    }
    b->faults |= SMTP_FAULT_BARE;
    b->scan.line_len++;
    b->state = IN_LINE;
    return held ? CR_OUT : AGAIN;
}

static enum took take_after_dot(struct smtp_body *b, char c)
{
    if (c == '\r') {
        b->state = DOT_CR;
        return DROPPED;
    }
    b->scan.leading_dot = b->scan.leading_dot || c == '.';
    b->state = IN_LINE;
    return AGAIN;
}

static enum took take_after_dot_cr(struct smtp_body *b, char c)
{
    if (c != '\n') {
        b->state = CR;
        b->cr_held = true;
        return AGAIN;
    }
    bool end = !b->after_lf;
    line_end(b, false);
    return end ? ENDED : CRLF_OUT;
}

static enum took take_byte(struct smtp_body *b, char c, bool run_open)
{
    switch (b->state) {
    case LINE_START:
        return take_line_start(b, c, run_open);
    case IN_LINE:
        return take_in_line(b, c, run_open);
    case CR:
        return take_after_cr(b, c);
    case DOT:
        return take_after_dot(b, c);
    case DOT_CR:
        return take_after_dot_cr(b, c);
    }
    must(false);
    return ENDED;
}

/* The blocks that need no byte-wise look. */
static size_t take_plain(struct smtp_body *b, struct slice in)
{
    if (in.len < SMTP_SCAN_BLOCK || (b->state != LINE_START && b->state != IN_LINE)) {
        return 0;
    }
    b->scan.at_start = b->state == LINE_START;
    size_t n = smtp_scan_plain(&b->scan, in, b->dots);
    if (n) {
        b->state = b->scan.at_start ? LINE_START : IN_LINE;
        b->after_lf = false;
    }
    return n;
}

/* Consumes input up to the end of the next run (which may be empty). */
static enum took take_run(struct smtp_body *b, struct slice *in, struct slice *run)
{
    enum { SLOW_BYTES = 16 }; /* how long a refused fast walk is not tried again */
    size_t at = 0;
    size_t from = 0;
    size_t slow_until = 0;
    enum took took = TOOK;
    while (at < in->len) {
        if (at >= slow_until) {
            at += take_plain(b, slice_skip(*in, at));
            slow_until = at + SLOW_BYTES;
            if (at == in->len) {
                break;
            }
        }
        took = take_byte(b, in->ptr[at], at > from);
        at += took == TOOK || took == DROPPED || took == CRLF_OUT || took == ENDED;
        if (took == DROPPED) {
            from = at;
        } else if (took != TOOK && took != AGAIN) {
            break;
        }
    }
    size_t to = took == CRLF_OUT || took == CR_OUT || took == ENDED ? from : at;
    if (at == in->len && b->state == CR && !b->cr_held) {
        b->cr_held = true;
        to--;
    }
    *run = slice_of(in->ptr + from, to - from);
    *in = slice_skip(*in, at);
    return took;
}

enum smtp_body_event smtp_body_step(struct smtp_body *b, struct slice *in, struct slice *run)
{
    static const char crlf[] = "\r\n";
    while (in->len) {
        struct slice piece;
        enum took took = take_run(b, in, &piece);
        if (took == CRLF_OUT || took == CR_OUT) {
            must(piece.len == 0);
            piece = slice_of(crlf, took == CRLF_OUT ? 2 : 1);
        }
        bool good = account(b, piece);
        if (took == ENDED) {
            must(piece.len == 0);
            smtp_body_finish(b, run);
            return SMTP_BODY_END;
        }
        if (good && piece.len) {
            *run = piece;
            return SMTP_BODY_RUN;
        }
    }
    return SMTP_BODY_MORE;
}

bool smtp_body_finish(struct smtp_body *b, struct slice *run)
{
    bool added = false;
    if (b->state == CR) {
        /* The text ended in a CR without LF. */
        b->faults |= SMTP_FAULT_BARE;
        b->scan.line_len++;
        line_end(b, false);
    } else if (b->state == IN_LINE) {
        /* RFC 3030 lets a message end anywhere; DATA, the spool's form and every next hop know only
         * whole lines, so the missing line end is added (and said so in the facts). */
        *run = SLICE("\r\n");
        line_end(b, false);
        b->facts.line_end_added = true;
        added = account(b, *run);
    }
    must(b->state == LINE_START);
    smtp_headscan_finish(&b->head);
    b->facts.header_end = b->head.end;
    b->facts.header_fields = b->head.fields;
    b->facts.hops = b->head.hops;
    b->facts.header_has_8bit = b->head.has_8bit;
    b->facts.has_8bit = b->scan.has_8bit;
    b->facts.leading_dot = b->scan.leading_dot;
    b->facts.line_longest = b->scan.line_longest < UINT32_MAX ? (uint32_t)b->scan.line_longest
                                                              : UINT32_MAX;
    return added;
}
