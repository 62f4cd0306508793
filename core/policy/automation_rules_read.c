/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/automation_rules_read.h"
#include "core/base/units.h"
#include "core/conf/shaping_option.h"

#include <stdarg.h>
#include <stdio.h>

enum { STEP_DEFAULT = AUTOMATION_ONE / 10, RESUME_FACTOR = AUTOMATION_ONE / 10 };
#define DURATION_DEFAULT_MS (UINT64_C(30) * 60 * 1000)

struct reading {
    const struct automation_row *row;
    struct automation_rule *rule;
    struct conf_report *report;
};

/* ---- names ------------------------------------------------------------------------------------- */

static const struct slice who_names[] = {
    [AUTOMATION_EVERYBODY] = SLICE_INIT(""),    [AUTOMATION_SOURCE] = SLICE_INIT("source"),
    [AUTOMATION_TENANT] = SLICE_INIT("tenant"), [AUTOMATION_CAMPAIGN] = SLICE_INIT("campaign"),
    [AUTOMATION_DKIM] = SLICE_INIT("dkim"),
};

static const struct slice where_names[] = {
    [AUTOMATION_SITE] = SLICE_INIT("site"),
    [AUTOMATION_PROVIDER] = SLICE_INIT("provider"),
    [AUTOMATION_ANYWHERE] = SLICE_INIT(""),
};

static const struct slice action_names[] = {
    [AUTOMATION_RATE] = SLICE_INIT("rate"),
    [AUTOMATION_CONNECTIONS] = SLICE_INIT("connections"),
    [AUTOMATION_PER_CONNECTION] = SLICE_INIT("messages_per_connection"),
    [AUTOMATION_SUSPEND] = SLICE_INIT("suspend"),
    [AUTOMATION_BOUNCE] = SLICE_INIT("bounce"),
    [AUTOMATION_REROUTE] = SLICE_INIT("reroute"),
    [AUTOMATION_FAIL] = SLICE_INIT("fail"),
};

must_static(ARRAY_COUNT(who_names) == AUTOMATION_WHOS, "every who has a name");
must_static(ARRAY_COUNT(where_names) == AUTOMATION_WHERES, "every where has a name");
must_static(ARRAY_COUNT(action_names) == AUTOMATION_ACTIONS, "every action has a name");

struct slice automation_action_name(enum automation_action a)
{
    must((size_t)a < ARRAY_COUNT(action_names));
    return action_names[a];
}

bool automation_action_find(struct slice name, enum automation_action *out)
{
    for (size_t i = 0; i < ARRAY_COUNT(action_names); i++) {
        if (slice_eq(name, action_names[i])) {
            *out = (enum automation_action)i;
            return true;
        }
    }
    return false;
}

bool automation_action_fits(enum automation_action action, struct automation_scope scope)
{
    bool shared = action == AUTOMATION_CONNECTIONS || action == AUTOMATION_PER_CONNECTION ||
                  action == AUTOMATION_REROUTE;
    return !shared || scope.who == AUTOMATION_EVERYBODY || scope.who == AUTOMATION_SOURCE;
}

void automation_scope_add(struct buf *out, struct automation_scope s)
{
    must(s.who < AUTOMATION_WHOS && s.where < AUTOMATION_WHERES);
    buf_add(out, who_names[s.who]);
    if (s.who != AUTOMATION_EVERYBODY && s.where != AUTOMATION_ANYWHERE) {
        buf_add_byte(out, '@');
    }
    buf_add(out, where_names[s.where]);
}

bool automation_scope_parse(struct slice text, struct automation_scope *out)
{
    char name[32];
    struct buf b = {.ptr = name, .cap = sizeof(name), .cap_max = sizeof(name)};
    for (int who = 0; who < AUTOMATION_WHOS; who++) {
        for (int where = 0; where < AUTOMATION_WHERES; where++) {
            struct automation_scope s = {(enum automation_who)who, (enum automation_where)where};
            buf_clear(&b);
            automation_scope_add(&b, s);
            if (b.len > 0 && slice_eq(text, buf_slice(&b))) {
                *out = s;
                return true;
            }
        }
    }
    return false;
}

