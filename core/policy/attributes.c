/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/attributes.h"
#include "core/base/must.h"
#include "core/base/rfc3339.h"
#include "core/base/units.h"
#include "core/conf/value_names.h"

#include <stdio.h>

enum { FIELD_VALUE_BYTES = 256 };

bool attributes_trusted(const struct conf *conf, const struct access_client *c)
{
    switch (c->listener->attributes) {
    case CONF_ATTRIBUTES_CLIENTS:
        return c->authenticated ||
               ip_nets_contain(conf->access.networks.items, conf->access.networks.count, &c->addr);
    case CONF_ATTRIBUTES_AUTH:
        return c->authenticated;
    case CONF_ATTRIBUTES_NOBODY:
        break;
    }
    return false;
}

/* ---- times ---- */

static bool duration_parse(struct slice text, uint64_t *out_us)
{
    uint64_t n;
    if (slice_to_u64(text, &n)) {
        *out_us = n * 1000000;
        return n <= UINT32_MAX;
    }
    if (!units_parse_duration(text, &n) || n > (uint64_t)UINT32_MAX * 1000) {
        return false;
    }
    *out_us = n * 1000;
    return true;
}

bool attributes_time_parse(struct slice text, uint64_t now_us, bool up, uint64_t *out_s)
{
    uint64_t us;
    if (text.len && text.ptr[0] == '+') {
        if (!duration_parse(slice_skip(text, 1), &us)) {
            return false;
        }
        us += now_us;
    } else if (!rfc3339_parse(text, &us)) {
        return false;
    }
    *out_s = us / 1000000 + (up && us % 1000000 ? 1 : 0);
    return true;
}

static bool time_near(uint64_t s, uint64_t now_us)
{
    return s <= now_us / 1000000 + ATTRIBUTES_AHEAD_S_MAX && s <= UINT32_MAX;
}

/* ---- fields ---- */

struct reading {
    const struct attributes_source *from;
    struct attributes *out;
    struct slice value;
};

/* NULL, or what is wrong with it. */
static const char *read_priority(struct reading *r)
{
    static const struct {
        struct slice word;
        enum conf_priority priority;
    } words[] = {
        {SLICE_INIT("urgent"), CONF_PRIORITY_URGENT},
        {SLICE_INIT("normal"), CONF_PRIORITY_NORMAL},
        {SLICE_INIT("bulk"), CONF_PRIORITY_BULK},
    };
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        if (slice_eq_nocase(r->value, words[i].word)) {
            r->out->priority = words[i].priority;
            return NULL;
        }
    }
    return "is not urgent, normal or bulk";
}

static const char *read_name(struct slice value, struct slice *out)
{
    *out = value;
    return conf_label_valid(value) ? NULL : "is not a name (64 letters, digits, - _ . @ +)";
}

static const char *read_tenant(struct reading *r)
{
    return read_name(r->value, &r->out->tenant);
}

static const char *read_campaign(struct reading *r)
{
    return read_name(r->value, &r->out->campaign);
}

/* A name that nothing stands for is a mistake that somebody should hear of now. One that goes with a later
 * configuration does not count any more (egress_pool_of). */
static const char *read_source(struct reading *r)
{
    const char *wrong = read_name(r->value, &r->out->source);
    bool known = !r->from->egress || egress_pool_find(r->from->egress, r->value);
    return wrong ? wrong : known ? NULL : "is not the name of a source or a pool here";
}

static const char *read_time(struct reading *r, bool up, uint32_t *out)
{
    uint64_t s;
    if (!attributes_time_parse(r->value, r->from->now_us, up, &s)) {
        return "is not a time like 2026-12-24T18:00:00Z or +3600";
    }
    if (!time_near(s, r->from->now_us)) {
        return "is too far ahead";
    }
    *out = (uint32_t)s;
    return NULL;
}

static const char *read_send_at(struct reading *r)
{
    return read_time(r, true, &r->out->not_before_s);
}

static const char *read_expire(struct reading *r)
{
    const char *wrong = read_time(r, false, &r->out->expire_s);
    return !wrong && r->out->expire_s <= r->from->now_us / 1000000 ? "is over" : wrong;
}

static const struct {
    size_t name; /* in struct conf_headers */
    const char *(*read)(struct reading *r);
} rows[ATTRIBUTES_FIELDS] = {
    {offsetof(struct conf_headers, priority), read_priority},
    {offsetof(struct conf_headers, tenant), read_tenant},
    {offsetof(struct conf_headers, campaign), read_campaign},
    {offsetof(struct conf_headers, send_at), read_send_at},
    {offsetof(struct conf_headers, expire), read_expire},
    {offsetof(struct conf_headers, source), read_source},
};

static struct slice row_name(const struct conf_headers *names, size_t row)
{
    return *(const struct slice *)(const void *)((const char *)names + rows[row].name);
}

