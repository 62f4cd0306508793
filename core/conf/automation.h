/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * automation - the rules under `automation:` as they were written
 *
 * Purpose:   automation.rules (what replies make the engine do, by name) and automation.classify (what a
 *            failure is about, a list): from ringpost.yaml and conf.d, then automation.d/<name>.yaml beside
 *            them (sorted; the same two groups, with or without `automation:` around). Here they are texts
 *            with a place; what they mean and whether they can be right is judged where the built-in ones
 *            are known: core/policy/automation_rules.h, core/policy/classify.h.
 * Merge:     a rule of the same name in a later file replaces the earlier one as a whole; classify grows.
 * Owner:     the conf; ends with it. Thread: immutable after conf_load.
 * Limits:    CONF_AUTOMATION_MAX rules, as many rows; nodes and bytes as every source of a load (conf.h).
 * Errors:    reported by conf_load with file:line:col, all of them.
 */
#ifndef RINGPOST_CONF_AUTOMATION_H
#define RINGPOST_CONF_AUTOMATION_H

#include "core/base/buf.h"
#include "core/conf/arena.h"
#include "core/conf/tree.h"

struct conf_report;

enum { CONF_AUTOMATION_MAX = 2000 };

/* In the order of the documentation. */
enum conf_automation_field {
    CONF_AUTOMATION_PROVIDER,
    CONF_AUTOMATION_CLASS,
    CONF_AUTOMATION_CODE,
    CONF_AUTOMATION_ENHANCED,
    CONF_AUTOMATION_STAGE,
    CONF_AUTOMATION_PATTERN,
    CONF_AUTOMATION_SAMPLE,
    CONF_AUTOMATION_SCOPE,
    CONF_AUTOMATION_TRIGGER,
    CONF_AUTOMATION_ACTION,
    CONF_AUTOMATION_VALUE,
    CONF_AUTOMATION_DURATION,
    CONF_AUTOMATION_STEP,
    CONF_AUTOMATION_EVERY,
    CONF_AUTOMATION_FIELDS,
};

/* One word or text, or several of them: words are joined by blanks, lines by LF. */
enum conf_automation_shape { CONF_AUTOMATION_ONE, CONF_AUTOMATION_WORDS, CONF_AUTOMATION_LINES };

struct conf_automation_row {
    struct slice name;
    enum conf_automation_shape shape;
    bool classify; /* may stand in a row of classify, too */
    const char *doc;
};
extern const struct conf_automation_row conf_automation_rows[CONF_AUTOMATION_FIELDS];

struct conf_automation_entry {
    struct conf_origin at;
    struct slice name;                           /* of a rule; empty in classify */
    bool unset;                                  /* a rule of this name is not to be there … */
    bool unsets;                                 /* … and an earlier file had one */
    struct slice fields[CONF_AUTOMATION_FIELDS]; /* empty: not said */
};

struct conf_automation {
    struct conf_automation_entry *rules; /* in the order they were first named */
    size_t rule_count;
    struct conf_automation_entry *classify;
    size_t classify_count;
    struct conf_arena *arena;
};

/* `trees`: a list node that grows by one map per file. _detach takes the rules out of a ringpost.yaml
 * (keys of the table stay in it), _append a whole file of automation.d. */
void conf_automation_detach(struct conf_node *trees, struct conf_node *root,
                            struct conf_arena *arena, struct conf_report *report);
void conf_automation_append(struct conf_node *trees, struct conf_node *root,
                            struct conf_report *report);

/* NULL: no memory (reported). After errors the result is what could be read. */
struct conf_automation *conf_automation_load(const struct conf_node *trees,
                                             struct conf_report *report);
void conf_automation_free(const struct conf_automation *a);

/* The rules as YAML lines inside `automation:`; read again they give the same rules. */
void conf_automation_print(const struct conf_automation *a, struct buf *out);
/* Their part of the JSON Schema: properties of "automation", each behind a comma. */
void conf_automation_print_schema(struct buf *out, unsigned depth);
/* The table of fields, as Markdown. */
void conf_automation_print_fields(struct buf *out);

#endif
