/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The arena holds records one after the other: the sender's, then one per recipient in order of
 * arrival. A record is a small header of lengths followed by its texts. Offsets, not pointers: the
 * arena moves when it grows. Popping the last recipient is cutting the arena's end.
 */
#include "proto/smtp/envelope.h"

#include "core/base/limits.h"
#include "proto/smtp/xtext.h"

struct sender_record {
    uint64_t size_declared;
    uint64_t hold_until_s;
    uint64_t by_until_s;
    uint16_t address_len;
    uint16_t local_len;
    uint16_t envid_raw_len;
    uint16_t envid_len;
    uint16_t auth_len;
    uint8_t body;
    uint8_t ret;
    uint8_t smtputf8;
    uint8_t by;
    uint8_t by_trace;
};

struct rcpt_record {
    uint16_t address_len;
    uint16_t local_len;
    uint16_t orcpt_raw_len;
    uint16_t orcpt_type_len;
    uint16_t orcpt_len;
    uint8_t notify;
};

must_static(SMTP_ENVELOPE_BYTES_MAX / 100 >=
                sizeof(struct rcpt_record) + LIMIT_ADDRESS_BYTES + 2 * LIMIT_ORCPT_BYTES,
            "RFC 5321 4.5.3.1.8: a hundred recipients always fit");

void smtp_envelope_init(struct smtp_envelope *e)
{
    *e = (struct smtp_envelope){0};
    buf_init(&e->arena, SMTP_ENVELOPE_BYTES_MAX);
    buf_init(&e->offsets, LIMIT_RECIPIENTS * sizeof(uint32_t));
}

void smtp_envelope_deinit(struct smtp_envelope *e)
{
    buf_deinit(&e->arena);
    buf_deinit(&e->offsets);
    e->rcpt_count = e->sender_bytes = 0;
}

/* Every failure leaves the arena as it was at mark. */
static bool keep_or_cut(struct smtp_envelope *e, size_t mark)
{
    if (e->arena.overflow || e->offsets.overflow) {
        e->arena.len = mark;
        e->arena.overflow = e->offsets.overflow = false;
        return false;
    }
    return true;
}

static struct slice arena_text(const struct smtp_envelope *e, size_t *at, size_t len)
{
    must(*at + len <= e->arena.len);
    struct slice s = slice_of(e->arena.ptr + *at, len);
    *at += len;
    return s;
}

static struct smtp_address address_parts(struct slice address, size_t local_len)
{
    struct slice domain = slice_skip(address, local_len < address.len ? local_len + 1 : local_len);
    return (struct smtp_address){slice_first(address, local_len), domain};
}

bool smtp_envelope_set_sender(struct smtp_envelope *e, const struct smtp_path *path,
                              const struct smtp_mail_params *params)
{
    struct sender_record r = {
        .size_declared = params->size,
        .address_len = (uint16_t)path->text.len,
        .local_len = (uint16_t)path->address.local.len,
        .envid_raw_len = (uint16_t)params->envid.len,
        .auth_len = (uint16_t)params->auth.len,
        .body = (uint8_t)params->body,
        .ret = (uint8_t)params->ret,
        .smtputf8 = params->smtputf8,
        .by = (uint8_t)params->by,
        .by_trace = params->by_trace,
    };
    must(path->text.len <= LIMIT_ADDRESS_BYTES && params->envid.len <= LIMIT_ENVID_BYTES);
    buf_clear(&e->arena);
    buf_clear(&e->offsets);
    e->rcpt_count = e->sender_bytes = 0;
    buf_add(&e->arena, slice_of(&r, sizeof(r)));
    buf_add(&e->arena, path->text);
    buf_add(&e->arena, params->envid);
    buf_add(&e->arena, params->auth);
    size_t mark = e->arena.len;
    if (params->envid.len) {
        bool decoded = smtp_xtext_decode(params->envid, &e->arena);
        must(decoded || e->arena.overflow);
    }
    if (!keep_or_cut(e, 0)) {
        return false;
    }
    r.envid_len = (uint16_t)(e->arena.len - mark);
    memcpy(e->arena.ptr, &r, sizeof(r));
    e->sender_bytes = (uint32_t)e->arena.len;
    return true;
}

void smtp_envelope_set_times(struct smtp_envelope *e, uint64_t hold_until_s, uint64_t by_until_s)
{
    struct sender_record r;
    must(e->sender_bytes >= sizeof(r));
    memcpy(&r, e->arena.ptr, sizeof(r));
    r.hold_until_s = hold_until_s;
    r.by_until_s = by_until_s;
    memcpy(e->arena.ptr, &r, sizeof(r));
}

