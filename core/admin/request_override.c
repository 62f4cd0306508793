/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * `overrides add`: its words are those of a rule (core/policy/automation_rules.h), so they are read as one.
 */
#include "core/admin/request_private.h"

static void override_keys(const struct admin_request *req, struct automation_scope scope,
                          struct automation_keys *out)
{
    struct slice who = slice_str(req->who), where = slice_str(req->where);
    *out = (struct automation_keys){.source = SLICE("")};
    switch (scope.who) {
    case AUTOMATION_SOURCE:
        out->source = who;
        break;
    case AUTOMATION_TENANT:
        out->tenant = who;
        break;
    case AUTOMATION_CAMPAIGN: {
        struct slice campaign = who;
        struct slice tenant = slice_cut(&campaign, '/');
        bool both = tenant.len < who.len;
        out->tenant = both ? tenant : SLICE("");
        out->campaign = both ? campaign : who;
        break;
    }
    case AUTOMATION_DKIM:
        out->dkim = who;
        break;
    case AUTOMATION_EVERYBODY:
    case AUTOMATION_WHOS:
        break;
    }
    if (scope.where == AUTOMATION_SITE) {
        out->site = where;
    } else if (scope.where == AUTOMATION_PROVIDER) {
        out->provider = where;
    }
}

static bool override_complete(const struct admin_request *req, struct automation_scope scope,
                              struct buf *why)
{
    bool needs_who = scope.who != AUTOMATION_EVERYBODY && scope.who != AUTOMATION_SOURCE;
    bool no_who = scope.who == AUTOMATION_EVERYBODY, no_where = scope.where == AUTOMATION_ANYWHERE;
    if ((needs_who && !req->who[0]) || (no_who && req->who[0])) {
        buf_addf(why, "overrides add %s who= with this scope", no_who ? "takes no" : "needs");
        return false;
    }
    if (no_where == (req->where[0] != '\0')) {
        buf_addf(why, "overrides add %s where= with this scope", no_where ? "takes no" : "needs");
        return false;
    }
    return true;
}

bool admin_request_override(const struct admin_request *req, struct automation_order *order,
                            struct automation_keys *keys, struct buf *why)
{
    struct buf errors;
    struct automation_rule rule;
    const struct automation_row row = {.at = {.kind = CONF_FROM_DEFAULT},
                                       .name = SLICE_INIT("overrides add"),
                                       .match = {.code = SLICE_INIT("4xx")},
                                       .scope = slice_str(req->of),
                                       .action = slice_str(req->action),
                                       .value = slice_str(req->value)};
    buf_init(&errors, 1024);
    struct conf_report report = {.errors = &errors};
    bool ok = automation_row_read(&row, &rule, &report);
    struct slice lines = buf_slice(&errors);
    buf_add(why, slice_cut(&lines, '\n'));
    reply_match_deinit(&rule.match);
    buf_deinit(&errors);
    if (ok && rule.action == AUTOMATION_FAIL) {
        buf_add(why, SLICE("overrides add: fail is for one reply; bounce is what lasts"));
        ok = false;
    }
    if (!ok || !override_complete(req, rule.scope, why)) {
        return false;
    }
    override_keys(req, rule.scope, keys);
    *order = (struct automation_order){
        .scope = rule.scope,
        .action = rule.action,
        .factor = rule.factor,
        .limit = rule.limit,
        .source = rule.action == AUTOMATION_REROUTE ? slice_str(req->value) : SLICE(""),
        .duration_ms = req->for_ms ? req->for_ms : AUTOMATION_FOREVER,
        .reason = slice_str(req->reason)};
    return true;
}
