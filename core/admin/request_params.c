/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/admin/request_private.h"
#include "core/base/utf8.h"

/* ---- text ---- */

void admin_text_add(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c <= ' ' || c == '%' || c == 0x7f) {
            buf_addf(out, "%%%02X", c);
        } else {
            buf_add_byte(out, (char)c);
        }
    }
}

static int admin_hex(char c)
{
    char lower = ascii_lower(c);
    return ascii_is_digit(c) ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool admin_text(struct slice value, char *dst, size_t cap)
{
    struct buf text;
    buf_init(&text, cap - 1);
    bool ok = value.len > 0;
    for (size_t i = 0; ok && i < value.len; i++) {
        char c = value.ptr[i];
        if (c == '%') {
            int high = i + 2 < value.len ? admin_hex(value.ptr[i + 1]) : -1;
            int low = i + 2 < value.len ? admin_hex(value.ptr[i + 2]) : -1;
            ok = high >= 0 && low >= 0;
            c = (char)(high * 16 + low);
            i += 2;
        }
        ok = ok && (unsigned char)c >= ' ' && c != 0x7f;
        buf_add_byte(&text, c);
    }
    ok = ok && !text.overflow && utf8_valid(buf_slice(&text)) &&
         slice_to_cstr(buf_slice(&text), dst, cap);
    buf_deinit(&text);
    return ok;
}

/* ---- the others ---- */

static bool admin_set_limit(struct admin_request *req, struct slice value)
{
    uint64_t n;
    if (!slice_to_u64(value, &n) || n < 1 || n > ADMIN_LIMIT_MAX) {
        return false;
    }
    req->limit = (uint32_t)n;
    return true;
}

static void admin_add_limit(struct buf *out, const struct admin_request *req)
{
    must(req->limit >= 1 && req->limit <= ADMIN_LIMIT_MAX);
    buf_add_u64(out, req->limit);
}

static bool admin_domain(struct slice value, char *dst, size_t cap)
{
    if (value.len == 0 || !utf8_valid(value)) {
        return false;
    }
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if (c <= ' ' || c == 0x7f || c == '"' || c == '\\' || c == '@') {
            return false;
        }
    }
    return slice_to_cstr(value, dst, cap);
}

static bool admin_set_domain(struct admin_request *req, struct slice value)
{
    return admin_domain(value, req->select.domain, sizeof(req->select.domain));
}

static void admin_add_domain(struct buf *out, const struct admin_request *req)
{
    buf_add(out, slice_str(req->select.domain));
}

static bool admin_set_host(struct admin_request *req, struct slice value)
{
    return admin_domain(value, req->host, sizeof(req->host));
}

static void admin_add_host(struct buf *out, const struct admin_request *req)
{
    buf_add(out, slice_str(req->host));
}

static bool admin_set_site(struct admin_request *req, struct slice value)
{
    return admin_domain(value, req->select.site, sizeof(req->select.site));
}

static void admin_add_site(struct buf *out, const struct admin_request *req)
{
    buf_add(out, slice_str(req->select.site));
}

/* "<>" is the null sender. */
static bool admin_set_sender(struct admin_request *req, struct slice value)
{
    req->select.null_sender = slice_eq(value, SLICE("<>"));
    return req->select.null_sender ||
           admin_text(value, req->select.sender, sizeof(req->select.sender));
}

static void admin_add_sender(struct buf *out, const struct admin_request *req)
{
    if (req->select.null_sender) {
        buf_add(out, SLICE("<>"));
    }
    admin_text_add(out, slice_str(req->select.sender));
}

static bool admin_id(struct slice value, char dst[ADMIN_ID_BYTES_MAX + 1])
{
    if (value.len == 0) {
        return false;
    }
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '-' && c != '_' && c != '.') {
            return false;
        }
    }
    return slice_to_cstr(value, dst, ADMIN_ID_BYTES_MAX + 1);
}

static bool admin_set_id(struct admin_request *req, struct slice value)
{
    return admin_id(value, req->id);
}

static void admin_add_id(struct buf *out, const struct admin_request *req)
{
    buf_add(out, slice_str(req->id));
}

