/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/relay/body_in.h"
#include "core/base/must.h"
#include "proto/mail/trace.h"
#include "tls/dkim_hash.h"

#include <stdlib.h>

enum {
    BODY_IN_FIRST_BYTES = 4096,
    BODY_IN_EARLY_BYTES = LIMIT_BODY_FRAGMENT_BYTES / 8,
    BODY_IN_AUTHORS_BYTES = LIMIT_HEADER_BYTES + IO_RECV_BUFFER_BYTES,
    BODY_IN_SIGNATURES_BYTES = DKIM_SIGNATURES_MAX * 4096,
    BODY_IN_BYTES_MAX = LIMIT_BODY_INLINE_BYTES + IO_RECV_BUFFER_BYTES + LIMIT_HEADER_BYTES +
                        BODY_IN_SIGNATURES_BYTES,
};

static void body_in_count(struct body_in *b, bool on)
{
    if (b->counted) {
        must(b->relay->inflight_bytes >= b->bytes.cap);
        b->relay->inflight_bytes -= b->bytes.cap;
    }
    b->counted = on;
}

/* Appends to memory and keeps the worker's sum of such memory right. */
static bool body_in_store(struct body_in *b, struct slice data)
{
    if (b->signer) {
        if (b->header_over) {
            dkim_signer_body(b->signer, data);
        } else {
            dkim_signer_header(b->signer, data);
        }
    }
    body_in_count(b, false);
    buf_add(&b->bytes, data);
    b->relay->inflight_bytes += b->bytes.cap;
    b->counted = true;
    b->total += data.len;
    return !b->bytes.overflow;
}

static bool body_in_add_received(struct body_in *b, const struct body_in_origin *origin)
{
    char id[QUEUE_ID_TEXT_BYTES + 1], ip[IP_TEXT_MAX];
    struct smtp_sender_view sender;
    struct smtp_rcpt_view rcpt = {0};
    smtp_envelope_sender(origin->envelope, &sender);
    if (origin->envelope->rcpt_count == 1) {
        smtp_envelope_rcpt(origin->envelope, 0, &rcpt);
    }
    struct mail_trace trace = {
        .helo = origin->helo,
        .ip = slice_str(ip_addr_text(&origin->peer->addr, ip)),
        .host = b->settings->conf->identity.hostname,
        .id = queue_id_text(b->id, id),
        .rcpt = rcpt.address,
        .with = origin->with | (sender.smtputf8 ? MAIL_WITH_UTF8 : 0u),
        .wall_us = b->arrival_us,
    };
    struct buf field;
    buf_init(&field, 4096);
    mail_trace_add_received(&field, &trace);
    bool ok = !field.overflow && body_in_store(b, buf_slice(&field));
    buf_deinit(&field);
    return ok;
}

struct body_in *body_in_open(struct relay *r, const struct relay_settings *settings,
                             const struct body_in_origin *origin)
{
    struct body_in *b = calloc(1, sizeof(*b));
    if (!b) {
        return NULL;
    }
    b->relay = r;
    b->settings = settings;
    b->arrival_us = io_now(r->io)->wall_us;
    b->id = queue_next_id(r->queue, b->arrival_us);
    b->lost_commits = r->queue->lost_commits;
    buf_init(&b->bytes, BODY_IN_BYTES_MAX);
    buf_init(&b->signature, BODY_IN_SIGNATURES_BYTES);
    b->submission = origin->submission;
    b->wants_authors = origin->wants_authors;
    b->filter_config = settings->headers;
    b->filter_config.take_count = origin->trusted ? b->filter_config.take_count : 0;
    /* Nothing that others might take for header may follow what was judged. */
    b->filter_config.adds_fields |= b->submission || b->wants_authors;
    mail_headers_init(&b->filter, &b->filter_config);
    mail_authors_init(&b->authors, BODY_IN_AUTHORS_BYTES);
    if (dkim_table_count(settings->dkim)) {
        b->signer = dkim_signer_begin(settings->dkim, dkim_hash_sha256(),
                                      LIMIT_HEADER_BYTES + BODY_IN_FIRST_BYTES);
    }
    bool ok = (b->signer || !dkim_table_count(settings->dkim)) &&
              buf_reserve(&b->bytes, BODY_IN_FIRST_BYTES);
    r->inflight_bytes += b->bytes.cap;
    b->counted = true;
    if (ok && settings->conf->headers.received == CONF_RECEIVED_ADD) {
        ok = body_in_add_received(b, origin);
    }
    struct smtp_sender_view sender;
    smtp_envelope_sender(origin->envelope, &sender);
    b->sender = sender.address;
    if (!ok) {
        body_in_close(&b);
    }
    return b;
}

