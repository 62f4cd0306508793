/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The row types: encode, decode, describe. A new type is a row in row_types and its three functions;
 * readers that do not know it skip it by its length.
 */
#include "spool/format.h"
#include "spool/wire.h"

#include <inttypes.h>

static void row_put_header(struct wire_writer *w, enum spool_row_type type, size_t payload_bytes)
{
    must(payload_bytes <= SPOOL_FRAME_BYTES_MAX);
    wire_put(w, (uint64_t)type, 2);
    wire_put(w, 0, 2);
    wire_put(w, payload_bytes, 4);
}

bool spool_row_next(struct slice *payload, struct spool_row *out)
{
    struct wire_reader r = {*payload, false};
    uint16_t type = wire_u16(&r);
    (void)wire_u16(&r);
    uint32_t bytes = wire_u32(&r);
    struct slice body = wire_bytes(&r, bytes);
    if (r.bad) {
        return false;
    }
    out->type = type;
    out->payload = body;
    *payload = r.rest;
    return true;
}

/* ---- MESSAGE ---- */

static size_t message_body_bytes(const struct spool_message *m)
{
    size_t sum = 0;
    for (unsigned i = 0; i < m->body_count; i++) {
        sum += m->body[i].iov_len;
    }
    return sum;
}

size_t spool_message_bytes(const struct spool_message *m)
{
    size_t sum = SPOOL_ROW_HEADER_BYTES + SPOOL_MESSAGE_FIXED_BYTES + m->sender.len + m->envid.len +
                 m->meta.len + (size_t)m->fragment_count * SPOOL_MESSAGE_FRAGMENT_BYTES;
    for (uint32_t i = 0; i < m->rcpt_count; i++) {
        sum += SPOOL_MESSAGE_RCPT_BYTES + m->rcpts[i].address.len + m->rcpts[i].orcpt.len;
    }
    return sum + message_body_bytes(m);
}

static void message_put_rcpt(struct wire_writer *w, const struct spool_rcpt *r)
{
    must(r->address.len <= UINT16_MAX && r->orcpt.len <= UINT16_MAX);
    must(r->status < SPOOL_RCPT_STATUS_COUNT);
    wire_put(w, r->address.len, 2);
    wire_put(w, r->orcpt.len, 2);
    wire_put(w, r->notify, 1);
    wire_put(w, (uint64_t)r->status, 1);
    wire_put(w, r->attempts, 2);
    wire_put(w, r->next_due_ms, 8);
    wire_put_slice(w, r->address);
    wire_put_slice(w, r->orcpt);
}

static void message_put_fragment(struct wire_writer *w, const struct spool_fragment_ref *f)
{
    wire_put(w, f->ref.segment, 8);
    wire_put(w, f->ref.offset, 4);
    wire_put(w, f->ref.bytes, 4);
    wire_put(w, f->body_bytes, 4);
}

size_t spool_message_encode(uint8_t *dst, const struct spool_message *m)
{
    must(m->rcpt_count > 0 && m->rcpt_count <= LIMIT_RECIPIENTS);
    must(m->fragment_count <= SPOOL_FRAGMENTS_MAX && m->sender.len <= UINT16_MAX);
    must(m->meta.len <= SPOOL_META_BYTES_MAX && m->envid.len <= UINT16_MAX);
    struct wire_writer w = {dst};
    row_put_header(&w, SPOOL_ROW_MESSAGE, spool_message_bytes(m) - SPOOL_ROW_HEADER_BYTES);
    wire_put(&w, m->id, 8);
    wire_put(&w, m->arrival_us, 8);
    wire_put(&w, m->flags, 4);
    wire_put(&w, m->header_bytes, 4);
    wire_put(&w, m->body_bytes, 8);
    wire_put(&w, m->rcpt_count, 4);
    wire_put(&w, m->fragment_count, 4);
    wire_put(&w, message_body_bytes(m), 4);
    wire_put(&w, m->sender.len, 2);
    wire_put(&w, m->envid.len, 2);
    wire_put(&w, m->meta.len, 2);
    wire_put(&w, m->ret, 1);
    wire_put(&w, 0, 5);
    wire_put_slice(&w, m->sender);
    wire_put_slice(&w, m->envid);
    wire_put_slice(&w, m->meta);
    for (uint32_t i = 0; i < m->fragment_count; i++) {
        message_put_fragment(&w, &m->fragments[i]);
    }
    for (uint32_t i = 0; i < m->rcpt_count; i++) {
        message_put_rcpt(&w, &m->rcpts[i]);
    }
    for (unsigned i = 0; i < m->body_count; i++) {
        wire_put_slice(&w, slice_of(m->body[i].iov_base, m->body[i].iov_len));
    }
    return (size_t)(w.at - dst);
}

