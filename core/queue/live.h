/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * live - why a site is not faster at the moment, in figures and in one word
 *
 * Purpose:   a picture of a site as its owner sees it (queue_live_of), the one thing that holds it up
 *            (queue_live_binding, a pure function), and both as JSON for `ringpost explain`.
 * Owner:     a plain value; slices point into the site. Thread: the owner's.
 * Units:     parts (a message to one site in one transaction); mono ms and us; parts per second × 1000.
 * Limits:    what was sent is known of the last QUEUE_METER_MS to twice as long.
 * Errors:    none. What cannot be known is said so: drain_s QUEUE_LIVE_UNKNOWN.
 */
#ifndef RINGPOST_QUEUE_LIVE_H
#define RINGPOST_QUEUE_LIVE_H

#include "core/base/buf.h"
#include "core/queue/sched.h"

enum queue_binding {
    QUEUE_BINDING_NOTHING_READY,
    QUEUE_BINDING_SUSPENDED,
    QUEUE_BINDING_BACK_OFF,
    QUEUE_BINDING_OVERRIDE, /* core/queue/brake.h */
    QUEUE_BINDING_MESSAGE_RATE,
    QUEUE_BINDING_BYTE_RATE,
    QUEUE_BINDING_PROVIDER,
    QUEUE_BINDING_SOURCE,
    QUEUE_BINDING_WARMUP,
    QUEUE_BINDING_TENANT,
    QUEUE_BINDING_CAMPAIGN,
    QUEUE_BINDING_CONNECTION_RATE,
    QUEUE_BINDING_RAMP_UP,
    QUEUE_BINDING_PEER, /* it took no more connections than that */
    QUEUE_BINDING_CONNECTIONS,
    QUEUE_BINDING_PLACES, /* delivery.connections_total */
    QUEUE_BINDING_ROUND_TRIP,
    QUEUE_BINDINGS,
};

#define QUEUE_LIVE_UNKNOWN UINT64_MAX

struct queue_live {
    uint64_t now_ms;
    uint32_t ready[READY_CLASSES]; /* may go as far as their senders are concerned */
    uint32_t held;                 /* wait for their tenant's or campaign's rate */
    uint32_t assigned;             /* at other workers */
    bool suspended;
    uint64_t back_off_until_ms; /* 0 or past: none */
    struct slice back_off_why;
    bool rests; /* a rate of the site or its provider lets nothing pass before … */
    uint64_t rests_until_ms;
    struct queue_toll_wait rests_for;
    uint64_t held_until_ms;
    struct queue_toll_wait held_for;
    uint32_t granted;
    uint32_t working;
    uint32_t limit;          /* connections, of the rules or of … */
    uint64_t limit_override; /* … this override; 0: none */
    uint32_t ramp_limit;     /* of ramp_up at the moment */
    uint32_t peer_limit;     /* of the peer; 0: none */
    uint32_t full;           /* workers that have no place for one more … */
    uint32_t workers;        /* … of so many */
    bool waits_to_connect;   /* the connection rate, or the provider, lets no more be opened … */
    bool waits_for_provider; /* … the latter */
    bool waits_for_source;   /* … or the limit of the source over all destinations */
    uint64_t connect_ms;     /* when that is tried again */
    uint64_t sent_milli;     /* parts per 1000 s lately */
    bool measured;           /* for long enough to say so */
    uint64_t limit_milli;    /* the site's own message rate; 0: none */
};

/* *until_ms: when it may change, as far as that is known; else 0. */
enum queue_binding queue_live_binding(const struct queue_live *l, uint64_t *until_ms);
struct slice queue_binding_name(enum queue_binding b);
/* The override that holds it up; 0: something else does. */
uint64_t queue_live_override(const struct queue_live *l);
/* Seconds until what waits here has gone, if things stay as they are. */
uint64_t queue_live_drain_s(const struct queue_live *l);

/* s must be the owner's. */
void queue_live_of(struct queue *q, const struct queue_site *s, struct queue_live *out);

/* One line per site that word (a domain, a host, or a site's key) means, or that has this id (not 0). */
void queue_live_report(struct queue *q, struct slice word, uint64_t id, struct buf *out);

#endif