static bool admin_set_after(struct admin_request *req, struct slice value)
{
    return admin_id(value, req->after);
}

static void admin_add_after(struct buf *out, const struct admin_request *req)
{
    buf_add(out, slice_str(req->after));
}

enum { ADMIN_SECONDS_MAX = 1000000000 };

static bool admin_seconds(struct slice value, uint64_t *ms)
{
    uint64_t s;
    if (!slice_to_u64(value, &s) || s < 1 || s > ADMIN_SECONDS_MAX) {
        return false;
    }
    *ms = s * 1000;
    return true;
}

static bool admin_set_older(struct admin_request *req, struct slice value)
{
    return admin_seconds(value, &req->select.older_than_ms);
}

static void admin_add_older(struct buf *out, const struct admin_request *req)
{
    if (req->select.older_than_ms) {
        buf_add_u64(out, req->select.older_than_ms / 1000);
    }
}

static bool admin_set_for(struct admin_request *req, struct slice value)
{
    return admin_seconds(value, &req->for_ms);
}

static void admin_add_for(struct buf *out, const struct admin_request *req)
{
    if (req->for_ms) {
        buf_add_u64(out, req->for_ms / 1000);
    }
}

static bool admin_flag(struct slice value, bool *flag)
{
    *flag = slice_eq(value, SLICE("1"));
    return *flag;
}

static bool admin_set_all(struct admin_request *req, struct slice value)
{
    return admin_flag(value, &req->select.all);
}

static void admin_add_all(struct buf *out, const struct admin_request *req)
{
    buf_add(out, req->select.all ? SLICE("1") : SLICE(""));
}

static bool admin_set_dry_run(struct admin_request *req, struct slice value)
{
    return admin_flag(value, &req->dry_run);
}

static void admin_add_dry_run(struct buf *out, const struct admin_request *req)
{
    buf_add(out, req->dry_run ? SLICE("1") : SLICE(""));
}

static bool admin_set_quiet(struct admin_request *req, struct slice value)
{
    return admin_flag(value, &req->quiet);
}

static void admin_add_quiet(struct buf *out, const struct admin_request *req)
{
    buf_add(out, req->quiet ? SLICE("1") : SLICE(""));
}

static bool admin_set_site_id(struct admin_request *req, struct slice value)
{
    return slice_to_u64(value, &req->site_id) && req->site_id != 0;
}

static void admin_add_site_id(struct buf *out, const struct admin_request *req)
{
    if (req->site_id) {
        buf_add_u64(out, req->site_id);
    }
}

static bool admin_set_scope(struct admin_request *req, struct slice value)
{
    return queue_scope_parse(value, req->scope);
}

static void admin_add_scope(struct buf *out, const struct admin_request *req)
{
    buf_add(out, slice_str(req->scope));
}

static bool admin_set_to(struct admin_request *req, struct slice value)
{
    return queue_target_parse(value, req->to);
}

static void admin_add_to(struct buf *out, const struct admin_request *req)
{
    buf_add(out, slice_str(req->to));
}

static bool admin_set_target(struct admin_request *req, struct slice value)
{
    return admin_domain(value, req->target, sizeof(req->target));
}

static void admin_add_target(struct buf *out, const struct admin_request *req)
{
    buf_add(out, slice_str(req->target));
}

static bool admin_set_override(struct admin_request *req, struct slice value)
{
    return slice_to_u64(value, &req->override_id) && req->override_id != 0;
}

static void admin_add_override(struct buf *out, const struct admin_request *req)
{
    if (req->override_id) {
        buf_add_u64(out, req->override_id);
    }
}

static bool admin_set_day(struct admin_request *req, struct slice value)
{
    uint64_t n;
    if (!slice_to_u64(value, &n) || n < 1 || n > ADMIN_DAY_MAX) {
        return false;
    }
    req->day = (uint32_t)n;
    return true;
}

static void admin_add_day(struct buf *out, const struct admin_request *req)
{
    if (req->day) {
        buf_add_u64(out, req->day);
    }
}