/* ---- values -------------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static bool refuse(const struct reading *r, const char *what,
                                                         const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    conf_report_error(r->report, &r->row->at, slice_first(r->row->name, AUTOMATION_NAME_BYTES_MAX),
                      "%s: %s", what, text);
    return false;
}

/* "50%", 1 to 99, with up to two decimals. */
static bool percent_parse(struct slice text, uint32_t *out)
{
    uint64_t whole = 0;
    uint64_t part = 0;
    if (text.len == 0 || text.ptr[text.len - 1] != '%') {
        return false;
    }
    struct slice decimals = slice_first(text, text.len - 1);
    bool dot = slice_find_byte(decimals, '.') >= 0;
    if (!slice_to_u64(slice_cut(&decimals, '.'), &whole) || whole > 99) {
        return false;
    }
    if (dot && (decimals.len > 2 || !slice_to_u64(decimals, &part))) {
        return false;
    }
    part *= dot && decimals.len == 1 ? 10 : 1;
    *out = (uint32_t)((whole * 100 + part) * (AUTOMATION_ONE / 10000));
    return *out > 0;
}

/* In u64: 86400e9 a day at most (core/policy/rate.h), times a day of seconds. */
static uint64_t rate_per_day(const struct conf_rate *rate)
{
    return rate->count * ((uint64_t)86400 * 1000000 / (rate->period_us / 1000)) / 1000;
}

static bool limit_parse(const struct reading *r, enum conf_shaping_option option, uint64_t *out)
{
    char why[256];
    struct buf b = {.ptr = why, .cap = sizeof(why), .cap_max = sizeof(why)};
    struct conf_shaping_value value;
    if (!conf_shaping_parse(option, r->row->value, &value, &b)) {
        return refuse(r, "value", "\"%.*s\" is no share (50%%) and no limit: %.*s",
                      SLICE_ARG(slice_first(r->row->value, 40)), SLICE_ARG(buf_slice(&b)));
    }
    *out = conf_shaping_is_rate(option) ? rate_per_day(&value.rate) : value.number;
    return *out > 0 || refuse(r, "value", "must be at least 1, of a rate 1/day");
}

static bool value_read(const struct reading *r)
{
    struct slice value = r->row->value;
    struct automation_rule *rule = r->rule;
    enum conf_shaping_option option = CONF_SHAPING_CONNECTIONS;
    switch (rule->action) {
    case AUTOMATION_RATE:
        option = CONF_SHAPING_MESSAGE_RATE;
        break;
    case AUTOMATION_CONNECTIONS:
        option = CONF_SHAPING_CONNECTIONS;
        break;
    case AUTOMATION_PER_CONNECTION:
        option = CONF_SHAPING_MESSAGES_PER_CONNECTION;
        break;
    case AUTOMATION_REROUTE:
        rule->source = value;
        return (value.len > 0 && value.len <= AUTOMATION_NAME_BYTES_MAX) ||
               refuse(r, "value", "reroute needs the name of a source");
    case AUTOMATION_SUSPEND:
        rule->factor = RESUME_FACTOR;
        return value.len == 0 || refuse(r, "value", "suspend has none, only a duration");
    case AUTOMATION_BOUNCE:
    case AUTOMATION_FAIL:
    case AUTOMATION_ACTIONS:
        return value.len == 0 || refuse(r, "value", "this action has none");
    }
    if (percent_parse(value, &rule->factor)) {
        return true;
    }
    return limit_parse(r, option, &rule->limit);
}

static bool duration_parse(const struct reading *r, const char *what, struct slice text,
                           uint64_t *out)
{
    uint64_t ms = 0;
    if (text.len == 0) {
        return true;
    }
    if (!units_parse_duration(text, &ms) || ms < AUTOMATION_DURATION_MS_MIN ||
        ms > AUTOMATION_DURATION_MS_MAX) {
        return refuse(r, what, "\"%.*s\" must be a time of 1s to 30d",
                      SLICE_ARG(slice_first(text, 40)));
    }
    *out = ms;
    return true;
}

