/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The table: rows of the configuration and what they leave of the built-in ones, each tried on its own
 * samples the way a reply is (normalised, classified). Names are copied, so that nothing depends on how long
 * the configuration lives; only the place of a rule still points to the name of its file.
 */
#include "core/policy/automation_rules.h"
#include "core/policy/automation_rules_read.h"

#include <stdlib.h>

struct automation_rules {
    struct automation_rule *items;
    size_t count;
};

struct builder {
    struct automation_rules *rules;
    const struct automation_sources *from;
    struct classify_scratch scratch;
    struct conf_report *report;
};

static void rule_deinit(struct automation_rule *rule)
{
    reply_match_deinit(&rule->match);
    free((void *)(uintptr_t)rule->name.ptr);
    free((void *)(uintptr_t)rule->provider.ptr);
    free((void *)(uintptr_t)rule->source.ptr);
}

/* Always with memory of its own, so that rule_deinit need not ask. */
static bool text_keep(struct slice *text)
{
    char *copy = malloc(text->len + 1);
    if (copy && text->len) {
        memcpy(copy, text->ptr, text->len);
    }
    *text = slice_of(copy, copy ? text->len : 0);
    return copy != NULL;
}

static struct slice shown(const struct automation_row *row)
{
    return slice_first(row->name, AUTOMATION_NAME_BYTES_MAX);
}

static bool name_check(const struct builder *b, const struct automation_row *row)
{
    bool good = row->name.len > 0 && row->name.len <= AUTOMATION_NAME_BYTES_MAX;
    for (size_t i = 0; good && i < row->name.len; i++) {
        char c = row->name.ptr[i];
        good = ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || c == '_' || c == '.';
    }
    if (!good) {
        conf_report_error(b->report, &row->at, shown(row),
                          "a rule's name has 1 to %d letters, digits, - _ .",
                          AUTOMATION_NAME_BYTES_MAX);
    }
    return good;
}

static const struct automation_row *row_find(const struct automation_rows *rows, struct slice name)
{
    for (size_t i = 0; rows && i < rows->count; i++) {
        if (slice_eq(rows->items[i].name, name)) {
            return &rows->items[i];
        }
    }
    return NULL;
}

