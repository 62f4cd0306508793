/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/core/policy/automation_rig.h"

static const struct automation_row good = {
    .at = {CONF_FROM_FILE, SLICE_INIT("my.yaml"), 4, 3},
    .name = SLICE_INIT("mine"),
    .classes = SLICE_INIT("rate-limited greylisted"),
    .match = {.code = SLICE_INIT("4xx"),
              .pattern = SLICE_INIT("slow"),
              .sample = SLICE_INIT("450 4.7.0 Too many messages, slow down")},
    .scope = SLICE_INIT("tenant@provider"),
    .trigger = SLICE_INIT("5/1h"),
    .action = SLICE_INIT("rate"),
    .value = SLICE_INIT("12.5%"),
    .duration = SLICE_INIT("20m"),
    .step = SLICE_INIT("5%"),
    .every = SLICE_INIT("1m"),
};

static const struct automation_rule *rule_named(const struct automation_rules *rules,
                                                const char *name)
{
    for (size_t i = 0; i < automation_rules_count(rules); i++) {
        if (slice_eq(automation_rules_at(rules, i)->name, slice_str(name))) {
            return automation_rules_at(rules, i);
        }
    }
    return NULL;
}

/* Each with a sample for its provider, its class and its pattern; nothing of it is dead. */
START_TEST(built_in_rules_fit_their_samples)
{
    struct rig r;
    rig_open(&r, NULL, 0, true);
    ck_assert_uint_eq(automation_rules_count(r.rules), automation_builtin().count);
    ck_assert_uint_ge(automation_rules_count(r.rules), 40);
    struct automation_rows rows = automation_builtin();
    for (size_t i = 0; i < rows.count; i++) {
        struct slice samples = rows.items[i].match.sample;
        r.now_ms += MINUTES(60 * 24 * 40);
        r.event.keys.provider = rows.items[i].provider;
        const struct automation_rule *rule = automation_rules_at(r.rules, i);
        struct slice line = slice_cut(&samples, '\n');
        char text[1024];
        ck_assert(slice_to_cstr(line, text, sizeof(text)));
        bool fired = false;
        for (uint32_t n = 0; n < rule->trigger_count; n++) {
            rig_reply(&r, text);
        }
        struct automation_override o;
        for (uint64_t id = 0; automation_next(r.a, id, r.now_ms, &o); id = o.id) {
            fired = fired || slice_eq(o.rule, rule->name);
        }
        ck_assert_msg(fired, "%.*s has not fired", SLICE_ARG(rule->name));
    }
    rig_close(&r);
}
END_TEST

START_TEST(providers_of_built_in_rules_are_those_of_shaping)
{
    struct rig r;
    rig_open(&r, NULL, 0, true);
    struct conf_report report = {.errors = &r.errors};
    struct conf_shaping_rule names[] = {{.name = SLICE_INIT("google")}, {.name = SLICE_INIT("qq")}};
    struct conf_shaping shaping = {.by[CONF_SHAPING_PROVIDER] = {names, 2}};
    struct automation_sources from = {.builtin = true,
                                      .classifier = r.classifier,
                                      .shaping = &shaping};
    struct automation_rules *rules = automation_rules_new(&from, &report);
    ck_assert_msg(rules != NULL, "%.*s", SLICE_ARG(buf_slice(&r.errors)));
    ck_assert(rule_named(rules, "google-suspicious") && rule_named(rules, "qq-content"));
    ck_assert(rule_named(rules, "rate-limited") && !rule_named(rules, "yahoo-ts04"));
    automation_rules_free(rules);
    /* A rule of the configuration for a provider that is none can never fire. */
    struct automation_row row = good;
    row.provider = SLICE("gmail");
    const struct automation_rows extra = {&row, 1};
    from.extra = &extra;
    ck_assert_ptr_null(automation_rules_new(&from, &report));
    buf_add_byte(&r.errors, '\0');
    ck_assert_ptr_nonnull(
        strstr(r.errors.ptr, "my.yaml:4:3: mine: can never fire: shaping has no provider"));
    rig_close(&r);
}
END_TEST

