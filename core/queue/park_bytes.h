/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * park_bytes - a message as bytes, and back (internal to core/queue/park.c)
 *
 * Purpose:   all of a struct queue_message that only waits. A field added there must be written here.
 * Owner:     struct queue_park; the bytes have shares in its texts and in the message's label.
 * Thread:    the owner's.
 * Errors:    none: who writes has made room (park_bound).
 */
#ifndef RINGPOST_QUEUE_PARK_BYTES_H
#define RINGPOST_QUEUE_PARK_BYTES_H

#include "core/queue/park.h"

/* An upper bound of what park_message writes. */
size_t park_bound(const struct queue_message *m);
/* Into p->scratch, which has room. */
void park_message(struct queue_park *p, const struct queue_message *m);
/* What park_message took is given back. */
void park_give_up(struct queue_park *p, const struct queue_message *m);

/* What a message is made with; the texts are the item's. Returns the rest, for park_take_message. */
struct slice park_init(const struct lot_item *item, struct queue_message_init *init);
/* Fills m, just made with it. keep: a copy, the shares stay with the item; else m has the label's. */
void park_take_message(struct queue_park *p, const struct lot_item *item, struct slice from,
                       struct queue_message *m, bool keep);

/* False: s means none of it for certain; as far as that can be told from the bytes as they lie there. */
bool park_may_mean(const struct lot_item *item, const struct queue_select *s, uint64_t now_us);

#endif