static bool provider_known(const struct conf_shaping *shaping, struct slice name)
{
    if (!shaping || name.len == 0) {
        return true;
    }
    const struct conf_shaping_rules *providers = &shaping->by[CONF_SHAPING_PROVIDER];
    for (size_t i = 0; i < providers->count; i++) {
        if (slice_eq(providers->items[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* Sending by a source that is none would send by no source. */
static bool source_check(const struct builder *b, const struct automation_row *row,
                         const struct automation_rule *rule)
{
    const struct conf_egress_sources *egress = b->from->egress;
    bool known = rule->action != AUTOMATION_REROUTE || !egress;
    for (size_t i = 0; !known && i < egress->count; i++) {
        known = slice_eq(egress->items[i].name, rule->source);
    }
    if (!known) {
        conf_report_error(b->report, &row->at, shown(row),
                          "reroute needs `sources`: there is none of the name \"%.*s\"",
                          SLICE_ARG(slice_first(row->value, AUTOMATION_NAME_BYTES_MAX)));
    }
    return known;
}

static bool sample_check(struct builder *b, const struct automation_row *row,
                         const struct automation_rule *rule, const struct outcome *o)
{
    const struct reply_seen seen = {o, o->text};
    enum bounce_class class = classify(b->from->classifier, &b->scratch, &seen).class;
    if (rule->classes && !(rule->classes & UINT64_C(1) << class)) {
        conf_report_error(b->report, &row->at, shown(row),
                          "can never fire for its sample, which is of the class %.*s: %u %.*s",
                          SLICE_ARG(bounce_class_name(class)), o->code, SLICE_ARG(o->text));
        return false;
    }
    if (!automation_rule_matches(rule, &b->scratch.matcher, &seen, class, rule->provider)) {
        conf_report_error(b->report, &row->at, shown(row),
                          "does not match its own sample, which is normalised: %u %.*s", o->code,
                          SLICE_ARG(o->text));
        return false;
    }
    return true;
}

static bool samples_check(struct builder *b, const struct automation_row *row,
                          const struct automation_rule *rule)
{
    struct slice samples = row->match.sample;
    struct outcome o;
    char text[REPLY_TEXT_BYTES];
    bool valid = false;
    bool good = true;
    size_t n = 0;
    while (reply_match_next_sample(&rule->match, &samples, &valid, &o, text)) {
        n++;
        if (!valid) {
            conf_report_error(b->report, &row->at, shown(row),
                              "a sample must be a reply that refuses: \"421 4.7.0 Try later\"");
            good = false;
        } else {
            good = sample_check(b, row, rule, &o) && good;
        }
    }
    if (n == 0) {
        conf_report_error(b->report, &row->at, shown(row), "needs a sample reply that it matches");
    }
    return good && n > 0;
}

static bool row_add(struct builder *b, const struct automation_row *row)
{
    struct automation_rule *rule = &b->rules->items[b->rules->count];
    bool good = automation_row_read(row, rule, b->report);
    bool kept = text_keep(&rule->name);
    kept = text_keep(&rule->provider) && kept;
    kept = text_keep(&rule->source) && kept;
    b->rules->count++;
    if (!kept) {
        conf_report_error(b->report, &row->at, SLICE("automation"), "out of memory");
        return false;
    }
    return good && source_check(b, row, rule) && samples_check(b, row, rule);
}

static bool extra_add(struct builder *b, const struct automation_rows *rows)
{
    bool good = true;
    for (size_t i = 0; rows && i < rows->count; i++) {
        const struct automation_row *row = &rows->items[i];
        const struct automation_rows builtin = automation_builtin();
        const struct automation_row *first = row_find(rows, row->name);
        if (!name_check(b, row)) {
            good = false;
        } else if (first != row) {
            conf_report_error(b->report, &row->at, shown(row), "is there already (%.*s:%u)",
                              SLICE_ARG(first->at.name), first->at.line);
            good = false;
        } else if (row->unset && (!b->from->builtin || !row_find(&builtin, row->name))) {
            conf_report_error(b->report, &row->at, shown(row),
                              "there is no built-in rule of this name to unset");
            good = false;
        } else if (!row->unset && !provider_known(b->from->shaping, row->provider)) {
            conf_report_error(b->report, &row->at, shown(row),
                              "can never fire: shaping has no provider \"%.*s\"",
                              SLICE_ARG(slice_first(row->provider, CONF_SHAPING_NAME_BYTES_MAX)));
            good = false;
        } else if (!row->unset) {
            good = row_add(b, row) && good;
        }
    }
    return good;
}

/* Built-in rules of a provider that the configuration has unset go with it. */
static bool builtin_add(struct builder *b)
{
    const struct automation_rows rows = automation_builtin();
    bool good = true;
    for (size_t i = 0; i < rows.count; i++) {
        const struct automation_row *row = &rows.items[i];
        if (!row_find(b->from->extra, row->name) &&
            provider_known(b->from->shaping, row->provider)) {
            good = row_add(b, row) && good;
        }
    }
    return good;
}

struct automation_rules *automation_rules_new(const struct automation_sources *from,
                                              struct conf_report *report)
{
    const struct conf_origin nowhere = {.kind = CONF_FROM_DEFAULT};
    struct builder b = {.from = from, .report = report};
    size_t count = (from->extra ? from->extra->count : 0) +
                   (from->builtin ? automation_builtin().count : 0);
    must(from->classifier != NULL);
    if (count > AUTOMATION_RULES_MAX) {
        conf_report_error(report, &nowhere, SLICE("automation"), "at most %d rules",
                          AUTOMATION_RULES_MAX);
        return NULL;
    }
    b.rules = calloc(1, sizeof(*b.rules));
    if (b.rules) {
        b.rules->items = calloc(count + 1, sizeof(*b.rules->items));
    }
    if (!b.rules || !b.rules->items || !classify_scratch_open(&b.scratch, 0)) {
        conf_report_error(report, &nowhere, SLICE("automation"), "out of memory");
        automation_rules_free(b.rules);
        return NULL;
    }
    bool good = extra_add(&b, from->extra);
    if (from->builtin) {
        good = builtin_add(&b) && good;
    }
    classify_scratch_close(&b.scratch);
    if (!good) {
        automation_rules_free(b.rules);
        return NULL;
    }
    return b.rules;
}

void automation_rules_free(struct automation_rules *r)
{
    if (!r) {
        return;
    }
    for (size_t i = 0; i < r->count; i++) {
        rule_deinit(&r->items[i]);
    }
    free(r->items);
    free(r);
}

size_t automation_rules_count(const struct automation_rules *r)
{
    return r->count;
}

const struct automation_rule *automation_rules_at(const struct automation_rules *r, size_t i)
{
    must(i < r->count);
    return &r->items[i];
}

bool automation_rule_matches(const struct automation_rule *rule, struct pattern_matcher *matcher,
                             const struct reply_seen *seen, enum bounce_class class,
                             struct slice provider)
{
    must((size_t) class < BOUNCE_CLASSES);
    if (rule->provider.len > 0 && !slice_eq(rule->provider, provider)) {
        return false;
    }
    if (rule->classes && !(rule->classes & UINT64_C(1) << class)) {
        return false;
    }
    return reply_match_test(&rule->match, matcher, seen);
}

struct automation_glance automation_rules_look(const struct automation_rules *r,
                                               struct pattern_matcher *matcher,
                                               const struct reply_seen *seen,
                                               enum bounce_class class, struct slice provider)
{
    struct automation_glance g = {false, false};
    for (size_t i = 0; i < r->count && !(g.lasting && g.fail); i++) {
        const struct automation_rule *rule = &r->items[i];
        bool *told = rule->action == AUTOMATION_FAIL ? &g.fail : &g.lasting;
        *told = *told || automation_rule_matches(rule, matcher, seen, class, provider);
    }
    return g;
}
