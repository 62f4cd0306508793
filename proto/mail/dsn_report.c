/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The two report parts. All remote text goes through outcome_text_clean and stands behind a field
 * name or an indent of ours, so it can neither begin a line nor look like a boundary.
 */
#include "proto/mail/dsn_private.h"

#include "core/base/clock.h"
#include "core/base/must.h"
#include "core/base/utf8.h"
#include "proto/smtp/xtext.h"

enum { TEXT_COLUMNS = 76, WORD_BYTES_MAX = 900 };

enum dsn_action dsn_worst(const struct dsn *d)
{
    enum dsn_action worst = DSN_RELAYED;
    for (uint32_t i = 0; i < d->rcpt_count; i++) {
        switch (d->rcpts[i].action) {
        case DSN_FAILED:
        case DSN_EXPIRED:
            return DSN_FAILED;
        case DSN_DELAYED:
            worst = DSN_DELAYED;
            break;
        case DSN_DELIVERED:
        case DSN_RELAYED:
            break;
        }
    }
    return worst;
}

void dsn_add_word(struct buf *out, struct slice s, bool utf8)
{
    size_t begin = out->len;
    for (size_t i = 0; i < s.len && out->len - begin < WORD_BYTES_MAX; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c >= 0x80 && !utf8) {
            buf_addf(out, "\\x%02X", c);
        } else {
            buf_add_byte(out, c < 0x20 || c == 0x7f ? '?' : s.ptr[i]);
        }
    }
}

/* --- text/plain ------------------------------------------------------------------------------ */

/* Words of clean text, wrapped, every line indented. */
static void add_wrapped(struct buf *out, struct slice text)
{
    size_t column = 0;
    while (text.len > 0) {
        struct slice word = slice_cut(&text, ' ');
        if (column > 0 && column + 1 + word.len > TEXT_COLUMNS) {
            buf_add(out, SLICE("\r\n"));
            column = 0;
        }
        buf_add(out, column == 0 ? SLICE("    ") : SLICE(" "));
        buf_add(out, word);
        column += word.len + (column == 0 ? 4 : 1);
    }
    buf_add(out, SLICE("\r\n"));
}

static void add_reason(struct buf *out, const struct dsn_rcpt *r)
{
    struct buf line;
    buf_init(&line, 8 * LIMIT_OUTCOME_TEXT_BYTES);
    if (r->outcome.remote) {
        if (r->remote_mta.len > 0) {
            outcome_text_add(&line, r->remote_mta);
        } else {
            buf_add(&line, SLICE("The remote server"));
        }
        buf_add(&line, SLICE(" said: "));
    }
    outcome_add_line(&line, &r->outcome);
    if (r->outcome.unknown) {
        buf_add(&line, SLICE(" (the connection was lost after the message had been sent, it may "
                             "have arrived)"));
    }
    add_wrapped(out, buf_slice(&line));
    buf_deinit(&line);
}

static struct slice intro(enum dsn_action action)
{
    switch (action) {
    case DSN_FAILED:
        return SLICE("Your message could not be delivered to:\r\n\r\n");
    case DSN_EXPIRED:
        return SLICE("Delivery was not possible in time, and has now been given up, for:\r\n\r\n");
    case DSN_DELAYED:
        return SLICE("Your message could not be delivered yet, and will be tried again, to:\r\n"
                     "(This is a warning only. You do not need to send your message again.)\r\n"
                     "\r\n");
    case DSN_DELIVERED:
        return SLICE("Your message was delivered to:\r\n\r\n");
    case DSN_RELAYED:
        return SLICE("Your message was handed on to a mail server that sends no such reports, "
                     "for:\r\n\r\n");
    }
    must_fail("a dsn action", __FILE__, __LINE__);
}

static void add_text_group(struct buf *out, const struct dsn *d, enum dsn_action action)
{
    bool first = true;
    for (uint32_t i = 0; i < d->rcpt_count; i++) {
        const struct dsn_rcpt *r = &d->rcpts[i];
        if (r->action != action) {
            continue;
        }
        if (first) {
            buf_add(out, intro(action));
            first = false;
        }
        buf_add(out, SLICE("  <"));
        dsn_add_word(out, r->address, true);
        buf_add(out, SLICE(">\r\n"));
        add_reason(out, r);
        buf_add(out, SLICE("\r\n"));
    }
    if (!first && action == DSN_DELAYED && d->retry_until_us > 0) {
        buf_add(out, SLICE("It will be tried until "));
        clock_add_rfc5322(out, d->retry_until_us);
        buf_add(out, SLICE(".\r\n\r\n"));
    }
}

void dsn_add_text(struct buf *out, const struct dsn *d)
{
    static const enum dsn_action order[] = {DSN_FAILED, DSN_EXPIRED, DSN_DELAYED, DSN_RELAYED,
                                            DSN_DELIVERED};
    buf_add(out, SLICE("This is the mail system at "));
    dsn_add_word(out, d->reporting_mta, false);
    buf_add(out, SLICE(".\r\n\r\n"));
    for (size_t i = 0; i < ARRAY_COUNT(order); i++) {
        add_text_group(out, d, order[i]);
    }
    buf_add(out, SLICE("Your message is attached, or its headers. If you ask for help, please "
                       "include this report.\r\n"));
}

/* --- message/delivery-status ----------------------------------------------------------------- */

static void add_date_field(struct buf *out, struct slice name, uint64_t wall_us)
{
    if (wall_us > 0) {
        buf_add(out, name);
        clock_add_rfc5322(out, wall_us);
        buf_add(out, SLICE("\r\n"));
    }
}