#define ADMIN_PARAM(key, verbs, name, allowed)                                                     \
    {                                                                                              \
        SLICE_INIT(key), verbs, admin_set_##name, admin_add_##name, allowed, 0, 0                  \
    }
#define ADMIN_TEXT(key, verbs, field, allowed)                                                     \
    {                                                                                              \
        SLICE_INIT(key), verbs, NULL, NULL, allowed, offsetof(struct admin_request, field),        \
            sizeof(((struct admin_request *)NULL)->field)                                          \
    }

static const struct admin_param params[] = {
    ADMIN_PARAM("limit", OF_LS | OF_TOP, limit, "a number from 1 to 100000"),
    ADMIN_PARAM("domain", OF_SELECTION | OF_EXPLAIN, domain, "a domain"),
    ADMIN_PARAM("id", OF_SHOW | OF_SELECTION, id, "a message id"),
    ADMIN_PARAM("after", OF_LS, after, "a message id"),
    ADMIN_TEXT("recipient", OF_SELECTION, select.recipient, "an address"),
    ADMIN_PARAM("sender", OF_SELECTION, sender, "an address or <>"),
    ADMIN_PARAM("site", OF_SELECTION, site, "the name of a mail host"),
    ADMIN_TEXT("tenant", OF_SELECTION, select.tenant, "a tenant's name"),
    ADMIN_TEXT("campaign", OF_SELECTION, select.campaign, "a campaign's name"),
    ADMIN_TEXT("source", OF_SELECTION, select.source, "the name of an egress source"),
    ADMIN_TEXT("last_reply", OF_SELECTION, select.last_reply, "at most 200 bytes of a reply"),
    ADMIN_PARAM("older", OF_SELECTION, older, "a number of seconds"),
    ADMIN_PARAM("all", OF_ORDERS | OF_FORGET | OF_CANCEL, all, "1"),
    ADMIN_PARAM("host", OF_FORGET, host, "the name of a mail host, perhaps with :PORT"),
    ADMIN_PARAM("dry_run", OF_ORDERS, dry_run, "1"),
    ADMIN_PARAM("quiet", OF_BOUNCE, quiet, "1"),
    ADMIN_PARAM("scope", OF_SCOPE, scope, "all, a domain, site:, tenant: or campaign: and a name"),
    ADMIN_PARAM("site_id", OF_EXPLAIN, site_id, "a number that an answer said"),
    ADMIN_PARAM("for", OF_SUSPEND | OF_ADD, for, "a number of seconds"),
    ADMIN_PARAM("to", OF_ROUTE, to, "a host with or without a port, mx: and a domain, or default"),
    ADMIN_PARAM("target", OF_TRACE, target, "a domain, a mail host, an address or a network"),
    ADMIN_TEXT("reason", OF_SUSPEND | OF_ADD, reason, "at most 200 bytes of text"),
    ADMIN_PARAM("override", OF_CANCEL, override, "the number of an override"),
    ADMIN_TEXT("of", OF_ADD, of, "a scope: site, source@site, tenant@provider ..."),
    ADMIN_TEXT("action", OF_ADD, action, "an action of a rule"),
    ADMIN_TEXT("value", OF_ADD, value, "a share like 50% or a limit"),
    ADMIN_PARAM("day", OF_WARMUP_SET, day, "a number from 1 to 1000"),
    ADMIN_TEXT("who", OF_ADD | OF_WARMUP_SET, who, "a source, tenant, tenant/campaign or domain"),
    ADMIN_TEXT("where", OF_ADD | OF_WARMUP_SET, where, "a site or a provider"),
};

must_static(ADMIN_LIMIT_MAX == 100000 && ADMIN_DAY_MAX == 1000, "the texts above name them");
must_static(QUEUE_SELECT_REPLY_BYTES == 200 && QUEUE_SUSPEND_REASON_BYTES == 200,
            "the texts above name them");
must_static(ARRAY_COUNT(params) <= 32, "one bit per parameter");

const struct admin_param *admin_params(size_t *count)
{
    *count = ARRAY_COUNT(params);
    return params;
}
