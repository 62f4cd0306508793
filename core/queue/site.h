/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * site - a set of hosts that recipients go to, as one worker sees it
 *
 * Purpose:   several domains may share a *site*. One worker owns it and has its scheduler (sched.h); the
 *            parts that a worker is to send itself stand in its *lane*. With one worker the lane is
 *            empty: connections take from the scheduler.
 * Owner:     the queue. A site lives while something refers to it and for QUEUE_SITE_LINGER_MS more
 *            (connections, back-off and routes are worth keeping).
 * Thread:    the owner's.
 *
 *   routed part ─► filling ─(queue_sites_file: end of the turn's routing)─► the owner's scheduler
 *       scheduler ─► connection of the owner, or ─(far.h)─► lane of another worker ─► its connection
 */
#ifndef RINGPOST_QUEUE_SITE_H
#define RINGPOST_QUEUE_SITE_H

#include "core/policy/route.h"
#include "core/queue/brake.h"
#include "core/queue/part.h"
#include "core/queue/toll.h"

enum {
    QUEUE_SITE_LINGER_MS = 60 * 1000,
    /* Parts that wait so long in a lane, behind connections whose peers take their time, go back: another
     * worker's may be free. Many round trips, or lanes that work would be emptied. */
    QUEUE_LANE_PATIENCE_MS = 5 * 1000,
};

struct queue_sched;
struct warmup_track;

/* A host that failed lately at one of its addresses. Another name for the same address may do better: TLS
 * asks for names. */
struct queue_bad {
    struct ip_endpoint at;
    uint64_t host_hash;
    uint64_t until_ms;
};

/* For `ringpost explain`: the last good and the last bad answer to a message, of this worker's connections. */
enum { QUEUE_REPLY_TEXT_BYTES = 200 };

struct queue_reply {
    uint64_t at_ms; /* 0: none */
    uint16_t code;
    uint16_t len;
    char text[QUEUE_REPLY_TEXT_BYTES];
};

struct queue_replies {
    struct queue_reply last[2];
    struct queue_reply elsewhere; /* the owner's: the newest that another worker has told */
    uint64_t told_ms;             /* others': when the owner was told one */
};

/* What an executor has not told the owner yet. */
struct queue_credit {
    uint32_t done;      /* parts that are no longer here */
    uint32_t sent;      /* of them, those that the peer has judged */
    uint32_t delivered; /* of these */
    uint32_t deferred;
    uint32_t granted; /* connections it gives back */
    int32_t working;
    bool served;               /* the hosts work */
    bool full;                 /* no place for a connection here at the moment */
    bool stuck;                /* its connections have not moved for QUEUE_LANE_PATIENCE_MS */
    struct queue_reply *reply; /* the newest, now and then; NULL: none. Owned. */
};

struct queue_site {
    struct map_node by_key;
    struct slice key;        /* behind the struct */
    uint64_t id;             /* of the key, the same in all workers */
    struct route_plan *plan; /* newest route */
    bool local;              /* mailboxes of this machine: there is no plan */
    bool stale;              /* it was found by an older configuration: parts are routed anew */
    uint32_t domains;        /* domains that point here */
    uint64_t used_ms;
    unsigned owner; /* worker */
    bool joined;    /* the group knows that we use it */

    struct list filling;     /* parts that were routed in this turn */
    struct list fill_link;   /* in queue->filling */
    struct queue_part *last; /* the newest: where a recipient of the same message goes */

    struct queue_sched *sched; /* NULL: another worker is the owner */

    struct queue *queue;
    struct budget *own;               /* the site's rates; NULL: none are limited */
    struct budget *provider;          /* shared with other sites; NULL: nothing is */
    struct budget *total;             /* of its source, over all sites; NULL: not limited */
    struct queue_brake brake;         /* what overrides make of it */
    struct warmup_track *warmup;      /* of its source at its provider; NULL: no such limit */
    uint64_t overflow_us;             /* until then nothing more is let go for that limit */
    struct timer rest;                /* armed: a rate lets nothing pass before … */
    struct queue_toll_wait rests_for; /* … which one */

    /* Parts of this worker's connections, and the connection pool's own (core/relay/pool.c). */
    struct list lane;
    uint32_t lane_count;
    struct timer patience; /* armed while something is in the lane */
    struct list active;    /* in queue->active_sites: there may be work for the pool */
    struct list blocked;   /* in queue->orders.blocked */
    struct list idle;      /* connections waiting for work, most recently used first */
    struct list roomy;     /* connections that work and could take one more at once */
    uint32_t granted;      /* connections it may have */
    uint32_t connections;  /* all of them: connecting, busy, idle */
    uint32_t connecting;
    uint32_t surplus;         /* so many of them are to end after their message … */
    uint32_t leaving;         /* … and so many are about to */
    uint32_t working;         /* those that have been ready for a transaction */
    uint32_t under_way;       /* parts that they have */
    struct queue_site *there; /* the owner's, to be named to it */
    struct queue_credit credit;
    struct list credit_link; /* in queue->credits */
    struct queue_bad *bad;   /* at most LIMIT_ADDRESSES_PER_SITE */
    uint32_t bad_count;
    struct queue_replies *replies; /* NULL: none yet */
};

/* Of its key: the egress source; empty: none with a name. */
struct slice queue_site_source(const struct queue_site *s);
/* The key without it: the same for all sources. */
struct slice queue_site_place(const struct queue_site *s);

/* Places for connections that it shares with other sites. */
static inline bool queue_site_shares(const struct queue_site *s)
{
    return s->provider || s->total;
}
/* True: one of its connections should end, another site waits for the place. */
bool queue_site_yields(const struct queue_site *s, uint64_t now_us);
/* A connection more. False: no place; *total: among those of the source. has_none: who does not have any yet. */
bool queue_site_take_place(const struct queue_site *s, const void *who, bool has_none,
                           uint64_t now_us, bool *total);
void queue_site_give_places(const struct queue_site *s, uint32_t n);

/* Found or made; NULL: no memory. */
struct queue_site *queue_site_get(struct queue *q, struct slice key);
/* The mailboxes of this machine: each worker has its own. */
struct queue_site *queue_site_get_local(struct queue *q);
/* Nothing may refer to it. */
void queue_site_free(struct queue *q, struct queue_site *s);
bool queue_site_unused(const struct queue_site *s);
/* Is there one of this key here? NULL: no. */
struct queue_site *queue_site_known(struct queue *q, struct slice key);
/* Its own rates as its rules and the overrides (brake) have them. */
void queue_site_set_rates(struct queue *q, struct queue_site *s);
/* What it waits for may be over. */
void queue_site_wake(struct queue *q, struct queue_site *s);
/* One of its connections that work is asked whether it stays. True: it is to end, and is counted as leaving until
 * then. Those that are still being opened may be refused, and are fewer then: it goes only for what they leave. */
static inline bool queue_site_sheds(struct queue_site *s)
{
    if (s->surplus <= s->connections - s->working) {
        return false;
    }
    s->surplus--;
    s->leaving++;
    return true;
}
/* Takes over the plan, and counts by its limits from now on. */
void queue_site_set_plan(struct queue *q, struct queue_site *s, struct route_plan *plan);

/* Addresses to be avoided for a while; until_ms 0: it works again. */
bool queue_site_is_bad(const struct queue_site *s, const struct route_candidate *c,
                       uint64_t now_ms);
void queue_site_set_bad(struct queue_site *s, const struct route_candidate *c, uint64_t until_ms);

/* p is routed here. */
void queue_site_push(struct queue *q, struct queue_site *s, struct queue_part *p);
/* A routed part: its recipients join the same message's newest part here, or it is pushed. */
void queue_site_file(struct queue *q, struct queue_site *s, struct queue_message *m,
                     struct queue_part *p);
/* What was routed in this turn goes to the schedulers. */
void queue_sites_file(struct queue *q);
/* ---- site_lane.c: what another worker's scheduler has given to this one ---- */

void queue_lane_push(struct queue *q, struct queue_site *s, struct queue_part *p, bool front);
/* Out of the lane, wherever it goes then; NULL: empty. */
struct queue_part *queue_lane_pop(struct queue *q, struct queue_site *s);
/* p stands in the lane: no longer. */
void queue_lane_remove(struct queue *q, struct queue_site *s, struct queue_part *p);
void queue_lane_on_patience_over(struct timer *t, void *ctx);

/* Parts that no connection has are let go. */
void queue_site_release(struct queue *q, struct queue_site *s);

/* There may be work for the pool. */
void queue_site_activate(struct queue *q, struct queue_site *s);
/* Parts that a connection of this worker could take now. */
uint32_t queue_site_work(const struct queue_site *s);
/* May p, the first of the owner's order, go now, as far as rates are concerned? False: the site rests until it
 * may, or (*others) only its tenant or campaign does. */
bool queue_site_may_send(struct queue *q, struct queue_site *s, struct queue_part *p, bool *others);
/* p, the first here, waits for that. True: others may go. */
bool queue_site_wait(struct queue *q, struct queue_site *s, struct queue_part *p,
                     const struct queue_toll_wait *wait);
/* The next of them, leased to a connection, its share of the rates taken; NULL: none. */
struct queue_part *queue_site_take(struct queue *q, struct queue_site *s);
/* Back to the front, nothing was sent. */
void queue_site_return(struct queue *q, struct queue_part *p);
/* Behind the others: a connection died on it. If the message itself is why, it must not be the first that
 * the next one tries. */
void queue_site_return_last(struct queue *q, struct queue_part *p);

/* A part that another worker had assigned to this one is no longer here. */
void queue_site_done(struct queue *q, struct queue_site *s);
/* A connection has sent p: the same, and what the peer said. */
void queue_site_sent(struct queue *q, struct queue_site *s, const struct outcome *last);
/* The owner is told what another worker's connections were. Frees it. */
void queue_site_take_reply(struct queue_site *s, struct queue_reply *reply);

/* May this worker have one more connection? True: it has the right to it. */
bool queue_site_grant(struct queue *q, struct queue_site *s);
/* A connection has ended (greeted: it was counted in working), or could not be opened: the right to it goes
 * back. When it was the last, its lane goes back to the owner. */
void queue_site_connection_over(struct queue *q, struct queue_site *s, bool greeted);
/* Rights that nothing is here to be done with go back, and parts that came without one; full: nothing could
 * be done, for want of a place. */
void queue_site_give_back(struct queue *q, struct queue_site *s, bool full);
void queue_site_greeted(struct queue *q, struct queue_site *s);
/* The peer has judged a message: its hosts work. */
void queue_site_served(struct queue *q, struct queue_site *s);
/* No host could be spoken to. dropped: one took the connection and ended it before it judged a message: as
 * long as others work, only the peer's own word (421) then means that it has enough of us. */
void queue_site_failed(struct queue *q, struct queue_site *s, const struct outcome *why,
                       bool dropped);

#endif
