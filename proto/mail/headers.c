/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 *   LINE_START ──field──► VALUE ──LF──► LINE_START
 *       │  └─ name cut by the input's end: kept in held, asked again with more input
 *       │ empty line, or no field
 *       ▼
 *    AT_END ──END event──► SEPARATOR (only where one is missing and needed) ──► HELD ──► PASS
 *
 * Invariant while in the header: bytes [from, at) of the input are to be handed out; while a field is
 * being removed from == at. So a removal first hands out what stands before it and looks at the line
 * again with the next call, which costs one more look at a name per removed field.
 */
#include "proto/mail/headers.h"

#include "core/base/clock.h"
#include "core/base/must.h"

enum { LINE_START, VALUE, AT_END, SEPARATOR, HELD, PASS };

enum line_kind { LINE_FIELD, LINE_CONTINUATION, LINE_EMPTY, LINE_NO_HEADER, LINE_CUT };

static const struct {
    struct slice name;
    uint32_t bit;
} known_fields[] = {
    {SLICE_INIT("Date"), MAIL_FIELD_DATE},
    {SLICE_INIT("From"), MAIL_FIELD_FROM},
    {SLICE_INIT("Message-ID"), MAIL_FIELD_MESSAGE_ID},
    {SLICE_INIT("To"), MAIL_FIELD_TO},
    {SLICE_INIT("Cc"), MAIL_FIELD_CC},
    {SLICE_INIT("Bcc"), MAIL_FIELD_BCC},
    {SLICE_INIT("Subject"), MAIL_FIELD_SUBJECT},
    {SLICE_INIT("Sender"), MAIL_FIELD_SENDER},
    {SLICE_INIT("Reply-To"), MAIL_FIELD_REPLY_TO},
    {SLICE_INIT("Received"), MAIL_FIELD_RECEIVED},
    {SLICE_INIT("MIME-Version"), MAIL_FIELD_MIME_VERSION},
    {SLICE_INIT("DKIM-Signature"), MAIL_FIELD_DKIM_SIGNATURE},
    {SLICE_INIT("Auto-Submitted"), MAIL_FIELD_AUTO_SUBMITTED},
    {SLICE_INIT("Resent-Date"), MAIL_FIELD_RESENT_DATE},
    {SLICE_INIT("Resent-From"), MAIL_FIELD_RESENT_FROM},
    {SLICE_INIT("Resent-Message-ID"), MAIL_FIELD_RESENT_MESSAGE_ID},
};

void mail_headers_init(struct mail_headers *h, const struct mail_headers_config *c)
{
    must(c->strip_count == 0 || c->strip != NULL);
    must(c->take_count <= c->strip_count);
    *h = (struct mail_headers){.config = c, .state = LINE_START};
    buf_init(&h->held, 2 * MAIL_FIELD_NAME_MAX + 2);
    buf_init(&h->taken, MAIL_TAKEN_BYTES_MAX);
}

void mail_headers_deinit(struct mail_headers *h)
{
    buf_deinit(&h->held);
    buf_deinit(&h->taken);
}

bool mail_headers_passing(const struct mail_headers *h)
{
    return h->state == PASS && !h->held_out;
}

/* RFC 5322 2.2 and 4.5: a name, perhaps white space, a colon. */
static enum line_kind classify(struct slice line, bool any_field, struct slice *name)
{
    size_t i = 0;
    while (i < line.len && i <= MAIL_FIELD_NAME_MAX && line.ptr[i] > ' ' && line.ptr[i] < 0x7F &&
           line.ptr[i] != ':') {
        i++;
    }
    *name = slice_first(line, i);
    if (i == 0) {
        must(line.len > 0);
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): what has a length has a place */
        bool space = line.ptr[0] == ' ' || line.ptr[0] == '\t';
        if (space && any_field) {
            return LINE_CONTINUATION;
        }
        return line.ptr[0] == '\r' ? LINE_EMPTY : LINE_NO_HEADER;
    }
    while (i < line.len && i <= MAIL_FIELD_NAME_MAX &&
           (line.ptr[i] == ' ' || line.ptr[i] == '\t')) {
        i++;
    }
    if (i > MAIL_FIELD_NAME_MAX) {
        return LINE_NO_HEADER;
    }
    if (i == line.len) {
        return LINE_CUT;
    }
    return line.ptr[i] == ':' ? LINE_FIELD : LINE_NO_HEADER;
}

