/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * automation - what is in force because of replies: counters and overrides
 *
 * Purpose:   automation_note takes every failed outcome, counts what rules count and makes overrides;
 *            automation_effect says what they mean for one way of mail now. An override is one per scope,
 *            key and action:
 *
 *              reduction   factor f ──duration without a matching reply──► + step, each `every` ──► 1: over
 *                            ▲ the rule fires again: half of what it is now, not more than once per settle
 *                              time; its duration begins anew with every matching reply
 *              suspension  until = now + duration, then a reduction of rate and connections that begins
 *                            with a tenth. Replies that match while it lasts do not make it longer; when
 *                            the rule fires after its end, it begins anew, and the next start is half.
 *              bounce, reroute   until their time is over; firing again begins it anew
 *
 *            Growth is additive, but never more than double at a step, so that a limit that was cut to a
 *            thousandth does not come back at once.
 * Own:       outcomes of our own (outcome.remote false) never match.
 * Limits:    AUTOMATION_OVERRIDES_MAX, AUTOMATION_COUNTERS_MAX; when full, the one that matched longest ago
 *            is forgotten (counted). A peer can make at most one of each per rule and key.
 * Owner:     the engine; automation_open, automation_close.
 * Thread:    any: one mutex, taken per failed outcome and where an effect is computed anew. An effect is
 *            good until its `until_ms` or a new generation (automation_fresh, no lock): compute it once
 *            and ask that.
 * Units:     wall milliseconds, because overrides outlive the process. If the clock is set back,
 *            nothing lasts longer than its duration from then on.
 * Durability: what must be kept is handed out by automation_next_change: a row per override, key its id.
 *            Growth is computed, not written.
 * Errors:    automation_open: NULL without memory; automation_note: without memory nothing is counted.
 */
#ifndef RINGPOST_POLICY_AUTOMATION_H
#define RINGPOST_POLICY_AUTOMATION_H

#include "core/policy/automation_rules.h"

#include <stdatomic.h>

enum {
    AUTOMATION_OVERRIDES_MAX = 4096,
    AUTOMATION_COUNTERS_MAX = 4096,
    AUTOMATION_KEY_BYTES_MAX = 256, /* what is shown and kept; longer keys are told apart by hash */
    AUTOMATION_RECORD_BYTES_MAX = 2048,
};
#define AUTOMATION_SETTLE_MS_MIN UINT64_C(5000)
#define AUTOMATION_SETTLE_MS_MAX UINT64_C(60000)
#define AUTOMATION_FOREVER UINT64_MAX
/* Workers read their clocks once per turn; what is further back than this is a clock that was set back. */
#define AUTOMATION_CLOCK_SLACK_MS UINT64_C(60000)

/* The way of a message; empty: has none, scopes of it do not apply (but mail without a named source is a
 * source of its own). Names of hosts and domains in lower case:
 * keys are compared byte by byte. */
struct automation_keys {
    struct slice source;
    struct slice site; /* whole key of the site without its source */
    struct slice provider;
    struct slice tenant;
    struct slice campaign;
    struct slice dkim;
};

/* What holds now without overrides, or is reached where nothing limits it; 0: not known. Reductions begin
 * there: a share of an unknown rate is a share of what is configured, and of no limit there is none. */
struct automation_base {
    uint64_t messages_per_day;
    uint32_t connections;
    uint32_t per_connection;
};

struct automation_event {
    struct reply_seen seen;
    enum bounce_class class;
    struct automation_keys keys;
    struct automation_base base;
};

struct automation_verdict {
    bool fail;                          /* the recipient is to be given up (AUTOMATION_FAIL) */
    const struct automation_rule *rule; /* the last that fired; NULL: none */
    uint32_t fired;
};

struct automation;

struct automation *automation_open(uint64_t seed);
void automation_close(struct automation *a);

struct automation_verdict automation_note(struct automation *a,
                                          const struct automation_rules *rules,
                                          struct pattern_matcher *matcher,
                                          const struct automation_event *event, uint64_t now_ms);

/* ---- what it means --------------------------------------------------------------------------- */

struct automation_bound {
    uint32_t factor; /* of what holds; AUTOMATION_ONE: all */
    uint64_t max;    /* 0: none */
};

struct automation_effect {
    uint64_t generation;
    uint64_t made_ms;
    uint64_t until_ms;            /* nothing changes before by itself */
    struct automation_bound rate; /* max: messages per day */
    struct automation_bound connections;
    struct automation_bound per_connection;
    uint64_t suspended_until_ms; /* 0: not suspended */
    uint64_t bounce_id;          /* the override that wants it; 0: none */
    uint64_t cause_id;           /* the strictest one of all; 0: none */
    uint8_t source_bytes;
    char source[AUTOMATION_NAME_BYTES_MAX]; /* REROUTE; source_bytes 0: none */
};

