/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Text and not JSON towards the engine: a request is a handful of words, and the engine needs no JSON parser
 * in front of a socket for them.
 */
#include "core/admin/request.h"
#include "core/base/id.h"
#include "core/base/utf8.h"

/* In the order of their values, "suspend ls" before "suspend". */
static const struct slice verbs[ADMIN_VERB_COUNT] = {
    [ADMIN_QUEUE_STATS] = SLICE_INIT("queue stats"),
    [ADMIN_QUEUE_LS] = SLICE_INIT("queue ls"),
    [ADMIN_QUEUE_SHOW] = SLICE_INIT("queue show"),
    [ADMIN_QUEUE_RETRY] = SLICE_INIT("queue retry"),
    [ADMIN_QUEUE_HOLD] = SLICE_INIT("queue hold"),
    [ADMIN_QUEUE_RELEASE] = SLICE_INIT("queue release"),
    [ADMIN_QUEUE_BOUNCE] = SLICE_INIT("queue bounce"),
    [ADMIN_QUEUE_DELETE] = SLICE_INIT("queue delete"),
    [ADMIN_SUSPEND_LS] = SLICE_INIT("suspend ls"),
    [ADMIN_SUSPEND] = SLICE_INIT("suspend"),
    [ADMIN_RESUME] = SLICE_INIT("resume"),
    [ADMIN_EXPLAIN] = SLICE_INIT("explain"),
};

enum {
    OF_LS = 1 << ADMIN_QUEUE_LS,
    OF_SHOW = 1 << ADMIN_QUEUE_SHOW,
    OF_BOUNCE = 1 << ADMIN_QUEUE_BOUNCE,
    OF_ORDERS = 1 << ADMIN_QUEUE_RETRY | 1 << ADMIN_QUEUE_HOLD | 1 << ADMIN_QUEUE_RELEASE |
                OF_BOUNCE | 1 << ADMIN_QUEUE_DELETE,
    OF_SELECTION = OF_LS | OF_ORDERS | 1 << ADMIN_QUEUE_STATS,
    OF_SUSPEND = 1 << ADMIN_SUSPEND,
    OF_SCOPE = OF_SUSPEND | 1 << ADMIN_RESUME,
    OF_EXPLAIN = 1 << ADMIN_EXPLAIN,
};

struct admin_param {
    struct slice key;
    unsigned verbs;
    bool (*set)(struct admin_request *req, struct slice value);
    /* Appends the value; nothing: it is not given. */
    void (*add)(struct buf *out, const struct admin_request *req);
    const char *allowed;
    size_t text_at; /* instead of set and add: text, in this field */
    size_t text_cap;
};

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

/* False: bad escapes, control characters, not UTF-8, empty or too long. */
static bool admin_text(struct slice value, char *dst, size_t cap)
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
    ADMIN_PARAM("limit", OF_LS, limit, "a number from 1 to 100000"),
    ADMIN_PARAM("domain", OF_SELECTION | OF_EXPLAIN, domain, "a domain"),
    ADMIN_PARAM("id", OF_SHOW | OF_SELECTION, id, "a message id"),
    ADMIN_PARAM("after", OF_LS, after, "a message id"),
    ADMIN_TEXT("recipient", OF_SELECTION, select.recipient, "an address"),
    ADMIN_PARAM("sender", OF_SELECTION, sender, "an address or <>"),
    ADMIN_PARAM("site", OF_SELECTION, site, "the name of a mail host"),
    ADMIN_TEXT("tenant", OF_SELECTION, select.tenant, "a tenant's name"),
    ADMIN_TEXT("campaign", OF_SELECTION, select.campaign, "a campaign's name"),
    ADMIN_TEXT("last_reply", OF_SELECTION, select.last_reply, "at most 200 bytes of a reply"),
    ADMIN_PARAM("older", OF_SELECTION, older, "a number of seconds"),
    ADMIN_PARAM("all", OF_ORDERS, all, "1"),
    ADMIN_PARAM("dry_run", OF_ORDERS, dry_run, "1"),
    ADMIN_PARAM("quiet", OF_BOUNCE, quiet, "1"),
    ADMIN_PARAM("scope", OF_SCOPE, scope, "all, a domain, site:, tenant: or campaign: and a name"),
    ADMIN_PARAM("site_id", OF_EXPLAIN, site_id, "a number that an answer said"),
    ADMIN_PARAM("for", OF_SUSPEND, for, "a number of seconds"),
    ADMIN_TEXT("reason", OF_SUSPEND, reason, "at most 200 bytes of text"),
};

must_static(ADMIN_LIMIT_MAX == 100000, "the text of limit above names it");
must_static(QUEUE_SELECT_REPLY_BYTES == 200 && QUEUE_SUSPEND_REASON_BYTES == 200,
            "the texts above name them");
must_static(ARRAY_COUNT(params) <= 32, "one bit per parameter");

/* ---- the line ---- */

/* Shown in a reason: only what is printable ASCII, and not much of it. */
static void admin_add_quoted(struct buf *out, struct slice word)
{
    struct slice s = slice_first(word, 40);
    buf_add_byte(out, '\'');
    for (size_t i = 0; i < s.len; i++) {
        buf_add_byte(out, s.ptr[i] > ' ' && s.ptr[i] < 0x7f ? s.ptr[i] : '?');
    }
    buf_add_byte(out, '\'');
}

