/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Command lines. A line that lies whole in the input is parsed where it lies; a cut one is gathered
 * in s->line, which is given back as soon as the line has run. LF ends a line, so that a client which
 * sends bare LF gets its error at once instead of a time-out; it is an error all the same unless the
 * listener normalises (RFC 5321 2.3.8).
 */
#include "proto/smtp/server_tx.h"

enum { LINES_TOO_LONG_MAX = 3, TLS_HANDSHAKE_BYTE = 0x16 };

static const struct slice bdat = SLICE_INIT("BDAT");

static void close_with(struct smtp_server *s, struct buf *out, uint16_t code, struct slice enhanced,
                       struct slice text)
{
    struct smtp_verdict v = {code, true, enhanced, text};
    smtp_server_reply(s, out, &v);
}

/* An unreadable BDAT: its octets cannot be told from commands any more. */
static void close_bdat(struct smtp_server *s, struct buf *out)
{
    close_with(s, out, 501, SLICE("5.5.4"), SLICE("Malformed BDAT, closing"));
}

static bool is_bdat(struct slice line)
{
    return slice_starts_nocase(line, bdat) && (line.len == bdat.len || line.ptr[bdat.len] <= ' ');
}

static void line_too_long(struct smtp_server *s, struct buf *out)
{
    s->line_skip = false;
    if (++s->lines_too_long >= LINES_TOO_LONG_MAX) {
        close_with(s, out, 421, SLICE("4.7.0"), SLICE("Too many overlong lines, closing"));
        return;
    }
    SMTP_SAY(s, out, 500, "5.5.2", "Line is too long");
}

/* The line at hand is too long: forget it, skip to its end. */
static void start_skipping(struct smtp_server *s, struct slice piece, struct buf *out)
{
    char head[5];
    size_t len = s->line.len < sizeof(head) ? s->line.len : sizeof(head);
    if (len) {
        memcpy(head, s->line.ptr, len);
    }
    size_t more = piece.len < sizeof(head) - len ? piece.len : sizeof(head) - len;
    memcpy(head + len, piece.ptr, more);
    buf_release(&s->line);
    s->line_skip = true;
    if (is_bdat(slice_of(head, len + more))) {
        close_bdat(s, out);
    }
}

static void run_verb(struct smtp_server *s, const struct smtp_verb *verb, struct slice arg,
                     struct buf *out)
{
    if (verb->feature && !(s->config->features & verb->feature)) {
        struct smtp_verdict v = {502, (verb->flags & SMTP_VERB_PAYLOAD) != 0, SLICE("5.5.1"),
                                 SLICE("Command not implemented")};
        smtp_server_reply(s, out, &v);
        return;
    }
    if ((verb->flags & SMTP_VERB_JUNK) && ++s->junk > s->config->junk_max) {
        s->errors++;
    }
    if ((verb->arg == SMTP_ARG_NEEDED && !arg.len) || (verb->arg == SMTP_ARG_NONE && arg.len)) {
        char text[64] = "Syntax: ";
        struct slice syntax = slice_first(slice_str(verb->syntax), sizeof(text) - 8);
        memcpy(text + 8, syntax.ptr, syntax.len);
        struct smtp_verdict v = {501, false, SLICE("5.5.4"), slice_of(text, 8 + syntax.len)};
        smtp_server_reply(s, out, &v);
        return;
    }
    if (!(verb->states & 1u << s->state)) {
        if (s->state == SMTP_STATE_START) {
            SMTP_SAY(s, out, 503, "5.5.1", "Send EHLO first");
        } else if (s->state == SMTP_STATE_READY) {
            SMTP_SAY(s, out, 503, "5.5.1", "Need MAIL first");
        } else if (s->state == SMTP_STATE_BDAT) {
            SMTP_SAY(s, out, 503, "5.5.1", "BDAT LAST or RSET first");
        } else {
            SMTP_SAY(s, out, 503, "5.5.1", "Transaction is already open");
        }
        return;
    }
    verb->run(s, arg, out);
}

static void run_line(struct smtp_server *s, struct slice line, struct buf *out)
{
    struct slice arg = slice_trim(line);
    size_t word_len = 0;
    while (word_len < arg.len && arg.ptr[word_len] != ' ' && arg.ptr[word_len] != '\t') {
        word_len++;
    }
    struct slice word = slice_first(arg, word_len);
    arg = slice_trim(slice_skip(arg, word_len));
    const struct smtp_verb *verb = smtp_verb_find(word);
    bool quits = verb && slice_eq(verb->name, SLICE("QUIT"));
    if (s->errors >= s->config->errors_max && !quits) {
        close_with(s, out, 421, SLICE("4.7.0"), SLICE("Too many errors, closing"));
    } else if (verb) {
        run_verb(s, verb, arg, out);
    } else if (smtp_verb_is_foreign(word)) {
        close_with(s, out, 554, SLICE("5.5.2"), SLICE("This is an SMTP server, closing"));
    } else {
        SMTP_SAY(s, out, 500, "5.5.2", "Command not recognized");
    }
}

/* line: with its LF. */
static void check_and_run(struct smtp_server *s, struct slice line, struct buf *out)
{
    bool crlf = line.len >= 2 && line.ptr[line.len - 2] == '\r';
    struct slice text = slice_first(line, line.len - (crlf ? 2 : 1));
    bool dirty = slice_find_byte(text, '\0') >= 0 || slice_find_byte(text, '\r') >= 0;
    if (!dirty && (crlf || s->config->normalize_bare_lf)) {
        run_line(s, text, out);
    } else if (is_bdat(slice_trim(text))) {
        close_bdat(s, out);
    } else if (s->errors >= s->config->errors_max) {
        close_with(s, out, 421, SLICE("4.7.0"), SLICE("Too many errors, closing"));
    } else if (dirty) {
        SMTP_SAY(s, out, 500, "5.5.2", "NUL or CR in a command is not allowed");
    } else {
        SMTP_SAY(s, out, 500, "5.5.2", "Lines end in CR LF");
    }
}

void smtp_server_take_line(struct smtp_server *s, struct slice *in, struct buf *out)
{
    const char *lf = memchr(in->ptr, '\n', in->len);
    struct slice piece = slice_first(*in, lf ? (size_t)(lf - in->ptr) + 1 : in->len);
    if (!s->first_seen && in->ptr[0] == TLS_HANDSHAKE_BYTE) {
        close_with(s, out, 554, SLICE("5.5.2"), SLICE("No TLS before STARTTLS here, closing"));
        return;
    }
    s->first_seen = true;
    *in = slice_skip(*in, piece.len);
    if (!s->line_skip && s->line.len + piece.len > LIMIT_COMMAND_LINE_BYTES) {
        start_skipping(s, piece, out);
        if (s->state == SMTP_STATE_CLOSED) {
            return;
        }
    }
    if (s->line_skip) {
        if (lf) {
            line_too_long(s, out);
        }
        return;
    }
    if (lf && s->line.len == 0) {
        check_and_run(s, piece, out);
        return;
    }
    buf_add(&s->line, piece);
    if (s->line.overflow) {
        close_with(s, out, 421, SLICE("4.3.0"), SLICE("Out of memory, closing"));
    } else if (lf) {
        check_and_run(s, buf_slice(&s->line), out);
    }
    if (lf || s->state == SMTP_STATE_CLOSED) {
        buf_release(&s->line);
    }
}
