/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * brake - what overrides (core/policy/automation.h) do to the mail of a site
 *
 * Purpose:   those of the destination and its source hold for the whole site: a lower rate (in place of the
 *            site's own), fewer connections (those above the limit end after their message), fewer messages
 *            on each, a rest, the end of all that waits, or another source. Those of a tenant, campaign or DKIM domain hold
 *            for its mail alone: a rate of its own there, a rest (ready_hold), the end. Nothing of that is
 *            written: mail waits where it stands, and goes on by itself.
 * Owner:     the site embeds a struct queue_brake; of senders the queue remembers QUEUE_BRAKE_SENDERS_MAX.
 * Thread:    the queue's. Rates are budgets that all workers share (core/policy/budget.h); connections are
 *            the owner's to count, who tells other workers how many to keep (QUEUE_MAIL_SHED).
 * Units:     wall ms where automation.h has them; us of the monotonic clock where a toll waits.
 * Limits:    without overrides: two loads and a comparison per part. When one has begun, grown or been
 *            cancelled, every worker looks at its sites, at most once in QUEUE_BRAKE_WALK_MS.
 * Errors:    without memory a brake does not hold.
 */
#ifndef RINGPOST_QUEUE_BRAKE_H
#define RINGPOST_QUEUE_BRAKE_H

#include "core/base/map.h"
#include "core/base/timer.h"
#include "core/io/mailbox.h"
#include "core/policy/automation.h"
#include "core/policy/budget.h"

struct egress_source;
struct queue;
struct queue_label;
struct queue_part;
struct queue_sched;
struct queue_site;
struct queue_toll_wait;

enum {
    QUEUE_BRAKE_SENDERS_MAX = 4096,
    QUEUE_BRAKE_WALK_MS = 100,
    QUEUE_BRAKE_LOOK_MS = 60 * 1000, /* who rests looks so often whether the clock was set */
};

/* Whose mail alone: in the order of the tolls (core/queue/toll.h). */
enum queue_brake_level {
    QUEUE_BRAKE_TENANT,
    QUEUE_BRAKE_CAMPAIGN,
    QUEUE_BRAKE_DKIM,
    QUEUE_BRAKE_LEVELS,
};

/* An effect, as long as it is good. All zero: to be made. */
struct queue_brake {
    uint64_t generation;
    uint64_t made_ms;
    uint64_t until_ms;
    struct automation_effect *effect; /* NULL: nothing is held back */
    bool shed;                        /* the owner's: workers were told how many to keep */
};

struct queue_brakes {
    struct map senders;
    struct timer walk;
    uint64_t walked_ms;
    bool tell;  /* the other workers, in this turn: to look at their sites … */
    bool write; /* … or only that something is to be written */
};

void queue_brakes_open(struct queue *q);
void queue_brakes_close(struct queue *q);
/* The configuration is another. */
void queue_brakes_forget(struct queue *q);
/* An override has begun or gone: everybody looks at what waits. */
void queue_brakes_changed(struct queue *q);
/* One has changed in a way that nobody but the spool need know. */
void queue_brakes_to_write(struct queue *q);
/* Once per turn: the other workers are told. */
void queue_brakes_run(struct queue *q);

/* ---- a site ---- */

/* What holds for all mail of s; NULL: nothing. Good until the next call. */
const struct automation_effect *queue_brake_of(struct queue *q, struct queue_site *s);
void queue_brake_free(struct queue_site *s);
/* limits, under what holds: as it was computed last. */
void queue_brake_bound(const struct queue_site *s, struct budget_limits *limits);
uint64_t queue_brake_connections(struct queue *q, struct queue_site *s, uint64_t limit);
uint64_t queue_brake_messages(struct queue *q, struct queue_site *s, uint64_t limit);
/* What its mail is to leave by instead; NULL: nothing else, or that cannot be used now. */
const struct egress_source *queue_brake_source(struct queue *q, struct queue_site *s);
/* A scheduler that has something to decide: who is to be given up ends, who rests is held. */
void queue_brake_meet(struct queue *q, struct queue_sched *d);

/* ---- a part ---- */

/* It may not go now, because of a suspension. */
bool queue_brake_holds(struct queue *q, struct queue_site *s, const struct queue_part *p,
                       struct queue_toll_wait *wait);
/* Rates of its sender at this site; NULL: none. */
void queue_brake_budgets(struct queue *q, struct queue_site *s, const struct queue_part *p,
                         struct budget *out[QUEUE_BRAKE_LEVELS]);
/* Which override is behind this wait; 0: none. */
uint64_t queue_brake_cause(struct queue *q, struct queue_site *s, const struct queue_part *p,
                           const struct queue_toll_wait *wait);
/* It is to end; *o says why, its text is in `text`. */
bool queue_brake_gives_up(struct queue *q, struct queue_site *s, const struct queue_part *p,
                          struct outcome *o, char text[LIMIT_OUTCOME_TEXT_BYTES]);

/* A rate as messages a day. */
uint64_t queue_brake_per_day(const struct rate_rule *rule);
/* Of what shares a name with budgets of other moments of the same configuration: grows. */
uint64_t queue_brake_serial(const struct queue *q);

/* QUEUE_MAIL_BRAKES, QUEUE_MAIL_SHED. */
void queue_brakes_on_mail(struct queue *q, struct mail *m);
void queue_brake_on_shed(struct queue *q, struct mail *m);
void queue_brake_drop_mail(struct mail *m);

#endif