struct spool_message spool_message_of(const struct spool_message_view *v)
{
    return (struct spool_message){
        .id = v->id,
        .arrival_us = v->arrival_us,
        .flags = v->flags,
        .ret = v->ret,
        .header_bytes = v->header_bytes,
        .body_bytes = v->body_bytes,
        .sender = v->sender,
        .envid = v->envid,
        .meta = v->meta,
        .rcpt_count = v->rcpt_count,
        .fragment_count = v->fragment_count,
    };
}

bool spool_message_next_fragment(struct slice *fragments, struct spool_fragment_ref *out)
{
    struct wire_reader r = {*fragments, false};
    struct spool_fragment_ref f = {
        .ref = {.segment = wire_u64(&r), .offset = wire_u32(&r), .bytes = wire_u32(&r)},
        .body_bytes = wire_u32(&r),
    };
    if (r.bad) {
        return false;
    }
    *out = f;
    *fragments = r.rest;
    return true;
}

bool spool_message_next_rcpt(struct slice *rcpts, struct spool_rcpt *out)
{
    struct wire_reader r = {*rcpts, false};
    uint16_t address_len = wire_u16(&r);
    uint16_t orcpt_len = wire_u16(&r);
    uint8_t notify = wire_u8(&r);
    uint8_t status = wire_u8(&r);
    uint16_t attempts = wire_u16(&r);
    uint64_t next_due_ms = wire_u64(&r);
    struct slice address = wire_bytes(&r, address_len);
    struct slice orcpt = wire_bytes(&r, orcpt_len);
    if (r.bad || status >= SPOOL_RCPT_STATUS_COUNT) {
        return false;
    }
    *out = (struct spool_rcpt){.address = address,
                               .orcpt = orcpt,
                               .notify = notify,
                               .status = (enum spool_rcpt_status)status,
                               .attempts = attempts,
                               .next_due_ms = next_due_ms};
    *rcpts = r.rest;
    return true;
}

/* Walks the recipients once, so that later walks cannot fail. */
static bool message_cut_rcpts(struct wire_reader *r, struct spool_message_view *m)
{
    struct slice rest = r->rest;
    for (uint32_t i = 0; i < m->rcpt_count; i++) {
        struct spool_rcpt rcpt;
        if (!spool_message_next_rcpt(&rest, &rcpt)) {
            return false;
        }
    }
    m->rcpts = wire_bytes(r, r->rest.len - rest.len);
    return true;
}

static bool message_content_adds_up(const struct spool_message_view *m)
{
    uint64_t sum = m->body.len;
    struct slice rest = m->fragments;
    struct spool_fragment_ref f;
    while (spool_message_next_fragment(&rest, &f)) {
        sum += f.body_bytes;
    }
    return sum == m->body_bytes && m->header_bytes <= m->body_bytes;
}

bool spool_message_decode(struct slice payload, struct spool_message_view *out)
{
    struct wire_reader r = {payload, false};
    struct spool_message_view m = {
        .id = wire_u64(&r),
        .arrival_us = wire_u64(&r),
        .flags = wire_u32(&r),
        .header_bytes = wire_u32(&r),
        .body_bytes = wire_u64(&r),
        .rcpt_count = wire_u32(&r),
        .fragment_count = wire_u32(&r),
    };
    uint32_t inline_bytes = wire_u32(&r);
    uint16_t sender_len = wire_u16(&r);
    uint16_t envid_len = wire_u16(&r);
    uint16_t meta_len = wire_u16(&r);
    m.ret = wire_u8(&r);
    (void)wire_bytes(&r, 5);
    m.sender = wire_bytes(&r, sender_len);
    m.envid = wire_bytes(&r, envid_len);
    m.meta = wire_bytes(&r, meta_len);
    if (r.bad || m.rcpt_count == 0 || m.rcpt_count > LIMIT_RECIPIENTS ||
        m.fragment_count > SPOOL_FRAGMENTS_MAX || meta_len > SPOOL_META_BYTES_MAX) {
        return false;
    }
    m.fragments = wire_bytes(&r, (size_t)m.fragment_count * SPOOL_MESSAGE_FRAGMENT_BYTES);
    if (r.bad || !message_cut_rcpts(&r, &m) || r.rest.len != inline_bytes) {
        return false;
    }
    m.body = r.rest;
    if (!message_content_adds_up(&m)) {
        return false;
    }
    *out = m;
    return true;
}

static void message_describe(struct buf *out, struct slice payload)
{
    struct spool_message_view m;
    if (!spool_message_decode(payload, &m)) {
        return;
    }
    buf_addf(out,
             "message id=%016" PRIx64 " rcpts=%" PRIu32 " bytes=%" PRIu64 " fragments=%" PRIu32,
             m.id, m.rcpt_count, m.body_bytes, m.fragment_count);
}

/* ---- FRAGMENT ---- */