static bool admin_parse_verb(struct slice *line, enum admin_verb *verb)
{
    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++) {
        struct slice v = verbs[i];
        if (slice_eq(slice_first(*line, v.len), v) &&
            (line->len == v.len || line->ptr[v.len] == ' ')) {
            *verb = (enum admin_verb)i;
            *line = slice_skip(*line, v.len);
            return true;
        }
    }
    return false;
}

static bool admin_parse_param(struct slice word, struct admin_request *req, uint32_t *seen,
                              struct buf *why)
{
    struct slice value = word;
    struct slice key = slice_cut(&value, '=');
    for (size_t i = 0; i < ARRAY_COUNT(params); i++) {
        const struct admin_param *p = &params[i];
        if (!slice_eq(p->key, key) || !(p->verbs & 1u << req->verb) || key.len == word.len) {
            continue;
        }
        if (*seen & UINT32_C(1) << i) {
            buf_addf(why, "%.*s is given twice", SLICE_ARG(key));
            return false;
        }
        *seen |= UINT32_C(1) << i;
        bool ok = p->text_cap ? admin_text(value, (char *)req + p->text_at, p->text_cap)
                              : p->set(req, value);
        if (!ok) {
            buf_addf(why, "%.*s must be %s, not ", SLICE_ARG(key), p->allowed);
            admin_add_quoted(why, value);
            return false;
        }
        return true;
    }
    buf_addf(why, "%s does not take ", admin_verb_name(req->verb));
    admin_add_quoted(why, word);
    return false;
}

/* What no single parameter can say. */
static bool admin_request_complete(struct admin_request *req, struct buf *why)
{
    if (req->verb == ADMIN_QUEUE_SHOW) {
        if (req->id[0] == '\0') {
            buf_add(why, SLICE("queue show needs id="));
        }
        return req->id[0] != '\0';
    }
    if (req->id[0] && !id_parse(slice_str(req->id), &req->select.id)) {
        buf_add(why, SLICE("id must be a message id, not "));
        admin_add_quoted(why, slice_str(req->id));
        return false;
    }
    uint64_t after;
    if (req->after[0] && !id_parse(slice_str(req->after), &after)) {
        buf_add(why, SLICE("after must be a message id, not "));
        admin_add_quoted(why, slice_str(req->after));
        return false;
    }
    if (OF_ORDERS & 1u << req->verb && queue_select_empty(&req->select)) {
        buf_addf(why, "%s needs to be told which messages; all=1 means all",
                 admin_verb_name(req->verb));
        return false;
    }
    if (req->verb == ADMIN_EXPLAIN && !req->select.domain[0] == !req->site_id) {
        buf_add(why, SLICE("explain needs domain= or site_id="));
        return false;
    }
    if (OF_SCOPE & 1u << req->verb && req->scope[0] == '\0') {
        buf_addf(why, "%s needs scope=", admin_verb_name(req->verb));
        return false;
    }
    return true;
}

bool admin_request_parse(struct slice line, struct admin_request *out, struct buf *why)
{
    struct admin_request req = {0};
    uint32_t seen = 0;
    struct slice rest = line;
    if (!admin_parse_verb(&rest, &req.verb)) {
        buf_add(why, SLICE("unknown request "));
        admin_add_quoted(why, line);
        return false;
    }
    req.limit = req.verb == ADMIN_QUEUE_LS ? ADMIN_LIMIT_DEFAULT : 0;
    while (rest.len) {
        must(rest.ptr[0] == ' ');
        rest = slice_skip(rest, 1);
        int space = slice_find_byte(rest, ' ');
        struct slice word = space < 0 ? rest : slice_first(rest, (size_t)space);
        if (!admin_parse_param(word, &req, &seen, why)) {
            return false;
        }
        rest = slice_skip(rest, word.len);
    }
    if (!admin_request_complete(&req, why)) {
        return false;
    }
    *out = req;
    return true;
}

void admin_request_add(struct buf *out, const struct admin_request *req)
{
    buf_addf(out, "%s", admin_verb_name(req->verb));
    for (size_t i = 0; i < ARRAY_COUNT(params); i++) {
        if (!(params[i].verbs & 1u << req->verb)) {
            continue;
        }
        size_t before = out->len;
        buf_addf(out, " %.*s=", SLICE_ARG(params[i].key));
        size_t value = out->len;
        if (params[i].text_cap) {
            admin_text_add(out, slice_str((const char *)req + params[i].text_at));
        } else {
            params[i].add(out, req);
        }
        if (out->len == value && !out->overflow) {
            out->len = before;
        }
    }
    buf_add_byte(out, '\n');
}

const char *admin_verb_name(enum admin_verb verb)
{
    must(verb < ADMIN_VERB_COUNT);
    return verbs[verb].ptr;
}

bool admin_verb_is_order(enum admin_verb verb)
{
    return (OF_ORDERS | OF_SCOPE) & 1u << verb;
}
