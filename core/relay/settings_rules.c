/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The rules of `automation:`, read by those who know what they mean.
 */
#include "core/conf/automation.h"
#include "core/conf/report.h"
#include "core/relay/settings.h"

#include <stdlib.h>

static struct reply_match_text rules_match(const struct conf_automation_entry *e)
{
    return (struct reply_match_text){
        .code = e->fields[CONF_AUTOMATION_CODE],
        .enhanced = e->fields[CONF_AUTOMATION_ENHANCED],
        .stage = e->fields[CONF_AUTOMATION_STAGE],
        .pattern = e->fields[CONF_AUTOMATION_PATTERN],
        .sample = e->fields[CONF_AUTOMATION_SAMPLE],
    };
}

static struct automation_row rules_row(const struct conf_automation_entry *e)
{
    return (struct automation_row){
        .at = e->at,
        .name = e->name,
        .unset = e->unset,
        .provider = e->fields[CONF_AUTOMATION_PROVIDER],
        .classes = e->fields[CONF_AUTOMATION_CLASS],
        .match = rules_match(e),
        .scope = e->fields[CONF_AUTOMATION_SCOPE],
        .trigger = e->fields[CONF_AUTOMATION_TRIGGER],
        .action = e->fields[CONF_AUTOMATION_ACTION],
        .value = e->fields[CONF_AUTOMATION_VALUE],
        .duration = e->fields[CONF_AUTOMATION_DURATION],
        .step = e->fields[CONF_AUTOMATION_STEP],
        .every = e->fields[CONF_AUTOMATION_EVERY],
    };
}

static bool rules_classifier(struct relay_settings *s, struct conf_report *report)
{
    const struct conf_automation *from = s->conf->automation.rules;
    struct classify_row *rows = calloc(from->classify_count + 1, sizeof(*rows));
    struct classify_rows extra = {rows, from->classify_count};
    for (size_t i = 0; rows && i < from->classify_count; i++) {
        const struct conf_automation_entry *e = &from->classify[i];
        rows[i] = (struct classify_row){e->at, e->fields[CONF_AUTOMATION_CLASS], rules_match(e)};
    }
    s->classifier = rows ? classifier_new(&extra, true, report) : NULL;
    free(rows);
    return s->classifier != NULL;
}

/* What a later file took away of an earlier one is gone; of a built-in rule the row says so. */
static bool rules_is_gone(const struct conf_automation_entry *e, bool builtin)
{
    const struct automation_rows rows = automation_builtin();
    bool known = false;
    for (size_t i = 0; builtin && i < rows.count; i++) {
        known = known || slice_eq(rows.items[i].name, e->name);
    }
    return e->unset && e->unsets && !known;
}

static bool rules_automation(struct relay_settings *s, struct conf_report *report)
{
    const struct conf_automation *from = s->conf->automation.rules;
    bool builtin = s->conf->automation.builtin;
    struct automation_row *rows = calloc(from->rule_count + 1, sizeof(*rows));
    struct automation_rows extra = {rows, 0};
    for (size_t i = 0; rows && i < from->rule_count; i++) {
        if (!rules_is_gone(&from->rules[i], builtin)) {
            rows[extra.count++] = rules_row(&from->rules[i]);
        }
    }
    const struct automation_sources sources = {.extra = &extra,
                                               .builtin = builtin,
                                               .classifier = s->classifier,
                                               .shaping = s->conf->shaping.rules,
                                               .egress = &s->conf->sources};
    s->automation = rows ? automation_rules_new(&sources, report) : NULL;
    free(rows);
    return s->automation != NULL;
}

bool relay_settings_open_rules(struct relay_settings *s, const struct relay_settings_messages *to)
{
    struct conf_report report = {.errors = to->errors, .warnings = to->warnings};
    bool good = rules_classifier(s, &report);
    if (!good) { /* rules are judged nevertheless: all errors at once */
        s->classifier = classifier_new(NULL, true, &report);
    }
    return s->classifier && rules_automation(s, &report) && good;
}

void relay_settings_close_rules(struct relay_settings *s)
{
    automation_rules_free(s->automation);
    classifier_free(s->classifier);
}
