/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * model_server - a slow, obvious SMTP server: what a client gets that sends these bytes
 *
 * Purpose:   the reference for proto/smtp/server.c. It has all bytes before it and looks ahead as it likes; there are
 *            no segments, no states but the facts of the session, and no code of proto/. It predicts the code and
 *            enhanced code of each reply, and each accepted message with its envelope. Policy and storage are those
 *            of tests/unit/proto/smtp/server_script.h. Header only.
 * Limits:    without TLS and AUTH (fuzz_smtp_auth.c, fuzz_tls_stream.c), FUTURERELEASE and DELIVERBY.
 * Thread:    any.
 * RFC:       5321, 1870, 3030, 3461, 6152, 6531.
 */
#ifndef RINGPOST_FUZZ_MODEL_SERVER_H
#define RINGPOST_FUZZ_MODEL_SERVER_H

#include "tests/fuzz/model_param.h"
#include "tests/fuzz/model_text.h"

enum { MODEL_LINE_BYTES = 4096, MODEL_AUTH_LINE_BYTES = SMTP_AUTH_LINE_BYTES };

struct model_server {
    const struct smtp_server_config *config;
    struct slice in; /* all that the client sends */
    size_t at;
    struct buf codes;    /* "250 2.1.0\n"; "5??": a refusal, which one is no matter */
    struct buf events;   /* as of server_script.h */
    struct buf envelope; /* "sender>one,two" */
    struct buf raw;      /* of BDAT so far */
    struct slice sender;
    const char *fault; /* why the chunks that still come are not wanted */
    unsigned rcpts, refused, errors, junk, long_lines;
    uint64_t octets;
    bool hello, mail, utf8, chunking, closed;
};

static inline void model_say(struct model_server *m, const char *code)
{
    buf_add(&m->codes, slice_str(code));
    buf_add_byte(&m->codes, '\n');
    m->errors += code[0] == '5';
    m->closed = m->closed || memcmp(code, "421", 3) == 0;
}

static inline void model_say_close(struct model_server *m, const char *code)
{
    model_say(m, code);
    m->closed = true;
}

static inline void model_reset(struct model_server *m)
{
    buf_clear(&m->envelope);
    buf_clear(&m->raw);
    m->mail = m->utf8 = m->chunking = false;
    m->rcpts = m->refused = 0;
    m->octets = 0;
    m->fault = NULL;
}

/* What the policy says of a local part: NULL is yes. */
static inline const char *model_policy(struct slice local)
{
    return model_is(local, "bad")     ? "550 5.7.1"
           : model_is(local, "temp")  ? "451 4.7.1"
           : model_is(local, "close") ? "421 4.7.0"
                                      : NULL;
}

/* ---- MAIL and RCPT ---- */

/* "FROM:<path>", up to the parameters. False: answered. */
static inline bool model_take_path(struct model_server *m, struct slice *arg, bool sender,
                                   struct model_path *path)
{
    const char *word = sender ? "FROM:" : "TO:";
    if (!model_begins(*arg, word)) {
        model_say(m, "501 5.5.4");
        return false;
    }
    *arg = slice_skip(*arg, strlen(word));
    while (arg->len && arg->ptr[0] == ' ') {
        *arg = slice_skip(*arg, 1);
    }
    enum model_path_result result = model_path_read(*arg, sender, path);
    if (result == MODEL_PATH_NOT_UTF8) {
        model_say(m, "5??");
        return false;
    }
    if (result == MODEL_PATH_BAD || (path->rest.len && path->rest.ptr[0] != ' ')) {
        model_say(m, sender ? "501 5.1.7" : "501 5.1.3");
        return false;
    }
    return true;
}

static inline void model_mail(struct model_server *m, struct slice arg)
{
    struct model_path path;
    struct model_mail mail;
    if (!model_take_path(m, &arg, true, &path)) {
        return;
    }
    const char *wrong = model_mail_params(path.rest, m->config->features, &mail);
    if (!wrong && model_high(path.address) && !mail.utf8) {
        wrong = "553 5.6.7";
    }
    if (!wrong && m->config->size_max && mail.size > m->config->size_max) {
        wrong = "552 5.3.4";
    }
    wrong = wrong ? wrong : model_policy(path.local);
    model_say(m, wrong ? wrong : "250 2.1.0");
    if (!wrong) {
        m->mail = true;
        m->utf8 = mail.utf8;
        m->sender = path.local;
        buf_add(&m->envelope, path.address);
    }
}

