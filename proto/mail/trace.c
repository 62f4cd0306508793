/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/mail/trace.h"

#include "core/base/clock.h"
#include "core/base/utf8.h"

enum { TRACE_WORD_BYTES = 255 };

struct slice mail_trace_with(uint32_t with)
{
    static const struct slice words[2][4] = {
        {SLICE_INIT("ESMTP"), SLICE_INIT("ESMTPS"), SLICE_INIT("ESMTPA"), SLICE_INIT("ESMTPSA")},
        {SLICE_INIT("UTF8SMTP"), SLICE_INIT("UTF8SMTPS"), SLICE_INIT("UTF8SMTPA"),
         SLICE_INIT("UTF8SMTPSA")},
    };
    if (with & MAIL_WITH_HTTP) {
        return with & MAIL_WITH_TLS ? SLICE("HTTPS") : SLICE("HTTP");
    }
    if (!(with & (MAIL_WITH_ESMTP | MAIL_WITH_TLS | MAIL_WITH_AUTH | MAIL_WITH_UTF8))) {
        return SLICE("SMTP");
    }
    size_t column = (with & MAIL_WITH_TLS ? 1u : 0u) + (with & MAIL_WITH_AUTH ? 2u : 0u);
    return words[with & MAIL_WITH_UTF8 ? 1 : 0][column];
}

/* A word from outside: nothing in it may open a comment, a quoted string or another line. */
static void add_word(struct buf *out, struct slice word, struct slice missing)
{
    word = slice_first(word.len ? word : missing, TRACE_WORD_BYTES);
    for (size_t i = 0; i < word.len; i++) {
        char c = word.ptr[i];
        bool bad = c <= ' ' || c > 0x7E || memchr("()<>\\\",;@", c, 9) != NULL;
        buf_add_byte(out, bad ? '?' : c);
    }
}

/* The address was checked by the path parser; UTF-8 stays only where the header may hold it. */
static void add_rcpt(struct buf *out, struct slice rcpt, bool utf8_ok)
{
    utf8_ok = utf8_ok && utf8_valid(rcpt);
    rcpt = slice_first(rcpt, TRACE_WORD_BYTES);
    for (size_t i = 0; i < rcpt.len; i++) {
        unsigned char c = (unsigned char)rcpt.ptr[i];
        bool bad = c < ' ' || c == 0x7F || (c >= 0x80 && !utf8_ok);
        buf_add_byte(out, bad ? '?' : rcpt.ptr[i]);
    }
}

void mail_trace_add_received(struct buf *out, const struct mail_trace *t)
{
    buf_add(out, SLICE("Received: from "));
    add_word(out, t->helo, SLICE("unknown"));
    if (t->ip.len) {
        buf_add(out, SLICE(" ("));
        add_word(out, t->rdns, SLICE("unknown"));
        buf_add(out, slice_find_byte(t->ip, ':') >= 0 ? SLICE(" [IPv6:") : SLICE(" ["));
        add_word(out, t->ip, SLICE("unknown"));
        buf_add(out, SLICE("])"));
    }
    buf_add(out, SLICE("\r\n\tby "));
    add_word(out, t->host, SLICE("unknown"));
    buf_add(out, SLICE(" (Ringpost) with "));
    buf_add(out, mail_trace_with(t->with));
    buf_add(out, SLICE(" id "));
    add_word(out, t->id, SLICE("unknown"));
    if (t->rcpt.len) {
        buf_add(out, SLICE("\r\n\tfor <"));
        add_rcpt(out, t->rcpt, (t->with & MAIL_WITH_UTF8) != 0);
        buf_add(out, SLICE(">"));
    }
    buf_add(out, SLICE(";\r\n\t"));
    clock_add_rfc5322(out, t->wall_us);
    buf_add(out, SLICE("\r\n"));
}