START_TEST(a_row_is_read)
{
    struct rig r;
    rig_open(&r, &good, 1, false);
    const struct automation_rule *rule = automation_rules_at(r.rules, 0);
    ck_assert(slice_eq(rule->name, SLICE("mine")) && rule->at.line == 4);
    ck_assert_uint_eq(rule->classes, UINT64_C(1) << BOUNCE_RATE_LIMITED | UINT64_C(1)
                                                                              << BOUNCE_GREYLISTED);
    ck_assert(rule->scope.who == AUTOMATION_TENANT && rule->scope.where == AUTOMATION_PROVIDER);
    ck_assert(rule->trigger_count == 5 && rule->trigger_ms == MINUTES(60));
    ck_assert(rule->action == AUTOMATION_RATE && rule->limit == 0);
    ck_assert_uint_eq(rule->factor, AUTOMATION_ONE / 8);
    ck_assert_uint_eq(rule->duration_ms, MINUTES(20));
    ck_assert_uint_eq(rule->step, AUTOMATION_ONE / 20);
    ck_assert_uint_eq(rule->every_ms, MINUTES(1));
    rig_close(&r);
}
END_TEST

START_TEST(limits_are_read)
{
    static const struct {
        struct slice action;
        struct slice value;
        uint64_t limit;
    } rows[] = {
        {SLICE_INIT("rate"), SLICE_INIT("10/min"), 14400},
        {SLICE_INIT("rate"), SLICE_INIT("1/day"), 1},
        {SLICE_INIT("rate"), SLICE_INIT("5/30s"), 14400},
        {SLICE_INIT("rate"), SLICE_INIT("1000/s"), 86400000},
        {SLICE_INIT("connections"), SLICE_INIT("3"), 3},
        {SLICE_INIT("messages_per_connection"), SLICE_INIT("2"), 2},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct automation_row row = good;
        struct rig r;
        row.scope = SLICE("source@provider");
        row.action = rows[i].action;
        row.value = rows[i].value;
        rig_open(&r, &row, 1, false);
        ck_assert_uint_eq(automation_rules_at(r.rules, 0)->limit, rows[i].limit);
        rig_close(&r);
    }
}
END_TEST

static void refused(struct rig *r, const struct automation_row *rows, size_t count, const char *why)
{
    struct automation_rules *rules = rig_rules(r, rows, count, true);
    ck_assert_msg(rules == NULL, "not refused: %s", why);
    buf_add_byte(&r->errors, '\0');
    ck_assert_msg(strstr(r->errors.ptr, why) != NULL, "\"%s\" is not in: %s", why, r->errors.ptr);
    ck_assert_msg(strstr(r->errors.ptr, "my.yaml:4:3: ") != NULL, "%s", r->errors.ptr);
}