/* Index among the names to be removed; strip_count: it stays. */
static size_t strip_index(const struct mail_headers *h, struct slice name)
{
    size_t i = 0;
    while (i < h->config->strip_count && !slice_eq_nocase(h->config->strip[i], name)) {
        i++;
    }
    return i;
}

static void note_field(struct mail_headers *h, struct slice name)
{
    h->present |= MAIL_FIELD_ANY;
    if (slice_starts_nocase(name, SLICE("Resent-"))) {
        h->present |= MAIL_FIELD_RESENT_ANY;
    }
    for (size_t i = 0; i < ARRAY_COUNT(known_fields); i++) {
        if (slice_eq_nocase(known_fields[i].name, name)) {
            h->present |= known_fields[i].bit;
        }
    }
}

/* AT_END to PASS: what comes between header and body. */
static enum mail_headers_event tail_events(struct mail_headers *h, struct slice *out)
{
    if (h->state == AT_END) {
        h->state = SEPARATOR;
        return MAIL_HEADERS_END;
    }
    if (h->state == SEPARATOR) {
        h->state = HELD;
        if (h->separate) {
            *out = SLICE("\r\n");
            return MAIL_HEADERS_DATA;
        }
    }
    must(h->state == HELD);
    h->state = PASS;
    if (h->held.len) {
        h->held_out = true;
        *out = buf_slice(&h->held);
        return MAIL_HEADERS_DATA;
    }
    return MAIL_HEADERS_WANT_INPUT;
}

/* What a line's beginning leads to. */
enum verdict { LOOK_ON, HAND_OUT, NEED_MORE, HELD_FIRST };

static enum verdict take_field(struct mail_headers *h, struct slice name, bool run_open)
{
    size_t index = strip_index(h, name);
    bool strip = index < h->config->strip_count;
    if (strip && run_open) {
        return HAND_OUT;
    }
    h->taking = index < h->config->take_count;
    if (h->taking) {
        buf_add(&h->taken, buf_slice(&h->held));
    }
    if (strip) {
        h->stripped += h->held.len;
        h->present |= MAIL_FIELD_ANY;
        buf_release(&h->held);
    } else {
        note_field(h, name);
    }
    h->skipping = strip;
    h->state = VALUE;
    if (h->held.len) {
        h->held_out = true;
        return HELD_FIRST;
    }
    return LOOK_ON;
}

static enum verdict line_begin(struct mail_headers *h, struct slice rest, bool run_open,
                               size_t *used)
{
    struct slice line = rest;
    struct slice name;
    size_t held_len = h->held.len;
    if (held_len) {
        buf_add(&h->held, slice_first(rest, MAIL_FIELD_NAME_MAX + 1));
        line = buf_slice(&h->held);
    }
    enum line_kind kind = classify(line, (h->present & MAIL_FIELD_ANY) != 0, &name);
    h->held.len = held_len; /* name may still point behind it: the bytes stay */
    if (kind == LINE_CONTINUATION) {
        h->state = VALUE;
        return LOOK_ON;
    }
    if (kind == LINE_FIELD) {
        return take_field(h, name, run_open);
    }
    if (run_open) {
        return HAND_OUT;
    }
    if (kind == LINE_CUT) {
        buf_add(&h->held, rest);
        if (!h->held.overflow) {
            *used = rest.len;
            return NEED_MORE;
        }
    }
    h->skipping = false;
    h->state = AT_END;
    h->separate = kind != LINE_EMPTY && h->config->adds_fields;
    return HAND_OUT;
}