/* Appends the decoded form of ORCPT's value. */
static void add_orcpt_decoded(struct smtp_envelope *e, struct slice orcpt)
{
    struct slice type = slice_cut(&orcpt, ';');
    bool decoded = slice_eq_nocase(type, SLICE("utf-8"))
                       ? smtp_utf8_xtext_decode(orcpt, true, &e->arena)
                       : smtp_xtext_decode(orcpt, &e->arena);
    must(decoded || e->arena.overflow);
}

bool smtp_envelope_push_rcpt(struct smtp_envelope *e, const struct smtp_path *path,
                             const struct smtp_rcpt_params *params)
{
    size_t start = e->arena.len;
    uint32_t offset = (uint32_t)start;
    int type_len = slice_find_byte(params->orcpt, ';');
    struct rcpt_record r = {
        .address_len = (uint16_t)path->text.len,
        .local_len = (uint16_t)path->address.local.len,
        .orcpt_raw_len = (uint16_t)params->orcpt.len,
        .orcpt_type_len = (uint16_t)(type_len < 0 ? 0 : type_len),
        .notify = params->notify,
    };
    must(e->sender_bytes > 0);
    must(path->text.len <= LIMIT_ADDRESS_BYTES && params->orcpt.len <= LIMIT_ORCPT_BYTES);
    buf_add(&e->arena, slice_of(&r, sizeof(r)));
    buf_add(&e->arena, path->text);
    buf_add(&e->arena, params->orcpt);
    size_t mark = e->arena.len;
    if (params->orcpt.len) {
        add_orcpt_decoded(e, params->orcpt);
    }
    if (!e->arena.overflow) {
        buf_add(&e->offsets, slice_of(&offset, sizeof(offset)));
    }
    if (!keep_or_cut(e, start)) {
        return false;
    }
    r.orcpt_len = (uint16_t)(e->arena.len - mark);
    memcpy(e->arena.ptr + start, &r, sizeof(r));
    e->rcpt_count++;
    return true;
}

static uint32_t rcpt_offset(const struct smtp_envelope *e, uint32_t index)
{
    uint32_t offset = 0;
    must(index < e->rcpt_count);
    memcpy(&offset, e->offsets.ptr + index * sizeof(offset), sizeof(offset));
    must(offset >= e->sender_bytes && offset < e->arena.len);
    return offset;
}

void smtp_envelope_pop_rcpt(struct smtp_envelope *e)
{
    must(e->rcpt_count > 0);
    e->arena.len = rcpt_offset(e, e->rcpt_count - 1);
    e->rcpt_count--;
    e->offsets.len = e->rcpt_count * sizeof(uint32_t);
}

void smtp_envelope_sender(const struct smtp_envelope *e, struct smtp_sender_view *out)
{
    struct sender_record r;
    size_t at = sizeof(r);
    must(e->sender_bytes >= sizeof(r));
    memcpy(&r, e->arena.ptr, sizeof(r));
    *out = (struct smtp_sender_view){
        .size_declared = r.size_declared,
        .smtputf8 = r.smtputf8,
        .body = (enum smtp_body_type)r.body,
        .ret = (enum mail_ret)r.ret,
        .hold_until_s = r.hold_until_s,
        .by = (enum smtp_by_mode)r.by,
        .by_trace = r.by_trace,
        .by_until_s = r.by_until_s,
    };
    out->address = arena_text(e, &at, r.address_len);
    out->parts = address_parts(out->address, r.local_len);
    out->envid_xtext = arena_text(e, &at, r.envid_raw_len);
    out->auth_xtext = arena_text(e, &at, r.auth_len);
    out->envid = arena_text(e, &at, r.envid_len);
}

void smtp_envelope_rcpt(const struct smtp_envelope *e, uint32_t index, struct smtp_rcpt_view *out)
{
    struct rcpt_record r;
    size_t at = rcpt_offset(e, index);
    memcpy(&r, e->arena.ptr + at, sizeof(r));
    at += sizeof(r);
    *out = (struct smtp_rcpt_view){.notify = r.notify};
    out->address = arena_text(e, &at, r.address_len);
    out->parts = address_parts(out->address, r.local_len);
    out->orcpt_raw = arena_text(e, &at, r.orcpt_raw_len);
    out->orcpt_type = slice_first(out->orcpt_raw, r.orcpt_type_len);
    out->orcpt = arena_text(e, &at, r.orcpt_len);
}