/* At most 14 lookups; none while there are no overrides. */
void automation_effect(struct automation *a, const struct automation_keys *keys, uint64_t now_ms,
                       struct automation_effect *out);
/* The same of overrides of some scopes alone. whos: 1 << enum automation_who. */
void automation_effect_of(struct automation *a, const struct automation_keys *keys, unsigned whos,
                          uint64_t now_ms, struct automation_effect *out);
bool automation_effect_is_none(const struct automation_effect *e);

uint64_t automation_generation(const struct automation *a);
/* 1 << enum automation_who of all there are; no lock. */
unsigned automation_whos(const struct automation *a);

static inline bool automation_fresh(const struct automation *a, const struct automation_effect *e,
                                    uint64_t now_ms)
{
    return e->generation == automation_generation(a) && now_ms < e->until_ms &&
           now_ms + AUTOMATION_CLOCK_SLACK_MS >= e->made_ms;
}

/* A limit under a bound; at least 1. limit 0: none, and 0 comes back where the bound has no max. */
uint64_t automation_bounded(const struct automation_bound *b, uint64_t limit);
/* The same for a rate (count 0: no limit); its burst shrinks with it. */
struct conf_rate automation_bounded_rate(const struct automation_bound *b,
                                         const struct conf_rate *limit);

/* ---- looking and cancelling -------------------------------------------------------------------- */

/* A copy. */
struct automation_override {
    uint64_t id;
    struct automation_scope scope;
    enum automation_action action;
    bool manual;        /* imposed by somebody, not by a rule */
    struct slice who;   /* "news/spring" for a campaign; "" for everybody */
    struct slice where; /* "" for anywhere */
    struct slice rule;
    struct slice
        sample; /* the reply that made it, last time: code, enhanced code, text as it came */
    struct slice source; /* REROUTE */
    uint64_t since_ms;
    uint64_t last_ms; /* a matching reply */
    uint64_t
        until_ms;     /* SUSPEND, BOUNCE, REROUTE: their end; reductions: when they begin to grow */
    uint64_t end_ms;  /* when it is over altogether if nothing happens */
    uint32_t factor;  /* now; of AUTOMATION_ONE; 0: suspended */
    uint64_t base;    /* what it is a factor of; 0: of what is configured */
    uint32_t replies; /* that matched */
    uint32_t relapses;
    char
        bytes[2 * AUTOMATION_KEY_BYTES_MAX + 2 * AUTOMATION_NAME_BYTES_MAX + REPLY_TEXT_BYTES + 16];
};

/* Those after `after` (0: from the first), by id. False: no more. */
bool automation_next(struct automation *a, uint64_t after, uint64_t now_ms,
                     struct automation_override *out);
bool automation_find(struct automation *a, uint64_t id, uint64_t now_ms,
                     struct automation_override *out);
bool automation_cancel(struct automation *a, uint64_t id);

/* By hand: any action but FAIL. */
struct automation_order {
    struct automation_scope scope;
    enum automation_action action;
    uint32_t factor;
    uint64_t limit;
    struct slice source;
    uint64_t duration_ms; /* AUTOMATION_FOREVER: until cancelled */
    struct slice reason;  /* stands for the sample */
};
/* Its id; 0: a key that the scope needs is empty, or no memory. */
uint64_t automation_impose(struct automation *a, const struct automation_order *order,
                           const struct automation_keys *keys, uint64_t now_ms);

struct automation_counts {
    size_t overrides;
    size_t counters;
    uint64_t fired;
    uint64_t forgotten_overrides;
    uint64_t forgotten_counters;
};
struct automation_counts automation_counts(struct automation *a);

/* ---- keeping ------------------------------------------------------------------------------------ */

struct automation_change {
    uint64_t id;
    size_t len; /* 0: it is gone */
    char bytes[AUTOMATION_RECORD_BYTES_MAX];
};

/* What is to be written, once each; the newest state. False: nothing. */
bool automation_next_change(struct automation *a, uint64_t now_ms, struct automation_change *out);
/* The newest state of one, whether it has changed or not. False: there is none, *out is as it was. */
bool automation_encode(struct automation *a, uint64_t id, struct automation_change *out);
/* No lock: is there anything to be written? What is over since is found by automation_next_change alone. */
bool automation_has_changes(const struct automation *a);
/* All that is in force is to be written again (another spool, a segment that is given back). */
void automation_mark_all(struct automation *a);

/* A row that was written. False: not understood, nothing happened. One that is over is not taken up, and its
 * row is handed out as gone. */
bool automation_restore(struct automation *a, uint64_t id, struct slice bytes, uint64_t now_ms);

#endif
