/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * automation_rig - rules, a classifier and an automation under a clock of the test's
 *
 * Purpose:   a test says which rows, then which replies come when.
 * Owner:     rig_open, rig_close. Thread: the test's.
 */
#ifndef RINGPOST_TESTS_POLICY_AUTOMATION_RIG_H
#define RINGPOST_TESTS_POLICY_AUTOMATION_RIG_H

#include "core/policy/automation.h"
#include "tests/unit/core/base/testing.h"

#define RIG_START UINT64_C(1800000000000)
#define SECONDS(n) (UINT64_C(1000) * (n))
#define MINUTES(n) (UINT64_C(60000) * (n))

struct rig {
    struct buf errors;
    struct classifier *classifier;
    struct classify_scratch scratch;
    struct automation_rules *rules;
    struct automation *a;
    struct automation_event event; /* keys and base of the next reply */
    uint64_t now_ms;
};

__attribute__((unused)) static struct automation_rules *rig_rules(struct rig *r,
                                                                  const struct automation_row *rows,
                                                                  size_t count, bool builtin)
{
    struct conf_report report = {.errors = &r->errors};
    const struct automation_rows extra = {rows, count};
    const struct automation_sources from = {.extra = &extra,
                                            .builtin = builtin,
                                            .classifier = r->classifier};
    buf_clear(&r->errors);
    return automation_rules_new(&from, &report);
}

__attribute__((unused)) static void rig_open(struct rig *r, const struct automation_row *rows,
                                             size_t count, bool builtin)
{
    struct conf_report report = {.errors = &r->errors};
    *r = (struct rig){.now_ms = RIG_START};
    buf_init(&r->errors, 64 * 1024);
    r->classifier = classifier_new(NULL, true, &report);
    ck_assert(r->classifier && classify_scratch_open(&r->scratch, 1));
    r->rules = rig_rules(r, rows, count, builtin);
    ck_assert_msg(r->rules != NULL, "%.*s", SLICE_ARG(buf_slice(&r->errors)));
    r->a = automation_open(5);
    ck_assert(r->a != NULL);
    r->event.keys = (struct automation_keys){.source = SLICE("ip1"),
                                             .site = SLICE("mx.example.com:25"),
                                             .provider = SLICE("google"),
                                             .tenant = SLICE("shop"),
                                             .campaign = SLICE("spring"),
                                             .dkim = SLICE("example.org")};
}

__attribute__((unused)) static void rig_close(struct rig *r)
{
    automation_close(r->a);
    automation_rules_free(r->rules);
    classify_scratch_close(&r->scratch);
    classifier_free(r->classifier);
    buf_deinit(&r->errors);
}

__attribute__((unused)) static struct automation_verdict rig_reply(struct rig *r, const char *line)
{
    struct outcome o;
    char text[REPLY_TEXT_BYTES];
    ck_assert(reply_sample_parse(slice_str(line), OUTCOME_STAGE_RCPT, &o));
    r->event.seen = (struct reply_seen){&o, slice_of(text, reply_normalise(text, o.text))};
    r->event.class = classify(r->classifier, &r->scratch, &r->event.seen).class;
    return automation_note(r->a, r->rules, &r->scratch.matcher, &r->event, r->now_ms);
}

__attribute__((unused)) static struct automation_effect rig_effect(struct rig *r)
{
    struct automation_effect e;
    automation_effect(r->a, &r->event.keys, r->now_ms, &e);
    return e;
}

#endif
