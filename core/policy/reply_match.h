/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * reply_match - the conditions of a rule about replies
 *
 * Purpose:   what rules of classify.h and automation_rules.h have in common: code, enhanced code, stage and
 *            a pattern over the normalised text (reply.h), and sample replies that prove the rule right.
 * Owner:     reply_match_init, reply_match_deinit. Text is not kept.
 * Thread:    immutable: any; the matcher is the thread's.
 * Errors:    init: every mistake goes to the report with the row's place; false.
 */
#ifndef RINGPOST_POLICY_REPLY_MATCH_H
#define RINGPOST_POLICY_REPLY_MATCH_H

#include "core/conf/report.h"
#include "core/policy/pattern.h"
#include "core/policy/reply.h"

/* As it is written in a file; empty: any. */
struct reply_match_text {
    struct slice code;     /* "421", "45x", "4xx" */
    struct slice enhanced; /* "4.7.28", "4.7.x", "x.1.1" */
    struct slice stage;    /* names of outcome_stage_name, with blanks between */
    struct slice pattern;
    /* Replies that the rule is for, one per line ("421 4.7.0 try later"); at the first of its stages. */
    struct slice sample;
};

struct reply_match {
    uint16_t code_first; /* 0, 0: any */
    uint16_t code_last;
    uint8_t cls;             /* 0: any */
    int16_t subject;         /* -1: any */
    int16_t detail;          /* -1: any */
    uint32_t stages;         /* 1 << enum outcome_stage; 0: any */
    struct pattern *pattern; /* NULL: any text */
};

/* A reply to judge: the outcome, and its text normalised. */
struct reply_seen {
    const struct outcome *outcome;
    struct slice text; /* of reply_normalise */
};

/* from, path: where the row stands, for the report. */
bool reply_match_init(struct reply_match *m, const struct reply_match_text *text,
                      const struct conf_origin *from, struct slice path,
                      struct conf_report *report);
void reply_match_deinit(struct reply_match *m);

bool reply_match_test(const struct reply_match *m, struct pattern_matcher *matcher,
                      const struct reply_seen *seen);

/* Where a sample of this rule is to have come: its first stage, or where such replies usually do. */
enum outcome_stage reply_match_stage(const struct reply_match *m);

/* Takes the next line off *samples: the outcome, its text normalised into dst. False: none is left.
 * *valid: the line is a reply. */
bool reply_match_next_sample(const struct reply_match *m, struct slice *samples, bool *valid,
                             struct outcome *out, char dst[REPLY_TEXT_BYTES]);

#endif