void body_in_close(struct body_in **body)
{
    struct body_in *b = *body;
    if (!b) {
        return;
    }
    if (b->message) {
        queue_message_free(b->relay->queue, b->message); /* has taken over body and holds */
    }
    body_in_count(b, false);
    for (uint32_t i = 0; i < b->fragment_count; i++) {
        spool_release(b->relay->queue->spool, &b->holds[i].hold);
    }
    free(b->fragments);
    free(b->holds);
    mail_headers_deinit(&b->filter);
    mail_authors_deinit(&b->authors);
    dkim_signer_end(&b->signer);
    buf_deinit(&b->signature);
    buf_deinit(&b->bytes);
    free(b);
    *body = NULL;
}

static bool body_in_grow(struct body_in *b)
{
    if (b->fragment_count < b->fragment_cap) {
        return true;
    }
    /* Holds are linked into the spool's lists and must not move: only grow while none is taken, or move
     * each one by releasing and taking it again. */
    uint32_t cap = b->fragment_cap ? b->fragment_cap * 2 : 16;
    if (cap > SPOOL_FRAGMENTS_MAX) {
        return false;
    }
    struct spool_fragment_ref *fragments = realloc(b->fragments, cap * sizeof(*fragments));
    if (!fragments) {
        return false;
    }
    b->fragments = fragments;
    struct queue_hold *holds = calloc(cap, sizeof(*holds));
    if (!holds) {
        return false;
    }
    for (uint32_t i = b->reserved ? 1 : 0; i < b->fragment_count; i++) {
        holds[i].hold.pinned = true;
        spool_hold(b->relay->queue->spool, &holds[i].hold, b->fragments[i].ref);
        spool_release(b->relay->queue->spool, &b->holds[i].hold);
    }
    free(b->holds);
    b->holds = holds;
    b->fragment_cap = cap;
    return true;
}

static enum spool_append body_in_write_fragment(struct body_in *b, uint32_t index,
                                                struct slice piece)
{
    struct spool *spool = b->relay->queue->spool;
    enum spool_append result = spool_frame_begin(spool, SPOOL_CLASS_MAIL,
                                                 spool_fragment_bytes(piece.len));
    if (result != SPOOL_APPENDED) {
        return result;
    }
    uint64_t lsn;
    struct spool_fragment_ref *f = &b->fragments[index];
    spool_add_fragment(spool, b->id, index, piece);
    spool_frame_end(spool, SPOOL_LAZY, &lsn, &f->ref);
    f->body_bytes = (uint32_t)piece.len;
    b->holds[index].hold.pinned = true; /* until there is a message */
    spool_hold(spool, &b->holds[index].hold, f->ref);
    return SPOOL_APPENDED;
}

/* So much waits in memory until it becomes a fragment: less where memory is short. */
static size_t body_in_keeps(const struct body_in *b)
{
    bool early = b->header_over && b->fragment_count < LIMIT_BODY_EARLY_FRAGMENTS &&
                 queue_memory_short(b->relay->queue, b->relay->inflight_bytes);
    return early ? BODY_IN_EARLY_BYTES : LIMIT_BODY_FRAGMENT_BYTES;
}

/* Gives back what the buffer has grown to. Without memory for a smaller one it stays. */
static void body_in_shrink(struct body_in *b)
{
    struct buf rest;
    buf_init(&rest, BODY_IN_BYTES_MAX);
    buf_add(&rest, buf_slice(&b->bytes));
    if (rest.overflow || rest.cap >= b->bytes.cap) {
        buf_deinit(&rest);
        return;
    }
    body_in_count(b, false);
    buf_deinit(&b->bytes);
    b->bytes = rest;
    b->relay->inflight_bytes += b->bytes.cap;
    b->counted = true;
}

enum spool_append body_in_flush(struct body_in *b)
{
    for (size_t keeps; b->bytes.len > (keeps = body_in_keeps(b));) {
        struct slice piece = slice_first(buf_slice(&b->bytes), keeps);
        if (!body_in_grow(b)) {
            return SPOOL_FULL;
        }
        if (b->signer && !b->reserved) {
            b->reserved = true; /* the signature comes last and goes first */
            b->fragment_count = 1;
        }
        enum spool_append result = body_in_write_fragment(b, b->fragment_count, piece);
        if (result != SPOOL_APPENDED) {
            return result;
        }
        b->fragment_count++;
        buf_consume(&b->bytes, piece.len);
        if (keeps == BODY_IN_EARLY_BYTES) {
            body_in_shrink(b);
        }
    }
    return SPOOL_APPENDED;
}

