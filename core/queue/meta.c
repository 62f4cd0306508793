/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/meta.h"
#include "core/conf/value_names.h"
#include "spool/wire.h"

enum { META_VERSION = 1 };

enum {
    META_CLASS = 1,
    META_TENANT,
    META_CAMPAIGN,
    META_NOT_BEFORE,
    META_EXPIRE,
    META_NOTIFY,
    META_BY,
    META_SOURCE,
    META_DKIM,
    META_TAGS,
};

must_static(1 + (META_TAGS - 1) * 2 + 3 * CONF_LABEL_BYTES_MAX + 3 * 4 + 2 +
                    QUEUE_META_DKIM_BYTES_MAX <=
                QUEUE_META_BYTES_MAX,
            "all fields fit");

static void meta_put(struct wire_writer *w, uint8_t tag, uint64_t value, unsigned bytes)
{
    if (value) {
        wire_put(w, tag, 1);
        wire_put(w, bytes, 1);
        wire_put(w, value, bytes);
    }
}

static void meta_put_name(struct wire_writer *w, uint8_t tag, struct slice name)
{
    must(name.len <= (tag == META_DKIM ? QUEUE_META_DKIM_BYTES_MAX : CONF_LABEL_BYTES_MAX));
    if (name.len) {
        wire_put(w, tag, 1);
        wire_put(w, name.len, 1);
        wire_put_slice(w, name);
    }
}

struct slice queue_meta_encode(const struct attributes *a, char dst[QUEUE_META_BYTES_MAX])
{
    struct wire_writer w = {(uint8_t *)dst};
    wire_put(&w, META_VERSION, 1);
    if (a->priority != CONF_PRIORITY_NORMAL) {
        meta_put(&w, META_CLASS, (uint64_t)a->priority, 1);
    }
    meta_put_name(&w, META_TENANT, a->tenant);
    meta_put_name(&w, META_CAMPAIGN, a->campaign);
    meta_put(&w, META_NOT_BEFORE, a->not_before_s, 4);
    meta_put(&w, META_EXPIRE, a->expire_s, 4);
    meta_put(&w, META_NOTIFY, a->notify_s, 4);
    meta_put(&w, META_BY, a->by, 1);
    meta_put_name(&w, META_SOURCE, a->source);
    meta_put_name(&w, META_DKIM, a->dkim);
    size_t n = (size_t)(w.at - (uint8_t *)dst);
    return slice_of(dst, n > 1 ? n : 0);
}

static bool meta_number(struct slice value, unsigned bytes, uint32_t *out)
{
    struct wire_reader r = {.rest = value};
    *out = (uint32_t)wire_take(&r, bytes);
    return !r.bad && r.rest.len == 0;
}

static bool meta_name(struct slice value, struct slice *out)
{
    *out = value;
    return conf_label_valid(value);
}

static bool meta_class(struct slice value, enum conf_priority *out)
{
    uint32_t n;
    bool ok = meta_number(value, 1, &n) && n <= CONF_PRIORITY_BULK;
    *out = ok ? (enum conf_priority)n : CONF_PRIORITY_AUTO;
    return ok;
}

static bool meta_by(struct slice value, uint8_t *out)
{
    enum { BOTH = ATTRIBUTES_BY_RETURN | ATTRIBUTES_BY_NOTIFY };
    uint32_t n;
    bool ok = meta_number(value, 1, &n) && n <= (BOTH | ATTRIBUTES_BY_TRACE) && (n & BOTH) != BOTH;
    *out = ok ? (uint8_t)n : 0;
    return ok;
}

static bool meta_field(struct attributes *a, uint8_t tag, struct slice value)
{
    switch (tag) {
    case META_CLASS:
        return meta_class(value, &a->priority);
    case META_TENANT:
        return meta_name(value, &a->tenant);
    case META_CAMPAIGN:
        return meta_name(value, &a->campaign);
    case META_NOT_BEFORE:
        return meta_number(value, 4, &a->not_before_s);
    case META_EXPIRE:
        return meta_number(value, 4, &a->expire_s);
    case META_NOTIFY:
        return meta_number(value, 4, &a->notify_s);
    case META_BY:
        return meta_by(value, &a->by);
    case META_SOURCE:
        return meta_name(value, &a->source);
    case META_DKIM:
        a->dkim = value;
        return value.len > 0 && value.len <= QUEUE_META_DKIM_BYTES_MAX;
    default:
        return true;
    }
}

bool queue_meta_decode(struct slice meta, struct attributes *out)
{
    struct attributes a = {0};
    struct wire_reader r = {.rest = meta};
    uint32_t seen = 0;
    *out = a;
    if (meta.len == 0) {
        return true;
    }
    bool ok = wire_u8(&r) == META_VERSION;
    while (ok && r.rest.len) {
        uint8_t tag = wire_u8(&r);
        struct slice value = wire_bytes(&r, wire_u8(&r));
        uint32_t bit = tag < META_TAGS ? 1u << tag : 0;
        ok = !r.bad && !(seen & bit) && meta_field(&a, tag, value);
        seen |= bit;
    }
    if (ok) {
        *out = a;
    }
    return ok;
}