static inline void model_rcpt(struct model_server *m, struct slice arg)
{
    struct model_path path;
    if (!model_take_path(m, &arg, false, &path)) {
        return;
    }
    const char *wrong = model_rcpt_params(path.rest, m->config->features, m->utf8);
    if (!wrong && model_high(path.address) && !m->utf8) {
        wrong = "553 5.6.7";
    }
    if (!wrong && m->rcpts == m->config->recipients_max) {
        wrong = "452 4.5.3";
    }
    if (!wrong) {
        wrong = model_policy(path.local);
        m->refused += wrong != NULL;
    }
    model_say(m, wrong ? wrong : "250 2.1.5");
    if (!wrong) {
        buf_add_byte(&m->envelope, m->rcpts++ ? ',' : '>');
        buf_add(&m->envelope, path.address);
    }
}

/* ---- message text ---- */

/* All octets are there. */
static inline void model_message(struct model_server *m, const struct model_text *t)
{
    const char *fault = model_text_fault(t, m->config);
    if (!fault && slice_eq(m->sender, SLICE("full")) && t->stored.len > 8) {
        fault = "452 4.3.1";
    }
    if (fault) {
        model_say(m, fault);
    } else {
        buf_add(&m->events, SLICE("commit "));
        buf_add(&m->events, buf_slice(&m->envelope));
        buf_add(&m->events, SLICE(" ["));
        buf_add(&m->events, buf_slice(&t->stored));
        buf_add(&m->events, SLICE("]\n"));
        bool disk = model_is(m->sender, "disk");
        model_say(m, disk ? "451 4.3.0" : "250 2.0.0");
        m->errors = disk ? m->errors : 0;
        m->junk = disk ? m->junk : 0;
    }
    model_reset(m);
}

static inline void model_data(struct model_server *m)
{
    if (m->rcpts == 0) {
        model_say(m, m->refused ? "554 5.5.1" : "503 5.5.1");
        if (m->refused) {
            model_reset(m);
        }
        return;
    }
    if (model_is(m->sender, "nospace")) {
        model_say(m, "452 4.3.1");
        model_reset(m);
        return;
    }
    model_say(m, "354");
    struct slice rest = slice_skip(m->in, m->at);
    long end = model_data_end(rest);
    m->at = end < 0 ? m->in.len : m->at + (size_t)end + 3;
    if (end >= 0) {
        struct model_text t;
        model_text_read(&t, m->config, slice_first(rest, (size_t)end), true, true);
        model_message(m, &t);
        buf_deinit(&t.stored);
    }
}

/* A chunk that nobody wants: skipped, then refused. */
static inline void model_skip_chunk(struct model_server *m, uint64_t size, bool last,
                                    const char *why)
{
    if (size > m->config->bdat_swallow_max) {
        model_say_close(m, why);
    } else if (size > m->in.len - m->at) {
        m->at = m->in.len;
    } else {
        m->at += size;
        model_say(m, why);
        m->chunking = m->mail;
        if (last) {
            model_reset(m);
        }
    }
}

static inline void model_chunk(struct model_server *m, uint64_t size, bool last)
{
    if (size > m->in.len - m->at) {
        m->at = m->in.len;
        return;
    }
    struct model_text t;
    buf_add(&m->raw, slice_first(slice_skip(m->in, m->at), size));
    m->at += size;
    m->chunking = true;
    model_text_read(&t, m->config, buf_slice(&m->raw), false, last);
    if (last) {
        model_message(m, &t);
    } else {
        m->fault = model_text_fault(&t, m->config);
        if (!m->fault && slice_eq(m->sender, SLICE("full")) && t.stored.len > 8) {
            m->fault = "452 4.3.1";
        }
        model_say(m, m->fault ? m->fault : "250 2.0.0");
    }
    buf_deinit(&t.stored);
}

static inline void model_bdat(struct model_server *m, struct slice arg)
{
    uint64_t size = 0;
    struct slice number = slice_cut(&arg, ' ');
    struct slice word = slice_trim(arg);
    bool last = model_is(word, "LAST");
    if (!slice_to_u64(number, &size) || (word.len && !last)) {
        model_say_close(m, "501 5.5.4");
        return;
    }
    if (size == 0 && !last && ++m->junk > m->config->junk_max) {
        m->errors++;
    }
    if (!m->mail) {
        model_skip_chunk(m, size, last, "503 5.5.1");
        return;
    }
    if (!m->fault && m->rcpts == 0) {
        m->fault = m->refused ? "554 5.5.1" : "503 5.5.1";
    }
    if (!m->fault && m->config->size_max &&
        (size > m->config->size_max || m->octets + size > m->config->size_max)) {
        m->fault = "552 5.3.4";
    }
    if (!m->fault && model_is(m->sender, "nospace")) {
        m->fault = "452 4.3.1";
    }
    if (m->fault) {
        model_skip_chunk(m, size, last, m->fault);
    } else {
        m->octets += size;
        model_chunk(m, size, last);
    }
}

