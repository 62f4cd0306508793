/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * lot - what only waits for its time, as small as it can be
 *
 * Purpose:   millions of items (a message as bytes, core/queue/park.h) by id and by due time. An item has
 *            a slot; lists and the index of ids are made of slot numbers, a quarter of what pointers and
 *            their nodes take.
 * Owner:     the queue embeds a struct lot. An item belongs to whoever has it: lot_put gives it to the
 *            lot, lot_remove gives it back; the owner frees it with free().
 * Thread:    the owner's. No clock: times come as arguments.
 * Units:     due: milliseconds of the monotonic clock; bytes.
 * Limits:    2^32 - 2 items. Beside its own bytes an item costs 8 for its slot and 4 to 11 in the index.
 * Errors:    lot_put: false without memory; the item is still the caller's.
 */
#ifndef RINGPOST_QUEUE_LOT_H
#define RINGPOST_QUEUE_LOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOT_LEVELS = 5, LOT_SLOTS = 64 };

struct lot_item {
    uint64_t id;
    uint64_t due_ms;
    uint64_t segment;    /* the owner's, for finding all of a segment: lot_find_segment */
    uint32_t held_bytes; /* the owner's */
    uint32_t data_bytes;
    uint32_t next; /* the lot's: slot + 1, 0: none */
    uint32_t prev;
    uint32_t slot;
    uint16_t list;
    uint16_t tag; /* the owner's */
    uint8_t data[];
};

struct lot_list {
    uint32_t first; /* slot + 1 */
    uint32_t last;
};

struct lot {
    struct lot_item **items; /* by slot; an empty slot has the next empty one (lot.c) */
    uint32_t made;
    uint32_t capacity;
    uint32_t used;
    uint32_t free_head; /* slot + 1 */
    uint32_t *index;    /* slot + 1 by id, open addressing */
    size_t index_size;  /* power of two, or 0 */
    uint64_t seed;
    uint64_t now_ms;
    uint32_t waiting; /* items that are not due yet */
    uint32_t ready;   /* items that are */
    uint64_t occupied[LOT_LEVELS];
    /* A wheel as in core/base/timer.h, then those that are due. */
    struct lot_list lists[LOT_LEVELS * LOT_SLOTS + 1];
    size_t item_bytes; /* of all items */
};

void lot_init(struct lot *l, uint64_t seed, uint64_t now_ms);
/* Nothing may be in it. */
void lot_deinit(struct lot *l);
/* Room for so many more at once, so that none of them moves the tables. Best effort. */
void lot_reserve(struct lot *l, uint32_t more);

/* malloc'ed with room for data_bytes; the caller fills id, due_ms, segment, held_bytes, tag and data. NULL: no
 * memory. */
struct lot_item *lot_item_new(size_t data_bytes);
bool lot_put(struct lot *l, struct lot_item *item);
void lot_remove(struct lot *l, struct lot_item *item);
/* It waits until another time; the rest of it stays. */
void lot_delay(struct lot *l, struct lot_item *item, uint64_t due_ms);
struct lot_item *lot_find(const struct lot *l, uint64_t id);

/* Sorts out what is due at now_ms. */
void lot_run(struct lot *l, uint64_t now_ms);
/* The longest due; it stays in the lot. NULL: none. */
struct lot_item *lot_due(const struct lot *l);
/* A time at which lot_run has something to do; UINT64_MAX: none. */
uint64_t lot_next_ms(const struct lot *l);

/* The item in a slot below l->made; NULL: it is empty. For walking over all. */
struct lot_item *lot_at(const struct lot *l, uint32_t slot);

/* What all of it takes, as asked of malloc. */
size_t lot_memory(const struct lot *l);

#endif
