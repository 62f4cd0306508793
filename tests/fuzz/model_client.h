/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * model_client - a slow, obvious referee of an outbound session
 *
 * Purpose:   the reference for proto/smtp/client.c. It is told every byte in both directions in the order of time,
 *            reads the client as a strict server would, gives the n-th reply to the n-th command, and says from that
 *            alone what may have become of each recipient. No code of proto/. Header only.
 * Checks:    the commands (names, order, each recipient once), the bodies (unstuffed: byte by byte what was to be
 *            sent, or a beginning of it), no MAIL in a transaction that may be open.
 * Limits:    no TLS, no AUTH. Senders are "s0@x", "s1@x" ...; recipients "r0t0@y" (r: of the transaction t).
 * Thread:    any. RFC: 5321 4.1.1, 4.2; 2920 3.1; 3030.
 */
#ifndef RINGPOST_FUZZ_MODEL_CLIENT_H
#define RINGPOST_FUZZ_MODEL_CLIENT_H

#include "core/base/buf.h"
#include "core/base/must.h"
#include "proto/smtp/outcome.h"

#include <string.h>

enum { MODEL_COMMANDS = 128, MODEL_NOBODY = -1 };

enum model_word {
    MODEL_GREETING,
    MODEL_EHLO,
    MODEL_HELO,
    MODEL_RSET,
    MODEL_MAIL,
    MODEL_RCPT,
    MODEL_DATA,
    MODEL_BDAT,
    MODEL_END,
    MODEL_QUIT,
    MODEL_AMID, /* no command: a refusal that came while a body was on its way */
};

struct model_command {
    enum model_word word;
    int txn, rcpt;
    unsigned code;    /* of its answer; 0: none */
    bool whole;       /* BDAT: all octets were out when the answer came */
    bool about_ahead; /* the answer speaks of pipelining */
};

enum model_talk { MODEL_TALK_LINE, MODEL_TALK_DATA, MODEL_TALK_CHUNK };

struct model_client {
    struct slice body;    /* what each transaction is to carry, lines that end in CR LF */
    struct slice missing; /* what comes behind it by DATA only */
    struct model_command commands[MODEL_COMMANDS];
    unsigned count, answered;
    enum model_talk talk;
    struct buf said;  /* of the client: the line, or the body, at hand */
    struct buf reply; /* of the server: the line at hand */
    size_t chunk;
    int txn;
    unsigned code; /* of the reply at hand */
    bool maybe_open;
    bool over; /* a reply came that no command asked for */
};

static inline void model_client_init(struct model_client *m, struct slice body,
                                     struct slice missing)
{
    *m = (struct model_client){.body = body, .missing = missing, .count = 1, .txn = MODEL_NOBODY};
    m->commands[0].word = MODEL_GREETING;
    buf_init(&m->said, 1 << 22);
    buf_init(&m->reply, 1 << 20);
}

static inline void model_client_deinit(struct model_client *m)
{
    buf_deinit(&m->said);
    buf_deinit(&m->reply);
}

static inline struct model_command *model_client_find(struct model_client *m, enum model_word word,
                                                      int txn, int rcpt)
{
    for (unsigned i = 0; i < m->count; i++) {
        struct model_command *c = &m->commands[i];
        if (c->word == word && c->txn == txn && c->rcpt == rcpt) {
            return c;
        }
    }
    return NULL;
}

/* ---- what the client says ---- */

static inline struct model_command *model_client_push(struct model_client *m, enum model_word word,
                                                      int txn, int rcpt)
{
    must(m->count < MODEL_COMMANDS);
    must(word == MODEL_RSET || !model_client_find(m, word, txn, rcpt)); /* each once */
    m->commands[m->count] = (struct model_command){.word = word, .txn = txn, .rcpt = rcpt};
    return &m->commands[m->count++];
}

static inline bool model_client_starts(struct slice line, const char *word)
{
    return line.len >= strlen(word) && memcmp(line.ptr, word, strlen(word)) == 0;
}