/* ---- commands ---- */

static inline int model_helo_byte(int c)
{
    return c > ' ' && c < 0x7F && !strchr("()<>[]@,;\\\":", c);
}

static inline int model_literal_byte(int c)
{
    return c == ':' || model_helo_byte(c);
}

static inline void model_helo(struct model_server *m, struct slice name)
{
    bool literal = name.len > 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']';
    bool good = literal ? model_all(model_part(name, 1, name.len - 1), model_literal_byte)
                        : model_all(name, model_helo_byte);
    if (!good || name.len > 255) {
        model_say(m, "501 5.5.4");
        return;
    }
    model_reset(m);
    m->hello = true;
    model_say(m, "250");
}

/* What may be said and when, one row each; `when`: h before HELO, r ready, m in a transaction, c between chunks. */
struct model_verb {
    const char *name, *when;
    uint32_t feature;
    bool junk;
    char arg; /* '1' needed, '0' none allowed, '?' as you like */
};

static inline const struct model_verb *model_verb_find(struct slice word)
{
    static const struct model_verb verbs[] = {
        {"EHLO", "hrmc", 0, true, '1'},
        {"HELO", "hrmc", 0, true, '1'},
        {"MAIL", "r", 0, false, '1'},
        {"RCPT", "m", 0, false, '1'},
        {"DATA", "m", 0, false, '0'},
        {"BDAT", "hrmc", SMTP_FEATURE_CHUNKING, false, '?'},
        {"RSET", "hrmc", 0, true, '0'},
        {"NOOP", "hrmc", 0, true, '?'},
        {"VRFY", "hrmc", SMTP_FEATURE_VRFY, true, '1'},
        {"EXPN", "hrmc", 0, true, '?'},
        {"HELP", "hrmc", SMTP_FEATURE_HELP, true, '?'},
        {"QUIT", "hrmc", 0, false, '?'},
        {"STARTTLS", "", SMTP_FEATURE_STARTTLS, true, '0'},
        {"AUTH", "", SMTP_FEATURE_AUTH, false, '1'},
    };
    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++) {
        if (model_is(word, verbs[i].name)) {
            return &verbs[i];
        }
    }
    return NULL;
}

static inline void model_run(struct model_server *m, const struct model_verb *verb,
                             struct slice arg)
{
    switch (verb->name[0] << 8 | verb->name[1]) {
    case 'E' << 8 | 'H':
    case 'H' << 8 | 'E':
        if (verb->name[3] == 'P') {
            model_say(m, "214 2.0.0");
        } else {
            model_helo(m, arg);
        }
        return;
    case 'M' << 8 | 'A':
        model_mail(m, arg);
        return;
    case 'R' << 8 | 'C':
        model_rcpt(m, arg);
        return;
    case 'D' << 8 | 'A':
        model_data(m);
        return;
    case 'B' << 8 | 'D':
        model_bdat(m, arg);
        return;
    case 'R' << 8 | 'S':
        model_reset(m);
        model_say(m, "250 2.0.0");
        return;
    case 'N' << 8 | 'O':
        model_say(m, "250 2.0.0");
        return;
    case 'V' << 8 | 'R':
        model_say(m, "252 2.0.0");
        return;
    case 'E' << 8 | 'X':
        model_say(m, "502 5.5.1");
        return;
    case 'Q' << 8 | 'U':
        model_say_close(m, "221 2.0.0");
        return;
    default:
        must(false);
    }
}

static inline void model_verb(struct model_server *m, const struct model_verb *verb,
                              struct slice arg)
{
    char now = m->chunking ? 'c' : m->mail ? 'm' : m->hello ? 'r' : 'h';
    if (verb->feature && !(m->config->features & verb->feature)) {
        model_say(m, verb->name[0] == 'A' ? "503 5.5.1" : "502 5.5.1");
        m->closed = m->closed || verb->name[0] == 'B'; /* nobody knows where its octets end */
        return;
    }
    if (verb->junk && ++m->junk > m->config->junk_max) {
        m->errors++;
    }
    if ((verb->arg == '1' && arg.len == 0) || (verb->arg == '0' && arg.len > 0)) {
        model_say(m, "501 5.5.4");
    } else if (!strchr(verb->when, now)) {
        model_say(m, "503 5.5.1");
    } else {
        model_run(m, verb, arg);
    }
}