static bool body_in_header_end(struct body_in *b)
{
    bool ok = true;
    bool add_all = b->settings->conf->headers.add_missing;
    if (add_all || b->submission) {
        char id[QUEUE_ID_TEXT_BYTES + 1];
        struct mail_missing missing = {
            .sender = b->sender,
            .host = b->settings->conf->identity.hostname,
            .id = queue_id_text(b->id, id),
            .wall_us = b->arrival_us,
            .no_from = !add_all,
        };
        struct buf fields;
        buf_init(&fields, 8192);
        mail_headers_add_missing(&fields, b->filter.present, &missing);
        ok = !fields.overflow && body_in_store(b, buf_slice(&fields));
        buf_deinit(&fields);
    }
    b->header_over = true;
    b->header_bytes = b->total;
    if (b->signer && dkim_signer_header_end(b->signer) != DKIM_SKIP_NOT && !b->reserved) {
        dkim_signer_end(&b->signer); /* nobody signs for this author */
    }
    return ok;
}

static bool body_in_filter(struct body_in *b, struct slice data, bool finish)
{
    struct slice out;
    for (;;) {
        enum mail_headers_event ev = finish ? mail_headers_finish(&b->filter, &out)
                                            : mail_headers_step(&b->filter, &data, &out);
        if (mail_headers_no_memory(&b->filter)) {
            return false;
        }
        switch (ev) {
        case MAIL_HEADERS_WANT_INPUT:
            return true;
        case MAIL_HEADERS_DATA:
            if (b->wants_authors && !b->header_over) {
                mail_authors_add(&b->authors, out);
            }
            if (!body_in_store(b, out) || b->authors.text.overflow) {
                return false;
            }
            break;
        case MAIL_HEADERS_END:
            if (!body_in_header_end(b)) {
                return false;
            }
            break;
        }
    }
}

/* A header cannot become a fragment, and the disk may be slower than the clients. */
static bool body_in_too_much(const struct body_in *b)
{
    return b->relay->inflight_bytes / 2 >
           b->settings->conf->limits.memory_bytes / b->relay->workers;
}

enum spool_append body_in_add(struct body_in *b, struct slice data)
{
    if (body_in_too_much(b)) {
        return SPOOL_FULL;
    }
    bool ok = b->header_over && mail_headers_passing(&b->filter) ? body_in_store(b, data)
                                                                 : body_in_filter(b, data, false);
    return ok ? body_in_flush(b) : SPOOL_FULL;
}

const struct mail_authors *body_in_take_authors(struct body_in *b)
{
    if (!b->wants_authors || !b->header_over) {
        return NULL;
    }
    b->wants_authors = false;
    return &b->authors;
}

bool body_in_end(struct body_in *b)
{
    if (!b->ended && !body_in_filter(b, (struct slice){NULL, 0}, true)) {
        return false;
    }
    b->ended = true;
    return true;
}

enum body_in_sign body_in_finish(struct body_in *b, struct dkim_signer **signer)
{
    must(b->ended);
    *signer = NULL;
    if (b->finished) {
        return BODY_IN_READY;
    }
    b->finished = true;
    if (!b->signer || dkim_signer_finish(b->signer, b->arrival_us / 1000000) == 0) {
        bool gap = b->reserved; /* a place was kept, and now there is nothing for it */
        dkim_signer_end(&b->signer);
        return gap ? BODY_IN_NO_MEMORY : BODY_IN_READY;
    }
    *signer = b->signer;
    b->signer = NULL;
    return BODY_IN_TO_SIGN;
}

bool body_in_signed(struct body_in *b, const struct dkim_signer *signer)
{
    must(b->finished && b->signature.len == 0);
    if (dkim_signer_attach(signer, &b->signature) == 0 || b->signature.overflow) {
        return false;
    }
    b->total += b->signature.len;
    b->header_bytes += b->signature.len;
    if (!slice_to_cstr(dkim_signer_domain(signer), b->dkim, sizeof(b->dkim))) {
        b->dkim[0] = '\0';
    }
    if (b->reserved) {
        return true; /* body_in_place_signature */
    }
    size_t n = b->signature.len;
    body_in_count(b, false);
    bool ok = buf_reserve(&b->bytes, n);
    if (ok) {
        memmove(b->bytes.ptr + n, b->bytes.ptr, b->bytes.len);
        memcpy(b->bytes.ptr, b->signature.ptr, n);
        b->bytes.len += n;
    }
    b->relay->inflight_bytes += b->bytes.cap;
    b->counted = true;
    buf_release(&b->signature);
    return ok;
}