/* A transaction may be open at the server: MAIL needs RSET first (RFC 5321 4.1.1.2, RFC 3030 2). */
static inline bool model_client_is_open(struct model_client *m)
{
    if (m->txn == MODEL_NOBODY || !m->maybe_open) {
        return false;
    }
    const struct model_command *mail = model_client_find(m, MODEL_MAIL, m->txn, MODEL_NOBODY);
    const struct model_command *bdat = model_client_find(m, MODEL_BDAT, m->txn, MODEL_NOBODY);
    bool refused = mail->code >= 300;
    bool done = model_client_find(m, MODEL_END, m->txn, MODEL_NOBODY) ||
                (bdat && bdat->code / 100 == 2);
    return !refused && !done;
}

static inline void model_client_mail(struct model_client *m, struct slice line)
{
    must(line.len > 14 && line.ptr[11] == 's' && memcmp(line.ptr + 13, "@x>", 3) == 0);
    int txn = line.ptr[12] - '0';
    must(txn > m->txn && !model_client_is_open(m));
    m->txn = txn;
    m->maybe_open = true;
    model_client_push(m, MODEL_MAIL, txn, MODEL_NOBODY);
}

static inline void model_client_rcpt(struct model_client *m, struct slice line)
{
    must(line.len > 14 && line.ptr[9] == 'r' && line.ptr[11] == 't');
    must(memcmp(line.ptr + 13, "@y>", 3) == 0 && line.ptr[12] - '0' == m->txn && m->maybe_open);
    must(!model_client_find(m, MODEL_DATA, m->txn, MODEL_NOBODY) &&
         !model_client_find(m, MODEL_BDAT, m->txn, MODEL_NOBODY));
    model_client_push(m, MODEL_RCPT, m->txn, line.ptr[10] - '0');
}

/* Without its CR LF. */
static inline void model_client_line(struct model_client *m, struct slice line)
{
    uint64_t octets = 0;
    if (slice_eq(line, SLICE("EHLO me.test"))) {
        model_client_push(m, MODEL_EHLO, MODEL_NOBODY, MODEL_NOBODY);
    } else if (slice_eq(line, SLICE("HELO me.test"))) {
        model_client_push(m, MODEL_HELO, MODEL_NOBODY, MODEL_NOBODY);
    } else if (slice_eq(line, SLICE("RSET"))) {
        m->maybe_open = false;
        model_client_push(m, MODEL_RSET, m->txn, MODEL_NOBODY);
    } else if (slice_eq(line, SLICE("QUIT"))) {
        model_client_push(m, MODEL_QUIT, MODEL_NOBODY, MODEL_NOBODY);
    } else if (model_client_starts(line, "MAIL FROM:<")) {
        model_client_mail(m, line);
    } else if (model_client_starts(line, "RCPT TO:<")) {
        model_client_rcpt(m, line);
    } else if (slice_eq(line, SLICE("DATA"))) {
        must(m->maybe_open);
        model_client_push(m, MODEL_DATA, m->txn, MODEL_NOBODY);
    } else {
        must(m->maybe_open && model_client_starts(line, "BDAT "));
        struct slice number = slice_skip(line, 5);
        must(slice_to_u64(slice_cut(&number, ' '), &octets) && slice_eq(number, SLICE("LAST")));
        must(octets == m->body.len);
        struct model_command *c = model_client_push(m, MODEL_BDAT, m->txn, MODEL_NOBODY);
        c->whole = octets == 0;
        m->chunk = octets;
        m->talk = octets ? MODEL_TALK_CHUNK : MODEL_TALK_LINE;
    }
}

/* 354 was the last word on DATA: what comes is a body, up to CR LF . CR LF. */
static inline bool model_client_in_body(struct model_client *m)
{
    const struct model_command *c = &m->commands[m->count - 1];
    return c->word == MODEL_DATA && c->code == 354;
}