size_t spool_fragment_bytes(size_t body_bytes)
{
    return SPOOL_ROW_HEADER_BYTES + SPOOL_FRAGMENT_FIXED_BYTES + body_bytes;
}

size_t spool_fragment_encode(uint8_t *dst, uint64_t id, uint32_t index, struct slice body)
{
    must(body.len <= LIMIT_BODY_FRAGMENT_BYTES);
    struct wire_writer w = {dst};
    row_put_header(&w, SPOOL_ROW_FRAGMENT, SPOOL_FRAGMENT_FIXED_BYTES + body.len);
    wire_put(&w, id, 8);
    wire_put(&w, index, 4);
    wire_put_slice(&w, body);
    return (size_t)(w.at - dst);
}

bool spool_fragment_decode(struct slice payload, struct spool_fragment_view *out)
{
    struct wire_reader r = {payload, false};
    struct spool_fragment_view f = {.id = wire_u64(&r), .index = wire_u32(&r)};
    if (r.bad || r.rest.len > LIMIT_BODY_FRAGMENT_BYTES) {
        return false;
    }
    f.body = r.rest;
    *out = f;
    return true;
}

static void fragment_describe(struct buf *out, struct slice payload)
{
    struct spool_fragment_view f;
    if (spool_fragment_decode(payload, &f)) {
        buf_addf(out, "fragment id=%016" PRIx64 " index=%" PRIu32 " bytes=%zu", f.id, f.index,
                 f.body.len);
    }
}

/* ---- RESULT ---- */

static const struct slice result_names[] = {
    [SPOOL_RESULT_DELIVERED] = SLICE_INIT("delivered"),
    [SPOOL_RESULT_BOUNCED] = SLICE_INIT("bounced"),
    [SPOOL_RESULT_EXPIRED] = SLICE_INIT("expired"),
    [SPOOL_RESULT_CANCELLED] = SLICE_INIT("cancelled"),
    [SPOOL_RESULT_DEFERRED] = SLICE_INIT("deferred"),
};

size_t spool_result_bytes(const struct spool_result *r)
{
    return SPOOL_ROW_HEADER_BYTES + SPOOL_RESULT_FIXED_BYTES + r->text.len;
}

size_t spool_result_encode(uint8_t *dst, const struct spool_result *r)
{
    must(r->text.len <= LIMIT_OUTCOME_TEXT_BYTES);
    must(r->kind >= SPOOL_RESULT_DELIVERED && r->kind <= SPOOL_RESULT_DEFERRED);
    struct wire_writer w = {dst};
    row_put_header(&w, SPOOL_ROW_RESULT, SPOOL_RESULT_FIXED_BYTES + r->text.len);
    wire_put(&w, r->id, 8);
    wire_put(&w, r->rcpt, 4);
    wire_put(&w, (uint64_t)r->kind, 1);
    wire_put(&w, r->enhanced_class, 1);
    wire_put(&w, r->code, 2);
    wire_put(&w, r->enhanced_subject, 2);
    wire_put(&w, r->enhanced_detail, 2);
    wire_put(&w, r->attempts, 2);
    wire_put(&w, r->text.len, 2);
    wire_put(&w, r->next_due_ms, 8);
    wire_put(&w, r->at_us, 8);
    wire_put_slice(&w, r->text);
    return (size_t)(w.at - dst);
}

bool spool_result_decode(struct slice payload, struct spool_result *out)
{
    struct wire_reader r = {payload, false};
    struct spool_result v = {.id = wire_u64(&r), .rcpt = wire_u32(&r)};
    uint8_t kind = wire_u8(&r);
    v.enhanced_class = wire_u8(&r);
    v.code = wire_u16(&r);
    v.enhanced_subject = wire_u16(&r);
    v.enhanced_detail = wire_u16(&r);
    v.attempts = wire_u16(&r);
    uint16_t text_len = wire_u16(&r);
    v.next_due_ms = wire_u64(&r);
    v.at_us = wire_u64(&r);
    v.text = wire_bytes(&r, text_len);
    if (r.bad || r.rest.len != 0 || text_len > LIMIT_OUTCOME_TEXT_BYTES ||
        kind < SPOOL_RESULT_DELIVERED || kind > SPOOL_RESULT_DEFERRED) {
        return false;
    }
    v.kind = (enum spool_result_kind)kind;
    *out = v;
    return true;
}

static void result_describe(struct buf *out, struct slice payload)
{
    struct spool_result r;
    if (spool_result_decode(payload, &r)) {
        buf_addf(out, "result id=%016" PRIx64 " rcpt=%" PRIu32 " %.*s code=%u attempts=%u", r.id,
                 r.rcpt, SLICE_ARG(result_names[r.kind]), r.code, r.attempts);
    }
}

/* ---- SEAL ---- */