/* Another protocol: HTTP, or a message's header. */
static inline bool model_foreign(struct slice word)
{
    static const char *const methods[] = {"GET",   "POST",     "HEAD",    "PUT",
                                          "PATCH", "DELETE",   "OPTIONS", "CONNECT",
                                          "TRACE", "PROPFIND", "PRI"};
    for (size_t i = 0; i < ARRAY_COUNT(methods); i++) {
        if (model_is(word, methods[i])) {
            return true;
        }
    }
    int colon = slice_find_byte(word, ':');
    return colon > 0 && !model_verb_find(slice_first(word, (size_t)colon));
}

/* A line without its end that holds neither NUL nor CR. */
static inline void model_command(struct model_server *m, struct slice line)
{
    size_t len = 0;
    line = slice_trim(line);
    while (len < line.len && line.ptr[len] != ' ' && line.ptr[len] != '\t') {
        len++;
    }
    struct slice word = slice_first(line, len);
    const struct model_verb *verb = model_verb_find(word);
    if (m->errors >= m->config->errors_max && !model_is(word, "QUIT")) {
        model_say(m, "421 4.7.0");
    } else if (verb) {
        model_verb(m, verb, slice_trim(slice_skip(line, len)));
    } else if (model_foreign(word)) {
        model_say_close(m, "554 5.5.2");
    } else {
        model_say(m, "500 5.5.2");
    }
}

static inline bool model_line_is(struct slice line, const char *verb)
{
    return model_begins(line, verb) && (line.len == 4 || (unsigned char)line.ptr[4] <= ' ');
}

static inline void model_long_line(struct model_server *m, struct slice line, bool ended)
{
    if (model_line_is(line, "BDAT")) {
        model_say_close(m, "501 5.5.4");
    } else if (ended && ++m->long_lines == 3) {
        model_say(m, "421 4.7.0");
    } else if (ended) {
        model_say(m, model_line_is(line, "AUTH") ? "500 5.5.6" : "500 5.5.2");
    }
}

static inline void model_line(struct model_server *m)
{
    struct slice line = slice_skip(m->in, m->at);
    int lf = slice_find_byte(line, '\n');
    line = lf < 0 ? line : slice_first(line, (size_t)lf + 1);
    m->at += line.len;
    size_t max = model_line_is(line, "AUTH") ? MODEL_AUTH_LINE_BYTES : MODEL_LINE_BYTES;
    if (line.len > max) {
        model_long_line(m, line, lf >= 0);
        return;
    }
    if (lf < 0) {
        return; /* the client never ends it */
    }
    bool crlf = line.len > 1 && line.ptr[line.len - 2] == '\r';
    struct slice text = slice_first(line, line.len - (crlf ? 2 : 1));
    bool clean = !memchr(line.ptr, '\0', text.len) && !memchr(line.ptr, '\r', text.len);
    if (clean && (crlf || m->config->normalize_bare_lf)) {
        model_command(m, text);
    } else if (model_line_is(slice_trim(text), "BDAT")) {
        model_say_close(m, "501 5.5.4");
    } else if (m->errors >= m->config->errors_max) {
        model_say(m, "421 4.7.0");
    } else {
        model_say(m, "500 5.5.2");
    }
}

static inline void model_server_run(struct model_server *m, const struct smtp_server_config *config,
                                    struct slice in)
{
    *m = (struct model_server){.config = config, .in = in};
    buf_init(&m->codes, 1 << 24);
    buf_init(&m->events, 1 << 26);
    buf_init(&m->envelope, 1 << 20);
    buf_init(&m->raw, 1 << 24);
    model_say(m, "220");
    if (in.len && in.ptr[0] == 0x16) {
        model_say_close(m, "554 5.5.2"); /* a TLS handshake */
    }
    while (m->at < in.len && !m->closed) {
        model_line(m);
    }
}

static inline void model_server_deinit(struct model_server *m)
{
    buf_deinit(&m->codes);
    buf_deinit(&m->events);
    buf_deinit(&m->envelope);
    buf_deinit(&m->raw);
}

#endif