size_t attributes_field_names(const struct conf_headers *names, struct slice out[ATTRIBUTES_FIELDS])
{
    size_t n = 0;
    for (size_t i = 0; i < ATTRIBUTES_FIELDS; i++) {
        if (row_name(names, i).len) {
            out[n++] = row_name(names, i);
        }
    }
    return n;
}

static bool refuse(struct access_refusal *out, struct slice field, const char *what)
{
    int n = snprintf(out->text, sizeof(out->text), "%.*s %s", SLICE_ARG(slice_first(field, 76)),
                     what); /* no memory is asked for: there may be none */
    must(n > 0 && (size_t)n < sizeof(out->text));
    out->verdict = (struct smtp_verdict){.code = 550,
                                         .enhanced = SLICE("5.6.0"),
                                         .text = slice_of(out->text, (size_t)n)};
    return false;
}

/* Cuts one field with its continuation lines off *fields. */
static struct slice cut_field(struct slice *fields)
{
    struct slice all = *fields;
    size_t n = 0;
    do {
        const char *lf = memchr(all.ptr + n, '\n', all.len - n);
        n = lf ? (size_t)(lf - all.ptr) + 1 : all.len;
    } while (n < all.len && (all.ptr[n] == ' ' || all.ptr[n] == '\t'));
    *fields = slice_skip(all, n);
    return slice_first(all, n);
}

/* The value without its line ends. No value of ours has anything inside that a fold could stand in, so the one
 * piece that is not empty is the value; with more it is none. */
static bool unfold(struct slice body, struct slice *out)
{
    *out = slice_of("", 0);
    while (body.len) {
        struct slice line = slice_cut(&body, '\n');
        line.len -= line.len && line.ptr[line.len - 1] == '\r' ? 1 : 0;
        line = slice_trim(line);
        if (line.len && out->len) {
            return false;
        }
        *out = line.len ? line : *out;
    }
    return out->len <= FIELD_VALUE_BYTES;
}

/* One field; *seen: bits of the rows that were there. */
static bool read_field(struct reading *r, struct slice field, uint32_t *seen,
                       struct access_refusal *why)
{
    struct slice body = field;
    struct slice name = slice_trim(slice_cut(&body, ':'));
    for (size_t i = 0; i < ATTRIBUTES_FIELDS; i++) {
        if (!slice_eq_nocase(name, row_name(r->from->names, i)) || name.len == 0) {
            continue;
        }
        if (*seen & 1u << i) {
            return refuse(why, name, "is there twice");
        }
        *seen |= 1u << i;
        if (!unfold(body, &r->value)) {
            return refuse(why, name, "cannot be read");
        }
        const char *wrong = rows[i].read(r);
        return !wrong || refuse(why, name, wrong);
    }
    return true;
}

/* ---- all together ---- */

static void add_envelope(const struct attributes_source *from, struct attributes *out)
{
    if (from->hold_until_s > out->not_before_s) {
        out->not_before_s = (uint32_t)from->hold_until_s;
    }
    out->by = from->by;
    if (from->by & ATTRIBUTES_BY_NOTIFY) {
        out->notify_s = (uint32_t)from->by_until_s;
    }
    if ((from->by & ATTRIBUTES_BY_RETURN) &&
        (out->expire_s == 0 || from->by_until_s < out->expire_s)) {
        out->expire_s = (uint32_t)from->by_until_s;
    }
}

static void add_defaults(const struct attributes_source *from, struct attributes *out)
{
    if (out->priority == CONF_PRIORITY_AUTO && from->user) {
        out->priority = from->user->priority;
    }
    if (out->priority == CONF_PRIORITY_AUTO) {
        out->priority = from->listener->priority;
    }
    if (out->tenant.len == 0 && from->user) {
        out->tenant = from->user->tenant;
    }
    if (out->tenant.len == 0) {
        out->tenant = from->listener->tenant;
    }
}

bool attributes_decide(const struct attributes_source *from, struct attributes *out,
                       struct access_refusal *why)
{
    must(from->hold_until_s <= UINT32_MAX && from->by_until_s <= UINT32_MAX);
    *out = (struct attributes){0};
    struct reading r = {.from = from, .out = out};
    struct slice fields = from->fields;
    uint32_t seen = 0;
    while (fields.len) {
        if (!read_field(&r, cut_field(&fields), &seen, why)) {
            return false;
        }
    }
    add_envelope(from, out);
    add_defaults(from, out);
    if (out->not_before_s <= from->now_us / 1000000) {
        out->not_before_s = 0;
    }
    if (out->expire_s && out->expire_s <= out->not_before_s) {
        return refuse(why, from->names->expire.len ? from->names->expire : SLICE("The end"),
                      "is not after the time to send at");
    }
    return true;
}
