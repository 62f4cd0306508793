/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * DATA and BDAT. Whatever goes wrong with a message, its octets are read to their end first and the
 * reply follows there, so that the next byte is a command again. A BDAT chunk announces its length:
 * SWALLOW skips the chunks that nobody wants. Only a length that cannot be read, or a refused chunk
 * above bdat_swallow_max, ends the session.
 */
#include "proto/smtp/server_tx.h"

static const struct smtp_verdict no_recipients = {554, false, SLICE_INIT("5.5.1"),
                                                  SLICE_INIT("No valid recipients")};
static const struct smtp_verdict need_mail = {503, false, SLICE_INIT("5.5.1"),
                                              SLICE_INIT("Need MAIL and RCPT first")};
static const struct smtp_verdict need_rcpt = {503, false, SLICE_INIT("5.5.1"),
                                              SLICE_INIT("Need RCPT first")};
static const struct smtp_verdict too_big = {552, false, SLICE_INIT("5.3.4"),
                                            SLICE_INIT("Message exceeds the size limit")};

void smtp_server_run_data(struct smtp_server *s, struct slice arg, struct buf *out)
{
    must(arg.len == 0 && s->tx != NULL);
    if (s->state == SMTP_STATE_RCPT) {
        smtp_server_set_state(s, SMTP_STATE_CHECK_DATA);
    } else if (s->tx->rcpts_refused) {
        smtp_server_tx_end(s);
        smtp_server_reply(s, out, &no_recipients);
    } else {
        smtp_server_reply(s, out, &need_rcpt);
    }
}

/* The message is read to its end: ask for the commit, or say what was wrong. */
static void message_over(struct smtp_server *s, struct buf *out)
{
    const struct smtp_verdict *fault = smtp_server_fault(s);
    if (!fault) {
        must(s->tx->storage_open);
        smtp_server_set_state(s, SMTP_STATE_COMMIT);
        return;
    }
    struct smtp_verdict reply = *fault;
    if (s->tx->storage_open) {
        smtp_server_abort_body(s, smtp_body_verdict(&s->tx->body));
    }
    /* The texts may lie in the transaction: say it first. */
    smtp_server_reply(s, out, &reply);
    if (s->state != SMTP_STATE_CLOSED) {
        smtp_server_tx_end(s);
    }
}

/* Runs the body machine over *in. True: *action is for the driver. *ended: CRLF.CRLF was met. */
static bool feed_body(struct smtp_server *s, struct slice *in, bool *ended,
                      enum smtp_server_action *action)
{
    struct smtp_transaction *tx = s->tx;
    for (;;) {
        struct slice run;
        enum smtp_body_event event = smtp_body_step(&tx->body, in, &run);
        const struct smtp_verdict *fault = smtp_body_verdict(&tx->body);
        *ended = event == SMTP_BODY_END;
        if (fault && tx->storage_open) {
            /* At once, so that the driver's memory is free while the rest streams past. step() finds
             * abort_due before it looks at the input again. */
            smtp_server_abort_body(s, fault);
        }
        if (event == SMTP_BODY_RUN && tx->storage_open) {
            s->data = run;
            *action = SMTP_SERVER_BODY_DATA;
            return true;
        }
        if (event != SMTP_BODY_RUN) {
            return false;
        }
    }
}

static bool take_data(struct smtp_server *s, struct slice *in, struct buf *out,
                      enum smtp_server_action *action)
{
    bool ended = false;
    if (feed_body(s, in, &ended, action)) {
        return true;
    }
    if (ended) {
        message_over(s, out);
    }
    return false;
}

/* ---- BDAT ---- */

/* "size [LAST]" */
static bool parse_bdat(struct slice arg, uint64_t *size, bool *last)
{
    struct slice number = slice_cut(&arg, ' ');
    struct slice word = slice_trim(arg);
    *last = slice_eq_nocase(word, SLICE("LAST"));
    return (word.len == 0 || *last) && slice_to_u64(number, size);
}

/* Goes to SWALLOW with what will be said behind the octets; NULL: the transaction's fault. */
void smtp_server_swallow(struct smtp_server *s, const struct smtp_verdict *reply, struct buf *out)
{
    if (s->chunk_size > s->config->bdat_swallow_max) {
        struct smtp_verdict v = reply ? *reply : *smtp_server_fault(s);
        v.close = true;
        smtp_server_reply(s, out, &v);
        return;
    }
    s->chunk_reply = reply;
    smtp_server_set_state(s, SMTP_STATE_SWALLOW);
}

static bool chunk_fits(const struct smtp_server *s)
{
    uint64_t limit = s->config->size_max ? s->config->size_max : UINT64_MAX;
    return s->tx->chunk_bytes <= limit && s->chunk_size <= limit - s->tx->chunk_bytes;
}

