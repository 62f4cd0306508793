/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Parameters are added only when the peer offered the extension: RFC 5321 2.2.1 forbids others, and
 * many peers answer 555 to them.
 */
#include "proto/smtp/client_command.h"

#include "core/base/must.h"

static bool is_text(unsigned char c, bool utf8)
{
    return (c > 0x20 && c < 0x7f) || (utf8 && c >= 0x80);
}

bool smtp_envelope_address_ok(struct slice address, bool utf8)
{
    bool quoted = false;
    bool escaped = false;
    if (address.len > LIMIT_ADDRESS_BYTES) {
        return false;
    }
    for (size_t i = 0; i < address.len; i++) {
        unsigned char c = (unsigned char)address.ptr[i];
        if (!is_text(c, utf8) && !(c == ' ' && quoted)) {
            return false;
        }
        if (escaped) {
            escaped = false;
        } else if (c == '"') {
            quoted = !quoted;
        } else if (quoted && c == '\\') {
            escaped = true;
        } else if (!quoted && (c == '<' || c == '>')) {
            return false;
        }
    }
    return !quoted;
}

bool smtp_envelope_value_ok(struct slice value, size_t bytes_max, bool utf8)
{
    for (size_t i = 0; i < value.len; i++) {
        if (!is_text((unsigned char)value.ptr[i], utf8)) {
            return false;
        }
    }
    return value.len <= bytes_max;
}

void smtp_command_mail(struct buf *out, const struct smtp_client_txn *txn,
                       const struct smtp_caps *caps)
{
    must(smtp_envelope_address_ok(txn->sender, txn->flags & SMTP_TXN_SMTPUTF8));
    buf_add(out, SLICE("MAIL FROM:<"));
    buf_add(out, txn->sender);
    buf_add_byte(out, '>');
    if (caps->size) {
        buf_add(out, SLICE(" SIZE="));
        buf_add_u64(out, txn->body_bytes);
    }
    if (caps->eightbitmime && (txn->flags & SMTP_TXN_BODY_8BIT)) {
        buf_add(out, SLICE(" BODY=8BITMIME"));
    }
    if (caps->smtputf8 && (txn->flags & SMTP_TXN_SMTPUTF8)) {
        buf_add(out, SLICE(" SMTPUTF8"));
    }
    if (caps->deliverby && txn->by_mode) {
        must(txn->by_mode == 'N' || txn->by_s > 0);
        buf_addf(out, " BY=%d;%c%s", txn->by_s, txn->by_mode, txn->by_trace ? "T" : "");
    }
    if (caps->dsn) {
        if (txn->ret != MAIL_RET_DEFAULT) {
            buf_add(out, txn->ret == MAIL_RET_FULL ? SLICE(" RET=FULL") : SLICE(" RET=HDRS"));
        }
        if (txn->envid.len > 0) {
            must(smtp_envelope_value_ok(txn->envid, LIMIT_ENVID_BYTES, false));
            buf_add(out, SLICE(" ENVID="));
            buf_add(out, txn->envid);
        }
    }
    buf_add(out, SLICE("\r\n"));
}

static void notify_add(struct buf *out, uint8_t notify)
{
    static const struct {
        uint8_t bit;
        struct slice word;
    } words[] = {
        {MAIL_NOTIFY_NEVER, SLICE_INIT("NEVER")},
        {MAIL_NOTIFY_SUCCESS, SLICE_INIT("SUCCESS")},
        {MAIL_NOTIFY_FAILURE, SLICE_INIT("FAILURE")},
        {MAIL_NOTIFY_DELAY, SLICE_INIT("DELAY")},
    };
    struct slice sep = SLICE(" NOTIFY=");
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        if (notify & words[i].bit) {
            buf_add(out, sep);
            buf_add(out, words[i].word);
            sep = SLICE(",");
        }
        if (words[i].bit == MAIL_NOTIFY_NEVER && (notify & MAIL_NOTIFY_NEVER)) {
            return; /* RFC 3461 4.1: NEVER stands alone */
        }
    }
}

void smtp_command_rcpt(struct buf *out, const struct smtp_client_txn *txn,
                       const struct smtp_client_rcpt *rcpt, const struct smtp_caps *caps)
{
    must(rcpt->address.len > 0);
    must(smtp_envelope_address_ok(rcpt->address, txn->flags & SMTP_TXN_SMTPUTF8));
    buf_add(out, SLICE("RCPT TO:<"));
    buf_add(out, rcpt->address);
    buf_add_byte(out, '>');
    if (caps->dsn) {
        notify_add(out, rcpt->notify);
        if (rcpt->orcpt.len > 0) {
            must(smtp_envelope_value_ok(rcpt->orcpt, LIMIT_ORCPT_BYTES,
                                        txn->flags & SMTP_TXN_SMTPUTF8));
            buf_add(out, SLICE(" ORCPT="));
            buf_add(out, rcpt->orcpt);
        }
    }
    buf_add(out, SLICE("\r\n"));
}
