/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Text and not JSON towards the engine: a request is a handful of words, and the engine needs no JSON parser
 * in front of a socket for them.
 */
#include "core/admin/request_private.h"
#include "core/base/id.h"

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
    [ADMIN_QUEUE_ROUTE] = SLICE_INIT("queue route"),
    [ADMIN_SUSPEND_LS] = SLICE_INIT("suspend ls"),
    [ADMIN_SUSPEND] = SLICE_INIT("suspend"),
    [ADMIN_RESUME] = SLICE_INIT("resume"),
    [ADMIN_EXPLAIN] = SLICE_INIT("explain"),
    [ADMIN_PEERS_LS] = SLICE_INIT("peers ls"),
    [ADMIN_PEERS_FORGET] = SLICE_INIT("peers forget"),
    [ADMIN_OVERRIDES_LS] = SLICE_INIT("overrides ls"),
    [ADMIN_OVERRIDES_CANCEL] = SLICE_INIT("overrides cancel"),
    [ADMIN_OVERRIDES_ADD] = SLICE_INIT("overrides add"),
    [ADMIN_TOP] = SLICE_INIT("top"),
    [ADMIN_TRACE] = SLICE_INIT("trace"),
    [ADMIN_WARMUP_LS] = SLICE_INIT("warmup ls"),
    [ADMIN_WARMUP_SET] = SLICE_INIT("warmup set"),
};

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
    size_t count;
    const struct admin_param *params = admin_params(&count);
    for (size_t i = 0; i < count; i++) {
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
    if (req->verb == ADMIN_PEERS_FORGET && req->select.all == (req->host[0] != '\0')) {
        buf_add(why, SLICE("peers forget needs host= or all=1"));
        return false;
    }
    if (req->verb == ADMIN_EXPLAIN && !req->select.domain[0] == !req->site_id) {
        buf_add(why, SLICE("explain needs domain= or site_id="));
        return false;
    }
    if (req->verb == ADMIN_QUEUE_ROUTE && !req->to[0]) {
        buf_add(why, SLICE("queue route needs to="));
        return false;
    }
    if (req->verb == ADMIN_OVERRIDES_CANCEL && req->select.all == (req->override_id != 0)) {
        buf_add(why, SLICE("overrides cancel needs an override's number or all"));
        return false;
    }
    if (req->verb == ADMIN_OVERRIDES_ADD) {
        struct automation_order order;
        struct automation_keys keys;
        return admin_request_override(req, &order, &keys, why);
    }
    if (req->verb == ADMIN_WARMUP_SET && (!req->who[0] || !req->where[0] || !req->day)) {
        buf_add(why, SLICE("warmup set needs who= (a source), where= (a provider) and day="));
        return false;
    }
    if (req->verb == ADMIN_TRACE && !req->target[0]) {
        buf_add(why, SLICE("trace needs target="));
        return false;
    }
    if (req->verb == ADMIN_TOP && req->limit > ADMIN_TOP_MAX) {
        buf_addf(why, "limit must be a number from 1 to %d for top", ADMIN_TOP_MAX);
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
    req.limit = req.verb == ADMIN_QUEUE_LS ? ADMIN_LIMIT_DEFAULT
                : req.verb == ADMIN_TOP    ? ADMIN_TOP_DEFAULT
                                           : 0;
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
    size_t count;
    const struct admin_param *params = admin_params(&count);
    for (size_t i = 0; i < count; i++) {
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

bool admin_verb_is_stream(enum admin_verb verb)
{
    return verb == ADMIN_TRACE;
}
