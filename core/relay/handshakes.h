/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * handshakes - who may do the work of a TLS handshake in this turn of the loop
 *
 * Purpose:   private keys are dear (RSA-2048: half a millisecond and more, all else a session does:
 *            microseconds). A thousand clients that come at once must not hold up those that are there:
 *            each turn of the loop spends at most HANDSHAKES_TURN_US and the flight that exceeds it. Who
 *            comes when it is spent, or when others wait already, queues up; a later turn calls. Clients
 *            and servers stand in the same queue.
 * Owner:     the relay. A place belongs to the session or connection that asks; handshakes_leave before
 *            its memory goes.
 * Thread:    the worker's.
 * Units:     microseconds, of any clock: the caller measures. In the engine: CPU time of the thread, so
 *            that a busy machine does not look like dear handshakes.
 * Limits:    one place per session; a turn does at least one flight when somebody waits, so all get
 *            through.
 * Errors:    none.
 */
#ifndef RINGPOST_RELAY_HANDSHAKES_H
#define RINGPOST_RELAY_HANDSHAKES_H

#include "core/base/list.h"

#include <stdint.h>

enum { HANDSHAKES_TURN_US = 1000 };

struct handshakes_counters {
    uint64_t flights; /* that were done */
    uint64_t waited;  /* of them: not in the turn they came in */
};

struct handshakes {
    struct list waiting;
    uint64_t spent_us; /* in this turn */
    uint32_t length;   /* of waiting */
    struct handshakes_counters counters;
};

/* In memory that begins as zeros. */
struct handshake_place {
    struct list link;
    bool called; /* it has waited, this is its turn */
    void (*resume)(struct handshake_place *p);
};

void handshakes_init(struct handshakes *all);

/* Asks before each flight. True: do it now, then say what it took. False: stop; p->resume is called in a
 * later turn, where asking again is answered with true. */
bool handshakes_may(struct handshakes *all, struct handshake_place *p);
void handshakes_took(struct handshakes *all, uint64_t us);
/* Gives up the place, if there is one. */
void handshakes_leave(struct handshakes *all, struct handshake_place *p);

static inline bool handshakes_waits(const struct handshake_place *p)
{
    return list_linked(&p->link);
}

/* The last in a turn: calls those who wait, as far as the rest of the turn's budget goes. */
void handshakes_run(struct handshakes *all);

#endif