static struct slice action_word(enum dsn_action action)
{
    switch (action) {
    case DSN_FAILED:
    case DSN_EXPIRED:
        return SLICE("failed");
    case DSN_DELAYED:
        return SLICE("delayed");
    case DSN_DELIVERED:
        return SLICE("delivered");
    case DSN_RELAYED:
        return SLICE("relayed");
    }
    must_fail("a dsn action", __FILE__, __LINE__);
}

/* RFC 3464 2.3.4: the status must agree with the action. The last answer may not (an expired
 * message had temporary ones, a 450 may carry 5.x.x): then only the class is kept right. */
static struct enhanced status_of(const struct dsn_rcpt *r)
{
    struct enhanced e = r->outcome.enhanced;
    uint8_t cls = 0;
    switch (r->action) {
    case DSN_EXPIRED:
        /* Delivery time expired: of the message's own time that is final (RFC 2852 4). */
        return (struct enhanced){e.cls == 5 && e.subject == 4 && e.detail == 7 ? 5 : 4, 4, 7};
    case DSN_FAILED:
        cls = 5;
        break;
    case DSN_DELAYED:
        cls = 4;
        break;
    case DSN_DELIVERED:
    case DSN_RELAYED:
        cls = 2;
        break;
    }
    return e.cls == cls ? e : (struct enhanced){cls, 0, 0};
}

/* "rfc822;xtext" as it came, decoded (RFC 3464 2.3.1). utf-8 addresses are decoded only where UTF-8
 * may stand; elsewhere their encoded form is the right one (RFC 6533 4). Undecodable: left out. */
static void add_original_recipient(struct buf *out, struct slice orcpt, bool global)
{
    struct slice value = orcpt;
    struct slice type = slice_cut(&value, ';');
    struct buf decoded;
    bool utf8 = slice_eq_nocase(type, SLICE("utf-8"));
    if (type.len == 0 || value.len == 0 || type.len > 40) {
        return;
    }
    buf_init(&decoded, 2 * LIMIT_ORCPT_BYTES);
    bool ok;
    if (utf8 && global) {
        ok = smtp_utf8_xtext_decode(value, true, &decoded);
    } else if (utf8) {
        ok = !utf8_has_8bit(value);
        buf_add(&decoded, value);
    } else {
        ok = smtp_xtext_decode(value, &decoded);
    }
    if (ok) {
        buf_add(out, SLICE("Original-Recipient: "));
        dsn_add_word(out, type, false);
        buf_add(out, SLICE("; "));
        dsn_add_word(out, buf_slice(&decoded), global);
        buf_add(out, SLICE("\r\n"));
    }
    buf_deinit(&decoded);
}

static void add_rcpt_fields(struct buf *out, const struct dsn *d, const struct dsn_rcpt *r,
                            bool global)
{
    bool utf8 = utf8_has_8bit(r->address);
    buf_add(out, SLICE("\r\n"));
    add_original_recipient(out, r->orcpt, global);
    buf_add(out, utf8 && global ? SLICE("Final-Recipient: utf-8; ")
                                : SLICE("Final-Recipient: rfc822; "));
    dsn_add_word(out, r->address, global);
    buf_add(out, SLICE("\r\nAction: "));
    buf_add(out, action_word(r->action));
    buf_add(out, SLICE("\r\nStatus: "));
    enhanced_add(out, status_of(r));
    buf_add(out, SLICE("\r\n"));
    if (r->remote_mta.len > 0) {
        buf_add(out, SLICE("Remote-MTA: dns; "));
        outcome_text_add(out, r->remote_mta);
        buf_add(out, SLICE("\r\n"));
    }
    if (r->outcome.text.len > 0 || r->outcome.code != 0) {
        /* Only what a peer said is of type smtp. */
        buf_add(out, r->outcome.remote ? SLICE("Diagnostic-Code: smtp; ")
                                       : SLICE("Diagnostic-Code: x-ringpost; "));
        outcome_add_line(out, &r->outcome);
        buf_add(out, SLICE("\r\n"));
    }
    add_date_field(out, SLICE("Last-Attempt-Date: "), r->last_attempt_us);
    if (r->action == DSN_DELAYED) {
        add_date_field(out, SLICE("Will-Retry-Until: "), d->retry_until_us);
    }
}

void dsn_add_status(struct buf *out, const struct dsn *d, bool global)
{
    buf_add(out, SLICE("Reporting-MTA: dns; "));
    dsn_add_word(out, d->reporting_mta, false);
    buf_add(out, SLICE("\r\n"));
    if (d->envid.len > 0) {
        struct buf envid;
        buf_init(&envid, LIMIT_ENVID_BYTES);
        if (smtp_xtext_decode(d->envid, &envid)) {
            buf_add(out, SLICE("Original-Envelope-Id: "));
            dsn_add_word(out, buf_slice(&envid), false);
            buf_add(out, SLICE("\r\n"));
        }
        buf_deinit(&envid);
    }
    if (d->queue_id.len > 0) {
        buf_add(out, SLICE("X-Ringpost-Queue-ID: "));
        dsn_add_word(out, d->queue_id, false);
        buf_add(out, SLICE("\r\n"));
    }
    add_date_field(out, SLICE("Arrival-Date: "), d->arrival_us);
    add_date_field(out, SLICE("Deliver-By-Date: "), d->deliver_by_us);
    for (uint32_t i = 0; i < d->rcpt_count; i++) {
        add_rcpt_fields(out, d, &d->rcpts[i], global);
    }
}
