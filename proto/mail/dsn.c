/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The message around the report: header, boundaries, the original. One pass over the original finds
 * out what may be returned (line length, 8-bit), then everything is appended once. No MIME encoding
 * is applied to the original: message/rfc822 must not be encoded (RFC 2046 5.2.1), so 8-bit content
 * is declared 8bit and long lines reduce the original to its headers.
 */
#include "proto/mail/dsn.h"

#include "core/base/clock.h"
#include "core/base/must.h"
#include "core/base/utf8.h"
#include "proto/mail/dsn_private.h"

#include <stdio.h>

enum { LINE_BYTES_MAX = 998, BOUNDARY_BYTES = 40 };

bool dsn_wanted(uint8_t notify, enum dsn_action action, bool sender_is_null)
{
    if (sender_is_null || (notify & MAIL_NOTIFY_NEVER)) {
        return false;
    }
    switch (action) {
    case DSN_FAILED:
    case DSN_EXPIRED:
        return notify == MAIL_NOTIFY_DEFAULT || (notify & MAIL_NOTIFY_FAILURE);
    case DSN_DELAYED:
        return notify == MAIL_NOTIFY_DEFAULT || (notify & MAIL_NOTIFY_DELAY);
    case DSN_DELIVERED:
    case DSN_RELAYED:
        return notify & MAIL_NOTIFY_SUCCESS;
    }
    must_fail("a dsn action", __FILE__, __LINE__);
}

/* No line above LINE_BYTES_MAX? */
static bool lines_fit(struct slice text)
{
    while (text.len > 0) {
        struct slice line = slice_cut(&text, '\n');
        if (line.len > LINE_BYTES_MAX + 1) { /* with its CR */
            return false;
        }
    }
    return true;
}

/* What of the original goes back. */
struct original {
    bool full;
    bool eightbit;
    struct buf headers; /* the fields that go back, when not full */
};

/* One field with its continuation lines off the front of *text. */
static struct slice field_cut(struct slice *text)
{
    struct slice all = *text;
    do {
        (void)slice_cut(text, '\n');
    } while (text->len > 0 && (text->ptr[0] == ' ' || text->ptr[0] == '\t'));
    return slice_first(all, all.len - text->len);
}

static void headers_take(struct original *o, struct slice headers)
{
    while (headers.len > 0) {
        struct slice field = field_cut(&headers);
        if (o->headers.len + field.len > DSN_HEADERS_BYTES_MAX) {
            return; /* cut at a field border */
        }
        if (lines_fit(field)) {
            buf_add(&o->headers, field);
        }
    }
}

static void original_take(struct original *o, const struct dsn *d)
{
    *o = (struct original){.full = false};
    buf_init(&o->headers, DSN_HEADERS_BYTES_MAX + 2);
    uint64_t bytes = (uint64_t)d->headers.len + 2 + d->body_bytes;
    o->full = dsn_worst(d) == DSN_FAILED && d->ret != MAIL_RET_HDRS && d->body.ptr &&
              d->body.len == d->body_bytes && bytes <= d->original_bytes_max &&
              lines_fit(d->headers) && lines_fit(d->body);
    if (o->full) {
        o->eightbit = utf8_has_8bit(d->headers) || utf8_has_8bit(d->body);
        return;
    }
    headers_take(o, d->headers);
    o->eightbit = utf8_has_8bit(buf_slice(&o->headers));
}

static bool contains(struct slice text, struct slice what)
{
    return text.len > 0 && memmem(text.ptr, text.len, what.ptr, what.len) != NULL;
}

/* A boundary that occurs nowhere in the original. `unique` is random, so one try is the rule. */
static struct slice boundary_make(char dst[BOUNDARY_BYTES], const struct dsn *d)
{
    struct slice b;
    unsigned attempt = 0;
    do {
        int n = snprintf(dst, BOUNDARY_BYTES, "=_ringpost_%016llx_%u",
                         (unsigned long long)d->unique, attempt++);
        must(n > 0 && n < BOUNDARY_BYTES);
        b = slice_of(dst, (size_t)n);
    } while (contains(d->headers, b) || contains(d->body, b));
    return b;
}

static struct slice subject(enum dsn_action worst)
{
    switch (worst) {
    case DSN_FAILED:
    case DSN_EXPIRED:
        return SLICE("Subject: Undelivered mail returned to sender\r\n");
    case DSN_DELAYED:
        return SLICE("Subject: Delayed mail (still being retried)\r\n");
    case DSN_DELIVERED:
    case DSN_RELAYED:
        return SLICE("Subject: Successful mail delivery report\r\n");
    }
    must_fail("a dsn action", __FILE__, __LINE__);
}