/* The body, stuffed, with its end or without: is it the beginning of what is to be sent? */
static inline void model_client_body(struct model_client *m, bool whole)
{
    struct slice s = buf_slice(&m->said);
    struct slice want[] = {m->body, m->missing};
    size_t at = 0, part = 0;
    bool start = true;
    const struct model_command *mail = model_client_find(m, MODEL_MAIL, m->txn, MODEL_NOBODY);
    bool anybody = false;
    for (int i = 0; i < 10; i++) {
        const struct model_command *c = model_client_find(m, MODEL_RCPT, m->txn, i);
        anybody = anybody || (c && c->code / 100 == 2 && mail->code / 100 == 2);
    }
    must(anybody || s.len == 0); /* RFC 2920 3.1: nobody was accepted, so a dot alone */
    for (size_t i = 0; anybody && i < s.len; i++) {
        if (start && s.ptr[i] == '.') {
            start = false;
            if (++i == s.len) {
                return;
            }
            must(s.ptr[i] == '.'); /* doubled */
        }
        while (part < 2 && at == want[part].len) {
            part++;
            at = 0;
        }
        must(part < 2 && s.ptr[i] == want[part].ptr[at]);
        at++;
        start = s.ptr[i] == '\n';
    }
    while (anybody && part < 2 && at == want[part].len) {
        part++;
        at = 0;
    }
    must(!whole || !anybody || part == 2);
}

static inline void model_client_byte(struct model_client *m, char byte)
{
    if (m->talk == MODEL_TALK_LINE && m->said.len == 0 && model_client_in_body(m)) {
        m->talk = MODEL_TALK_DATA;
    }
    buf_add_byte(&m->said, byte);
    struct slice s = buf_slice(&m->said);
    switch (m->talk) {
    case MODEL_TALK_LINE:
        must(byte != '\n' || (s.len >= 2 && s.ptr[s.len - 2] == '\r'));
        if (byte == '\n') {
            model_client_line(m, slice_first(s, s.len - 2));
            buf_clear(&m->said);
        }
        break;
    case MODEL_TALK_DATA:
        if (slice_ends_nocase(s, SLICE("\r\n.\r\n")) || slice_eq(s, SLICE(".\r\n"))) {
            m->said.len -= 3;
            model_client_body(m, true);
            model_client_push(m, MODEL_END, m->txn, MODEL_NOBODY);
            m->maybe_open = false;
            m->talk = MODEL_TALK_LINE;
            buf_clear(&m->said);
        }
        break;
    case MODEL_TALK_CHUNK:
        must(byte == m->body.ptr[s.len - 1]);
        if (s.len == m->chunk) {
            model_client_find(m, MODEL_BDAT, m->txn, MODEL_NOBODY)->whole = true;
            m->talk = MODEL_TALK_LINE;
            buf_clear(&m->said);
        }
        break;
    }
}

static inline void model_client_says(struct model_client *m, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        model_client_byte(m, bytes.ptr[i]);
    }
}

/* ---- what the server says ---- */

static inline void model_client_reply(struct model_client *m, unsigned code, struct slice text)
{
    if (m->over) {
        return;
    }
    if (m->answered == m->count) {
        bool body = m->talk == MODEL_TALK_DATA || model_client_in_body(m);
        if (body && code >= 400) {
            model_client_push(m, MODEL_AMID, m->txn, MODEL_NOBODY)->code = code;
        }
        m->over = true;
        return;
    }
    struct model_command *c = &m->commands[m->answered++];
    c->code = code;
    for (size_t i = 0; i < text.len; i++) {
        struct slice rest = slice_skip(text, i);
        c->about_ahead = c->about_ahead || slice_starts_nocase(rest, SLICE("pipelin")) ||
                         slice_starts_nocase(rest, SLICE("synchroni"));
    }
    c->whole = c->whole && c->word == MODEL_BDAT;
}

/* A line with its LF. What is no line of a reply, or has another code than the one before it, is the end. */
static inline void model_server_says(struct model_client *m, struct slice line)
{
    uint64_t code;
    line = slice_first(line, line.len - 1);
    line.len -= line.len && line.ptr[line.len - 1] == '\r';
    bool more = line.len > 3 && line.ptr[3] == '-';
    if (line.len < 3 || !slice_to_u64(slice_first(line, 3), &code) || code < 200 || code > 599 ||
        (line.len > 3 && line.ptr[3] != ' ' && !more) || (m->reply.len && m->code != code)) {
        m->over = true;
        return;
    }
    m->code = (unsigned)code;
    buf_add(&m->reply, line);
    if (!more) {
        model_client_reply(m, m->code, buf_slice(&m->reply));
        buf_clear(&m->reply);
    }
}

