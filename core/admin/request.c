/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Text and not JSON towards the engine: a request has three possible parameters, and the engine needs
 * no JSON parser in front of a socket for them.
 */
#include "core/admin/request.h"
#include "core/base/utf8.h"

struct admin_param {
    struct slice key;
    enum admin_verb verb;
    bool (*set)(struct admin_request *req, struct slice value);
    const char *allowed;
};

static const struct {
    struct slice text;
    enum admin_verb verb;
} verbs[] = {
    {SLICE_INIT("queue stats"), ADMIN_QUEUE_STATS},
    {SLICE_INIT("queue ls"), ADMIN_QUEUE_LS},
    {SLICE_INIT("queue show"), ADMIN_QUEUE_SHOW},
};

static bool admin_set_limit(struct admin_request *req, struct slice value)
{
    uint64_t n;
    if (!slice_to_u64(value, &n) || n < 1 || n > ADMIN_LIMIT_MAX) {
        return false;
    }
    req->limit = (uint32_t)n;
    return true;
}

static bool admin_set_domain(struct admin_request *req, struct slice value)
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
    return slice_to_cstr(value, req->domain, sizeof(req->domain));
}

static bool admin_set_id(struct admin_request *req, struct slice value)
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
    return slice_to_cstr(value, req->id, sizeof(req->id));
}

static const struct admin_param params[] = {
    {SLICE_INIT("limit"), ADMIN_QUEUE_LS, admin_set_limit, "a number from 1 to 100000"},
    {SLICE_INIT("domain"), ADMIN_QUEUE_LS, admin_set_domain, "a domain"},
    {SLICE_INIT("id"), ADMIN_QUEUE_SHOW, admin_set_id, "a message id"},
};

must_static(ADMIN_LIMIT_MAX == 100000, "the text of limit above names it");
must_static(ARRAY_COUNT(params) <= 32, "one bit per parameter");

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
        struct slice v = verbs[i].text;
        if (slice_eq(slice_first(*line, v.len), v) &&
            (line->len == v.len || line->ptr[v.len] == ' ')) {
            *verb = verbs[i].verb;
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
        if (!slice_eq(p->key, key) || p->verb != req->verb || key.len == word.len) {
            continue;
        }
        if (*seen & UINT32_C(1) << i) {
            buf_addf(why, "%.*s is given twice", SLICE_ARG(key));
            return false;
        }
        *seen |= UINT32_C(1) << i;
        if (!p->set(req, value)) {
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
    if (req.verb == ADMIN_QUEUE_SHOW && req.id[0] == '\0') {
        buf_add(why, SLICE("queue show needs id="));
        return false;
    }
    *out = req;
    return true;
}

void admin_request_add(struct buf *out, const struct admin_request *req)
{
    buf_addf(out, "%s", admin_verb_name(req->verb));
    if (req->verb == ADMIN_QUEUE_LS) {
        must(req->limit >= 1 && req->limit <= ADMIN_LIMIT_MAX);
        buf_addf(out, " limit=%u", req->limit);
        if (req->domain[0]) {
            buf_addf(out, " domain=%s", req->domain);
        }
    }
    if (req->verb == ADMIN_QUEUE_SHOW) {
        must(req->id[0]);
        buf_addf(out, " id=%s", req->id);
    }
    buf_add_byte(out, '\n');
}

const char *admin_verb_name(enum admin_verb verb)
{
    switch (verb) {
    case ADMIN_QUEUE_STATS:
        return "queue stats";
    case ADMIN_QUEUE_LS:
        return "queue ls";
    case ADMIN_QUEUE_SHOW:
        return "queue show";
    }
    must(!"a verb");
    return "";
}

const char *admin_error_name(enum admin_error error)
{
    switch (error) {
    case ADMIN_BAD_REQUEST:
        return "bad_request";
    case ADMIN_TOO_LONG:
        return "too_long";
    case ADMIN_BUSY:
        return "busy";
    case ADMIN_NOT_FOUND:
        return "not_found";
    case ADMIN_TIMEOUT:
        return "timeout";
    case ADMIN_OVERFLOW:
        return "overflow";
    case ADMIN_STOPPING:
        return "stopping";
    }
    must(!"an error");
    return "";
}

void admin_error_add(struct buf *out, enum admin_error error, struct slice text)
{
    buf_addf(out, "{\"error\":\"%s\",\"text\":\"", admin_error_name(error));
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '"' || c == '\\') {
            buf_add_byte(out, '\\');
            buf_add_byte(out, (char)c);
        } else if (c < ' ' || c >= 0x7f) {
            buf_addf(out, "\\u%04x", c);
        } else {
            buf_add_byte(out, (char)c);
        }
    }
    buf_add(out, SLICE("\"}\n"));
}
