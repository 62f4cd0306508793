/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * automation_rules - what replies make the engine do
 *
 * Purpose:   the rules: which replies, how many in which time, what follows, for whom and how long. What is
 *            in force because of them: automation.h. Every rule that matches counts; there is no first
 *            one. A row of the configuration with the name of a built-in one (automation_builtin.inc)
 *            replaces it; with `unset` it only removes it.
 * Check:     a rule has samples, and all of them must match it: code, enhanced code, stage, pattern and, with
 *            classes, the class that classify.h finds. A provider must be one that shaping knows. So a
 *            rule that can never fire is an error at start and in `ringpost check`.
 * Owner:     automation_rules_new, automation_rules_free; rows are copied.
 * Thread:    immutable: any.
 * Units:     milliseconds; factors in parts of AUTOMATION_ONE.
 * Limits:    AUTOMATION_RULES_MAX; AUTOMATION_*_MAX of the values.
 * Errors:    automation_rules_new: NULL; every mistake is in the report with file and line.
 */
#ifndef RINGPOST_POLICY_AUTOMATION_RULES_H
#define RINGPOST_POLICY_AUTOMATION_RULES_H

#include "core/conf/shaping.h"
#include "core/policy/classify.h"

enum {
    AUTOMATION_RULES_MAX = 500,
    AUTOMATION_NAME_BYTES_MAX = 64,
    AUTOMATION_TRIGGER_MAX = 100,
    AUTOMATION_ONE = 1000 * 1000 * 1000,
    AUTOMATION_FACTOR_FLOOR = AUTOMATION_ONE / 64, /* halving ends here, or where the rule began */
};
#define AUTOMATION_DURATION_MS_MIN UINT64_C(1000)
#define AUTOMATION_DURATION_MS_MAX (UINT64_C(30) * 86400 * 1000)

/* For whom an action is … */
enum automation_who {
    AUTOMATION_EVERYBODY,
    AUTOMATION_SOURCE,
    AUTOMATION_TENANT,
    AUTOMATION_CAMPAIGN, /* of a tenant */
    AUTOMATION_DKIM,     /* domain of the signature */
    AUTOMATION_WHOS,
};

/* … and on the way where. A destination without a provider is its own. ANYWHERE lets one receiver's replies
 * act on mail to all others, whoever runs it: no built-in rule does that. */
enum automation_where {
    AUTOMATION_SITE,
    AUTOMATION_PROVIDER,
    AUTOMATION_ANYWHERE, /* not with EVERYBODY */
    AUTOMATION_WHERES,
};

struct automation_scope {
    enum automation_who who : 8;
    enum automation_where where : 8;
};

enum { AUTOMATION_SCOPES = AUTOMATION_WHOS * AUTOMATION_WHERES };

static inline unsigned automation_scope_index(struct automation_scope s)
{
    return (unsigned)s.who * AUTOMATION_WHERES + (unsigned)s.where;
}

/* "site", "provider", "source@site", "tenant@provider", "dkim" (anywhere) … */
void automation_scope_add(struct buf *out, struct automation_scope s);
bool automation_scope_parse(struct slice text, struct automation_scope *out);

/* Values are kept on disk: new ones at the end. */
enum automation_action {
    AUTOMATION_RATE,           /* messages: "50%" of what was, or "10/min" */
    AUTOMATION_CONNECTIONS,    /* "50%" or "2" */
    AUTOMATION_PER_CONNECTION, /* messages per connection: "50%" or "2" */
    AUTOMATION_SUSPEND,        /* nothing is sent; then it begins again with a tenth, and grows */
    AUTOMATION_BOUNCE,         /* what is in the queue or comes ends at once */
    AUTOMATION_REROUTE,        /* another source; its name is the value */
    AUTOMATION_FAIL, /* this recipient only, now: the reply counts as permanent. Leaves no override. */
    AUTOMATION_ACTIONS,
};

struct slice automation_action_name(enum automation_action a);
bool automation_action_find(struct slice name, enum automation_action *out);
/* What all senders share (connections) no single one can have less of. */
bool automation_action_fits(enum automation_action action, struct automation_scope scope);

/* As it is written in a file; empty: not said. */
struct automation_row {
    struct conf_origin at;
    struct slice name;
    bool unset;
    struct slice provider; /* only replies of this one; empty: all */
    struct slice classes;  /* names of bounce_class_name with blanks between; empty: any */
    struct reply_match_text match;
    struct slice scope;
    struct slice trigger; /* "3/10m": so many in a time; empty: at once */
    struct slice action;  /* a name of automation_action_name */
    struct slice value;
    struct slice
        duration; /* "30m": of a reduction: how long nothing like it must come until it grows */
    struct slice step;  /* of the growth, "10%" */
    struct slice every; /* of the growth: a fifth of the duration */
};

struct automation_rows {
    const struct automation_row *items;
    size_t count;
};

struct automation_rule {
    struct conf_origin at; /* name: of the row, not copied */
    struct slice name;
    struct slice provider; /* "": all */
    uint64_t classes;      /* 1 << enum bounce_class; 0: any */
    struct reply_match match;
    struct automation_scope scope;
    uint32_t trigger_count; /* 1: at once */
    uint64_t trigger_ms;
    enum automation_action action;
    uint32_t factor; /* of AUTOMATION_ONE; SUSPEND: what it begins again with */
    uint64_t limit;  /* instead of the factor: connections, messages, messages per day; 0: none */
    struct slice source; /* REROUTE */
    uint64_t duration_ms;
    uint32_t step; /* of AUTOMATION_ONE */
    uint64_t every_ms;
};

/* The built-in table. */
struct automation_rows automation_builtin(void);

struct automation_rules;

struct automation_sources {
    const struct automation_rows *extra;
    bool builtin;
    const struct classifier *classifier; /* judges the samples */
    const struct conf_shaping *shaping;  /* its providers are those there are; NULL: not checked */
    const struct conf_egress_sources
        *egress; /* those that mail can be sent by; NULL: not checked */
};

struct automation_rules *automation_rules_new(const struct automation_sources *from,
                                              struct conf_report *report);
void automation_rules_free(struct automation_rules *r);

size_t automation_rules_count(const struct automation_rules *r);
const struct automation_rule *automation_rules_at(const struct automation_rules *r, size_t i);

/* What the rules make of a reply, whatever was before: worth counting, or this recipient is to be given up. */
struct automation_glance {
    bool lasting; /* a rule that may make an override matches */
    bool fail;
};
struct automation_glance automation_rules_look(const struct automation_rules *r,
                                               struct pattern_matcher *matcher,
                                               const struct reply_seen *seen,
                                               enum bounce_class class, struct slice provider);

/* All conditions but the trigger. */
bool automation_rule_matches(const struct automation_rule *rule, struct pattern_matcher *matcher,
                             const struct reply_seen *seen, enum bounce_class class,
                             struct slice provider);

#endif