static void add_header(struct buf *out, const struct dsn *d, struct slice boundary, bool eightbit)
{
    buf_add(out, SLICE("From: Mail Delivery System <"));
    if (d->from.len > 0) {
        dsn_add_word(out, d->from, false);
    } else {
        buf_add(out, SLICE("MAILER-DAEMON@"));
        dsn_add_word(out, d->reporting_mta, false);
    }
    buf_add(out, SLICE(">\r\nTo: <"));
    dsn_add_word(out, d->sender, true);
    buf_add(out, SLICE(">\r\n"));
    buf_add(out, subject(dsn_worst(d)));
    buf_add(out, SLICE("Date: "));
    clock_add_rfc5322(out, d->now_us);
    buf_addf(out, "\r\nMessage-ID: <%llu.%016llx.dsn@", (unsigned long long)d->now_us,
             (unsigned long long)d->unique);
    dsn_add_word(out, d->reporting_mta, false);
    /* RFC 3834 5: nobody answers this automatically. */
    buf_add(out, SLICE(">\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
                       "Content-Type: multipart/report; report-type=delivery-status;\r\n"
                       "\tboundary=\""));
    buf_add(out, boundary);
    buf_add(out, SLICE("\"\r\n"));
    if (eightbit) {
        buf_add(out, SLICE("Content-Transfer-Encoding: 8bit\r\n"));
    }
    buf_add(out, SLICE("\r\nThis is a delivery status notification in MIME format.\r\n"));
}

static void add_part(struct buf *out, struct slice boundary, struct slice type, bool eightbit)
{
    buf_add(out, SLICE("\r\n--"));
    buf_add(out, boundary);
    buf_add(out, SLICE("\r\nContent-Type: "));
    buf_add(out, type);
    buf_add(out,
            eightbit ? SLICE("\r\nContent-Transfer-Encoding: 8bit\r\n\r\n") : SLICE("\r\n\r\n"));
}

static void add_original(struct buf *out, const struct dsn *d, const struct original *o,
                         struct slice boundary)
{
    struct slice type = o->full ? (d->smtputf8 ? SLICE("message/global") : SLICE("message/rfc822"))
                                : (d->smtputf8 ? SLICE("message/global-headers")
                                               : SLICE("text/rfc822-headers"));
    struct slice headers = o->full ? d->headers : buf_slice(&o->headers);
    add_part(out, boundary, type, o->eightbit);
    buf_add(out, headers);
    if (headers.len > 0 && headers.ptr[headers.len - 1] != '\n') {
        buf_add(out, SLICE("\r\n"));
    }
    if (o->full) {
        buf_add(out, SLICE("\r\n"));
        buf_add(out, d->body);
    }
    buf_add(out, SLICE("\r\n--"));
    buf_add(out, boundary);
    buf_add(out, SLICE("--\r\n"));
}

static bool recipients_8bit(const struct dsn *d)
{
    for (uint32_t i = 0; i < d->rcpt_count; i++) {
        if (utf8_has_8bit(d->rcpts[i].address)) {
            return true;
        }
    }
    return false;
}

bool dsn_build(struct buf *out, const struct dsn *d, struct dsn_facts *facts)
{
    char space[BOUNDARY_BYTES];
    struct original original;
    if (d->rcpt_count == 0 || d->sender.len == 0 || out->overflow) {
        return false;
    }
    original_take(&original, d);
    bool report_8bit = d->smtputf8 || recipients_8bit(d);
    bool eightbit = report_8bit || original.eightbit;
    struct slice boundary = boundary_make(space, d);

    add_header(out, d, boundary, eightbit);
    add_part(out, boundary, SLICE("text/plain; charset=utf-8"), report_8bit);
    dsn_add_text(out, d);
    add_part(out, boundary,
             report_8bit ? SLICE("message/global-delivery-status")
                         : SLICE("message/delivery-status"),
             report_8bit);
    dsn_add_status(out, d, report_8bit);
    add_original(out, d, &original, boundary);
    *facts = (struct dsn_facts){.body_8bit = eightbit,
                                .smtputf8 = utf8_has_8bit(d->sender),
                                .full = original.full};
    buf_deinit(&original.headers);
    return !out->overflow;
}