START_TEST(what_is_wrong_is_said_with_its_place)
{
    struct rig r;
    rig_open(&r, NULL, 0, false);
    struct automation_row row;
#define REFUSED(member, value_, why)                                                               \
    row = good;                                                                                    \
    row.member = SLICE(value_);                                                                    \
    refused(&r, &row, 1, why)
    REFUSED(name, "", "a rule's name");
    REFUSED(name, "a b", "a rule's name");
    REFUSED(classes, "rate", "class: \"rate\" is none");
    REFUSED(classes, "expired", "is none that a reply has");
    REFUSED(classes, "greylisted", "is of the class rate-limited");
    REFUSED(match.code, "5xx", "does not match its own sample");
    REFUSED(match.pattern, "fast", "does not match its own sample");
    REFUSED(match.pattern, "fast(", "parenthesis");
    REFUSED(match.sample, "", "needs a sample");
    REFUSED(match.sample, "hello", "must be a reply that refuses");
    REFUSED(scope, "", "scope:");
    REFUSED(scope, "everybody", "scope:");
    REFUSED(scope, "site@tenant", "scope:");
    REFUSED(trigger, "5", "trigger:");
    REFUSED(trigger, "0/1h", "trigger:");
    REFUSED(trigger, "101/1h", "trigger:");
    REFUSED(trigger, "5/1", "trigger:");
    REFUSED(action, "stop", "action:");
    REFUSED(value, "", "is no share");
    REFUSED(value, "100%", "is no share");
    REFUSED(value, "0%", "is no share");
    REFUSED(value, "5.125%", "is no share");
    REFUSED(value, "-5%", "is no share");
    REFUSED(value, "10", "is no share");
    REFUSED(action, "suspend", "suspend has none");
    REFUSED(action, "bounce", "this action has none");
    REFUSED(duration, "0", "duration:");
    REFUSED(duration, "31d", "duration:");
    REFUSED(duration, "20", "duration:");
    REFUSED(step, "0%", "step:");
    REFUSED(every, "10ms", "every:");
#undef REFUSED
    row = good;
    row.action = SLICE("connections");
    row.value = SLICE("2");
    refused(&r, &row, 1, "connections are shared by all who send there");
    row.scope = SLICE("source@site");
    row.action = SLICE("reroute");
    row.value = SLICE("");
    refused(&r, &row, 1, "needs the name of a source");
    row = good;
    row.action = SLICE("fail");
    row.value = SLICE("");
    refused(&r, &row, 1, "no scope, no trigger");
    row = good;
    row.classes = row.match.code = row.match.pattern = SLICE("");
    refused(&r, &row, 1, "needs a class, a code or a pattern");
    row = good;
    row.unset = true;
    refused(&r, &row, 1, "no built-in rule of this name to unset");
    const struct automation_row twice[] = {good, good};
    refused(&r, twice, 2, "is there already (my.yaml:4)");
    rig_close(&r);
}
END_TEST

START_TEST(built_in_rules_are_replaced_and_unset_by_name)
{
    struct automation_row rows[] = {good, good};
    struct rig r;
    rows[0].name = SLICE("rate-limited");
    rows[1] = (struct automation_row){.name = SLICE("blocked"), .unset = true};
    rig_open(&r, rows, 2, true);
    ck_assert_uint_eq(automation_rules_count(r.rules), automation_builtin().count - 1);
    ck_assert_uint_eq(rule_named(r.rules, "rate-limited")->trigger_count, 5);
    ck_assert_ptr_null(rule_named(r.rules, "blocked"));
    rig_close(&r);
}
END_TEST

START_TEST(names_of_scopes_and_actions_are_read_back)
{
    char text[64];
    struct buf b = {.ptr = text, .cap = sizeof(text), .cap_max = sizeof(text)};
    unsigned named = 0;
    for (int who = 0; who < AUTOMATION_WHOS; who++) {
        for (int where = 0; where < AUTOMATION_WHERES; where++) {
            struct automation_scope s = {(enum automation_who)who, (enum automation_where)where};
            struct automation_scope back = {AUTOMATION_WHOS, AUTOMATION_WHERES};
            buf_clear(&b);
            automation_scope_add(&b, s);
            if (b.len > 0) {
                ck_assert(automation_scope_parse(buf_slice(&b), &back));
                ck_assert(back.who == s.who && back.where == s.where);
                named++;
            }
        }
    }
    ck_assert_uint_eq(named, AUTOMATION_SCOPES - 1);
    for (int i = 0; i < AUTOMATION_ACTIONS; i++) {
        enum automation_action back = AUTOMATION_ACTIONS;
        ck_assert(automation_action_find(automation_action_name((enum automation_action)i), &back));
        ck_assert_int_eq(back, i);
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {built_in_rules_fit_their_samples,
                            providers_of_built_in_rules_are_those_of_shaping,
                            a_row_is_read,
                            limits_are_read,
                            what_is_wrong_is_said_with_its_place,
                            built_in_rules_are_replaced_and_unset_by_name,
                            names_of_scopes_and_actions_are_read_back};
    return testing_run("core/policy/automation_rules", tests, ARRAY_COUNT(tests));
}