static enum mail_headers_event header_step(struct mail_headers *h, struct slice *in,
                                           struct slice *out)
{
    size_t at = 0;
    size_t from = 0;
    enum verdict verdict = LOOK_ON;
    while (at < in->len && verdict == LOOK_ON) {
        size_t used = 0;
        if (h->state == LINE_START) {
            verdict = line_begin(h, slice_skip(*in, at), at > from, &used);
        } else {
            const char *lf = memchr(in->ptr + at, '\n', in->len - at);
            used = lf ? (size_t)(lf - in->ptr) + 1 - at : in->len - at;
            h->state = lf ? LINE_START : VALUE;
            h->stripped += h->skipping ? used : 0;
            if (h->skipping && h->taking) {
                buf_add(&h->taken, slice_of(in->ptr + at, used));
            }
        }
        at += used;
        if (h->skipping || verdict == NEED_MORE) {
            from = at;
        }
    }
    *out = slice_of(in->ptr + from, at - from);
    *in = slice_skip(*in, at);
    if (verdict == HELD_FIRST) {
        must(out->len == 0);
        *out = buf_slice(&h->held);
    }
    if (out->len) {
        return MAIL_HEADERS_DATA;
    }
    return h->state == AT_END ? tail_events(h, out) : MAIL_HEADERS_WANT_INPUT;
}

enum mail_headers_event mail_headers_step(struct mail_headers *h, struct slice *in,
                                          struct slice *out)
{
    if (h->held_out) {
        buf_release(&h->held);
        h->held_out = false;
    }
    while (h->state == AT_END || h->state == SEPARATOR || h->state == HELD) {
        enum mail_headers_event event = tail_events(h, out);
        if (event != MAIL_HEADERS_WANT_INPUT) {
            return event;
        }
    }
    if (in->len == 0) {
        return MAIL_HEADERS_WANT_INPUT;
    }
    if (h->state == PASS) {
        *out = *in;
        *in = slice_skip(*in, in->len);
        return MAIL_HEADERS_DATA;
    }
    return header_step(h, in, out);
}

enum mail_headers_event mail_headers_finish(struct mail_headers *h, struct slice *out)
{
    struct slice none = {NULL, 0};
    if (h->state == LINE_START || h->state == VALUE) {
        /* All header; a held piece of a name is no field any more. */
        if (h->held_out) {
            buf_release(&h->held);
            h->held_out = false;
        }
        h->state = AT_END;
        h->separate = h->held.len && h->config->adds_fields;
    }
    return mail_headers_step(h, &none, out);
}

static void add_field(struct buf *out, bool resent, struct slice name)
{
    buf_add(out, resent ? SLICE("Resent-") : SLICE(""));
    buf_add(out, name);
    buf_add(out, SLICE(": "));
}

void mail_headers_add_missing(struct buf *out, uint32_t present, const struct mail_missing *m)
{
    bool resent = (present & MAIL_FIELD_RESENT_ANY) != 0;
    must(m->host.len > 0 && m->id.len > 0);
    if (!(present & (resent ? MAIL_FIELD_RESENT_MESSAGE_ID : MAIL_FIELD_MESSAGE_ID))) {
        add_field(out, resent, SLICE("Message-ID"));
        buf_add(out, SLICE("<"));
        buf_add(out, m->id);
        buf_add(out, SLICE("@"));
        buf_add(out, m->host);
        buf_add(out, SLICE(">\r\n"));
    }
    if (!(present & (resent ? MAIL_FIELD_RESENT_DATE : MAIL_FIELD_DATE))) {
        add_field(out, resent, SLICE("Date"));
        clock_add_rfc5322(out, m->wall_us);
        buf_add(out, SLICE("\r\n"));
    }
    if (!m->no_from && !(present & (resent ? MAIL_FIELD_RESENT_FROM : MAIL_FIELD_FROM))) {
        add_field(out, resent, SLICE("From"));
        if (m->sender.len) {
            buf_add(out, m->sender);
        } else {
            buf_add(out, SLICE("MAILER-DAEMON@"));
            buf_add(out, m->host);
        }
        buf_add(out, SLICE("\r\n"));
    }
}