/* The signature of a message in fragments goes into the place that was kept for it. */
static enum spool_append body_in_place_signature(struct body_in *b)
{
    if (b->signature.len == 0) {
        return SPOOL_APPENDED;
    }
    enum spool_append result = body_in_write_fragment(b, 0, buf_slice(&b->signature));
    if (result == SPOOL_APPENDED) {
        b->reserved = false;
        buf_release(&b->signature);
    }
    return result;
}

static uint32_t body_in_flags(const struct smtp_envelope *envelope,
                              const struct smtp_body_facts *facts)
{
    struct smtp_sender_view sender;
    smtp_envelope_sender(envelope, &sender);
    return (facts->has_8bit ? QUEUE_MSG_8BIT : 0u) | (sender.smtputf8 ? QUEUE_MSG_SMTPUTF8 : 0u) |
           (facts->leading_dot ? QUEUE_MSG_LEADING_DOT : 0u);
}

static struct queue_message *body_in_message(struct body_in *b,
                                             const struct smtp_envelope *envelope,
                                             const struct smtp_body_facts *facts)
{
    struct smtp_sender_view sender;
    struct attributes attributes = b->attributes;
    attributes.dkim = slice_str(b->dkim);
    smtp_envelope_sender(envelope, &sender);
    struct queue_message_init init = {
        .id = b->id,
        .arrival_us = b->arrival_us,
        .sender = sender.address,
        .envid = sender.envid_xtext,
        .ret = (uint8_t)sender.ret,
        .flags = body_in_flags(envelope, facts),
        .rcpt_count = envelope->rcpt_count,
        .attributes = &attributes,
    };
    struct smtp_rcpt_view rcpt;
    for (uint32_t i = 0; i < envelope->rcpt_count; i++) {
        smtp_envelope_rcpt(envelope, i, &rcpt);
        init.rcpt_bytes += rcpt.address.len + rcpt.orcpt_raw.len;
    }
    struct queue_message *m = queue_message_new(b->relay->queue, &init);
    if (!m) {
        return NULL;
    }
    for (uint32_t i = 0; i < envelope->rcpt_count; i++) {
        smtp_envelope_rcpt(envelope, i, &rcpt);
        queue_message_add_rcpt(m, rcpt.address, rcpt.orcpt_raw, rcpt.notify);
    }
    m->body_bytes = b->total;
    /* header_bytes counts the empty line behind the fields when there is one. */
    m->header_bytes = b->header_bytes + 2 <= b->total ? b->header_bytes + 2 : b->header_bytes;
    return m;
}

/* The message takes over fragments and holds; content that is all in memory becomes its body. */
static void body_in_hand_over(struct body_in *b, struct queue_message *m)
{
    m->fragments = b->fragments;
    m->fragment_holds = b->holds;
    m->fragment_count = b->fragment_count;
    for (uint32_t i = 0; i < m->fragment_count; i++) {
        m->fragment_holds[i].message = m;
        m->fragment_holds[i].hold.pinned = false;
    }
    b->fragments = NULL;
    b->holds = NULL;
    b->fragment_count = 0;
    if (m->fragment_count == 0 && b->bytes.len) {
        body_in_count(b, false);
        queue_message_give_body(b->relay->queue, m, b->bytes.ptr);
        b->bytes.ptr = NULL;
        b->bytes.len = b->bytes.cap = 0;
    }
}

enum spool_append body_in_submit(struct body_in **body, const struct smtp_envelope *envelope,
                                 const struct smtp_body_facts *facts, struct handle submitter)
{
    struct body_in *b = *body;
    if (b->lost_commits != b->relay->queue->lost_commits &&
        (b->fragment_count || (b->message && b->message->fragment_count))) {
        return SPOOL_FAILED; /* a commit failed since: our fragments may have been in it */
    }
    if (!b->message) {
        must(b->finished && !b->signer);
        enum spool_append flushed = body_in_place_signature(b);
        flushed = flushed == SPOOL_APPENDED ? body_in_flush(b) : flushed;
        if (flushed != SPOOL_APPENDED) {
            return flushed;
        }
        b->message = body_in_message(b, envelope, facts);
        if (!b->message) {
            return SPOOL_FULL;
        }
        b->message->submitter = submitter;
        body_in_hand_over(b, b->message);
    }
    enum spool_append result = queue_submit(b->relay->queue, b->message, buf_slice(&b->bytes));
    if (result == SPOOL_APPENDED) {
        b->message = NULL;
        body_in_close(body);
    }
    return result;
}