static bool trigger_read(const struct reading *r)
{
    struct slice time = r->row->trigger;
    uint64_t count = 1;
    r->rule->trigger_count = 1;
    if (time.len == 0) {
        return true;
    }
    struct slice number = slice_cut(&time, '/');
    if (!slice_to_u64(number, &count) || count < 1 || count > AUTOMATION_TRIGGER_MAX ||
        time.len == 0) {
        return refuse(r, "trigger", "\"%.*s\" must be like 3/10m, at most %d in a time",
                      SLICE_ARG(slice_first(r->row->trigger, 40)), AUTOMATION_TRIGGER_MAX);
    }
    r->rule->trigger_count = (uint32_t)count;
    return duration_parse(r, "trigger", time, &r->rule->trigger_ms);
}

static bool times_read(const struct reading *r)
{
    struct automation_rule *rule = r->rule;
    bool timed = rule->action != AUTOMATION_FAIL;
    bool grows = timed && rule->action != AUTOMATION_BOUNCE && rule->action != AUTOMATION_REROUTE;
    rule->duration_ms = DURATION_DEFAULT_MS;
    rule->step = STEP_DEFAULT;
    if (!timed && r->row->duration.len) {
        return refuse(r, "duration", "this action has none");
    }
    if (!grows && (r->row->step.len || r->row->every.len)) {
        return refuse(r, "step",
                      "this action ends at once; step and every are for what grows back");
    }
    if (!duration_parse(r, "duration", r->row->duration, &rule->duration_ms)) {
        return false;
    }
    if (r->row->step.len && !percent_parse(r->row->step, &rule->step)) {
        return refuse(r, "step", "\"%.*s\" must be a share, 1%% to 99%%",
                      SLICE_ARG(slice_first(r->row->step, 40)));
    }
    rule->every_ms = rule->duration_ms / 5 < AUTOMATION_DURATION_MS_MIN ? AUTOMATION_DURATION_MS_MIN
                                                                        : rule->duration_ms / 5;
    return duration_parse(r, "every", r->row->every, &rule->every_ms);
}

static bool classes_read(const struct reading *r)
{
    struct slice names = r->row->classes;
    while (names.len > 0) {
        struct slice name = slice_cut(&names, ' ');
        enum bounce_class class = BOUNCE_UNCLASSIFIED;
        if (name.len == 0) {
            continue;
        }
        if (!bounce_class_find(name, &class) || class == BOUNCE_EXPIRED) {
            return refuse(r, "class", "\"%.*s\" is none that a reply has",
                          SLICE_ARG(slice_first(name, 60)));
        }
        r->rule->classes |= UINT64_C(1) << class;
    }
    return true;
}

static bool action_read(const struct reading *r)
{
    if (!automation_action_find(r->row->action, &r->rule->action)) {
        return refuse(r, "action",
                      "\"%.*s\" must be rate, connections, messages_per_connection, suspend, "
                      "bounce, reroute or fail",
                      SLICE_ARG(slice_first(r->row->action, 40)));
    }
    if (r->rule->action == AUTOMATION_FAIL) {
        return (r->row->scope.len == 0 && r->row->trigger.len == 0) ||
               refuse(r, "scope", "fail is for the one recipient: no scope, no trigger");
    }
    if (!automation_scope_parse(r->row->scope, &r->rule->scope)) {
        return refuse(
            r, "scope",
            "\"%.*s\" must be site, provider, or source, tenant, campaign, dkim, alone or "
            "with @site, @provider",
            SLICE_ARG(slice_first(r->row->scope, 40)));
    }
    if (!automation_action_fits(r->rule->action, r->rule->scope)) {
        return refuse(r, "scope",
                      "connections are shared by all who send there: it must be site, provider, "
                      "source, source@site or source@provider");
    }
    return true;
}

bool automation_row_read(const struct automation_row *row, struct automation_rule *rule,
                         struct conf_report *report)
{
    const struct reading r = {row, rule, report};
    *rule = (struct automation_rule){.at = row->at,
                                     .name = row->name,
                                     .provider = row->provider,
                                     .action = AUTOMATION_FAIL};
    const struct reply_match_text *m = &row->match;
    bool good = reply_match_init(&rule->match, m, &row->at,
                                 slice_first(row->name, AUTOMATION_NAME_BYTES_MAX), report);
    good = classes_read(&r) && good;
    if (good && !rule->classes && !m->code.len && !m->enhanced.len && !m->pattern.len) {
        good = refuse(&r, "match", "needs a class, a code or a pattern");
    }
    return action_read(&r) && value_read(&r) && trigger_read(&r) && times_read(&r) && good;
}
