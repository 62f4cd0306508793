/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * lesson - what a peer's refusals teach
 *
 * Purpose:   each failure gets a class (core/policy/classify.h); each refusal of a peer is tried on the rules
 *            (core/policy/automation_rules.h), once per reply, where the connection is. What may make an
 *            override goes to the owner of the site, who knows how fast it was going and counts it.
 * Owner:     the queue: queue_lessons_open … queue_lessons_close. The automation is the engine's, rules and
 *            classifier the configuration's (queue_lessons_set).
 * Thread:    the queue's.
 * Limits:    a delivered message costs nothing. A failure: its text is normalised; classes are remembered
 *            (CLASSIFY_CACHE); a mail to the owner only for a reply that a rule matches.
 * Errors:    without memory a lesson is lost.
 * Own:       what we found ourselves (outcome.remote false) teaches nothing.
 */
#ifndef RINGPOST_QUEUE_LESSON_H
#define RINGPOST_QUEUE_LESSON_H

#include "core/io/mailbox.h"
#include "core/policy/automation.h"
#include "core/queue/label.h"

struct queue;
struct queue_site;

struct queue_lessons {
    struct automation *automation; /* shared by all workers; NULL: nothing is learned */
    const struct classifier *classifier;
    const struct automation_rules *rules; /* both NULL until queue_lessons_set */
    struct classify_scratch scratch;
    bool ready; /* the scratch is open */
};

/* automation: may be NULL. */
void queue_lessons_open(struct queue *q, struct automation *automation);
void queue_lessons_close(struct queue *q);
/* Of this configuration from now on. */
void queue_lessons_set(struct queue *q, const struct classifier *classifier,
                       const struct automation_rules *rules);

/* Of an outcome that is not delivered. */
enum bounce_class queue_lesson_class(struct queue *q, const struct outcome *o);

struct queue_heard {
    const struct outcome *outcome;
    const struct queue_label *label; /* of the message; NULL: not about one, or it has no names */
    uint32_t begun;                  /* messages on the connection, with this one; 0: none */
};

/* A connection of this worker has heard that from its peer. True: who it is about is to be given up. */
bool queue_lesson_hear(struct queue *q, struct queue_site *s, const struct queue_heard *heard);

/* QUEUE_MAIL_LESSON, to the owner. */
void queue_lesson_on_mail(struct queue *q, struct mail *m);
void queue_lesson_drop_mail(struct mail *m);

#endif
