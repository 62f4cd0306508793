/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * site - a set of hosts with its ready list
 *
 * Purpose:   several domains may share a *site*; parts stand here until a connection takes them.
 * Owner:     the queue. A site lives while something refers to it and for QUEUE_SITE_LINGER_MS more
 *            (connections, back-off and routes are worth keeping).
 * Thread:    the owner's.
 */
#ifndef RINGPOST_QUEUE_SITE_H
#define RINGPOST_QUEUE_SITE_H

#include "core/policy/route.h"
#include "core/queue/part.h"

enum { QUEUE_SITE_LINGER_MS = 60 * 1000 };

struct queue_site {
    struct map_node by_key;
    struct slice key;  /* behind the struct */
    struct list ready; /* struct queue_part.in_list */
    uint32_t ready_count;
    struct list active; /* in queue->active_sites while ready is not empty: work for the pool */
    struct queue_part
        *last; /* the newest part in ready: where a recipient of the same message goes */
    struct route_plan *plan; /* newest route */
    bool local;              /* mailboxes of this machine: there is no plan */
    bool stale;              /* it was found by an older configuration: parts are routed anew */
    uint32_t domains;        /* domains that point here */
    uint64_t used_ms;

    /* The connection pool's (core/relay/pool.c). */
    struct list idle;     /* connections waiting for work, most recently used first */
    uint32_t connections; /* all of them: connecting, busy, idle */
    uint32_t connecting;
    uint32_t working; /* those that have been ready for a transaction */
    uint32_t limit;   /* 0: the configured one */
    uint64_t limit_until_ms;
    struct list *active_list; /* for the timer */
    struct timer pause;       /* armed: the second try after a failure waits for it */
    uint64_t down_until_ms;   /* back-off after no host could be reached twice */
    struct outcome down;      /* why */
    char down_text[LIMIT_OUTCOME_TEXT_BYTES];
    uint32_t failures; /* in a row */
};

/* Found or made; NULL: no memory. */
struct queue_site *queue_site_get(struct queue *q, struct slice key);
/* Nothing may refer to it. */
void queue_site_free(struct queue *q, struct queue_site *s);
/* Takes over the plan. The pool remembers bad addresses in the plan; a new plan with the same hosts inherits
 * that. */
void queue_site_set_plan(struct queue_site *s, struct route_plan *plan);

/* p becomes ready here. */
void queue_site_push(struct queue *q, struct queue_site *s, struct queue_part *p, bool front);
/* A routed part: its recipients join the same message's newest ready part, or it becomes ready. */
void queue_site_file(struct queue *q, struct queue_site *s, struct queue_message *m,
                     struct queue_part *p);
/* Ready parts are let go. */
void queue_site_release(struct queue_site *s);

/* The oldest ready part of a site, leased to a connection (recipients SENDING, message has one more
 * reader); NULL: none. */
struct queue_part *queue_site_take(struct queue *q, struct queue_site *s);
/* Back to the front, nothing was sent. */
void queue_site_return(struct queue *q, struct queue_part *p);
/* Behind the others: a connection died on it. If the message itself is why, it must not be the first that
 * the next one tries. */
void queue_site_return_last(struct queue *q, struct queue_part *p);

/* Ends every ready part with this outcome (the whole destination failed). */
void queue_site_fail_ready(struct queue *q, struct queue_site *s, const struct outcome *o);

#endif