size_t spool_seal_encode(uint8_t *dst, struct spool_seal s)
{
    struct wire_writer w = {dst};
    row_put_header(&w, SPOOL_ROW_SEAL, SPOOL_SEAL_BYTES);
    wire_put(&w, s.segment, 8);
    wire_put(&w, s.offset, 4);
    wire_put(&w, s.complete ? 1 : 0, 4);
    return (size_t)(w.at - dst);
}

bool spool_seal_decode(struct slice payload, struct spool_seal *out)
{
    struct wire_reader r = {payload, false};
    struct spool_seal s = {.segment = wire_u64(&r), .offset = wire_u32(&r)};
    uint32_t complete = wire_u32(&r);
    if (r.bad || r.rest.len != 0 || complete > 1) {
        return false;
    }
    s.complete = complete == 1;
    *out = s;
    return true;
}

static void seal_describe(struct buf *out, struct slice payload)
{
    struct spool_seal s;
    if (spool_seal_decode(payload, &s)) {
        buf_addf(out, "seal segment=%016" PRIx64 " offset=%" PRIu32 "%s", s.segment, s.offset,
                 s.complete ? " complete" : "");
    }
}

/* ---- STATE ---- */

size_t spool_memo_bytes(const struct spool_memo *memo)
{
    return SPOOL_ROW_HEADER_BYTES + SPOOL_STATE_FIXED_BYTES + memo->key.len + memo->value.len;
}

size_t spool_memo_encode(uint8_t *dst, const struct spool_memo *memo, uint64_t sequence)
{
    must(memo->key.len > 0 && memo->key.len <= SPOOL_MEMO_KEY_BYTES_MAX);
    must(memo->value.len <= SPOOL_MEMO_VALUE_BYTES_MAX);
    struct wire_writer w = {dst};
    row_put_header(&w, SPOOL_ROW_STATE, spool_memo_bytes(memo) - SPOOL_ROW_HEADER_BYTES);
    wire_put(&w, sequence, 8);
    wire_put(&w, memo->kind, 1);
    wire_put(&w, memo->key.len, 1);
    wire_put(&w, memo->value.len, 2);
    wire_put_slice(&w, memo->key);
    wire_put_slice(&w, memo->value);
    return (size_t)(w.at - dst);
}

bool spool_memo_decode(struct slice payload, struct spool_memo *out, uint64_t *sequence)
{
    struct wire_reader r = {payload, false};
    uint64_t number = wire_u64(&r);
    struct spool_memo memo = {.kind = wire_u8(&r)};
    uint8_t key_len = wire_u8(&r);
    uint16_t value_len = wire_u16(&r);
    memo.key = wire_bytes(&r, key_len);
    memo.value = wire_bytes(&r, value_len);
    if (r.bad || r.rest.len != 0 || key_len == 0 || value_len > SPOOL_MEMO_VALUE_BYTES_MAX) {
        return false;
    }
    *out = memo;
    *sequence = number;
    return true;
}

static void memo_describe(struct buf *out, struct slice payload)
{
    struct spool_memo memo;
    uint64_t sequence;
    if (spool_memo_decode(payload, &memo, &sequence)) {
        buf_addf(out, "state kind=%u sequence=%" PRIu64 " key=%zu value=%zu", memo.kind, sequence,
                 memo.key.len, memo.value.len);
    }
}

/* ---- the table ---- */

struct row_type {
    enum spool_row_type type;
    struct slice name;
    /* Appends its line; nothing when the payload is malformed. */
    void (*describe)(struct buf *out, struct slice payload);
};

static const struct row_type row_types[] = {
    {SPOOL_ROW_MESSAGE, SLICE_INIT("message"), message_describe},
    {SPOOL_ROW_FRAGMENT, SLICE_INIT("fragment"), fragment_describe},
    {SPOOL_ROW_RESULT, SLICE_INIT("result"), result_describe},
    {SPOOL_ROW_SEAL, SLICE_INIT("seal"), seal_describe},
    {SPOOL_ROW_STATE, SLICE_INIT("state"), memo_describe},
};

static const struct row_type *row_type_find(uint16_t type)
{
    for (size_t i = 0; i < ARRAY_COUNT(row_types); i++) {
        if ((uint16_t)row_types[i].type == type) {
            return &row_types[i];
        }
    }
    return NULL;
}

struct slice spool_row_name(uint16_t type)
{
    const struct row_type *t = row_type_find(type);
    return t ? t->name : SLICE("unknown");
}

bool spool_row_describe(struct buf *out, const struct spool_row *row)
{
    const struct row_type *t = row_type_find(row->type);
    if (!t) {
        buf_addf(out, "unknown type=%u bytes=%zu", row->type, row->payload.len);
        return true;
    }
    size_t before = out->len;
    t->describe(out, row->payload);
    return out->len != before;
}
