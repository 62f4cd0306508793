/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The verbs of requests, one row each: what it is called and what it needs. Which words a verb takes is said at the
 * words (request_params.c); what is done about it: worker_verbs (core/app/worker_query.c) and engine_verbs
 * (core/app/engine_query.c).
 */
#include "core/admin/request_private.h"
#include "core/base/id.h"

/* ---- what no single parameter can say: false, and why ---- */

static bool admin_is_id(const char *name, const char *text, uint64_t *id, struct buf *why)
{
    if (text[0] == '\0' || id_parse(slice_str(text), id)) {
        return true;
    }
    buf_addf(why, "%s must be a message id, not ", name);
    admin_add_quoted(why, slice_str(text));
    return false;
}

static bool admin_needs(bool given, const char *what, struct buf *why)
{
    if (!given) {
        buf_addf(why, "%s", what);
    }
    return given;
}

static bool admin_complete_selection(struct admin_request *req, struct buf *why)
{
    uint64_t after;
    return admin_is_id("id", req->id, &req->select.id, why) &&
           admin_is_id("after", req->after, &after, why);
}

static bool admin_complete_order(struct admin_request *req, struct buf *why)
{
    if (!admin_complete_selection(req, why)) {
        return false;
    }
    if (queue_select_empty(&req->select)) {
        buf_addf(why, "%s needs to be told which messages; all=1 means all",
                 admin_verb_name(req->verb));
        return false;
    }
    return true;
}

static bool admin_complete_route(struct admin_request *req, struct buf *why)
{
    return admin_complete_order(req, why) &&
           admin_needs(req->to[0] != '\0', "queue route needs to=", why);
}

static bool admin_complete_show(struct admin_request *req, struct buf *why)
{
    return admin_needs(req->id[0] != '\0', "queue show needs id=", why);
}

static bool admin_complete_scope(struct admin_request *req, struct buf *why)
{
    if (req->scope[0] == '\0') {
        buf_addf(why, "%s needs scope=", admin_verb_name(req->verb));
        return false;
    }
    return true;
}

static bool admin_complete_explain(struct admin_request *req, struct buf *why)
{
    bool domain = req->select.domain[0] != '\0';
    return admin_needs(domain != (req->site_id != 0), "explain needs domain= or site_id=", why);
}

static bool admin_complete_forget(struct admin_request *req, struct buf *why)
{
    bool host = req->host[0] != '\0';
    return admin_needs(host != req->select.all, "peers forget needs host= or all=1", why);
}

static bool admin_complete_cancel(struct admin_request *req, struct buf *why)
{
    bool one = req->override_id != 0;
    return admin_needs(one != req->select.all, "overrides cancel needs an override's number or all",
                       why);
}

static bool admin_complete_override(struct admin_request *req, struct buf *why)
{
    struct automation_order order;
    struct automation_keys keys;
    return admin_request_override(req, &order, &keys, why);
}

static bool admin_complete_top(struct admin_request *req, struct buf *why)
{
    if (req->limit > ADMIN_TOP_MAX) {
        buf_addf(why, "limit must be a number from 1 to %d for top", ADMIN_TOP_MAX);
        return false;
    }
    return true;
}

static bool admin_complete_trace(struct admin_request *req, struct buf *why)
{
    return admin_needs(req->target[0] != '\0', "trace needs target=", why);
}

static bool admin_complete_warmup(struct admin_request *req, struct buf *why)
{
    return admin_needs(req->who[0] && req->where[0] && req->day,
                       "warmup set needs who= (a source), where= (a provider) and day=", why);
}

/* ---- the rows ---- */

struct admin_verb_row {
    struct slice name;
    bool (*complete)(struct admin_request *req, struct buf *why); /* NULL: it always is */
    uint32_t limit;                                               /* when none is given */
};