/* A chunk of an open transaction with recipients. */
static void accept_chunk(struct smtp_server *s, struct buf *out)
{
    struct smtp_transaction *tx = s->tx;
    if (!smtp_server_fault(s) && !chunk_fits(s)) {
        if (tx->storage_open) {
            smtp_server_abort_body(s, &too_big);
        }
        tx->refused = &too_big;
    }
    if (smtp_server_fault(s)) {
        smtp_server_swallow(s, NULL, out);
        return;
    }
    tx->chunk_bytes += s->chunk_size;
    if (s->state == SMTP_STATE_RCPT) {
        smtp_body_init(&tx->body, s->config, false);
        tx->body_begun = true;
        smtp_server_set_state(s, SMTP_STATE_CHECK_BDAT);
    } else {
        smtp_server_set_state(s, SMTP_STATE_CHUNK);
    }
}

void smtp_server_run_bdat(struct smtp_server *s, struct slice arg, struct buf *out)
{
    uint64_t size = 0;
    bool last = false;
    if (!parse_bdat(arg, &size, &last)) {
        struct smtp_verdict v = {501, true, SLICE("5.5.4"), SLICE("Malformed BDAT, closing")};
        smtp_server_reply(s, out, &v);
        return;
    }
    s->chunk_size = s->chunk_left = size;
    s->chunk_last = last;
    if (size == 0 && !last && ++s->junk > s->config->junk_max) {
        s->errors++;
    }
    if (!s->tx) {
        smtp_server_swallow(s, smtp_server_needs_tls(s) ? &smtp_server_must_starttls : &need_mail,
                            out);
    } else if (s->state == SMTP_STATE_MAIL) {
        s->tx->refused = s->tx->rcpts_refused ? &no_recipients : &need_rcpt;
        smtp_server_swallow(s, NULL, out);
    } else {
        accept_chunk(s, out);
    }
}

static void take_swallow(struct smtp_server *s, struct slice *in, struct buf *out)
{
    uint64_t n = s->chunk_left < in->len ? s->chunk_left : in->len;
    *in = slice_skip(*in, (size_t)n);
    s->chunk_left -= n;
    if (s->chunk_left) {
        return;
    }
    const struct smtp_verdict *reply = s->chunk_reply ? s->chunk_reply : smtp_server_fault(s);
    must(reply != NULL);
    smtp_server_reply(s, out, reply);
    if (s->state == SMTP_STATE_CLOSED) {
        return;
    }
    if (s->tx && !s->chunk_last) {
        smtp_server_set_state(s, SMTP_STATE_BDAT);
    } else {
        smtp_server_tx_end(s);
    }
}

/* All octets of a chunk are in. True: *action is for the driver. */
static bool chunk_over(struct smtp_server *s, struct buf *out, enum smtp_server_action *action)
{
    struct smtp_transaction *tx = s->tx;
    if (s->chunk_last) {
        struct slice run;
        bool more = smtp_body_finish(&tx->body, &run);
        if (more && tx->storage_open) {
            s->data = run;
            *action = SMTP_SERVER_BODY_DATA;
            return true;
        }
        message_over(s, out);
        return false;
    }
    const struct smtp_verdict *fault = smtp_server_fault(s);
    smtp_server_set_state(s, SMTP_STATE_BDAT);
    if (fault) {
        smtp_server_reply(s, out, fault);
        return false;
    }
    buf_add(out, SLICE("250 2.0.0 "));
    buf_add_u64(out, s->chunk_size);
    buf_add(out, SLICE(" octets received\r\n"));
    return false;
}

static bool take_chunk(struct smtp_server *s, struct slice *in, struct buf *out,
                       enum smtp_server_action *action)
{
    if (s->chunk_left) {
        bool ended = false;
        struct slice part = slice_first(*in,
                                        s->chunk_left < in->len ? (size_t)s->chunk_left : in->len);
        size_t before = part.len;
        bool asks = feed_body(s, &part, &ended, action);
        must(!ended);
        s->chunk_left -= before - part.len;
        *in = slice_skip(*in, before - part.len);
        if (asks) {
            return true;
        }
    }
    return s->chunk_left == 0 && chunk_over(s, out, action);
}

bool smtp_server_take_body(struct smtp_server *s, struct slice *in, struct buf *out,
                           enum smtp_server_action *action)
{
    bool needs_input = s->state == SMTP_STATE_DATA || s->chunk_left > 0;
    if (needs_input && in->len == 0) {
        *action = SMTP_SERVER_WANT_INPUT;
        return true;
    }
    if (s->state == SMTP_STATE_DATA) {
        return take_data(s, in, out, action);
    }
    if (s->state == SMTP_STATE_SWALLOW) {
        take_swallow(s, in, out);
        return false;
    }
    must(s->state == SMTP_STATE_CHUNK);
    return take_chunk(s, in, out, action);
}
