/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * target - places that an operator sends queued mail to instead of where it would go
 *
 * Purpose:   `ringpost queue route … --to TARGET`: a recipient has the number of a target; here is what the numbers
 *            stand for, and what is stored.
 * Owner:     each queue has a whole table. Its truth are memos of the spool (QUEUE_MEMO_TARGET: key the number
 *            as text, value the target as text), written before the first record that names the number.
 * Thread:    the queue's; the functions on text: any.
 * Limits:    QUEUE_TARGETS_MAX different ones. A number is not used for another target while the engine runs; those
 *            that no queued mail has any more are forgotten at the next start.
 * Errors:    queue_target_apply: false: no memory, or the bytes make no sense. A number that is not known gives a
 *            route that is refused for now: mail never goes where it would have gone without the order.
 * Durability: the number of a recipient is part of its due time as it is stored (results, messages moved by
 *            compaction): bits 0–47 are the time, 48–55 the number, 62 the hold (suspend.h). So an engine that does
 *            not know targets takes such mail for due in the far future, and keeps it.
 *
 * A target as text, in lower case: "default" (no target), "mx:example.org" (the MX hosts of that domain, as its own
 * mail goes), "relay.example.net:587", "192.0.2.1:25", "[2001:db8::1]:25" (that host; its port is always there).
 * Whom the configuration does not name as relay.host with that port is logged in to by nobody (struct
 * route_host.named), and has delivery.tls.
 */
#ifndef RINGPOST_QUEUE_TARGET_H
#define RINGPOST_QUEUE_TARGET_H

#include "core/base/ipaddr.h"
#include "core/base/limits.h"
#include "core/base/slice.h"

struct queue;
struct queue_key;
struct queue_rcpt;
struct spool_memo;

enum {
    QUEUE_TARGET_BYTES = LIMIT_DOMAIN_BYTES + 8,
    QUEUE_TARGETS_MAX = 255,
    QUEUE_TARGET_KEY_BYTES = 8, /* of a memo's key as text */
    QUEUE_TARGET_NONE = 0,
    QUEUE_TARGET_NEW = QUEUE_TARGETS_MAX + 1, /* of a dry run: nobody has it yet */
    QUEUE_TARGET_SHIFT = 48,
    QUEUE_TARGET_PORT = 25, /* where none is given */
};

struct queue_targets {
    char *text[QUEUE_TARGETS_MAX + 1]; /* by number; NULL: not in use. Owned. */
    bool taken[QUEUE_TARGETS_MAX + 1]; /* its memo is on the way to the disk */
};

/* *text: as it is stored. False: it makes no sense. */
bool queue_target_parse(struct slice word, char text[QUEUE_TARGET_BYTES + 1]);

struct queue_target {
    bool mx;             /* the MX hosts of name */
    struct slice name;   /* points into the text; of an address: without brackets */
    struct ip_addr addr; /* IP_NONE: name is a name */
    uint16_t port;       /* not with mx */
};
/* False: it is "default", or was not written by queue_target_parse. */
bool queue_target_read(struct slice text, struct queue_target *out);

/* ---- the table ---- */

void queue_targets_close(struct queue *q);
/* Takes a memo of kind QUEUE_MEMO_TARGET into the table. */
bool queue_target_apply(struct queue *q, const struct spool_memo *memo);
bool queue_target_put(struct queue *q, unsigned number, struct slice text);
/* QUEUE_TARGET_NONE: nobody has it. */
unsigned queue_target_number(const struct queue *q, struct slice text);
/* A number that nothing stands for, taken until queue_target_settle; QUEUE_TARGET_NONE: there is none. */
unsigned queue_target_take(struct queue *q);
void queue_target_settle(struct queue *q, unsigned number);
/* Empty: not known. */
struct slice queue_target_text(const struct queue *q, unsigned number);
/* By what the route of a recipient with a target is found. */
struct queue_key queue_target_key(const struct queue *q, const struct queue_rcpt *r);

/* ---- stored due times ---- */

static inline uint64_t queue_target_pack(uint64_t due_ms, unsigned number)
{
    return due_ms | (uint64_t)number << QUEUE_TARGET_SHIFT;
}
static inline unsigned queue_target_of_due(uint64_t stored)
{
    return stored >> QUEUE_TARGET_SHIFT & QUEUE_TARGETS_MAX;
}
static inline uint64_t queue_target_due(uint64_t stored)
{
    return stored & ~((uint64_t)QUEUE_TARGETS_MAX << QUEUE_TARGET_SHIFT);
}

#endif