/* ---- the judgement ---- */

enum { MODEL_DELIVERED = 1, MODEL_TEMPORARY = 2, MODEL_PERMANENT = 4 };

struct model_fate {
    unsigned kinds; /* MODEL_DELIVERED ... that it may have */
    unsigned code;  /* of the peer's words that decided; 0: none did */
    bool open_end;  /* the end was out, and no answer to it came */
};

/* All of the message went out. */
static inline bool model_client_end_is_out(struct model_client *m, int txn)
{
    const struct model_command *bdat = model_client_find(m, MODEL_BDAT, txn, MODEL_NOBODY);
    return model_client_find(m, MODEL_END, txn, MODEL_NOBODY) || (bdat && bdat->whole);
}

/* A refusal, or what makes no sense as an answer. Where a refusal may be meant for us and not for the message, how
 * it is taken is the client's matter: both are right. */
static inline struct model_fate model_refused(struct model_client *m, const struct model_command *c)
{
    static const unsigned ours[] = {503, 530, 534, 535, 538, 552};
    struct model_fate f = {.kinds = MODEL_TEMPORARY, .code = c->code};
    if (c->code < 400 || c->code == 421) {
        f.open_end = model_client_end_is_out(m, c->txn);
        f.code = c->code < 400 ? 0 : c->code;
    }
    if (c->code / 100 == 5) {
        f.kinds = MODEL_PERMANENT;
        for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
            f.kinds |= c->code == ours[i] ? MODEL_TEMPORARY : 0U;
        }
        bool unknown_verb = c->word == MODEL_BDAT && c->code <= 504;
        f.kinds |= c->about_ahead || unknown_verb ? MODEL_TEMPORARY : 0U;
    }
    return f;
}

static inline struct model_fate model_client_end_fate(struct model_client *m, int txn)
{
    const struct model_command *data = model_client_find(m, MODEL_DATA, txn, MODEL_NOBODY);
    const struct model_command *bdat = model_client_find(m, MODEL_BDAT, txn, MODEL_NOBODY);
    const struct model_command *end = model_client_find(m, MODEL_END, txn, MODEL_NOBODY);
    const struct model_command *amid = model_client_find(m, MODEL_AMID, txn, MODEL_NOBODY);
    struct model_fate nothing = {.kinds = MODEL_TEMPORARY};
    if (data && data->code != 354) {
        return data->code ? model_refused(m, data) : nothing;
    }
    nothing.open_end = model_client_end_is_out(m, txn);
    end = data ? end : bdat;
    if (!end || end->code == 0) {
        return amid ? model_refused(m, amid) : nothing;
    }
    bool taken = end->code / 100 == 2;
    if (taken && (end->word == MODEL_END || end->whole)) {
        /* 221 is what QUIT is answered with: a reply may have been left out. */
        unsigned also = end->code == 221 ? MODEL_TEMPORARY : 0U;
        return (struct model_fate){.kinds = MODEL_DELIVERED | also,
                                   .code = end->code,
                                   .open_end = also != 0};
    }
    return model_refused(m, end);
}

static inline struct model_fate model_client_fate(struct model_client *m, int txn, int rcpt)
{
    const struct model_command *mail = model_client_find(m, MODEL_MAIL, txn, MODEL_NOBODY);
    const struct model_command *to = model_client_find(m, MODEL_RCPT, txn, rcpt);
    struct model_fate nothing = {.kinds = MODEL_TEMPORARY};
    if (!mail || mail->code == 0) {
        nothing.open_end = model_client_end_is_out(m, txn);
        return nothing;
    }
    if (mail->code / 100 != 2) {
        return model_refused(m, mail);
    }
    if (!to || to->code == 0) {
        nothing.open_end = to && model_client_end_is_out(m, txn);
        return nothing;
    }
    return to->code / 100 == 2 ? model_client_end_fate(m, txn) : model_refused(m, to);
}

#endif
