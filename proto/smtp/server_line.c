/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Command lines. A line that lies whole in the input is parsed where it lies; a cut one is gathered
 * in s->line, which is given back as soon as the line has run. LF ends a line, so that a client which
 * sends bare LF gets its error at once instead of a time-out; it is an error all the same unless the
 * listener normalises (RFC 5321 2.3.8).
 */
#include "core/base/secret.h"
#include "proto/smtp/server_tx.h"

enum { LINES_TOO_LONG_MAX = 3, TLS_HANDSHAKE_BYTE = 0x16 };

static const struct slice bdat = SLICE_INIT("BDAT");
static const struct slice auth = SLICE_INIT("AUTH");

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

static bool begins_with(struct slice line, struct slice verb)
{
    return slice_starts_nocase(line, verb) &&
           (line.len == verb.len || (unsigned char)line.ptr[verb.len] <= ' ');
}

static bool is_bdat(struct slice line)
{
    return begins_with(line, bdat);
}

/* The beginning of the line of which piece is the latest part: a verb of four letters and what
 * follows it. */
static struct slice line_head(const struct smtp_server *s, struct slice piece, char head[5])
{
    size_t len = s->line.len < 5 ? s->line.len : 5;
    if (len) {
        memcpy(head, s->line.ptr, len);
    }
    size_t more = piece.len < 5 - len ? piece.len : 5 - len;
    memcpy(head + len, piece.ptr, more);
    return slice_of(head, len + more);
}

static void line_too_long(struct smtp_server *s, struct buf *out)
{
    s->line_skip = false;
    if (s->state == SMTP_STATE_AUTH) {
        smtp_server_set_state(s, SMTP_STATE_READY);
    }
    if (++s->lines_too_long >= LINES_TOO_LONG_MAX) {
        close_with(s, out, 421, SLICE("4.7.0"), SLICE("Too many overlong lines, closing"));
        return;
    }
    if (s->line_is_auth) {
        SMTP_SAY(s, out, 500, "5.5.6", "Authentication exchange line is too long"); /* RFC 4954 4 */
        return;
    }
    SMTP_SAY(s, out, 500, "5.5.2", "Line is too long");
}

/* The line at hand is too long: forget it, skip to its end. */
static void start_skipping(struct smtp_server *s, struct slice head, struct buf *out)
{
    secret_buf_release(&s->line);
    s->line_skip = true;
    if (s->state != SMTP_STATE_AUTH && is_bdat(head)) {
        close_bdat(s, out);
    }
}

static void run_verb(struct smtp_server *s, const struct smtp_verb *verb, struct slice arg,
                     struct buf *out)
{
    /* BDAT must swallow its octets before it says so. */
    if (smtp_server_needs_tls(s) && !(verb->flags & (SMTP_VERB_PRE_TLS | SMTP_VERB_PAYLOAD))) {
        smtp_server_reply(s, out, &smtp_server_must_starttls);
        return;
    }
    if (verb->feature && !(s->config->features & verb->feature)) {
        /* Every server says 503 to an AUTH that is off, and clients know it (RFC 4954 4). */
        uint16_t code = verb->feature == SMTP_FEATURE_AUTH ? 503 : 502;
        struct smtp_verdict v = {code, (verb->flags & SMTP_VERB_PAYLOAD) != 0, SLICE("5.5.1"),
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
        must(syntax.ptr != NULL);
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
    bool good = !dirty && (crlf || s->config->normalize_bare_lf);
    if (s->state == SMTP_STATE_AUTH && good) {
        smtp_server_take_auth(s, text, out);
        return;
    }
    bool exchange = s->state == SMTP_STATE_AUTH;
    if (exchange) {
        smtp_server_set_state(s, SMTP_STATE_READY); /* a line we cannot read ends it */
    }
    if (good) {
        run_line(s, text, out);
    } else if (!exchange && is_bdat(slice_trim(text))) {
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
    char first[5];
    const char *lf = memchr(in->ptr, '\n', in->len);
    struct slice piece = slice_first(*in, lf ? (size_t)(lf - in->ptr) + 1 : in->len);
    if (!s->first_seen && !s->tls && in->ptr[0] == TLS_HANDSHAKE_BYTE) {
        close_with(s, out, 554, SLICE("5.5.2"), SLICE("No TLS before STARTTLS here, closing"));
        return;
    }
    s->first_seen = true;
    struct slice head = line_head(s, piece, first);
    *in = slice_skip(*in, piece.len);
    if (!s->line_skip) {
        s->line_is_auth = s->state == SMTP_STATE_AUTH || begins_with(head, auth);
    }
    s->had_secret |= s->line_is_auth;
    size_t line_max = s->line_is_auth ? SMTP_AUTH_LINE_BYTES : LIMIT_COMMAND_LINE_BYTES;
    if (!s->line_skip && s->line.len + piece.len > line_max) {
        start_skipping(s, head, out);
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
    secret_buf_add(&s->line, piece);
    if (s->line.overflow) {
        close_with(s, out, 421, SLICE("4.3.0"), SLICE("Out of memory, closing"));
    } else if (lf) {
        check_and_run(s, buf_slice(&s->line), out);
    }
    if (lf || s->state == SMTP_STATE_CLOSED) {
        secret_buf_release(&s->line);
    }
}