/* A name that begins as another does comes first: "suspend ls" before "suspend". */
static const struct admin_verb_row rows[ADMIN_VERB_COUNT] = {
    [ADMIN_QUEUE_STATS] = {SLICE_INIT("queue stats"), admin_complete_selection, 0},
    [ADMIN_QUEUE_LS] = {SLICE_INIT("queue ls"), admin_complete_selection, ADMIN_LIMIT_DEFAULT},
    [ADMIN_QUEUE_SHOW] = {SLICE_INIT("queue show"), admin_complete_show, 0},
    [ADMIN_QUEUE_RETRY] = {SLICE_INIT("queue retry"), admin_complete_order, 0},
    [ADMIN_QUEUE_HOLD] = {SLICE_INIT("queue hold"), admin_complete_order, 0},
    [ADMIN_QUEUE_RELEASE] = {SLICE_INIT("queue release"), admin_complete_order, 0},
    [ADMIN_QUEUE_BOUNCE] = {SLICE_INIT("queue bounce"), admin_complete_order, 0},
    [ADMIN_QUEUE_DELETE] = {SLICE_INIT("queue delete"), admin_complete_order, 0},
    [ADMIN_QUEUE_ROUTE] = {SLICE_INIT("queue route"), admin_complete_route, 0},
    [ADMIN_SUSPEND_LS] = {SLICE_INIT("suspend ls"), NULL, 0},
    [ADMIN_SUSPEND] = {SLICE_INIT("suspend"), admin_complete_scope, 0},
    [ADMIN_RESUME] = {SLICE_INIT("resume"), admin_complete_scope, 0},
    [ADMIN_EXPLAIN] = {SLICE_INIT("explain"), admin_complete_explain, 0},
    [ADMIN_PEERS_LS] = {SLICE_INIT("peers ls"), NULL, 0},
    [ADMIN_PEERS_FORGET] = {SLICE_INIT("peers forget"), admin_complete_forget, 0},
    [ADMIN_OVERRIDES_LS] = {SLICE_INIT("overrides ls"), NULL, 0},
    [ADMIN_OVERRIDES_CANCEL] = {SLICE_INIT("overrides cancel"), admin_complete_cancel, 0},
    [ADMIN_OVERRIDES_ADD] = {SLICE_INIT("overrides add"), admin_complete_override, 0},
    [ADMIN_TOP] = {SLICE_INIT("top"), admin_complete_top, ADMIN_TOP_DEFAULT},
    [ADMIN_TRACE] = {SLICE_INIT("trace"), admin_complete_trace, 0},
    [ADMIN_WARMUP_LS] = {SLICE_INIT("warmup ls"), NULL, 0},
    [ADMIN_WARMUP_SET] = {SLICE_INIT("warmup set"), admin_complete_warmup, 0},
};

bool admin_verb_parse(struct slice *line, enum admin_verb *verb)
{
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct slice v = rows[i].name;
        must(v.len > 0);
        if (slice_eq(slice_first(*line, v.len), v) &&
            (line->len == v.len || line->ptr[v.len] == ' ')) {
            *verb = (enum admin_verb)i;
            *line = slice_skip(*line, v.len);
            return true;
        }
    }
    return false;
}

uint32_t admin_verb_limit(enum admin_verb verb)
{
    must(verb < ADMIN_VERB_COUNT);
    return rows[verb].limit;
}

bool admin_verb_complete(struct admin_request *req, struct buf *why)
{
    must(req->verb < ADMIN_VERB_COUNT);
    return !rows[req->verb].complete || rows[req->verb].complete(req, why);
}

const char *admin_verb_name(enum admin_verb verb)
{
    must(verb < ADMIN_VERB_COUNT);
    return rows[verb].name.ptr;
}

bool admin_verb_is_order(enum admin_verb verb)
{
    return (OF_ORDERS | OF_SCOPE) & 1u << verb;
}

bool admin_verb_is_stream(enum admin_verb verb)
{
    return verb == ADMIN_TRACE;
}
