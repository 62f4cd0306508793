/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * taps - which sessions and connections of this worker are listened to
 *
 * Purpose:   from dialogues (dialogue.h) to sessions: when one begins, and when a dialogue does.
 * Owner:     the relay. Thread: the worker's.
 * Limits:    DIALOGUES_MAX. Without any, a session pays one comparison when it begins and one for each step of its
 *            machine.
 * Errors:    taps_begin: false: there are enough already.
 */
#ifndef RINGPOST_RELAY_TAPS_H
#define RINGPOST_RELAY_TAPS_H

#include "core/relay/dialogue.h"

struct inbound;
struct outbound;
struct queue_part;
struct relay;

enum { TAPS_OUT_BYTES = 128 * 1024 }; /* of one dialogue in one turn of the loop */

struct taps_entry {
    struct dialogue *dialogue; /* one reference */
    struct buf out;            /* lines for the control thread */
};

struct taps {
    unsigned count;
    struct taps_entry entries[DIALOGUES_MAX];
};

/* Takes a reference; sessions that are there already are listened to from now on. */
bool taps_begin(struct relay *r, struct dialogue *d);
/* Of nobody: nothing happens. */
void taps_end(struct relay *r, uint32_t token);
void taps_close(struct relay *r);

/* It is about to connect to its candidate; its client is known. */
void taps_outbound(struct outbound *o);
void taps_inbound(struct inbound *s);
/* It begins a transaction with this part: now it is known for whom. */
void taps_transaction(struct outbound *o, const struct queue_part *p);
/* It is over, or will go on with another host. */
void taps_drop(struct dialogue_tap **list, const struct clock_now *now);

#endif
